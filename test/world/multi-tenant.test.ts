import { describe, expect, it } from 'vitest';
import { draws } from '../support/draws.ts';
import { FabricLife } from './fabric-life.ts';

/** `BULKHEAD_SEEDS=5000` for a long look, `BULKHEAD_FIRST_SEED=17` for another one at what was found. */
const SEEDS = Number(process.env.BULKHEAD_SEEDS ?? draws(100));
const FIRST = Number(process.env.BULKHEAD_FIRST_SEED ?? 0);
const STEPS = 25;
const EACH = 10;

describe('a gateway, three hosts, tenants with identical addresses, MACs and names, a bad provider network', () => {
  it.each(Array.from({ length: Math.ceil(SEEDS / EACH) }, (_, i) => FIRST + i * EACH))(
    'seeds from %i: nothing leaves its tenant, each packet goes as foretold, NAT is what is seen of it, all are reached in the end',
    (first) => {
      for (let seed = first; seed < Math.min(first + EACH, FIRST + SEEDS); seed++) {
        const life = new FabricLife(seed);
        try {
          for (let i = 0; i < STEPS; i++) life.step();
          life.recover();
          life.end();
          expect(life.foretold.outcomes.get('out')).toBeGreaterThan(10);
          expect(life.world.ledger.questions.filter(({ answered }) => answered > 0).length).toBeGreaterThan(0);
        } catch (error) {
          throw new Error(`seed ${seed}:\n  ${life.log.join('\n  ')}\n${error}`, { cause: error });
        }
      }
    },
  );
});
