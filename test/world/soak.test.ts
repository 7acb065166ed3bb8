/** A small number of packets; the interop tier takes ten million (`test/interop/soak.test.ts`). */
import { expect, it } from 'vitest';
import { chooseEngine } from '../../src/crypto/index.ts';
import { engineCandidates } from '../../src/runtime/engines/index.ts';
import { draws } from '../support/draws.ts';
import { inWords, soak } from '../support/soak.ts';

const PACKETS = Number(process.env.BULKHEAD_FUZZ_PACKETS ?? draws(300_000));

it(`${PACKETS} packets nobody should send: nothing throws, leaks or grows, and only what is sound passes`, {
  timeout: 60_000 + PACKETS / 10,
}, () => {
  const soaked = soak(chooseEngine(engineCandidates()).engine, PACKETS);
  if (process.env.BULKHEAD_FUZZ_PACKETS !== undefined) process.stderr.write(`${inWords(soaked)}\n`);
  expect(soaked.sound).toBeGreaterThan(PACKETS / 200);
  expect(soaked.growth).toBeLessThan(8 * 2 ** 20);
});
