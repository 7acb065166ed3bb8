/** Where a worker begins: memory, engines and the loop put together from what the main thread hands over. */
import { parentPort, workerData } from 'node:worker_threads';
import { invariant } from '../../core/index.ts';
import { chooseEngine } from '../../crypto/index.ts';
import { DataPlane, SharedCells, slotOf } from '../../gateway/index.ts';
import { SUPERFRAME_MAX } from '../../ip/index.ts';
import { PollSet, Wakeup } from '../batch-wait.ts';
import { systemRandom } from '../clock.ts';
import { engineCandidates } from '../engines/index.ts';
import { packetMemory } from '../sums.ts';
import { requireSyscalls, type Syscalls } from '../syscalls.ts';
import type { WorkerData } from './contract.ts';
import { inlineMore } from './inlining.ts';
import { PlaneLoop } from './loop.ts';
import { News } from './news.ts';
import { Ring } from './ring.ts';

function begin(data: WorkerData): void {
  inlineMore();
  invariant(parentPort !== null, 'this is a worker');
  const port = parentPort;
  const sys = requireSyscalls();
  if (data.cpu !== undefined) pin(sys, data.cpu);
  if (data.realtime) hurry(sys);
  const { pool, why } = packetMemory(data.packets, SUPERFRAME_MAX);
  const { engine } = chooseEngine(engineCandidates());
  const tell = (): void => port.postMessage(undefined);
  const signs = new Int32Array(data.signs);
  const news = new News(new Ring(data.news), signs, tell);
  const cells = new SharedCells(data.cells);
  const { plane, planes } = data;
  const own = { spis: { modulus: planes, residue: plane }, slot: slotOf(plane), superframes: data.superframes };
  const loop = new PlaneLoop({
    sys,
    pool,
    orders: new Ring(data.orders),
    news,
    signs,
    wakeup: new Wakeup(sys, data.wake),
    poll: new PollSet(sys),
    tell,
    plane: (output) => new DataPlane({ pool, random: systemRandom, engine, output, cells, ...own }),
  });
  news.report({ type: 'ready', engine: engine.name, sums: why });
  loop.run();
}

/** Keeps this thread on one processor; where there is none of that number it stays free. */
function pin({ scratch, sched_setaffinity }: Syscalls, cpu: number): void {
  const { bytes, base } = scratch;
  bytes.fill(0, 0, CPU_SET);
  bytes[cpu >>> 3] = 1 << (cpu & 7);
  sched_setaffinity(0, CPU_SET, base);
}

/** Real time at the lowest priority; without rights (CAP_SYS_NICE, RLIMIT_RTPRIO) nothing changes. docs/decisions/0009. */
function hurry({ scratch, sched_setscheduler }: Syscalls): void {
  scratch.view.setInt32(0, LOWEST_PRIORITY, true);
  sched_setscheduler(0, SCHED_RR, scratch.base);
}

const SCHED_RR = 2;
const LOWEST_PRIORITY = 1;

/** Octets of a cpu_set_t. */
const CPU_SET = 128;

begin(workerData as WorkerData);
