/**
 * The counters of a compartment, of its interfaces and of its segments, kept in memory that is handed in, so that others may read
 * them while the packet path writes.
 *
 * Layout of the cells of a compartment or a segment: its counters in the order of their names, then one a DROP code.
 */
import { invariant } from '../core/index.ts';
import { DROP_COUNT } from '../ip/index.ts';
import type { CompartmentCounters } from './contract.ts';
import type { SegmentCounters } from './segment-contract.ts';

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

const OF_SEGMENT = [
  'solicitations',
  'probes',
  'answers',
  'announcements',
  'resolved',
  'failed',
  'lost',
  'learned',
  'moved',
  'evicted',
  'waitingRefused',
  'unreachable',
  'unsolicited',
  'contradicted',
  'conflicts',
  'defences',
  'withoutBuffer',
  'configurationRefused',
] as const satisfies readonly (keyof SegmentCounters)[];

/** Where packets that were forwarded are counted, which each packet does. */
export const FORWARDED = COUNTERS.indexOf('forwarded');
/** Doubles that the counters and drops of a compartment take. */
export const COMPARTMENT_CELLS = COUNTERS.length + DROP_COUNT;
/** Where the drops of a compartment begin, and those of a segment. */
export const COMPARTMENT_DROPS = COUNTERS.length;
export const SEGMENT_DROPS = OF_SEGMENT.length;
/** Doubles that the counters and drops of a segment take. */
export const SEGMENT_CELLS = OF_SEGMENT.length + DROP_COUNT;
/** Doubles that the counters of an interface take: packets and octets received, packets and octets sent. */
export const INTERFACE_CELLS = 4;

/** Counters while they are written: each name is a view of its cell. */
type Written<C> = { -readonly [Name in keyof C]: number };
export type Counters = Written<CompartmentCounters>;
export type CountersOfSegment = Written<SegmentCounters>;

export const newCounters = over<CompartmentCounters>(COUNTERS);
export const newSegmentCounters = over<SegmentCounters>(OF_SEGMENT);

/** A copy of all counters. */
export const readCounters = (counters: Counters): CompartmentCounters => copy(COUNTERS, counters);
export const readSegmentCounters = (counters: CountersOfSegment): SegmentCounters => copy(OF_SEGMENT, counters);

/** One counter a DROP code, behind the others. */
export const dropCells = (cells: Float64Array, first = 0): Float64Array =>
  cells.subarray(first + COMPARTMENT_DROPS, first + COMPARTMENT_CELLS);
export const segmentDropCells = (cells: Float64Array): Float64Array => cells.subarray(OF_SEGMENT.length, SEGMENT_CELLS);

/** What makes counters of these names over cells that have room for them and for the drops. */
function over<C extends object>(
  names: readonly (keyof C & string)[],
): (cells?: Float64Array, first?: number) => Written<C> {
  const size = names.length + DROP_COUNT;
  class CellCounters {
    readonly cells: Float64Array;
    readonly first: number;

    constructor(cells: Float64Array, first: number) {
      this.cells = cells;
      this.first = first;
    }
  }
  for (const [index, name] of names.entries()) {
    Object.defineProperty(CellCounters.prototype, name, {
      get(this: CellCounters) {
        return this.cells[this.first + index];
      },
      set(this: CellCounters, value: number) {
        this.cells[this.first + index] = value;
      },
    });
  }
  return (cells = new Float64Array(size), first = 0) => {
    invariant(cells.length >= first + size, 'cells have room for the counters and the drops');
    return new CellCounters(cells, first) as unknown as Written<C>;
  };
}

const copy = <C extends object>(names: readonly (keyof C & string)[], counters: Written<C>): C =>
  Object.fromEntries(names.map((name) => [name, counters[name]])) as unknown as C;
