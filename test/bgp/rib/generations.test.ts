/** All paths of a peer at once, in parts: exact states between two parts, and a naive model over any order of things. */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { IPV4_UNICAST } from '../../../src/bgp/message/types.ts';
import { receivedOf, whyTold } from '../../../src/bgp/rib/look.ts';
import { Rib } from '../../../src/bgp/rib/rib.ts';
import { type Bytes, concat, EMPTY } from '../../../src/core/index.ts';
import { formatAddress, formatPrefix } from '../../../src/ip/index.ts';
import { Receiver } from './receiver.ts';
import { attribute, peerOptions, update, usual, word } from './speakers.ts';
import { policy, prefix, World } from './world.ts';

const NO_LLGR = attribute(0xc0, 8, ...word(0xffff0007));
const ALL = { offset: 0, limit: 1000 };
const hop = [10, 9, 9, 9];
const nlri = (from: number, count: number): Bytes =>
  concat(...Array.from({ length: count }, (_, i) => Uint8Array.of(24, 20, 0, from + i)));
const text = (n: number): string => `20.0.${n}.0/24`;

/** `a` has said 100 prefixes, and `b` has been told; what forwards is taken as it comes. */
function scene() {
  const world = new World();
  const { rib } = world;
  const [a, b] = [world.peer(1), world.peer(2)];
  world.say(a, usual([65_001], hop), nlri(0, 100));
  const told = world.read(b);
  const forwards = new Map<string, string>();
  const part = (limit: number): boolean => {
    const done = rib.flush(limit);
    for (const { prefix, nextHops } of rib.takeRoutes(1000))
      if (nextHops.length === 0) forwards.delete(formatPrefix(prefix));
      else forwards.set(formatPrefix(prefix), nextHops.map(formatAddress).join());
    for (const octets of rib.take(b, 65_536)) told.read(octets);
    return done;
  };
  part(1000);
  /** Of Adj-RIB-In, of what forwards, and of what `b` has been told. */
  const counts = () => [rib.families[0]!.countOf(a), forwards.size, told.routes.size];
  expect(counts()).toEqual([100, 100, 100]);
  const received = () => receivedOf(rib, a, ALL).map(({ prefix, stale }) => `${prefix}${stale ? ' stale' : ''}`);
  return { world, rib, a, b, told, forwards, part, counts, received };
}

describe('a session is lost', () => {
  it('RFC 4271 §6: what the peer has said counts for nothing at once, and goes part by part', () => {
    const { world, rib, a, b, told, part, counts, received } = scene();
    rib.remove(a);
    expect(counts()).toEqual([0, 100, 100]);
    expect([world.why(text(99)), received(), whyTold(rib, b, prefix(text(50)))]).toEqual([[], [], undefined]);
    const left: unknown[] = [];
    while (!part(32)) if (counts()[1]! > 0) left.push(counts());
    expect(left).toEqual([68, 48, 36, 16].map((each) => [0, each, each]));
    expect(counts()).toEqual([0, 0, 0]);
    expect([told.faults, rib.isSettled, rib.families[0]!.table.count, rib.store.count]).toEqual([[], true, 0, 0]);
  });

  it('what another peer says of one of its prefixes is chosen at once, though it was worse, and wherever the lost ones are', () => {
    const { world, rib, a, forwards, part } = scene();
    const c = world.peer(3);
    rib.remove(a);
    for (const n of [0, 50]) world.say(c, usual([65_003, 7, 8], [10, 9, 9, 8]), nlri(n, 1));
    part(1);
    expect([0, 50, 51].map((n) => forwards.get(text(n)))).toEqual(['10.9.9.8', '10.9.9.9', '10.9.9.9']);
    part(1);
    expect([0, 50, 51].map((n) => forwards.get(text(n)))).toEqual(['10.9.9.8', '10.9.9.8', '10.9.9.9']);
    while (!part(16));
    expect([...forwards.keys()]).toEqual([0, 50].map(text));
  });

  it('who is back before all has gone has another number, and loses nothing of what it says now', () => {
    const { world, rib, a, part, counts, told } = scene();
    rib.remove(a);
    part(16);
    const again = rib.add(peerOptions(1));
    expect(again).not.toBe(a);
    world.say(again, usual([65_001, 9], hop), nlri(90, 20));
    while (!part(16));
    expect([rib.families[0]!.countOf(again), ...counts()]).toEqual([20, 0, 20, 20]);
    expect(told.faults).toEqual([]);
    expect(rib.add(peerOptions(4))).toBe(a);
  });

  it('the number of a peer that has gone is given again, and what its next bearer says is new', () => {
    const { world, rib, a, part, counts, received } = scene();
    rib.remove(a);
    while (!part(1000));
    expect(rib.add(peerOptions(5))).toBe(a);
    world.say(a, usual([65_005], hop), nlri(0, 40));
    rib.markStale(a, IPV4_UNICAST);
    world.say(a, usual([65_005], hop), nlri(0, 1));
    rib.sweepStale(a, IPV4_UNICAST);
    expect([received(), counts()[0]]).toEqual([[text(0)], 1]);
    while (!part(16));
    expect(counts()).toEqual([1, 1, 1]);
  });
});

