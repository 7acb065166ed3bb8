/**
 * The counters of a tenant in the virtual switch, kept in memory that is handed in, so that others may read them while the
 * packet path writes.
 *
 * Layout: the counters of `TenantCounters` in the order of CELL, then one a DROP code.
 */
import { invariant } from '../core/index.ts';
import { DROP_COUNT } from '../ip/index.ts';
import type { TenantCounters } from './contract.ts';

/** Where each counter stands in the cells of a tenant. */
export const CELL = {
  fromPorts: 0,
  fromFabric: 1,
  toPorts: 2,
  toFabric: 3,
  routed: 4,
  replicated: 5,
  copies: 6,
  neighboursAnswered: 7,
  echoReplies: 8,
  learned: 9,
  moved: 10,
  aged: 11,
  learnRefused: 12,
  recordsRefused: 13,
  routesRefused: 14,
} as const satisfies Record<keyof TenantCounters, number>;

const COUNTERS = Object.keys(CELL) as (keyof TenantCounters)[];

/** Where the drops begin. */
export const TENANT_DROPS = COUNTERS.length;
/** Doubles that the counters and drops of a tenant take. */
export const TENANT_CELLS = COUNTERS.length + DROP_COUNT;

/** Cells from zero: its own, or those given. */
export function beginCells(cells: Float64Array = new Float64Array(TENANT_CELLS), first = 0): Float64Array {
  invariant(cells.length >= first + TENANT_CELLS, 'cells have room for the counters of a tenant');
  return cells.fill(0, first, first + TENANT_CELLS);
}

/** One counter a DROP code, behind the others. */
export const dropCells = (cells: Float64Array, first = 0): Float64Array =>
  cells.subarray(first + TENANT_DROPS, first + TENANT_CELLS);

export const readCounters = (cells: Float64Array, first = 0): TenantCounters =>
  Object.fromEntries(COUNTERS.map((name, index) => [name, cells[first + index]!])) as unknown as TenantCounters;
