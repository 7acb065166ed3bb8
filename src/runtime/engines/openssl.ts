/**
 * The engine that calls the OpenSSL inside the node binary: one context for each key and direction, keyed once.
 *
 * Read first: `openssl-library.ts`; the picture above `Protection` in `crypto/contract.ts`; RFC 4106 §4 and §5, RFC 4303 §2.2.1.
 * It has what node has, three to ten times as fast, because no context is made for a packet.
 * Invariants: a context is freed once, by `dispose` or after its protection was collected; the key stands in memory that is wiped then.
 */
import { type Bytes, invariant, putU32 } from '../../core/index.ts';
import {
  aesCmac,
  aesXcbc,
  type CbcMac,
  checkKeys,
  type Encryption,
  type Engine,
  equalSecretAt,
  type Integrity,
  NO_ESN,
} from '../../crypto/index.ts';
import { type AddressOf, addresses, Block } from './block.ts';
import { type PacketCipher, packetByPacket, traitsOf } from './native-protection.ts';
import type { OpenSsl } from './openssl-library.ts';

export function opensslEngine(openssl: OpenSsl): Engine {
  const addressOf = addresses(openssl.koffi);
  return {
    name: 'openssl',

    supports: (encryption, integrity) =>
      encryption.aead === (integrity === undefined) &&
      (encryption.word === 'null' || openssl.cipher(cipherName(encryption)) !== 0) &&
      (integrity === undefined || AES_MACS[integrity.word] !== undefined || openssl.hash(integrity.word) !== 0),

    protection(encryption, integrity, keys) {
      checkKeys(encryption, integrity, keys);
      const contexts = new Contexts(openssl, encryption, keys.encryption);
      const cipher =
        integrity === undefined
          ? aead(contexts, encryption)
          : encryptThenMac(contexts, encryption, integrity, macOf(contexts, integrity, keys.integrity, addressOf));
      return packetByPacket(traitsOf(encryption, integrity), addressOf, cipher, () => contexts.free());
    },
  };
}

/** Seals and opens with nonce = salt | IV: RFC 4106 §4, RFC 4309 §4, RFC 7634 §2. */
function aead(contexts: Contexts, { ivLength, icvLength, name }: Encryption): PacketCipher {
  const { openssl, nonce } = contexts;
  const { scratch } = openssl;
  const { base: outLength } = scratch;
  const aad64 = scratch.base + AAD;
  // RFC 3610 §2.2: the length stands in the first block, so CCM is told before anything else.
  const ccm = name.startsWith('ENCR_AES_CCM');

  const begin = (context: number, buf: Bytes, base: number, from: number, iv: number, text: number, high: number) => {
    if (ccm) must(openssl.cipherUpdate(context, 0, outLength, 0, text));
    if (high === NO_ESN) {
      if (iv > from) must(openssl.cipherUpdate(context, 0, outLength, base + from, iv - from));
      return;
    }
    // RFC 4106 §5: SPI | 64-bit sequence number, of which the packet carries the low half only.
    const { bytes } = scratch;
    for (let i = 0; i < 4; i++) {
      bytes[AAD + i] = buf[from + i]!;
      bytes[AAD + 8 + i] = buf[from + 4 + i]!;
    }
    putU32(bytes, AAD + 4, high);
    must(openssl.cipherUpdate(context, 0, outLength, aad64, 12));
  };

  return {
    seal(buf, base, from, iv, end, high) {
      const context = contexts.sealing();
      const start = iv + ivLength;
      contexts.loadNonce(buf, iv);
      must(openssl.cipherInit(context, 0, 0, 0, nonce, ENCRYPT));
      begin(context, buf, base, from, iv, end - start, high);
      if (end > start || ccm) must(openssl.cipherUpdate(context, base + start, outLength, base + start, end - start));
      must(openssl.cipherFinal(context, base + end, outLength));
      must(openssl.cipherControl(context, AEAD_GET_TAG, icvLength, base + end));
    },
    open(buf, base, from, iv, end, high) {
      const context = contexts.opening();
      const start = iv + ivLength;
      contexts.loadNonce(buf, iv);
      must(openssl.cipherInit(context, 0, 0, 0, nonce, DECRYPT));
      must(openssl.cipherControl(context, AEAD_SET_TAG, icvLength, base + end));
      begin(context, buf, base, from, iv, end - start, high);
      let right = 1;
      if (end > start || ccm) {
        right = openssl.cipherUpdate(context, base + start, outLength, base + start, end - start);
      }
      // The ICV is verified, in constant time, by the last step: with CCM that was the one before.
      if (right === 1 && !ccm) right = openssl.cipherFinal(context, base + end, outLength);
      if (right !== 1) openssl.clearErrors();
      return right === 1;
    },
  };
}

