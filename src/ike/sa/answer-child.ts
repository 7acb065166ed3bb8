/**
 * CREATE_CHILD_SA as responder: a further Child SA, the rekey of one, the rekey of the IKE SA.
 *
 * Read first: RFC 7296 §1.3, §2.8 (collisions), §2.9.2, §2.18, §2.25 (what to answer while something of ours is under way).
 */
import { type Millis, parse } from '../../core/index.ts';
import { groupById } from '../../crypto/index.ts';
import { NOTIFY, PAYLOAD, PROTOCOL } from '../iana.ts';
import { groupOf, negotiate, suiteOfIke } from '../negotiate.ts';
import { findNotify, findPayload, type NotifyPayload, type Payload } from '../payload.ts';
import { breaks, CREATE_CHILD_REQUEST, REKEY_CHILD_REQUEST, REKEY_IKE_REQUEST } from '../rules.ts';
import { type Answer, refuse } from './answer.ts';
import { answerOffer, groupData, NONCE_LENGTH, reportChildUp } from './child-offer.ts';
import { childByOutbound, notify, spiNumber, succeed } from './child-sa.ts';
import { noProposal } from './failure.ts';
import type { IkeSa } from './ike-sa.ts';
import type { TaskKind } from './task.ts';
import { isMaking, RekeyChildTask, settleTwins } from './task-child.ts';
import { RekeyIkeTask, successorSa } from './task-ike.ts';

/** A peer that keeps asking for more Child SAs is told NO_ADDITIONAL_SAS. */
export const MAX_CHILDREN = 32;

/** Undefined: malformed, INVALID_SYNTAX is owed. */
export function answerCreateChild(sa: IkeSa, payloads: readonly Payload[], now: Millis): Answer | undefined {
  const protocol = findPayload(payloads, PAYLOAD.SA)?.proposals[0]?.protocol;
  const rekey = findNotify(payloads, NOTIFY.REKEY_SA);
  if (protocol === PROTOCOL.IKE) {
    return breaks(REKEY_IKE_REQUEST, payloads) === undefined ? answerRekeyIke(sa, payloads, now) : undefined;
  }
  if (rekey !== undefined) {
    return breaks(REKEY_CHILD_REQUEST, payloads) === undefined ? answerRekeyChild(sa, rekey, payloads, now) : undefined;
  }
  return breaks(CREATE_CHILD_REQUEST, payloads) === undefined ? answerNewChild(sa, payloads, now) : undefined;
}

const temporaryFailure = (): Answer => refuse(notify(NOTIFY.TEMPORARY_FAILURE));

/** §2.25.2: nothing is made or rekeyed while the IKE SA is being rekeyed or closed. */
const busy = (sa: IkeSa): boolean => sa.phase !== 'established' || sa.active?.kind === 'ike-rekey';

function answerNewChild(sa: IkeSa, payloads: readonly Payload[], now: Millis): Answer {
  if (busy(sa)) return temporaryFailure();
  if (sa.children.size >= MAX_CHILDREN) return refuse(notify(NOTIFY.NO_ADDITIONAL_SAS));
  const nonceI = findPayload(payloads, PAYLOAD.NONCE)!.nonce;
  const nonceR = sa.env.random(NONCE_LENGTH);
  const answer = answerOffer(sa, payloads, { nonceI, nonceR, first: false, inUse: undefined, outbound: 'active' }, now);
  if (answer.ok) {
    reportChildUp(sa, answer.child, 'child-up');
    return { payloads: answer.payloads, after: (at) => settleTwins(sa, answer.child, at) };
  }
  if (answer.failure !== undefined) sa.env.note(sa.connection, answer.failure, now);
  return refuse(answer.notify);
}

