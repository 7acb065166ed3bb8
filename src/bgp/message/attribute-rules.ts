/**
 * What is known of each path attribute before its value is read: its flags, who may send it, and what a malformed one does to its UPDATE.
 *
 * Read first: RFC 7606 §3, §7; RFC 4271 §5; RFC 6793 §6; RFC 8092 §6; RFC 9234 §5.
 * Where RFC 7606 §3(c) (flags: withdraw) and §3(f) (ATOMIC_AGGREGATE, AGGREGATOR: discard) both speak, the attribute's own rule is taken, and
 * the same for AS4_PATH and AS4_AGGREGATOR, whose RFC discards whatever is malformed.
 */
import { ATTRIBUTE, FLAG } from './iana.ts';
import type { Treatment } from './types.ts';

export interface AttributeRule {
  /** Its Optional and Transitive bits. */
  readonly flags: number;
  /** What a malformed one does. */
  readonly malformed: Treatment;
  /** RFC 7606 §7.5, §7.9, §7.10: discarded when it comes from an external peer. */
  readonly internalOnly?: true;
  /** RFC 6793 §4.1: discarded between speakers of four octets. */
  readonly twoOctetsOnly?: true;
}

/** Undefined for a type this codec does not recognize. */
export const attributeRule = (type: number): AttributeRule | undefined => RULES[type];

/**
 * RFC 4271 §5: the flags with which an attribute nobody here recognized is passed on: with Partial where it is transitive; undefined where it
 * must not be passed on at all. One that is recognized keeps Partial where it is optional and transitive (§4.3).
 */
export function flagsPassedOn(type: number, flags: number): number | undefined {
  const rule = RULES[type];
  if (rule !== undefined) return rule.flags === TRANSITIVE ? flags : flags & ~FLAG.PARTIAL;
  if ((flags & FLAG.OPTIONAL) === 0 || (flags & FLAG.TRANSITIVE) === 0) return undefined;
  return flags | FLAG.PARTIAL;
}

/** The stronger of two: RFC 7606 §3(h). */
export const stronger = (a: Treatment, b: Treatment): Treatment => (STRENGTH[a] >= STRENGTH[b] ? a : b);

const STRENGTH: Readonly<Record<Treatment, number>> = { none: 0, discard: 1, withdraw: 2, reset: 3 };

const WELL_KNOWN = FLAG.TRANSITIVE;
const NON_TRANSITIVE = FLAG.OPTIONAL;
const TRANSITIVE = FLAG.OPTIONAL | FLAG.TRANSITIVE;

const RULES: Readonly<Record<number, AttributeRule>> = {
  [ATTRIBUTE.ORIGIN]: { flags: WELL_KNOWN, malformed: 'withdraw' },
  [ATTRIBUTE.AS_PATH]: { flags: WELL_KNOWN, malformed: 'withdraw' },
  [ATTRIBUTE.NEXT_HOP]: { flags: WELL_KNOWN, malformed: 'withdraw' },
  [ATTRIBUTE.MULTI_EXIT_DISC]: { flags: NON_TRANSITIVE, malformed: 'withdraw' },
  [ATTRIBUTE.LOCAL_PREF]: { flags: WELL_KNOWN, malformed: 'withdraw', internalOnly: true },
  [ATTRIBUTE.ATOMIC_AGGREGATE]: { flags: WELL_KNOWN, malformed: 'discard' },
  [ATTRIBUTE.AGGREGATOR]: { flags: TRANSITIVE, malformed: 'discard' },
  [ATTRIBUTE.COMMUNITIES]: { flags: TRANSITIVE, malformed: 'withdraw' },
  [ATTRIBUTE.ORIGINATOR_ID]: { flags: NON_TRANSITIVE, malformed: 'withdraw', internalOnly: true },
  [ATTRIBUTE.CLUSTER_LIST]: { flags: NON_TRANSITIVE, malformed: 'withdraw', internalOnly: true },
  [ATTRIBUTE.MP_REACH_NLRI]: { flags: NON_TRANSITIVE, malformed: 'reset' },
  [ATTRIBUTE.MP_UNREACH_NLRI]: { flags: NON_TRANSITIVE, malformed: 'reset' },
  [ATTRIBUTE.EXTENDED_COMMUNITIES]: { flags: TRANSITIVE, malformed: 'withdraw' },
  [ATTRIBUTE.AS4_PATH]: { flags: TRANSITIVE, malformed: 'discard', twoOctetsOnly: true },
  [ATTRIBUTE.AS4_AGGREGATOR]: { flags: TRANSITIVE, malformed: 'discard', twoOctetsOnly: true },
  [ATTRIBUTE.IPV6_EXTENDED_COMMUNITIES]: { flags: TRANSITIVE, malformed: 'withdraw' },
  [ATTRIBUTE.LARGE_COMMUNITIES]: { flags: TRANSITIVE, malformed: 'withdraw' },
  [ATTRIBUTE.ONLY_TO_CUSTOMER]: { flags: TRANSITIVE, malformed: 'withdraw' },
};
