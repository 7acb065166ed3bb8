/**
 * From the layout of a packet to the primitives of an engine: nonces, additional authenticated data, encrypt-then-MAC.
 *
 * Read first: the picture above `Protection` in `contract.ts`; RFC 4106 §4 and §5, RFC 4309 §4 and §5, RFC 7634 §2.1 (AEAD in ESP),
 * RFC 5282 §5 (AEAD in IKE), RFC 4303 §3.3.2 and RFC 7296 §3.14 (separate algorithms).
 * The primitives are the engines'. A keyed object keeps scratch octets and is not re-entrant.
 */
import { type Bytes, invariant, putU32 } from '../core/index.ts';
import { oneByOne } from './burst.ts';
import { equalSecret } from './compare.ts';
import { type Encryption, type Integrity, NO_ESN, type Protection, type ProtectionKeys } from './contract.ts';

/** A keyed AEAD working on buf[start, end) in place, with the ICV at `end`. */
export interface Aead {
  seal(nonce: Bytes, aad: Bytes, buf: Bytes, start: number, end: number): void;
  open(nonce: Bytes, aad: Bytes, buf: Bytes, start: number, end: number): boolean;
}

/** A keyed cipher working on buf[start, end) in place. */
export interface Cipher {
  encrypt(iv: Bytes, buf: Bytes, start: number, end: number): void;
  decrypt(iv: Bytes, buf: Bytes, start: number, end: number): void;
}

/** A keyed MAC of the concatenated parts, not yet truncated. */
export type Mac = (...parts: readonly Bytes[]) => Bytes;

/** Refuses, as a bug of ours, algorithms that do not belong together and keys of the wrong length. */
export function checkKeys(encryption: Encryption, integrity: Integrity | undefined, keys: ProtectionKeys): void {
  invariant(encryption.aead === (integrity === undefined), 'an AEAD stands alone, any other cipher with an integrity');
  invariant(
    keys.encryption.length === encryption.keyLength + encryption.saltLength,
    'the encryption key has the length its transform states',
  );
  invariant(
    keys.integrity.length === (integrity?.keyLength ?? 0),
    'the integrity key has the length its transform states',
  );
}

/** The nonce is salt | IV: 4 + 8 octets for GCM (RFC 4106 §4) and ChaCha20 (RFC 7634 §2), 3 + 8 for CCM (RFC 4309 §4). */
export function aeadProtection(encryption: Encryption, salt: Bytes, aead: Aead): Protection {
  const { ivLength, ivKind, blockSize, icvLength, saltLength } = encryption;
  const nonce = new Uint8Array(saltLength + ivLength);
  nonce.set(salt);
  const aad64 = new Uint8Array(12);

  const loadNonce = (buf: Bytes, iv: number): Bytes => {
    for (let i = 0; i < ivLength; i++) nonce[saltLength + i] = buf[iv + i]!;
    return nonce;
  };
  const aadOf = (buf: Bytes, from: number, iv: number, high: number): Bytes => {
    if (high === NO_ESN) return buf.subarray(from, iv);
    // RFC 4106 §5: SPI | 64-bit sequence number, of which the packet carries the low half only.
    for (let i = 0; i < 4; i++) {
      aad64[i] = buf[from + i]!;
      aad64[8 + i] = buf[from + 4 + i]!;
    }
    putU32(aad64, 4, high);
    return aad64;
  };

  return oneByOne({
    ivLength,
    ivKind,
    blockSize,
    icvLength,
    seal: (buf, from, iv, end, high) =>
      aead.seal(loadNonce(buf, iv), aadOf(buf, from, iv, high), buf, iv + ivLength, end),
    open: (buf, from, iv, end, high) =>
      aead.open(loadNonce(buf, iv), aadOf(buf, from, iv, high), buf, iv + ivLength, end),
  });
}

/** Encrypts, then authenticates what is sent (RFC 4303 §3.3.2.1, RFC 7296 §3.14). */
export function cipherAndMac(
  encryption: Encryption,
  integrity: Integrity,
  salt: Bytes,
  cipher: Cipher,
  mac: Mac,
): Protection {
  const { ivLength, ivKind, blockSize } = encryption;
  const { icvLength } = integrity;
  const ivOf = encryption.id === ENCR_AES_CTR ? counterBlock(salt, ivLength) : plainIv(ivLength);
  const highOctets = new Uint8Array(4);

  const icvOf = (buf: Bytes, from: number, end: number, high: number): Bytes => {
    const sent = buf.subarray(from, end);
    if (high === NO_ESN) return mac(sent).subarray(0, icvLength);
    // RFC 4303 §2.2.1: the high half follows the packet in the MAC's input and is not sent.
    putU32(highOctets, 0, high);
    return mac(sent, highOctets).subarray(0, icvLength);
  };

  return oneByOne({
    ivLength,
    ivKind,
    blockSize,
    icvLength,
    seal: (buf, from, iv, end, high) => {
      cipher.encrypt(ivOf(buf, iv), buf, iv + ivLength, end);
      buf.set(icvOf(buf, from, end, high), end);
    },
    open: (buf, from, iv, end, high) => {
      if (!equalSecret(icvOf(buf, from, end, high), buf.subarray(end, end + icvLength))) return false;
      cipher.decrypt(ivOf(buf, iv), buf, iv + ivLength, end);
      return true;
    },
  });
}

/** ENCR_NULL, RFC 2410 §2. */
export const NULL_CIPHER: Cipher = { encrypt: () => {}, decrypt: () => {} };

const plainIv =
  (ivLength: number) =>
  (buf: Bytes, iv: number): Bytes =>
    buf.subarray(iv, iv + ivLength);

/** RFC 3686 §4: the first counter block is nonce | IV | 00000001. */
function counterBlock(salt: Bytes, ivLength: number): (buf: Bytes, iv: number) => Bytes {
  const block = new Uint8Array(16);
  block.set(salt);
  block[15] = 1;
  return (buf, iv) => {
    for (let i = 0; i < ivLength; i++) block[salt.length + i] = buf[iv + i]!;
    return block;
  };
}

const ENCR_AES_CTR = 13;
