/**
 * Cutting packets into fragments: IPv4 on the way through a router, IPv6 at its source only.
 *
 * Read first: RFC 791 §3.2 (the procedure, and the option bit "copied"), RFC 8200 §4.5, RFC 6864 (identification).
 * Each fragment is a fresh packet of the pool with a copy of header and data; either all are made or none is.
 * The packet given stays the caller's.
 */
import type { Bytes } from '../core/index.ts';
import { putU16, putU32 } from '../core/index.ts';
import { IP_PROTOCOL } from './iana.ts';
import {
  fillIpv4Checksum,
  IPV4_HEADER,
  IPV4_MF,
  ipv4DontFragment,
  ipv4FragmentOffset,
  ipv4HeaderLength,
  ipv4MoreFragments,
  ipv4TotalLength,
} from './ipv4.ts';
import { IPV6_HEADER, ipv6NextHeader, newUpperLayer, setIpv6PayloadLength, walkIpv6 } from './ipv6.ts';
import type { Packet, PacketPool } from './packet.ts';
import { DROP, PASS } from './verdict.ts';

export const FRAGMENT_HEADER = 8;

/**
 * Cuts the IPv4 packet, which `checkIpv4` passed, to `mtu`. `emit` owns what it is given. PASS; or DROP.tooBig (DF, or an
 * MTU that holds no data), DROP.noBuffer.
 */
export function fragmentIpv4(packet: Packet, mtu: number, pool: PacketPool, emit: (fragment: Packet) => void): number {
  const { buf, start } = packet;
  if (ipv4DontFragment(buf, start)) return DROP.tooBig;
  const firstHeader = ipv4HeaderLength(buf, start);
  const laterHeader = IPV4_HEADER + copyOptions(buf, start + IPV4_HEADER, start + firstHeader);
  const room = Math.min(mtu, pool.capacity);
  if (room < firstHeader + 8) return DROP.tooBig;
  const data = ipv4TotalLength(buf, start) - firstHeader;
  if (countPieces(data, room - firstHeader, room - laterHeader) > pool.size - pool.taken) return DROP.noBuffer;
  const base = ipv4FragmentOffset(buf, start);
  const moreBehind = ipv4MoreFragments(buf, start);
  let done = 0;
  do {
    const header = done === 0 ? firstHeader : laterHeader;
    const length = piece(data - done, room - header);
    const fragment = pool.take()!;
    const at = fragment.start;
    fragment.buf.set(buf.subarray(start, start + (done === 0 ? firstHeader : IPV4_HEADER)), at);
    if (done > 0) {
      for (let i = 0; i < laterHeader - IPV4_HEADER; i++) fragment.buf[at + IPV4_HEADER + i] = copied[i]!;
      fragment.buf[at] = 0x40 | (laterHeader >>> 2);
    }
    const from = start + firstHeader + done;
    fragment.buf.set(buf.subarray(from, from + length), at + header);
    fragment.end = at + header + length;
    putU16(fragment.buf, at + 2, header + length);
    const more = moreBehind || done + length < data;
    putU16(fragment.buf, at + 6, (more ? IPV4_MF : 0) | ((base + done) >>> 3));
    fillIpv4Checksum(fragment.buf, at);
    done += length;
    emit(fragment);
  } while (done < data);
  return PASS;
}

/**
 * Cuts an IPv6 packet of this node's own, which `checkIpv6` passed, to `mtu`; `identification` is fresh for each packet of
 * this source and destination. PASS; or DROP.tooBig (a fragment already, headers that do not fit), DROP.noBuffer.
 */
export function fragmentIpv6(
  packet: Packet,
  mtu: number,
  identification: number,
  pool: PacketPool,
  emit: (fragment: Packet) => void,
): number {
  const { buf, start } = packet;
  if (walkIpv6(buf, start, packet.end, upper) !== PASS || upper.fragmentHeader >= 0) return DROP.tooBig;
  const split = unfragmentablePart(buf, start);
  const header = split - start + FRAGMENT_HEADER;
  const data = upper.end - split;
  const room = Math.min(mtu, pool.capacity) - header;
  // The first fragment holds the whole header chain (RFC 8200 §4.5), eight octets of the upper layer included.
  if (room < upper.at - split + 8) return DROP.tooBig;
  if (countPieces(data, room, room) > pool.size - pool.taken) return DROP.noBuffer;
  for (let done = 0; done < data; ) {
    const length = piece(data - done, room);
    const fragment = pool.take()!;
    const at = fragment.start;
    fragment.buf.set(buf.subarray(start, split), at);
    const link = at + (linkToFragment - start);
    const extension = at + split - start;
    fragment.buf[extension] = buf[linkToFragment]!;
    fragment.buf[link] = IP_PROTOCOL.fragment;
    fragment.buf[extension + 1] = 0;
    putU16(fragment.buf, extension + 2, done | (done + length < data ? 1 : 0));
    putU32(fragment.buf, extension + 4, identification);
    fragment.buf.set(buf.subarray(split + done, split + done + length), at + header);
    fragment.end = at + header + length;
    setIpv6PayloadLength(fragment.buf, at, header + length - IPV6_HEADER);
    done += length;
    emit(fragment);
  }
  return PASS;
}

const upper = newUpperLayer();
/** Options for the later fragments of the packet being cut, filled up with end-of-option-list octets. */
const copied = new Uint8Array(40);
/** Where the last header of the unfragmentable part names its successor. */
let linkToFragment = 0;

/** Octets of the next piece: all that is left, or as much as fits and is a multiple of 8. */
const piece = (left: number, room: number): number => (left <= room ? left : room & ~7);

function countPieces(data: number, firstRoom: number, laterRoom: number): number {
  const rest = data - piece(data, firstRoom);
  if (rest === 0) return 1;
  const step = laterRoom & ~7;
  // The last piece may use the whole room, multiple of 8 or not.
  return 2 + Math.max(0, Math.ceil((rest - laterRoom) / step));
}

/** RFC 791 §3.1: options with the highest bit of their kind set go into every fragment. Gives their padded length. */
function copyOptions(buf: Bytes, from: number, to: number): number {
  let length = 0;
  for (let at = from; at < to && buf[at] !== 0; ) {
    const size = buf[at] === 1 ? 1 : buf[at + 1]!;
    if ((buf[at]! & 0x80) !== 0) {
      for (let i = 0; i < size; i++) copied[length + i] = buf[at + i]!;
      length += size;
    }
    at += size;
  }
  while ((length & 3) !== 0) copied[length++] = 0;
  return length;
}

/** RFC 8200 §4.5: up to the routing header if there is one, else the hop-by-hop options, else the IPv6 header alone. */
function unfragmentablePart(buf: Bytes, start: number): number {
  let split = start + IPV6_HEADER;
  linkToFragment = start + 6;
  let at = split;
  let next = ipv6NextHeader(buf, start);
  while (next === IP_PROTOCOL.hopByHop || next === IP_PROTOCOL.destinationOptions || next === IP_PROTOCOL.routing) {
    const behind = at + ((buf[at + 1]! + 1) << 3);
    if (next !== IP_PROTOCOL.destinationOptions) {
      split = behind;
      linkToFragment = at;
    }
    next = buf[at]!;
    at = behind;
  }
  return split;
}
