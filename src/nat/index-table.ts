/**
 * From a hash to rows of a table: open addressing with linear probing, four octets a slot.
 *
 * A slot is empty (0) or holds ten bits of the hash and the number of a row plus one, so that nearly every row looked at is
 * the one that was looked for. Deletion shifts the followers back: there are no tombstones, and a table that has seen a
 * million sessions is as good as a fresh one.
 * It doubles when thirteen of sixteen slots are taken. The old slots move over a few at each change, so that no packet ever
 * waits for the whole; meanwhile those from `#cursor` on are looked at, too, and only there a deleted entry leaves a mark.
 * Limits: rows up to `SESSIONS_MAX`; it shrinks only when cleared, and has no slots of its own then.
 */
import { invariant } from '../core/index.ts';

export class IndexTable {
  #slots = NONE;
  /** The upper bits of a hash are the slot it belongs to: its home. */
  #shift = SHIFT_MAX;
  /** While the table doubles. Slots before the cursor have moved, and stay as they were. */
  #old: Int32Array | undefined;
  #cursor = 0;
  #size = 0;
  /** Of no meaning but that it is read. */
  touched = 0;
  readonly #hashOf: (row: number) => number;
  readonly #touchRow: (row: number) => number;

  /** `hashOf` gives the hash under which a row that is here was added; `touchRow` any word of the row. */
  constructor(hashOf: (row: number) => number, touchRow: (row: number) => number = () => 0) {
    this.#hashOf = hashOf;
    this.#touchRow = touchRow;
  }

  get size(): number {
    return this.#size;
  }

