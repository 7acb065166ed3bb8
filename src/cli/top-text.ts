/** What `bulkhead top` shows of one interval: problems, the gateway, its workers where it has some, then tenants with their connections and SAs. */
import type { ChildSaRates, ConnectionRates, Flow, GatewayRates, Rates, WorkerRates } from './rates.ts';
import * as text from './text.ts';

export const ORDERS = ['traffic', 'packets', 'in', 'out', 'drops', 'name'] as const;
export type Order = (typeof ORDERS)[number];

export function topLines(rates: GatewayRates, order: Order, palette: text.Palette): string[] {
  const { problems, name, state, upSeconds, version, packets, memoryBytes, engine, dropsPerSecond } = rates;
  const style = state === 'ok' ? palette.good : palette.bad;
  const drops = dropText(dropsPerSecond);
  const facts = [
    `packets ${text.formatPackets(packets)}`,
    ...(memoryBytes === undefined ? [] : [`memory ${text.formatOctets(memoryBytes)}`]),
    `crypto ${engine}`,
  ];
  return [
    ...problems.flatMap((problem) => text.problemLines(problem, palette)),
    ...(problems.length > 0 ? [''] : []),
    `${palette.bold(text.printable(name))}  ${style(state)}  up ${text.formatSeconds(upSeconds)}, bulkhead ${version}`,
    text.printable(facts.join(', ')),
    ...(drops === '' ? [] : [`${palette.warn('drops')} ${drops}`]),
    '',
    ...workerLines(rates.workers, palette),
    ...text.table(COLUMNS, rows(rates, order, palette), palette),
  ];
}

/** Nothing where packets pass through the main thread. */
function workerLines(workers: readonly WorkerRates[], palette: text.Palette): string[] {
  const own = workers.filter(({ thread }) => thread === 'own');
  if (own.length === 0) return [];
  const cells = own.map((worker): text.Cell[] => {
    const { state, packets, engine, dropsPerSecond } = worker;
    return [
      `worker ${worker.worker}`,
      { text: state, style: state === 'running' ? palette.good : palette.bad },
      ...[...flowCells(worker.in), ...flowCells(worker.out)].map(dimZero(palette)),
      `${packets.inUse} of ${packets.poolSize}`,
      packets.peak,
      engine,
      dropText(dropsPerSecond),
    ];
  });
  return [...text.table(WORKER_COLUMNS, cells, palette), ''];
}

function rows(rates: GatewayRates, order: Order, palette: text.Palette): text.Cell[][] {
  const row = (name: string, state: text.Cell, part: Rates): text.Cell[] => [
    name,
    state,
    ...[...flowCells(part.in), ...flowCells(part.out), dropText(part.dropsPerSecond)].map(dimZero(palette)),
  ];
  const saRow = (sa: ChildSaRates): text.Cell[] =>
    row(`    {${sa.id}}`, { text: sa.state, style: sa.state === 'active' ? plain : palette.dim }, sa);
  const connectionRows = (c: ConnectionRates): text.Cell[][] => [
    row(`  ${c.connection}`, text.stateCell(c.state, hasFailed(rates, c), palette), c),
    ...sorted(order, rates.childSas.filter(isOf(c)), (sa) => sa.id).map(saRow),
  ];
  return [
    row('all tenants', '', rates),
    ...sorted(order, rates.tenants, ({ tenant }) => tenant).flatMap((t) => [
      row(t.tenant, '', t),
      ...sorted(
        order,
        rates.connections.filter(({ tenant }) => tenant === t.tenant),
        ({ connection }) => connection,
      ).flatMap(connectionRows),
    ]),
  ];
}

const hasFailed = ({ problems }: GatewayRates, { tenant, connection }: ConnectionRates): boolean =>
  problems.some((problem) => problem.tenant === tenant && problem.connection === connection);

const isOf =
  (c: ConnectionRates) =>
  ({ tenant, connection }: ChildSaRates): boolean =>
    tenant === c.tenant && connection === c.connection;

/** The most first; what has as much, by name. */
function sorted<T extends Rates>(order: Order, parts: readonly T[], nameOf: (part: T) => string | number): T[] {
  const byName = (a: T, b: T): number => {
    const [first, second] = [nameOf(a), nameOf(b)];
    return first < second ? -1 : first > second ? 1 : 0;
  };
  return parts.toSorted((a, b) => weight(order, b) - weight(order, a) || byName(a, b));
}

function weight(order: Order, { in: received, out, dropsPerSecond }: Rates): number {
  switch (order) {
    case 'traffic':
      return received.bitsPerSecond + out.bitsPerSecond;
    case 'packets':
      return received.packetsPerSecond + out.packetsPerSecond;
    case 'in':
      return received.bitsPerSecond;
    case 'out':
      return out.bitsPerSecond;
    case 'drops':
      return Object.values(dropsPerSecond).reduce((sum, rate) => sum + rate, 0);
    case 'name':
      return 0;
  }
}

const flowCells = ({ packetsPerSecond, bitsPerSecond }: Flow): string[] =>
  [packetsPerSecond, bitsPerSecond].map(text.formatAmount);

/** `noRoute 3.0, hopLimit 1`: the most frequent first. */
const dropText = (drops: Rates['dropsPerSecond']): string =>
  Object.entries(drops)
    .sort(([, a], [, b]) => b - a)
    .map(([reason, rate]) => `${reason} ${text.formatAmount(rate)}`)
    .join(', ');

const dimZero =
  (palette: text.Palette) =>
  (cell: string): text.Cell =>
    cell === '0' ? { text: cell, style: palette.dim } : cell;

const plain: text.Style = (cell) => cell;

const FLOW_COLUMNS: readonly text.Column[] = ['IN PKT/S', 'IN BIT/S', 'OUT PKT/S', 'OUT BIT/S'].map((title) => ({
  title,
  align: 'right',
}));
const COLUMNS: readonly text.Column[] = [{ title: 'NAME' }, { title: 'STATE' }, ...FLOW_COLUMNS, { title: 'DROPS/S' }];
const WORKER_COLUMNS: readonly text.Column[] = [
  { title: 'WORKER' },
  { title: 'STATE' },
  ...FLOW_COLUMNS,
  { title: 'PACKETS', align: 'right' },
  { title: 'PEAK', align: 'right' },
  { title: 'CRYPTO' },
  { title: 'DROPS/S' },
];
