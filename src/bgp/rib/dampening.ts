/**
 * Routes that change too often are not used for a while: RFC 2439.
 *
 * Read first: RFC 2439 §4.2, §4.8. A route has a figure that grows with each withdrawal and each change of its attributes and halves in a
 * half-life, another one while it is withdrawn (§4.2). Above `suppress` it is not used, until it is below `reuse`. The figure never
 * exceeds what is below `reuse` again `mostMillis` after the route was last announced (§4.2), so that much is the longest wait.
 * For routes of external peers only: those of our own AS are damped where they come from. The end of a session counts against nobody and
 * forgets what its routes did: sessions that come and go have a back-off of their own.
 * Limits: LIMIT routes of a family have a figure; those that begin to flap beyond that are not damped, and counted. Figures are
 * forgotten below half of `reuse` (§4.2). Ends of waits that lie within a second are met at once.
 */
import type { Millis } from '../../core/index.ts';

export interface DampeningOptions {
  readonly halfLifeMillis: Millis;
  /** While the route is withdrawn. */
  readonly unreachableHalfLifeMillis: Millis;
  readonly suppress: number;
  readonly reuse: number;
  readonly mostMillis: Millis;
}

/** What others do by default. */
export const DAMPENING: DampeningOptions = {
  halfLifeMillis: 900_000,
  unreachableHalfLifeMillis: 900_000,
  suppress: 2000,
  reuse: 750,
  mostMillis: 3_600_000,
};

/** What a withdrawal and a change of attributes add. */
export const WITHDRAWAL = 1000;
export const CHANGE = 500;
export const LIMIT = 65_536;

/** `back`: it was withdrawn, or never there. */
export type News = 'back' | 'changed' | 'same';

export interface Damped {
  readonly peer: number;
  readonly id: number;
  readonly words: Uint32Array;
  readonly length: number;
}

interface Entry extends Damped {
  /** At `at`. */
  figure: number;
  at: Millis;
  reachable: boolean;
  suppressed: boolean;
}

export class Dampening {
  #options: DampeningOptions;
  #ceiling: number;
  readonly #entries = new Map<string, Entry>();
  /** When the first entry may have something to say; never later than that. */
  #next = Number.POSITIVE_INFINITY;
  /** Routes that began to flap when there was no room. */
  overlooked = 0;

  constructor(options: DampeningOptions = DAMPENING) {
    this.#options = options;
    this.#ceiling = ceilingOf(options);
  }

  /** Routes that have a figure. */
  get count(): number {
    return this.#entries.size;
  }

  /** When `reuse` is to be asked. */
  get next(): Millis | undefined {
    return this.#entries.size === 0 ? undefined : this.#next;
  }

