/**
 * Sequence numbers: exact JavaScript numbers here, a low half of 32 bits on the wire, and the limits where an SA stops.
 *
 * Read first: RFC 4303 §2.2, §3.3.3, Appendix A2.
 * Deliberate limits: a 64-bit sequence number stops at 2^53 - 1, far beyond any lifetime; no re-synchronisation after the
 * undetected loss of 2^32 packets in a row (Appendix A3): liveness checks and rekeys come long before.
 */
import { NO_ESN } from '../crypto/index.ts';

/** The last number an SA with 32-bit sequence numbers sends; the one after would cycle (RFC 4303 §3.3.3). */
export const LAST_SEQUENCE = 0xffff_ffff;
/** The last number an SA with extended sequence numbers sends: the last one that is exact. */
export const LAST_EXTENDED_SEQUENCE = Number.MAX_SAFE_INTEGER;
/** So many numbers before the last one, the SA asks for its replacement: 16 s at a million packets a second. */
export const SEQUENCE_MARGIN = 0x100_0000;

/** Where an outbound SA takes its numbers from. The SAs of several threads may share one, if it is made for that. */
export interface SequenceSource {
  /** The last number taken, by whomever; 0 before the first. */
  readonly last: number;
  /** The first of the next `count` numbers, which nobody else is given; 0: there are not as many up to `limit`. They never cycle (RFC 4303 §3.3.3). */
  take(count: number, limit: number): number;
  /** Leaves out the numbers up to this one, if they have not been taken already. */
  advanceTo(sequence: number): void;
}

/** Numbers for one thread. */
export class SequenceCounter implements SequenceSource {
  #last = 0;

  get last(): number {
    return this.#last;
  }

  take(count: number, limit: number): number {
    if (this.#last > limit - count) return 0;
    this.#last += count;
    return this.#last - count + 1;
  }

  advanceTo(sequence: number): void {
    if (sequence > this.#last) this.#last = sequence;
  }
}

export const lastSequence = (esn: boolean): number => (esn ? LAST_EXTENDED_SEQUENCE : LAST_SEQUENCE);

export const lowHalf = (sequence: number): number => sequence >>> 0;
export const highHalf = (sequence: number): number => Math.floor(sequence / SUBSPACE);
/** What a Protection is told of a number. */
export const cipherHigh = (esn: boolean, sequence: number): number => (esn ? highHalf(sequence) : NO_ESN);

/**
 * RFC 4303 Appendix A2.2: the only sequence number with this low half that lies neither left of the window nor a whole
 * subspace right of its lower bound. `top` and `size` are the window's. Negative where the packet would have to come from
 * before the first subspace; above LAST_EXTENDED_SEQUENCE where no SA goes.
 */
export function recoverSequence(top: number, size: number, low: number): number {
  const bottom = top - size + 1;
  return bottom + ((low - bottom) >>> 0);
}

const SUBSPACE = 0x1_0000_0000;
