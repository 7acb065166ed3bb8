/**
 * AS_PATH between two and four octets (RFC 6793 §4.2), on octets. Inside the tables numbers have four.
 *
 * Callers have checked that segments are whole (`isPath`).
 */
import { type Bytes, putU16, u16 } from '../../core/index.ts';
import { putWord, word } from './attribute-store.ts';

export const AS_TRANS = 23456;
const SET = 1;
const SEQUENCE = 2;

/** Segments of known type and at least one number that fill the value (RFC 7606 §7.2). */
export function isPath(b: Bytes, start: number, length: number, width: 2 | 4): boolean {
  const end = start + length;
  let at = start;
  while (at < end) {
    if (end - at < 2 || b[at]! < SET || b[at]! > 4 || b[at + 1] === 0) return false;
    at += 2 + width * b[at + 1]!;
  }
  return at === end;
}

/** Numbers of two octets as of four. */
export function widen(b: Bytes, start: number, length: number): Bytes {
  const out = new Uint8Array(length * 2);
  let to = 0;
  for (let at = start; at < start + length; ) {
    const count = b[at + 1]!;
    out[to++] = b[at]!;
    out[to++] = count;
    at += 2;
    for (let i = 0; i < count; i++, at += 2, to += 4) putWord(out, to, u16(b, at));
  }
  return out.subarray(0, to);
}

/** Numbers of four octets as of two; those that do not fit are AS_TRANS. `fits` is false if there was one. */
export function narrow(b: Bytes, start: number, length: number): { octets: Bytes; fits: boolean } {
  const out = new Uint8Array(length);
  let to = 0;
  let fits = true;
  for (let at = start; at < start + length; ) {
    const count = b[at + 1]!;
    out[to++] = b[at]!;
    out[to++] = count;
    at += 2;
    for (let i = 0; i < count; i++, at += 4, to += 2) {
      const asn = word(b, at);
      if (asn > 0xffff) fits = false;
      putU16(out, to, asn > 0xffff ? AS_TRANS : asn);
    }
  }
  return { octets: out.subarray(0, to), fits };
}

/** RFC 6793 §4.2.3: the leading part of AS_PATH that AS4_PATH does not have, in front of it. Both of four octets. */
export function mergePaths(path: Bytes, as4Path: Bytes): Bytes {
  const as4 = withoutConfederation(as4Path);
  let lead = hops(path) - hops(as4);
  if (lead < 0) return path;
  const out = new Uint8Array(path.length + as4.length);
  let to = 0;
  for (let at = 0; at < path.length && lead > 0; ) {
    const type = path[at]!;
    const count = path[at + 1]!;
    const taken = type === SEQUENCE ? Math.min(count, lead) : count;
    out[to] = type;
    out[to + 1] = taken;
    out.set(path.subarray(at + 2, at + 2 + 4 * taken), to + 2);
    to += 2 + 4 * taken;
    lead -= type === SEQUENCE ? taken : type === SET ? 1 : 0;
    at += 2 + 4 * count;
  }
  out.set(as4, to);
  return joinSequences(out.subarray(0, to), as4);
}

/** RFC 6793 §3: confederation segments do not belong into AS4_PATH. */
export function withoutConfederation(path: Bytes): Bytes {
  const out = new Uint8Array(path.length);
  let to = 0;
  for (let at = 0; at < path.length; ) {
    const end = at + 2 + 4 * path[at + 1]!;
    if (path[at]! <= SEQUENCE) {
      out.set(path.subarray(at, end), to);
      to += end - at;
    }
    at = end;
  }
  return out.subarray(0, to);
}

/** Two sequences that meet are one where that fits. */
function joinSequences(lead: Bytes, rest: Bytes): Bytes {
  let last = -1;
  for (let at = 0; at < lead.length; at += 2 + 4 * lead[at + 1]!) last = at;
  const meet = last >= 0 && rest.length > 0 && lead[last] === SEQUENCE && rest[0] === SEQUENCE;
  const joined = meet && lead[last + 1]! + rest[1]! <= 255;
  const out = new Uint8Array(lead.length + rest.length - (joined ? 2 : 0));
  out.set(lead);
  if (joined) out[last + 1]! += rest[1]!;
  out.set(joined ? rest.subarray(2) : rest, lead.length);
  return out;
}

function hops(path: Bytes): number {
  let count = 0;
  for (let at = 0; at < path.length; at += 2 + 4 * path[at + 1]!)
    count += path[at] === SEQUENCE ? path[at + 1]! : path[at] === SET ? 1 : 0;
  return count;
}
