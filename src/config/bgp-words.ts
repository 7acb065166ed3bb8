/** The words of BGP, in the form of `words.ts`: each function gives the value or a `Problem`. */
import { COMMUNITY_NAMES, formatCommunity, parseAsn, parseCommunity, parseOrigin } from '../bgp/index.ts';
import { u32 } from '../core/index.ts';
import { type Address, formatAddress, formatPrefix, ipv6IsLinkLocalAt } from '../ip/index.ts';
import type { AsnRange, PrefixMatch } from './contract-bgp.ts';
import { choice, Problem, readAddress, readPrefix, readText, readUnicast, show, wholeNumber } from './words.ts';

/** A number, or `65010` or `1.10` (RFC 5396: asdot) as text. */
export function readAsn(input: unknown): number | Problem {
  const asn = asnOf(input);
  if (asn === undefined) return new Problem(`an AS number like 65010 or 1.10 is needed, not ${found(input)}`);
  if (asn === 0 || asn === AS_TRANS || asn === 0xffff || asn === 0xffffffff) {
    return new Problem(`AS ${asn} is reserved (${RESERVED[asn]})`);
  }
  return asn;
}

/** `65010`, `64512-65534`. */
export function readAsnRange(input: unknown): AsnRange | Problem {
  const [first, last, ...more] = typeof input === 'string' ? input.split('-') : [input];
  const [from, to] = [asnOf(first), asnOf(last ?? first)];
  if (from === undefined || to === undefined || more.length > 0 || from > to) {
    return new Problem(`an AS number or a range like 64512-65534 is needed, not ${found(input)}`);
  }
  return { first: from, last: to };
}

/** RFC 6286: 32 bits, not zero, written as an IPv4 address. */
export function readRouterId(input: unknown): number | Problem {
  const address = readAddress(input);
  if (address instanceof Problem) return address;
  if (address.length !== 4)
    return new Problem('a router ID is written like an IPv4 address, also where all else is IPv6');
  const id = new DataView(address.buffer, address.byteOffset).getUint32(0);
  return id === 0 ? new Problem('the router ID 0.0.0.0 means none (RFC 6286 §2.1)') : id;
}

/** RFC 4456 §8: 32 bits, as a number or written as an IPv4 address. */
export function readClusterId(input: unknown): number | Problem {
  if (typeof input === 'number') return wholeNumber(0, 0xffffffff)(input);
  const address = readAddress(input);
  if (!(address instanceof Problem) && address.length === 4) return u32(address, 0);
  return new Problem(`a cluster ID is written like an IPv4 address, or is a number, not ${found(input)}`);
}

/** RFC 4271 §4.2: 0, or 3 and more. */
export function readHoldSeconds(input: unknown): number | Problem {
  const seconds = wholeNumber(0, 0xffff)(input);
  if (seconds === 1 || seconds === 2) return new Problem('the hold time is 0 or at least 3 seconds (RFC 4271 §4.2)');
  return seconds;
}

/**
 * What a clause matches: the lengths as the keys beside the prefix say, or behind it as in other routers' lists: `10.0.0.0/8 ge 16 le 24`, and
 * `10.0.0.0/8+` and `10.0.0.0/8{16,24}` of BIRD.
 */
export function matchOf(input: unknown, geKey: number | undefined, leKey: number | undefined): PrefixMatch | Problem {
  const [, before, behind = ''] = (typeof input === 'string' && /^(\S+?)( .*|\+|\{.*)$/.exec(input)) || [];
  const prefix = readPrefix(before ?? input);
  if (prefix instanceof Problem) return prefix;
  const width = prefix.address.length * 8;
  const lengths = before === undefined ? [geKey, leKey] : lengthsOf(behind, prefix.length, width);
  if (lengths === undefined)
    return new Problem(`${show(String(input))}: behind a prefix comes ge and le, like ge 16 le 24`);
  if (before !== undefined && (geKey ?? leKey) !== undefined)
    return new Problem(`${show(String(input))}: ge and le are said twice`);
  const [ge, le] = lengths;
  const from = ge ?? prefix.length;
  const to = le ?? (ge === undefined ? prefix.length : width);
  if (from < prefix.length || to > width || from > to) {
    return new Problem(
      `lengths ${from} to ${to} do not lie in ${formatPrefix(prefix)}: from ${prefix.length} to ${width}, ge not above le`,
    );
  }
  return { prefix, ge: from, le: to };
}

function lengthsOf(text: string, own: number, width: number): readonly (number | undefined)[] | undefined {
  if (text === '+') return [own, width];
  const braces = /^\{\s*(\d{1,3})\s*,\s*(\d{1,3})\s*\}$/.exec(text);
  const worded = /^(?: +ge +(\d{1,3}))?(?: +le +(\d{1,3}))? *$/.exec(text);
  const [, from, to] = braces ?? worded ?? [];
  if (from === undefined && to === undefined) return undefined;
  return [from, to].map((each) => (each === undefined ? undefined : Number(each)));
}

/** Of any kind, in any spelling that the tables understand; the text is the one that they print. */
export function readCommunity(input: unknown): string | Problem {
  const text = readText(typeof input === 'number' ? String(input) : input);
  if (text instanceof Problem) return text;
  const community = parseCommunity(text);
  if (community !== undefined) return formatCommunity(community);
  return new Problem(
    `${show(text)} is not a community like 65000:1, 65000:1:2, rt:65000:1 or one of ${COMMUNITY_NAMES.join(', ')}`,
  );
}

/** As it is printed, or the mark of a table. */
export function readOrigin(input: unknown): 'igp' | 'egp' | 'incomplete' | Problem {
  return (typeof input === 'string' ? parseOrigin(input) : undefined) ?? anOrigin(input);
}

/** An address that routes of a compartment lead to; of link-local ones, those of IPv4, which many tunnels have. */
export function readPeerAddress(input: unknown): Address | Problem {
  const address = readUnicast(input);
  if (address instanceof Problem) return address;
  const text = formatAddress(address);
  if (address.length === 4 ? address[0] === 127 : text === '::1')
    return new Problem(`${text} is the host's own loopback, and nobody in this compartment`);
  return address.length === 16 && ipv6IsLinkLocalAt(address, 0)
    ? new Problem(`${text} is link-local, which no route leads to: write another address of the peer`)
    : address;
}

/** A next hop to be set: `self` or an address. */
export const readNextHop = (input: unknown) => (input === 'self' ? ('self' as const) : readUnicast(input));

const anOrigin = choice(['igp', 'egp', 'incomplete']);
const AS_TRANS = 23456;
const RESERVED: Readonly<Record<number, string>> = {
  0: 'RFC 7607',
  [AS_TRANS]: 'AS_TRANS, RFC 6793',
  65535: 'RFC 7300',
  4294967295: 'RFC 7300',
};
function asnOf(input: unknown): number | undefined {
  // YAML reads 1.10 as a number and forgets its zero.
  if (typeof input === 'number') return Number.isInteger(input) ? parseAsn(String(input)) : undefined;
  return typeof input === 'string' ? parseAsn(input) : undefined;
}

const found = (input: unknown): string => (typeof input === 'object' ? 'a section or list' : show(String(input)));
