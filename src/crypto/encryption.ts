/**
 * The encryption transforms (transform type 1) as a table.
 *
 * Read first: IANA "IKEv2 Parameters", RFC 8221 §5 and RFC 8247 §2.1 (which to use), RFC 7296 §3.3.5 (Key Length).
 * Says what a transform is; `protection.ts` makes it work.
 * Deliberate limits: no DES, Blowfish, CAST, Camellia, GMAC; no implicit IVs (RFC 8750).
 */
import type { Encryption } from './contract.ts';

export function encryptionById(id: number, keyBits: number | undefined): Encryption | undefined {
  return ENCRYPTIONS.find((encryption) => encryption.id === id && encryption.keyBits === keyBits);
}

/** Accepts the ICV in bits as strongSwan does (`aes256gcm128` is `aes256gcm16`), and `aes` for `aes128`. */
export function encryptionByWord(word: string): Encryption | undefined {
  const plain = word === 'aes' ? 'aes128' : word.replace(/(?<=[gc]cm)(64|96|128)$/, (bits) => `${Number(bits) / 8}`);
  return ENCRYPTIONS.find((encryption) => encryption.word === plain);
}

/** What most rows share: an eight-octet IV that need only be unique, and no padding. */
const COUNTER_MODE = {
  keyBits: undefined,
  aead: false,
  saltLength: 0,
  ivLength: 8,
  ivKind: 'counter',
  blockSize: 1,
  icvLength: 0,
  legacy: false,
  espOnly: false,
} as const satisfies Partial<Encryption>;

/** One row for each key length of AES. */
const aes = (id: number, mode: string, suffix: string, traits: Partial<Encryption>): readonly Encryption[] =>
  [256, 192, 128].map((keyBits) => ({
    ...COUNTER_MODE,
    id,
    keyBits,
    word: `aes${keyBits}${suffix}`,
    name: `ENCR_AES_${mode}`,
    keyLength: keyBits / 8,
    ...traits,
  }));

export const ENCRYPTIONS: readonly Encryption[] = [
  // RFC 4106 §3, §6, §8.1.
  ...aes(20, 'GCM_16', 'gcm16', { aead: true, saltLength: 4, icvLength: 16 }),
  ...aes(19, 'GCM_12', 'gcm12', { aead: true, saltLength: 4, icvLength: 12 }),
  ...aes(18, 'GCM_8', 'gcm8', { aead: true, saltLength: 4, icvLength: 8 }),
  {
    // RFC 7634 §2 and §4: the key is always 256 bits long, and Key Length is never sent.
    ...COUNTER_MODE,
    id: 28,
    word: 'chacha20poly1305',
    name: 'ENCR_CHACHA20_POLY1305',
    aead: true,
    keyLength: 32,
    saltLength: 4,
    icvLength: 16,
  },
  // RFC 4309 §3, §6, §7.1.
  ...aes(16, 'CCM_16', 'ccm16', { aead: true, saltLength: 3, icvLength: 16 }),
  ...aes(15, 'CCM_12', 'ccm12', { aead: true, saltLength: 3, icvLength: 12 }),
  ...aes(14, 'CCM_8', 'ccm8', { aead: true, saltLength: 3, icvLength: 8 }),
  // RFC 3602 §2 and §3.
  ...aes(12, 'CBC', '', { ivLength: 16, ivKind: 'unpredictable', blockSize: 16 }),
  // RFC 3686 §3.1 and §5.1; RFC 5930 §2.2 (IKE).
  ...aes(13, 'CTR', 'ctr', { saltLength: 4 }),
  {
    // RFC 2410 §2.
    ...COUNTER_MODE,
    id: 11,
    word: 'null',
    name: 'ENCR_NULL',
    keyLength: 0,
    ivLength: 0,
    ivKind: 'none',
    espOnly: true,
  },
  {
    // RFC 2451 §2.2 and §3. SHOULD NOT for ESP (RFC 8221 §5).
    ...COUNTER_MODE,
    id: 3,
    word: '3des',
    name: 'ENCR_3DES',
    keyLength: 24,
    ivLength: 8,
    ivKind: 'unpredictable',
    blockSize: 8,
    legacy: true,
  },
];
