/**
 * Families that a peer was asked for again (RFC 2918) and whose answer has not begun.
 *
 * Read first: RFC 7313 §4. Without that RFC an answer cannot be told from other UPDATEs, and nothing is awaited.
 */
import { type Deadline, earliest, type Millis } from '../core/index.ts';
import type { Negotiated } from './contract.ts';
import type { Family } from './message/index.ts';

export class Unanswered {
  /** Until when an answer may begin. */
  readonly #until = new Map<Family, Millis>();

  asked(family: Family, { enhancedRouteRefresh, holdSeconds }: Negotiated, now: Millis): void {
    if (enhancedRouteRefresh) this.#until.set(family, now + (holdSeconds * 1000 || ANSWER));
  }

  answered(family: Family): void {
    this.#until.delete(family);
  }

  /** The session is another. */
  clear(): void {
    this.#until.clear();
  }

  deadline(): Deadline | undefined {
    let next: Deadline | undefined;
    for (const at of this.#until.values()) next = earliest(next, { at, why: 'a ROUTE-REFRESH is not answered' });
    return next;
  }

  /** Each is given once. */
  takeOverdue(now: Millis): readonly Family[] {
    const overdue = [...this.#until].filter(([, until]) => until <= now).map(([family]) => family);
    for (const family of overdue) this.#until.delete(family);
    return overdue;
  }
}

/** How long a peer without a hold time may take to begin; others have that: it is what they let us wait for anything. */
const ANSWER: Millis = 90_000;
