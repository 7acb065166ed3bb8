/**
 * Our requests about the IKE SA itself: rekey, deletion, liveness.
 *
 * Read first: RFC 7296 §1.3.2, §1.4.1, §2.4, §2.8.2 (both ends rekey the IKE SA at once), §2.18, §2.25.2.
 */
import { type Bytes, compareBytes, fraction, type Millis, parse } from '../../core/index.ts';
import { groupById, type KeyPair } from '../../crypto/index.ts';
import type { IkeSuite } from '../contract.ts';
import { EXCHANGE, isErrorNotify, NOTIFY, PAYLOAD, PROTOCOL } from '../iana.ts';
import { rekeyedKeys } from '../keys.ts';
import { checkSelected, groupOf, suiteOfIke } from '../negotiate.ts';
import { allNotifies, findNotify, findPayload, type NotifyPayload, type Payload } from '../payload.ts';
import { offer, type Proposal } from '../proposal.ts';
import { breaks, REKEY_IKE_RESPONSE } from '../rules.ts';
import { askedGroup, demandedGroup, describeProposals, NONCE_LENGTH } from './child-offer.ts';
import { lowerNonce } from './child-sa.ts';
import { groupRefused, noProposal, peerError, policyRefused, syntaxError } from './failure.ts';
import { IkeSa, type Origin } from './ike-sa.ts';
import type { Request, Task } from './task.ts';

/** TEMPORARY_FAILURE: try again after about this long, spread so that both ends do not meet again (§2.25). */
export const TRY_AGAIN: Millis = 2_000;
/** A rekey that was refused for good is tried again after this long, while the old SA lives. */
export const REFUSED_AGAIN: Millis = 60_000;

export class RekeyIkeTask implements Task {
  readonly kind = 'ike-rekey';
  /** The SA the peer made by rekeying at the same time. */
  theirs: IkeSa | undefined;
  #group: number | undefined;
  #open:
    | {
        readonly spi: Bytes;
        readonly nonce: Bytes;
        readonly group: number;
        readonly keyPair: KeyPair;
        readonly proposals: readonly Proposal[];
      }
    | undefined;

  request(sa: IkeSa): Request | undefined {
    if (sa.phase !== 'established') return undefined;
    const group = this.#group ?? sa.suite!.group.id;
    const spi = sa.env.random(8);
    const open = {
      spi,
      nonce: sa.env.random(NONCE_LENGTH),
      group,
      keyPair: groupById(group)!.generate(sa.env.random),
      proposals: offer(sa.connection!.config.ikeProposals, spi),
    };
    this.#open = open;
    const payloads: Payload[] = [
      { type: PAYLOAD.SA, critical: false, proposals: open.proposals },
      { type: PAYLOAD.NONCE, critical: false, nonce: open.nonce },
      { type: PAYLOAD.KE, critical: false, group, publicValue: open.keyPair.publicValue },
    ];
    return { exchange: EXCHANGE.CREATE_CHILD_SA, payloads };
  }

