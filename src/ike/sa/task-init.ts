/**
 * IKE_SA_INIT as initiator: proposals, key exchange, nonces, NAT detection; again with a cookie or another group when asked.
 *
 * Read first: RFC 7296 §1.2, §2.6 (cookies, also together with INVALID_KE_PAYLOAD), §2.14, §2.23.
 * Deliberate limits: at most MAX_RESTARTS retries, whoever asks for them. Nothing in this exchange is authenticated, so a
 * message that makes no sense or comes late is ignored and the retransmission goes on; a refusal is believed, and the
 * connection tried again later (§2.21.1 would have it asked on for some time).
 */
import { type Bytes, EMPTY, type Millis, parse, sameBytes } from '../../core/index.ts';
import { groupById, type KeyPair } from '../../crypto/index.ts';
import type { Failure, PacketSelector } from '../contract.ts';
import { EXCHANGE, isErrorNotify, NOTIFY, PAYLOAD, TRANSFORM } from '../iana.ts';
import { initialKeys } from '../keys.ts';
import { natDetected, natDetectionHash } from '../natt.ts';
import { checkSelected, groupOf, suiteOfIke } from '../negotiate.ts';
import { allNotifies, findNotify, findPayload, type NotifyPayload, type Payload } from '../payload.ts';
import { firstGroup, offer, type Proposal } from '../proposal.ts';
import { breaks, ERROR_RESPONSE, IKE_SA_INIT_RESPONSE } from '../rules.ts';
import { askedGroup, demandedGroup, describeProposals, NONCE_LENGTH } from './child-offer.ts';
import { lowerNonce, notify } from './child-sa.ts';
import { DEFAULTS } from './environment.ts';
import { groupRefused, noProposal, peerError, policyRefused } from './failure.ts';
import { type IkeSa, ZERO_SPI } from './ike-sa.ts';
import type { Request, Task } from './task.ts';
import { AuthTask } from './task-auth.ts';

/** A cookie, a group and a fresh cookie for it are three; twice that is a loop. */
const MAX_RESTARTS = 6;
/** §2.6. */
const MAX_COOKIE = 64;

export class InitTask implements Task {
  readonly kind = 'ike-init';
  readonly #packet: PacketSelector | undefined;
  readonly #proposals: readonly Proposal[];
  readonly #nonce: Bytes;
  #group: number;
  #keyPair: KeyPair;
  #cookie: Bytes | undefined;
  #restarts = 0;

  constructor(sa: IkeSa, packet: PacketSelector | undefined) {
    this.#packet = packet;
    this.#proposals = offer(sa.connection!.config.ikeProposals, EMPTY);
    this.#nonce = sa.env.random(NONCE_LENGTH);
    this.#group = firstGroup(this.#proposals)!;
    this.#keyPair = groupById(this.#group)!.generate(sa.env.random);
  }

