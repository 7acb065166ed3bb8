/** What a clause asks of an attribute set. */
import { contains, parsePrefix } from '../../ip/index.ts';
import { parseCommunity } from '../message/community.ts';
import { ATTRIBUTE, ORIGINS } from '../message/iana.ts';
import { type AttributeStore, SET, valueAt, valueLength, word } from '../rib/attribute-store.ts';
import { compileExpression } from './as-path-expression.ts';
import { hasCommunity } from './community.ts';
import type { ClauseRecord, RangeRecord } from './record.ts';

export type Condition = (store: AttributeStore, set: number) => boolean;
export type Problem = (field: string, text: string) => void;

export function compileConditions(record: ClauseRecord, problem: Problem): readonly Condition[] {
  const out: Condition[] = [];
  if (record.asPath !== undefined) {
    const expression = compileExpression(record.asPath);
    if (expression.ok) out.push((store, set) => expression.value(pathText(store, set)));
    else problem('asPath', expression.problem);
  }
  range(record.neighbourAs, 'neighbourAs', (store, set) => store.neighbours[set]!, out, problem);
  range(record.originAs, 'originAs', originAs, out, problem);
  // Number.NaN is in no range: a route without MED has none to compare.
  range(
    record.med,
    'med',
    (store, set) => ((store.flags[set]! & SET.med) === 0 ? Number.NaN : store.meds[set]!),
    out,
    problem,
  );
  if (record.community !== undefined) {
    const wanted = typeof record.community === 'string' ? [record.community] : record.community;
    const communities = wanted.flatMap((text) => parseCommunity(text) ?? []);
    if (communities.length < wanted.length) problem('community', `${wanted.join(', ')}: not all are communities`);
    out.push((store, set) => communities.some((community) => hasCommunity(store, set, community)));
  }
  if (record.nextHop !== undefined) {
    const prefix = parsePrefix(record.nextHop);
    if (prefix === undefined) problem('nextHop', `${record.nextHop} is no prefix`);
    else out.push((store, set) => contains(prefix, store.nextHop(set)));
  }
  const origin = record.origin === undefined ? -1 : ORIGINS.indexOf(record.origin);
  if (record.origin !== undefined) out.push((store, set) => store.origins[set] === origin);
  return out;
}

function range(
  record: RangeRecord | undefined,
  field: string,
  of: (store: AttributeStore, set: number) => number,
  out: Condition[],
  problem: Problem,
): void {
  if (record === undefined) return;
  const [from, to] = typeof record === 'number' ? [record, record] : record;
  if (from > to) problem(field, `${from} is more than ${to}`);
  out.push((store, set) => of(store, set) >= from && of(store, set) <= to);
}

/** The last number of the last AS_SEQUENCE; 0 where the path ends otherwise or is empty. */
function originAs(store: AttributeStore, set: number): number {
  const at = store.find(set, ATTRIBUTE.AS_PATH);
  if (at < 0) return 0;
  const { arena } = store;
  const end = valueAt(arena, at) + valueLength(arena, at);
  let origin = 0;
  for (let o = valueAt(arena, at); o < end; o += 2 + 4 * arena[o + 1]!)
    origin = arena[o] === 2 ? word(arena, o + 4 * arena[o + 1]! - 2) : 0;
  return origin;
}

/** As `describePath` prints it. */
export function pathText(store: AttributeStore, set: number): string {
  const at = store.find(set, ATTRIBUTE.AS_PATH);
  if (at < 0) return '';
  const { arena } = store;
  const end = valueAt(arena, at) + valueLength(arena, at);
  const parts: string[] = [];
  for (let o = valueAt(arena, at); o < end; ) {
    const next = o + 2 + 4 * arena[o + 1]!;
    const numbers: number[] = [];
    for (let n = o + 2; n < next; n += 4) numbers.push(word(arena, n));
    const [open, between, close] = FORMS[arena[o]!]!;
    parts.push(open + numbers.join(between) + close);
    o = next;
  }
  return parts.join(' ');
}

/** By the type of the segment. */
const FORMS: readonly (readonly [open: string, between: string, close: string])[] = [
  ['', '', ''],
  ['{', ',', '}'],
  ['', ' ', ''],
  ['(', ' ', ')'],
  ['[', ',', ']'],
];
