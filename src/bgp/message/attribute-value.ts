/**
 * What path attributes say, from their values and back: RFC 4271 §4.3 and the RFC of each. One decoder for a type; each is given exactly its
 * octets and throws `NotificationOwed` with the UPDATE error of RFC 4271 §6.3 for what cannot be one.
 *
 * What a malformed attribute does to its UPDATE is in `attribute-rules.ts`; MP_REACH_NLRI and MP_UNREACH_NLRI are in `multiprotocol.ts`.
 */
import { type Bytes, u16, u32, WireError, type Writer } from '../../core/index.ts';
import { decodeSegments, encodeAsn, encodeSegments, isConfederation } from './as-path.ts';
import { NotificationOwed } from './fault.ts';
import { ATTRIBUTE, ERROR, ORIGINS, UPDATE_ERROR } from './iana.ts';
import { decodeMpReach, decodeMpUnreach, encodeMpReach, encodeMpUnreach } from './multiprotocol.ts';
import type { AsSegment, AttributeValue, CodecContext, LargeCommunity } from './types.ts';

/** Decodes the value in b[at, end). */
export type ValueDecoder = (b: Bytes, at: number, end: number, context: CodecContext) => AttributeValue;

/** Undefined for a type that this codec takes as octets. */
export const valueDecoder = (type: number): ValueDecoder | undefined => DECODERS[type];

export function encodeValue(w: Writer, value: AttributeValue, context: CodecContext): void {
  switch (value.name) {
    case 'origin':
      return w.u8(ORIGINS.indexOf(value.origin));
    case 'asPath':
      return encodeSegments(w, value.segments, context.fourOctetAs);
    case 'as4Path':
      return encodeSegments(w, value.segments, true);
    case 'nextHop':
      return w.bytes(value.address);
    case 'med':
      return w.u32(value.med);
    case 'localPreference':
      return w.u32(value.preference);
    case 'atomicAggregate':
      return;
    case 'originatorId':
      return w.u32(value.identifier);
    case 'onlyToCustomer':
      return w.u32(value.asn);
    case 'mpReach':
    case 'mpReachOctets':
      return encodeMpReach(w, value, context);
    case 'mpUnreach':
    case 'mpUnreachOctets':
      return encodeMpUnreach(w, value, context);
    default:
      return encodeListed(w, value, context);
  }
}

type Listed = Extract<
  AttributeValue,
  {
    name:
      | 'aggregator'
      | 'as4Aggregator'
      | 'communities'
      | 'clusterList'
      | 'extendedCommunities'
      | 'largeCommunities'
      | 'unknown';
  }
>;

function encodeListed(w: Writer, value: Listed, context: CodecContext): void {
  switch (value.name) {
    case 'aggregator':
    case 'as4Aggregator':
      encodeAsn(w, value.asn, value.name === 'as4Aggregator' || context.fourOctetAs);
      return w.bytes(value.address);
    case 'communities':
      for (const community of value.communities) w.u32(community);
      return;
    case 'clusterList':
      for (const identifier of value.identifiers) w.u32(identifier);
      return;
    case 'extendedCommunities':
      for (const community of value.communities) w.bytes(community);
      return;
    case 'largeCommunities':
      for (const { global, local1, local2 } of value.communities) {
        w.u32(global);
        w.u32(local1);
        w.u32(local2);
      }
      return;
    case 'unknown':
      return w.bytes(value.value);
  }
}

/** RFC 4271 §6.3: an attribute whose length is not one it can have. */
function refuseLength(at: number, end: number, expected: string): never {
  throw owed(at, `${end - at} octets where ${expected}`, UPDATE_ERROR.ATTRIBUTE_LENGTH);
}

const owed = (at: number, problem: string, subcode: number): NotificationOwed =>
  new NotificationOwed('value', at, problem, ERROR.UPDATE, subcode);

/*  ORIGIN, RFC 4271 §5.1.1:  0 IGP, 1 EGP, 2 INCOMPLETE  */
function decodeOrigin(b: Bytes, at: number, end: number): AttributeValue {
  if (end - at !== 1) refuseLength(at, end, 'there is 1');
  const origin = ORIGINS[b[at]!];
  if (origin === undefined) throw owed(at, `origin ${b[at]}`, UPDATE_ERROR.INVALID_ORIGIN);
  return { name: 'origin', origin };
}

/** RFC 5065 §5: segments of a confederation come from nobody outside of it. */
function decodeAsPath(b: Bytes, at: number, end: number, context: CodecContext): AttributeValue {
  const segments = segmentsOf(b, at, end, context.fourOctetAs);
  if (context.ebgp && segments.some(isConfederation)) {
    throw owed(at, 'segments of a confederation from outside', UPDATE_ERROR.MALFORMED_AS_PATH);
  }
  return { name: 'asPath', segments };
}

/** RFC 6793 §6: one number at least; segments of a confederation are left out and that is all. */
function decodeAs4Path(b: Bytes, at: number, end: number): AttributeValue {
  if (end - at < 6) refuseLength(at, end, 'there are 6 at least');
  const segments = segmentsOf(b, at, end, true).filter((s) => !isConfederation(s));
  return { name: 'as4Path', segments };
}

function segmentsOf(b: Bytes, at: number, end: number, fourOctets: boolean): AsSegment[] {
  try {
    return decodeSegments(b, at, end, fourOctets);
  } catch (error) {
    if (error instanceof WireError) throw owed(error.at, error.problem, UPDATE_ERROR.MALFORMED_AS_PATH);
    throw error;
  }
}

