import fc from 'fast-check';
import { beforeEach, describe, expect, it } from 'vitest';
import { toHex } from '../../src/core/index.ts';
import {
  buildIcmpEcho,
  COALESCE_HELD_MAX,
  COALESCE_OPEN_MAX,
  COALESCE_SEGMENTS_MAX,
  checkIp,
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
import { Collector, contents, type Emitted, partsOf, protocolOf, trainOf, transportOf } from './coalesce-support.ts';
import {
  arbitraryOctets,
  arbitraryShape,
  fenced,
  headersOf,
  naiveCut,
  naivePseudoSum,
  naiveSum,
  PLAIN,
  packetOf,
  pooled,
  putWord,
  type Shape,
  settle,
} from './superframe-support.ts';

let pool: PacketPool;
let wide = new PacketPool(70, 65536);
/** Pools without what a failure has left there. */
function clear(): void {
  pool = new PacketPool(200, 8000);
  if (wide.taken > 0) wide = new PacketPool(70, 65536);
}
beforeEach(clear);
const out: Packet[] = [];

/** Adds packets with these octets, and flushes: what was emitted; the pool has all slots back. */
function coalesce(packets: readonly Uint8Array[], partial = false, from = pool): Emitted[] {
  const collector = new Collector(from);
  collector.add(packets.map((octets) => pooled(from, octets, 0, partial)));
  const emitted = collector.flush();
  expect(from.taken).toBe(0);
  return emitted;
}

/** How many packets of the wire each is. */
const sizes = (emitted: readonly Emitted[]): number[] => emitted.map(({ pieces }) => pieces.length);
const hexes = (all: readonly Uint8Array[]): string[] => all.map((octets) => toHex(octets));

/** The packets of a superframe, by the naive reference. */
const pieces = (shape: Shape, length: number, segment: number): Uint8Array[] =>
  naiveCut(packetOf(shape, counting(length)), transportOf(shape), headersOf(shape), protocolOf(shape), segment);

const passes = (octets: Uint8Array): boolean => checkIp(octets, 0, octets.length) === PASS;

/** The same with the IPv4 header checksum that its octets want. */
function rightHeader(octets: Uint8Array): Uint8Array {
  const header = (octets[0]! & 15) * 4;
  if (octets[0]! >>> 4 !== 4 || header < 20 || header > octets.length) return octets;
  const right = octets.slice();
  putWord(right, 10, 0);
  putWord(right, 10, 0xffff - naiveSum(right.slice(0, header)));
  return right;
}

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
          const made = cutSuperframe(packet, wide, out);
          expect(made).toBe(count);
          wide.release(packet);
          const first = out[0]!;
          const collector = new Collector(wide);
          collector.add(out.slice(0, made));
          expect(wide.taken).toBe(1);
          const [group, ...others] = collector.flush();
          expect(others).toEqual([]);
          expect(group!.packet).toBe(first);
          expect([group!.segment, group!.partial]).toEqual([segment, true]);
          const at = transportOf(shape);
          const field = shape.tcp ? 16 : 6;
          putWord(whole, at + field, naivePseudoSum(whole, at, protocolOf(shape)));
          expect(toHex(group!.described)).toBe(toHex(whole));
          expect(group!.offload).toEqual({
            kind: shape.tcp ? (shape.v6 ? OFFLOAD_KIND.tcp6 : OFFLOAD_KIND.tcp4) : OFFLOAD_KIND.udp,
            segment,
            partial: true,
            ecn: shape.tcp && (shape.flags & 0x80) !== 0,
            headerLength: headersOf(shape),
            checksumStart: at,
            checksumOffset: field,
          });
          expect(wide.taken).toBe(0);
          expect(collector.coalescer.counters).toEqual({ superframes: 1, merged: count, evicted: 0 });
        },
      ),
      { numRuns: 150 },
    );
  });
});

