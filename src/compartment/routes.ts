/**
 * The routing table of a compartment: every candidate for every prefix, and the FIB of those in use.
 *
 * Read first: RFC 1812 §5.2.4.3 (longest match, then preference), §5.3.5 (broadcasts), RFC 1122 §3.3.4.2 (weak host model).
 * An interface address brings up to four entries: the address itself (`local`), the broadcasts of its network and the
 * connected route. Local and broadcast entries stand before every route and whatever the state of their interface, so
 * that a packet for this compartment never leaves it because a link is down.
 * Leaves to others: next hops on a segment (nothing below IP is known here), policy, why routes come and go.
 * Limit: `limit` routes over all prefixes. Connected routes count, and are never refused.
 * Invariant: for each prefix the FIB holds the first usable candidate in the order of preference and age, or nothing.
 */
import { invariant } from '../core/index.ts';
import { type Address, formatAddress, formatPrefix, lastOf, networkOf, type Prefix, PrefixTable } from '../ip/index.ts';
import type { Route, RouteExplanation, RouteOrigin } from './contract.ts';
import type { Interface } from './interface.ts';

/** What happens to a packet whose destination an entry matches. */
export const ENTRY = { unicast: 0, local: 1, broadcast: 2 } as const;

export interface Entry {
  readonly kind: number;
  readonly route: Route;
  readonly out: Interface;
  /** Lower is older. */
  readonly age: number;
}

export class RoutingTable {
  /** Looked up for every packet; written here only. */
  readonly fib = new PrefixTable<Entry>();
  /** In the order of election; never an empty list. */
  readonly #candidates = new PrefixTable<readonly Entry[]>();
  readonly #limit: number;
  #size = 0;
  #age = 0;

  constructor(limit: number) {
    this.#limit = limit;
  }

