/**
 * The engine over ipsec-mb: packets become jobs, a burst of them one call. The fastest there is for AES on x86-64.
 *
 * Read first: `ipsec-mb-queue.ts`; the picture above `Protection` in `crypto/contract.ts`; RFC 4106 §4 and §5, RFC 4303 §2.2.1.
 * Deliberate limits: no CCM (it takes 46 octets of AAD at most, and no 192-bit keys) and no 3DES; the ladder's next engine has them.
 * Invariants: the library writes into the packet and beside its job only; expanded keys are wiped by `dispose` or after collection.
 */
import { type Bytes, invariant, putU32 } from '../../core/index.ts';
import {
  type Burst,
  checkKeys,
  type Encryption,
  type Engine,
  equalSecretWords,
  type Integrity,
  NO_ESN,
  type Protection,
  type ProtectionKeys,
} from '../../crypto/index.ts';
import { Block, Memories, type Memory } from './block.ts';
import { checkBounds } from './bounds.ts';
import { GCM_KEY_DATA, type IpsecMb, MAX_BURST } from './ipsec-mb-library.ts';
import { BESIDE, type JobQueue, type JobTemplate, jobQueueOf, newTemplate, WORD } from './ipsec-mb-queue.ts';
import { type Traits, traitsOf } from './native-protection.ts';

export function ipsecMbEngine(library: IpsecMb): Engine {
  const queue = jobQueueOf(library);
  const memories = new Memories(library.koffi);
  return {
    name: 'ipsec-mb',

    supports: (encryption, integrity) =>
      encryption.aead === (integrity === undefined) &&
      cipherOf(encryption) !== undefined &&
      (integrity === undefined || HASHES[integrity.word] !== undefined),

    // A MAC is computed for up to sixteen packets side by side, at the price of one or two on their own elsewhere.
    leastBurst: (_encryption, integrity) => (integrity === undefined ? 1 : LEAST_MACS),

    protection(encryption, integrity, keys) {
      checkKeys(encryption, integrity, keys);
      return new IpsecMbProtection(
        queue,
        memories,
        encryption,
        integrity,
        new Keys(library, encryption, integrity, keys),
      );
    },
  };
}

class IpsecMbProtection implements Protection {
  readonly ivLength: Traits['ivLength'];
  readonly ivKind: Traits['ivKind'];
  readonly blockSize: Traits['blockSize'];
  readonly icvLength: Traits['icvLength'];
  readonly #queue: JobQueue;
  readonly #memories: Memories;
  readonly #keys: Keys;
  readonly #aead: boolean;
  readonly #cipher: number;
  /** The IV stands beside the job, behind the salt; otherwise the packet's own is pointed at. */
  readonly #ivBeside: boolean;
  /** By direction, and whether sequence numbers are extended: an SA uses one of the four. */
  readonly #templates: (JobTemplate | undefined)[] = [undefined, undefined, undefined, undefined];

  constructor(
    queue: JobQueue,
    memories: Memories,
    encryption: Encryption,
    integrity: Integrity | undefined,
    keys: Keys,
  ) {
    const traits = traitsOf(encryption, integrity);
    this.ivLength = traits.ivLength;
    this.ivKind = traits.ivKind;
    this.blockSize = traits.blockSize;
    this.icvLength = traits.icvLength;
    this.#queue = queue;
    this.#memories = memories;
    this.#keys = keys;
    this.#aead = encryption.aead;
    this.#cipher = cipherOf(encryption)!;
    this.#ivBeside = encryption.saltLength > 0;
  }

  seal(buf: Bytes, from: number, iv: number, end: number, high: number): void {
    const at = this.#checked(buf, from, iv, end, high);
    this.#begin(1);
    this.#sealJob(0, this.#memories.of(buf), at + from, at + iv, at + end, high);
    this.#queue.run(1);
  }

  open(buf: Bytes, from: number, iv: number, end: number, high: number): boolean {
    const at = this.#checked(buf, from, iv, end, high);
    const memory = this.#memories.of(buf);
    this.#begin(1);
    this.#openJob(0, memory, at + from, at + iv, at + end, high);
    this.#queue.run(1);
    return this.#verdict(0, memory, at + iv, at + end, high);
  }

