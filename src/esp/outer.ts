/**
 * What the inner header means for the outer one and the other way round: DSCP, ECN, DF, and how long packets may be.
 *
 * Read first: RFC 4301 §5.1.2.1 (header construction) and §8.1 (DF); RFC 6040 §4 (ECN); RFC 4303 §2.4 (padding).
 * Leaves to others: writing the outer header (the runtime's sockets do), path MTU discovery.
 * Deliberate limits: RFC 6040's compatibility mode and DSCP from outer to inner (RFC 4301 §5.1.2.2 note 9) are not offered.
 * Precondition of everything that reads a packet: it passed `checkIpv4` or `checkIpv6`.
 */
import {
  DROP,
  ecnOf,
  IPV4_HEADER,
  IPV6_HEADER,
  ipVersion,
  ipv4DontFragment,
  PASS,
  setTrafficClass,
  trafficClass,
} from '../ip/index.ts';
import type { DfPolicy } from './contract.ts';
import { alignmentOf, ESP_HEADER_LENGTH, type Measures, protectedLength, TRAILER_LENGTH } from './packet.ts';

/** RFC 3168 §5: the two low bits of TOS and traffic class. */
export const ECN = { notEct: 0b00, ect1: 0b01, ect0: 0b10, ce: 0b11 } as const;

export type Carrier = 'udp' | 'ip-50';

/** TOS or traffic class of the outer header: DSCP copied or zero; ECN copied, CE too (RFC 6040 §4.1, normal mode). */
export function outerTos(buf: Uint8Array, start: number, copyDscp: boolean): number {
  const tos = trafficClass(buf, start);
  return copyDscp ? tos : ecnOf(tos);
}

/** DF of an outer IPv4 header, 0 or 1. An inner IPv6 packet counts as one with DF: nobody but its source may fragment it. */
export function outerDf(buf: Uint8Array, start: number, policy: DfPolicy): number {
  if (policy !== 'copy') return policy === 'set' ? 1 : 0;
  return ipVersion(buf, start) === 6 || ipv4DontFragment(buf, start) ? 1 : 0;
}

/**
 * Combines the ECN field that arrived outside with the one inside (RFC 6040 §4.2) and writes the result to the inner header,
 * checksum included. DROP.ecnIllegal: congestion was met by a packet whose sender would not understand the mark.
 */
export function combineEcn(buf: Uint8Array, start: number, outer: number): number {
  const tos = trafficClass(buf, start);
  const inner = ecnOf(tos);
  const ecn = DECAPSULATED_ECN[(inner << 2) | ecnOf(outer)]!;
  if (ecn === DROP_PACKET) return DROP.ecnIllegal;
  if (ecn !== inner) setTrafficClass(buf, start, tos - inner + ecn);
  return PASS;
}

/** Octets of the outer packet around an inner one of so many, outer IP header included. */
export const outerLength = (inner: number, measures: Measures, carrier: Carrier, outerFamily: 4 | 6): number =>
  fixedOverhead(measures, carrier, outerFamily) + protectedLength(measures, inner);

/** The longest inner packet whose outer packet fits `outerMtu`; 0 when none does. */
export function innerMtu(outerMtu: number, measures: Measures, carrier: Carrier, outerFamily: 4 | 6): number {
  const align = alignmentOf(measures);
  const room = outerMtu - fixedOverhead(measures, carrier, outerFamily);
  return Math.max(0, Math.floor(room / align) * align - TRAILER_LENGTH);
}

/** Octets around the protected ones: outer IP header, UDP header, ESP header, IV, ICV. */
function fixedOverhead(measures: Measures, carrier: Carrier, outerFamily: 4 | 6): number {
  const ip = outerFamily === 4 ? IPV4_HEADER : IPV6_HEADER;
  const udp = carrier === 'udp' ? UDP_HEADER_LENGTH : 0;
  return ip + udp + ESP_HEADER_LENGTH + measures.ivLength + measures.icvLength;
}

const DROP_PACKET = 0xff;
/** RFC 6040 §4.2, Figure 4: index inner << 2 | outer. */
const DECAPSULATED_ECN = Uint8Array.of(
  // outer: Not-ECT, ECT(1), ECT(0), CE
  ...[ECN.notEct, ECN.notEct, ECN.notEct, DROP_PACKET], // inner Not-ECT
  ...[ECN.ect1, ECN.ect1, ECN.ect1, ECN.ce], // inner ECT(1)
  ...[ECN.ect0, ECN.ect1, ECN.ect0, ECN.ce], // inner ECT(0)
  ...[ECN.ce, ECN.ce, ECN.ce, ECN.ce], // inner CE
);
const UDP_HEADER_LENGTH = 8;
