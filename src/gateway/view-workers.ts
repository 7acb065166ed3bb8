/**
 * The data planes that pass packets, each by itself: threads of their own, or the main one.
 *
 * Leaves to others: which engine a thread chose and how often it was started anew, which only its host knows.
 */

import { DEFAULT_COMPARTMENT } from '../config/index.ts';
import { dropsByName } from '../ip/index.ts';
import type { Books } from './books.ts';
import { POOL_AT } from './dataplane/index.ts';
import { sumDrops, tenantDrops } from './drops.ts';
import type { PacketsStatus, Problem, WorkerStatus } from './status.ts';

/** By their numbers. */
export function viewWorkers(books: Books): WorkerStatus[] {
  const { remote } = books.options;
  // The likeness in the main thread passes nothing.
  const first = remote === undefined ? 0 : 1;
  const sads = books.sadCells().slice(first);
  return books
    .planeCells()
    .slice(first)
    .map((cells, worker) => {
      const why = books.planeProblems.get(worker);
      const tenants = [...books.tenants.values()].filter(({ plane }) => plane === worker);
      return {
        worker,
        thread: remote === undefined ? 'main' : 'own',
        state: why === undefined ? 'running' : 'lost',
        ...(why === undefined ? {} : { why }),
        engine: books.engine.name,
        tenants: tenants.filter(({ name }) => name !== DEFAULT_COMPARTMENT).length,
        packets: {
          poolSize: cells[POOL_AT]!,
          inUse: cells[POOL_AT + 1]!,
          peak: cells[POOL_AT + 2]!,
          refused: cells[POOL_AT + 3]!,
        },
        drops: sumDrops([
          dropsByName(cells),
          dropsByName(sads[worker]!),
          ...tenants.map((tenant) => tenantDrops(books, tenant)),
        ]),
      };
    });
}

/** Of all of them together. */
export function viewPackets(workers: readonly WorkerStatus[]): PacketsStatus {
  const sum = (field: keyof PacketsStatus): number => workers.reduce((total, { packets }) => total + packets[field], 0);
  return { poolSize: sum('poolSize'), inUse: sum('inUse'), peak: sum('peak'), refused: sum('refused') };
}

export const planeProblems = (books: Books): Problem[] =>
  [...books.planeProblems.values()].map((why) => ({
    severity: 'error' as const,
    problem: `no packet passes${books.planes > 1 ? ' for some tenants' : ''}: the data plane ${why}`,
    advice: 'it is started anew by itself; the log says when, and what became of it before',
    lines: [],
  }));
