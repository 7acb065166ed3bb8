/**
 * Diffie-Hellman on Curve25519 and Curve448.
 *
 * Read first: RFC 8031 §2 and §3 (use in IKEv2), RFC 7748 §5 (X25519, X448) and §6 (the all-zero result).
 * OpenSSL clamps secret keys, masks the top bit of a received X25519 value and accepts non-canonical ones, as RFC 8031 §3.2 wants.
 */
import { createPrivateKey, createPublicKey, diffieHellman, type KeyObject } from 'node:crypto';
import { type Bytes, concat, fromHex, type Random } from '../core/index.ts';
import type { KeyPair } from './contract.ts';
import { octets } from './octets.ts';
import { checkLength, refuse } from './public-value.ts';

/** Makes key pairs of the function `crv`; `pkcs8Hex` is what stands before the secret key in PKCS #8 (RFC 8410 §7). */
export function montgomery(crv: 'X25519' | 'X448', length: number, pkcs8Hex: string): (random: Random) => KeyPair {
  const pkcs8 = fromHex(pkcs8Hex);
  return (random) => {
    const privateKey = secretKey(crv, pkcs8, random(length));
    return {
      publicValue: octets(Buffer.from(privateKey.export({ format: 'jwk' }).x!, 'base64url')).slice(),
      agree(peer) {
        checkLength(peer, length);
        const publicKey = createPublicKey({ format: 'jwk', key: { kty: 'OKP', crv, x: base64url(peer) } });
        try {
          return octets(diffieHellman({ privateKey, publicKey }));
        } catch {
          // RFC 7748 §6: OpenSSL refuses the all-zero result, and nothing else.
          return refuse('has small order');
        }
      },
    };
  };
}

/**
 * The public half is OpenSSL's to compute, so the member `x` that the type of a JWK demands stays empty. Reading a JWK takes
 * a tenth of the time of PKCS #8, which serves where node insists on a true `x`.
 */
function secretKey(crv: string, pkcs8: Bytes, secret: Bytes): KeyObject {
  try {
    return createPrivateKey({ format: 'jwk', key: { kty: 'OKP', crv, d: base64url(secret), x: '' } });
  } catch {
    return createPrivateKey({ format: 'der', type: 'pkcs8', key: Buffer.from(concat(pkcs8, secret)) });
  }
}

const base64url = (bytes: Bytes): string =>
  Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length).toString('base64url');
