import { availableParallelism } from 'node:os';
import { defineConfig } from 'vitest/config';

/** Tests of what is deterministic and leaves no state in a process. */
const PURE = 'test/{bgp,capture,compartment,config,core,crypto,esp,gateway,ike,ip,nat,nvgre}/**/*.test.ts';

/**
 * Three tiers: `unit` (with `unit-process`: processes, threads, command line) and `world` are fast and run everywhere; `interop` needs
 * root, Linux and the peers from apt.
 */
export default defineConfig({
  test: {
    maxWorkers: availableParallelism(),
    projects: [
      { extends: true, test: { name: 'unit', include: [PURE], testTimeout: 30_000, isolate: false } },
      {
        extends: true,
        test: {
          name: 'unit-process',
          include: ['test/**/*.test.ts'],
          exclude: [PURE, 'test/world/**', 'test/interop/**'],
          testTimeout: 30_000,
        },
      },
      { extends: true, test: { name: 'world', include: ['test/world/**/*.test.ts'], testTimeout: 120_000 } },
      {
        test: {
          name: 'interop',
          include: ['test/interop/**/*.test.ts'],
          testTimeout: 120_000,
          hookTimeout: 60_000,
          fileParallelism: false,
        },
      },
    ],
  },
});
