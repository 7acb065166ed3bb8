/**
 * What an update group has encoded and not every member has taken: one copy of the octets, read by each member from its own place.
 *
 * A segment is a run of whole messages with the same readers: all, all but one, or one alone. Segments are numbered without end.
 * Invariant: between flushes segments lie in memory of which no more than a quarter is unused.
 */
import type { Bytes } from '../../core/index.ts';

export interface Segment {
  readonly octets: Bytes;
  /** Peer that may not have it; 0 is nobody. */
  readonly except: number;
  /** Peer that alone has it; 0 is everybody. */
  readonly only: number;
}

/** A new buffer is small; while one flush fills them they have room for many messages. */
const SMALL = 8192;
const MESSAGES = 16;
/** A segment this long is closed: a member is given whole ones. */
const SEGMENT = 32_768;

export class UpdateLog {
  /** Octets that are kept. */
  kept = 0;
  readonly #segments: Segment[] = [];
  #base = 0;
  #buffer: Bytes = new Uint8Array(0);
  #start = 0;
  #end = 0;
  #except = 0;
  #only = 0;
  /** How many messages of the greatest length the next buffer has room for, and where its segments begin. */
  #room = 1;
  #first = 0;

  /** Number of the segment that comes next. Closes the one that is open. */
  get head(): number {
    this.close();
    return this.#base + this.#segments.length;
  }

  /** Makes sure that a message of up to `length` octets can be written into `buffer` at `at`. */
  open(length: number, except: number, only: number): void {
    if (except !== this.#except || only !== this.#only) this.close();
    this.#except = except;
    this.#only = only;
    if (this.#end + length <= this.#buffer.length) return;
    this.#leave(new Uint8Array(Math.max(length * this.#room, SMALL)));
    this.#room = MESSAGES;
  }

  get buffer(): Bytes {
    return this.#buffer;
  }

  get at(): number {
    return this.#end;
  }

  /** A message has been written, up to `end`. */
  wrote(end: number): void {
    this.#end = end;
    if (end - this.#start >= SEGMENT) this.close();
  }

  close(): void {
    if (this.#end === this.#start) return;
    const octets = this.#buffer.subarray(this.#start, this.#end);
    this.#segments.push({ octets, except: this.#except, only: this.#only });
    this.kept += octets.length;
    this.#start = this.#end;
  }

  /** The flush is over: nothing is kept for the next one. */
  settle(): void {
    this.#leave(NOTHING);
    this.#room = 1;
  }

  segment(number: number): Segment {
    return this.#segments[number - this.#base]!;
  }

  /** Forgets what stands before `number`. */
  trim(number: number): void {
    const gone = Math.min(number - this.#base, this.#segments.length);
    if (gone <= 0) return;
    for (let i = 0; i < gone; i++) this.kept -= this.#segments[i]!.octets.length;
    this.#segments.splice(0, gone);
    this.#base += gone;
  }

  /** On to another buffer; what this one has is moved into memory that it fills, if it does not fill this. */
  #leave(next: Bytes): void {
    this.close();
    if (this.#end * 4 < this.#buffer.length * 3) {
      const exact = this.#buffer.slice(0, this.#end);
      for (let i = this.#first - this.#base; i < this.#segments.length; i++) {
        const { octets, except, only } = this.#segments[i]!;
        const at = octets.byteOffset - this.#buffer.byteOffset;
        this.#segments[i] = { octets: exact.subarray(at, at + octets.length), except, only };
      }
    }
    this.#first = this.#base + this.#segments.length;
    this.#buffer = next;
    this.#start = this.#end = 0;
  }
}

const NOTHING: Bytes = new Uint8Array(0);
