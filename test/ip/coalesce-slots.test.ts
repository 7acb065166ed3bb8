/** Where superframes grow: in the slot of their first packet, or in one of their own when that is a part of somebody else's. */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { toHex } from '../../src/core/index.ts';
import { HEADROOM, octetsOf, type Packet, PacketPool, wrapPacket } from '../../src/ip/index.ts';
import { counting } from '../support/packets.ts';
import { Collector, contents, type Emitted, protocolOf, trainOf, transportOf } from './coalesce-support.ts';
import {
  arbitraryShape,
  headersOf,
  naiveCut,
  PLAIN,
  packetOf,
  pooled,
  type Shape,
  settle,
} from './superframe-support.ts';

/** For trains, and for what joins from them. */
const hosts = new PacketPool(4, 65536);
const freshPool = (size = 8, capacity = 8000): PacketPool => new PacketPool(size, capacity);

const pieces = (shape: Shape, length: number, segment: number): Uint8Array[] =>
  naiveCut(packetOf(shape, counting(length)), transportOf(shape), headersOf(shape), protocolOf(shape), segment);
const sizes = (emitted: readonly Emitted[]): number[] => emitted.map((each) => each.pieces.length);
const hexes = (all: readonly Uint8Array[]): string[] => all.map((octets) => toHex(octets));
const wire = (emitted: readonly Emitted[]): string[] => hexes(emitted.flatMap((each) => each.pieces));
const packetsOf = (emitted: readonly Emitted[]): Packet[] => emitted.map(({ packet }) => packet);

/** The same with an octet of payload wrong. */
function damaged(octets: Uint8Array): Uint8Array {
  const copy = octets.slice();
  copy[copy.length - 1]! ^= 0x10;
  return copy;
}

/** Gives a collector the parts of a train with these packets: what leaves. Nothing of the train is written. */
function fromTrain(packets: readonly Uint8Array[], collector: Collector): { emitted: Emitted[]; parts: Packet[] } {
  const { host, parts } = trainOf(hosts, packets);
  const before = host.buf.slice();
  collector.add(parts);
  const emitted = collector.flush();
  expect(Buffer.compare(host.buf, before)).toBe(0);
  hosts.release(host);
  return { emitted, parts: [...parts] };
}

describe('parts of a train', () => {
  it('join in a slot of the pool, with its headroom, and nothing of the train is written', () => {
    const pool = new PacketPool(2, 65536);
    fc.assert(
      fc.property(
        arbitraryShape,
        fc.integer({ min: 8, max: 600 }),
        fc.integer({ min: 2, max: 64 }),
        fc.nat(),
        (shape, segment, count, short) => {
          const cut = pieces(shape, segment * count - (short % segment), segment);
          const { emitted, parts } = fromTrain(cut, new Collector(pool));
          expect([emitted.length, wire(emitted)]).toEqual([1, hexes(cut)]);
          const { packet } = emitted[0]!;
          expect([packet.slot >= 0, packet.start, parts.includes(packet)]).toEqual([true, HEADROOM, false]);
          expect(pool.taken).toBe(0);
        },
      ),
      { numRuns: 100 },
    );
  });

  it('that stay alone come out as the parts, and take no slot', () => {
    const pool = freshPool();
    const strangers = [1, 2, 3].map((sourcePort) => packetOf({ ...PLAIN, sourcePort }, counting(50)));
    const { emitted, parts } = fromTrain(strangers, new Collector(pool));
    expect(packetsOf(emitted)).toEqual(parts);
    expect(hexes(emitted.map(({ octets }) => octets))).toEqual(hexes(strangers));
    expect(pool.counters).toEqual({ refused: 0, peak: 0 });
  });

  it('join packets with slots, whichever came first', () => {
    const trio = pieces(PLAIN, 90, 30);
    for (const firstIsPart of [true, false]) {
      const pool = freshPool();
      const { host, parts } = trainOf(hosts, trio);
      const before = host.buf.slice();
      const given = trio.map((octets, i) => ((i === 0) === firstIsPart ? parts[i]! : pooled(pool, octets)));
      const collector = new Collector(pool);
      collector.add(given);
      expect(pool.taken).toBe(1);
      const emitted = collector.flush();
      expect(wire(emitted)).toEqual(hexes(trio));
      expect([emitted.length, emitted[0]!.packet === given[0]]).toEqual([1, !firstIsPart]);
      expect([Buffer.compare(host.buf, before), pool.taken]).toEqual([0, 0]);
      hosts.release(host);
    }
  });

  it('owed checksums are owed by the superframe in another slot, too', () => {
    const pool = freshPool();
    const trio = pieces(PLAIN, 90, 30);
    const { host, parts } = trainOf(hosts, trio);
    for (const part of parts) {
      part.buf.fill(0x77, part.start + 36, part.start + 38);
      part.partial = true;
    }
    const collector = new Collector(pool);
    collector.add(parts);
    const emitted = collector.flush();
    expect([emitted.length, emitted[0]!.partial, wire(emitted)]).toEqual([1, true, hexes(trio)]);
    hosts.release(host);
  });
});

