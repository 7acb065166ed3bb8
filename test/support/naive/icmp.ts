/**
 * The naive reference, ICMP: which errors are owed, and what they say.
 *
 * Written from RFC 792, RFC 1122 §3.2.2, RFC 1191 §4, RFC 1812 §4.3.2 and §5.2.7.1, RFC 4443 §2.4, §3 and §4.
 */
import {
  DESTINATION_OPTIONS,
  FRAGMENT,
  HOP_BY_HOP,
  ICMP,
  ICMPV6,
  isGroup,
  isRefusal,
  optionProblem,
  ROUTING,
  readIp,
  unknownOption,
  withHeaderChecksum,
} from './ip.ts';
import { be16, be32, changed, checksum, concat, hexOf, type Octets, pseudoSum, word } from './octets.ts';

export interface IcmpError {
  readonly type: number;
  readonly code: number;
  /** The four octets behind the checksum. */
  readonly rest: readonly number[];
}

export type Occasion =
  | 'hopLimit'
  | 'noRoute'
  | 'discarded'
  | 'addressUnreachable'
  | 'prohibited'
  | 'tooBig'
  | 'protocolUnreachable'
  | 'portUnreachable';

/** [ICMP type, code, ICMPv6 type, code]. */
const ERRORS: Readonly<Record<Occasion, readonly [number, number, number, number]>> = {
  hopLimit: [11, 0, 3, 0],
  noRoute: [3, 0, 1, 0],
  discarded: [3, 0, 1, 6],
  addressUnreachable: [3, 1, 1, 3],
  prohibited: [3, 13, 1, 1],
  tooBig: [3, 4, 2, 0],
  protocolUnreachable: [3, 2, 4, 1],
  portUnreachable: [3, 3, 1, 4],
};

const ERROR_TYPES = [3, 4, 5, 11, 12];

export const isError = (type: number, version: number): boolean =>
  version === 4 ? ERROR_TYPES.includes(type) : type < 128;

/** `value`: an MTU, or ICMPv6's pointer. */
export function errorFor(octets: Octets, occasion: Occasion, value = 0): IcmpError {
  const [type4, code4, type6, code6] = ERRORS[occasion];
  if (octets[0]! >> 4 === 6) return { type: type6, code: code6, rest: be32(value) };
  return { type: type4, code: code4, rest: [0, 0, ...be16(occasion === 'tooBig' ? value : 0)] };
}

/** RFC 1122 §3.2.2, RFC 4443 §2.4 (e): nothing is said of errors, of what names no one host, of later fragments. */
export function mayBeAnswered(octets: Octets): boolean {
  const ip = readIp(octets);
  if (isRefusal(ip)) return false;
  const { source, destination, protocol, at, length, fragmentOffset } = ip;
  if (isGroup(destination) || isGroup(source)) return false;
  const type = fragmentOffset === 0 && at < length ? octets[at]! : undefined;
  if (ip.version === 4) {
    if (fragmentOffset !== 0 || source[0] === 0 || source[0] === 127 || source[0]! >= 224) return false;
    return protocol !== ICMP || (type !== undefined && !ERROR_TYPES.includes(type));
  }
  if (hexOf(source) === '0'.repeat(32)) return false;
  return protocol !== ICMPV6 || (type !== undefined && type >= 128 && type !== REDIRECT);
}

const REDIRECT = 137;

/** RFC 792, RFC 1812 §5.2.4.1, RFC 8200 §4.2, RFC 4443 §3.4: what a sender is told of a header that cannot be processed. */
export function parameterProblem(octets: Octets): IcmpError | undefined {
  if (octets[0]! >> 4 === 4) {
    const problem = mayBeAnswered(octets) ? optionProblem(octets, (octets[0]! & 15) * 4) : undefined;
    return problem === undefined || problem.silent
      ? undefined
      : { type: 12, code: 0, rest: [problem.pointer, 0, 0, 0] };
  }
  const [source, destination] = [octets.slice(8, 24), octets.slice(24, 40)];
  if (isGroup(source) || isGroup(destination) || hexOf(source) === '0'.repeat(32)) return undefined;
  return extensionProblem(octets.slice(0, 40 + word(octets, 4)));
}

