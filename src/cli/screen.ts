/**
 * A screen of text that is drawn again in place: the alternate screen of a terminal, so that what was there before comes back.
 *
 * Read first: ECMA-48 §8.3 (CUP, ED, EL, SGR); the private modes are xterm's. A frame is one write that covers the one before it
 * line by line and clears nothing first: that is why it does not flicker. Ctrl-Z gives the terminal back until `fg`.
 */
import type { Output } from './io.ts';

export class Screen {
  readonly #output: Output;
  readonly #redraw = (): void => this.#draw();
  readonly #suspend = (): void => {
    this.#output.write(LEAVE);
    process.kill(process.pid, 'SIGSTOP');
  };
  readonly #resume = (): void => {
    this.#output.write(ENTER);
    this.#draw();
  };
  #lines: readonly string[] = [];

  constructor(output: Output) {
    this.#output = output;
    output.write(ENTER);
    output.on?.('resize', this.#redraw);
    process.on('SIGTSTP', this.#suspend);
    process.on('SIGCONT', this.#resume);
  }

  show(lines: readonly string[]): void {
    this.#lines = lines;
    this.#draw();
  }

  /** The terminal is as before. */
  close(): void {
    this.#output.off?.('resize', this.#redraw);
    process.off('SIGTSTP', this.#suspend);
    process.off('SIGCONT', this.#resume);
    this.#output.write(LEAVE);
  }

  #draw(): void {
    const { columns = 80, rows = 24 } = this.#output;
    const shown = fitted(this.#lines, columns, rows);
    this.#output.write(`${HOME}${shown.map((line) => `${line}${CLEAR_LINE}`).join('\r\n')}${CLEAR_BELOW}`);
  }
}

/** As many lines and columns as a terminal has; the last line says how many more there are. */
export function fitted(lines: readonly string[], columns: number, rows: number): string[] {
  const all = lines.map((line) => clip(line, columns));
  if (all.length <= rows) return all;
  const kept = all.slice(0, Math.max(0, rows - 1));
  return [...kept, clip(`… ${all.length - kept.length} more lines`, columns)];
}

/** The first `width` characters that can be seen; styles cost no room and end with the line. */
export function clip(line: string, width: number): string {
  let [seen, shown] = [0, ''];
  for (const [part] of line.matchAll(STYLE_OR_CHARACTER)) {
    if (part.startsWith('\u001b')) shown += part;
    else if (seen < width) [seen, shown] = [seen + 1, shown + part];
    else return shown.includes('\u001b') ? `${shown}${PLAIN}` : shown;
  }
  return shown;
}

// biome-ignore lint/suspicious/noControlCharactersInRegex: SGR begins with one
const STYLE_OR_CHARACTER = /\u001b\[[0-9;]*m|./gsu;

/** Alternate screen, cursor hidden, lines that are too long do not wrap. */
const ENTER = '\u001b[?1049h\u001b[?25l\u001b[?7l';
const LEAVE = '\u001b[?7h\u001b[?25h\u001b[?1049l';
const HOME = '\u001b[H';
const CLEAR_LINE = '\u001b[K';
const CLEAR_BELOW = '\u001b[J';
const PLAIN = '\u001b[0m';
