/**
 * IKE_AUTH as initiator with a pre-shared key, and the first Child SA with it.
 *
 * Read first: RFC 7296 §1.2, §2.4 (INITIAL_CONTACT), §2.15, §2.21.2 (which failures leave the IKE SA up).
 */
import type { Millis } from '../../core/index.ts';
import { pskAuth, signedOctets, verifyPskAuth } from '../auth.ts';
import type { Failure, PacketSelector } from '../contract.ts';
import { AUTH_METHOD, authMethodName, EXCHANGE, isErrorNotify, NOTIFY, PAYLOAD } from '../iana.ts';
import { formatIdentity, identityBody, sameIdentity } from '../identity.ts';
import { allNotifies, findPayload, type Payload } from '../payload.ts';
import { formatProposal } from '../proposal.ts';
import { breaks, IKE_AUTH_RESPONSE, IKE_AUTH_RESPONSE_CHILDLESS } from '../rules.ts';
import {
  acceptAnswer,
  type ChildOffer,
  describeProposals,
  offerChild,
  offerPayloads,
  reportChildUp,
} from './child-offer.ts';
import { formatPair, notify } from './child-sa.ts';
import {
  authenticationFailed,
  noProposal,
  peerError,
  policyRefused,
  selectorsRefused,
  syntaxError,
} from './failure.ts';
import type { IkeSa } from './ike-sa.ts';
import type { Request, Task } from './task.ts';
import { beginClosing, settleRivals } from './task-ike.ts';

export class AuthTask implements Task {
  readonly kind = 'ike-auth';
  readonly #offer: ChildOffer;

  constructor(sa: IkeSa, packet: PacketSelector | undefined) {
    this.#offer = offerChild(sa, packet, 'none');
  }

  request(sa: IkeSa): Request {
    const { localId, remoteId, psk } = sa.connection!.config;
    const { request, nonceR } = sa.initial!;
    const { prf } = sa.suite!;
    const octets = signedOctets(prf, sa.keys!.skPi, request, nonceR, identityBody(localId));
    const alone = sa.connection!.sas.size === 1;
    const payloads: Payload[] = [
      { type: PAYLOAD.IDI, critical: false, identity: localId, reserved: 0 },
      ...(alone ? [notify(NOTIFY.INITIAL_CONTACT)] : []),
      { type: PAYLOAD.IDR, critical: false, identity: remoteId, reserved: 0 },
      { type: PAYLOAD.AUTH, critical: false, method: AUTH_METHOD.SHARED_KEY_MIC, data: pskAuth(prf, psk, octets) },
      ...offerPayloads(this.#offer, undefined),
    ];
    return { exchange: EXCHANGE.IKE_AUTH, payloads };
  }

  answer(sa: IkeSa, payloads: readonly Payload[], now: Millis): void {
    const error = allNotifies(payloads).find((p) => isErrorNotify(p.notify));
    if (findPayload(payloads, PAYLOAD.AUTH) === undefined) {
      this.abandon(sa);
      const failure =
        error === undefined ? syntaxError('us', 'IKE_AUTH response without AUTH') : refusal(sa, error.notify);
      sa.close(now, failure.problem);
      return sa.env.fail(sa.connection, failure, now);
    }
    const withChild = findPayload(payloads, PAYLOAD.SA) !== undefined;
    const broken = breaks(withChild ? IKE_AUTH_RESPONSE : IKE_AUTH_RESPONSE_CHILDLESS, payloads);
    if (broken !== undefined) return this.#reject(sa, syntaxError('us', broken), NOTIFY.INVALID_SYNTAX, now);
    const failure = this.#verify(sa, payloads);
    if (failure !== undefined) return this.#reject(sa, failure, NOTIFY.AUTHENTICATION_FAILED, now);

    const { nonceI, nonceR } = sa.initial!;
    const connection = sa.connection!;
    sa.initial = undefined;
    sa.established(connection, now);
    sa.env.report(
      'info',
      sa,
      'ike-up',
      `IKE SA [${sa.id}] with ${formatIdentity(connection.config.remoteId)} is up, begun here`,
    );
    if (!withChild) {
      this.abandon(sa);
      sa.env.fail(connection, this.#childRefusal(sa, error?.notify), now);
      return settleRivals(sa, false, now);
    }
    const agreed = acceptAnswer(sa, this.#offer, payloads, { nonceI, nonceR }, 'active', now);
    if (agreed.ok) {
      reportChildUp(sa, agreed.child, 'child-up');
      return settleRivals(sa, true, now);
    }
    this.abandon(sa);
    sa.env.fail(connection, agreed.failure, now);
    beginClosing(sa, now);
  }

  abandon(sa: IkeSa): void {
    sa.env.freeSpi(this.#offer.spiIn);
  }

  #verify(sa: IkeSa, payloads: readonly Payload[]): Failure | undefined {
    const idR = findPayload(payloads, PAYLOAD.IDR)!;
    const auth = findPayload(payloads, PAYLOAD.AUTH)!;
    const { remoteId, psk } = sa.connection!.config;
    if (!sameIdentity(idR.identity, remoteId)) {
      return {
        code: 'identity',
        problem: `the peer calls itself ${formatIdentity(idR.identity)}, expected was ${formatIdentity(remoteId)}`,
        advice: `set remote.id to ${formatIdentity(idR.identity)} if that is the right peer`,
        lines: [],
      };
    }
    if (auth.method !== AUTH_METHOD.SHARED_KEY_MIC) {
      return policyRefused(
        `the peer authenticates with ${authMethodName(auth.method)}, this connection expects a pre-shared key`,
        'set the other end to a pre-shared key',
      );
    }
    const { response, nonceI } = sa.initial!;
    const octets = signedOctets(
      sa.suite!.prf,
      sa.keys!.skPr,
      response,
      nonceI,
      identityBody(idR.identity, idR.reserved),
    );
    if (verifyPskAuth(sa.suite!.prf, psk, octets, auth.data)) return undefined;
    return authenticationFailed('us', identities(sa));
  }

  /** We do not believe the peer: it is told so, and the SA is gone (§2.21.2). */
  #reject(sa: IkeSa, failure: Failure, owed: number, now: Millis): void {
    this.abandon(sa);
    sa.env.fail(sa.connection, failure, now);
    beginClosing(sa, now, [notify(owed)]);
  }

  #childRefusal(sa: IkeSa, error: number | undefined): Failure {
    const { child } = sa.connection!.config;
    if (error === NOTIFY.NO_PROPOSAL_CHOSEN) {
      return noProposal('ESP', 'peer', [`we offered: ${this.#offer.proposals.map(formatProposal).join(', ')}`]);
    }
    if (error === NOTIFY.TS_UNACCEPTABLE) return selectorsRefused('peer', [`we offered: ${formatPair(child)}`]);
    return error === undefined
      ? syntaxError('us', 'IKE_AUTH response without a Child SA')
      : peerError(error, 'IKE_AUTH');
  }
}

function refusal(sa: IkeSa, error: number): Failure {
  if (error === NOTIFY.AUTHENTICATION_FAILED) return authenticationFailed('peer', identities(sa));
  if (error === NOTIFY.NO_PROPOSAL_CHOSEN) {
    return noProposal('ESP', 'peer', [`we offered: ${describeProposals(sa.connection!.config.child.proposals)}`]);
  }
  return peerError(error, 'IKE_AUTH');
}

const identities = (sa: IkeSa): string[] => [
  `our identity:   ${formatIdentity(sa.connection!.config.localId)}`,
  `peer identity:  ${formatIdentity(sa.connection!.config.remoteId)}`,
];
