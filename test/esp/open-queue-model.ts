/**
 * OpenQueue and `open` side by side: what arrives is generated, and everything either tells is compared.
 *
 * A step is one packet for one of a few SAs; `wireOf` makes octets of it, `compare` gives them to both.
 */
import fc from 'fast-check';
import { expect } from 'vitest';
import { type Bytes, putU32, seededRandom } from '../../src/core/index.ts';
import { NO_ESN, type Protection } from '../../src/crypto/index.ts';
import {
  alignmentOf,
  ESP_HEADER_LENGTH,
  highHalf,
  type InboundSa,
  ivWriter,
  LAST_EXTENDED_SEQUENCE,
  LAST_SEQUENCE,
  type Lifetime,
  lowHalf,
  OpenQueue,
  open,
  RUN_FIRST,
  type Sad,
  sequenceOf,
  spiOf,
} from '../../src/esp/index.ts';
import { octetsOf, PASS, type Packet } from '../../src/ip/index.ts';
import { Arena, type Maker, tell } from './queue-support.ts';
import { inbound, inner, NO_LIMIT, sadOf, selector } from './support.ts';

export const V4 = inner('10.1.0.4', '10.2.0.7');
const V6 = inner('2001:db8:1::4', '2001:db8:2::7', { trafficClass: 0x02 });
const ELSEWHERE = inner('10.77.0.4', '10.2.0.7');
const WRONG_SUM = V4.map((octet, i) => (i === 10 ? octet ^ 1 : octet));
const REMOTE = [selector('10.1.0.0/16'), selector('2001:db8::/32')];

export interface SaPlan {
  readonly suite: number;
  readonly esn: boolean;
  /** The highest number accepted before. */
  readonly top: number;
  readonly replayWindow: number;
  readonly lifetime: Lifetime;
}

/** What a packet carries: right padding around a payload, or octets that the peer's cipher was given as they are. */
type Contents = { readonly payload: Bytes; readonly nextHeader: number } | { readonly body: Bytes };

export interface Step {
  readonly sa: number;
  /** From the number before. */
  readonly move: number;
  /** Not a packet of its own but a copy of one so many packets before; 0: its own. */
  readonly replay: number;
  readonly contents: Contents;
  readonly damage: Damage | undefined;
  readonly tos: number;
  /** The burst ends with it. */
  readonly last: boolean;
  /** After the burst the gateway fetches the signals. */
  readonly fetch: boolean;
}

type Damage =
  | { readonly is: 'bit' | 'cut' | 'length'; readonly at: number }
  | { readonly is: 'spi' | 'random'; readonly octets: Bytes; readonly sa: number };

