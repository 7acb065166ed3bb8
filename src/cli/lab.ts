/**
 * `bulkhead lab`: runs the scenario in virtual time, prints what it showed, and stays up on a terminal or where `--api` says.
 *
 * Exit 0 when everything shown is as it should be, 1 with a line for everything that is not.
 */
import { closeSync, openSync, writeSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Command } from 'commander';
import { createApi, envelope, serveApi } from '../api/index.ts';
import { seededRandom } from '../core/index.ts';
import {
  type Hoster,
  hosterOf,
  runScenario,
  SCENARIO_NAMES,
  type ScenarioName,
  type ScenarioResult,
  type TenantName,
} from '../lab/index.ts';
import { errorWords } from '../runtime/syscalls.ts';
import { addFlags, decimal, type Flag, oneOf, optionsOf, wholeNumber } from './flags.ts';
import { CliError, EXIT, type Io, printJson, printLines, reportError } from './io.ts';
import { LabKeys, LabSession } from './lab-session.ts';
import { invitationLines, labLines } from './lab-text.ts';
import { paletteFor } from './text.ts';
import { VERSION } from './version.ts';

export interface LabFlags {
  readonly scenario?: ScenarioName;
  readonly once?: boolean;
  readonly json?: boolean;
  readonly pcap?: string;
  readonly keys?: string;
  /** Per cent. */
  readonly loss?: number;
  /** One way, milliseconds. */
  readonly delay?: number;
  readonly seed?: number;
  readonly api?: string;
  /** For tests: a tunnel that cannot come up. */
  readonly wrongSecret?: TenantName;
}

const FLAGS: readonly Flag[] = [
  {
    flags: '--scenario <name>',
    text: `${SCENARIO_NAMES.join(', ')}; default ${SCENARIO_NAMES[0]}`,
    parse: oneOf(...SCENARIO_NAMES),
  },
  { flags: '--once', text: 'end after the tables, also on a terminal' },
  { flags: '--json', text: 'print JSON and end' },
  {
    flags: '--pcap <file>',
    text: 'write all packets, of the external and the provider network and inside, to this file (.pcap: classic, else pcapng)',
  },
  { flags: '--keys <folder>', text: 'write keys for Wireshark into this folder' },
  { flags: '--loss <percent>', text: 'packets the external network loses', parse: decimal(0, 100) },
  { flags: '--delay <milliseconds>', text: 'of the external network, one way, default 5', parse: decimal(0, 1000) },
  { flags: '--seed <number>', text: 'of everything random, default 1', parse: wholeNumber(0, 0xffffffff) },
  { flags: '--api <socket>', text: 'stay up and serve the control API on this socket, unix:PATH' },
];

export function labCommand(): Command {
  const command = new Command('lab')
    .description(
      'A gateway, virtualization hosts, sites, and two tenants with the same addresses, in one process: needs no rights and no peer',
    )
    .addHelpText('after', EXAMPLES)
    .action(async () => {
      const { stdout, stderr, env } = process;
      const flags = optionsOf(command, FLAGS, env) as LabFlags;
      const interrupt = new AbortController();
      const end = (): void => interrupt.abort();
      process.once('SIGINT', end);
      process.once('SIGTERM', end);
      process.exitCode = await lab(flags, { stdout, stderr, env, signal: interrupt.signal });
      process.removeListener('SIGINT', end);
      process.removeListener('SIGTERM', end);
    });
  addFlags(command, FLAGS);
  return command;
}

/** Gives the exit code. */
export async function lab(flags: LabFlags, io: Io): Promise<number> {
  try {
    return await run(flags, io);
  } catch (error) {
    const { code, message } = error as NodeJS.ErrnoException;
    if (!(error instanceof CliError) && code === undefined) throw error;
    const told = error instanceof CliError ? error : new CliError(EXIT.error, 'system', message, '');
    reportError(io, told, flags.json === true);
    return told.exit;
  }
}

