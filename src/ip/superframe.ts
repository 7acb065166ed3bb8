/**
 * Superframes: TCP or UDP packets of up to 64 KB that are cut into packets of the wire only where those are needed (TSO,
 * USO), and transport checksums that are owed until then.
 *
 * Read first: RFC 9293 §3.1 and §3.8.2 (sequence numbers, PSH), RFC 3168 §6.1.2 (CWR), RFC 6864 §4 (identification),
 * RFC 768; Linux's Documentation/networking/segmentation-offloads.rst and checksum-offloads.rst.
 * A superframe has `packet.segment` octets of payload for each packet. IP options, extension headers and TCP options are
 * repeated in each; IPv4 identifications count up. All checksums are computed from nothing: an owed one is never read.
 * Deliberate limits: no SYN, RST or URG, which belong to one octet of the stream; no routing headers; nothing in tunnels.
 */
import { putU16, u16 } from '../core/index.ts';
import { foldSum, pseudoHeaderSum } from './checksum.ts';
import { IP_PROTOCOL } from './iana.ts';
import { IPV6_HEADER } from './ipv6.ts';
import type { Packet, PacketPool } from './packet.ts';
import { measure, newLayout } from './superframe-layout.ts';
import { copySum, sumOctets } from './superframe-sum.ts';
import { TCP_FLAG, tcpFlags } from './tcp.ts';
import { DROP, PASS } from './verdict.ts';

/** Octets of payload a TCP segment of a superframe has at least: TCP_MIN_GSO_SIZE of Linux. */
export const TCP_SEGMENT_MIN = 8;
/** Datagrams a UDP superframe has at most: UDP_MAX_SEGMENTS of Linux. */
export const UDP_SEGMENTS_MAX = 128;

/** PASS, or why the superframe cannot be cut. Any octets; an IPv4 header checksum is left to `checkIp`. */
export function checkSuperframe(packet: Packet): number {
  const { segment, buf } = packet;
  if (!(segment > 0 && segment <= 0xffff)) return DROP.superframe;
  const verdict = measure(packet, layout);
  if (verdict !== PASS) return verdict;
  if (layout.protocol === IP_PROTOCOL.udp) return count(segment) <= UDP_SEGMENTS_MAX ? PASS : DROP.superframe;
  const refused = TCP_FLAG.syn | TCP_FLAG.rst | TCP_FLAG.urg;
  return segment >= TCP_SEGMENT_MIN && (tcpFlags(buf, layout.transport) & refused) === 0 ? PASS : DROP.superframe;
}

/** How many packets of the wire it is: 1 for an ordinary one, 0 for a superframe that `checkSuperframe` refuses. */
export function segmentCount(packet: Packet): number {
  if (packet.segment === 0) return 1;
  return checkSuperframe(packet) === PASS ? count(packet.segment) : 0;
}

/** What counters count: packets of the wire. One where it cannot be cut. */
export const wirePackets = (packet: Packet): number => (packet.segment === 0 ? 1 : Math.max(1, segmentCount(packet)));

/** Adds them to the counter at `at` and their octets to the one behind it: how many packets there are. */
export function countWire(packet: Packet, counters: Float64Array, at: number): number {
  const { start, end, segment } = packet;
  const whole = segment === 0 || checkSuperframe(packet) !== PASS;
  const packets = whole ? 1 : count(segment);
  counters[at]! += packets;
  counters[at + 1]! += whole ? end - start : layout.end - start + (packets - 1) * (layout.payload - start);
  return packets;
}

/** Octets of the largest IP packet it will be on the wire: what an MTU is compared with. */
export function segmentLength(packet: Packet): number {
  const { start, end, segment } = packet;
  return segment === 0 || measure(packet, layout) !== PASS ? end - start : largest(packet);
}

/**
 * Computes the transport checksum that an ordinary packet owes: PASS, also when it owes none, or why it has no such
 * checksum. A superframe goes on owing: `cutSuperframe` computes those of its segments.
 */
export function completeChecksum(packet: Packet): number {
  if (!packet.partial || packet.segment !== 0) return PASS;
  const verdict = measure(packet, layout);
  if (verdict !== PASS) return verdict;
  const { buf, start } = packet;
  const { protocol, transport, end, checksumOffset } = layout;
  putU16(buf, transport + checksumOffset, 0);
  const sum = pseudoHeaderSum(buf, start, protocol, end - transport) + sumOctets(packet, transport, end);
  putU16(buf, transport + checksumOffset, checksumOf(sum, protocol));
  packet.partial = false;
  return PASS;
}

/**
 * Cuts the superframe, which stays the caller's, into ordinary packets of `pool`, in order into `out`, which has room for
 * them: how many there are. All are made or none is: 0 when `checkSuperframe` refuses it, when the pool is short, or when
 * its slots are.
 */
