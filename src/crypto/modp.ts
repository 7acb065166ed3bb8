/**
 * Diffie-Hellman modulo the safe primes of RFC 2409 and RFC 3526.
 *
 * Read first: RFC 7296 §2.14 (padding of g^ir) and §3.4, RFC 6989 §2.1 (the test), RFC 3526 §8 (exponent sizes).
 * One DiffieHellman object serves all keys of a group: making one tests a prime OpenSSL does not know by heart (group 2), and
 * a used one keeps its Montgomery form. `crypto.diffieHellman` is no alternative: it raises the peer's value to the order of
 * the subgroup each time, which RFC 6989 §2.1 does not ask for and which costs several times the exchange itself.
 */
import { createDiffieHellman, type DiffieHellman, getDiffieHellman } from 'node:crypto';
import { type Bytes, compareBytes, type Random } from '../core/index.ts';
import type { KeyPair } from './contract.ts';
import { octets } from './octets.ts';
import { checkLength, refuse } from './public-value.ts';

/** Makes key pairs of node's group `name`, with secret exponents of `exponentLength` octets. */
export function modp(name: string, exponentLength: number): (random: Random) => KeyPair {
  let field: Field | undefined;
  return (random) => {
    field ??= makeField(name);
    const { dh, one, pMinus1 } = field;
    // The top bit is set so that every exponent has the same size, and none is trivial.
    const exponent = new Uint8Array(random(exponentLength));
    exponent[0]! |= 0x80;
    dh.setPrivateKey(exponent);
    return {
      publicValue: padded(dh.generateKeys(), pMinus1.length),
      agree(peer) {
        checkLength(peer, pMinus1.length);
        // RFC 6989 §2.1: 1 < r < p-1.
        if (compareBytes(peer, one) <= 0 || compareBytes(peer, pMinus1) >= 0) refuse('is not between 1 and p-1');
        dh.setPrivateKey(exponent);
        return padded(dh.computeSecret(peer), pMinus1.length);
      },
    };
  };
}

interface Field {
  readonly dh: DiffieHellman;
  readonly one: Bytes;
  readonly pMinus1: Bytes;
}

function makeField(name: string): Field {
  const prime = getDiffieHellman(name).getPrime();
  const pMinus1 = octets(prime).slice();
  pMinus1[pMinus1.length - 1]! &= 0xfe;
  const one = new Uint8Array(prime.length);
  one[one.length - 1] = 1;
  return { dh: createDiffieHellman(prime, GENERATOR), one, pMinus1 };
}

/** RFC 7296 §2.14 and §3.4: zeros in front, up to the length of the modulus. */
function padded(value: Uint8Array, length: number): Bytes {
  const out = new Uint8Array(length);
  out.set(value, length - value.length);
  return out;
}

const GENERATOR = Uint8Array.of(2);
