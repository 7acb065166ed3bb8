/**
 * The engine that serves: OpenSSL through `node:crypto`, one KeyObject per key and one context per call.
 *
 * Read first: `layout.ts`, which gives nonces, AAD and the order of encryption and MAC.
 * Limit: every call allocates what `node:crypto` returns; the octets are then copied into the packet.
 */

import type { CipherCCMTypes, CipherGCMTypes } from 'node:crypto';
import { createCipheriv, createDecipheriv, createHmac, createSecretKey, getCiphers, type KeyObject } from 'node:crypto';
import type { Bytes } from '../core/index.ts';
import { aesCmac, aesXcbc, type CbcMac } from './aes-mac.ts';
import type { Encryption, Engine, Integrity } from './contract.ts';
import { type Aead, aeadProtection, type Cipher, checkKeys, cipherAndMac, type Mac, NULL_CIPHER } from './layout.ts';
import { octets } from './octets.ts';

export const nodeEngine: Engine = {
  name: 'node',

  supports: (encryption, integrity) =>
    encryption.aead === (integrity === undefined) &&
    (encryption.word === 'null' || available().has(cipherName(encryption) ?? '')) &&
    (integrity === undefined || macOf(integrity) !== undefined),

  protection(encryption, integrity, keys) {
    checkKeys(encryption, integrity, keys);
    const key = keys.encryption.subarray(0, encryption.keyLength);
    const salt = new Uint8Array(keys.encryption.subarray(encryption.keyLength));
    if (integrity === undefined) return aeadProtection(encryption, salt, aead(encryption, createSecretKey(key)));
    const cipher = encryption.word === 'null' ? NULL_CIPHER : blockOrStream(encryption, createSecretKey(key));
    return cipherAndMac(encryption, integrity, salt, cipher, macOf(integrity)!(keys.integrity));
  },
};

/** The last block of AES-128-CBC with a zero IV. */
export const nodeCbcMac: CbcMac = (key) => {
  const secret = createSecretKey(key);
  return (blocks) => octets(createCipheriv('aes-128-cbc', secret, ZERO_IV).update(blocks)).slice(-16);
};

function aead(encryption: Encryption, key: KeyObject): Aead {
  // The three AEADs share one interface; its overloads are told apart by name only.
  const name = cipherName(encryption) as CipherGCMTypes & CipherCCMTypes;
  const authTagLength = encryption.icvLength;
  const options = { authTagLength };
  return {
    seal(nonce, aad, buf, start, end) {
      const cipher = createCipheriv(name, key, nonce, options);
      cipher.setAAD(aad, { plaintextLength: end - start });
      buf.set(cipher.update(buf.subarray(start, end)), start);
      cipher.final();
      buf.set(cipher.getAuthTag(), end);
    },
    open(nonce, aad, buf, start, end) {
      const decipher = createDecipheriv(name, key, nonce, options);
      decipher.setAuthTag(buf.subarray(end, end + authTagLength));
      decipher.setAAD(aad, { plaintextLength: end - start });
      try {
        const text = decipher.update(buf.subarray(start, end));
        decipher.final();
        buf.set(text, start);
        return true;
      } catch {
        // How node:crypto says that the ICV is wrong: CCM in update, the others in final.
        return false;
      }
    },
  };
}

function blockOrStream(encryption: Encryption, key: KeyObject): Cipher {
  const name = cipherName(encryption)!;
  return {
    encrypt(iv, buf, start, end) {
      buf.set(createCipheriv(name, key, iv).setAutoPadding(false).update(buf.subarray(start, end)), start);
    },
    decrypt(iv, buf, start, end) {
      buf.set(createDecipheriv(name, key, iv).setAutoPadding(false).update(buf.subarray(start, end)), start);
    },
  };
}

const hmac =
  (hash: string) =>
  (key: Bytes): Mac => {
    const secret = createSecretKey(key);
    return (...parts) => {
      const context = createHmac(hash, secret);
      for (const part of parts) context.update(part);
      return octets(context.digest());
    };
  };

const MACS: Readonly<Record<string, (key: Bytes) => Mac>> = {
  sha256: hmac('sha256'),
  sha384: hmac('sha384'),
  sha512: hmac('sha512'),
  sha1: hmac('sha1'),
  aesxcbc: (key) => aesXcbc(nodeCbcMac, key),
  aescmac: (key) => aesCmac(nodeCbcMac, key),
};

const macOf = (integrity: Integrity): ((key: Bytes) => Mac) | undefined => MACS[integrity.word];

/** OpenSSL's name; undefined for transforms it has no single cipher for. */
function cipherName({ name, keyBits, word }: Encryption): string | undefined {
  if (word === 'chacha20poly1305') return 'chacha20-poly1305';
  if (word === '3des') return 'des-ede3-cbc';
  const mode = /^ENCR_AES_(GCM|CCM|CBC|CTR)/.exec(name)?.[1];
  return mode === undefined ? undefined : `aes-${keyBits}-${mode.toLowerCase()}`;
}

let listed: ReadonlySet<string> | undefined;
function available(): ReadonlySet<string> {
  listed ??= new Set(getCiphers());
  return listed;
}

const ZERO_IV = new Uint8Array(16);
