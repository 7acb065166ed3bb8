/** Speakers with peers of all kinds against a model in records: what each is told, read back by the codec, and what forwards. */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  type AttributeValue,
  attributeOf,
  type CodecContext,
  decodeUpdate,
  encodeUpdate,
  type Family,
  findValue,
  IPV4_UNICAST,
  IPV6_UNICAST,
  inOrderOfSending,
  type Nlri,
  reconcileAs4,
  splitAs4,
} from '../../../src/bgp/message/index.ts';
import { ALL } from '../../../src/bgp/policy/policy.ts';
import type { PeerKind, PeerOptions } from '../../../src/bgp/rib/peer.ts';
import { Rib } from '../../../src/bgp/rib/rib.ts';
import type { Bytes } from '../../../src/core/index.ts';
import { type Address, formatAddress, formatPrefix, parsePrefix } from '../../../src/ip/index.ts';
import { address, context, messagesIn, peerOptions } from './speakers.ts';

const LOCAL_AS = 65_000;
const ROUTER = 0x0101_0101;
const SELF: Record<Family, string> = { [IPV4_UNICAST]: '192.0.2.1', [IPV6_UNICAST]: '2001:db8::1' };

interface Kind {
  readonly kind: PeerKind;
  readonly asn: number;
  readonly four: boolean;
  /** ADD-PATH both ways, and how many paths it is told. */
  readonly paths?: number;
}

/** By number; 0 is ourselves. */
const KINDS: readonly Kind[] = [
  { kind: 'local', asn: LOCAL_AS, four: true },
  { kind: 'external', asn: 65_001, four: true },
  { kind: 'external', asn: 65_002, four: false },
  { kind: 'internal', asn: LOCAL_AS, four: true },
  { kind: 'client', asn: LOCAL_AS, four: true },
  { kind: 'client', asn: LOCAL_AS, four: false },
  { kind: 'external', asn: 4_200_000_001, four: true, paths: 0xffff },
  { kind: 'client', asn: LOCAL_AS, four: true, paths: 2 },
];
const PEERS = KINDS.map((_, number) => number).slice(1);
const isInternal = (n: number): boolean => KINDS[n]!.kind === 'internal' || KINDS[n]!.kind === 'client';

/** What a route says, as records. */
interface Route {
  readonly path: readonly number[];
  readonly origin: 'igp' | 'egp' | 'incomplete';
  readonly hop: string;
  readonly med?: number;
  readonly preference?: number;
  readonly originator?: number;
  readonly clusters?: readonly number[];
}
type Heard = Route & { readonly from: number; readonly id: number; readonly at: number };

function contextOf(number: number, family: Family): CodecContext {
  const { kind, four, paths } = KINDS[number]!;
  const addPath = paths === undefined ? [] : [family];
  return context(kind === 'external', { fourOctetAs: four, addPath, families: [family] });
}

function optionsOf(number: number, family: Family): PeerOptions {
  const { kind, asn, paths } = KINDS[number]!;
  const settled = contextOf(number, family);
  return peerOptions(number, {
    kind,
    remoteAs: asn,
    receive: settled,
    send: settled,
    import: ALL,
    export: ALL,
    ...(paths === undefined ? {} : { addPaths: paths }),
  });
}

/** The UPDATE that a peer of this number sends. */
function said(number: number, family: Family, nlri: Nlri, route: Route | undefined): Bytes {
  const v4 = family === IPV4_UNICAST;
  const empty = { kind: 'update', withdrawn: [], attributes: [], nlri: [] } as const;
  const settled = contextOf(number, family);
  if (route === undefined) {
    const gone = v4 ? [] : [attributeOf({ name: 'mpUnreach', family, withdrawn: [nlri] })];
    return encodeUpdate({ ...empty, withdrawn: v4 ? [nlri] : [], attributes: gone }, settled);
  }
  const { path, origin, hop, med, preference, originator, clusters } = route;
  const values: Exclude<AttributeValue, { name: 'unknown' }>[] = [
    { name: 'origin', origin },
    { name: 'asPath', segments: path.length === 0 ? [] : [{ type: 'sequence', asns: path }] },
    v4
      ? { name: 'nextHop', address: address(hop) }
      : { name: 'mpReach', family, nextHops: [address(hop)], nlri: [nlri] },
  ];
  if (med !== undefined) values.push({ name: 'med', med });
  if (preference !== undefined) values.push({ name: 'localPreference', preference });
  if (originator !== undefined) values.push({ name: 'originatorId', identifier: originator });
  if (clusters !== undefined) values.push({ name: 'clusterList', identifiers: clusters });
  const all = values.map(attributeOf);
  const attributes = inOrderOfSending(settled.fourOctetAs ? all : splitAs4(all));
  return encodeUpdate({ ...empty, attributes, nlri: v4 ? [nlri] : [] }, settled);
}

