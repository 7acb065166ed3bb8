/** Every record of BGP a codec can be asked to write, as fast-check arbitraries. */
import fc from 'fast-check';
import {
  type AsSegment,
  type AttributeValue,
  attributeOf,
  type Capability,
  type ControlMessage,
  type Family,
  IPV6_UNICAST,
  type Nlri,
  type PathAttribute,
  type UpdateMessage,
} from '../../../src/bgp/index.ts';
import type { Bytes } from '../../../src/core/index.ts';
import { networkOf } from '../../../src/ip/index.ts';

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

/** A prefix of a family, without host bits. */
export const nlri = (octetsOfAddress: 4 | 16): fc.Arbitrary<Nlri> =>
  fc.tuple(octets(octetsOfAddress), fc.nat(octetsOfAddress * 8)).map(([address, length]) => ({
    prefix: { address: networkOf({ address, length }), length },
  }));

export const segment = (numbers: fc.Arbitrary<number> = asn): fc.Arbitrary<AsSegment> =>
  fc.record({
    type: fc.constantFrom('set', 'sequence', 'confedSequence', 'confedSet'),
    asns: fc.array(numbers, { minLength: 1, maxLength: 6 }),
  });
const plainSegment = segment().filter((s) => !s.type.startsWith('confed'));
const host = octets(4).filter((a) => a[0] !== 0 && a[0]! < 224);
const mixedAsn = fc.oneof(asn, fc.integer({ min: 1, max: 0xffff }));

type Named = Exclude<AttributeValue, { name: 'unknown' }>;

/** Those a route must have, whoever sends it. */
const mandatory: fc.Arbitrary<Named[]> = fc.tuple(
  fc
    .constantFrom('igp' as const, 'egp' as const, 'incomplete' as const)
    .map((origin): Named => ({ name: 'origin', origin })),
  fc
    .array(segment(fc.integer({ min: 1, max: 0xffff })), { maxLength: 3 })
    .map((all): Named => ({ name: 'asPath', segments: all.filter((s) => !s.type.startsWith('confed')) })),
  host.map((address): Named => ({ name: 'nextHop', address })),
  u32.map((preference): Named => ({ name: 'localPreference', preference })),
);

const optional: readonly fc.Arbitrary<Named>[] = [
  u32.map((med): Named => ({ name: 'med', med })),
  fc.constant<Named>({ name: 'atomicAggregate' }),
  fc.record({ asn: mixedAsn, address: octets(4) }).map((a): Named => ({ name: 'aggregator', ...a })),
  fc.array(u32, { minLength: 1, maxLength: 80 }).map((communities): Named => ({ name: 'communities', communities })),
  u32.map((identifier): Named => ({ name: 'originatorId', identifier })),
  fc.array(u32, { minLength: 1, maxLength: 5 }).map((identifiers): Named => ({ name: 'clusterList', identifiers })),
  fc
    .record({
      nextHops: fc.array(octets(16), { minLength: 1, maxLength: 2 }),
      nlri: fc.array(nlri(16), { maxLength: 20 }),
    })
    .map((r): Named => ({ name: 'mpReach', family: IPV6_UNICAST, ...r })),
  fc
    .array(nlri(16), { maxLength: 20 })
    .map((withdrawn): Named => ({ name: 'mpUnreach', family: IPV6_UNICAST, withdrawn })),
  fc
    .array(octets(8), { minLength: 1, maxLength: 4 })
    .map((communities): Named => ({ name: 'extendedCommunities', communities })),
  fc.array(plainSegment, { minLength: 1, maxLength: 3 }).map((segments): Named => ({ name: 'as4Path', segments })),
  fc.record({ asn, address: octets(4) }).map((a): Named => ({ name: 'as4Aggregator', ...a })),
  fc
    .uniqueArray(fc.record({ global: u32, local1: u32, local2: u32 }), {
      minLength: 1,
      maxLength: 5,
      selector: (c) => `${c.global}:${c.local1}:${c.local2}`,
    })
    .map((communities): Named => ({ name: 'largeCommunities', communities })),
  u32.map((n): Named => ({ name: 'onlyToCustomer', asn: n })),
];

const unknown: fc.Arbitrary<PathAttribute> = fc
  .record({ type: fc.integer({ min: 100, max: 250 }), flags: fc.constantFrom(0x80, 0xc0, 0xe0), value: octets(0, 300) })
  .map(
    ({ type, flags, value }): PathAttribute => ({
      type,
      flags: value.length > 0xff ? flags | 0x10 : flags,
      value: { name: 'unknown', value },
    }),
  );

/** Attributes of one route: those it must have, some it may have, none twice, flags as a codec reads them. */
export const attributeList: fc.Arbitrary<PathAttribute[]> = fc
  .tuple(
    mandatory,
    ...optional.map((one) => fc.option(one, { nil: undefined })),
    fc.option(unknown, { nil: undefined }),
  )
  .map(([must, ...may]) => {
    const list = must.map(attributeOf);
    for (const one of may) if (one !== undefined) list.push('value' in one && 'type' in one ? one : attributeOf(one));
    return list.map((a) => (isLong(a) ? { ...a, flags: a.flags | 0x10 } : a));
  });

export const updateMessage: fc.Arbitrary<UpdateMessage> = fc.record({
  kind: fc.constant('update' as const),
  withdrawn: fc.array(nlri(4), { maxLength: 5 }),
  attributes: attributeList,
  nlri: fc.array(nlri(4), { minLength: 1, maxLength: 10 }),
});

/** More than 255 octets: only what the lists above can make that long. */
function isLong({ value }: PathAttribute): boolean {
  if (value.name === 'communities') return value.communities.length > 63;
  if (value.name === 'mpUnreach') return 3 + octetsOf(value.withdrawn) > 0xff;
  return value.name === 'mpReach' && 5 + 16 * value.nextHops.length + octetsOf(value.nlri) > 0xff;
}

const octetsOf = (list: readonly Nlri[]): number =>
  list.reduce((sum, { prefix }) => sum + 1 + Math.ceil(prefix.length / 8), 0);
