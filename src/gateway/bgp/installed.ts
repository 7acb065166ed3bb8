/**
 * The routes that BGP has in a compartment, and the ways its next hops are reached by.
 *
 * Read first: RFC 4271 §9.1.2.1. A next hop is looked up among routes that are not BGP's own. On a point-to-point interface (a tunnel, a TUN)
 * it means no more than the interface; on a segment it is who forwards, or whom the route to it names. What would be discarded on its way
 * there cannot be reached; nor can, in compartment 1, what is behind a link: no router outside says what goes to a tenant.
 * RFC 4632 §5.1: what an aggregate of ours matches and nothing longer does is discarded.
 * What a full table refuses is known, and tried again by `settle`.
 */
import type { Resolution } from '../../bgp/index.ts';
import { DISCARD, type InterfaceKind, type Route } from '../../compartment/index.ts';
import { type Address, formatAddress, formatPrefix, type Prefix } from '../../ip/index.ts';
import type { Tenant } from '../tenant.ts';

interface Entry {
  readonly prefix: Prefix;
  readonly nextHops: readonly Address[];
  /** It has no next hops, and is a discard route. */
  readonly discard: boolean;
  readonly preference: number;
  readonly why: string;
  routes: readonly Route[];
}

/** What is asked of a tenant. */
export type Placing = Pick<Tenant, 'number' | 'compartment' | 'command'>;

/** How a next hop is reached. */
interface Way {
  /** What a route by it says of its way. */
  readonly out: { readonly interface: number; readonly nextHop?: Address };
  readonly text: string;
}

interface Hop {
  readonly address: Address;
  /** Prefixes that have it. */
  users: number;
  way: Way | undefined;
}

export class Installed {
  readonly #tenant: Placing;
  readonly #entries = new Map<string, Entry>();
  /** How the next hops of routes are reached, by their text. */
  readonly #hops = new Map<string, Hop>();
  /** Next hops that are reached otherwise, and whose routes may not know it yet. */
  readonly #moved = new Set<string>();

  /** Prefixes of which the table, which is full, has refused a route. */
  readonly #refused = new Set<string>();
  #full = false;

  constructor(tenant: Placing) {
    this.#tenant = tenant;
  }

  get size(): number {
    return this.#entries.size;
  }

  /** Prefixes that are not all in the table, because it is full. */
  get refused(): number {
    return this.#refused.size;
  }

