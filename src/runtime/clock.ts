/** Time and chance of the real world, for everything below that takes them as arguments. */
import { randomFillSync } from 'node:crypto';
import type { Millis, Random } from '../core/index.ts';

/** Milliseconds of a clock that never goes back. Its zero means nothing. */
export function monotonicMillis(): Millis {
  const [seconds, nanoseconds] = process.hrtime();
  return seconds * 1000 + nanoseconds / 1e6;
}

/** The operating system's generator. */
export const systemRandom: Random = (length) => randomFillSync(new Uint8Array(length));

/** Wall-clock time in ISO 8601, for people and files. */
export const isoNow = (): string => new Date().toISOString();