  sealBurst({ buf, from, iv, end, high }: Burst, first: number, stop: number): void {
    const memory = this.#memories.of(buf);
    const at = buf.byteOffset;
    for (let next = first; next < stop; next += MAX_BURST) {
      const count = Math.min(stop - next, MAX_BURST);
      this.#begin(count);
      for (let i = 0; i < count; i++) {
        const p = next + i;
        this.#checked(buf, from[p]!, iv[p]!, end[p]!, high[p]!);
        this.#sealJob(i, memory, at + from[p]!, at + iv[p]!, at + end[p]!, high[p]!);
      }
      this.#queue.run(count);
    }
  }

  openBurst({ buf, from, iv, end, high, authentic }: Burst, first: number, stop: number): void {
    const memory = this.#memories.of(buf);
    const at = buf.byteOffset;
    for (let next = first; next < stop; next += MAX_BURST) {
      const count = Math.min(stop - next, MAX_BURST);
      this.#begin(count);
      for (let i = 0; i < count; i++) {
        const p = next + i;
        this.#checked(buf, from[p]!, iv[p]!, end[p]!, high[p]!);
        this.#openJob(i, memory, at + from[p]!, at + iv[p]!, at + end[p]!, high[p]!);
      }
      this.#queue.run(count);
      for (let i = 0; i < count; i++) {
        const p = next + i;
        authentic[p] = this.#verdict(i, memory, at + iv[p]!, at + end[p]!, high[p]!) ? 1 : 0;
      }
    }
  }

  dispose(): void {
    this.#keys.wipe();
  }

