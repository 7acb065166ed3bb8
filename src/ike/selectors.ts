/**
 * Traffic selectors of IKE: their octets, and what a responder makes of an offer.
 *
 * Read first: RFC 7296 §2.9 (negotiation), §2.9.2 (rekeying), §3.13 (format); RFC 4301 §4.4.1.1 (ports, OPAQUE).
 * Set arithmetic and text of single selectors stand in `ip/selector.ts`.
 * Deliberate limits: an answer holds at most `MAX_NARROWED` selectors a side; ADDITIONAL_TS_POSSIBLE is never sent.
 * Invariants: what `narrow` gives is within the offer and within the configuration, and without the limit it is all that is.
 */
import type { Reader, Writer } from '../core/index.ts';
import {
  type Address,
  ANY_PORTS,
  containsSelector,
  formatSelectors,
  IP_PROTOCOL,
  intersect,
  type PortRange,
  type SelectorPair,
  type TrafficSelector,
} from '../ip/index.ts';
import type { PacketSelector } from './contract.ts';
import { TS_TYPE } from './iana.ts';
import type { UnknownSelector } from './payload.ts';

/** An ordinary policy has a handful a side; the octet that counts them allows 255. */
export const MAX_NARROWED = 128;

export type Narrowed =
  | { readonly ok: true; readonly pair: SelectorPair }
  /** What was offered against what is configured, for people. The peer is owed TS_UNACCEPTABLE. */
  | { readonly ok: false; readonly lines: readonly string[] };

/**
 * All that `configured` and `offered` have in common, in the order of the offer: the part of its first selector comes
 * first, so that a packet named there gets through (§2.9). Empty when they are disjoint.
 */
export function narrow(configured: readonly TrafficSelector[], offered: readonly TrafficSelector[]): TrafficSelector[] {
  let out: TrafficSelector[] = [];
  for (const theirs of offered) {
    for (const ours of configured) {
      const common = intersect(theirs, ours);
      if (common === undefined || out.some((kept) => containsSelector(kept, common))) continue;
      out = out.filter((kept) => !containsSelector(common, kept));
      out.push(common);
      if (out.length === MAX_NARROWED) return out;
    }
  }
  return out;
}

/**
 * A responder's answer; `local` and `remote` as seen from here on both arguments. With `inUse`, the selectors of the SA that
 * is being rekeyed, the answer must not end below them (§2.9.2).
 */
export function narrowPair(configured: SelectorPair, offered: SelectorPair, inUse?: SelectorPair): Narrowed {
  const local = narrow(configured.local, offered.local);
  const remote = narrow(configured.remote, offered.remote);
  const lines = [
    ...(local.length === 0 ? explainDisjoint('local', configured.local, offered.local) : []),
    ...(remote.length === 0 ? explainDisjoint('remote', configured.remote, offered.remote) : []),
  ];
  if (lines.length > 0) return { ok: false, lines };
  const pair = sameFamilies({ local, remote });
  if (pair.local.length === 0) {
    const problem = `local ${formatSelectors(local)} and remote ${formatSelectors(remote)} have no address family in common`;
    return { ok: false, lines: [problem] };
  }
  if (inUse !== undefined) {
    const lost = [...uncovered('local', pair.local, inUse.local), ...uncovered('remote', pair.remote, inUse.remote)];
    if (lost.length > 0) return { ok: false, lines: lost };
  }
  return { ok: true, pair };
}

/** An initiator's check of an answer: something on both sides, and all of it within what was offered. */
export function checkNarrowed(offered: SelectorPair, selected: SelectorPair): Narrowed {
  const lines: string[] = [];
  for (const side of ['local', 'remote'] as const) {
    const beyond = selected[side].filter((s) => !offered[side].some((o) => containsSelector(o, s)));
    if (selected[side].length === 0) lines.push(`${side}: the answer holds no selector that is understood here`);
    if (beyond.length > 0) {
      lines.push(
        `${side}: the answer holds ${formatSelectors(beyond)}, beyond the offered ${formatSelectors(offered[side])}`,
      );
    }
  }
  return lines.length === 0 ? { ok: true, pair: selected } : { ok: false, lines };
}

/** What to offer: the configuration, and in front of it the packet that asked for the tunnel (§2.9), if it is within. */
export function offerSelectors(configured: SelectorPair, packet: PacketSelector | undefined): SelectorPair {
  if (packet === undefined) return configured;
  const local = packetSelector(packet.source, packet.protocol, packet.sourcePort);
  const remote = packetSelector(packet.destination, packet.protocol, packet.destinationPort);
  const within =
    configured.local.some((s) => containsSelector(s, local)) &&
    configured.remote.some((s) => containsSelector(s, remote));
  if (!within) return configured;
  return { local: [local, ...configured.local], remote: [remote, ...configured.remote] };
}

