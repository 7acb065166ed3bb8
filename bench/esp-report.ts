/** The tables of `esp.ts`: a row a contender, the ratios beside their targets, and whose processor time disturbed which turns. */
import { median, print, printTable, spread } from './support.ts';
import { ratio, TARGETS, type Target, verdict } from './targets.ts';
import { delivered, type Turn } from './turn.ts';

export interface Row {
  readonly key: string;
  readonly name: string;
  readonly absent: string | undefined;
  readonly turns: readonly Turn[];
}

/** Share of processor time used by others above which a turn counts as disturbed. */
export const DISTURBED = 0.2;

export function printRows(rows: readonly Row[]): void {
  printTable(
    ['path', 'TCP A→B Mbit/s', 'TCP B→A Mbit/s', 'UDP 64 octets kpps', 'TCP CPU ns/octet', 'foreign CPU %'],
    rows.map(({ name, absent, turns }) => (absent === undefined ? [name, ...cells(turns)] : [name, 'absent'])),
  );
  for (const { name, absent } of rows) if (absent !== undefined) print(`  absent: ${name}: ${absent}`);
  print(
    '  Medians of all turns (least–most). UDP: delivered, the better of the floods of one sender and of two; offered were,',
  );
  print(`  in kpps: ${rows.flatMap(offered).join('; ')}.`);
  print('  TCP CPU: user and system time of both gateway processes for an octet of TCP payload that arrived.');
  print();
}

/** The targets between rows of this run, and how much of it was disturbed. */
export function printTargets(rows: readonly Row[]): void {
  const [all, calm] = [turnsOf(rows, everyTurn), turnsOf(rows, undisturbed)];
  const turns = rows.flatMap((row) => row.turns);
  const disturbed = turns.filter((turn) => !undisturbed(turn)).length;
  const digits = (value: number | undefined): string => value?.toFixed(2) ?? '–';
  const lines = targetsOf(rows).map((target) => {
    const measured = ratio(target, all);
    const reached = measured === undefined ? 'not measured' : verdict(target, measured);
    const cells = [digits(target.atLeast), digits(target.aim), digits(measured), reached];
    return [target.what, ...cells, ...(disturbed === 0 ? [] : [digits(ratio(target, calm))])];
  });
  const titles = ['ratio of medians', 'at least', 'aim', 'measured', '', ...(disturbed === 0 ? [] : ['undisturbed'])];
  if (lines.length > 0) printTable(titles, lines);
  const foreign = turns.length === 0 ? '–' : (100 * median(turns.map((turn) => turn.foreign))).toFixed(0);
  print(
    `  Foreign CPU: ${foreign} % in the median of turns; more than ${100 * DISTURBED} % in ${disturbed} of ${turns.length} turns.`,
  );
  if (disturbed > 0 && lines.length > 0)
    print('  "measured" has all turns, "undisturbed" those below that, where both rows have some.');
}

/** What `--json` writes. */
export function asJson(rows: readonly Row[], facts: object): string {
  const all = turnsOf(rows, everyTurn);
  const targets = targetsOf(rows).map((target) => ({ ...target, measured: ratio(target, all) ?? null }));
  return JSON.stringify({ ...facts, rows, targets });
}

const targetsOf = (rows: readonly Row[]): readonly Target[] =>
  TARGETS.filter(({ of, over }) => [of, over].every((key) => rows.some((row) => row.key === key)));

const everyTurn = (): boolean => true;
const undisturbed = ({ foreign }: Turn): boolean => foreign <= DISTURBED;

const turnsOf = (rows: readonly Row[], which: (turn: Turn) => boolean): ReadonlyMap<string, readonly Turn[]> =>
  new Map(rows.map(({ key, absent, turns }) => [key, absent === undefined ? turns.filter(which) : []]));

function cells(turns: readonly Turn[]): readonly string[] {
  const costs = turns.flatMap(({ nanosPerOctet }) => nanosPerOctet ?? []);
  return [
    spread(turns.map(({ forward }) => forward)),
    spread(turns.map(({ backward }) => backward)),
    spread(turns.map(delivered), 1),
    costs.length === 0 ? '' : spread(costs, 2),
    spread(turns.map(({ foreign }) => 100 * foreign)),
  ];
}

function offered({ name, turns }: Row): readonly string[] {
  if (turns.length === 0) return [];
  const bySenders = turns[0]!.floods.map((_, i) => spread(turns.map(({ floods }) => floods[i]!.offered)).split(' ')[0]);
  return [`${name} ${bySenders.join(' and ')}`];
}