function answerRekeyChild(sa: IkeSa, rekey: NotifyPayload, payloads: readonly Payload[], now: Millis): Answer {
  if (busy(sa)) return temporaryFailure();
  const spi = rekey.protocol === PROTOCOL.ESP ? spiNumber(rekey.spi) : undefined;
  const old = spi === undefined ? undefined : childByOutbound(sa, spi);
  if (old === undefined) {
    // It may be one that our own request made and whose answer is late.
    if (isMaking(sa.active)) return temporaryFailure();
    return refuse(notify(NOTIFY.CHILD_SA_NOT_FOUND, undefined, { protocol: rekey.protocol, spi: rekey.spi }));
  }
  // §2.25.1: being closed, by us or because it was rekeyed already.
  if (old.deleting || old.successor !== undefined) return temporaryFailure();
  const nonceI = findPayload(payloads, PAYLOAD.NONCE)!.nonce;
  const nonceR = sa.env.random(NONCE_LENGTH);
  const context = { nonceI, nonceR, first: false, inUse: old.sa, outbound: 'standby' } as const;
  const answer = answerOffer(sa, payloads, context, now);
  if (!answer.ok) {
    if (answer.failure !== undefined) sa.env.note(sa.connection, answer.failure, now);
    return refuse(answer.notify);
  }
  const { child } = answer;
  succeed(sa, old, child, now);
  if (sa.active instanceof RekeyChildTask && sa.active.old === old) sa.active.theirs = child;
  else reportChildUp(sa, child, 'child-rekeyed');
  return { payloads: answer.payloads };
}

/** What of ours makes a rekey of the IKE SA wait (§2.25.2): Child SAs being made, rekeyed or closed. */
const CHILD_TASKS: ReadonlySet<TaskKind> = new Set(['child-create', 'child-rekey', 'child-delete']);

function answerRekeyIke(sa: IkeSa, payloads: readonly Payload[], now: Millis): Answer {
  if (sa.phase !== 'established' || (sa.active !== undefined && CHILD_TASKS.has(sa.active.kind)))
    return temporaryFailure();
  const ours = sa.active instanceof RekeyIkeTask ? sa.active : undefined;
  // A second one before the first is settled: no peer needs it, and each would cost an SA.
  if (ours?.theirs !== undefined) return temporaryFailure();
  const { env, connection } = sa;
  const ke = findPayload(payloads, PAYLOAD.KE)!;
  const chosen = negotiate(connection!.config.ikeProposals, findPayload(payloads, PAYLOAD.SA)!.proposals, {
    group: ke.group,
  });
  if (!chosen.ok) {
    env.note(connection, noProposal('IKE', 'us', chosen.lines), now);
    return refuse(notify(NOTIFY.NO_PROPOSAL_CHOSEN));
  }
  const group = groupOf(chosen.proposal)!;
  if (group !== ke.group) return refuse(notify(NOTIFY.INVALID_KE_PAYLOAD, groupData(group)));
  const spiI = chosen.proposal.spi;
  if (spiI.length !== 8) return refuse(notify(NOTIFY.NO_PROPOSAL_CHOSEN));
  const keyPair = groupById(group)!.generate(env.random);
  const shared = parse(() => keyPair.agree(ke.publicValue));
  if (!shared.ok) return refuse(notify(NOTIFY.INVALID_SYNTAX));
  const nonceI = findPayload(payloads, PAYLOAD.NONCE)!.nonce;
  const nonceR = env.random(NONCE_LENGTH);
  const spiR = env.random(8);
  const suite = suiteOfIke(chosen.proposal);
  const inputs = { initiator: false, spiI, spiR, nonceI, nonceR, suite, shared: shared.value };
  const fresh = successorSa(sa, inputs, chosen.proposal, now);
  const answer: Payload[] = [
    { type: PAYLOAD.SA, critical: false, proposals: [{ ...chosen.proposal, spi: spiR }] },
    { type: PAYLOAD.NONCE, critical: false, nonce: nonceR },
    { type: PAYLOAD.KE, critical: false, group, publicValue: keyPair.publicValue },
  ];
  // §2.8.2: with a rekey of ours under way its answer decides which of the two inherits the children.
  if (ours !== undefined) ours.theirs = fresh;
  return {
    payloads: answer,
    after: (at) => {
      if (ours !== undefined) return;
      sa.handOver(fresh, at);
      env.report('info', fresh, 'ike-rekeyed', `IKE SA [${sa.id}] was rekeyed to [${fresh.id}] by the peer`);
    },
  };
}
