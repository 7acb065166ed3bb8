/** What of a tenant the external network reaches without translation, where it is routed directly. */
import { networkOf, type Prefix } from '../ip/index.ts';
import type { TenantConfig } from './contract.ts';

/**
 * Its subnets, its interfaces, what lies behind them. Discard routes too: the tenant's compartment discards what compartment 1 would send
 * back to where it came from.
 */
export function directPrefixes({ subnets, interfaces, routes, customerRoutes }: TenantConfig): Prefix[] {
  const all = [
    ...subnets.flatMap(({ addresses }) => addresses),
    ...interfaces.flatMap(({ addresses }) => addresses),
    ...routes.map(({ prefix }) => prefix),
    ...customerRoutes.map(({ prefix }) => prefix),
  ];
  return all.filter(({ length }) => length > 0).map((each) => ({ ...each, address: networkOf(each) }));
}
