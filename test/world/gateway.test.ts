import { describe, expect, it } from 'vitest';
import { draws } from '../support/draws.ts';
import { World } from './gateway-world.ts';

const SEEDS = draws(120);
const STEPS = 40;

describe('two gateways, two tenants with identical prefixes, a bad network', () => {
  it.each(Array.from({ length: SEEDS / 10 }, (_, i) => i * 10))(
    'seeds from %i: nothing crosses, both ends agree',
    (first) => {
      for (let seed = first; seed < first + 10; seed++) {
        const world = new World(seed);
        try {
          for (let i = 0; i < STEPS; i++) world.step();
          world.recover();
          expect(world.agreement()).toEqual([]);
          expect(world.lab.shutdown()).toBe(true);
          expect([world.lab.gw.pool.taken, world.lab.sites.pool.taken]).toEqual([0, 0]);
          expect([world.lab.gw.open.size, world.lab.sites.open.size]).toEqual([0, 0]);
          expect(world.queries.some(({ outcome }) => outcome === 'reply')).toBe(true);
        } catch (error) {
          throw new Error(`seed ${seed}:\n  ${world.log.join('\n  ')}`, { cause: error });
        }
      }
    },
  );
});
