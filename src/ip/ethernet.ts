/**
 * The Ethernet header as a view on (buffer, offset of the frame), its check and writer, and the MAC addresses of groups.
 *
 * Read first: RFC 894 and RFC 2464 §2–3 (IP over Ethernet), RFC 1112 §6.4 and RFC 2464 §7 (groups), RFC 9542 §2.1 (the bits of a
 * MAC address). A frame is destination, source, EtherType and payload; no FCS, and short frames may be padded.
 * A frame may be a superframe (`packet.segment` > 0): its IP header then stands at start + ETHERNET_HEADER, and what measures or
 * cuts superframes is called when `start` has been moved there.
 * Deliberate limits: Ethernet II only, so that an IEEE 802.3 length is an EtherType nobody knows; a VLAN tag is recognised and refused.
 */
import type { Bytes } from '../core/index.ts';
import { fromHex, putU16, putU32, toHex, u16 } from '../core/index.ts';
import { ETHER_TYPE } from './iana.ts';
import { DROP, PASS } from './verdict.ts';

export const ETHERNET_HEADER = 14;
export const MAC_LENGTH = 6;
export const BROADCAST_MAC: Bytes = new Uint8Array(MAC_LENGTH).fill(0xff);

/** Offsets of the two MAC addresses. */
export const ethernetDestinationAt = (o: number): number => o;
export const ethernetSourceAt = (o: number): number => o + 6;
export const etherType = (b: Bytes, o: number): number => u16(b, o + 12);

/** Broadcast included: the I/G bit. */
export const macIsGroup = (b: Bytes, at: number): boolean => (b[at]! & 0x01) !== 0;
export const macIsBroadcast = (b: Bytes, at: number): boolean => sameMac(b, at, BROADCAST_MAC, 0);

export const sameMac = (a: Bytes, at: number, b: Bytes, bt: number): boolean =>
  a[at] === b[bt] &&
  a[at + 1] === b[bt + 1] &&
  a[at + 2] === b[bt + 2] &&
  a[at + 3] === b[bt + 3] &&
  a[at + 4] === b[bt + 4] &&
  a[at + 5] === b[bt + 5];

/** Whether one station may have that address: neither a group nor all zero (RFC 1812 §3.3.2). */
export function macNamesOneStation(b: Bytes, at: number): boolean {
  if (macIsGroup(b, at)) return false;
  return (b[at]! | b[at + 1]! | b[at + 2]! | b[at + 3]! | b[at + 4]! | b[at + 5]!) !== 0;
}

/** PASS, or why nobody may process the frame in buf[start, end). After PASS every accessor is in bounds. */
export function checkEthernet(buf: Bytes, start: number, end: number): number {
  if (end - start < ETHERNET_HEADER) return DROP.short;
  if (macIsGroup(buf, start + 6)) return DROP.martian;
  const type = etherType(buf, start);
  return type === ETHER_TYPE.vlan || type === ETHER_TYPE.serviceVlan ? DROP.vlanTag : PASS;
}

/** Writes a header of 14 octets at `at`. */
export function writeEthernet(buf: Bytes, at: number, destination: Bytes, source: Bytes, type: number): void {
  copyMac(destination, 0, buf, at);
  copyMac(source, 0, buf, at + 6);
  putU16(buf, at + 12, type);
}

export function copyMac(from: Bytes, at: number, to: Bytes, into: number): void {
  for (let i = 0; i < MAC_LENGTH; i++) to[into + i] = from[at + i]!;
}

/** RFC 1112 §6.4: 01:00:5e and the low 23 bits of the group. */
export function writeIpv4GroupMac(buf: Bytes, at: number, group: number): void {
  putU32(buf, at, (0x01005e00 | ((group >>> 16) & 0x7f)) >>> 0);
  putU16(buf, at + 4, group & 0xffff);
}

/** RFC 2464 §7: 33:33 and the last four octets of the group, which stands at `from` of `address`. */
export function writeIpv6GroupMac(buf: Bytes, at: number, address: Bytes, from = 0): void {
  putU16(buf, at, 0x3333);
  for (let i = 0; i < 4; i++) buf[at + 2 + i] = address[from + 12 + i]!;
}

/** Six octets with colons or hyphens between them, or with nothing; undefined for anything else. */
export function parseMac(text: string): Bytes | undefined {
  if (!/^[0-9a-f]{2}(?:([:-])[0-9a-f]{2}(?:\1[0-9a-f]{2}){4}|[0-9a-f]{10})$/i.test(text)) return undefined;
  return fromHex(text.replaceAll('-', ''));
}

/** `00:15:5d:00:00:10`. */
export const formatMac = (mac: Bytes): string => (toHex(mac).match(/../g) ?? []).join(':');
