/**
 * Where the parts of a TCP or UDP packet stand, for what cuts, completes or describes it.
 *
 * Read first: ip.ts (`findUpperLayer`), RFC 8200 §8.1 (the pseudo header of a packet with a routing header).
 */
import { IP_PROTOCOL } from './iana.ts';
import { findUpperLayer, ipVersion } from './ip.ts';
import { IPV6_HEADER, newUpperLayer } from './ipv6.ts';
import type { Packet } from './packet.ts';
import { tcpHeaderFits, tcpHeaderLength } from './tcp.ts';
import { UDP_HEADER, udpLength } from './udp.ts';
import { DROP, PASS } from './verdict.ts';

/** Offsets in the packet's buffer. */
export interface Layout {
  version: number;
  /** TCP or UDP. */
  protocol: number;
  transport: number;
  payload: number;
  /** Where the packet ends by its own length fields. */
  end: number;
  /** Of the checksum field behind `transport`. */
  checksumOffset: number;
}

export const newLayout = (): Layout => ({
  version: 0,
  protocol: 0,
  transport: 0,
  payload: 0,
  end: 0,
  checksumOffset: 0,
});

/**
 * Fills `out` from a packet of any octets: PASS, or why it is no whole TCP or UDP packet with headers that agree with each
 * other; `out` is then undefined. IPv4 options and IPv6 extension headers are permitted, routing headers are not: the
 * pseudo header of such a packet has another destination.
 */
export function measure(packet: Packet, out: Layout): number {
  const { buf, start, end } = packet;
  const verdict = findUpperLayer(buf, start, end, upper);
  if (verdict !== PASS) return verdict;
  if (upper.fragmentOffset !== 0 || upper.moreFragments || upper.fragmentHeader >= 0) return DROP.fragment;
  const at = upper.at;
  out.version = ipVersion(buf, start);
  out.protocol = upper.protocol;
  out.transport = at;
  out.end = upper.end;
  if (out.version === 6 && hasRoutingHeader(buf, start, at)) return DROP.options;
  if (upper.protocol === IP_PROTOCOL.tcp) {
    if (!tcpHeaderFits(buf, at, upper.end)) return DROP.short;
    out.payload = at + tcpHeaderLength(buf, at);
    out.checksumOffset = TCP_CHECKSUM;
    return PASS;
  }
  if (upper.protocol !== IP_PROTOCOL.udp) return DROP.superframe;
  if (upper.end - at < UDP_HEADER) return DROP.short;
  if (udpLength(buf, at) !== upper.end - at) return DROP.length;
  out.payload = at + UDP_HEADER;
  out.checksumOffset = UDP_CHECKSUM;
  return PASS;
}

export const TCP_CHECKSUM = 16;
export const UDP_CHECKSUM = 6;

/** For a chain of extension headers that `walkIpv6` walked to `upper`. */
function hasRoutingHeader(buf: Uint8Array, start: number, upper: number): boolean {
  let next = buf[start + 6]!;
  for (let at = start + IPV6_HEADER; at < upper; at += (buf[at + 1]! + 1) << 3) {
    if (next === IP_PROTOCOL.routing) return true;
    next = buf[at]!;
  }
  return false;
}

const upper = newUpperLayer();
