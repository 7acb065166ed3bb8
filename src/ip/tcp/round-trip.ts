/**
 * The retransmission timeout of RFC 6298, with its clause numbers.
 *
 * Deliberate deviation: §2.4 says a minimum of one second; here the variance counts as 200 ms at least, which outlasts
 * the delayed acknowledgments of all common hosts and finds a lost last segment five times sooner.
 */
import type { Millis } from '../../core/index.ts';

export class RoundTrip {
  #smoothed: number | undefined;
  #variance = 0;
  #timeout: Millis = INITIAL_MS;

  get timeout(): Millis {
    return this.#timeout;
  }

  /** Undefined before the first measurement. */
  get smoothed(): Millis | undefined {
    return this.#smoothed;
  }

  /** (2.2), (2.3): alpha is 1/8, beta 1/4, K is 4. Never call it for a segment that was sent twice (§3). */
  measure(sample: Millis): void {
    if (this.#smoothed === undefined) {
      this.#smoothed = sample;
      this.#variance = sample / 2;
    } else {
      this.#variance = 0.75 * this.#variance + 0.25 * Math.abs(this.#smoothed - sample);
      this.#smoothed = 0.875 * this.#smoothed + 0.125 * sample;
    }
    this.#timeout = Math.min(MAXIMUM_MS, this.#smoothed + Math.max(VARIANCE_MS, 4 * this.#variance));
  }

  /** (5.5). */
  backOff(): void {
    this.#timeout = Math.min(MAXIMUM_MS, this.#timeout * 2);
  }

  /** (5.7): the SYN or its answer was lost, and nothing was measured. */
  afterLostSyn(): void {
    if (this.#smoothed === undefined) this.#timeout = AFTER_LOST_SYN_MS;
  }
}

/** (2.1), (2.5), (5.7). */
const INITIAL_MS = 1000;
const MAXIMUM_MS = 60_000;
const AFTER_LOST_SYN_MS = 3000;
const VARIANCE_MS = 200;
