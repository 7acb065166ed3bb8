import { defineConfig } from 'vitest/config';

/** Three tiers: `unit` and `world` are fast and run everywhere; `interop` needs root, Linux and the peers from apt. */
export default defineConfig({
  test: {
    projects: [
      {
        test: {
          name: 'unit',
          include: ['test/**/*.test.ts'],
          exclude: ['test/world/**', 'test/interop/**'],
          testTimeout: 30_000,
        },
      },
      { test: { name: 'world', include: ['test/world/**/*.test.ts'], testTimeout: 120_000 } },
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
