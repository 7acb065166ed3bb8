/**
 * `bulkhead decode`: a capture or one message, decrypted with Wireshark's key tables and printed.
 *
 * The work is `capture/`'s; this file reads, writes and counts. Records go to stdout as they come, words to stderr.
 * With `--json` an error is the last line of stdout, too, in the envelope all commands have.
 * Exit codes: 0 read to the end, 1 unreadable or damaged, 2 usage. A reader that goes away (`| head`) is no error.
 */
import { closeSync, existsSync, openSync, readFileSync, readSync } from 'node:fs';
import { join } from 'node:path';
import { Command, InvalidArgumentError } from 'commander';
import { errorEnvelope } from '../api/envelope.ts';
import {
  Dissector,
  ESP_TABLE_FILE,
  type FrameRecord,
  IKE_TABLE_FILE,
  KeyRing,
  readCapture,
  recordFields,
  recordTree,
  type TableIssue,
} from '../capture/index.ts';
import { type Bytes, fromHex, WireError } from '../core/index.ts';
import { addFlags, type Flag, oneOf, optionsOf } from './flags.ts';
import { EXIT } from './io.ts';

const FLAGS: readonly Flag[] = [
  {
    flags: '--hex [octets]',
    text: 'decode one message given in hexadecimal, here or on standard input',
    twin: false,
  },
  {
    flags: '--keys <directory>',
    text: `directory with ${IKE_TABLE_FILE} and ${ESP_TABLE_FILE} as Wireshark has them`,
  },
  { flags: '--json', text: 'one JSON object a frame and line' },
  { flags: '--frame <number>', text: 'only this frame', parse: (text) => wholeNumber(text) },
  { flags: '--filter <kind>', text: 'which packets: ike, esp or all (default)', parse: oneOf('ike', 'esp', 'all') },
  {
    flags: '--port <number>',
    text: 'a UDP port beside 500 and 4500 to look at; may be repeated, or several with commas',
    parse: (text, before) => [...((before as number[] | undefined) ?? []), ...text.split(',').map(wholeNumber)],
  },
];

export function decodeCommand(): Command {
  const command = new Command('decode')
    .description('Print the IKE and ESP packets of a capture, decrypted where keys are given')
    .argument('[file]', 'a pcap or pcapng file; - reads standard input')
    .addHelpText('after', EXAMPLES)
    .action(async (file: string | undefined) => {
      const options = optionsOf(command, FLAGS, process.env) as DecodeOptions;
      if ((file === undefined) === (options.hex === undefined)) {
        command.error('error: give a capture file or --hex, one of them', { exitCode: EXIT.usage });
      }
      process.exitCode = await decode(file, options);
    });
  addFlags(command, FLAGS);
  return command;
}

interface DecodeOptions {
  readonly hex?: string | true;
  readonly keys?: string;
  readonly json?: boolean;
  readonly frame?: number;
  /** All unless given. */
  readonly filter?: 'ike' | 'esp' | 'all';
  readonly port?: readonly number[];
}

/** The exit code. */
async function decode(file: string | undefined, options: DecodeOptions): Promise<number> {
  const output = new Output();
  try {
    const dissector = new Dissector({ keys: keysFrom(options.keys), ports: options.port ?? [] });
    const code =
      file === undefined
        ? await decodeMessage(options, dissector, output)
        : await decodeFile(file, options, dissector, output);
    await output.flush();
    return code;
  } catch (error) {
    if (error instanceof ReaderGone) return 0;
    if (!(error instanceof Problem)) throw error;
    await tell(error, options, output).catch(() => {});
    return error.exit;
  }
}

/** What came before stands before it. */
async function tell({ code, message }: Problem, { json }: DecodeOptions, output: Output): Promise<void> {
  if (json === true) await output.line(JSON.stringify(errorEnvelope(code, message, '')));
  await output.flush();
  say(message);
}

