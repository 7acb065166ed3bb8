/**
 * One line for a packet, for logs, the lab, traces and failing tests.
 *
 * Total: any octets give a line. Addresses are customers' data: never log these lines above debug.
 */
import type { Bytes } from '../core/index.ts';
import { u16, u32 } from '../core/index.ts';
import { formatAddress } from './address.ts';
import { ICMP_TYPE, ICMPV6_TYPE, IP_PROTOCOL, protocolName } from './iana.ts';
import { echoIdentifier, echoSequence, icmpMtu, icmpv6Mtu, quotedPacketAt } from './icmp.ts';
import { destinationOf, findUpperLayer, ipLength, ipVersion, sourceOf } from './ip.ts';
import { ipv4Identification } from './ipv4.ts';
import { newUpperLayer, OPAQUE_PROTOCOL, type UpperLayer } from './ipv6.ts';
import {
  TCP_FLAG,
  TCP_HEADER,
  tcpAcknowledgment,
  tcpFlags,
  tcpHeaderFits,
  tcpHeaderLength,
  tcpMss,
  tcpSequence,
} from './tcp.ts';
import { DROP_NAMES, PASS } from './verdict.ts';

/** `IPv4 10.1.0.2 > 10.2.0.2 ICMP echo request id 1 seq 2 (84)`; the number in brackets is the packet's length. */
export function describePacket(buf: Bytes, start = 0, end = buf.length): string {
  const upper = newUpperLayer();
  const verdict = findUpperLayer(buf, start, end, upper);
  if (verdict !== PASS) return `not a packet (${DROP_NAMES[verdict]}): ${end - start} octets`;
  const version = ipVersion(buf, start);
  const ends = `${formatAddress(sourceOf(buf, start))} > ${formatAddress(destinationOf(buf, start))}`;
  const fragment = describeFragment(buf, start, upper);
  const what = upper.fragmentOffset === 0 ? describeUpper(buf, version, upper) : describeProtocol(upper.protocol);
  return `IPv${version} ${ends} ${what}${fragment} (${ipLength(buf, start)})`;
}

function describeFragment(buf: Bytes, start: number, upper: UpperLayer): string {
  if (upper.fragmentOffset === 0 && !upper.moreFragments) return '';
  const id = upper.fragmentHeader < 0 ? ipv4Identification(buf, start) : u32(buf, upper.fragmentHeader + 4);
  return ` fragment id ${id} @${upper.fragmentOffset}${upper.moreFragments ? '+' : ''}`;
}

function describeUpper(buf: Bytes, version: number, { protocol, at, end }: UpperLayer): string {
  const left = end - at;
  if (protocol === IP_PROTOCOL.udp && left >= 8) return `UDP ${u16(buf, at)} > ${u16(buf, at + 2)} ${left - 8} octets`;
  if (protocol === IP_PROTOCOL.tcp && tcpHeaderFits(buf, at, end)) return describeTcp(buf, at, end);
  if (protocol === IP_PROTOCOL.icmp && version === 4 && left >= 8) return describeIcmp(buf, at, end);
  if (protocol === IP_PROTOCOL.icmpv6 && version === 6 && left >= 8) return describeIcmpv6(buf, at, end);
  if (protocol === IP_PROTOCOL.esp && left >= 8) {
    return `ESP spi 0x${u32(buf, at).toString(16).padStart(8, '0')} seq ${u32(buf, at + 4)}`;
  }
  return describeProtocol(protocol);
}

const describeProtocol = (protocol: number): string => {
  if (protocol === OPAQUE_PROTOCOL) return 'hidden protocol';
  const name = protocolName(protocol);
  return /^[0-9]/.test(name) ? `protocol ${name}` : name.toUpperCase();
};

function describeTcp(buf: Bytes, at: number, end: number): string {
  const flags = tcpFlags(buf, at);
  const names = Object.entries(TCP_FLAG)
    .filter(([, bit]) => (flags & bit) !== 0)
    .map(([name]) => name.toUpperCase());
  const data = end - at - tcpHeaderLength(buf, at);
  const mss = tcpHeaderLength(buf, at) > TCP_HEADER && (flags & TCP_FLAG.syn) !== 0 ? tcpMss(buf, at, end) : 0;
  return [
    `TCP ${u16(buf, at)} > ${u16(buf, at + 2)} ${names.join(',') || 'no flags'} seq ${tcpSequence(buf, at)}`,
    (flags & TCP_FLAG.ack) === 0 ? '' : ` ack ${tcpAcknowledgment(buf, at)}`,
    mss === 0 ? '' : ` mss ${mss}`,
    data === 0 ? '' : ` ${data} octets`,
  ].join('');
}