  answer(sa: IkeSa, payloads: readonly Payload[], now: Millis): void {
    const open = this.#open!;
    if (findPayload(payloads, PAYLOAD.SA) === undefined) return this.#refused(sa, payloads, now);
    const problem = breaks(REKEY_IKE_RESPONSE, payloads);
    if (problem !== undefined) return this.#failed(sa, problem, now);
    const selected = checkSelected(open.proposals, findPayload(payloads, PAYLOAD.SA)!.proposals);
    if (!selected.ok) return this.#failed(sa, selected.problem, now);
    const { spi } = selected.proposal;
    const ke = findPayload(payloads, PAYLOAD.KE)!;
    if (spi.length !== 8 || ke.group !== open.group || groupOf(selected.proposal) !== open.group) {
      return this.#failed(sa, 'the answer does not fit the offer', now);
    }
    const shared = parse(() => open.keyPair.agree(ke.publicValue));
    if (!shared.ok) return this.#failed(sa, shared.error.message, now);
    const nonceR = findPayload(payloads, PAYLOAD.NONCE)!.nonce;
    const suite = suiteOfIke(selected.proposal);
    const fresh = successorSa(
      sa,
      { initiator: true, spiI: open.spi, spiR: spi, nonceI: open.nonce, nonceR, suite, shared: shared.value },
      selected.proposal,
      now,
    );
    const { theirs } = this;
    if (theirs !== undefined && compareBytes(fresh.lowestNonce!, theirs.lowestNonce!) < 0) {
      // §2.8.2: ours was made with the lowest nonce: we delete it, the children go to theirs, the peer deletes the old one.
      fresh.successor = theirs;
      fresh.phase = 'rekeyed';
      beginClosing(fresh, now);
      return this.#yield(sa, now);
    }
    if (theirs?.phase === 'established') theirs.handOver(fresh, now);
    sa.handOver(fresh, now);
    sa.env.report('info', fresh, 'ike-rekeyed', `IKE SA [${sa.id}] was rekeyed to [${fresh.id}]`);
    beginClosing(sa, now);
  }

  /** §2.25.2: the peer closes the old SA; what it made in its place takes over. */
  abandon(sa: IkeSa, now: Millis): void {
    this.#yield(sa, now);
  }

