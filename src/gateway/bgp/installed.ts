/**
 * The routes that BGP has in a compartment, and the ways its next hops are reached by.
 *
 * Read first: RFC 4271 §9.1.2.1. A next hop is looked up among routes that are not BGP's own. On a point-to-point interface (a tunnel, a TUN)
 * it means no more than the interface; on a segment it is who forwards, or whom the route to it names. What would be discarded on its way
 * there cannot be reached; nor can, in compartment 1, what is behind a link: no router outside says what goes to a tenant.
 * RFC 4632 §5.1: what an aggregate of ours matches and nothing longer does is discarded.
 * A prefix is known by its row in the tables: here it is two entries of a list, its plan (`plans.ts`) and its octets, which its routes share.
 * What a full table refuses is known, and tried again. What concerns many prefixes at once, a way that is another or room in a table that was
 * full, is done in parts (`proceed`), so that nobody else waits for all of it.
 */
import type { Resolution } from '../../bgp/index.ts';
import { DISCARD, type InterfaceKind, type Route } from '../../compartment/index.ts';
import { type Address, formatAddress, formatPrefix, type Prefix } from '../../ip/index.ts';
import type { Tenant } from '../tenant.ts';
import { DISCARDED, latest, NOTHING, newWay, type Plan, Plans, type Way } from './plans.ts';

/** What is asked of a tenant. */
export type Placing = Pick<Tenant, 'number' | 'compartment' | 'command'>;

/** Of one family, by row. */
interface Rows {
  readonly plans: Plan[];
  readonly prefixes: (Prefix | undefined)[];
}

export class Installed {
  readonly #tenant: Placing;
  readonly #plans = new Plans((address) => this.#wayTo(address));
  readonly #rows4: Rows = { plans: [], prefixes: [] };
  readonly #rows6: Rows = { plans: [], prefixes: [] };
  #size = 0;
  /** How far plans have given way to their successors: this row of IPv4 is next, then those of IPv6. */
  #next: { rows: Rows; row: number } | undefined;

  /** Prefixes of which the table, which is full, has refused a route: the ways it has none by. */
  readonly #refused = new Map<Prefix, { readonly rows: Rows; readonly row: number; readonly ways: Set<Way> }>();
  #full = false;
  /** There is room again, and it is not known yet for how many. */
  #retries = false;

  constructor(tenant: Placing) {
    this.#tenant = tenant;
  }

  get size(): number {
    return this.#size;
  }

  /** Prefixes that are not all in the table, because it is full. */
  get refused(): number {
    return this.#refused.size;
  }

