/**
 * Tapped packets on their way to whoever looks: as they come, in order.
 *
 * Limit: MOST wait for a slow reader; those beyond are counted as missed with the next one.
 */
import type { LivePacket } from './backend.ts';

const MOST = 1000;

export class TapStream {
  readonly tenant: string | undefined;
  readonly #waiting: LivePacket[] = [];
  #missed = 0;
  #wake = (): void => {};

  /** Undefined: of all tenants. */
  constructor(tenant: string | undefined) {
    this.tenant = tenant;
  }

  offer(packet: LivePacket): void {
    if (this.tenant !== undefined && !packet.tenants.includes(this.tenant)) return;
    if (this.#waiting.length >= MOST) {
      this.#missed += 1 + packet.missed;
      return;
    }
    this.#waiting.push(this.#missed === 0 ? packet : { ...packet, missed: packet.missed + this.#missed });
    this.#missed = 0;
    this.#wake();
  }

  async *packets(signal: AbortSignal): AsyncGenerator<LivePacket, void, undefined> {
    while (!signal.aborted) {
      const next = this.#waiting.shift();
      if (next !== undefined) yield next;
      else await this.#next(signal);
    }
  }

  #next(signal: AbortSignal): Promise<void> {
    return new Promise((resolve) => {
      const done = (): void => {
        signal.removeEventListener('abort', done);
        this.#wake = () => {};
        resolve();
      };
      signal.addEventListener('abort', done);
      this.#wake = done;
    });
  }
}
