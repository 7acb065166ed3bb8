/**
 * The naive reference, IP: what a packet says of itself, and which packets no node may process.
 *
 * Written from RFC 791 §3.1, RFC 1122 §3.2.1, RFC 1812 §5.3.7, RFC 1858 §3–4, RFC 7126 §4.3 (source routes are refused);
 * RFC 8200 §3–4.5, RFC 4291 §2.5, RFC 5095 §3, RFC 7112 §5. The order of the checks is the gateway's choice: of several
 * reasons to refuse a packet it counts the first.
 */
import type { DropReason } from '../../../src/ip/index.ts';
import { checksum, hexOf, type Octets, word } from './octets.ts';

/** The names of what the checks read; offsets are from the first octet of the packet. */
export interface Ip {
  readonly version: 4 | 6;
  readonly source: Octets;
  readonly destination: Octets;
  readonly trafficClass: number;
  readonly hops: number;
  /** IPv6 packets are as those with DF. */
  readonly mayBeCut: boolean;
  /** Of the whole packet by its own length field. */
  readonly length: number;
  /** Octets of the IPv4 header, 40 for IPv6. */
  readonly header: number;
  /** `undefined`: hidden by a fragment header. */
  readonly protocol: number | undefined;
  /** Where the upper layer begins, or the data of a later fragment; and the field that names its protocol. */
  readonly at: number;
  readonly field: number;
  readonly fragment: boolean;
  /** In octets. */
  readonly fragmentOffset: number;
  readonly routed: boolean;
}

export const HOP_BY_HOP = 0;
export const ICMP = 1;
export const TCP = 6;
export const UDP = 17;
export const ROUTING = 43;
export const FRAGMENT = 44;
export const ICMPV6 = 58;
export const NO_NEXT_HEADER = 59;
export const DESTINATION_OPTIONS = 60;

const EXTENSIONS = [HOP_BY_HOP, ROUTING, FRAGMENT, DESTINATION_OPTIONS];
const EXTENSIONS_MAX = 8;

export const isRefusal = (read: Ip | DropReason): read is DropReason => typeof read === 'string';

/** Header and upper layer, or what makes it impossible to find them. */
export function readIp(octets: Octets): Ip | DropReason {
  if (octets.length === 0) return 'short';
  const version = octets[0]! >> 4;
  if (version === 4) return readIpv4(octets);
  return version === 6 ? readIpv6(octets) : 'version';
}

/** The same for a packet that comes in: also what no node may process is refused. */
export function checkIp(octets: Octets): Ip | DropReason {
  const ip = readIp(octets);
  if (isRefusal(ip)) return ip;
  if (ip.version === 4) {
    if (checksum(octets.slice(0, ip.header)) !== 0) return 'checksum';
    if (optionProblem(octets, ip.header) !== undefined) return 'options';
    if (ip.fragment && !fragmentMakesSense(ip)) return 'fragment';
  }
  return isMartian(ip.source, ip.destination) ? 'martian' : ip;
}

/** For a packet that was read before. */
export function mustRead(octets: Octets): Ip {
  const ip = readIp(octets);
  if (isRefusal(ip)) throw new Error(`a checked packet is refused: ${ip} ${hexOf(octets)}`);
  return ip;
}

function readIpv4(octets: Octets): Ip | DropReason {
  if (octets.length < 20) return 'short';
  const header = (octets[0]! & 15) * 4;
  const length = word(octets, 2);
  if (header < 20 || header > length || length > octets.length) return 'length';
  const fragmentOffset = (word(octets, 6) % 0x2000) * 8;
  return {
    version: 4,
    source: octets.slice(12, 16),
    destination: octets.slice(16, 20),
    trafficClass: octets[1]!,
    hops: octets[8]!,
    mayBeCut: (octets[6]! & 0x40) === 0,
    length,
    header,
    protocol: octets[9]!,
    at: header,
    field: 9,
    fragment: fragmentOffset > 0 || (octets[6]! & 0x20) !== 0,
    fragmentOffset,
    routed: false,
  };
}

function readIpv6(octets: Octets): Ip | DropReason {
  if (octets.length < 40) return 'short';
  const length = 40 + word(octets, 4);
  if (length > octets.length) return 'length';
  const base = {
    version: 6,
    source: octets.slice(8, 24),
    destination: octets.slice(24, 40),
    trafficClass: (octets[0]! & 15) * 16 + (octets[1]! >> 4),
    hops: octets[7]!,
    mayBeCut: false,
    length,
    header: 40,
  } as const;
  let [field, at, more, fragment, routed] = [6, 40, false, false, false];
  for (let count = 0; EXTENSIONS.includes(octets[field]!); count++) {
    const kind = octets[field]!;
    if (count === EXTENSIONS_MAX) return 'hopOptions';
    const size = kind === FRAGMENT ? 8 : at + 8 > length ? 8 : 8 * (octets[at + 1]! + 1);
    // RFC 7112 §5: a first fragment holds the whole chain.
    if (at + size > length) return more ? 'fragment' : 'short';
    if (kind === FRAGMENT) {
      if (fragment) return 'fragment';
      fragment = true;
      more = (octets[at + 3]! & 1) !== 0;
      const offset = word(octets, at + 2) - (word(octets, at + 2) % 8);
      const data = length - at - 8;
      if ((more && data % 8 !== 0) || offset + data > 0xffff) return 'fragment';
      if (offset > 0) {
        const next = octets[at]!;
        const protocol = EXTENSIONS.includes(next) ? undefined : next;
        return { ...base, protocol, at: at + 8, field: at, fragment, fragmentOffset: offset, routed };
      }
    } else {
      if (kind === HOP_BY_HOP && (count > 0 || unknownOption(octets, at, at + size) !== undefined)) return 'hopOptions';
      if (kind === ROUTING && octets[at + 2] === 0 && octets[at + 3] !== 0) return 'options';
      routed ||= kind === ROUTING;
    }
    field = at;
    at += size;
  }
  const protocol = octets[field]!;
  const least = protocol === TCP ? 20 : protocol === UDP || protocol === ICMPV6 ? 8 : 0;
  if (more && length - at < least) return 'fragment';
  return { ...base, protocol, at, field, fragment, fragmentOffset: 0, routed };
}

