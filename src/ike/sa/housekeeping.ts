/**
 * What time does to an IKE SA: lifetimes, rekeys, DELETEs that the peer owes, the question whether it still lives.
 *
 * Read first: RFC 7296 §2.4, §2.8. Soft lifetimes lie 10–20 % before hard ones, at random, so that both ends seldom meet.
 */
import { type Deadline, earliest, type Millis } from '../../core/index.ts';
import type { Child } from './child-sa.ts';
import type { IkeSa } from './ike-sa.ts';
import { CreateChildTask, DeleteChildTask, RekeyChildTask } from './task-child.ts';
import { DeleteIkeTask, LivenessTask, RekeyIkeTask } from './task-ike.ts';

/** A half-open SA of a peer that never comes back (§2.6 speaks of such floods). */
const HALF_OPEN: Millis = 30_000;

export function saDeadline(sa: IkeSa): Deadline | undefined {
  if (sa.phase === 'closed') return undefined;
  let next = sa.deadline();
  if (sa.phase === 'auth' && !sa.initiator) {
    next = earliest(next, { at: sa.heardAt + HALF_OPEN, why: `half-open SA ${sa.label} is given up` });
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
  if (sa.phase === 'auth' && !sa.initiator && now >= sa.heardAt + HALF_OPEN)
    return sa.close(now, 'IKE_AUTH never came');
  if (sa.phase !== 'established' && sa.phase !== 'rekeyed') return;
  if (now >= sa.expireAt) {
    sa.expireAt = Number.POSITIVE_INFINITY;
    if (sa.phase === 'established')
      sa.env.report('warn', sa, 'ike-expired', `IKE SA [${sa.id}] reached its lifetime without a rekey`);
    return sa.enqueue(new DeleteIkeTask(), now);
  }
  if (sa.phase === 'established' && now >= sa.rekeyAt) {
    sa.rekeyAt = Number.POSITIVE_INFINITY;
    sa.enqueue(new RekeyIkeTask(), now);
  }
  for (const child of [...sa.children]) tickChild(sa, child, now);
  const dpd = dpdAt(sa);
  if (dpd !== undefined && now >= dpd) sa.enqueue(new LivenessTask(sa.heardAt), now);
}

/** Starts the rekey of a Child SA; by lifetime, by traffic, or because somebody asked. */
export function rekeyChild(sa: IkeSa, child: Child, now: Millis): void {
  child.rekeyAt = Number.POSITIVE_INFINITY;
  if (child.successor === undefined && !child.deleting) sa.enqueue(new RekeyChildTask(child), now);
}

/** A hard limit: nothing passes on it any more, the peer is told, and another is made where it was in use. */
export function expireChild(sa: IkeSa, child: Child, now: Millis): void {
  const replaced = child.successor !== undefined;
  sa.env.emit({ do: 'remove', spiIn: child.sa.spiIn, why: 'its hard lifetime is over' });
  sa.enqueue(new DeleteChildTask(child, 'its hard lifetime is over'), now);
  sa.env.report(
    replaced ? 'debug' : 'warn',
    sa,
    'child-expired',
    `Child SA {${child.sa.id}} reached its hard lifetime`,
  );
  child.expireAt = Number.POSITIVE_INFINITY;
  child.rekeyAt = Number.POSITIVE_INFINITY;
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