/** Encrypts, then authenticates what is sent (RFC 4303 §3.3.2.1). */
function encryptThenMac(
  contexts: Contexts,
  { ivLength, word }: Encryption,
  { icvLength }: Integrity,
  mac: PacketMac,
): PacketCipher {
  const { openssl, nonce } = contexts;
  const { scratch } = openssl;
  const counterMode = word.endsWith('ctr');

  const crypt = (context: number, encrypt: number, buf: Bytes, base: number, iv: number, end: number): void => {
    const start = iv + ivLength;
    if (end === start) return;
    if (counterMode) contexts.loadNonce(buf, iv);
    must(openssl.cipherInit(context, 0, 0, 0, counterMode ? nonce : base + iv, encrypt));
    must(openssl.cipherUpdate(context, base + start, scratch.base, base + start, end - start));
  };

  return {
    seal(buf, base, from, iv, end, high) {
      if (word !== 'null') crypt(contexts.sealing(), ENCRYPT, buf, base, iv, end);
      mac(buf, base, from, end, high);
      for (let i = 0; i < icvLength; i++) buf[end + i] = scratch.bytes[MAC + i]!;
    },
    open(buf, base, from, iv, end, high) {
      mac(buf, base, from, end, high);
      if (!equalSecretAt(scratch.bytes, MAC, buf, end, icvLength)) return false;
      if (word !== 'null') crypt(contexts.opening(), DECRYPT, buf, base, iv, end);
      return true;
    },
  };
}

/** Leaves the MAC of buf[from, end), and of the high half where there is one (RFC 4303 §2.2.1), at MAC in the scratch memory. */
type PacketMac = (buf: Bytes, base: number, from: number, end: number, high: number) => void;

function macOf(contexts: Contexts, { word }: Integrity, key: Bytes, addressOf: AddressOf): PacketMac {
  const { openssl } = contexts;
  const { scratch } = openssl;
  const { bytes } = scratch;
  const aesMac = AES_MACS[word];
  if (aesMac !== undefined) {
    const compute = aesMac((blockKey) => contexts.cbcMac(blockKey, addressOf), key);
    return (buf, _base, from, end, high) => {
      const sent = buf.subarray(from, end);
      contexts.inUse();
      putU32(bytes, HIGH, high);
      bytes.set(high === NO_ESN ? compute(sent) : compute(sent, bytes.subarray(HIGH, HIGH + 4)), MAC);
    };
  }
  const context = contexts.hmac(openssl.hash(word), key);
  return (_buf, base, from, end, high) => {
    contexts.inUse();
    must(openssl.hmacInit(context, 0, 0, 0, 0));
    must(openssl.hmacUpdate(context, base + from, end - from));
    if (high !== NO_ESN) {
      putU32(bytes, HIGH, high);
      must(openssl.hmacUpdate(context, scratch.base + HIGH, 4));
    }
    must(openssl.hmacFinal(context, scratch.base + MAC, scratch.base));
  };
}

const AES_MACS: Readonly<Record<string, typeof aesXcbc>> = { aesxcbc: aesXcbc, aescmac: aesCmac };

/** What OpenSSL keeps for one protection, and the memory of ours beside it: the key, and the nonce being used. */
class Contexts {
  readonly openssl: OpenSsl;
  /** The address of the nonce, or of the counter block: salt | IV | 00000001 (RFC 3686 §4). */
  readonly nonce: number;
  readonly #encryption: Encryption;
  readonly #memory: Block;
  readonly #handles: Handles;
  #sealing = 0;
  #opening = 0;

