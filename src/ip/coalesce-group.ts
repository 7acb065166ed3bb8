/**
 * The rules of coalescing: what of a packet decides whether it may join others, and packets that grow into a superframe.
 *
 * Read first: coalesce.ts, which holds the packets; this file only looks at them, and writes the first one's header.
 */
import { putU16, u16 } from '../core/index.ts';
import { foldSum, internetChecksum, pseudoHeaderSum } from './checksum.ts';
import { IP_PROTOCOL } from './iana.ts';
import { findUpperLayer, ipVersion } from './ip.ts';
import { IPV4_DF, IPV4_HEADER, ipv4Identification, setIpv4TotalLength } from './ipv4.ts';
import { IPV6_HEADER, newUpperLayer, OPAQUE_PROTOCOL, setIpv6PayloadLength } from './ipv6.ts';
import { type Packet, SUPERFRAME_MAX, wrapPacket } from './packet.ts';
import { TCP_CHECKSUM, UDP_CHECKSUM } from './superframe-layout.ts';
import { sumOctets } from './superframe-sum.ts';
import { TCP_FLAG, TCP_HEADER, tcpFlags, tcpHeaderFits, tcpHeaderLength, tcpSequence } from './tcp.ts';
import { UDP_HEADER, udpChecksum, udpLength } from './udp.ts';
import { PASS } from './verdict.ts';
import { kindOf, OFFLOAD_KIND, type Offload } from './virtio.ts';

/** Packets in one superframe: UDP_GRO_CNT_MAX of Linux, and as many as its UDP_SEGMENT sends. */
export const COALESCE_SEGMENTS_MAX = 64;

/** How a packet stands to packets in front of it: it has no ports that others could share, … */
export const NO_FLOW = 0;
/** … it may belong to any flow between its addresses, … */
export const FRAGMENT = 1;
/** … it belongs to a flow and may not overtake it, … */
export const SOLITARY = 2;
/** … or it may join it. */
export const MERGEABLE = 3;

/** What `readForCoalescing` found; offsets in the packet's buffer. The last two are set for mergeable packets only. */
export interface Reading {
  standing: number;
  protocol: number;
  transport: number;
  end: number;
  payload: number;
  flags: number;
}

export const newReading = (): Reading => ({
  standing: NO_FLOW,
  protocol: 0,
  transport: 0,
  end: 0,
  payload: 0,
  flags: 0,
});

/** Reads a packet of any octets; transport checksums are left for later. */
export function readForCoalescing(packet: Packet, out: Reading): void {
  const { buf, start, end } = packet;
  out.standing = NO_FLOW;
  if (findUpperLayer(buf, start, end, upper) !== PASS) return;
  const { protocol, at } = upper;
  if (protocol !== IP_PROTOCOL.tcp && protocol !== IP_PROTOCOL.udp && protocol !== OPAQUE_PROTOCOL) return;
  if (upper.fragmentOffset !== 0 || upper.moreFragments || upper.fragmentHeader >= 0) {
    out.standing = FRAGMENT;
    return;
  }
  if (at + 4 > upper.end) return;
  out.standing = SOLITARY;
  out.protocol = protocol;
  out.transport = at;
  out.end = upper.end;
  if (packet.segment !== 0 || !(ipVersion(buf, start) === 4 ? plainIpv4(buf, start, at) : at - start === IPV6_HEADER))
    return;
  if (protocol === IP_PROTOCOL.tcp) {
    if (!tcpHeaderFits(buf, at, upper.end)) return;
    out.payload = at + tcpHeaderLength(buf, at);
    out.flags = tcpFlags(buf, at);
    if ((out.flags & (TCP_FLAG.syn | TCP_FLAG.rst | TCP_FLAG.urg)) !== 0) return;
  } else {
    if (upper.end - at < UDP_HEADER || udpLength(buf, at) !== upper.end - at) return;
    // RFC 768: without a checksum nothing says that the datagram is whole.
    if (udpChecksum(buf, at) === 0 && !packet.partial) return;
    out.payload = at + UDP_HEADER;
    out.flags = 0;
  }
  if (out.payload < upper.end) out.standing = MERGEABLE;
}