/** What a peer has read, by prefix and path identifier. */
class Reader {
  readonly routes = new Map<string, string>();
  readonly #settled: CodecContext;

  constructor(number: number, family: Family) {
    this.#settled = contextOf(number, family);
  }

  read(octets: Bytes): void {
    for (const message of messagesIn(octets)) {
      const decoded = decodeUpdate(message, this.#settled);
      if (decoded.treatment !== 'none') throw new Error(`${decoded.treatment}: ${JSON.stringify(decoded.faults)}`);
      const { update } = decoded;
      const reach = findValue(update.attributes, 'mpReach');
      const unreach = findValue(update.attributes, 'mpUnreach');
      for (const nlri of [...update.withdrawn, ...(unreach?.withdrawn ?? [])]) this.routes.delete(keyOf(nlri));
      const attributes = reconcileAs4(update.attributes);
      for (const nlri of [...update.nlri, ...(reach?.nlri ?? [])]) {
        const hop = reach?.nextHops[0] ?? findValue(attributes, 'nextHop')!.address;
        this.routes.set(
          keyOf(nlri),
          text({
            path: findValue(attributes, 'asPath')!.segments.flatMap(({ asns }) => asns),
            origin: findValue(attributes, 'origin')!.origin,
            hop: formatAddress(hop),
            ...named('med', findValue(attributes, 'med')?.med),
            ...named('preference', findValue(attributes, 'localPreference')?.preference),
            ...named('originator', findValue(attributes, 'originatorId')?.identifier),
            ...named('clusters', findValue(attributes, 'clusterList')?.identifiers),
          }),
        );
      }
    }
  }

  /** Contents by prefix: identifiers are ours to choose. */
  get told(): string[] {
    return [...this.routes].map(([key, route]) => `${key.split(' ')[0]} ${route}`).sort();
  }
}

const keyOf = ({ prefix, pathId }: Nlri): string => `${formatPrefix(prefix)} ${pathId ?? 0}`;
const named = (name: string, value: unknown): object => (value === undefined ? {} : { [name]: value });
const text = ({ path, origin, hop, med, preference, originator, clusters }: Route): string =>
  JSON.stringify([path, origin, hop, med ?? null, preference ?? null, originator ?? null, clusters ?? null]);

/** RFC 4271 §9.1.2.2 by removal, with the steps of RFC 4456 §9 and the field. */
function best(routes: readonly Heard[], hops: ReadonlyMap<string, number>): Heard | undefined {
  let left = routes.filter((r) => isEligible(r, hops));
  const keep = (of: (r: Heard) => number): void => {
    const least = Math.min(...left.map(of));
    left = left.filter((r) => of(r) === least);
  };
  keep((r) => (r.from === 0 ? 0 : 1));
  keep((r) => -(r.preference ?? 100));
  keep((r) => r.path.length);
  keep((r) => ['igp', 'egp', 'incomplete'].indexOf(r.origin));
  left = left.filter((n) => !left.some((m) => m.path[0] === n.path[0] && (n.med ?? 0) > (m.med ?? 0)));
  keep((r) => (KINDS[r.from]!.kind === 'external' ? 0 : 1));
  keep((r) => hops.get(r.hop) ?? 0);
  if (left.some((r) => KINDS[r.from]!.kind === 'external')) keep((r) => r.at);
  keep((r) => r.originator ?? r.from);
  keep((r) => r.clusters?.length ?? 0);
  keep((r) => r.from);
  return left.sort((a, b) => a.id - b.id)[0];
}

/** RFC 4271 §9.1.2, §9.1.2.1; RFC 4456 §8. */
const isEligible = (r: Heard, hops: ReadonlyMap<string, number>): boolean =>
  r.from === 0 ||
  (hops.has(r.hop) && !r.path.includes(LOCAL_AS) && r.originator !== ROUTER && r.clusters?.includes(ROUTER) !== true);

/** What a route of one peer is for another; undefined where it does not go there. */
function exported(r: Heard, to: number, family: Family): Route | undefined {
  if (r.from === to) return undefined;
  const { path, origin, med, preference, originator, clusters, hop } = r;
  if (!isInternal(to)) {
    const own = r.from === 0 ? named('med', med) : {};
    return { path: [LOCAL_AS, ...path], origin, hop: SELF[family]!, ...own };
  }
  const kept = { path, origin, hop: r.from === 0 ? SELF[family]! : hop, ...named('med', med) };
  if (!isInternal(r.from)) return { ...kept, preference: preference ?? 100 };
  if (KINDS[r.from]!.kind === 'internal' && KINDS[to]!.kind === 'internal') return undefined;
  const [first, list] = [originator ?? 0x0a00_0000 + r.from, [ROUTER, ...(clusters ?? [])]];
  return { ...kept, preference: preference ?? 100, originator: first, clusters: list };
}

type Operation =
  | { readonly do: 'announce'; peer: number; n: number; id: number; facts: Facts }
  | { readonly do: 'withdraw'; peer: number; n: number; id: number }
  | { readonly do: 'own'; n: number; there: boolean }
  | { readonly do: 'hop'; hop: number; metric: number }
  | { readonly do: 'flush' | 'tick' }
  | { readonly do: 'part'; limit: number }
  | { readonly do: 'take' | 'restart' | 'mark' | 'sweep'; peer: number };

interface Facts {
  readonly tail: readonly number[];
  readonly origin: number;
  readonly hop: number;
  readonly med: number | undefined;
  readonly preference: number;
  readonly originator: number | undefined;
  readonly clusters: readonly number[] | undefined;
}

const peer = fc.constantFrom(...PEERS);
const n = fc.nat(2);
const id = fc.integer({ min: 1, max: 2 });
const facts = fc.record({
  tail: fc.constantFrom<readonly number[]>([], [7], [7], [70_000], [70_000, 8], [LOCAL_AS]),
  origin: fc.constantFrom(0, 0, 0, 1, 2),
  hop: fc.constantFrom(1, 1, 1, 2, 3),
  med: fc.constantFrom(undefined, undefined, 0, 1, 2),
  preference: fc.constantFrom(100, 100, 100, 200),
  originator: fc.constantFrom(undefined, undefined, undefined, 0x0a00_0009, ROUTER),
  clusters: fc.constantFrom<readonly number[] | undefined>(undefined, undefined, undefined, [5], [5, 6], [ROUTER]),
});
const operations = fc.array(
  fc.oneof(
    { weight: 8, arbitrary: fc.record({ do: fc.constant('announce' as const), peer, n, id, facts }) },
    { weight: 3, arbitrary: fc.record({ do: fc.constant('withdraw' as const), peer, n, id }) },
    { weight: 1, arbitrary: fc.record({ do: fc.constant('own' as const), n, there: fc.boolean() }) },
    {
      weight: 1,
      arbitrary: fc.record({ do: fc.constant('hop' as const), hop: fc.integer({ min: 1, max: 3 }), metric: fc.nat(3) }),
    },
    { weight: 4, arbitrary: fc.record({ do: fc.constantFrom('flush' as const, 'tick' as const) }) },
    {
      weight: 3,
      arbitrary: fc.record({ do: fc.constantFrom('take' as const, 'take' as const, 'restart' as const), peer }),
    },
    { weight: 2, arbitrary: fc.record({ do: fc.constantFrom('mark' as const, 'sweep' as const), peer }) },
    { weight: 3, arbitrary: fc.record({ do: fc.constant('part' as const), limit: fc.integer({ min: 1, max: 3 }) }) },
  ),
  { maxLength: 60 },
);

class Scene {
  readonly #family: Family;
  readonly #rib: Rib;
  readonly #numbers = new Map<number, number>();
  readonly #readers = new Map<number, Reader>();
  readonly #heard = new Map<string, Heard>();
  /** Of those. */
  readonly #stale = new Set<string>();
  /** Metric of each next hop that is reached. */
  readonly #hops = new Map<string, number>();
  readonly #forwards = new Map<string, string>();
  #now = 0;

