import type { Millis } from '../../core/index.ts';

/** So many events in a span of time, and no more. */
export class Allowance {
  readonly #most: number;
  readonly #span: Millis;
  #from: Millis = Number.NEGATIVE_INFINITY;
  #used = 0;

  constructor(most: number, span: Millis) {
    this.#most = most;
    this.#span = span;
  }

  take(now: Millis): boolean {
    if (now - this.#from >= this.#span) {
      this.#from = now;
      this.#used = 0;
    }
    if (this.#used >= this.#most) return false;
    this.#used += 1;
    return true;
  }
}