export interface Problem {
  /** From the first octet of the packet. */
  readonly pointer: number;
  /** A source route, or options that end outside: refused in silence. */
  readonly silent: boolean;
  /** RFC 8200 §4.2: the two highest bits of the option that is not known. */
  readonly action: number;
}

/** The first IPv4 option that does not end where the options do, or is a source route. */
export function optionProblem(octets: Octets, header: number): Problem | undefined {
  for (let at = 20; at < header; ) {
    const kind = octets[at]!;
    if (kind === 0) return undefined;
    const size = kind === 1 ? 1 : at + 1 < header ? octets[at + 1]! : 0;
    if (kind === 131 || kind === 137) return { pointer: at, silent: true, action: 0 };
    // RFC 792: the pointer is at the octet where the error is: the length, if there is one.
    if (kind !== 1 && at + 1 >= header) return { pointer: at, silent: false, action: 0 };
    if (kind !== 1 && (size < 2 || at + size > header)) return { pointer: at + 1, silent: false, action: 0 };
    at += size;
  }
  return undefined;
}

/** RFC 8200 §4.2: the first option of the header in octets[from, to) that is not to be skipped. */
export function unknownOption(octets: Octets, from: number, to: number): Problem | undefined {
  for (let at = from + 2; at < to; ) {
    const kind = octets[at]!;
    const size = kind === 0 ? 1 : at + 1 < to ? 2 + octets[at + 1]! : Number.POSITIVE_INFINITY;
    const action = kind >> 6;
    if (at + size > to || action > 0) return { pointer: at, silent: at + size > to || action === 1, action };
    at += size;
  }
  return undefined;
}

/** RFC 1858 §3 and §4.2; RFC 791 §3.1: the whole counts in 16 bits. */
function fragmentMakesSense(ip: Ip): boolean {
  if (ip.fragmentOffset + ip.length > 0xffff) return false;
  if (ip.protocol !== TCP) return true;
  return ip.fragmentOffset === 0 ? ip.length - ip.header >= 16 : ip.fragmentOffset !== 8;
}

function isMartian(source: Octets, destination: Octets): boolean {
  if (source.length === 4) {
    const nowhere = [0, 127];
    if (nowhere.includes(source[0]!) || nowhere.includes(destination[0]!)) return true;
    return (source[0]! >= 224 && source[0]! < 240) || hexOf(source) === 'ffffffff';
  }
  const [from, to] = [hexOf(source), hexOf(destination)];
  if (from.startsWith('ff') || from === LOOPBACK || from.startsWith(MAPPED)) return true;
  if (from === UNSPECIFIED && !to.startsWith('ff')) return true;
  return to === UNSPECIFIED || to === LOOPBACK;
}

const UNSPECIFIED = '0'.repeat(32);
const LOOPBACK = `${'0'.repeat(31)}1`;
const MAPPED = `${'0'.repeat(20)}ffff`;

/** Multicast or the limited broadcast. */
export const isGroup = (address: Octets): boolean =>
  address.length === 4
    ? (address[0]! >= 224 && address[0]! < 240) || hexOf(address) === 'ffffffff'
    : address[0] === 255;

/** RFC 3927 §2.7, RFC 4291 §2.5.6. */
export const isLinkLocal = (address: Octets): boolean =>
  address.length === 4
    ? address[0] === 169 && address[1] === 254
    : address[0] === 0xfe && address[1]! >= 0x80 && address[1]! < 0xc0;

/** With its IPv4 header checksum computed anew. */
export function withHeaderChecksum(octets: Octets): Octets {
  if (octets[0]! >> 4 !== 4) return octets;
  const out = octets.slice();
  out.set([0, 0], 10);
  const value = checksum(out.slice(0, (out[0]! & 15) * 4));
  out.set([value >> 8, value & 255], 10);
  return out;
}

export function withTrafficClass(octets: Octets, value: number): Octets {
  const out = octets.slice();
  if (out[0]! >> 4 === 4) out[1] = value;
  else out.set([0x60 + (value >> 4), ((value & 15) << 4) + (out[1]! & 15)]);
  return withHeaderChecksum(out);
}

export function withHops(octets: Octets, value: number): Octets {
  const out = octets.slice();
  out[out[0]! >> 4 === 4 ? 8 : 7] = value;
  return withHeaderChecksum(out);
}
