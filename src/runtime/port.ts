/**
 * A port of this thread: a queue that a Readiness drains, and its descriptor closed at the end.
 *
 * Leaves to others: what the descriptor is of (`tun.ts`, `packet-socket.ts`).
 */
import { PortQueue, type PortQueueOptions } from './port-queue.ts';
import type { Readiness } from './readiness.ts';

export interface PortOptions extends PortQueueOptions {
  /** Undefined: the owner calls `drain` when it pleases. */
  readonly readiness: Readiness | undefined;
  /** What else goes when the port is closed. */
  readonly release?: (() => void) | undefined;
}

export class Port extends PortQueue {
  readonly #options: PortOptions;
  #closed = false;

  constructor(options: PortOptions) {
    const { fd, readiness, failed } = options;
    super({
      ...options,
      failed: (why) => {
        void readiness?.forget(fd);
        failed?.(why);
      },
    });
    this.#options = options;
    readiness?.watch(fd, () => this.drain(BATCH));
  }

  /** The descriptor, and what is the process's own with it, is gone when this resolves; without a Readiness, when it returns. */
  async close(): Promise<void> {
    if (this.#closed) return;
    this.#closed = true;
    const { sys, readiness, release } = this.#options;
    this.stop();
    if (readiness !== undefined) await readiness.forget(this.fd);
    release?.();
    sys.close(this.fd);
  }
}

/** Packets read before the event loop gets a turn. */
const BATCH = 64;
