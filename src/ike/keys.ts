/**
 * Keying material of IKE SAs and Child SAs.
 *
 * Read first: RFC 7296 §2.13 (prf+), §2.14 (SKEYSEED), §2.17 (Child SAs), §2.18 (rekeyed IKE SAs); RFC 5282 §7.1 (an AEAD
 * has no SK_a); RFC 4434 §2 and 4615 §3 through `Prf.fixedKey`.
 * Invariant: everything secret leaves this file as a `Secret`.
 */
import { type Bytes, concat, EMPTY, Secret } from '../core/index.ts';
import { type Prf, type Protection, prfPlus, protection } from '../crypto/index.ts';
import type { ChildKeys, ChildSuite, IkeSuite } from './contract.ts';

export interface IkeKeys {
  readonly skD: Secret;
  readonly skAi: Secret;
  readonly skAr: Secret;
  readonly skEi: Secret;
  readonly skEr: Secret;
  readonly skPi: Secret;
  readonly skPr: Secret;
}

/** What both ends know in the clear; of a rekeyed IKE SA the new SPIs and the nonces of CREATE_CHILD_SA. */
export interface KeyInputs {
  readonly spiI: Bytes;
  readonly spiR: Bytes;
  readonly nonceI: Bytes;
  readonly nonceR: Bytes;
}

/** §2.14: SKEYSEED = prf(Ni | Nr, g^ir). A PRF of fixed key length takes the first 64 bits of each nonce. */
export function initialSkeyseed(prf: Prf, nonceI: Bytes, nonceR: Bytes, shared: Bytes): Secret {
  const key = prf.fixedKey ? concat(nonceI.subarray(0, 8), nonceR.subarray(0, 8)) : concat(nonceI, nonceR);
  return new Secret(prf.compute(key, shared));
}

/** §2.18: SKEYSEED = prf(SK_d (old), g^ir (new) | Ni | Nr), with the PRF of the old IKE SA. */
export function rekeyedSkeyseed(oldPrf: Prf, oldSkD: Secret, nonceI: Bytes, nonceR: Bytes, shared: Bytes): Secret {
  return new Secret(oldPrf.compute(oldSkD.reveal(), shared, nonceI, nonceR));
}

/** §2.14: SK_d | SK_ai | SK_ar | SK_ei | SK_er | SK_pi | SK_pr = prf+(SKEYSEED, Ni | Nr | SPIi | SPIr). */
export function expandIkeKeys(suite: IkeSuite, inputs: KeyInputs, skeyseed: Secret): IkeKeys {
  const { prf, encryption, integrity } = suite;
  const a = integrity?.keyLength ?? 0;
  const e = encryption.keyLength + encryption.saltLength;
  const p = prf.keyLength;
  const seed = concat(inputs.nonceI, inputs.nonceR, inputs.spiI, inputs.spiR);
  const take = cutter(prfPlus(prf, skeyseed.reveal(), seed, 3 * p + 2 * a + 2 * e));
  return { skD: take(p), skAi: take(a), skAr: take(a), skEi: take(e), skEr: take(e), skPi: take(p), skPr: take(p) };
}

/** Keys of an IKE SA begun with IKE_SA_INIT. `shared` is g^ir as `KeyPair.agree` gives it. */
export const initialKeys = (suite: IkeSuite, inputs: KeyInputs, shared: Bytes): IkeKeys =>
  expandIkeKeys(suite, inputs, initialSkeyseed(suite.prf, inputs.nonceI, inputs.nonceR, shared));

/** Keys of an IKE SA that replaces one with `oldPrf` and `oldSkD`. */
export const rekeyedKeys = (suite: IkeSuite, inputs: KeyInputs, shared: Bytes, oldPrf: Prf, oldSkD: Secret): IkeKeys =>
  expandIkeKeys(suite, inputs, rekeyedSkeyseed(oldPrf, oldSkD, inputs.nonceI, inputs.nonceR, shared));

/** What protects the messages of the original initiator, and those of the original responder. */
export function ikeProtections(
  { encryption, integrity }: IkeSuite,
  keys: IkeKeys,
): { readonly initiator: Protection; readonly responder: Protection } {
  const keyed = (e: Secret, a: Secret): Protection =>
    protection(encryption, integrity, { encryption: e.reveal(), integrity: a.reveal() });
  return { initiator: keyed(keys.skEi, keys.skAi), responder: keyed(keys.skEr, keys.skAr) };
}

/**
 * §2.17: KEYMAT = prf+(SK_d, [g^ir (new) |] Ni | Nr), `prf` being the IKE SA's. First the keys of what the initiator of the
 * *exchange* sends, then the responder's; for the child of IKE_AUTH the nonces are those of IKE_SA_INIT.
 */
export function childKeys(
  prf: Prf,
  skD: Secret,
  suite: ChildSuite,
  nonceI: Bytes,
  nonceR: Bytes,
  shared: Bytes = EMPTY,
): { readonly initiator: ChildKeys; readonly responder: ChildKeys } {
  const e = suite.encryption.keyLength + suite.encryption.saltLength;
  const a = suite.integrity?.keyLength ?? 0;
  const take = cutter(prfPlus(prf, skD.reveal(), concat(shared, nonceI, nonceR), 2 * (e + a)));
  const direction = (): ChildKeys => ({ encryption: take(e), integrity: take(a) });
  return { initiator: direction(), responder: direction() };
}

/** Cuts keying material from the left. */
function cutter(material: Bytes): (length: number) => Secret {
  let at = 0;
  return (length) => {
    at += length;
    return new Secret(material.subarray(at - length, at));
  };
}
