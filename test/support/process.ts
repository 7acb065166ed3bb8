/**
 * Processes of tests: started with their output kept, stopped by their own id, and never left behind.
 *
 * Invariant: every process started here is stopped when the test process ends, however it ends short of SIGKILL.
 */
import { type ChildProcess, spawn, spawnSync } from 'node:child_process';

/** Resolves when `condition` holds; rejects with `what` after `milliseconds`. */
export async function until(
  condition: () => unknown,
  milliseconds = 10_000,
  what: string | (() => string) = 'the condition did not come true',
): Promise<void> {
  const end = performance.now() + milliseconds;
  while (!(await condition())) {
    if (performance.now() > end) {
      throw new Error(`${typeof what === 'string' ? what : what()} (within ${milliseconds} ms)`);
    }
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
}

export interface ProcessOptions {
  /** Starts it in this network namespace. */
  readonly netns?: string | undefined;
  readonly env?: Readonly<Record<string, string>>;
  readonly cwd?: string;
}

/** What a command that has ended left. */
export interface Finished {
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
}

export class TestProcess {
  readonly name: string;
  readonly child: ChildProcess;
  #out = '';
  #err = '';
  #exit: number | undefined;
  readonly #ended: Promise<number>;

  constructor(command: string, args: readonly string[], options: ProcessOptions = {}) {
    const [file, ...rest] = inside(options.netns, command, args);
    this.name = command;
    this.child = spawn(file!, rest, {
      stdio: ['ignore', 'pipe', 'pipe'],
      env: { ...process.env, ...options.env },
      ...(options.cwd === undefined ? {} : { cwd: options.cwd }),
    });
    this.child.stdout!.setEncoding('utf8').on('data', (text: string) => {
      this.#out += text;
    });
    this.child.stderr!.setEncoding('utf8').on('data', (text: string) => {
      this.#err += text;
    });
    this.#ended = new Promise((resolve) => {
      this.child.on('error', (error) => {
        this.#err += String(error);
        this.#finish(127, resolve);
      });
      this.child.on('close', (code, signal) => this.#finish(code ?? (signal === null ? 1 : 128), resolve));
    });
    onExit(this, () => this.child.kill('SIGKILL'));
  }

  get pid(): number {
    return this.child.pid!;
  }

  get stdout(): string {
    return this.#out;
  }

  get stderr(): string {
    return this.#err;
  }

  /** Both streams, for error messages. */
  get output(): string {
    return `${this.#out}${this.#err}`;
  }

  get running(): boolean {
    return this.#exit === undefined;
  }

  /** Exit code; 128 when a signal ended it. */
  get exitCode(): number | undefined {
    return this.#exit;
  }

  /** Waits for a line in either stream. Rejects when the process ends without it. */
  async line(pattern: RegExp, milliseconds = 10_000): Promise<RegExpMatchArray> {
    const match = () => this.output.match(pattern);
    const tell = () => `${this.name} never wrote ${pattern}; it wrote:\n${this.output.slice(-4000)}`;
    await until(() => match() !== null || !this.running, milliseconds, tell);
    const found = match();
    if (found === null) throw new Error(`${this.name} ended with ${this.#exit}: ${tell()}`);
    return found;
  }

  /** Waits for the end of its own accord. */
  async end(milliseconds = 30_000): Promise<number> {
    await until(
      () => !this.running,
      milliseconds,
      () => `${this.name} did not end; it wrote:\n${this.output.slice(-4000)}`,
    );
    return this.#ended;
  }

  /** Asks it to end, forces it after `milliseconds`, and resolves with the exit code. */
  async stop(signal: NodeJS.Signals = 'SIGTERM', milliseconds = 5_000): Promise<number> {
    if (this.running) this.child.kill(signal);
    const forced = setTimeout(() => this.child.kill('SIGKILL'), milliseconds);
    const code = await this.#ended;
    clearTimeout(forced);
    return code;
  }

  signal(signal: NodeJS.Signals): void {
    this.child.kill(signal);
  }

  #finish(code: number, resolve: (code: number) => void): void {
    if (this.#exit !== undefined) return;
    this.#exit = code;
    offExit(this);
    resolve(code);
  }
}

export const start = (command: string, args: readonly string[], options: ProcessOptions = {}): TestProcess =>
  new TestProcess(command, args, options);

/** Runs to the end without blocking this process; never rejects for an exit code. */
export async function run(
  command: string,
  args: readonly string[],
  options: ProcessOptions & { readonly milliseconds?: number } = {},
): Promise<Finished> {
  const process = start(command, args, options);
  try {
    const code = await process.end(options.milliseconds ?? 30_000);
    return { code, stdout: process.stdout, stderr: process.stderr };
  } catch (error) {
    await process.stop('SIGKILL');
    throw error;
  }
}

/** As `run`, but an exit code other than 0 is an error with the output in it. Gives stdout. */
export async function must(
  command: string,
  args: readonly string[],
  options: ProcessOptions & { readonly milliseconds?: number } = {},
): Promise<string> {
  const { code, stdout, stderr } = await run(command, args, options);
  if (code !== 0) throw new Error(`${command} ${args.join(' ')}: exit code ${code}\n${stderr}${stdout}`);
  return stdout;
}

/** Synchronous and blocking: for setting up and tearing down. Throws unless `lax`. */
export function sh(command: string, args: readonly string[], lax = false): string {
  const { status, stdout, stderr, error } = spawnSync(command, [...args], { encoding: 'utf8', timeout: 20_000 });
  if (status !== 0 && !lax)
    throw new Error(`${command} ${args.join(' ')}: ${error?.message ?? `exit code ${status}`}\n${stderr}`);
  return stdout ?? '';
}

/** Runs `undo` when this process exits, unless `offExit(key)` came first. Later registrations run first. */
export function onExit(key: object, undo: () => void): void {
  if (undos.size === 0 && !hooked) {
    hooked = true;
    process.on('exit', undoAll);
    for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) {
      process.once(signal, () => {
        undoAll();
        process.exit(130);
      });
    }
  }
  undos.set(key, undo);
}

export function offExit(key: object): void {
  undos.delete(key);
}

function undoAll(): void {
  for (const [key, undo] of [...undos].reverse()) {
    undos.delete(key);
    try {
      undo();
    } catch (error) {
      process.stderr.write(`cleaning up: ${error}\n`);
    }
  }
}

function inside(netns: string | undefined, command: string, args: readonly string[]): readonly string[] {
  return netns === undefined ? [command, ...args] : ['ip', 'netns', 'exec', netns, command, ...args];
}

const undos = new Map<object, () => void>();
let hooked = false;
