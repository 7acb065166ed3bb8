/**
 * The rules of coalescing: what of a packet decides whether it may join others, and packets that grow into a superframe.
 *
 * Read first: coalesce.ts, which holds the groups.
 */
import { putU16, u16 } from '../core/index.ts';
import { foldSum, pseudoHeaderSum } from './checksum.ts';
import { IP_PROTOCOL } from './iana.ts';
import { findUpperLayer, ipVersion } from './ip.ts';
import { IPV4_DF, IPV4_HEADER, ipv4Identification, setIpv4TotalLength } from './ipv4.ts';
import { IPV6_HEADER, newUpperLayer, OPAQUE_PROTOCOL, setIpv6PayloadLength } from './ipv6.ts';
import { newPart, type Packet, type PacketPool, SUPERFRAME_MAX } from './packet.ts';
import { TCP_SEGMENT_MIN } from './superframe.ts';
import { copySum, sumOctets } from './superframe-sum.ts';
import { TCP_FLAG, TCP_HEADER, tcpFlags, tcpHeaderFits, tcpHeaderLength, tcpSequence } from './tcp.ts';
import { UDP_HEADER, udpChecksum, udpLength } from './udp.ts';
import { PASS } from './verdict.ts';

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

/** Packets of one flow that become one superframe. Offsets and lengths count from the first octet of the first packet. */
export class Group {
  /** The first packet, behind which the payloads of the others stand. */
  packet: Packet = newPart();
  count = 0;
  /** Nothing may join any more. */
  ended = false;
  /** Whether packets like the first one may leave as one; undefined: nobody was asked yet. */
  grows: boolean | undefined = undefined;
  readonly #pool: PacketPool;
  #protocol = 0;
  #transport = 0;
  #headers = 0;
  /** Octets of payload of each packet, the last one's excepted. */
  #segment = 0;
  #octets = 0;
  /** What of the pseudo header is the same in all packets. */
  #addresses = 0;
  #sequence = 0;
  #flags = 0;
  #fixedIdentification = false;

  constructor(pool: PacketPool) {
    this.#pool = pool;
  }

  /** `packet` is mergeable: others may join it. */
  start(seen: Reading): void {
    const { packet } = this;
    this.#protocol = seen.protocol;
    this.#transport = seen.transport - packet.start;
    this.#headers = seen.payload - packet.start;
    this.#segment = seen.end - seen.payload;
    this.#octets = this.#headers + this.#segment;
    this.#sequence = nextSequence(packet, seen);
    this.#flags = seen.flags;
    this.#fixedIdentification = false;
    // A superframe of shorter segments is none.
    const short = seen.protocol === IP_PROTOCOL.tcp && this.#segment < TCP_SEGMENT_MIN;
    this.ended = short || (seen.flags & TCP_FLAG.fin) !== 0;
  }