describe('RFC 4724 §4.2, RFC 7313 §4: stale routes', () => {
  it('marked: all are stale at once, and in use', () => {
    const { rib, a, part, counts, received } = scene();
    rib.markStale(a, IPV4_UNICAST);
    expect(rib.isSettled).toBe(true);
    expect(received().every((each) => each.endsWith('stale'))).toBe(true);
    expect([part(16), counts()]).toEqual([true, [100, 100, 100]]);
  });

  it('swept: those that have not been said again count for nothing at once; what is said behind it is new', () => {
    const { world, rib, a, told, part, counts, received } = scene();
    rib.markStale(a, IPV4_UNICAST);
    world.say(a, usual([65_001], hop), nlri(10, 2));
    rib.sweepStale(a, IPV4_UNICAST);
    expect(counts()).toEqual([2, 100, 100]);
    world.say(a, usual([65_001], hop), nlri(80, 1));
    expect([received(), counts()[0]]).toEqual([[80, 10, 11].map(text), 3]);
    part(16);
    world.say(a, usual([65_001], hop), nlri(81, 1));
    rib.receive(a, update(nlri(10, 1), EMPTY, EMPTY), 0);
    expect(received()).toEqual([80, 81, 11].map(text));
    while (!part(16));
    expect(counts()).toEqual([3, 3, 3]);
    expect(told.faults).toEqual([]);
  });

  it('marked again while they are swept: what is said between the two is stale, and goes with the next sweep alone', () => {
    const { world, rib, a, part, counts, received } = scene();
    rib.markStale(a, IPV4_UNICAST);
    rib.sweepStale(a, IPV4_UNICAST);
    world.say(a, usual([65_001], hop), nlri(20, 2));
    part(16);
    rib.markStale(a, IPV4_UNICAST);
    world.say(a, usual([65_001], hop), nlri(21, 1));
    expect(received()).toEqual([`${text(20)} stale`, text(21)]);
    while (!part(16));
    expect(counts()).toEqual([2, 2, 2]);
    rib.sweepStale(a, IPV4_UNICAST);
    expect([received(), counts()[0]]).toEqual([[text(21)], 1]);
    while (!part(16));
    expect(counts()).toEqual([1, 1, 1]);
  });

  it('RFC 4486 §4: what is swept is not counted against the limit of prefixes', () => {
    const { world, rib, a } = scene();
    expect(rib.configure(a, { maximumPrefixes: 100 }).map(({ type }) => type)).toEqual(['nearLimit']);
    rib.markStale(a, IPV4_UNICAST);
    rib.sweepStale(a, IPV4_UNICAST);
    expect(world.say(a, usual([65_001], hop), nlri(100, 100))).toEqual([]);
    expect(world.say(a, usual([65_001], hop), nlri(0, 1)).map(({ type }) => type)).toEqual(['fault']);
  });

  it('RFC 9494 §4.2, §4.3: long-lived ones lose to any other at once, and those with NO_LLGR go', () => {
    const { world, rib, a, part, counts } = scene();
    world.say(a, concat(usual([65_001], hop), NO_LLGR), nlri(0, 50));
    const c = world.peer(3);
    world.say(c, usual([65_003, 1, 2, 3], hop), nlri(99, 1));
    rib.down(a, [IPV4_UNICAST]);
    rib.keepLongLived(a, IPV4_UNICAST);
    expect(world.why(text(99))).toEqual([
      'peer 3: the best of all that may be used',
      'peer 1: peer 3 is better by long-lived stale',
    ]);
    expect(world.why(text(0))).toEqual([]);
    while (!part(16));
    // `b` is not told of long-lived ones (§4.5).
    expect(counts()).toEqual([50, 50, 1]);
    rib.sweepStale(a, IPV4_UNICAST);
    while (!part(16));
    expect(counts()).toEqual([0, 1, 1]);
  });

  it('policy that is asked again of what is swept meanwhile brings nothing back', () => {
    const { rib, a, part, counts, world } = scene();
    rib.configure(a, { import: policy([{ set: { med: 7 } }]) });
    rib.markStale(a, IPV4_UNICAST);
    world.say(a, usual([65_001], hop), nlri(0, 1));
    rib.sweepStale(a, IPV4_UNICAST);
    while (!part(16));
    expect(counts()).toEqual([1, 1, 1]);
  });
});

const PEERS = 3;
const PREFIXES = 60;

