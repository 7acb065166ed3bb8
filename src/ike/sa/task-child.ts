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
  askedGroup,
  type ChildOffer,
  demandedGroup,
  NONCE_LENGTH,
  offerChild,
  offerPayloads,
  reportChildUp,
} from './child-offer.ts';
import {
  type Child,
  carries,
  deleteChild,
  deletePayload,
  dropChild,
  formatPair,
  lowerNonce,
  notify,
  spiBytes,
  succeed,
  twinsOf,
} from './child-sa.ts';
import { groupRefused, noProposal, peerError, policyRefused, selectorsRefused, syntaxError } from './failure.ts';
import type { IkeSa } from './ike-sa.ts';
import type { Request, Task, TaskKind } from './task.ts';
import { REFUSED_AGAIN, TRY_AGAIN } from './task-ike.ts';

/** A request that makes a Child SA: what is on offer, and what becomes known before its answer. */
abstract class MakeChildTask implements Task {
  abstract readonly kind: TaskKind;
  /** The operator took the connection's Child SAs down in the meantime. */
  unwanted = false;
  /** Outbound SPIs that the peer deleted before we knew them: its answer may come after its DELETE. */
  readonly deleted = new Set<number>();
  protected exchange: OpenExchange | undefined;
  /** What the peer asked for instead of our first choice. */
  protected group: number | undefined;

  abstract request(sa: IkeSa): Request | undefined;
  abstract answer(sa: IkeSa, payloads: readonly Payload[], now: Millis): void;

  abandon(sa: IkeSa): void {
    if (this.exchange !== undefined) sa.env.freeSpi(this.exchange.offer.spiIn);
    this.exchange = undefined;
  }

  /** The same again with the group that the peer demands; once. */
  protected again(sa: IkeSa, group: number, now: Millis): void {
    this.abandon(sa);
    this.group = group;
    sa.enqueue(this, now, true);
  }

  /** Whether what the exchange made is to stay; else it goes. */
  protected stays(sa: IkeSa, child: Child, now: Millis): boolean {
    if (this.deleted.has(child.sa.spiOut)) dropChild(sa, child, 'deleted by the peer');
    else if (this.unwanted) sa.enqueue(new DeleteChildTask(child, 'taken down here'), now);
    else return true;
    return false;
  }
}

export class CreateChildTask extends MakeChildTask {
  readonly kind = 'child-create';
  readonly #packet: PacketSelector | undefined;

  constructor(packet: PacketSelector | undefined) {
    super();
    this.#packet = packet;
  }

