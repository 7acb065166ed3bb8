/**
 * Communities of all kinds as text and as octets of their attribute: RFC 1997, RFC 4360, RFC 8092.
 */
import { type Bytes, EMPTY, fromHex, sameBytes } from '../../core/index.ts';
import { ATTRIBUTE, COMMUNITY } from '../message/iana.ts';
import type { AttributeDraft } from '../rib/attribute-draft.ts';
import { type AttributeStore, valueAt, valueLength } from '../rib/attribute-store.ts';

export interface Community {
  /** Type of the attribute that it stands in. */
  readonly type: number;
  /** 4, 8 or 12. */
  readonly octets: Bytes;
}

/** `no-export`, `graceful-shutdown` and so on. */
const NAMES: Readonly<Record<string, number>> = Object.fromEntries(
  Object.entries(COMMUNITY).map(([name, number]) => [name.toLowerCase().replaceAll('_', '-'), number]),
);

export const COMMUNITY_TYPES = [
  ATTRIBUTE.COMMUNITIES,
  ATTRIBUTE.EXTENDED_COMMUNITIES,
  ATTRIBUTE.LARGE_COMMUNITIES,
] as const;

export function parseCommunity(text: string): Community | undefined {
  const known = Object.hasOwn(NAMES, text) ? NAMES[text] : undefined;
  if (known !== undefined) return { type: ATTRIBUTE.COMMUNITIES, octets: words([known]) };
  if (/^[0-9a-fA-F]{16}$/.test(text)) return { type: ATTRIBUTE.EXTENDED_COMMUNITIES, octets: fromHex(text) };
  const parts = text.split(':');
  if (parts.some((part) => !/^(0|[1-9][0-9]{0,9})$/.test(part))) return undefined;
  const numbers = parts.map(Number);
  if (numbers.length === 2 && numbers.every((n) => n <= 0xffff))
    return { type: ATTRIBUTE.COMMUNITIES, octets: words([numbers[0]! * 0x1_0000 + numbers[1]!]) };
  if (numbers.length === 3 && numbers.every((n) => n <= 0xffff_ffff))
    return { type: ATTRIBUTE.LARGE_COMMUNITIES, octets: words(numbers) };
  return undefined;
}

/** Whether a set has the community. */
export function hasCommunity(store: AttributeStore, set: number, { type, octets }: Community): boolean {
  const at = store.find(set, type);
  if (at < 0) return false;
  const { arena } = store;
  const start = valueAt(arena, at);
  return indexOf(arena, start, start + valueLength(arena, at), octets) >= 0;
}

export function addCommunity(draft: AttributeDraft, { type, octets }: Community): void {
  const old = draft.value(type) ?? EMPTY;
  if (indexOf(old, 0, old.length, octets) >= 0) return;
  const out = new Uint8Array(old.length + octets.length);
  out.set(old);
  out.set(octets, old.length);
  draft.set(type, 0xc0, out);
}

export function removeCommunity(draft: AttributeDraft, { type, octets }: Community): void {
  let old = draft.value(type) ?? EMPTY;
  for (let at = indexOf(old, 0, old.length, octets); at >= 0; at = indexOf(old, 0, old.length, octets)) {
    const out = new Uint8Array(old.length - octets.length);
    out.set(old.subarray(0, at));
    out.set(old.subarray(at + octets.length), at);
    old = out;
    if (out.length > 0) draft.set(type, 0xc0, out);
    else draft.drop(type);
  }
}

function indexOf(b: Bytes, start: number, end: number, octets: Bytes): number {
  for (let at = start; at < end; at += octets.length)
    if (sameBytes(b.subarray(at, at + octets.length), octets)) return at;
  return -1;
}

function words(numbers: readonly number[]): Bytes {
  const out = new Uint8Array(numbers.length * 4);
  numbers.forEach((n, i) => void new DataView(out.buffer).setUint32(i * 4, n));
  return out;
}
