import { describe, expect, it } from 'vitest';
import { draws } from '../support/draws.ts';
import { BgpLife } from './bgp-life.ts';

const SEEDS = draws(16);
const STEPS = 25;

describe('BGP of two tenants with the same addresses, AS numbers and prefixes, through tunnels that come and go', () => {
  it.each(Array.from({ length: SEEDS / 4 }, (_, i) => i * 4))(
    'seeds from %i: no route crosses, and in the end what forwards is what both sides say',
    (first) => {
      for (let seed = first; seed < first + 4; seed++) {
        const life = new BgpLife(seed);
        try {
          for (let i = 0; i < STEPS; i++) life.step();
          life.settle();
          expect(life.disagreements()).toEqual([]);
          expect(life.strangers()).toEqual([]);
        } catch (error) {
          throw new Error(`seed ${seed}:\n  ${life.log.join('\n  ')}`, { cause: error });
        }
      }
    },
  );
});