type Operation =
  | { readonly do: 'announce'; peer: number; from: number; count: number; longer: number; noLlgr: boolean }
  | { readonly do: 'withdraw'; peer: number; from: number; count: number }
  | { readonly do: 'mark' | 'sweep' | 'keep' | 'lose' | 'take' | 'receive' | 'judge' | 'tell'; peer: number }
  | { readonly do: 'explain'; n: number }
  | { readonly do: 'part'; limit: number };

const peer = fc.integer({ min: 1, max: PEERS });
const range = { peer, from: fc.nat(PREFIXES - 1), count: fc.integer({ min: 1, max: 40 }) };
const op = <T extends Operation['do'], U>(name: T, rest: { [K in keyof U]: fc.Arbitrary<U[K]> }) =>
  fc.record({ do: fc.constant(name), ...rest });
const operations = fc.array(
  fc.oneof(
    { weight: 6, arbitrary: op('announce', { ...range, longer: fc.nat(2), noLlgr: fc.boolean() }) },
    { weight: 2, arbitrary: op('withdraw', range) },
    { weight: 3, arbitrary: op('mark', { peer }) },
    { weight: 3, arbitrary: op('sweep', { peer }) },
    { weight: 2, arbitrary: op('keep', { peer }) },
    { weight: 2, arbitrary: op('lose', { peer }) },
    { weight: 1, arbitrary: op('judge', { peer }) },
    { weight: 1, arbitrary: op('tell', { peer }) },
    { weight: 2, arbitrary: op('take', { peer }) },
    { weight: 2, arbitrary: op('receive', { peer }) },
    { weight: 2, arbitrary: op('explain', { n: fc.nat(PREFIXES - 1) }) },
    { weight: 6, arbitrary: op('part', { limit: fc.integer({ min: 1, max: 30 }) }) },
  ),
  { minLength: 20, maxLength: 80 },
) as fc.Arbitrary<Operation[]>;

interface Said {
  readonly longer: number;
  readonly noLlgr: boolean;
  stale: boolean;
  longLived: boolean;
}

/** Refuses the first 32 prefixes. */
const HALF = policy([{ prefix: '20.0.0.0/19', le: 24, action: 'reject' }, {}]);
const KEPT_OUT = 32;
const DEAR = policy([{ set: { med: 7 } }]);

class Scene {
  readonly #rib = new Rib({ localAs: 65_000, routerId: 1, decision: { compareRouterId: true } });
  readonly #numbers: number[] = [];
  readonly #receivers: Receiver[] = [];
  readonly #said: Map<number, Said>[] = [];
  readonly #refuses = new Set<number>();
  readonly #dear = new Set<number>();
  readonly #forwards = new Set<string>();

  constructor() {
    for (let each = 1; each <= PEERS; each++) this.#begin(each);
  }

