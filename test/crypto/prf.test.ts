import { readFileSync } from 'node:fs';
import { cmac, ecb } from '@noble/ciphers/aes.js';
import { hmac } from '@noble/hashes/hmac.js';
import { sha1 } from '@noble/hashes/legacy.js';
import { sha256, sha384, sha512 } from '@noble/hashes/sha2.js';
import { describe, expect, test } from 'vitest';
import { type Bytes, concat, fromHex, seededRandom, toHex } from '../../src/core/index.ts';
import { PRFS, type Prf, prfByWord, prfPlus } from '../../src/crypto/index.ts';

const kdf = (name: string) => JSON.parse(readFileSync(new URL(`../vectors/ike/kdf/${name}`, import.meta.url), 'utf8'));
const prf = (word: string): Prf => prfByWord(word)!;
const compute = (word: string, key: string, message: string): string =>
  toHex(prf(word).compute(fromHex(key), fromHex(message)));

interface AesCase {
  readonly key: string;
  readonly message: string;
  readonly output: string;
}

const aes = kdf('rfc4434-4615-prf.json') as { aesXcbcPrf128: AesCase[]; aesCmacPrf128: AesCase[] };

test.each(aes.aesXcbcPrf128)('RFC 4434 §2.1: key $key', ({ key, message, output }) => {
  expect(compute('prfaesxcbc', key, message)).toBe(output);
});

test.each(aes.aesCmacPrf128)('RFC 4615 §4: key $key', ({ key, message, output }) => {
  expect(compute('prfaescmac', key, message)).toBe(output);
});

const sha2 = kdf('rfc4868-hmac-sha2.json').cases as Record<string, string>[];

test.each(sha2.filter(({ id }) => id!.startsWith('PRF')))('RFC 4868 §2.7.1: $id', (v) => {
  for (const bits of [256, 384, 512]) expect(compute(`prfsha${bits}`, v.Key!, v.Data!)).toBe(v[`PRF-HMAC-SHA-${bits}`]);
});

/** Second implementations, for keys and data of every length. */
const REFERENCE: Record<string, (key: Bytes, data: Bytes) => Bytes> = {
  prfsha1: (key, data) => hmac(sha1, key, data),
  prfsha256: (key, data) => hmac(sha256, key, data),
  prfsha384: (key, data) => hmac(sha384, key, data),
  prfsha512: (key, data) => hmac(sha512, key, data),
  prfaescmac: (key, data) => cmac(data, key.length === 16 ? key : cmac(key, new Uint8Array(16))),
  prfaesxcbc: (key, data) => {
    if (key.length > 16) return xcbc(xcbc(new Uint8Array(16), key), data);
    return xcbc(concat(key, new Uint8Array(16 - key.length)), data);
  },
};

/** RFC 3566 §4.2, block by block. */
function xcbc(key: Bytes, data: Bytes): Bytes {
  const block = (k: Bytes, input: Bytes): Bytes => ecb(k, { disablePadding: true }).encrypt(input);
  const xor = (a: Bytes, b: Bytes): Bytes => a.map((octet, i) => octet ^ b[i]!);
  const [k1, k2, k3] = [1, 2, 3].map((octet) => block(key, new Uint8Array(16).fill(octet)));
  let e: Bytes = new Uint8Array(16);
  let at = 0;
  for (; data.length - at > 16; at += 16) e = block(k1!, xor(data.subarray(at, at + 16), e));
  const last = data.subarray(at);
  if (last.length === 16) return block(k1!, xor(xor(last, e), k2!));
  return block(k1!, xor(xor(concat(last, Uint8Array.of(0x80), new Uint8Array(15 - last.length)), e), k3!));
}

describe.each(PRFS)('$word', (p) => {
  test('is one function of its data, however they are divided, and gives plain octet strings', () => {
    const random = seededRandom(1);
    for (const keyLength of [0, 1, 15, 16, 17, 32, 64, 65, 200]) {
      const key = random(keyLength);
      const data = random(keyLength + 40);
      const whole = p.compute(key, data);
      expect(whole.length).toBe(p.outputLength);
      expect(whole.constructor).toBe(Uint8Array);
      expect(p.compute(key, data.subarray(0, 7), data.subarray(7, 7), data.subarray(7))).toEqual(whole);
    }
  });

  test('equals its reference over noble for keys and data of every length to 70', () => {
    const random = seededRandom(2);
    for (let length = 0; length <= 70; length++) {
      const [key, data] = [random(length), random(70 - length)];
      expect(p.compute(key, data)).toEqual(REFERENCE[p.word]!(key, data));
    }
  });

  test('RFC 7296 §2.13: T1 = prf(K, S | 1), Tn = prf(K, Tn-1 | S | n), cut at any length', () => {
    const [key, seed] = [seededRandom(3)(p.keyLength), seededRandom(4)(64)];
    const t1 = p.compute(key, concat(seed, Uint8Array.of(1)));
    const t2 = p.compute(key, concat(t1, seed, Uint8Array.of(2)));
    const t3 = p.compute(key, concat(t2, seed, Uint8Array.of(3)));
    const expected = concat(t1, t2, t3);
    for (let length = 0; length <= expected.length; length++) {
      expect(prfPlus(p, key, seed, length)).toEqual(expected.subarray(0, length));
    }
  });

  test('RFC 7296 §2.13: prf+ ends after 255 blocks', () => {
    const key = seededRandom(3)(p.keyLength);
    const most = prfPlus(p, key, key, 255 * p.outputLength);
    const last = most.subarray(-p.outputLength);
    const before = most.subarray(-2 * p.outputLength, -p.outputLength);
    expect(last).toEqual(p.compute(key, before, key, Uint8Array.of(255)));
    expect(() => prfPlus(p, key, key, 255 * p.outputLength + 1)).toThrow('255');
  });
});
