/**
 * Child SAs as the IKE SA sees them: made, put into use, replaced, removed. The keys go straight to ESP.
 *
 * Read first: RFC 7296 §1.3.3, §2.8 (who may send on a new SA when), §2.17 (KEYMAT).
 * Make before break: the end that asked for a rekey sends on the new SA at once and deletes the old one; the other end
 * receives on it at once and sends on it when the old one is deleted or traffic arrives. An inbound SA that was replaced
 * stays open for a moment after its deletion, for packets still under way.
 */
import { type Bytes, compareBytes, type Millis, putU32, u32 } from '../../core/index.ts';
import { formatSelector, type SelectorPair } from '../../ip/index.ts';
import type { ChildSa, ChildSuite, PacketSelector } from '../contract.ts';
import { NOTIFY, PAYLOAD, PROTOCOL } from '../iana.ts';
import { childKeys } from '../keys.ts';
import type { DeletePayload, NotifyPayload, Payload, TsPayload } from '../payload.ts';
import { findPayload } from '../payload.ts';
import { formatProposal, type Proposal } from '../proposal.ts';
import { offerSelectors } from '../selectors.ts';
import type { IkeSa } from './ike-sa.ts';

export interface Child {
  readonly sa: ChildSa;
  readonly suiteText: string;
  /** `standby`: receives, does not send yet. `removed`: ESP has it no more, the peer may. */
  phase: 'standby' | 'active' | 'removed';
  /** Whether we began the exchange that made it. */
  readonly begunHere: boolean;
  /** The lower nonce of that exchange: decides which of two redundant SAs goes (§2.8.1). */
  readonly lowestNonce: Bytes;
  /** Took this one's place; the old one awaits its DELETE. */
  successor: Child | undefined;
  /** We asked the peer to delete it, or are about to. */
  deleting: boolean;
  /** The peer refused its rekey for good. */
  refused: boolean;
  readonly installedAt: Millis;
  rekeyAt: Millis;
  expireAt: Millis;
  /** When a DELETE that the peer owes becomes ours to send. */
  owedAt: Millis;
}

export interface ChildInputs {
  readonly spiIn: number;
  readonly spiOut: number;
  readonly suite: ChildSuite;
  readonly proposal: Proposal;
  /** Whether we began the exchange that made it (decides which keys are whose, §2.17). */
  readonly begunHere: boolean;
  readonly nonceI: Bytes;
  readonly nonceR: Bytes;
  readonly shared: Bytes | undefined;
  readonly pair: SelectorPair;
  readonly tfcPadding: boolean;
}

/** Derives the keys and hands the SA to ESP. */
export function installChild(sa: IkeSa, inputs: ChildInputs, outbound: 'active' | 'standby', now: Millis): Child {
  const { env, connection } = sa;
  const config = connection!.config;
  const keys = childKeys(sa.suite!.prf, sa.keys!.skD, inputs.suite, inputs.nonceI, inputs.nonceR, inputs.shared);
  const ours = inputs.begunHere ? keys.initiator : keys.responder;
  const theirs = inputs.begunHere ? keys.responder : keys.initiator;
  const life = config.child.lifetimeSeconds * 1000;
  const child: Child = {
    sa: {
      connection: config.name,
      id: env.nextChildId(),
      ikeId: sa.id,
      spiIn: inputs.spiIn,
      spiOut: inputs.spiOut,
      suite: inputs.suite,
      keysIn: theirs,
      keysOut: ours,
      local: inputs.pair.local,
      remote: inputs.pair.remote,
      localEndpoint: sa.local,
      remoteEndpoint: sa.remote,
      udpEncapsulation: sa.udpEncapsulation,
      peerMoves: sa.peerMoves,
      tfcPadding: inputs.tfcPadding,
    },
    suiteText: formatProposal(inputs.proposal),
    phase: outbound,
    begunHere: inputs.begunHere,
    lowestNonce: lowerNonce(inputs.nonceI, inputs.nonceR),
    successor: undefined,
    deleting: false,
    refused: false,
    installedAt: now,
    rekeyAt: now + life * (0.8 + (0.1 * env.random(1)[0]!) / 256),
    expireAt: now + life,
    owedAt: Number.POSITIVE_INFINITY,
  };
  sa.children.add(child);
  env.emit({ do: 'install', child: child.sa, outbound });
  env.childUp(sa);
  return child;
}

export function activateChild(sa: IkeSa, child: Child): void {
  if (child.phase !== 'standby') return;
  child.phase = 'active';
  sa.env.emit({ do: 'activate', spiIn: child.sa.spiIn });
}

/** `old` was replaced by `child`: it is no longer rekeyed itself, and somebody owes its DELETE. */
export function succeed(sa: IkeSa, old: Child, child: Child, now: Millis): void {
  old.successor = child;
  old.rekeyAt = Number.POSITIVE_INFINITY;
  if (!old.deleting) old.owedAt = now + sa.giveUpMillis;
}

/** Nothing passes on it any more; the peer does not know yet. What took its place sends from now on. */
export function silenceChild(sa: IkeSa, child: Child, why: string): void {
  if (child.phase === 'removed') return;
  child.phase = 'removed';
  sa.env.emit({ do: 'remove', spiIn: child.sa.spiIn, why });
  const heir = heirOf(sa, child);
  if (heir !== undefined) activateChild(sa, heir);
}