async function decodeMessage(options: DecodeOptions, dissector: Dissector, output: Output): Promise<number> {
  const text = options.hex === true || options.hex === '-' ? standardInputText() : options.hex!;
  const record = dissector.dissectMessage(octetsOf(text));
  await output.line(render(record, options));
  return 'error' in record.content && record.content.error !== undefined ? 1 : 0;
}

async function decodeFile(file: string, options: DecodeOptions, dissector: Dissector, output: Output): Promise<number> {
  const counts = { frames: 0, ike: 0, esp: 0, decrypted: 0, failed: 0, encrypted: 0 };
  const name = file === '-' ? 'standard input' : file;
  let damage: Problem | undefined;
  try {
    for (const frame of readCapture(chunksOf(file))) {
      const record = dissector.dissect(frame);
      count(counts, record);
      if (wanted(record, options)) await output.line(render(record, options));
      if (record.frame === options.frame) break;
    }
  } catch (error) {
    if (!(error instanceof WireError)) throw error;
    damage = new Problem(`${name}: damaged at offset ${error.at}: ${error.problem} (${error.field})`, 'damaged');
    await tell(damage, options, output);
  }
  await output.flush();
  say(summary(counts));
  if (damage !== undefined) return damage.exit;
  if (options.frame !== undefined && counts.frames < options.frame) {
    throw new Problem(`${name} has ${counts.frames} frames: there is no frame ${options.frame}`, 'not-found');
  }
  return EXIT.ok;
}

const render = (record: FrameRecord, options: DecodeOptions): string =>
  options.json === true ? JSON.stringify(recordFields(record)) : recordTree(record).join('\n');

function wanted(record: FrameRecord, options: DecodeOptions): boolean {
  if (options.frame !== undefined) return record.frame === options.frame;
  const { is } = record.content;
  const { filter = 'all' } = options;
  return filter === 'all' ? is !== 'other' : is === filter;
}

type Counts = Record<'frames' | 'ike' | 'esp' | 'decrypted' | 'failed' | 'encrypted', number>;

function count(counts: Counts, { content }: FrameRecord): void {
  counts.frames += 1;
  if (content.is !== 'ike' && content.is !== 'esp') return;
  counts[content.is] += 1;
  const integrity = content.is === 'ike' ? content.sealed?.integrity : content.integrity;
  if (integrity === 'ok') counts.decrypted += 1;
  if (integrity === 'failed') counts.failed += 1;
  if (integrity === 'unknown') counts.encrypted += 1;
}

function summary(c: Counts): string {
  const hint = c.encrypted === 0 ? '' : `, ${c.encrypted} without a key (--keys)`;
  const plural = (n: number, word: string): string => `${n} ${word}${n === 1 ? '' : 's'}`;
  const found = [plural(c.frames, 'frame'), plural(c.ike, 'IKE message'), plural(c.esp, 'ESP packet')].join(', ');
  return `${found}; ${c.decrypted} decrypted, ${c.failed} failed${hint}`;
}

/** Lines left out of a table are reported and the others used. */
function keysFrom(directory: string | undefined): KeyRing {
  const keys = new KeyRing();
  if (directory === undefined) return keys;
  const ike = join(directory, IKE_TABLE_FILE);
  const esp = join(directory, ESP_TABLE_FILE);
  if (!existsSync(ike) && !existsSync(esp)) {
    throw new Problem(`${directory} has neither ${IKE_TABLE_FILE} nor ${ESP_TABLE_FILE}`);
  }
  if (existsSync(ike)) sayIssues(ike, keys.addIkeTable(textOf(ike)));
  if (existsSync(esp)) sayIssues(esp, keys.addEspTable(textOf(esp)));
  return keys;
}

const sayIssues = (file: string, issues: readonly TableIssue[]): void => {
  for (const { line, problem } of issues) say(`${file}:${line}: ${problem}; the line is left out`);
};

