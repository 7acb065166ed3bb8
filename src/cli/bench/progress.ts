/** What is being done, on standard error: one line that is drawn again on a terminal, a line a step elsewhere. */
import type { Io } from '../io.ts';
import { clip } from '../screen.ts';

export class Progress {
  readonly #io: Io;
  readonly #redraws: boolean;

  constructor(io: Io) {
    this.#io = io;
    this.#redraws = io.stderr.isTTY === true && io.env.TERM !== 'dumb';
  }

  readonly step = (words: string): void => {
    const { stderr } = this.#io;
    if (!this.#redraws) stderr.write(`${words}\n`);
    // One column stays free: a terminal that is filled to its edge begins another line.
    else stderr.write(`\r${clip(words, (stderr.columns ?? 80) - 1)}${CLEAR_LINE}`);
  };

  /** The line is gone. */
  end(): void {
    if (this.#redraws) this.#io.stderr.write(`\r${CLEAR_LINE}`);
  }
}

const CLEAR_LINE = '\u001b[K';
