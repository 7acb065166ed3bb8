/** Published octets through the protections: what the suites must write, not only that the engines agree. */
import { readdirSync, readFileSync } from 'node:fs';
import { describe, expect, test } from 'vitest';
import { type Bytes, concat, fromHex, toHex, u32 } from '../../src/core/index.ts';
import {
  ENGINES,
  type Encryption,
  encryptionById,
  encryptionByWord,
  integrityById,
  integrityByWord,
  NO_ESN,
  protection,
} from '../../src/crypto/index.ts';

const vectors = (name: string) => JSON.parse(readFileSync(new URL(`../vectors/ike/${name}`, import.meta.url), 'utf8'));
const NONE = new Uint8Array(0);

describe.each(ENGINES)('the $name engine', (engine) => {
  /** Both ways through an AEAD: sealing gives `sealed`, opening gives the plaintext back. */
  function check(
    encryption: Encryption,
    key: Bytes,
    header: Bytes,
    iv: Bytes,
    text: Bytes,
    high: number,
    sealed: Bytes,
  ) {
    const p = engine.protection(encryption, undefined, { encryption: key, integrity: NONE });
    const buf = concat(header, iv, text, new Uint8Array(p.icvLength));
    const end = buf.length - p.icvLength;
    p.seal(buf, 0, header.length, end, high);
    expect(toHex(buf.subarray(header.length + iv.length))).toBe(toHex(sealed));
    expect(p.open(buf, 0, header.length, end, high)).toBe(true);
    expect(toHex(buf.subarray(header.length + iv.length, end))).toBe(toHex(text));
  }

  test.each(vectors('esp/draft-mcgrew-gcm-test-01.json').cases as (Record<string, string> & { esn: boolean })[])(
    'RFC 4106: AES-GCM in ESP, case $id',
    (v) => {
      const key = concat(fromHex(v.key!), fromHex(v.salt!));
      const header = fromHex(v.espPacket!).subarray(0, 8);
      const high = v.esn ? u32(fromHex(v.seqOrEsn!), 0) : NO_ESN;
      const encryption = encryptionById(20, (key.length - 4) * 8)!;
      const [iv, text] = [fromHex(v.iv!), fromHex(v.plaintextWithTrailer!)];
      check(encryption, key, header, iv, text, high, fromHex(v.ciphertextAndIcv!));
    },
  );

  const chacha = vectors('esp/rfc7634-chacha20poly1305.json') as Record<'esp' | 'ikev2', Record<string, string>>;

  test('RFC 7634 appendix A: ChaCha20-Poly1305 in ESP', () => {
    const v = chacha.esp;
    const header = concat(fromHex(v.spi!), Uint8Array.of(0, 0, 0, Number(v.seq)));
    const sealed = fromHex(v.ciphertext! + v.tag!);
    const encryption = encryptionByWord('chacha20poly1305')!;
    check(encryption, fromHex(v.keymat!), header, fromHex(v.iv!), fromHex(v.plaintext!), NO_ESN, sealed);
  });

  test('RFC 7634 appendix B: ChaCha20-Poly1305 in IKE', () => {
    const v = chacha.ikev2;
    const sealed = fromHex(v.ciphertext! + v.tag!);
    const encryption = encryptionByWord('chacha20poly1305')!;
    check(encryption, fromHex(v.keymat!), fromHex(v.aad!), fromHex(v.iv!), fromHex(v.plaintext!), NO_ESN, sealed);
  });

  /** The ciphertext a cipher leaves in the packet, whatever the integrity algorithm. */
  function encrypted(encryption: Encryption, key: Bytes, iv: Bytes, text: Bytes): string {
    const integrity = integrityByWord('sha256')!;
    const p = engine.protection(encryption, integrity, { encryption: key, integrity: new Uint8Array(32) });
    const buf = concat(new Uint8Array(8), iv, text, new Uint8Array(p.icvLength));
    const end = buf.length - p.icvLength;
    p.seal(buf, 0, 8, end, NO_ESN);
    const ciphertext = toHex(buf.subarray(8 + iv.length, end));
    expect(p.open(buf, 0, 8, end, NO_ESN)).toBe(true);
    expect(toHex(buf.subarray(8 + iv.length, end))).toBe(toHex(text));
    return ciphertext;
  }

  test.each(vectors('esp/rfc3602-aes-cbc.json').cases as Record<string, string>[])('RFC 3602 §4: case $id', (v) => {
    const text = v.plaintext ?? v.preEncryption!;
    const ciphertext = v.ciphertext ?? v.encrypted!;
    expect(encrypted(encryptionById(12, 128)!, fromHex(v.key!), fromHex(v.iv!), fromHex(text))).toBe(ciphertext);
  });

  test.each(vectors('esp/rfc3686-aes-ctr.json').cases as Record<string, string>[])('RFC 3686 §6: case $id', (v) => {
    const key = fromHex(v.key!);
    const encryption = encryptionById(13, key.length * 8)!;
    const salted = concat(key, fromHex(v.nonce!));
    expect(encrypted(encryption, salted, fromHex(v.iv!), fromHex(v.plaintext!))).toBe(v.ciphertext);
  });

  /** The ICV over `message`, with the NULL cipher around it. */
  function icv(word: string, key: Bytes, message: Bytes): string {
    const p = engine.protection(encryptionByWord('null')!, integrityByWord(word)!, {
      encryption: NONE,
      integrity: key,
    });
    const buf = concat(message, new Uint8Array(p.icvLength));
    p.seal(buf, 0, 0, message.length, NO_ESN);
    expect(toHex(buf.subarray(0, message.length))).toBe(toHex(message));
    return toHex(buf.subarray(message.length));
  }

  const sha2 = vectors('kdf/rfc4868-hmac-sha2.json').cases as Record<string, string>[];
  const authOf = (v: Record<string, string>) => Object.entries(v).find(([name]) => /^AUTH-HMAC-SHA-/.test(name));

  test.each(sha2.filter((v) => authOf(v) !== undefined))('RFC 4868 §2.7.2: $id', (v) => {
    const [name, expected] = authOf(v)!;
    const bits = /SHA-(\d+)/.exec(name)![1];
    const { keyLength, icvLength } = integrityByWord(`sha${bits}`)!;
    expect(fromHex(v.Key!).length).toBe(keyLength);
    expect(icv(`sha${bits}`, fromHex(v.Key!), fromHex(v.Data!))).toBe(expected.slice(0, 2 * icvLength));
  });

  /** RFC 3566 §4.6; AES-XCBC-MAC-96 is the first 96 bits. */
  test.each([
    [0, '75f0251d528ac01c4573dfd584d79f29'],
    [3, '5b376580ae2f19afe7219ceef172756f'],
    [16, 'd2a246fa349b68a79998a4394ff7a263'],
    [20, '47f51b4564966215b8985c63055ed308'],
    [32, 'f54f0ec8d2b9f3d36807734bd5283fd4'],
    [34, 'becbb3bccdb518a30677d5481fb6b4d8'],
  ])('RFC 3566 §4.6: %i octets', (length, mac) => {
    const counting = (n: number) => Uint8Array.from({ length: n }, (_, i) => i);
    expect(icv('aesxcbc', counting(16), counting(length))).toBe(mac.slice(0, 24));
  });

  /** RFC 4493 §4, whose first 96 bits are RFC 4494 §4's. */
  test.each([
    [0, 'bb1d6929e95937287fa37d129b756746'],
    [16, '070a16b46b4d4144f79bdd9dd04a287c'],
    [40, 'dfa66747de9ae63030ca32611497c827'],
    [64, '51f0bebf7e3b9d92fc49741779363cfe'],
  ])('RFC 4494 §4: %i octets', (length, mac) => {
    const message = fromHex(
      '6bc1bee22e409f96e93d7e117393172aae2d8a571e03ac9c9eb76fac45af8e51' +
        '30c81c46a35ce411e5fbc1191a0a52eff69f2445df4f9b17ad2b417be66c3710',
    ).subarray(0, length);
    expect(icv('aescmac', fromHex('2b7e151628aed2a6abf7158809cf4f3c'), message)).toBe(mac.slice(0, 24));
  });

  /** RFC 2202 §3, cases 1, 3, 5 with keys of twenty octets. */
  test.each([
    ['0b'.repeat(20), '4869205468657265', 'b617318655057264e28bc0b6fb378c8ef146be00'],
    ['aa'.repeat(20), 'dd'.repeat(50), '125d7342b9ac11cd91a39af48aa17b4f63f175d3'],
    ['0c'.repeat(20), '546573742057697468205472756e636174696f6e', '4c1a03424b55e07fe7f27be1d58bb9324a9a5a04'],
  ])('RFC 2404 §3: HMAC-SHA-1-96 of RFC 2202 with key %s', (key, data, mac) => {
    expect(icv('sha1', fromHex(key), fromHex(data))).toBe(mac.slice(0, 24));
  });
});

