/**
 * A contender's turn in a round of `esp.ts`: TCP each way, floods of small datagrams, and what the gateways and others took of
 * the processors meanwhile.
 */
import { setTimeout as pause } from 'node:timers/promises';
import { iperf } from '../test/support/iperf.ts';
import { ADDRESSES, type Topology } from '../test/support/netns.ts';
import type { Flooded } from './flood.ts';
import { cpuSeconds, ForeignCpu } from './processor.ts';

export interface Turn {
  /** TCP payload that arrived, in Mbit/s: hostA to hostB, and back. */
  readonly forward: number;
  readonly backward: number;
  /** CPU time of both gateways for an octet of TCP payload, in nanoseconds; undefined where there are no gateway processes. */
  readonly nanosPerOctet: number | undefined;
  /** A flood for each number of senders. */
  readonly floods: readonly Flood[];
  /** Share of processor time that others used, 0 to 1. */
  readonly foreign: number;
}

export interface Flood {
  readonly senders: number;
  /** Thousands of datagrams a second, sent and delivered. */
  readonly offered: number;
  readonly delivered: number;
}

/** One sender leaves a processor to the gateways; two saturate the bare network. Which is better depends on the path. */
export const SENDERS = [1, 2] as const;

/**
 * Compiled code, learned path MTUs, grown windows: what a first measurement would pay for. More than one turn, because what was compiled
 * for TCP alone is compiled anew after the first flood.
 */
export async function warmUp(topology: Topology): Promise<void> {
  for (let turn = 0; turn < WARM_UP_TURNS; turn++) await takeTurn(topology, [], WARM_UP_SECONDS);
}

export async function takeTurn(topology: Topology, pids: readonly number[], seconds: number): Promise<Turn> {
  const used = (): number => pids.reduce((sum, pid) => sum + cpuSeconds(pid), 0);
  const foreign = new ForeignCpu();
  const before = used();
  const forward = await iperf(topology, 'hostA', 'hostB', ADDRESSES.hostB, { seconds });
  const backward = await iperf(topology, 'hostA', 'hostB', ADDRESSES.hostB, { seconds, reverse: true });
  const after = used();
  const floods: Flood[] = [];
  for (const senders of SENDERS) floods.push(await flood(topology, senders, seconds));
  await pause(DRAIN_MILLIS);
  return {
    forward: forward.bitsPerSecond / 1e6,
    backward: backward.bitsPerSecond / 1e6,
    nanosPerOctet: pids.length === 0 ? undefined : ((after - before) * 1e9) / (forward.bytes + backward.bytes),
    floods,
    foreign: foreign.share(),
  };
}

/** The best of a turn's floods: what the path can deliver. */
export const delivered = (turn: Turn): number => Math.max(...turn.floods.map((flood) => flood.delivered));

async function flood(topology: Topology, senders: number, seconds: number): Promise<Flood> {
  const script = `${import.meta.dirname}/flood.js`;
  const sink = topology.start('hostB', process.execPath, [script, 'sink', ADDRESSES.hostB, String(seconds)]);
  const started = [sink];
  try {
    const [, port] = await sink.line(/^port (\d+)$/m);
    const words = [script, 'send', ADDRESSES.hostA, ADDRESSES.hostB, port!, String(seconds + MARGIN_SECONDS)];
    for (let n = 0; n < senders; n++) started.push(topology.start('hostA', process.execPath, words));
    for (const process of started) {
      if ((await process.end()) !== 0) throw new Error(`the flood: ${process.output}`);
    }
    const [counted, ...sent] = started.map(({ stdout }) => JSON.parse(stdout.trim().split('\n').at(-1)!) as Flooded);
    const rate = ({ packets, seconds: of }: Flooded): number => packets / of / 1000;
    return { senders, offered: sent.reduce((sum, of) => sum + rate(of), 0), delivered: rate(counted!) };
  } finally {
    for (const process of started) await process.stop('SIGKILL');
  }
}

export const WARM_UP_TURNS = 2;
export const WARM_UP_SECONDS = 2;
/** What still stands in queues is to be gone before the next turn. */
const DRAIN_MILLIS = 300;
/** The senders begin before the sink counts, and go on until it has counted. */
const MARGIN_SECONDS = 0.6;