/** In place of a packet where none is. */
export const NOTHING: Packet = wrapPacket(new Uint8Array(0));

/** Packets of one flow that become one superframe. Offsets and lengths count from the first octet of the first packet. */
export class Group {
  /** Places of its first and last packet with its holder. */
  head = 0;
  tail = 0;
  count = 0;
  /** Nothing may join any more. */
  ended = false;
  first: Packet = NOTHING;
  protocol = 0;
  transport = 0;
  headers = 0;
  /** Octets of payload of each packet, the last one's excepted. */
  segment = 0;
  octets = 0;
  #verified = false;
  #sequence = 0;
  #flags = 0;
  #fixedIdentification = false;

  /** Begins with a mergeable packet. */
  start(packet: Packet, seen: Reading): void {
    this.first = packet;
    this.protocol = seen.protocol;
    this.transport = seen.transport - packet.start;
    this.headers = seen.payload - packet.start;
    this.segment = seen.end - seen.payload;
    this.octets = this.headers + this.segment;
    this.#verified = false;
    this.#sequence = nextSequence(packet, seen);
    this.#flags = seen.flags;
    this.#fixedIdentification = false;
    this.ended = (seen.flags & TCP_FLAG.fin) !== 0;
  }

  /** Whether addresses (and, unless it is a fragment, protocol and ports) are those of the group. */
  concerns(packet: Packet, seen: Reading): boolean {
    const { first } = this;
    if (!sameAddresses(first, packet)) return false;
    if (seen.standing === FRAGMENT) return true;
    if (this.protocol !== seen.protocol) return false;
    return first.view.getInt32(first.start + this.transport) === packet.view.getInt32(seen.transport);
  }

