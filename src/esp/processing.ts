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
import { admit, deliver, locate, numberOf } from './inbound.ts';
import { prepare, prepareDummy } from './outbound.ts';
import { decrypt, encrypt } from './packet.ts';
import { type OutboundSa, refuse, type Sad } from './sad.ts';
import { cipherHigh } from './sequence.ts';

/**
 * Makes the IP packet an ESP packet, ready to be the payload of UDP or protocol 50; `sa.tos` and `sa.dontFragment` say what its
 * outer header wants. `padTo`: TFC padding up to that length (RFC 4303 §2.7), only for peers that did not refuse it.
 * On any other verdict than PASS the packet is as before. Drops are counted in the SA.
 */
export function seal(sa: OutboundSa, packet: Packet, now: Millis, padTo = 0): number {
  const verdict = prepare(sa, packet, now, padTo);
  if (verdict === PASS) encrypt(packet, sa.protection, sa.high);
  return verdict;
}

/** A dummy packet of so many payload octets (RFC 4303 §2.6), made in an empty packet of the pool. */
export function sealDummy(sa: OutboundSa, packet: Packet, length: number, now: Millis): number {
  const verdict = prepareDummy(sa, packet, length, now);
  if (verdict === PASS) encrypt(packet, sa.protection, sa.high);
  return verdict;
}

/**
 * Makes the ESP packet the IP packet it carries. `outerTos` is TOS or traffic class of the header it came in, for its ECN bits.
 * `sad.last` is the SA and so the tunnel; `sad.authentic` and `sad.newest` say what the packet proves of its peer.
 * On any other verdict than PASS the octets are undefined. Drops are counted in the SA, or in the SAD when there is none.
 */
export function open(sad: Sad, packet: Packet, outerTos: number, now: Millis): number {
  let verdict = locate(sad, packet);
  if (verdict !== PASS) return verdict;
  const sa = sad.last!;
  const sequence = numberOf(sa, packet);
  verdict = admit(sa, packet, sequence);
  if (verdict === PASS && !decrypt(packet, sa.protection, cipherHigh(sa.esn, sequence))) verdict = DROP.espIntegrity;
  if (verdict !== PASS) return refuse(sa.drops, verdict);
  sad.authentic = true;
  sad.newest = sa.accept(sequence);
  verdict = deliver(sa, packet, outerTos, now);
  return verdict === PASS ? PASS : refuse(sa.drops, verdict);
}
