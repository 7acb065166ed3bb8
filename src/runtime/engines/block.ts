/**
 * Memory that native code is given: blocks of our own, and the addresses of anyone's octets.
 *
 * Invariants: a block never moves and is aligned for any instruction; whoever passes an address keeps the object it belongs to
 * reachable until the call returns. Limits: 64-bit little-endian; addresses are numbers, as user space ends below 2^53.
 */
import type { Koffi } from '../koffi.ts';

export class Block {
  readonly bytes: Uint8Array;
  readonly words: Uint32Array;
  /** The address of the first octet. */
  readonly base: number;

  constructor(koffi: Pick<Koffi, 'address'>, length: number) {
    const memory = new ArrayBuffer(length + ALIGNMENT);
    const address = Number(koffi.address(new Uint8Array(memory)));
    const skip = -address & (ALIGNMENT - 1);
    this.bytes = new Uint8Array(memory, skip, length);
    this.words = new Uint32Array(memory, skip, length >>> 2);
    this.base = address + skip;
  }

  /** The 64-bit number, or address, at an offset that is a multiple of four. */
  word(at: number): number {
    return this.words[at >>> 2]! + this.words[(at >>> 2) + 1]! * 0x1_0000_0000;
  }

  putWord(at: number, value: number): void {
    this.words[at >>> 2] = value;
    this.words[(at >>> 2) + 1] = value / 0x1_0000_0000;
  }

  wipe(): void {
    this.bytes.fill(0);
  }
}

/** The address of buf[0]. Each buffer is asked once: packets of one pool share one. */
export type AddressOf = (buf: Uint8Array) => number;

/** Asking an array for its `buffer` moves what V8 kept in its own, moving heap to memory that stays where it is. */
export function addresses(koffi: Pick<Koffi, 'address'>): AddressOf {
  const known = new WeakMap<ArrayBufferLike, number>();
  return (buf) => {
    const { buffer } = buf;
    let address = known.get(buffer);
    if (address === undefined) {
      address = Number(koffi.address(new Uint8Array(buffer)));
      known.set(buffer, address);
    }
    return address + buf.byteOffset;
  };
}

/** The memory in which somebody's octets lie, as native code and words see it. */
export interface Memory {
  readonly buffer: ArrayBufferLike;
  readonly bytes: Uint8Array;
  readonly view: DataView;
  /** The address of its first octet. */
  readonly base: number;
}

/** What is known of the memory asked for last: all packets of a pool lie in one. */
export class Memories {
  readonly #addressOf: AddressOf;
  #last: Memory | undefined;

  constructor(koffi: Pick<Koffi, 'address'>) {
    this.#addressOf = addresses(koffi);
  }

  /** All of the memory of `buf`, whose octets begin at `buf.byteOffset` there. */
  of(buf: Uint8Array): Memory {
    const { buffer } = buf;
    const last = this.#last;
    if (last !== undefined && last.buffer === buffer) return last;
    const bytes = new Uint8Array(buffer);
    const memory = { buffer, bytes, view: new DataView(buffer), base: this.#addressOf(bytes) };
    this.#last = memory;
    return memory;
  }
}

const ALIGNMENT = 64;
