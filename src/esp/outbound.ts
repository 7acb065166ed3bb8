/**
 * What becomes of a packet on its way out under one SA, up to the cipher: sequence number, lifetime, what the outer header wants.
 *
 * Read first: RFC 4303 §3.3; RFC 4301 §5.1.2. Leaves to others: the octets (`packet.ts`), the limits (`lifetime.ts`), the cipher
 * with `sa.high` (`processing.ts` packet by packet, `seal-queue.ts` in bursts).
 * Invariants: no sequence number is used twice; a packet that is refused is as before. Drops are counted in the SA.
 */
import { invariant, type Millis } from '../core/index.ts';
import { DROP, IPV4_HEADER, ipVersion, PASS, type Packet } from '../ip/index.ts';
import { outerDf, outerTos } from './outer.ts';
import { fits, frame, NEXT_HEADER, protectedLength } from './packet.ts';
import { type OutboundSa, refuse } from './sad.ts';
import { cipherHigh, lastSequence, lowHalf, SEQUENCE_MARGIN } from './sequence.ts';

/** For an IP packet: see `seal`. */
export function prepare(sa: OutboundSa, packet: Packet, now: Millis, padTo: number): number {
  const { buf, start, end } = packet;
  if (end - start < IPV4_HEADER) return refuse(sa.drops, DROP.short);
  const version = ipVersion(buf, start);
  if (version !== 4 && version !== 6) return refuse(sa.drops, DROP.version);
  sa.tos = outerTos(buf, start, sa.copyDscp);
  sa.dontFragment = outerDf(buf, start, sa.df);
  const verdict = protect(sa, packet, nextHeaderOf(version), padTo, now);
  if (verdict !== PASS) return refuse(sa.drops, verdict);
  sa.usage.innerBytes += end - start;
  return PASS;
}

export const nextHeaderOf = (version: number): number => (version === 4 ? NEXT_HEADER.ipv4 : NEXT_HEADER.ipv6);

/**
 * For `count` IP packets under an SA that `carries` them, of which the first one stands at `start`: they differ in length and in what no
 * outer header wants. `octets` are all of theirs, `length` are those protected. Gives the number of the first one.
 */
export function prepareTrain(
  sa: OutboundSa,
  buf: Uint8Array,
  start: number,
  count: number,
  octets: number,
  length: number,
  now: Millis,
): number {
  const { usage, esn } = sa;
  const sequence = sa.nextSequence(count);
  invariant(sequence > 0, 'an SA has the numbers for what it carries');
  sa.tos = outerTos(buf, start, sa.copyDscp);
  sa.dontFragment = outerDf(buf, start, sa.df);
  usage.count(length, now, count);
  if (sequence + count > lastSequence(esn) - SEQUENCE_MARGIN) usage.ask();
  usage.innerBytes += octets;
  return sequence;
}

/** For a dummy packet: see `sealDummy`. */
export function prepareDummy(sa: OutboundSa, packet: Packet, length: number, now: Millis): number {
  packet.end = packet.start;
  sa.tos = 0;
  sa.dontFragment = 0;
  const verdict = protect(sa, packet, NEXT_HEADER.none, length, now);
  return verdict === PASS ? PASS : refuse(sa.drops, verdict);
}

/** RFC 4303 §3.3.3: the counter goes up by one a packet and never cycles. */
function protect(sa: OutboundSa, packet: Packet, nextHeader: number, padTo: number, now: Millis): number {
  const { usage, protection, esn } = sa;
  const last = lastSequence(esn);
  const padded = Math.max(packet.end - packet.start, padTo);
  const length = protectedLength(protection, padded);
  if (!usage.admits(length)) return sa.sequence < last ? DROP.espExpired : DROP.espSequence;
  if (!fits(packet, protection, length)) return DROP.noRoom;
  const sequence = sa.nextSequence();
  if (sequence === 0) {
    usage.stop();
    return DROP.espSequence;
  }
  sa.high = cipherHigh(esn, sequence);
  frame(packet, protection, sa.spi, sa.high, lowHalf(sequence), nextHeader, padded, length, sa.writeIv);
  usage.count(length, now);
  if (sequence >= last - SEQUENCE_MARGIN) usage.ask();
  return PASS;
}
