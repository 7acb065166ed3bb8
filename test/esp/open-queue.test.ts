/** OpenQueue against `open`: the same verdicts, octets, windows and counters, whatever arrives. */
import fc from 'fast-check';
import { describe, expect, it, test } from 'vitest';
import { type Bytes, putU16 } from '../../src/core/index.ts';
import { BURST_PACKETS } from '../../src/crypto/index.ts';
import { OpenQueue, RUN_FIRST, SIGNAL } from '../../src/esp/index.ts';
import {
  buildTcp,
  DROP,
  fillIpv4Checksum,
  octetsOf,
  PASS,
  type Packet,
  parseAddress,
  TCP_FLAG,
} from '../../src/ip/index.ts';
import { draws } from '../support/draws.ts';
import { anySa, compare, craft, MOVES, plain, SPI, saPlans, steps, V4 } from './open-queue-model.ts';
import { Arena, MAKERS, tell } from './queue-support.ts';
import { inbound, inner, keyed, NO_LIMIT, sadOf, suite } from './support.ts';

describe.each(MAKERS)('RFC 4303 §3.4: a queue opens as one by one: $name', (maker) => {
  it('any packets for several SAs, in any bursts', () => {
    fc.assert(
      fc.property(
        fc.array(saPlans, { minLength: 1, maxLength: 4, size: 'max' }),
        fc.array(steps, { minLength: 1, maxLength: 90, size: 'max' }),
        (plans, sequence) => void compare(maker, plans, sequence),
      ),
      { numRuns: draws(maker.runs * 2), seed: 4303 },
    );
  });

  it('RFC 4303 §3.4.3: trains of packets with numbers in a row, between any others', () => {
    let taken = 0;
    const trains = fc
      .tuple(fc.nat({ max: 3 }), fc.integer({ min: 2, max: 40 }), steps, fc.constantFrom(V4, TCP, ECT))
      .map(([sa, count, { tos, move }, payload]) =>
        Array.from({ length: count }, (_, n) =>
          plain({
            sa,
            tos,
            move: n === 0 ? Math.max(1, move) : 1,
            contents: { payload: numbered(payload, n), nextHeader: 4 },
          }),
        ),
      );
    const wire = fc.array(fc.oneof(trains, trains, fc.array(steps, { maxLength: 3 })), { minLength: 1, maxLength: 8 });
    // What differs within a train is spoilt now and then.
    const spoilt = fc.array(fc.tuple(fc.nat({ max: 200 }), steps), { maxLength: 3 });
    fc.assert(
      fc.property(fc.array(saPlans, { minLength: 1, maxLength: 3 }), wire, spoilt, (plans, parts, others) => {
        const sequence = parts.flat();
        for (const [at, { damage, contents, tos }] of others)
          if (at < sequence.length) sequence[at] = { ...sequence[at]!, damage, contents, tos };
        if (sequence.length > 0) taken += compare(maker, plans, sequence, true);
      }),
      { numRuns: draws(maker.runs), seed: 4303 },
    );
    expect(taken).toBeGreaterThan(maker.runs / 4);
  });

  it('every length from 0 to 70, and more packets than a burst has', () => {
    for (const [suite] of maker.suites.entries()) {
      for (const esn of [false, true]) {
        const sequence = Array.from({ length: maker.runs < 60 ? 71 : 142 }, (_, i) =>
          plain({ contents: { payload: new Uint8Array(i % 71).fill(i), nextHeader: 59 } }),
        );
        const cut = compare(maker, [anySa({ suite, esn, top: esn ? 2 ** 32 - 30 : 0 })], sequence);
        expect(cut).toBe(sequence.length > BURST_PACKETS ? 1 : 0);
      }
    }
  });
});

const ENDS = { source: parseAddress('10.1.0.4')!, destination: parseAddress('10.2.0.7')! };
const TCP = buildTcp(
  { ...ENDS, sourcePort: 5001, destinationPort: 80, flags: TCP_FLAG.ack },
  new Uint8Array(40).fill(7),
);
const ECT = inner('10.1.0.4', '10.2.0.7', { length: 60, trafficClass: 2 });

/** The same IP packet with another identification. */
function numbered(packet: Bytes, identification: number): Bytes {
  const octets = packet.slice();
  putU16(octets, 4, identification);
  fillIpv4Checksum(octets, 0);
  return octets;
}

/** The engine that needs nothing; what follows is about order, not about ciphers. */
const NODE = MAKERS.find(({ name }) => name === 'node')!;

