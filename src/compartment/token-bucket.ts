/**
 * A token bucket: `rate` a second in the long run, `burst` at once (RFC 4443 §2.4 (f), RFC 1812 §4.3.2.8).
 *
 * Time is an argument and never runs backwards in here: an earlier `now` adds nothing.
 */
import type { Millis } from '../core/index.ts';

export class TokenBucket {
  readonly #perMs: number;
  readonly #burst: number;
  #tokens: number;
  #at: Millis | undefined;

  constructor(rate: number, burst: number) {
    this.#perMs = rate / 1000;
    this.#burst = burst;
    this.#tokens = burst;
  }

  /** Takes so many tokens if they are there. */
  take(now: Millis, tokens = 1): boolean {
    const elapsed = now - (this.#at ?? now);
    if (elapsed > 0) this.#tokens = Math.min(this.#burst, this.#tokens + elapsed * this.#perMs);
    if (this.#at === undefined || elapsed > 0) this.#at = now;
    if (this.#tokens < tokens) return false;
    this.#tokens -= tokens;
    return true;
  }
}
