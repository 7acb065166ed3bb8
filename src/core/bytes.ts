/** Octet strings: what every codec needs and nothing else. All functions return fresh arrays. */

export type Bytes = Uint8Array;

export const EMPTY: Bytes = new Uint8Array(0);

export function concat(...parts: readonly Bytes[]): Bytes {
  let length = 0;
  for (const part of parts) length += part.length;
  const out = new Uint8Array(length);
  let at = 0;
  for (const part of parts) {
    out.set(part, at);
    at += part.length;
  }
  return out;
}

/** Equality in time that depends on the contents: never for secrets (`crypto/compare.ts` has that one). */
export function sameBytes(a: Bytes, b: Bytes): boolean {
  if (a.length !== b.length) return false;
  for (let i = 0; i < a.length; i++) if (a[i] !== b[i]) return false;
  return true;
}

/** Lexicographic order of octets; a proper prefix is lower (RFC 7296 §2.8.1 compares nonces so). */
export function compareBytes(a: Bytes, b: Bytes): number {
  const shared = Math.min(a.length, b.length);
  for (let i = 0; i < shared; i++) if (a[i] !== b[i]) return a[i]! - b[i]!;
  return a.length - b.length;
}

export function toHex(bytes: Bytes): string {
  let text = '';
  for (const octet of bytes) text += HEX[octet];
  return text;
}

/** Accepts upper and lower case, and separators (space, colon, new line) between octets; throws RangeError on anything else. */
export function fromHex(text: string): Bytes {
  const digits = text.replace(/[\s:]/g, '');
  if (digits.length % 2 !== 0 || /[^0-9a-fA-F]/.test(digits)) throw new RangeError('not a hexadecimal octet string');
  const out = new Uint8Array(digits.length / 2);
  for (let i = 0; i < out.length; i++) out[i] = Number.parseInt(digits.slice(2 * i, 2 * i + 2), 16);
  return out;
}

export const u16 = (b: Bytes, o: number): number => (b[o]! << 8) | b[o + 1]!;
export const u32 = (b: Bytes, o: number): number =>
  ((b[o]! << 24) | (b[o + 1]! << 16) | (b[o + 2]! << 8) | b[o + 3]!) >>> 0;

export function putU16(b: Bytes, o: number, value: number): void {
  b[o] = value >>> 8;
  b[o + 1] = value;
}

export function putU32(b: Bytes, o: number, value: number): void {
  b[o] = value >>> 24;
  b[o + 1] = value >>> 16;
  b[o + 2] = value >>> 8;
  b[o + 3] = value;
}

const HEX: readonly string[] = Array.from({ length: 256 }, (_, i) => i.toString(16).padStart(2, '0'));
