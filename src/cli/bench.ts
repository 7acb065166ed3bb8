/**
 * `bench`: what this machine does, for somebody who has just installed it. Two gateways with a tunnel between them beside the bare
 * network, and the crypto engines. Changes nothing that stays: what it makes is its own and goes with it.
 *
 * With root, `ip` and koffi the gateways are processes in network namespaces (`bench/namespaces.ts`), else they run in this
 * process over 127.0.0.1 (`bench/loopback.ts`). Leaves to others: comparisons with other software (the folder `bench/`).
 */
import { cpus, release, type } from 'node:os';
import { envelope } from '../api/envelope.ts';
import { nearest } from '../config/suggestion.ts';
import { SUITES, type Suite } from '../crypto/index.ts';
import { namespaceProblems } from '../runtime/namespaces.ts';
import { measureEngines } from './bench/engines.ts';
import { Ledger, PARTS, type Part } from './bench/ledger.ts';
import { LoopbackWay } from './bench/loopback.ts';
import { NamespaceWay, tryNamespaces } from './bench/namespaces.ts';
import { Progress } from './bench/progress.ts';
import { type BenchResult, benchLines, type Machine } from './bench/text.ts';
import { failed, type Plan, type Way } from './bench/way.ts';
import { type Call, CliError, EXIT, type Exit, printJson, printLines, wantsJson } from './io.ts';
import { paletteFor } from './text.ts';
import { VERSION } from './version.ts';

/** Exit 1 with a sentence when something does not work; what was measured until then is not shown. */
export async function bench(call: Call): Promise<Exit> {
  const { io } = call;
  const { seconds = 0.8, rounds = 2, suite: word = 'aes128gcm16', only = PARTS } = call.options as BenchOptions;
  const suite = suiteOf(word);
  const progress = new Progress(io);
  const parts = new Set(only);
  const plan = { suite: word, millis: seconds * 1000, parts, signal: io.signal, step: progress.step };
  const letGo = holdSignals();
  try {
    const gateways = only.every((part) => part === 'crypto') ? NOTHING : await measureGateways(plan, rounds, call);
    if (parts.has('crypto')) progress.step('crypto engines');
    const engines = parts.has('crypto') ? await measureEngines(suite, seconds * ENGINE_SLICE, io.signal) : NO_ENGINES;
    progress.end();
    const result: BenchResult = { ...gateways, ...engines, suite: word, rounds, seconds, machine: machine() };
    if (wantsJson(call)) printJson(io, envelope('bench', [result]));
    else printLines(io.stdout, benchLines(result, paletteFor(io)));
    return EXIT.ok;
  } finally {
    progress.end();
    letGo();
  }
}

interface BenchOptions {
  readonly seconds?: number;
  readonly rounds?: number;
  readonly suite?: string;
  readonly only?: readonly Part[];
  readonly loopback?: true;
}

type Gateways = Pick<BenchResult, 'way' | 'heading' | 'missing' | 'measurements'>;

async function measureGateways(plan: Plan, rounds: number, call: Call): Promise<Gateways> {
  let round = 0;
  const step = (words: string): void => plan.step(round === 0 ? words : `round ${round} of ${rounds}: ${words}`);
  const { way, missing } = await openWay({ ...plan, step }, call);
  const ledger = new Ledger();
  try {
    for (round = 1; round <= rounds; round++) await way.round(ledger);
  } finally {
    await way.close();
  }
  return { way: way.name, heading: way.words, missing, measurements: ledger.measurements() };
}

async function openWay(plan: Plan, call: Call): Promise<{ readonly way: Way; readonly missing: readonly string[] }> {
  const { loopback = false } = call.options as BenchOptions;
  const problems = loopback ? [] : namespaceProblems();
  const pair = loopback || problems.length > 0 ? undefined : tryNamespaces();
  if (typeof pair === 'object') return { way: await NamespaceWay.open(pair, plan, call.io), missing: [] };
  const why = pair === undefined ? problems : [pair];
  if (LOOPBACK_PARTS.every((part) => !plan.parts.has(part))) {
    const reason = loopback ? 'not with --loopback' : why.join('; ');
    throw failed(`tcp cannot be measured: ${reason}`, 'See: bulkhead doctor');
  }
  return { way: await LoopbackWay.open(plan), missing: [...why, WITHOUT] };
}

function suiteOf(word: string): Suite {
  const usable = SUITES.filter(({ encryption, integrity }) => !encryption.legacy && integrity?.legacy !== true);
  const found = usable.find((suite) => suite.word === word);
  if (found !== undefined) return found;
  const near = nearest(
    word,
    usable.map((suite) => suite.word),
  );
  const advice =
    near === undefined ? 'Such as aes128gcm16, chacha20poly1305 or aes256-sha256.' : `Did you mean ${near}?`;
  throw new CliError(EXIT.usage, 'usage', `--suite: there is no suite ${word}`, advice);
}

/** Tidying up takes a second or two, which an impatient second Ctrl-C must not cut short. */
function holdSignals(): () => void {
  const hold = (): void => {};
  for (const signal of SIGNALS) process.on(signal, hold);
  return () => {
    for (const signal of SIGNALS) process.off(signal, hold);
  };
}

const machine = (): Machine => ({
  cores: cpus().length,
  model: cpus()[0]?.model.trim() ?? 'unknown processor',
  kernel: `${type()} ${release()}`,
  node: process.versions.node,
  version: VERSION,
});

const SIGNALS = ['SIGINT', 'SIGTERM', 'SIGHUP'] as const;
const NOTHING: Gateways = { way: null, heading: '', missing: [], measurements: [] };
const NO_ENGINES: Pick<BenchResult, 'engines' | 'absentEngines'> = { engines: [], absentEngines: [] };
const LOOPBACK_PARTS: readonly Part[] = ['udp', 'ping', 'ike'];
const WITHOUT = 'without TCP, TUN devices and the processor time of the gateways alone';
/** Milliseconds for each number of an engine's, for each second of the other measurements: all of them take about one. */
const ENGINE_SLICE = 8;
