import fc from 'fast-check';
import { describe, expect, it, test } from 'vitest';
import { DEFAULT_REPLAY_WINDOW, MAX_REPLAY_WINDOW, ReplayWindow } from '../../src/esp/index.ts';

/** The definition itself: every accepted number remembered, no ring, no words. */
class NaiveWindow {
  readonly #seen = new Set<number>();
  #top = 0;
  readonly size: number;
  constructor(size: number) {
    this.size = size;
  }
  fresh(sequence: number): boolean {
    return sequence > 0 && sequence > this.#top - this.size && !this.#seen.has(sequence);
  }
  accept(sequence: number): void {
    this.#seen.add(sequence);
    this.#top = Math.max(this.#top, sequence);
  }
}

/** Feeds both windows the same numbers; where they differ, says so with the history. */
function compare(size: number, start: number, steps: readonly number[]): void {
  const window = new ReplayWindow(size);
  const naive = new NaiveWindow(window.size);
  let at = start;
  for (const step of steps) {
    at = Math.max(0, at + step);
    const fresh = window.fresh(at);
    expect({ at, fresh }).toEqual({ at, fresh: naive.fresh(at) });
    if (!fresh) continue;
    window.accept(at);
    naive.accept(at);
    expect(window.fresh(at)).toBe(false);
  }
}

const SIZES = [32, 64, 96, 128, 1000, 1024, 4096];
const JUMPS = [1, 2, 30, 31, 32, 33, 62, 63, 64, 65, 95, 96, 97, 127, 128, 129, 500, 1023, 1024, 1025, 2048, 5000];

describe('RFC 4303 §3.4.3, RFC 6479: anti-replay window', () => {
  test.each(JUMPS)('a jump of exactly %i keeps what the window still covers and nothing else', (jump) => {
    for (const size of SIZES) {
      for (const start of [1, 31, 32, 33, 1000, 0xffff_ffff - jump, 0xffff_fff0, 2 ** 40 + 5]) {
        const window = new ReplayWindow(size);
        const naive = new NaiveWindow(window.size);
        for (const sequence of [start, start + jump, start + 2 * jump]) {
          expect(window.fresh(sequence)).toBe(true);
          window.accept(sequence);
          naive.accept(sequence);
        }
        const top = start + 2 * jump;
        for (let s = Math.max(0, top - size - 70); s <= top + 70; s++) {
          if (window.fresh(s) !== naive.fresh(s)) expect({ size, start, s }).toBe('as the naive window');
        }
      }
    }
  });

  it('equals a set of all numbers ever accepted', () => {
    fc.assert(
      fc.property(
        fc.constantFrom(...SIZES),
        fc.constantFrom(1, 1000, 2 ** 32 - 600, 2 ** 32, 2 ** 33 - 1, 2 ** 45),
        fc.array(
          fc.oneof(fc.integer({ min: -1100, max: 1100 }), fc.constantFrom(...JUMPS, ...JUMPS.map((jump) => -jump))),
          { minLength: 50, maxLength: 400 },
        ),
        compare,
      ),
      { numRuns: 300, seed: 4303 },
    );
  });

  it('rounds its size up to whole words; default 1024', () => {
    expect([1, 32, 33, 64, 1000, 1025].map((n) => new ReplayWindow(n).size)).toEqual([32, 32, 64, 64, 1024, 1056]);
    expect(new ReplayWindow().size).toBe(DEFAULT_REPLAY_WINDOW);
    expect(new ReplayWindow(MAX_REPLAY_WINDOW).size).toBe(MAX_REPLAY_WINDOW);
    expect(() => new ReplayWindow(MAX_REPLAY_WINDOW + 1)).toThrow('replay window');
  });

  it('accepts a run as it accepts its numbers one by one', () => {
    const runs = fc.array(fc.tuple(fc.integer({ min: 1, max: 90 }), fc.integer({ min: 1, max: 130 })), {
      maxLength: 6,
    });
    const starts = fc.constantFrom(0, 2 ** 32 - 50, 2 ** 40);
    fc.assert(
      fc.property(fc.constantFrom(0, 32, 64, 1024), starts, runs, (size, start, all) => {
        const [together, single] = [new ReplayWindow(size), new ReplayWindow(size)];
        if (start > 0) for (const window of [together, single]) window.accept(start);
        for (const [skipped, count] of all) {
          const first = single.top + skipped;
          together.acceptRun(first, count);
          for (let n = 0; n < count; n++) expect(single.accept(first + n)).toBe(true);
          expect(together.top).toBe(single.top);
          for (let n = single.top - 1100; n < single.top + 100; n++) expect(together.fresh(n)).toBe(single.fresh(n));
        }
      }),
    );
  });

  it('reaches back exactly its size', () => {
    const window = new ReplayWindow(64);
    window.accept(1000);
    expect(window.fresh(1000 - 63)).toBe(true);
    expect(window.fresh(1000 - 64)).toBe(false);
  });

  it('RFC 4303 §3.3.3: number 0 is never fresh', () => {
    expect(new ReplayWindow(64).fresh(0)).toBe(false);
    expect(new ReplayWindow(64).fresh(-5)).toBe(false);
  });

  it('with size 0 takes everything and still knows the highest number', () => {
    const window = new ReplayWindow(0);
    for (const sequence of [7, 7, 3, 0]) {
      expect(window.fresh(sequence)).toBe(true);
      window.accept(sequence);
    }
    expect(window.top).toBe(7);
  });

  it('survives the longest jump of all in bounded work', () => {
    const window = new ReplayWindow(1024);
    window.accept(1);
    window.accept(Number.MAX_SAFE_INTEGER);
    expect(window.fresh(Number.MAX_SAFE_INTEGER)).toBe(false);
    expect(window.fresh(Number.MAX_SAFE_INTEGER - 1)).toBe(true);
    expect(window.fresh(1)).toBe(false);
  });
});
