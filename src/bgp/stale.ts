/**
 * How long the stale routes of a family wait, and what comes then.
 *
 * Read first: RFC 4724 §4.2; RFC 7313 §4; RFC 9494 §4.2. A long-lived time that has begun runs on whatever the session does, until the
 * peer has said End-of-RIB: neither a new session nor its loss begins it again.
 * Invariant: every time is finite.
 */
import type { Millis } from '../core/index.ts';
import type { SessionAction } from './contract.ts';

/** How long stale routes wait for End-of-RIB or End-of-RR, once the peer speaks again (RFC 4724 §4.2, RFC 7313 §4). */
export const STALE_MILLIS: Millis = 360_000;

export interface Stale {
  /** Of a restart: End-of-RIB ends it; of a refresh: End-of-RR. */
  readonly since: 'down' | 'refresh';
  readonly until: Millis;
  /** What comes then. */
  readonly next: 'sweep' | 'long-lived';
  readonly longLivedMillis: number;
  /** The end of the long-lived time, where that has begun. */
  readonly longLivedUntil: Millis | undefined;
}

/** A family that outlives its session, and for how long. */
export type Retained = Extract<SessionAction, { do: 'down' }>['retain'][number];

/**
 * Whether what was stale before this loss stays: RFC 4724 §4.2 has it go when the peer restarts once more, RFC 9494 §4.2 not before the end
 * of the long-lived time.
 */
export const outlivesLoss = ({ since, longLivedUntil }: Stale, retained: Retained | undefined): boolean =>
  since !== 'down' || (retained !== undefined && (retained.longLivedMillis > 0 || longLivedUntil !== undefined));

/** The session is gone. `old`: what there was of one before, whose End-of-RIB has not come. */
export function lost({ millis, longLivedMillis }: Retained, old: Stale | undefined, now: Millis): Stale {
  const longLivedUntil = old?.longLivedUntil;
  const until = Math.min(now + millis, longLivedUntil ?? Number.POSITIVE_INFINITY);
  const lives = longLivedUntil === undefined ? longLivedMillis > 0 : until < longLivedUntil;
  return { since: 'down', until, next: lives ? 'long-lived' : 'sweep', longLivedMillis, longLivedUntil };
}

/** The Restart Time is over, and the peer is not back. */
export function longLived({ longLivedUntil, longLivedMillis }: Stale, now: Millis): Stale {
  const until = longLivedUntil ?? now + longLivedMillis;
  return { since: 'down', until, next: 'sweep', longLivedMillis, longLivedUntil: until };
}

/** The peer speaks: from now on it has to say again what stays. */
export function spoken(since: Stale['since'], old: Stale | undefined, now: Millis): Stale {
  const longLivedUntil = old?.longLivedUntil;
  const until = Math.min(now + STALE_MILLIS, longLivedUntil ?? Number.POSITIVE_INFINITY);
  return { since, until, next: 'sweep', longLivedMillis: 0, longLivedUntil };
}

/** For people: what should have come. `back`: the peer did. */
export function missed(back: boolean, since: Stale['since']): string {
  if (!back) return 'the peer did not come back';
  return since === 'refresh' ? 'no End-of-RR' : 'no End-of-RIB';
}
