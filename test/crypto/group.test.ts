import { getDiffieHellman } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { x448 } from '@noble/curves/ed448.js';
import { x25519 } from '@noble/curves/ed25519.js';
import { p256, p384, p521 } from '@noble/curves/nist.js';
import { describe, expect, test } from 'vitest';
import { type Bytes, concat, fromHex, parse, type Random, seededRandom, toHex } from '../../src/core/index.ts';
import { GROUPS, type Group, groupByWord } from '../../src/crypto/index.ts';

const kdf = (name: string) => JSON.parse(readFileSync(new URL(`../vectors/ike/kdf/${name}`, import.meta.url), 'utf8'));
const group = (word: string): Group => groupByWord(word)!;
const fixed =
  (octets: Bytes): Random =>
  () =>
    octets;
const number = (octets: Bytes): bigint => BigInt(`0x${toHex(octets)}`);
const numberOctets = (value: bigint, length: number): Bytes => fromHex(value.toString(16).padStart(2 * length, '0'));

function power(base: bigint, exponent: bigint, modulus: bigint): bigint {
  let result = 1n;
  for (let b = base, e = exponent; e > 0n; e >>= 1n, b = (b * b) % modulus) if (e & 1n) result = (result * b) % modulus;
  return result;
}

/** How many exchanges a group is worth: the large primes take milliseconds each. */
const rounds = (g: Group): number => (g.publicLength >= 512 && g.word.startsWith('modp') ? 3 : 20);

/** The INVALID_SYNTAX that RFC 6989 §2.5 names. */
const refusal = (problem: RegExp) => ({
  ok: false,
  error: { field: 'ke.publicValue', problem: expect.stringMatching(problem), answer: 7 },
});

describe.each(GROUPS)('$word', (g) => {
  test('both sides agree, in the lengths of the group, in plain octet strings', () => {
    for (let seed = 0; seed < rounds(g); seed++) {
      const random = seededRandom(seed);
      const [a, b] = [g.generate(random), g.generate(random)];
      const shared = a.agree(b.publicValue);
      expect(shared).toEqual(b.agree(a.publicValue));
      expect([a.publicValue.length, b.publicValue.length]).toEqual([g.publicLength, g.publicLength]);
      expect(shared.length).toBe(g.sharedLength);
      expect([a.publicValue, shared].map((octets) => octets.constructor)).toEqual([Uint8Array, Uint8Array]);
    }
  });

  test('the same octets give the same key, other octets another', () => {
    const [a, again, other] = [7, 7, 8].map((seed) => g.generate(seededRandom(seed)).publicValue);
    expect(a).toEqual(again);
    expect(a).not.toEqual(other);
  });

  test('keys made in between do not disturb one another', () => {
    const [a, b, c] = [1, 2, 3].map((seed) => g.generate(seededRandom(seed)));
    const [ab, cb] = [a!.agree(b!.publicValue), c!.agree(b!.publicValue)];
    expect(ab).not.toEqual(cb);
    expect(a!.agree(b!.publicValue)).toEqual(ab);
    expect(b!.agree(c!.publicValue)).toEqual(cb);
  });

  test('even a generator of nothing but zeros, or ones, gives a working key', () => {
    for (const octet of [0x00, 0xff]) {
      const pair = g.generate((length) => new Uint8Array(length).fill(octet));
      const peer = g.generate(seededRandom(1));
      expect(pair.agree(peer.publicValue)).toEqual(peer.agree(pair.publicValue));
    }
  });

  test('RFC 7296 §3.4: a public value of another length is refused', () => {
    const pair = g.generate(seededRandom(1));
    for (const length of [0, 1, g.publicLength - 1, g.publicLength + 1]) {
      expect(parse(() => pair.agree(new Uint8Array(length).fill(2)))).toMatchObject(refusal(/octets long/));
    }
    expect(parse(() => pair.agree(concat(Uint8Array.of(0), pair.publicValue)))).toMatchObject(refusal(/octets long/));
  });

  test('the private key shows nowhere', () => {
    expect(Object.keys(g.generate(seededRandom(1)))).toEqual(['publicValue', 'agree']);
  });
});