async function run(flags: LabFlags, io: Io): Promise<number> {
  const { scenario = SCENARIO_NAMES[0], loss = 0, delay = 5, seed = 1, json = false } = flags;
  const world = hosterOf(scenario, {
    random: seededRandom(seed),
    conditions: { loss: loss / 100, delay },
    version: VERSION,
    ...(flags.wrongSecret === undefined ? {} : { faults: { secret: flags.wrongSecret } }),
  });
  const { pcap } = flags;
  const file = pcap === undefined ? undefined : written(pcap, () => openSync(pcap, 'w', 0o600));
  const keys = new LabKeys(world, flags.keys);
  try {
    if (pcap !== undefined && file !== undefined) {
      const format = pcap.endsWith('.pcap') ? 'pcap' : 'pcapng';
      const write = (octets: Uint8Array): void => void written(pcap, () => writeSync(file, octets));
      world.capture({ format, epoch: Date.now(), write });
    }
    if (flags.keys !== undefined) keys.set(true);
    const result = runScenario(scenario, world);
    if (json) printJson(io, envelope('lab', [result]));
    else printLines(io.stdout, labLines(result, paletteFor(io)));
    // Where `--api` comes from the environment it is meant for the other commands: piped, the lab ends.
    const asked = flags.api !== undefined && flags.api !== io.env.BULKHEAD_API;
    const stays = !json && flags.once !== true && (io.stdout.isTTY === true || asked);
    if (stays) await stayUp(world, keys, flags.api ?? defaultSocket(io), io, result);
    if (!world.shutdown()) printLines(io.stderr, ['A gateway did not get an answer to its last DELETE.']);
    if (!json && !stays)
      printLines(io.stderr, result.problems.length === 0 ? [] : ['Not everything is as it should be.']);
    return result.problems.length === 0 ? EXIT.ok : EXIT.error;
  } finally {
    keys.close();
    if (file !== undefined) closeSync(file);
  }
}

/** Failures of the capture file in words. */
function written<T>(file: string, act: () => T): T {
  try {
    return act();
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code === undefined) throw error;
    const problem = `--pcap: ${file} cannot be written: ${errorWords(code)} (${code})`;
    throw new CliError(
      EXIT.error,
      'system',
      problem,
      'Name a file in a folder that is there and that you may write to.',
    );
  }
}

async function stayUp(world: Hoster, keys: LabKeys, listen: string, io: Io, result: ScenarioResult): Promise<void> {
  if (!listen.startsWith('unix:/'))
    throw new CliError(EXIT.usage, 'usage', `--api must be unix: and an absolute path, not ${listen}`, '');
  const session = new LabSession(world, keys);
  try {
    const server = await serveApi(createApi(session.backend).fetch, listen).catch((error: Error) => {
      throw new CliError(EXIT.error, 'api', error.message, 'Choose another socket with --api unix:PATH.');
    });
    printLines(io.stdout, invitationLines(listen, ': every second each tenant pings its site or the server', result));
    await aborted(io.signal);
    await server.close();
  } finally {
    session.stop();
  }
  const { sent, answered } = session.pings;
  printLines(io.stdout, ['', `${sent} pings meanwhile, ${answered} answered. DELETE is sent for every tunnel.`]);
}

function defaultSocket({ env }: Io): string {
  const folder = env.XDG_RUNTIME_DIR;
  if (folder?.startsWith('/') === true) return `unix:${join(folder, 'bulkhead-lab.sock')}`;
  return `unix:${join(tmpdir(), `bulkhead-lab-${process.getuid?.() ?? 0}.sock`)}`;
}

const aborted = (signal: AbortSignal): Promise<void> =>
  new Promise((resolve) => {
    if (signal.aborted) resolve();
    else signal.addEventListener('abort', () => resolve(), { once: true });
  });

const EXAMPLES = `
Examples:
  bulkhead lab
  bulkhead lab --scenario broken
  bulkhead lab --once --pcap lab.pcapng --keys ./keys
  bulkhead lab --loss 10 --delay 40`;
