/**
 * Faults on demand, for tests of the whole process: each SIGUSR2 does to the worker of the data plane what BULKHEAD_FAULTS says
 * next, over and over: `wedge` (it stands still), `throw` (it fails), `kill` (it is ended). Without that variable nobody listens
 * to the signal.
 */
import type { Log } from '../log.ts';

const FAULTS = ['wedge', 'throw', 'kill'] as const;
export type Fault = (typeof FAULTS)[number];

/** What it returns takes the handler away again. */
export function faultsOnSignal(strike: (fault: Fault) => void, log: Log): () => void {
  const wanted = (process.env.BULKHEAD_FAULTS ?? '').split(',');
  const faults = wanted.flatMap((word) => FAULTS.filter((fault) => fault === word));
  if (faults.length === 0) return () => {};
  let next = 0;
  const onSignal = (): void => {
    const fault = faults[next % faults.length]!;
    next += 1;
    log.warn(`SIGUSR2: the worker of the data plane gets a fault: ${fault}`);
    strike(fault);
  };
  process.on('SIGUSR2', onSignal);
  return () => void process.off('SIGUSR2', onSignal);
}
