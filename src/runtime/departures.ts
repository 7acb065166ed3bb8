/** What is closing: whoever wants the same device or address again waits until it is free, and the end of a host until all is. */
import type { Log } from './log.ts';
import { SystemError } from './syscalls.ts';

export class Departures {
  readonly #log: Log;
  readonly #closing = new Set<Promise<void>>();
  readonly #leaving = new Map<string, Promise<void>>();

  constructor(log: Log) {
    this.#log = log;
  }

  /** `name`: of what is free again when that is done, and whatever else of that name is closing. */
  track(closing: Promise<unknown>, name?: string): void {
    const before = name === undefined ? undefined : this.#leaving.get(name);
    const tracked: Promise<void> = Promise.all([closing, before])
      .then(() => {})
      .catch((error: unknown) => this.#log.warn(words(error)))
      .finally(() => {
        this.#closing.delete(tracked);
        if (name !== undefined && this.#leaving.get(name) === tracked) this.#leaving.delete(name);
      });
    this.#closing.add(tracked);
    if (name !== undefined) this.#leaving.set(name, tracked);
  }

  /** Resolves when it is free; undefined when it is. */
  of(name: string): Promise<void> | undefined {
    return this.#leaving.get(name);
  }

  async all(): Promise<void> {
    while (this.#closing.size > 0) await Promise.all(this.#closing);
  }
}

/** What the operating system says; anything else is a bug of ours. */
export function words(error: unknown): string {
  if (error instanceof SystemError) return error.message;
  throw error;
}
