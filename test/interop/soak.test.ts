/** Ten million packets through both doors: see `test/world/soak.test.ts`, which takes fewer. It takes a minute and a half. */
import { expect, it } from 'vitest';
import { chooseEngine } from '../../src/crypto/index.ts';
import { engineCandidates } from '../../src/runtime/engines/index.ts';
import { inWords, soak } from '../support/soak.ts';

const PACKETS = Number(process.env.BULKHEAD_FUZZ_PACKETS ?? 10_000_000);
const asked = process.env.BULKHEAD_REQUIRE_PEERS === '1' || process.env.BULKHEAD_FUZZ_PACKETS !== undefined;
if (!asked)
  process.stderr.write('skipped: the long soak, which BULKHEAD_REQUIRE_PEERS=1 or BULKHEAD_FUZZ_PACKETS asks for\n');

it.runIf(asked)(
  `${PACKETS} packets nobody should send: nothing throws, leaks or grows, and only what is sound passes`,
  {
    timeout: 60_000 + PACKETS / 10,
  },
  () => {
    const soaked = soak(chooseEngine(engineCandidates()).engine, PACKETS);
    process.stderr.write(`${inWords(soaked)}\n`);
    expect(soaked.sound).toBeGreaterThan(PACKETS / 200);
    expect(soaked.growth).toBeLessThan(8 * 2 ** 20);
  },
);
