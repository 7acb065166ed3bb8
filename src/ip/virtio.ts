/**
 * struct virtio_net_hdr, which stands in front of each packet of a TUN device with IFF_VNET_HDR and of a packet socket with
 * PACKET_VNET_HDR; and what it means for a packet of ours, both ways.
 *
 *    0        1         2           4         6             8               10
 *    | flags  | gsoType | hdrLen    | gsoSize | csumStart   | csumOffset    |    little-endian
 *
 * Read first: virtio 1.2 §5.1.6; Linux's include/linux/virtio_net.h.
 * Limits: on big-endian hosts the device is told to use this order (TUNSETVNETLE). No UFO and no tunnels: refused.
 */
import { putU16 } from '../core/index.ts';
import { foldSum, pseudoHeaderSum } from './checksum.ts';
import { IP_PROTOCOL } from './iana.ts';
import type { Packet } from './packet.ts';
import { checkSuperframe } from './superframe.ts';
import { measure, newLayout } from './superframe-layout.ts';
import { sumOctets } from './superframe-sum.ts';
import { TCP_FLAG, tcpFlags } from './tcp.ts';
import { DROP, PASS } from './verdict.ts';

/** Octets, without the count of merged buffers. */
export const VIRTIO_HEADER = 10;

/** What a superframe is made of, numbered as the header has it: VIRTIO_NET_HDR_GSO_TCPV4, _TCPV6, _UDP_L4. */
export const OFFLOAD_KIND = { none: 0, tcp4: 1, tcp6: 4, udp: 5 } as const;

/** What is still to be done to a packet by whoever has it next. Offsets count from its first octet. */
export interface Offload {
  /** One of `OFFLOAD_KIND`. */
  kind: number;
  /** Octets of payload of each packet to be cut; 0 for kind none. */
  segment: number;
  /** The TCP superframe has CWR set, for its first segment only. */
  ecn: boolean;
  /** The checksum field holds the sum of the pseudo header; the sum from `checksumStart` to the end is to be added. */
  partial: boolean;
  /** Octets of all headers: a hint. */
  headerLength: number;
  checksumStart: number;
  /** Of the field, from `checksumStart`. */
  checksumOffset: number;
}

export const newOffload = (): Offload => ({
  kind: OFFLOAD_KIND.none,
  segment: 0,
  ecn: false,
  partial: false,
  headerLength: 0,
  checksumStart: 0,
  checksumOffset: 0,
});

/** Reads the header at `at`: PASS, DROP.short, or DROP.superframe for a kind that is none of ours. */
export function readVirtioHeader(buf: Uint8Array, at: number, end: number, out: Offload): number {
  if (end - at < VIRTIO_HEADER) return DROP.short;
  const type = buf[at + 1]!;
  out.partial = (buf[at]! & NEEDS_CHECKSUM) !== 0;
  out.kind = type & ~ECN;
  out.ecn = (type & ECN) !== 0;
  out.headerLength = little16(buf, at + 2);
  out.segment = out.kind === OFFLOAD_KIND.none ? 0 : little16(buf, at + 4);
  out.checksumStart = little16(buf, at + 6);
  out.checksumOffset = little16(buf, at + 8);
  switch (out.kind) {
    case OFFLOAD_KIND.none:
    case OFFLOAD_KIND.tcp4:
    case OFFLOAD_KIND.tcp6:
    case OFFLOAD_KIND.udp:
      return PASS;
    default:
      return DROP.superframe;
  }
}

export function writeVirtioHeader(buf: Uint8Array, at: number, offload: Offload): void {
  const { kind, partial } = offload;
  buf[at] = partial ? NEEDS_CHECKSUM : 0;
  buf[at + 1] = kind | (offload.ecn ? ECN : 0);
  putLittle16(buf, at + 2, kind === OFFLOAD_KIND.none ? 0 : offload.headerLength);
  putLittle16(buf, at + 4, offload.segment);
  putLittle16(buf, at + 6, partial ? offload.checksumStart : 0);
  putLittle16(buf, at + 8, partial ? offload.checksumOffset : 0);
}

/**
 * Makes of the octets that came with a header a packet with its `segment` and `partial`: PASS, or why header and octets do
 * not agree. A checksum owed by anything but the outermost TCP or UDP header is computed at once.
 */
export function applyOffload(packet: Packet, offload: Offload): number {
  packet.segment = 0;
  packet.partial = offload.partial;
  if (offload.kind !== OFFLOAD_KIND.none) {
    const verdict = measure(packet, layout);
    if (verdict !== PASS) return verdict;
    if (kindOf(layout.version, layout.protocol) !== offload.kind) return DROP.superframe;
    if (offload.segment > 0 && layout.end - layout.payload <= offload.segment) return PASS;
    packet.segment = offload.segment;
    return checkSuperframe(packet);
  }
  if (!offload.partial) return PASS;
  const from = packet.start + offload.checksumStart;
  const field = from + offload.checksumOffset;
  if (field + 2 > packet.end) return DROP.superframe;
  const ours = measure(packet, layout) === PASS && layout.transport === from && layout.end === packet.end;
  if (ours && layout.checksumOffset === offload.checksumOffset) return PASS;
  const checksum = ~foldSum(sumOctets(packet, from, packet.end)) & 0xffff;
  // As Linux does, which cannot know whether the protocol is UDP (CSUM_MANGLED_0).
  putU16(packet.buf, field, checksum === 0 ? 0xffff : checksum);
  packet.partial = false;
  return PASS;
}

/**
 * Describes a packet to whoever is to cut it or to compute its checksum, and puts the sum of the pseudo header where the
 * receiver expects it. A superframe always owes its checksum; octets that are no TCP or UDP packet owe nothing.
 */
export function describeOffload(packet: Packet, out: Offload): void {
  out.kind = OFFLOAD_KIND.none;
  out.segment = 0;
  out.ecn = false;
  out.partial = false;
  if ((packet.segment === 0 && !packet.partial) || measure(packet, layout) !== PASS) return;
  const { buf, start } = packet;
  const { protocol, transport, payload, end, checksumOffset } = layout;
  out.partial = true;
  out.headerLength = payload - start;
  out.checksumStart = transport - start;
  out.checksumOffset = checksumOffset;
  putU16(buf, transport + checksumOffset, foldSum(pseudoHeaderSum(buf, start, protocol, end - transport)));
  packet.partial = true;
  if (packet.segment === 0) return;
  out.kind = kindOf(layout.version, protocol);
  out.segment = packet.segment;
  out.ecn = protocol === IP_PROTOCOL.tcp && (tcpFlags(buf, transport) & TCP_FLAG.cwr) !== 0;
}

/** The kind of a superframe of that family and protocol. */
export function kindOf(version: number, protocol: number): number {
  if (protocol === IP_PROTOCOL.udp) return OFFLOAD_KIND.udp;
  return version === 4 ? OFFLOAD_KIND.tcp4 : OFFLOAD_KIND.tcp6;
}

const layout = newLayout();

/** VIRTIO_NET_HDR_F_NEEDS_CSUM and VIRTIO_NET_HDR_GSO_ECN. */
const NEEDS_CHECKSUM = 0x01;
const ECN = 0x80;

const little16 = (buf: Uint8Array, at: number): number => buf[at]! | (buf[at + 1]! << 8);

function putLittle16(buf: Uint8Array, at: number, value: number): void {
  buf[at] = value;
  buf[at + 1] = value >>> 8;
}
