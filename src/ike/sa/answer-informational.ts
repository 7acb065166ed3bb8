/**
 * INFORMATIONAL as responder: deletions, notifications, and nothing at all (a liveness check).
 *
 * Read first: RFC 7296 §1.4, §1.4.1, §2.21.2, §2.25.
 */
import type { Millis } from '../../core/index.ts';
import type { Failure } from '../contract.ts';
import { NOTIFY, PAYLOAD, PROTOCOL } from '../iana.ts';
import { allPayloads, findNotify, type Payload } from '../payload.ts';
import { breaks, INFORMATIONAL_RULES } from '../rules.ts';
import type { Answer } from './answer.ts';
import { childByOutbound, deleteChild, deletePayload, spiNumber } from './child-sa.ts';
import { authenticationFailed, syntaxError } from './failure.ts';
import type { IkeSa } from './ike-sa.ts';
import { DeleteChildTask, isMaking } from './task-child.ts';

/** Undefined: malformed, INVALID_SYNTAX is owed. */
export function answerInformational(sa: IkeSa, payloads: readonly Payload[], now: Millis): Answer | undefined {
  if (breaks(INFORMATIONAL_RULES, payloads) !== undefined) return undefined;
  const failure = fatal(payloads);
  if (failure !== undefined) {
    const after = (at: Millis): void => {
      sa.close(at, failure.problem);
      sa.env.fail(sa.connection, failure, at);
    };
    return { payloads: [], after };
  }
  const deletions = allPayloads(payloads, PAYLOAD.DELETE);
  if (deletions.some((d) => d.protocol === PROTOCOL.IKE)) {
    const why = sa.successor === undefined && sa.phase !== 'rekeyed' ? 'deleted by the peer' : 'rekeyed';
    return { payloads: [], after: (at) => sa.close(at, why) };
  }
  const spis: number[] = [];
  for (const spi of deletions.filter((d) => d.protocol === PROTOCOL.ESP).flatMap((d) => d.spis)) {
    const number = spiNumber(spi);
    const child = number === undefined ? undefined : childByOutbound(sa, number);
    if (child === undefined) {
      if (number !== undefined && isMaking(sa.active)) sa.active.deleted.add(number);
      continue;
    }
    // §2.25.1: deletions that cross are answered without a DELETE.
    const crossing = sa.active instanceof DeleteChildTask && sa.active.child === child;
    if (!crossing) spis.push(child.sa.spiIn);
    deleteChild(sa, child, now, child.successor === undefined ? 'deleted by the peer' : 'rekeyed');
  }
  return { payloads: spis.length === 0 ? [] : [deletePayload(spis)] };
}

/** §2.21.2: these end an IKE SA without a DELETE. */
function fatal(payloads: readonly Payload[]): Failure | undefined {
  if (findNotify(payloads, NOTIFY.AUTHENTICATION_FAILED) !== undefined) return authenticationFailed('peer', []);
  return findNotify(payloads, NOTIFY.INVALID_SYNTAX) === undefined ? undefined : syntaxError('peer', '');
}
