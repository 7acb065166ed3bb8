/**
 * IKE_AUTH as responder with a pre-shared key, and the first Child SA with it.
 *
 * Read first: RFC 7296 §1.2, §2.4 (INITIAL_CONTACT), §2.15, §2.21.2. The connection is found by both identities among those
 * whose addresses fit; until AUTH verifies nothing the peer says is believed.
 */
import type { Millis } from '../../core/index.ts';
import { pskAuth, signedOctets, verifyPskAuth } from '../auth.ts';
import type { Failure } from '../contract.ts';
import { AUTH_METHOD, authMethodName, NOTIFY, PAYLOAD } from '../iana.ts';
import { formatIdentity, identityBody, sameIdentity } from '../identity.ts';
import { negotiate } from '../negotiate.ts';
import { findNotify, findPayload, type Payload } from '../payload.ts';
import { breaks, IKE_AUTH_REQUEST } from '../rules.ts';
import { type Answer, refuse } from './answer.ts';
import { answerOffer, reportChildUp } from './child-offer.ts';
import { notify } from './child-sa.ts';
import { authenticationFailed, identityMismatch, noProposal, policyRefused, syntaxError } from './failure.ts';
import type { IkeSa } from './ike-sa.ts';
import { settleRivals } from './task-ike.ts';

/** IKE SAs that one connection may have at a time; a rekey that crosses another needs three. */
const MAX_IKE_SAS = 8;

export function answerAuth(sa: IkeSa, payloads: readonly Payload[], now: Millis): Answer {
  const { env } = sa;
  const denied = (why: string): Answer => refuse(notify(NOTIFY.AUTHENTICATION_FAILED), () => sa.close(now, why));
  const method = findPayload(payloads, PAYLOAD.AUTH)?.method;
  if (method !== AUTH_METHOD.SHARED_KEY_MIC) {
    const words = method === undefined ? 'EAP' : authMethodName(method);
    env.note(undefined, wrongMethod(words), now);
    return denied('authentication method');
  }
  const broken = breaks(IKE_AUTH_REQUEST, payloads);
  if (broken !== undefined) {
    env.note(undefined, syntaxError('us', broken), now);
    return refuse(notify(NOTIFY.INVALID_SYNTAX), () => sa.close(now, broken));
  }
  const idI = findPayload(payloads, PAYLOAD.IDI)!;
  const idR = findPayload(payloads, PAYLOAD.IDR);
  const candidates = env.connectionsFor(sa);
  const connection = candidates.find(
    ({ config }) =>
      sameIdentity(config.remoteId, idI.identity) && (idR === undefined || sameIdentity(config.localId, idR.identity)),
  );
  if (connection === undefined) {
    const lines = [
      `the peer is ${formatIdentity(idI.identity)}${idR === undefined ? '' : ` and wants ${formatIdentity(idR.identity)}`}`,
      ...candidates.map(
        ({ config }) =>
          `${config.name} expects ${formatIdentity(config.remoteId)}, is ${formatIdentity(config.localId)}`,
      ),
    ];
    env.note(candidates.length === 1 ? candidates[0] : undefined, identityMismatch(lines), now);
    return denied('unknown identity');
  }
  const { config } = connection;
  const { prf } = sa.suite!;
  const { request, response, nonceI, nonceR } = sa.initial!;
  const auth = findPayload(payloads, PAYLOAD.AUTH)!;
  const signed = signedOctets(prf, sa.keys!.skPi, request, nonceR, identityBody(idI.identity, idI.reserved));
  if (!verifyPskAuth(prf, config.psk, signed, auth.data)) {
    env.note(connection, authenticationFailed('us', [`peer identity:  ${formatIdentity(idI.identity)}`]), now);
    return denied('AUTH does not verify');
  }
  // IKE_SA_INIT chose among all connections of these addresses; this one may allow less.
  const allowed = negotiate(config.ikeProposals, [sa.proposal!]);
  if (!allowed.ok) {
    env.note(connection, noProposal('IKE', 'us', allowed.lines), now);
    return denied('proposal of another connection');
  }

  sa.initial = undefined;
  const others = [...connection.sas];
  const initialContact = findNotify(payloads, NOTIFY.INITIAL_CONTACT) !== undefined;
  sa.established(connection, now);
  env.report('info', sa, 'ike-up', `IKE SA [${sa.id}] with ${formatIdentity(idI.identity)} is up, begun by the peer`);
  if (initialContact) forgetOthers(sa, others, now);
  else if (others.length >= MAX_IKE_SAS) others[0]!.close(now, 'the peer begins one IKE SA after the other');
  const octets = signedOctets(prf, sa.keys!.skPr, response, nonceI, identityBody(config.localId));
  const own: Payload[] = [
    { type: PAYLOAD.IDR, critical: false, identity: config.localId, reserved: 0 },
    { type: PAYLOAD.AUTH, critical: false, method: AUTH_METHOD.SHARED_KEY_MIC, data: pskAuth(prf, config.psk, octets) },
  ];
  const child = answerOffer(sa, payloads, { nonceI, nonceR, first: true, inUse: undefined, outbound: 'active' }, now);
  if (child.ok) {
    reportChildUp(sa, child.child, 'child-up');
    return { payloads: [...own, ...child.payloads], after: (at) => settleRivals(sa, true, at) };
  }
  if (child.failure !== undefined) env.note(connection, child.failure, now);
  return { payloads: [...own, child.notify], after: (at) => settleRivals(sa, false, at) };
}

/**
 * INITIAL_CONTACT (§2.4): the peer knows of no other SA between these identities. One that was up here before the peer
 * even began this SA it has forgotten. Of one that came up since it may not have known when it wrote that: both ends
 * settle such rivals alike.
 */
function forgetOthers(sa: IkeSa, others: readonly IkeSa[], now: Millis): void {
  for (const other of others) {
    const { establishedAt } = other;
    if (establishedAt !== undefined && establishedAt <= sa.begunAt) {
      other.close(now, 'INITIAL_CONTACT: the peer started anew');
    }
  }
}

const wrongMethod = (method: string): Failure =>
  policyRefused(
    `the peer authenticates with ${method}, this connection expects a pre-shared key`,
    'set the other end to a pre-shared key',
  );
