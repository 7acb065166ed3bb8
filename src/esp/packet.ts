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

/** How many of at most so many ESP packets, of which one begins each `stride` octets from `start` on, have one SPI and numbers in a row. */
export function runLength({ view }: Packet, start: number, stride: number, most: number): number {
  if (most < 2) return most;
  const spi = view.getInt32(start);
  let low = view.getInt32(start + 4);
  let count = 1;
  for (let at = start + stride; count < most; at += stride, count++) {
    low = (low + 1) | 0;
    if (low === 0 || view.getInt32(at) !== spi || view.getInt32(at + 4) !== low) break;
  }
  return count;
}

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
  const padded = Math.max(packet.end - packet.start, padTo);
  const length = protectedLength(protection, padded);
  if (!fits(packet, protection, length)) return DROP.noRoom;
  frame(packet, protection, spi, high, low, nextHeader, padded, length, writeIv);
  encrypt(packet, protection, high);
  return PASS;
}

/** Whether there is room around the payload for everything else, `length` octets being protected. */
export function fits(packet: Packet, measures: Measures, length: number): boolean {
  const { buf, start } = packet;
  return start >= ESP_HEADER_LENGTH + measures.ivLength && length <= buf.length - start - measures.icvLength;
}

/**
 * All of `encapsulate` but the cipher, for a packet that `fits`. `padded` is the payload with its TFC padding, `length` what is
 * protected. The bounds are final; the ICV is room only.
 */
export function frame(
  packet: Packet,
  measures: Measures,
  spi: number,
  high: number,
  low: number,
  nextHeader: number,
  padded: number,
  length: number,
  writeIv: IvWriter,
): void {
  const { buf, start } = packet;
  if (start + padded > packet.end) buf.fill(0, packet.end, start + padded);
  frameAt(buf, start, measures, spi, high, low, nextHeader, padded, length, writeIv);
  packet.start = start - measures.ivLength - ESP_HEADER_LENGTH;
  packet.end = start + length + measures.icvLength;
}

/** The octets of `frame` around a payload that stands at `at` with its TFC padding. */
export function frameAt(
  buf: Uint8Array,
  at: number,
  measures: Measures,
  spi: number,
  high: number,
  low: number,
  nextHeader: number,
  padded: number,
  length: number,
  writeIv: IvWriter,
): void {
  const iv = at - measures.ivLength;
  putU32(buf, iv - ESP_HEADER_LENGTH, spi);
  putU32(buf, iv - ESP_HEADER_LENGTH + 4, low);
  writeIv(buf, iv, high === NO_ESN ? 0 : high, low);
  const padding = at + padded;
  const end = at + length;
  const padLength = end - TRAILER_LENGTH - padding;
  for (let i = 0; i < padLength; i++) buf[padding + i] = i + 1;
  buf[end - 2] = padLength;
  buf[end - 1] = nextHeader;
}

/** The cipher, for a packet that `frame` left. */
export function encrypt(packet: Packet, protection: Protection, high: number): void {
  const { buf, start, end } = packet;
  protection.seal(buf, start, start + ESP_HEADER_LENGTH, end - protection.icvLength, high);
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
  if (!decrypt(packet, protection, high)) return DROP.espIntegrity;
  unframe(packet, protection);
  return PASS;
}

/** The cipher alone. False: the ICV does not verify. */
export function decrypt(packet: Packet, protection: Protection, high: number): boolean {
  const { buf, start, end } = packet;
  return protection.open(buf, start, start + ESP_HEADER_LENGTH, end - protection.icvLength, high);
}

/** Leaves what was protected. */
export function unframe(packet: Packet, measures: Measures): void {
  packet.start += ESP_HEADER_LENGTH + measures.ivLength;
  packet.end -= measures.icvLength;
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
