/**
 * The readable reference: every suite over @noble/ciphers and @noble/hashes, plainly and slowly. Tests compare `engine-node.ts`
 * with it, and it serves where the OpenSSL beneath node lacks a cipher.
 *
 * Read first: `layout.ts`, `ccm.ts`. Deliberate limit: no 3DES, which noble does not have.
 */
import { cbc, ctr, gcm } from '@noble/ciphers/aes.js';
import { chacha20poly1305 } from '@noble/ciphers/chacha.js';
import { hmac } from '@noble/hashes/hmac.js';
import { sha1 } from '@noble/hashes/legacy.js';
import { sha256, sha384, sha512 } from '@noble/hashes/sha2.js';
import { type Bytes, concat } from '../core/index.ts';
import { aesCmac, aesXcbc, type CbcMac } from './aes-mac.ts';
import { ccmStream, ccmTag } from './ccm.ts';
import { equalSecret } from './compare.ts';
import type { Encryption, Engine } from './contract.ts';
import { type Aead, aeadProtection, type Cipher, checkKeys, cipherAndMac, type Mac, NULL_CIPHER } from './layout.ts';

export const nobleEngine: Engine = {
  name: 'noble',

  supports: (encryption, integrity) =>
    encryption.aead === (integrity === undefined) &&
    (encryption.aead ? streamsOf(encryption) : ciphersOf(encryption)) !== undefined &&
    (integrity === undefined || MACS[integrity.word] !== undefined),

  protection(encryption, integrity, keys) {
    checkKeys(encryption, integrity, keys);
    const key = keys.encryption.slice(0, encryption.keyLength);
    const salt = new Uint8Array(keys.encryption.subarray(encryption.keyLength));
    if (integrity === undefined) {
      return aeadProtection(encryption, salt, aead(streamsOf(encryption)!(key, encryption.icvLength)));
    }
    const mac = MACS[integrity.word]!(keys.integrity.slice());
    return cipherAndMac(encryption, integrity, salt, ciphersOf(encryption)!(key), mac);
  },
};

/** An AEAD as its two halves: the key stream over the text, and the tag of a plaintext. */
interface Halves {
  stream(nonce: Bytes, text: Bytes): Bytes;
  tag(nonce: Bytes, aad: Bytes, plaintext: Bytes): Bytes;
}

/** Recomputing the tag of the decrypted text serves every ICV length alike. */
const aead = ({ stream, tag }: Halves): Aead => ({
  seal(nonce, aad, buf, start, end) {
    const plaintext = buf.slice(start, end);
    buf.set(stream(nonce, plaintext), start);
    buf.set(tag(nonce, aad, plaintext), end);
  },
  open(nonce, aad, buf, start, end) {
    const plaintext = stream(nonce, buf.slice(start, end));
    const expected = tag(nonce, aad, plaintext);
    if (!equalSecret(expected, buf.subarray(end, end + expected.length))) return false;
    buf.set(plaintext, start);
    return true;
  },
});

/** An AEAD of noble's: `encrypt` gives ciphertext | 16 octets of tag. */
type Sealing = (key: Bytes, nonce: Bytes, aad?: Bytes) => { encrypt(plaintext: Bytes): Bytes };

const halves =
  (sealing: Sealing) =>
  (key: Bytes, icvLength: number): Halves => ({
    stream: (nonce, text) => sealing(key, nonce).encrypt(text).slice(0, text.length),
    tag: (nonce, aad, plaintext) =>
      sealing(key, nonce, aad)
        .encrypt(plaintext)
        .slice(plaintext.length, plaintext.length + icvLength),
  });

const ccmHalves = (key: Bytes, icvLength: number): Halves => ({
  stream: (nonce, text) => ccmStream(key, nonce, text),
  tag: (nonce, aad, plaintext) => ccmTag(key, nonce, aad, plaintext, icvLength),
});

function streamsOf({ name }: Encryption): ((key: Bytes, icvLength: number) => Halves) | undefined {
  if (name.startsWith('ENCR_AES_GCM')) return halves(gcm);
  if (name.startsWith('ENCR_AES_CCM')) return ccmHalves;
  return name === 'ENCR_CHACHA20_POLY1305' ? halves(chacha20poly1305) : undefined;
}

function ciphersOf({ name }: Encryption): ((key: Bytes) => Cipher) | undefined {
  switch (name) {
    case 'ENCR_NULL':
      return () => NULL_CIPHER;
    case 'ENCR_AES_CBC':
      return (key) => inPlace((iv) => cbc(key, iv, { disablePadding: true }));
    case 'ENCR_AES_CTR':
      return (key) => inPlace((iv) => ctr(key, iv));
    default:
      return undefined;
  }
}

const inPlace = (keyed: (iv: Bytes) => { encrypt(text: Bytes): Bytes; decrypt(text: Bytes): Bytes }): Cipher => ({
  encrypt: (iv, buf, start, end) => buf.set(keyed(iv.slice()).encrypt(buf.slice(start, end)), start),
  decrypt: (iv, buf, start, end) => buf.set(keyed(iv.slice()).decrypt(buf.slice(start, end)), start),
});

/** The last block of AES-128-CBC with a zero IV. */
const nobleCbcMac: CbcMac = (key) => (blocks) =>
  cbc(key, new Uint8Array(16), { disablePadding: true }).encrypt(blocks).slice(-16);

const MACS: Readonly<Record<string, (key: Bytes) => Mac>> = {
  sha256:
    (key) =>
    (...parts) =>
      hmac(sha256, key, concat(...parts)),
  sha384:
    (key) =>
    (...parts) =>
      hmac(sha384, key, concat(...parts)),
  sha512:
    (key) =>
    (...parts) =>
      hmac(sha512, key, concat(...parts)),
  sha1:
    (key) =>
    (...parts) =>
      hmac(sha1, key, concat(...parts)),
  aesxcbc: (key) => aesXcbc(nobleCbcMac, key),
  aescmac: (key) => aesCmac(nobleCbcMac, key),
};