  /** The peer's SA takes over, where there is one. */
  #yield(sa: IkeSa, now: Millis): void {
    if (this.theirs === undefined || this.theirs.phase !== 'established' || sa.successor === this.theirs) return;
    sa.handOver(this.theirs, now);
    sa.env.report(
      'info',
      this.theirs,
      'ike-rekeyed',
      `IKE SA [${sa.id}] was rekeyed to [${this.theirs.id}] by the peer`,
    );
  }

  /** The peer has an SA that we cannot use and may have moved everything there: only a fresh start helps (§2.21). */
  #failed(sa: IkeSa, problem: string, now: Millis): void {
    if (this.theirs !== undefined) return this.#yield(sa, now);
    sa.env.fail(sa.connection, syntaxError('us', `answer to the rekey of the IKE SA: ${problem}`), now);
    beginClosing(sa, now);
  }

  #refused(sa: IkeSa, payloads: readonly Payload[], now: Millis): void {
    if (this.theirs !== undefined) return this.#yield(sa, now);
    const invalidKe = findNotify(payloads, NOTIFY.INVALID_KE_PAYLOAD);
    const group = invalidKe === undefined ? undefined : demandedGroup(invalidKe, this.#open!.proposals);
    if (group !== undefined && this.#group === undefined && group !== this.#open!.group) {
      this.#group = group;
      return sa.enqueue(this, now, true);
    }
    const error = allNotifies(payloads).find((p) => isErrorNotify(p.notify))?.notify;
    if (error === NOTIFY.TEMPORARY_FAILURE) {
      sa.rekeyAt = now + TRY_AGAIN * (1 + fraction(sa.env.random));
      return;
    }
    sa.rekeyAt = now + REFUSED_AGAIN;
    const failure =
      invalidKe !== undefined
        ? groupRefused(askedGroup(invalidKe), [groupById(this.#open!.group)!.word])
        : error === NOTIFY.NO_PROPOSAL_CHOSEN
          ? noProposal('IKE', 'peer', [`we offered: ${describeProposals(this.#open!.proposals)}`])
          : error === undefined
            ? policyRefused(
                'the peer answered the rekey of the IKE SA with nothing',
                'the IKE SA is used until it expires',
              )
            : peerError(error, 'the rekey of the IKE SA');
    sa.env.note(sa.connection, failure, now);
  }
}

export class DeleteIkeTask implements Task {
  readonly kind = 'ike-delete';
  readonly #notifies: readonly NotifyPayload[];

  /** `notifies` say why, where the RFC has a word for it (§2.21.2). */
  constructor(notifies: readonly NotifyPayload[] = []) {
    this.#notifies = notifies;
  }

  request(sa: IkeSa): Request {
    // Handed over from an SA that was rekeyed in the meantime, it means the new one.
    if (sa.phase === 'established') sa.phase = 'closing';
    const payloads: Payload[] = [
      ...this.#notifies,
      { type: PAYLOAD.DELETE, critical: false, protocol: PROTOCOL.IKE, spiSize: 0, spis: [] },
    ];
    return { exchange: EXCHANGE.INFORMATIONAL, payloads };
  }

  answer(sa: IkeSa, _payloads: readonly Payload[], now: Millis): void {
    sa.close(now, sa.successor === undefined ? 'deleted here' : 'rekeyed');
  }

  abandon(): void {}
}

/** The end of an SA that the peer is told of; what else waits is not begun any more. `notifies` as in `DeleteIkeTask`. */
export function beginClosing(sa: IkeSa, now: Millis, notifies: readonly NotifyPayload[] = []): void {
  if (sa.phase === 'closed' || sa.pending((task) => task.kind === 'ike-delete')) return;
  if (sa.phase !== 'rekeyed') sa.phase = 'closing';
  sa.enqueue(new DeleteIkeTask(notifies), now, true);
}

/**
 * `sa` came up by IKE_AUTH. Where there is another for the same connection, as both ends began one, or the peer's
 * INITIAL_CONTACT crossed ours, one of them goes: the one that came up without a Child SA, else the one made with the
 * lowest nonce (as §2.8.1 has it). Who began it deletes it. Both ends come to the same result, whenever they do.
 */
export function settleRivals(sa: IkeSa, withChild: boolean, now: Millis): void {
  sa.origin = { begunHere: sa.initiator, lowestNonce: sa.lowestNonce!, withChild };
  for (const other of sa.connection!.sas) {
    if (other === sa || other.phase !== 'established' || other.undecided) continue;
    const redundant = yields(sa.origin, other.origin!) ? sa : other;
    if (redundant.origin!.begunHere) beginClosing(redundant, now);
  }
}

const yields = (one: Origin, other: Origin): boolean =>
  one.withChild === other.withChild ? compareBytes(one.lowestNonce, other.lowestNonce) < 0 : other.withChild;

/** An empty INFORMATIONAL (§2.4). Not needed when the peer was heard in the meantime. */
export class LivenessTask implements Task {
  readonly kind = 'liveness';
  readonly #silentSince: Millis;

  constructor(silentSince: Millis) {
    this.#silentSince = silentSince;
  }

  request(sa: IkeSa): Request | undefined {
    if (sa.heardAt > this.#silentSince || sa.phase !== 'established') return undefined;
    return { exchange: EXCHANGE.INFORMATIONAL, payloads: [] };
  }

  answer(): void {}

  abandon(): void {}
}

export interface SuccessorInputs {
  readonly initiator: boolean;
  readonly spiI: Bytes;
  readonly spiR: Bytes;
  readonly nonceI: Bytes;
  readonly nonceR: Bytes;
  readonly suite: IkeSuite;
  readonly shared: Bytes;
}

/** The IKE SA that a rekey makes: same peer, same connection, new keys from the old SK_d, message IDs from 0 (§2.18). */
export function successorSa(old: IkeSa, inputs: SuccessorInputs, proposal: Proposal, now: Millis): IkeSa {
  const { initiator, spiI, spiR, suite } = inputs;
  const sa = new IkeSa(old.env, { initiator, spiI, spiR, local: old.local, remote: old.remote, successorOf: old }, now);
  sa.nat = { ...old.nat };
  sa.lowestNonce = lowerNonce(inputs.nonceI, inputs.nonceR);
  sa.origin = old.origin;
  sa.connection = old.connection;
  sa.proposal = proposal;
  sa.protect(suite, rekeyedKeys(suite, inputs, inputs.shared, old.suite!.prf, old.keys!.skD));
  sa.established(old.connection!, now);
  return sa;
}
