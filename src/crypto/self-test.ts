/**
 * Known-answer tests of an engine: does it write what the reference writes, alone and in bursts, and refuse what was changed?
 *
 * Read first: `contract.ts`. The answers (`known-answers.ts`) are those of the `noble` engine, which the published vectors hold to the
 * RFCs; 3DES, which noble lacks, has those of `node`. Leaves to others: every length and every way of tampering (the tests).
 */
import { type Bytes, toHex } from '../core/index.ts';
import { Burst } from './burst.ts';
import { type Encryption, type Engine, type Integrity, NO_ESN, type Protection } from './contract.ts';
import { sha256 } from './digest.ts';
import { ENCRYPTIONS } from './encryption.ts';
import { INTEGRITIES } from './integrity.ts';
import { KNOWN_ANSWERS } from './known-answers.ts';

export interface Suite {
  readonly encryption: Encryption;
  /** undefined exactly with an AEAD. */
  readonly integrity: Integrity | undefined;
  /** `aes128gcm16`, `aes256-sha256`. */
  readonly word: string;
}

/** Every AEAD alone, every other cipher with every integrity. */
export const SUITES: readonly Suite[] = ENCRYPTIONS.flatMap((encryption) =>
  (encryption.aead ? [undefined] : INTEGRITIES).map((integrity) => ({
    encryption,
    integrity,
    word: integrity === undefined ? encryption.word : `${encryption.word}-${integrity.word}`,
  })),
);

/** What is wrong with this suite of the engine, in words; undefined: nothing. */
export function selfTest(engine: Engine, suite: Suite): string | undefined {
  try {
    const protection = keyed(engine, suite);
    try {
      return examine(protection, suite);
    } finally {
      protection.dispose?.();
    }
  } catch (error) {
    return error instanceof Error ? error.message : String(error);
  }
}

/** The known answer as this engine gives it: a digest of all the packets it sealed. */
export function answerOf(engine: Engine, suite: Suite): string {
  const protection = keyed(engine, suite);
  const burst = packets(suite);
  sealOneByOne(protection, burst);
  protection.dispose?.();
  return digest(burst.buf);
}

function examine(protection: Protection, suite: Suite): string | undefined {
  const { ivLength, ivKind, blockSize, icvLength } = protection;
  const { encryption, integrity } = suite;
  if (
    ivLength !== encryption.ivLength ||
    ivKind !== encryption.ivKind ||
    blockSize !== encryption.blockSize ||
    icvLength !== (integrity ?? encryption).icvLength
  )
    return 'the lengths are wrong';

  const plain = packets(suite);
  const single = packets(suite);
  sealOneByOne(protection, single);
  const sealed = single.buf.slice();
  if (digest(sealed) !== KNOWN_ANSWERS[suite.word]) return 'a known answer is wrong';
  const burst = packets(suite);
  protection.sealBurst(burst, 0, burst.count);
  if (digest(burst.buf) !== KNOWN_ANSWERS[suite.word]) return 'a known answer is wrong in a burst';

  for (let i = 0; i < single.count; i++) {
    if (!protection.open(single.buf, single.from[i]!, single.iv[i]!, single.end[i]!, single.high[i]!))
      return 'a right packet is refused';
  }
  if (!sameTexts(single, plain)) return 'a packet is decrypted wrongly';
  const last = burst.count - 1;
  burst.buf[burst.end[last]!]! ^= 1;
  protection.openBurst(burst, 0, burst.count);
  if (burst.authentic[last] !== 0) return 'a changed packet is accepted';
  burst.count = last;
  if (burst.authentic.subarray(0, last).includes(0)) return 'a right packet is refused in a burst';
  return sameTexts(burst, plain) ? undefined : 'a packet is decrypted wrongly in a burst';
}

function keyed(engine: Engine, { encryption, integrity }: Suite): Protection {
  return engine.protection(encryption, integrity, {
    encryption: octets(encryption.keyLength + encryption.saltLength, 1),
    integrity: octets(integrity?.keyLength ?? 0, 2),
  });
}

/** ESP packets in the making, with and without extended sequence numbers, one behind the other. */
function packets({ encryption, integrity }: Suite): Burst {
  const { ivLength, blockSize } = encryption;
  const icvLength = (integrity ?? encryption).icvLength;
  const texts = TEXT_LENGTHS.map((length) => Math.ceil(length / blockSize) * blockSize);
  const size = texts.reduce((sum, length) => sum + HEADER + ivLength + length + icvLength, 0);
  const burst = new Burst(octets(size, 3), texts.length);
  let at = 0;
  for (const [i, length] of texts.entries()) {
    const end = at + HEADER + ivLength + length;
    burst.buf.fill(0, end, end + icvLength);
    burst.add(at, at + HEADER, end, i % 2 === 0 ? NO_ESN : 0x80000000 + i);
    at = end + icvLength;
  }
  return burst;
}

function sealOneByOne(protection: Protection, { buf, count, from, iv, end, high }: Burst): void {
  for (let i = 0; i < count; i++) protection.seal(buf, from[i]!, iv[i]!, end[i]!, high[i]!);
}

/** Header, IV and plaintext of all packets of `a` stand in `b` too. */
function sameTexts(a: Burst, b: Burst): boolean {
  for (let i = 0; i < a.count; i++) {
    for (let at = a.from[i]!; at < a.end[i]!; at++) if (a.buf[at] !== b.buf[at]) return false;
  }
  return true;
}

const digest = (packets: Bytes): string => toHex(sha256(packets)).slice(0, 32);

/** Octets without pattern, the same each time: a multiplicative generator (Numerical Recipes' constants). */
function octets(length: number, seed: number): Bytes {
  const out = new Uint8Array(length);
  let state = seed;
  for (let i = 0; i < length; i++) {
    state = Math.imul(state, 1664525) + 1013904223;
    out[i] = state >>> 24;
  }
  return out;
}

/** Below and above the block of every cipher and hash, and what engines treat apart: one block, many, a whole packet. */
const TEXT_LENGTHS = [4, 16, 20, 64, 132, 300, 1436, 36, 48];
const HEADER = 8;