  /** After changes: what was refused is tried again. The answer is what is to be said: that the table is full, or has room for all again. */
  settle(): 'full' | 'fits' | undefined {
    for (const text of this.#refused) {
      const entry = this.#entries.get(text)!;
      this.#replace(entry, entry.routes);
      if (this.#refused.has(text)) break;
    }
    const full = this.#refused.size > 0;
    if (full === this.#full) return undefined;
    this.#full = full;
    return full ? 'full' : 'fits';
  }

  /** The best route to an address that BGP has not made. */
  routeTo(address: Address): Route | undefined {
    return this.#tenant.compartment.routeWithout('bgp', address);
  }

  resolve(address: Address): Resolution {
    const route = this.routeTo(address);
    if (route === undefined) return { metric: 0, usable: false, why: `no route to ${formatAddress(address)}` };
    if (route.interface === DISCARD)
      return { metric: 0, usable: false, why: `${formatPrefix(route.prefix)} is discarded` };
    if (this.#leadsIntoTenant(route))
      return { metric: 0, usable: false, why: `${formatPrefix(route.prefix)} is a tenant's` };
    // The metric of a connection says which of two with one route stands by, and no distance.
    const metric = route.origin === 'static' ? (route.metric ?? 0) : 0;
    return { metric, usable: true, why: route.why };
  }

  /** Makes the routes of a prefix exactly these; none: it goes. */
  set(prefix: Prefix, nextHops: readonly Address[], preference: number, why: string): void {
    this.#set({ prefix, nextHops, discard: false, preference, why, routes: [] });
  }

  /** Makes the one route of a prefix a discard route. */
  discard(prefix: Prefix, preference: number, why: string): void {
    this.#set({ prefix, nextHops: [], discard: true, preference, why, routes: [] });
  }

  #set(entry: Entry): void {
    const { prefix, nextHops } = entry;
    const text = formatPrefix(prefix);
    const before = this.#entries.get(text);
    for (const hop of nextHops) this.#hold(hop);
    if (nextHops.length === 0 && !entry.discard) this.#entries.delete(text);
    else this.#entries.set(text, entry);
    this.#replace(entry, before?.routes ?? []);
    for (const hop of before?.nextHops ?? []) this.#letGo(hop);
  }

  /** Next hops may be reached otherwise: `resolve` says so from here on, routes follow with `reinstall`. */
  reconsider(): void {
    for (const [text, hop] of this.#hops) {
      const way = this.#wayTo(hop.address);
      if (way?.text !== hop.way?.text) this.#moved.add(text);
      hop.way = way;
    }
  }

  /** After `reconsider`, and what the tables have made of it. */
  reinstall(): void {
    if (this.#moved.size === 0) return;
    for (const entry of this.#entries.values())
      if (entry.nextHops.some((hop) => this.#moved.has(formatAddress(hop)))) this.#replace(entry, entry.routes);
    this.#moved.clear();
  }

  clear(): void {
    for (const entry of this.#entries.values()) this.#replace({ ...entry, nextHops: [], discard: false }, entry.routes);
    this.#entries.clear();
    this.#refused.clear();
    this.#hops.clear();
  }

  #replace(entry: Entry, before: readonly Route[]): void {
    const { number: compartment } = this.#tenant;
    const wanted = new Map<string, Route>();
    const ways = entry.discard ? [NOWHERE] : entry.nextHops.map((hop) => this.#hops.get(formatAddress(hop))?.way);
    for (const way of ways) {
      if (way === undefined) continue;
      const { prefix, preference, why } = entry;
      wanted.set(way.text, { prefix, ...way.out, origin: 'bgp', preference, why });
    }
    for (const route of before) {
      const again = wanted.get(wayText(route));
      if (again !== undefined) continue;
      const { prefix, interface: out, origin, nextHop } = route;
      const gone = { do: 'remove-route', compartment, prefix, interface: out, origin } as const;
      this.#tenant.command(nextHop === undefined ? gone : { ...gone, nextHop });
    }
    let refused = false;
    const had = new Map(before.map((route) => [wayText(route), route]));
    for (const [text, route] of wanted) {
      const same = had.get(text);
      if (same?.preference === route.preference && same.why === route.why) continue;
      if (this.#add(route)) continue;
      refused = true;
      wanted.delete(text);
    }
    entry.routes = [...wanted.values()];
    if (refused) this.#refused.add(formatPrefix(entry.prefix));
    else if (this.#refused.size > 0) this.#refused.delete(formatPrefix(entry.prefix));
  }

  #add(route: Route): boolean {
    const { number: compartment, compartment: table } = this.#tenant;
    const { routesRefused } = table.counters;
    this.#tenant.command({ do: 'add-route', compartment, route });
    return table.counters.routesRefused === routesRefused;
  }

  #hold(address: Address): void {
    const text = formatAddress(address);
    const hop = this.#hops.get(text);
    if (hop === undefined) this.#hops.set(text, { address, users: 1, way: this.#wayTo(address) });
    else hop.users += 1;
  }

  #letGo(address: Address): void {
    const text = formatAddress(address);
    const hop = this.#hops.get(text)!;
    hop.users -= 1;
    if (hop.users === 0) this.#hops.delete(text);
  }

  #wayTo(address: Address): Way | undefined {
    const by = this.routeTo(address);
    if (by === undefined || by.interface === DISCARD || this.#leadsIntoTenant(by)) return undefined;
    const nextHop = this.#forwarder(by, address);
    const out = nextHop === undefined ? { interface: by.interface } : { interface: by.interface, nextHop };
    return { out, text: wayText(out) };
  }

  #leadsIntoTenant(route: Route): boolean {
    return this.#tenant.number === FIRST_COMPARTMENT && this.#kindOf(route) === 'link';
  }

  #kindOf(route: Route): InterfaceKind | undefined {
    return this.#tenant.compartment.interfaces().find(({ number }) => number === route.interface)?.kind;
  }

  /** Who takes packets on the interface of the way: nobody by name on a point-to-point one. */
  #forwarder(by: Route, hop: Address): Address | undefined {
    const kind = this.#kindOf(by);
    if (kind === 'tun' || kind === 'connection' || kind === 'link') return undefined;
    const named = by.nextHop ?? hop;
    // RFC 8950: an IPv6 next hop of an IPv4 route is resolved by its own route only.
    return named.length === by.prefix.address.length ? named : undefined;
  }
}

/** Whose links lead into tenants. */
const FIRST_COMPARTMENT = 1;

const wayText = ({ interface: out, nextHop }: Way['out']): string =>
  `${out} ${nextHop === undefined ? '' : formatAddress(nextHop)}`;

const NOWHERE: Way = { out: { interface: DISCARD }, text: wayText({ interface: DISCARD }) };
