/** UDP (RFC 768) as a view on (buffer, offset of the UDP header), its check and a builder. */
import type { Bytes } from '../core/index.ts';
import { putU16, u16 } from '../core/index.ts';
import { fillTransportChecksum, transportChecksumHolds } from './checksum.ts';
import { IP_PROTOCOL } from './iana.ts';
import { buildIp, type IpFields, ipHeaderOf } from './ip.ts';
import { DROP, PASS } from './verdict.ts';

export const UDP_HEADER = 8;

export const udpSourcePort = (b: Bytes, o: number): number => u16(b, o);
export const udpDestinationPort = (b: Bytes, o: number): number => u16(b, o + 2);
/** Header and data. */
export const udpLength = (b: Bytes, o: number): number => u16(b, o + 4);
export const udpChecksum = (b: Bytes, o: number): number => u16(b, o + 6);

/** Length and checksum of the datagram buf[at, end) in the packet at `ip`. */
export function checkUdp(buf: Bytes, ip: number, at: number, end: number): number {
  if (end - at < UDP_HEADER) return DROP.short;
  const length = udpLength(buf, at);
  if (length < UDP_HEADER || length > end - at) return DROP.length;
  return transportChecksumHolds(buf, ip, at, at + length, IP_PROTOCOL.udp) ? PASS : DROP.checksum;
}

/** Writes a header in front of data that already stands at `at` + 8; the checksum field is left zero. */
export function writeUdpHeader(
  buf: Bytes,
  at: number,
  sourcePort: number,
  destinationPort: number,
  length: number,
): void {
  putU16(buf, at, sourcePort);
  putU16(buf, at + 2, destinationPort);
  putU16(buf, at + 4, length);
  putU16(buf, at + 6, 0);
}

export interface UdpFields extends IpFields {
  readonly sourcePort: number;
  readonly destinationPort: number;
}

/** A fresh packet. */
export function buildUdp(fields: UdpFields, data: Bytes): Bytes {
  const datagram = new Uint8Array(UDP_HEADER + data.length);
  writeUdpHeader(datagram, 0, fields.sourcePort, fields.destinationPort, datagram.length);
  datagram.set(data, UDP_HEADER);
  const out = buildIp({ ...fields, protocol: IP_PROTOCOL.udp }, datagram);
  fillTransportChecksum(out, 0, ipHeaderOf(fields), out.length, IP_PROTOCOL.udp);
  return out;
}
