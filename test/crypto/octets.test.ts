import { describe, expect, test } from 'vitest';
import { fromHex, toHex } from '../../src/core/index.ts';
import { equalSecret, hmacSha256, sha1, sha256, systemRandom } from '../../src/crypto/index.ts';

const text = (words: string) => new TextEncoder().encode(words);

describe('digests', () => {
  test('FIPS 180-4: "abc", whole and in parts, as plain octet strings', () => {
    for (const parts of [[text('abc')], [text('a'), text(''), text('bc')]]) {
      expect(toHex(sha1(...parts))).toBe('a9993e364706816aba3e25717850c26c9cd0d89d');
      expect(toHex(sha256(...parts))).toBe('ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad');
    }
    expect(sha1().length).toBe(20);
    expect(sha256(text('abc')).constructor).toBe(Uint8Array);
  });

  test('RFC 4231 §4.3: HMAC-SHA-256', () => {
    const mac = hmacSha256(text('Jefe'), text('what do ya want '), text('for nothing?'));
    expect(toHex(mac)).toBe('5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843');
  });
});

test('equalSecret compares octets, and lengths first', () => {
  expect(equalSecret(fromHex('0102'), fromHex('0102'))).toBe(true);
  expect(equalSecret(fromHex('0102'), fromHex('0103'))).toBe(false);
  expect(equalSecret(fromHex('0102'), fromHex('010200'))).toBe(false);
  expect(equalSecret(fromHex(''), fromHex(''))).toBe(true);
});

test('systemRandom gives as many fresh octets as asked for', () => {
  expect([0, 1, 32, 4096].map((length) => systemRandom(length).length)).toEqual([0, 1, 32, 4096]);
  expect(systemRandom(32)).not.toEqual(systemRandom(32));
  expect(systemRandom(8).constructor).toBe(Uint8Array);
});
