/** Text for terminals: tables, colours where wanted, durations and amounts people can read. */
import type { ConnectionState, PacketsStatus, Problem } from '../gateway/status.ts';
import type { Io, Output } from './io.ts';

export type Style = (text: string) => string;

export interface Palette {
  readonly bold: Style;
  readonly dim: Style;
  readonly good: Style;
  readonly warn: Style;
  readonly bad: Style;
}

/** Colours on a terminal only, and not where NO_COLOR (no-color.org) or a dumb terminal says otherwise. */
export function paletteFor(io: Io, output: Output = io.stdout): Palette {
  const coloured = output.isTTY === true && (io.env.NO_COLOR ?? '') === '' && io.env.TERM !== 'dumb';
  const style =
    (code: number): Style =>
    (text) =>
      coloured && text !== '' ? `\u001b[${code}m${text}\u001b[0m` : text;
  return { bold: style(1), dim: style(2), good: style(32), warn: style(33), bad: style(31) };
}

export interface Column {
  readonly title: string;
  readonly align?: 'right';
}

/** A cell, or a cell with the style it is shown in. */
export type Cell = string | number | { readonly text: string; readonly style: Style };

/** Lines of a table: as wide as its cells, two blanks between columns, nothing after the last. */
export function table(columns: readonly Column[], rows: readonly (readonly Cell[])[], palette: Palette): string[] {
  const texts = rows.map((row) => row.map(textOf));
  const widths = columns.map(({ title }, i) => Math.max(title.length, ...texts.map((row) => row[i]!.length)));
  const line = (cells: readonly string[], styles: readonly (Style | undefined)[]): string =>
    cells
      .map((text, i) => {
        const pad = ' '.repeat(widths[i]! - text.length);
        const shown = styles[i]?.(text) ?? text;
        if (columns[i]!.align === 'right') return pad + shown;
        return i === cells.length - 1 ? shown : shown + pad;
      })
      .join('  ')
      .trimEnd();
  const header = line(
    columns.map(({ title }) => title),
    columns.map(() => palette.bold),
  );
  return [
    header,
    ...rows.map((row, i) =>
      line(
        texts[i]!,
        row.map((cell) => (typeof cell === 'object' ? cell.style : undefined)),
      ),
    ),
  ];
}

/** Peers choose identities and error texts: nothing of theirs may steer a terminal. */
export const printable = (text: string): string =>
  // biome-ignore lint/suspicious/noControlCharactersInRegex: they are what is replaced
  text.replace(/[\u0000-\u001f\u007f-\u009f\u202a-\u202e\u2066-\u2069]/g, '�');

const textOf = (cell: Cell): string => printable(typeof cell === 'object' ? cell.text : String(cell));

/** A problem with its comparison and the next step. */
export function problemLines(problem: Problem, palette: Palette): string[] {
  const owner = [problem.tenant, problem.connection].filter((part) => part !== undefined).join('/');
  const mark = problem.severity === 'error' ? palette.bad('✗') : palette.warn('!');
  return [
    `${mark} ${owner === '' ? '' : `${palette.bold(printable(owner))}: `}${printable(problem.problem)}`,
    ...problem.lines.map((line) => `    ${printable(line)}`),
    ...(problem.advice === '' ? [] : [`  → ${printable(problem.advice)}`]),
  ];
}

export function stateCell(state: ConnectionState, failed: boolean, palette: Palette): Cell {
  if (state === 'up' || state === 'rekeying') return { text: state, style: palette.good };
  return { text: state, style: failed ? palette.bad : palette.dim };
}

/** `3 s`, `12 m 5 s`, `3 h 12 m`, `2 d 4 h`. */
export function formatSeconds(seconds: number): string {
  const whole = Math.max(0, Math.round(seconds));
  const parts: [number, string][] = [
    [Math.floor(whole / 86400), 'd'],
    [Math.floor(whole / 3600) % 24, 'h'],
    [Math.floor(whole / 60) % 60, 'm'],
    [whole % 60, 's'],
  ];
  const first = parts.findIndex(([value]) => value > 0);
  if (first < 0) return '0 s';
  return parts
    .slice(first, first + 2)
    .filter(([value]) => value > 0)
    .map(([value, unit]) => `${value} ${unit}`)
    .join(' ');
}

/** `812 B`, `1.4 kB`, `23 MB`: powers of ten. */
export function formatOctets(octets: number): string {
  const units = ['B', 'kB', 'MB', 'GB', 'TB', 'PB'];
  let [value, unit] = [octets, 0];
  while (value >= 999.5 && unit < units.length - 1) [value, unit] = [value / 1000, unit + 1];
  return `${unit > 0 && value < 9.95 ? value.toFixed(1) : Math.round(value)} ${units[unit]}`;
}

/** `0.5`, `812`, `1.43 k`, `23.0 M`: three digits, powers of ten. */
export function formatAmount(amount: number): string {
  const prefixes = ['', ' k', ' M', ' G', ' T'];
  let [value, prefix] = [amount, 0];
  while (value >= 999.5 && prefix < prefixes.length - 1) [value, prefix] = [value / 1000, prefix + 1];
  const whole = prefix === 0 && Number.isInteger(value);
  const digits = whole || value >= 99.95 ? 0 : value >= 9.995 || prefix === 0 ? 1 : 2;
  return `${value.toFixed(digits)}${prefixes[prefix]}`;
}

/** `3 of 1024 in use, at most 40`. */
export const formatPackets = ({ inUse, poolSize, peak, refused }: PacketsStatus): string =>
  `${inUse} of ${poolSize} in use, at most ${peak}${refused > 0 ? `, ${refused} refused` : ''}`;

/** `no-route 3, ttl 1`; the most frequent first. */
export const formatDrops = (drops: Readonly<Record<string, number>>): string =>
  Object.entries(drops)
    .filter(([, count]) => count > 0)
    .sort(([, a], [, b]) => b - a)
    .map(([reason, count]) => `${reason} ${count}`)
    .join(', ');
