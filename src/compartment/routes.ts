/**
 * The routing table of a compartment: every candidate for every prefix, and the FIB of those in use.
 *
 * Read first: RFC 1812 §5.2.4.3 (longest match, then preference), §5.3.5 (broadcasts), RFC 1122 §3.3.4.2 (weak host model),
 * RFC 2991 (several equal ways).
 * An interface address brings up to four entries: the address itself (`local`), the broadcasts of its network and the
 * connected route. Local and broadcast entries stand before every route and whatever the state of their interface, so
 * that a packet for this compartment never leaves it because a link is down.
 * Candidates of equal preference and metric share the flows, by the highest random weight: when one goes, the flows of the others
 * stay where they are. Connected routes do not share: a host is on one of the segments, not on all.
 * A discard route (RFC 4632 §5.1) is a candidate like others, always usable, and the last among equals; it shares with none.
 * Leaves to others: how a next hop is reached (nothing below IP is known here), policy, why routes come and go.
 * Limits: `limit` routes over all prefixes (connected routes count, and are never refused); EQUAL_WAYS of those that share.
 * Invariant: for each prefix the FIB holds the first usable candidate in the order of preference, metric and age, or nothing.
 */
import { invariant } from '../core/index.ts';
import {
  type Address,
  formatAddress,
  formatPrefix,
  lastOf,
  mixLast,
  mixWord,
  networkOf,
  type Prefix,
  PrefixTable,
  sameAddress,
} from '../ip/index.ts';
import { DISCARD, type Route, type RouteExplanation, type RouteOrigin, type RouteQuery } from './contract.ts';
import { Interface, MAX_MTU } from './interface.ts';

/** What happens to a packet whose destination an entry matches. */
export const ENTRY = { unicast: 0, local: 1, broadcast: 2, discard: 3 } as const;

/** Where discard routes lead: no interface of any compartment, always up, without addresses, and nothing is ever sent by it. */
export const DISCARDING = new Interface(DISCARD, { name: 'discard', kind: 'fabric', mtu: MAX_MTU, addresses: [] });

/** Routes that share the flows to one prefix: the oldest so many. */
export const EQUAL_WAYS = 16;

/** A route, or what an own address brings, whose route is made for whoever asks: most tables have little else. */
export class Entry {
  readonly kind: number;
  readonly out: Interface;
  readonly nextHop: Address | undefined;
  /** Lower is older. */
  readonly age: number;
  /** In the FIB, where several share the flows: all of them, this one first. `wayOf` chooses. */
  readonly among: readonly Entry[] | undefined;
  readonly #given: Route | Brought;

  constructor(kind: number, given: Route | Brought, out: Interface, age: number, among?: readonly Entry[]) {
    this.kind = kind;
    this.out = out;
    this.nextHop = 'origin' in given ? given.nextHop : undefined;
    this.age = age;
    this.among = among;
    this.#given = given;
  }

  get origin(): RouteOrigin {
    return 'origin' in this.#given ? this.#given.origin : 'connected';
  }

  get route(): Route {
    return 'origin' in this.#given ? this.#given : connectedRoute(this.#given, this.out);
  }

  sharedBy(among: readonly Entry[]): Entry {
    return new Entry(this.kind, this.#given, this.out, this.age, among);
  }
}

/** Whether it is what an own address brings beside its connected route. */
export const isOwn = ({ kind }: Entry): boolean => kind === ENTRY.local || kind === ENTRY.broadcast;

/** Of the entries that share the flows, the one of the flow with that hash. */
export function wayOf(among: readonly Entry[], hash: number): Entry {
  let chosen = among[0]!;
  let weight = weightOf(chosen, hash);
  for (let i = 1; i < among.length; i++) {
    const other = weightOf(among[i]!, hash);
    if (other <= weight) continue;
    chosen = among[i]!;
    weight = other;
  }
  return chosen;
}

export class RoutingTable {
  /** Looked up for every packet; written here only. */
  readonly fib = new PrefixTable<Entry>();
  /** In the order of election; never an empty list. A prefix whose one candidate is in the FIB is not here. */
  readonly #contended = new PrefixTable<readonly Entry[]>();
  /** The prefixes of routes that are not BGP's: they are asked for often, and are few where BGP has many. */
  readonly #configured = new PrefixTable<Prefix>();
  readonly #limit: number;
  #size = 0;
  #age = 0;