function describeIcmp(buf: Bytes, at: number, end: number): string {
  const type = buf[at]!;
  const code = buf[at + 1]!;
  switch (type) {
    case ICMP_TYPE.echoRequest:
      return `ICMP echo request ${echo(buf, at)}`;
    case ICMP_TYPE.echoReply:
      return `ICMP echo reply ${echo(buf, at)}`;
    case ICMP_TYPE.destinationUnreachable:
      if (code === 4) return `ICMP fragmentation needed, MTU ${icmpMtu(buf, at)}${quote(buf, at, end, 4)}`;
      return `ICMP ${UNREACHABLE[code] ?? `unreachable, code ${code}`}${quote(buf, at, end, 4)}`;
    case ICMP_TYPE.timeExceeded:
      return `ICMP ${code === 0 ? 'TTL exceeded' : 'reassembly time exceeded'}${quote(buf, at, end, 4)}`;
    default:
      return `ICMP type ${type} code ${code}`;
  }
}

function describeIcmpv6(buf: Bytes, at: number, end: number): string {
  const type = buf[at]!;
  const code = buf[at + 1]!;
  switch (type) {
    case ICMPV6_TYPE.echoRequest:
      return `ICMPv6 echo request ${echo(buf, at)}`;
    case ICMPV6_TYPE.echoReply:
      return `ICMPv6 echo reply ${echo(buf, at)}`;
    case ICMPV6_TYPE.packetTooBig:
      return `ICMPv6 packet too big, MTU ${icmpv6Mtu(buf, at)}${quote(buf, at, end, 6)}`;
    case ICMPV6_TYPE.destinationUnreachable:
      return `ICMPv6 ${UNREACHABLE6[code] ?? `unreachable, code ${code}`}${quote(buf, at, end, 6)}`;
    case ICMPV6_TYPE.timeExceeded:
      return `ICMPv6 ${code === 0 ? 'hop limit exceeded' : 'reassembly time exceeded'}${quote(buf, at, end, 6)}`;
    default:
      return `ICMPv6 ${TYPES6[type] ?? `type ${type} code ${code}`}`;
  }
}

const echo = (buf: Bytes, at: number): string => `id ${echoIdentifier(buf, at)} seq ${echoSequence(buf, at)}`;

/** About whose packet: the ends of what the error quotes. */
function quote(buf: Bytes, at: number, end: number, version: number): string {
  const quoted = quotedPacketAt(buf, at, end, version);
  const header = version === 4 ? 20 : 40;
  if (quoted < 0 || end - quoted < header || ipVersion(buf, quoted) !== version) return '';
  return ` about ${formatAddress(sourceOf(buf, quoted))} > ${formatAddress(destinationOf(buf, quoted))}`;
}

/** RFC 792, RFC 1812 §5.2.7.1. */
const UNREACHABLE: Readonly<Record<number, string>> = {
  0: 'network unreachable',
  1: 'host unreachable',
  2: 'protocol unreachable',
  3: 'port unreachable',
  5: 'source route failed',
  13: 'administratively prohibited',
};

/** RFC 4443 §3.1. */
const UNREACHABLE6: Readonly<Record<number, string>> = {
  0: 'no route',
  1: 'administratively prohibited',
  3: 'address unreachable',
  4: 'port unreachable',
};

/** RFC 4861 §4. */
const TYPES6: Readonly<Record<number, string>> = {
  [ICMPV6_TYPE.parameterProblem]: 'parameter problem',
  [ICMPV6_TYPE.routerSolicitation]: 'router solicitation',
  [ICMPV6_TYPE.routerAdvertisement]: 'router advertisement',
  [ICMPV6_TYPE.neighborSolicitation]: 'neighbor solicitation',
  [ICMPV6_TYPE.neighborAdvertisement]: 'neighbor advertisement',
  [ICMPV6_TYPE.redirect]: 'redirect',
};
