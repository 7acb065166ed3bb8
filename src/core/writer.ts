/**
 * A growing octet buffer for control-plane messages. Lengths are never computed beforehand: a counted block patches its own.
 *
 * Limit: one message, at most 65,535 octets per counted16 block; exceeding it is a bug of ours and throws.
 */
import { type Bytes, concat } from './bytes.ts';
import { invariant } from './errors.ts';

export class Writer {
  #buffer: Bytes;
  #length = 0;

  constructor(capacity = 512) {
    this.#buffer = new Uint8Array(capacity);
  }

  get length(): number {
    return this.#length;
  }

  u8(value: number): void {
    const o = this.#grow(1);
    this.#buffer[o] = value;
  }

  u16(value: number): void {
    const o = this.#grow(2);
    this.#buffer[o] = value >>> 8;
    this.#buffer[o + 1] = value;
  }

  u24(value: number): void {
    const o = this.#grow(3);
    this.#buffer[o] = value >>> 16;
    this.#buffer[o + 1] = value >>> 8;
    this.#buffer[o + 2] = value;
  }

  u32(value: number): void {
    const o = this.#grow(4);
    this.#buffer[o] = value >>> 24;
    this.#buffer[o + 1] = value >>> 16;
    this.#buffer[o + 2] = value >>> 8;
    this.#buffer[o + 3] = value;
  }

  bytes(octets: Bytes): void {
    const o = this.#grow(octets.length);
    this.#buffer.set(octets, o);
  }

  zeros(length: number): void {
    const o = this.#grow(length);
    this.#buffer.fill(0, o, o + length);
  }

  /**
   * Runs `write`, then stores in front of it, as 16 bits, its length plus `extra` octets
   * (`extra` counts the octets of the element that stand before the block, the length field included).
   */
  counted16(write: () => void, extra = 0): void {
    const field = this.#grow(2);
    write();
    const length = this.#length - field - 2 + extra;
    invariant(length <= 0xffff, 'a counted block fits 16 bits');
    this.patch16(field, length);
  }

  /** The same with an 8-bit length. */
  counted8(write: () => void, extra = 0): void {
    const field = this.#grow(1);
    write();
    const length = this.#length - field - 1 + extra;
    invariant(length <= 0xff, 'a counted block fits 8 bits');
    this.#buffer[field] = length;
  }

  patch8(at: number, value: number): void {
    invariant(at + 1 <= this.#length, 'patched octets were written before');
    this.#buffer[at] = value;
  }

  patch16(at: number, value: number): void {
    invariant(at + 2 <= this.#length, 'patched octets were written before');
    this.#buffer[at] = value >>> 8;
    this.#buffer[at + 1] = value;
  }

  patch32(at: number, value: number): void {
    this.patch16(at, value >>> 16);
    this.patch16(at + 2, value & 0xffff);
  }

  /** A copy of what was written. */
  finish(): Bytes {
    return this.#buffer.slice(0, this.#length);
  }

  #grow(length: number): number {
    const o = this.#length;
    const needed = o + length;
    if (needed > this.#buffer.length) {
      this.#buffer = concat(this.#buffer, new Uint8Array(Math.max(needed, this.#buffer.length)));
    }
    this.#length = needed;
    return o;
  }
}

/** Encodes one value on its own. */
export function encoded<T>(encode: (w: Writer, value: T) => void, value: T): Bytes {
  const w = new Writer();
  encode(w, value);
  return w.finish();
}
