/**
 * The ESP packet format under one keyed protection: header, IV, padding, trailer, ICV. No SA, no policy.
 *
 * Read first: RFC 4303 §2 (format), §3.3.2 and §3.4.4 (encryption and ICV with separate and combined algorithms).
 * Leaves to others: which sequence number, replay and selectors (`processing.ts`); the outer headers (`outer.ts`, the runtime).
 * Limits: padding as short as alignment allows; longer packets are made by TFC padding (§2.7), not by the Padding field (§2.4).
 *
 *   | SPI (4) | Sequence Number (4) | IV | Payload … TFC padding | 1 2 3 … | Pad Length (1) | Next Header (1) | ICV |
 */
import { putU32, u32 } from '../core/index.ts';
import { NO_ESN, type Protection } from '../crypto/index.ts';
import { DROP, PASS, type Packet } from '../ip/index.ts';
import type { IvWriter } from './iv.ts';

export const ESP_HEADER_LENGTH = 8;
/** Pad Length and Next Header. */
export const TRAILER_LENGTH = 2;
/** Values of the Next Header field in tunnel mode (RFC 4303 §2.6). */
export const NEXT_HEADER = { ipv4: 4, ipv6: 41, none: 59 } as const;

/** What of a protection decides how long packets get. */
export type Measures = Pick<Protection, 'ivLength' | 'blockSize' | 'icvLength'>;

export const spiOf = (buf: Uint8Array, start: number): number => u32(buf, start);
/** The low half of the sequence number. */
export const sequenceOf = (buf: Uint8Array, start: number): number => u32(buf, start + 4);

/** RFC 4303 §2.4: the trailer ends on a four-octet boundary and on a block of the cipher. */
export const alignmentOf = (measures: Measures): number => Math.max(4, measures.blockSize);

/** Octets between IV and ICV for a payload of so many: padding and trailer included. */
export function protectedLength(measures: Measures, payload: number): number {
  const align = alignmentOf(measures);
  return Math.ceil((payload + TRAILER_LENGTH) / align) * align;
}

/**
 * Turns the payload of `packet` into an ESP packet, in place: header and IV into the headroom, trailer and ICV into the tailroom.
 * The payload grows to `padTo` octets by TFC padding first. `high` is the upper half of the sequence number or NO_ESN.
 */
export function encapsulate(
  packet: Packet,
  protection: Protection,
  spi: number,
  high: number,
  low: number,
  nextHeader: number,
  padTo: number,
  writeIv: IvWriter,
): number {
  const { buf } = packet;
  const payload = packet.end - packet.start;
  const padded = Math.max(payload, padTo);
  const iv = packet.start - protection.ivLength;
  const start = iv - ESP_HEADER_LENGTH;
  const end = packet.start + protectedLength(protection, padded);
  if (start < 0 || end + protection.icvLength > buf.length) return DROP.noRoom;
  putU32(buf, start, spi);
  putU32(buf, start + 4, low);
  writeIv(buf, iv, high === NO_ESN ? 0 : high, low);
  const padding = packet.start + padded;
  if (padded > payload) buf.fill(0, packet.end, padding);
  const padLength = end - TRAILER_LENGTH - padding;
  for (let i = 0; i < padLength; i++) buf[padding + i] = i + 1;
  buf[end - 2] = padLength;
  buf[end - 1] = nextHeader;
  protection.seal(buf, start, iv, end, high);
  packet.start = start;
  packet.end = end + protection.icvLength;
  return PASS;
}

/** Whether the lengths allow an ESP packet of this protection: enough octets, whole blocks. */
export function checkLength(packet: Packet, protection: Protection): number {
  const body = packet.end - packet.start - ESP_HEADER_LENGTH - protection.ivLength - protection.icvLength;
  if (body < TRAILER_LENGTH) return DROP.espShort;
  return body % protection.blockSize === 0 ? PASS : DROP.length;
}

/**
 * Verifies and decrypts a packet that passed `checkLength`. After PASS the packet is payload, padding and trailer, its last octet
 * the Next Header; after anything else its bounds are as before and its octets undefined.
 */
export function decapsulate(packet: Packet, protection: Protection, high: number): number {
  const iv = packet.start + ESP_HEADER_LENGTH;
  const end = packet.end - protection.icvLength;
  if (!protection.open(packet.buf, packet.start, iv, end, high)) return DROP.espIntegrity;
  packet.start = iv + protection.ivLength;
  packet.end = end;
  return PASS;
}

/** Checks the padding (RFC 4303 §2.4: "SHOULD inspect") and leaves the payload, TFC padding included. */
export function stripTrailer(packet: Packet): number {
  const { buf } = packet;
  const padLength = buf[packet.end - 2]!;
  const padding = packet.end - TRAILER_LENGTH - padLength;
  if (padding < packet.start) return DROP.espPadding;
  for (let i = 0; i < padLength; i++) if (buf[padding + i] !== i + 1) return DROP.espPadding;
  packet.end = padding;
  return PASS;
}