export const MOVES = [1, 31, 32, 33, 63, 64, 65, 1023, 1024, 1025, 2000, 2 ** 31, 2 ** 32 - 1, 2 ** 32, 2 ** 32 + 1];
const moves = fc.oneof(
  { weight: 12, arbitrary: fc.constant(1) },
  { weight: 3, arbitrary: fc.integer({ min: -40, max: 40 }) },
  { weight: 2, arbitrary: fc.constantFrom(...MOVES, ...MOVES.map((move) => -move)) },
);
const lifetimes: fc.Arbitrary<Lifetime> = fc.oneof(
  { weight: 3, arbitrary: fc.constant(NO_LIMIT) },
  fc.record({
    softBytes: fc.constantFrom(Infinity, 300),
    hardBytes: fc.constantFrom(Infinity, 0, 400, 1500),
    softPackets: fc.constantFrom(Infinity, 3),
    hardPackets: fc.constantFrom(Infinity, 0, 1, 5, 20),
  }),
);
export const saPlans: fc.Arbitrary<SaPlan> = fc.boolean().chain((esn) =>
  fc.record({
    suite: fc.nat(),
    esn: fc.constant(esn),
    top: esn
      ? fc.constantFrom(0, 0, 5000, 2 ** 32 - 20, 2 ** 33 - 3, 2 ** 32 + 10, LAST_EXTENDED_SEQUENCE - 30)
      : fc.constantFrom(0, 0, 5000, 2 ** 31 - 9, LAST_SEQUENCE - 30),
    replayWindow: fc.constantFrom(0, 32, 64, 96, 1024),
    lifetime: lifetimes,
  }),
);
const contents: fc.Arbitrary<Contents> = fc.oneof(
  {
    weight: 8,
    arbitrary: fc.constantFrom(V4, V6).map((payload) => ({ payload, nextHeader: payload === V4 ? 4 : 41 })),
  },
  {
    weight: 2,
    arbitrary: fc.record({
      payload: fc.constantFrom(V4, V6, ELSEWHERE, WRONG_SUM, V4.subarray(0, 24), new Uint8Array(0)),
      nextHeader: fc.constantFrom(4, 41, 59, 6),
    }),
  },
  {
    weight: 2,
    arbitrary: fc.record({ payload: fc.uint8Array({ maxLength: 70 }), nextHeader: fc.constantFrom(59, 59, 4) }),
  },
  { weight: 2, arbitrary: fc.record({ body: fc.uint8Array({ minLength: 2, maxLength: 70 }) }) },
);
const damages: fc.Arbitrary<Damage> = fc.oneof(
  fc.record({ is: fc.constantFrom('bit', 'cut', 'length'), at: fc.nat() }) as fc.Arbitrary<Damage>,
  fc.record({
    is: fc.constantFrom('spi', 'random'),
    octets: fc.uint8Array({ maxLength: 70 }),
    sa: fc.integer({ min: -1, max: 3 }),
  }) as fc.Arbitrary<Damage>,
);
export const steps: fc.Arbitrary<Step> = fc.record({
  sa: fc.nat({ max: 3 }),
  move: moves,
  replay: fc.oneof({ weight: 5, arbitrary: fc.constant(0) }, fc.integer({ min: 1, max: 40 })),
  contents,
  damage: fc.oneof({ weight: 6, arbitrary: fc.constant(undefined) }, damages),
  tos: fc.constantFrom(0, 0, 0x2d, 0x03),
  last: fc.nat({ max: 20 }).map((n) => n === 0),
  fetch: fc.boolean(),
});

export const SPI = 0x1000;

/** The ESP packet of a peer that has the key, and no scruples. */
export function craft(protection: Protection, esn: boolean, spi: number, number: number, contents: Contents): Bytes {
  const { ivLength, ivKind, blockSize, icvLength } = protection;
  const body = bodyOf(protection, contents);
  const iv = ESP_HEADER_LENGTH;
  const end = iv + ivLength + body.length - (body.length % blockSize);
  const octets = new Uint8Array(end + icvLength);
  putU32(octets, 0, spi);
  putU32(octets, 4, lowHalf(number));
  ivWriter(ivKind, ivLength, seededRandom(number % 1000))(octets, iv, highHalf(number), lowHalf(number));
  octets.set(body.subarray(0, end - iv - ivLength), iv + ivLength);
  protection.seal(octets, 0, iv, end, esn ? highHalf(number) : NO_ESN);
  return octets;
}

function bodyOf(protection: Protection, contents: Contents): Bytes {
  if ('body' in contents) return contents.body;
  const { payload, nextHeader } = contents;
  const align = alignmentOf(protection);
  const padLength = align - 1 - ((payload.length + 1) % align);
  const padding = Array.from({ length: padLength }, (_, i) => i + 1);
  return Uint8Array.of(...payload, ...padding, padLength, nextHeader);
}

function spoil(octets: Bytes, damage: Damage | undefined): Bytes {
  if (damage === undefined) return octets;
  const changed = octets.slice();
  switch (damage.is) {
    case 'bit':
      changed[damage.at % changed.length]! ^= 1 << (damage.at & 7);
      return changed;
    case 'cut':
      return changed.subarray(0, damage.at % (changed.length + 1));
    case 'length':
      return changed.subarray(0, changed.length - 1 - (damage.at % 3));
    case 'spi':
      putU32(changed, 0, SPI + damage.sa);
      return changed;
    case 'random':
      if (damage.octets.length >= 4) putU32(damage.octets, 0, SPI + damage.sa);
      return damage.octets;
  }
}