  /** The peer announces the route; true: it is not to be used. */
  heard(peer: number, id: number, words: Uint32Array, length: number, news: News, now: Millis): boolean {
    if (this.#entries.size === 0 && news !== 'changed') return false;
    const key = keyOf(peer, id, words, length);
    const known = this.#entries.get(key);
    const entry = known ?? (news === 'changed' ? this.#begin(key, peer, id, words, length, now) : undefined);
    if (entry === undefined) return false;
    this.#decay(entry, now);
    entry.reachable = true;
    if (news === 'changed') this.#charge(entry, CHANGE);
    this.#schedule(entry);
    return entry.suppressed;
  }

  /** The peer withdraws the route, which it had announced. */
  withdrawn(peer: number, id: number, words: Uint32Array, length: number, now: Millis): void {
    const key = keyOf(peer, id, words, length);
    const entry = this.#entries.get(key) ?? this.#begin(key, peer, id, words, length, now);
    if (entry === undefined) return;
    this.#decay(entry, now);
    entry.reachable = false;
    this.#charge(entry, WITHDRAWAL);
    this.#schedule(entry);
  }

  /** Routes that may be used again, as far as they are announced. */
  reuse(now: Millis): readonly Damped[] {
    if (this.#next > now) return [];
    const free: Entry[] = [];
    this.#next = Number.POSITIVE_INFINITY;
    for (const [key, entry] of this.#entries) {
      const was = entry.suppressed;
      this.#decay(entry, now);
      if (was && !entry.suppressed && entry.reachable) free.push(entry);
      if (entry.figure < this.#options.reuse / 2) this.#entries.delete(key);
      else this.#schedule(entry);
    }
    this.#next = Math.max(this.#next, now + ROUND);
    return free;
  }

  /** For people: the figure now, and in how long the route is used again. */
  figure(
    peer: number,
    id: number,
    words: Uint32Array,
    length: number,
    now: Millis,
  ): { readonly figure: number; readonly reuseMillis: Millis | undefined } | undefined {
    const entry = this.#entries.get(keyOf(peer, id, words, length));
    if (entry === undefined) return undefined;
    const reuseMillis = entry.suppressed ? Math.max(0, this.#until(entry, this.#options.reuse) - now) : undefined;
    return { figure: this.#figureAt(entry, now), reuseMillis };
  }

  /**
   * Figures stay, and go on by other rules; a route that is not used waits for the new `reuse`, one that is used for its next change. The answer is
   * those that may be used again.
   */
  configure(options: DampeningOptions, now: Millis): readonly Damped[] {
    const ceiling = ceilingOf(options);
    for (const entry of this.#entries.values()) {
      entry.figure = Math.min(this.#figureAt(entry, now), ceiling);
      entry.at = now;
    }
    this.#options = options;
    this.#ceiling = ceiling;
    this.#next = now;
    return this.reuse(now);
  }

  /** Those that were not used, as far as they are announced: nothing damps them any more. */
  end(): readonly Damped[] {
    return [...this.#entries.values()].filter(({ suppressed, reachable }) => suppressed && reachable);
  }

  forget(peer: number): void {
    for (const [key, entry] of this.#entries) if (entry.peer === peer) this.#entries.delete(key);
  }

  #begin(key: string, peer: number, id: number, words: Uint32Array, length: number, now: Millis): Entry | undefined {
    if (this.#entries.size >= LIMIT) {
      this.overlooked++;
      return undefined;
    }
    const entry = { peer, id, words: words.slice(), length, figure: 0, at: now, reachable: true, suppressed: false };
    this.#entries.set(key, entry);
    return entry;
  }

  #decay(entry: Entry, now: Millis): void {
    entry.figure = this.#figureAt(entry, now);
    entry.at = now;
    if (entry.figure < this.#options.reuse) entry.suppressed = false;
  }

  #figureAt(entry: Entry, now: Millis): number {
    return entry.figure * 2 ** ((entry.at - now) / this.#halfLife(entry));
  }

  #charge(entry: Entry, penalty: number): void {
    entry.figure = Math.min(this.#ceiling, entry.figure + penalty);
    if (entry.figure > this.#options.suppress) entry.suppressed = true;
  }

  #schedule(entry: Entry): void {
    const { reuse } = this.#options;
    this.#next = Math.min(this.#next, this.#until(entry, entry.suppressed ? reuse : reuse / 2));
  }

  /** When the figure is below `threshold`. */
  #until(entry: Entry, threshold: number): Millis {
    const halves = Math.log2(entry.figure / threshold);
    return entry.at + Math.max(0, Math.floor(halves * this.#halfLife(entry)) + 1);
  }

  #halfLife(entry: Entry): Millis {
    const { halfLifeMillis, unreachableHalfLifeMillis } = this.#options;
    return entry.reachable ? halfLifeMillis : unreachableHalfLifeMillis;
  }
}

/** The largest figure. One that is not above `suppress` never suppresses anything. */
export const ceilingOf = ({
  reuse,
  mostMillis,
  halfLifeMillis,
}: Pick<DampeningOptions, 'reuse' | 'mostMillis' | 'halfLifeMillis'>): number =>
  reuse * 2 ** (mostMillis / halfLifeMillis);

const keyOf = (peer: number, id: number, words: Uint32Array, length: number): string =>
  `${peer} ${id} ${length} ${words.join()}`;

const ROUND: Millis = 1000;
