/**
 * The pseudorandom functions (transform type 2) as a table that computes, and prf+.
 *
 * Read first: RFC 7296 §2.13 (prf+) and §2.14 (what keys them), RFC 2104, RFC 4434 §2, RFC 4615 §3, RFC 8247 §2.2.
 * Deliberate limits: no MD5, no Tiger, no Streebog.
 */
import { createHmac } from 'node:crypto';
import { type Bytes, concat, invariant } from '../core/index.ts';
import { aesCmac, aesXcbc } from './aes-mac.ts';
import type { Prf } from './contract.ts';
import { nodeCbcMac } from './engine-node.ts';
import { octets } from './octets.ts';

export function prfById(id: number): Prf | undefined {
  return PRFS.find((prf) => prf.id === id);
}

/** Accepts strongSwan's other spelling `prfsha2_256`. */
export function prfByWord(word: string): Prf | undefined {
  const plain = word.replace(/^prfsha2_/, 'prfsha');
  return PRFS.find((prf) => prf.word === plain);
}

/** RFC 7296 §2.13: T1 | T2 | …, T1 = prf(K, S | 0x01), Tn = prf(K, Tn-1 | S | n); at most 255 times the output of the PRF. */
export function prfPlus(prf: Prf, key: Bytes, seed: Bytes, length: number): Bytes {
  const blocks = Math.ceil(length / prf.outputLength);
  invariant(blocks <= 255, 'prf+ is not asked for more than 255 blocks');
  const out = new Uint8Array(blocks * prf.outputLength);
  const counter = new Uint8Array(1);
  let previous: Bytes = new Uint8Array(0);
  for (let n = 1; n <= blocks; n++) {
    counter[0] = n;
    previous = prf.compute(key, previous, seed, counter);
    out.set(previous, (n - 1) * prf.outputLength);
  }
  return out.subarray(0, length);
}

/** RFC 2104: any key length; one longer than a block is hashed first. */
const hmacPrf = (id: number, hash: string, name: string, length: number, legacy = false): Prf => ({
  id,
  word: `prf${hash}`,
  name,
  keyLength: length,
  outputLength: length,
  legacy,
  fixedKey: false,
  compute(key, ...data) {
    const context = createHmac(hash, key);
    for (const part of data) context.update(part);
    return octets(context.digest());
  },
});

const aesPrf = (id: number, word: string, name: string, compute: Prf['compute']): Prf => ({
  id,
  word,
  name,
  keyLength: 16,
  outputLength: 16,
  legacy: false,
  fixedKey: true,
  compute,
});

/** RFC 4434 §2: shorter keys are padded with zero bits on the right, longer ones become the PRF of themselves under a zero key. */
const xcbcPrf = (key: Bytes, ...data: readonly Bytes[]): Bytes => {
  const fitting =
    key.length > 16 ? xcbcPrf(ZERO_KEY, key) : key.length === 16 ? key : concat(key, ZERO_KEY.subarray(key.length));
  return aesXcbc(nodeCbcMac, fitting)(...data);
};

/** RFC 4615 §3: a key of any length but sixteen octets becomes the CMAC of itself under a zero key. */
const cmacPrf = (key: Bytes, ...data: readonly Bytes[]): Bytes =>
  aesCmac(nodeCbcMac, key.length === 16 ? key : aesCmac(nodeCbcMac, ZERO_KEY)(key))(...data);

const ZERO_KEY = new Uint8Array(16);

export const PRFS: readonly Prf[] = [
  // RFC 4868 §2.1.2.
  hmacPrf(5, 'sha256', 'PRF_HMAC_SHA2_256', 32),
  hmacPrf(6, 'sha384', 'PRF_HMAC_SHA2_384', 48),
  hmacPrf(7, 'sha512', 'PRF_HMAC_SHA2_512', 64),
  aesPrf(4, 'prfaesxcbc', 'PRF_AES128_XCBC', xcbcPrf),
  aesPrf(8, 'prfaescmac', 'PRF_AES128_CMAC', cmacPrf),
  hmacPrf(2, 'sha1', 'PRF_HMAC_SHA1', 20, true),
];