/** What is on the wire, step by step. */
function wireOf({ suites, make }: Maker, plans: readonly SaPlan[], sequence: readonly Step[]): readonly Bytes[] {
  const peers = plans.map((plan, i) => make(suites[plan.suite % suites.length]!, i));
  const numbers = plans.map(({ top }) => top);
  const sent: Bytes[] = [];
  for (const { sa, move, replay, contents, damage } of sequence) {
    const i = sa % plans.length;
    const number = Math.min(Math.max(0, numbers[i]! + move), LAST_EXTENDED_SEQUENCE);
    numbers[i] = number;
    const copied = replay > 0 ? sent.at(-replay) : undefined;
    const octets = copied ?? craft(peers[i]!, plans[i]!.esn, SPI + i, number, contents);
    sent.push(octets.length < ESP_HEADER_LENGTH ? octets : spoil(octets, damage));
  }
  for (const peer of peers) peer.dispose?.();
  return sent;
}

function sadFor({ suites, make }: Maker, plans: readonly SaPlan[]): Sad {
  return sadOf(
    ...plans.map(({ suite, esn, top, replayWindow, lifetime }, i) => {
      const protection = make(suites[suite % suites.length]!, i);
      const sa = inbound({ protection, esn, replayWindow, lifetime, spi: SPI + i, remote: REMOTE });
      if (top > 0) sa.accept(top);
      return sa;
    }),
  );
}

interface Outcome {
  readonly verdict: number;
  readonly spi: number | undefined;
  readonly authentic: boolean;
  readonly newest: boolean;
  readonly bounds: readonly number[];
  readonly octets: string;
}

const outcome = (
  packet: Packet,
  verdict: number,
  sa: InboundSa | undefined,
  authentic: boolean,
  newest: boolean,
): Outcome => ({
  verdict,
  spi: sa?.spi,
  authentic,
  newest,
  bounds: [packet.start, packet.end],
  octets: verdict === PASS ? Buffer.from(octetsOf(packet)).toString('hex') : '',
});

/** The queue as a gateway uses it. */
class Queued {
  readonly outcomes: Outcome[] = [];
  /** Bursts that RUN_FIRST ended. */
  cut = 0;
  /** Runs that were taken as one. */
  runs = 0;
  readonly #sad: Sad;
  readonly #queue: OpenQueue;
  readonly #waiting: number[] = [];

  constructor(sad: Sad, memory: Uint8Array) {
    this.#sad = sad;
    this.#queue = new OpenQueue(memory);
  }

