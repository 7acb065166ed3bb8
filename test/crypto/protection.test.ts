import { describe, expect, test } from 'vitest';
import {
  type Encryption,
  encryptionByWord,
  integrityByWord,
  NO_ESN,
  nobleEngine,
  nodeEngine,
  protection,
  SUITES,
} from '../../src/crypto/index.ts';
import { type Algorithms, frame, keysOf, untouchedAround } from './suite.ts';

const LONG = [128, 255, 256, 1000, 1400, 9000];
const lengthsOf = ({ blockSize }: Encryption): readonly number[] =>
  [...Array.from({ length: 71 }, (_, i) => i), ...LONG].filter((length) => length % blockSize === 0);

/** RFC 4303 §2.2.1: the high half counts too; 0 is a valid one and differs from having none. */
const HIGHS = [NO_ESN, 0, 1, 0xffffffff];

describe.each(SUITES)('$word', (suite) => {
  const { encryption, integrity } = suite;
  const keys = keysOf(suite, 1);
  const node = nodeEngine.protection(encryption, integrity, keys);

  test('the node engine has it, and states the lengths of the transforms', () => {
    expect(nodeEngine.supports(encryption, integrity)).toBe(true);
    expect(node).toMatchObject({
      ivLength: encryption.ivLength,
      ivKind: encryption.ivKind,
      blockSize: encryption.blockSize,
      icvLength: integrity?.icvLength ?? encryption.icvLength,
    });
  });

  test('opens what it sealed, for every length and sequence number width', () => {
    for (const length of lengthsOf(encryption)) {
      for (const high of [NO_ESN, HIGHS[length % HIGHS.length]!]) {
        const f = frame(suite, 8, length, length);
        const before = f.buf.slice();
        node.seal(f.buf, f.from, f.iv, f.end, high);
        expect(f.buf.subarray(0, f.iv + encryption.ivLength)).toEqual(before.subarray(0, f.iv + encryption.ivLength));
        expect(node.open(f.buf, f.from, f.iv, f.end, high)).toBe(true);
        expect(f.buf.subarray(0, f.end)).toEqual(before.subarray(0, f.end));
        expect(untouchedAround(f)).toBe(true);
      }
    }
  });

  test('refuses a change in header, IV, ciphertext or ICV, and another high half', () => {
    for (const [length, high] of [
      [0, NO_ESN],
      [0, 7],
      [48, NO_ESN],
      [48, 7],
    ] as const) {
      const f = frame(suite, 8, length, 3);
      node.seal(f.buf, f.from, f.iv, f.end, high);
      for (let at = f.from; at < f.stop; at++) {
        const changed = f.buf.slice();
        changed[at]! ^= 1 << (at & 7);
        expect(node.open(changed, f.from, f.iv, f.end, high)).toBe(false);
      }
      for (const other of [NO_ESN, 0, 6, 8].filter((candidate) => candidate !== high)) {
        expect(node.open(f.buf.slice(), f.from, f.iv, f.end, other)).toBe(false);
      }
    }
  });

  test('shows numbers, words and functions, and no octets of a key', () => {
    expect(Object.values(node).map((value) => typeof value)).not.toContain('object');
  });
});

