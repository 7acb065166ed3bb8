/**
 * The IPv4 header as a view on (buffer, offset of the header), its check, and its writers.
 *
 * Read first: RFC 791 §3.1, RFC 1122 §3.2.1, RFC 1812 §5.3.7 (martians), RFC 1858 §3–4 (tiny fragments).
 * After `checkIpv4` passed, no accessor reads outside the packet. Setters keep the header checksum right incrementally.
 * Deliberate limits: source routes are refused (RFC 7126 §4.3), other options pass untouched; 240/4 is an ordinary
 * unicast block, as in Linux.
 */
import type { Bytes } from '../core/index.ts';
import { putU16, putU32, u16, u32 } from '../core/index.ts';
import type { Address } from './address.ts';
import { ipv4Number } from './address.ts';
import { foldSum, internetChecksum, updateChecksum16, updateChecksum32 } from './checksum.ts';
import { IP_PROTOCOL } from './iana.ts';
import { DROP, PASS } from './verdict.ts';

/** Octets of a header without options. */
export const IPV4_HEADER = 20;
/** The "more fragments" and "don't fragment" bits of the flags word. */
export const IPV4_MF = 0x2000;
export const IPV4_DF = 0x4000;

export const ipv4HeaderLength = (b: Bytes, o: number): number => (b[o]! & 0x0f) << 2;
/** DSCP and ECN: the octet once named type of service. */
export const ipv4TrafficClass = (b: Bytes, o: number): number => b[o + 1]!;
export const ipv4TotalLength = (b: Bytes, o: number): number => u16(b, o + 2);
export const ipv4Identification = (b: Bytes, o: number): number => u16(b, o + 4);
export const ipv4DontFragment = (b: Bytes, o: number): boolean => (b[o + 6]! & 0x40) !== 0;
export const ipv4MoreFragments = (b: Bytes, o: number): boolean => (b[o + 6]! & 0x20) !== 0;
/** In octets. */
export const ipv4FragmentOffset = (b: Bytes, o: number): number => (u16(b, o + 6) & 0x1fff) << 3;
export const ipv4IsFragment = (b: Bytes, o: number): boolean => (u16(b, o + 6) & 0x3fff) !== 0;
export const ipv4TimeToLive = (b: Bytes, o: number): number => b[o + 8]!;
export const ipv4Protocol = (b: Bytes, o: number): number => b[o + 9]!;
export const ipv4Checksum = (b: Bytes, o: number): number => u16(b, o + 10);
export const ipv4SourceAt = (o: number): number => o + 12;
export const ipv4DestinationAt = (o: number): number => o + 16;
export const ipv4Source = (b: Bytes, o: number): number => u32(b, o + 12);
export const ipv4Destination = (b: Bytes, o: number): number => u32(b, o + 16);

export const ipv4IsMulticast = (address: number): boolean => address >>> 28 === 0xe;

/** PASS, or why no node may process the packet in buf[start, end). Octets behind its total length are allowed: link padding. */
export function checkIpv4(buf: Bytes, start: number, end: number): number {
  const available = end - start;
  if (available < IPV4_HEADER) return DROP.short;
  if (buf[start]! >>> 4 !== 4) return DROP.version;
  const header = ipv4HeaderLength(buf, start);
  const total = ipv4TotalLength(buf, start);
  if (header < IPV4_HEADER || header > total || total > available) return DROP.length;
  if (header === IPV4_HEADER ? plainSum(buf, start) !== 0xffff : internetChecksum(buf, start, start + header) !== 0)
    return DROP.checksum;
  if (header > IPV4_HEADER && !optionsPermitted(buf, start + IPV4_HEADER, start + header)) return DROP.options;
  if (ipv4IsFragment(buf, start) && !fragmentPermitted(buf, start, header, total)) return DROP.fragment;
  return martian(ipv4Source(buf, start), ipv4Destination(buf, start)) ? DROP.martian : PASS;
}

/** The folded sum of a header without options: 0xffff where its checksum is right. */
function plainSum(b: Bytes, o: number): number {
  const high =
    b[o]! +
    b[o + 2]! +
    b[o + 4]! +
    b[o + 6]! +
    b[o + 8]! +
    b[o + 10]! +
    b[o + 12]! +
    b[o + 14]! +
    b[o + 16]! +
    b[o + 18]!;
  const low =
    b[o + 1]! +
    b[o + 3]! +
    b[o + 5]! +
    b[o + 7]! +
    b[o + 9]! +
    b[o + 11]! +
    b[o + 13]! +
    b[o + 15]! +
    b[o + 17]! +
    b[o + 19]!;
  return foldSum((high << 8) + low);
}

export function setIpv4TotalLength(buf: Bytes, at: number, length: number): void {
  setWord(buf, at, 2, length);
}

export function setIpv4TrafficClass(buf: Bytes, at: number, value: number): void {
  setWord(buf, at, 0, (buf[at]! << 8) | value);
}

export function setIpv4TimeToLive(buf: Bytes, at: number, value: number): void {
  setWord(buf, at, 8, (value << 8) | buf[at + 9]!);
}

