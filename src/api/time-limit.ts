/**
 * An end after some time, or when another signal says so.
 *
 * Not `AbortSignal.any` with `AbortSignal.timeout`: Node 20 lets garbage collection take that timer away, and nothing ends.
 */
export class TimeLimit {
  readonly #controller = new AbortController();
  readonly #outer: AbortSignal;
  readonly #timer: ReturnType<typeof setTimeout> | undefined;
  readonly #abort = (): void => this.#controller.abort(this.#outer.reason);

  /** Undefined: only the other signal. */
  constructor(outer: AbortSignal, milliseconds: number | undefined) {
    this.#outer = outer;
    if (outer.aborted) this.#abort();
    else outer.addEventListener('abort', this.#abort, { once: true });
    if (milliseconds === undefined) return;
    const late = (): void => this.#controller.abort(new DOMException('the time is over', 'TimeoutError'));
    this.#timer = setTimeout(late, milliseconds);
  }

  get signal(): AbortSignal {
    return this.#controller.signal;
  }

  /** What it was for is over. */
  end(): void {
    clearTimeout(this.#timer);
    this.#outer.removeEventListener('abort', this.#abort);
  }
}
