/**
 * The congestion window: slow start, congestion avoidance, fast retransmit and NewReno's fast recovery.
 *
 * Read first: RFC 5681 §3, §4.1, RFC 6582 §3.2, RFC 3042 (limited transmit).
 * Leaves to others: what is in flight, and sending. Deliberate limit: no selective acknowledgments; NewReno mends one
 * loss a round trip.
 */
import { distance, isAfter, isBefore } from './sequence.ts';

export class Congestion {
  #mss: number;
  #window: number;
  #threshold = UNBOUNDED;
  #duplicates = 0;
  /** RFC 6582 "recover": the sequence number behind the highest one sent when a loss was last noticed. */
  #recover: number;
  #recovering = false;
  /** Octets acknowledged in congestion avoidance since the window last grew (RFC 3465 §2.1). */
  #counted = 0;

  constructor(mss: number, iss: number) {
    this.#mss = mss;
    this.#window = initialWindow(mss);
    this.#recover = iss;
  }

  /** Octets that may be in flight; RFC 3042 §2: the first two duplicates let one segment each out. */
  get window(): number {
    const limited = this.#recovering ? 0 : Math.min(this.#duplicates, 2) * this.#mss;
    return this.#window + limited;
  }

  get recovering(): boolean {
    return this.#recovering;
  }

  /** The segment size is known, or smaller than thought. RFC 5681 §3.1: one segment where the SYN was lost. */
  begin(mss: number, synLost: boolean): void {
    this.#mss = mss;
    this.#window = synLost ? mss : initialWindow(mss);
  }

  /** RFC 1191 §6.5: a smaller segment size is no sign of congestion. */
  resize(mss: number): void {
    this.#mss = mss;
    this.#window = Math.max(this.#window, mss);
  }

  /** `octets` more are acknowledged, up to `ack`; `flight` of them remain. True: the first of those is lost, too. */
  acknowledge(octets: number, ack: number, flight: number): boolean {
    this.#duplicates = 0;
    if (!this.#recovering) {
      this.#grow(octets);
      return false;
    }
    if (!isBefore(ack, this.#recover)) {
      // RFC 6582 §3.2 step 3, full acknowledgment, option 1: no burst.
      this.#recovering = false;
      this.#window = Math.min(this.#threshold, Math.max(flight, this.#mss) + this.#mss);
      return false;
    }
    // Partial acknowledgment: deflate by what is acknowledged, and one segment goes out for it.
    this.#window = Math.max(this.#window - octets, 0) + (octets >= this.#mss ? this.#mss : 0);
    this.#window = Math.max(this.#window, this.#mss);
    return true;
  }

  /** A duplicate acknowledgment of `una`; everything up to `max` was sent. True: the first segment is to go again. */
  duplicate(una: number, max: number): boolean {
    this.#duplicates += 1;
    if (this.#recovering) {
      this.#window += this.#mss;
      return false;
    }
    // RFC 6582 §3.2 step 1: these may be echoes of what was sent again.
    if (this.#duplicates !== 3 || !isAfter(una, this.#recover)) return false;
    this.#halve(distance(una, max));
    this.#recover = max;
    this.#recovering = true;
    this.#window = this.#threshold + 3 * this.#mss;
    return true;
  }

  /** RFC 5681 §3.1 (4) and RFC 6582 §3.2 step 4. `again`: the same segment timed out before. */
  timeout(una: number, max: number, again: boolean): void {
    if (!again) this.#halve(distance(una, max));
    this.#window = this.#mss;
    this.#recover = max;
    this.#recovering = false;
    this.#duplicates = 0;
    this.#counted = 0;
  }

  /** RFC 5681 §4.1: nothing was sent for a retransmission timeout. */
  idle(): void {
    this.#window = Math.min(this.#window, initialWindow(this.#mss));
  }

  #halve(flight: number): void {
    this.#threshold = Math.max(flight >>> 1, 2 * this.#mss);
  }

  #grow(octets: number): void {
    if (this.#window >= UNBOUNDED) return;
    if (this.#window < this.#threshold) {
      this.#window += Math.min(octets, this.#mss);
      return;
    }
    this.#counted += octets;
    if (this.#counted < this.#window) return;
    this.#counted -= this.#window;
    this.#window += this.#mss;
  }
}

/** More than any window of RFC 7323. */
const UNBOUNDED = 0x4000_0000;

/** RFC 5681 §3.1. */
const initialWindow = (mss: number): number => (mss > 2190 ? 2 : mss > 1095 ? 3 : 4) * mss;
