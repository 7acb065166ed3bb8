/**
 * The anti-replay window: the ring of words of RFC 6479, over exact sequence numbers up to 2^53.
 *
 * Read first: RFC 4303 §3.4.3 and Appendix A2; RFC 6479 §2.
 * Leaves to others: the high half of extended sequence numbers (`sequence.ts`), the ICV (`packet.ts`).
 * Limits: MAX_REPLAY_WINDOW packets.
 * Invariant: `fresh` changes nothing; `accept` is the only writer and is called only after the ICV verified.
 */
import { invariant } from '../core/index.ts';

/** RFC 4303 §3.4.3 demands 32 and prefers 64; gigabit links that reorder want more. */
export const DEFAULT_REPLAY_WINDOW = 1024;
/** 128 KB an SA; a bound against configuration slips. */
export const MAX_REPLAY_WINDOW = 0x10_0000;
/** RFC 4303 §3.4.3: "A minimum window size of 32 packets MUST be supported." */
export const MIN_REPLAY_WINDOW = 32;

export class ReplayWindow {
  /** Packets the window reaches back, the newest included; 0 when every packet is taken as fresh. */
  readonly size: number;
  readonly #words: Uint32Array;
  readonly #mask: number;
  #top = 0;

  /** `packets` is rounded up to a multiple of 32; 0 switches replay protection off. */
  constructor(packets = DEFAULT_REPLAY_WINDOW) {
    invariant(packets >= 0 && packets <= MAX_REPLAY_WINDOW, `a replay window has 0 to ${MAX_REPLAY_WINDOW} packets`);
    this.size = Math.ceil(packets / WORD_BITS) * WORD_BITS;
    // One word more than the window covers, because the newest word is partly future. A power of two divides 2^32, so
    // that the low half of a sequence number is enough to find its word.
    const words = this.size === 0 ? 1 : 2 ** Math.ceil(Math.log2(this.size / WORD_BITS + 1));
    this.#words = new Uint32Array(words);
    this.#mask = words - 1;
  }

  /** The highest sequence number accepted: T of RFC 4303 Appendix A2; 0 before the first. */
  get top(): number {
    return this.#top;
  }

  /** Neither accepted before nor left of the window. Sequence number 0 never occurs (RFC 4303 §3.3.3). */
  fresh(sequence: number): boolean {
    if (this.size === 0) return true;
    if (sequence > this.#top) return true;
    if (sequence <= 0 || this.#top - sequence >= this.size) return false;
    return ((this.#words[(sequence >>> 5) & this.#mask]! >>> (sequence & 31)) & 1) === 0;
  }

  /** Marks a sequence number that was `fresh` and whose packet is authentic. True: it is the highest so far. */
  accept(sequence: number): boolean {
    const newest = sequence > this.#top;
    if (newest) {
      this.#clear(Math.floor(this.#top / WORD_BITS), Math.floor(sequence / WORD_BITS));
      this.#top = sequence;
    }
    this.#words[(sequence >>> 5) & this.#mask]! |= 1 << (sequence & 31);
    return newest;
  }

  /** The same for `count` numbers from `first` on, all of which are higher than any so far. */
  acceptRun(first: number, count: number): void {
    const last = first + count - 1;
    this.#clear(Math.floor(this.#top / WORD_BITS), Math.floor(last / WORD_BITS));
    this.#top = last;
    const words = this.#words;
    // One word of the ring stands for the newest numbers only.
    const oldest = (Math.floor(last / WORD_BITS) - words.length + 1) * WORD_BITS;
    for (let next = Math.max(first, oldest); next <= last; ) {
      const bit = next & 31;
      const bits = Math.min(WORD_BITS - bit, last - next + 1);
      words[(next >>> 5) & this.#mask]! |= (ALL >>> (WORD_BITS - bits)) << bit;
      next += bits;
    }
  }

  /** Empties the words after `from` up to `to`; never more than the ring has, however far the jump. */
  #clear(from: number, to: number): void {
    const last = Math.min(to, from + this.#words.length);
    for (let word = from + 1; word <= last; word++) this.#words[word & this.#mask] = 0;
  }
}

const WORD_BITS = 32;
const ALL = 0xffff_ffff;
