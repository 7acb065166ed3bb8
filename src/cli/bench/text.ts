/** The tables of `bench`, and how to read them. */
import * as text from '../text.ts';
import type { AbsentEngine, EngineCost } from './engines.ts';
import { type Measurement, SUBJECTS } from './ledger.ts';

export interface BenchResult {
  readonly way: 'namespaces' | 'loopback' | null;
  /** The way in words, and what is not measured and why. */
  readonly heading: string;
  readonly missing: readonly string[];
  readonly suite: string;
  readonly rounds: number;
  readonly seconds: number;
  readonly machine: Machine;
  readonly measurements: readonly Measurement[];
  readonly engines: readonly EngineCost[];
  readonly absentEngines: readonly AbsentEngine[];
}

export interface Machine {
  readonly cores: number;
  readonly model: string;
  readonly kernel: string;
  readonly node: string;
  readonly version: string;
}

export function benchLines(result: BenchResult, palette: text.Palette): string[] {
  const { heading, missing, suite, rounds, seconds, machine, measurements, engines, absentEngines } = result;
  const { cores, model, kernel, node, version } = machine;
  const often =
    rounds === 1 ? `one round of ${seconds} s a measurement` : `medians of ${rounds} rounds of ${seconds} s`;
  return [
    ...(heading === '' ? [] : [`${palette.bold(capital(heading))}.`]),
    ...missing.map((words) => `${palette.warn('!')} ${text.printable(words)}`),
    text.printable(`${cores} × ${model}, ${kernel}, Node ${node}, bulkhead ${version}`),
    measurements.length === 0 ? `ESP with ${suite}` : `ESP with ${suite}, in UDP; ${often}`,
    ...(measurements.length === 0 ? [] : ['', ...measurementLines(measurements, palette)]),
    ...(engines.length === 0 ? [] : ['', ...engineLines(engines, palette)]),
    ...absentEngines.map(({ engine, why }) => text.printable(`not measured: ${engine}: ${why}`)),
    '',
    READING,
  ];
}

const READING =
  'Read the ratios: the bare way never leaves memory, as no wire can, and all that runs here shares the cores.';

function measurementLines(measurements: readonly Measurement[], palette: text.Palette): string[] {
  const processor = measurements.some((m) => m.processor !== null);
  const columns: text.Column[] = [
    { title: 'MEASURED' },
    { title: 'TUNNEL', align: 'right' },
    { title: 'BARE', align: 'right' },
    { title: 'RATIO', align: 'right' },
    ...(processor ? [{ title: 'CPU OF BOTH GATEWAYS', align: 'right' as const }] : []),
  ];
  const rows = measurements.map((m): text.Cell[] => [
    WORDS.get(m.name) ?? m.name,
    amount(m.tunnel, m.unit),
    m.bare === null ? '' : amount(m.bare, m.unit),
    m.ratio === null ? '' : ratio(m.ratio),
    ...(processor ? [m.processor === null ? '' : `${m.processor.value.toFixed(2)} ${m.processor.unit}`] : []),
  ]);
  return text.table(columns, rows, palette);
}

function engineLines(engines: readonly EngineCost[], palette: text.Palette): string[] {
  const columns: text.Column[] = [
    { title: 'CRYPTO ENGINE' },
    ...['OCTETS', 'SEAL ALONE', 'SEAL', 'OPEN', 'SEAL'].map((title) => ({ title, align: 'right' as const })),
  ];
  const rows = engines.map(({ engine, octets, nanosAlone, nanosSeal, nanosOpen }): text.Cell[] => [
    engine,
    octets,
    ...[nanosAlone, nanosSeal, nanosOpen].map((nanos) => `${nanos.toFixed(0)} ns`),
    amount((8e9 * octets) / nanosSeal, 'bit/s'),
  ]);
  return text.table(columns, rows, palette);
}

const WORDS: ReadonlyMap<string, string> = new Map(Object.values(SUBJECTS).map(({ name, words }) => [name, words]));

/** `1.93 Gbit/s`, `210 k/s`, `183 µs`. */
function amount(value: number, unit: Measurement['unit']): string {
  if (unit === 'µs') return `${value.toFixed(value < 99.95 ? 1 : 0)} µs`;
  const shown = text.formatAmount(value);
  if (unit !== 'bit/s') return `${shown}/s`;
  return /\d$/.test(shown) ? `${shown} bit/s` : `${shown}bit/s`;
}

const ratio = (value: number): string => (value < 0.0995 ? value.toFixed(3) : value.toFixed(2));

const capital = (words: string): string => words.charAt(0).toUpperCase() + words.slice(1);