/** Gone at once, for both ends. */
export function dropChild(sa: IkeSa, child: Child, why: string): void {
  if (!sa.children.delete(child)) return;
  silenceChild(sa, child, why);
  sa.env.freeSpi(child.sa.spiIn);
  sa.env.report('info', sa, 'child-down', `Child SA {${child.sa.id}} is down: ${why}`);
}

/** Deleted on the wire. Where others carry its traffic it still receives for a moment; its successor sends from now on. */
export function deleteChild(sa: IkeSa, child: Child, now: Millis, why: string): void {
  const heir = heirOf(sa, child);
  const replaced = heir !== undefined || twinsOf(sa, child).length > 0;
  if (!replaced || child.phase === 'removed') return dropChild(sa, child, why);
  if (!sa.children.delete(child)) return;
  if (heir !== undefined) activateChild(sa, heir);
  child.phase = 'removed';
  sa.env.drain(child.sa.spiIn, now, why);
}

/** What took its place and is still there: the one that sends already, else the next in line. */
function heirOf(sa: IkeSa, child: Child): Child | undefined {
  const line: Child[] = [];
  for (let heir = child.successor; heir !== undefined; heir = heir.successor)
    if (sa.children.has(heir)) line.push(heir);
  return line.find((heir) => heir.phase === 'active') ?? line[0];
}

/** Others that carry the same traffic and are to stay. */
export const twinsOf = (sa: IkeSa, child: Child): Child[] =>
  [...sa.children].filter(
    (other) =>
      other !== child &&
      !other.deleting &&
      other.phase !== 'removed' &&
      other.successor === undefined &&
      formatPair(other.sa) === formatPair(child.sa),
  );

/** Whether `packet` has a Child SA to go by; without a packet, whether there is any at all. */
export const carries = (sa: IkeSa, packet: PacketSelector | undefined): boolean =>
  [...sa.children].some(
    (child) => !child.deleting && child.phase !== 'removed' && (packet === undefined || admits(child.sa, packet)),
  );

/** Whether `packet` is within a pair of selectors. */
export const admits = (pair: SelectorPair, packet: PacketSelector): boolean =>
  offerSelectors(pair, packet).local.length > pair.local.length;

export const childByOutbound = (sa: IkeSa, spi: number): Child | undefined =>
  [...sa.children].find((child) => child.sa.spiOut === spi);

export const childByInbound = (sa: IkeSa, spi: number): Child | undefined =>
  [...sa.children].find((child) => child.sa.spiIn === spi);

/** `10.1.0.0/24 === 10.2.0.0/24`, as everybody writes it. */
export const formatPair = (pair: SelectorPair): string =>
  `${pair.local.map(formatSelector).join(' ')} === ${pair.remote.map(formatSelector).join(' ')}`;

export const lowerNonce = (a: Bytes, b: Bytes): Bytes => (compareBytes(a, b) <= 0 ? a : b);

export const spiBytes = (spi: number): Bytes => {
  const out = new Uint8Array(4);
  putU32(out, 0, spi);
  return out;
};

/** The SPI of an ESP proposal or notification; undefined where it is not one. */
export const spiNumber = (spi: Bytes): number | undefined =>
  spi.length === 4 && u32(spi, 0) !== 0 ? u32(spi, 0) : undefined;

export const deletePayload = (spis: readonly number[]): DeletePayload => ({
  type: PAYLOAD.DELETE,
  critical: false,
  protocol: PROTOCOL.ESP,
  spiSize: 4,
  spis: spis.map(spiBytes),
});

export const notify = (
  type: number,
  data: Bytes = new Uint8Array(0),
  about?: { protocol: number; spi: Bytes },
): NotifyPayload => ({
  type: PAYLOAD.NOTIFY,
  critical: false,
  protocol: about?.protocol ?? 0,
  spi: about?.spi ?? new Uint8Array(0),
  notify: type,
  data,
});

/** TSi and TSr of a pair, from the side of who began the exchange. */
export function selectorPayloads(pair: SelectorPair, begunHere: boolean): [TsPayload, TsPayload] {
  const [tsi, tsr] = begunHere ? [pair.local, pair.remote] : [pair.remote, pair.local];
  return [
    { type: PAYLOAD.TSI, critical: false, selectors: tsi, unknown: [] },
    { type: PAYLOAD.TSR, critical: false, selectors: tsr, unknown: [] },
  ];
}

/** The pair in a message's TSi and TSr; the cardinality table has made sure both are there. */
export function selectorsOf(payloads: readonly Payload[], begunHere: boolean): SelectorPair {
  const tsi = findPayload(payloads, PAYLOAD.TSI)?.selectors ?? [];
  const tsr = findPayload(payloads, PAYLOAD.TSR)?.selectors ?? [];
  return begunHere ? { local: tsi, remote: tsr } : { local: tsr, remote: tsi };
}

export const wantsNoTfc = (payloads: readonly Payload[]): boolean =>
  payloads.some((p) => p.type === PAYLOAD.NOTIFY && 'notify' in p && p.notify === NOTIFY.ESP_TFC_PADDING_NOT_SUPPORTED);
