/** Every record an MRT file can have, as fast-check arbitraries. */
import fc from 'fast-check';
import type { MrtPeer, MrtRecord, RibEntry } from '../../../src/bgp/index.ts';
import { nlri, octets, u32 } from '../message/arbitraries.ts';

const u16 = fc.nat(0xffff);
const time = fc.record({ seconds: u32 });
const address = fc.oneof(octets(4), octets(16));
const maybeMicros = fc.oneof(time, fc.record({ seconds: u32, micros: fc.nat(999_999) }));

const peer: fc.Arbitrary<MrtPeer> = fc.record({ identifier: u32, address, asn: u32 });

const peerIndexTable: fc.Arbitrary<MrtRecord> = fc
  .record({ time, collector: u32, view: octets(0, 20), peers: fc.array(peer, { maxLength: 8 }) })
  .map((r): MrtRecord => ({ kind: 'peerIndexTable', ...r }));

const rib: fc.Arbitrary<MrtRecord> = fc
  .record({ ipv6: fc.boolean(), multicast: fc.boolean(), addPath: fc.boolean() })
  .chain(({ ipv6, multicast, addPath }) => {
    const entry: fc.Arbitrary<RibEntry> = fc
      .record({ peer: u16, originatedSeconds: u32, attributes: octets(0, 300), pathId: u32 })
      .map(({ pathId, ...rest }) => (addPath ? { ...rest, pathId } : rest));
    return fc
      .record({ time, sequence: u32, route: nlri(ipv6 ? 16 : 4), entries: fc.array(entry, { maxLength: 6 }) })
      .map(({ route, ...rest }): MrtRecord => {
        const family = ((ipv6 ? 2 : 1) << 8) | (multicast ? 2 : 1);
        return { kind: 'rib', family, prefix: route.prefix, addPath, ...rest };
      });
  });

const session = fc.record({ fourOctetAs: fc.boolean(), ipv6: fc.boolean() }).chain(({ fourOctetAs, ipv6 }) => {
  const asn = fourOctetAs ? u32 : u16;
  const end = octets(ipv6 ? 16 : 4);
  return fc.record({
    peerAs: asn,
    localAs: asn,
    interfaceIndex: u16,
    peer: end,
    local: end,
    fourOctetAs: fc.constant(fourOctetAs),
    time: maybeMicros,
  });
});

const message: fc.Arbitrary<MrtRecord> = fc
  .tuple(session, fc.record({ addPath: fc.boolean(), sent: fc.boolean(), message: octets(0, 400) }))
  .map(([s, m]): MrtRecord => ({ kind: 'message', ...s, ...m }));

const state: fc.Arbitrary<MrtRecord> = fc
  .tuple(session, fc.record({ from: u16, to: u16 }))
  .map(([s, m]): MrtRecord => ({ kind: 'state', ...s, ...m }));

const other: fc.Arbitrary<MrtRecord> = fc
  .record({ time, type: fc.constantFrom(11, 12, 32, 48, 64), subtype: u16, body: octets(0, 60) })
  .map((r): MrtRecord => ({ kind: 'other', ...r }));

export const mrtRecord: fc.Arbitrary<MrtRecord> = fc.oneof(peerIndexTable, rib, message, state, other);
