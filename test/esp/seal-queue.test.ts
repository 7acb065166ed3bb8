/** SealQueue against `seal`: the same octets, verdicts and counters. */
import fc from 'fast-check';
import { describe, expect, it, test } from 'vitest';
import type { Bytes } from '../../src/core/index.ts';
import { BURST_PACKETS, type Protection } from '../../src/crypto/index.ts';
import {
  ESP_HEADER_LENGTH,
  LAST_EXTENDED_SEQUENCE,
  LAST_SEQUENCE,
  type Lifetime,
  type OutboundSa,
  protectedLength,
  RUN_FIRST,
  SealQueue,
  seal,
  sealDummy,
  sequenceOf,
} from '../../src/esp/index.ts';
import { DROP, PASS, type Packet } from '../../src/ip/index.ts';
import { Arena, MAKERS, type Maker, tell } from './queue-support.ts';
import { inner, keyed, NO_LIMIT, outbound, packetOf, suite } from './support.ts';

const V4 = inner('10.1.0.4', '10.2.0.7', { trafficClass: 0x2e, dontFragment: true });
const V6 = inner('2001:db8:1::4', '2001:db8:2::7', { trafficClass: 0x03 });

interface SaPlan {
  readonly suite: number;
  readonly esn: boolean;
  /** The last number that is left out. */
  readonly start: number;
  readonly lifetime: Lifetime;
}

interface Step {
  readonly sa: number;
  readonly octets: Bytes;
  readonly dummy: boolean;
  readonly padTo: number;
  readonly tailroom: number;
  /** The burst ends with it. */
  readonly last: boolean;
}

const lifetimes: fc.Arbitrary<Lifetime> = fc.oneof(
  { weight: 3, arbitrary: fc.constant(NO_LIMIT) },
  fc.record({
    softBytes: fc.constantFrom(Infinity, 500),
    hardBytes: fc.constantFrom(Infinity, 0, 1000, 3000),
    softPackets: fc.constantFrom(Infinity, 3),
    hardPackets: fc.constantFrom(Infinity, 0, 1, 7, 20),
  }),
);
const saPlans: fc.Arbitrary<SaPlan> = fc.boolean().chain((esn) =>
  fc.record({
    suite: fc.nat(),
    esn: fc.constant(esn),
    start: esn
      ? fc.constantFrom(0, 2 ** 31 - 3, 2 ** 32 - 9, 2 ** 40, LAST_EXTENDED_SEQUENCE - 5)
      : fc.constantFrom(0, 2 ** 31 - 3, LAST_SEQUENCE - 5, LAST_SEQUENCE),
    lifetime: lifetimes,
  }),
);
const contents = fc.oneof(
  { weight: 6, arbitrary: fc.integer({ min: 8, max: 90 }).map((length) => inner('10.1.0.4', '10.2.0.7', { length })) },
  { weight: 2, arbitrary: fc.constantFrom(V4, V6, inner('10.1.0.4', '10.2.0.7', { length: 1400 })) },
  { weight: 1, arbitrary: fc.uint8Array({ maxLength: 70 }) },
);
const steps: fc.Arbitrary<Step> = fc.record({
  sa: fc.nat({ max: 3 }),
  octets: contents,
  dummy: fc.nat({ max: 9 }).map((n) => n === 0),
  padTo: fc.oneof({ weight: 5, arbitrary: fc.constant(0) }, fc.integer({ min: 0, max: 200 })),
  tailroom: fc.oneof({ weight: 8, arbitrary: fc.constant(320) }, fc.integer({ min: 0, max: 40 })),
  last: fc.nat({ max: 15 }).map((n) => n === 0),
});

/** Two SAs with the same keys, one for each way. */
function twins({ suites, make }: Maker, plan: SaPlan, i: number): readonly [OutboundSa, OutboundSa] {
  const { esn, start, lifetime } = plan;
  const chosen = suites[plan.suite % suites.length]!;
  const one = (): OutboundSa => {
    const sa = outbound({ protection: make(chosen, i), esn, lifetime, spi: 0x1000 + i });
    sa.advanceTo(start);
    return sa;
  };
  return [one(), one()];
}

const boundsOf = ({ start, end }: Packet): readonly number[] => [start, end];

