/**
 * Neighbour discovery for IPv6 over Ethernet: solicitations and advertisements as views on (buffer, offset of the ICMPv6 message),
 * the check of every message of its kind, and writers of whole packets.
 *
 * Read first: RFC 4861 §4.3–4.6 (formats), §6.1, §7.1 and §8.1 (validation), RFC 2464 §6 (link-layer addresses), RFC 4291 §2.7.1
 * (solicited-node groups), RFC 6980 §5 (no fragments; `fragmentHeader` of the upper layer tells the caller).
 * Router solicitations, router advertisements and redirects are recognised and checked as far as that needs no state.
 * Deliberate limits: options other than link-layer addresses are passed over; no SEND (RFC 3971).
 */
import type { Bytes } from '../core/index.ts';
import { putU16 } from '../core/index.ts';
import type { Address } from './address.ts';
import { fillTransportChecksum, transportChecksum } from './checksum.ts';
import { copyMac, MAC_LENGTH, macNamesOneStation } from './ethernet.ts';
import { ICMPV6_TYPE, IP_PROTOCOL, ND_OPTION } from './iana.ts';
import {
  IPV6_HEADER,
  ipv6DestinationAt,
  ipv6HopLimit,
  ipv6IsLinkLocalAt,
  ipv6IsMulticastAt,
  ipv6IsUnspecifiedAt,
  ipv6SourceAt,
  writeIpv6Header,
} from './ipv6.ts';
import { DROP, PASS } from './verdict.ts';

/** Of the third word of an advertisement (RFC 4861 §4.4). */
export const ND_FLAG = { router: 0x80, solicited: 0x40, override: 0x20 } as const;
/** The hop limit of every message: no router was between. */
export const ND_HOP_LIMIT = 255;
/** Octets of the packets that are written here: IPv6 header, 24 octets, one link-layer address. */
export const ND_PACKET = IPV6_HEADER + 32;

export const ALL_NODES: Address = Uint8Array.of(0xff, 2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1);
export const UNSPECIFIED: Address = new Uint8Array(16);

/** Router solicitation to redirect. */
export const isNeighbourDiscovery = (type: number): boolean =>
  type >= ICMPV6_TYPE.routerSolicitation && type <= ICMPV6_TYPE.redirect;

/** Of solicitations, advertisements and redirects: the offset of the address they are about. */
export const ndTargetAt = (o: number): number => o + 8;
/** Of advertisements: ND_FLAG bits. */
export const ndFlags = (b: Bytes, o: number): number => b[o + 4]!;

/** Offset of the MAC address in the first option of that type of the checked message in buf[at, end); -1 without one. */
export function ndLinkLayerAt(buf: Bytes, at: number, end: number, option: number): number {
  for (let o = at + (OPTIONS_AT[buf[at]! - FIRST_TYPE] ?? end); o + 8 <= end; o += buf[o + 1]! << 3) {
    if (buf[o] === option) return o + 2;
  }
  return -1;
}

/**
 * PASS, or why nobody may believe the message in buf[at, end) of the IPv6 packet at `ip`, which may be of any type of
 * neighbour discovery and is no fragment. After PASS its accessors are in bounds.
 */
export function checkNeighbourDiscovery(buf: Bytes, ip: number, at: number, end: number): number {
  if (at >= end || !isNeighbourDiscovery(buf[at]!)) return DROP.neighbourMessage;
  const type = buf[at]!;
  const options = at + OPTIONS_AT[type - FIRST_TYPE]!;
  if (options > end || buf[at + 1] !== 0 || ipv6HopLimit(buf, ip) !== ND_HOP_LIMIT) return DROP.neighbourMessage;
  if (transportChecksum(buf, ip, at, end, IP_PROTOCOL.icmpv6) !== 0) return DROP.checksum;
  if (!optionsHold(buf, options, end) || !addressesHold(buf, ip, at, end)) return DROP.neighbourMessage;
  return PASS;
}

/** ff02::1:ff00:0/104 and the last 24 bits of the address at `from`. */
export function solicitedNode(address: Bytes, from = 0): Address {
  return Uint8Array.of(0xff, 2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0xff, ...address.subarray(from + 13, from + 16));
}

