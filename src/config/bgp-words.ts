/** The words of BGP, in the form of `words.ts`: each function gives the value or a `Problem`. */
import { formatPrefix } from '../ip/index.ts';
import type { AsnRange, PrefixMatch } from './contract-bgp.ts';
import { Problem, readAddress, readPrefix, readText, readUnicast, show, wholeNumber } from './words.ts';

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

/** RFC 4271 §4.2: 0, or 3 and more. */
export function readHoldSeconds(input: unknown): number | Problem {
  const seconds = wholeNumber(0, 0xffff)(input);
  if (seconds === 1 || seconds === 2) return new Problem('the hold time is 0 or at least 3 seconds (RFC 4271 §4.2)');
  return seconds;
}

/** What a clause matches: the lengths as the keys beside the prefix say. */
export function matchOf(prefixText: unknown, ge: number | undefined, le: number | undefined): PrefixMatch | Problem {
  const prefix = readPrefix(prefixText);
  if (prefix instanceof Problem) return prefix;
  const width = prefix.address.length * 8;
  const from = ge ?? prefix.length;
  const to = le ?? (ge === undefined ? prefix.length : width);
  if (from < prefix.length || to > width || from > to) {
    return new Problem(
      `lengths ${from} to ${to} do not lie in ${formatPrefix(prefix)}: from ${prefix.length} to ${width}, ge not above le`,
    );
  }
  return { prefix, ge: from, le: to };
}

/**
 * `65000:1` (RFC 1997), `65000:1:2` (RFC 8092), `rt:65000:1` and `soo:65000:1` (RFC 4360, an address too: `rt:192.0.2.1:1`), or the name of
 * a well-known one. The text is kept: it is the same everywhere.
 */
export function readCommunity(input: unknown): string | Problem {
  const text = readText(typeof input === 'number' ? String(input) : input);
  if (text instanceof Problem) return text;
  if (WELL_KNOWN.includes(text)) return text;
  const parts = text.split(':');
  const kind = parts[0] === 'rt' || parts[0] === 'soo' ? parts.shift() : undefined;
  const limits = kind === undefined ? PLAIN_LIMITS[parts.length] : extendedLimits(parts);
  const numbers = kind !== undefined && parts[0]?.includes('.') ? ['0', ...parts.slice(1)] : parts;
  const fits =
    limits !== undefined && numbers.every((part, i) => /^(0|[1-9]\d{0,9})$/.test(part) && Number(part) <= limits[i]!);
  if (fits) return text;
  return new Problem(
    `${show(text)} is not a community like 65000:1, 65000:1:2, rt:65000:1 or one of ${WELL_KNOWN.join(', ')}`,
  );
}

/** A next hop to be set: `self` or an address. */
export const readNextHop = (input: unknown) => (input === 'self' ? ('self' as const) : readUnicast(input));

/** RFC 1997, 7999, 8326, 9494. */
export const WELL_KNOWN: readonly string[] = [
  'no-export',
  'no-advertise',
  'no-export-subconfed',
  'no-peer',
  'blackhole',
  'graceful-shutdown',
  'llgr-stale',
  'no-llgr',
];

const AS_TRANS = 23456;
const RESERVED: Readonly<Record<number, string>> = {
  0: 'RFC 7607',
  [AS_TRANS]: 'AS_TRANS, RFC 6793',
  65535: 'RFC 7300',
  4294967295: 'RFC 7300',
};
const U16 = 0xffff;
const U32 = 0xffffffff;
const PLAIN_LIMITS: Readonly<Record<number, readonly number[]>> = { 2: [U16, U16], 3: [U32, U32, U32] };

/** Two octets and four, or an address or a large AS number and two (RFC 4360 §3.1, §3.2, RFC 5668). */
function extendedLimits(parts: readonly string[]): readonly number[] | undefined {
  if (parts.length !== 2) return undefined;
  const first = parts[0]!;
  if (first.includes('.')) return readAddress(first) instanceof Problem ? undefined : [0, U16];
  return Number(first) > U16 ? [U32, U16] : [U16, U32];
}

function asnOf(input: unknown): number | undefined {
  const text = typeof input === 'number' ? String(input) : input;
  if (typeof text !== 'string') return undefined;
  const dotted = /^(\d{1,5})\.(\d{1,5})$/.exec(text);
  // YAML reads 1.10 as a number and forgets its zero.
  if (dotted !== null && typeof input === 'number') return undefined;
  if (dotted !== null) {
    const [high, low] = [Number(dotted[1]), Number(dotted[2])];
    return high > U16 || low > U16 ? undefined : high * 0x10000 + low;
  }
  return /^(0|[1-9]\d{0,9})$/.test(text) && Number(text) <= U32 ? Number(text) : undefined;
}

const found = (input: unknown): string => (typeof input === 'object' ? 'a section or list' : show(String(input)));