  /** Takes a mergeable packet that the group concerns, when it goes on where the group ends and both checksums hold. */
  join(packet: Packet, seen: Reading): boolean {
    const payload = seen.end - seen.payload;
    if (payload > this.segment || this.octets + payload > SUPERFRAME_MAX) return false;
    if (seen.payload - packet.start !== this.headers || !this.#sameNetwork(packet)) return false;
    if (this.protocol === IP_PROTOCOL.tcp && !this.#sameStream(packet, seen)) return false;
    if (!this.#verify() || !transportHolds(packet, seen.transport, seen.end, seen.protocol)) return false;
    if (this.count === 1) this.#fixedIdentification = identificationsDiffer(this.first, packet) === 0;
    this.count += 1;
    this.octets += payload;
    this.#sequence = nextSequence(packet, seen);
    this.#flags |= seen.flags;
    this.ended = payload < this.segment || this.count === COALESCE_SEGMENTS_MAX || (seen.flags & TCP_FLAG.fin) !== 0;
    return true;
  }

  /** Makes the first packet's header that of the superframe, and says so. */
  describe(out: Offload): void {
    const { first, protocol, octets } = this;
    const { buf, start } = first;
    const version = ipVersion(buf, start);
    const at = start + this.transport;
    const length = octets - this.transport;
    if (version === 4) setIpv4TotalLength(buf, start, octets);
    else setIpv6PayloadLength(buf, start, octets - IPV6_HEADER);
    if (protocol === IP_PROTOCOL.tcp) buf[at + 13]! |= this.#flags & (TCP_FLAG.fin | TCP_FLAG.psh);
    else putU16(buf, at + 4, length);
    out.kind = kindOf(version, protocol);
    out.segment = this.segment;
    out.ecn = out.kind !== OFFLOAD_KIND.udp && (tcpFlags(buf, at) & TCP_FLAG.cwr) !== 0;
    out.partial = true;
    out.headerLength = this.headers;
    out.checksumStart = this.transport;
    out.checksumOffset = protocol === IP_PROTOCOL.tcp ? TCP_CHECKSUM : UDP_CHECKSUM;
    putU16(buf, at + out.checksumOffset, foldSum(pseudoHeaderSum(buf, start, protocol, length)));
  }

  /** The first packet's checksum is looked at when a second one wants to join. */
  #verify(): boolean {
    const { first } = this;
    this.#verified ||= transportHolds(first, first.start + this.transport, first.start + this.octets, this.protocol);
    return this.#verified;
  }

  #sameNetwork(packet: Packet): boolean {
    const a = this.first.view;
    const b = packet.view;
    const i = this.first.start;
    const j = packet.start;
    // Version, traffic class, flow label; next header and hop limit.
    if (ipVersion(packet.buf, j) === 6)
      return a.getInt32(i) === b.getInt32(j) && a.getInt16(i + 6) === b.getInt16(j + 6);
    // Version and traffic class; DF, the only flag there is; TTL and protocol.
    if (a.getInt16(i) !== b.getInt16(j) || a.getInt16(i + 6) !== b.getInt16(j + 6)) return false;
    if (a.getInt16(i + 8) !== b.getInt16(j + 8)) return false;
    const step = identificationsDiffer(this.first, packet);
    if (this.count === 1) return step === 1 || (step === 0 && (b.getUint16(j + 6) & IPV4_DF) !== 0);
    return step === (this.#fixedIdentification ? 0 : this.count);
  }

  #sameStream(packet: Packet, seen: Reading): boolean {
    const a = this.first.view;
    const b = packet.view;
    const i = this.first.start + this.transport;
    const j = seen.transport;
    if (tcpSequence(packet.buf, j) !== this.#sequence || (seen.flags & TCP_FLAG.cwr) !== 0) return false;
    // Acknowledgment; header length, reserved bits, flags; window; urgent pointer; options.
    if (a.getInt32(i + 8) !== b.getInt32(j + 8)) return false;
    if (((a.getUint16(i + 12) ^ b.getUint16(j + 12)) & ~MAY_DIFFER) !== 0) return false;
    if (a.getInt16(i + 14) !== b.getInt16(j + 14) || a.getInt16(i + 18) !== b.getInt16(j + 18)) return false;
    for (let o = TCP_HEADER; o < seen.payload - j; o += 4) if (a.getInt32(i + o) !== b.getInt32(j + o)) return false;
    return true;
  }
}

const MAY_DIFFER = TCP_FLAG.cwr | TCP_FLAG.fin | TCP_FLAG.psh;

/** A header without options, of a packet that is whole, with nothing but DF among the flags, and a checksum that holds. */
const plainIpv4 = (buf: Uint8Array, start: number, transport: number): boolean =>
  transport - start === IPV4_HEADER &&
  (u16(buf, start + 6) & ~IPV4_DF) === 0 &&
  internetChecksum(buf, start, transport) === 0;

const identificationsDiffer = (first: Packet, later: Packet): number =>
  ipVersion(first.buf, first.start) === 4
    ? (ipv4Identification(later.buf, later.start) - ipv4Identification(first.buf, first.start)) & 0xffff
    : 0;

const nextSequence = (packet: Packet, seen: Reading): number =>
  seen.protocol === IP_PROTOCOL.tcp ? (tcpSequence(packet.buf, seen.transport) + seen.end - seen.payload) >>> 0 : 0;

/** A checksum that is still owed holds by definition. */
const transportHolds = (packet: Packet, at: number, end: number, protocol: number): boolean =>
  packet.partial ||
  foldSum(pseudoHeaderSum(packet.buf, packet.start, protocol, end - at) + sumOctets(packet.view, at, end)) === 0xffff;

function sameAddresses(a: Packet, b: Packet): boolean {
  const version = ipVersion(a.buf, a.start);
  if (ipVersion(b.buf, b.start) !== version) return false;
  const last = version === 4 ? 20 : 40;
  for (let o = version === 4 ? 12 : 8; o < last; o += 4) {
    if (a.view.getInt32(a.start + o) !== b.view.getInt32(b.start + o)) return false;
  }
  return true;
}

const upper = newUpperLayer();
