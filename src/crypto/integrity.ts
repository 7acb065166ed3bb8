/**
 * The integrity transforms (transform type 3) as a table.
 *
 * Read first: IANA "IKEv2 Parameters", RFC 8221 §6 and RFC 8247 §2.3 (which to use).
 * Says what a transform is; the engines make it work. Deliberate limits: no MD5, no GMAC.
 */
import type { Integrity } from './contract.ts';

export function integrityById(id: number): Integrity | undefined {
  return INTEGRITIES.find((integrity) => integrity.id === id);
}

/** Accepts strongSwan's other spellings: `sha` and `sha2_256`, `sha2_384`, `sha2_512`. */
export function integrityByWord(word: string): Integrity | undefined {
  const plain = word === 'sha' ? 'sha1' : word.replace(/^sha2_/, 'sha');
  return INTEGRITIES.find((integrity) => integrity.word === plain);
}

const row = (
  id: number,
  word: string,
  name: string,
  keyLength: number,
  icvLength: number,
  legacy = false,
): Integrity => ({ id, word, name, keyLength, icvLength, legacy });

export const INTEGRITIES: readonly Integrity[] = [
  // RFC 4868 §2.1.1 and §2.6: the key is as long as the hash, the ICV half of it.
  row(12, 'sha256', 'AUTH_HMAC_SHA2_256_128', 32, 16),
  row(13, 'sha384', 'AUTH_HMAC_SHA2_384_192', 48, 24),
  row(14, 'sha512', 'AUTH_HMAC_SHA2_512_256', 64, 32),
  row(5, 'aesxcbc', 'AUTH_AES_XCBC_96', 16, 12), // RFC 3566 §4
  row(8, 'aescmac', 'AUTH_AES_CMAC_96', 16, 12), // RFC 4494 §3
  row(2, 'sha1', 'AUTH_HMAC_SHA1_96', 20, 12, true), // RFC 2404 §3
];
