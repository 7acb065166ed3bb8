/**
 * What becomes of a packet on its way out under one SA: sequence number, lifetime, what the outer header wants.
 *
 * Read first: RFC 4303 §3.3; RFC 4301 §5.1.2. Leaves to others: the octets (`packet.ts`), the limits (`lifetime.ts`).
 * Invariant: no sequence number is used twice; a packet that is refused is as before.
 */
import type { Millis } from '../core/index.ts';
import { NO_ESN } from '../crypto/index.ts';
import { DROP, IPV4_HEADER, ipVersion, PASS, type Packet } from '../ip/index.ts';
import { outerDf, outerTos } from './outer.ts';
import { encapsulate, NEXT_HEADER, protectedLength } from './packet.ts';
import type { OutboundSa } from './sad.ts';
import { highHalf, lastSequence, lowHalf, SEQUENCE_MARGIN } from './sequence.ts';

export function sealInner(sa: OutboundSa, packet: Packet, now: Millis, padTo: number): number {
  const { buf, start } = packet;
  if (packet.end - start < IPV4_HEADER) return DROP.short;
  const version = ipVersion(buf, start);
  if (version !== 4 && version !== 6) return DROP.version;
  sa.tos = outerTos(buf, start, sa.copyDscp);
  sa.dontFragment = outerDf(buf, start, sa.df);
  return protect(sa, packet, version === 4 ? NEXT_HEADER.ipv4 : NEXT_HEADER.ipv6, padTo, now);
}

/** RFC 4303 §3.3.3: the counter goes up by one a packet and never cycles. */
export function protect(sa: OutboundSa, packet: Packet, nextHeader: number, padTo: number, now: Millis): number {
  const { usage, protection, esn } = sa;
  const last = lastSequence(esn);
  if (sa.sequence >= last) {
    usage.stop();
    return DROP.espSequence;
  }
  const length = protectedLength(protection, Math.max(packet.end - packet.start, padTo));
  if (!usage.admits(length)) return DROP.espExpired;
  const sequence = sa.sequence + 1;
  const high = esn ? highHalf(sequence) : NO_ESN;
  const verdict = encapsulate(packet, protection, sa.spi, high, lowHalf(sequence), nextHeader, padTo, sa.writeIv);
  if (verdict !== PASS) return verdict;
  sa.sequence = sequence;
  usage.count(length, now);
  if (sequence >= last - SEQUENCE_MARGIN) usage.ask();
  return PASS;
}
