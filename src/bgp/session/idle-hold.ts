/** IdleHoldTime of RFC 4271 §8.1.1 with DampPeerOscillations: twice as long each time, up to a limit. */
import type { Millis } from '../../core/index.ts';
import type { IdleHold } from './configuration.ts';

export class IdleHoldTime {
  readonly #settings: IdleHold;
  #oscillations = 0;

  constructor(settings: IdleHold) {
    this.#settings = settings;
  }

  /** As it is. */
  get millis(): Millis {
    const { initialMillis, mostMillis } = this.#settings;
    return Math.min(mostMillis, initialMillis * 2 ** this.#oscillations);
  }

  /** As it is, and double from then on. */
  oscillate(): Millis {
    const { millis } = this;
    if (millis < this.#settings.mostMillis) this.#oscillations += 1;
    return millis;
  }

  /** The session was Established for so long: a peer that stays does not oscillate. */
  settle(uptime: Millis): void {
    if (uptime >= this.#settings.forgetMillis) this.#oscillations = 0;
  }
}
