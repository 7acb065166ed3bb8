import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { IPV4_UNICAST } from '../../../src/bgp/message/types.ts';
import { Pace } from '../../../src/bgp/pace.ts';
import { Rib } from '../../../src/bgp/rib/rib.ts';
import { type Bytes, concat, EMPTY } from '../../../src/core/index.ts';
import { Receiver } from './receiver.ts';
import { attribute, context, messagesIn, peerOptions, update, usual, word } from './speakers.ts';
import { World } from './world.ts';

/** Two that speak; one with the interval, which speaks as well; one without. */
const [READER, NAIVE] = [3, 4] as const;
const PREFIXES = 4;
const INTERVAL = 1000;

type Operation =
  | { readonly do: 'announce'; peer: number; prefix: number; value: number }
  | { readonly do: 'withdraw'; peer: number; prefix: number }
  | { readonly do: 'tick'; millis: number }
  | { readonly do: 'take'; room: number }
  | { readonly do: 'refresh' | 'drain' | 'change' };

const peer = fc.constantFrom(1, 1, 2, READER);
const prefix = fc.nat(PREFIXES - 1);
const operation = fc.oneof(
  { weight: 6, arbitrary: fc.record({ do: fc.constant('announce' as const), peer, prefix, value: fc.nat(2) }) },
  { weight: 4, arbitrary: fc.record({ do: fc.constant('withdraw' as const), peer, prefix }) },
  { weight: 3, arbitrary: fc.record({ do: fc.constant('tick' as const), millis: fc.integer({ min: 1, max: 900 }) }) },
  { weight: 3, arbitrary: fc.record({ do: fc.constant('take' as const), room: fc.constantFrom(1, 60, 500) }) },
  { weight: 2, arbitrary: fc.record({ do: fc.constant('drain' as const) }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('refresh' as const) }) },
);
const operations = fc.array(operation, { maxLength: 80, size: 'max' });
/** With the interval taken away and given back at times. */
const changing = fc.array(
  fc.oneof({ weight: 4, arbitrary: operation }, { weight: 1, arbitrary: fc.constant({ do: 'change' as const }) }),
  { maxLength: 40, size: 'max' },
);

/** A reader with the interval, and one beside it without, which is told at once: what that has is what the reader should have. */
class Scene {
  readonly #rib = new Rib({ localAs: 65_000, routerId: 1 });
  readonly #pace = new Pace();
  readonly #addPath: boolean;
  /** By number of the test. */
  readonly #peers: readonly number[];
  readonly #received: Receiver;
  readonly #naive: Receiver;
  /** When each prefix, or path of one, was announced or withdrawn last. */
  readonly #heardAt = new Map<string, number>();
  /** Prefixes that the reader had when it last had read all, and to which there has been a route ever since. */
  #lasting = new Set<string>();
  #now = 5000;
  #paced = true;
  /** The interval was taken away at times: then it is not known what the reader has. */
  #always = true;

  constructor(addPath: boolean) {
    this.#addPath = addPath;
    const change = addPath ? { send: context(true, { addPath: [IPV4_UNICAST] }) } : {};
    [this.#received, this.#naive] = [new Receiver(addPath), new Receiver(addPath)];
    const intervals = { [READER]: { ...change, advertisementMillis: INTERVAL }, [NAIVE]: change };
    this.#peers = [0, 1, 2, READER, NAIVE].map((n) =>
      n === 0 ? 0 : this.#rib.add(peerOptions(n, intervals[n as keyof typeof intervals])),
    );
  }

