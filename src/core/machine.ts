/** The one contract for everything that has state. Time is an argument; effects are returned as plain data. */

/** Milliseconds of a monotonic clock whose zero means nothing. */
export type Millis = number;

export interface Deadline {
  readonly at: Millis;
  /** For people: what will happen then. */
  readonly why: string;
}

export interface Machine<E, A> {
  /** Total and deterministic: same state, event and time, same answer. Never throws for what a peer can cause. */
  handle(event: E, now: Millis): readonly A[];
  /** When a `tick` is next due, and why; undefined when only an event can change anything. */
  deadline(): Deadline | undefined;
}

/** The earlier of two deadlines, either of which may be absent. */
export function earliest(a: Deadline | undefined, b: Deadline | undefined): Deadline | undefined {
  if (a === undefined) return b;
  if (b === undefined) return a;
  return b.at < a.at ? b : a;
}