  /** False when the table is full. A route of the same prefix, interface and origin is replaced and keeps its age. */
  add(route: Route, out: Interface): boolean {
    invariant(route.preference >= CONNECTED_PREFERENCE, 'no route goes before the own addresses');
    const candidates = this.#candidates.exact(route.prefix) ?? [];
    const replaces = candidates.some((e) => isRoute(e, route.interface, route.origin));
    if (!replaces && this.#size >= this.#limit) return false;
    this.#insert(ENTRY.unicast, { ...route, prefix: networkPrefix(route.prefix) }, out);
    return true;
  }

  /** False when there is no such route. */
  remove(prefix: Prefix, interfaceNumber: number, origin: RouteOrigin): boolean {
    return this.#discard(prefix, (entry) => isRoute(entry, interfaceNumber, origin));
  }

  /** Enters what the addresses of an interface bring. */
  connect(out: Interface): void {
    for (const own of out.addresses) {
      for (const [kind, route] of routesOf(own, out)) this.#insert(kind, route, out);
    }
  }

  /** Removes everything that leaves by an interface or belongs to it. */
  disconnect(out: Interface): void {
    for (const { prefix } of [...this.#candidates]) this.#discard(prefix, (entry) => entry.out === out);
  }

  /** Elects again after an interface went up or down. */
  refresh(out: Interface): void {
    for (const { prefix, value } of this.#candidates) {
      if (value.some((entry) => entry.out === out)) this.#elect(prefix, value);
    }
  }

  /** Every route, in use or not, by prefix and then in the order of election. */
  routes(): Route[] {
    return [...this.#candidates].flatMap(({ value }) => value.filter(isUnicast).map((entry) => entry.route));
  }

  explain(address: Address): RouteExplanation {
    const passedOver: { route: Route; why: string }[] = [];
    for (const { value } of this.#candidates.covering(address)) {
      const chosen = value.find(usable);
      for (const entry of value) {
        if (entry !== chosen && isUnicast(entry)) passedOver.push({ route: entry.route, why: whyNot(entry, chosen) });
      }
      if (chosen !== undefined) return { chosen: chosen.route, why: whyChosen(chosen, address), passedOver };
    }
    const but = passedOver.length === 0 ? '' : ' whose interface is up';
    return { chosen: undefined, why: `no route to ${formatAddress(address)}${but}`, passedOver };
  }

  #insert(kind: number, route: Route, out: Interface): void {
    const { prefix, interface: number, origin } = route;
    const candidates = this.#candidates.exact(prefix) ?? [];
    const replaced = kind === ENTRY.unicast ? candidates.find((e) => isRoute(e, number, origin)) : undefined;
    if (replaced === undefined && kind === ENTRY.unicast) this.#size += 1;
    this.#age += 1;
    const entry = { kind, route, out, age: replaced?.age ?? this.#age };
    const ordered = [...candidates.filter((e) => e !== replaced), entry].sort(byElection);
    this.#candidates.insert(prefix, ordered);
    this.#elect(prefix, ordered);
  }

  #discard(prefix: Prefix, condemned: (entry: Entry) => boolean): boolean {
    const candidates = this.#candidates.exact(prefix) ?? [];
    const kept = candidates.filter((entry) => !condemned(entry));
    if (kept.length === candidates.length) return false;
    this.#size -= candidates.filter(isUnicast).length - kept.filter(isUnicast).length;
    if (kept.length === 0) this.#candidates.remove(prefix);
    else this.#candidates.insert(prefix, kept);
    this.#elect(prefix, kept);
    return true;
  }

  #elect(prefix: Prefix, candidates: readonly Entry[]): void {
    const winner = candidates.find(usable);
    if (winner === undefined) this.fib.remove(prefix);
    else this.fib.insert(prefix, winner);
  }
}

/** Local before broadcast before connected; all before what people and protocols configure. */
const LOCAL_PREFERENCE = -2;
const BROADCAST_PREFERENCE = -1;
const CONNECTED_PREFERENCE = 0;

const isUnicast = (entry: Entry): boolean => entry.kind === ENTRY.unicast;

const usable = (entry: Entry): boolean => entry.out.up || !isUnicast(entry);

const isRoute = (entry: Entry, interfaceNumber: number, origin: RouteOrigin): boolean =>
  isUnicast(entry) && entry.route.interface === interfaceNumber && entry.route.origin === origin;

const networkPrefix = (prefix: Prefix): Prefix => ({ address: networkOf(prefix), length: prefix.length });

const byElection = (a: Entry, b: Entry): number => a.route.preference - b.route.preference || a.age - b.age;

/** What an interface address brings: entries of a kind, each with its route. */
function routesOf(own: Prefix, out: Interface): (readonly [kind: number, route: Route])[] {
  const width = own.address.length * 8;
  const why = `address ${formatPrefix(own)} of ${out.name}`;
  const connected = (preference: number, prefix: Prefix): Route => {
    return { prefix, interface: out.number, origin: 'connected', preference, why };
  };
  const host = (address: Address): Prefix => ({ address, length: width });
  const local = [ENTRY.local, connected(LOCAL_PREFERENCE, host(own.address))] as const;
  if (own.length === width) return [local];
  const network = [ENTRY.unicast, connected(CONNECTED_PREFERENCE, networkPrefix(own))] as const;
  // RFC 1812 §5.3.5: host bits all one, and all zero in the obsolete form; RFC 3021: a /31 has neither.
  if (width === 128 || own.length === 31) return [local, network];
  const broadcasts = [lastOf(own), networkOf(own)].map(
    (address) => [ENTRY.broadcast, connected(BROADCAST_PREFERENCE, host(address))] as const,
  );
  return [local, network, ...broadcasts];
}

function whyChosen({ kind, route, out }: Entry, address: Address): string {
  const text = formatAddress(address);
  if (kind === ENTRY.local) return `${text} is this compartment's own: ${route.why}`;
  if (kind === ENTRY.broadcast) return `${text} is a broadcast address, not routed: ${route.why}`;
  return `${formatPrefix(route.prefix)} leaves by ${out.name}: ${route.why}`;
}

function whyNot(entry: Entry, chosen: Entry | undefined): string {
  if (chosen === undefined || !usable(entry)) return `interface ${entry.out.name} is down`;
  if (!isUnicast(chosen)) return `${chosen.route.why} goes before every route`;
  const { preference } = entry.route;
  return preference === chosen.route.preference
    ? `same preference ${preference} as the route by ${chosen.out.name}, which was there before`
    : `preference ${preference}, the route by ${chosen.out.name} has ${chosen.route.preference}`;
}