function octetsOf(text: string): Bytes {
  try {
    return fromHex(text.trim().replace(/^0x/i, ''));
  } catch {
    throw new Problem(
      'the message is not hexadecimal: an even number of digits, spaces and colons allowed',
      'usage',
      EXIT.usage,
    );
  }
}

/** The file in pieces; one that is still being written ends where it ends now. */
function* chunksOf(file: string): Generator<Bytes> {
  const descriptor = attempt(file, () => (file === '-' ? openStandardInput() : openSync(file, 'r')));
  try {
    for (;;) {
      const chunk = new Uint8Array(CHUNK);
      const length = attempt(file, () => readSync(descriptor, chunk, 0, CHUNK, null));
      if (length === 0) return;
      yield chunk.subarray(0, length);
    }
  } finally {
    if (descriptor !== 0) closeSync(descriptor);
  }
}

const textOf = (file: string): string => attempt(file, () => readFileSync(file, 'utf8'));

function standardInputText(): string {
  let text = '';
  const decoder = new TextDecoder();
  for (const chunk of chunksOf('-')) {
    text += decoder.decode(chunk, { stream: true });
    if (text.length > MAX_HEX_TEXT) throw new Problem('standard input holds more than one message can');
  }
  return text;
}

/** Opened anew, because descriptor 0 may be non-blocking and then says EAGAIN. */
function openStandardInput(): number {
  try {
    return openSync('/dev/stdin', 'r');
  } catch {
    return 0;
  }
}

function attempt<T>(file: string, act: () => T): T {
  try {
    return act();
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code === undefined) throw error;
    throw new Problem(`cannot read ${file === '-' ? 'standard input' : file}: ${REASONS[code] ?? code}`);
  }
}

/** Standard output in large pieces, waiting for whoever reads it. */
class Output {
  #held = '';

  constructor() {
    // The callback of write() says so too, but an error without a listener would end the process.
    if (!process.stdout.listeners('error').includes(ignored)) process.stdout.on('error', ignored);
  }

  async line(text: string): Promise<void> {
    this.#held += `${text}\n`;
    if (this.#held.length >= CHUNK || process.stdout.isTTY) await this.flush();
  }

  async flush(): Promise<void> {
    const text = this.#held;
    this.#held = '';
    if (text === '') return;
    await new Promise<void>((resolve, reject) => {
      process.stdout.write(text, (error) => (error ? reject(new ReaderGone()) : resolve()));
    });
  }
}

const ignored = (): void => {};

/** What the user has to hear, in one sentence. */
class Problem extends Error {
  /** For programs. */
  readonly code: string;
  readonly exit: number;

  constructor(sentence: string, code = 'file', exit: number = EXIT.error) {
    super(sentence);
    this.code = code;
    this.exit = exit;
  }
}
/** Nobody reads standard output any more. */
class ReaderGone extends Error {}

const say = (sentence: string): void => {
  process.stderr.write(`${sentence}\n`);
};

function wholeNumber(text: string): number {
  const value = Number(text);
  if (!/^[1-9][0-9]*$/.test(text) || !Number.isSafeInteger(value))
    throw new InvalidArgumentError('Not a whole number above 0.');
  return value;
}

const CHUNK = 65536;
/** An IKE message has at most 65,535 octets; separators included. */
const MAX_HEX_TEXT = 262144;
const REASONS: Readonly<Record<string, string>> = {
  ENOENT: 'no such file',
  EACCES: 'permission denied',
  EISDIR: 'it is a directory',
  ENOTDIR: 'a part of its path is no directory',
};
/** An answer to IKE_SA_INIT with nothing but NO_PROPOSAL_CHOSEN (RFC 7296 §3.10.1). */
const REFUSAL = '8538f8b095e95af50000000000000000292022200000000000000024000000080000000e';
const EXAMPLES = `
Examples:
  bulkhead decode capture.pcapng
  bulkhead decode capture.pcap --keys ~/.config/wireshark --json
  tcpdump -w - udp port 500 or udp port 4500 | bulkhead decode -
  bulkhead decode --hex ${REFUSAL}`;
