/** The turn of one daemon: freshly started, then traffic of one kind through it, and what it took of processors and memory. */
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { sh, start, type TestProcess } from '../../test/support/process.ts';
import { ForeignCpu } from '../processor.ts';
import { memory, ROOT } from '../support.ts';
import type { Daemon, Places } from './daemons.ts';
import type { FeedName } from './feeds.ts';
import type { MeshPass } from './mesh.ts';
import type { Pass } from './traffic.ts';
import type { Wire } from './wire.ts';

export interface Taken {
  /** Greatest resident memory of all processes of the daemon. */
  readonly octets: number;
  /** Share of processor time that others used, 0 to 1. */
  readonly foreign: number;
}

export interface FeedTurn extends Pass, Taken {
  readonly announceCpu: number;
  readonly withdrawCpu: number;
}

export interface MeshTurn extends MeshPass, Taken {
  readonly cpu: number;
}

export const feedTurn = (wire: Wire, daemon: Daemon, at: Places, feed: FeedName, file: string): Promise<FeedTurn> =>
  turn(wire, daemon, at, async (pids) => {
    const before = cpuMillis(pids);
    const words = [feed, file, at.daemon, String(daemon.port), ...at.peers.map(({ address }) => address)];
    const traffic = startTraffic(wire, 'traffic', words);
    try {
      await traffic.line(/^announced$/m, FEED_MILLIS);
      const between = cpuMillis(pids);
      const [line] = await traffic.line(/^\{.*\}$/m, FEED_MILLIS);
      const pass = JSON.parse(line!) as Pass;
      return { ...pass, announceCpu: between - before, withdrawCpu: cpuMillis(pids) - between };
    } finally {
      await traffic.stop();
    }
  });

export const meshTurn = (wire: Wire, daemon: Daemon, at: Places, routes: number): Promise<MeshTurn> =>
  turn(wire, daemon, at, async (pids) => {
    const before = cpuMillis(pids);
    const words = [String(at.peers.length), String(routes), at.daemon, String(daemon.port)];
    const traffic = startTraffic(wire, 'mesh', words);
    try {
      const [line] = await traffic.line(/^\{.*\}$/m, MESH_MILLIS);
      return { ...(JSON.parse(line!) as MeshPass), cpu: cpuMillis(pids) - before };
    } finally {
      await traffic.stop();
    }
  });

const startTraffic = (wire: Wire, program: string, words: readonly string[]): TestProcess =>
  start(process.execPath, [join(ROOT, `bench/.build/bench/bgp/${program}.js`), ...words], { netns: wire.outside });

async function turn<T>(
  wire: Wire,
  daemon: Daemon,
  at: Places,
  measure: (pids: readonly number[]) => Promise<T>,
): Promise<T & Taken> {
  const folder = mkdtempSync(join(tmpdir(), `bh-bgp-${process.pid}-`));
  // Daemons that give up root have to be able to read it.
  sh('chmod', ['755', folder]);
  const [command, ...words] = daemon.command(folder, at);
  const running = start(command!, words, { netns: wire.inside });
  try {
    await listening(wire, daemon, running);
    const pids = pidsOf(wire);
    const foreign = new ForeignCpu();
    const measured = await measure(pids);
    return { ...measured, octets: pids.reduce((sum, pid) => sum + memory(pid, 'VmHWM'), 0), foreign: foreign.share() };
  } catch (error) {
    throw new Error(`${(error as Error).message}\n${running.output.slice(-1000)}`);
  } finally {
    await running.stop();
    for (const pid of pidsOf(wire)) sh('kill', [String(pid)], true);
    await sleep(300);
    rmSync(folder, { recursive: true, force: true });
  }
}

async function listening(wire: Wire, daemon: Daemon, running: TestProcess): Promise<void> {
  for (let tries = 0; tries < 200 && running.running; tries++) {
    const open = sh('ip', ['netns', 'exec', wire.inside, 'ss', '-Htln', `sport = :${daemon.port}`], true);
    if (open.trim() !== '') return sleep(500);
    await sleep(50);
  }
  throw new Error(`${daemon.name} does not listen`);
}

/** Every process of the daemon: all that are in its namespace. */
const pidsOf = (wire: Wire): number[] =>
  sh('ip', ['netns', 'pids', wire.inside]).split('\n').filter(Boolean).map(Number);

function cpuMillis(pids: readonly number[]): number {
  let ticks = 0;
  for (const pid of pids) {
    const fields = readFileSync(`/proc/${pid}/stat`, 'utf8')
      .replace(/^.*\) /, '')
      .split(' ');
    ticks += Number(fields[11]) + Number(fields[12]);
  }
  return ticks * TICK_MILLIS;
}

const sleep = (millis: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, millis));

const FEED_MILLIS = 300_000;
const MESH_MILLIS = 600_000;
/** Ticks of /proc/PID/stat: sysconf(_SC_CLK_TCK) of Linux. */
const TICK_MILLIS = 10;
