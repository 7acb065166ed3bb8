/**
 * The naive reference, ESP packets: RFC 4303 §2, §3.3.2, §3.4.4 over the ciphers of node:crypto, one key schedule a packet.
 *
 * Nonces, AAD and IVs from RFC 4106 §3–5, 4309 §3–5, 7634 §2, 3602 §2, 3686 §4, 2410; ICVs from RFC 4868 §2, RFC 2404.
 * Sequence numbers are BigInts of 64 bits.
 */
import {
  type CipherGCMTypes,
  createCipheriv,
  createDecipheriv,
  createHmac,
  type DecipherGCM,
  timingSafeEqual,
} from 'node:crypto';
import { be32, concat, type Octets } from './octets.ts';

export interface NaiveSuite {
  /** Of node:crypto; undefined: ENCR_NULL. */
  readonly cipher: string | undefined;
  readonly aead: boolean;
  readonly counter: boolean;
  readonly keyLength: number;
  readonly saltLength: number;
  readonly ivLength: number;
  readonly blockSize: number;
  readonly hash: string | undefined;
  readonly icvLength: number;
}

/** Of the words `aes128gcm16`, `aes256-sha256` and the like. */
export function naiveSuite(word: string): NaiveSuite {
  const [encryption = '', integrity] = word.split('-');
  const [, hash, icv] = HASHES.find(([name]) => name === integrity) ?? [];
  const base = { aead: false, counter: true, saltLength: 0, ivLength: 8, blockSize: 1, hash, icvLength: icv ?? 0 };
  if (encryption === 'chacha20poly1305')
    return { ...base, cipher: 'chacha20-poly1305', aead: true, keyLength: 32, saltLength: 4, icvLength: 16 };
  if (encryption === 'null') return { ...base, cipher: undefined, keyLength: 0, ivLength: 0 };
  const [, bits = '', mode = '', octets = ''] = /^aes(128|192|256)(gcm|ccm|ctr|)(8|12|16|)$/.exec(encryption)!;
  const aes = { ...base, cipher: `aes-${bits}-${mode || 'cbc'}`, keyLength: Number(bits) / 8 };
  if (mode === '') return { ...aes, counter: false, ivLength: 16, blockSize: 16 };
  if (mode === 'ctr') return { ...aes, saltLength: 4 };
  return { ...aes, aead: true, saltLength: mode === 'gcm' ? 4 : 3, icvLength: Number(octets) };
}

const HASHES: readonly (readonly [string, string, number])[] = [
  ['sha1', 'sha1', 12],
  ['sha256', 'sha256', 16],
  ['sha384', 'sha384', 24],
  ['sha512', 'sha512', 32],
];

export interface NaiveKeys {
  readonly encryption: Octets;
  readonly integrity: Octets;
}

/** A number as it is sent and authenticated: with `esn` its high half is authenticated, too. */
export interface Numbered {
  readonly spi: number;
  readonly sequence: bigint;
  readonly esn: boolean;
}

/** RFC 4303 §2.4: the fewest octets that fill a block and a word; 1, 2, 3 … */
export function padded(suite: NaiveSuite, payload: Octets, nextHeader: number): Octets {
  const align = Math.max(4, suite.blockSize);
  let padLength = 0;
  while ((payload.length + padLength + 2) % align !== 0) padLength += 1;
  const padding = Array.from({ length: padLength }, (_, i) => i + 1);
  return concat(payload, padding, [padLength, nextHeader]);
}

/** The whole packet around a body that `padded` made, or any other in whole blocks. `iv` only where it is drawn by chance. */
export function sealed(suite: NaiveSuite, keys: NaiveKeys, numbered: Numbered, body: Octets, iv?: Octets): Octets {
  const { spi, sequence, esn } = numbered;
  const [high, low] = [Number(sequence >> 32n), Number(sequence & 0xffffffffn)];
  const counter = concat(be32(esn ? high : 0), be32(low));
  const header = concat(be32(spi), be32(low));
  const sent = suite.ivLength === 0 ? new Uint8Array(0) : (iv ?? counter);
  const { cipher, keyLength } = suite;
  const key = keys.encryption.slice(0, keyLength);
  if (suite.aead) {
    const name = cipher as CipherGCMTypes;
    const encryption = createCipheriv(name, key, nonceOf(suite, keys, sent), { authTagLength: suite.icvLength });
    encryption.setAAD(esn ? concat(be32(spi), be32(high), be32(low)) : header, { plaintextLength: body.length });
    const text = concat(encryption.update(body), encryption.final());
    return concat(header, sent, text, encryption.getAuthTag());
  }
  let text = body;
  if (cipher !== undefined) {
    const encryption = createCipheriv(cipher, key, nonceOf(suite, keys, sent)).setAutoPadding(false);
    text = concat(encryption.update(body), encryption.final());
  }
  const packet = concat(header, sent, text);
  return concat(packet, icvOf(suite, keys, packet, esn ? be32(high) : []));
}

