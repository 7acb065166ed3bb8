/**
 * ESP tunnel mode on packets, in place: `seal` outbound, `open` inbound. Verdicts, never exceptions; nothing allocated here.
 *
 * Read first: RFC 4303 §3.3 and §3.4; RFC 4301 §5.1.2 and §5.2 (the order of inbound checks).
 * Leaves to others: choosing the outbound SA, sockets with their IP and UDP headers, forwarding.
 * Deliberate limits: tunnel mode only; outer fragments are reassembled before they come here (RFC 4303 §3.4.1).
 * Invariants: the replay window and the counters of an SA change only after the ICV verified; no sequence number is used twice;
 * what `open` passes lies within the selectors of the SA named by the packet's SPI.
 */
import type { Millis } from '../core/index.ts';
import { DROP, PASS, type Packet } from '../ip/index.ts';
import { authenticate, deliver } from './inbound.ts';
import { protect, sealInner } from './outbound.ts';
import { ESP_HEADER_LENGTH, NEXT_HEADER, spiOf } from './packet.ts';
import type { OutboundSa, Sad } from './sad.ts';

/**
 * Makes the IP packet an ESP packet, ready to be the payload of UDP or protocol 50; `sa.tos` and `sa.dontFragment` say what its
 * outer header wants. `padTo`: TFC padding up to that length (RFC 4303 §2.7), only for peers that did not refuse it.
 * On any other verdict than PASS the packet is as before. Drops are counted in the SA.
 */
export function seal(sa: OutboundSa, packet: Packet, now: Millis, padTo = 0): number {
  const inner = packet.end - packet.start;
  const verdict = sealInner(sa, packet, now, padTo);
  if (verdict === PASS) sa.usage.innerBytes += inner;
  else sa.drops[verdict]! += 1;
  return verdict;
}

/** A dummy packet of so many payload octets (RFC 4303 §2.6), made in an empty packet of the pool. */
export function sealDummy(sa: OutboundSa, packet: Packet, length: number, now: Millis): number {
  packet.end = packet.start;
  sa.tos = 0;
  sa.dontFragment = 0;
  const verdict = protect(sa, packet, NEXT_HEADER.none, length, now);
  if (verdict !== PASS) sa.drops[verdict]! += 1;
  return verdict;
}

/**
 * Makes the ESP packet the IP packet it carries. `outerTos` is TOS or traffic class of the header it came in, for its ECN bits.
 * `sad.last` is the SA and so the tunnel; `sad.authentic` and `sad.newest` say what the packet proves of its peer.
 * On any other verdict than PASS the octets are undefined. Drops are counted in the SA, or in the SAD when there is none.
 */
export function open(sad: Sad, packet: Packet, outerTos: number, now: Millis): number {
  sad.last = undefined;
  sad.authentic = false;
  sad.newest = false;
  if (packet.end - packet.start < ESP_HEADER_LENGTH) return refuse(sad.drops, DROP.espShort);
  const sa = sad.find(spiOf(packet.buf, packet.start));
  if (sa === undefined) return refuse(sad.drops, DROP.espUnknownSpi);
  sad.last = sa;
  let verdict = authenticate(sad, sa, packet);
  if (verdict === PASS) verdict = deliver(sa, packet, outerTos, now);
  return verdict === PASS ? PASS : refuse(sa.drops, verdict);
}

function refuse(drops: Float64Array, verdict: number): number {
  drops[verdict]! += 1;
  return verdict;
}
