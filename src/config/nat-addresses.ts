/**
 * Which external address each tenant with NAT has. Pure: `previous` is what they had, and the caller keeps the answer.
 *
 * Invariants: no two tenants on one address; one that is chosen in the document wins; who had an address of the pool keeps it;
 * everybody else gets the lowest that is free, in the order of names, so that the order of the document says nothing.
 */
import { type Address, formatAddress } from '../ip/index.ts';
import type { GatewayDocument } from './contract.ts';
import { addressesOf, inRange } from './range.ts';

/** By tenant, for tenants with NAT only. Of a valid document every one of them gets an address: the pool is large enough. */
export function assignNatAddresses(
  document: GatewayDocument,
  previous: ReadonlyMap<string, Address>,
): Map<string, Address> {
  const { pool } = document.gateway.external;
  const assigned = new Map<string, Address>();
  const taken = new Set<string>();
  const assign = (tenant: string, address: Address): void => {
    assigned.set(tenant, address);
    taken.add(formatAddress(address));
  };
  const automatic: string[] = [];
  for (const { name, nat } of document.tenants) {
    if (nat === undefined) continue;
    if (nat.address === 'auto') automatic.push(name);
    else assign(name, nat.address);
  }
  automatic.sort();
  for (const name of automatic) {
    const had = previous.get(name);
    if (had === undefined || taken.has(formatAddress(had))) continue;
    if (pool.some((range) => inRange(range, had))) assign(name, had);
  }
  const free = freeOf(document, taken);
  for (const name of automatic) {
    if (assigned.has(name)) continue;
    const next = free.next();
    if (next.done) break;
    assign(name, next.value);
  }
  return assigned;
}

function* freeOf({ gateway }: GatewayDocument, taken: ReadonlySet<string>): Generator<Address, void> {
  for (const range of gateway.external.pool) {
    for (const address of addressesOf(range)) if (!taken.has(formatAddress(address))) yield address;
  }
}
