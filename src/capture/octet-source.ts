/**
 * A cursor over a file that arrives in pieces: files of any size are read with memory for one record.
 *
 * Every failure is a `WireError` whose offset counts from the start of the file.
 */
import type { Bytes } from '../core/index.ts';
import { concat, EMPTY, WireError } from '../core/index.ts';

export class OctetSource {
  readonly #chunks: Iterator<Bytes>;
  #chunk: Bytes = EMPTY;
  #used = 0;
  #at = 0;

  constructor(chunks: Iterable<Bytes>) {
    this.#chunks = chunks[Symbol.iterator]();
  }

  /** Offset of the next octet from the start of the file. */
  get at(): number {
    return this.#at;
  }

  /** True when not one octet is left. */
  ended(): boolean {
    return !this.#fill(1);
  }

  /** A copy of the next `length` octets, without stepping over them. */
  peek(field: string, length: number): Bytes {
    this.#need(field, length);
    return this.#chunk.slice(this.#used, this.#used + length);
  }

  /** A copy of the next `length` octets. */
  take(field: string, length: number): Bytes {
    const octets = this.peek(field, length);
    this.#used += length;
    this.#at += length;
    return octets;
  }

  /** Steps over octets without holding them. */
  skip(field: string, length: number): void {
    let left = length;
    while (left > 0) {
      if (!this.#fill(1)) throw new WireError(field, this.#at, `the file ends ${left} octets too early`);
      const step = Math.min(left, this.#chunk.length - this.#used);
      this.#used += step;
      this.#at += step;
      left -= step;
    }
  }

  #need(field: string, length: number): void {
    if (this.#fill(length)) return;
    throw new WireError(
      field,
      this.#at,
      `needs ${length} octets, the file has ${this.#chunk.length - this.#used} left`,
    );
  }

  /** Whether `length` octets stand in the current chunk, after reading as many chunks as that takes. */
  #fill(length: number): boolean {
    if (this.#chunk.length - this.#used >= length) return true;
    const pieces = [this.#chunk.subarray(this.#used)];
    let held = pieces[0]!.length;
    while (held < length) {
      const next = this.#chunks.next();
      if (next.done === true) break;
      pieces.push(next.value);
      held += next.value.length;
    }
    this.#chunk = concat(...pieces);
    this.#used = 0;
    return held >= length;
  }
}
