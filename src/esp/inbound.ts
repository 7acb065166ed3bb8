/**
 * What becomes of a packet on its way in under one SA: sequence number and ICV first, then lifetime, trailer and inner packet.
 *
 * Read first: RFC 4303 §3.4; RFC 4301 §5.2 (the order of inbound checks). Leaves to others: the octets (`packet.ts`), the
 * window (`replay.ts`), which SA (`processing.ts`).
 * Invariants: window and counters of an SA change only after the ICV verified; what passes lies within the SA's selectors.
 */
import type { Millis } from '../core/index.ts';
import { NO_ESN } from '../crypto/index.ts';
import { checkIp, DROP, ipLength, ipVersion, PASS, type Packet } from '../ip/index.ts';
import { combineEcn } from './outer.ts';
import { checkLength, decapsulate, NEXT_HEADER, sequenceOf, stripTrailer } from './packet.ts';
import type { InboundSa, Sad } from './sad.ts';
import { highHalf, LAST_EXTENDED_SEQUENCE, recoverSequence } from './sequence.ts';

/** RFC 4303 §3.4.3 and §3.4.4: sequence number, ICV, window, in this order. Leaves payload and trailer. */
export function authenticate(sad: Sad, sa: InboundSa, packet: Packet): number {
  const { window, protection, esn } = sa;
  if (sa.usage.stopped) return DROP.espExpired;
  const length = checkLength(packet, protection);
  if (length !== PASS) return length;
  const low = sequenceOf(packet.buf, packet.start);
  const sequence = esn ? recoverSequence(window.top, window.size, low) : low;
  if (!window.fresh(sequence)) return DROP.espReplay;
  if (sequence > LAST_EXTENDED_SEQUENCE) return DROP.espSequence;
  const verdict = decapsulate(packet, protection, esn ? highHalf(sequence) : NO_ESN);
  if (verdict !== PASS) return verdict;
  sad.authentic = true;
  sad.newest = sequence > window.top;
  window.accept(sequence);
  return PASS;
}

/** From the verified plaintext to the inner packet: lifetime, trailer, inner header, selectors, ECN. */
export function deliver(sa: InboundSa, packet: Packet, outerTos: number, now: Millis): number {
  const { buf } = packet;
  const length = packet.end - packet.start;
  if (!sa.usage.admits(length)) return DROP.espExpired;
  sa.usage.count(length, now);
  const nextHeader = buf[packet.end - 1]!;
  let verdict = stripTrailer(packet);
  if (verdict === PASS) verdict = checkInner(packet, nextHeader);
  if (verdict !== PASS) return verdict;
  if (!sa.selectors.match(buf, packet.start, packet.end, false)) return DROP.espSelector;
  verdict = combineEcn(buf, packet.start, outerTos);
  if (verdict !== PASS) return verdict;
  sa.usage.innerBytes += packet.end - packet.start;
  return PASS;
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
