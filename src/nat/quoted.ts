/**
 * What an ICMP error quotes: the packet it is about, read and rewritten where it stands.
 *
 * Read first: RFC 5508 §4 (REQ-3 to REQ-6), RFC 792, RFC 1812 §4.3.2.3 (how much is quoted), RFC 4884 §4 (extensions).
 * The quote is translated the other way round than packets of its direction, because it went the other way. Its transport
 * checksum is kept as right or wrong as it was and never verified (REQ-3c); extensions and padding behind it stay.
 * Limits: quotes of later fragments show no ports and have no session.
 */
import {
  DROP,
  foldSum,
  ICMP_HEADER,
  ICMP_TYPE,
  IP_PROTOCOL,
  IPV4_HEADER,
  PASS,
  type Packet,
  sumWords,
  TCP_HEADER,
} from '../ip/index.ts';
import { addressDelta, DESTINATION, rewriteWord, SOURCE, updated, updateUdp } from './translate.ts';

/** Addresses are signed numbers. For queries both ports are the identifier. */
export interface Quote {
  /** Offset of its IPv4 header. */
  at: number;
  /** Offset of its transport header, of which eight octets are there at least. */
  transport: number;
  /** End of what is quoted of it. */
  end: number;
  protocol: number;
  source: number;
  sourcePort: number;
  destination: number;
  destinationPort: number;
}

export const newQuote = (): Quote => ({
  at: 0,
  transport: 0,
  end: 0,
  protocol: 0,
  source: 0,
  sourcePort: 0,
  destination: 0,
  destinationPort: 0,
});

/** Fills `quote` from the ICMP error at `at`, any octets: PASS, or why it is dropped. */
export function readQuote({ buf, view, partial }: Packet, at: number, end: number, quote: Quote): number {
  if (!partial && foldSum(sumWords(buf, at, end)) !== 0xffff) return DROP.checksum;
  const ip = at + ICMP_HEADER;
  if (end - ip < IPV4_HEADER) return DROP.short;
  if (view.getUint8(ip) >>> 4 !== 4) return DROP.version;
  const header = (view.getUint8(ip) & 0x0f) << 2;
  if (header < IPV4_HEADER) return DROP.length;
  const transport = ip + header;
  if (end - transport < TRANSPORT_MIN) return DROP.short;
  if (foldSum(sumWords(buf, ip, transport)) !== 0xffff) return DROP.checksum;
  if ((view.getUint16(ip + 6) & 0x1fff) !== 0) return DROP.natNoSession;
  quote.at = ip;
  quote.transport = transport;
  quote.end = Math.max(transport + TRANSPORT_MIN, Math.min(end, ip + view.getUint16(ip + 2)));
  quote.protocol = view.getUint8(ip + 9);
  quote.source = view.getInt32(ip + SOURCE);
  quote.destination = view.getInt32(ip + DESTINATION);
  if (quote.protocol === IP_PROTOCOL.tcp || quote.protocol === IP_PROTOCOL.udp) {
    quote.sourcePort = view.getUint16(transport);
    quote.destinationPort = view.getUint16(transport + 2);
    return PASS;
  }
  if (quote.protocol !== IP_PROTOCOL.icmp) return DROP.natProtocol;
  if (!isQuery(view.getUint8(transport))) return DROP.natNoSession;
  quote.sourcePort = view.getUint16(transport + 4);
  quote.destinationPort = quote.sourcePort;
  return PASS;
}

/** Gives the quoted packet another source or destination and mends its checksums and that of the ICMP message at `icmp`. */
export function rewriteQuote(
  packet: Packet,
  icmp: number,
  quote: Quote,
  end: typeof SOURCE | typeof DESTINATION,
  address: number,
  port: number,
): void {
  const { view } = packet;
  const before = packet.partial ? 0 : wordsOf(view, quote);
  const delta = addressDelta(view.getInt32(quote.at + end), address);
  view.setInt32(quote.at + end, address);
  view.setUint16(quote.at + 10, updated(view.getUint16(quote.at + 10), delta));
  if (quote.protocol === IP_PROTOCOL.icmp) rewriteWord(view, quote.transport + 4, port, quote.transport + 2);
  else {
    const portAt = end === SOURCE ? quote.transport : quote.transport + 2;
    const all = delta + (~view.getUint16(portAt) & 0xffff) + port;
    view.setUint16(portAt, port);
    if (quote.protocol === IP_PROTOCOL.udp) updateUdp(view, quote.transport + 6, all);
    else if (quote.transport + TCP_CHECKSUM_END <= quote.end)
      view.setUint16(quote.transport + 16, updated(view.getUint16(quote.transport + 16), all));
  }
  if (packet.partial) return;
  const change = (~foldSum(before) & 0xffff) + wordsOf(view, quote);
  view.setUint16(icmp + 2, updated(view.getUint16(icmp + 2), change));
}

/** RFC 5508 §2 and REQ-10: echo and timestamp, which have an identifier and an answer. */
export const isQuery = (type: number): boolean =>
  isRequest(type) || type === ICMP_TYPE.echoReply || type === TIMESTAMP_REPLY;
export const isRequest = (type: number): boolean => type === ICMP_TYPE.echoRequest || type === TIMESTAMP;

/** RFC 5508 REQ-10: the errors that pass. Source quench is obsolete (RFC 6633), a redirect means another network. */
export const isError = (type: number): boolean =>
  type === ICMP_TYPE.destinationUnreachable || type === ICMP_TYPE.timeExceeded || type === ICMP_TYPE.parameterProblem;

/** The sum of everything a rewrite may change. */
function wordsOf(view: DataView, quote: Quote): number {
  let sum = 0;
  for (let at = quote.at + 10; at < quote.at + IPV4_HEADER; at += 2) sum += view.getUint16(at);
  const last = Math.min(quote.transport + TCP_HEADER, quote.end) - 1;
  for (let at = quote.transport; at < last; at += 2) sum += view.getUint16(at);
  return sum;
}

/** RFC 792: so much of the transport header is quoted always. */
const TRANSPORT_MIN = 8;
const TCP_CHECKSUM_END = 18;
/** RFC 792: a query that IPv4 hosts may answer (RFC 1122 §3.2.2.8), and its answer. */
const TIMESTAMP = 13;
const TIMESTAMP_REPLY = 14;
