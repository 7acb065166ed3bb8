/**
 * A process that this one started: asked and answered in lines, ended by its own id.
 *
 * It leads a process group of its own, so that Ctrl-C reaches it only through its owner, who knows in which order to tidy up.
 * Leaves to others: what the lines mean. Invariant: what it wrote to standard error is kept for the sentence about its end.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { createInterface } from 'node:readline';

export interface ChildOptions {
  readonly env?: Readonly<Record<string, string>>;
}

export class Child {
  readonly #child: ChildProcess;
  readonly #lines: string[] = [];
  readonly #ended: Promise<void>;
  #err = '';
  #problem: string | undefined;
  #wake = (): void => {};

  constructor(command: string, args: readonly string[], options: ChildOptions = {}) {
    this.#child = spawn(command, args, {
      detached: true,
      stdio: ['pipe', 'pipe', 'pipe'],
      env: { ...process.env, ...options.env },
    });
    createInterface({ input: this.#child.stdout! }).on('line', (line) => {
      this.#lines.push(line);
      this.#wake();
    });
    this.#child.stderr!.setEncoding('utf8').on('data', (text: string) => {
      this.#err = (this.#err + text).slice(-MAX_KEPT);
    });
    // It may be gone when it is asked: its end says that.
    this.#child.stdin!.on('error', () => {});
    this.#ended = new Promise((resolve) => {
      const end = (problem: string): void => {
        this.#problem ??= problem;
        this.#wake();
        resolve();
      };
      this.#child.once('error', (error) => end(error.message));
      this.#child.once('close', (code, signal) => end(signal ?? `exit code ${code}`));
    });
  }

  get pid(): number {
    return this.#child.pid!;
  }

  /** How it ended, with what it wrote to standard error; undefined: it runs. */
  get end(): string | undefined {
    if (this.#problem === undefined) return undefined;
    return [this.#problem, this.#err.trim()].filter((part) => part !== '').join(': ');
  }

  tell(line: string): void {
    this.#child.stdin!.write(`${line}\n`);
  }

  /** The next line it writes; undefined: it has ended, or the time is over, or `signal` says so. */
  async line(millis: number, signal: AbortSignal): Promise<string | undefined> {
    let over = false;
    const timer = setTimeout(() => {
      over = true;
      this.#wake();
    }, millis);
    const interrupt = (): void => this.#wake();
    signal.addEventListener('abort', interrupt);
    while (this.#lines.length === 0 && this.#problem === undefined && !signal.aborted && !over) {
      await new Promise<void>((resolve) => {
        this.#wake = resolve;
      });
    }
    signal.removeEventListener('abort', interrupt);
    clearTimeout(timer);
    return this.#lines.shift();
  }

  /** Ends its input and asks it to end; what has not after `graceMillis` is killed. */
  async stop(graceMillis: number): Promise<void> {
    if (this.#problem !== undefined) return;
    this.#child.stdin!.end();
    this.#child.kill('SIGTERM');
    const force = setTimeout(() => this.kill(), graceMillis);
    await this.#ended;
    clearTimeout(force);
  }

  kill(): void {
    if (this.#problem === undefined) this.#child.kill('SIGKILL');
  }
}

/** User and system time of a process with all its threads, in seconds; the kernel counts in hundredths (proc(5)). */
export function processorSeconds(pid: number): number {
  const fields = readFileSync(`/proc/${pid}/stat`, 'utf8')
    .replace(/^.*\) /s, '')
    .split(' ');
  return (Number(fields[11]) + Number(fields[12])) / 100;
}

/** Characters of standard error; the last ones say why. */
const MAX_KEPT = 4000;
