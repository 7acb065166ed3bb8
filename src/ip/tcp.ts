/**
 * TCP segments as a view on (buffer, offset of the TCP header): ports, flags, options, the MSS clamp, and a builder.
 *
 * Read first: RFC 9293 §3.1–3.2, §3.7.1 (MSS).
 * Leaves connections to others. The clamp changes SYN segments only and never raises an MSS; a SYN without the option
 * stays without: its sender then uses the default of 536 or 1220 octets, which every link carries.
 */
import type { Bytes } from '../core/index.ts';
import { putU16, putU32, u16, u32 } from '../core/index.ts';
import { fillTransportChecksum, updateChecksum16 } from './checksum.ts';
import { IP_PROTOCOL } from './iana.ts';
import { buildIp, type IpFields, ipHeaderOf } from './ip.ts';

export const TCP_HEADER = 20;

export const TCP_FLAG = {
  fin: 0x01,
  syn: 0x02,
  rst: 0x04,
  psh: 0x08,
  ack: 0x10,
  urg: 0x20,
  ece: 0x40,
  cwr: 0x80,
} as const;

export const TCP_OPTION = {
  end: 0,
  noOperation: 1,
  mss: 2,
  windowScale: 3,
  sackPermitted: 4,
  sack: 5,
  timestamps: 8,
  md5Signature: 19,
} as const;

export const tcpSourcePort = (b: Bytes, o: number): number => u16(b, o);
export const tcpDestinationPort = (b: Bytes, o: number): number => u16(b, o + 2);
export const tcpSequence = (b: Bytes, o: number): number => u32(b, o + 4);
export const tcpAcknowledgment = (b: Bytes, o: number): number => u32(b, o + 8);
/** Octets of header and options: the data offset. */
export const tcpHeaderLength = (b: Bytes, o: number): number => (b[o + 12]! >>> 4) << 2;
/** A sum of `TCP_FLAG`. */
export const tcpFlags = (b: Bytes, o: number): number => b[o + 13]!;
export const tcpWindow = (b: Bytes, o: number): number => u16(b, o + 14);
export const tcpChecksum = (b: Bytes, o: number): number => u16(b, o + 16);
export const tcpUrgentPointer = (b: Bytes, o: number): number => u16(b, o + 18);

/** Whether header and options of buf[at, end) are there and the data offset is possible. */
export function tcpHeaderFits(buf: Bytes, at: number, end: number): boolean {
  if (end - at < TCP_HEADER) return false;
  const header = tcpHeaderLength(buf, at);
  return header >= TCP_HEADER && at + header <= end;
}

/** Offset of the first option of that kind, or -1; malformed options end the search. */
export function findTcpOption(buf: Bytes, at: number, end: number, kind: number): number {
  if (!tcpHeaderFits(buf, at, end)) return -1;
  const last = at + tcpHeaderLength(buf, at);
  for (let o = at + TCP_HEADER; o < last; ) {
    const found = buf[o]!;
    if (found === TCP_OPTION.end) return -1;
    if (found === TCP_OPTION.noOperation) {
      o += 1;
      continue;
    }
    if (o + 2 > last) return -1;
    const length = buf[o + 1]!;
    if (length < 2 || o + length > last) return -1;
    if (found === kind) return o;
    o += length;
  }
  return -1;
}

/** The MSS a SYN announces; 0 without one. */
export function tcpMss(buf: Bytes, at: number, end: number): number {
  const option = findTcpOption(buf, at, end, TCP_OPTION.mss);
  return option < 0 || buf[option + 1] !== 4 ? 0 : u16(buf, option + 2);
}

/** Lowers the MSS of a SYN segment to `maxMss` and mends its checksum; true when it changed something. */
export function clampMss(buf: Bytes, at: number, end: number, maxMss: number): boolean {
  if (end - at < TCP_HEADER || (tcpFlags(buf, at) & TCP_FLAG.syn) === 0) return false;
  const option = findTcpOption(buf, at, end, TCP_OPTION.mss);
  if (option < 0 || buf[option + 1] !== 4) return false;
  const field = option + 2;
  const before = u16(buf, field);
  if (before <= maxMss) return false;
  putU16(buf, field, maxMss);
  // RFC 1071 §2(B): a value at an odd offset enters the sum with its octets swapped.
  const aligned = ((field - at) & 1) === 0;
  const checksum = updateChecksum16(
    tcpChecksum(buf, at),
    aligned ? before : swap(before),
    aligned ? maxMss : swap(maxMss),
  );
  putU16(buf, at + 16, checksum);
  return true;
}

export interface TcpFields extends IpFields {
  readonly sourcePort: number;
  readonly destinationPort: number;
  readonly sequence?: number;
  readonly acknowledgment?: number;
  /** A sum of `TCP_FLAG`; default SYN. */
  readonly flags?: number;
  /** Default 65535. */
  readonly window?: number;
  /** Padded with end-of-options octets to a multiple of 4. */
  readonly options?: Bytes;
}

/** A fresh packet. */
export function buildTcp(fields: TcpFields, data: Bytes = new Uint8Array(0)): Bytes {
  const options = fields.options ?? new Uint8Array(0);
  const header = TCP_HEADER + ((options.length + 3) & ~3);
  const segment = new Uint8Array(header + data.length);
  putU16(segment, 0, fields.sourcePort);
  putU16(segment, 2, fields.destinationPort);
  putU32(segment, 4, fields.sequence ?? 0);
  putU32(segment, 8, fields.acknowledgment ?? 0);
  segment[12] = header << 2;
  segment[13] = fields.flags ?? TCP_FLAG.syn;
  putU16(segment, 14, fields.window ?? 0xffff);
  segment.set(options, TCP_HEADER);
  segment.set(data, header);
  const out = buildIp({ ...fields, protocol: IP_PROTOCOL.tcp }, segment);
  fillTransportChecksum(out, 0, ipHeaderOf(fields), out.length, IP_PROTOCOL.tcp);
  return out;
}

/** The option that announces an MSS. */
export const mssOption = (mss: number): Bytes => Uint8Array.of(TCP_OPTION.mss, 4, mss >>> 8, mss & 0xff);

const swap = (word: number): number => ((word & 0xff) << 8) | (word >>> 8);