  add(packet: Packet, tos: number, at: number, now: number): void {
    let verdict = this.#queue.add(this.#sad, packet, tos);
    if (verdict === RUN_FIRST) {
      expect(this.#queue.count).toBeGreaterThan(0);
      this.cut += 1;
      this.run(now);
      verdict = this.#queue.add(this.#sad, packet, tos);
    }
    expect(verdict).toBeGreaterThanOrEqual(PASS);
    const { last, authentic, newest } = this.#sad;
    if (verdict === PASS) this.#waiting.push(at);
    else this.outcomes[at] = outcome(packet, verdict, last, authentic, newest);
  }

  /** Packets of a train, of which the first is number `at`. */
  addRun(packets: readonly Packet[], tos: number, at: number, now: number): void {
    const [queue, before] = [this.#queue, [...this.#sad].map(tell)];
    if (queue.room < packets.length) this.run(now);
    const taken = queue.addRun(this.#sad, packets, 0, packets.length, tos);
    if (!taken) return packets.forEach((packet, n) => void this.add(packet, tos, at + n, now));
    this.runs += 1;
    expect(queue.count).toBe(this.#waiting.length + packets.length);
    expect([this.#sad.last, this.#sad.authentic, this.#sad.newest]).toEqual([
      queue.saAt(queue.count - 1),
      false,
      false,
    ]);
    if (this.#waiting.length > 0) expect([...this.#sad].map(tell)).toEqual(before);
    this.#waiting.push(...packets.map((_, n) => at + n));
  }

  run(now: number): void {
    const queue = this.#queue;
    expect(queue.count).toBe(this.#waiting.length);
    queue.run(now);
    for (const [i, at] of this.#waiting.splice(0).entries()) {
      const sa = queue.saAt(i);
      this.outcomes[at] = outcome(queue.packetAt(i), queue.verdictAt(i), sa, queue.authenticAt(i), queue.newestAt(i));
    }
    queue.clear();
  }
}

/** How many packets of the wire from `at` up to `stop` stand in a row as a train would have them. */
function rowLength(wire: readonly Bytes[], sequence: readonly Step[], at: number, stop: number): number {
  const first = wire[at]!;
  if (first.length < ESP_HEADER_LENGTH) return 1;
  let next = at + 1;
  const continues = (octets: Bytes): boolean =>
    octets.length === first.length &&
    spiOf(octets, 0) === spiOf(first, 0) &&
    sequenceOf(octets, 0) === sequenceOf(first, 0) + next - at;
  while (next < stop && next - at < 64 && sequence[next]!.tos === sequence[at]!.tos && continues(wire[next]!)) next++;
  return next - at;
}

/** Gives how often a burst was cut; and, where packets that stand in a row are offered as `trains`, how many of those were taken. */
export function compare(maker: Maker, plans: readonly SaPlan[], sequence: readonly Step[], trains = false): number {
  const wire = wireOf(maker, plans, sequence);
  const [single, queued] = [sadFor(maker, plans), sadFor(maker, plans)];
  const room = Math.max(...wire.map((octets) => octets.length));
  const [mine, theirs] = [new Arena(wire.length, room), new Arena(wire.length, room)];
  const queue = new Queued(queued, theirs.memory);
  const outcomes: Outcome[] = [];
  let first = 0;
  const end = (stop: number): void => {
    for (let at = first; at < stop; ) {
      const row = trains ? rowLength(wire, sequence, at, stop) : 1;
      const { tos } = sequence[at]!;
      const packets = wire.slice(at, at + row).map((octets, n) => theirs.place(at + n, octets));
      if (row > 1) queue.addRun(packets, tos, at, stop);
      else queue.add(packets[0]!, tos, at, stop);
      at += row;
    }
    for (let at = first; at < stop; at++) {
      const packet = mine.place(at, wire[at]!);
      const verdict = open(single, packet, sequence[at]!.tos, stop);
      outcomes.push(outcome(packet, verdict, single.last, single.authentic, single.newest));
    }
    queue.run(stop);
    expect(queue.outcomes).toEqual(outcomes);
    for (const [i, a] of [...single].entries()) expect(tell([...queued][i]!)).toEqual(tell(a));
    expect(queued.drops).toEqual(single.drops);
    for (let at = first; at < stop; at++) expect(theirs.untouchedAround(at, wire[at]!.length)).toBe(true);
    first = stop;
  };
  for (const [at, { last, fetch }] of sequence.entries()) {
    if (!last && at + 1 < sequence.length) continue;
    end(at + 1);
    if (fetch) for (const sad of [single, queued]) for (const sa of sad) sa.usage.takeSignal();
  }
  for (const sad of [single, queued]) for (const sa of sad) sa.protection.dispose?.();
  return trains ? queue.runs : queue.cut;
}

export const plain = (over: Partial<Step> = {}): Step => ({
  sa: 0,
  move: 1,
  replay: 0,
  contents: { payload: V4, nextHeader: 4 },
  damage: undefined,
  tos: 0,
  last: false,
  fetch: false,
  ...over,
});
export const anySa = (over: Partial<SaPlan> = {}): SaPlan => ({
  suite: 0,
  esn: false,
  top: 0,
  replayWindow: 64,
  lifetime: NO_LIMIT,
  ...over,
});
