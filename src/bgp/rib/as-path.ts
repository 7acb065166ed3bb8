/**
 * AS_PATH between two and four octets (RFC 6793 §4.2), on octets. Inside the tables numbers have four.
 *
 * Callers have checked that segments are whole (`isPath`).
 */
import { type Bytes, encoded, putU16, u16 } from '../../core/index.ts';
import { decodeSegments, encodeSegments, isConfederation, isMappable } from '../message/as-path.ts';
import { mergePaths as mergeSegments } from '../message/as4.ts';
import { AS_TRANS, SEGMENT } from '../message/iana.ts';
import { putWord, word } from './attribute-store.ts';

/** Segments of known type and at least one number that fill the value (RFC 7606 §7.2). */
export function isPath(b: Bytes, start: number, length: number, width: 2 | 4): boolean {
  const end = start + length;
  let at = start;
  while (at < end) {
    if (end - at < 2 || b[at]! < SEGMENT.SET || b[at]! > SEGMENT.CONFED_SET || b[at + 1] === 0) return false;
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
      if (!isMappable(asn)) fits = false;
      putU16(out, to, isMappable(asn) ? asn : AS_TRANS);
    }
  }
  return { octets: out.subarray(0, to), fits };
}

/** RFC 6793 §4.2.3: the leading part of AS_PATH that AS4_PATH does not have, in front of it. Both of four octets. */
export function mergePaths(path: Bytes, as4Path: Bytes): Bytes {
  const as4 = decodeSegments(as4Path, 0, as4Path.length, true).filter((segment) => !isConfederation(segment));
  const merged = mergeSegments(decodeSegments(path, 0, path.length, true), as4);
  return encoded((w, segments) => encodeSegments(w, segments, true), merged);
}

/** Whether it has segments of a confederation (RFC 5065 §3). */
export function isConfederate(b: Bytes, start: number, length: number): boolean {
  for (let at = start; at < start + length; at += 2 + 4 * b[at + 1]!) if (b[at]! > SEGMENT.SEQUENCE) return true;
  return false;
}

/** RFC 6793 §3: confederation segments do not belong into AS4_PATH. */
export function withoutConfederation(path: Bytes): Bytes {
  const out = new Uint8Array(path.length);
  let to = 0;
  for (let at = 0; at < path.length; ) {
    const end = at + 2 + 4 * path[at + 1]!;
    if (path[at]! <= SEGMENT.SEQUENCE) {
      out.set(path.subarray(at, end), to);
      to += end - at;
    }
    at = end;
  }
  return out.subarray(0, to);
}
