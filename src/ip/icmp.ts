/**
 * ICMP and ICMPv6: views, echo, and the errors a router or host owes.
 *
 * Read first: RFC 792, RFC 1122 §3.2.2 (what is never answered), RFC 1191 §4 (the MTU), RFC 1812 §4.3.2 (quote, TOS),
 * RFC 4443 §2.4, §3, §4.
 * Leaves rate limits to the caller (RFC 4443 §2.4 (f)), and knowing that a packet came as a link-layer broadcast.
 */
import type { Bytes } from '../core/index.ts';
import { putU16, putU32, u16, u32 } from '../core/index.ts';
import type { Address } from './address.ts';
import { fillTransportChecksum, updateChecksum16 } from './checksum.ts';
import { ICMP_TYPE, ICMPV6_TYPE, IP_PROTOCOL } from './iana.ts';
import {
  buildIp,
  findUpperLayer,
  type IpFields,
  ipHeaderOf,
  ipLength,
  ipVersion,
  setHopLimit,
  sourceOf,
} from './ip.ts';
import { ipv4Destination, ipv4IsMulticast, ipv4Source, setIpv4Destination, setIpv4Source } from './ipv4.ts';
import {
  IPV6_HEADER,
  IPV6_MIN_MTU,
  ipv6DestinationAt,
  ipv6IsMulticastAt,
  ipv6IsUnspecifiedAt,
  ipv6SourceAt,
  newUpperLayer,
} from './ipv6.ts';
import { PASS } from './verdict.ts';

export const ICMP_HEADER = 8;

export const icmpType = (b: Bytes, o: number): number => b[o]!;
export const icmpCode = (b: Bytes, o: number): number => b[o + 1]!;
export const icmpChecksum = (b: Bytes, o: number): number => u16(b, o + 2);
export const echoIdentifier = (b: Bytes, o: number): number => u16(b, o + 4);
export const echoSequence = (b: Bytes, o: number): number => u16(b, o + 6);
/** The next-hop MTU of "fragmentation needed" (RFC 1191 §4). */
export const icmpMtu = (b: Bytes, o: number): number => u16(b, o + 6);
/** The MTU of Packet Too Big (RFC 4443 §3.2). */
export const icmpv6Mtu = (b: Bytes, o: number): number => u32(b, o + 4);

/** What a router or host tells the sender of a packet it does not deliver. */
export type IcmpError =
  | 'hopLimitExceeded'
  | 'reassemblyTimeExceeded'
  | 'noRoute'
  | 'discarded'
  | 'addressUnreachable'
  | 'prohibited'
  | 'packetTooBig'
  | 'protocolUnreachable'
  | 'portUnreachable';

/** [ICMP type, code, ICMPv6 type, code]: RFC 792, RFC 1812 §5.2.7.1, RFC 4443 §3. */
export const ICMP_ERRORS: Readonly<Record<IcmpError, readonly [number, number, number, number]>> = {
  hopLimitExceeded: [ICMP_TYPE.timeExceeded, 0, ICMPV6_TYPE.timeExceeded, 0],
  reassemblyTimeExceeded: [ICMP_TYPE.timeExceeded, 1, ICMPV6_TYPE.timeExceeded, 1],
  noRoute: [ICMP_TYPE.destinationUnreachable, 0, ICMPV6_TYPE.destinationUnreachable, 0],
  // RFC 4443 §3.1: 6 is "reject route to destination"; the codes of IPv4 have no word for it.
  discarded: [ICMP_TYPE.destinationUnreachable, 0, ICMPV6_TYPE.destinationUnreachable, 6],
  addressUnreachable: [ICMP_TYPE.destinationUnreachable, 1, ICMPV6_TYPE.destinationUnreachable, 3],
  prohibited: [ICMP_TYPE.destinationUnreachable, 13, ICMPV6_TYPE.destinationUnreachable, 1],
  packetTooBig: [ICMP_TYPE.destinationUnreachable, 4, ICMPV6_TYPE.packetTooBig, 0],
  protocolUnreachable: [ICMP_TYPE.destinationUnreachable, 2, ICMPV6_TYPE.parameterProblem, 1],
  portUnreachable: [ICMP_TYPE.destinationUnreachable, 3, ICMPV6_TYPE.destinationUnreachable, 4],
};

