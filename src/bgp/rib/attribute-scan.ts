/**
 * The attributes of a received UPDATE, checked as RFC 7606 says and put into canonical form in one walk without records.
 *
 * Read first: RFC 7606 §3–§7; RFC 6793 §4.2.3; RFC 4760 §3, §4. Attributes that nobody here knows keep their octets; those that are
 * transitive get the Partial bit (RFC 4271 §5), since everything in the tables may be passed on.
 *
 * NLRI inside MP_REACH_NLRI and MP_UNREACH_NLRI are left in place: the scan says where they stand.
 */
import { type Bytes, concat, EMPTY, u16 } from '../../core/index.ts';
import { type AttributeRule, attributeRule, stronger } from '../message/attribute-rules.ts';
import { AS_TRANS, ATTRIBUTE, attributeName } from '../message/iana.ts';
import { nextHopFits } from '../message/multiprotocol.ts';
import type { CodecContext, Family, Treatment } from '../message/types.ts';
import { isConfederate, isPath, mergePaths, widen } from './as-path.ts';
import { AttributeDraft, LONGEST_VALUE } from './attribute-draft.ts';
import { type AttributeStore, countAs, word } from './attribute-store.ts';

/** Part of an UPDATE that holds prefixes. */
export interface Part {
  family: Family;
  start: number;
  end: number;
}

export class AttributeScan {
  treatment: Treatment = 'none';
  /** Of the strongest fault. */
  why = '';
  /** Family 0: not there. */
  readonly reach: Part = { family: 0, start: 0, end: 0 };
  readonly unreach: Part = { family: 0, start: 0, end: 0 };
  readonly #draft: AttributeDraft;
  readonly #seen = new Uint8Array(256);
  readonly #types: number[] = [];
  #typeCount = 0;
  #octets: Bytes = EMPTY;
  #context: CodecContext | undefined;
  /** Whether there is anything but MP_UNREACH_NLRI. */
  #others = false;
  #as4Path: Bytes | undefined;
  #as4Aggregator: Bytes | undefined;
  #hopAt = 0;
  #hopLength = 0;
  #reachHopAt = 0;
  #reachHopLength = 0;

  constructor(store: AttributeStore) {
    this.#draft = new AttributeDraft(store);
  }

  /** RFC 4724 §2: an empty MP_UNREACH_NLRI and nothing else. */
  get isEndOfRib(): boolean {
    const { family, start, end } = this.unreach;
    return family !== 0 && start === end && !this.#others;
  }

  /** Walks the attributes from `start` to `end`. `nlri`: whether IPv4 prefixes stand behind them. */
  walk(octets: Bytes, start: number, end: number, context: CodecContext, nlri: boolean): void {
    this.#reset(octets, context);
    for (let at = start; at < end; ) {
      const extended = (octets[at]! & 0x10) !== 0;
      const value = at + (extended ? 4 : 3);
      const length = value > end ? 0 : extended ? u16(octets, at + 2) : octets[at + 2]!;
      if (value > end || value + length > end) {
        this.#fault('withdraw', 'attributes overrun their length');
        break;
      }
      this.#attribute(octets[at]!, octets[at + 1]!, value, length);
      at = value + length;
    }
    if (nlri || this.reach.family !== 0) this.#complete(nlri);
  }

  /** The number of the set of IPv4 prefixes in the message's own field, or of those in MP_REACH_NLRI; with one reference. */
  commit(multiprotocol: boolean): number {
    if (multiprotocol) this.#draft.hop(this.#octets, this.#reachHopAt, this.#reachHopLength);
    else this.#draft.hop(this.#octets, this.#hopAt, this.#hopLength);
    return this.#draft.commit();
  }

  #reset(octets: Bytes, context: CodecContext): void {
    this.treatment = 'none';
    this.why = '';
    this.#others = false;
    this.reach.family = this.unreach.family = 0;
    while (this.#typeCount > 0) this.#seen[this.#types[--this.#typeCount]!] = 0;
    this.#octets = octets;
    this.#context = context;
    this.#as4Path = this.#as4Aggregator = undefined;
    this.#hopLength = this.#reachHopLength = 0;
    this.#draft.begin();
  }

