/**
 * The IPv6 header as a view on (buffer, offset of the header), the walk of its extension headers, its check and writers.
 *
 * Read first: RFC 8200 §3–4.5, RFC 5095 (type 0 routing headers), RFC 6946 (atomic fragments), RFC 7112 (header chains
 * in first fragments), RFC 4301 §4.4.1.1 (which headers a selector skips: AH and ESP are upper layers).
 * After `checkIpv6` passed, no accessor reads outside the packet, and the walk ends at an upper layer.
 * Deliberate limits: at most 8 extension headers; jumbograms (RFC 2675) are refused.
 */
import type { Bytes } from '../core/index.ts';
import { putU16, putU32, u16, u32 } from '../core/index.ts';
import type { Address } from './address.ts';
import { IP_PROTOCOL } from './iana.ts';
import { DROP, PASS } from './verdict.ts';

export const IPV6_HEADER = 40;
/** A link must carry packets of this size (RFC 8200 §5). */
export const IPV6_MIN_MTU = 1280;
export const EXTENSION_HEADERS_MAX = 8;

export const ipv6TrafficClass = (b: Bytes, o: number): number => (u16(b, o) >>> 4) & 0xff;
export const ipv6FlowLabel = (b: Bytes, o: number): number => u32(b, o) & 0xfffff;
export const ipv6PayloadLength = (b: Bytes, o: number): number => u16(b, o + 4);
export const ipv6NextHeader = (b: Bytes, o: number): number => b[o + 6]!;
export const ipv6HopLimit = (b: Bytes, o: number): number => b[o + 7]!;
/** Offsets of the addresses: 16 octets each, which stay where they are. */
export const ipv6SourceAt = (o: number): number => o + 8;
export const ipv6DestinationAt = (o: number): number => o + 24;
export const ipv6Source = (b: Bytes, o: number): Address => b.slice(o + 8, o + 24);
export const ipv6Destination = (b: Bytes, o: number): Address => b.slice(o + 24, o + 40);

/** What the headers in front of the upper layer say. Filled in place: one object serves many packets. */
export interface UpperLayer {
  /** OPAQUE_PROTOCOL where a fragment hides it. */
  protocol: number;
  /** Offset of the upper layer's first octet; of the fragment's data where the packet is not the first fragment. */
  at: number;
  /** Where the packet ends by its own length field. */
  end: number;
  /** Octets; 0 for whole packets and first fragments. */
  fragmentOffset: number;
  moreFragments: boolean;
  /** Offset of the IPv6 fragment header; -1 without one, and for IPv4. */
  fragmentHeader: number;
}

/** No protocol number: a fragment other than the first whose data begins inside the extension headers. */
export const OPAQUE_PROTOCOL = -1;

export const newUpperLayer = (): UpperLayer => ({
  protocol: 0,
  at: 0,
  end: 0,
  fragmentOffset: 0,
  moreFragments: false,
  fragmentHeader: -1,
});

/** PASS, or why no node may process the packet in buf[start, end). Octets behind its payload length are allowed. */
export function checkIpv6(buf: Bytes, start: number, end: number): number {
  const verdict = walkIpv6(buf, start, end, checked);
  if (verdict !== PASS) return verdict;
  return martian(buf, start) ? DROP.martian : PASS;
}

/** Walks the extension headers into `out`. On anything but PASS the contents of `out` are undefined. */
export function walkIpv6(buf: Bytes, start: number, end: number, out: UpperLayer): number {
  if (end - start < IPV6_HEADER) return DROP.short;
  if (buf[start]! >>> 4 !== 6) return DROP.version;
  const last = start + IPV6_HEADER + ipv6PayloadLength(buf, start);
  if (last > end) return DROP.length;
  out.end = last;
  out.fragmentOffset = 0;
  out.moreFragments = false;
  out.fragmentHeader = -1;
  let next = ipv6NextHeader(buf, start);
  let at = start + IPV6_HEADER;
  for (let headers = 0; isExtension(next); headers++) {
    if (headers === EXTENSION_HEADERS_MAX) return DROP.hopOptions;
    // RFC 7112 §5: a first fragment that does not hold the whole chain is refused like any other cut-off chain.
    if (at + 8 > last) return out.moreFragments ? DROP.fragment : DROP.short;
    if (next === IP_PROTOCOL.fragment) {
      if (out.fragmentHeader >= 0) return DROP.fragment;
      out.fragmentHeader = at;
      out.fragmentOffset = u16(buf, at + 2) & 0xfff8;
      out.moreFragments = (buf[at + 3]! & 1) !== 0;
      const length = last - at - 8;
      // RFC 8200 §4.5: all fragments but the last are multiples of 8, and the whole counts in 16 bits.
      if (out.moreFragments && (length & 7) !== 0) return DROP.fragment;
      if (out.fragmentOffset + length > 0xffff) return DROP.fragment;
      next = buf[at]!;
      at += 8;
      if (out.fragmentOffset === 0) continue;
      out.protocol = isExtension(next) ? OPAQUE_PROTOCOL : next;
      out.at = at;
      return PASS;
    }
    const length = (buf[at + 1]! + 1) << 3;
    if (at + length > last) return out.moreFragments ? DROP.fragment : DROP.short;
    if (next === IP_PROTOCOL.hopByHop) {
      // RFC 8200 §4.1: it stands directly behind the IPv6 header or nowhere.
      if (headers !== 0 || !hopOptionsPermitted(buf, at + 2, at + length)) return DROP.hopOptions;
    }
    // RFC 5095 §3: a type 0 routing header with segments left is not followed.
    if (next === IP_PROTOCOL.routing && buf[at + 2] === 0 && buf[at + 3] !== 0) return DROP.options;
    next = buf[at]!;
    at += length;
  }
  if (out.moreFragments && last - at < upperHeaderMinimum(next)) return DROP.fragment;
  out.protocol = next;
  out.at = at;
  return PASS;
}

