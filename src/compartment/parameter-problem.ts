/**
 * Which field of a header a router or host owes a Parameter Problem for.
 *
 * Read first: RFC 792 (parameter problem), RFC 1812 §4.3.3.5 and §5.2.4.1, RFC 7126 §4.3 (source routes), RFC 8200 §4.2
 * (what an unknown option asks for), RFC 5095 §3 (type 0 routing headers), RFC 4443 §2.4 (e), §3.4.
 * Deliberate limits: source routes, broken IPv6 option lengths and too many extension headers are refused in silence;
 * nothing is answered about multicast, also where RFC 8200 would allow it; destination options are not examined.
 */
import type { Bytes } from '../core/index.ts';
import {
  EXTENSION_HEADERS_MAX,
  ICMPV6_TYPE,
  IP_PROTOCOL,
  IPV4_HEADER,
  IPV6_HEADER,
  ipVersion,
  ipv4HeaderLength,
  ipv6DestinationAt,
  ipv6IsMulticastAt,
  ipv6IsUnspecifiedAt,
  ipv6SourceAt,
} from '../ip/index.ts';

export interface ParameterProblem {
  readonly code: number;
  /** Octets from the start of the IP header. */
  readonly pointer: number;
}

/** What is wrong with the packet in buf[start, end), which ends where its length says, so that its sender can be told; or undefined. */
export const parameterProblem = (buf: Bytes, start: number, end: number): ParameterProblem | undefined =>
  ipVersion(buf, start) === 4 ? optionProblem(buf, start) : extensionProblem(buf, start, end);

/** Offset, from the start of the IPv6 header, of the next-header field that names what stands at `upperAt`. */
export function nextHeaderField(buf: Bytes, start: number, upperAt: number): number {
  let field = start + 6;
  for (let at = start + IPV6_HEADER; at < upperAt; ) {
    const length = headerLength(buf, at, buf[field]!);
    field = at;
    at += length;
  }
  return field - start;
}

function optionProblem(buf: Bytes, start: number): ParameterProblem | undefined {
  const end = start + ipv4HeaderLength(buf, start);
  for (let at = start + IPV4_HEADER; at < end; ) {
    const kind = buf[at]!;
    if (kind === END_OF_OPTIONS) return undefined;
    if (kind === NO_OPERATION) {
      at += 1;
      continue;
    }
    if (kind === LOOSE_SOURCE_ROUTE || kind === STRICT_SOURCE_ROUTE) return undefined;
    if (at + 2 > end) return { code: 0, pointer: at - start };
    const length = buf[at + 1]!;
    if (length < 2 || at + length > end) return { code: 0, pointer: at + 1 - start };
    at += length;
  }
  return undefined;
}

/** Walks to the upper layer even past what is wrong, because nothing is answered about an ICMPv6 error. */
function extensionProblem(buf: Bytes, start: number, end: number): ParameterProblem | undefined {
  const source = ipv6SourceAt(start);
  if (ipv6IsMulticastAt(buf, source) || ipv6IsUnspecifiedAt(buf, source)) return undefined;
  if (ipv6IsMulticastAt(buf, ipv6DestinationAt(start))) return undefined;
  let problem: ParameterProblem | undefined;
  let next = buf[start + 6]!;
  let at = start + IPV6_HEADER;
  for (let headers = 0; EXTENSIONS.has(next); headers++) {
    if (headers === EXTENSION_HEADERS_MAX || at + 8 > end) return undefined;
    const length = headerLength(buf, at, next);
    if (at + length > end) return undefined;
    if (next === IP_PROTOCOL.hopByHop) problem ??= unknownOption(buf, start, at + 2, at + length);
    if (next === IP_PROTOCOL.routing && buf[at + 2] === 0 && buf[at + 3] !== 0) {
      problem ??= { code: ERRONEOUS_FIELD, pointer: at + 2 - start };
    }
    // A fragment other than the first: what follows is not a header.
    if (next === IP_PROTOCOL.fragment && ((buf[at + 2]! << 8) | (buf[at + 3]! & 0xf8)) !== 0) return undefined;
    next = buf[at]!;
    at += length;
  }
  if (next !== IP_PROTOCOL.icmpv6) return problem;
  return at < end && buf[at]! >= ICMPV6_TYPE.echoRequest && buf[at] !== ICMPV6_TYPE.redirect ? problem : undefined;
}

/** The first unknown option of buf[from, to) that wants the packet discarded and its sender told. */
function unknownOption(buf: Bytes, start: number, from: number, to: number): ParameterProblem | undefined {
  for (let at = from; at < to; ) {
    const type = buf[at]!;
    if (type === PAD1) {
      at += 1;
      continue;
    }
    if (at + 2 > to || at + 2 + buf[at + 1]! > to) return undefined;
    const action = type >>> 6;
    if (action >= DISCARD_AND_TELL) return { code: UNRECOGNIZED_OPTION, pointer: at - start };
    if (action !== 0) return undefined;
    at += 2 + buf[at + 1]!;
  }
  return undefined;
}

const headerLength = (buf: Bytes, at: number, header: number): number =>
  header === IP_PROTOCOL.fragment ? 8 : (buf[at + 1]! + 1) << 3;

const EXTENSIONS: ReadonlySet<number> = new Set([
  IP_PROTOCOL.hopByHop,
  IP_PROTOCOL.routing,
  IP_PROTOCOL.fragment,
  IP_PROTOCOL.destinationOptions,
]);

/** RFC 791 §3.1. */
const END_OF_OPTIONS = 0;
const NO_OPERATION = 1;
const LOOSE_SOURCE_ROUTE = 0x83;
const STRICT_SOURCE_ROUTE = 0x89;
/** RFC 8200 §4.2: 00 skip, 01 discard, 10 discard and tell, 11 the same unless multicast. */
const PAD1 = 0;
const DISCARD_AND_TELL = 2;
/** RFC 4443 §3.4. */
const ERRONEOUS_FIELD = 0;
const UNRECOGNIZED_OPTION = 2;
