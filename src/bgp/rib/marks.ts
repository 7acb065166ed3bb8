/** A set of units, one bit each: a full table of marks is an eighth of a megabyte. */
import { larger } from './columns.ts';

/** Units a slice. */
const SLICE = 32_768;

export class Marks {
  #bits: Uint32Array = new Uint32Array(2);
  #at = 0;
  #count = 0;

  get count(): number {
    return this.#count;
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

  clear(unit: number): void {
    const word = unit >>> 5;
    const bit = 1 << (unit & 31);
    if (word >= this.#bits.length || (this.#bits[word]! & bit) === 0) return;
    this.#bits[word]! &= ~bit;
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
