/**
 * A ring of octets that begins with no memory, grows by doubling to a limit, and gives the memory back when it is empty.
 *
 * Octets may be put ahead of the end (`place`) and become part of it later (`extend`): that is how segments out of order wait.
 */
import { type Bytes, EMPTY, invariant } from '../../core/index.ts';

export class Ring {
  readonly limit: number;
  #buf: Bytes = EMPTY;
  #head = 0;
  #length = 0;

  constructor(limit: number) {
    this.limit = limit;
  }

  get length(): number {
    return this.#length;
  }

  get free(): number {
    return this.limit - this.#length;
  }

  /** Octets of memory held. */
  get capacity(): number {
    return this.#buf.length;
  }

  /** Appends as much as fits and says how much that was. */
  append(octets: Bytes): number {
    const taken = Math.min(octets.length, this.free);
    this.place(0, octets.subarray(0, taken));
    this.#length += taken;
    return taken;
  }

  /** Puts octets `offset` behind the end; the length stays. They must fit. */
  place(offset: number, octets: Bytes): void {
    const from = this.#length + offset;
    invariant(from + octets.length <= this.limit, 'what is placed fits the ring');
    if (octets.length === 0) return;
    this.#reserve(from + octets.length);
    const at = (this.#head + from) % this.#buf.length;
    const first = Math.min(octets.length, this.#buf.length - at);
    this.#buf.set(octets.subarray(0, first), at);
    this.#buf.set(octets.subarray(first), 0);
  }

  /** Makes `length` placed octets part of the contents. */
  extend(length: number): void {
    this.#length += length;
  }

  /** A copy of `length` octets from `offset` on. */
  copy(offset: number, length: number): Bytes {
    invariant(offset >= 0 && offset + length <= this.#length, 'what is copied is in the ring');
    const out = new Uint8Array(length);
    if (length === 0) return out;
    const at = (this.#head + offset) % this.#buf.length;
    const first = Math.min(length, this.#buf.length - at);
    out.set(this.#buf.subarray(at, at + first));
    out.set(this.#buf.subarray(0, length - first), first);
    return out;
  }

  discard(length: number): void {
    invariant(length <= this.#length, 'what is discarded is in the ring');
    this.#length -= length;
    if (this.#buf.length > 0) this.#head = (this.#head + length) % this.#buf.length;
  }

  /** Gives memory beyond the smallest piece back. Only for a ring without contents, placed ones included. */
  relax(): void {
    if (this.#length > 0 || this.#buf.length <= SMALLEST) return;
    this.#buf = EMPTY;
    this.#head = 0;
  }

  /** Drops contents and memory. */
  clear(): void {
    this.#length = 0;
    this.#buf = EMPTY;
    this.#head = 0;
  }

  /** Placed octets move along: everything from the head on is copied. */
  #reserve(needed: number): void {
    if (needed <= this.#buf.length) return;
    let capacity = Math.max(SMALLEST, this.#buf.length);
    while (capacity < needed) capacity *= 2;
    const grown = new Uint8Array(Math.min(capacity, this.limit));
    grown.set(this.#buf.subarray(this.#head));
    grown.set(this.#buf.subarray(0, this.#head), this.#buf.length - this.#head);
    this.#buf = grown;
    this.#head = 0;
  }
}

/** A KEEPALIVE has 19 octets, an OPEN less than 300. */
const SMALLEST = 512;
