/**
 * A block of path attributes to records and back, with everything RFC 7606 says of each: once for all routes that share the block.
 *
 * Read first: RFC 4271 §4.3, §5, §6.3; RFC 7606 §3, §4, §7. The rules of a type are in `attribute-rules.ts`, values in `attribute-value.ts`.
 * What depends on the prefixes that come with the block is not decided here but prepared for `treatUpdate` (`treatment.ts`).
 * Deliberate limits: AS_SET is accepted (RFC 9774 is for policies); NEXT_HOP of 127/8 is left to resolution.
 */
import { type Bytes, EMPTY, u32, Writer } from '../../core/index.ts';
import { attributeRule, stronger } from './attribute-rules.ts';
import { encodeValue, valueDecoder } from './attribute-value.ts';
import { NotificationOwed, notification } from './fault.ts';
import { ATTRIBUTE, attributeName, ERROR, FLAG, UPDATE_ERROR } from './iana.ts';
import type { AttributeValue, CodecContext, NotificationMessage, PathAttribute, Treatment } from './types.ts';
import {
  attributeFits,
  attributeFlags,
  attributeLength,
  attributeType,
  attributeValueAt,
  nextAttribute,
} from './update-view.ts';

/** One thing that is wrong with the attributes of an UPDATE. */
export interface AttributeFault {
  /** Of the attribute; 0 where it is the list itself. */
  readonly type: number;
  readonly treatment: Treatment;
  readonly why: string;
  /** Owed when it comes to a reset (RFC 4271 §6.3); undefined where it never does: discard. */
  readonly notification: NotificationMessage | undefined;
}

export interface DecodedAttributes {
  /** What is left after discarding, in the order of the wire. Of no use after 'withdraw' and 'reset'. */
  readonly attributes: readonly PathAttribute[];
  /** The first MAXIMUM_FAULTS, and one of the strongest in any case. */
  readonly faults: readonly AttributeFault[];
  /** The strongest of all. */
  readonly treatment: Treatment;
  /** RFC 7606 §3(d): faults where the block comes with routes of any family. */
  readonly missing: readonly AttributeFault[];
  /** A fault where it comes with routes in the NLRI of RFC 4271: NEXT_HOP is not there or is no host. */
  readonly nextHop: AttributeFault | undefined;
}

/** The attributes in octets[at, end). Total: whatever the octets are, an answer comes. */
export function decodeAttributes(
  octets: Bytes,
  context: CodecContext,
  at = 0,
  end: number = octets.length,
): DecodedAttributes {
  const attributes: PathAttribute[] = [];
  const faults: AttributeFault[] = [];
  let treatment: Treatment = 'none';
  SEEN.fill(0);
  for (let a = at; a < end; a = nextAttribute(octets, a)) {
    const fits = attributeFits(octets, a, end);
    const fault = fits ? takeAttribute(octets, a, context, attributes) : overrun(octets, a, end);
    if (fault !== undefined) treatment = noteFault(faults, fault, treatment);
    if (!fits) break;
  }
  return { attributes, faults, treatment, missing: missingOf(context), nextHop: nextHopFault(attributes) };
}

/** One attribute; its length has two octets only where one does not hold it. */
export function encodeAttribute(w: Writer, { flags, type, value }: PathAttribute, context: CodecContext): void {
  const inner = new Writer(64);
  encodeValue(inner, value, context);
  const octets = inner.finish();
  const long = octets.length > 0xff;
  w.u8(long ? flags | FLAG.EXTENDED_LENGTH : flags & ~FLAG.EXTENDED_LENGTH);
  w.u8(type);
  if (long) w.u16(octets.length);
  else w.u8(octets.length);
  w.bytes(octets);
}

/** A block in the order given. */
export function encodeAttributes(attributes: readonly PathAttribute[], context: CodecContext): Bytes {
  const w = new Writer();
  for (const attribute of attributes) encodeAttribute(w, attribute, context);
  return w.finish();
}

/** The order to send in: MP_REACH_NLRI or MP_UNREACH_NLRI first (RFC 7606 §5.1), then by type (RFC 4271 §5). */
export function inOrderOfSending(attributes: readonly PathAttribute[]): PathAttribute[] {
  return [...attributes].sort((a, b) => rankOf(a.type) - rankOf(b.type));
}

/** An attribute of ours, with the flags of its type; only for values this codec knows, not for 'unknown'. */
export function attributeOf(value: Exclude<AttributeValue, { name: 'unknown' }>): PathAttribute {
  const type = TYPES[value.name];
  return { flags: attributeRule(type)!.flags, type, value };
}

