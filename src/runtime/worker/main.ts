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
import { requireSyscalls } from '../syscalls.ts';
import type { WorkerData } from './contract.ts';
import { PlaneLoop } from './loop.ts';
import { News } from './news.ts';
import { Ring } from './ring.ts';

function begin(data: WorkerData): void {
  invariant(parentPort !== null, 'this is a worker');
  const port = parentPort;
  const sys = requireSyscalls();
  const { pool, why } = packetMemory(data.packets, SUPERFRAME_MAX);
  const { engine } = chooseEngine(engineCandidates());
  const tell = (): void => port.postMessage(undefined);
  const signs = new Int32Array(data.signs);
  const news = new News(new Ring(data.news), signs, tell);
  const cells = new SharedCells(data.cells);
  const { plane, planes } = data;
  const spis = { modulus: planes, residue: plane };
  const loop = new PlaneLoop({
    sys,
    pool,
    orders: new Ring(data.orders),
    news,
    signs,
    wakeup: new Wakeup(sys, data.wake),
    poll: new PollSet(sys),
    tell,
    plane: (output) => new DataPlane({ pool, random: systemRandom, engine, output, cells, slot: slotOf(plane), spis }),
  });
  news.report({ type: 'ready', engine: engine.name, sums: why });
  loop.run();
}

begin(workerData as WorkerData);
