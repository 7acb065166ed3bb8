/**
 * A bounded cursor over received octets, for control-plane messages.
 *
 * Invariant: a reader never yields an octet outside [start, end); `sub` gives a reader bounded to one element, so a length
 * field inside can never reach beyond it. Every read names its field, so every error carries field and offset.
 */
import type { Bytes } from './bytes.ts';
import { WireError } from './errors.ts';

export class Reader {
  readonly #bytes: Bytes;
  readonly #end: number;
  #at: number;

  /** Reads `bytes` from `start` to `end`. Offsets in errors count from the start of `bytes`. */
  constructor(bytes: Bytes, start = 0, end = bytes.length) {
    if (start < 0 || end > bytes.length || start > end) throw new RangeError('reader bounds outside its octets');
    this.#bytes = bytes;
    this.#at = start;
    this.#end = end;
  }

  /** Offset of the next octet, from the start of the message. */
  get at(): number {
    return this.#at;
  }

  get left(): number {
    return this.#end - this.#at;
  }

  u8(field: string): number {
    const o = this.#take(field, 1);
    return this.#bytes[o]!;
  }

  u16(field: string): number {
    const o = this.#take(field, 2);
    return (this.#bytes[o]! << 8) | this.#bytes[o + 1]!;
  }

  u24(field: string): number {
    const o = this.#take(field, 3);
    return (this.#bytes[o]! << 16) | (this.#bytes[o + 1]! << 8) | this.#bytes[o + 2]!;
  }

  u32(field: string): number {
    const o = this.#take(field, 4);
    const b = this.#bytes;
    return ((b[o]! << 24) | (b[o + 1]! << 16) | (b[o + 2]! << 8) | b[o + 3]!) >>> 0;
  }

  /** A copy of the next `length` octets: values outlive the receive buffer. */
  bytes(field: string, length: number): Bytes {
    const o = this.#take(field, length);
    return this.#bytes.slice(o, o + length);
  }

  /** A copy of everything left in this element. */
  rest(): Bytes {
    const out = this.#bytes.slice(this.#at, this.#end);
    this.#at = this.#end;
    return out;
  }

  skip(length: number, field: string): void {
    this.#take(field, length);
  }

  /** A reader bounded to the next `length` octets, which this one steps over. */
  sub(field: string, length: number): Reader {
    const o = this.#take(field, length);
    return new Reader(this.#bytes, o, o + length);
  }

  /** Refuses octets nobody asked for. */
  done(field: string): void {
    if (this.left !== 0) this.fail(field, `${this.left} octets too many`);
  }

  /** Throws at the current offset. */
  fail(field: string, problem: string, answer?: number): never {
    throw new WireError(field, this.#at, problem, answer);
  }

  #take(field: string, length: number): number {
    const o = this.#at;
    if (length < 0 || length > this.#end - o) {
      throw new WireError(field, o, `needs ${length} octets, ${this.#end - o} left`);
    }
    this.#at = o + length;
    return o;
  }
}
