/**
 * The counters of a compartment and of its interfaces, kept in memory that is handed in, so that others may read them while
 * the packet path writes.
 *
 * Layout of a compartment's cells: the counters of `CompartmentCounters` in the order of COUNTERS, then one a DROP code.
 */
import { invariant } from '../core/index.ts';
import { DROP_COUNT } from '../ip/index.ts';
import type { CompartmentCounters } from './contract.ts';

export const COUNTERS = [
  'forwarded',
  'delivered',
  'originated',
  'fragmented',
  'fragments',
  'mssClamped',
  'echoReplies',
  'icmpErrors',
  'icmpErrorsOverRate',
  'icmpErrorsWithoutSource',
  'icmpErrorsWithoutBuffer',
  'pingsUnmatched',
  'pingsRefused',
  'routesRefused',
] as const satisfies readonly (keyof CompartmentCounters)[];

/** Doubles that the counters and drops of a compartment take. */
export const COMPARTMENT_CELLS = COUNTERS.length + DROP_COUNT;
/** Doubles that the counters of an interface take: packets and octets received, packets and octets sent. */
export const INTERFACE_CELLS = 4;

/** The counters while they are written: each name is a view of its cell. */
export type Counters = { -readonly [Name in keyof CompartmentCounters]: number };

class CellCounters {
  readonly cells: Float64Array;

  constructor(cells: Float64Array) {
    this.cells = cells;
  }
}

for (const [index, name] of COUNTERS.entries()) {
  Object.defineProperty(CellCounters.prototype, name, {
    get(this: CellCounters) {
      return this.cells[index];
    },
    set(this: CellCounters, value: number) {
      this.cells[index] = value;
    },
  });
}

export function newCounters(cells: Float64Array = new Float64Array(COMPARTMENT_CELLS)): Counters {
  invariant(cells.length >= COMPARTMENT_CELLS, 'cells have room for the counters of a compartment');
  return new CellCounters(cells) as unknown as Counters;
}

/** A copy of all counters. */
export const readCounters = (counters: Counters): CompartmentCounters =>
  Object.fromEntries(COUNTERS.map((name) => [name, counters[name]])) as unknown as CompartmentCounters;

/** One counter a DROP code, behind the others. */
export const dropCells = (cells: Float64Array): Float64Array => cells.subarray(COUNTERS.length, COMPARTMENT_CELLS);