describe('a packet whose successor is damaged', () => {
  const [a, b, c, d] = pieces(PLAIN, 120, 30) as [Uint8Array, Uint8Array, Uint8Array, Uint8Array];

  it.each([
    ['the second one', [a, damaged(b), c, d], [1, 1, 2]],
    ['the first one', [damaged(a), b, c, d], [1, 3]],
    ['a later one', [a, b, damaged(c), d], [2, 1, 1]],
    ['the last one', [a, b, c, damaged(d)], [3, 1]],
    ['both of two', [damaged(a), damaged(b)], [1, 1]],
    ['the second of two', [a, damaged(b)], [1, 1]],
  ])('%s: what stays alone leaves as it came, and no slot is kept', (_, packets, expected) => {
    for (const parts of [true, false]) {
      const pool = freshPool();
      const collector = new Collector(pool);
      const given: Packet[] = [];
      const emitted: Emitted[] = [];
      if (parts) {
        const train = fromTrain(packets, collector);
        given.push(...train.parts);
        emitted.push(...train.emitted);
      } else {
        given.push(...packets.map((octets) => pooled(pool, octets)));
        collector.add(given);
        emitted.push(...collector.flush());
      }
      expect(sizes(emitted)).toEqual(expected);
      expect(wire(emitted)).toEqual(hexes(packets));
      let at = 0;
      for (const { packet, pieces } of emitted) {
        if (pieces.length === 1) expect(packet).toBe(given[at]);
        at += pieces.length;
      }
      expect(pool.taken).toBe(0);
    }
  });
});

describe('whether packets may leave as one', () => {
  const trio = pieces(PLAIN, 90, 30);

  it('is asked once, of the first one, before the second one joins', () => {
    const pool = freshPool();
    const seen: string[] = [];
    const collector = new Collector(pool, (packet) => {
      seen.push(toHex(octetsOf(packet)));
      return true;
    });
    const given = trio.map((octets) => pooled(pool, octets));
    collector.add(given.slice(0, 1));
    expect(seen).toEqual([]);
    collector.add(given.slice(1));
    expect(collector.asked).toEqual([given[0]]);
    expect(seen).toEqual([toHex(trio[0]!)]);
    expect(sizes(collector.flush())).toEqual([3]);
  });

  it('if not, all stay as they came, each asked once', () => {
    for (const parts of [true, false]) {
      const pool = freshPool();
      const collector = new Collector(pool, () => false);
      const { host, parts: lying } = trainOf(hosts, trio);
      const given = parts ? lying : trio.map((octets) => pooled(pool, octets));
      collector.add(given);
      const emitted = collector.flush();
      expect(packetsOf(emitted)).toEqual(given);
      expect(hexes(emitted.map(({ octets }) => octets))).toEqual(hexes(trio));
      expect(emitted.every(({ segment, partial }) => segment === 0 && !partial)).toBe(true);
      expect(collector.asked).toEqual([given[0], given[1]]);
      expect(collector.coalescer.counters).toEqual({ superframes: 0, merged: 0, evicted: 0 });
      expect([pool.taken, pool.counters.peak]).toEqual([0, parts ? 0 : 3]);
      hosts.release(host);
    }
  });

  it('is not asked where nothing could join', () => {
    const pool = freshPool();
    const collector = new Collector(pool);
    const gap = pieces({ ...PLAIN, sequence: 5000 }, 30, 30);
    const other = pieces({ ...PLAIN, tcp: false }, 30, 30);
    collector.add([...trio.slice(0, 1), ...other, ...gap].map((octets) => pooled(pool, octets)));
    expect([sizes(collector.flush()), collector.asked]).toEqual([[1, 1, 1], []]);
  });

  it('may differ from flow to flow', () => {
    const pool = freshPool();
    const collector = new Collector(pool, ({ buf, start }) => buf[start + 9] === 17);
    const datagrams = pieces({ ...PLAIN, tcp: false }, 90, 30);
    for (const i of [0, 1, 2]) collector.add([pooled(pool, trio[i]!), pooled(pool, datagrams[i]!)]);
    const emitted = collector.flush();
    expect(sizes(emitted)).toEqual([1, 3, 1, 1]);
    expect(wire(emitted)).toEqual(hexes([trio[0]!, ...datagrams, trio[1]!, trio[2]!]));
  });
});