  run(all: readonly Operation[]): void {
    for (const op of all) this.#perform(op);
    for (let rounds = 0; rounds < 3; rounds++) {
      this.#now += INTERVAL;
      this.#drain();
    }
    expect(this.#pace.nextRound(this.#reader, this.#rib.spokenTo(this.#reader))).toBeUndefined();
    expect(this.#received.routes).toEqual(this.#expected());
    for (const number of this.#peers.slice(1)) this.#rib.remove(number);
    this.#rib.flush();
    while (this.#rib.takeRoutes(100).length > 0) this.#rib.flush();
    expect([this.#rib.family(IPV4_UNICAST)!.table.count, this.#rib.store.count]).toEqual([0, 0]);
  }

  get #reader(): number {
    return this.#peers[READER]!;
  }

  /** What has come from the reader does not go back there. */
  #expected(): Map<string, string> {
    return new Map([...this.#naive.routes].filter(([, attributes]) => !attributes.includes(FROM_READER)));
  }

  #perform(op: Operation): void {
    switch (op.do) {
      case 'announce': {
        const path = usual([65_000 + op.peer], [10, 0, 0, op.peer]);
        return this.#say(op.peer, update(EMPTY, concat(path, community(op.value)), nlri(op.prefix)));
      }
      case 'withdraw':
        return this.#say(op.peer, update(nlri(op.prefix), EMPTY, EMPTY));
      case 'tick':
        this.#now += op.millis;
        return;
      case 'take':
        this.#take(op.room);
        return;
      case 'drain':
        return this.#drain();
      case 'refresh':
        return this.#rib.refresh(this.#reader, IPV4_UNICAST);
      case 'change':
        this.#paced = !this.#paced;
        this.#always = false;
        this.#pace.clear();
        this.#rib.configure(this.#reader, { advertisementMillis: this.#paced ? INTERVAL : 0 });
        this.#rib.flush();
    }
  }

  #say(from: number, octets: Bytes): void {
    this.#rib.receive(this.#peers[from]!, octets, this.#now);
    this.#rib.flush();
    const number = this.#peers[NAIVE]!;
    while (this.#rib.hasOutput(number)) for (const each of this.#rib.take(number, 4096)) this.#naive.read(each);
    this.#lasting = common(this.#lasting, prefixesOf(this.#expected()));
  }

  /** As the speaker does it with a transport that takes so much; whether there was something. */
  #take(room: number): boolean {
    const { length } = this.#paced ? this.#takePaced(room) : this.#read(this.#rib.take(this.#reader, room));
    return length > 0;
  }

  #takePaced(room: number): readonly Bytes[] {
    this.#pace.begin(this.#reader, this.#rib.spokenTo(this.#reader), this.#now);
    const taken = this.#read(this.#rib.take(this.#reader, room));
    if (taken.length === 0) this.#pace.end(this.#now, () => INTERVAL);
    return taken;
  }

  /** All that may go. What there has been a route to all the time, as far as the reader has read, it has one to. */
  #drain(): void {
    while (this.#take(500));
    const told = prefixesOf(this.#received.routes);
    expect(common(this.#lasting, told)).toEqual(this.#lasting);
    this.#lasting = common(told, prefixesOf(this.#expected()));
  }

  #read(taken: readonly Bytes[]): readonly Bytes[] {
    for (const octets of taken.flatMap(messagesIn)) {
      const message = new Receiver(this.#addPath);
      message.read(octets);
      const before = [...this.#received.routes.keys()];
      this.#received.read(octets);
      const gone = before.filter((key) => !this.#received.routes.has(key));
      for (const key of [...gone, ...message.routes.keys()]) this.#heard(key);
    }
    const faults = this.#received.faults.splice(0).filter((fault) => !fault.endsWith('unchanged'));
    if (this.#always) expect(faults).toEqual([]);
    return taken;
  }

  #heard(key: string): void {
    const before = this.#heardAt.get(key) ?? Number.NEGATIVE_INFINITY;
    if (this.#always) expect(this.#now - before, key).toBeGreaterThanOrEqual(INTERVAL);
    this.#heardAt.set(key, this.#now);
  }
}

const nlri = (n: number): Bytes => Uint8Array.of(24, 20, 0, n);
const community = (value: number): Bytes => attribute(0xc0, 8, ...word(value));
const prefixesOf = (routes: ReadonlyMap<string, string>): Set<string> =>
  new Set([...routes.keys()].map((key) => key.split(':').at(-1)!));
const common = (a: Set<string>, b: Set<string>): Set<string> => new Set([...a].filter((each) => b.has(each)));
const FROM_READER = '0000fdeb';

describe('RFC 4271 §9.2.1.1 against a peer that is told at once', () => {
  for (const addPath of [false, true]) {
    const run = (all: readonly Operation[]) => new Scene(addPath).run(all);
    const where = addPath ? ' (RFC 7911)' : '';
    it(`what is said of one destination is an interval apart, the last state is told${where}`, () => {
      fc.assert(fc.property(operations, run), { numRuns: 400 });
    });

    it(`the interval comes and goes under the session${where}`, () => {
      fc.assert(fc.property(changing, run), { numRuns: 400 });
    });
  }
});

it('RFC 4271 §9.2.1.1: a slow reader has not taken all withdrawals when the prefixes come back: those withdrawn wait', () => {
  const world = new World();
  const a = world.peer(1);
  const reader = world.peer(2, { advertisementMillis: INTERVAL });
  const [group] = world.rib.spokenTo(reader);
  const all = Uint8Array.from({ length: 4 * 3000 }, (_, i) => [24, 20, (i >>> 2) >>> 8, (i >>> 2) & 0xff][i & 3]!);
  const parts = [0, 1000, 2000].map((from) => all.subarray(4 * from, 4 * (from + 1000)));
  const path = usual([65_001], [10, 0, 0, 1]);
  const say = (announces: boolean): void => {
    for (const part of parts) announces ? world.say(a, path, part) : world.say(a, EMPTY, EMPTY, part);
    world.rib.flush();
  };
  say(true);
  group!.beginRound(reader);
  const received = world.read(reader);
  expect(received.routes.size).toBe(3000);
  say(false);
  group!.beginRound(reader);
  for (const octets of world.rib.take(reader, 1)) received.read(octets);
  const left = received.routes.size;
  expect([left > 1000, left < 3000]).toEqual([true, true]);
  say(true);
  received.strict = false;
  expect(world.read(reader, received).routes.size).toBe(left);
  expect(group!.waits(reader)).toBe(true);
  group!.beginRound(reader);
  expect(world.read(reader, received).routes.size).toBe(3000);
});
