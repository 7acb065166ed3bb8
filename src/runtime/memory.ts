/**
 * Memory that system calls see: addresses of octets, and arenas in which C structures are laid out.
 *
 * Invariant: whoever hands an address to the kernel keeps the buffer reachable until the call has returned; the collector
 * knows nothing of numbers. Limits: 64-bit little-endian layouts; addresses are numbers (user space ends below 2^53).
 */
import type { Koffi } from './koffi.ts';

/** A block of zeroed octets with its address, and a cursor that hands out aligned pieces. */
export class Arena {
  readonly bytes: Uint8Array;
  readonly view: DataView;
  readonly base: number;
  #used = 0;

  constructor(koffi: Koffi, size: number) {
    const memory = new ArrayBuffer(size);
    this.bytes = new Uint8Array(memory);
    this.view = new DataView(memory);
    this.base = Number(koffi.address(this.bytes));
  }

  /** Offset of the next free `length` octets, aligned to 8. */
  alloc(length: number): number {
    const at = this.#used;
    this.#used = (at + length + 7) & ~7;
    if (this.#used > this.bytes.length) throw new RangeError('arena exhausted');
    return at;
  }

  /** Writes the address of something as a pointer, or a size_t. */
  putWord(at: number, value: number): void {
    this.view.setUint32(at, value >>> 0, true);
    this.view.setUint32(at + 4, Math.floor(value / 0x1_0000_0000), true);
  }
}

/** The address of the first octet of `buf`, computed once per buffer object. */
export function addressOf(koffi: Koffi, buf: Uint8Array): number {
  let address = addresses.get(buf);
  if (address === undefined) {
    address = Number(koffi.address(buf));
    addresses.set(buf, address);
  }
  return address;
}

/** The same for many views of one memory, such as the buffers of a pool: a subtraction and an addition a call. */
export class AddressCache {
  readonly #koffi: Koffi;
  #memory: ArrayBufferLike | undefined;
  #base = 0;

  constructor(koffi: Koffi) {
    this.#koffi = koffi;
  }

  of(buf: Uint8Array): number {
    const memory = buf.buffer;
    if (memory !== this.#memory) {
      this.#base = addressOf(this.#koffi, buf) - buf.byteOffset;
      this.#memory = memory;
    }
    return this.#base + buf.byteOffset;
  }
}

const addresses = new WeakMap<Uint8Array, number>();
