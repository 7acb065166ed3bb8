/** Ranges of IPv4 addresses, as the pool has them: `203.0.113.50-203.0.113.99`, a prefix, or one address. */
import {
  type Address,
  formatAddress,
  ipv4Number,
  ipv4Octets,
  lastOf,
  type Prefix,
  parseAddress,
  parsePrefix,
} from '../ip/index.ts';

/** Both ends belong to it; `first` is not above `last`. */
export interface AddressRange {
  readonly first: Address;
  readonly last: Address;
}

/** Undefined for what is no range, `'family'` for IPv6, `'order'` for one whose end is before its start. */
export function parseRange(text: string): AddressRange | 'family' | 'order' | undefined {
  const ends = text.split('-');
  const [first, last] = ends.length === 2 ? ends.map((end) => parseAddress(end.trim())) : prefixEnds(text);
  if (first === undefined || last === undefined || first.length !== last.length) return undefined;
  if (first.length !== 4) return 'family';
  return ipv4Number(first) > ipv4Number(last) ? 'order' : { first, last };
}

export const formatRange = ({ first, last }: AddressRange): string =>
  ipv4Number(first) === ipv4Number(last) ? formatAddress(first) : `${formatAddress(first)}-${formatAddress(last)}`;

export const sizeOf = ({ first, last }: AddressRange): number => ipv4Number(last) - ipv4Number(first) + 1;

/** False for IPv6. */
export const inRange = ({ first, last }: AddressRange, address: Address): boolean =>
  address.length === 4 && ipv4Number(address) >= ipv4Number(first) && ipv4Number(address) <= ipv4Number(last);

export const rangesOverlap = (a: AddressRange, b: AddressRange): boolean => inRange(a, b.first) || inRange(b, a.first);

export const compareRanges = (a: AddressRange, b: AddressRange): number => ipv4Number(a.first) - ipv4Number(b.first);

/** Ascending. */
export function* addressesOf({ first, last }: AddressRange): Generator<Address> {
  for (let n = ipv4Number(first); n <= ipv4Number(last); n++) yield ipv4Octets(n);
}

/** The fewest prefixes that are the range together, ascending. */
export function prefixesIn({ first, last }: AddressRange): Prefix[] {
  const found: Prefix[] = [];
  const end = ipv4Number(last) + 1;
  for (let at = ipv4Number(first); at < end; ) {
    let size = 1;
    while (at % (2 * size) === 0 && at + 2 * size <= end) size *= 2;
    found.push({ address: ipv4Octets(at), length: 32 - Math.log2(size) });
    at += size;
  }
  return found;
}

function prefixEnds(text: string): readonly (Address | undefined)[] {
  const prefix = parsePrefix(text);
  return prefix === undefined ? [] : [prefix.address, lastOf(prefix)];
}
