/**
 * TCP segments in whole IP packets, as records: read with every check that needs no connection, and written.
 *
 * Read first: RFC 9293 §3.1–3.2, RFC 7323 §2.2 (window scale), RFC 2385 §2 (signature), RFC 6691 (what an MSS counts).
 * Invariant: what `readSegment` gives lies within the packet; its `data` is a view of it.
 */
import { type Bytes, concat, putU16, type Secret } from '../../core/index.ts';
import type { Address } from '../address.ts';
import { fillTransportChecksum, transportChecksumHolds } from '../checksum.ts';
import { IP_PROTOCOL } from '../iana.ts';
import { checkIp, destinationOf, findUpperLayer, hopLimit, ipHeaderOf, ipVersion, sourceOf } from '../ip.ts';
import { IPV4_HEADER } from '../ipv4.ts';
import { IPV6_HEADER, newUpperLayer } from '../ipv6.ts';
import {
  buildTcp,
  findTcpOption,
  mssOption,
  TCP_FLAG,
  TCP_HEADER,
  TCP_OPTION,
  type TcpFields,
  tcpAcknowledgment,
  tcpDestinationPort,
  tcpFlags,
  tcpHeaderFits,
  tcpHeaderLength,
  tcpMss,
  tcpSequence,
  tcpSourcePort,
  tcpWindow,
} from '../tcp.ts';
import { PASS } from '../verdict.ts';

export interface Segment {
  readonly source: Address;
  readonly destination: Address;
  readonly sourcePort: number;
  readonly destinationPort: number;
  readonly sequence: number;
  readonly acknowledgment: number;
  /** A sum of `TCP_FLAG`. */
  readonly flags: number;
  /** As it stands there, not scaled. */
  readonly window: number;
  readonly data: Bytes;
  /** Octets of sequence space: data, SYN and FIN. */
  readonly length: number;
  readonly hopLimit: number;
  /** Of a SYN; 0 without. */
  readonly mss: number;
  /** Of a SYN; at most 14 (RFC 7323 §2.3). */
  readonly windowScale: number | undefined;
  readonly signature: Bytes | undefined;
  /** What a signature is made over, but for the key. */
  readonly signed: Bytes | undefined;
}

export type Md5 = (octets: Bytes) => Bytes;

/** Undefined for what is no whole, checksummed TCP segment. Never throws. */
export function readSegment(packet: Bytes): Segment | undefined {
  if (checkIp(packet, 0, packet.length) !== PASS) return undefined;
  if (findUpperLayer(packet, 0, packet.length, upper) !== PASS) return undefined;
  const { protocol, at, end, fragmentOffset, moreFragments } = upper;
  if (protocol !== IP_PROTOCOL.tcp || fragmentOffset !== 0 || moreFragments) return undefined;
  if (!tcpHeaderFits(packet, at, end) || !transportChecksumHolds(packet, 0, at, end, protocol)) return undefined;
  const flags = tcpFlags(packet, at);
  const data = packet.subarray(at + tcpHeaderLength(packet, at), end);
  const isSyn = (flags & TCP_FLAG.syn) !== 0;
  const signature = optionOf(packet, at, end, TCP_OPTION.md5Signature, 18);
  return {
    source: sourceOf(packet, 0),
    destination: destinationOf(packet, 0),
    sourcePort: tcpSourcePort(packet, at),
    destinationPort: tcpDestinationPort(packet, at),
    sequence: tcpSequence(packet, at),
    acknowledgment: tcpAcknowledgment(packet, at),
    flags,
    window: tcpWindow(packet, at),
    data,
    length: data.length + (isSyn ? 1 : 0) + ((flags & TCP_FLAG.fin) !== 0 ? 1 : 0),
    hopLimit: hopLimit(packet, 0),
    mss: isSyn ? tcpMss(packet, at, end) : 0,
    windowScale: isSyn ? windowScaleOf(packet, at, end) : undefined,
    signature,
    signed: signature && signedOctets(packet, at, end),
  };
}

