/** Whether a record has at least what another one names, and records as one line for people. */
import { sameBytes, toHex } from '../../core/index.ts';

/** The same shape with parts left out, at every depth. Of a list, each member named must be there, in this order. */
export type Partially<T> = T extends Uint8Array
  ? T
  : T extends readonly (infer Member)[]
    ? readonly Partially<Member>[]
    : T extends object
      ? { readonly [Key in keyof T]?: Partially<T[Key]> }
      : T;

export function matches(value: unknown, like: unknown): boolean {
  if (like instanceof Uint8Array) return value instanceof Uint8Array && sameBytes(value, like);
  if (Array.isArray(like)) return Array.isArray(value) && hasInOrder(value, like);
  if (typeof like !== 'object' || like === null) return Object.is(value, like);
  if (typeof value !== 'object' || value === null) return false;
  return Object.entries(like).every(([key, part]) => matches((value as Record<string, unknown>)[key], part));
}

/** Octets in hexadecimal, everything else as JSON. */
export const wordsForMessage = (message: unknown): string =>
  JSON.stringify(message, (_, value) => (value instanceof Uint8Array ? toHex(value) : value));

function hasInOrder(values: readonly unknown[], likes: readonly unknown[]): boolean {
  let at = 0;
  for (const like of likes) {
    while (at < values.length && !matches(values[at], like)) at += 1;
    if (at++ >= values.length) return false;
  }
  return true;
}
