/**
 * What an ICMP error says about an echo request of ours, in data and in words.
 *
 * Read first: RFC 792, RFC 1812 §5.2.7.1 (codes), RFC 1191 §4, RFC 4443 §3.
 * The quoted packet is cut off anywhere: nothing beyond the echo header is read, and its lengths are not believed.
 */
import { type Bytes, u16 } from '../core/index.ts';
import {
  type Address,
  destinationOf,
  echoIdentifier,
  echoSequence,
  formatAddress,
  ICMP_HEADER,
  ICMP_TYPE,
  ICMPV6_TYPE,
  IP_PROTOCOL,
  IPV6_HEADER,
  icmpCode,
  icmpMtu,
  icmpType,
  icmpv6Mtu,
  ipVersion,
  ipv4FragmentOffset,
  ipv4HeaderLength,
  ipv4Protocol,
  ipv6NextHeader,
} from '../ip/index.ts';
import type { PingFailure } from './pings.ts';

export interface QuotedEcho {
  readonly destination: Address;
  readonly id: number;
  readonly sequence: number;
}

/** The echo request whose beginning buf[at, end) is; undefined when it is something else or too short. */
export function quotedEcho(buf: Bytes, at: number, end: number, version: number): QuotedEcho | undefined {
  if (at >= end || ipVersion(buf, at) !== version) return undefined;
  const icmp = version === 4 ? echoBehindIpv4(buf, at, end) : echoBehindIpv6(buf, at, end);
  if (icmp < 0) return undefined;
  return { destination: destinationOf(buf, at), id: echoIdentifier(buf, icmp), sequence: echoSequence(buf, icmp) };
}

/** What the ICMP error at `at`, sent by `from`, means for the ping it is about. */
export function failureOf(buf: Bytes, at: number, version: number, from: Address): PingFailure {
  const [type, code] = [icmpType(buf, at), icmpCode(buf, at)];
  const exceeded = type === (version === 4 ? ICMP_TYPE.timeExceeded : ICMPV6_TYPE.timeExceeded);
  const outcome = exceeded && code === 0 ? 'ttl-exceeded' : 'unreachable';
  const words = version === 4 ? words4(buf, at, type, code) : words6(buf, at, type, code);
  return { outcome, why: `${words}, says ${formatAddress(from)}` };
}

function echoBehindIpv4(buf: Bytes, at: number, end: number): number {
  if (end - at < 20) return -1;
  const icmp = at + ipv4HeaderLength(buf, at);
  if (icmp + ICMP_HEADER > end || ipv4Protocol(buf, at) !== IP_PROTOCOL.icmp) return -1;
  return ipv4FragmentOffset(buf, at) === 0 && buf[icmp] === ICMP_TYPE.echoRequest ? icmp : -1;
}

/** Our own requests have no extension header but the fragment header of a large one. */
function echoBehindIpv6(buf: Bytes, at: number, end: number): number {
  if (end - at < IPV6_HEADER + ICMP_HEADER) return -1;
  let icmp = at + IPV6_HEADER;
  let next = ipv6NextHeader(buf, at);
  if (next === IP_PROTOCOL.fragment) {
    if ((u16(buf, icmp + 2) & 0xfff8) !== 0) return -1;
    next = buf[icmp]!;
    icmp += 8;
  }
  if (next !== IP_PROTOCOL.icmpv6 || icmp + ICMP_HEADER > end) return -1;
  return buf[icmp] === ICMPV6_TYPE.echoRequest ? icmp : -1;
}

function words4(buf: Bytes, at: number, type: number, code: number): string {
  if (type === ICMP_TYPE.timeExceeded) return code === 0 ? 'TTL ran out' : 'not all fragments arrived';
  if (type !== ICMP_TYPE.destinationUnreachable) return `ICMP type ${type} code ${code}`;
  if (code === 4) return `fragmentation needed, MTU ${icmpMtu(buf, at)}`;
  return UNREACHABLE[code] ?? `unreachable, code ${code}`;
}

function words6(buf: Bytes, at: number, type: number, code: number): string {
  if (type === ICMPV6_TYPE.timeExceeded) return code === 0 ? 'hop limit ran out' : 'not all fragments arrived';
  if (type === ICMPV6_TYPE.packetTooBig) return `packet too big, MTU ${icmpv6Mtu(buf, at)}`;
  if (type !== ICMPV6_TYPE.destinationUnreachable) return `ICMPv6 type ${type} code ${code}`;
  return UNREACHABLE6[code] ?? `unreachable, code ${code}`;
}

const UNREACHABLE: Readonly<Record<number, string>> = {
  0: 'network unreachable',
  1: 'host unreachable',
  2: 'protocol unreachable',
  3: 'port unreachable',
  5: 'source route failed',
  9: 'network administratively prohibited',
  10: 'host administratively prohibited',
  13: 'administratively prohibited',
};

const UNREACHABLE6: Readonly<Record<number, string>> = {
  0: 'no route',
  1: 'administratively prohibited',
  2: 'beyond the scope of the source address',
  3: 'address unreachable',
  4: 'port unreachable',
  5: 'source address failed policy',
  6: 'route rejected',
};
