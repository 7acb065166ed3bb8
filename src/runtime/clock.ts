/** Time and chance of the real world, for everything below that takes them as arguments. */
import { randomFillSync } from 'node:crypto';
import type { Millis, Random } from '../core/index.ts';

/** Milliseconds of a clock that never goes back. Its zero means nothing. */
export function monotonicMillis(): Millis {
  const [seconds, nanoseconds] = process.hrtime();
  return seconds * 1000 + nanoseconds / 1e6;
}

/**
 * Calls `then` once, after so many milliseconds or 24 days, whichever comes first: whoever is called looks at what is due. At once is the next
 * turn of the event loop, not a millisecond later. Gives what cancels it.
 */
export function after(millis: Millis, then: () => void): () => void {
  if (millis <= 0) {
    const immediate = setImmediate(then);
    return () => clearImmediate(immediate);
  }
  const timer = setTimeout(then, Math.min(Math.ceil(millis), LONGEST_MILLIS));
  return () => clearTimeout(timer);
}

/** The most `setTimeout` takes. */
const LONGEST_MILLIS = 0x7fff_ffff;

/** The operating system's generator. */
export const systemRandom: Random = (length) => randomFillSync(new Uint8Array(length));

/** Wall-clock time in ISO 8601, for people and files. */
export const isoNow = (): string => new Date().toISOString();
