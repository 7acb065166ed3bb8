/**
 * The two halves of agreeing on a Child SA, common to IKE_AUTH and CREATE_CHILD_SA: offering one and reading the answer,
 * and answering an offer.
 *
 * Read first: RFC 7296 §1.3.1, §2.7, §2.9, §2.17, §3.3. Leaves to others: the exchange around it.
 */
import { type Bytes, type Millis, parse, putU16, u16 } from '../../core/index.ts';
import { groupById, type KeyPair } from '../../crypto/index.ts';
import type { SelectorPair } from '../../ip/index.ts';
import type { Failure, PacketSelector } from '../contract.ts';
import { NOTIFY, PAYLOAD, TRANSFORM } from '../iana.ts';
import { checkSelected, groupOf, negotiate, suiteOfChild } from '../negotiate.ts';
import { findPayload, type NotifyPayload, type Payload } from '../payload.ts';
import { firstGroup, formatProposal, offer, type Proposal } from '../proposal.ts';
import { checkNarrowed, narrowPair, offerSelectors } from '../selectors.ts';
import {
  type Child,
  type ChildInputs,
  formatPair,
  installChild,
  notify,
  selectorPayloads,
  selectorsOf,
  spiBytes,
  spiNumber,
  wantsNoTfc,
} from './child-sa.ts';
import { noProposal, policyRefused, selectorsRefused } from './failure.ts';
import type { IkeSa } from './ike-sa.ts';

export const NONCE_LENGTH = 32;

export interface ChildOffer {
  readonly spiIn: number;
  readonly proposals: readonly Proposal[];
  readonly pair: SelectorPair;
  /** With PFS: what the KE payload holds. */
  readonly keyPair: KeyPair | undefined;
  readonly group: number | undefined;
}

/** `group`: the method for PFS; undefined: the first proposal's; 'none': child of IKE_AUTH, which has no KE payload. */
export function offerChild(
  sa: IkeSa,
  packet: PacketSelector | undefined,
  group: number | 'none' | undefined,
): ChildOffer {
  const { config } = sa.connection!;
  const { child } = config;
  const spiIn = sa.env.allocateSpi(config);
  const proposals = offer(child.proposals, spiBytes(spiIn), { withoutGroups: group === 'none' });
  const method = group === 'none' ? undefined : (group ?? firstGroup(child.proposals));
  const keyPair = method === undefined ? undefined : groupById(method)!.generate(sa.env.random);
  return {
    spiIn,
    proposals,
    pair: offerSelectors({ local: child.local, remote: child.remote }, packet),
    keyPair,
    group: method,
  };
}

/** SA, TSi, TSr of an offer; nonce and KE stand between them in CREATE_CHILD_SA (Appendix C.4). */
export function offerPayloads(made: ChildOffer, nonce: Bytes | undefined): Payload[] {
  const sa: Payload = { type: PAYLOAD.SA, critical: false, proposals: made.proposals };
  const fresh: Payload[] = nonce === undefined ? [] : [{ type: PAYLOAD.NONCE, critical: false, nonce }];
  if (made.keyPair !== undefined) {
    fresh.push({ type: PAYLOAD.KE, critical: false, group: made.group!, publicValue: made.keyPair.publicValue });
  }
  return [sa, ...fresh, ...selectorPayloads(made.pair, true)];
}

export type Agreed = { readonly ok: true; readonly child: Child } | { readonly ok: false; readonly failure: Failure };

/** The peer's answer to `made`. Nonces are those of the exchange (IKE_SA_INIT's for the first child). */
export function acceptAnswer(
  sa: IkeSa,
  made: ChildOffer,
  payloads: readonly Payload[],
  nonces: { readonly nonceI: Bytes; readonly nonceR: Bytes },
  outbound: 'active' | 'standby',
  now: Millis,
): Agreed {
  const selected = checkSelected(made.proposals, findPayload(payloads, PAYLOAD.SA)!.proposals, {
    withoutGroups: made.group === undefined,
  });
  if (!selected.ok)
    return refused(policyRefused(`the peer chose what was not offered: ${selected.problem}`, REPORT_PEER));
  const { proposal } = selected;
  const spiOut = spiNumber(proposal.spi);
  if (spiOut === undefined) return refused(policyRefused('the peer gave no ESP SPI', REPORT_PEER));
  const narrowed = checkNarrowed(made.pair, selectorsOf(payloads, true));
  if (!narrowed.ok) return refused(selectorsRefused('us', narrowed.lines));
  const agreed = sharedSecret(made, proposal, payloads);
  if ('failure' in agreed) return refused(agreed.failure);
  const inputs: ChildInputs = {
    spiIn: made.spiIn,
    spiOut,
    suite: suiteOfChild(proposal),
    proposal,
    begunHere: true,
    ...nonces,
    shared: agreed.shared,
    pair: narrowed.pair,
    tfcPadding: !wantsNoTfc(payloads),
  };
  return { ok: true, child: installChild(sa, inputs, outbound, now) };
}

export type ChildAnswer =
  | { readonly ok: true; readonly child: Child; readonly payloads: readonly Payload[] }
  | { readonly ok: false; readonly notify: NotifyPayload; readonly failure: Failure | undefined };

