/**
 * Which routes outlive their session, and which of those survive the next OPEN.
 *
 * Read first: RFC 4724 §4.2, RFC 9494 §4.2. RFC 8538 (the N flag) extends the first to NOTIFICATIONs and the hold timer.
 * How long, and marking them stale, is the tables' business: `retain` of `down` has the times the peer gave.
 */
import type { Millis } from '../../core/index.ts';
import type { Negotiated, SessionAction } from '../contract.ts';
import type { Family, OpenMessage } from '../message/index.ts';
import { capability } from './negotiate.ts';

export type Retained = Extract<SessionAction, { do: 'down' }>['retain'];

/** How a session came to its end, as far as routes depend on it. */
export type Ending = 'lost' | 'notified' | 'hard';

/** Both have the capability, and the peer names at least one family (RFC 4724 §5), be it a long-lived one. */
export function survivesLoss(n: Negotiated): boolean {
  const theirs = capability(n.remote, 'gracefulRestart');
  if (capability(n.local, 'gracefulRestart') === undefined || theirs === undefined) return false;
  return theirs.families.length > 0 || n.families.some((family) => longLivedSeconds(n, family) > 0);
}

/**
 * RFC 8538 §2: both set the N flag, so a NOTIFICATION that is no hard reset ends the session as a loss does. What the other side then keeps is
 * for the families that this one names: a peer that only helps names none, and keeps ours.
 */
export const hasNotificationFlags = (n: Negotiated): boolean =>
  [n.local, n.remote].every((open) => capability(open, 'gracefulRestart')?.notification === true);

/** Families of the peer's last capabilities, with their times; without one for graceful restart that is zero (RFC 9494 §4.2). */
export function retained(n: Negotiated, ending: Ending): Retained {
  const survives = survivesLoss(n) && (ending === 'lost' || (ending === 'notified' && hasNotificationFlags(n)));
  const restart = capability(n.remote, 'gracefulRestart');
  if (!survives || restart === undefined) return [];
  return n.families.flatMap((family) => {
    const named = restart.families.some((f) => f.family === family);
    const millis = named ? restart.restartSeconds * 1000 : 0;
    const longLivedMillis = longLivedSeconds(n, family) * 1000;
    return named || longLivedMillis > 0 ? [{ family, millis, longLivedMillis }] : [];
  });
}

/**
 * Families whose stale routes this OPEN leaves alone: Forwarding State is set for them (RFC 4724 §4.2), after the Restart Time in the
 * capability for long-lived ones (RFC 9494 §4.2). `old`: what was retained, `elapsed` ago.
 */
export function preserved(n: Negotiated, old: Retained, elapsed: Millis): readonly Family[] {
  const restarting = capability(n.remote, 'gracefulRestart')?.families ?? [];
  return n.families.filter((family) => {
    const over = old.some((each) => each.family === family && each.millis <= elapsed);
    return (over ? longLived(n.remote) : restarting).some((f) => f.family === family && f.forwarding);
  });
}

/** RFC 9494 §4.2: both must have the capability for the family; what the peer says may be reduced here, and is so to what we say. */
function longLivedSeconds(n: Negotiated, family: Family): number {
  const [ours, theirs] = [n.local, n.remote].map((open) => longLived(open).find((f) => f.family === family));
  return Math.min(ours?.staleSeconds ?? 0, theirs?.staleSeconds ?? 0);
}

/** RFC 9494 §4.1: without the capability for graceful restart this one is ignored. */
function longLived(open: OpenMessage) {
  if (capability(open, 'gracefulRestart') === undefined) return [];
  return capability(open, 'longLivedGracefulRestart')?.families ?? [];
}