/**
 * Whether an ICMP error may ever be sent about the packet in buf[start, end): RFC 1122 §3.2.2, RFC 4443 §2.4 (e).
 * Of the exceptions for multicast destinations over IPv6 (Packet Too Big, option errors) none is made: multicast is not routed here.
 */
export function mayAnswerWithError(buf: Bytes, start: number, end: number): boolean {
  if (findUpperLayer(buf, start, end, upper) !== PASS) return false;
  if (ipVersion(buf, start) === 4) {
    if (upper.fragmentOffset !== 0) return false;
    if (!ipv4NamesOneHost(ipv4Source(buf, start))) return false;
    const destination = ipv4Destination(buf, start);
    if (ipv4IsMulticast(destination) || destination === 0xffffffff) return false;
    if (upper.protocol !== IP_PROTOCOL.icmp) return true;
    return upper.at < upper.end && !ICMP_ERROR_TYPES.has(buf[upper.at]!);
  }
  const source = ipv6SourceAt(start);
  if (ipv6IsMulticastAt(buf, source) || ipv6IsUnspecifiedAt(buf, source)) return false;
  if (ipv6IsMulticastAt(buf, ipv6DestinationAt(start))) return false;
  if (upper.protocol !== IP_PROTOCOL.icmpv6) return true;
  // Fragments other than the first hide their type: they may be of an error.
  if (upper.fragmentOffset !== 0 || upper.at >= upper.end) return false;
  const type = buf[upper.at]!;
  return type >= ICMPV6_TYPE.echoRequest && type !== ICMPV6_TYPE.redirect;
}

/**
 * A fresh ICMP or ICMPv6 error from `source` to the sender of the packet in buf[start, end), quoting as much of it as
 * allowed: to 576 octets (RFC 1812 §4.3.2.3) or to the minimum MTU (RFC 4443 §2.4 (c)). `value` is the MTU of
 * `packetTooBig`, or the pointer of an ICMPv6 `protocolUnreachable`. Ask `mayAnswerWithError` first.
 */
export function buildIcmpError(
  error: IcmpError,
  source: Address,
  buf: Bytes,
  start: number,
  end: number,
  value = 0,
): Bytes {
  const [type4, code4, type6, code6] = ICMP_ERRORS[error];
  const v4 = ipVersion(buf, start) === 4;
  const room = v4 ? 576 - 20 - ICMP_HEADER : IPV6_MIN_MTU - IPV6_HEADER - ICMP_HEADER;
  const quoted = Math.min(room, end - start, ipLength(buf, start));
  const message = new Uint8Array(ICMP_HEADER + quoted);
  message[0] = v4 ? type4 : type6;
  message[1] = v4 ? code4 : code6;
  if (v4) putU16(message, 6, error === 'packetTooBig' ? Math.min(value, 0xffff) : 0);
  else putU32(message, 4, value);
  message.set(buf.subarray(start, start + quoted), ICMP_HEADER);
  // RFC 1812 §4.3.2.5: precedence 6, internetwork control.
  return buildIcmp({ source, destination: sourceOf(buf, start), trafficClass: v4 ? 0xc0 : 0 }, message);
}

/** What an ICMP error quotes begins here, or -1 when the message at `at` is no error or quotes nothing. */
export function quotedPacketAt(buf: Bytes, at: number, end: number, version: number): number {
  if (end - at <= ICMP_HEADER) return -1;
  const isError = version === 4 ? ICMP_ERROR_TYPES.has(buf[at]!) : buf[at]! < ICMPV6_TYPE.echoRequest;
  return isError ? at + ICMP_HEADER : -1;
}

