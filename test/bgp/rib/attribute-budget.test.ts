import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { AttributeBudget } from '../../../src/bgp/rib/attribute-budget.ts';
import { usual } from './speakers.ts';
import { World } from './world.ts';

describe('path attributes of several routers', () => {
  it('each takes what it needs while all fit; then an equal share is everybody’s', () => {
    const budget = new AttributeBudget(1000);
    const [a, b, c] = [budget.open(), budget.open(), budget.open()];
    a.report(900);
    expect([budget.held, budget.share, a.isOver, budget.heaviest()]).toEqual([900, 333, false, a]);
    b.report(200);
    expect([budget.isOverdrawn, a.isOver, b.isOver, c.isOver]).toEqual([true, true, false, false]);
    expect(a.words).toBe(
      "path attributes of all routers take 1100 octets, 1000 are allowed: 900 of them are this one's, whose share is 333",
    );
    budget.close(a);
    expect([budget.held, budget.share, budget.size, budget.heaviest()]).toEqual([200, 500, 2, undefined]);
  });

  it('where more is held than the limit, somebody has more than a share, and the heaviest is one of them', () => {
    fc.assert(
      fc.property(fc.array(fc.nat(1000), { minLength: 1, maxLength: 8 }), fc.nat(4000), (held, limit) => {
        const budget = new AttributeBudget(limit);
        const accounts = held.map(() => budget.open());
        for (const [i, account] of accounts.entries()) {
          account.report(1);
          account.report(held[i]!);
        }
        expect(budget.held).toBe(held.reduce((a, b) => a + b, 0));
        const heaviest = budget.heaviest();
        if (budget.isOverdrawn) expect(heaviest?.held).toBe(Math.max(...held));
        for (const each of accounts)
          expect(each.isOver).toBe(budget.isOverdrawn && each.held > Math.floor(limit / held.length));
      }),
    );
  });

  it('RFC 4486 §4: Out of Resources for who has more than its share and brings more; who has less goes on', () => {
    const budget = new AttributeBudget(12_000);
    const worlds = [0, 1].map(() => new World({ account: budget.open() }));
    const peers = worlds.map((world) => world.peer(1));
    const say = (which: number, n: number) => {
      const set = usual([65_001, n], [10, 9, 9, 9]);
      const events = worlds[which]!.say(peers[which]!, set, Uint8Array.of(24, 10, n >> 8, n));
      worlds[which]!.rib.flush();
      return events;
    };
    let said = 0;
    for (let events = say(0, 1); events.length === 0; events = say(0, said)) said += 1;
    expect(budget.held).toBeGreaterThan(11_000);
    expect(say(0, said + 1)).toMatchObject([
      {
        type: 'fault',
        notification: { code: 6, subcode: 8 },
        why: expect.stringMatching(/^path attributes of all routers take 12\d{3} octets, 12000 are allowed: /),
      },
    ]);
    expect([1, 2, 3].map((n) => say(1, n))).toEqual([[], [], []]);
    const before = budget.held;
    worlds[0]!.rib.remove(peers[0]!);
    worlds[0]!.rib.flush();
    expect(budget.held).toBeLessThan(before / 4);
    expect(budget.refused).toBe(2);
  });
});
