/** Taps as control keeps them, and what they show with the names that people know. */

import { DEFAULT_COMPARTMENT } from '../config/index.ts';
import { toHex } from '../core/index.ts';
import type { Books } from './books.ts';
import type { GatewayEvent } from './contract.ts';
import type { PlaneEvent } from './dataplane/index.ts';
import type { TapPointStatus, TappedStatus } from './status.ts';
import { outcomeOf } from './trace/contract.ts';
import { completed } from './trace/order.ts';

export function setTap(books: Books, event: Extract<GatewayEvent, { type: 'tap' | 'untap' }>): void {
  if (event.type === 'untap') {
    if (books.taps.delete(event.query)) books.commandTaps();
    return;
  }
  const { query, tenant: name } = event;
  const tenant = name === undefined ? undefined : books.tenants.get(name);
  if (name !== undefined && tenant === undefined)
    return books.emit({ do: 'query-refused', query, why: `there is no tenant ${name}` });
  books.taps.set(query, tenant?.number);
  books.commandTaps();
}

export function showTapped(books: Books, { packet }: Extract<PlaneEvent, { type: 'tapped' }>): void {
  const { at, compartments, points, stages, missed } = packet;
  const tenantOf = (number: number | undefined) => [...books.tenants.values()].find((each) => each.number === number);
  const tapped: TappedStatus = {
    tenants: compartments.flatMap((number) => tenantOf(number)?.name ?? []),
    outcome: outcomeOf(stages),
    stages: completed(books, stages),
    points: points.map(({ network, compartment, interface: number, direction, octets, length }): TapPointStatus => {
      const tenant = tenantOf(compartment);
      const name = tenant?.ways.get(number ?? 0)?.config.name ?? 'gone';
      const inside = tenant?.name === DEFAULT_COMPARTMENT ? name : `${tenant?.name ?? 'gone'}/${name}`;
      return { point: network ?? inside, direction, octets: toHex(octets), length };
    }),
    missed,
  };
  books.emit({ do: 'tapped', at, tapped });
}