/** One line: offered against configured. */
export function explainDisjoint(
  side: 'local' | 'remote',
  configured: readonly TrafficSelector[],
  offered: readonly TrafficSelector[],
): string[] {
  return [`${side}: offered ${summary(offered)}, configured ${summary(configured)}: nothing in common`];
}

/* TS payload body, RFC 7296 §3.13:  number (1) | RESERVED (3) | selectors
 * §3.13.1:  type (1) | protocol (1) | length (2) | start port (2) | end port (2) | start address | end address */
export function decodeSelectors(r: Reader): { selectors: TrafficSelector[]; unknown: UnknownSelector[] } {
  const count = r.u8('ts.count');
  r.skip(3, 'ts.reserved');
  const selectors: TrafficSelector[] = [];
  const unknown: UnknownSelector[] = [];
  for (let i = 0; i < count; i++) {
    const type = r.u8('ts.type');
    const protocol = r.u8('ts.protocol');
    const length = r.u16('ts.length');
    if (length < 4) r.fail('ts.length', `${length} octets are less than a selector's header`);
    const body = r.sub('ts', length - 4);
    const addressLength = ADDRESS_LENGTH.get(type);
    if (addressLength === undefined) unknown.push({ type, protocol, data: body.rest() });
    else {
      const startPort = body.u16('ts.startPort');
      const endPort = body.u16('ts.endPort');
      const start = body.bytes('ts.start', addressLength);
      const end = body.bytes('ts.end', addressLength);
      body.done('ts');
      selectors.push({ protocol, startPort, endPort, start, end });
    }
  }
  return { selectors, unknown };
}

export function encodeSelectors(
  w: Writer,
  selectors: readonly TrafficSelector[],
  unknown: readonly UnknownSelector[],
): void {
  w.u8(selectors.length + unknown.length);
  w.zeros(3);
  for (const { protocol, startPort, endPort, start, end } of selectors) {
    w.u8(start.length === 4 ? TS_TYPE.IPV4_ADDR_RANGE : TS_TYPE.IPV6_ADDR_RANGE);
    w.u8(protocol);
    w.counted16(() => {
      w.u16(startPort);
      w.u16(endPort);
      w.bytes(start);
      w.bytes(end);
    }, 4);
  }
  for (const { type, protocol, data } of unknown) {
    w.u8(type);
    w.u8(protocol);
    w.counted16(() => w.bytes(data), 4);
  }
}

/** Both sides without the families the other side lacks: no packet has two. */
function sameFamilies({ local, remote }: SelectorPair): SelectorPair {
  const shared = (side: readonly TrafficSelector[], other: readonly TrafficSelector[]) =>
    side.filter((s) => other.some((o) => o.start.length === s.start.length));
  return { local: shared(local, remote), remote: shared(remote, local) };
}

function uncovered(
  side: 'local' | 'remote',
  answer: readonly TrafficSelector[],
  inUse: readonly TrafficSelector[],
): string[] {
  const lost = inUse.filter((s) => !answer.some((a) => containsSelector(a, s)));
  return lost.length === 0 ? [] : [`${side}: the rekey would lose ${summary(lost)}, which the SA in use carries`];
}

/** Exactly what the packet shows; of ICMP any type, because its answer has another one. */
function packetSelector(address: Address, protocol: number, port: number): TrafficSelector {
  const ports: PortRange = HAS_PORTS.has(protocol) ? { startPort: port, endPort: port } : ANY_PORTS;
  return { protocol, ...ports, start: address, end: address };
}

function summary(selectors: readonly TrafficSelector[]): string {
  const more = selectors.length - MAX_SHOWN;
  return more > 0 ? `${formatSelectors(selectors.slice(0, MAX_SHOWN))} and ${more} more` : formatSelectors(selectors);
}

const ADDRESS_LENGTH: ReadonlyMap<number, number> = new Map([
  [TS_TYPE.IPV4_ADDR_RANGE, 4],
  [TS_TYPE.IPV6_ADDR_RANGE, 16],
]);
const HAS_PORTS: ReadonlySet<number> = new Set([
  IP_PROTOCOL.tcp,
  IP_PROTOCOL.udp,
  IP_PROTOCOL.dccp,
  IP_PROTOCOL.sctp,
  IP_PROTOCOL.udpLite,
]);
/** Selectors that an explanation names. */
const MAX_SHOWN = 8;
