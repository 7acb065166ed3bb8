import fc from 'fast-check';
import { beforeEach, describe, expect, it } from 'vitest';
import { toHex } from '../../src/core/index.ts';
import {
  buildIcmpEcho,
  COALESCE_HELD_MAX,
  COALESCE_OPEN_MAX,
  COALESCE_SEGMENTS_MAX,
  Coalescer,
  cutSuperframe,
  findUpperLayer,
  newUpperLayer,
  OFFLOAD_KIND,
  octetsOf,
  PASS,
  type Packet,
  PacketPool,
} from '../../src/ip/index.ts';
import { addr, counting } from '../support/packets.ts';
import {
  arbitraryOctets,
  arbitraryShape,
  fenced,
  headersOf,
  naiveCut,
  naivePseudoSum,
  PLAIN,
  packetOf,
  pooled,
  putWord,
  type Shape,
  settle,
} from './superframe-support.ts';

interface Emitted {
  readonly packets: readonly Packet[];
  readonly octets: Uint8Array;
  readonly kind: number;
  readonly segment: number;
  readonly partial: boolean;
  readonly ecn: boolean;
  readonly headerLength: number;
  readonly checksumStart: number;
  readonly checksumOffset: number;
}

/** What a coalescer emits, copied. */
function flush(coalescer: Coalescer): Emitted[] {
  const emitted: Emitted[] = [];
  coalescer.flush((group) => {
    const slices = group.slices.slice(0, group.count);
    const octets = slices.flatMap((s) => [...s.packet.buf.slice(s.offset, s.offset + s.length)]);
    expect(octets.length).toBe(group.octets);
    const { slices: _, count: __, octets: ___, ...offload } = group;
    emitted.push({ ...offload, octets: Uint8Array.from(octets), packets: slices.map((s) => s.packet) });
  });
  expect(coalescer.held).toBe(0);
  return emitted;
}

let pool: PacketPool;
let wide: PacketPool;
beforeEach(() => {
  pool = new PacketPool(300, 2000);
  wide = new PacketPool(2, 65536);
});
const out: Packet[] = [];

/** Adds packets with these octets, and flushes: what was emitted; the pool has all slots back. */
function coalesce(packets: readonly Uint8Array[], partial = false): Emitted[] {
  const coalescer = new Coalescer();
  for (const octets of packets) expect(coalescer.add(pooled(pool, octets, 0, partial))).toBe(true);
  const emitted = flush(coalescer);
  for (const { packets: released } of emitted) for (const packet of released) pool.release(packet);
  expect(pool.taken).toBe(0);
  return emitted;
}

const sizes = (emitted: readonly Emitted[]): number[] => emitted.map((group) => group.packets.length);
const transportOf = (shape: Shape): number => (shape.v6 ? 40 : 20);
const protocolOf = (shape: Shape): number => (shape.tcp ? 6 : 17);

/** The packets of a superframe, by the naive reference. */
const pieces = (shape: Shape, length: number, segment: number): Uint8Array[] =>
  naiveCut(packetOf(shape, counting(length)), transportOf(shape), headersOf(shape), protocolOf(shape), segment);

/** What the device makes of something emitted. */
const cutAgain = ({ octets, kind, segment, headerLength, checksumStart }: Emitted): Uint8Array[] =>
  kind === OFFLOAD_KIND.none
    ? [octets]
    : naiveCut(octets, checksumStart, headerLength, kind === OFFLOAD_KIND.udp ? 17 : 6, segment);

