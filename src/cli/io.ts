/** What a command talks to, how it ends, and how it says what is wrong. */
import { errorEnvelope } from '../api/envelope.ts';

export interface Output {
  write(text: string): unknown;
  readonly isTTY?: boolean | undefined;
  /** Of a terminal, which says when they change. */
  readonly columns?: number | undefined;
  readonly rows?: number | undefined;
  on?(event: 'resize', changed: () => void): unknown;
  off?(event: 'resize', changed: () => void): unknown;
}

/** The world of one command: tests give their own. */
export interface Io {
  readonly stdout: Output;
  readonly stderr: Output;
  readonly env: Readonly<Record<string, string | undefined>>;
  /** Ends what would go on: Ctrl-C, SIGTERM, SIGHUP. */
  readonly signal: AbortSignal;
  /** Answers instead of the control socket. */
  readonly fetch?: (request: Request) => Response | Promise<Response>;
}

export const EXIT = {
  ok: 0,
  error: 1,
  usage: 2,
  degraded: 3,
  unreachable: 4,
  invalid: 5,
  permission: 6,
  timeout: 124,
} as const;

export type Exit = (typeof EXIT)[keyof typeof EXIT];

/** Ends a command: what is wrong and what to do next. */
export class CliError extends Error {
  override readonly name = 'CliError';
  readonly exit: Exit;
  /** For programs: `unreachable`, `not-found` … */
  readonly code: string;
  readonly advice: string;

  constructor(exit: Exit, code: string, problem: string, advice: string) {
    super(problem);
    this.exit = exit;
    this.code = code;
    this.advice = advice;
  }
}

/** One command line after parsing. */
export interface Call {
  readonly io: Io;
  readonly args: readonly string[];
  readonly options: Readonly<Record<string, unknown>>;
}

export const wantsJson = (call: Call): boolean => call.options.json === true;

export function printJson(io: Io, value: unknown): void {
  io.stdout.write(`${JSON.stringify(value, null, io.stdout.isTTY === true ? 2 : undefined)}\n`);
}

export function printLines(output: Output, lines: readonly string[]): void {
  if (lines.length > 0) output.write(`${lines.join('\n')}\n`);
}

export function reportError(io: Io, error: CliError, json: boolean): void {
  if (json) printJson(io, errorEnvelope(error.code, error.message, error.advice));
  printLines(io.stderr, [`bulkhead: ${error.message}`, ...(error.advice === '' ? [] : [`  ${error.advice}`])]);
}
