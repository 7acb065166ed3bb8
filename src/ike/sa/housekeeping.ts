/**
 * What time does to an IKE SA: lifetimes, rekeys, DELETEs that the peer owes, the question whether it still lives.
 *
 * Read first: RFC 7296 §2.4, §2.8. Soft lifetimes lie 10–20 % before hard ones, at random, so that both ends seldom meet.
 */
import { type Deadline, earliest, type Millis } from '../../core/index.ts';
import { type Child, silenceChild } from './child-sa.ts';
import type { IkeSa } from './ike-sa.ts';
import { CreateChildTask, DeleteChildTask, RekeyChildTask } from './task-child.ts';
import { beginClosing, LivenessTask, RekeyIkeTask } from './task-ike.ts';

/** A half-open SA of a peer that never comes back (§2.6 speaks of such floods). */
const HALF_OPEN: Millis = 30_000;

export function saDeadline(sa: IkeSa): Deadline | undefined {
  if (sa.phase === 'closed') return undefined;
  let next = sa.deadline();
  if (sa.phase === 'auth' && !sa.initiator) {
    next = earliest(next, { at: sa.begunAt + HALF_OPEN, why: `half-open SA ${sa.label} is given up` });
  }
  if (sa.phase === 'established') {
    next = earliest(next, { at: sa.rekeyAt, why: `rekey of IKE SA ${sa.label}` });
    const dpd = dpdAt(sa);
    if (dpd !== undefined) next = earliest(next, { at: dpd, why: `liveness check of ${sa.label}` });
  }
  if (sa.phase === 'established' || sa.phase === 'rekeyed') {
    next = earliest(next, { at: sa.expireAt, why: `end of IKE SA ${sa.label}` });
    for (const child of sa.children) {
      const at = Math.min(child.rekeyAt, child.expireAt, child.owedAt);
      next = earliest(next, { at, why: `lifetime of Child SA {${child.sa.id}} of ${sa.label}` });
    }
  }
  return next?.at === Number.POSITIVE_INFINITY ? undefined : next;
}

export function tickSa(sa: IkeSa, now: Millis): void {
  sa.tick(now);
  if (sa.phase === 'auth' && !sa.initiator && now >= sa.begunAt + HALF_OPEN)
    return sa.close(now, 'IKE_AUTH never came');
  if (sa.phase !== 'established' && sa.phase !== 'rekeyed') return;
  if (now >= sa.expireAt) {
    sa.expireAt = Number.POSITIVE_INFINITY;
    if (sa.phase === 'established')
      sa.env.report('warn', sa, 'ike-expired', `IKE SA [${sa.id}] reached its lifetime without a rekey`);
    return beginClosing(sa, now);
  }
  if (sa.phase === 'established' && now >= sa.rekeyAt) rekeyIke(sa, now);
  for (const child of [...sa.children]) tickChild(sa, child, now);
  const dpd = dpdAt(sa);
  if (dpd !== undefined && now >= dpd) sa.enqueue(new LivenessTask(sa.heardAt), now);
}

/** Starts the rekey of an IKE SA; by lifetime, or because somebody asked. */
export function rekeyIke(sa: IkeSa, now: Millis): void {
  sa.rekeyAt = Number.POSITIVE_INFINITY;
  if (!sa.pending((task) => task.kind === 'ike-rekey')) sa.enqueue(new RekeyIkeTask(), now);
}

/** Starts the rekey of a Child SA; by lifetime, by traffic, or because somebody asked. */
export function rekeyChild(sa: IkeSa, child: Child, now: Millis): void {
  child.rekeyAt = Number.POSITIVE_INFINITY;
  if (child.successor !== undefined || child.deleting) return;
  if (!sa.pending((task) => task instanceof RekeyChildTask && task.old === child))
    sa.enqueue(new RekeyChildTask(child), now);
}

/** A hard limit: nothing passes on it any more, the peer is told, and another is made where it was in use. */
export function expireChild(sa: IkeSa, child: Child, now: Millis): void {
  const why = 'its hard lifetime is over';
  const replaced = child.successor !== undefined;
  child.expireAt = Number.POSITIVE_INFINITY;
  child.rekeyAt = Number.POSITIVE_INFINITY;
  silenceChild(sa, child, why);
  const level = replaced ? 'debug' : 'warn';
  sa.env.report(level, sa, 'child-expired', `Child SA {${child.sa.id}} reached its hard lifetime`);
  // §2.8: an SA that expires because its rekey was refused takes the IKE SA with it; a new one may be begun.
  if (child.refused && !replaced) return beginClosing(sa, now);
  if (!child.deleting) sa.enqueue(new DeleteChildTask(child, why), now);
  if (!replaced) sa.enqueue(new CreateChildTask(undefined), now);
}

function tickChild(sa: IkeSa, child: Child, now: Millis): void {
  if (now >= child.expireAt) return expireChild(sa, child, now);
  if (now >= child.owedAt) return sa.enqueue(new DeleteChildTask(child, 'its DELETE was owed by the peer'), now);
  if (now >= child.rekeyAt) rekeyChild(sa, child, now);
}

function dpdAt(sa: IkeSa): Millis | undefined {
  const seconds = sa.connection?.config.dpdSeconds ?? 0;
  // A request under way is a liveness check already.
  if (sa.phase !== 'established' || seconds === 0 || sa.requests.busy) return undefined;
  return sa.heardAt + seconds * 1000;
}
