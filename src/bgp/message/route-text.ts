/**
 * AS paths and origins as text: what is printed is read as the same.
 *
 * Paths are in plain decimal (RFC 5396): `65001 65002 {1,2} (65010 65011) [7,8]`, sets in braces, confederations in parentheses and brackets.
 */
import { parseAsn } from './extended-community.ts';
import { ORIGINS } from './iana.ts';
import type { AsSegment, AsSegmentType } from './types.ts';

export const describePath = (segments: readonly AsSegment[]): string => segments.map(describeSegment).join(' ');

/** With blanks in place of commas too, and numbers in asdot; undefined where it is no path. */
export function parsePath(text: string): readonly AsSegment[] | undefined {
  const segments: AsSegment[] = [];
  for (const part of text.match(/\{[^{}]*\}|\([^()]*\)|\[[^[\]]*\]|[^\s{}()[\]]+|\S/g) ?? []) {
    const type = OPENS[part[0]!] ?? 'sequence';
    const inside = type === 'sequence' ? part : part.slice(1, -1);
    const asns = inside.split(/[\s,]+/).flatMap((each) => (each === '' ? [] : [parseAsn(each)]));
    if (asns.length === 0 || asns.includes(undefined)) return undefined;
    const last = segments.at(-1);
    if (type === 'sequence' && last?.type === type) segments.pop();
    segments.push({
      type,
      asns: [...(type === 'sequence' && last?.type === type ? last.asns : []), ...(asns as number[])],
    });
  }
  return segments;
}

/** `igp` as RFC 4271 has it, in any case of letters; or as tables of routes do: `i`, `e`, `?`. */
export const parseOrigin = (text: string): (typeof ORIGINS)[number] | undefined =>
  ORIGINS.find((origin, i) => text.toLowerCase() === origin || text === MARKS[i]);

function describeSegment({ type, asns }: AsSegment): string {
  switch (type) {
    case 'sequence':
      return asns.join(' ');
    case 'set':
      return `{${asns.join(',')}}`;
    case 'confedSequence':
      return `(${asns.join(' ')})`;
    case 'confedSet':
      return `[${asns.join(',')}]`;
  }
}

const OPENS: Readonly<Record<string, AsSegmentType>> = { '{': 'set', '(': 'confedSequence', '[': 'confedSet' };
const MARKS = ['i', 'e', '?'];
