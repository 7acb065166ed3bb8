/**
 * Cells: where the data plane counts and others read. Control gives out slots of a fixed size; one thread writes each.
 *
 * Limits: SLOTS in shared memory; what gets no slot counts where only its own thread sees it (`NO_SLOT`), and control counts that.
 * Invariant: a slot is given out again only after its owner was removed by a command that came before.
 */
import { COMPARTMENT_CELLS } from '../../compartment/index.ts';
import { invariant } from '../../core/index.ts';
import { SA_CELLS } from '../../esp/index.ts';
import { DROP_COUNT } from '../../ip/index.ts';
import { NAT_CELLS } from '../../nat/index.ts';

/** Doubles of one slot. */
export const SLOT_CELLS = 96;
/** 48 MB of address space, of which the kernel gives what is touched: 65,536 slots of 768 octets. */
export const SLOTS = 0x1_0000;
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
}

/** Cells of one thread. */
export class LocalCells implements Cells {
  readonly #slots: Float64Array[] = [];

  at(slot: number): Float64Array {
    if (slot === NO_SLOT) return new Float64Array(SLOT_CELLS);
    let cells = this.#slots[slot];
    if (cells === undefined) {
      cells = new Float64Array(SLOT_CELLS);
      this.#slots[slot] = cells;
    }
    return cells;
  }
}

/** Cells in memory that threads share. */
export class SharedCells implements Cells {
  readonly memory: SharedArrayBuffer;

  constructor(memory: SharedArrayBuffer = new SharedArrayBuffer(SLOTS * SLOT_CELLS * 8)) {
    this.memory = memory;
  }

  at(slot: number): Float64Array {
    if (slot === NO_SLOT) return new Float64Array(SLOT_CELLS);
    return new Float64Array(this.memory, slot * SLOT_CELLS * 8, SLOT_CELLS);
  }
}

/** Gives out slots, lowest first. */
export class SlotBook {
  /** Requests there was no slot for. */
  refused = 0;
  readonly #free: number[] = [];
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

  give(slot: number): void {
    if (slot !== NO_SLOT) this.#free.push(slot);
  }
}

invariant(
  Math.max(COMPARTMENT_CELLS, SA_CELLS, PLANE_CELLS, NAT_REFUSED_AT + 2) <= SLOT_CELLS,
  'a slot has room for whatever counts in it',
);
