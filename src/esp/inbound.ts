/**
 * What becomes of a packet on its way in, around the cipher: `locate`, `numberOf` and `admit` before it, `deliver` after it.
 *
 * Read first: RFC 4303 §3.4; RFC 4301 §5.2 (the order of inbound checks). Leaves to others: the octets (`packet.ts`), the
 * window (`replay.ts`), the cipher (`processing.ts` packet by packet, `open-queue.ts` in bursts).
 * Invariants: window and counters of an SA change only after the ICV verified; what passes lies within the SA's selectors.
 */
import type { Millis } from '../core/index.ts';
import { checkIp, DROP, ipLength, ipVersion, PASS, type Packet, resembles } from '../ip/index.ts';
import { combineEcn } from './outer.ts';
import { checkLength, ESP_HEADER_LENGTH, NEXT_HEADER, sequenceOf, spiOf, stripTrailer, unframe } from './packet.ts';
import { type InboundSa, refuse, type Sad } from './sad.ts';
import { LAST_EXTENDED_SEQUENCE, recoverSequence } from './sequence.ts';

/** Finds the SA: after PASS it is `sad.last`. Otherwise the drop is counted in the SAD. */
export function locate(sad: Sad, packet: Packet): number {
  sad.last = undefined;
  sad.authentic = false;
  sad.newest = false;
  if (packet.end - packet.start < ESP_HEADER_LENGTH) return refuse(sad.drops, DROP.espShort);
  sad.last = sad.find(spiOf(packet.buf, packet.start));
  return sad.last === undefined ? refuse(sad.drops, DROP.espUnknownSpi) : PASS;
}

/** The sequence number, as the window stands. Its low half is the packet's, and so is the rest unless the ICV says otherwise. */
export function numberOf(sa: InboundSa, packet: Packet): number {
  const low = sequenceOf(packet.buf, packet.start);
  return sa.esn ? recoverSequence(sa.window.top, sa.window.size, low) : low;
}

/** RFC 4303 §3.4.3: whether the cipher is worth its time. Changes and counts nothing. */
export function admit(sa: InboundSa, packet: Packet, sequence: number): number {
  if (sa.usage.stopped) return DROP.espExpired;
  const length = checkLength(packet, sa.protection);
  if (length !== PASS) return length;
  if (!sa.window.fresh(sequence)) return DROP.espReplay;
  return sequence > LAST_EXTENDED_SEQUENCE ? DROP.espSequence : PASS;
}

/** From the decrypted packet to the inner one: lifetime, trailer, inner header, selectors, ECN. Changes nothing of the window. */
export function deliver(sa: InboundSa, packet: Packet, outerTos: number, now: Millis): number {
  unframe(packet, sa.protection);
  const length = packet.end - packet.start;
  if (!sa.usage.admits(length)) return DROP.espExpired;
  sa.usage.count(length, now);
  const verdict = unwrap(sa, packet, outerTos);
  if (verdict === PASS) sa.usage.innerBytes += packet.end - packet.start;
  return verdict;
}

/** All of `deliver` but lifetime and counters, for what `unframe` left. */
export function unwrap(sa: InboundSa, packet: Packet, outerTos: number): number {
  const { buf } = packet;
  const nextHeader = buf[packet.end - 1]!;
  let verdict = stripTrailer(packet);
  if (verdict === PASS) verdict = checkInner(packet, nextHeader);
  if (verdict !== PASS) return verdict;
  return sa.selectors.match(buf, packet.start, packet.end, false)
    ? combineEcn(buf, packet.start, outerTos)
    : DROP.espSelector;
}

/** `unwrap` for a packet of the same SA and with the same `outerTos` as `before`, which passed: mostly that is all there is to say. */
export function unwrapLike(before: Packet, sa: InboundSa, packet: Packet, outerTos: number): number {
  const { buf, start, end } = packet;
  if (buf[end - 1] !== NEXT_HEADER.ipv4) return unwrap(sa, packet, outerTos);
  const verdict = stripTrailer(packet);
  if (verdict !== PASS) return verdict;
  if (resembles(before, packet)) {
    // Checked, admitted and marked like the other one: RFC 6040 §4.2 makes of a marked field what it is already.
    packet.end = start + ipLength(buf, start);
    return PASS;
  }
  packet.end = end;
  return unwrap(sa, packet, outerTos);
}

/** The payload is the IP packet Next Header promises; TFC padding behind it is cut off (RFC 4303 §2.7). */
function checkInner(packet: Packet, nextHeader: number): number {
  const { buf, start, end } = packet;
  if (nextHeader === NEXT_HEADER.none) return DROP.espDummy;
  if (nextHeader !== NEXT_HEADER.ipv4 && nextHeader !== NEXT_HEADER.ipv6) return DROP.espNextHeader;
  const verdict = checkIp(buf, start, end);
  if (verdict !== PASS) return verdict;
  if (ipVersion(buf, start) !== (nextHeader === NEXT_HEADER.ipv4 ? 4 : 6)) return DROP.version;
  packet.end = start + ipLength(buf, start);
  return PASS;
}