  request(sa: IkeSa): Request {
    const payloads: Payload[] = [
      { type: PAYLOAD.SA, critical: false, proposals: this.#proposals },
      { type: PAYLOAD.KE, critical: false, group: this.#group, publicValue: this.#keyPair.publicValue },
      { type: PAYLOAD.NONCE, critical: false, nonce: this.#nonce },
      ...natPayloads(sa),
    ];
    if (this.#cookie !== undefined) payloads.unshift(notify(NOTIFY.COOKIE, this.#cookie));
    return { exchange: EXCHANGE.IKE_SA_INIT, payloads };
  }

  /** Why a response is not worth looking at: malformed, or an answer to a request before the last one. */
  ignores(spiR: Bytes, payloads: readonly Payload[]): string | undefined {
    if (findPayload(payloads, PAYLOAD.SA) !== undefined) {
      return sameBytes(spiR, ZERO_SPI) ? 'no responder SPI' : breaks(IKE_SA_INIT_RESPONSE, payloads);
    }
    const cookie = findNotify(payloads, NOTIFY.COOKIE)?.data;
    if (cookie !== undefined) {
      if (cookie.length === 0 || cookie.length > MAX_COOKIE) return `a cookie of ${cookie.length} octets`;
      if (this.#cookie !== undefined && sameBytes(cookie, this.#cookie)) return 'asks for the cookie it was sent';
    } else {
      const invalidKe = findNotify(payloads, NOTIFY.INVALID_KE_PAYLOAD);
      if (invalidKe !== undefined && demandedGroup(invalidKe, this.#proposals) === this.#group) {
        return 'asks for the group it was sent';
      }
    }
    return breaks(ERROR_RESPONSE, payloads);
  }

  answer(sa: IkeSa, payloads: readonly Payload[], now: Millis, octets: Bytes): void {
    if (findPayload(payloads, PAYLOAD.SA) === undefined) return this.#refused(sa, payloads, now);
    const spiR = octets.slice(8, 16);
    const { connection, env } = sa;
    const giveUp = (problem: string): void => {
      sa.close(now, problem);
      const advice = 'this is a defect of the other end, or somebody answers in its name';
      env.fail(connection, policyRefused(problem, advice), now);
    };
    const selected = checkSelected(this.#proposals, findPayload(payloads, PAYLOAD.SA)!.proposals);
    if (!selected.ok) return giveUp(`the peer chose what was not offered: ${selected.problem}`);
    const ke = findPayload(payloads, PAYLOAD.KE)!;
    if (ke.group !== this.#group || groupOf(selected.proposal) !== this.#group) {
      return giveUp('the key exchange in the answer is not the one that was offered');
    }
    const shared = parse(() => this.#keyPair.agree(ke.publicValue));
    if (!shared.ok) return giveUp(shared.error.message);
    const nonceR = findPayload(payloads, PAYLOAD.NONCE)!.nonce;
    sa.spiR = spiR;
    sa.initial = { request: sa.initial!.request, response: octets, nonceI: this.#nonce, nonceR };
    sa.lowestNonce = lowerNonce(this.#nonce, nonceR);
    detectNat(sa, payloads);
    const suite = suiteOfIke(selected.proposal);
    sa.proposal = selected.proposal;
    sa.protect(suite, initialKeys(suite, { spiI: sa.spiI, spiR, nonceI: this.#nonce, nonceR }, shared.value));
    if (sa.udpEncapsulation) {
      sa.local = { address: sa.local.address, port: env.limits.nattPort };
      if (sa.remote.port === DEFAULTS.ikePort) sa.remote = { address: sa.remote.address, port: DEFAULTS.nattPort };
    }
    sa.phase = 'auth';
    sa.enqueue(new AuthTask(sa, this.#packet), now);
  }

  abandon(): void {}

  #refused(sa: IkeSa, payloads: readonly Payload[], now: Millis): void {
    this.#restarts += 1;
    const again = this.#restarts <= MAX_RESTARTS;
    const cookie = findNotify(payloads, NOTIFY.COOKIE);
    if (cookie !== undefined && again) {
      this.#cookie = cookie.data;
      return sa.restart(this, now);
    }
    const invalidKe = findNotify(payloads, NOTIFY.INVALID_KE_PAYLOAD);
    const group = invalidKe === undefined ? undefined : demandedGroup(invalidKe, this.#proposals);
    if (group !== undefined && again) {
      this.#group = group;
      this.#keyPair = groupById(group)!.generate(sa.env.random);
      return sa.restart(this, now);
    }
    const failure = again ? this.#refusal(sa, payloads, invalidKe) : ENDLESS;
    sa.close(now, failure.problem);
    sa.env.fail(sa.connection, failure, now);
  }

  #refusal(sa: IkeSa, payloads: readonly Payload[], invalidKe: NotifyPayload | undefined): Failure {
    if (invalidKe !== undefined) {
      const ours = this.#proposals.flatMap((p) => p.transforms.filter((t) => t.type === TRANSFORM.KE));
      const words = new Set(ours.map((t) => groupById(t.id)?.word ?? `${t.id}`));
      return groupRefused(askedGroup(invalidKe), [...words]);
    }
    const error = allNotifies(payloads).find((p) => isErrorNotify(p.notify))?.notify;
    if (error === NOTIFY.NO_PROPOSAL_CHOSEN) {
      return noProposal('IKE', 'peer', [`we offered: ${describeProposals(sa.connection!.config.ikeProposals)}`]);
    }
    return error === undefined
      ? policyRefused('the peer answered IKE_SA_INIT with nothing of use', "look at the other end's log")
      : peerError(error, 'IKE_SA_INIT');
  }
}

const ENDLESS = policyRefused(
  'the peer asks again and again for cookies or other key exchange groups',
  "look at the other end's log",
);

/** Both NAT detection notifications; a source hash nobody can match where encapsulation is forced (§2.23). */
export function natPayloads(sa: IkeSa): NotifyPayload[] {
  const source = sa.nat.forced ? sa.env.random(20) : natDetectionHash(sa.spiI, sa.spiR, sa.local);
  return [
    notify(NOTIFY.NAT_DETECTION_SOURCE_IP, source),
    notify(NOTIFY.NAT_DETECTION_DESTINATION_IP, natDetectionHash(sa.spiI, sa.spiR, sa.remote)),
  ];
}

/** Compares what the peer saw with what we see. `spiR` is zero in the request. */
export function detectNat(sa: IkeSa, payloads: readonly Payload[], spiR = sa.spiR): void {
  const hashes = (type: number): Bytes[] => allNotifies(payloads, type).map((p) => p.data);
  sa.nat.remote = natDetected(hashes(NOTIFY.NAT_DETECTION_SOURCE_IP), sa.spiI, spiR, sa.remote);
  sa.nat.local = natDetected(hashes(NOTIFY.NAT_DETECTION_DESTINATION_IP), sa.spiI, spiR, sa.local);
}
