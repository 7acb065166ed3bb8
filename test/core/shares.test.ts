import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { Shares } from '../../src/core/index.ts';

const fill = (shares: Shares, holder: number, most = 10_000): number => {
  let taken = 0;
  while (taken < most && shares.take(holder)) taken += 1;
  return taken;
};

describe('room that many share', () => {
  it('leaves a third to others when one takes all it can, and then a third of that', () => {
    const shares = new Shares(900);
    expect([1, 2, 3, 4].map((holder) => fill(shares, holder))).toEqual([600, 200, 66, 22]);
    expect(shares.used).toBe(888);
  });

  it('gives everybody alike what all want at the same time', () => {
    const shares = new Shares(1100);
    const held = new Map<number, number>();
    for (let round = 0; round < 1000; round++)
      for (const holder of [1, 2, 3, 4, 5]) if (shares.take(holder)) held.set(holder, (held.get(holder) ?? 0) + 1);
    expect([...held.values()]).toEqual([200, 200, 200, 200, 200]);
  });

  it('never gives out more than there is, nor forgets what came back', () => {
    const step = fc.record({ holder: fc.nat(4), amount: fc.integer({ min: 1, max: 30 }), back: fc.boolean() });
    fc.assert(
      fc.property(fc.array(step, { maxLength: 200 }), fc.integer({ min: 1, max: 200 }), (steps, most) => {
        const shares = new Shares(most);
        const held: { holder: number; amount: number }[] = [];
        for (const { holder, amount, back } of steps) {
          const last = back ? held.shift() : undefined;
          if (last !== undefined) shares.give(last.holder, last.amount);
          const before = held.reduce((sum, each) => sum + (each.holder === holder ? each.amount : 0), 0);
          const used = held.reduce((sum, each) => sum + each.amount, 0);
          const free = most - used - amount;
          const may = before === 0 ? free >= 0 : before + amount <= 2 * free;
          expect(shares.take(holder, amount)).toBe(may);
          if (may) held.push({ holder, amount });
          expect(shares.used).toBe(used + (may ? amount : 0));
          expect(shares.used).toBeLessThanOrEqual(most);
        }
      }),
    );
  });
});