  /** Where buf[0] is in its memory, once the bounds are right. */
  #checked(buf: Bytes, from: number, iv: number, end: number, high: number): number {
    checkBounds(this, buf.length, from, iv, end, high);
    return buf.byteOffset;
  }

  #begin(count: number): void {
    this.#keys.inUse();
    this.#queue.take(count);
  }

  #sealJob(i: number, memory: Memory, from: number, iv: number, end: number, high: number): void {
    const queue = this.#queue;
    if (queue.fill(i, this.#template(SEAL, high))) this.#fillBeside(i, high);
    this.#job(i, memory, from, iv, end, high);
    queue.put(queue.at(i) + WORD.tag, memory.base + end);
    // RFC 4303 §2.2.1, as in `#openJob`; the MAC is written over it.
    if (!this.#aead && high !== NO_ESN) memory.view.setUint32(end, high);
  }

  #openJob(i: number, memory: Memory, from: number, iv: number, end: number, high: number): void {
    const queue = this.#queue;
    if (queue.fill(i, this.#template(OPEN, high))) {
      this.#fillBeside(i, high);
      queue.put(queue.at(i) + WORD.tag, queue.besideAddress(i) + BESIDE.mac);
    }
    this.#job(i, memory, from, iv, end, high);
    if (this.#aead || high === NO_ESN) return;
    // RFC 4303 §2.2.1: the high half follows the packet in the MAC's input; what it stands on comes back before the comparison.
    queue.besideView.setInt32(queue.besideAt(i) + BESIDE.icv, memory.view.getInt32(end));
    memory.view.setUint32(end, high);
  }

  #template(direction: number, high: number): JobTemplate {
    const kind = high === NO_ESN ? direction - SEAL : direction - SEAL + 2;
    const known = this.#templates[kind];
    if (known !== undefined) return known;
    const made = this.#keys.template(direction, high !== NO_ESN);
    this.#templates[kind] = made;
    return made;
  }

  /** What stays beside a job as long as its template: salt, and the block counter of CTR (RFC 3686 §4), which AEADs do not read. */
  #fillBeside(i: number, high: number): void {
    const queue = this.#queue;
    if (this.#aead && high !== NO_ESN) queue.put(queue.at(i) + WORD.hash1, queue.besideAddress(i) + BESIDE.aad);
    if (!this.#ivBeside) return;
    const { beside } = queue;
    const at = queue.besideAt(i) + BESIDE.iv;
    const { salt } = this.#keys;
    for (let k = 0; k < SALT; k++) beside[at + k] = salt[k]!;
    putU32(beside, at + SALT + 8, 1);
    queue.put(queue.at(i) + WORD.iv, queue.besideAddress(i) + BESIDE.iv);
  }

  /** What is the packet's own. */
  #job(i: number, memory: Memory, from: number, iv: number, end: number, high: number): void {
    const queue = this.#queue;
    const { words, besideView: beside } = queue;
    const { base, view } = memory;
    const at = queue.at(i);
    const start = iv + this.ivLength;
    queue.put(at + WORD.source, base + from);
    queue.put(at + WORD.destination, base + start);
    words[at + WORD.cipherLength] = end - start;
    if (this.#ivBeside) {
      const nonce = queue.besideAt(i) + BESIDE.iv + SALT;
      beside.setInt32(nonce, view.getInt32(iv));
      beside.setInt32(nonce + 4, view.getInt32(iv + 4));
    } else queue.put(at + WORD.iv, base + iv);

    if (this.#aead && high !== NO_ESN) {
      // RFC 4106 §5: SPI | 64-bit sequence number, of which the packet carries the low half only.
      const aad = queue.besideAt(i) + BESIDE.aad;
      beside.setInt32(aad, view.getInt32(from));
      beside.setUint32(aad + 4, high);
      beside.setInt32(aad + 8, view.getInt32(from + 4));
      words[at + WORD.hashLength] = end - start;
      return;
    }
    words[at + WORD.cipherOffset] = start - from;
    if (this.#aead) {
      words[at + WORD.hashOffset] = start - from;
      words[at + WORD.hashLength] = end - start;
      queue.put(at + WORD.hash1, base + from);
      words[at + WORD.hash2] = iv - from;
      return;
    }
    words[at + WORD.cipher] = end > start ? this.#cipher : CIPHER.null;
    words[at + WORD.hashLength] = high === NO_ESN ? end - from : end - from + 4;
  }

  /** Compares the ICVs; the plaintext of a packet that is refused is erased. */
  #verdict(i: number, memory: Memory, iv: number, end: number, high: number): boolean {
    const { besideView: beside } = this.#queue;
    const { view } = memory;
    const side = this.#queue.besideAt(i);
    if (!this.#aead && high !== NO_ESN) view.setInt32(end, beside.getInt32(side + BESIDE.icv));
    if (equalSecretWords(beside, side + BESIDE.mac, view, end, this.icvLength)) return true;
    memory.bytes.fill(0, iv + this.ivLength, end);
    return false;
  }
}

/** The expanded keys of one protection, in memory that the jobs point to. */
class Keys {
  readonly salt: Bytes;
  readonly #encryption: Encryption;
  readonly #integrity: Integrity | undefined;
  readonly #memory: Block;
  #wiped = false;

  constructor(library: IpsecMb, encryption: Encryption, integrity: Integrity | undefined, keys: ProtectionKeys) {
    const { keyLength, word } = encryption;
    this.#encryption = encryption;
    this.#integrity = integrity;
    this.salt = keys.encryption.slice(keyLength);
    const memory = new Block(library.koffi, integrity === undefined ? GCM_KEY_DATA : OFFSET.end);
    this.#memory = memory;
    unused.register(this, memory, this);

    const raw = new Block(library.koffi, RAW);
    raw.bytes.set(keys.encryption.subarray(0, keyLength));
    const { base } = memory;
    if (word === 'chacha20poly1305') memory.bytes.set(raw.bytes.subarray(0, keyLength));
    else if (encryption.aead) library.prepareGcm(keyLength, raw.base, base);
    else if (word !== 'null') library.expandKey(keyLength, raw.base, base, base + OFFSET.decryption);
    if (integrity !== undefined) expandHashKey(library, integrity.word, keys.integrity, raw, base);
    raw.wipe();
  }

  template(direction: number, extended: boolean): JobTemplate {
    const { ivLength, saltLength, keyLength, word, aead, icvLength } = this.#encryption;
    const { base } = this.#memory;
    const template = newTemplate();
    const put = (at: number, value: number): void => {
      template[at] = value;
      template[at + 1] = value / 0x1_0000_0000;
    };
    put(WORD.encryptionKeys, base);
    put(WORD.decryptionKeys, aead || word.endsWith('ctr') ? base : base + OFFSET.decryption);
    put(WORD.keyLength, keyLength);
    put(WORD.ivLength, word.endsWith('ctr') ? 16 : saltLength + ivLength);
    put(WORD.tagLength, this.#integrity?.icvLength ?? icvLength);
    if (!aead) {
      put(WORD.hash1, base + OFFSET.hash1);
      put(WORD.hash2, base + OFFSET.hash2);
      put(WORD.hash3, base + OFFSET.hash3);
    }
    if (aead && extended) {
      // An ESP header is before the IV, and the AAD is beside the job.
      template[WORD.cipherOffset] = ESP_HEADER + ivLength;
      template[WORD.hashOffset] = ESP_HEADER + ivLength;
      template[WORD.hash2] = EXTENDED_AAD;
    }
    template[WORD.cipher] = cipherOf(this.#encryption)!;
    template[WORD.direction] = direction;
    template[WORD.hash] = HASHES[this.#integrity?.word ?? aeadWord(this.#encryption)]!;
    template[WORD.order] = direction === SEAL ? CIPHER_THEN_HASH : HASH_THEN_CIPHER;
    return template;
  }

  inUse(): void {
    invariant(!this.#wiped, 'a protection is not used after its end');
  }

  wipe(): void {
    this.#wiped = true;
    this.#memory.wipe();
    this.salt.fill(0);
  }
}

/** HMAC (RFC 2104 §4): the states after the padded keys. XCBC, CMAC: round keys, then what masks the last block. */
function expandHashKey(library: IpsecMb, word: string, key: Bytes, raw: Block, base: number): void {
  raw.wipe();
  if (word.startsWith('aes')) {
    raw.bytes.set(key);
    if (word === 'aesxcbc') {
      library.prepareXcbc(raw.base, base + OFFSET.hash1, base + OFFSET.hash2, base + OFFSET.hash3);
      return;
    }
    library.expandKey(16, raw.base, base + OFFSET.hash1, raw.base + 16);
    library.prepareCmac(base + OFFSET.hash1, base + OFFSET.hash2, base + OFFSET.hash3);
    return;
  }
  const block = word === 'sha1' || word === 'sha256' ? 64 : 128;
  for (const [pad, at] of [
    [0x36, OFFSET.hash1],
    [0x5c, OFFSET.hash2],
  ] as const) {
    raw.bytes.fill(pad, 0, block);
    for (let i = 0; i < key.length; i++) raw.bytes[i] = key[i]! ^ pad;
    library.hashBlock(word, raw.base, base + at);
  }
}

const unused = new FinalizationRegistry<Block>((memory) => memory.wipe());

const aeadWord = ({ word }: Encryption): string => (word.startsWith('chacha') ? 'chacha20poly1305' : 'gcm');

function cipherOf({ name, word }: Encryption): number | undefined {
  if (word === 'chacha20poly1305') return CIPHER.chacha20poly1305;
  if (word === 'null') return CIPHER.null;
  const mode = /^ENCR_AES_(GCM|CBC|CTR)/.exec(name)?.[1];
  return mode === undefined ? undefined : CIPHER[mode as 'GCM' | 'CBC' | 'CTR'];
}

/** IMB_CIPHER_MODE. */
const CIPHER = { CBC: 1, CTR: 2, null: 3, GCM: 5, chacha20poly1305: 19 } as const;
/** IMB_HASH_ALG. */
const HASHES: Readonly<Record<string, number>> = {
  sha1: 1,
  sha256: 3,
  sha384: 4,
  sha512: 5,
  aesxcbc: 6,
  gcm: 9,
  aescmac: 12,
  chacha20poly1305: 29,
};
/** IMB_CIPHER_DIRECTION, IMB_CHAIN_ORDER. */
const SEAL = 1;
const OPEN = 2;
const CIPHER_THEN_HASH = 1;
const HASH_THEN_CIPHER = 2;

/** Measured by `bench/crypto.ts`: with AVX-512, fewer are faster one by one in OpenSSL. */
const LEAST_MACS = 4;
const SALT = 4;
/** RFC 4303 §2; with an extended sequence number its upper half is authenticated, too (RFC 4106 §5). */
const ESP_HEADER = 8;
const EXTENDED_AAD = 12;
/** Where keys stand: round keys of both directions at 0, then what the hash needs. */
const OFFSET = { decryption: 256, hash1: 512, hash2: 704, hash3: 768, end: 784 } as const;
/** The longest block of a hash; or a key and round keys nobody reads. */
const RAW = 256;
