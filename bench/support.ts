/**
 * What the benches share: facts of the machine, tables, what the kernel says of a process, and the two gateways compared.
 *
 * Every number that a bench prints is a measurement of this run or follows from such by the arithmetic its table names.
 */
import { spawnSync } from 'node:child_process';
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { cpus, tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { GatewayStatus } from '../src/gateway/index.ts';
import type { Place, Topology } from '../test/support/netns.ts';
import { missingPeers, type Need } from '../test/support/peers.ts';
import { must, offExit, onExit, sh, start, type TestProcess, until } from '../test/support/process.ts';
import { Strongswan, type SwanOptions } from '../test/support/strongswan.ts';

/** The folder of package.json, wherever the compiled bench lies. */
export const ROOT: string = (() => {
  let folder = dirname(fileURLToPath(import.meta.url));
  while (!existsSync(join(folder, 'package.json'))) folder = dirname(folder);
  return folder;
})();

/** Ends the bench with the reason when the machine lacks something. */
export function demand(...needs: readonly Need[]): void {
  const missing = missingPeers(...needs);
  if (missing.length === 0) return;
  print(`this bench needs ${missing.join('; ')}`);
  process.exit(1);
}

export const print = (text = ''): void => void process.stdout.write(`${text}\n`);

export function printFacts(title: string, ...measured: readonly string[]): void {
  print(title);
  for (const line of [...machineFacts(), ...measured]) print(`  ${line}`);
  print();
}

/** What numbers of this run hold for. */
export function machineFacts(): readonly string[] {
  const { version } = JSON.parse(readFileSync(join(ROOT, 'package.json'), 'utf8')) as { version: string };
  const [swan, iperf] = [versionOf('swanctl', '--help'), versionOf('iperf3', '--version')];
  const peers = `strongSwan ${swan ?? 'not installed'}, iperf3 ${iperf ?? 'not installed'}`;
  return [
    `${cpus().length} cores (${cpus()[0]?.model.trim()}), Linux ${sh('uname', ['-r']).trim()}`,
    `Bulkhead ${version}, Node ${process.version}, OpenSSL ${process.versions.openssl}; ${peers}`,
  ];
}

/** The first version that a program tells of itself; undefined when there is no such program. */
export function versionOf(program: string, flag: string): string | undefined {
  return spawnSync(program, [flag], { encoding: 'utf8' }).stdout?.match(/v?\d+\.\d+[^\s,;)]*/)?.[0];
}

/** The first column is text, the others are numbers: aligned to the right. */
export function printTable(titles: readonly string[], rows: readonly (readonly string[])[]): void {
  const widths = titles.map((title, i) => Math.max(title.length, ...rows.map((row) => row[i]?.length ?? 0)));
  for (const row of [titles, ...rows]) {
    print(`  ${row.map((cell, i) => (i === 0 ? cell.padEnd(widths[i]!) : cell.padStart(widths[i]!))).join('  ')}`);
  }
  print();
}

export function median(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b);
  const middle = sorted.length >>> 1;
  return sorted.length % 2 === 1 ? sorted[middle]! : (sorted[middle - 1]! + sorted[middle]!) / 2;
}

/** `12.3 (11.9–14.0)`: median, least and most. */
export function spread(values: readonly number[], digits = 0): string {
  const text = (value: number): string => value.toFixed(digits);
  return `${text(median(values))} (${text(Math.min(...values))}–${text(Math.max(...values))})`;
}

/** From /proc/PID/status, in octets. `RssAnon` leaves out files mapped, such as the node binary. */
export function memory(pid: number, field: 'VmRSS' | 'VmHWM' | 'RssAnon'): number {
  const text = readFileSync(`/proc/${pid}/status`, 'utf8');
  return Number(text.match(new RegExp(`^${field}:\\s+(\\d+) kB`, 'm'))![1]) * 1024;
}

/** Binds all threads of a process to one processor: what it does in a second is then what one core does. */
export function pin(pid: number, core: number): void {
  sh('taskset', ['-a', '-p', '-c', String(core), String(pid)]);
}

/** Documents name it as `env: BENCH_PSK`. */
export const PSK = 'a pre-shared key for benches';