export function cutSuperframe(packet: Packet, pool: PacketPool, out: Packet[]): number {
  const pieces = beginCut(packet);
  if (pieces === 0 || pieces > pool.size - pool.taken || largest(packet) > pool.capacity) return 0;
  for (let i = 0; i < pieces; i++) {
    const piece = pool.take()!;
    piece.end = piece.start + writeSegment(packet, i, piece, piece.start);
    out[i] = piece;
  }
  return pieces;
}

/** How many segments `writeSegment` may write of this superframe until another one begins; 0: `checkSuperframe` refuses it. */
export function beginCut(packet: Packet): number {
  if (checkSuperframe(packet) !== PASS) return 0;
  Object.assign(cutting, layout);
  sumHeaders(packet);
  return count(packet.segment);
}

/** The sums of what all segments of the superframe in `layout` have in common. */
let ipSum = 0;
let transportSum = 0;
const layout = newLayout();
/** That of the superframe that is being cut. */
const cutting = newLayout();

const largest = (packet: Packet): number =>
  layout.payload - packet.start + Math.min(packet.segment, layout.end - layout.payload);

const count = (segment: number): number => Math.max(1, Math.ceil((layout.end - layout.payload) / segment));

/** Leaves out what differs: lengths, identification, sequence number, flags, checksums. */
function sumHeaders(packet: Packet): void {
  const { buf, start } = packet;
  const at = cutting.transport;
  ipSum =
    cutting.version === 4
      ? sumOctets(packet, start, at) - u16(buf, start + 2) - u16(buf, start + 4) - u16(buf, start + 10)
      : 0;
  transportSum = pseudoHeaderSum(buf, start, cutting.protocol, 0);
  transportSum +=
    cutting.protocol === IP_PROTOCOL.udp
      ? sumOctets(packet, at, at + 4)
      : sumOctets(packet, at, at + 4) +
        sumOctets(packet, at + 8, at + 12) +
        u16(buf, at + 14) +
        sumOctets(packet, at + 18, cutting.payload);
}

/** Writes the segment of that index with its headers at `to` of the other packet's octets: how many they are. */
export const writeSegment = (packet: Packet, index: number, into: Packet, to: number): number =>
  writeSegments(packet, index, 1, into, to, 0);

/** The same for `count` segments from that one on, each `stride` octets behind the one before: how many octets the last has. */
export function writeSegments(
  packet: Packet,
  index: number,
  count: number,
  into: Packet,
  to: number,
  stride: number,
): number {
  const { view } = into;
  const { view: from, start, segment } = packet;
  const { version, protocol, transport, payload, end } = cutting;
  const headers = payload - start;
  const upper = transport - start;
  let total = 0;
  for (let i = index, at = to; i < index + count; i++, at += stride) {
    const done = i * segment;
    const length = Math.min(segment, end - payload - done);
    // Both families and both protocols have headers of whole words.
    for (let o = 0; o < headers; o += 4) view.setInt32(at + o, from.getInt32(start + o));
    const dataSum = copySum(packet, payload + done, into, at + headers, length);
    total = headers + length;
    if (version === 4) {
      const identification = (from.getUint16(start + 4) + i) & 0xffff;
      view.setInt32(at + 2, (total << 16) | identification);
      view.setInt16(at + 10, ~foldSum(ipSum + total + identification));
    } else view.setInt16(at + 4, total - IPV6_HEADER);
    const sum = transportSum + dataSum;
    if (protocol === IP_PROTOCOL.tcp) finishTcp(packet, i, view, at + upper, total - upper, sum);
    else finishUdp(view, at + upper, total - upper, sum);
  }
  return total;
}

function finishUdp(view: DataView, at: number, length: number, sum: number): void {
  view.setInt16(at + 4, length);
  view.setInt16(at + 6, checksumOf(sum + 2 * length, IP_PROTOCOL.udp));
}

/** Of the segment of that index, whose TCP header stands at `at`. */
function finishTcp(packet: Packet, index: number, view: DataView, at: number, length: number, sum: number): void {
  const { view: from, segment } = packet;
  const { transport, payload, end } = cutting;
  const last = end - payload <= (index + 1) * segment;
  const sequence = (from.getInt32(transport + 4) + index * segment) | 0;
  const leftOut = (last ? 0 : TCP_FLAG.fin | TCP_FLAG.psh) | (index === 0 ? 0 : TCP_FLAG.cwr);
  const word = from.getUint16(transport + 12) & ~leftOut;
  view.setInt32(at + 4, sequence);
  view.setInt16(at + 12, word);
  const all = sum + length + (sequence >>> 16) + (sequence & 0xffff) + word;
  view.setInt16(at + 16, checksumOf(all, IP_PROTOCOL.tcp));
}

/** RFC 768: an all zero checksum means none was computed, so 0 is sent as its other form. */
function checksumOf(sum: number, protocol: number): number {
  const checksum = ~foldSum(sum) & 0xffff;
  return checksum === 0 && protocol === IP_PROTOCOL.udp ? 0xffff : checksum;
}