/** The value of a name among attributes; undefined where it is not there. */
export function findValue<N extends AttributeValue['name']>(
  attributes: readonly PathAttribute[],
  name: N,
): Extract<AttributeValue, { name: N }> | undefined {
  for (const { value } of attributes) if (value.name === name) return value as Extract<AttributeValue, { name: N }>;
  return undefined;
}

/** Keeps the fault, if there is room for it or it is stronger than all before; returns the strongest treatment. */
function noteFault(faults: AttributeFault[], fault: AttributeFault, strongest: Treatment): Treatment {
  const strongestYet = stronger(strongest, fault.treatment);
  if (faults.length < MAXIMUM_FAULTS) faults.push(fault);
  else if (strongestYet !== strongest) faults[MAXIMUM_FAULTS - 1] = fault;
  return strongestYet;
}

/** Adds the attribute at `a`, or says why not. */
function takeAttribute(b: Bytes, a: number, context: CodecContext, into: PathAttribute[]): AttributeFault | undefined {
  const type = attributeType(b, a);
  const flags = attributeFlags(b, a);
  if (SEEN[type] !== 0) return repeated(type);
  SEEN[type] = 1;
  const at = attributeValueAt(b, a);
  const end = at + attributeLength(b, a);
  const rule = attributeRule(type);
  if (rule === undefined) {
    if ((flags & FLAG.OPTIONAL) === 0) return unrecognized(b, a);
    into.push({ flags, type, value: { name: 'unknown', value: b.slice(at, end) } });
    return undefined;
  }
  if (rule.internalOnly && context.ebgp) return discarded(type, 'from an external peer');
  if (rule.twoOctetsOnly && context.fourOctetAs) return discarded(type, 'from a peer with AS numbers of four octets');
  if ((flags & (FLAG.OPTIONAL | FLAG.TRANSITIVE)) !== rule.flags) {
    return malformed(b, a, rule.malformed, `flags 0x${flags.toString(16)}`, UPDATE_ERROR.ATTRIBUTE_FLAGS);
  }
  return takeValue(b, a, at, end, context, rule.malformed, into);
}

function takeValue(
  b: Bytes,
  a: number,
  at: number,
  end: number,
  context: CodecContext,
  treatment: Treatment,
  into: PathAttribute[],
): AttributeFault | undefined {
  const type = attributeType(b, a);
  try {
    const value = valueDecoder(type)!(b, at, end, context);
    if ('family' in value && !context.families.includes(value.family)) {
      return discarded(type, `of family ${value.family >>> 8}/${value.family & 0xff}, which the session does not have`);
    }
    into.push({ flags: attributeFlags(b, a), type, value });
    return undefined;
  } catch (error) {
    if (!(error instanceof NotificationOwed)) throw error;
    return malformed(b, a, treatment, error.problem, error.answer! & 0xff);
  }
}

/** RFC 7606 §3(g). */
function repeated(type: number): AttributeFault {
  const why = `${attributeName(type)}: once more`;
  if (type !== ATTRIBUTE.MP_REACH_NLRI && type !== ATTRIBUTE.MP_UNREACH_NLRI) return discarded(type, 'once more');
  const owed = notification(ERROR.UPDATE, UPDATE_ERROR.MALFORMED_ATTRIBUTE_LIST);
  return { type, treatment: 'reset', why, notification: owed };
}

const discarded = (type: number, why: string): AttributeFault => ({
  type,
  treatment: 'discard',
  why: `${attributeName(type)}: ${why}`,
  notification: undefined,
});

/** RFC 4271 §6.3: the data is the erroneous attribute, but for a path. MP_REACH_NLRI and MP_UNREACH_NLRI have one answer (RFC 4760 §7). */
function malformed(b: Bytes, a: number, treatment: Treatment, problem: string, subcode: number): AttributeFault {
  const type = attributeType(b, a);
  if (treatment === 'discard') return discarded(type, problem);
  const answer = treatment === 'reset' ? UPDATE_ERROR.OPTIONAL_ATTRIBUTE : subcode;
  const data = answer === UPDATE_ERROR.MALFORMED_AS_PATH ? EMPTY : b.slice(a, nextAttribute(b, a));
  const why = `${attributeName(type)}: ${problem}`;
  return { type, treatment, why, notification: notification(ERROR.UPDATE, answer, data) };
}

/** RFC 4271 §6.3 resets; RFC 7606 §3(e) names no such case, and its withdraw harms less. */
const unrecognized = (b: Bytes, a: number): AttributeFault =>
  malformed(b, a, 'withdraw', 'well-known and not recognized', UPDATE_ERROR.UNRECOGNIZED_WELL_KNOWN);

