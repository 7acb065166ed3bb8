/** Communities of all kinds in attribute sets: RFC 1997, RFC 4360, RFC 8092. */
import { type Bytes, EMPTY, sameBytes } from '../../core/index.ts';
import type { Community } from '../message/community.ts';
import { ATTRIBUTE } from '../message/iana.ts';
import type { AttributeDraft } from '../rib/attribute-draft.ts';
import { type AttributeStore, valueAt, valueLength } from '../rib/attribute-store.ts';

export const COMMUNITY_TYPES = [
  ATTRIBUTE.COMMUNITIES,
  ATTRIBUTE.EXTENDED_COMMUNITIES,
  ATTRIBUTE.LARGE_COMMUNITIES,
] as const;

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
