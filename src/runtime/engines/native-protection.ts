/**
 * What the protections of native engines share: bounds, addresses, bursts.
 *
 * Leaves to others: the cryptography, given as two functions on addresses.
 */
import type { Bytes } from '../../core/index.ts';
import type { Encryption, Integrity, Protection } from '../../crypto/index.ts';
import type { AddressOf } from './block.ts';
import { checkBounds } from './bounds.ts';

/** Works on one packet that lies within `buf`, whose first octet has the address `base`. */
export interface PacketCipher {
  seal(buf: Bytes, base: number, from: number, iv: number, end: number, high: number): void;
  open(buf: Bytes, base: number, from: number, iv: number, end: number, high: number): boolean;
}

export type Traits = Pick<Protection, 'ivLength' | 'ivKind' | 'blockSize' | 'icvLength'>;

export const traitsOf = (
  { ivLength, ivKind, blockSize, icvLength }: Encryption,
  integrity: Integrity | undefined,
): Traits => ({ ivLength, ivKind, blockSize, icvLength: integrity?.icvLength ?? icvLength });

/** `cipher` may rely on the bounds; of a packet whose `open` failed, the plaintext is erased. */
export function packetByPacket(
  traits: Traits,
  addressOf: AddressOf,
  cipher: PacketCipher,
  dispose: () => void,
): Protection {
  const openAt = (buf: Bytes, base: number, from: number, iv: number, end: number, high: number): boolean => {
    checkBounds(traits, buf.length, from, iv, end, high);
    if (cipher.open(buf, base, from, iv, end, high)) return true;
    buf.fill(0, iv + traits.ivLength, end);
    return false;
  };
  return {
    ...traits,
    seal(buf, from, iv, end, high) {
      checkBounds(traits, buf.length, from, iv, end, high);
      cipher.seal(buf, addressOf(buf), from, iv, end, high);
    },
    open: (buf, from, iv, end, high) => openAt(buf, addressOf(buf), from, iv, end, high),
    sealBurst({ buf, from, iv, end, high }, first, stop) {
      const base = addressOf(buf);
      for (let i = first; i < stop; i++) {
        checkBounds(traits, buf.length, from[i]!, iv[i]!, end[i]!, high[i]!);
        cipher.seal(buf, base, from[i]!, iv[i]!, end[i]!, high[i]!);
      }
    },
    openBurst({ buf, from, iv, end, high, authentic }, first, stop) {
      const base = addressOf(buf);
      for (let i = first; i < stop; i++) {
        authentic[i] = openAt(buf, base, from[i]!, iv[i]!, end[i]!, high[i]!) ? 1 : 0;
      }
    },
    dispose,
  };
}