describe('coalesced, then cut', () => {
  /** A few flows whose superframes are cut, interleaved, lost, repeated, swapped and damaged; all that pass `checkIp`. */
  const arbitraryTraffic = fc
    .tuple(
      fc.array(fc.tuple(arbitraryShape, fc.integer({ min: 1, max: 60 }), fc.nat(600)), { minLength: 1, maxLength: 4 }),
      fc.array(fc.nat(0xff), { minLength: 100, maxLength: 100 }),
      fc.array(fc.tuple(fc.nat(99), fc.nat(90), fc.integer({ min: 1, max: 0xff }), fc.boolean()), { maxLength: 6 }),
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
      for (const [at, octet, bits, right] of damage) {
        const packet = packets[at];
        if (packet === undefined || octet >= packet.length) continue;
        packet[octet]! ^= bits;
        if (right) packet.set(rightHeader(packet));
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
      return packets.filter(passes);
    });

  /** Protocol, addresses and ports; undefined for fragments and what has no ports. */
  function flowOf(octets: Uint8Array): string | undefined {
    const upper = newUpperLayer();
    if (findUpperLayer(octets, 0, octets.length, upper) !== PASS) return undefined;
    if (upper.moreFragments || upper.fragmentOffset > 0 || upper.fragmentHeader >= 0) return undefined;
    if (upper.at + 4 > upper.end) return undefined;
    const addresses = octets[0]! >>> 4 === 4 ? octets.slice(12, 20) : octets.slice(8, 40);
    return `${upper.protocol} ${toHex(addresses)} ${toHex(octets.slice(upper.at, upper.at + 4))}`;
  }

  /** As they come out of one superframe: PSH in any of them is PSH in the last one. */
  function pushedLast(packets: readonly Uint8Array[]): Uint8Array[] {
    const { at, protocol } = partsOf(packets[0]!);
    if (protocol !== 6) return [...packets];
    const pushed = packets.some((octets) => (octets[at + 13]! & 0x08) !== 0);
    return packets.map((octets, i) => {
      const copy = octets.slice();
      copy[at + 13]! &= ~0x08;
      if (pushed && i === packets.length - 1) copy[at + 13]! |= 0x08;
      return settle(copy, at, 6);
    });
  }

  it.each([
    ['packets of their own', false],
    ['parts of a train', true],
  ])('%s come out as they went in, in the order of their flow; PSH moves to the end of its superframe', (_, parts) => {
    let merged = 0;
    fc.assert(
      fc.property(arbitraryTraffic, (packets) => {
        if (wide.taken + pool.taken > 0) clear();
        const train = parts ? trainOf(wide, packets) : undefined;
        const before = train?.host.buf.slice();
        const given = train?.parts ?? packets.map((octets) => pooled(pool, octets));
        const collector = new Collector(pool);
        collector.add(given);
        const emitted = collector.flush();
        const waiting = new Map<string, number[]>();
        const left = new Set(packets.keys());
        for (const [index, octets] of packets.entries()) {
          const flow = flowOf(octets);
          if (flow !== undefined) waiting.set(flow, [...(waiting.get(flow) ?? []), index]);
        }
        for (const { packet, octets, pieces } of emitted) {
          // What stays alone is the packet that was given, and so is the first of a superframe that had a slot.
          const self = given.indexOf(packet);
          const flow = flowOf(octets);
          const indices = flow === undefined ? [self] : waiting.get(flow)!.splice(0, pieces.length);
          expect(self).toBe(parts && pieces.length > 1 ? -1 : indices[0]);
          expect(passes(octets)).toBe(true);
          const went = indices.map((index) => packets[index]!);
          expect(hexes(pieces)).toEqual(hexes(pieces.length > 1 ? pushedLast(went) : went));
          for (const index of indices) expect(left.delete(index)).toBe(true);
          if (indices.length > 1) merged += indices.length;
        }
        expect([...left]).toEqual([]);
        expect(pool.taken).toBe(0);
        if (train === undefined) return;
        expect(Buffer.compare(train.host.buf, before!)).toBe(0);
        wide.release(train.host);
      }),
      { numRuns: 300 },
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
      for (const changed of changes(second, bit >>> 3, 1 << (bit & 7))) {
        const emitted = coalesce([first, changed]);
        expect([bit, sizes(emitted)]).toEqual([bit, [1, 1]]);
        expect(hexes(emitted.map(({ octets }) => octets))).toEqual([toHex(first), toHex(changed)]);
        expect(emitted.every(({ segment, partial }) => segment === 0 && !partial)).toBe(true);
      }
    }
  });

  it.each(flows)('%s: nor with the first one damaged', (_, shape) => {
    const [first, second, third] = pieces(shape, 90, 30) as [Uint8Array, Uint8Array, Uint8Array];
    for (let at = 0; at < first.length; at++) {
      for (const changed of changes(first, at, 0x20))
        expect([at, sizes(coalesce([changed, second, third]))]).toEqual([at, [1, 2]]);
    }
  });

  /** With these bits changed: as that leaves it, and with a header checksum that is right again; what `checkIp` lets through. */
  function changes(octets: Uint8Array, at: number, bits: number): Uint8Array[] {
    const changed = octets.slice();
    changed[at]! ^= bits;
    const right = rightHeader(changed);
    const passing = toHex(right) === toHex(octets) ? [changed] : [changed, right];
    return passing.filter(passes);
  }

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
    expect(hexes(coalesce(pair).map(({ octets }) => octets))).toEqual(hexes(pair));
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
    const emitted = coalesce(trace, false, wide);
    expect(sizes(emitted)).toEqual(expected);
    expect(emitted[0]!.octets.length).toBe(headersOf(shape) + 34 * segment);
    expect(headersOf(shape) + 35 * segment).toBeGreaterThan(65535);
  });

  it('8 flows that may grow: the oldest one ends', () => {
    const collector = new Collector(pool);
    const streams = Array.from({ length: 9 }, (_, i) => pieces({ ...PLAIN, sourcePort: i }, 60, 30));
    collector.add(streams.map((stream) => pooled(pool, stream[0]!)));
    expect(collector.coalescer.counters.evicted).toBe(1);
    collector.add(streams.slice(1).map((stream) => pooled(pool, stream[1]!)));
    expect(sizes(collector.flush())).toEqual([1, ...new Array(COALESCE_OPEN_MAX).fill(2)]);
    expect(collector.coalescer.counters).toEqual({ superframes: 8, merged: 16, evicted: 1 });
  });

  it('128 packets held, whatever they are: the next one sends them before it', () => {
    const collector = new Collector(pool);
    const octets = packetOf(PLAIN, counting(1));
    const held = Array.from({ length: COALESCE_HELD_MAX + 1 }, () => pooled(pool, octets));
    collector.add(held.slice(0, -1));
    expect([COALESCE_HELD_MAX, collector.coalescer.held, collector.take()]).toEqual([128, 128, []]);
    collector.add(held.slice(-1));
    expect(collector.coalescer.held).toBe(1);
    expect(collector.take().map(({ packet }) => packet)).toEqual(held.slice(0, -1));
    expect(collector.flush().map(({ packet }) => packet)).toEqual(held.slice(-1));
    expect(pool.taken).toBe(0);
  });

  it('those that joined are not held', () => {
    const collector = new Collector(pool);
    for (let i = 0; i < 3; i++)
      for (const octets of pieces({ ...PLAIN, sourcePort: i }, 64 * 30, 30)) collector.add([pooled(pool, octets)]);
    expect([collector.coalescer.held, pool.taken, collector.take()]).toEqual([3, 3, []]);
    expect(sizes(collector.flush())).toEqual([64, 64, 64]);
  });

  it.each([
    [7, [1, 1, 1]],
    [8, [3]],
  ])('TCP segments of %d octets: shorter ones than 8 no superframe has', (segment, expected) => {
    const trio = pieces(PLAIN, 3 * segment, segment);
    const emitted = coalesce(trio);
    expect(sizes(emitted)).toEqual(expected);
    expect(hexes(emitted.flatMap((each) => each.pieces))).toEqual(hexes(trio));
    expect(sizes(coalesce(pieces({ ...PLAIN, tcp: false }, 3, 1)))).toEqual([3]);
  });

  it('nothing is remembered across a flush', () => {
    const collector = new Collector(pool);
    for (const octets of pieces(PLAIN, 60, 30)) {
      collector.add([pooled(pool, octets)]);
      expect(sizes(collector.flush())).toEqual([1]);
    }
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
      expect(hexes(group!.pieces)).toEqual(hexes(right));
      const [single] = coalesce(owing.slice(0, 1), true);
      expect([single!.segment, single!.partial, toHex(single!.octets)]).toEqual([0, true, toHex(owing[0]!)]);
      expect([single!.offload.kind, single!.offload.partial]).toEqual([0, true]);
      expect(single!.offload.checksumStart).toBe(transportOf(shape));
    }
  });

  it('a superframe passes by itself, as it came, and keeps its place in its flow', () => {
    const [a, b] = pieces(PLAIN, 60, 30) as [Uint8Array, Uint8Array];
    const whole = packetOf({ ...PLAIN, sequence: 1060, identification: 9 }, counting(100));
    const collector = new Collector(pool);
    const held = [pooled(pool, a), pooled(pool, b), pooled(pool, whole, 40), pooled(pool, a)];
    collector.add(held);
    const emitted = collector.flush();
    expect(emitted.map(({ packet }) => packet)).toEqual([held[0], held[2], held[3]]);
    expect(sizes(emitted)).toEqual([2, 3, 1]);
    const { offload, segment, octets, pieces: cut } = emitted[1]!;
    expect([offload.kind, offload.segment, offload.partial, segment]).toEqual([OFFLOAD_KIND.tcp4, 40, true, 40]);
    expect(toHex(octets)).toBe(toHex(whole));
    expect(hexes(cut)).toEqual(hexes(naiveCut(whole, 20, 40, 6, 40)));
    expect(pool.taken).toBe(0);
  });
});

