/**
 * Addresses, prefixes and endpoints of both families, for the control plane. On the packet path IPv4 addresses are
 * unsigned 32-bit numbers and IPv6 addresses stay where they are in the packet.
 *
 * Text is parsed and written at the edges only, through ipaddr.js; nothing here accepts shorthand like `10.1` or octal.
 */
import ipaddr from 'ipaddr.js';
import type { Bytes } from '../core/index.ts';
import { compareBytes, sameBytes, u32 } from '../core/index.ts';

/** 4 or 16 octets in network order; the length is the family. */
export type Address = Bytes;

export interface Prefix {
  readonly address: Address;
  readonly length: number;
}

export interface Endpoint {
  readonly address: Address;
  readonly port: number;
}

export const familyOf = (address: Address): 4 | 6 => (address.length === 4 ? 4 : 6);
export const sameAddress = (a: Address, b: Address): boolean => sameBytes(a, b);
export const compareAddresses = (a: Address, b: Address): number => a.length - b.length || compareBytes(a, b);
export const sameEndpoint = (a: Endpoint, b: Endpoint): boolean => a.port === b.port && sameBytes(a.address, b.address);

/**
 * A number for whoever sends from an address, by which peers share what there is for all: of IPv6 the /64 counts, because its owner
 * has every address in it. Two peers may have one number.
 */
export const peerNumber = (address: Address): number =>
  address.length === 4 ? u32(address, 0) : u32(address, 0) ^ Math.imul(u32(address, 4), 0x9e3779b1);

/** Dotted quad or RFC 4291 text; undefined for anything else. A zone (`%eth0`) is refused. */
export function parseAddress(text: string): Address | undefined {
  if (ipaddr.IPv4.isValidFourPartDecimal(text)) return Uint8Array.from(ipaddr.IPv4.parse(text).toByteArray());
  if (!text.includes(':') || text.includes('%') || !ipaddr.IPv6.isValid(text)) return undefined;
  return Uint8Array.from(ipaddr.IPv6.parse(text).toByteArray());
}

/** RFC 5952 text for IPv6. */
export function formatAddress(address: Address): string {
  const parsed = ipaddr.fromByteArray([...address]);
  return parsed.kind() === 'ipv6' ? (parsed as ipaddr.IPv6).toRFC5952String() : parsed.toString();
}

/** `10.1.0.0/24`; a bare address is its host prefix. Host bits must be zero unless `hostBits` allows them (interface addresses). */
export function parsePrefix(text: string, hostBits = false): Prefix | undefined {
  const slash = text.indexOf('/');
  const address = parseAddress(slash < 0 ? text : text.slice(0, slash));
  if (address === undefined) return undefined;
  const width = address.length * 8;
  if (slash < 0) return { address, length: width };
  const digits = text.slice(slash + 1);
  if (!/^(0|[1-9][0-9]{0,2})$/.test(digits)) return undefined;
  const length = Number(digits);
  if (length > width) return undefined;
  const prefix = { address, length };
  return hostBits || sameBytes(networkOf(prefix), address) ? prefix : undefined;
}

export const formatPrefix = (prefix: Prefix): string => `${formatAddress(prefix.address)}/${prefix.length}`;

/** `192.0.2.1:500`, `[2001:db8::1]:4500`. */
export const formatEndpoint = (e: Endpoint): string =>
  e.address.length === 4 ? `${formatAddress(e.address)}:${e.port}` : `[${formatAddress(e.address)}]:${e.port}`;

/** The first address of a prefix: host bits cleared. */
export function networkOf(prefix: Prefix): Address {
  return withHostBits(prefix, 0x00);
}

/** The last address of a prefix: host bits set. */
export function lastOf(prefix: Prefix): Address {
  return withHostBits(prefix, 0xff);
}

export function contains(prefix: Prefix, address: Address): boolean {
  if (address.length !== prefix.address.length) return false;
  const whole = prefix.length >>> 3;
  for (let i = 0; i < whole; i++) if (address[i] !== prefix.address[i]) return false;
  const rest = prefix.length & 7;
  if (rest === 0) return true;
  const mask = (0xff << (8 - rest)) & 0xff;
  return (address[whole]! & mask) === (prefix.address[whole]! & mask);
}

/** An IPv4 address as the unsigned number of the packet path. */
export const ipv4Number = (a: Address): number => ((a[0]! << 24) | (a[1]! << 16) | (a[2]! << 8) | a[3]!) >>> 0;

export const ipv4Octets = (n: number): Address => Uint8Array.of(n >>> 24, n >>> 16, n >>> 8, n);

function withHostBits(prefix: Prefix, fill: number): Address {
  const out = prefix.address.slice();
  for (let bit = prefix.length; bit < out.length * 8; ) {
    const room = 8 - (bit & 7);
    const mask = (1 << room) - 1;
    out[bit >>> 3] = (out[bit >>> 3]! & ~mask) | (fill & mask);
    bit += room;
  }
  return out;
}
