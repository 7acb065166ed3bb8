/**
 * Randomness is an argument everywhere: `Random` gives n fresh octets. `runtime/` passes the operating system's generator;
 * tests and the lab pass a seeded one, so that every run can be repeated.
 */
import type { Bytes } from './bytes.ts';
import { putU32 } from './bytes.ts';

export type Random = (length: number) => Bytes;

/** xoshiro128** seeded through splitmix32. Repeatable, well mixed, and not for secrets of real systems. */
export function seededRandom(seed: number): Random {
  const next = seededU32(seed);
  return (length) => {
    const out = new Uint8Array((length + 3) & ~3);
    for (let o = 0; o < out.length; o += 4) putU32(out, o, next());
    return out.subarray(0, length);
  };
}

/** The generator under `seededRandom`, one unsigned 32-bit number a call. */
export function seededU32(seed: number): () => number {
  let mix = seed | 0;
  const split = (): number => {
    mix = (mix + 0x9e3779b9) | 0;
    let z = mix ^ (mix >>> 16);
    z = Math.imul(z, 0x21f0aaad);
    z ^= z >>> 15;
    z = Math.imul(z, 0x735a2d97);
    return (z ^ (z >>> 15)) >>> 0;
  };
  let [a, b, c, d] = [split(), split(), split(), split()];
  return () => {
    const result = Math.imul(rotate(Math.imul(b, 5), 7), 9) >>> 0;
    const t = b << 9;
    c ^= a;
    d ^= b;
    b ^= c;
    a ^= d;
    c ^= t;
    d = rotate(d, 11);
    return result;
  };
}

/** A number in [0, 1) drawn from `random`; for jitter and choices, 32 bits of resolution. */
export function fraction(random: Random): number {
  const b = random(4);
  return (((b[0]! << 24) | (b[1]! << 16) | (b[2]! << 8) | b[3]!) >>> 0) / 0x1_0000_0000;
}

const rotate = (x: number, n: number): number => (x << n) | (x >>> (32 - n));