  /** Whether addresses (and, unless it is a fragment, protocol and ports) are those of the group. */
  concerns(packet: Packet, seen: Reading): boolean {
    const first = this.packet;
    if (!sameAddresses(first, packet)) return false;
    if (seen.standing === FRAGMENT) return true;
    if (this.#protocol !== seen.protocol) return false;
    return first.view.getInt32(first.start + this.#transport) === packet.view.getInt32(seen.transport);
  }

  /** Whether a mergeable packet that the group concerns goes on where the group ends, whatever its transport checksum. */
  fits(packet: Packet, seen: Reading): boolean {
    const payload = seen.end - seen.payload;
    if (payload > this.#segment || this.#octets + payload > SUPERFRAME_MAX) return false;
    if (seen.payload - packet.start !== this.#headers || !this.#sameNetwork(packet)) return false;
    return this.#protocol !== IP_PROTOCOL.tcp || this.#sameStream(packet, seen);
  }

  /** Reads a packet that goes on where the group ends, and most do, with nothing but comparisons; false: it takes more to say. */
  continues(packet: Packet, seen: Reading): boolean {
    const first = this.packet;
    const { buf, view, start, end } = packet;
    const length = end - start;
    if (length <= this.#headers || packet.segment !== 0) return false;
    if (ipVersion(first.buf, first.start) === 4) {
      // Addresses are looked at below, the rest of the header by `fits`.
      if (buf[start] !== PLAIN_IPV4 || view.getUint16(start + 2) !== length) return false;
    } else if (ipVersion(buf, start) !== 6 || view.getUint16(start + 4) !== length - IPV6_HEADER) return false;
    const at = start + this.#transport;
    if (!sameAddresses(first, packet) || view.getInt32(at) !== first.view.getInt32(first.start + this.#transport))
      return false;
    seen.standing = MERGEABLE;
    seen.protocol = this.#protocol;
    seen.transport = at;
    seen.payload = start + this.#headers;
    seen.end = end;
    seen.flags = 0;
    if (this.#protocol === IP_PROTOCOL.tcp) seen.flags = tcpFlags(buf, at);
    else if (udpLength(buf, at) !== end - at || (udpChecksum(buf, at) === 0 && !packet.partial)) return false;
    return this.fits(packet, seen);
  }

  /** Takes in the payload of a packet that `fits`; false when a checksum is wrong, or there is no room. The packet stays the caller's. */
  join(packet: Packet, seen: Reading): boolean {
    if (this.count > 1) return this.#append(packet, seen);
    const first = this.packet;
    if (this.#makeRoom() && this.#append(packet, seen)) return true;
    // It stays alone, and so what it was.
    if (this.packet !== first) this.#pool.release(this.packet);
    this.packet = first;
    return false;
  }

  /** Makes the packet the superframe of all that joined. */
  finish(): void {
    const { packet } = this;
    const { buf, start } = packet;
    const at = start + this.#transport;
    if (ipVersion(buf, start) === 4) setIpv4TotalLength(buf, start, this.#octets);
    else setIpv6PayloadLength(buf, start, this.#octets - IPV6_HEADER);
    if (this.#protocol === IP_PROTOCOL.tcp) buf[at + 13]! |= this.#flags & (TCP_FLAG.fin | TCP_FLAG.psh);
    else putU16(buf, at + 4, this.#octets - this.#transport);
    packet.end = start + this.#octets;
    packet.segment = this.#segment;
    packet.partial = true;
  }

  #append(packet: Packet, seen: Reading): boolean {
    const payload = seen.end - seen.payload;
    const first = this.packet;
    const to = first.start + this.#octets;
    if (to + payload > first.buf.length) return false;
    const sum = copySum(packet, seen.payload, first, to, payload);
    if (!this.#holds(packet, seen.transport, sum, seen.end)) return false;
    if (this.count === 1) this.#fixedIdentification = identificationsDiffer(first, packet) === 0;
    this.count += 1;
    this.#octets += payload;
    this.#sequence = nextSequence(packet, seen);
    this.#flags |= seen.flags;
    this.ended = payload < this.#segment || this.count === COALESCE_SEGMENTS_MAX || (seen.flags & TCP_FLAG.fin) !== 0;
    return true;
  }

  /** When a second packet wants to join: the first one's checksum holds, and it has a slot of its own. */
  #makeRoom(): boolean {
    const first = this.packet;
    const { start } = first;
    const [at, payload, end] = [start + this.#transport, start + this.#headers, start + this.#octets];
    this.#addresses = pseudoHeaderSum(first.buf, start, 0, 0);
    if (first.slot >= 0) return this.#holds(first, at, sumOctets(first, payload, end), end);
    const pool = this.#pool;
    if (this.#octets > pool.capacity || pool.taken === pool.size) return false;
    const own = pool.take()!;
    own.partial = first.partial;
    this.packet = own;
    for (let i = 0; i < this.#headers; i++) own.buf[own.start + i] = first.buf[start + i]!;
    const sum = copySum(first, payload, own, own.start + this.#headers, this.#segment);
    return this.#holds(first, at, sum, end);
  }

  /** Whether the transport checksum holds, `sum` being that of the payload. One that is still owed does by definition. */
  #holds(packet: Packet, at: number, sum: number, end: number): boolean {
    if (packet.partial) return true;
    const header = sumOctets(packet, at, packet.start + this.#headers);
    return foldSum(this.#addresses + this.#protocol + end - at + header + sum) === 0xffff;
  }

  #sameNetwork(packet: Packet): boolean {
    const a = this.packet.view;
    const b = packet.view;
    const i = this.packet.start;
    const j = packet.start;
    // Version, traffic class, flow label; next header and hop limit.
    if (ipVersion(packet.buf, j) === 6)
      return a.getInt32(i) === b.getInt32(j) && a.getInt16(i + 6) === b.getInt16(j + 6);
    // Version and traffic class; DF, the only flag there is; TTL and protocol.
    if (a.getInt16(i) !== b.getInt16(j) || a.getInt16(i + 6) !== b.getInt16(j + 6)) return false;
    if (a.getInt16(i + 8) !== b.getInt16(j + 8)) return false;
    const step = identificationsDiffer(this.packet, packet);
    if (this.count === 1) return step === 1 || (step === 0 && (b.getUint16(j + 6) & IPV4_DF) !== 0);
    return step === (this.#fixedIdentification ? 0 : this.count);
  }

  #sameStream(packet: Packet, seen: Reading): boolean {
    const a = this.packet.view;
    const b = packet.view;
    const i = this.packet.start + this.#transport;
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

/** Version 4, five words of header. */
const PLAIN_IPV4 = 0x45;

const MAY_DIFFER = TCP_FLAG.cwr | TCP_FLAG.fin | TCP_FLAG.psh;

/** A header without options, of a packet that is whole, with nothing but DF among the flags. */
const plainIpv4 = (buf: Uint8Array, start: number, transport: number): boolean =>
  transport - start === IPV4_HEADER && (u16(buf, start + 6) & ~IPV4_DF) === 0;

const identificationsDiffer = (first: Packet, later: Packet): number =>
  ipVersion(first.buf, first.start) === 4
    ? (ipv4Identification(later.buf, later.start) - ipv4Identification(first.buf, first.start)) & 0xffff
    : 0;

const nextSequence = (packet: Packet, seen: Reading): number =>
  seen.protocol === IP_PROTOCOL.tcp ? (tcpSequence(packet.buf, seen.transport) + seen.end - seen.payload) >>> 0 : 0;

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