describe('cut, then coalesced', () => {
  it('a superframe is what it was, with the checksum owed', () => {
    fc.assert(
      fc.property(
        arbitraryShape,
        fc.integer({ min: 8, max: 600 }),
        fc.integer({ min: 2, max: 64 }),
        fc.nat(),
        (shape, segment, count, short) => {
          const whole = packetOf(shape, counting(segment * count - (short % segment)));
          const packet = pooled(wide, whole, segment);
          const made = cutSuperframe(packet, pool, out);
          expect(made).toBe(count);
          wide.release(packet);
          const coalescer = new Coalescer();
          for (let i = 0; i < made; i++) coalescer.add(out[i]!);
          const [group, ...others] = flush(coalescer);
          expect(others).toEqual([]);
          expect(group!.packets).toEqual(out.slice(0, made));
          const at = transportOf(shape);
          const field = shape.tcp ? 16 : 6;
          putWord(whole, at + field, naivePseudoSum(whole, at, protocolOf(shape)));
          expect(toHex(group!.octets)).toBe(toHex(whole));
          expect({ ...group, packets: [], octets: [] }).toEqual({
            kind: shape.tcp ? (shape.v6 ? OFFLOAD_KIND.tcp6 : OFFLOAD_KIND.tcp4) : OFFLOAD_KIND.udp,
            segment,
            partial: true,
            ecn: shape.tcp && (shape.flags & 0x80) !== 0,
            headerLength: headersOf(shape),
            checksumStart: at,
            checksumOffset: field,
            packets: [],
            octets: [],
          });
          for (const released of group!.packets) pool.release(released);
          expect(pool.taken).toBe(0);
          expect(coalescer.counters).toEqual({ superframes: 1, merged: count, evicted: 0, full: 0 });
        },
      ),
      { numRuns: 150 },
    );
  });
});

describe('coalesced, then cut', () => {
  /** A few flows whose superframes are cut, interleaved, lost, repeated, swapped and damaged. */
  const arbitraryTraffic = fc
    .tuple(
      fc.array(fc.tuple(arbitraryShape, fc.integer({ min: 8, max: 60 }), fc.nat(600)), { minLength: 1, maxLength: 4 }),
      fc.array(fc.nat(0xff), { minLength: 100, maxLength: 100 }),
      fc.array(fc.tuple(fc.nat(99), fc.nat(90), fc.integer({ min: 1, max: 0xff })), { maxLength: 4 }),
      fc.array(fc.tuple(fc.nat(99), fc.constantFrom('lose', 'repeat', 'swap', 'push')), { maxLength: 6 }),
    )
    .map(([flows, picks, damage, mishaps]) => {
      const queues = flows.map(([shape, segment, length]) =>
        pieces({ ...shape, dontFragment: false }, length, segment),
      );
      const packets: Uint8Array[] = [];
      for (const pick of picks) {
        const queue = queues[pick % queues.length]!;
        if (queue.length > 0) packets.push(queue.shift()!.slice());
      }
      for (const [at, octet, bits] of damage) {
        const packet = packets[at];
        if (packet !== undefined && octet < packet.length) packet[octet]! ^= bits;
      }
      for (const [at, mishap] of mishaps) {
        const packet = packets[at];
        if (packet === undefined) continue;
        if (mishap === 'lose') packets.splice(at, 1);
        else if (mishap === 'repeat') packets.splice(at, 0, packet.slice());
        else if (mishap === 'swap') packets.splice(at, 2, ...packets.slice(at, at + 2).reverse());
        else if (packet[0] === 0x45 && packet[9] === 6 && packet.length > 40) {
          packet[33]! |= 0x08;
          settle(packet, 20, 6);
        }
      }
      return packets;
    });

  it('every packet comes out as it went in, in the order of its flow; PSH moves to the end of its superframe', () => {
    let merged = 0;
    fc.assert(
      fc.property(arbitraryTraffic, (packets) => {
        pool = new PacketPool(110, 2000);
        const coalescer = new Coalescer();
        const held = packets.map((octets) => pooled(pool, octets));
        for (const packet of held) coalescer.add(packet);
        const emitted = flush(coalescer);
        const order: number[] = [];
        for (const group of emitted) {
          const indices = group.packets.map((packet) => held.indexOf(packet));
          order.push(...indices);
          const expected = indices.map((index) => packets[index]!.slice());
          const at = group.checksumStart;
          if (group.kind === OFFLOAD_KIND.tcp4 || group.kind === OFFLOAD_KIND.tcp6) {
            const pushed = expected.some((octets) => (octets[at + 13]! & 0x08) !== 0);
            for (const [i, octets] of expected.entries()) {
              octets[at + 13]! &= ~0x08;
              if (pushed && i === expected.length - 1) octets[at + 13]! |= 0x08;
              settle(octets, at, 6);
            }
          }
          expect(cutAgain(group).map(toHex)).toEqual(expected.map(toHex));
          if (indices.length > 1) merged += indices.length;
        }
        expect([...order].sort((a, b) => a - b)).toEqual(packets.map((_, index) => index));
        const lastOf = new Map<string, number>();
        for (const index of order) {
          const octets = packets[index]!;
          const upper = newUpperLayer();
          // Octets without an upper layer, and fragments, have no flow to be compared by.
          if (findUpperLayer(octets, 0, octets.length, upper) !== PASS) continue;
          if (upper.moreFragments || upper.fragmentOffset > 0 || upper.fragmentHeader >= 0) continue;
          if (upper.at + 4 > upper.end) continue;
          const addresses = octets[0]! >>> 4 === 4 ? octets.slice(12, 20) : octets.slice(8, 40);
          const key = `${upper.protocol} ${toHex(addresses)} ${toHex(octets.slice(upper.at, upper.at + 4))}`;
          expect(lastOf.get(key) ?? -1).toBeLessThan(index);
          lastOf.set(key, index);
        }
        for (const packet of held) pool.release(packet);
      }),
      { numRuns: 400 },
    );
    expect(merged).toBeGreaterThan(1000);
  });
});

