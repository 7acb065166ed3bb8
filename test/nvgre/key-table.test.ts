import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { KeyTable } from '../../src/nvgre/key-table.ts';

type Key = [number, number, number, number, number];

describe('a hash table of five words', () => {
  // Few words of few values, so that keys differ in one place only and share their slots.
  const word = fc.constantFrom(0, 1, -1, 0x80000000, 0xffffffff, 5001, 0x0a010001);
  const key = fc.tuple(fc.constantFrom(5001, 5002, 5001 | 0x1000000), word, word, word, word);
  const step = fc.record({ do: fc.constantFrom('set', 'set', 'delete'), key, value: fc.nat(1000) });

  it('is a Map', () => {
    fc.assert(
      fc.property(fc.array(step, { maxLength: 200 }), fc.integer(), (steps, seed) => {
        const table = new KeyTable<{ value: number }>(seed);
        const model = new Map<string, { value: number }>();
        const seen = new Set<string>();
        for (const { do: what, key, value } of steps) {
          const name = JSON.stringify(key.map((w) => w | 0));
          seen.add(name);
          if (what === 'set') {
            const entry = { value };
            table.set(...(key as Key), entry);
            model.set(name, entry);
          } else expect(table.delete(...(key as Key))).toBe(model.delete(name));
          expect(table.size).toBe(model.size);
        }
        for (const name of seen) expect(table.find(...(JSON.parse(name) as Key))).toBe(model.get(name));
        expect(new Set(table.values())).toEqual(new Set(model.values()));
      }),
      { numRuns: 300 },
    );
  });

  it('grows, and shrinks to nothing', () => {
    const table = new KeyTable<{ i: number }>(7);
    for (let i = 0; i < 5000; i++) table.set(5001, i, 0, 0, 0, { i });
    for (let i = 0; i < 5000; i += 2) expect(table.delete(5001, i, 0, 0, 0)).toBe(true);
    for (let i = 0; i < 5000; i++) expect(table.find(5001, i, 0, 0, 0)?.i).toBe(i % 2 === 0 ? undefined : i);
    expect(table.size).toBe(2500);
  });
});
