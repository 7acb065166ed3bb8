/**
 * When sessions end: sweeps over all rows, a slice a call.
 *
 * Nothing is done for a session when a packet passes but to write down its new end. A sweep begins when the earliest end that
 * the last one saw is there, and at the latest the shortest timeout after the last one began: no later packet can have made an
 * earlier end. A row costs one look a sweep, whatever happens on it meanwhile.
 * Limits: a session lives up to `SWEEP_PAUSE_MS` and a sweep too long, never too short (RFC 4787 REQ-5 bounds from below).
 * A sweep of a million rows takes 245 slices, 2.5 s.
 */
import type { Millis } from '../core/index.ts';
import { CHUNK_MASK, CHUNK_SHIFT, ROW, ROW_WORDS, type SessionTable } from './sessions.ts';

export class Sweep {
  /** When `step` has something to do, as long as there are sessions. */
  at: Millis = 0;
  #began: Millis = 0;
  /** The next row. */
  #cursor = 0;
  /** The earliest end that the sweep has seen. */
  #earliest = Number.POSITIVE_INFINITY;

  /** The first session there is ends at `end`. */
  begin(end: Millis): void {
    this.#cursor = 0;
    this.at = end;
  }

  /** From `now` on sessions may end `shortest` milliseconds later. */
  hasten(now: Millis, shortest: number): void {
    this.at = Math.min(this.at, now + shortest);
  }

  /** Calls `end` for the rows of a slice whose time is over; it removes them. */
  step(table: SessionTable, now: Millis, shortest: number, end: (row: number) => void): void {
    if (this.#cursor === 0) {
      this.#began = now;
      this.#earliest = Number.POSITIVE_INFINITY;
    }
    const last = this.#cursor + SLICE_ROWS;
    let ended = 0;
    for (; this.#cursor < Math.min(last, table.rows) && ended < SLICE_ENDS; this.#cursor++) {
      const chunk = table.chunks[this.#cursor >>> CHUNK_SHIFT]!;
      const at = (this.#cursor & CHUNK_MASK) * ROW_WORDS;
      if (chunk[at + ROW.flow] === 0) continue;
      const left = (chunk[at + ROW.expires]! - now) | 0;
      if (left > 0) this.#earliest = Math.min(this.#earliest, now + left);
      else {
        end(this.#cursor);
        ended += 1;
      }
    }
    if (this.#cursor < table.rows) this.at = ended === SLICE_ENDS ? now : now + SLICE_PAUSE_MS;
    else {
      this.#cursor = 0;
      this.at = Math.max(now + SWEEP_PAUSE_MS, Math.min(this.#earliest, this.#began + shortest));
    }
  }
}

/** Between two sweeps, at least. */
export const SWEEP_PAUSE_MS = 1000;
/** Rows of a slice: 256 KB of memory, some ten microseconds. */
export const SLICE_ROWS = 4096;
/** Sessions that end in a slice: some hundred microseconds. */
export const SLICE_ENDS = 1024;
const SLICE_PAUSE_MS = 10;