describe('RFC 4303 §3.4.3: packets of one burst', () => {
  test('the second of two equal ones is a replay, and proves nothing', () => {
    const protection = keyed(suite('aes256gcm16'));
    const sa = inbound({ protection });
    const arena = new Arena(3, 200);
    const queue = new OpenQueue(arena.memory);
    const esp = craft(protection, false, SPI, 5, { payload: V4, nextHeader: 4 });
    for (const slot of [0, 1]) expect(queue.add(sadOf(sa), arena.place(slot, esp), 0)).toBe(PASS);
    expect([sa.sequence, sa.usage.packets]).toEqual([0, 0]);
    queue.run(7);
    const told = [0, 1].map((i) => [queue.verdictAt(i), queue.authenticAt(i), queue.newestAt(i)]);
    expect(told).toEqual([
      [PASS, true, true],
      [DROP.espReplay, false, false],
    ]);
    expect([sa.usage.packets, sa.usage.lastUsedAt, sa.drops[DROP.espReplay]]).toEqual([1, 7, 1]);
    // Later it is refused at once.
    const sad = sadOf(sa);
    expect([queue.add(sad, arena.place(2, esp), 0), queue.count, sad.last]).toEqual([DROP.espReplay, 2, sa]);
  });

  test.each(MOVES)('a jump of %i among them', (jump) => {
    for (const esn of [false, true]) {
      for (const top of [0, 2 ** 32 - 10]) {
        for (const replayWindow of [32, 64, 1024]) {
          const sequence = [1, 1, jump, 1, -jump, 1, jump - 1, -2, 40, -33, 1].map((move) => plain({ move }));
          compare(NODE, [anySa({ esn, top, replayWindow })], sequence);
        }
      }
    }
  });

  test('Appendix A2.2: numbers that cross 2^32, in order or within the window, are one burst', () => {
    const plan = anySa({ esn: true, top: 2 ** 32 - 60, replayWindow: 64 });
    expect(
      compare(
        NODE,
        [plan],
        Array.from({ length: BURST_PACKETS }, () => plain()),
      ),
    ).toBe(0);
    const shuffled = Array.from({ length: BURST_PACKETS }, (_, i) => plain({ move: i % 2 === 0 ? 32 : -31 }));
    expect(compare(NODE, [plan], shuffled)).toBe(0);
  });

  test('Appendix A2.2: a low half that could be of either subspace waits for what decides it', () => {
    const protection = keyed(suite('aes256gcm16'));
    const number = 2 ** 32 + 40;
    const craftAt = (n: number): Bytes => craft(protection, true, SPI, n, { payload: V4, nextHeader: 4 });
    for (const authentic of [true, false]) {
      const sa = inbound({ protection, esn: true, replayWindow: 32 });
      sa.accept(2 ** 32 + 10);
      const sad = sadOf(sa);
      const arena = new Arena(3, 200);
      const queue = new OpenQueue(arena.memory);
      const ahead = craftAt(number);
      if (!authentic) ahead[ahead.length - 1]! ^= 1;
      // Left of the window if `ahead` is authentic, and so of the next subspace; else the next in order.
      const [late, edge] = [arena.place(1, craftAt(number - 32)), arena.place(2, craftAt(number - 31))];
      expect(queue.add(sad, arena.place(0, ahead), 0)).toBe(PASS);
      const before = tell(sa);
      expect(queue.add(sad, late, 0)).toBe(RUN_FIRST);
      expect([tell(sa), queue.count]).toEqual([before, 1]);
      expect(queue.add(sad, edge, 0)).toBe(PASS);
      queue.run(0);
      expect([queue.verdictAt(0), queue.verdictAt(1)]).toEqual([authentic ? PASS : DROP.espIntegrity, PASS]);
      queue.clear();
      expect(queue.add(sad, late, 0)).toBe(PASS);
      queue.run(0);
      expect(queue.verdictAt(0)).toBe(authentic ? DROP.espIntegrity : PASS);
    }
  });

  test('Appendix A2.2: only packets of the same SA are waited for', () => {
    const sequence = Array.from({ length: 60 }, (_, i) => plain({ sa: i % 2, move: i % 2 === 0 ? 1000 : 1 }));
    expect(compare(NODE, [anySa({ esn: true }), anySa({ esn: true, replayWindow: 32 })], sequence)).toBe(0);
  });
});

