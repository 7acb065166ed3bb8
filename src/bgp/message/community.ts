/**
 * Communities of all kinds as text: one form that is printed, and what else is understood.
 *
 * Read first: RFC 1997, RFC 4360, RFC 5668, RFC 8092 §5.
 * Printed: `65000:1`, `no-export`, `65000:1:2`, and extended ones as `extended-community.ts` has them: `rt:65000:1`. Understood besides, in any
 * case of letters: how RFCs, FRR, BIRD, OpenBGPD and Junos write them, where that can mean one thing only: `NO_EXPORT`, `local-AS`, `(65000,1)`,
 * `(rt, 65000, 1)`, `RT:65000:1`, `target:65000:1`, `large:65000:1:2`.
 * Law: what is printed is read as the same octets.
 */
import { type Bytes, putU32, u32 } from '../../core/index.ts';
import { describeExtendedCommunity, parseExtendedCommunity } from './extended-community.ts';
import { ATTRIBUTE, COMMUNITY } from './iana.ts';
import type { LargeCommunity } from './types.ts';

export interface Community {
  /** Type of the attribute that it stands in. */
  readonly type: number;
  /** 4, 8 or 12. */
  readonly octets: Bytes;
}

/** `no-export`, `graceful-shutdown` and so on. */
const NAMES: ReadonlyMap<string, number> = new Map(
  Object.entries(COMMUNITY).map(([name, number]) => [name.toLowerCase().replaceAll('_', '-'), number]),
);
const NAME_OF = new Map([...NAMES].map(([name, number]) => [number, name]));

export const COMMUNITY_NAMES: readonly string[] = [...NAMES.keys()];

export function describeCommunity(community: number): string {
  return NAME_OF.get(community) ?? `${community >>> 16}:${community & 0xffff}`;
}

export const describeLargeCommunity = (c: LargeCommunity): string => `${c.global}:${c.local1}:${c.local2}`;

export function formatCommunity({ type, octets }: Community): string {
  if (type === ATTRIBUTE.COMMUNITIES) return describeCommunity(u32(octets, 0));
  if (type === ATTRIBUTE.EXTENDED_COMMUNITIES) return describeExtendedCommunity(octets);
  return describeLargeCommunity({ global: u32(octets, 0), local1: u32(octets, 4), local2: u32(octets, 8) });
}

/** Undefined: it is none, or may be more than one. */
export function parseCommunity(text: string): Community | undefined {
  const plain = plainOf(text);
  const name = plain.replaceAll('_', '-');
  const known = NAMES.get(name === 'local-as' ? 'no-export-subconfed' : name);
  if (known !== undefined) return standardCommunity(known);
  const extended = parseExtendedCommunity(plain);
  if (extended !== undefined) return { type: ATTRIBUTE.EXTENDED_COMMUNITIES, octets: extended };
  const numbers = numbersOf(plain.replace(/^large:/, ''));
  if (numbers?.length === 3) return { type: ATTRIBUTE.LARGE_COMMUNITIES, octets: words(numbers) };
  if (numbers?.length !== 2 || plain.startsWith('large:') || numbers.some((n) => n > 0xffff)) return undefined;
  return standardCommunity(numbers[0]! * 0x1_0000 + numbers[1]!);
}

export const standardCommunity = (number: number): Community => ({
  type: ATTRIBUTE.COMMUNITIES,
  octets: words([number]),
});

/** Several with blanks or commas between them, as they are printed; a comma within parentheses, or a blank behind `rt`, is no end. */
export const splitCommunities = (text: string): readonly string[] =>
  text.match(/\([^)]*\)|(?<![\w-])(?:rt|ro|soo|target|origin|large) +[^\s,]+|[^\s,]+/gi) ?? [];

/** `(rt, 65000, 1)` and `rt 65000:1` as `rt:65000:1`. */
function plainOf(text: string): string {
  const lower = text.trim().toLowerCase();
  const inside = /^\(([^()]*)\)$/.exec(lower)?.[1];
  return inside === undefined ? lower.replace(/^([a-z]+) +/, '$1:') : inside.trim().replace(/\s*,\s*/g, ':');
}

function numbersOf(text: string): readonly number[] | undefined {
  const parts = text.split(':');
  const fit = parts.every((part) => /^(0|[1-9]\d{0,9})$/.test(part) && Number(part) <= 0xffff_ffff);
  return fit ? parts.map(Number) : undefined;
}

function words(numbers: readonly number[]): Bytes {
  const out = new Uint8Array(numbers.length * 4);
  numbers.forEach((number, i) => void putU32(out, i * 4, number));
  return out;
}