/** The first of the chain that the sender is told of, unless the chain cannot be followed or leads to an ICMPv6 error. */
function extensionProblem(octets: Octets): IcmpError | undefined {
  let first: IcmpError | undefined;
  let [kind, at] = [octets[6]!, 40];
  for (let count = 0; [HOP_BY_HOP, ROUTING, FRAGMENT, DESTINATION_OPTIONS].includes(kind); count++) {
    if (count === 8 || at + 8 > octets.length) return undefined;
    const size = kind === FRAGMENT ? 8 : 8 * (octets[at + 1]! + 1);
    if (at + size > octets.length) return undefined;
    if (kind === HOP_BY_HOP) {
      const problem = unknownOption(octets, at, at + size);
      if (problem !== undefined && !problem.silent) first ??= { type: 4, code: 2, rest: be32(problem.pointer) };
    }
    if (kind === ROUTING && octets[at + 2] === 0 && octets[at + 3] !== 0)
      first ??= { type: 4, code: 0, rest: be32(at + 2) };
    if (kind === FRAGMENT && word(octets, at + 2) >= 8) return undefined;
    kind = octets[at]!;
    at += size;
  }
  if (kind !== ICMPV6) return first;
  return at < octets.length && octets[at]! >= 128 && octets[at] !== REDIRECT ? first : undefined;
}

/** RFC 1812 §4.3.2.3, RFC 4443 §2.4 (c): quotes as much as fits 576 octets, or the least MTU of IPv6. */
export function buildError({ type, code, rest }: IcmpError, source: Octets, about: Octets): Octets {
  const v4 = about[0]! >> 4 === 4;
  const own = v4 ? word(about, 2) : 40 + word(about, 4);
  const quote = about.slice(0, Math.min(v4 ? 548 : 1232, own));
  const destination = v4 ? about.slice(12, 16) : about.slice(8, 24);
  // RFC 1812 §4.3.2.5: internetwork control.
  return message(source, destination, v4 ? 0xc0 : 0, concat([type, code, 0, 0], rest, quote));
}

/** RFC 1122 §3.2.2.6, RFC 4443 §4.2: the data of the request, from the address it was sent to. ECN is of one way only. */
export function echoReply(request: Octets, at: number, length: number): Octets {
  const v4 = request[0]! >> 4 === 4;
  const body = changed(request.slice(at, length), 0, [v4 ? 0 : 129]);
  if (v4) {
    const tos = request[1]! - (request[1]! % 4);
    return message(request.slice(16, 20), request.slice(12, 16), tos, body);
  }
  const reply = message(request.slice(24, 40), request.slice(8, 24), 0, body);
  // Traffic class without ECN, and the flow label.
  const first = request.slice(0, 4);
  first[1]! &= 0xcf;
  return changed(reply, 0, first);
}

/** A packet of the gateway's own around an ICMP message, identification 0, checksums filled in. */
function message(source: Octets, destination: Octets, trafficClass: number, body: Octets): Octets {
  const zeroed = changed(body, 2, [0, 0]);
  if (source.length === 4) {
    const header = concat(
      [0x45, trafficClass],
      be16(20 + body.length),
      [0, 0, 0, 0, 64, ICMP, 0, 0],
      source,
      destination,
    );
    return withHeaderChecksum(concat(header, changed(zeroed, 2, be16(checksum(zeroed)))));
  }
  const value = checksum(zeroed, pseudoSum(source, destination, ICMPV6, body.length));
  const header = concat([0x60, 0, 0, 0], be16(body.length), [ICMPV6, 64], source, destination);
  return concat(header, changed(zeroed, 2, be16(value)));
}