describe.each(SUITES.filter((suite) => suite.encryption.word !== '3des'))('node against noble: $word', (suite) => {
  const { encryption, integrity } = suite;
  const keys = keysOf(suite, 2);
  const node = nodeEngine.protection(encryption, integrity, keys);
  const noble = nobleEngine.protection(encryption, integrity, keys);
  const lengths = lengthsOf(encryption).filter((length) => length <= 70 || length === 1400);

  test('writes the same octets, and each opens the other', () => {
    for (const length of lengths) {
      const high = HIGHS[length % HIGHS.length]!;
      const ours = frame(suite, 8, length, length);
      const theirs = { ...ours, buf: ours.buf.slice() };
      const plain = ours.buf.slice();
      node.seal(ours.buf, ours.from, ours.iv, ours.end, high);
      noble.seal(theirs.buf, theirs.from, theirs.iv, theirs.end, high);
      expect(ours.buf).toEqual(theirs.buf);
      expect(node.open(theirs.buf, ours.from, ours.iv, ours.end, high)).toBe(true);
      expect(noble.open(ours.buf, ours.from, ours.iv, ours.end, high)).toBe(true);
      expect(ours.buf).toEqual(theirs.buf);
      expect(ours.buf.subarray(0, ours.end)).toEqual(plain.subarray(0, ours.end));
    }
  });

  test('RFC 5282 §5.1, RFC 7296 §3.14: an IKE message authenticates any length of header', () => {
    for (const header of [32, 36, 40, 33, 300]) {
      const ours = frame(suite, header, 64, header);
      const theirs = { ...ours, buf: ours.buf.slice() };
      node.seal(ours.buf, ours.from, ours.iv, ours.end, NO_ESN);
      noble.seal(theirs.buf, theirs.from, theirs.iv, theirs.end, NO_ESN);
      expect(ours.buf).toEqual(theirs.buf);
      expect(noble.open(ours.buf, ours.from, ours.iv, ours.end, NO_ESN)).toBe(true);
    }
  });

  test('noble refuses a change too', () => {
    const f = frame(suite, 8, 16, 9);
    noble.seal(f.buf, f.from, f.iv, f.end, NO_ESN);
    for (const at of [f.from, f.iv, f.iv + encryption.ivLength, f.end, f.stop - 1]) {
      const changed = f.buf.slice();
      changed[at]! ^= 0x80;
      expect(noble.open(changed, f.from, f.iv, f.end, NO_ESN)).toBe(false);
    }
  });
});

test('RFC 3610 §2.2: CCM with more than 65,279 octets of additional data', () => {
  const suite: Algorithms = { encryption: encryptionByWord('aes128ccm16')!, integrity: undefined };
  const keys = keysOf(suite, 4);
  const f = frame(suite, 0xff00, 40, 4);
  const g = { ...f, buf: f.buf.slice() };
  nodeEngine.protection(suite.encryption, undefined, keys).seal(f.buf, f.from, f.iv, f.end, NO_ESN);
  nobleEngine.protection(suite.encryption, undefined, keys).seal(g.buf, g.from, g.iv, g.end, NO_ESN);
  expect(f.buf).toEqual(g.buf);
});

test('noble has every suite but those of 3DES, which comes from node alone', () => {
  const missing = SUITES.filter(({ encryption, integrity }) => !nobleEngine.supports(encryption, integrity));
  expect(new Set(missing.map(({ encryption }) => encryption.word))).toEqual(new Set(['3des']));
});

describe('protection', () => {
  const gcm = encryptionByWord('aes128gcm16')!;
  const cbc = encryptionByWord('aes128')!;
  const sha256 = integrityByWord('sha256')!;
  const none = new Uint8Array(0);

  test('RFC 7296 §3.3: an AEAD takes no integrity, any other cipher needs one', () => {
    expect(() => protection(gcm, sha256, { encryption: new Uint8Array(20), integrity: new Uint8Array(32) })).toThrow();
    expect(() => protection(cbc, undefined, { encryption: new Uint8Array(16), integrity: none })).toThrow();
  });

  test('a key of another length is a bug of ours', () => {
    expect(() => protection(gcm, undefined, { encryption: new Uint8Array(16), integrity: none })).toThrow(
      'the encryption key',
    );
    expect(() => protection(cbc, sha256, { encryption: new Uint8Array(16), integrity: new Uint8Array(16) })).toThrow(
      'the integrity key',
    );
  });

  test('a later change of the key octets changes nothing', () => {
    const suite: Algorithms = { encryption: cbc, integrity: sha256 };
    const keys = keysOf(suite, 5);
    const p = protection(cbc, sha256, keys);
    const f = frame(suite, 8, 32, 5);
    p.seal(f.buf, f.from, f.iv, f.end, NO_ESN);
    keys.encryption.fill(0);
    keys.integrity.fill(0);
    expect(p.open(f.buf, f.from, f.iv, f.end, NO_ESN)).toBe(true);
  });
});