function decodeNextHop(b: Bytes, at: number, end: number): AttributeValue {
  if (end - at !== 4) refuseLength(at, end, 'there are 4');
  return { name: 'nextHop', address: b.slice(at, end) };
}

function number32(b: Bytes, at: number, end: number): number {
  if (end - at !== 4) refuseLength(at, end, 'there are 4');
  return u32(b, at);
}

/*  AGGREGATOR, RFC 4271 §5.1.7:  AS number (2 or 4) | address (4)  */
function decodeAggregator(b: Bytes, at: number, end: number, context: CodecContext): AttributeValue {
  const width = context.fourOctetAs ? 4 : 2;
  if (end - at !== width + 4) refuseLength(at, end, `there are ${width + 4}`);
  const asn = context.fourOctetAs ? u32(b, at) : u16(b, at);
  return { name: 'aggregator', asn: notZero(at, asn), address: b.slice(at + width, end) };
}

function decodeAs4Aggregator(b: Bytes, at: number, end: number): AttributeValue {
  if (end - at !== 8) refuseLength(at, end, 'there are 8');
  return { name: 'as4Aggregator', asn: notZero(at, u32(b, at)), address: b.slice(at + 4, end) };
}

/** RFC 7607 §2. */
function notZero(at: number, asn: number): number {
  if (asn === 0) throw owed(at, 'AS number 0', UPDATE_ERROR.OPTIONAL_ATTRIBUTE);
  return asn;
}

/** RFC 7606 §7.8, §7.10, §7.14; RFC 8092 §6: one or more, and nothing left over. */
function listed<T>(b: Bytes, at: number, end: number, width: number, one: (b: Bytes, p: number) => T): T[] {
  if (end === at || (end - at) % width !== 0) refuseLength(at, end, `a number of ${width}s is`);
  const out = new Array<T>((end - at) / width);
  for (let i = 0, p = at; p < end; i++, p += width) out[i] = one(b, p);
  return out;
}

const octets8 = (b: Bytes, p: number): Bytes => b.slice(p, p + 8);
const largeAt = (b: Bytes, p: number): LargeCommunity => ({
  global: u32(b, p),
  local1: u32(b, p + 4),
  local2: u32(b, p + 8),
});

/** RFC 8092 §3: what comes twice is taken once. */
function distinct(communities: readonly LargeCommunity[]): LargeCommunity[] {
  const seen = new Set<string>();
  return communities.filter((c) => {
    const key = `${c.global}:${c.local1}:${c.local2}`;
    return !seen.has(key) && seen.add(key);
  });
}

/** RFC 7606 §7.15; nothing here says what they mean. */
function decodeIpv6ExtendedCommunities(b: Bytes, at: number, end: number): AttributeValue {
  if (end === at || (end - at) % 20 !== 0) refuseLength(at, end, 'a number of 20s is');
  return { name: 'unknown', value: b.slice(at, end) };
}

function decodeAtomicAggregate(_b: Bytes, at: number, end: number): AttributeValue {
  if (end !== at) refuseLength(at, end, 'there are none');
  return { name: 'atomicAggregate' };
}

const DECODERS: Readonly<Record<number, ValueDecoder>> = {
  [ATTRIBUTE.ORIGIN]: decodeOrigin,
  [ATTRIBUTE.AS_PATH]: decodeAsPath,
  [ATTRIBUTE.NEXT_HOP]: decodeNextHop,
  [ATTRIBUTE.MULTI_EXIT_DISC]: (b, at, end) => ({ name: 'med', med: number32(b, at, end) }),
  [ATTRIBUTE.LOCAL_PREF]: (b, at, end) => ({ name: 'localPreference', preference: number32(b, at, end) }),
  [ATTRIBUTE.ATOMIC_AGGREGATE]: decodeAtomicAggregate,
  [ATTRIBUTE.AGGREGATOR]: decodeAggregator,
  [ATTRIBUTE.COMMUNITIES]: (b, at, end) => ({ name: 'communities', communities: listed(b, at, end, 4, u32) }),
  [ATTRIBUTE.ORIGINATOR_ID]: (b, at, end) => ({ name: 'originatorId', identifier: number32(b, at, end) }),
  [ATTRIBUTE.CLUSTER_LIST]: (b, at, end) => ({ name: 'clusterList', identifiers: listed(b, at, end, 4, u32) }),
  [ATTRIBUTE.MP_REACH_NLRI]: decodeMpReach,
  [ATTRIBUTE.MP_UNREACH_NLRI]: decodeMpUnreach,
  [ATTRIBUTE.EXTENDED_COMMUNITIES]: (b, at, end) => ({
    name: 'extendedCommunities',
    communities: listed(b, at, end, 8, octets8),
  }),
  [ATTRIBUTE.AS4_PATH]: decodeAs4Path,
  [ATTRIBUTE.AS4_AGGREGATOR]: decodeAs4Aggregator,
  [ATTRIBUTE.IPV6_EXTENDED_COMMUNITIES]: decodeIpv6ExtendedCommunities,
  [ATTRIBUTE.LARGE_COMMUNITIES]: (b, at, end) => ({
    name: 'largeCommunities',
    communities: distinct(listed(b, at, end, 12, largeAt)),
  }),
  [ATTRIBUTE.ONLY_TO_CUSTOMER]: (b, at, end) => ({ name: 'onlyToCustomer', asn: number32(b, at, end) }),
};