describe('an empty pool', () => {
  const flows = [1, 2, 3].map((sourcePort) => pieces({ ...PLAIN, sourcePort }, 90, 30));

  it('no parts join, none is lost, and no packet was refused', () => {
    const pool = freshPool(1);
    const taken = pool.take()!;
    const { emitted, parts } = fromTrain(flows.flat(), new Collector(pool));
    expect(packetsOf(emitted)).toEqual(parts);
    expect(wire(emitted)).toEqual(hexes(flows.flat()));
    expect([pool.taken, pool.counters.refused]).toEqual([1, 0]);
    pool.release(taken);
  });

  it('what has a slot still grows in it', () => {
    const pool = freshPool(3);
    const collector = new Collector(pool);
    collector.add(flows[0]!.map((octets) => pooled(pool, octets)));
    expect(pool.taken).toBe(1);
    const held = [pool.take()!, pool.take()!];
    expect(wire(collector.flush())).toEqual(hexes(flows[0]!));
    for (const packet of held) pool.release(packet);
  });

  it('the last slot goes to the flow that comes first; it is back after the flush', () => {
    const pool = freshPool(1);
    const collector = new Collector(pool);
    for (let i = 0; i < 2; i++) {
      const { emitted } = fromTrain(flows.flat(), collector);
      expect(sizes(emitted)).toEqual([3, 1, 1, 1, 1, 1, 1]);
      expect(wire(emitted)).toEqual(hexes(flows.flat()));
      expect(pool.taken).toBe(0);
    }
  });
});

describe('slots that are too short', () => {
  it('a superframe ends where its slot does, and the next one begins', () => {
    fc.assert(
      fc.property(
        arbitraryShape,
        fc.integer({ min: 8, max: 100 }),
        fc.integer({ min: 2, max: 40 }),
        fc.integer({ min: 220, max: 1200 }),
        fc.boolean(),
        (shape, segment, count, capacity, parts) => {
          const cut = pieces(shape, segment * count, segment);
          const pool = new PacketPool(50, capacity);
          const collector = new Collector(pool);
          let emitted: Emitted[];
          if (parts) emitted = fromTrain(cut, collector).emitted;
          else {
            collector.add(cut.map((octets) => pooled(pool, octets)));
            emitted = collector.flush();
          }
          expect(wire(emitted)).toEqual(hexes(cut));
          const { length } = pool.memory;
          const room = length / 50 - HEADROOM - headersOf(shape);
          const most = Math.floor(room / segment);
          const full = new Array<number>(Math.floor(count / most)).fill(most);
          expect(sizes(emitted)).toEqual(count % most === 0 ? full : [...full, count % most]);
          expect(pool.taken).toBe(0);
        },
      ),
      { numRuns: 100 },
    );
  });

  it('the last octets of a slot are used, and none in front of the packet or behind the slot', () => {
    const segment = 100;
    const capacity = 40 + 5 * segment;
    const pool = new PacketPool(20, capacity);
    const stride = pool.memory.length / 20;
    // Five segments fit in the capacity, and as many in what is behind it as there is tailroom for.
    const fit = Math.floor((stride - HEADROOM - 40) / segment);
    const cut = pieces(PLAIN, (fit + 1) * segment, segment);
    const given = cut.map((octets) => pooled(pool, octets));
    const rubbish = pool.memory.slice();
    const collector = new Collector(pool);
    collector.add(given);
    const emitted = collector.flush();
    expect(sizes(emitted)).toEqual([fit, 1]);
    const [first] = given as [Packet];
    const after = pool.memory.slice();
    after.set(rubbish.subarray(first.base + HEADROOM, first.base + stride), first.base + HEADROOM);
    expect(Buffer.compare(after, rubbish)).toBe(0);
  });

  it('parts that are longer than a slot stay alone', () => {
    const pool = new PacketPool(4, 200);
    const pair = pieces(PLAIN, 2000, 1000);
    const { emitted, parts } = fromTrain(pair, new Collector(pool));
    expect(packetsOf(emitted)).toEqual(parts);
    expect([pool.counters.peak, wire(emitted)]).toEqual([0, hexes(pair)]);
  });

  it('a packet over octets of its own is a part like any', () => {
    const pool = freshPool();
    const pair = pieces(PLAIN, 60, 30);
    const wrapped = pair.map((octets) => wrapPacket(octets.slice()));
    const collector = new Collector(pool);
    collector.add(wrapped);
    expect(wire(collector.flush())).toEqual(hexes(pair));
    expect(hexes(wrapped.map(contents))).toEqual(hexes(pair));
  });

  it('FIN ends a superframe that has its own slot as any other', () => {
    const pool = freshPool();
    const trio = pieces(PLAIN, 90, 30);
    trio[1]![33]! |= 0x01;
    settle(trio[1]!, 20, 6);
    const { emitted } = fromTrain(trio, new Collector(pool));
    expect([sizes(emitted), wire(emitted)]).toEqual([[2, 1], hexes(trio)]);
  });
});
