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
import { demandedGroup, describeProposals, NONCE_LENGTH } from './child-offer.ts';
import { lowerNonce } from './child-sa.ts';
import { noProposal, peerError, policyRefused, syntaxError } from './failure.ts';
import { IkeSa } from './ike-sa.ts';
import type { Request, Task } from './task.ts';

const TRY_AGAIN: Millis = 2_000;
const REFUSED_AGAIN: Millis = 60_000;

export class RekeyIkeTask implements Task {
  readonly kind = 'ike-rekey';
  /** The SA the peer made by rekeying at the same time. */
  theirs: { readonly sa: IkeSa; readonly lowestNonce: Bytes } | undefined;
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
      now,
    );
    const { theirs } = this;
    if (theirs !== undefined && compareBytes(fresh.lowestNonce!, theirs.lowestNonce) < 0) {
      // §2.8.2: ours was made with the lowest nonce: we delete it, the children go to theirs, the peer deletes the old one.
      fresh.phase = 'rekeyed';
      fresh.enqueue(new DeleteIkeTask(), now);
      if (theirs.sa.phase === 'established') sa.handOver(theirs.sa, now);
      return;
    }
    if (theirs !== undefined && theirs.sa.phase === 'established') {
      theirs.sa.handOver(fresh, now);
    }
    sa.handOver(fresh, now);
    sa.env.report('info', fresh, 'ike-rekeyed', `IKE SA [${sa.id}] was rekeyed to [${fresh.id}]`);
    sa.enqueue(new DeleteIkeTask(), now);
  }

  abandon(sa: IkeSa, now: Millis): void {
    // §2.25.2: the peer closes the old SA; what it made in its place takes over.
    if (this.theirs?.sa.phase === 'established') sa.handOver(this.theirs.sa, now);
  }

  #failed(sa: IkeSa, problem: string, now: Millis): void {
    sa.env.fail(sa.connection, syntaxError('us', `answer to the rekey of the IKE SA: ${problem}`), now);
    sa.rekeyAt = now + REFUSED_AGAIN;
    this.abandon(sa, now);
  }

  #refused(sa: IkeSa, payloads: readonly Payload[], now: Millis): void {
    const invalidKe = findNotify(payloads, NOTIFY.INVALID_KE_PAYLOAD);
    const group = invalidKe === undefined ? undefined : demandedGroup(invalidKe, this.#open!.proposals);
    if (group !== undefined && group !== this.#open!.group) {
      this.#group = group;
      return sa.enqueue(this, now, true);
    }
    if (this.theirs !== undefined) return this.abandon(sa, now);
    const error = allNotifies(payloads).find((p) => isErrorNotify(p.notify))?.notify;
    if (error === NOTIFY.TEMPORARY_FAILURE) {
      sa.rekeyAt = now + TRY_AGAIN * (1 + fraction(sa.env.random));
      return;
    }
    sa.rekeyAt = now + REFUSED_AGAIN;
    const failure =
      error === NOTIFY.NO_PROPOSAL_CHOSEN
        ? noProposal('IKE', 'peer', [`we offered: ${describeProposals(this.#open!.proposals)}`])
        : error === undefined
          ? policyRefused(
              'the peer answered the rekey of the IKE SA with nothing',
              'the IKE SA is used until it expires',
            )
          : peerError(error, 'the rekey of the IKE SA');
    sa.env.fail(sa.connection, failure, now);
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
    if (sa.phase !== 'rekeyed') sa.phase = 'closing';
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
export function successorSa(old: IkeSa, inputs: SuccessorInputs, now: Millis): IkeSa {
  const { initiator, spiI, spiR, suite } = inputs;
  const sa = new IkeSa(old.env, { initiator, spiI, spiR, local: old.local, remote: old.remote, successorOf: old }, now);
  sa.nat = { ...old.nat };
  sa.lowestNonce = lowerNonce(inputs.nonceI, inputs.nonceR);
  sa.connection = old.connection;
  sa.protect(suite, rekeyedKeys(suite, inputs, inputs.shared, old.suite!.prf, old.keys!.skD));
  sa.established(old.connection!, now);
  return sa;
}