/** RFC 2385 §3.0: a key where there is a signature made with it, no signature where there is no key. */
export function signatureHolds(segment: Segment, key: Secret | undefined, md5: Md5): boolean {
  const { signature, signed } = segment;
  if (key === undefined) return signature === undefined;
  if (signature === undefined || signed === undefined) return false;
  return sameDigest(md5(concat(signed, key.reveal())), signature);
}

export interface SegmentFields extends Omit<TcpFields, 'options'> {
  /** With a SYN. */
  readonly mss?: number;
  readonly windowScale?: number | undefined;
  readonly md5Key: Secret | undefined;
}

/** A whole packet. The IPv4 identification is left to whoever sends it. */
export function writeSegment(fields: SegmentFields, data: Bytes, md5: Md5): Bytes {
  const { mss, windowScale, md5Key } = fields;
  const options: Bytes[] = [];
  if (md5Key !== undefined) options.push(UNSIGNED);
  if (mss !== undefined) options.push(mssOption(mss));
  if (windowScale !== undefined) {
    options.push(Uint8Array.of(TCP_OPTION.noOperation, TCP_OPTION.windowScale, 3, windowScale));
  }
  const packet = buildTcp({ ...fields, options: concat(...options) }, data);
  if (md5Key === undefined) return packet;
  const at = ipHeaderOf(fields);
  packet.set(md5(concat(signedOctets(packet, at, packet.length), md5Key.reveal())), at + TCP_HEADER + 4);
  fillTransportChecksum(packet, 0, at, packet.length, IP_PROTOCOL.tcp);
  return packet;
}

/** RFC 6691: an MSS leaves IP options and TCP options out of account; who sends them has so much less data. */
export const headersOf = (address: Address): number => (address.length === 4 ? IPV4_HEADER : IPV6_HEADER) + TCP_HEADER;

/** Octets of the options in every segment with a signature. */
export const SIGNATURE_OPTION = 20;

const upper = newUpperLayer();

/** RFC 2385 §2.0: two no-operations align the digest. */
const UNSIGNED: Bytes = (() => {
  const option = new Uint8Array(SIGNATURE_OPTION).fill(TCP_OPTION.noOperation, 0, 2);
  option[2] = TCP_OPTION.md5Signature;
  option[3] = 18;
  return option;
})();

function optionOf(packet: Bytes, at: number, end: number, kind: number, length: number): Bytes | undefined {
  const option = findTcpOption(packet, at, end, kind);
  return option < 0 || packet[option + 1] !== length ? undefined : packet.slice(option + 2, option + length);
}

function windowScaleOf(packet: Bytes, at: number, end: number): number | undefined {
  const option = optionOf(packet, at, end, TCP_OPTION.windowScale, 3);
  return option && Math.min(option[0]!, 14);
}

/** RFC 2385 §2.0: pseudo header, TCP header without options and with a checksum of zero, data. RFC 8200 §8.1 for IPv6. */
function signedOctets(packet: Bytes, at: number, end: number): Bytes {
  const v4 = ipVersion(packet, 0) === 4;
  const pseudo = new Uint8Array(v4 ? 12 : 40);
  pseudo.set(v4 ? packet.subarray(12, 20) : packet.subarray(8, 40));
  // Offsets 8 and 36..38 stay zero.
  pseudo[v4 ? 9 : 39] = IP_PROTOCOL.tcp;
  putU16(pseudo, v4 ? 10 : 34, end - at);
  const header = packet.slice(at, at + TCP_HEADER);
  putU16(header, 16, 0);
  return concat(pseudo, header, packet.subarray(at + tcpHeaderLength(packet, at), end));
}

/** In a time that does not tell where they differ. */
function sameDigest(a: Bytes, b: Bytes): boolean {
  let difference = a.length ^ b.length;
  for (let i = 0; i < b.length; i++) difference |= (a[i] ?? 0) ^ b[i]!;
  return difference === 0;
}
