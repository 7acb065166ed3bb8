/** Comparison of secrets in time that depends on their lengths only. `core/bytes.ts` has the ordinary one. */
import { timingSafeEqual } from 'node:crypto';
import type { Bytes } from '../core/index.ts';

export function equalSecret(a: Bytes, b: Bytes): boolean {
  return a.length === b.length && timingSafeEqual(a, b);
}
