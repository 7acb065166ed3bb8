/** Decoded data as plain fields: what `tree.ts` prints and `json.ts` writes. Octets are hexadecimal text. */
import type { Bytes } from '../core/index.ts';
import { toHex } from '../core/index.ts';
import { formatTransform, TRANSFORM, transform } from '../ike/index.ts';

export type Field = string | number | boolean | readonly Field[] | Fields;
export interface Fields {
  readonly [key: string]: Field;
}

/** Octets with their number. */
export const sized = (key: string, octets: Bytes): Fields => ({ length: octets.length, [key]: toHex(octets) });

/** strongSwan's word for a key exchange method, `ecp256`. */
export const groupWord = (group: number): string => formatTransform(transform(TRANSFORM.KE, group));

/** The octets as text, where all of them can be printed. */
export const printable = (data: Bytes): Fields =>
  data.length > 0 && data.every((octet) => octet >= 0x20 && octet < 0x7f) ? { text: String.fromCharCode(...data) } : {};
