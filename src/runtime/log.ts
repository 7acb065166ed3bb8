/**
 * The log: one line an event, words on a terminal, JSON elsewhere. Fed by reports of the gateway and by the runtime itself.
 *
 * Leaves to others: what is worth reporting. Invariant: secrets cannot appear, because `Secret` has no printable form.
 */
import { writeSync } from 'node:fs';
import { pino } from 'pino';
import type { Report } from '../ike/index.ts';

export type LogLevel = 'debug' | 'info' | 'warn' | 'error';
/** `auto`: words on a terminal, JSON otherwise. */
export type LogFormat = 'auto' | 'words' | 'json';

export interface LogOptions {
  readonly level?: LogLevel;
  readonly format?: LogFormat;
  /** Takes whole lines with their newline. Default: file descriptor 2. */
  readonly write?: (line: string) => void;
  /** Decides `auto`. Default: whether file descriptor 2 is a terminal. */
  readonly terminal?: boolean;
}

export interface Log {
  /** One line of a connection's story. */
  report(report: Report): void;
  debug(text: string, fields?: LogFields): void;
  info(text: string, fields?: LogFields): void;
  warn(text: string, fields?: LogFields): void;
  error(text: string, fields?: LogFields): void;
}

export type LogFields = Readonly<Record<string, unknown>>;

export function createLog(options: LogOptions = {}): Log {
  const terminal = options.terminal ?? process.stderr.isTTY === true;
  const format = options.format ?? 'auto';
  const write = options.write ?? ((line: string) => writeAll(line));
  const words = format === 'words' || (format === 'auto' && terminal);
  const logger = pino(
    {
      level: options.level ?? 'info',
      base: null,
      timestamp: pino.stdTimeFunctions.isoTime,
      formatters: { level: (level) => ({ level }) },
      messageKey: 'text',
    },
    { write: words ? (line: string) => write(inWords(line, terminal)) : write },
  );
  return {
    report: ({ level, connection, what, text, failure }) => logger[level]({ connection, what, failure }, text),
    debug: (text, fields = {}) => logger.debug(fields, text),
    info: (text, fields = {}) => logger.info(fields, text),
    warn: (text, fields = {}) => logger.warn(fields, text),
    error: (text, fields = {}) => logger.error(fields, text),
  };
}

/** `12:01:07 warn  fabrikam/hq  no proposal in common. Advice…`, with the lines of a comparison below. */
function inWords(line: string, colour: boolean): string {
  const { level, time, text, connection, what: _what, failure, ...fields } = JSON.parse(line) as LogLine;
  const paint = (code: string, words: string): string => (colour ? `\u001b[${code}m${words}\u001b[0m` : words);
  const head = [paint('2', time.slice(11, 19)), paint(COLOUR[level] ?? '0', level.padEnd(5))];
  if (connection !== undefined) head.push(paint('1', connection));
  const more = Object.entries(fields).map(([name, value]) => paint('2', `${name}=${plain(value)}`));
  const advice = failure === undefined ? [] : [`  → ${failure.advice}`, ...failure.lines.map((each) => `    ${each}`)];
  return `${[[...head, text, ...more].join(' '), ...advice].join('\n')}\n`;
}

const plain = (value: unknown): string => (typeof value === 'string' ? value : JSON.stringify(value));

/** A log line must not be lost because a pipe is slow: a full pipe is waited for, a closed one is given up. */
function writeAll(line: string): void {
  const octets = new TextEncoder().encode(line);
  for (let at = 0, tries = 0; at < octets.length && tries < MAX_TRIES; ) {
    try {
      at += writeSync(2, octets, at);
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'EAGAIN') return;
      tries += 1;
      Atomics.wait(NEVER, 0, 0, 5);
    }
  }
}

interface LogLine {
  readonly level: string;
  readonly time: string;
  readonly text: string;
  readonly connection?: string;
  readonly what?: string;
  readonly failure?: { readonly advice: string; readonly lines: readonly string[] };
  readonly [field: string]: unknown;
}

const COLOUR: Readonly<Record<string, string>> = { debug: '2', info: '32', warn: '33', error: '31' };
const MAX_TRIES = 20;
const NEVER = new Int32Array(new SharedArrayBuffer(4));