export interface AnswerContext {
  readonly nonceI: Bytes;
  readonly nonceR: Bytes;
  /** Child of IKE_AUTH: no nonce, no KE of its own. */
  readonly first: boolean;
  /** What a rekeyed SA carries: the new one must not carry less (§2.9.2). */
  readonly inUse: SelectorPair | undefined;
  readonly outbound: 'active' | 'standby';
}

/** Answers the peer's offer in `payloads`: payloads to send, or the notification it is owed. */
export function answerOffer(sa: IkeSa, payloads: readonly Payload[], context: AnswerContext, now: Millis): ChildAnswer {
  const { child } = sa.connection!.config;
  const theirs = findPayload(payloads, PAYLOAD.SA)!.proposals;
  const ke = context.first ? undefined : findPayload(payloads, PAYLOAD.KE);
  const chosen = negotiate(child.proposals, theirs, {
    withoutGroups: context.first,
    ...(ke === undefined ? {} : { group: ke.group }),
  });
  if (!chosen.ok)
    return { ok: false, notify: notify(NOTIFY.NO_PROPOSAL_CHOSEN), failure: noProposal('ESP', 'us', chosen.lines) };
  const { proposal } = chosen;
  const spiOut = spiNumber(proposal.spi);
  if (spiOut === undefined) return { ok: false, notify: notify(NOTIFY.NO_PROPOSAL_CHOSEN), failure: undefined };
  const group = context.first ? undefined : groupOf(proposal);
  if (group !== undefined && ke?.group !== group)
    return { ok: false, notify: notify(NOTIFY.INVALID_KE_PAYLOAD, groupData(group)), failure: undefined };
  const narrowed = narrowPair(
    { local: child.local, remote: child.remote },
    selectorsOf(payloads, false),
    context.inUse,
  );
  if (!narrowed.ok)
    return { ok: false, notify: notify(NOTIFY.TS_UNACCEPTABLE), failure: selectorsRefused('us', narrowed.lines) };
  const keyPair = group === undefined ? undefined : groupById(group)!.generate(sa.env.random);
  const shared = keyPair === undefined ? undefined : parse(() => keyPair.agree(ke!.publicValue));
  if (shared?.ok === false) return { ok: false, notify: notify(NOTIFY.INVALID_SYNTAX), failure: undefined };
  const spiIn = sa.env.allocateSpi(sa.connection!.config);
  const made = installChild(
    sa,
    {
      spiIn,
      spiOut,
      suite: suiteOfChild(proposal),
      proposal,
      begunHere: false,
      nonceI: context.nonceI,
      nonceR: context.nonceR,
      shared: shared?.value,
      pair: narrowed.pair,
      tfcPadding: !wantsNoTfc(payloads),
    },
    context.outbound,
    now,
  );
  const answer: Payload[] = [{ type: PAYLOAD.SA, critical: false, proposals: [{ ...proposal, spi: spiBytes(spiIn) }] }];
  if (!context.first) answer.push({ type: PAYLOAD.NONCE, critical: false, nonce: context.nonceR });
  if (keyPair !== undefined)
    answer.push({ type: PAYLOAD.KE, critical: false, group: group!, publicValue: keyPair.publicValue });
  answer.push(...selectorPayloads(narrowed.pair, false));
  return { ok: true, child: made, payloads: answer };
}

export function reportChildUp(sa: IkeSa, child: Child, what: 'child-up' | 'child-rekeyed'): void {
  const verb = what === 'child-up' ? 'is up' : 'took over';
  sa.env.report('info', sa, what, `Child SA {${child.sa.id}} ${verb}: ${formatPair(child.sa)}, ${child.suiteText}`);
}

export const groupData = (group: number): Bytes => {
  const data = new Uint8Array(2);
  putU16(data, 0, group);
  return data;
};

/** The group an INVALID_KE_PAYLOAD asks for, in words. */
export function askedGroup({ data }: NotifyPayload): string {
  const id = data.length === 2 ? u16(data, 0) : 0;
  return groupById(id)?.word ?? `group ${id}`;
}

/** The group an INVALID_KE_PAYLOAD asks for, if `proposals` have it. */
export function demandedGroup(payload: NotifyPayload, proposals: readonly Proposal[]): number | undefined {
  if (payload.data.length !== 2) return undefined;
  const group = u16(payload.data, 0);
  const offered = proposals.some((p) => p.transforms.some((t) => t.type === TRANSFORM.KE && t.id === group));
  return offered && groupById(group) !== undefined ? group : undefined;
}

export const describeProposals = (proposals: readonly Proposal[]): string => proposals.map(formatProposal).join(', ');

type Shared = { readonly shared: Bytes | undefined } | { readonly failure: Failure };

function sharedSecret(made: ChildOffer, proposal: Proposal, payloads: readonly Payload[]): Shared {
  const group = made.group === undefined ? undefined : groupOf(proposal);
  if (group === undefined) return { shared: undefined };
  const ke = findPayload(payloads, PAYLOAD.KE);
  if (ke === undefined || ke.group !== made.group || group !== made.group) {
    return { failure: policyRefused('the key exchange in the answer is not the one that was offered', REPORT_PEER) };
  }
  const agreed = parse(() => made.keyPair!.agree(ke.publicValue));
  return agreed.ok ? { shared: agreed.value } : { failure: policyRefused(agreed.error.message, REPORT_PEER) };
}

const refused = (failure: Failure): Agreed => ({ ok: false, failure });

const REPORT_PEER = "this is a defect of the other end; capture the exchange and send it to the other end's maker";
