/**
 * Faults on demand, for tests of the whole process: each SIGUSR2 does to the workers of the data plane what BULKHEAD_FAULTS says
 * next, over and over: `wedge` (they stand still), `throw` (they fail), `kill` (they are ended); `wedge@1` does it to worker 1
 * only. Without that variable nobody listens to the signal.
 */
import type { Log } from '../log.ts';

const FAULTS = ['wedge', 'throw', 'kill'] as const;
export type Fault = (typeof FAULTS)[number];

/** What it returns takes the handler away again. */
export function faultsOnSignal(plane: number, strike: (fault: Fault) => void, log: Log): () => void {
  const turns = (process.env.BULKHEAD_FAULTS ?? '').split(',').flatMap((turn) => {
    const [word, at] = turn.split('@');
    return FAULTS.filter((fault) => fault === word).map((fault) => ({ fault, at: at ?? String(plane) }));
  });
  if (turns.length === 0) return () => {};
  let next = 0;
  const onSignal = (): void => {
    const { fault, at } = turns[next % turns.length]!;
    next += 1;
    if (at !== String(plane)) return;
    log.warn(`SIGUSR2: the worker of the data plane gets a fault: ${fault}`, { plane });
    strike(fault);
  };
  process.on('SIGUSR2', onSignal);
  return () => void process.off('SIGUSR2', onSignal);
}
