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
import { NO_ESN } from '../crypto/index.ts';
import { checkIp, DROP, IPV4_HEADER, ipLength, ipVersion, PASS, type Packet } from '../ip/index.ts';
import { combineEcn, outerDf, outerTos } from './outer.ts';
import {
  checkLength,
  decapsulate,
  ESP_HEADER_LENGTH,
  encapsulate,
  NEXT_HEADER,
  protectedLength,
  sequenceOf,
  spiOf,
  stripTrailer,
} from './packet.ts';
import type { InboundSa, OutboundSa, Sad } from './sad.ts';
import {
  highHalf,
  LAST_EXTENDED_SEQUENCE,
  lastSequence,
  lowHalf,
  recoverSequence,
  SEQUENCE_MARGIN,
} from './sequence.ts';

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

function sealInner(sa: OutboundSa, packet: Packet, now: Millis, padTo: number): number {
  const { buf, start } = packet;
  if (packet.end - start < IPV4_HEADER) return DROP.short;
  const version = ipVersion(buf, start);
  if (version !== 4 && version !== 6) return DROP.version;
  sa.tos = outerTos(buf, start, sa.copyDscp);
  sa.dontFragment = outerDf(buf, start, sa.df);
  return protect(sa, packet, version === 4 ? NEXT_HEADER.ipv4 : NEXT_HEADER.ipv6, padTo, now);
}

/** RFC 4303 §3.3.3: the counter goes up by one a packet and never cycles. */
function protect(sa: OutboundSa, packet: Packet, nextHeader: number, padTo: number, now: Millis): number {
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

/** RFC 4303 §3.4.3 and §3.4.4: sequence number, ICV, window, in this order. Leaves payload and trailer. */
function authenticate(sad: Sad, sa: InboundSa, packet: Packet): number {
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
function deliver(sa: InboundSa, packet: Packet, outerTos: number, now: Millis): number {
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

function refuse(drops: Float64Array, verdict: number): number {
  drops[verdict]! += 1;
  return verdict;
}
