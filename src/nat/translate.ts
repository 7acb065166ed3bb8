/**
 * Rewriting packets in place: an address, a port or identifier, and the checksums over them.
 *
 * Read first: RFC 1624 §3 (incremental update), RFC 3022 §4.1, RFC 768 (a UDP checksum of zero is none).
 * A checksum that was wrong stays wrong by the same amount, so that the receiver notices. One that is still owed
 * (`partial`) is left alone: whoever computes it reads the new addresses.
 */
import { foldSum, IP_PROTOCOL, type Packet } from '../ip/index.ts';

/** Offsets within the IPv4 header. */
export const SOURCE = 12;
export const DESTINATION = 16;

/**
 * Gives a TCP or UDP packet, or a first fragment with the whole header, whose transport header stands at `at`, another
 * source (`end` SOURCE) or destination (`end` DESTINATION). The address is a signed number.
 */
export function rewriteEndpoint(
  packet: Packet,
  at: number,
  protocol: number,
  end: typeof SOURCE | typeof DESTINATION,
  address: number,
  port: number,
): void {
  const { view, start } = packet;
  const portAt = end === SOURCE ? at : at + 2;
  const delta = addressDelta(view.getInt32(start + end), address);
  view.setInt32(start + end, address);
  view.setUint16(start + 10, updated(view.getUint16(start + 10), delta));
  const all = delta + (~view.getUint16(portAt) & 0xffff) + port;
  view.setUint16(portAt, port);
  if (packet.partial) return;
  if (protocol === IP_PROTOCOL.tcp) view.setUint16(at + 16, updated(view.getUint16(at + 16), all));
  else updateUdp(view, at + 6, all);
}

/** The same for an ICMP query, whose checksum covers no addresses. */
export function rewriteQuery(
  packet: Packet,
  at: number,
  end: typeof SOURCE | typeof DESTINATION,
  address: number,
  identifier: number,
): void {
  const { view } = packet;
  rewriteAddress(packet, end, address);
  rewriteWord(view, at + 4, identifier, at + 2);
}

/** The address alone: of fragments other than the first, and of packets around an ICMP error. */
export function rewriteAddress({ view, start }: Packet, end: number, address: number): void {
  const delta = addressDelta(view.getInt32(start + end), address);
  view.setInt32(start + end, address);
  view.setUint16(start + 10, updated(view.getUint16(start + 10), delta));
}

export function rewriteIdentification({ view, start }: Packet, identification: number): void {
  rewriteWord(view, start + 4, identification, start + 10);
}

/** Writes a word and mends the checksum at `checksumAt` that covers it. */
export function rewriteWord(view: DataView, at: number, value: number, checksumAt: number): void {
  const delta = (~view.getUint16(at) & 0xffff) + value;
  view.setUint16(at, value);
  view.setUint16(checksumAt, updated(view.getUint16(checksumAt), delta));
}

/** RFC 1624 §3, equation 3, for any number of words: ~m + m' of each. */
export const updated = (checksum: number, delta: number): number => ~foldSum((~checksum & 0xffff) + delta) & 0xffff;

/** ~m + m' of both words of an address. */
export const addressDelta = (before: number, after: number): number =>
  (~before >>> 16) + (~before & 0xffff) + (after >>> 16) + (after & 0xffff);

/** RFC 768: zero stays zero; a sum that comes out as zero is sent as its other form. */
export function updateUdp(view: DataView, checksumAt: number, delta: number): void {
  const before = view.getUint16(checksumAt);
  if (before !== 0) view.setUint16(checksumAt, updated(before, delta) || 0xffff);
}