describe('RFC 4301 §4.4.2.1: a hard lifetime reached within a burst', () => {
  test('what follows is refused as expired, even what was wrong otherwise', () => {
    const limited = anySa({ lifetime: { ...NO_LIMIT, softPackets: 2, hardPackets: 3 } });
    const sequence = [
      ...Array.from({ length: 5 }, () => plain()),
      plain({ replay: 4 }),
      plain({ damage: { is: 'cut', at: 12 } }),
      plain({ damage: { is: 'bit', at: 60 } }),
    ];
    compare(NODE, [limited], sequence);
    for (let length = 1; length <= sequence.length; length++) compare(NODE, [limited], sequence.slice(0, length));
    compare(NODE, [anySa({ lifetime: { ...NO_LIMIT, hardBytes: 3 * 56 } })], sequence);
  });

  test('a refusal waits for packets that may stop the SA, and for nothing else', () => {
    const protection = keyed(suite('aes256gcm16'));
    const add = (hardPackets: number, packets: number): number => {
      const sad = sadOf(inbound({ protection, lifetime: { ...NO_LIMIT, hardPackets } }));
      const arena = new Arena(8, 200);
      const queue = new OpenQueue(arena.memory);
      for (let i = 1; i <= packets; i++) {
        const esp = craft(protection, false, SPI, i, { payload: V4, nextHeader: 4 });
        expect(queue.add(sad, arena.place(i, esp), 0)).toBe(PASS);
      }
      const short = craft(protection, false, SPI, 9, { payload: V4, nextHeader: 4 }).subarray(0, 12);
      return queue.add(sad, arena.place(0, short), 0);
    };
    expect([add(4, 3), add(3, 3), add(2, 3), add(0, 0)]).toEqual([
      DROP.espShort,
      DROP.espShort,
      RUN_FIRST,
      DROP.espShort,
    ]);
  });

  test('an SA that has stopped refuses at once, whatever waits', () => {
    const protection = keyed(suite('aes256gcm16'));
    const stopped = inbound({ protection, spi: SPI + 1, lifetime: { ...NO_LIMIT, hardPackets: 0 } });
    stopped.usage.stop();
    const sad = sadOf(inbound({ protection }), stopped);
    const arena = new Arena(2, 200);
    const queue = new OpenQueue(arena.memory);
    const [one, other] = [0, 1].map((i) => craft(protection, false, SPI + i, 1, { payload: V4, nextHeader: 4 }));
    expect(queue.add(sad, arena.place(0, one!), 0)).toBe(PASS);
    expect(queue.add(sad, arena.place(1, other!), 0)).toBe(DROP.espExpired);
    expect([stopped.usage.takeSignal(), stopped.drops[DROP.espExpired]]).toEqual([SIGNAL.hard, 1]);
  });
});

describe('a queue of packets to open', () => {
  test('full, it takes nothing; run twice, it opens once; cleared, it is as new', () => {
    const protection = keyed(suite('aes256gcm16'));
    const sa = inbound({ protection });
    const sad = sadOf(sa);
    const arena = new Arena(BURST_PACKETS + 1, 200);
    const queue = new OpenQueue(arena.memory);
    const place = (i: number): Packet =>
      arena.place(i, craft(protection, false, SPI, i + 1, { payload: V4, nextHeader: 4 }));
    for (let i = 0; i < BURST_PACKETS; i++) expect([queue.full, queue.add(sad, place(i), 0)]).toEqual([false, PASS]);
    const late = place(BURST_PACKETS);
    expect([queue.full, queue.add(sad, late, 0)]).toEqual([true, RUN_FIRST]);
    queue.run(0);
    queue.run(0);
    expect([sa.usage.packets, sa.drops[DROP.espReplay]]).toEqual([BURST_PACKETS, 0]);
    expect(Array.from({ length: BURST_PACKETS }, (_, i) => queue.verdictAt(i)).every((v) => v === PASS)).toBe(true);
    queue.clear();
    expect([queue.count, queue.full, queue.add(sad, late, 0)]).toEqual([0, false, PASS]);
    queue.run(0);
    expect([queue.verdictAt(0), octetsOf(late)]).toEqual([PASS, V4]);
  });

  test('what was run and not yet cleared is no longer waited for', () => {
    const protection = keyed(suite('aes256gcm16'));
    const sad = sadOf(inbound({ protection, esn: true, replayWindow: 32 }));
    const arena = new Arena(2, 200);
    const queue = new OpenQueue(arena.memory);
    const forged = craft(protection, true, SPI, 1000, { payload: V4, nextHeader: 4 });
    forged[forged.length - 1]! ^= 1;
    expect(queue.add(sad, arena.place(0, forged), 0)).toBe(PASS);
    queue.run(0);
    const esp = craft(protection, true, SPI, 1, { payload: V4, nextHeader: 4 });
    expect(queue.add(sad, arena.place(1, esp), 0)).toBe(PASS);
    queue.run(0);
    expect([queue.verdictAt(0), queue.verdictAt(1)]).toEqual([DROP.espIntegrity, PASS]);
  });

  test('what was cleared before it was run is not opened and counts for nothing', () => {
    const protection = keyed(suite('aes256gcm16'));
    const sa = inbound({ protection, esn: true, replayWindow: 32, lifetime: { ...NO_LIMIT, hardBytes: 60 } });
    const sad = sadOf(sa);
    const arena = new Arena(2, 200);
    const queue = new OpenQueue(arena.memory);
    const esp = (n: number): Bytes => craft(protection, true, SPI, n, { payload: V4, nextHeader: 4 });
    expect(queue.add(sad, arena.place(0, esp(1000)), 0)).toBe(PASS);
    queue.clear();
    expect(queue.add(sad, arena.place(0, esp(1).subarray(0, 20)), 0)).toBe(DROP.espShort);
    expect(queue.add(sad, arena.place(1, esp(1)), 0)).toBe(PASS);
    queue.run(0);
    expect([queue.verdictAt(0), sa.sequence, sa.usage.packets]).toEqual([PASS, 1, 1]);
  });
});