describe('never together', () => {
  const flows = [
    ['TCP over IPv4', { ...PLAIN, options: [0x0101080a, 5, 6] }],
    ['TCP over IPv6', { ...PLAIN, v6: true, options: [0x0101080a, 5, 6] }],
    ['UDP over IPv4', { ...PLAIN, tcp: false }],
    ['UDP over IPv6', { ...PLAIN, tcp: false, v6: true }],
  ] as const;

  it.each(flows)('%s: a pair joins; with any bit of the second one changed it never does', (_, shape) => {
    const [first, second] = pieces(shape, 60, 30) as [Uint8Array, Uint8Array];
    expect(sizes(coalesce([first, second]))).toEqual([2]);
    for (let bit = 0; bit < 8 * second.length; bit++) {
      const changed = second.slice();
      changed[bit >>> 3]! ^= 1 << (bit & 7);
      const emitted = coalesce([first, changed]);
      expect([bit, sizes(emitted)]).toEqual([bit, [1, 1]]);
      expect(emitted.map((group) => toHex(group.octets))).toEqual([toHex(first), toHex(changed)]);
      expect(emitted.every((group) => group.kind === OFFLOAD_KIND.none && !group.partial)).toBe(true);
    }
  });

  it.each(flows)('%s: nor with the first one damaged', (_, shape) => {
    const [first, second, third] = pieces(shape, 90, 30) as [Uint8Array, Uint8Array, Uint8Array];
    for (let at = 0; at < first.length; at++) {
      const changed = first.slice();
      changed[at]! ^= 0x20;
      expect(sizes(coalesce([changed, second, third]))).toEqual([1, 2]);
    }
  });

  const tcp = (fields: Partial<Shape>, length = 30): Uint8Array =>
    packetOf({ ...PLAIN, identification: 8, sequence: 1030, ...fields }, counting(length));
  const tcp6 = (fields: Partial<Shape>, length = 30): Uint8Array => tcp({ v6: true, ...fields }, length);
  const udp = (fields: Partial<Shape>, length = 30): Uint8Array => tcp({ tcp: false, ...fields }, length);
  const withoutChecksum = udp({});
  putWord(withoutChecksum, 26, 0);
  const evil = tcp({});
  evil[6]! |= 0x80;
  settle(evil, 20, 6);

  it.each([
    ['the next segment', tcp({}), [2]],
    ['the same one again', tcp({ sequence: 1000, identification: 7 }), [1, 1]],
    ['one octet missing', tcp({ sequence: 1031 }), [1, 1]],
    ['one octet twice', tcp({ sequence: 1029 }), [1, 1]],
    ['another acknowledgment', tcp({ acknowledgment: 2 }), [1, 1]],
    ['another window', tcp({ window: 501 }), [1, 1]],
    ['another TTL', tcp({ hopLimit: 63 }), [1, 1]],
    ['another DSCP', tcp({ trafficClass: 4 }), [1, 1]],
    ['CE', tcp({ trafficClass: 3 }), [1, 1]],
    ['DF gone', tcp({ dontFragment: false }), [1, 1]],
    ['a reserved flag', evil, [1, 1]],
    ['an identification left out', tcp({ identification: 9 }), [1, 1]],
    ['another port', tcp({ sourcePort: 1025 }), [1, 1]],
    ['another address', tcp({ source: 3 }), [1, 1]],
    ['another option', tcp({ options: [0x01010101] }), [1, 1]],
    ['another urgent pointer', tcp({ urgent: 1 }), [1, 1]],
    ['PSH', tcp({ flags: 0x18 }), [2]],
    ['FIN', tcp({ flags: 0x11 }), [2]],
    ['CWR', tcp({ flags: 0x90 }), [1, 1]],
    ['ECE', tcp({ flags: 0x50 }), [1, 1]],
    ['RST', tcp({ flags: 0x14 }), [1, 1]],
    ['SYN', tcp({ flags: 0x12 }), [1, 1]],
    ['URG', tcp({ flags: 0x30 }), [1, 1]],
    ['no ACK', tcp({ flags: 0x00 }), [1, 1]],
    ['no data', tcp({}, 0), [1, 1]],
    ['less data', tcp({}, 29), [2]],
    ['more data', tcp({}, 31), [1, 1]],
    [
      'IPv4 options',
      packetOf({ ...PLAIN, identification: 8, sequence: 1030 }, counting(30), new Uint8Array(4)),
      [1, 1],
    ],
  ])('TCP over IPv4: %s', (_, second, expected) => {
    expect(sizes(coalesce([packetOf(PLAIN, counting(30)), second]))).toEqual(expected);
  });

  it.each([
    ['the next segment', tcp6({}), [2]],
    ['another flow label', tcp6({ flowLabel: 1 }), [1, 1]],
    ['another hop limit', tcp6({ hopLimit: 63 }), [1, 1]],
    ['another traffic class', tcp6({ trafficClass: 1 }), [1, 1]],
    [
      'an extension header',
      packetOf({ ...PLAIN, v6: true, sequence: 1030 }, counting(30), Uint8Array.of(6, 0, 1, 4, 0, 0, 0, 0)),
      [1, 1],
    ],
  ])('TCP over IPv6: %s', (_, second, expected) => {
    expect(sizes(coalesce([packetOf({ ...PLAIN, v6: true }, counting(30)), second]))).toEqual(expected);
  });

  it.each([
    ['the next datagram', udp({}), [2]],
    ['a shorter one', udp({}, 1), [2]],
    ['a longer one', udp({}, 31), [1, 1]],
    ['an empty one', udp({}, 0), [1, 1]],
    ['one without checksum', withoutChecksum, [1, 1]],
    ['an identification left out', udp({ identification: 9 }), [1, 1]],
  ])('UDP: %s', (_, second, expected) => {
    expect(sizes(coalesce([packetOf({ ...PLAIN, tcp: false }, counting(30)), second]))).toEqual(expected);
  });

  it('RFC 768: two datagrams without checksums stay as they are', () => {
    const pair = pieces({ ...PLAIN, tcp: false }, 60, 30);
    for (const octets of pair) putWord(octets, 26, 0);
    expect(coalesce(pair).map((group) => toHex(group.octets))).toEqual(pair.map(toHex));
  });

  it('behind a FIN or a shorter segment', () => {
    const [a, b, c] = pieces(PLAIN, 90, 30) as [Uint8Array, Uint8Array, Uint8Array];
    b[33]! |= 0x01;
    settle(b, 20, 6);
    expect(sizes(coalesce([a, b, c]))).toEqual([2, 1]);
    a[33]! |= 0x01;
    settle(a, 20, 6);
    expect(sizes(coalesce([a, b, c]))).toEqual([1, 1, 1]);
    const [d, e] = pieces({ ...PLAIN, sequence: 2000 }, 50, 30) as [Uint8Array, Uint8Array];
    const f = packetOf({ ...PLAIN, sequence: 2050, identification: 9 }, counting(20));
    expect(sizes(coalesce([d, e, f]))).toEqual([2, 1]);
  });

  it('across anything of the same flow that stays alone', () => {
    const [a, b, c] = pieces(PLAIN, 90, 30) as [Uint8Array, Uint8Array, Uint8Array];
    const acknowledgment = packetOf({ ...PLAIN, sequence: 1060 }, counting(0));
    expect(sizes(coalesce([a, b, acknowledgment, c]))).toEqual([2, 1, 1]);
    const fragment = packetOf({ ...PLAIN, sourcePort: 9 }, counting(30));
    fragment[7] = 10;
    settle(fragment, 20, 6);
    const other = pieces({ ...PLAIN, tcp: false }, 90, 30);
    const foreign = pieces({ ...PLAIN, source: 9 }, 90, 30);
    expect(
      sizes(coalesce([a, other[0]!, foreign[0]!, fragment, b, other[1]!, foreign[1]!, c, other[2]!, foreign[2]!])),
    ).toEqual([1, 1, 3, 1, 2, 2]);
  });

  it('but across anything else', () => {
    const [a, b, c] = pieces(PLAIN, 90, 30) as [Uint8Array, Uint8Array, Uint8Array];
    const echo = buildIcmpEcho(
      { source: addr('10.1.0.2'), destination: addr('10.2.0.1'), type: 'request', identifier: 1, sequence: 1 },
      counting(9),
    );
    const emitted = coalesce([a, echo, b, packetOf({ ...PLAIN, sourcePort: 7 }, counting(9)), counting(3), c]);
    expect(sizes(emitted)).toEqual([3, 1, 1, 1]);
    expect(toHex(emitted[1]!.octets)).toBe(toHex(echo));
  });
});

