/**
 * Our CREATE_CHILD_SA and DELETE requests about Child SAs: a further one, a rekey, a deletion.
 *
 * Read first: RFC 7296 §1.3.1, §1.3.3, §1.4.1, §2.8.1 (both ends rekey at once), §2.25 (what TEMPORARY_FAILURE and
 * CHILD_SA_NOT_FOUND mean). The peer's requests stand in `answer-child.ts`.
 * Invariant: of two SAs made by crossing rekeys, the one made with the lowest of the four nonces is deleted by the end that
 * began it, and the old one by the end that began the survivor.
 */
import { type Bytes, compareBytes, fraction, type Millis } from '../../core/index.ts';
import { groupById } from '../../crypto/index.ts';
import type { Failure, PacketSelector } from '../contract.ts';
import { EXCHANGE, isErrorNotify, NOTIFY, PAYLOAD, PROTOCOL } from '../iana.ts';
import { allNotifies, findNotify, findPayload, type Payload } from '../payload.ts';
import { formatProposal } from '../proposal.ts';
import { breaks, CREATE_CHILD_RESPONSE, REKEY_CHILD_RESPONSE } from '../rules.ts';
import {
  acceptAnswer,
  type ChildOffer,
  demandedGroup,
  NONCE_LENGTH,
  offerChild,
  offerPayloads,
  reportChildUp,
} from './child-offer.ts';
import {
  type Child,
  deleteChild,
  deletePayload,
  dropChild,
  formatPair,
  lowerNonce,
  notify,
  spiBytes,
  succeed,
} from './child-sa.ts';
import { groupRefused, noProposal, peerError, policyRefused, selectorsRefused, syntaxError } from './failure.ts';
import type { IkeSa } from './ike-sa.ts';
import type { Request, Task } from './task.ts';

/** TEMPORARY_FAILURE: try again after about this long, spread so that both ends do not meet again (§2.25). */
const TRY_AGAIN: Millis = 2_000;
/** A rekey that was refused for good is tried again after this long, while the old SA lives. */
const REFUSED_AGAIN: Millis = 60_000;

export class CreateChildTask implements Task {
  readonly kind = 'child-create';
  readonly #packet: PacketSelector | undefined;
  #exchange: OpenExchange | undefined;
  #group: number | undefined;

  constructor(packet: PacketSelector | undefined) {
    this.#packet = packet;
  }