/** RFC 7606 §4. */
const overrun = (b: Bytes, a: number, end: number): AttributeFault => ({
  type: end - a >= 2 ? attributeType(b, a) : 0,
  treatment: 'withdraw',
  why: `the attribute at ${end - a} octets before the end does not fit`,
  notification: notification(ERROR.UPDATE, UPDATE_ERROR.MALFORMED_ATTRIBUTE_LIST),
});

/** RFC 7606 §3(d); LOCAL_PREF is required between internal peers (RFC 4271 §5). */
function missingOf(context: CodecContext): readonly AttributeFault[] {
  if (
    SEEN[ATTRIBUTE.ORIGIN] === 0 ||
    SEEN[ATTRIBUTE.AS_PATH] === 0 ||
    (!context.ebgp && SEEN[ATTRIBUTE.LOCAL_PREF] === 0)
  ) {
    const needed = context.ebgp ? MANDATORY : [...MANDATORY, ATTRIBUTE.LOCAL_PREF];
    return needed.filter((type) => SEEN[type] === 0).map(missing);
  }
  return NOTHING;
}

const missing = (type: number): AttributeFault => ({
  type,
  treatment: 'withdraw',
  why: `${attributeName(type)}: missing`,
  notification: notification(ERROR.UPDATE, UPDATE_ERROR.MISSING_WELL_KNOWN, Uint8Array.of(type)),
});

/** RFC 4271 §6.3, RFC 7606 §3(e). A malformed one is among the faults already. */
function nextHopFault(attributes: readonly PathAttribute[]): AttributeFault | undefined {
  if (SEEN[ATTRIBUTE.NEXT_HOP] === 0) return missing(ATTRIBUTE.NEXT_HOP);
  for (const { flags, value } of attributes) {
    if (value.name !== 'nextHop') continue;
    const first = value.address[0]!;
    if (first !== 0 && first < 224) return undefined;
    const octets = Uint8Array.of(flags & ~FLAG.EXTENDED_LENGTH, ATTRIBUTE.NEXT_HOP, 4, ...value.address);
    return {
      type: ATTRIBUTE.NEXT_HOP,
      treatment: 'withdraw',
      why: `NEXT_HOP: 0x${u32(value.address, 0).toString(16)} is no host`,
      notification: notification(ERROR.UPDATE, UPDATE_ERROR.INVALID_NEXT_HOP, octets),
    };
  }
  return undefined;
}

const rankOf = (type: number): number =>
  type === ATTRIBUTE.MP_REACH_NLRI || type === ATTRIBUTE.MP_UNREACH_NLRI ? type - 0x100 : type;

/** A block is kept with its faults: thousands of attributes that come once more must not make thousands of records. */
export const MAXIMUM_FAULTS = 16;

/** Types seen in the block that is being decoded; of no meaning between calls. */
const SEEN = new Uint8Array(256);
const NOTHING: readonly AttributeFault[] = [];
const MANDATORY: readonly number[] = [ATTRIBUTE.ORIGIN, ATTRIBUTE.AS_PATH];

const TYPES: Readonly<Record<Exclude<AttributeValue['name'], 'unknown'>, number>> = {
  origin: ATTRIBUTE.ORIGIN,
  asPath: ATTRIBUTE.AS_PATH,
  nextHop: ATTRIBUTE.NEXT_HOP,
  med: ATTRIBUTE.MULTI_EXIT_DISC,
  localPreference: ATTRIBUTE.LOCAL_PREF,
  atomicAggregate: ATTRIBUTE.ATOMIC_AGGREGATE,
  aggregator: ATTRIBUTE.AGGREGATOR,
  communities: ATTRIBUTE.COMMUNITIES,
  originatorId: ATTRIBUTE.ORIGINATOR_ID,
  clusterList: ATTRIBUTE.CLUSTER_LIST,
  mpReach: ATTRIBUTE.MP_REACH_NLRI,
  mpReachOctets: ATTRIBUTE.MP_REACH_NLRI,
  mpUnreach: ATTRIBUTE.MP_UNREACH_NLRI,
  mpUnreachOctets: ATTRIBUTE.MP_UNREACH_NLRI,
  extendedCommunities: ATTRIBUTE.EXTENDED_COMMUNITIES,
  as4Path: ATTRIBUTE.AS4_PATH,
  as4Aggregator: ATTRIBUTE.AS4_AGGREGATOR,
  largeCommunities: ATTRIBUTE.LARGE_COMMUNITIES,
  onlyToCustomer: ATTRIBUTE.ONLY_TO_CUSTOMER,
};