  constructor(limit: number) {
    this.#limit = limit;
  }

  /** Over all prefixes, in use or not; own addresses are none. */
  get size(): number {
    return this.#size;
  }

  /** False when the table is full. A route of the same prefix, interface, next hop and origin is replaced and keeps its age. */
  add(route: Route, out: Interface): boolean {
    invariant(route.preference >= CONNECTED_PREFERENCE, 'no route goes before the own addresses');
    const candidates = this.#candidatesOf(route.prefix);
    const replaces = candidates.some((e) => isSame(e, route));
    if (!replaces && this.#size >= this.#limit) return false;
    const prefix = networkPrefix(route.prefix);
    const kind = out === DISCARDING ? ENTRY.discard : ENTRY.unicast;
    this.#insert(prefix, kind, prefix === route.prefix ? route : { ...route, prefix }, out);
    return true;
  }

  /** False when there is no such route. Without a next hop those of all next hops. */
  remove(prefix: Prefix, interfaceNumber: number, origin: RouteOrigin, nextHop?: Address): boolean {
    return this.#discard(
      prefix,
      (entry) =>
        isRoute(entry, interfaceNumber, origin) && (nextHop === undefined || isSameHop(entry.nextHop, nextHop)),
    );
  }

  /** Enters what the addresses of an interface bring. */
  connect(out: Interface): void {
    for (const own of out.addresses) {
      for (const brought of broughtBy(own)) this.#insert(prefixOf(brought), KINDS[brought.as], brought, out);
    }
  }

  /** Removes everything that leaves by an interface or belongs to it. */
  disconnect(out: Interface): void {
    for (const prefix of this.#prefixesBy(out)) this.#discard(prefix, (entry) => entry.out === out);
  }

  /** Elects again after an interface went up or down. */
  refresh(out: Interface): void {
    for (const prefix of this.#prefixesBy(out)) this.#settle(prefix, this.#candidatesOf(prefix));
  }

  /** Routes in use or not, by prefix and then in the order of election. */
  routes({ prefix, within, origins, offset = 0, limit = Number.POSITIVE_INFINITY }: RouteQuery = {}): Route[] {
    const found: Route[] = [];
    let seen = 0;
    const take = (entry: Entry): boolean => {
      if (isOwn(entry) || origins?.includes(entry.origin) === false) return true;
      seen += 1;
      if (seen > offset) found.push(entry.route);
      return found.length < limit;
    };
    if (prefix !== undefined) this.#candidatesOf(prefix).every(take);
    else if (origins?.includes('bgp') !== false) this.#each(within, take);
    else this.#configured.beside(NOTHING, within, (each) => this.#candidatesOf(each!).every(take));
    return found;
  }

  /** `hash`: of the flow that is asked about. */
  explain(address: Address, hash?: number): RouteExplanation {
    const passedOver: { route: Route; why: string }[] = [];
    for (const value of this.#covering(address)) {
      const among = electedOf(value);
      for (const entry of value) {
        if (!isOwn(entry) && !among.includes(entry)) {
          passedOver.push({ route: entry.route, why: whyNot(entry, among[0]) });
        }
      }
      if (among.length === 0) continue;
      const chosen = hash === undefined ? among[0]! : wayOf(among, hash);
      if (among.length === 1) return { chosen: chosen.route, why: whyChosen(chosen, address), passedOver };
      const why = whyAmong(chosen, among, hash !== undefined);
      return { chosen: chosen.route, among: among.map(({ route }) => route), why, passedOver };
    }
    const but = passedOver.length === 0 ? '' : ' whose interface is up';
    return { chosen: undefined, why: `no route to ${formatAddress(address)}${but}`, passedOver };
  }

  /** Of the longest match that has one: the first usable route of another origin. Own addresses are no routes. */
  routeWithout(origin: RouteOrigin, address: Address): Route | undefined {
    for (const candidates of this.#covering(address)) {
      const first = candidates.find((entry) => usable(entry) && entry.origin !== origin);
      if (first !== undefined) return isOwn(first) ? undefined : first.route;
    }
    return undefined;
  }

  #candidatesOf(prefix: Prefix): readonly Entry[] {
    const contended = this.#contended.exact(prefix);
    if (contended !== undefined) return contended;
    const only = this.fib.exact(prefix);
    return only === undefined ? [] : [only];
  }

  /** Every candidate, until `take` is false: IPv4 first, then by address, shorter prefixes before those they contain. */
  #each(within: Prefix | undefined, take: (entry: Entry) => boolean): void {
    this.fib.beside(this.#contended, within, (only, contended) => contended?.every(take) ?? take(only!));
  }

  /** Those with something that leaves by an interface or belongs to it. */
  #prefixesBy(out: Interface): readonly Prefix[] {
    const found: Prefix[] = [];
    this.#each(undefined, (entry) => {
      if (entry.out === out) found.push(entry.route.prefix);
      return true;
    });
    return found;
  }

  /** The candidates of every prefix that contains the address, longest first. */
  #covering(address: Address): (readonly Entry[])[] {
    const byLength = new Map<number, readonly Entry[]>();
    for (const { prefix, value } of this.fib.covering(address)) byLength.set(prefix.length, [value]);
    for (const { prefix, value } of this.#contended.covering(address)) byLength.set(prefix.length, value);
    return [...byLength].sort(([a], [b]) => b - a).map(([, value]) => value);
  }

  #insert(prefix: Prefix, kind: number, given: Route | Brought, out: Interface): void {
    const candidates = this.#candidatesOf(prefix);
    const replaced = 'origin' in given ? candidates.find((e) => isSame(e, given)) : undefined;
    if (replaced === undefined && kind !== ENTRY.local && kind !== ENTRY.broadcast) this.#size += 1;
    this.#age += 1;
    const entry = new Entry(kind, given, out, replaced?.age ?? this.#age);
    this.#settle(prefix, [...candidates.filter((e) => e !== replaced), entry].sort(byElection));
  }

  #discard(prefix: Prefix, condemned: (entry: Entry) => boolean): boolean {
    const candidates = this.#candidatesOf(prefix);
    const kept = candidates.filter((entry) => !condemned(entry));
    if (kept.length === candidates.length) return false;
    this.#size -= candidates.filter(isNotOwn).length - kept.filter(isNotOwn).length;
    this.#settle(prefix, kept);
    return true;
  }

  /** Elects among the candidates of a prefix, which are in order. */
  #settle(prefix: Prefix, candidates: readonly Entry[]): void {
    const among = electedOf(candidates);
    const winner = among[0];
    if (candidates.length > 1 || (candidates.length === 1 && winner === undefined)) {
      this.#contended.insert(prefix, candidates);
    } else this.#contended.remove(prefix);
    if (candidates.some((entry) => !isOwn(entry) && entry.origin !== 'bgp')) this.#configured.insert(prefix, prefix);
    else this.#configured.remove(prefix);
    if (winner === undefined) this.fib.remove(prefix);
    else this.fib.insert(prefix, among.length === 1 ? winner : winner.sharedBy(among));
  }
}

