/**
 * The Internet checksum: RFC 1071 sums, RFC 1624 updates, pseudo headers, and the transport checksums of TCP, UDP,
 * ICMP and ICMPv6.
 *
 * Read first: RFC 1071 §1–2, RFC 1624 §3, RFC 8200 §8.1.
 * A *sum* is an unfolded number below 2^32 that adds up; a *checksum* is the folded complement that stands in a packet.
 * Limits: sums of up to 65,535 octets; parts of one sum other than the last have even length. With a type 0 routing
 * header the pseudo header would need the final destination: such packets are refused by `checkIpv6`.
 */
import type { Bytes } from '../core/index.ts';
import { putU16, u16 } from '../core/index.ts';
import { IP_PROTOCOL } from './iana.ts';

/** Adds the 16-bit words of buf[from, to) to `initial`; an odd last octet is the high half of a word. */
export function sumWords(buf: Bytes, from: number, to: number, initial = 0): number {
  let high = 0;
  let low = 0;
  const even = to - 1;
  let i = from;
  for (; i < even; i += 2) {
    high += buf[i]!;
    low += buf[i + 1]!;
  }
  if (i < to) high += buf[i]!;
  return initial + high * 256 + low;
}

/** Brings a sum into 16 bits, carries added back in. */
export function foldSum(sum: number): number {
  const once = (sum & 0xffff) + (sum >>> 16);
  return (once & 0xffff) + (once >>> 16);
}

/** The checksum of buf[from, to). Over octets that contain their own right checksum it is 0. */
export const internetChecksum = (buf: Bytes, from: number, to: number, initial = 0): number =>
  ~foldSum(sumWords(buf, from, to, initial)) & 0xffff;

/** RFC 1624 §3, equation 3: the checksum after a 16-bit word changed from `before` to `after`. */
export const updateChecksum16 = (checksum: number, before: number, after: number): number =>
  ~foldSum((~checksum & 0xffff) + (~before & 0xffff) + after) & 0xffff;

/** The same for two adjacent words, such as an IPv4 address. */
export const updateChecksum32 = (checksum: number, before: number, after: number): number =>
  ~foldSum((~checksum & 0xffff) + (~before >>> 16) + (~before & 0xffff) + (after >>> 16) + (after & 0xffff)) & 0xffff;

/** RFC 768, RFC 9293 §3.1 over IPv4, RFC 8200 §8.1 over IPv6. The IP header stands at `ip`; `length` is the upper layer's. */
export function pseudoHeaderSum(buf: Bytes, ip: number, protocol: number, length: number): number {
  return buf[ip]! >>> 4 === 4
    ? sumWords(buf, ip + 12, ip + 20, protocol + length)
    : sumWords(buf, ip + 8, ip + 40, protocol + length);
}

/**
 * The checksum over the upper layer buf[at, end) of the packet at `ip`, its checksum field included: 0 when it verifies,
 * the value to store when the field was zero.
 */
export const transportChecksum = (buf: Bytes, ip: number, at: number, end: number, protocol: number): number =>
  internetChecksum(buf, at, end, protocol === IP_PROTOCOL.icmp ? 0 : pseudoHeaderSum(buf, ip, protocol, end - at));

/** Computes and stores the checksum of a TCP, UDP, ICMP or ICMPv6 message; others have none and stay as they are. */
export function fillTransportChecksum(buf: Bytes, ip: number, at: number, end: number, protocol: number): void {
  const field = checksumField(protocol);
  if (field < 0 || at + field + 2 > end) return;
  putU16(buf, at + field, 0);
  const checksum = transportChecksum(buf, ip, at, end, protocol);
  // RFC 768: an all zero checksum means none was computed, so 0 is sent as its other form.
  putU16(buf, at + field, checksum === 0 && protocol === IP_PROTOCOL.udp ? 0xffff : checksum);
}

/** True when the checksum verifies, and for protocols without one. UDP over IPv4 may leave it out (RFC 768), over IPv6 not. */
export function transportChecksumHolds(buf: Bytes, ip: number, at: number, end: number, protocol: number): boolean {
  const field = checksumField(protocol);
  if (field < 0) return true;
  if (at + field + 2 > end) return false;
  if (protocol === IP_PROTOCOL.udp && u16(buf, at + field) === 0) return buf[ip]! >>> 4 === 4;
  return transportChecksum(buf, ip, at, end, protocol) === 0;
}

/** Offset of the checksum in the upper-layer header; -1 for protocols without one. */
export function checksumField(protocol: number): number {
  switch (protocol) {
    case IP_PROTOCOL.icmp:
    case IP_PROTOCOL.icmpv6:
      return 2;
    case IP_PROTOCOL.udp:
      return 6;
    case IP_PROTOCOL.tcp:
      return 16;
    default:
      return -1;
  }
}