  /** `proceed` has something to do. */
  get owes(): boolean {
    return this.#next !== undefined || this.#retries;
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

  /** Makes the routes of a prefix exactly these; none: it goes, and its row may be another's. */
  set(row: number, prefix: Prefix, nextHops: readonly Address[], preference: number, why: string): void {
    this.#set(row, prefix, nextHops.length === 0 ? NOTHING : this.#plans.take(nextHops, preference, why));
  }

  /** Makes the one route of a prefix a discard route. */
  discard(row: number, prefix: Prefix, preference: number, why: string): void {
    this.#set(row, prefix, this.#plans.take(DISCARDED, preference, why));
  }

  /** Next hops may be reached otherwise: `resolve` says so from here on, routes follow with `proceed`. */
  reconsider(): void {
    if (this.#plans.reconsider()) this.#next = { rows: this.#rows4, row: 0 };
  }

  /** After changes: what was refused is tried again. The answer is what is to be said: that the table is full, or has room for all again. */
  settle(limit: number = Number.POSITIVE_INFINITY): 'full' | 'fits' | undefined {
    this.#retries = this.#refused.size > 0 && this.#retry(limit);
    const full = this.#refused.size > 0;
    if (full === this.#full) return undefined;
    this.#full = full;
    return full ? 'full' : 'fits';
  }

  /** After `reconsider`, and what the tables have made of it: at most so many prefixes get the routes that they are to have now. */
  proceed(limit: number): void {
    // Most prefixes have nothing to do with the ways that have changed.
    for (let looks = LOOKS * limit, left = limit; this.#next !== undefined && looks > 0 && left > 0; looks--) {
      const { rows, row } = this.#next;
      if (row < rows.plans.length) {
        this.#next.row += 1;
        if (this.#follow(rows, row)) left -= 1;
      } else this.#next = rows === this.#rows4 ? { rows: this.#rows6, row: 0 } : undefined;
    }
  }

  clear(): void {
    for (const { prefixes } of [this.#rows4, this.#rows6])
      for (const [row, prefix] of prefixes.entries()) if (prefix !== undefined) this.#set(row, prefix, NOTHING);
    this.#next = undefined;
    this.#retries = false;
  }

  #set(row: number, prefix: Prefix, plan: Plan): void {
    const rows = prefix.address.length === 4 ? this.#rows4 : this.#rows6;
    while (rows.plans.length <= row) {
      rows.plans.push(NOTHING);
      rows.prefixes.push(undefined);
    }
    const before = rows.plans[row]!;
    const known = rows.prefixes[row] ?? prefix;
    rows.plans[row] = plan;
    rows.prefixes[row] = plan === NOTHING ? undefined : known;
    this.#size += Number(plan !== NOTHING) - Number(before !== NOTHING);
    this.#replace(rows, row, known, before, plan);
    this.#plans.drop(before);
  }

  /** Whether its plan had a successor. */
  #follow(rows: Rows, row: number): boolean {
    const before = rows.plans[row]!;
    if (before.successor === undefined) return false;
    this.#renew(rows, row, rows.prefixes[row]!);
    return true;
  }

  #renew(rows: Rows, row: number, prefix: Prefix): void {
    const before = rows.plans[row]!;
    const plan = latest(before);
    rows.plans[row] = plan;
    this.#replace(rows, row, prefix, before, plan);
  }

  #replace(rows: Rows, row: number, prefix: Prefix, before: Plan, after: Plan): void {
    const lacks = this.#refused.get(prefix);
    const isIn = (way: Way): boolean => lacks === undefined || !has(lacks.ways, way);
    for (const way of before.ways) if (isIn(way) && !has(after.ways, way)) this.#remove(prefix, way);
    const same = before.preference === after.preference && before.why === after.why;
    let refused: Set<Way> | undefined;
    for (const way of after.ways) {
      const replaces = has(before.ways, way) && isIn(way);
      if (replaces && same) continue;
      if (this.#add(prefix, way, after) || replaces) continue;
      refused ??= new Set();
      refused.add(way);
    }
    if (refused !== undefined) this.#refused.set(prefix, { rows, row, ways: refused });
    else if (lacks !== undefined) this.#refused.delete(prefix);
  }

  /** Until one is refused again; whether there are more behind `limit` of them. */
  #retry(limit: number): boolean {
    let left = limit;
    for (const [prefix, { rows, row }] of this.#refused) {
      if (left === 0) return true;
      left -= 1;
      this.#renew(rows, row, prefix);
      if (this.#refused.has(prefix)) return false;
    }
    return false;
  }

  /** Whether the table has one route more. */
  #add(prefix: Prefix, way: Way, { preference, why }: Plan): boolean {
    const { number: compartment, compartment: table } = this.#tenant;
    const { routeCount } = table;
    const { interface: out, nextHop } = way;
    const route: Route =
      nextHop === undefined
        ? { prefix, interface: out, origin: 'bgp', preference, why }
        : { prefix, interface: out, origin: 'bgp', preference, why, nextHop };
    this.#tenant.command({ do: 'add-route', compartment, route });
    return table.routeCount > routeCount;
  }

  #remove(prefix: Prefix, { interface: out, nextHop }: Way): void {
    const { number: compartment } = this.#tenant;
    const gone = { do: 'remove-route', compartment, prefix, interface: out, origin: 'bgp' } as const;
    this.#tenant.command(nextHop === undefined ? gone : { ...gone, nextHop });
  }

  #wayTo(address: Address): Way | undefined {
    const by = this.routeTo(address);
    if (by === undefined || by.interface === DISCARD || this.#leadsIntoTenant(by)) return undefined;
    return newWay(by.interface, this.#forwarder(by, address));
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

/** By what it says: it may have been made twice. */
function has(ways: Iterable<Way>, way: Way): boolean {
  for (const each of ways) if (each === way || each.text === way.text) return true;
  return false;
}

/** Whose links lead into tenants. */
const FIRST_COMPARTMENT = 1;

/** Prefixes that are looked at for one that may be changed. */
const LOOKS = 16;
