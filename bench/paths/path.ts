/**
 * What the contenders of `esp.ts` have in common: how one joins the hosts' networks through two gateways, and when it cannot.
 *
 * Leaves to others: measuring (`turn.ts`). Invariant: what a contender starts is stopped by `stop`, and at the end of this
 * process however it ends.
 */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Topology } from '../../test/support/netns.ts';
import { onExit, sh } from '../../test/support/process.ts';

export interface Contender {
  /** For `--only`. */
  readonly key: string;
  readonly name: string;
  /** How it is set up: a line for the reader of the table. */
  readonly setup: string;
  /** Why it cannot be had here; undefined: it can. */
  readonly absent: string | undefined;
  /** Packets pass between the hosts when this resolves, or soon after. */
  join(topology: Topology): Promise<Gateways>;
}

export interface Gateways {
  /** Processes whose CPU time counts. */
  readonly pids: readonly number[];
  /** What only the running gateways tell. */
  readonly found?: string;
  stop(): Promise<void>;
}

export type Side = 'gwA' | 'gwB';
export const NETWORKS: Readonly<Record<Side, string>> = { gwA: '10.1.0.0/24', gwB: '10.2.0.0/24' };
export const otherSide = (side: Side): Side => (side === 'gwA' ? 'gwB' : 'gwA');

/** gwB, which listens, and then gwA; when one does not come up, what was started is stopped. */
export async function startBoth<T extends { stop(): Promise<unknown> }>(
  start: (side: Side) => Promise<T>,
): Promise<readonly T[]> {
  const b = await start('gwB');
  try {
    return [b, await start('gwA')];
  } catch (error) {
    await b.stop();
    throw error;
  }
}

/** Two gateways that are a process each. */
export const gateways = (both: readonly { readonly pid: number; stop(): Promise<unknown> }[]): Gateways => ({
  pids: both.map(({ pid }) => pid),
  stop: async () => void (await Promise.all(both.map((each) => each.stop()))),
});

/** Sends what is for the other side's network through a gateway's own device. */
export function routeInto(topology: Topology, side: Side, device: string): void {
  sh('ip', ['-n', topology.name(side), 'route', 'add', NETWORKS[otherSide(side)], 'dev', device]);
}

/** For keys, configurations and programs of this run: a folder that goes with the process. */
export function scratch(): string {
  if (folder === undefined) {
    folder = mkdtempSync(join(tmpdir(), `bh-bench-${process.pid}-`));
    const made = folder;
    onExit({}, () => rmSync(made, { recursive: true, force: true }));
  }
  return folder;
}

let folder: string | undefined;
