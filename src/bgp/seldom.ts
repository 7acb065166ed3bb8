/** What a peer can make us say as often as it likes is said once a minute, of each kind or family, with how often it was not said. */
import type { Millis } from '../core/index.ts';

export class Seldom {
  readonly #said = new Map<string, { readonly at: Millis; untold: number }>();

  clear(): void {
    this.#said.clear();
  }

  /** What there is to say now; undefined: nothing. */
  words(kind: string, why: string, now: Millis): string | undefined {
    const last = this.#said.get(kind);
    if (last !== undefined && now - last.at < SELDOM) {
      last.untold += 1;
      return undefined;
    }
    this.#said.set(kind, { at: now, untold: 0 });
    return last === undefined || last.untold === 0 ? why : `${why} (and ${last.untold} times before)`;
  }
}

const SELDOM: Millis = 60_000;