export function setIpv6TrafficClass(buf: Bytes, at: number, value: number): void {
  buf[at] = 0x60 | (value >>> 4);
  buf[at + 1] = ((value & 0x0f) << 4) | (buf[at + 1]! & 0x0f);
}

export function setIpv6PayloadLength(buf: Bytes, at: number, length: number): void {
  putU16(buf, at + 4, length);
}

export function setIpv6HopLimit(buf: Bytes, at: number, value: number): void {
  buf[at + 7] = value;
}

export function writeIpv6Header(
  buf: Bytes,
  at: number,
  payloadLength: number,
  trafficClass: number,
  flowLabel: number,
  nextHeader: number,
  hopLimit: number,
  source: Address,
  destination: Address,
): void {
  putU32(buf, at, (0x60000000 | (trafficClass << 20) | flowLabel) >>> 0);
  putU16(buf, at + 4, payloadLength);
  buf[at + 6] = nextHeader;
  buf[at + 7] = hopLimit;
  buf.set(source, at + 8);
  buf.set(destination, at + 24);
}

export interface Ipv6Fields {
  readonly source: Address;
  readonly destination: Address;
  /** The first header behind the IPv6 header. */
  readonly protocol: number;
  /** Default 64. */
  readonly hopLimit?: number;
  readonly trafficClass?: number;
  readonly flowLabel?: number;
}

/** A fresh packet; extension headers, if any, are part of the payload. */
export function buildIpv6(fields: Ipv6Fields, payload: Bytes): Bytes {
  const out = new Uint8Array(IPV6_HEADER + payload.length);
  writeIpv6Header(
    out,
    0,
    payload.length,
    fields.trafficClass ?? 0,
    fields.flowLabel ?? 0,
    fields.protocol,
    fields.hopLimit ?? 64,
    fields.source,
    fields.destination,
  );
  out.set(payload, IPV6_HEADER);
  return out;
}

export const ipv6IsMulticastAt = (b: Bytes, at: number): boolean => b[at] === 0xff;
/** fe80::/10. */
export const ipv6IsLinkLocalAt = (b: Bytes, at: number): boolean => b[at] === 0xfe && (b[at + 1]! & 0xc0) === 0x80;
export const ipv6IsUnspecifiedAt = (b: Bytes, at: number): boolean => zeros(b, at, at + 16);

const checked = newUpperLayer();

const isExtension = (header: number): boolean =>
  header === IP_PROTOCOL.hopByHop ||
  header === IP_PROTOCOL.routing ||
  header === IP_PROTOCOL.fragment ||
  header === IP_PROTOCOL.destinationOptions;

/** RFC 8200 §4.2: the two highest bits of an unknown option say what a node does that does not know it; 00 is "skip". */
function hopOptionsPermitted(buf: Bytes, from: number, to: number): boolean {
  for (let at = from; at < to; ) {
    const type = buf[at]!;
    if (type === PAD1) {
      at += 1;
      continue;
    }
    if ((type & 0xc0) !== 0 || at + 2 > to) return false;
    at += 2 + buf[at + 1]!;
    if (at > to) return false;
  }
  return true;
}

const PAD1 = 0;

/** RFC 7112 §3: what of the upper layer belongs to the header chain. */
function upperHeaderMinimum(protocol: number): number {
  if (protocol === IP_PROTOCOL.tcp) return 20;
  return protocol === IP_PROTOCOL.udp || protocol === IP_PROTOCOL.icmpv6 ? 8 : 0;
}

/**
 * RFC 4291 §2.5.2, §2.5.3, §2.7: no multicast or mapped IPv4 source, no loopback on either side, no unspecified
 * destination; an unspecified source only towards multicast, where duplicate address detection needs it.
 */
function martian(buf: Bytes, start: number): boolean {
  const source = ipv6SourceAt(start);
  const destination = ipv6DestinationAt(start);
  if (ipv6IsMulticastAt(buf, source)) return true;
  if (buf[source] === 0 && zeros(buf, source, source + 10)) {
    const tail = u16(buf, source + 10);
    if (tail === 0xffff) return true;
    if (tail === 0 && zeros(buf, source + 12, source + 15)) {
      if (buf[source + 15] === 1) return true;
      if (buf[source + 15] === 0 && !ipv6IsMulticastAt(buf, destination)) return true;
    }
  }
  return zeros(buf, destination, destination + 15) && buf[destination + 15]! <= 1;
}

function zeros(buf: Bytes, from: number, to: number): boolean {
  for (let i = from; i < to; i++) if (buf[i] !== 0) return false;
  return true;
}