describe.each(GROUPS.filter((g) => g.word.startsWith('modp')))('$word', (g) => {
  const length = g.publicLength;
  const node = { 1024: 2, 1536: 5, 2048: 14, 3072: 15, 4096: 16, 6144: 17, 8192: 18 }[length * 8]!;
  const p = number(getDiffieHellman(`modp${node}`).getPrime());

  test('RFC 6989 §2.1: 1 < r < p-1', () => {
    const pair = g.generate(seededRandom(1));
    for (const r of [0n, 1n, p - 1n, p, p + 1n, (1n << BigInt(8 * length)) - 1n]) {
      expect(parse(() => pair.agree(numberOctets(r, length)))).toMatchObject(refusal(/between 1 and p-1/));
    }
    for (const r of [2n, p - 2n]) expect(pair.agree(numberOctets(r, length)).length).toBe(length);
  });

  test('equals the arithmetic written out, with an exponent of all the octets drawn', () => {
    let secret: Bytes = new Uint8Array(0);
    const pair = g.generate((n) => {
      secret = seededRandom(3)(n).slice();
      return secret.slice();
    });
    secret[0]! |= 0x80;
    expect(pair.publicValue).toEqual(numberOctets(power(2n, number(secret), p), length));
    const peer = g.generate(seededRandom(4)).publicValue;
    expect(pair.agree(peer)).toEqual(numberOctets(power(number(peer), number(secret), p), length));
  });
});

test('RFC 7296 §2.14: g^ir keeps its leading zeros, as does the public value', () => {
  const g = group('modp1024');
  const p = number(getDiffieHellman('modp2').getPrime());
  const seen = { shared: 0, publicValue: 0 };
  for (let seed = 0; seed < 2000 && (seen.shared === 0 || seen.publicValue === 0); seed++) {
    const octets = seededRandom(seed)(32);
    const pair = g.generate(fixed(octets));
    const secret = octets.slice();
    secret[0]! |= 0x80;
    const shared = pair.agree(numberOctets(3n, 128));
    if (pair.publicValue[0] === 0) {
      seen.publicValue++;
      expect(pair.publicValue).toEqual(numberOctets(power(2n, number(secret), p), 128));
    }
    if (shared[0] === 0) {
      seen.shared++;
      expect(shared).toEqual(numberOctets(power(3n, number(secret), p), 128));
    }
  }
  expect(Math.min(seen.shared, seen.publicValue)).toBeGreaterThan(0);
});

describe('RFC 5903', () => {
  const curves = { ecp256: p256, ecp384: p384, ecp521: p521 } as const;
  const words = ['ecp256', 'ecp384', 'ecp521'] as const;
  /** The key is made as (octets mod (n-1)) + 1, so i - 1 with eight zeros in front gives i. */
  const withSecret = (g: Group, i: bigint) => g.generate(fixed(numberOctets(i - 1n, g.sharedLength + 8)));

  test.each(kdf('rfc5903-ecp.json').cases as Record<string, string>[])('§8: group $group', (v) => {
    const g = GROUPS.find(({ id }) => id === Number(v.group))!;
    const [i, r] = [v.i!, v.r!].map((secret) => withSecret(g, BigInt(`0x${secret}`)));
    expect(toHex(i!.publicValue)).toBe(v.kei!.slice(16));
    expect(toHex(r!.publicValue)).toBe(v.ker!.slice(16));
    expect(toHex(i!.agree(r!.publicValue))).toBe(v.sharedSecretX);
    expect(toHex(r!.agree(i!.publicValue))).toBe(v.sharedSecretX);
  });

  test.each(words)('%s equals noble', (word) => {
    const g = group(word);
    const curve = curves[word];
    const length = g.sharedLength;
    const { n } = curve.Point.CURVE();
    for (let seed = 0; seed < 5; seed++) {
      const octets = seededRandom(seed)(length + 8);
      const secret = numberOctets((number(octets) % (n - 1n)) + 1n, length);
      const pair = g.generate(fixed(octets));
      expect(pair.publicValue).toEqual(curve.getPublicKey(secret, false).slice(1));
      const peer = g.generate(seededRandom(seed + 100)).publicValue;
      const shared = curve.getSharedSecret(secret, concat(Uint8Array.of(4), peer), false);
      expect(pair.agree(peer)).toEqual(shared.slice(1, 1 + length));
    }
  });

  test.each(words)('RFC 6989 §2.3: %s refuses what is no point of the curve', (word) => {
    const g = group(word);
    const length = g.sharedLength;
    const { p, Gx, Gy } = curves[word].Point.CURVE();
    const pair = g.generate(seededRandom(1));
    const point = (x: bigint, y: bigint): Bytes => concat(numberOctets(x, length), numberOctets(y, length));
    expect(pair.agree(point(Gx, Gy))).toEqual(pair.publicValue.slice(0, length));
    expect(pair.agree(point(Gx, p - Gy))).toEqual(pair.publicValue.slice(0, length));
    const wrong = [point(Gx, Gy + 1n), point(Gx + 1n, Gy), point(Gy, Gx), point(0n, 0n), point(p, Gy), point(Gx, p)];
    const outside = word === 'ecp521' ? [point(Gx + p, Gy), point(Gx, Gy + p)] : [];
    for (const value of [...wrong, ...outside]) {
      expect(parse(() => pair.agree(value))).toMatchObject(refusal(/not a point/));
    }
  });

  test('RFC 6989 §2.3: a coordinate not below p is refused even where its remainder would do', () => {
    // x = 5 is a coordinate of P-256, hence x + p < 2^256 + 5 names the same field element.
    const { p } = p256.Point.CURVE();
    const { x, y } = p256.Point.fromBytes(concat(Uint8Array.of(2), numberOctets(5n, 32)));
    const pair = group('ecp256').generate(seededRandom(1));
    expect(pair.agree(concat(numberOctets(x, 32), numberOctets(y, 32))).length).toBe(32);
    expect(parse(() => pair.agree(concat(numberOctets(x + p, 32), numberOctets(y, 32))))).toMatchObject(
      refusal(/not a point/),
    );
  });
});

