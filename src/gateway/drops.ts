/** Drops by reason, as people see them: of a tenant, of the whole gateway. Reasons that did not occur may be missing. */
import { dropsByName } from '../ip/index.ts';
import type { Books } from './books.ts';
import type { Tenant } from './tenant.ts';

export type DropsByName = Readonly<Record<string, number>>;

/** What the endpoint counts that was not refused. */
export const ACCEPTED = 'init-accepted';

/** Of its compartment, its segments, its part of the virtual switch and the inbound SAs of its connections. */
export function tenantDrops(books: Books, tenant: Tenant): DropsByName {
  const { compartment, number, tunnels, network } = tenant;
  const perTunnel = [...tunnels.values()].flatMap((tunnel) =>
    [...(tunnel.plane?.sas.values() ?? [])].map((sa) => dropsByName(sa.inbound.drops)),
  );
  const perSegment = compartment.interfaces().flatMap(({ number: each }) => {
    const segment = books.plane.segment(number, each);
    return segment === undefined ? [] : [dropsByName(segment.drops)];
  });
  const ofSwitch = network.cells === undefined ? undefined : books.plane.switch?.dropsOf(number);
  const inSwitch = ofSwitch === undefined ? [] : [dropsByName(ofSwitch)];
  return sumDrops([dropsByName(compartment.drops), ...perSegment, ...inSwitch, ...perTunnel]);
}

export function totalDrops(books: Books): DropsByName {
  const refused = [...books.ike.counters].filter(([name]) => name !== ACCEPTED);
  const ike = Object.fromEntries(refused.map(([name, count]) => [`ike-${name}`, count]));
  const tenants = [...books.tenants.values()].map((tenant) => tenantDrops(books, tenant));
  const planes = [...books.planeCells(), ...books.sadCells()].map((cells) => dropsByName(cells));
  return sumDrops([...planes, ...tenants, ike]);
}

export function sumDrops(all: readonly DropsByName[]): DropsByName {
  const sum: Record<string, number> = {};
  for (const drops of all)
    for (const [reason, count] of Object.entries(drops)) sum[reason] = (sum[reason] ?? 0) + count;
  return sum;
}