  request(sa: IkeSa): Request | undefined {
    if (sa.phase !== 'established' || this.unwanted || carries(sa, this.#packet)) return undefined;
    this.exchange = openExchange(sa, this.#packet, this.group);
    return { exchange: EXCHANGE.CREATE_CHILD_SA, payloads: offerPayloads(this.exchange.offer, this.exchange.nonce) };
  }

  answer(sa: IkeSa, payloads: readonly Payload[], now: Millis): void {
    const exchange = this.exchange!;
    const result = readAnswer(sa, exchange, payloads, CREATE_CHILD_RESPONSE);
    if (result.is === 'group' && this.group === undefined) return this.again(sa, result.group, now);
    if (result.is !== 'agreed') {
      this.abandon(sa);
      return sa.env.fail(sa.connection, result.failure, now);
    }
    const nonces = { nonceI: exchange.nonce, nonceR: result.nonceR };
    const agreed = acceptAnswer(sa, exchange.offer, payloads, nonces, 'active', now);
    if (!agreed.ok) {
      this.abandon(sa);
      sa.env.fail(sa.connection, agreed.failure, now);
      return refuseChild(sa, exchange.offer, now);
    }
    if (!this.stays(sa, agreed.child, now)) return;
    reportChildUp(sa, agreed.child, 'child-up');
    settleTwins(sa, agreed.child, now);
  }
}

export class RekeyChildTask extends MakeChildTask {
  readonly kind = 'child-rekey';
  readonly old: Child;
  /** The peer's rekey of the same SA, answered while ours was under way. */
  theirs: Child | undefined;

  constructor(old: Child) {
    super();
    this.old = old;
  }

  request(sa: IkeSa): Request | undefined {
    const { old } = this;
    const settled = !sa.children.has(old) || old.successor !== undefined || old.deleting;
    if (sa.phase !== 'established' || settled || this.unwanted) return undefined;
    this.exchange = openExchange(sa, undefined, this.group ?? old.sa.suite.group?.id, old);
    const about = { protocol: PROTOCOL.ESP, spi: spiBytes(old.sa.spiIn) };
    const payloads = [
      notify(NOTIFY.REKEY_SA, undefined, about),
      ...offerPayloads(this.exchange.offer, this.exchange.nonce),
    ];
    return { exchange: EXCHANGE.CREATE_CHILD_SA, payloads };
  }

  answer(sa: IkeSa, payloads: readonly Payload[], now: Millis): void {
    const { old, theirs } = this;
    const exchange = this.exchange!;
    const result = readAnswer(sa, exchange, payloads, REKEY_CHILD_RESPONSE);
    if (result.is === 'group' && this.group === undefined) return this.again(sa, result.group, now);
    if (result.is !== 'agreed') {
      this.abandon(sa);
      return this.#refused(sa, result.is === 'refused' ? result.error : undefined, result.failure, now);
    }
    const nonces = { nonceI: exchange.nonce, nonceR: result.nonceR };
    // §2.8.1: the SA made with the lowest nonce is redundant; an SA of ours that is never sends.
    const ourLowest = lowerNonce(nonces.nonceI, nonces.nonceR);
    const redundant = theirs !== undefined && compareBytes(ourLowest, theirs.lowestNonce) < 0;
    const agreed = acceptAnswer(sa, exchange.offer, payloads, nonces, redundant ? 'standby' : 'active', now);
    if (!agreed.ok) {
      this.abandon(sa);
      this.#refused(sa, undefined, agreed.failure, now);
      return refuseChild(sa, exchange.offer, now);
    }
    const { child } = agreed;
    if (!this.stays(sa, child, now)) return;
    // The peer deletes the old SA; until then, or until it sends on its own new one, we stay where we are.
    if (redundant) return sa.enqueue(new DeleteChildTask(child, 'redundant after crossing rekeys'), now);
    reportChildUp(sa, child, 'child-rekeyed');
    succeed(sa, old, child, now);
    if (theirs !== undefined) succeed(sa, theirs, child, now);
    sa.enqueue(new DeleteChildTask(old, 'rekeyed'), now);
  }

  #refused(sa: IkeSa, error: number | undefined, failure: Failure, now: Millis): void {
    const { old } = this;
    // The peer's own rekey of it went through: nothing is lost, and its DELETE is on the way.
    if (old.successor !== undefined || !sa.children.has(old)) return;
    if (error === NOTIFY.TEMPORARY_FAILURE) {
      old.rekeyAt = now + TRY_AGAIN * (1 + fraction(sa.env.random));
    } else if (error === NOTIFY.CHILD_SA_NOT_FOUND) {
      // §2.25: the peer has no such SA; one is made from scratch.
      dropChild(sa, old, 'the peer does not know it (CHILD_SA_NOT_FOUND)');
      if (!this.unwanted) sa.enqueue(new CreateChildTask(undefined), now);
    } else {
      old.refused = true;
      old.rekeyAt = now + REFUSED_AGAIN;
      sa.env.note(sa.connection, failure, now);
    }
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

/**
 * Both ends made a Child SA for the same traffic at the same time: as with crossing rekeys (§2.8.1) the one made with the
 * lowest nonce goes, and its initiator deletes it. Each end comes to the same result when it has both.
 */
export function settleTwins(sa: IkeSa, child: Child, now: Millis): void {
  for (const twin of twinsOf(sa, child)) {
    if (twin.begunHere === child.begunHere) continue;
    const redundant = compareBytes(child.lowestNonce, twin.lowestNonce) < 0 ? child : twin;
    if (redundant.begunHere) sa.enqueue(new DeleteChildTask(redundant, 'both ends made one'), now);
  }
}

/** Makes Child SAs; the peer may already have what it makes. */
export const isMaking = (task: Task | undefined): task is CreateChildTask | RekeyChildTask =>
  task instanceof MakeChildTask;

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
  /** Another group is demanded; `failure` is for when there was one already. */
  | { readonly is: 'group'; readonly group: number; readonly failure: Failure }
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
    const ours = exchange.offer.group === undefined ? [] : [groupById(exchange.offer.group)!.word];
    const failure = groupRefused(askedGroup(invalidKe), ours);
    const group = demandedGroup(invalidKe, exchange.offer.proposals);
    if (group !== undefined && group !== exchange.offer.group) return { is: 'group', group, failure };
    return { is: 'refused', error: NOTIFY.INVALID_KE_PAYLOAD, failure };
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