  #fault(treatment: Treatment, why: string): void {
    if (stronger(this.treatment, treatment) === this.treatment) return;
    this.treatment = treatment;
    this.why = why;
  }

  #attribute(flags: number, type: number, value: number, length: number): void {
    if (type !== ATTRIBUTE.MP_UNREACH_NLRI) this.#others = true;
    if (this.#seen[type] === 1) {
      const multiprotocol = type === ATTRIBUTE.MP_REACH_NLRI || type === ATTRIBUTE.MP_UNREACH_NLRI;
      return this.#fault(multiprotocol ? 'reset' : 'discard', `attribute ${type} stands twice`);
    }
    this.#seen[type] = 1;
    this.#types[this.#typeCount++] = type;
    const rule = RULES[type];
    if (rule === undefined) return this.#unknown(flags, type, value, length);
    if (rule.internalOnly && this.#context!.ebgp)
      return this.#fault('discard', `${attributeName(type)} from an external peer`);
    if (rule.twoOctetsOnly && this.#context!.fourOctetAs)
      return this.#fault('discard', `${attributeName(type)} between speakers of four octets`);
    if ((flags & 0xc0) !== rule.flags)
      return this.#fault(rule.malformed, `${attributeName(type)} has flags 0x${flags.toString(16)}`);
    if (!rule.fits(length, this.#context!.fourOctetAs))
      return this.#fault(rule.malformed, `${attributeName(type)} of ${length} octets`);
    // RFC 4271 §4.3: Partial is for what is optional and transitive.
    this.#known(type, rule.flags === 0xc0 ? flags : rule.flags, value, length);
  }

  #known(type: number, flags: number, value: number, length: number): void {
    const b = this.#octets;
    switch (type) {
      case ATTRIBUTE.ORIGIN:
        if (b[value]! > 2) return this.#fault('withdraw', `ORIGIN ${b[value]}`);
        break;
      case ATTRIBUTE.AS_PATH:
        return this.#path(flags, value, length);
      case ATTRIBUTE.NEXT_HOP:
        this.#hopAt = value;
        this.#hopLength = length;
        return;
      case ATTRIBUTE.MP_REACH_NLRI:
        return this.#reach(value, length);
      case ATTRIBUTE.MP_UNREACH_NLRI:
        this.unreach.family = (u16(b, value) << 8) | b[value + 2]!;
        this.unreach.start = value + 3;
        this.unreach.end = value + length;
        if (!this.#context!.families.includes(this.unreach.family))
          this.#fault('discard', 'MP_UNREACH_NLRI of a family that the session does not have');
        return;
      case ATTRIBUTE.AS4_PATH:
        // RFC 6793 §6.
        if (!isPath(b, value, length, 4) || countAs(b, value, length, 0) > 0)
          return this.#fault('discard', 'AS4_PATH is malformed');
        this.#as4Path = b.subarray(value, value + length);
        return;
      case ATTRIBUTE.AS4_AGGREGATOR:
        if (word(b, value) === 0) return this.#fault('discard', 'AS4_AGGREGATOR has the number 0');
        this.#as4Aggregator = b.subarray(value, value + length);
        return;
      case ATTRIBUTE.AGGREGATOR:
        if ((length === 6 ? u16(b, value) : word(b, value)) === 0)
          return this.#fault('discard', 'AGGREGATOR has the number 0');
        if (length === 6) {
          const wide = new Uint8Array(8);
          wide.set(b.subarray(value, value + 6), 2);
          return this.#draft.set(type, flags, wide);
        }
        break;
      case ATTRIBUTE.LARGE_COMMUNITIES: {
        const once = length === 12 ? undefined : withoutRepetition(b, value, length);
        if (once !== undefined) return this.#draft.set(type, flags, once);
        break;
      }
    }
    this.#draft.set(type, flags, b, value, length);
  }

  #path(flags: number, value: number, length: number): void {
    const four = this.#context!.fourOctetAs;
    if (!isPath(this.#octets, value, length, four ? 4 : 2)) return this.#fault('withdraw', 'AS_PATH is malformed');
    const wide = four ? this.#octets : widen(this.#octets, value, length);
    const start = four ? value : 0;
    const octets = four ? length : wide.length;
    if (octets > LONGEST_VALUE) return this.#fault('withdraw', TOO_LONG);
    // RFC 5065 §5.
    if (this.#context!.ebgp && isConfederate(wide, start, octets))
      return this.#fault('withdraw', 'AS_PATH has segments of a confederation from outside');
    // RFC 7607 §2.
    if (countAs(wide, start, octets, 0) > 0) return this.#fault('withdraw', 'AS_PATH has the number 0');
    this.#draft.set(ATTRIBUTE.AS_PATH, flags, wide, start, octets);
  }

  /** RFC 4760 §3, RFC 2545 §3, RFC 8950 §3: the family stands first, and a next hop of 4, 16 or 32 octets. */
  #reach(value: number, length: number): void {
    const b = this.#octets;
    const hop = b[value + 3]!;
    const start = value + 5 + hop;
    if (start > value + length) return this.#fault('reset', 'MP_REACH_NLRI ends in its next hop');
    this.reach.family = (u16(b, value) << 8) | b[value + 2]!;
    this.reach.start = start;
    this.reach.end = value + length;
    if (!this.#context!.families.includes(this.reach.family))
      return this.#fault('discard', 'MP_REACH_NLRI of a family that the session does not have');
    // RFC 7606 §7.11: with a length that makes no sense, nothing behind it can be trusted.
    if (!nextHopFits(this.reach.family, hop, this.#context!))
      return this.#fault('reset', `MP_REACH_NLRI has a next hop of ${hop} octets`);
    this.#reachHopAt = value + 4;
    this.#reachHopLength = hop === 32 ? 16 : hop;
  }

  #unknown(flags: number, type: number, value: number, length: number): void {
    if ((flags & 0x80) === 0) return this.#fault('withdraw', `well-known attribute ${type} is unknown`);
    if ((flags & 0x40) !== 0) this.#draft.set(type, flags | 0x20, this.#octets, value, length);
  }

  /** RFC 7606 §3 d: what must be there; RFC 6793: what two attributes say of one path. */
  #complete(nlri: boolean): void {
    const { ebgp, fourOctetAs } = this.#context!;
    for (const type of MANDATORY)
      if (this.#seen[type] === 0) this.#fault('withdraw', `${attributeName(type)} is missing`);
    if (nlri && this.#seen[ATTRIBUTE.NEXT_HOP] === 0) this.#fault('withdraw', 'NEXT_HOP is missing');
    const first = this.#octets[this.#hopAt]!;
    if (nlri && this.#hopLength === 4 && (first === 0 || first >= 224)) this.#fault('withdraw', 'NEXT_HOP is no host');
    if (!ebgp && this.#seen[ATTRIBUTE.LOCAL_PREF] === 0) this.#fault('withdraw', 'LOCAL_PREF is missing');
    if (!fourOctetAs && (this.treatment === 'none' || this.treatment === 'discard')) this.#merge();
  }

  #merge(): void {
    const aggregator = this.#draft.value(ATTRIBUTE.AGGREGATOR);
    if (aggregator !== undefined && this.#as4Aggregator !== undefined) {
      if (word(aggregator, 0) !== AS_TRANS) return;
      this.#draft.set(ATTRIBUTE.AGGREGATOR, 0xc0, this.#as4Aggregator);
    }
    const path = this.#draft.value(ATTRIBUTE.AS_PATH);
    if (path === undefined || this.#as4Path === undefined) return;
    const merged = mergePaths(path, this.#as4Path);
    if (merged.length > LONGEST_VALUE) return this.#fault('withdraw', TOO_LONG);
    this.#draft.set(ATTRIBUTE.AS_PATH, 0x40, merged);
  }
}

/** RFC 8092 §3: large communities, each once; undefined where they are that already. */
function withoutRepetition(b: Bytes, start: number, length: number): Bytes | undefined {
  const seen = new Set<string>();
  const parts: Bytes[] = [];
  for (let at = start; at < start + length; at += 12) {
    const part = b.subarray(at, at + 12);
    const key = part.join();
    if (!seen.has(key)) parts.push(part);
    seen.add(key);
  }
  return parts.length * 12 === length ? undefined : concat(...parts);
}

interface Rule extends AttributeRule {
  readonly fits: (length: number, four: boolean) => boolean;
}

const exactly = (octets: number) => (length: number) => length === octets;
/** RFC 7606 §7.8 and others: at least one. */
const multiple = (octets: number) => (length: number) => length > 0 && length % octets === 0;

/** Lengths, by type; a path is looked at by its segments. */
const FITS: readonly (readonly [type: number, fits: Rule['fits']])[] = [
  [ATTRIBUTE.ORIGIN, exactly(1)],
  [ATTRIBUTE.AS_PATH, () => true],
  [ATTRIBUTE.NEXT_HOP, exactly(4)],
  [ATTRIBUTE.MULTI_EXIT_DISC, exactly(4)],
  [ATTRIBUTE.LOCAL_PREF, exactly(4)],
  [ATTRIBUTE.ATOMIC_AGGREGATE, exactly(0)],
  [ATTRIBUTE.AGGREGATOR, (length, four) => length === (four ? 8 : 6)],
  [ATTRIBUTE.COMMUNITIES, multiple(4)],
  [ATTRIBUTE.ORIGINATOR_ID, exactly(4)],
  [ATTRIBUTE.CLUSTER_LIST, multiple(4)],
  [ATTRIBUTE.MP_REACH_NLRI, (length) => length >= 5],
  [ATTRIBUTE.MP_UNREACH_NLRI, (length) => length >= 3],
  [ATTRIBUTE.EXTENDED_COMMUNITIES, multiple(8)],
  [ATTRIBUTE.AS4_PATH, (length) => length >= 6],
  [ATTRIBUTE.AS4_AGGREGATOR, exactly(8)],
  [ATTRIBUTE.IPV6_EXTENDED_COMMUNITIES, multiple(20)],
  [ATTRIBUTE.LARGE_COMMUNITIES, multiple(12)],
  [ATTRIBUTE.ONLY_TO_CUSTOMER, exactly(4)],
];

const RULES: (Rule | undefined)[] = [];
for (const [type, fits] of FITS) RULES[type] = { ...attributeRule(type)!, fits };

/** RFC 8654 lets a peer of two octets send what no attribute of four octets a number holds. */
const TOO_LONG = 'AS_PATH is too long for numbers of four octets';
const MANDATORY = [ATTRIBUTE.ORIGIN, ATTRIBUTE.AS_PATH];
