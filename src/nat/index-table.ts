/**
 * From a hash to rows of a table: open addressing with linear probing, four octets a slot.
 *
 * A slot is empty (0) or holds ten bits of the hash and the number of a row plus one, so that nearly every row looked at is
 * the one that was looked for. Deletion shifts the followers back: there are no tombstones, and a table that has seen a
 * million sessions is as good as a fresh one.
 * It doubles when thirteen of sixteen slots are taken. The old slots move over a few at each change, so that no packet ever waits for the whole.
 * Limits: rows up to `SESSIONS_MAX`; it shrinks only when cleared.
 */
import { invariant } from '../core/index.ts';

export class IndexTable {
  #slots = new Int32Array(SLOTS_MIN);
  /** The upper bits of a hash are the slot it belongs to: its home. */
  #shift = SHIFT_MAX;
  /** While the table doubles: the `#left` slots before `#cursor`, in a circle, hold what has not moved yet; all others are empty. */
  #old: Int32Array | undefined;
  #oldShift = 0;
  #cursor = 0;
  #left = 0;
  #size = 0;
  readonly #hashOf: (row: number) => number;

  /** `hashOf` gives the hash under which a row that is here was added. */
  constructor(hashOf: (row: number) => number) {
    this.#hashOf = hashOf;
  }

  get size(): number {
    return this.#size;
  }

  /** Octets of memory. */
  get octets(): number {
    return this.#slots.byteLength + (this.#old?.byteLength ?? 0);
  }

  /** The first row that may have this hash, or -1. Whether it is the right one, the caller sees. */
  first(hash: number): number {
    const slots = this.#slots;
    const mask = slots.length - 1;
    const tag = hash << ROW_BITS;
    for (let slot = hash >>> this.#shift; ; slot = (slot + 1) & mask) {
      const value = slots[slot]!;
      if (value === 0) return this.#old === undefined ? -1 : scan(this.#old, hash >>> this.#oldShift, tag, 0);
      if ((value ^ tag) >>> ROW_BITS === 0) return (value & ROW_MASK) - 1;
    }
  }

  /** The next one after `row`, which was not the right one. */
  after(hash: number, row: number): number {
    const tag = hash << ROW_BITS;
    const value = tag | (row + 1);
    const here = find(this.#slots, hash >>> this.#shift, value);
    if (here >= 0) {
      const next = scan(this.#slots, here, tag, value);
      if (next >= 0 || this.#old === undefined) return next;
      return scan(this.#old, hash >>> this.#oldShift, tag, 0);
    }
    return this.#old === undefined ? -1 : scan(this.#old, hash >>> this.#oldShift, tag, value);
  }

  add(hash: number, row: number): void {
    if ((this.#size + 1) * 16 > this.#slots.length * 13) this.#grow();
    put(this.#slots, hash >>> this.#shift, (hash << ROW_BITS) | (row + 1));
    this.#size += 1;
    if (this.#old !== undefined) this.#move(this.#old, MOVES);
  }

  remove(hash: number, row: number): void {
    const value = (hash << ROW_BITS) | (row + 1);
    const slot = find(this.#slots, hash >>> this.#shift, value);
    if (slot >= 0) this.#erase(this.#slots, this.#shift, slot);
    else {
      const old = this.#old;
      const oldSlot = old === undefined ? -1 : find(old, hash >>> this.#oldShift, value);
      invariant(old !== undefined && oldSlot >= 0, 'a row is removed from where it was added');
      this.#erase(old, this.#oldShift, oldSlot);
    }
    this.#size -= 1;
    if (this.#old !== undefined) this.#move(this.#old, MOVES);
  }

  clear(): void {
    this.#slots = new Int32Array(SLOTS_MIN);
    this.#shift = SHIFT_MAX;
    this.#old = undefined;
    this.#size = 0;
  }

  #grow(): void {
    // Never happens: a doubled table has taken everything over long before it is full.
    if (this.#old !== undefined) this.#move(this.#old, Number.POSITIVE_INFINITY);
    this.#old = this.#slots;
    this.#oldShift = this.#shift;
    this.#cursor = this.#old.indexOf(0);
    this.#left = this.#old.length - 1;
    this.#slots = new Int32Array(this.#slots.length * 2);
    this.#shift -= 1;
  }

  /** Backwards from an empty slot: what goes is the last of its neighbours, and nobody behind it is looked for across the gap. */
  #move(old: Int32Array, moves: number): void {
    const mask = old.length - 1;
    for (let step = Math.min(moves, this.#left); step > 0; step--) {
      this.#left -= 1;
      this.#cursor = (this.#cursor - 1) & mask;
      const value = old[this.#cursor]!;
      if (value === 0) continue;
      old[this.#cursor] = 0;
      put(this.#slots, this.#hashOf((value & ROW_MASK) - 1) >>> this.#shift, value);
    }
    if (this.#left === 0) this.#old = undefined;
  }

  /** Empties the slot and closes the gap: whoever would no longer be found from its home moves into it. */
  #erase(slots: Int32Array, shift: number, slot: number): void {
    const mask = slots.length - 1;
    let gap = slot;
    for (let at = (slot + 1) & mask; ; at = (at + 1) & mask) {
      const value = slots[at]!;
      if (value === 0) break;
      const home = this.#hashOf((value & ROW_MASK) - 1) >>> shift;
      if (((at - home) & mask) < ((at - gap) & mask)) continue;
      slots[gap] = value;
      gap = at;
    }
    slots[gap] = 0;
  }
}

/** The row of the first slot from `slot` on whose tag fits, after the one that holds `after` if that is not 0. */
function scan(slots: Int32Array, slot: number, tag: number, after: number): number {
  const mask = slots.length - 1;
  let passed = after === 0;
  for (let at = slot; ; at = (at + 1) & mask) {
    const value = slots[at]!;
    if (value === 0) return -1;
    if (passed && (value ^ tag) >>> ROW_BITS === 0) return (value & ROW_MASK) - 1;
    if (value === after) passed = true;
  }
}

/** The slot that holds `value`, or -1. */
function find(slots: Int32Array, home: number, value: number): number {
  const mask = slots.length - 1;
  for (let at = home; ; at = (at + 1) & mask) {
    if (slots[at] === value) return at;
    if (slots[at] === 0) return -1;
  }
}

function put(slots: Int32Array, home: number, value: number): void {
  const mask = slots.length - 1;
  let at = home;
  while (slots[at] !== 0) at = (at + 1) & mask;
  slots[at] = value;
}

const ROW_BITS = 22;
const ROW_MASK = (1 << ROW_BITS) - 1;
const SLOTS_MIN = 16;
const SHIFT_MAX = 28;
/** Slots that each change moves while a table doubles: it is done after a sixth of the additions that would fill it again. */
const MOVES = 8;
