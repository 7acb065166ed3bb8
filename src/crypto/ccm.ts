/**
 * AES-CCM written out over @noble/ciphers' CBC and CTR: the readable reference.
 *
 * Read first: RFC 3610 §2; RFC 4309 §4 fixes the nonce at eleven octets, hence a length field of L = 4.
 */
import { cbc, ctr } from '@noble/ciphers/aes.js';
import { type Bytes, concat, putU16, putU32 } from '../core/index.ts';

/** RFC 3610 §2.3: counting starts at 1 for the message; encryption and decryption are the same. */
export function ccmStream(key: Bytes, nonce: Bytes, text: Bytes): Bytes {
  return ctr(key, counterBlock(nonce, 1)).encrypt(text);
}

/** The encrypted authentication value U = T XOR S_0 (RFC 3610 §2.2 and §2.3). */
export function ccmTag(key: Bytes, nonce: Bytes, aad: Bytes, text: Bytes, length: number): Bytes {
  const first = new Uint8Array(BLOCK);
  first[0] = (aad.length > 0 ? 0x40 : 0) | (((length - 2) / 2) << 3) | (LENGTH_OCTETS - 1);
  first.set(nonce, 1);
  putU32(first, BLOCK - LENGTH_OCTETS, text.length);

  const blocks = concat(first, wholeBlocks(aad.length > 0 ? concat(aadLength(aad), aad) : aad), wholeBlocks(text));
  const chained = cbc(key, new Uint8Array(BLOCK), { disablePadding: true }).encrypt(blocks);
  return ctr(key, counterBlock(nonce, 0))
    .encrypt(chained.subarray(chained.length - BLOCK))
    .subarray(0, length);
}

/** RFC 3610 §2.2: two octets below 0xff00, else 0xfffe and four octets. */
function aadLength(aad: Bytes): Bytes {
  const out = new Uint8Array(aad.length < 0xff00 ? 2 : 6);
  if (aad.length < 0xff00) putU16(out, 0, aad.length);
  else {
    putU16(out, 0, 0xfffe);
    putU32(out, 2, aad.length);
  }
  return out;
}

/** RFC 3610 §2.3: A_i = flags | nonce | counter. */
function counterBlock(nonce: Bytes, counter: number): Bytes {
  const out = new Uint8Array(BLOCK);
  out[0] = LENGTH_OCTETS - 1;
  out.set(nonce, 1);
  putU32(out, BLOCK - LENGTH_OCTETS, counter);
  return out;
}

const wholeBlocks = (octets: Bytes): Bytes => concat(octets, new Uint8Array(-octets.length & (BLOCK - 1)));

const BLOCK = 16;
const LENGTH_OCTETS = 4;