describe('RFC 8031', () => {
  test.each(kdf('rfc8031-x25519.json').cases as Record<string, string>[])('appendix A: group $group', (v) => {
    const [i, r] = [v.randomI!, v.randomR!].map((secret) => group('x25519').generate(fixed(fromHex(secret))));
    expect([toHex(i!.publicValue), toHex(r!.publicValue)]).toEqual([v.pubI, v.pubR]);
    expect(toHex(i!.agree(r!.publicValue))).toBe(v.shared);
    expect(toHex(r!.agree(i!.publicValue))).toBe(v.shared);
  });

  test.each([
    ['curve25519', x25519],
    ['curve448', x448],
  ] as const)('%s equals noble, for non-canonical values too (§3.2)', (word, noble) => {
    const g = group(word);
    for (let seed = 0; seed < 10; seed++) {
      const octets = seededRandom(seed)(g.publicLength);
      const pair = g.generate(fixed(octets));
      expect(pair.publicValue).toEqual(noble.getPublicKey(octets));
      const peer = seededRandom(seed + 100)(g.publicLength);
      if (seed % 2 === 1) peer.fill(0xff, 1);
      expect(pair.agree(peer)).toEqual(noble.getSharedSecret(octets, peer));
    }
  });

  test('§3.2: the top bit of an X25519 value does not count', () => {
    const pair = group('curve25519').generate(seededRandom(1));
    const peer = group('curve25519').generate(seededRandom(2)).publicValue;
    const marked = peer.slice();
    marked[31]! |= 0x80;
    expect(pair.agree(marked)).toEqual(pair.agree(peer));
  });

  test('RFC 7748 §6: values of small order, which share nothing but zeros, are refused', () => {
    const small25519 = [
      '0000000000000000000000000000000000000000000000000000000000000000',
      '0100000000000000000000000000000000000000000000000000000000000000',
      'e0eb7a7c3b41b8ae1656e3faf19fc46ada098deb9c32b1fd866205165f49b800',
      '5f9c95bca3508c24b1d0b1559c83ef5b04445cc4581c8e86d8224eddd09f1157',
      'ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f',
      'edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f',
      'eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f',
    ];
    const pair = group('curve25519').generate(seededRandom(1));
    for (const hex of small25519) {
      const value = fromHex(hex);
      expect(parse(() => pair.agree(value))).toMatchObject(refusal(/small order/));
      value[31]! |= 0x80;
      expect(parse(() => pair.agree(value))).toMatchObject(refusal(/small order/));
    }
    // Curve448: 0, 1, p-1, p and p+1 with p = 2^448 - 2^224 - 1, little-endian.
    const p = (1n << 448n) - (1n << 224n) - 1n;
    const pair448 = group('curve448').generate(seededRandom(1));
    for (const value of [0n, 1n, p - 1n, p, p + 1n]) {
      expect(parse(() => pair448.agree(numberOctets(value, 56).reverse()))).toMatchObject(refusal(/small order/));
    }
  });
});