  constructor(openssl: OpenSsl, encryption: Encryption, key: Bytes) {
    this.openssl = openssl;
    this.#encryption = encryption;
    const { keyLength } = encryption;
    const memory = new Block(openssl.koffi, NONCE + 16);
    memory.bytes.set(key.subarray(0, keyLength));
    memory.bytes.set(key.subarray(keyLength), NONCE);
    memory.bytes[NONCE + 15] = 1;
    this.#memory = memory;
    this.nonce = memory.base + NONCE;
    this.#handles = { openssl, ciphers: [], hmacs: [], memory };
    unused.register(this, this.#handles, this);
  }

  /** Throws after `free`: OpenSSL would crash. */
  inUse(): void {
    invariant(this.#handles.openssl !== undefined, 'a protection is not used after its end');
  }

  /** Both directions can be asked for; an SA uses one. */
  sealing(): number {
    if (this.#sealing === 0) this.#sealing = this.#keyed(ENCRYPT);
    return this.#sealing;
  }

  opening(): number {
    if (this.#opening === 0) this.#opening = this.#keyed(DECRYPT);
    return this.#opening;
  }

  loadNonce(buf: Bytes, iv: number): void {
    const { ivLength, saltLength } = this.#encryption;
    const { bytes } = this.#memory;
    for (let i = 0; i < ivLength; i++) bytes[NONCE + saltLength + i] = buf[iv + i]!;
  }

  hmac(hash: number, key: Bytes): number {
    const { openssl, hmacs } = this.#live();
    const context = openssl.newHmac();
    hmacs.push(context);
    const block = new Block(openssl.koffi, key.length);
    block.bytes.set(key);
    must(openssl.hmacInit(context, block.base, key.length, hash, 0));
    block.wipe();
    return context;
  }

  /** The last block of AES-128-CBC with a zero IV. The blocks are scratch memory of the MAC: they are encrypted in place. */
  cbcMac(key: Bytes, addressOf: AddressOf): ReturnType<CbcMac> {
    const { openssl } = this;
    const block = new Block(openssl.koffi, 32);
    block.bytes.set(key);
    const context = this.#newCipher('AES-128-CBC', block.base, ENCRYPT);
    block.wipe();
    return (blocks) => {
      const address = addressOf(blocks);
      must(openssl.cipherInit(context, 0, 0, 0, block.base, ENCRYPT));
      must(openssl.cipherUpdate(context, address, openssl.scratch.base, address, blocks.length));
      return blocks.slice(-16);
    };
  }

  free(): void {
    unused.unregister(this);
    release(this.#handles);
    this.#sealing = 0;
    this.#opening = 0;
  }

  #keyed(direction: number): number {
    return this.#newCipher(cipherName(this.#encryption), this.#memory.base, direction);
  }

  #newCipher(name: string, key: number, direction: number): number {
    const { openssl, ciphers } = this.#live();
    const context = openssl.newCipher();
    ciphers.push(context);
    must(openssl.cipherInit(context, openssl.cipher(name), 0, 0, 0, direction));
    if (name.endsWith('-CCM')) {
      const { ivLength, saltLength, icvLength } = this.#encryption;
      must(openssl.cipherControl(context, AEAD_SET_IV_LENGTH, saltLength + ivLength, 0));
      must(openssl.cipherControl(context, AEAD_SET_TAG, icvLength, 0));
    }
    must(openssl.cipherInit(context, 0, 0, key, 0, direction));
    must(openssl.noPadding(context, 0));
    return context;
  }

  #live(): LiveHandles {
    this.inUse();
    return this.#handles as LiveHandles;
  }
}

/** What must be freed; without `openssl` it has been. Holds no reference to the Contexts, so that those can be collected. */
interface Handles {
  openssl: OpenSsl | undefined;
  readonly ciphers: number[];
  readonly hmacs: number[];
  readonly memory: Block;
}

type LiveHandles = Handles & { readonly openssl: OpenSsl };

function release(handles: Handles): void {
  const { openssl, ciphers, hmacs, memory } = handles;
  if (openssl === undefined) return;
  handles.openssl = undefined;
  for (const context of ciphers) openssl.freeCipher(context);
  for (const context of hmacs) openssl.freeHmac(context);
  memory.wipe();
}

const unused = new FinalizationRegistry<Handles>(release);

/** OpenSSL's functions succeed with 1; what fails here would send plaintext. */
function must(result: number): void {
  invariant(result === 1, 'OpenSSL does what it offered');
}

/** As EVP_CIPHER_fetch knows it; empty for ENCR_NULL. */
function cipherName({ name, keyBits, word }: Encryption): string {
  if (word === 'chacha20poly1305') return 'ChaCha20-Poly1305';
  if (word === '3des') return 'DES-EDE3-CBC';
  const mode = /^ENCR_AES_(GCM|CCM|CBC|CTR)/.exec(name)?.[1];
  return mode === undefined ? '' : `AES-${keyBits}-${mode}`;
}

/** Where things stand in the scratch memory; the first eight octets take lengths nobody reads. */
const AAD = 16;
const HIGH = 32;
const MAC = 64;
/** The nonce stands behind the key. */
const NONCE = 32;
const ENCRYPT = 1;
const DECRYPT = 0;
/** EVP_CTRL_AEAD_SET_IVLEN, _GET_TAG, _SET_TAG of openssl/evp.h. */
const AEAD_SET_IV_LENGTH = 0x09;
const AEAD_GET_TAG = 0x10;
const AEAD_SET_TAG = 0x11;
