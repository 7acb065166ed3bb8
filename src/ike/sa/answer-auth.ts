/**
 * IKE_AUTH as responder with a pre-shared key, and the first Child SA with it.
 *
 * Read first: RFC 7296 §1.2, §2.4 (INITIAL_CONTACT), §2.15, §2.21.2. The connection is found by both identities among those
 * whose addresses fit; until AUTH verifies nothing the peer says is believed.
 */
import { compareBytes, type Millis } from '../../core/index.ts';
import { pskAuth, signedOctets, verifyPskAuth } from '../auth.ts';
import { AUTH_METHOD, authMethodName, NOTIFY, PAYLOAD } from '../iana.ts';
import { formatIdentity, identityBody, sameIdentity } from '../identity.ts';
import { findNotify, findPayload, type Payload } from '../payload.ts';
import { breaks, IKE_AUTH_REQUEST } from '../rules.ts';
import { type Answer, refuse } from './answer.ts';
import { answerOffer, reportChildUp } from './child-offer.ts';
import { notify } from './child-sa.ts';
import { authenticationFailed, identityMismatch, policyRefused, syntaxError } from './failure.ts';
import type { IkeSa } from './ike-sa.ts';
import { DeleteIkeTask } from './task-ike.ts';

/** Two SAs of one connection, begun by either end within this time, are one simultaneous start: one of them goes. */
const SIMULTANEOUS: Millis = 30_000;

export function answerAuth(sa: IkeSa, payloads: readonly Payload[], now: Millis): Answer {
  const { env } = sa;
  const broken = breaks(IKE_AUTH_REQUEST, payloads);
  if (broken !== undefined) {
    env.fail(undefined, syntaxError('us', broken), now);
    return refuse(notify(NOTIFY.INVALID_SYNTAX), () => sa.close(now, broken));
  }
  const idI = findPayload(payloads, PAYLOAD.IDI)!;
  const idR = findPayload(payloads, PAYLOAD.IDR);
  const candidates = env.connectionsFor(sa);
  const connection = candidates.find(
    ({ config }) =>
      sameIdentity(config.remoteId, idI.identity) && (idR === undefined || sameIdentity(config.localId, idR.identity)),
  );
  const denied = (why: string): Answer => refuse(notify(NOTIFY.AUTHENTICATION_FAILED), () => sa.close(now, why));
  if (connection === undefined) {
    const lines = [
      `the peer is ${formatIdentity(idI.identity)}${idR === undefined ? '' : ` and wants ${formatIdentity(idR.identity)}`}`,
      ...candidates.map(
        ({ config }) =>
          `${config.name} expects ${formatIdentity(config.remoteId)}, is ${formatIdentity(config.localId)}`,
      ),
    ];
    env.fail(candidates.length === 1 ? candidates[0] : undefined, identityMismatch(lines), now);
    return denied('unknown identity');
  }
  const { config } = connection;
  const { prf } = sa.suite!;
  const { request, response, nonceI, nonceR } = sa.initial!;
  const auth = findPayload(payloads, PAYLOAD.AUTH);
  if (auth?.method !== AUTH_METHOD.SHARED_KEY_MIC) {
    const method = auth === undefined ? 'EAP' : authMethodName(auth.method);
    env.fail(
      connection,
      policyRefused(
        `the peer authenticates with ${method}, this connection expects a pre-shared key`,
        'set the other end to a pre-shared key',
      ),
      now,
    );
    return denied('authentication method');
  }
  const signed = signedOctets(prf, sa.keys!.skPi, request, nonceR, identityBody(idI.identity, idI.reserved));
  if (!verifyPskAuth(prf, config.psk, signed, auth.data)) {
    env.fail(connection, authenticationFailed('us', [`peer identity:  ${formatIdentity(idI.identity)}`]), now);
    return denied('AUTH does not verify');
  }

  sa.initial = undefined;
  const others = [...connection.sas];
  sa.established(connection, now);
  env.report('info', sa, 'ike-up', `IKE SA [${sa.id}] with ${formatIdentity(idI.identity)} is up, begun by the peer`);
  supersedeOthers(sa, others, findNotify(payloads, NOTIFY.INITIAL_CONTACT) !== undefined, now);
  const octets = signedOctets(prf, sa.keys!.skPr, response, nonceI, identityBody(config.localId));
  const own: Payload[] = [
    { type: PAYLOAD.IDR, critical: false, identity: config.localId, reserved: 0 },
    { type: PAYLOAD.AUTH, critical: false, method: AUTH_METHOD.SHARED_KEY_MIC, data: pskAuth(prf, config.psk, octets) },
  ];
  const child = answerOffer(sa, payloads, { nonceI, nonceR, first: true, inUse: undefined, outbound: 'active' }, now);
  if (child.ok) {
    reportChildUp(sa, child.child, 'child-up');
    return { payloads: [...own, ...child.payloads] };
  }
  if (child.failure !== undefined) env.fail(connection, child.failure, now);
  return { payloads: [...own, child.notify] };
}

/**
 * INITIAL_CONTACT (§2.4): the peer has forgotten every other SA between these identities. One that we began a moment ago
 * it may not have known of when it wrote that: then both ends keep the one whose lowest nonce is higher (as §2.8.1 has it for rekeys).
 */
function supersedeOthers(sa: IkeSa, others: readonly IkeSa[], initialContact: boolean, now: Millis): void {
  for (const other of others) {
    const crossing = other.initiator && other.establishedAt !== undefined && now - other.establishedAt < SIMULTANEOUS;
    if (other.phase === 'established' && crossing) settleSimultaneous(sa, other, now);
    else if (initialContact && other.phase !== 'init' && other.phase !== 'auth') {
      other.close(now, 'INITIAL_CONTACT: the peer started anew');
    }
  }
}

/** Of two SAs that both ends began at the same time each end deletes the one it began, if that is the one to go. */
export function settleSimultaneous(one: IkeSa, other: IkeSa, now: Millis): void {
  const redundant = compareBytes(one.lowestNonce!, other.lowestNonce!) < 0 ? one : other;
  if (redundant.initiator) redundant.enqueue(new DeleteIkeTask(), now);
}