  constructor(family: Family) {
    this.#family = family;
    for (const hop of [1, 2, 3]) this.#hops.set(this.#hop(hop), hop > 1 ? 2 : 1);
    this.#rib = new Rib({
      localAs: LOCAL_AS,
      routerId: ROUTER,
      resolve: (to: Address) => {
        const metric = this.#hops.get(formatAddress(to));
        return { metric: metric ?? 0, usable: metric !== undefined, why: 'test' };
      },
    });
    for (const number of PEERS) this.#begin(number);
  }

  run(all: readonly Operation[]): void {
    for (const op of all) this.#perform(op);
    this.#flush();
    for (const number of PEERS) {
      while (this.#rib.hasOutput(this.#numbers.get(number)!)) this.#take(number);
      expect(this.#readers.get(number)!.told, `peer ${number}`).toEqual(this.#expected(number));
    }
    expect(Object.fromEntries(this.#forwards)).toEqual(this.#forwarded());
    for (const number of this.#numbers.values()) this.#rib.remove(number);
    for (let i = 0; i <= 2; i++) this.#rib.withdraw(this.#prefix(i));
    this.#flush();
    this.#rib.flush();
    expect([this.#rib.family(this.#family)!.table.count, this.#rib.store.count]).toEqual([0, 0]);
  }

  #perform(op: Operation): void {
    const prefix = 'n' in op ? this.#prefix(op.n) : undefined;
    switch (op.do) {
      case 'announce':
        return this.#announce(op.peer, op.n, this.#id(op.peer, op.id), op.facts);
      case 'withdraw': {
        const pathId = this.#id(op.peer, op.id);
        this.#say(op.peer, op.n, pathId, undefined);
        return this.#forget(`${op.n} ${op.peer} ${pathId}`);
      }
      case 'own':
        if (op.there) this.#rib.originate(prefix!, { why: 'test', med: 7 });
        else this.#rib.withdraw(prefix!);
        this.#heard.delete(`${op.n} 0 0`);
        if (op.there)
          this.#heard.set(`${op.n} 0 0`, { path: [], origin: 'igp', hop: '', med: 7, from: 0, id: 0, at: this.#now });
        return;
      case 'hop':
        if (op.metric === 0) this.#hops.delete(this.#hop(op.hop));
        else this.#hops.set(this.#hop(op.hop), op.metric);
        return this.#rib.nextHopsChanged();
      case 'flush':
        return this.#flush();
      case 'part':
        return this.#flush(op.limit);
      case 'tick':
        this.#now += 1000;
        return;
      case 'take':
        return this.#take(op.peer);
      case 'restart':
        this.#rib.remove(this.#numbers.get(op.peer)!);
        for (const [key, { from }] of this.#heard) if (from === op.peer) this.#forget(key);
        return this.#begin(op.peer);
      case 'mark':
        this.#rib.markStale(this.#numbers.get(op.peer)!, this.#family);
        for (const [key, { from }] of this.#heard) if (from === op.peer) this.#stale.add(key);
        return;
      case 'sweep':
        this.#rib.sweepStale(this.#numbers.get(op.peer)!, this.#family);
        for (const key of this.#stale) if (this.#heard.get(key)!.from === op.peer) this.#forget(key);
    }
  }

  #announce(from: number, n: number, pathId: number, f: Facts): void {
    const external = !isInternal(from);
    const route: Route = {
      path: external ? [KINDS[from]!.asn, ...f.tail] : f.tail,
      origin: (['igp', 'egp', 'incomplete'] as const)[f.origin]!,
      hop: this.#hop(f.hop),
      ...named('med', f.med),
      ...(external ? {} : { preference: f.preference }),
      ...(external ? {} : named('originator', f.originator)),
      ...(external ? {} : named('clusters', f.clusters)),
    };
    this.#say(from, n, pathId, route);
    const key = `${n} ${from} ${pathId}`;
    const old = this.#heard.get(key);
    // What says nothing new keeps its age.
    const at = old !== undefined && text(old) === text(route) ? old.at : this.#now;
    this.#heard.set(key, { ...route, from, id: pathId, at });
    this.#stale.delete(key);
  }

  #forget(key: string): void {
    this.#heard.delete(key);
    this.#stale.delete(key);
  }

  #say(from: number, n: number, pathId: number, route: Route | undefined): void {
    const nlri = { prefix: this.#prefix(n), ...(KINDS[from]!.paths === undefined ? {} : { pathId }) };
    const events = this.#rib.receive(this.#numbers.get(from)!, said(from, this.#family, nlri, route), this.#now);
    expect(events).toEqual([]);
  }

  #begin(number: number): void {
    this.#numbers.set(number, this.#rib.add(optionsOf(number, this.#family)));
    this.#readers.set(number, new Reader(number, this.#family));
  }

  #flush(limit?: number): void {
    this.#rib.flush(limit);
    for (const { prefix, nextHops } of this.#rib.takeRoutes(100)) {
      if (nextHops.length === 0) this.#forwards.delete(formatPrefix(prefix));
      else this.#forwards.set(formatPrefix(prefix), nextHops.map(formatAddress).join());
    }
  }

  #take(number: number): void {
    for (const octets of this.#rib.take(this.#numbers.get(number)!, 100)) this.#readers.get(number)!.read(octets);
  }

  /** What the model says that a peer is told. */
  #expected(to: number): string[] {
    const { paths } = KINDS[to]!;
    const out: string[] = [];
    for (let i = 0; i <= 2; i++) {
      let left = this.#of(i);
      for (let chosen = 0; chosen < (paths ?? 1); chosen++) {
        const next = best(left, this.#hops);
        if (next === undefined) break;
        left = left.filter((r) => r !== next);
        const route = exported(next, to, this.#family);
        if (route !== undefined) out.push(`${formatPrefix(this.#prefix(i))} ${text(route)}`);
      }
    }
    return out.sort();
  }

  #forwarded(): object {
    const routes = [0, 1, 2].map((i) => [formatPrefix(this.#prefix(i)), best(this.#of(i), this.#hops)?.hop ?? '']);
    return Object.fromEntries(routes.filter(([, hop]) => hop !== ''));
  }

  #of(n: number): Heard[] {
    return [...this.#heard].flatMap(([key, route]) => (key.startsWith(`${n} `) ? [route] : []));
  }

  #id(from: number, pathId: number): number {
    return KINDS[from]!.paths === undefined ? 0 : pathId;
  }

  #prefix(i: number) {
    return parsePrefix(this.#family === IPV4_UNICAST ? `198.51.${i}.0/24` : `2001:db8:${i}::/48`)!;
  }

  #hop(i: number): string {
    return this.#family === IPV4_UNICAST ? `10.9.0.${i}` : `2001:db8:9::${i}`;
  }
}

describe('peers of all kinds against a naive model', () => {
  it.each([
    ['IPv4', IPV4_UNICAST],
    ['IPv6', IPV6_UNICAST],
  ])(
    'RFC 4271 §9, RFC 4456 §8, RFC 6793 §4.2, RFC 7911 §2: %s: each is told what the model says, and FIB = RIB = model',
    (_, family) => {
      fc.assert(
        fc.property(operations, (all) => new Scene(family).run(all)),
        { numRuns: 400 },
      );
    },
  );
});
