/**
 * The hash of the tables, which nobody can aim at without knowing its keys.
 *
 * Two sums of products of 16-bit pieces with secret 32-bit keys, of which the upper halves are taken: strongly universal
 * (M. Dietzfelbinger 1996; D. Lemire, O. Kaser 2014, "multilinear"), so that any two flows collide with a chance of 2^-32
 * over the choice of keys, however they were chosen. A bijective mix behind it breaks up the patterns of neighbouring
 * ports, which linear probing would feel.
 */
import { type Random, u32 } from '../core/index.ts';

/** Secret keys, drawn once a NAT. */
export type HashKeys = Int32Array;

export function drawHashKeys(random: Random): HashKeys {
  const octets = random(4 * KEYS);
  return Int32Array.from({ length: KEYS }, (_, i) => u32(octets, 4 * i));
}

/** All 32 bits are good, as a signed number. Ports and protocol have 16 bits. */
export function keyedHash(
  k: HashKeys,
  address: number,
  port: number,
  protocol: number,
  otherAddress: number,
  otherPort: number,
): number {
  const high = address >>> 16;
  const low = address & 0xffff;
  const otherHigh = otherAddress >>> 16;
  const otherLow = otherAddress & 0xffff;
  const a =
    (Math.imul(k[0]!, high) +
      Math.imul(k[1]!, low) +
      Math.imul(k[2]!, port) +
      Math.imul(k[3]!, protocol) +
      Math.imul(k[4]!, otherHigh) +
      Math.imul(k[5]!, otherLow) +
      Math.imul(k[6]!, otherPort) +
      k[7]!) |
    0;
  const b =
    (Math.imul(k[8]!, high) +
      Math.imul(k[9]!, low) +
      Math.imul(k[10]!, port) +
      Math.imul(k[11]!, protocol) +
      Math.imul(k[12]!, otherHigh) +
      Math.imul(k[13]!, otherLow) +
      Math.imul(k[14]!, otherPort) +
      k[15]!) |
    0;
  return mix((a & 0xffff_0000) | (b >>> 16));
}

/** The finalizer of MurmurHash3: every bit of the result depends on every bit of `h`. */
function mix(h: number): number {
  let x = Math.imul(h ^ (h >>> 16), 0x85eb_ca6b);
  x = Math.imul(x ^ (x >>> 13), 0xc2b2_ae35);
  return x ^ (x >>> 16);
}

const KEYS = 16;
