/**
 * Cells: where the data plane counts and others read. Control gives out slots; one thread writes each.
 *
 * A slot is a number below SLOTS, or from there on one of a tenth of the size (SMALL_CELLS, a cache line), which is what an
 * interface takes. Limits: SLOTS in shared memory; what gets no slot counts where only its own thread sees it (`NO_SLOT`), and control counts that.
 * Invariant: a slot is given out again only after its owner was removed by a command that came before.
 */
import { COMPARTMENT_CELLS, INTERFACE_CELLS, SEGMENT_CELLS } from '../../compartment/index.ts';
import { invariant } from '../../core/index.ts';
import { SA_CELLS } from '../../esp/index.ts';
import { DROP_COUNT } from '../../ip/index.ts';
import { NAT_CELLS } from '../../nat/index.ts';
import { TENANT_CELLS } from '../../nvgre/index.ts';

/** Doubles of one slot: the most that anything counts, in whole cache lines. */
export const SLOT_CELLS = 80;
/** Doubles of a small slot. */
export const SMALL_CELLS = 8;
/** 40 MB of address space, of which the kernel gives what is touched: 65,536 slots of 640 octets. */
export const SLOTS = 0x1_0000;
const SMALL_IN_SLOT = SLOT_CELLS / SMALL_CELLS;
/** Counted in nobody's view. */
export const NO_SLOT = -1;

/** Behind the drops in a plane's own slot: its pool. */
export const POOL_AT = DROP_COUNT;
export const PLANE_CELLS = DROP_COUNT + 4;

/** Behind the counters of a NAT: when it last refused a flow for want of a port, and because of its limit. */
export const NAT_REFUSED_AT = NAT_CELLS;

export interface Cells {
  /** The doubles of a slot; for NO_SLOT fresh ones. */
  at(slot: number): Float64Array;
  /** The same within an array that many slots share: a view of each would be two lines of the cache more for a packet to wait for. */
  place(slot: number): CellPlace;
}

export interface CellPlace {
  readonly cells: Float64Array;
  /** Where the slot begins. */
  readonly first: number;
}

/** Cells of one thread, in blocks of as many slots as may be needed together. */
export class LocalCells implements Cells {
  readonly #blocks: Float64Array[] = [];

  at(slot: number): Float64Array {
    return viewOf(this.place(slot), slot);
  }

  place(slot: number): CellPlace {
    if (slot === NO_SLOT) return nowhere();
    const first = firstOf(slot);
    const index = Math.floor(first / BLOCK_CELLS);
    this.#blocks[index] ??= new Float64Array(BLOCK_CELLS);
    return { cells: this.#blocks[index]!, first: first % BLOCK_CELLS };
  }
}

/** Cells in memory that threads share. */
export class SharedCells implements Cells {
  readonly memory: SharedArrayBuffer;
  readonly #all: Float64Array;

  constructor(memory: SharedArrayBuffer = new SharedArrayBuffer(SLOTS * SLOT_CELLS * 8)) {
    this.memory = memory;
    this.#all = new Float64Array(memory);
  }

  at(slot: number): Float64Array {
    return viewOf(this.place(slot), slot);
  }

  place(slot: number): CellPlace {
    return slot === NO_SLOT ? nowhere() : { cells: this.#all, first: firstOf(slot) };
  }
}

const nowhere = (): CellPlace => ({ cells: new Float64Array(SLOT_CELLS), first: 0 });

const firstOf = (slot: number): number => (slot < SLOTS ? slot * SLOT_CELLS : (slot - SLOTS) * SMALL_CELLS);

const viewOf = ({ cells, first }: CellPlace, slot: number): Float64Array =>
  cells.subarray(first, first + (slot < SLOTS ? SLOT_CELLS : SMALL_CELLS));

const BLOCK_CELLS = 64 * SLOT_CELLS;

/** Gives out slots, lowest first. */
export class SlotBook {
  /** Requests there was no slot for. */
  refused = 0;
  readonly #free: number[] = [];
  readonly #freeSmall: number[] = [];
  #next: number;

  /** The first slots belong to the planes themselves. */
  constructor(reserved: number) {
    this.#next = reserved;
  }

  take(): number {
    const again = this.#free.pop();
    if (again !== undefined) return again;
    if (this.#next === SLOTS) {
      this.refused += 1;
      return NO_SLOT;
    }
    this.#next += 1;
    return this.#next - 1;
  }

  /** For an interface. Slots that were divided stay so. */
  takeSmall(): number {
    if (this.#freeSmall.length === 0) {
      const slot = this.take();
      if (slot === NO_SLOT) return NO_SLOT;
      for (let i = SMALL_IN_SLOT - 1; i >= 0; i--) this.#freeSmall.push(SLOTS + slot * SMALL_IN_SLOT + i);
    }
    return this.#freeSmall.pop()!;
  }

  give(slot: number): void {
    if (slot >= SLOTS) this.#freeSmall.push(slot);
    else if (slot !== NO_SLOT) this.#free.push(slot);
  }
}

invariant(INTERFACE_CELLS <= SMALL_CELLS, 'a small slot has room for an interface');
invariant(
  Math.max(COMPARTMENT_CELLS, SEGMENT_CELLS, SA_CELLS, TENANT_CELLS, PLANE_CELLS, NAT_REFUSED_AT + 2) <= SLOT_CELLS,
  'a slot has room for whatever counts in it',
);