/** The body with padding and trailer, if the ICV is right for this number. */
export function unsealed(suite: NaiveSuite, keys: NaiveKeys, numbered: Numbered, packet: Octets): Octets | undefined {
  const { spi, sequence, esn } = numbered;
  const [high, low] = [Number(sequence >> 32n), Number(sequence & 0xffffffffn)];
  const { cipher, ivLength, icvLength, keyLength } = suite;
  const end = packet.length - icvLength;
  const [iv, text, icv] = [packet.slice(8, 8 + ivLength), packet.slice(8 + ivLength, end), packet.slice(end)];
  const key = keys.encryption.slice(0, keyLength);
  if (suite.aead) {
    const options = { authTagLength: icvLength };
    const decryption: DecipherGCM = createDecipheriv(cipher as CipherGCMTypes, key, nonceOf(suite, keys, iv), options);
    decryption.setAuthTag(icv);
    const aad = esn ? concat(be32(spi), be32(high), be32(low)) : packet.slice(0, 8);
    decryption.setAAD(aad, { plaintextLength: text.length });
    try {
      return concat(decryption.update(text), decryption.final());
    } catch {
      return undefined;
    }
  }
  if (!timingSafeEqual(icv, icvOf(suite, keys, packet.slice(0, end), esn ? be32(high) : []))) return undefined;
  if (cipher === undefined) return text;
  const decryption = createDecipheriv(cipher, key, nonceOf(suite, keys, iv)).setAutoPadding(false);
  return concat(decryption.update(text), decryption.final());
}

/** Salt and IV; with AES-CTR a counter of one behind them (RFC 3686 §4). */
function nonceOf(suite: NaiveSuite, keys: NaiveKeys, iv: Octets): Octets {
  const salt = keys.encryption.slice(suite.keyLength);
  if (suite.aead) return concat(salt, iv);
  return suite.counter ? concat(salt, iv, be32(1)) : iv;
}

function icvOf(suite: NaiveSuite, keys: NaiveKeys, packet: Octets, behind: readonly number[]): Octets {
  const mac = createHmac(suite.hash!, keys.integrity).update(packet).update(Uint8Array.from(behind)).digest();
  return Uint8Array.from(mac.subarray(0, suite.icvLength));
}

/** RFC 4303 §3.4.3 and Appendix A2: the window as the set of all numbers it has seen. */
export class NaiveWindow {
  readonly size: bigint;
  readonly #seen = new Set<bigint>();
  #top = 0n;

  /** Whole words of 32; 0: everything is fresh. */
  constructor(packets: number) {
    this.size = BigInt(Math.ceil(packets / 32) * 32);
  }

  get top(): bigint {
    return this.#top;
  }

  fresh(sequence: bigint): boolean {
    if (this.size === 0n) return true;
    return sequence > 0n && sequence > this.#top - this.size && !this.#seen.has(sequence);
  }

  /** True: the highest so far. */
  accept(sequence: bigint): boolean {
    const newest = sequence > this.#top;
    if (newest) this.#top = sequence;
    this.#seen.add(sequence);
    // What has left the window needs no memory.
    if (this.#seen.size > 4096) for (const old of this.#seen) if (old <= this.#top - this.size) this.#seen.delete(old);
    return newest;
  }

  /** The one number with this low half that is not left of the window, nor a whole subspace right of its lower end. */
  extended(low: number): bigint {
    const bottom = this.#top - this.size + 1n;
    for (let high = (this.#top >> 32n) - 1n; ; high++) {
      const sequence = high * SUBSPACE + BigInt(low);
      if (sequence >= bottom) return sequence;
    }
  }
}

const SUBSPACE = 2n ** 32n;

/** RFC 6040 §4.2, Figure 4; undefined: the packet is dropped. `inner` and `outer` are the two bits. */
export function combinedEcn(inner: number, outer: number): number | undefined {
  const [NOT_ECT, ECT1, ECT0, CE] = [0, 1, 2, 3];
  if (inner === NOT_ECT) return outer === CE ? undefined : NOT_ECT;
  if (inner === CE || outer === CE) return CE;
  return inner === ECT0 && outer === ECT1 ? ECT1 : inner;
}
