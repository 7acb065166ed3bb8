/**
 * The Internet checksum's sums by words of 32 bits: of octets where they stand, and of octets while they are copied.
 *
 * Read first: RFC 1071 §2 (the order of the words does not matter, carries may be deferred).
 * What a *sum* is, `checksum.ts` says. Limit: 65,535 octets, so that each half of the words adds up below 2^31.
 */

/** Adds the 16-bit words of [from, to); an odd last octet is the high half of a word. */
export function sumOctets(view: DataView, from: number, to: number): number {
  let high = 0;
  let low = 0;
  let at = from;
  for (; at <= to - 16; at += 16) {
    const a = view.getInt32(at);
    const b = view.getInt32(at + 4);
    const c = view.getInt32(at + 8);
    const d = view.getInt32(at + 12);
    high = (high + (a >>> 16) + (b >>> 16) + (c >>> 16) + (d >>> 16)) | 0;
    low = (low + (a & 0xffff) + (b & 0xffff) + (c & 0xffff) + (d & 0xffff)) | 0;
  }
  for (; at < to - 1; at += 2) low = (low + view.getUint16(at)) | 0;
  if (at < to) high = (high + (view.getUint8(at) << 8)) | 0;
  return high + low;
}

/** Copies `length` octets at `from` of `source` to `to` of `target`, which do not overlap, and gives their sum. */
export function copySum(source: DataView, from: number, target: DataView, to: number, length: number): number {
  let high = 0;
  let low = 0;
  let i = 0;
  for (; i <= length - 16; i += 16) {
    const a = source.getInt32(from + i);
    const b = source.getInt32(from + i + 4);
    const c = source.getInt32(from + i + 8);
    const d = source.getInt32(from + i + 12);
    target.setInt32(to + i, a);
    target.setInt32(to + i + 4, b);
    target.setInt32(to + i + 8, c);
    target.setInt32(to + i + 12, d);
    high = (high + (a >>> 16) + (b >>> 16) + (c >>> 16) + (d >>> 16)) | 0;
    low = (low + (a & 0xffff) + (b & 0xffff) + (c & 0xffff) + (d & 0xffff)) | 0;
  }
  for (; i < length - 1; i += 2) {
    const word = source.getUint16(from + i);
    target.setUint16(to + i, word);
    low = (low + word) | 0;
  }
  if (i < length) {
    const octet = source.getUint8(from + i);
    target.setUint8(to + i, octet);
    high = (high + (octet << 8)) | 0;
  }
  return high + low;
}
