/**
 * Captures of a test network, and Wireshark's opinion of them.
 */
import { mkdirSync, mkdtempSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import type { Place, Topology } from './netns.ts';
import { must, offExit, onExit, type TestProcess, until } from './process.ts';

/** A running capture; its file goes with `remove`. */
export class Capture {
  readonly file: string;
  readonly #folder: string;
  #process: TestProcess | undefined;

  private constructor() {
    this.#folder = mkdtempSync(join(tmpdir(), `bh-pcap-${process.pid}-`));
    this.file = join(this.#folder, 'capture.pcap');
    onExit(this, () => rmSync(this.#folder, { recursive: true, force: true }));
  }

  /** Listening when this resolves. `filter` as in pcap-filter(7). */
  static async start(topology: Topology, place: Place, device: string, filter = ''): Promise<Capture> {
    const capture = new Capture();
    const words = [
      '-i',
      device,
      '--immediate-mode',
      '-U',
      '-n',
      // A frame of any length, and room for what comes while tcpdump has to wait for a processor: KiB.
      '-s',
      '65535',
      '-B',
      '65536',
      '-Z',
      'root',
      '-w',
      capture.file,
      ...(filter === '' ? [] : [filter]),
    ];
    capture.#process = topology.start(place, 'tcpdump', words);
    await capture.#process.line(/listening on/);
    return capture;
  }

  /** Ends the capture; gives the file, which is complete then. */
  async stop(): Promise<string> {
    if (this.#process === undefined) return this.file;
    // What is still in the kernel's ring when tcpdump ends is lost.
    let size = -1;
    await until(async () => {
      await pause(50);
      const before = size;
      size = statSync(this.file).size;
      return size === before;
    });
    await this.#process.stop('SIGINT');
    this.#process = undefined;
    return this.file;
  }

  async remove(): Promise<void> {
    await this.stop();
    rmSync(this.#folder, { recursive: true, force: true });
    offExit(this);
  }
}

export interface TsharkOptions {
  /** Rows of `ikev2_decryption_table` and `esp_sa`. */
  readonly ikeKeys?: readonly string[];
  readonly espKeys?: readonly string[];
  /** A folder that holds those two files already; wins over the rows. */
  readonly keys?: string;
  /** Display filter. */
  readonly filter?: string;
  readonly preferences?: readonly string[];
}

/** Rows of the fields asked for; a field that occurs several times is joined by commas. */
export async function tsharkFields(
  file: string,
  fields: readonly string[],
  options: TsharkOptions = {},
): Promise<readonly (readonly string[])[]> {
  const words = ['-T', 'fields', '-E', 'separator=/t', ...fields.flatMap((field) => ['-e', field])];
  const text = await tshark(file, words, options);
  return text
    .split('\n')
    .filter((line) => line !== '')
    .map((line) => line.split('\t'));
}

/** Every frame as tshark's JSON has it: `layers` by protocol. */
export async function tsharkJson(file: string, options: TsharkOptions = {}): Promise<readonly TsharkFrame[]> {
  const text = await tshark(file, ['-T', 'json', '--no-duplicate-keys'], options);
  return (JSON.parse(text || '[]') as { readonly _source: TsharkFrame }[]).map((each) => each._source);
}

export interface TsharkFrame {
  readonly layers: Readonly<Record<string, unknown>>;
}

/** tshark in a profile of its own, with decryption and checking of ESP switched on. Gives stdout. */
export async function tshark(file: string, args: readonly string[], options: TsharkOptions = {}): Promise<string> {
  const home = mkdtempSync(join(tmpdir(), `bh-tshark-${process.pid}-`));
  try {
    const profile = join(home, 'wireshark');
    mkdirSync(profile);
    writeFileSync(join(profile, 'ikev2_decryption_table'), rows(options.ikeKeys));
    writeFileSync(join(profile, 'esp_sa'), rows(options.espKeys));
    if (options.keys !== undefined) {
      await must('cp', ['-r', `${options.keys}/.`, profile]);
    }
    const preferences = [
      'esp.enable_encryption_decode:TRUE',
      'esp.enable_authentication_check:TRUE',
      ...(options.preferences ?? []),
    ];
    const words = [
      ...preferences.flatMap((each) => ['-o', each]),
      ...(options.filter === undefined ? [] : ['-Y', options.filter]),
    ];
    return await must('tshark', ['-n', '-r', file, ...words, ...args], {
      env: { XDG_CONFIG_HOME: home, HOME: home },
      milliseconds: 60_000,
    });
  } finally {
    rmSync(home, { recursive: true, force: true });
  }
}

const rows = (lines: readonly string[] | undefined): string => (lines ?? []).map((line) => `${line}\n`).join('');
