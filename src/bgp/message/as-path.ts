/**
 * Segments of AS_PATH and AS4_PATH: RFC 4271 §4.3, RFC 5065 §3, RFC 6793 §4; what makes them malformed: RFC 7606 §7.2, RFC 7607 §2.
 *
 * A path is asked here about what it is, never about whether it is liked: loops, lengths and sets are for tables and policies.
 */
import { type Bytes, u16, u32, WireError, type Writer } from '../../core/index.ts';
import { AS_TRANS, SEGMENT } from './iana.ts';
import type { AsSegment, AsSegmentType } from './types.ts';

/*  { Path Segment Type (1) | Path Segment Length (1), in AS numbers | AS numbers (2 or 4 each) }  */
export function decodeSegments(b: Bytes, at: number, end: number, fourOctets: boolean): AsSegment[] {
  const width = fourOctets ? 4 : 2;
  const out: AsSegment[] = [];
  for (let p = at; p < end; ) {
    if (end - p < 2) throw new WireError('asPath', p, 'half a segment header');
    const type = SEGMENT_TYPES[b[p]!];
    const count = b[p + 1]!;
    if (type === undefined) throw new WireError('asPath', p, `segment type ${b[p]}`);
    if (count === 0) throw new WireError('asPath', p, 'a segment without numbers');
    p += 2;
    if (p + count * width > end) throw new WireError('asPath', p, `${count} numbers do not fit`);
    const asns = new Array<number>(count);
    for (let i = 0; i < count; i++, p += width) {
      const asn = fourOctets ? u32(b, p) : u16(b, p);
      if (asn === 0) throw new WireError('asPath', p, 'has the number 0');
      asns[i] = asn;
    }
    out.push({ type, asns });
  }
  return out;
}

/** Numbers that two octets do not hold are AS_TRANS there (RFC 6793 §4.2.2). Segments of more than 255 numbers become several. */
export function encodeSegments(w: Writer, segments: readonly AsSegment[], fourOctets: boolean): void {
  for (const { type, asns } of segments) {
    for (let from = 0; from < asns.length; from += MAXIMUM_NUMBERS) {
      const part = asns.slice(from, from + MAXIMUM_NUMBERS);
      w.u8(SEGMENT_CODES[type]);
      w.u8(part.length);
      for (const asn of part) encodeAsn(w, asn, fourOctets);
    }
  }
}

export function encodeAsn(w: Writer, asn: number, fourOctets: boolean): void {
  if (fourOctets) w.u32(asn);
  else w.u16(isMappable(asn) ? asn : AS_TRANS);
}

/** RFC 6793 §3: whether two octets hold the number. */
export const isMappable = (asn: number): boolean => asn <= 0xffff;

export const isConfederation = (segment: AsSegment): boolean =>
  segment.type === 'confedSequence' || segment.type === 'confedSet';

/** RFC 4271 §9.1.2.2 (a), RFC 5065 §5.3: a set counts as one, segments of a confederation as nothing. */
export function pathLength(segments: readonly AsSegment[]): number {
  let length = 0;
  for (const segment of segments) length += segmentLength(segment);
  return length;
}

export function segmentLength(segment: AsSegment): number {
  if (segment.type === 'sequence') return segment.asns.length;
  return segment.type === 'set' ? 1 : 0;
}

const MAXIMUM_NUMBERS = 0xff;
const SEGMENT_TYPES: readonly (AsSegmentType | undefined)[] = [
  undefined,
  'set',
  'sequence',
  'confedSequence',
  'confedSet',
];
const SEGMENT_CODES: Readonly<Record<AsSegmentType, number>> = {
  set: SEGMENT.SET,
  sequence: SEGMENT.SEQUENCE,
  confedSequence: SEGMENT.CONFED_SEQUENCE,
  confedSet: SEGMENT.CONFED_SET,
};