export interface GatewayOptions {
  readonly env?: Readonly<Record<string, string>>;
  readonly logLevel?: 'info' | 'warn';
  /** It has IKE, and is there when that listens. Default: true. */
  readonly listens?: boolean;
}

/** A gateway process in a folder of its own; `document` is its document, JSON being YAML. */
export class GatewayProcess {
  readonly process: TestProcess;
  readonly #folder: string;

  private constructor(document: object, topology: Topology, place: Place, options: GatewayOptions) {
    this.#folder = mkdtempSync(join(tmpdir(), `bh-bench-${process.pid}-`));
    onExit(this, () => rmSync(this.#folder, { recursive: true, force: true }));
    const file = join(this.#folder, 'gateway.json');
    writeFileSync(file, JSON.stringify(document), { mode: 0o600 });
    const words = ['bin/bulkhead.js', 'run', '-c', file, '--api', this.#api, '--log-level', options.logLevel ?? 'warn'];
    const env = { ...options.env, BENCH_PSK: PSK };
    this.process = topology.start(place, process.execPath, words, { cwd: ROOT, env });
  }

  /** Listening when this resolves. */
  static async start(
    document: object,
    topology: Topology,
    place: Place,
    options: GatewayOptions = {},
  ): Promise<GatewayProcess> {
    const gateway = new GatewayProcess(document, topology, place, options);
    await until(
      async () => {
        if (!gateway.process.running) throw new Error(`the gateway ended: ${gateway.process.output}`);
        if (!existsSync(gateway.#api.slice('unix:'.length))) return false;
        const { listen } = await gateway.status();
        return listen.length > 0 || options.listens === false;
      },
      20_000,
      () => `the gateway never listened: ${gateway.process.output}`,
    );
    return gateway;
  }

  get pid(): number {
    return this.process.pid;
  }

  async status(): Promise<GatewayStatus> {
    return JSON.parse(await this.#ask('status')).items[0] as GatewayStatus;
  }

  async stop(): Promise<void> {
    await this.process.stop();
    rmSync(this.#folder, { recursive: true, force: true });
    offExit(this);
  }

  get #api(): string {
    return `unix:${this.#folder}/control.sock`;
  }

  async #ask(...words: readonly string[]): Promise<string> {
    const client = start(process.execPath, ['bin/bulkhead.js', ...words, '--api', this.#api, '--json'], { cwd: ROOT });
    const code = await client.end();
    // 3: running, with problems.
    if (code !== 0 && code !== 3) throw new Error(`bulkhead ${words.join(' ')}: ${client.output}`);
    return client.stdout;
  }
}

/**
 * strongSwan as fast as its configuration makes it: OpenSSL before its own portable ciphers, no log, a hash table for IKE SAs,
 * no limit of half-open SAs from one address, exponents of MODP groups as short as ours.
 */
export async function fastStrongswan(topology: Topology, place: Place, options: SwanOptions): Promise<Strongswan> {
  const tuned = [
    'ikesa_table_size = 1024',
    'ikesa_table_segments = 16',
    'cookie_threshold = 0',
    'block_threshold = 0',
    'dh_exponent_ansi_x9_42 = no',
  ];
  const swan = await Strongswan.start(topology, place, { ...options, lines: [...(options.lines ?? []), ...tuned] });
  await swan.kill();
  const file = join(swan.folder, 'strongswan.conf');
  const conf = readFileSync(file, 'utf8')
    .replace('load = random nonce ', 'load = random nonce openssl ')
    .replace(/^(\s*(?:default|ike|chd|cfg)) = \d$/gm, '$1 = -1');
  writeFileSync(file, conf);
  await swan.launch();
  await swan.load(options);
  return swan;
}

/** Routes of the inner networks through routers that encrypt nothing. */
export async function routePlain(topology: Topology): Promise<void> {
  const routes: readonly (readonly [Place, string, string])[] = [
    ['inet', '10.1.0.0/24', '192.0.2.1'],
    ['inet', '10.2.0.0/24', '198.51.100.1'],
  ];
  for (const [place, prefix, via] of routes) {
    await must('ip', ['-n', topology.name(place), 'route', 'add', prefix, 'via', via]);
  }
}
