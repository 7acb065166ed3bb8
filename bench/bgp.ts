/**
 * A BGP daemon between one sender and one receiver, side by side with others in one run: `npm run bench:bgp -- 3 full Bulkhead,BIRD`.
 *
 * Two network namespaces of this run's own, joined by a veth pair: the daemon in one, sender and receiver in the other, one process for
 * all daemons. In every round each daemon has its turn, freshly started. Measured are the time until the receiver has all and until all
 * is withdrawn, processor time of the daemon's processes, and their greatest resident memory. Then tenants: many speakers in one process.
 * Needs root. Arguments: rounds, feeds (`one-set`, `full`, `none`), daemons.
 */
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { loadavg, tmpdir } from 'node:os';
import { join } from 'node:path';
import { offExit, onExit, sh, start, type TestProcess } from '../test/support/process.ts';
import { DAEMONS, type Daemon, isInstalled, type Places } from './bgp/daemons.ts';
import { FEED_NAMES, type FeedName } from './bgp/feeds.ts';
import { tenants } from './bgp/tenants.ts';
import type { Pass } from './bgp/traffic.ts';
import { machineFacts, median, memory, print, printTable, ROOT } from './support.ts';

const FEED_FILE = join(ROOT, 'test/vectors/bgp/jinx-20140530-as30844-fullview.as4.bgp.gz');
const AT: Places = { daemon: '10.254.0.1', sender: '10.254.0.2', receiver: '10.254.0.3' };
const [ROUNDS, FEEDS, NAMES] = [Number(process.argv[2] ?? 3), process.argv[3], process.argv[4]?.split(',')];
const TURN_MILLIS = 120_000;
/** Ticks of /proc/PID/stat: sysconf(_SC_CLK_TCK) of Linux. */
const TICK_MILLIS = 10;

interface Turn extends Pass {
  readonly announceCpu: number;
  readonly withdrawCpu: number;
  readonly octets: number;
}

class Wire {
  readonly inside = `bh${process.pid}-bgp-daemon`;
  readonly outside = `bh${process.pid}-bgp-peers`;

  constructor() {
    onExit(this, () => this.#remove());
    for (const name of [this.inside, this.outside]) sh('ip', ['netns', 'add', name]);
    sh('ip', ['-n', this.inside, 'link', 'add', 'eth0', 'type', 'veth', 'peer', 'name', 'eth0', 'netns', this.outside]);
    for (const address of [AT.sender, AT.receiver])
      sh('ip', ['-n', this.outside, 'addr', 'add', `${address}/24`, 'dev', 'eth0']);
    sh('ip', ['-n', this.inside, 'addr', 'add', `${AT.daemon}/24`, 'dev', 'eth0']);
    for (const name of [this.inside, this.outside])
      for (const device of ['lo', 'eth0']) sh('ip', ['-n', name, 'link', 'set', device, 'up']);
  }

  close(): void {
    offExit(this);
    this.#remove();
  }

  #remove(): void {
    for (const name of [this.inside, this.outside]) {
      for (const pid of sh('ip', ['netns', 'pids', name], true).split('\n').filter(Boolean))
        sh('kill', ['-9', pid], true);
      sh('ip', ['netns', 'del', name], true);
    }
  }
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

async function turn(wire: Wire, daemon: Daemon, feed: FeedName): Promise<Turn> {
  const folder = mkdtempSync(join(tmpdir(), `bh-bgp-${process.pid}-`));
  sh('chmod', ['755', folder]);
  const [command, ...words] = daemon.command(folder, AT);
  const running = start(command!, words, { netns: wire.inside });
  try {
    await listening(wire, daemon, running);
    return await measured(wire, daemon, feed);
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

async function measured(wire: Wire, daemon: Daemon, feed: FeedName): Promise<Turn> {
  const pids = pidsOf(wire);
  const before = cpuMillis(pids);
  const program = join(ROOT, 'bench/.build/bench/bgp/traffic.js');
  const words = [program, feed, FEED_FILE, AT.daemon, String(daemon.port), AT.sender, AT.receiver];
  const traffic = start(process.execPath, words, { netns: wire.outside });
  try {
    await traffic.line(/^announced$/m, TURN_MILLIS);
    const between = cpuMillis(pids);
    const [line] = await traffic.line(/^\{.*\}$/m, TURN_MILLIS);
    const octets = pids.reduce((sum, pid) => sum + memory(pid, 'VmHWM'), 0);
    const pass = JSON.parse(line!) as Pass;
    return { ...pass, announceCpu: between - before, withdrawCpu: cpuMillis(pids) - between, octets };
  } finally {
    await traffic.stop();
  }
}

const sleep = (millis: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, millis));

function show(feed: FeedName, turns: ReadonlyMap<string, readonly Turn[]>): void {
  const sent = feed === 'full' ? '497,321 prefixes in 78,645 attribute sets' : '100,000 prefixes in one attribute set';
  print(`${sent}, medians`);
  const of = (all: readonly Turn[], pick: (turn: Turn) => number): number => median(all.map(pick));
  const ours = turns.get('Bulkhead') ?? [];
  const rows = [...turns].map(([name, all]) => {
    const ratio = (pick: (turn: Turn) => number): string =>
      ours.length === 0 ? '' : (of(all, pick) / of(ours, pick)).toFixed(2);
    const seconds = (pick: (turn: Turn) => number): string => (of(all, pick) / 1000).toFixed(2);
    return [
      name,
      String(of(all, (t) => t.arrived)),
      seconds((t) => t.announceMillis),
      ratio((t) => t.announceMillis),
      seconds((t) => t.announceCpu),
      seconds((t) => t.withdrawMillis),
      ratio((t) => t.withdrawMillis),
      seconds((t) => t.withdrawCpu),
      (of(all, (t) => t.octets) / 1e6).toFixed(0),
      String(of(all, (t) => t.messages)),
    ];
  });
  const titles = ['', 'arrived', 'all there s', '/ours', 'CPU s', 'all gone s', '/ours', 'CPU s', 'RSS MB', 'messages'];
  printTable(titles, rows);
}

async function main(): Promise<void> {
  print('BGP between one sender and one receiver');
  for (const line of machineFacts()) print(`  ${line}`);
  print(`  load average ${loadavg()[0]!.toFixed(1)} at the beginning; ${ROUNDS} rounds`);
  const feeds = FEEDS === undefined ? FEED_NAMES : FEED_NAMES.filter((name) => FEEDS.split(',').includes(name));
  const chosen = DAEMONS.filter(({ name }) => NAMES === undefined || NAMES.includes(name));
  for (const daemon of chosen.filter((one) => !isInstalled(one))) print(`  ${daemon.name} is not installed`);
  print();
  const wire = new Wire();
  try {
    for (const feed of feeds) {
      const turns = new Map<string, Turn[]>();
      for (let round = 0; round < ROUNDS; round++)
        for (const daemon of chosen.filter(isInstalled)) {
          const list = turns.get(daemon.name) ?? [];
          try {
            list.push(await turn(wire, daemon, feed));
            turns.set(daemon.name, list);
          } catch (error) {
            print(`  ${daemon.name}: ${(error as Error).message}`);
          }
        }
      show(feed, turns);
    }
  } finally {
    wire.close();
  }
  tenants();
  print(`load average ${loadavg()[0]!.toFixed(1)} at the end`);
}

await main();