describe('RFC 6864 §4.1: identifications of atomic datagrams', () => {
  const trio = (identifications: readonly number[], dontFragment: boolean): number[] =>
    sizes(
      coalesce(
        identifications.map((identification, i) =>
          packetOf({ ...PLAIN, identification, dontFragment, sequence: 1000 + 30 * i }, counting(30)),
        ),
      ),
    );

  it.each([
    [[7, 8, 9], true, [3]],
    [[0xffff, 0, 1], true, [3]],
    [[7, 8, 9], false, [3]],
    [[0, 0, 0], true, [3]],
    [[0, 0, 0], false, [1, 1, 1]],
    [[0, 0, 1], true, [2, 1]],
    [[0, 0, 2], true, [2, 1]],
    [[0, 1, 1], true, [2, 1]],
    [[9, 8, 7], true, [1, 1, 1]],
  ])('%j with DF %s', (identifications, dontFragment, expected) => {
    expect(trio(identifications, dontFragment)).toEqual(expected);
  });
});

describe('limits', () => {
  it('64 packets', () => {
    expect(sizes(coalesce(pieces(PLAIN, 30 * 150, 30)))).toEqual([64, 64, 22]);
    expect(COALESCE_SEGMENTS_MAX).toBe(64);
  });

  it.each([
    [PLAIN, 1900, [34, 6]],
    [{ ...PLAIN, v6: true }, 1900, [34, 6]],
    [{ ...PLAIN, tcp: false }, 1926, [34, 6]],
  ] as const)('65,535 octets', (shape, segment, expected) => {
    const trace = Array.from({ length: 40 }, (_, i) =>
      packetOf(
        { ...shape, sequence: shape.sequence + i * segment, identification: shape.identification + i },
        counting(segment),
      ),
    );
    const emitted = coalesce(trace);
    expect(sizes(emitted)).toEqual(expected);
    expect(emitted[0]!.octets.length).toBe(headersOf(shape) + 34 * segment);
    expect(headersOf(shape) + 35 * segment).toBeGreaterThan(65535);
  });

  it('8 flows that may grow: the oldest one ends', () => {
    const coalescer = new Coalescer();
    const streams = Array.from({ length: 9 }, (_, i) => pieces({ ...PLAIN, sourcePort: i }, 60, 30));
    const held = [0, 1].flatMap((i) => streams.map((stream) => pooled(pool, stream[i]!)));
    for (const packet of held.slice(0, 9)) coalescer.add(packet);
    expect(coalescer.counters.evicted).toBe(1);
    for (const packet of held.slice(10, 18)) coalescer.add(packet);
    expect(sizes(flush(coalescer))).toEqual([1, ...new Array(COALESCE_OPEN_MAX).fill(2)]);
    for (const packet of held) pool.release(packet);
  });

  it('256 packets held, whatever they are', () => {
    const coalescer = new Coalescer();
    const octets = packetOf(PLAIN, counting(1));
    const held = Array.from({ length: COALESCE_HELD_MAX + 1 }, () => pooled(pool, octets));
    for (const packet of held.slice(0, -1)) expect(coalescer.add(packet)).toBe(true);
    expect(coalescer.add(held.at(-1)!)).toBe(false);
    expect([coalescer.held, coalescer.counters.full]).toEqual([COALESCE_HELD_MAX, 1]);
    const emitted = flush(coalescer);
    expect(emitted.map((group) => group.packets[0])).toEqual(held.slice(0, -1));
    expect(coalescer.add(held.at(-1)!)).toBe(true);
    expect(sizes(flush(coalescer))).toEqual([1]);
    for (const packet of held) pool.release(packet);
  });

  it('nothing is remembered across a flush', () => {
    const coalescer = new Coalescer();
    const held = pieces(PLAIN, 60, 30).map((octets) => pooled(pool, octets));
    for (const packet of held) {
      coalescer.add(packet);
      expect(sizes(flush(coalescer))).toEqual([1]);
    }
    for (const packet of held) pool.release(packet);
  });
});

