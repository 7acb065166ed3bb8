/**
 * IKE_SA_INIT as initiator: proposals, key exchange, nonces, NAT detection; again with a cookie or another group when asked.
 *
 * Read first: RFC 7296 §1.2, §2.6 (cookies, also together with INVALID_KE_PAYLOAD), §2.14, §2.23.
 * Deliberate limits: at most MAX_RESTARTS retries, whoever asks for them; nothing in this exchange is authenticated, so a
 * message that makes no sense is ignored and the retransmission goes on.
 */
import { type Bytes, EMPTY, type Millis, parse } from '../../core/index.ts';
import { groupById, type KeyPair } from '../../crypto/index.ts';
import type { PacketSelector } from '../contract.ts';
import { EXCHANGE, isErrorNotify, NOTIFY, PAYLOAD, TRANSFORM } from '../iana.ts';
import { initialKeys } from '../keys.ts';
import { natDetected, natDetectionHash } from '../natt.ts';
import { checkSelected, groupOf, suiteOfIke } from '../negotiate.ts';
import { allNotifies, findNotify, findPayload, type NotifyPayload, type Payload } from '../payload.ts';
import { firstGroup, offer, type Proposal } from '../proposal.ts';
import { breaks, ERROR_RESPONSE, IKE_SA_INIT_RESPONSE } from '../rules.ts';
import { demandedGroup, describeProposals, NONCE_LENGTH } from './child-offer.ts';
import { lowerNonce, notify } from './child-sa.ts';
import { groupRefused, noProposal, peerError, policyRefused } from './failure.ts';
import type { IkeSa } from './ike-sa.ts';
import type { Request, Task } from './task.ts';
import { AuthTask } from './task-auth.ts';

/** A cookie, a group and a fresh cookie for it are three; twice that is a loop. */
const MAX_RESTARTS = 6;

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

  answer(sa: IkeSa, payloads: readonly Payload[], now: Millis, octets: Bytes): void {
    if (findPayload(payloads, PAYLOAD.SA) === undefined) return this.#refused(sa, payloads, now);
    const spiR = octets.slice(8, 16);
    const { connection, env } = sa;
    const giveUp = (problem: string): void => {
      env.fail(
        connection,
        policyRefused(problem, 'this is a defect of the other end, or somebody answers in its name'),
        now,
      );
      sa.close(now, problem);
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
    sa.protect(suite, initialKeys(suite, { spiI: sa.spiI, spiR, nonceI: this.#nonce, nonceR }, shared.value));
    if (sa.udpEncapsulation) {
      sa.local = { address: sa.local.address, port: env.limits.nattPort };
      if (sa.remote.port === env.limits.ikePort) sa.remote = { address: sa.remote.address, port: env.limits.nattPort };
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
    const config = sa.connection!.config;
    if (invalidKe !== undefined && again) {
      const group = demandedGroup(invalidKe, this.#proposals);
      if (group !== undefined && group !== this.#group) {
        this.#group = group;
        this.#keyPair = groupById(group)!.generate(sa.env.random);
        return sa.restart(this, now);
      }
      const asked = invalidKe.data.length === 2 ? (invalidKe.data[0]! << 8) | invalidKe.data[1]! : 0;
      const ours = this.#proposals.flatMap((p) => p.transforms.filter((t) => t.type === TRANSFORM.KE));
      sa.env.fail(
        sa.connection,
        groupRefused(groupById(asked)?.word ?? `group ${asked}`, [
          ...new Set(ours.map((t) => groupById(t.id)?.word ?? `${t.id}`)),
        ]),
        now,
      );
      return sa.close(now, 'the peer demands another key exchange group');
    }
    const error = allNotifies(payloads).find((p) => isErrorNotify(p.notify));
    const failure =
      error?.notify === NOTIFY.NO_PROPOSAL_CHOSEN
        ? noProposal('IKE', 'peer', [`we offered: ${describeProposals(config.ikeProposals)}`])
        : error === undefined
          ? policyRefused('the peer asks again and again for cookies or other groups', "look at the other end's log")
          : peerError(error.notify, 'IKE_SA_INIT');
    sa.env.fail(sa.connection, failure, now);
    sa.close(now, failure.problem);
  }
}

/** What makes a response to IKE_SA_INIT not worth looking at; it is then as if it had not come. */
export function breaksInitResponse(payloads: readonly Payload[]): string | undefined {
  const rules = findPayload(payloads, PAYLOAD.SA) === undefined ? ERROR_RESPONSE : IKE_SA_INIT_RESPONSE;
  return breaks(rules, payloads);
}

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
