/**
 * Records of octets from one thread to another, in shared memory: one writer, one reader, no waiting.
 *
 * Layout: two positions (32 bits each, counting octets without end), then the data; a record is its length and its octets,
 * padded to four. The reader wipes what it took, because records may hold keys.
 * Limit: the capacity, a power of two; a record that finds no room is refused.
 */
import { invariant } from '../../core/index.ts';

export class Ring {
  readonly memory: SharedArrayBuffer;
  readonly capacity: number;
  readonly #positions: Int32Array;
  readonly #data: Uint8Array;
  readonly #length = new Uint8Array(4);

  /** Octets of shared memory for a ring of that capacity. */
  static room(capacity: number): SharedArrayBuffer {
    invariant((capacity & (capacity - 1)) === 0, 'the capacity of a ring is a power of two');
    return new SharedArrayBuffer(DATA + capacity);
  }

  /** Both ends are made over the same memory. */
  constructor(memory: SharedArrayBuffer) {
    this.memory = memory;
    this.capacity = memory.byteLength - DATA;
    this.#positions = new Int32Array(memory, 0, 2);
    this.#data = new Uint8Array(memory, DATA);
  }

  /** Octets written and not yet read. */
  get used(): number {
    return (Atomics.load(this.#positions, WRITTEN) - Atomics.load(this.#positions, READ)) >>> 0;
  }

  /** Whether an empty ring has room for a record of so many octets. */
  takes(length: number): boolean {
    return wholeLength(length) <= this.capacity;
  }

  /** False: no room; nothing was written. */
  push(record: Uint8Array): boolean {
    const whole = wholeLength(record.length);
    if (this.used + whole > this.capacity) return false;
    const at = Atomics.load(this.#positions, WRITTEN);
    new DataView(this.#length.buffer).setUint32(0, record.length);
    this.#put(at, this.#length);
    this.#put(at + 4, record);
    Atomics.store(this.#positions, WRITTEN, (at + whole) | 0);
    return true;
  }

  /** The oldest record, copied out; undefined when there is none. */
  shift(): Uint8Array<ArrayBuffer> | undefined {
    if (this.used === 0) return undefined;
    const at = Atomics.load(this.#positions, READ);
    this.#take(at, this.#length);
    const record = new Uint8Array(new DataView(this.#length.buffer).getUint32(0));
    this.#take(at + 4, record);
    Atomics.store(this.#positions, READ, (at + wholeLength(record.length)) | 0);
    return record;
  }

  /**
   * Hands over the records that are here now, oldest first; what is written meanwhile waits. `visit` says what a record was worth; none is
   * handed over any more when they have come to `most`. Gives what they were worth.
   */
  drain(visit: (record: Uint8Array<ArrayBuffer>) => number, most = Number.POSITIVE_INFINITY): number {
    const end = Atomics.load(this.#positions, WRITTEN);
    let worth = 0;
    while (worth < most && Atomics.load(this.#positions, READ) !== end) worth += visit(this.shift()!);
    return worth;
  }

  /** When neither end is used any more. */
  wipe(): void {
    this.#data.fill(0);
  }

  #put(at: number, octets: Uint8Array): void {
    const from = at & (this.capacity - 1);
    const first = Math.min(octets.length, this.capacity - from);
    this.#data.set(octets.subarray(0, first), from);
    this.#data.set(octets.subarray(first), 0);
  }

  #take(at: number, into: Uint8Array): void {
    const from = at & (this.capacity - 1);
    const first = Math.min(into.length, this.capacity - from);
    into.set(this.#data.subarray(from, from + first));
    into.set(this.#data.subarray(0, into.length - first), first);
    this.#data.fill(0, from, from + first);
    this.#data.fill(0, 0, into.length - first);
  }
}

/** What a record of so many octets takes. */
export const wholeLength = (length: number): number => (length + 4 + 3) & ~3;

const WRITTEN = 0;
const READ = 1;
const DATA = 64;