export interface EchoFields extends IpFields {
  readonly type: 'request' | 'reply';
  readonly identifier: number;
  readonly sequence: number;
}

/** A fresh echo request or reply of the family of its addresses. */
export function buildIcmpEcho(fields: EchoFields, data: Bytes = new Uint8Array(0)): Bytes {
  const v4 = fields.source.length === 4;
  const message = new Uint8Array(ICMP_HEADER + data.length);
  if (fields.type === 'request') message[0] = v4 ? ICMP_TYPE.echoRequest : ICMPV6_TYPE.echoRequest;
  else message[0] = v4 ? ICMP_TYPE.echoReply : ICMPV6_TYPE.echoReply;
  putU16(message, 4, fields.identifier);
  putU16(message, 6, fields.sequence);
  message.set(data, ICMP_HEADER);
  return buildIcmp(fields, message);
}

/** A fresh packet around an ICMP or ICMPv6 message, whose checksum is filled in. */
export function buildIcmp(fields: IpFields, message: Bytes): Bytes {
  const protocol = fields.source.length === 4 ? IP_PROTOCOL.icmp : IP_PROTOCOL.icmpv6;
  const out = buildIp({ ...fields, protocol }, message);
  fillTransportChecksum(out, 0, ipHeaderOf(fields), out.length, protocol);
  return out;
}

/** Whether the message buf[at, end) of a packet with that version is an echo request with its whole header. */
export const isEchoRequest = (buf: Bytes, at: number, end: number, version: number): boolean =>
  end - at >= ICMP_HEADER && buf[at] === (version === 4 ? ICMP_TYPE.echoRequest : ICMPV6_TYPE.echoRequest);

/** As `isEchoRequest`, for replies. */
export const isEchoReply = (buf: Bytes, at: number, end: number, version: number): boolean =>
  end - at >= ICMP_HEADER && buf[at] === (version === 4 ? ICMP_TYPE.echoReply : ICMPV6_TYPE.echoReply);

/**
 * Turns the echo request at `ip` with its ICMP message at `at` into its reply, in place: addresses swapped, type changed,
 * hop limit fresh, checksums mended. A wrong checksum of the request stays wrong.
 */
export function answerEcho(buf: Bytes, ip: number, at: number, freshHopLimit = 64): void {
  const before = u16(buf, at);
  if (ipVersion(buf, ip) === 4) {
    const source = ipv4Source(buf, ip);
    setIpv4Source(buf, ip, ipv4Destination(buf, ip));
    setIpv4Destination(buf, ip, source);
    buf[at] = ICMP_TYPE.echoReply;
  } else {
    for (let i = 0; i < 16; i++) {
      const octet = buf[ip + 8 + i]!;
      buf[ip + 8 + i] = buf[ip + 24 + i]!;
      buf[ip + 24 + i] = octet;
    }
    buf[at] = ICMPV6_TYPE.echoReply;
  }
  setHopLimit(buf, ip, freshHopLimit);
  putU16(buf, at + 2, updateChecksum16(icmpChecksum(buf, at), before, u16(buf, at)));
}

const upper = newUpperLayer();

/** RFC 1122 §3.2.2: the types that are error messages. */
const ICMP_ERROR_TYPES: ReadonlySet<number> = new Set([
  ICMP_TYPE.destinationUnreachable,
  ICMP_TYPE.sourceQuench,
  ICMP_TYPE.redirect,
  ICMP_TYPE.timeExceeded,
  ICMP_TYPE.parameterProblem,
]);

/** RFC 1122 §3.2.2: not the zero address, loopback, broadcast, multicast or class E. */
function ipv4NamesOneHost(address: number): boolean {
  const first = address >>> 24;
  return first !== 0 && first !== 127 && first < 224;
}
