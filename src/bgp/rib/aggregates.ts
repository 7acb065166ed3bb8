/**
 * Aggregates of one family: routes of our own that stand for the more specific routes there are.
 *
 * Read first: RFC 4271 §5.1.6, §5.1.7, §9.2.2.2; RFC 1997; RFC 9774. What is chosen and longer than the prefix of an aggregate contributes
 * to it. AS_PATH is what all contributions begin with; what is left out of it makes ATOMIC_AGGREGATE, or with `asSet` an AS_SET, which
 * RFC 9774 no longer wants to see. Contributions are counted by attribute set, so that many routes of one set are one to look at.
 * Deliberate limits: MED and LOCAL_PREF of contributions are not looked at; well-known communities of a contribution do not hold an aggregate
 * without `asSet` back.
 * Invariant: an aggregate is there exactly while something contributes to it.
 */
import { type Bytes, concat, EMPTY } from '../../core/index.ts';
import { formatPrefix, type Prefix } from '../../ip/index.ts';
import { ATTRIBUTE } from '../message/iana.ts';
import { type Action, compileAction } from '../policy/action.ts';
import { matchesPrefix, type PrefixMatcher, prefixMatcher } from '../policy/prefix-matcher.ts';
import type { ActionRecord } from '../policy/record.ts';
import type { AttributeDraft } from './attribute-draft.ts';
import { type AttributeStore, putWord, word } from './attribute-store.ts';
import type { FamilyRib } from './family-rib.ts';

export interface AggregateOptions {
  readonly prefix: Prefix;
  /** Peers are not told what contributes. */
  readonly summaryOnly: boolean;
  readonly asSet: boolean;
  /** Of the attributes that are made of the contributions, before anything is chosen. `self` as a next hop is what every aggregate has. */
  readonly set?: ActionRecord;
}

/** Who aggregates, and with which weight. */
export interface Aggregator {
  readonly localAs: number;
  readonly routerId: number;
  readonly weight: number;
}

interface Aggregate extends AggregateOptions {
  readonly matcher: PrefixMatcher;
  readonly actions: readonly Action[];
  /** Attribute sets of contributions, by row. */
  readonly rows: Map<number, number>;
  /** How many rows a set has. */
  readonly sets: Map<number, number>;
  changed: boolean;
}

export class Aggregates {
  readonly #store: AttributeStore;
  readonly #rib: FamilyRib;
  readonly #aggregator: Aggregator;
  readonly #draft: AttributeDraft;
  #all: readonly Aggregate[] = [];

  constructor(store: AttributeStore, draft: AttributeDraft, rib: FamilyRib, aggregator: Aggregator) {
    this.#store = store;
    this.#rib = rib;
    this.#aggregator = aggregator;
    this.#draft = draft;
  }

  /** These and no others, from the next flush on. */
  configure(wanted: readonly AggregateOptions[]): void {
    for (const old of this.#all) {
      this.#withdraw(old);
      for (const [row, set] of old.rows) {
        this.#store.release(set);
        this.#rib.touch(row);
      }
    }
    this.#all = wanted.map((options) => ({
      ...options,
      matcher: matcherOf(options.prefix),
      actions: compileAction(options.set ?? {}, refuse),
      rows: new Map(),
      sets: new Map(),
      changed: false,
    }));
    this.decided(this.#rib.usedRows());
  }

  isAggregate(path: number): boolean {
    const { paths } = this.#rib;
    return paths.owner(path) === 0 && paths.id(path) === AGGREGATE_ID;
  }

  /** Whether what is chosen for a row is our own, and one of them among it: a network of ours may stand before it. */
  standFor(row: number): boolean {
    if (this.#all.length === 0) return false;
    const { table, paths } = this.#rib;
    const best = table.best[row]!;
    if (best === 0 || paths.owner(best) !== 0) return false;
    return this.#rib.pathsOf(row).some((path) => this.isAggregate(path));
  }

  /** Whether peers are not told of a row, because an aggregate stands for it. */
  suppresses(row: number): boolean {
    return this.#all.length > 0 && this.suppressor(row) !== undefined;
  }

  /** The aggregate that stands for a row. */
  suppressor(row: number): AggregateOptions | undefined {
    return this.#all.find(({ summaryOnly, rows }) => summaryOnly && rows.has(row));
  }

  /** The best paths of these rows may be others now. What follows is touched. */
  decided(rows: Iterable<number>): void {
    if (this.#all.length === 0) return;
    for (const row of rows) this.#contribute(row);
    for (const aggregate of this.#all) {
      if (!aggregate.changed) continue;
      aggregate.changed = false;
      if (aggregate.sets.size === 0) this.#withdraw(aggregate);
      else this.#announce(aggregate);
    }
  }

  #contribute(row: number): void {
    const { table, paths } = this.#rib;
    const best = table.isUsed(row) ? table.best[row]! : 0;
    const set = best === 0 ? 0 : paths.after[best]!;
    if (set !== 0) table.fetch(row);
    for (const aggregate of this.#all) {
      const { matcher, rows, summaryOnly } = aggregate;
      const old = rows.get(row) ?? 0;
      const now = set !== 0 && matchesPrefix(matcher, table.key, table.lengths[row]!) ? set : 0;
      if (old === now) continue;
      if (now === 0) rows.delete(row);
      else {
        rows.set(row, now);
        this.#store.retain(now);
      }
      this.#count(aggregate, now, 1);
      this.#count(aggregate, old, -1);
      this.#store.release(old);
      if (summaryOnly && (old === 0 || now === 0)) this.#rib.touch(row);
    }
  }

  #count(aggregate: Aggregate, set: number, by: number): void {
    if (set === 0) return;
    const { sets } = aggregate;
    const before = sets.get(set) ?? 0;
    if (before + by === 0) sets.delete(set);
    else sets.set(set, before + by);
    if (before === 0 || before + by === 0) aggregate.changed = true;
  }

  #announce(aggregate: Aggregate): void {
    const { prefix, sets } = aggregate;
    const set = this.#merge([...sets.keys()], aggregate);
    // What they have in common is more than an attribute holds.
    if (set === 0) return this.#withdraw(aggregate);
    const { table } = this.#rib;
    this.#rib.announce(0, table.load(prefix), AGGREGATE_ID, set, set, 0, 0);
    // Where another of our own stays the best, what forwards follows all the same.
    this.#rib.touch(table.find(table.load(prefix)));
    this.#store.release(set);
  }

  #withdraw({ prefix }: Aggregate): void {
    this.#rib.withdraw(0, this.#rib.table.load(prefix), AGGREGATE_ID);
  }

  /** RFC 4271 §9.2.2.2, with one reference; 0: no set. */
  #merge(sets: readonly number[], { asSet, actions }: Aggregate): number {
    const draft = this.#draft;
    const { localAs, routerId, weight } = this.#aggregator;
    let origin = 0;
    let atomic = false;
    const paths: Tuple[][] = [];
    const communities = new Set<number>();
    for (const set of sets) {
      draft.load(set);
      origin = Math.max(origin, draft.value(ATTRIBUTE.ORIGIN)?.[0] ?? 0);
      atomic ||= draft.has(ATTRIBUTE.ATOMIC_AGGREGATE);
      paths.push(tuplesOf(draft.value(ATTRIBUTE.AS_PATH) ?? EMPTY));
      const said = draft.value(ATTRIBUTE.COMMUNITIES) ?? EMPTY;
      for (let at = 0; at < said.length; at += 4) communities.add(word(said, at));
    }
    const lead = commonLead(paths);
    const rest = restOf(paths, lead);
    atomic ||= rest.length > 0 && !asSet;
    draft.begin();
    draft.weight = weight;
    draft.set(ATTRIBUTE.ORIGIN, 0x40, Uint8Array.of(origin));
    draft.set(ATTRIBUTE.AS_PATH, 0x40, concat(segmentsOf(lead), asSet ? segment(AS_SET, rest) : EMPTY));
    if (atomic) draft.set(ATTRIBUTE.ATOMIC_AGGREGATE, 0x40, EMPTY);
    draft.set(ATTRIBUTE.AGGREGATOR, 0xc0, words([localAs, routerId]));
    // RFC 1997: the union, where no ATOMIC_AGGREGATE says that something was left out.
    if (!atomic && communities.size > 0)
      draft.set(ATTRIBUTE.COMMUNITIES, 0xc0, words([...communities].sort((a, b) => a - b)));
    for (const act of actions) act(draft, EMPTY);
    return draft.commit();
  }
}

