/**
 * The key exchange methods (transform type 4) as a table that computes.
 *
 * Read first: IANA "IKEv2 Parameters", RFC 8247 §2.4 (which to use). The arithmetic stands in `modp.ts`, `ecp.ts`, `montgomery.ts`.
 * A private key lives as long as its KeyPair: RFC 6989 §2.1 and §2.3 let it be reused, because every public value is tested.
 */
import type { Group } from './contract.ts';
import { ecp } from './ecp.ts';
import { modp } from './modp.ts';
import { montgomery } from './montgomery.ts';

export function groupById(id: number): Group | undefined {
  return GROUPS.find((group) => group.id === id);
}

/** Accepts strongSwan's other spellings `x25519` and `x448`. */
export function groupByWord(word: string): Group | undefined {
  const plain = word.replace(/^x(?=25519$|448$)/, 'curve');
  return GROUPS.find((group) => group.word === plain);
}

/**
 * Exponents are at least as long as Strength Estimate 1 of RFC 3526 §8 asks, and at least twice the strength that
 * SP 800-56A appendix D gives each prime.
 */
const modpGroup = (id: number, bits: number, nodeName: string, exponentLength: number, legacy = false): Group => ({
  id,
  word: `modp${bits}`,
  name: `${bits}-bit MODP Group`,
  publicLength: bits / 8,
  sharedLength: bits / 8,
  legacy,
  generate: modp(nodeName, exponentLength),
});

const ecpGroup = (id: number, bits: number, curve: string, orderHex: string): Group => {
  const length = Math.ceil(bits / 8);
  return {
    id,
    word: `ecp${bits}`,
    name: `${bits}-bit random ECP group`,
    publicLength: 2 * length,
    sharedLength: length,
    legacy: false,
    generate: ecp(curve, length, orderHex),
  };
};

const montgomeryGroup = (
  id: number,
  word: string,
  crv: 'X25519' | 'X448',
  length: number,
  pkcs8Hex: string,
): Group => ({
  id,
  word: word.toLowerCase(),
  name: word,
  publicLength: length,
  sharedLength: length,
  legacy: false,
  generate: montgomery(crv, length, pkcs8Hex),
});

export const GROUPS: readonly Group[] = [
  // RFC 8031 §2.
  montgomeryGroup(31, 'Curve25519', 'X25519', 32, '302e020100300506032b656e04220420'),
  montgomeryGroup(32, 'Curve448', 'X448', 56, '3046020100300506032b656f043a0438'),
  // RFC 5903 §3.1 to §3.3.
  ecpGroup(19, 256, 'prime256v1', 'ffffffff00000000ffffffffffffffffbce6faada7179e84f3b9cac2fc632551'),
  ecpGroup(
    20,
    384,
    'secp384r1',
    'ffffffffffffffffffffffffffffffffffffffffffffffffc7634d81f4372ddf581a0db248b0a77aecec196accc52973',
  ),
  ecpGroup(
    21,
    521,
    'secp521r1',
    '01fffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffa51868783bf2f966b7fcc0148f709a5d03bb5c9b8899c47aebb6fb71e91386409',
  ),
  // RFC 3526 §3 to §7.
  modpGroup(14, 2048, 'modp14', 32),
  modpGroup(15, 3072, 'modp15', 40),
  modpGroup(16, 4096, 'modp16', 48),
  modpGroup(17, 6144, 'modp17', 48),
  modpGroup(18, 8192, 'modp18', 56),
  // RFC 3526 §2 and RFC 2409 §6.2. SHOULD NOT (RFC 8247 §2.4).
  modpGroup(5, 1536, 'modp5', 32, true),
  modpGroup(2, 1024, 'modp2', 32, true),
];
