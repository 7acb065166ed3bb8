/**
 * Virtual time: a clock that jumps to whatever is due next, a queue of deliveries, and machines with deadlines of their own.
 *
 * Two ways to drive it: `runUntil` and `runToIdle` jump, as fast as the work allows; `advanceTo` follows a clock outside
 * (paced mode). Invariants: time never goes back; at one moment deliveries come in the order they were asked for, and before
 * deadlines; the same calls give the same run.
 */
import { type Deadline, invariant, type Millis, type Timed } from '../core/index.ts';

interface Delivery {
  readonly at: Millis;
  readonly act: () => void;
}

export class Timeline {
  #now: Millis;
  /** By time, then in the order of arrival. */
  readonly #queue: Delivery[] = [];
  readonly #participants = new Set<Timed>();
  #standing = 0;

  constructor(now: Millis = 0) {
    this.#now = now;
  }

  get now(): Millis {
    return this.#now;
  }

  /** Deliveries under way. */
  get pending(): number {
    return this.#queue.length;
  }

  /** Does `act` after `delay`; 0: as soon as what happens now is over. */
  after(delay: Millis, act: () => void): void {
    const at = this.#now + delay;
    let [low, high] = [0, this.#queue.length];
    while (low < high) {
      const middle = (low + high) >>> 1;
      if (this.#queue[middle]!.at <= at) low = middle + 1;
      else high = middle;
    }
    this.#queue.splice(low, 0, { at, act });
  }

  /** Ticks `item` whenever its deadline has come. */
  join(item: Timed): void {
    this.#participants.add(item);
  }

  leave(item: Timed): void {
    this.#participants.delete(item);
  }

  /** When something is next due, and what. */
  deadline(): Deadline | undefined {
    return this.#next()?.deadline;
  }

  /** Everything due by `to`, in order; then it is `to`. */
  advanceTo(to: Millis): void {
    while (this.#step(to)) {}
    this.#now = Math.max(this.#now, to);
  }

  /** Jumps from one thing due to the next until `done`; false when that did not come true within `limit`. */
  runUntil(done: () => boolean, limit: Millis): boolean {
    const end = this.#now + limit;
    while (!done()) {
      if (this.#step(end)) continue;
      this.#now = end;
      return done();
    }
    return true;
  }

  /** Jumps until nothing is under way any more; deadlines later than that are left alone. */
  runToIdle(limit: Millis): boolean {
    return this.runUntil(() => this.#queue.length === 0, limit);
  }

  #next(): { readonly deadline: Deadline; readonly act: () => void } | undefined {
    const first = this.#queue[0];
    let at = first?.at ?? Number.POSITIVE_INFINITY;
    let why = 'a delivery';
    let due: Timed | undefined;
    for (const item of this.#participants) {
      const deadline = item.deadline();
      if (deadline === undefined || deadline.at >= at) continue;
      at = deadline.at;
      why = deadline.why;
      due = item;
    }
    if (due !== undefined) return { deadline: { at, why }, act: () => due.tick(this.#now) };
    if (first === undefined) return undefined;
    return {
      deadline: { at, why },
      act: () => {
        this.#queue.shift();
        first.act();
      },
    };
  }

  #step(end: Millis): boolean {
    const next = this.#next();
    if (next === undefined || next.deadline.at > end) return false;
    this.#standing = next.deadline.at > this.#now ? 0 : this.#standing + 1;
    invariant(this.#standing < STANDSTILL, `time stands still: ${next.deadline.why}`);
    this.#now = Math.max(this.#now, next.deadline.at);
    next.act();
    return true;
  }
}

/** More steps at one moment than any honest work takes: a deadline that its tick does not move. */
const STANDSTILL = 100_000;