describe('packets of this host', () => {
  it('a checksum still owed needs no check, and is owed by what leaves', () => {
    for (const shape of [PLAIN, { ...PLAIN, tcp: false, v6: true }]) {
      const right = pieces(shape, 90, 30);
      const owing = right.map((octets) => {
        const copy = octets.slice();
        putWord(copy, transportOf(shape) + (shape.tcp ? 16 : 6), 0);
        return copy;
      });
      const [group] = coalesce(owing, true);
      expect(group!.packets.length).toBe(3);
      expect(cutAgain(group!).map(toHex)).toEqual(right.map(toHex));
      const [single] = coalesce(owing.slice(0, 1), true);
      expect([single!.kind, single!.partial, single!.checksumStart]).toEqual([0, true, transportOf(shape)]);
    }
  });

  it('a superframe passes by itself, described, and keeps its place in its flow', () => {
    const [a, b] = pieces(PLAIN, 60, 30) as [Uint8Array, Uint8Array];
    const whole = packetOf({ ...PLAIN, sequence: 1060, identification: 9 }, counting(100));
    const coalescer = new Coalescer();
    const held = [pooled(pool, a), pooled(pool, b), pooled(pool, whole, 40), pooled(pool, a)];
    for (const packet of held) coalescer.add(packet);
    const emitted = flush(coalescer);
    expect(sizes(emitted)).toEqual([2, 1, 1]);
    expect([emitted[1]!.kind, emitted[1]!.segment, emitted[1]!.partial]).toEqual([OFFLOAD_KIND.tcp4, 40, true]);
    expect(cutAgain(emitted[1]!).map(toHex)).toEqual(naiveCut(whole, 20, 40, 6, 40).map(toHex));
    for (const packet of held) pool.release(packet);
  });
});