interface Session {
  readonly ikeKeySets: readonly (Record<'ai' | 'ar' | 'ei' | 'er' | 'spiI', string> & {
    readonly transforms: Record<string, readonly [id: number, keyBits: number]>;
  })[];
  readonly messages: readonly {
    readonly raw: string;
    readonly flags: number;
    readonly keySet?: number;
    readonly plain?: string;
  }[];
}

const folder = new URL('../vectors/ike/strongswan/', import.meta.url);
const sessions = readdirSync(folder).filter((name) => name.endsWith('.json'));

describe.each(sessions)('strongSwan: %s', (name) => {
  const { ikeKeySets, messages } = JSON.parse(readFileSync(new URL(name, folder), 'utf8')) as Session;

  test('RFC 7296 §3.14, RFC 5282 §5: every encrypted message opens', () => {
    let text = '';
    let opened = 0;
    for (const { raw, flags, keySet, plain } of messages) {
      const buf = fromHex(raw);
      const header = HEADER[buf[16]!];
      if (header === undefined || keySet === undefined) continue;
      const keys = ikeKeySets[keySet]!;
      const [id, keyBits] = keys.transforms[1]!;
      const encryption = encryptionById(id, keyBits || undefined)!;
      const integrity = encryption.aead ? undefined : integrityById(keys.transforms[3]![0])!;
      // RFC 7296 §3.1: the I flag tells whose keys protect the message.
      const [e, a] = (flags & 0x08) !== 0 ? [keys.ei, keys.ai] : [keys.er, keys.ar];
      const p = protection(encryption, integrity, { encryption: fromHex(e), integrity: integrity ? fromHex(a) : NONE });
      const end = buf.length - p.icvLength;
      expect(p.open(buf, 0, header, end, NO_ESN)).toBe(true);
      // RFC 7383 §2.5: a fragmented message is the text of its fragments; the vectors keep it with the last one.
      text += toHex(buf.subarray(header + p.ivLength, end - 1 - buf[end - 1]!));
      if (plain === undefined) continue;
      expect(text).toBe(plain);
      text = '';
      opened++;
    }
    expect(opened).toBe(messages.filter(({ plain }) => plain !== undefined).length);
  });
});

/** Octets before the IV by first payload: SK (RFC 7296 §3.14) and SKF (RFC 7383 §2.5). */
const HEADER: Readonly<Record<number, number>> = { 46: 32, 53: 36 };
