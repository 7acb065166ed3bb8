/**
 * The live counters of an SA as numbers in one place, so that another thread may read them where they are.
 *
 * Limits: each number is whole for a reader on a 64-bit machine, but they are not of one moment.
 * Invariant: only the thread that processes packets of the SA writes.
 */
import type { Millis } from '../core/index.ts';
import { invariant } from '../core/index.ts';
import { DROP_COUNT } from '../ip/index.ts';

/** Where the counters stand. `drops` is the first of DROP_COUNT, by reason. */
export const SA_CELL = { packets: 0, innerBytes: 1, protectedBytes: 2, lastUsedAt: 3, sequence: 4, drops: 5 } as const;
/** The length of all of them. */
export const SA_CELLS = SA_CELL.drops + DROP_COUNT;

/** What `readSaCells` gives: see Usage and the SAs for their meaning. */
export interface SaCounters {
  readonly packets: number;
  readonly innerBytes: number;
  readonly protectedBytes: number;
  readonly lastUsedAt: Millis | undefined;
  /** The highest number received, or the last one sent by this SA. */
  readonly sequence: number;
  readonly drops: Float64Array;
}

export function readSaCells(cells: Float64Array): SaCounters {
  const lastUsedAt = cells[SA_CELL.lastUsedAt]!;
  return {
    packets: cells[SA_CELL.packets]!,
    innerBytes: cells[SA_CELL.innerBytes]!,
    protectedBytes: cells[SA_CELL.protectedBytes]!,
    lastUsedAt: Number.isNaN(lastUsedAt) ? undefined : lastUsedAt,
    sequence: cells[SA_CELL.sequence]!,
    drops: cells.slice(SA_CELL.drops, SA_CELLS),
  };
}

/** Cells as those of an SA begin: its own, or those given, whatever stood there. */
export function beginSaCells(cells: Float64Array = new Float64Array(SA_CELLS)): Float64Array {
  invariant(cells.length === SA_CELLS, 'an SA has as many cells as it has counters');
  cells.fill(0);
  cells[SA_CELL.lastUsedAt] = Number.NaN;
  return cells;
}
