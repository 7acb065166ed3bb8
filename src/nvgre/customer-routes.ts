/**
 * Where a tenant's virtual subnets and its other networks lie: prefixes of subnets with their distributed router, and
 * customer routes to next hops inside the tenant.
 *
 * The original's rules (New-NetVirtualizationCustomerRoute, and its distributed router): a subnet of the tenant goes before
 * every route; between routes the longest prefix, then the lowest metric, then the first given. A route whose next hop has
 * no record is not passed over for another: the operator sees DROP.noRecord.
 */
import type { Bytes } from '../core/index.ts';
import { u32 } from '../core/index.ts';
import { type Address, networkOf, type Prefix, PrefixTable } from '../ip/index.ts';
import type { CustomerRoute } from './contract.ts';
import type { Subnet } from './station.ts';

/** A prefix of a virtual subnet. */
export interface OnLink {
  readonly subnet: Subnet;
  readonly prefix: Prefix;
  /** The distributed router's address in it; undefined where there is none. */
  readonly router: Address | undefined;
}

/** A customer route and where its next hop is. */
export interface Hop {
  readonly route: CustomerRoute;
  /** NO_VSID where no subnet contains the next hop. */
  readonly vsid: number;
}

export const NO_VSID = -1;

/** Octets of an address: 4 or 16. */
export type Width = 4 | 16;

export class CustomerRoutes {
  readonly #onLink = new PrefixTable<OnLink>();
  readonly #hops = new PrefixTable<readonly Hop[]>();
  #routes: readonly CustomerRoute[] = [];

  setPrefixes(prefixes: readonly OnLink[]): void {
    this.#onLink.clear();
    for (const entry of prefixes) this.#onLink.insert(entry.prefix, entry);
    this.setRoutes(this.#routes);
  }

  setRoutes(routes: readonly CustomerRoute[]): void {
    this.#routes = routes;
    this.#hops.clear();
    for (const route of routes) {
      const vsid = route.vsid ?? this.#onLink.lookup(route.nextHop)?.subnet.vsid ?? NO_VSID;
      const rivals = this.#hops.exact(route.prefix) ?? [];
      this.#hops.insert(
        route.prefix,
        [...rivals, { route, vsid }].sort((a, b) => a.route.metric - b.route.metric),
      );
    }
  }

  get all(): readonly CustomerRoute[] {
    return this.#routes;
  }

  /** The subnet prefix that contains the address at `at`. */
  onLink(buf: Bytes, at: number, width: Width): OnLink | undefined {
    return width === 4 ? this.#onLink.lookup4(u32(buf, at)) : this.#onLink.lookup6(buf, at);
  }

  /** The route to the address at `at`, if it is outside every subnet. */
  hop(buf: Bytes, at: number, width: Width): Hop | undefined {
    return (width === 4 ? this.#hops.lookup4(u32(buf, at)) : this.#hops.lookup6(buf, at))?.[0];
  }

  /** Every route that covers the address, the chosen one first. */
  candidates(address: Address): Hop[] {
    return this.#hops.covering(address).flatMap(({ value }) => value);
  }
}

/**
 * The lowest address of a prefix, which is the distributed router's: the first behind the network's own, of /31 and /127 the
 * first. Undefined for a host prefix, which has room for nobody else.
 */
export function lowestAddress(prefix: Prefix): Address | undefined {
  const width = prefix.address.length * 8;
  if (prefix.length === width) return undefined;
  const lowest = networkOf(prefix);
  if (prefix.length < width - 1) lowest[lowest.length - 1]! |= 1;
  return lowest;
}

/** Whether the address at `at` is `address`; an address of the other family is never. */
export function isAddressAt(buf: Bytes, at: number, width: Width, address: Address | undefined): boolean {
  if (address === undefined || address.length !== width) return false;
  for (let i = 0; i < width; i++) if (buf[at + i] !== address[i]) return false;
  return true;
}
