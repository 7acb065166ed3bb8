/** Every record of BGP a codec can be asked to write, as fast-check arbitraries. */
import fc from 'fast-check';
import type { Capability, ControlMessage, Family } from '../../../src/bgp/index.ts';
import type { Bytes } from '../../../src/core/index.ts';

export const octets = (minLength: number, maxLength = minLength): fc.Arbitrary<Bytes> =>
  fc.uint8Array({ minLength, maxLength }).map((b) => Uint8Array.from(b));
const u8 = fc.nat(0xff);
const u16 = fc.nat(0xffff);
export const u32 = fc.nat(0xffffffff);
export const asn = fc.integer({ min: 1, max: 0xffffffff });
const family: fc.Arbitrary<Family> = fc.oneof(fc.constantFrom(0x0101, 0x0201, 0x1946), fc.nat(0xffffff));
const KNOWN = new Set([1, 2, 5, 6, 64, 65, 69, 70, 71]);

export const capability: fc.Arbitrary<Capability> = fc.oneof(
  fc.constantFrom<Capability>({ name: 'routeRefresh' }, { name: 'extendedMessage' }, { name: 'enhancedRouteRefresh' }),
  family.map((f): Capability => ({ name: 'multiprotocol', family: f })),
  asn.map((n): Capability => ({ name: 'fourOctetAs', asn: n })),
  fc
    .array(fc.record({ family, nextHopAfi: u16 }), { maxLength: 4 })
    .map((entries): Capability => ({ name: 'extendedNextHop', entries })),
  fc
    .record({
      restarting: fc.boolean(),
      notification: fc.boolean(),
      restartSeconds: fc.nat(4095),
      families: fc.array(fc.record({ family, forwarding: fc.boolean() }), { maxLength: 4 }),
    })
    .map((c): Capability => ({ name: 'gracefulRestart', ...c })),
  fc
    .array(fc.record({ family, mode: u8 }), { maxLength: 4 })
    .map((families): Capability => ({ name: 'addPath', families })),
  fc
    .array(fc.record({ family, forwarding: fc.boolean(), staleSeconds: fc.nat(0xffffff) }), { maxLength: 4 })
    .map((families): Capability => ({ name: 'longLivedGracefulRestart', families })),
  fc
    .record({ code: u8.filter((code) => !KNOWN.has(code)), value: octets(0, 40) })
    .map((c): Capability => ({ name: 'unknown', ...c })),
);

export const controlMessage: fc.Arbitrary<ControlMessage> = fc.oneof(
  fc
    .record({
      myAs: fc.integer({ min: 1, max: 0xffff }),
      holdSeconds: u16.filter((s) => s !== 1 && s !== 2),
      identifier: fc.integer({ min: 1, max: 0xffffffff }),
      capabilities: fc.array(capability, { maxLength: 8 }),
    })
    .map((o): ControlMessage => ({ kind: 'open', version: 4, ...o })),
  fc
    .record({ code: u8, subcode: u8, data: octets(0, 50) })
    .map((n): ControlMessage => ({ kind: 'notification', ...n })),
  fc.constant<ControlMessage>({ kind: 'keepalive' }),
  fc.record({ family, subtype: u8 }).map((r): ControlMessage => ({ kind: 'routeRefresh', ...r })),
);
