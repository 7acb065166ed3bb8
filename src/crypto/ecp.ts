/**
 * Diffie-Hellman on the elliptic curves modulo a prime of RFC 5903.
 *
 * Read first: RFC 5903 §7 (formats), RFC 6989 §2.3 (the test), SEC 1 §2.3.3 (the 0x04 in front that OpenSSL wants).
 */
import { createECDH } from 'node:crypto';
import { type Bytes, concat, fromHex, type Random, toHex } from '../core/index.ts';
import type { KeyPair } from './contract.ts';
import { octets } from './octets.ts';
import { checkLength, refuse } from './public-value.ts';

/** Makes key pairs on OpenSSL's `curve`, whose base point has the given order and whose coordinates have `length` octets. */
export function ecp(curve: string, length: number, orderHex: string): (random: Random) => KeyPair {
  const order = BigInt(`0x${orderHex}`);
  return (random) => {
    const ecdh = createECDH(curve);
    ecdh.setPrivateKey(scalar(random(length + EXTRA_OCTETS), order, length));
    return {
      publicValue: octets(ecdh.getPublicKey()).slice(1),
      agree(peer) {
        checkLength(peer, 2 * length);
        try {
          // Decoding refuses coordinates not below p and points not on the curve (RFC 6989 §2.3); the result is x alone.
          return octets(ecdh.computeSecret(concat(UNCOMPRESSED, peer)));
        } catch {
          return refuse('is not a point of the curve');
        }
      },
    };
  };
}

/** SP 800-56A §5.6.1.2.1: 64 bits more than the order has make the bias of the remainder negligible. Never 0. */
function scalar(random: Bytes, order: bigint, length: number): Bytes {
  const value = (BigInt(`0x${toHex(random)}`) % (order - 1n)) + 1n;
  return fromHex(value.toString(16).padStart(2 * length, '0'));
}

const EXTRA_OCTETS = 8;
const UNCOMPRESSED = Uint8Array.of(4);
