/** Octets for the naive reference: copied, never shared; words by multiplication; checksums by adding one word after the other. */

export type Octets = Uint8Array;

export function concat(...parts: readonly (Octets | readonly number[])[]): Octets {
  const out = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0));
  let at = 0;
  for (const part of parts) {
    out.set(part, at);
    at += part.length;
  }
  return out;
}

export const hexOf = (octets: Octets): string =>
  Buffer.from(octets.buffer, octets.byteOffset, octets.length).toString('hex');

export const word = (octets: Octets, at: number): number => octets[at]! * 256 + octets[at + 1]!;
export const long = (octets: Octets, at: number): number => word(octets, at) * 65536 + word(octets, at + 2);
export const be16 = (value: number): number[] => [Math.floor(value / 256) % 256, value % 256];
export const be32 = (value: number): number[] => [...be16(Math.floor(value / 65536)), ...be16(value % 65536)];

/** A copy with other octets from `at` on. */
export function changed(octets: Octets, at: number, values: readonly number[] | Octets): Octets {
  const out = octets.slice();
  out.set(values, at);
  return out;
}

/** RFC 1071 §1: the one's complement sum of the words, the carry added at once. */
export function sum(octets: Octets, initial = 0): number {
  let total = initial;
  for (let at = 0; at < octets.length; at += 2) {
    total += octets[at]! * 256 + (octets[at + 1] ?? 0);
    if (total > 0xffff) total -= 0xffff;
  }
  return total;
}

export const checksum = (octets: Octets, initial = 0): number => 0xffff - sum(octets, initial);

/** RFC 1624 §3, equation 3: HC' = ~(~HC + ~m + m'). */
export function updated(before: number, from: number, to: number): number {
  let total = 0xffff - before + (0xffff - from) + to;
  while (total > 0xffff) total -= 0xffff;
  return 0xffff - total;
}

/** RFC 9293 §3.1, RFC 8200 §8.1: the sum of the pseudo header. */
export const pseudoSum = (source: Octets, destination: Octets, protocol: number, length: number): number =>
  sum(concat(source, destination, be32(length), be32(protocol)));

/** Addresses as numbers, to be compared. */
export const numberOf = (octets: Octets): bigint => BigInt(`0x${hexOf(octets)}`);

/** Whether an address lies in the network of a prefix. */
export function within(address: Octets, prefix: { readonly address: Octets; readonly length: number }): boolean {
  if (address.length !== prefix.address.length) return false;
  const host = BigInt(address.length * 8 - prefix.length);
  return numberOf(address) >> host === numberOf(prefix.address) >> host;
}