function compare(maker: Maker, plans: readonly SaPlan[], sequence: readonly Step[]): void {
  const sas = plans.map((plan, i) => twins(maker, plan, i));
  const [single, queued] = [new Arena(sequence.length, 1500), new Arena(sequence.length, 1500)];
  const queue = new SealQueue(queued.memory);
  const end = (): void => {
    const { count } = queue;
    queue.run();
    expect(queue.count).toBe(count);
    expect(Buffer.compare(single.memory, queued.memory)).toBe(0);
    for (const [a, b] of sas) expect(tell(b)).toEqual(tell(a));
    queue.clear();
  };
  for (const [now, { sa, octets, dummy, padTo, tailroom, last }] of sequence.entries()) {
    const [mine, theirs] = sas[sa % sas.length]!;
    const [packet, other] = [single.place(now, octets, tailroom), queued.place(now, octets, tailroom)];
    const verdict = dummy ? sealDummy(mine, packet, padTo, now) : seal(mine, packet, now, padTo);
    const add = (): number =>
      dummy ? queue.addDummy(theirs, other, padTo, now) : queue.add(theirs, other, now, padTo);
    let answer = add();
    if (answer === RUN_FIRST) {
      expect(queue.full).toBe(true);
      // What this packet becomes is not in the other memory yet.
      const sealed = packet.buf.slice();
      packet.buf.set(other.buf);
      queue.run();
      expect(Buffer.compare(single.memory, queued.memory)).toBe(0);
      packet.buf.set(sealed);
      queue.clear();
      answer = add();
    }
    expect(answer).toBe(verdict);
    expect(boundsOf(other)).toEqual(boundsOf(packet));
    expect([theirs.tos, theirs.dontFragment]).toEqual([mine.tos, mine.dontFragment]);
    if (verdict === PASS) expect(queue.packetAt(queue.count - 1)).toBe(other);
    if (last) end();
  }
  end();
}

/** One train, and its packets one by one. */
function compareTrain(
  mine: OutboundSa,
  theirs: OutboundSa,
  { count, payload, shorter, six }: { count: number; payload: number; shorter: number; six: boolean },
  now: number,
): void {
  const { protection } = theirs;
  const ends = six ? (['2001:db8:1::4', '2001:db8:2::7'] as const) : (['10.1.0.4', '10.2.0.7'] as const);
  const packets = Array.from({ length: count }, (_, i) =>
    inner(ends[0], ends[1], { length: i < count - 1 ? payload : Math.max(8, payload - shorter), trafficClass: 0x2e }),
  );
  const [longest, last] = [packets[0]!.length, packets.at(-1)!.length];
  const before = ESP_HEADER_LENGTH + protection.ivLength;
  const stride = before + protectedLength(protection, longest) + protection.icvLength;
  if (!theirs.carries(count, count * protectedLength(protection, longest))) return;
  const arena = new Arena(1, count * stride);
  const train = arena.place(0, new Uint8Array(count * stride));
  for (const [i, octets] of packets.entries()) train.buf.set(octets, train.start + i * stride + before);
  const queue = new SealQueue(arena.memory);
  queue.addTrain(theirs, train, count, stride, longest, last, now);
  queue.run();
  for (const [i, octets] of packets.entries()) {
    const packet = packetOf(octets);
    expect(seal(mine, packet, now)).toBe(PASS);
    const at = train.start + i * stride;
    const sealed = packet.buf.subarray(packet.start, packet.end);
    expect(Buffer.compare(train.buf.subarray(at, at + sealed.length), sealed)).toBe(0);
    if (i === count - 1) expect(train.end).toBe(at + sealed.length);
  }
  expect(tell(theirs)).toEqual(tell(mine));
  expect([theirs.tos, theirs.dontFragment]).toEqual([mine.tos, mine.dontFragment]);
}

describe.each(MAKERS)('RFC 4303 §3.3: a queue seals as one by one: $name', (maker) => {
  it('any packets under several SAs, in any bursts', () => {
    fc.assert(
      fc.property(
        fc.array(saPlans, { minLength: 1, maxLength: 4, size: 'max' }),
        fc.array(steps, { minLength: 1, maxLength: 80, size: 'max' }),
        (plans, sequence) => compare(maker, plans, sequence),
      ),
      { numRuns: maker.runs, seed: 4303 },
    );
  });

  it('trains of an SA that carries them', () => {
    const trains = fc.record({
      count: fc.integer({ min: 1, max: 40 }),
      payload: fc.integer({ min: 8, max: 90 }),
      shorter: fc.integer({ min: 0, max: 60 }),
      soft: fc.constantFrom(Infinity, 3, 45),
      six: fc.boolean(),
    });
    fc.assert(
      fc.property(saPlans, fc.array(trains, { minLength: 1, maxLength: 3 }), (plan, all) => {
        const softPackets = all[0]!.soft;
        const [mine, theirs] = twins(maker, { ...plan, lifetime: { ...NO_LIMIT, softPackets } }, 1);
        for (const [now, train] of all.entries()) compareTrain(mine, theirs, train, now);
      }),
      { numRuns: maker.runs, seed: 4303 },
    );
  });

  it('more packets than a burst has, and every length from 0 to 70', () => {
    for (const [i] of maker.suites.entries()) {
      const plan: SaPlan = { suite: i, esn: i % 2 === 0, start: 2 ** 32 - 40 - i, lifetime: NO_LIMIT };
      const lengths = Array.from({ length: maker.runs < 60 ? 140 : 300 }, (_, k) => k % 71);
      compare(
        maker,
        [{ ...plan, start: plan.esn ? plan.start : 0 }],
        lengths.map((length) => ({
          sa: 0,
          octets: Uint8Array.from({ length }, (_, k) => (k === 0 ? 0x45 : k)),
          dummy: false,
          padTo: 0,
          tailroom: 320,
          last: false,
        })),
      );
    }
  });
});

