/**
 * ICMP errors about TCP segments of ours, as far as TCP cares.
 *
 * Read first: RFC 792, RFC 1191 §4, RFC 4443 §3, RFC 1122 §4.2.3.9, RFC 5927 §4 (the sequence number is the only proof).
 */
import type { Bytes } from '../../core/index.ts';
import { type Endpoint, formatAddress } from '../address.ts';
import { transportChecksumHolds } from '../checksum.ts';
import { ICMP_TYPE, ICMPV6_TYPE, IP_PROTOCOL } from '../iana.ts';
import { icmpCode, icmpMtu, icmpType, icmpv6Mtu, quotedPacketAt } from '../icmp.ts';
import { checkIp, destinationOf, findUpperLayer, ipVersion, sourceOf } from '../ip.ts';
import { IPV4_HEADER, ipv4FragmentOffset, ipv4HeaderLength, ipv4Protocol } from '../ipv4.ts';
import { IPV6_HEADER, ipv6NextHeader, newUpperLayer } from '../ipv6.ts';
import { tcpDestinationPort, tcpSequence, tcpSourcePort } from '../tcp.ts';
import { PASS } from '../verdict.ts';

export interface TcpIcmpError {
  readonly local: Endpoint;
  readonly remote: Endpoint;
  readonly sequence: number;
  /** Of "too big"; 0 where an old router does not say. */
  readonly mtu: number | undefined;
  /** The port, the protocol, or an administrator: repeating will not help. */
  readonly isHard: boolean;
  readonly why: string;
}

/** Undefined for what is no ICMP error about TCP. */
export function readIcmpError(packet: Bytes): TcpIcmpError | undefined {
  if (checkIp(packet, 0, packet.length) !== PASS) return undefined;
  if (findUpperLayer(packet, 0, packet.length, upper) !== PASS || upper.fragmentOffset !== 0) return undefined;
  const version = ipVersion(packet, 0);
  const { protocol, at, end } = upper;
  if (protocol !== (version === 4 ? IP_PROTOCOL.icmp : IP_PROTOCOL.icmpv6) || upper.moreFragments) return undefined;
  if (!transportChecksumHolds(packet, 0, at, end, protocol)) return undefined;
  const quoted = quotedPacketAt(packet, at, end, version);
  const tcp = quoted < 0 ? -1 : quotedTcpAt(packet, quoted, end, version);
  if (tcp < 0) return undefined;
  const [type, code] = [icmpType(packet, at), icmpCode(packet, at)];
  return {
    local: { address: sourceOf(packet, quoted), port: tcpSourcePort(packet, tcp) },
    remote: { address: destinationOf(packet, quoted), port: tcpDestinationPort(packet, tcp) },
    sequence: tcpSequence(packet, tcp),
    mtu: mtuOf(packet, at, version, type, code),
    isHard: isHard(version, type, code),
    why: `ICMP${version === 4 ? '' : 'v6'} type ${type} code ${code} from ${formatAddress(sourceOf(packet, 0))}`,
  };
}

const upper = newUpperLayer();

/** Where the TCP header begins of which 8 octets are there, or -1. */
function quotedTcpAt(buf: Bytes, at: number, end: number, version: number): number {
  const header = version === 4 ? IPV4_HEADER : IPV6_HEADER;
  if (end - at < header + QUOTED || ipVersion(buf, at) !== version) return -1;
  const protocol = version === 4 ? ipv4Protocol(buf, at) : ipv6NextHeader(buf, at);
  if (protocol !== IP_PROTOCOL.tcp || (version === 4 && ipv4FragmentOffset(buf, at) !== 0)) return -1;
  const tcp = at + (version === 4 ? ipv4HeaderLength(buf, at) : header);
  return tcp < at + header || tcp + QUOTED > end ? -1 : tcp;
}

/** RFC 792: ports and sequence number. */
const QUOTED = 8;

function mtuOf(buf: Bytes, at: number, version: number, type: number, code: number): number | undefined {
  if (version === 4) return type === ICMP_TYPE.destinationUnreachable && code === 4 ? icmpMtu(buf, at) : undefined;
  return type === ICMPV6_TYPE.packetTooBig ? icmpv6Mtu(buf, at) : undefined;
}

/** RFC 1122 §4.2.3.9: protocol and port unreachable; RFC 4443 §3.1: prohibited, and port unreachable. */
function isHard(version: number, type: number, code: number): boolean {
  if (version === 4) return type === ICMP_TYPE.destinationUnreachable && HARD4.has(code);
  return type === ICMPV6_TYPE.destinationUnreachable && HARD6.has(code);
}

const HARD4: ReadonlySet<number> = new Set([2, 3, 9, 10, 13]);
const HARD6: ReadonlySet<number> = new Set([1, 4]);
