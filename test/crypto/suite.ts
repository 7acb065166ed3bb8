/** What the tests of engines share: deterministic octets, packets with marked surroundings. */
import { type Bytes, seededRandom } from '../../src/core/index.ts';
import type { ProtectionKeys, Suite } from '../../src/crypto/index.ts';

/** A suite without its word. */
export type Algorithms = Pick<Suite, 'encryption' | 'integrity'>;

export function keysOf({ encryption, integrity }: Algorithms, seed: number): ProtectionKeys {
  const random = seededRandom(seed);
  return {
    encryption: random(encryption.keyLength + encryption.saltLength),
    integrity: random(integrity?.keyLength ?? 0),
  };
}

export interface Frame {
  readonly buf: Bytes;
  readonly from: number;
  readonly iv: number;
  readonly end: number;
  /** Where the octets of this packet stop. */
  readonly stop: number;
}

const MARGIN = 5;
const MARK = 0xa5;

/** A packet of `textLength` random plaintext octets, with marked octets around it that nobody may touch. */
export function frame(
  { encryption, integrity }: Algorithms,
  headerLength: number,
  textLength: number,
  seed: number,
): Frame {
  const icvLength = integrity?.icvLength ?? encryption.icvLength;
  const iv = MARGIN + headerLength;
  const end = iv + encryption.ivLength + textLength;
  const buf = new Uint8Array(end + icvLength + MARGIN).fill(MARK);
  buf.set(seededRandom(seed)(end - MARGIN), MARGIN);
  return { buf, from: MARGIN, iv, end, stop: end + icvLength };
}

export const untouchedAround = ({ buf, from, stop }: Frame): boolean =>
  buf.subarray(0, from).every((octet) => octet === MARK) && buf.subarray(stop).every((octet) => octet === MARK);
