/**
 * The log of a peer that does the same again and again: what happens often is said seldom, and how often.
 *
 * Of each peer and each kind of event the first TOLD of a window are said as they are; then every time that they are twice as many as when one
 * was last said, and what is left when the window ends, so that the last line says how things stand.
 * Invariant: what one peer does takes no line from another.
 */
import { type Deadline, earliest, type Millis } from '../../core/index.ts';

export interface PacedEvent {
  readonly peer: string;
  readonly event: string;
  readonly why: string;
  /** `the 12th time in 60 s`, where those before were not all said. */
  readonly often?: string;
}

interface Window {
  readonly since: Millis;
  count: number;
  /** `count` when one was said last. */
  said: number;
  last: PacedEvent;
}

export class LogPace {
  /** By peer, then by event. */
  readonly #windows = new Map<string, Map<string, Window>>();

  /** The event as it is to be said; undefined: not now. */
  say(event: PacedEvent, now: Millis): PacedEvent | undefined {
    const windows = this.#windowsOf(event.peer);
    const open = windows.get(event.event);
    if (open === undefined || now >= endOf(open)) {
      // Its end was not noticed: what is left of it is said now, with this one.
      const left = open === undefined ? 0 : open.count - open.said;
      windows.set(event.event, { since: now, count: 1, said: 1, last: event });
      return left === 0 ? event : { ...event, why: `${event.why} (and ${left} times before)` };
    }
    open.count += 1;
    open.last = event;
    if (open.count > TOLD && open.count < 2 * open.said) return undefined;
    open.said = open.count;
    return open.count <= TOLD ? event : counted(open, now);
  }

  /** What windows have left that have ended. */
  takeDue(now: Millis): readonly PacedEvent[] {
    const due: PacedEvent[] = [];
    for (const windows of this.#windows.values())
      for (const [event, window] of windows) {
        if (now < endOf(window)) continue;
        windows.delete(event);
        if (window.count > window.said) due.push(counted(window, now));
      }
    return due;
  }

  /** Nothing is due where nothing is left. */
  deadline(): Deadline | undefined {
    let next: Deadline | undefined;
    for (const windows of this.#windows.values())
      for (const window of windows.values())
        if (window.count > window.said)
          next = earliest(next, { at: endOf(window), why: 'a line of the log that was held back' });
    return next;
  }

  forget(peer: string): void {
    this.#windows.delete(peer);
  }

  #windowsOf(peer: string): Map<string, Window> {
    const known = this.#windows.get(peer);
    if (known !== undefined) return known;
    const made = new Map<string, Window>();
    this.#windows.set(peer, made);
    return made;
  }
}

/** The one sum that all compare with: `now - since` may be less than WINDOW by a rounding when this is over. */
const endOf = ({ since }: Window): Millis => since + WINDOW;

function counted({ since, count, last }: Window, now: Millis): PacedEvent {
  const seconds = Math.max(1, Math.round((now - since) / 1000));
  return { ...last, often: `the ${ordinal(count)} time in ${seconds} s` };
}

function ordinal(number: number): string {
  const isTeen = Math.floor(number / 10) % 10 === 1;
  return `${number}${(isTeen ? undefined : ['th', 'st', 'nd', 'rd'][number % 10]) ?? 'th'}`;
}

const WINDOW: Millis = 60_000;
const TOLD = 3;
