/**
 * The NVGRE frame: a GRE header with a key, and behind it an Ethernet frame of a virtual subnet without its FCS.
 *
 * Read first: RFC 7637 §3.2 (the frame), §3.3 (inner tags), §3.4 (reserved VSIDs), RFC 2784 §2, RFC 2890 §2.1, RFC 8086
 * (the same GRE in UDP). Leaves to others: the outer headers, and cutting what is too long for them.
 * Deliberate limits: no checksum and no sequence number, which RFC 7637 §3.2 says should not be sent: frames with them are
 * refused. Frames with an inner tag are refused in both directions, none is stripped.
 * After `checkNvgre` passed, the accessors and the Ethernet header are within the packet.
 */
import type { Bytes } from '../core/index.ts';
import { putU16, putU32, u16, u32 } from '../core/index.ts';
import {
  DROP,
  findUpperLayer,
  IP_PROTOCOL,
  IPV4_HEADER,
  IPV6_HEADER,
  newUpperLayer,
  PASS,
  type Packet,
} from '../ip/index.ts';
import { ETHER_TYPE, ETHERNET_HEADER, etherTypeOf, isVlanTag } from './inner.ts';

/*
 *   0                   1                   2                   3
 *   0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1
 *  |0|0|1|0|      Reserved0      |Ver|    Protocol Type 0x6558     |
 *  |           Virtual Subnet ID (VSID)            |    FlowID     |
 *  |  Ethernet frame ...
 */
export const NVGRE_HEADER = 8;
export const GRE_KEY_PRESENT = 0x2000;
/** Transparent Ethernet bridging. */
export const GRE_PROTOCOL_ETHERNET = 0x6558;
/** Destination port of GRE in UDP (RFC 8086). */
export const GRE_IN_UDP_PORT = 4754;

/** RFC 7637 §3.4: 0 to 0xFFF are reserved, 0xFFFFFF is between endpoints of one vendor. */
export const VSID_MIN = 0x001000;
export const VSID_MAX = 0xfffffe;

export const isVsid = (vsid: number): boolean => vsid >= VSID_MIN && vsid <= VSID_MAX;

export const vsidOf = (b: Bytes, o: number): number => (b[o + 4]! << 16) | (b[o + 5]! << 8) | b[o + 6]!;
export const flowIdOf = (b: Bytes, o: number): number => b[o + 7]!;

/** PASS, or why buf[start, end) is no NVGRE frame with room for an untagged Ethernet header. */
export function checkNvgre(buf: Bytes, start: number, end: number): number {
  if (end - start < NVGRE_HEADER) return DROP.gre;
  if ((u16(buf, start) & DECISIVE_BITS) !== GRE_KEY_PRESENT) return DROP.gre;
  if (u16(buf, start + 2) !== GRE_PROTOCOL_ETHERNET) return DROP.gre;
  if (!isVsid(vsidOf(buf, start))) return DROP.vsid;
  if (end - start < NVGRE_HEADER + ETHERNET_HEADER) return DROP.short;
  return isVlanTag(etherTypeOf(buf, start + NVGRE_HEADER)) ? DROP.vlanTag : PASS;
}

/** Writes the header in front of the Ethernet frame that the packet holds: PASS, or DROP.noRoom. */
export function encapsulate(packet: Packet, vsid: number, flowId: number): number {
  if (packet.start < NVGRE_HEADER) return DROP.noRoom;
  packet.start -= NVGRE_HEADER;
  const { buf, start } = packet;
  putU16(buf, start, GRE_KEY_PRESENT);
  putU16(buf, start + 2, GRE_PROTOCOL_ETHERNET);
  putU32(buf, start + 4, ((vsid << 8) | flowId) >>> 0);
  return PASS;
}

/** Leaves the Ethernet frame of a packet that `checkNvgre` passed. */
export function decapsulate(packet: Packet): void {
  packet.start += NVGRE_HEADER;
}

/**
 * The FlowID of the Ethernet frame in buf[start, end), 8 bits (RFC 7637 §3.2, §4.1): of addresses, protocol and ports; of a
 * fragment by its addresses, so that all fragments of a datagram have one; of what is not IP by its MAC addresses. Both
 * directions of a flow have the same, and routing between virtual subnets does not change it.
 */
export function flowIdFor(buf: Bytes, start: number, end: number): number {
  const ip = start + ETHERNET_HEADER;
  const type = etherTypeOf(buf, start);
  const isIp = type === ETHER_TYPE.ipv4 || type === ETHER_TYPE.ipv6;
  if (!isIp || findUpperLayer(buf, ip, end, upper) !== PASS)
    return octet(pair(hash32(buf, start), hash32(buf, start + 6)));
  let hash = 0;
  if (type === ETHER_TYPE.ipv4) hash = pair(u32(buf, ip + 12), u32(buf, ip + 16));
  else for (let i = 8; i < 24; i += 4) hash = mix(hash ^ pair(u32(buf, ip + i), u32(buf, ip + 16 + i)));
  if (upper.fragmentOffset !== 0 || upper.moreFragments) return octet(hash);
  hash = mix(hash ^ upper.protocol);
  return octet(
    showsPorts(upper.protocol) && upper.at + 4 <= upper.end
      ? hash ^ pair(u16(buf, upper.at), u16(buf, upper.at + 2))
      : hash,
  );
}

/** What carries NVGRE through the fabric: IP protocol 47, or GRE in UDP where there is no right to the former. */
export type Carrier = 'nvgre' | 'nvgre-udp';

/** Octets around the inner IP packet: outer IP header, UDP header if any, GRE header with key, inner Ethernet header. */
export function overhead(carrier: Carrier, family: 4 | 6): number {
  const outer = family === 4 ? IPV4_HEADER : IPV6_HEADER;
  return outer + (carrier === 'nvgre-udp' ? UDP_HEADER_LENGTH : 0) + NVGRE_HEADER + ETHERNET_HEADER;
}

/** The largest inner IP packet that crosses a fabric of that MTU in one piece (RFC 7637 §4.4). */
export const innerMtu = (fabricMtu: number, carrier: Carrier, family: 4 | 6): number =>
  fabricMtu - overhead(carrier, family);

/** C, the five bits of RFC 1701 and the version. RFC 2784 §2.3: what bits 6 to 12 say is ignored. */
const DECISIVE_BITS = 0xfc07;
const UDP_HEADER_LENGTH = 8;

const upper = newUpperLayer();

/** The same for (x, y) and (y, x). */
const pair = (x: number, y: number): number => mix(Math.imul(x ^ y, 0x9e3779b1) + Math.imul((x + y) | 0, 0x85ebca77));

function mix(x: number): number {
  const h = Math.imul(x ^ (x >>> 15), 0x2c1b3c6d);
  return h ^ (h >>> 13);
}

const octet = (hash: number): number => (hash ^ (hash >>> 8) ^ (hash >>> 16) ^ (hash >>> 24)) & 0xff;

/** Of a MAC address. */
const hash32 = (buf: Bytes, at: number): number => u32(buf, at) ^ Math.imul(u16(buf, at + 4), 0x9e3779b1);

const showsPorts = (protocol: number): boolean =>
  protocol === IP_PROTOCOL.tcp ||
  protocol === IP_PROTOCOL.udp ||
  protocol === IP_PROTOCOL.sctp ||
  protocol === IP_PROTOCOL.dccp ||
  protocol === IP_PROTOCOL.udpLite;