/** Flags and fragment offset in one: `IPV4_DF`, `IPV4_MF`, octets >>> 3. */
export function setIpv4Fragmentation(buf: Bytes, at: number, word: number): void {
  setWord(buf, at, 6, word);
}

/** Leaves transport checksums to the caller (`updateChecksum32`). */
export function setIpv4Source(buf: Bytes, at: number, address: number): void {
  putU16(buf, at + 10, updateChecksum32(ipv4Checksum(buf, at), ipv4Source(buf, at), address));
  putU32(buf, at + 12, address);
}

export function setIpv4Destination(buf: Bytes, at: number, address: number): void {
  putU16(buf, at + 10, updateChecksum32(ipv4Checksum(buf, at), ipv4Destination(buf, at), address));
  putU32(buf, at + 16, address);
}

/** Recomputes the header checksum from nothing. */
export function fillIpv4Checksum(buf: Bytes, at: number): void {
  putU16(buf, at + 10, 0);
  putU16(buf, at + 10, internetChecksum(buf, at, at + ipv4HeaderLength(buf, at)));
}

/** Writes a header of 20 octets with its checksum. `fragmentation` is the word of flags and offset. */
export function writeIpv4Header(
  buf: Bytes,
  at: number,
  totalLength: number,
  trafficClass: number,
  identification: number,
  fragmentation: number,
  timeToLive: number,
  protocol: number,
  source: number,
  destination: number,
): void {
  buf[at] = 0x45;
  buf[at + 1] = trafficClass;
  putU16(buf, at + 2, totalLength);
  putU16(buf, at + 4, identification);
  putU16(buf, at + 6, fragmentation);
  buf[at + 8] = timeToLive;
  buf[at + 9] = protocol;
  putU32(buf, at + 12, source);
  putU32(buf, at + 16, destination);
  fillIpv4Checksum(buf, at);
}

export interface Ipv4Fields {
  readonly source: Address;
  readonly destination: Address;
  readonly protocol: number;
  /** Default 64. */
  readonly timeToLive?: number;
  readonly trafficClass?: number;
  readonly identification?: number;
  readonly dontFragment?: boolean;
  readonly moreFragments?: boolean;
  /** In octets, a multiple of 8. */
  readonly fragmentOffset?: number;
  /** Padded with end-of-option-list octets to a multiple of 4. */
  readonly options?: Bytes;
}

/** A fresh packet, for tests, hosts of the lab and the control plane. */
export function buildIpv4(fields: Ipv4Fields, payload: Bytes): Bytes {
  const options = fields.options ?? new Uint8Array(0);
  const header = IPV4_HEADER + ((options.length + 3) & ~3);
  const out = new Uint8Array(header + payload.length);
  const fragmentation =
    (fields.dontFragment ? IPV4_DF : 0) | (fields.moreFragments ? IPV4_MF : 0) | ((fields.fragmentOffset ?? 0) >>> 3);
  writeIpv4Header(
    out,
    0,
    out.length,
    fields.trafficClass ?? 0,
    fields.identification ?? 0,
    fragmentation,
    fields.timeToLive ?? 64,
    fields.protocol,
    ipv4Number(fields.source),
    ipv4Number(fields.destination),
  );
  if (options.length > 0) {
    out[0] = 0x40 | (header >>> 2);
    out.set(options, IPV4_HEADER);
    fillIpv4Checksum(out, 0);
  }
  out.set(payload, header);
  return out;
}

/** RFC 791 §3.1: option kinds; the two source routes. */
const END_OF_OPTIONS = 0;
const NO_OPERATION = 1;
const LOOSE_SOURCE_ROUTE = 131;
const STRICT_SOURCE_ROUTE = 137;

function optionsPermitted(buf: Bytes, from: number, to: number): boolean {
  for (let at = from; at < to; ) {
    const kind = buf[at]!;
    if (kind === END_OF_OPTIONS) return true;
    if (kind === NO_OPERATION) {
      at += 1;
      continue;
    }
    if (kind === LOOSE_SOURCE_ROUTE || kind === STRICT_SOURCE_ROUTE || at + 2 > to) return false;
    const length = buf[at + 1]!;
    if (length < 2 || at + length > to) return false;
    at += length;
  }
  return true;
}

/** RFC 1858 §3 and §4.2 for TCP, and the reach beyond what 16 bits can count. */
function fragmentPermitted(buf: Bytes, start: number, header: number, total: number): boolean {
  const offset = ipv4FragmentOffset(buf, start);
  if (offset + total > 0xffff) return false;
  if (ipv4Protocol(buf, start) !== IP_PROTOCOL.tcp) return true;
  return offset === 0 ? total - header >= 16 : offset !== 8;
}

/** RFC 1812 §5.3.7, RFC 1122 §3.2.1.3: "this network" and loopback on either side, multicast or broadcast as a source. */
function martian(source: number, destination: number): boolean {
  const from = source >>> 24;
  const to = destination >>> 24;
  return from === 0 || from === 127 || to === 0 || to === 127 || ipv4IsMulticast(source) || source === 0xffffffff;
}

function setWord(buf: Bytes, at: number, field: number, value: number): void {
  putU16(buf, at + 10, updateChecksum16(ipv4Checksum(buf, at), u16(buf, at + field), value));
  putU16(buf, at + field, value);
}