  /** Octets of memory. */
  get octets(): number {
    return (this.#slots === NONE ? 0 : this.#slots.byteLength) + (this.#old?.byteLength ?? 0);
  }

  /** Whatever stands where rows with this hash begin. */
  touch(hash: number): number {
    return this.#slots[hash >>> this.#shift]!;
  }

  /** The first row that may have this hash, or -1. Whether it is the right one, the caller sees. */
  first(hash: number): number {
    const slots = this.#slots;
    const mask = slots.length - 1;
    const tag = hash << ROW_BITS;
    for (let slot = hash >>> this.#shift; ; slot = (slot + 1) & mask) {
      const value = slots[slot]!;
      if (value === 0) return this.#old === undefined ? -1 : this.#scanOld(this.#old, hash, 0);
      if ((value ^ tag) >>> ROW_BITS === 0) return (value & ROW_MASK) - 1;
    }
  }

  /** The next one after `row`, which was not the right one. */
  after(hash: number, row: number): number {
    const slots = this.#slots;
    const mask = slots.length - 1;
    const tag = hash << ROW_BITS;
    const slot = find(slots, hash >>> this.#shift, tag | (row + 1), 0);
    if (slot < 0) return this.#old === undefined ? -1 : this.#scanOld(this.#old, hash, tag | (row + 1));
    for (let at = (slot + 1) & mask; slots[at] !== 0; at = (at + 1) & mask) {
      const value = slots[at]!;
      if ((value ^ tag) >>> ROW_BITS === 0) return (value & ROW_MASK) - 1;
    }
    return this.#old === undefined ? -1 : this.#scanOld(this.#old, hash, 0);
  }

  add(hash: number, row: number): void {
    if (this.#slots === NONE) this.#slots = new Int32Array(SLOTS_MIN);
    if ((this.#size + 1) * 16 > this.#slots.length * 13) this.#grow();
    put(this.#slots, hash >>> this.#shift, (hash << ROW_BITS) | (row + 1));
    this.#size += 1;
    if (this.#old !== undefined) this.#move(this.#old, MOVES);
  }

  remove(hash: number, row: number): void {
    const value = (hash << ROW_BITS) | (row + 1);
    const slot = find(this.#slots, hash >>> this.#shift, value, 0);
    if (slot >= 0) this.#erase(slot);
    else {
      const old = this.#old;
      const oldSlot = old === undefined ? -1 : find(old, hash >>> (this.#shift + 1), value, this.#cursor);
      invariant(old !== undefined && oldSlot >= 0, 'a row is removed from where it was added');
      old[oldSlot] = DELETED;
    }
    this.#size -= 1;
    if (this.#old !== undefined) this.#move(this.#old, MOVES);
  }

  clear(): void {
    this.#slots = NONE;
    this.#shift = SHIFT_MAX;
    this.#old = undefined;
    this.#size = 0;
  }

  /** The first row with this hash among those that have not moved, after the slot that holds `after` if that is not 0. */
  #scanOld(old: Int32Array, hash: number, after: number): number {
    const mask = old.length - 1;
    const tag = hash << ROW_BITS;
    let passed = after === 0;
    for (let at = hash >>> (this.#shift + 1); old[at] !== 0; at = (at + 1) & mask) {
      if (at < this.#cursor) continue;
      const value = old[at]!;
      const fits = (value ^ tag) >>> ROW_BITS === 0 && (value & ROW_MASK) !== 0;
      if (passed && fits) return (value & ROW_MASK) - 1;
      if (value === after) passed = true;
    }
    return -1;
  }

  #grow(): void {
    // Never happens: a doubled table has taken everything over long before it is full.
    if (this.#old !== undefined) this.#move(this.#old, Number.POSITIVE_INFINITY);
    this.#old = this.#slots;
    this.#cursor = 0;
    this.#slots = new Int32Array(this.#slots.length * 2);
    this.#shift -= 1;
  }

  #move(old: Int32Array, moves: number): void {
    const end = Math.min(this.#cursor + moves, old.length);
    // All rows are asked for before any is needed: what memory takes to answer, it takes once.
    let touched = 0;
    for (let at = this.#cursor; at < end; at++) {
      const row = (old[at]! & ROW_MASK) - 1;
      if (row >= 0) touched ^= this.#touchRow(row);
    }
    this.touched = touched;
    for (let at = this.#cursor; at < end; at++) {
      const value = old[at]!;
      const row = (value & ROW_MASK) - 1;
      if (row >= 0) put(this.#slots, this.#hashOf(row) >>> this.#shift, value);
    }
    this.#cursor = end;
    if (end === old.length) this.#old = undefined;
  }

  /** Empties the slot and closes the gap: whoever would no longer be found from its home moves into it. */
  #erase(slot: number): void {
    const slots = this.#slots;
    const mask = slots.length - 1;
    let gap = slot;
    for (let at = (slot + 1) & mask; slots[at] !== 0; at = (at + 1) & mask) {
      const value = slots[at]!;
      const home = this.#hashOf((value & ROW_MASK) - 1) >>> this.#shift;
      if (((at - home) & mask) < ((at - gap) & mask)) continue;
      slots[gap] = value;
      gap = at;
    }
    slots[gap] = 0;
  }
}

/** The slot that holds `value`, at or after slot `from`; or -1. */
function find(slots: Int32Array, home: number, value: number, from: number): number {
  const mask = slots.length - 1;
  for (let at = home; slots[at] !== 0; at = (at + 1) & mask) if (slots[at] === value && at >= from) return at;
  return -1;
}

function put(slots: Int32Array, home: number, value: number): void {
  const mask = slots.length - 1;
  let at = home;
  while (slots[at] !== 0) at = (at + 1) & mask;
  slots[at] = value;
}

const ROW_BITS = 22;
const ROW_MASK = (1 << ROW_BITS) - 1;
/** Of no row, and not empty. */
const DELETED = 1 << ROW_BITS;
const SLOTS_MIN = 16;
const SHIFT_MAX = 28;
/** The slots of every table that is empty; never written. */
const NONE = new Int32Array(SLOTS_MIN);
/** Old slots that move at each change: all have after a thirteenth of the additions that would fill the table again. */
const MOVES = 16;
