/**
 * What the virtual switch reads and writes inside a frame: Ethernet header, ARP, neighbour solicitation and advertisement.
 *
 * Read first: RFC 826, RFC 5227 §2 (probes), RFC 4861 §4.3, §4.4, §4.6.1, §7.1, IEEE 802.3 §3.1.1.
 * `start` is the Ethernet header; `at` what stands behind it. After `checkFrame` passed, the Ethernet header and the fixed
 * IP header of the EtherType, or the ARP message, are within the frame.
 * Deliberate limit: nothing but IPv4, IPv6 and ARP, because lookup records are about IP addresses.
 */
import type { Bytes } from '../core/index.ts';
import { putU16, u16, u32 } from '../core/index.ts';
import {
  ARP_LENGTH,
  ARP_OPERATION,
  arpOperation,
  DROP,
  ETHER_TYPE,
  ETHERNET_HEADER,
  etherType as etherTypeOf,
  fillTransportChecksum,
  ICMPV6_TYPE,
  IP_PROTOCOL,
  IPV4_HEADER,
  IPV6_HEADER,
  ipv6IsMulticastAt,
  ipv6IsUnspecifiedAt,
  ipv6NextHeader,
  ipv6PayloadLength,
  MAC_LENGTH,
  PASS,
  type Packet,
  setIpv6PayloadLength,
  transportChecksumHolds,
} from '../ip/index.ts';

export {
  ETHER_TYPE,
  ETHERNET_HEADER,
  etherType as etherTypeOf,
  MAC_LENGTH,
  macIsGroup as isGroupMac,
} from '../ip/index.ts';

export const destinationMacAt = (start: number): number => start;
export const sourceMacAt = (start: number): number => start + MAC_LENGTH;
/** IEEE 802.1Q: a customer or a service tag. */
export const isVlanTag = (etherType: number): boolean =>
  etherType === ETHER_TYPE.vlan || etherType === ETHER_TYPE.serviceVlan;

/** A MAC address as two numbers: its first two octets, and the other four as a signed word. */
export const macHigh = (b: Bytes, at: number): number => u16(b, at);
export const macLow = (b: Bytes, at: number): number => u32(b, at + 2) | 0;

export function writeMacs(b: Bytes, start: number, destination: Bytes, source: Bytes): void {
  for (let i = 0; i < MAC_LENGTH; i++) {
    b[start + i] = destination[i]!;
    b[start + MAC_LENGTH + i] = source[i]!;
  }
}

/** PASS, or why the switch carries no such frame. */
export function checkFrame(buf: Bytes, start: number, end: number): number {
  const length = end - start - ETHERNET_HEADER;
  if (length < 0) return DROP.short;
  switch (etherTypeOf(buf, start)) {
    case ETHER_TYPE.ipv4:
      if (length < IPV4_HEADER) return DROP.short;
      return buf[start + ETHERNET_HEADER]! >>> 4 === 4 ? PASS : DROP.version;
    case ETHER_TYPE.ipv6:
      if (length < IPV6_HEADER) return DROP.short;
      return buf[start + ETHERNET_HEADER]! >>> 4 === 6 ? PASS : DROP.version;
    case ETHER_TYPE.arp:
      return checkArp(buf, start + ETHERNET_HEADER, end);
    case ETHER_TYPE.vlan:
    case ETHER_TYPE.serviceVlan:
      return DROP.vlanTag;
    default:
      return DROP.etherType;
  }
}

/*
 * ARP for Ethernet and IPv4, RFC 826:
 *   hardware 1 (2) | protocol 0x0800 (2) | 6 (1) | 4 (1) | operation (2) | sender MAC (6), address (4) | target MAC (6), address (4)
 */
export { ARP_LENGTH, ARP_OPERATION, arpOperation, arpSenderMacAt } from '../ip/index.ts';

export const arpSenderAt = (at: number): number => at + 14;
export const arpTargetAt = (at: number): number => at + 24;

function checkArp(buf: Bytes, at: number, end: number): number {
  if (end - at < ARP_LENGTH) return DROP.short;
  const known = u32(buf, at) === 0x00010800 && u16(buf, at + 4) === 0x0604;
  const operation = arpOperation(buf, at);
  return known && (operation === ARP_OPERATION.request || operation === ARP_OPERATION.reply)
    ? PASS
    : DROP.neighbourMessage;
}

/** Turns the request in the frame into the reply that its target, `mac`, would give. */
export function answerArp(frame: Packet, mac: Bytes): void {
  const { buf, start } = frame;
  const at = start + ETHERNET_HEADER;
  putU16(buf, at + 6, ARP_OPERATION.reply);
  for (let i = 0; i < 4; i++) {
    const asked = buf[at + 24 + i]!;
    buf[at + 24 + i] = buf[at + 14 + i]!;
    buf[at + 14 + i] = asked;
  }
  for (let i = 0; i < MAC_LENGTH; i++) {
    const asker = buf[at + 8 + i]!;
    buf[at + 18 + i] = asker;
    buf[at + 8 + i] = mac[i]!;
    buf[start + i] = asker;
    buf[start + MAC_LENGTH + i] = mac[i]!;
  }
}

