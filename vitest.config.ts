import { availableParallelism } from 'node:os';
import { defineConfig } from 'vitest/config';
import { BaseSequencer, type TestSpecification } from 'vitest/node';

/** Tests of what is deterministic and leaves no state in a process. */
const PURE = 'test/{bgp,capture,compartment,config,core,crypto,esp,gateway,ike,ip,nat,nvgre}/**/*.test.ts';

/** Of processes, threads and the command line: those that say how soon something happens in real time. */
const TIMED = ['test/runtime/plane-host.test.ts', 'test/cli/bench.test.ts'];

/** Files that load the processor, or judge rates and losses under load: each has the machine for itself. */
const ALONE = [
  'bench',
  'bgp-tunnel',
  'load',
  'nat-load',
  'openvswitch',
  'pair',
  'path-mtu',
  'plane-restart',
  'robustness',
  'traffic',
  'worker',
];
const alone = ALONE.map((name) => `test/interop/${name}.test.ts`);

/** Needs a processor and nobody else: it runs beside the fast tiers. */
const SOAK = 'test/interop/soak.test.ts';

/** What takes longest begins first, so that nothing is left to wait for alone. */
const LONGEST = [SOAK, 'test/interop/rekey.test.ts'];

class LongestFirst extends BaseSequencer {
  override async sort(files: TestSpecification[]): Promise<TestSpecification[]> {
    const sorted = await super.sort(files);
    const longest = sorted.filter(({ moduleId }) => LONGEST.some((name) => moduleId.endsWith(name)));
    return [...longest, ...sorted.filter((file) => !longest.includes(file))];
  }
}

const peers = { testTimeout: 120_000, hookTimeout: 60_000 };

/**
 * Three tiers: `unit` (with `unit-process` and `unit-timed`: processes, threads, command line) and `world` are fast and run everywhere;
 * `interop` (with `interop-waiting`: files that mostly wait, two at a time; and `interop-soak`) needs root, Linux and the peers from apt.
 */
export default defineConfig({
  test: {
    maxWorkers: availableParallelism(),
    sequence: { sequencer: LongestFirst },
    projects: [
      { extends: true, test: { name: 'unit', include: [PURE], testTimeout: 30_000, isolate: false } },
      {
        extends: true,
        test: {
          name: 'unit-process',
          include: ['test/**/*.test.ts'],
          exclude: [PURE, ...TIMED, 'test/world/**', 'test/interop/**'],
          testTimeout: 30_000,
        },
      },
      { test: { name: 'unit-timed', include: TIMED, testTimeout: 30_000, fileParallelism: false } },
      { extends: true, test: { name: 'world', include: ['test/world/**/*.test.ts'], testTimeout: 120_000 } },
      { extends: true, test: { name: 'interop-soak', include: [SOAK] } },
      {
        test: {
          name: 'interop-waiting',
          include: ['test/interop/**/*.test.ts'],
          exclude: [...alone, SOAK],
          ...peers,
          maxWorkers: 2,
          sequence: { groupOrder: 1 },
        },
      },
      {
        test: {
          name: 'interop',
          include: alone,
          ...peers,
          fileParallelism: false,
          sequence: { groupOrder: 2 },
        },
      },
    ],
  },
});