const NOTHING = new PrefixTable<never>();

/** The first usable candidate and those that share the flows with it; none when none is usable. */
function electedOf(candidates: readonly Entry[]): readonly Entry[] {
  const winner = candidates.find(usable);
  if (winner === undefined) return [];
  if (!mayShare(winner)) return [winner];
  return candidates.filter((entry) => usable(entry) && mayShare(entry) && isEqual(entry, winner)).slice(0, EQUAL_WAYS);
}

/** Local before broadcast before connected; all before what people and protocols configure. */
const LOCAL_PREFERENCE = -2;
const BROADCAST_PREFERENCE = -1;
const CONNECTED_PREFERENCE = 0;

const isNotOwn = (entry: Entry): boolean => !isOwn(entry);

const usable = (entry: Entry): boolean => entry.out.up || isOwn(entry);

const isRoute = (entry: Entry, interfaceNumber: number, origin: RouteOrigin): boolean =>
  !isOwn(entry) && entry.out.number === interfaceNumber && entry.origin === origin;

const isSame = (entry: Entry, route: Route): boolean =>
  isRoute(entry, route.interface, route.origin) && isSameHop(entry.nextHop, route.nextHop);

const isSameHop = (a: Address | undefined, b: Address | undefined): boolean =>
  a === undefined || b === undefined ? a === b : sameAddress(a, b);

const mayShare = (entry: Entry): boolean => entry.kind === ENTRY.unicast && entry.origin !== 'connected';

const isDiscard = ({ kind }: Entry): boolean => kind === ENTRY.discard;

const metricOf = ({ route }: Entry): number => route.metric ?? 0;

