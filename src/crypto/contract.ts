/**
 * The contracts of this folder: what a transform of the IKEv2 registries can do, whatever implements it.
 * Numbers are IANA's ("IKEv2 Parameters"); words are strongSwan's, because the other end's file says those.
 */
import type { Bytes, Random } from '../core/index.ts';
import type { Burst } from './burst.ts';

/** `high` of a Protection where sequence numbers are 32 bits long, and for IKE messages. */
export const NO_ESN = -1;

/** How the octets of an explicit IV come about. */
export type IvKind = 'none' | 'counter' | 'unpredictable';

/** An encryption transform (type 1) with one key length. */
export interface Encryption {
  readonly id: number;
  /** Key Length attribute in bits; undefined where the transform forbids it (RFC 7296 §3.3.5). */
  readonly keyBits: number | undefined;
  /** strongSwan's word: `aes256gcm16`, `aes128`, `chacha20poly1305`, `null`. */
  readonly word: string;
  /** IANA's name: `ENCR_AES_GCM_16`. */
  readonly name: string;
  readonly aead: boolean;
  /** Octets of the cipher key without salt. */
  readonly keyLength: number;
  /** Octets of salt at the tail of the keying material (RFC 4106 §8.1, 4309 §7.1, 3686 §5.1, 7634 §2). */
  readonly saltLength: number;
  readonly ivLength: number;
  readonly ivKind: IvKind;
  /** Alignment of the padded plaintext; 1 for stream and counter modes. */
  readonly blockSize: number;
  /** Octets of the ICV of an AEAD; 0 otherwise. */
  readonly icvLength: number;
  readonly legacy: boolean;
  /** ESP only: NULL and the like never protect IKE. */
  readonly espOnly: boolean;
}

/** An integrity transform (type 3). */
export interface Integrity {
  readonly id: number;
  readonly word: string;
  readonly name: string;
  readonly keyLength: number;
  readonly icvLength: number;
  readonly legacy: boolean;
}

/** A pseudorandom function (type 2). */
export interface Prf {
  readonly id: number;
  readonly word: string;
  readonly name: string;
  /** Preferred key length: that of SK_d, SK_pi and SK_pr. */
  readonly keyLength: number;
  readonly outputLength: number;
  readonly legacy: boolean;
  /** RFC 4434/4615: only the first 64 bits of each nonce key SKEYSEED of an initial exchange (RFC 7296 §2.14). */
  readonly fixedKey: boolean;
  /** Any key length, as RFC 2104, 4434 §2 and 4615 §3 define it. The data parts are concatenated. */
  compute(key: Bytes, ...data: readonly Bytes[]): Bytes;
}

/** A key exchange method (type 4). */
export interface Group {
  readonly id: number;
  readonly word: string;
  readonly name: string;
  readonly publicLength: number;
  readonly sharedLength: number;
  readonly legacy: boolean;
  /** A fresh private key; the same `random` octets give the same key. */
  generate(random: Random): KeyPair;
}

export interface KeyPair {
  /** The Key Exchange Data as it stands in the payload (ECP: x | y without 0x04; MODP: left-padded). */
  readonly publicValue: Bytes;
  /** g^ir as RFC 7296 §2.14 and RFC 5903 §7 want it. Throws WireError('ke.publicValue') where RFC 6989 §2 refuses the peer's value. */
  agree(peerPublicValue: Bytes): Bytes;
}

/**
 * Encryption and integrity of one direction of one SA, keyed: the one contract for SK payloads and ESP packets.
 *
 * Layout in `buf`:  from ── authenticated only ── iv ── IV ── plaintext ── end ── ICV
 *
 * With an AEAD the AAD is buf[from, iv); without, the ICV covers buf[from, end). `high` is the upper half of a 64-bit sequence
 * number or NO_ESN; with it (ESP only; buf[from, iv) is then SPI | low) the AAD becomes SPI | high | low (RFC 4106 §5), and a
 * separate integrity algorithm authenticates buf[from, end) | high (RFC 4303 §2.2.1). `end - iv - ivLength` is a multiple of `blockSize`.
 */
export interface Protection {
  readonly ivLength: number;
  readonly ivKind: IvKind;
  readonly blockSize: number;
  readonly icvLength: number;
  /** Encrypts buf[iv + ivLength, end) in place and writes the ICV at `end`. The IV stands in buf already. */
  seal(buf: Bytes, from: number, iv: number, end: number, high: number): void;
  /** Verifies the ICV at `end` in constant time, then decrypts in place. On false the contents of buf[iv + ivLength, end) are undefined. */
  open(buf: Bytes, from: number, iv: number, end: number, high: number): boolean;
  /** `seal` for the packets [first, stop) of the burst, which do not overlap. */
  sealBurst(burst: Burst, first: number, stop: number): void;
  /** `open` for the packets [first, stop) of the burst, which do not overlap; the answers go to `burst.authentic`. */
  openBurst(burst: Burst, first: number, stop: number): void;
  /** Frees what the collector does not know of, and wipes the keys this engine keeps itself. Using it afterwards throws. */
  dispose?(): void;
}

/** Octets of keying material one direction takes: encryption key with salt, then integrity key (RFC 7296 §2.17). */
export interface ProtectionKeys {
  readonly encryption: Bytes;
  readonly integrity: Bytes;
}

/** One implementation of the primitives, or several in order of preference (`ladder.ts`); `noble` is the readable reference tests compare with. */
export interface Engine {
  readonly name: string;
  supports(encryption: Encryption, integrity: Integrity | undefined): boolean;
  /** How many packets it must be given at once to be the fastest; default 1. For fewer a ladder asks its next rung. */
  leastBurst?(encryption: Encryption, integrity: Integrity | undefined): number;
  protection(encryption: Encryption, integrity: Integrity | undefined, keys: ProtectionKeys): Protection;
}
