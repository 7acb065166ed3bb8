/**
 * ARP for IPv4 over Ethernet as a view on (buffer, offset of the message), its check and writer.
 *
 * Read first: RFC 826 (format, reception), RFC 5227 §1.1 and §2 (probe, announcement, conflict), RFC 1812 §3.3.2 (whom not to believe).
 * A *probe* asks with the zero address as its sender; an *announcement* asks for the sender's own.
 * Deliberate limits: requests and replies only, no RARP, no InARP.
 */
import type { Bytes } from '../core/index.ts';
import { putU16, putU32, u16, u32 } from '../core/index.ts';
import { copyMac, MAC_LENGTH, macNamesOneStation } from './ethernet.ts';
import { ARP_OPERATION, ETHER_TYPE } from './iana.ts';
import { ipv4IsMulticast } from './ipv4.ts';
import { DROP, PASS } from './verdict.ts';

/** Octets of a message; what follows in a frame is padding. */
export const ARP_LENGTH = 28;

export const arpOperation = (b: Bytes, o: number): number => u16(b, o + 6);
export const arpSenderMacAt = (o: number): number => o + 8;
export const arpSender = (b: Bytes, o: number): number => u32(b, o + 14);
/** Without meaning in a request. */
export const arpTargetMacAt = (o: number): number => o + 18;
export const arpTarget = (b: Bytes, o: number): number => u32(b, o + 24);

/** RFC 5227 §1.1: the sender wants to know whether the address is free, and claims nothing. */
export const isArpProbe = (b: Bytes, o: number): boolean => arpSender(b, o) === 0;

/** RFC 5227 §1.1, §3: the sender tells everybody its address, as a request or, the older way, as a reply. */
export const isArpAnnouncement = (b: Bytes, o: number): boolean => arpSender(b, o) === arpTarget(b, o);

/** PASS, or why nobody may believe the message in buf[start, end). After PASS every accessor is in bounds. */
export function checkArp(buf: Bytes, start: number, end: number): number {
  if (end - start < ARP_LENGTH) return DROP.neighbourMessage;
  if (u16(buf, start) !== HARDWARE_ETHERNET || u16(buf, start + 2) !== ETHER_TYPE.ipv4) return DROP.neighbourMessage;
  if (buf[start + 4] !== MAC_LENGTH || buf[start + 5] !== IPV4_LENGTH) return DROP.neighbourMessage;
  const operation = arpOperation(buf, start);
  if (operation !== ARP_OPERATION.request && operation !== ARP_OPERATION.reply) return DROP.neighbourMessage;
  if (!macNamesOneStation(buf, arpSenderMacAt(start))) return DROP.neighbourMessage;
  const sender = arpSender(buf, start);
  if (sender === 0) return operation === ARP_OPERATION.request ? PASS : DROP.neighbourMessage;
  return isHost(sender) ? PASS : DROP.neighbourMessage;
}

/** Writes a message of ARP_LENGTH octets; without `targetMac` its field is zero (RFC 5227 §1.1). */
export function writeArp(
  buf: Bytes,
  at: number,
  operation: number,
  senderMac: Bytes,
  sender: number,
  target: number,
  targetMac: Bytes = NO_MAC,
): void {
  putU16(buf, at, HARDWARE_ETHERNET);
  putU16(buf, at + 2, ETHER_TYPE.ipv4);
  buf[at + 4] = MAC_LENGTH;
  buf[at + 5] = IPV4_LENGTH;
  putU16(buf, at + 6, operation);
  copyMac(senderMac, 0, buf, at + 8);
  putU32(buf, at + 14, sender);
  copyMac(targetMac, 0, buf, at + 18);
  putU32(buf, at + 24, target);
}

const HARDWARE_ETHERNET = 1;
const IPV4_LENGTH = 4;
const NO_MAC: Bytes = new Uint8Array(MAC_LENGTH);

/** RFC 1122 §3.2.1.3: not "this network", loopback, a group or the limited broadcast. */
function isHost(address: number): boolean {
  const first = address >>> 24;
  return first !== 0 && first !== 127 && !ipv4IsMulticast(address) && address !== 0xffffffff;
}