describe('hostile octets', () => {
  it('are emitted once each, unchanged unless they join; nothing outside them is touched', () => {
    fc.assert(
      fc.property(fc.array(arbitraryOctets, { maxLength: 30 }), fc.boolean(), (all, again) => {
        const packets = (again ? all.flatMap((octets) => [octets, octets]) : all).map((octets) => fenced(octets));
        const before = packets.map((packet) => toHex(Uint8Array.from(contents(packet))));
        const coalescer = new Coalescer();
        for (const packet of packets) expect(coalescer.add(packet)).toBe(true);
        const order: number[] = [];
        coalescer.flush((group) => {
          for (const { packet } of group.slices.slice(0, group.count)) order.push(packets.indexOf(packet));
          if (group.count > 1) return;
          const { packet, offset, length } = group.slices[0]!;
          expect([offset, length]).toEqual([packet.start, packet.end - packet.start]);
          expect(toHex(Uint8Array.from(contents(packet)))).toBe(before[packets.indexOf(packet)]);
        });
        expect(order.sort((a, b) => a - b)).toEqual(packets.map((_, i) => i));
      }),
      { numRuns: 500 },
    );
  });

  const contents = ({ buf, start, end }: Packet): number[] =>
    Array.from({ length: end - start }, (_, i) => buf[start + i]!);

  it('padding behind a packet stays behind', () => {
    const [a, b] = pieces(PLAIN, 60, 30) as [Uint8Array, Uint8Array];
    const padded = (octets: Uint8Array): Uint8Array => Uint8Array.from([...octets, 0xee, 0xee]);
    expect(toHex(coalesce([padded(a), padded(b)])[0]!.octets)).toBe(toHex(coalesce([a, b])[0]!.octets));
    expect(octetsOf(pooled(wide, a)).length).toBe(a.length);
  });
});
