/** Drops by reason, as people see them: of a tenant, of the whole gateway. Reasons that did not occur may be missing. */
import { dropsByName } from '../ip/index.ts';
import type { Books } from './books.ts';
import type { Tenant } from './tenant.ts';

export type DropsByName = Readonly<Record<string, number>>;

/** What the endpoint counts that was not refused. */
export const ACCEPTED = 'init-accepted';

export function tenantDrops(tenant: Tenant): DropsByName {
  const perTunnel = [...tenant.tunnels.values()].flatMap((tunnel) =>
    [...(tunnel.plane?.sas.values() ?? [])].map((sa) => dropsByName(sa.inbound.drops)),
  );
  return sumDrops([dropsByName(tenant.compartment.drops), ...perTunnel]);
}

export function totalDrops(books: Books): DropsByName {
  const refused = [...books.ike.counters].filter(([name]) => name !== ACCEPTED);
  const ike = Object.fromEntries(refused.map(([name, count]) => [`ike-${name}`, count]));
  const tenants = [...books.tenants.values()].map(tenantDrops);
  const planes = [...books.planeCells(), ...books.sadCells()].map((cells) => dropsByName(cells));
  return sumDrops([...planes, ...tenants, ike]);
}

export function sumDrops(all: readonly DropsByName[]): DropsByName {
  const sum: Record<string, number> = {};
  for (const drops of all)
    for (const [reason, count] of Object.entries(drops)) sum[reason] = (sum[reason] ?? 0) + count;
  return sum;
}
