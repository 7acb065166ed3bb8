import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { Timeline } from '../../src/lab/index.ts';

describe('virtual time', () => {
  it('jumps to what is due, in order of time and then of asking', () => {
    fc.assert(
      fc.property(fc.array(fc.nat(50), { maxLength: 40 }), (delays) => {
        const timeline = new Timeline(1000);
        const seen: [number, number][] = [];
        delays.forEach((delay, i) => {
          timeline.after(delay, () => seen.push([timeline.now - 1000, i]));
        });
        expect(timeline.runToIdle(100)).toBe(true);
        const model = delays.map((delay, i): [number, number] => [delay, i]).sort((a, b) => a[0] - b[0] || a[1] - b[1]);
        expect(seen).toEqual(model);
        expect(timeline.now).toBe(1000 + Math.max(0, ...delays));
      }),
      { numRuns: 200 },
    );
  });

  it('advanceTo in any steps sees the same as one jump', () => {
    const run = (steps: readonly number[]): string[] => {
      const timeline = new Timeline();
      const seen: string[] = [];
      const bounce = (left: number): void => {
        seen.push(`${timeline.now}:${left}`);
        if (left > 0) timeline.after(7, () => bounce(left - 1));
      };
      timeline.after(3, () => bounce(10));
      timeline.after(10, () => bounce(0));
      for (const at of steps) timeline.advanceTo(at);
      timeline.advanceTo(200);
      return seen;
    };
    fc.assert(
      fc.property(fc.array(fc.nat(150)), (steps) => {
        expect(run(steps.sort((a, b) => a - b))).toEqual(run([]));
      }),
      { numRuns: 50 },
    );
  });

  it('ticks whoever has a deadline, after the deliveries of that moment', () => {
    const timeline = new Timeline();
    const seen: string[] = [];
    let at: number | undefined = 5;
    timeline.join({
      deadline: () => (at === undefined ? undefined : { at, why: 'test' }),
      tick: (now) => {
        seen.push(`tick ${now}`);
        at = now < 15 ? now + 5 : undefined;
      },
    });
    timeline.after(5, () => seen.push('delivery'));
    expect(timeline.deadline()).toEqual({ at: 5, why: 'a delivery' });
    timeline.advanceTo(100);
    expect(seen).toEqual(['delivery', 'tick 5', 'tick 10', 'tick 15']);
    expect(timeline.now).toBe(100);
    expect(timeline.deadline()).toBeUndefined();
  });

  it('runUntil stops at the moment, or at its limit', () => {
    const timeline = new Timeline();
    let count = 0;
    const again = (): void => {
      count += 1;
      timeline.after(10, again);
    };
    timeline.after(0, again);
    expect(timeline.runUntil(() => count === 4, 1000)).toBe(true);
    expect(timeline.now).toBe(30);
    expect(timeline.runUntil(() => false, 100)).toBe(false);
    expect(timeline.now).toBe(130);
  });

  it('a deadline that its tick does not move is a bug, and said to be one', () => {
    const timeline = new Timeline();
    timeline.join({ deadline: () => ({ at: 1, why: 'never served' }), tick: () => {} });
    expect(() => timeline.advanceTo(2)).toThrow('time stands still: never served');
  });
});
