/**
 * AS numbers of four octets through speakers of two: RFC 6793 §4.2.2 (sending) and §4.2.3 (receiving), as pure functions of attribute lists.
 *
 * Malformed AS4_PATH and AS4_AGGREGATOR, and those from a peer that has no need of them, are gone already (`attributes.ts`).
 */
import { isConfederation, isMappable, pathLength, segmentLength } from './as-path.ts';
import { attributeOf, findValue } from './attributes.ts';
import { AS_TRANS, ATTRIBUTE } from './iana.ts';
import type { AsSegment, PathAttribute } from './types.ts';

/** What a peer of two octets sent, with the numbers it could not write. The same list where there is nothing to do. */
export function reconcileAs4(attributes: readonly PathAttribute[]): readonly PathAttribute[] {
  const as4Path = findValue(attributes, 'as4Path');
  const as4Aggregator = findValue(attributes, 'as4Aggregator');
  if (as4Path === undefined && as4Aggregator === undefined) return attributes;
  const aggregator = findValue(attributes, 'aggregator');
  // §4.2.3: somebody of two octets aggregated since; what AS4 attributes say is older.
  const stale = aggregator !== undefined && as4Aggregator !== undefined && aggregator.asn !== AS_TRANS;
  const out: PathAttribute[] = [];
  for (const attribute of attributes) {
    const { value, type } = attribute;
    if (type === ATTRIBUTE.AS4_PATH || type === ATTRIBUTE.AS4_AGGREGATOR) continue;
    if (value.name === 'asPath' && as4Path !== undefined && !stale) {
      out.push({ ...attribute, value: { name: 'asPath', segments: mergePaths(value.segments, as4Path.segments) } });
    } else if (value.name === 'aggregator' && as4Aggregator !== undefined && !stale) {
      out.push({ ...attribute, value: { ...as4Aggregator, name: 'aggregator' } });
    } else {
      out.push(attribute);
    }
  }
  return out;
}

/**
 * §4.2.3: as many leading numbers and segments of `path` as it has more than `as4Path`, and `as4Path` behind them; `path` alone where it is the
 * shorter one. Segments of a confederation come along where they lead or stand next to something that comes along.
 */
export function mergePaths(path: readonly AsSegment[], as4Path: readonly AsSegment[]): readonly AsSegment[] {
  let wanted = pathLength(path) - pathLength(as4Path);
  if (wanted < 0) return path;
  const out: AsSegment[] = [];
  for (const segment of path) {
    const length = segmentLength(segment);
    if (isConfederation(segment)) out.push(segment);
    else if (wanted === 0) break;
    else if (length <= wanted) out.push(segment);
    else out.push({ type: segment.type, asns: segment.asns.slice(0, wanted) });
    if (length > wanted) break;
    wanted -= length;
  }
  return joined(out, as4Path);
}

/**
 * §4.2.2: what a peer of two octets is sent: AS4_PATH and AS4_AGGREGATOR beside the attributes whose numbers two octets do not hold. Those
 * become AS_TRANS when they are encoded. The same list where all numbers fit.
 */
export function splitAs4(attributes: readonly PathAttribute[]): readonly PathAttribute[] {
  const path = findValue(attributes, 'asPath');
  const aggregator = findValue(attributes, 'aggregator');
  const added: PathAttribute[] = [];
  if (path?.segments.some((s) => !s.asns.every(isMappable))) {
    const segments = path.segments.filter((s) => !isConfederation(s));
    if (segments.length > 0) added.push(attributeOf({ name: 'as4Path', segments }));
  }
  if (aggregator !== undefined && !isMappable(aggregator.asn)) {
    added.push(attributeOf({ ...aggregator, name: 'as4Aggregator' }));
  }
  return added.length === 0 ? attributes : [...attributes, ...added];
}

/** Two sequences that meet are one: no segment ends where nobody ended it. */
function joined(head: readonly AsSegment[], tail: readonly AsSegment[]): readonly AsSegment[] {
  const last = head.at(-1);
  const first = tail[0];
  if (last?.type !== 'sequence' || first?.type !== 'sequence') return [...head, ...tail];
  const both: AsSegment = { type: 'sequence', asns: [...last.asns, ...first.asns] };
  return [...head.slice(0, -1), both, ...tail.slice(1)];
}
