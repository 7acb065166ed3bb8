/**
 * A member of an update group on its own way: its first table, an answer to ROUTE-REFRESH, or what it missed while it did not read.
 *
 * One bit a unit says that the peer may not have what the group says of it. Octets are made from the group's present state when the peer
 * takes them, so what changes meanwhile costs nothing, and memory is bounded by the bits. Units go out in slices of the table, each sorted
 * by attribute set; rows are in the order of arrival, so slices hardly cost packing.
 */
import type { Bytes } from '../../core/index.ts';
import { larger } from './columns.ts';

/** Units a slice. */
export const SLICE = 32_768;

export class Resync {
  /** Withdrawals that had been encoded and not taken: they go first, as they are. */
  readonly literal: Bytes[];
  /** Messages before everything else and behind it: BoRR, EoRR (RFC 7313), End-of-RIB. */
  readonly before: Bytes[] = [];
  readonly behind: Bytes[] = [];
  /** Whether an answer to ROUTE-REFRESH is on its way. */
  refreshes = false;
  /** Behind that, all once more: ROUTE-REFRESH that came before the end of what is on its way. */
  again: { readonly before: readonly Bytes[]; readonly behind: readonly Bytes[] } | undefined;
  #bits: Uint32Array;
  #at = 0;
  #count = 0;

  constructor(literal: Bytes[] = []) {
    this.literal = literal;
    this.#bits = new Uint32Array(2);
  }

  get count(): number {
    return this.#count;
  }

  get octets(): number {
    return this.#bits.length * 4;
  }

  has(unit: number): boolean {
    const word = unit >>> 5;
    return word < this.#bits.length && (this.#bits[word]! & (1 << (unit & 31))) !== 0;
  }

  mark(unit: number): void {
    const word = unit >>> 5;
    if (word >= this.#bits.length) {
      const bits = new Uint32Array(Math.max(larger(this.#bits.length), word + 1));
      bits.set(this.#bits);
      this.#bits = bits;
    }
    const bit = 1 << (unit & 31);
    if ((this.#bits[word]! & bit) !== 0) return;
    this.#bits[word]! |= bit;
    this.#count++;
  }

  /** The peer has been told of it. */
  clear(unit: number): void {
    if (!this.has(unit)) return;
    this.#bits[unit >>> 5]! &= ~(1 << (unit & 31));
    this.#count--;
  }

  each(visit: (unit: number) => void): void {
    for (let at = 0; at < this.#bits.length; at++)
      for (let rest = this.#bits[at]!; rest !== 0; rest &= rest - 1) visit(at * 32 + 31 - Math.clz32(rest & -rest));
  }

  /** Up to SLICE marked units, from where the last slice ended, and around. */
  slice(): Uint32Array {
    const out = new Uint32Array(Math.min(SLICE, this.#count));
    const bits = this.#bits;
    let found = 0;
    for (let looked = 0; looked < bits.length && found < out.length; looked++) {
      if (this.#at >= bits.length) this.#at = 0;
      for (let rest = bits[this.#at]!; rest !== 0 && found < out.length; rest &= rest - 1)
        out[found++] = this.#at * 32 + 31 - Math.clz32(rest & -rest);
      this.#at++;
    }
    return out.subarray(0, found);
  }
}