  request(sa: IkeSa): Request | undefined {
    if (sa.phase !== 'established' || sa.children.size > 0) return undefined;
    this.#exchange = openExchange(sa, this.#packet, this.#group);
    return { exchange: EXCHANGE.CREATE_CHILD_SA, payloads: offerPayloads(this.#exchange.offer, this.#exchange.nonce) };
  }

  answer(sa: IkeSa, payloads: readonly Payload[], now: Millis): void {
    const exchange = this.#exchange!;
    const result = readAnswer(sa, exchange, payloads, CREATE_CHILD_RESPONSE);
    if (result.is === 'group') {
      this.abandon(sa);
      this.#group = result.group;
      return sa.enqueue(this, now, true);
    }
    if (result.is === 'refused') {
      this.abandon(sa);
      return sa.env.fail(sa.connection, result.failure, now);
    }
    const nonces = { nonceI: exchange.nonce, nonceR: result.nonceR };
    const agreed = acceptAnswer(sa, exchange.offer, payloads, nonces, 'active', now);
    if (agreed.ok) return reportChildUp(sa, agreed.child, 'child-up');
    this.abandon(sa);
    sa.env.fail(sa.connection, agreed.failure, now);
    refuseChild(sa, exchange.offer, now);
  }

  abandon(sa: IkeSa): void {
    if (this.#exchange !== undefined) sa.env.freeSpi(this.#exchange.offer.spiIn);
    this.#exchange = undefined;
  }
}

export class RekeyChildTask implements Task {
  readonly kind = 'child-rekey';
  readonly old: Child;
  /** The peer's rekey of the same SA, answered while ours was under way. */
  theirs: { readonly child: Child; readonly lowestNonce: Bytes } | undefined;
  #exchange: OpenExchange | undefined;
  #group: number | undefined;

  constructor(old: Child) {
    this.old = old;
  }

  request(sa: IkeSa): Request | undefined {
    const { old } = this;
    if (sa.phase !== 'established' || !sa.children.has(old) || old.successor !== undefined || old.deleting)
      return undefined;
    this.#exchange = openExchange(sa, undefined, this.#group ?? old.sa.suite.group?.id, old);
    const about = { protocol: PROTOCOL.ESP, spi: spiBytes(old.sa.spiIn) };
    const payloads = [
      notify(NOTIFY.REKEY_SA, undefined, about),
      ...offerPayloads(this.#exchange.offer, this.#exchange.nonce),
    ];
    return { exchange: EXCHANGE.CREATE_CHILD_SA, payloads };
  }

  answer(sa: IkeSa, payloads: readonly Payload[], now: Millis): void {
    const exchange = this.#exchange!;
    const result = readAnswer(sa, exchange, payloads, REKEY_CHILD_RESPONSE);
    if (result.is === 'group') {
      this.abandon(sa);
      this.#group = result.group;
      return sa.enqueue(this, now, true);
    }
    if (result.is === 'refused') {
      this.abandon(sa);
      return this.#refused(sa, result.error, result.failure, now);
    }
    const ourLowest = lowerNonce(exchange.nonce, result.nonceR);
    // §2.8.1: the SA made with the lowest nonce is redundant; an SA of ours that is never sends.
    const redundant = this.theirs !== undefined && compareBytes(ourLowest, this.theirs.lowestNonce) < 0;
    const nonces = { nonceI: exchange.nonce, nonceR: result.nonceR };
    const agreed = acceptAnswer(sa, exchange.offer, payloads, nonces, redundant ? 'standby' : 'active', now);
    if (!agreed.ok) {
      this.abandon(sa);
      sa.env.fail(sa.connection, agreed.failure, now);
      this.old.rekeyAt = now + REFUSED_AGAIN;
      return refuseChild(sa, exchange.offer, now);
    }
    const { child } = agreed;
    if (redundant) {
      // The peer deletes the old SA; until then, or until it sends on its own new one, we stay where we are.
      return sa.enqueue(new DeleteChildTask(child, 'redundant after crossing rekeys'), now);
    }
    reportChildUp(sa, child, 'child-rekeyed');
    succeed(this.old, child, now);
    if (this.theirs !== undefined) {
      succeed(this.theirs.child, child, now);
    }
    sa.enqueue(new DeleteChildTask(this.old, 'rekeyed'), now);
  }

  abandon(sa: IkeSa): void {
    if (this.#exchange !== undefined) sa.env.freeSpi(this.#exchange.offer.spiIn);
    this.#exchange = undefined;
  }

  #refused(sa: IkeSa, error: number | undefined, failure: Failure, now: Millis): void {
    const { old } = this;
    if (error === NOTIFY.TEMPORARY_FAILURE) {
      old.rekeyAt = now + TRY_AGAIN * (1 + fraction(sa.env.random));
      return;
    }
    if (error === NOTIFY.CHILD_SA_NOT_FOUND) {
      // §2.25: the peer has no such SA. Where it was replaced by the peer's rekey, its DELETE is on the way.
      if (old.successor !== undefined || !sa.children.has(old)) return;
      dropChild(sa, old, 'the peer does not know it (CHILD_SA_NOT_FOUND)');
      return sa.enqueue(new CreateChildTask(undefined), now);
    }
    old.rekeyAt = now + REFUSED_AGAIN;
    sa.env.fail(sa.connection, failure, now);
  }
}

export class DeleteChildTask implements Task {
  readonly kind = 'child-delete';
  readonly child: Child;
  readonly #why: string;

  constructor(child: Child, why: string) {
    this.child = child;
    this.#why = why;
    child.deleting = true;
    child.owedAt = Number.POSITIVE_INFINITY;
  }

  request(sa: IkeSa): Request | undefined {
    if (!sa.children.has(this.child)) return undefined;
    return { exchange: EXCHANGE.INFORMATIONAL, payloads: [deletePayload([this.child.sa.spiIn])] };
  }

  /** With or without the peer's own DELETE (§1.4.1: crossing deletions are answered without): it is gone. */
  answer(sa: IkeSa, _payloads: readonly Payload[], now: Millis): void {
    deleteChild(sa, this.child, now, this.#why);
  }

  abandon(): void {}
}

interface OpenExchange {
  readonly offer: ChildOffer;
  readonly nonce: Bytes;
}

function openExchange(
  sa: IkeSa,
  packet: PacketSelector | undefined,
  group: number | undefined,
  old?: Child,
): OpenExchange {
  const offer = offerChild(sa, packet, group);
  // §2.9.2: a rekey asks for no less than what is in use.
  const pair =
    old === undefined
      ? offer.pair
      : { local: union(offer.pair.local, old.sa.local), remote: union(offer.pair.remote, old.sa.remote) };
  return { offer: { ...offer, pair }, nonce: sa.env.random(NONCE_LENGTH) };
}

const union = <T extends object>(a: readonly T[], b: readonly T[]): readonly T[] => {
  const text = (x: T): string => JSON.stringify(x);
  return [...a, ...b.filter((x) => !a.some((y) => text(x) === text(y)))];
};

type Answer =
  | { readonly is: 'agreed'; readonly nonceR: Bytes }
  | { readonly is: 'group'; readonly group: number }
  | { readonly is: 'refused'; readonly error: number | undefined; readonly failure: Failure };

/** Sorts an answer into: go on, once more with another group, or no. */
function readAnswer(
  sa: IkeSa,
  exchange: OpenExchange,
  payloads: readonly Payload[],
  rules: Parameters<typeof breaks>[0],
): Answer {
  if (findPayload(payloads, PAYLOAD.SA) !== undefined) {
    const broken = breaks(rules, payloads);
    if (broken !== undefined) return { is: 'refused', error: undefined, failure: syntaxError('us', broken) };
    return { is: 'agreed', nonceR: findPayload(payloads, PAYLOAD.NONCE)!.nonce };
  }
  const invalidKe = findNotify(payloads, NOTIFY.INVALID_KE_PAYLOAD);
  if (invalidKe !== undefined) {
    const group = demandedGroup(invalidKe, exchange.offer.proposals);
    if (group !== undefined && group !== exchange.offer.group) return { is: 'group', group };
    const ours = exchange.offer.group === undefined ? [] : [groupById(exchange.offer.group)!.word];
    return {
      is: 'refused',
      error: NOTIFY.INVALID_KE_PAYLOAD,
      failure: groupRefused('of its INVALID_KE_PAYLOAD', ours),
    };
  }
  const error = allNotifies(payloads).find((p) => isErrorNotify(p.notify))?.notify;
  const { child } = sa.connection!.config;
  if (error === NOTIFY.NO_PROPOSAL_CHOSEN) {
    const lines = [
      `we offered: ${exchange.offer.proposals.map(formatProposal).join(', ')}`,
      'a group (PFS) that only one end has shows here for the first time: the first Child SA is made without',
    ];
    return { is: 'refused', error, failure: noProposal('ESP', 'peer', lines) };
  }
  if (error === NOTIFY.TS_UNACCEPTABLE) {
    return { is: 'refused', error, failure: selectorsRefused('peer', [`we offered: ${formatPair(child)}`]) };
  }
  if (error === NOTIFY.NO_ADDITIONAL_SAS) {
    return {
      is: 'refused',
      error,
      failure: policyRefused(
        'the peer takes no further Child SA on this IKE SA',
        'rekey the IKE SA, or raise the limit there',
      ),
    };
  }
  const failure =
    error === undefined
      ? syntaxError('us', 'CREATE_CHILD_SA response without SA or error')
      : peerError(error, 'CREATE_CHILD_SA');
  return { is: 'refused', error, failure };
}

/** The peer has an SA that we cannot use: it is told to delete it. */
function refuseChild(sa: IkeSa, offer: ChildOffer, now: Millis): void {
  const task: Task = {
    kind: 'child-delete',
    request: () => ({ exchange: EXCHANGE.INFORMATIONAL, payloads: [deletePayload([offer.spiIn])] }),
    answer: () => {},
    abandon: () => {},
  };
  sa.enqueue(task, now);
}
