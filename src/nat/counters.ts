/**
 * The counters of a NAT in memory that is handed in, so that others may read them while the packet path writes.
 *
 * Layout of the cells: the counters of `NatCounters` in the order of COUNTERS, then one a DROP code.
 */
import { invariant } from '../core/index.ts';
import { DROP_COUNT } from '../ip/index.ts';
import type { NatCounters } from './contract.ts';

const COUNTERS = [
  'sessions',
  'created',
  'expired',
  'flushed',
  'refusedNoPort',
  'refusedLimit',
  'packetsOut',
  'packetsIn',
  'icmpErrors',
  'fragments',
  'fragmentsEvicted',
  'waitingFollowed',
  'waitingLost',
] as const satisfies readonly (keyof NatCounters)[];

/** Where each counter stands among the cells. */
export const NAT_CELL = Object.fromEntries(COUNTERS.map((name, index) => [name, index])) as Readonly<
  Record<keyof NatCounters, number>
>;

/** Where the drops begin. */
export const NAT_DROPS = COUNTERS.length;
/** Doubles that the counters of a NAT take. */
export const NAT_CELLS = COUNTERS.length + DROP_COUNT;

export function natCells(cells: Float64Array = new Float64Array(NAT_CELLS), first = 0): Float64Array {
  invariant(cells.length >= first + NAT_CELLS, 'cells have room for the counters of a NAT');
  return cells;
}

/** A copy of all counters, for whoever has the cells. */
export const readNatCounters = (cells: Float64Array, first = 0): NatCounters =>
  Object.fromEntries(COUNTERS.map((name, index) => [name, cells[first + index]])) as unknown as NatCounters;

/** One counter a DROP code, behind the others. */
export const natDrops = (cells: Float64Array, first = 0): Float64Array =>
  cells.subarray(first + NAT_DROPS, first + NAT_CELLS);