/** Writes a packet of ND_PACKET octets that asks `destination`, the target itself or its solicited-node group. */
export function writeNeighbourSolicitation(
  buf: Bytes,
  at: number,
  source: Address,
  destination: Address,
  target: Address,
  mac: Bytes,
): void {
  const type = ICMPV6_TYPE.neighborSolicitation;
  writeMessage(buf, at, type, 0, source, destination, target, ND_OPTION.sourceLinkLayerAddress, mac);
}

/** Writes a packet of ND_PACKET octets that says where `target` is. */
export function writeNeighbourAdvertisement(
  buf: Bytes,
  at: number,
  flags: number,
  source: Address,
  destination: Address,
  target: Address,
  mac: Bytes,
): void {
  const type = ICMPV6_TYPE.neighborAdvertisement;
  writeMessage(buf, at, type, flags, source, destination, target, ND_OPTION.targetLinkLayerAddress, mac);
}

function writeMessage(
  buf: Bytes,
  ip: number,
  type: number,
  flags: number,
  source: Address,
  destination: Address,
  target: Address,
  option: number,
  mac: Bytes,
): void {
  const at = ip + IPV6_HEADER;
  const end = ip + ND_PACKET;
  writeIpv6Header(buf, ip, end - at, 0, 0, IP_PROTOCOL.icmpv6, ND_HOP_LIMIT, source, destination);
  putU16(buf, at, type << 8);
  buf.fill(0, at + 2, at + 8);
  buf[at + 4] = flags;
  buf.set(target, at + 8);
  buf[at + 24] = option;
  buf[at + 25] = 1;
  copyMac(mac, 0, buf, at + 26);
  fillTransportChecksum(buf, ip, at, end, IP_PROTOCOL.icmpv6);
}

const FIRST_TYPE = ICMPV6_TYPE.routerSolicitation;
/** Where the options begin: solicitation and advertisement of routers, of neighbours, redirect. */
const OPTIONS_AT: readonly number[] = [8, 16, 24, 24, 40];

/** Each has a length, and one of Ethernet's where it is a link-layer address of one station. */
function optionsHold(buf: Bytes, from: number, end: number): boolean {
  let at = from;
  while (at + 8 <= end) {
    const length = buf[at + 1]! << 3;
    const type = buf[at];
    if (length === 0) return false;
    if (type === ND_OPTION.sourceLinkLayerAddress || type === ND_OPTION.targetLinkLayerAddress) {
      if (length !== 2 + MAC_LENGTH || !macNamesOneStation(buf, at + 2)) return false;
    }
    at += length;
  }
  return at === end;
}

/** RFC 4861 §6.1.1, §6.1.2, §7.1.1, §7.1.2, §8.1: who may send what to whom. */
function addressesHold(buf: Bytes, ip: number, at: number, end: number): boolean {
  const source = ipv6SourceAt(ip);
  const destination = ipv6DestinationAt(ip);
  const target = ndTargetAt(at);
  const hasNoSource = ipv6IsUnspecifiedAt(buf, source);
  switch (buf[at]) {
    case ICMPV6_TYPE.routerSolicitation:
      return !hasNoSource || ndLinkLayerAt(buf, at, end, ND_OPTION.sourceLinkLayerAddress) < 0;
    case ICMPV6_TYPE.neighborSolicitation:
      if (ipv6IsMulticastAt(buf, target)) return false;
      if (!hasNoSource) return true;
      return isSolicitedNode(buf, destination) && ndLinkLayerAt(buf, at, end, ND_OPTION.sourceLinkLayerAddress) < 0;
    case ICMPV6_TYPE.neighborAdvertisement:
      if (ipv6IsMulticastAt(buf, target) || hasNoSource) return false;
      return !ipv6IsMulticastAt(buf, destination) || (ndFlags(buf, at) & ND_FLAG.solicited) === 0;
    case ICMPV6_TYPE.redirect:
      return ipv6IsLinkLocalAt(buf, source) && !ipv6IsMulticastAt(buf, at + 24);
    default:
      return ipv6IsLinkLocalAt(buf, source);
  }
}

function isSolicitedNode(buf: Bytes, at: number): boolean {
  for (let i = 0; i < 13; i++) if (buf[at + i] !== SOLICITED_NODE[i]) return false;
  return true;
}

const SOLICITED_NODE = solicitedNode(UNSPECIFIED);