/** RFC 4271 §9.2.2.2: an AS number, and in which type of segment it stands. */
interface Tuple {
  readonly type: number;
  readonly asn: number;
}

function tuplesOf(path: Bytes): Tuple[] {
  const out: Tuple[] = [];
  for (let at = 0; at < path.length; ) {
    const [type, end] = [path[at]!, at + 2 + 4 * path[at + 1]!];
    for (at += 2; at < end; at += 4) out.push({ type, asn: word(path, at) });
  }
  return out;
}

/** What all begin with. */
function commonLead(paths: readonly (readonly Tuple[])[]): readonly Tuple[] {
  const [first = [], ...others] = paths;
  let length = 0;
  const sameAt = (path: readonly Tuple[], tuple: Tuple) =>
    path[length]?.asn === tuple.asn && path[length]?.type === tuple.type;
  while (
    length < first.length &&
    first[length]!.type === AS_SEQUENCE &&
    others.every((path) => sameAt(path, first[length]!))
  )
    length++;
  return first.slice(0, length);
}

/** AS numbers that are not in the lead, each once, in order. */
function restOf(paths: readonly (readonly Tuple[])[], lead: readonly Tuple[]): number[] {
  const rest = new Set(paths.flatMap((path) => path.slice(lead.length)).map(({ asn }) => asn));
  for (const { asn } of lead) rest.delete(asn);
  return [...rest].sort((a, b) => a - b);
}

const segmentsOf = (lead: readonly Tuple[]): Bytes =>
  segment(
    AS_SEQUENCE,
    lead.map(({ asn }) => asn),
  );

/** Segments of at most 255 numbers. */
function segment(type: number, numbers: readonly number[]): Bytes {
  const parts: Bytes[] = [];
  for (let at = 0; at < numbers.length; at += 255) {
    const part = numbers.slice(at, at + 255);
    parts.push(Uint8Array.of(type, part.length), words(part));
  }
  return concat(...parts);
}

function words(numbers: readonly number[]): Bytes {
  const out = new Uint8Array(numbers.length * 4);
  for (const [i, number] of numbers.entries()) putWord(out, i * 4, number);
  return out;
}

/** The document check has compiled the same record. */
const refuse = (field: string, problem: string): never => {
  throw new Error(`${field}: ${problem}`);
};

/** Everything longer. The document check has refused what nothing is longer than. */
function matcherOf(prefix: Prefix): PrefixMatcher {
  const matcher = prefixMatcher({ prefix: formatPrefix(prefix), ge: prefix.length + 1 });
  if (typeof matcher === 'string') throw new Error(matcher);
  return matcher;
}

const AS_SET = 1;
const AS_SEQUENCE = 2;
/** Path identifier among our own paths of a prefix. */
const AGGREGATE_ID = 2;