const isEqual = (a: Entry, b: Entry): boolean =>
  a.route.preference === b.route.preference && metricOf(a) === metricOf(b);

/** The age tells entries apart for as long as they are there. */
const weightOf = (entry: Entry, hash: number): number => mixLast(mixWord(hash, entry.age));

/** The same one where it has no host bits. */
function networkPrefix(prefix: Prefix): Prefix {
  const address = networkOf(prefix);
  return sameAddress(address, prefix.address) ? prefix : { address, length: prefix.length };
}

const byElection = (a: Entry, b: Entry): number =>
  a.route.preference - b.route.preference ||
  metricOf(a) - metricOf(b) ||
  Number(isDiscard(a)) - Number(isDiscard(b)) ||
  a.age - b.age;

/** What an own address brings. */
interface Brought {
  readonly own: Prefix;
  readonly as: 'local' | 'network' | 'first' | 'last';
}

const KINDS = { local: ENTRY.local, network: ENTRY.unicast, first: ENTRY.broadcast, last: ENTRY.broadcast } as const;

const PREFERENCES = [CONNECTED_PREFERENCE, LOCAL_PREFERENCE, BROADCAST_PREFERENCE] as const;

function broughtBy(own: Prefix): readonly Brought[] {
  const width = own.address.length * 8;
  const local = { own, as: 'local' } as const;
  if (own.length === width) return [local];
  const network = { own, as: 'network' } as const;
  // RFC 1812 §5.3.5: host bits all one, and all zero in the obsolete form; RFC 3021: a /31 has neither.
  if (width === 128 || own.length === 31) return [local, network];
  return [local, network, { own, as: 'last' }, { own, as: 'first' }];
}

function prefixOf({ own, as }: Brought): Prefix {
  if (as === 'network') return networkPrefix(own);
  const address = as === 'local' ? own.address : as === 'first' ? networkOf(own) : lastOf(own);
  return { address, length: own.address.length * 8 };
}

function connectedRoute(brought: Brought, out: Interface): Route {
  const why = `address ${formatPrefix(brought.own)} of ${out.name}`;
  const preference = PREFERENCES[KINDS[brought.as]];
  return { prefix: prefixOf(brought), interface: out.number, origin: 'connected', preference, why };
}

function whyChosen(entry: Entry, address: Address): string {
  const { kind, route } = entry;
  const text = formatAddress(address);
  if (kind === ENTRY.local) return `${text} is this compartment's own: ${route.why}`;
  if (kind === ENTRY.broadcast) return `${text} is a broadcast address, not routed: ${route.why}`;
  if (kind === ENTRY.discard) return `${formatPrefix(route.prefix)} is discarded: ${route.why}`;
  return `${formatPrefix(route.prefix)} leaves by ${wayInWords(entry)}: ${route.why}`;
}

function whyAmong(chosen: Entry, among: readonly Entry[], byFlow: boolean): string {
  const ways = among.map(wayInWords).join(', ');
  const prefix = formatPrefix(chosen.route.prefix);
  if (!byFlow) return `${prefix} leaves by ${among.length} equal ways, each flow by one of them: ${ways}`;
  return `${prefix} leaves by ${wayInWords(chosen)}, the way of this flow among ${among.length} (${ways}): ${chosen.route.why}`;
}

const wayInWords = ({ out, nextHop }: Entry): string =>
  nextHop === undefined ? out.name : `${out.name} to ${formatAddress(nextHop)}`;

function whyNot(entry: Entry, chosen: Entry | undefined): string {
  if (chosen === undefined || !usable(entry)) return `interface ${entry.out.name} is down`;
  if (isOwn(chosen)) return `${chosen.route.why} goes before every route`;
  const { preference } = entry.route;
  const winner = isDiscard(chosen) ? 'the discard route' : `the route by ${wayInWords(chosen)}`;
  if (preference !== chosen.route.preference)
    return `preference ${preference}, ${winner} has ${chosen.route.preference}`;
  const metric = metricOf(entry);
  if (metric !== metricOf(chosen)) return `metric ${metric}, ${winner} has ${metricOf(chosen)}`;
  if (isDiscard(entry) && !isDiscard(chosen)) return `a discard route gives way to ${winner}, its equal`;
  if (mayShare(entry) && mayShare(chosen)) return `${EQUAL_WAYS} equal routes that were there before share the flows`;
  return `same preference ${preference} as ${winner}, which was there before`;
}
