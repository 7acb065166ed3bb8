/**
 * IKE_SA_INIT as responder: cookies under load, choice of proposal and group, keys.
 *
 * Read first: RFC 7296 §1.2, §2.6, §2.7, §2.14, §2.21.1, §2.23.
 * Nothing is kept before a proposal, the group and (under load) the cookie are right: until then answers are stateless.
 */
import { type Bytes, type Millis, parse } from '../../core/index.ts';
import { groupById } from '../../crypto/index.ts';
import type { Endpoint } from '../../ip/index.ts';
import type { CookieJar } from '../cookie.ts';
import { EXCHANGE, NOTIFY, PAYLOAD } from '../iana.ts';
import { initialKeys } from '../keys.ts';
import { encodeMessage, type Message } from '../message.ts';
import { groupOf, type Negotiated, negotiate, suiteOfIke } from '../negotiate.ts';
import { findNotify, findPayload, type NotifyPayload, type Payload } from '../payload.ts';
import type { Proposal } from '../proposal.ts';
import { breaks, IKE_SA_INIT_REQUEST } from '../rules.ts';
import { groupData, NONCE_LENGTH } from './child-offer.ts';
import { lowerNonce, notify } from './child-sa.ts';
import type { Connection } from './connection.ts';
import type { Environment } from './environment.ts';
import { noProposal } from './failure.ts';
import { IkeSa, ZERO_SPI } from './ike-sa.ts';
import { detectNat, natPayloads } from './task-init.ts';

export interface Arrival {
  readonly message: Message;
  readonly octets: Bytes;
  readonly local: Endpoint;
  readonly remote: Endpoint;
}

export interface ResponderContext {
  readonly env: Environment;
  readonly cookies: CookieJar;
  readonly halfOpen: number;
  /** Its address has no more of them than its share. */
  readonly mayBegin: boolean;
  /** Connections these addresses may belong to; at least one. */
  readonly candidates: readonly Connection[];
}

/** Why a request was not followed by a half-open SA; for counters. */
export type InitOutcome = 'accepted' | 'cookie' | 'refused' | 'malformed' | 'overload' | 'crowded';

export function answerInit(context: ResponderContext, arrival: Arrival, now: Millis): InitOutcome {
  const { env, candidates } = context;
  const { message, octets, local, remote } = arrival;
  const { payloads } = message;
  if (breaks(IKE_SA_INIT_REQUEST, payloads) !== undefined) {
    refuseInit(env, arrival, notify(NOTIFY.INVALID_SYNTAX));
    return 'malformed';
  }
  const nonceI = findPayload(payloads, PAYLOAD.NONCE)!.nonce;
  const { spiI } = message.header;
  if (context.halfOpen >= env.limits.maxHalfOpen) return 'overload';
  if (context.halfOpen >= env.limits.cookieThreshold) {
    const cookie = findNotify(payloads, NOTIFY.COOKIE);
    if (cookie === undefined || !context.cookies.check(cookie.data, nonceI, remote, spiI, now)) {
      refuseInit(env, arrival, notify(NOTIFY.COOKIE, context.cookies.make(nonceI, remote, spiI, now)));
      return 'cookie';
    }
  }
  if (!context.mayBegin) return 'crowded';
  const theirs = findPayload(payloads, PAYLOAD.SA)!.proposals;
  const ke = findPayload(payloads, PAYLOAD.KE)!;
  const chosen = chooseProposal(candidates, theirs, ke.group);
  if (!chosen.ok) {
    refuseInit(env, arrival, notify(NOTIFY.NO_PROPOSAL_CHOSEN));
    env.note(candidates[0], noProposal('IKE', 'us', chosen.lines), now);
    return 'refused';
  }
  const group = groupOf(chosen.proposal)!;
  if (group !== ke.group) {
    refuseInit(env, arrival, notify(NOTIFY.INVALID_KE_PAYLOAD, groupData(group)));
    return 'refused';
  }
  const keyPair = groupById(group)!.generate(env.random);
  const shared = parse(() => keyPair.agree(ke.publicValue));
  if (!shared.ok) {
    refuseInit(env, arrival, notify(NOTIFY.INVALID_SYNTAX));
    return 'malformed';
  }
  const sa = new IkeSa(env, { initiator: false, spiI, spiR: env.random(8), local, remote }, now);
  detectNat(sa, payloads, ZERO_SPI);
  sa.nat.forced = candidates.some((c) => c.config.forceEncapsulation);
  const nonceR = env.random(NONCE_LENGTH);
  const suite = suiteOfIke(chosen.proposal);
  const answer: Payload[] = [
    { type: PAYLOAD.SA, critical: false, proposals: [chosen.proposal] },
    { type: PAYLOAD.KE, critical: false, group, publicValue: keyPair.publicValue },
    { type: PAYLOAD.NONCE, critical: false, nonce: nonceR },
    ...natPayloads(sa),
  ];
  const response = sa.respond(EXCHANGE.IKE_SA_INIT, answer, now, { local, remote }, octets);
  sa.initial = { request: octets, response, nonceI, nonceR };
  sa.lowestNonce = lowerNonce(nonceI, nonceR);
  sa.proposal = chosen.proposal;
  sa.protect(suite, initialKeys(suite, { spiI, spiR: sa.spiR, nonceI, nonceR }, shared.value));
  sa.phase = 'auth';
  return 'accepted';
}

/** An answer in the clear that leaves no state behind; the responder's SPI is zero (§2.6). */
export function refuseInit(
  env: Environment,
  { message, local, remote }: Omit<Arrival, 'octets'>,
  payload: NotifyPayload,
): void {
  const { spiI, messageId, exchange } = message.header;
  const flags = { initiator: false, version: false, response: true };
  const octets = encodeMessage({ spiI, spiR: ZERO_SPI, exchange, flags, messageId }, [payload]);
  env.emit({ do: 'send', local, remote, octets });
}

/** The first connection whose proposals fit; else the explanation of the first one. */
function chooseProposal(candidates: readonly Connection[], theirs: readonly Proposal[], group: number): Negotiated {
  let first: Negotiated | undefined;
  for (const { config } of candidates) {
    const chosen = negotiate(config.ikeProposals, theirs, { group });
    if (chosen.ok) return chosen;
    first ??= chosen;
  }
  return first!;
}
