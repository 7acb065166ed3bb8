/**
 * Whose processor time it was: that of one process, of this run, or of others on the machine.
 *
 * Read first: proc(5), /proc/stat and /proc/PID/stat. This run is this process, its descendants alive, and those that it has
 * waited for. ksoftirqd counts to it too: on a machine where nothing else uses the network it carries this run's packets.
 * Limit: the kernel counts in hundredths of a second.
 */
import { readdirSync, readFileSync } from 'node:fs';

/** User and system time of a process with all its threads, in seconds. */
export function cpuSeconds(pid: number): number {
  const stat = statOf(pid);
  if (stat === undefined) throw new Error(`process ${pid} has ended`);
  return (stat.user + stat.system) / HERTZ;
}

/** From its making until `share` is asked. */
export class ForeignCpu {
  #began = now();

  /** The part of all processors' time since then, 0 to 1, that was used by others; starts anew. */
  share(): number {
    const [before, after] = [this.#began, now()];
    this.#began = after;
    const foreign = after.busy - before.busy - (after.own - before.own);
    return Math.max(0, foreign / (after.all - before.all));
  }
}

interface Moment {
  /** Of all processors; `busy` is what they did not idle, time stolen by the hypervisor included. */
  readonly all: number;
  readonly busy: number;
  readonly own: number;
}

function now(): Moment {
  const [user, nice, system, idle, iowait, irq, softirq, steal] = readFileSync('/proc/stat', 'utf8')
    .split('\n', 1)[0]!
    .trim()
    .split(/\s+/)
    .slice(1)
    .map(Number);
  const busy = user! + nice! + system! + irq! + softirq! + steal!;
  return { all: busy + idle! + iowait!, busy, own: ownTicks() };
}

function ownTicks(): number {
  const all = readdirSync('/proc').flatMap((name) => {
    const stat = /^\d+$/.test(name) ? statOf(Number(name)) : undefined;
    return stat === undefined ? [] : [stat];
  });
  const ours = new Set([process.pid]);
  // Children may stand before their parents once process ids have wrapped around.
  for (let known = 0; known !== ours.size; ) {
    known = ours.size;
    for (const { pid, parent } of all) if (ours.has(parent)) ours.add(pid);
  }
  return all
    .filter(({ pid, command }) => ours.has(pid) || command.startsWith('ksoftirqd/'))
    .reduce((sum, { user, system, reaped }) => sum + user + system + reaped, 0);
}

interface Stat {
  readonly pid: number;
  readonly command: string;
  readonly parent: number;
  readonly user: number;
  readonly system: number;
  /** Of children that ended and were waited for. */
  readonly reaped: number;
}

/** Undefined when it has ended. */
function statOf(pid: number): Stat | undefined {
  let text: string;
  try {
    text = readFileSync(`/proc/${pid}/stat`, 'utf8');
  } catch {
    return undefined;
  }
  const [, command, rest] = /\((.*)\) (.*)/s.exec(text)!;
  const fields = rest!.split(' ');
  const at = (field: number): number => Number(fields[field - 3]);
  return { pid, command: command!, parent: at(4), user: at(14), system: at(15), reaped: at(16) + at(17) };
}

const HERTZ = 100;
