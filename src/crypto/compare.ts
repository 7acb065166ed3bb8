/** Comparison of secrets in time that depends on their lengths only. `core/bytes.ts` has the ordinary one. */
import { timingSafeEqual } from 'node:crypto';
import type { Bytes } from '../core/index.ts';

export function equalSecret(a: Bytes, b: Bytes): boolean {
  return a.length === b.length && timingSafeEqual(a, b);
}

/** a[aAt, aAt + length) against b[bAt, …), without a view or a branch for any octet: for the path of packets. */
export function equalSecretAt(a: Bytes, aAt: number, b: Bytes, bAt: number, length: number): boolean {
  let difference = 0;
  for (let i = 0; i < length; i++) difference |= a[aAt + i]! ^ b[bAt + i]!;
  return difference === 0;
}

/** The same by words, `length` being a multiple of four. */
export function equalSecretWords(a: DataView, aAt: number, b: DataView, bAt: number, length: number): boolean {
  let difference = 0;
  for (let i = 0; i < length; i += 4) difference |= a.getInt32(aAt + i) ^ b.getInt32(bAt + i);
  return difference === 0;
}