/*
 * Neighbour discovery, RFC 4861 §4.3 and §4.4, directly behind an IPv6 header:
 *   type (1) | code 0 (1) | checksum (2) | R S O and reserved (4) | target (16) | options: type (1), length in 8 octets (1) ...
 */
const ND_FIXED = 24;
const OPTION = { sourceLinkLayer: 1, targetLinkLayer: 2 } as const;
const FLAG = { router: 0x80, solicited: 0x40, override: 0x20 } as const;

/** The target of a solicitation or advertisement whose IPv6 header stands at `ip`. */
export const neighbourTargetAt = (ip: number): number => ip + IPV6_HEADER + 8;
export const isSolicitation = (b: Bytes, ip: number): boolean =>
  b[ip + IPV6_HEADER] === ICMPV6_TYPE.neighborSolicitation;

/** Whether the IPv6 packet at `ip` is a neighbour solicitation or advertisement. */
export function isNeighbourMessage(buf: Bytes, ip: number, end: number): boolean {
  if (ipv6NextHeader(buf, ip) !== IP_PROTOCOL.icmpv6 || end - ip <= IPV6_HEADER) return false;
  const type = buf[ip + IPV6_HEADER]!;
  return type === ICMPV6_TYPE.neighborSolicitation || type === ICMPV6_TYPE.neighborAdvertisement;
}

/** ff02::1:ff00:0/104: where only solicitations go. */
export const isSolicitedNode = (b: Bytes, at: number): boolean =>
  u32(b, at) === 0xff020000 && u32(b, at + 4) === 0 && u32(b, at + 8) === 1 && b[at + 12] === 0xff;

/**
 * RFC 4861 §7.1.1 and §7.1.2: PASS; DROP.neighbourMessage; DROP.spoofed when it names another MAC address than that of the
 * frame it came in. A checksum that is still owed (`partial`) is not looked at.
 */
export function checkNeighbourMessage({ buf, start, end, partial }: Packet): number {
  const ip = start + ETHERNET_HEADER;
  const at = ip + IPV6_HEADER;
  const last = at + ipv6PayloadLength(buf, ip);
  if (last > end || last - at < ND_FIXED) return DROP.neighbourMessage;
  if (buf[ip + 7] !== 255 || buf[at + 1] !== 0 || ipv6IsMulticastAt(buf, at + 8)) return DROP.neighbourMessage;
  if (!partial && !transportChecksumHolds(buf, ip, at, last, IP_PROTOCOL.icmpv6)) return DROP.neighbourMessage;
  const probing = ipv6IsUnspecifiedAt(buf, ip + 8);
  const solicits = isSolicitation(buf, ip);
  if (probing && (!solicits || !isSolicitedNode(buf, ip + 24))) return DROP.neighbourMessage;
  const naming = solicits ? OPTION.sourceLinkLayer : OPTION.targetLinkLayer;
  for (let option = at + ND_FIXED; option < last; ) {
    const length = option + 1 < last ? buf[option + 1]! << 3 : 0;
    if (length === 0 || option + length > last) return DROP.neighbourMessage;
    if (buf[option] === naming) {
      if (probing) return DROP.neighbourMessage;
      if (!sameMac(buf, option + 2, sourceMacAt(start))) return DROP.spoofed;
    }
    option += length;
  }
  return PASS;
}

/** Turns the solicitation in the frame into the advertisement its target, `mac`, would give (RFC 4861 §7.2.4). */
export function answerSolicitation(frame: Packet, mac: Bytes, isRouter: boolean): void {
  const { buf, start } = frame;
  const ip = start + ETHERNET_HEADER;
  const at = ip + IPV6_HEADER;
  const probing = ipv6IsUnspecifiedAt(buf, ip + 8);
  for (let i = 0; i < 16; i++) {
    buf[ip + 24 + i] = probing ? ALL_NODES[i]! : buf[ip + 8 + i]!;
    buf[ip + 8 + i] = buf[at + 8 + i]!;
  }
  for (let i = 0; i < MAC_LENGTH; i++) {
    buf[start + i] = probing ? ALL_NODES_MAC[i]! : buf[start + MAC_LENGTH + i]!;
    buf[start + MAC_LENGTH + i] = mac[i]!;
    buf[at + ND_FIXED + 2 + i] = mac[i]!;
  }
  buf[at] = ICMPV6_TYPE.neighborAdvertisement;
  buf[at + 4] = (isRouter ? FLAG.router : 0) | (probing ? 0 : FLAG.solicited) | FLAG.override;
  buf.fill(0, at + 5, at + 8);
  buf[at + ND_FIXED] = OPTION.targetLinkLayer;
  buf[at + ND_FIXED + 1] = 1;
  setIpv6PayloadLength(buf, ip, ND_FIXED + 8);
  frame.end = at + ND_FIXED + 8;
  frame.partial = false;
  fillTransportChecksum(buf, ip, at, frame.end, IP_PROTOCOL.icmpv6);
}

function sameMac(b: Bytes, one: number, other: number): boolean {
  return macHigh(b, one) === macHigh(b, other) && macLow(b, one) === macLow(b, other);
}

const ALL_NODES: Bytes = Uint8Array.of(0xff, 2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1);
const ALL_NODES_MAC: Bytes = Uint8Array.of(0x33, 0x33, 0, 0, 0, 1);
