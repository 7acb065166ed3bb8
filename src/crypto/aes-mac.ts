/**
 * AES-XCBC-MAC and AES-CMAC over a CBC-MAC primitive that an engine gives: sixteen octets, not truncated.
 *
 * Read first: RFC 3566 §4 (XCBC), RFC 4493 §2 (CMAC). Both are a CBC-MAC whose last block is masked by one of two subkeys.
 * Truncation to 96 bits and keys of other lengths are the callers' (`engine-*.ts`, `prf.ts`).
 * Limit: a message is assembled in one buffer; a keyed MAC keeps that buffer and is not re-entrant.
 */
import type { Bytes } from '../core/index.ts';

/** AES-128 in CBC mode with a zero IV over whole blocks, keyed: a copy of the last block of the result. */
export type CbcMac = (key: Bytes) => (blocks: Bytes) => Bytes;

/** The MAC of the concatenated parts. */
export type AesMac = (...parts: readonly Bytes[]) => Bytes;

/** RFC 3566 §4: K1 = E(K, 01…), K2 = E(K, 02…), K3 = E(K, 03…); K1 chains, K2 masks a whole last block, K3 a padded one. */
export function aesXcbc(cbcMac: CbcMac, key: Bytes): AesMac {
  const encrypt = cbcMac(key);
  const [k1, k2, k3] = [1, 2, 3].map((octet) => encrypt(new Uint8Array(BLOCK).fill(octet)));
  return masked(cbcMac(k1!), k2!, k3!);
}

/** RFC 4493 §2.3: K1 = L·x, K2 = L·x² with L = E(K, 0¹²⁸); K itself chains. */
export function aesCmac(cbcMac: CbcMac, key: Bytes): AesMac {
  const encrypt = cbcMac(key);
  const k1 = doubled(encrypt(new Uint8Array(BLOCK)));
  return masked(encrypt, k1, doubled(k1));
}

/** RFC 3566 §4.2 steps 4 and 5 = RFC 4493 §2.4 steps 2 to 6: an empty message is one padded block. */
function masked(chain: (blocks: Bytes) => Bytes, whole: Bytes, padded: Bytes): AesMac {
  let scratch: Bytes = new Uint8Array(8 * BLOCK);
  return (...parts) => {
    let length = 0;
    for (const part of parts) length += part.length;
    const end = Math.max(BLOCK, Math.ceil(length / BLOCK) * BLOCK);
    if (end > scratch.length) scratch = new Uint8Array(2 * end);

    let at = 0;
    for (const part of parts) {
      scratch.set(part, at);
      at += part.length;
    }
    const mask = at === end ? whole : padded;
    if (at < end) {
      scratch[at] = 0x80;
      scratch.fill(0, at + 1, end);
    }
    const last = end - BLOCK;
    for (let i = 0; i < BLOCK; i++) scratch[last + i]! ^= mask[i]!;
    return chain(scratch.subarray(0, end));
  };
}

/** Multiplication by x in GF(2¹²⁸), without a branch on the secret (RFC 4493 §2.3). */
function doubled(block: Bytes): Bytes {
  const out = new Uint8Array(BLOCK);
  for (let i = 0; i < BLOCK; i++) out[i] = (block[i]! << 1) | ((block[i + 1] ?? 0) >>> 7);
  out[BLOCK - 1]! ^= RB & -(block[0]! >>> 7);
  return out;
}

const BLOCK = 16;
const RB = 0x87;
