/**
 * The naive reference, packets that are more than octets: superframes, which are the list of their wire packets, checksums that
 * are owed, and packets cut to fragments.
 *
 * Written from RFC 9293 §3.1, RFC 768, RFC 791 §3.2, RFC 8200 §4.5 and what Linux says of segmentation offloads: no SYN, RST
 * or URG, eight octets of TCP payload a segment at least, 128 datagrams at most.
 */
import type { DropReason } from '../../../src/ip/index.ts';
import { isRefusal, mustRead, readIp, TCP, UDP, withHeaderChecksum } from './ip.ts';
import { be16, be32, changed, checksum, concat, long, type Octets, pseudoSum, sum, word } from './octets.ts';

/** A packet as it is handed over: octets, the segment size of a superframe or 0, whether its transport checksum is owed. */
export interface Frame {
  readonly octets: Octets;
  readonly segment: number;
  readonly partial: boolean;
}

interface Transport {
  readonly at: number;
  readonly data: number;
  readonly protocol: number;
  /** Offset of the checksum in the packet. */
  readonly sumAt: number;
}

/** Where TCP or UDP and their data begin; or why there is none whose checksum could be computed. */
function transportOf(octets: Octets): Transport | DropReason {
  const ip = readIp(octets);
  if (isRefusal(ip)) return ip;
  if (ip.fragment) return 'fragment';
  if (ip.routed) return 'options';
  const { at, length, protocol } = ip;
  if (protocol === TCP) {
    const header = at + 20 > length ? 0 : (octets[at + 12]! >> 4) * 4;
    return header < 20 || at + header > length ? 'short' : { at, data: at + header, protocol, sumAt: at + 16 };
  }
  if (protocol !== UDP) return 'superframe';
  if (at + 8 > length) return 'short';
  return word(octets, at + 4) === length - at ? { at, data: at + 8, protocol, sumAt: at + 6 } : 'length';
}

const isReason = (found: Transport | DropReason): found is DropReason => typeof found === 'string';

/** Why a superframe is none. */
export function superframeProblem({ octets, segment }: Frame): DropReason | undefined {
  if (segment < 1 || segment > 0xffff) return 'superframe';
  const found = transportOf(octets);
  if (isReason(found)) return found;
  const { at, data, protocol } = found;
  if (protocol === UDP) return (mustRead(octets).length - data) / segment > 128 ? 'superframe' : undefined;
  return segment < 8 || (octets[at + 13]! & 0x26) !== 0 ? 'superframe' : undefined;
}

/** What an MTU is compared with: of a superframe, its largest packet. */
export function wireLength({ octets, segment }: Frame): number {
  const found = transportOf(octets);
  if (segment === 0 || isReason(found)) return octets.length;
  return Math.min(octets.length, found.data + segment);
}

/** What is counted: the packets that it is on the wire, or what it is where it cannot be cut. */
export const wireLengths = (frame: Frame): number[] =>
  frame.segment > 0 && superframeProblem(frame) === undefined
    ? piecesOf(frame).map(({ length }) => length)
    : [frame.octets.length];

/** With the checksum it owes; or why it can have none. */
export function settled({ octets, segment, partial }: Frame): Octets | DropReason {
  if (!partial || segment > 0) return octets;
  const found = transportOf(octets);
  return isReason(found) ? found : withTransportChecksum(octets, found);
}

function withTransportChecksum(octets: Octets, { at, protocol, sumAt }: Transport): Octets {
  const { source, destination, length } = mustRead(octets);
  const zeroed = changed(octets, sumAt, [0, 0]);
  const value = checksum(zeroed.slice(at, length), pseudoSum(source, destination, protocol, length - at));
  // RFC 768: zero means that there is none.
  return changed(zeroed, sumAt, be16(value === 0 && protocol === UDP ? 0xffff : value));
}

/** The wire packets of a superframe without a problem. */
export function piecesOf({ octets, segment }: Frame): Octets[] {
  const found = transportOf(octets);
  if (isReason(found)) throw new Error(`no superframe: ${found}`);
  const { at, data, protocol } = found;
  const payload = octets.slice(data, mustRead(octets).length);
  const count = Math.max(1, Math.ceil(payload.length / segment));
  return Array.from({ length: count }, (_, i) => {
    const part = concat(octets.slice(0, data), payload.slice(i * segment, (i + 1) * segment));
    if (part[0]! >> 4 === 4) {
      part.set(be16(part.length), 2);
      part.set(be16((word(octets, 4) + i) % 65536), 4);
    } else part.set(be16(part.length - 40), 4);
    if (protocol === UDP) part.set(be16(part.length - at), at + 4);
    else {
      part.set(be32((long(octets, at + 4) + i * segment) % 2 ** 32), at + 4);
      // PSH and FIN belong to the last, CWR to the first (RFC 3168 §6.1.2).
      if (i < count - 1) part[at + 13]! &= ~0x09;
      if (i > 0) part[at + 13]! &= ~0x80;
    }
    return withTransportChecksum(withHeaderChecksum(part), found);
  });
}

/** RFC 791 §3.2: an IPv4 packet in pieces that fit. */
export function fragmentsOf(octets: Octets, mtu: number): Octets[] {
  const { header, length, fragmentOffset } = mustRead(octets);
  const later = concat(octets.slice(0, 20), copiedOptions(octets, header));
  const more = (octets[6]! & 0x20) !== 0;
  const pieces: Octets[] = [];
  for (let at = header; at < length || pieces.length === 0; ) {
    const head = pieces.length === 0 ? octets.slice(0, header) : later.slice();
    const room = mtu - head.length;
    const size = length - at <= room ? length - at : room - (room % 8);
    const offset = fragmentOffset + at - header;
    head[0] = 0x40 + head.length / 4;
    head.set(be16(head.length + size), 2);
    head.set(be16((more || at + size < length ? 0x2000 : 0) + offset / 8), 6);
    pieces.push(withHeaderChecksum(concat(head, octets.slice(at, at + size))));
    at += size;
  }
  return pieces;
}

/** RFC 791 §3.1: those whose kind has its highest bit set, filled up to words. */
function copiedOptions(octets: Octets, header: number): number[] {
  const out: number[] = [];
  for (let at = 20; at < header && octets[at] !== 0; ) {
    const size = octets[at] === 1 ? 1 : octets[at + 1]!;
    if (octets[at]! >= 128) out.push(...octets.slice(at, at + size));
    at += size;
  }
  while (out.length % 4 !== 0) out.push(0);
  return out;
}

/** Whether the checksum of the message octets[at, length) holds; its pseudo header is none for ICMP. */
export function messageHolds(octets: Octets, protocol: number, pseudo: boolean): boolean {
  const { source, destination, length, at } = mustRead(octets);
  const initial = pseudo ? pseudoSum(source, destination, protocol, length - at) : 0;
  return sum(octets.slice(at, length), initial) === 0xffff;
}