describe('a queue of packets to seal', () => {
  const GCM = keyed(suite('aes256gcm16'));
  /** What the cipher is given, as [first, stop). */
  const spied = (calls: string[], name: string): Protection => ({
    ...GCM,
    sealBurst: (burst, first, stop) => {
      calls.push(`${name} ${first}–${stop}`);
      GCM.sealBurst(burst, first, stop);
    },
  });

  test('neighbours under one protection go together, whichever SA they belong to', () => {
    const calls: string[] = [];
    const [a, b] = [spied(calls, 'a'), spied(calls, 'b')];
    const sas = [outbound({ protection: a }), outbound({ protection: a }), outbound({ protection: b })];
    const arena = new Arena(6, 100);
    const queue = new SealQueue(arena.memory);
    for (const [slot, sa] of [0, 0, 1, 2, 2, 0].entries()) queue.add(sas[sa]!, arena.place(slot, V4), 0);
    expect([0, 2, 3].map((i) => queue.saAt(i))).toEqual([sas[0], sas[1], sas[2]]);
    queue.run();
    expect(calls).toEqual(['a 0–3', 'b 3–5', 'a 5–6']);
    queue.run();
    expect(calls).toHaveLength(3);
  });

  test('what is added after a run is sealed by the next, once', () => {
    const arena = new Arena(2, 100);
    const queue = new SealQueue(arena.memory);
    const [sa, alone] = [outbound({ protection: GCM }), outbound({ protection: GCM })];
    const packets = [0, 1].map((slot) => {
      const packet = arena.place(slot, V4);
      queue.add(sa, packet, 0);
      queue.run();
      return packet;
    });
    for (const packet of packets) {
      const other = packetOf(V4);
      seal(alone, other, 0);
      expect(packet.buf.subarray(packet.start, packet.end)).toEqual(other.buf.subarray(other.start, other.end));
    }
  });

  test('full, it takes no packet, no number and counts nothing', () => {
    const arena = new Arena(BURST_PACKETS + 1, 100);
    const queue = new SealQueue(arena.memory);
    const sa = outbound({ protection: GCM });
    for (let slot = 0; slot < BURST_PACKETS; slot++) {
      expect(queue.full).toBe(false);
      expect(queue.add(sa, arena.place(slot, V4), 0)).toBe(PASS);
    }
    const [packet, before] = [arena.place(BURST_PACKETS, V4), tell(sa)];
    expect([queue.full, queue.count]).toEqual([true, BURST_PACKETS]);
    expect([queue.add(sa, packet, 0), queue.addDummy(sa, packet, 9, 0)]).toEqual([RUN_FIRST, RUN_FIRST]);
    expect(tell(sa)).toEqual(before);
    queue.run();
    queue.clear();
    expect(queue.add(sa, packet, 0)).toBe(PASS);
    expect(sequenceOf(packet.buf, packet.start)).toBe(BURST_PACKETS + 1);
  });

  test('a dropped packet is not in it', () => {
    const arena = new Arena(1, 100);
    const queue = new SealQueue(arena.memory);
    const sa = outbound({ protection: GCM });
    expect(queue.add(sa, arena.place(0, new Uint8Array(30)), 0)).toBe(DROP.version);
    expect([queue.count, sa.drops[DROP.version]]).toEqual([0, 1]);
  });

  test('packets of another memory are a bug', () => {
    const arena = new Arena(2, 100);
    const sa = outbound({ protection: GCM });
    const message = 'in the memory of its queue';
    const elsewhere = new Arena(2, 100);
    expect(() => new SealQueue(arena.memory).add(sa, elsewhere.place(0, V4), 0)).toThrow(message);
    const half = new SealQueue(arena.memory.subarray(0, arena.memory.length / 2));
    expect(() => half.add(sa, arena.place(0, V4), 0)).toThrow(message);
    expect(new SealQueue(arena.memory).add(sa, arena.place(1, V4), 0)).toBe(PASS);
  });
});
