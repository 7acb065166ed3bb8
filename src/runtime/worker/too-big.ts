/**
 * When a way is told to be too narrow for a datagram: of each pair of addresses once in TOO_BIG_AGAIN, so that a flood on one way
 * says nothing of another, and hides nothing.
 *
 * Limit: WAYS are remembered, those told last; where so many were told just now, one more waits for its next datagram.
 */
import type { Millis } from '../../core/index.ts';
import { toHex } from '../../core/index.ts';
import type { Address } from '../../ip/index.ts';

export class TooBigWays {
  /** When each was told, oldest first. */
  readonly #told = new Map<string, Millis>();

  get size(): number {
    return this.#told.size;
  }

  mayTell(local: Address, remote: Address, now: Millis): boolean {
    this.#forget(now);
    const way = `${toHex(local)} ${toHex(remote)}`;
    if (this.#told.has(way) || this.#told.size >= WAYS) return false;
    this.#told.set(way, now);
    return true;
  }

  /** Those that may be told again. */
  #forget(now: Millis): void {
    for (const [way, at] of this.#told) {
      if (now - at < TOO_BIG_AGAIN) return;
      this.#told.delete(way);
    }
  }
}

/** As many peers whose datagrams are refused within TOO_BIG_AGAIN. */
export const WAYS = 1024;
export const TOO_BIG_AGAIN: Millis = 20;
