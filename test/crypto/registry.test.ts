import { describe, expect, test } from 'vitest';
import {
  ENCRYPTIONS,
  encryptionById,
  encryptionByWord,
  GROUPS,
  groupById,
  groupByWord,
  INTEGRITIES,
  integrityById,
  integrityByWord,
  PRFS,
  prfById,
  prfByWord,
} from '../../src/crypto/index.ts';

/** IANA "IKEv2 Parameters", transform type 1: id, key bits, word, key | salt | IV | ICV octets. */
test('encryption: the table', () => {
  const rows = ENCRYPTIONS.map((e) => [
    e.id,
    e.keyBits ?? 0,
    e.word,
    e.keyLength,
    e.saltLength,
    e.ivLength,
    e.icvLength,
  ]);
  const aes = (id: number, suffix: string, salt: number, iv: number, icv: number) =>
    [256, 192, 128].map((bits) => [id, bits, `aes${bits}${suffix}`, bits / 8, salt, iv, icv]);
  const byId = (a: (string | number)[], b: (string | number)[]): number => Number(a[0]) - Number(b[0]);
  expect(rows.sort(byId)).toEqual([
    [3, 0, '3des', 24, 0, 8, 0],
    [11, 0, 'null', 0, 0, 0, 0],
    ...aes(12, '', 0, 16, 0),
    ...aes(13, 'ctr', 4, 8, 0),
    ...aes(14, 'ccm8', 3, 8, 8),
    ...aes(15, 'ccm12', 3, 8, 12),
    ...aes(16, 'ccm16', 3, 8, 16),
    ...aes(18, 'gcm8', 4, 8, 8),
    ...aes(19, 'gcm12', 4, 8, 12),
    ...aes(20, 'gcm16', 4, 8, 16),
    [28, 0, 'chacha20poly1305', 32, 4, 8, 16],
  ]);
});

test('integrity, PRF and group: the tables', () => {
  expect(INTEGRITIES.map((i) => [i.id, i.word, i.keyLength, i.icvLength])).toEqual([
    [12, 'sha256', 32, 16],
    [13, 'sha384', 48, 24],
    [14, 'sha512', 64, 32],
    [5, 'aesxcbc', 16, 12],
    [8, 'aescmac', 16, 12],
    [2, 'sha1', 20, 12],
  ]);
  expect(PRFS.map((p) => [p.id, p.word, p.name, p.keyLength, p.outputLength, p.fixedKey])).toEqual([
    [5, 'prfsha256', 'PRF_HMAC_SHA2_256', 32, 32, false],
    [6, 'prfsha384', 'PRF_HMAC_SHA2_384', 48, 48, false],
    [7, 'prfsha512', 'PRF_HMAC_SHA2_512', 64, 64, false],
    [4, 'prfaesxcbc', 'PRF_AES128_XCBC', 16, 16, true],
    [8, 'prfaescmac', 'PRF_AES128_CMAC', 16, 16, true],
    [2, 'prfsha1', 'PRF_HMAC_SHA1', 20, 20, false],
  ]);
  expect(GROUPS.map((g) => [g.id, g.word, g.publicLength, g.sharedLength]).sort((a, b) => +a[0]! - +b[0]!)).toEqual([
    [2, 'modp1024', 128, 128],
    [5, 'modp1536', 192, 192],
    [14, 'modp2048', 256, 256],
    [15, 'modp3072', 384, 384],
    [16, 'modp4096', 512, 512],
    [17, 'modp6144', 768, 768],
    [18, 'modp8192', 1024, 1024],
    [19, 'ecp256', 64, 32],
    [20, 'ecp384', 96, 48],
    [21, 'ecp521', 132, 66],
    [31, 'curve25519', 32, 32],
    [32, 'curve448', 56, 56],
  ]);
});

test('RFC 8221, RFC 8247: what is legacy, what is for ESP only, what needs an unpredictable IV', () => {
  const all = [...ENCRYPTIONS, ...INTEGRITIES, ...PRFS, ...GROUPS];
  expect(all.filter(({ legacy }) => legacy).map(({ word }) => word)).toEqual([
    '3des',
    'sha1',
    'prfsha1',
    'modp1536',
    'modp1024',
  ]);
  expect(ENCRYPTIONS.filter(({ espOnly }) => espOnly).map(({ word }) => word)).toEqual(['null']);
  const unpredictable = ENCRYPTIONS.filter(({ ivKind }) => ivKind === 'unpredictable');
  expect(unpredictable.map(({ word, blockSize }) => [word, blockSize])).toEqual([
    ['aes256', 16],
    ['aes192', 16],
    ['aes128', 16],
    ['3des', 8],
  ]);
});

describe('lookup', () => {
  test('every row is found by its id and by its word', () => {
    for (const e of ENCRYPTIONS) expect([encryptionById(e.id, e.keyBits), encryptionByWord(e.word)]).toEqual([e, e]);
    for (const i of INTEGRITIES) expect([integrityById(i.id), integrityByWord(i.word)]).toEqual([i, i]);
    for (const p of PRFS) expect([prfById(p.id), prfByWord(p.word)]).toEqual([p, p]);
    for (const g of GROUPS) expect([groupById(g.id), groupByWord(g.word)]).toEqual([g, g]);
  });

  test('RFC 7296 §3.3.5: a Key Length that is missing, forbidden or unknown names no transform', () => {
    expect(encryptionById(20, undefined)).toBeUndefined();
    expect(encryptionById(20, 64)).toBeUndefined();
    expect(encryptionById(28, 256)).toBeUndefined();
    expect(encryptionById(3, 192)).toBeUndefined();
    expect([encryptionById(2, undefined), integrityById(1), prfById(1), groupById(1)]).toEqual(
      Array(4).fill(undefined),
    );
  });

  test.each([
    ['aes', 'aes128'],
    ['aes128gcm128', 'aes128gcm16'],
    ['aes256gcm96', 'aes256gcm12'],
    ['aes192gcm64', 'aes192gcm8'],
    ['aes256ccm128', 'aes256ccm16'],
    ['aes128ccm64', 'aes128ccm8'],
  ])('strongSwan: %s is %s', (alias, word) => expect(encryptionByWord(alias)?.word).toBe(word));

  test('strongSwan: other spellings of hashes and curves', () => {
    expect([integrityByWord('sha'), integrityByWord('sha2_256')].map((i) => i?.word)).toEqual(['sha1', 'sha256']);
    expect(prfByWord('prfsha2_512')?.word).toBe('prfsha512');
    expect([groupByWord('x25519'), groupByWord('x448')].map((g) => g?.id)).toEqual([31, 32]);
  });

  test.each(['', 'gcm16', 'aes128gcm', 'aes128gcm24', 'aes512', 'md5', 'modp768', 'x2551', 'AES128', 'constructor'])(
    'no transform is called %j',
    (word) => {
      const found = [encryptionByWord(word), integrityByWord(word), prfByWord(word), groupByWord(word)];
      expect(found).toEqual([undefined, undefined, undefined, undefined]);
    },
  );
});
