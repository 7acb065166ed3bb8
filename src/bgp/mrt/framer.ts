/**
 * From the octets of an MRT file, in pieces of any size, to its records: RFC 6396 §2.
 *
 * What a record says is `record.ts`'s. Offsets in errors count from the start of the file.
 * Limits: a record has at most MAXIMUM_RECORD octets, and at most one is ever kept.
 * Invariant: a frame is valid until the next call.
 */
import { type Bytes, EMPTY, invariant, u32, WireError } from '../../core/index.ts';

/** Timestamp (4) | Type (2) | Subtype (2) | Length (4). */
export const MRT_HEADER_LENGTH = 12;
/** A full table of one prefix with a thousand peers has about a hundred thousand octets; a list of 65,535 peers 1.7 million. */
export const MAXIMUM_RECORD = 1 << 24;

export interface MrtFrame {
  /** Where it stands in the file. */
  readonly at: number;
  /** Header and body. */
  readonly octets: Bytes;
}

export class MrtFramer {
  #pushed: Bytes = EMPTY;
  #used = 0;
  #kept: Bytes = EMPTY;
  #keptLength = 0;
  /** Offset in the file of what comes next. */
  #at = 0;

  /** Gives the next octets of the file, after `next` has said undefined for those before. */
  push(octets: Bytes): void {
    invariant(this.#used === this.#pushed.length, 'records are taken before more octets come');
    this.#pushed = octets;
    this.#used = 0;
  }

  /** Octets that no record was made of yet. */
  get pending(): number {
    return this.#keptLength + this.#pushed.length - this.#used;
  }

  /** Throws a `WireError` at a record that is too long. */
  next(): MrtFrame | undefined {
    if (this.#keptLength === 0) {
      const length = this.#recordLength(this.#pushed, this.#used, this.#pushed.length);
      if (length !== undefined && this.#pushed.length - this.#used >= length) {
        const octets = this.#pushed.subarray(this.#used, this.#used + length);
        this.#used += length;
        return this.#frame(octets);
      }
    }
    if (!this.#fill(MRT_HEADER_LENGTH)) return undefined;
    const length = this.#recordLength(this.#kept, 0, this.#keptLength)!;
    if (!this.#fill(length)) return undefined;
    this.#keptLength = 0;
    return this.#frame(this.#kept.subarray(0, length));
  }

  /** Throws a `WireError` where the file ends in the middle of a record. */
  end(): void {
    if (this.pending > 0) throw new WireError('record', this.#at, `the file ends ${this.pending} octets into it`);
  }

  #frame(octets: Bytes): MrtFrame {
    const at = this.#at;
    this.#at += octets.length;
    return { at, octets };
  }

  #recordLength(b: Bytes, o: number, end: number): number | undefined {
    if (end - o < MRT_HEADER_LENGTH) return undefined;
    const length = MRT_HEADER_LENGTH + u32(b, o + 8);
    if (length > MAXIMUM_RECORD)
      throw new WireError('record.length', this.#at + 8, `${length} octets where ${MAXIMUM_RECORD} are the most`);
    return length;
  }

  /** Moves octets over until `length` are kept; false when there are not enough. */
  #fill(length: number): boolean {
    const taken = Math.min(Math.max(0, length - this.#keptLength), this.#pushed.length - this.#used);
    const needed = this.#keptLength + taken;
    if (needed > this.#kept.length) {
      const larger = new Uint8Array(Math.max(needed, 2 * this.#kept.length, 4096));
      larger.set(this.#kept.subarray(0, this.#keptLength));
      this.#kept = larger;
    }
    this.#kept.set(this.#pushed.subarray(this.#used, this.#used + taken), this.#keptLength);
    this.#keptLength = needed;
    this.#used += taken;
    return needed >= length;
  }
}