  run(all: readonly Operation[]): void {
    for (const each of all) this.#perform(each);
    while (!this.#part(7));
    for (let each = 1; each <= PEERS; each++) {
      while (this.#rib.hasOutput(this.#numbers[each]!)) this.#take(each);
      expect(Object.fromEntries(this.#receivers[each]!.routes), `peer ${each}`).toEqual(this.#told(each));
      this.#received(each);
    }
    const best = Array.from({ length: PREFIXES }, (_, n) => n).filter((n) => this.#best(n) !== undefined);
    expect([...this.#forwards].sort()).toEqual(best.map(text).sort());
    for (let each = 1; each <= PEERS; each++) this.#rib.remove(this.#numbers[each]!);
    while (!this.#part(7));
    expect([this.#rib.families[0]!.table.count, this.#rib.store.count, this.#forwards.size]).toEqual([0, 0, 0]);
  }

  #perform(each: Operation): void {
    const rib = this.#rib;
    const number = 'peer' in each ? this.#numbers[each.peer]! : 0;
    const said = 'peer' in each ? this.#said[each.peer]! : new Map<number, Said>();
    const numbers = 'from' in each ? numbersOf(each.from, each.count) : [];
    switch (each.do) {
      case 'announce': {
        const path = [65_000 + each.peer, ...Array.from({ length: each.longer }, (_, i) => 100 + i)];
        const attributes = concat(usual(path, hop), each.noLlgr ? NO_LLGR : EMPTY);
        rib.receive(number, update(EMPTY, attributes, concat(...numbers.map((n) => nlri(n, 1)))), 0);
        const { longer, noLlgr } = each;
        for (const n of numbers) said.set(n, { longer, noLlgr, stale: false, longLived: false });
        return;
      }
      case 'withdraw':
        rib.receive(number, update(concat(...numbers.map((n) => nlri(n, 1))), EMPTY, EMPTY), 0);
        for (const n of numbers) said.delete(n);
        return;
      case 'mark':
        rib.markStale(number, IPV4_UNICAST);
        for (const route of said.values()) route.stale = true;
        return;
      case 'sweep':
        rib.sweepStale(number, IPV4_UNICAST);
        for (const [n, { stale }] of said) if (stale) said.delete(n);
        return;
      case 'keep':
        rib.keepLongLived(number, IPV4_UNICAST);
        for (const [n, route] of said) {
          if (!route.stale) continue;
          if (route.noLlgr) said.delete(n);
          else route.longLived = true;
        }
        return;
      case 'lose':
        rib.remove(number);
        return this.#begin(each.peer);
      case 'judge':
      case 'tell': {
        const peers = each.do === 'tell' ? this.#dear : this.#refuses;
        if (!peers.delete(each.peer)) peers.add(each.peer);
        return void rib.configure(number, this.#policiesOf(each.peer));
      }
      case 'take':
        return this.#take(each.peer);
      case 'receive':
        return this.#received(each.peer);
      case 'explain':
        return this.#explained(each.n);
      case 'part':
        this.#part(each.limit);
    }
  }

  #begin(each: number): void {
    this.#numbers[each] = this.#rib.add(peerOptions(each, { longLived: true, ...this.#policiesOf(each) }));
    this.#receivers[each] = new Receiver();
    this.#receivers[each]!.strict = false;
    this.#said[each] = new Map();
  }

  #policiesOf(each: number) {
    return {
      import: this.#refuses.has(each) ? HALF : policy('all'),
      export: this.#dear.has(each) ? DEAR : policy('all'),
    };
  }

  #part(limit: number): boolean {
    const done = this.#rib.flush(limit);
    for (const { prefix, nextHops } of this.#rib.takeRoutes(limit))
      if (nextHops.length === 0) this.#forwards.delete(formatPrefix(prefix));
      else this.#forwards.add(formatPrefix(prefix));
    return done && this.#rib.routesWaiting === 0 && this.#rib.isSettled;
  }

  #take(each: number): void {
    for (const octets of this.#rib.take(this.#numbers[each]!, 100)) this.#receivers[each]!.read(octets);
  }

  /** What is read at any time is what the model has. */
  #received(each: number): void {
    const routes = receivedOf(this.#rib, this.#numbers[each]!, ALL);
    const is = routes.map(({ prefix, stale }) => `${prefix} ${stale}`).sort();
    expect(is).toEqual([...this.#said[each]!].map(([n, { stale }]) => `${text(n)} ${stale}`).sort());
  }

  #explained(n: number): void {
    const is = this.#rib.explain(prefix(text(n))).map(({ peer, stale }) => `${peer} ${stale}`);
    const wanted = [1, 2, 3].flatMap((each) => {
      const route = this.#said[each]!.get(n);
      return route === undefined ? [] : [`peer ${each} ${route.stale}`];
    });
    expect(is.sort()).toEqual(wanted);
  }

  #best(n: number): { readonly from: number; readonly route: Said } | undefined {
    const routes = [1, 2, 3].flatMap((from) => {
      const route = this.#said[from]!.get(n);
      const refused = this.#refuses.has(from) && n < KEPT_OUT;
      return route === undefined || refused ? [] : [{ from, route }];
    });
    const rank = ({ from, route }: (typeof routes)[number]) => Number(route.longLived) * 100 + route.longer * 10 + from;
    return routes.sort((x, y) => rank(x) - rank(y))[0];
  }

  #told(to: number): Record<string, string> {
    const out: Record<string, string> = {};
    for (let n = 0; n < PREFIXES; n++) {
      const best = this.#best(n);
      if (best === undefined || best.from === to) continue;
      const { from, route } = best;
      const path = [65_000, 65_000 + from, ...Array.from({ length: route.longer }, (_, i) => 100 + i)];
      const hex = (value: number, width: number) => value.toString(16).padStart(width, '0');
      const community = route.noLlgr ? ' 8=ffff0007' : route.longLived ? ' 8=ffff0006' : '';
      const asPath = `02${hex(path.length, 2)}${path.map((asn) => hex(asn, 8)).join('')}`;
      const med = this.#dear.has(to) ? ' 4=00000007' : '';
      out[`24/1400${hex(n, 2)}`] = `1=00 2=${asPath} 3=c0000201${med}${community}`;
    }
    return out;
  }
}

const numbersOf = (from: number, count: number): number[] =>
  Array.from({ length: Math.min(count, PREFIXES - from) }, (_, i) => from + i);

describe('losses, returns and stale routes in parts, against a naive model', () => {
  it('RFC 4724 §4.2, RFC 7313 §4, RFC 9494 §4.2: what is read is right at any time, and in the end so is all that follows', () => {
    fc.assert(
      fc.property(operations, (all) => new Scene().run(all)),
      { numRuns: 200 },
    );
  });
});