describe('hostile octets', () => {
  it('are emitted once each, unchanged unless they join; nothing of them is written, nothing outside them touched', () => {
    fc.assert(
      fc.property(fc.array(arbitraryOctets, { maxLength: 30 }), fc.boolean(), (all, again) => {
        const given = again ? all.flatMap((octets) => [octets, octets]) : all;
        const packets = given.map((octets) => fenced(octets));
        const collector = new Collector(pool);
        collector.add(packets);
        const emitted = collector.flush();
        expect(hexes(packets.map(contents))).toEqual(hexes(given));
        const alone = emitted.filter(({ pieces }) => pieces.length === 1);
        const order = alone.map(({ packet }) => packets.indexOf(packet));
        expect(order).toEqual([...new Set(order)].sort((a, b) => a - b));
        expect(order.includes(-1)).toBe(false);
        for (const [i, { octets, segment }] of alone.entries())
          expect([toHex(octets), segment]).toEqual([toHex(given[order[i]!]!), 0]);
        expect(sizes(emitted).reduce((sum, size) => sum + size, 0)).toBe(packets.length);
        expect(pool.taken).toBe(0);
      }),
      { numRuns: 500 },
    );
  });

  it('padding behind a packet stays behind', () => {
    const [a, b] = pieces(PLAIN, 60, 30) as [Uint8Array, Uint8Array];
    const padded = (octets: Uint8Array): Uint8Array => Uint8Array.from([...octets, 0xee, 0xee]);
    expect(toHex(coalesce([padded(a), padded(b)])[0]!.octets)).toBe(toHex(coalesce([a, b])[0]!.octets));
    const packet = pooled(pool, a);
    expect(octetsOf(packet).length).toBe(a.length);
    pool.release(packet);
  });
});
