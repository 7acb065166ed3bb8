/**
 * What comes by itself, on its way to whoever looks: as it comes, in order.
 *
 * Limit: MOST items wait for a slow reader; those beyond are counted as missed with the next one.
 */
import { Waiter } from './waiter.ts';

interface Live {
  /** How many before this one nobody will see. */
  readonly missed: number;
}

const MOST = 1000;

export class LiveStream<T extends Live> {
  readonly #wants: (item: T) => boolean;
  readonly #waiting: T[] = [];
  #missed = 0;
  readonly #waiter = new Waiter();

  constructor(wants: (item: T) => boolean) {
    this.#wants = wants;
  }

  offer(item: T): void {
    if (!this.#wants(item)) return;
    if (this.#waiting.length >= MOST) {
      this.#missed += 1 + item.missed;
      return;
    }
    this.#waiting.push(this.#missed === 0 ? item : { ...item, missed: item.missed + this.#missed });
    this.#missed = 0;
    this.#waiter.wake();
  }

  async *items(signal: AbortSignal): AsyncGenerator<T, void, undefined> {
    while (!signal.aborted) {
      const next = this.#waiting.shift();
      if (next !== undefined) yield next;
      else await this.#waiter.wait(signal);
    }
  }
}
