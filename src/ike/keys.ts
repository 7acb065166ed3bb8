/** Keying material. RFC 7296 §2.13, §2.14, §2.17, §2.18. */
import type { Bytes, Secret } from '../core/index.ts';
import type { Prf, Protection } from '../crypto/index.ts';
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

export interface KeyInputs {
  readonly spiI: Bytes;
  readonly spiR: Bytes;
  readonly nonceI: Bytes;
  readonly nonceR: Bytes;
}

/** Keys of an IKE SA begun with IKE_SA_INIT (§2.14). `shared` is g^ir. */
export declare function initialKeys(suite: IkeSuite, inputs: KeyInputs, shared: Bytes): IkeKeys;
/** Keys of an IKE SA made by rekeying one with `oldPrf` and `oldSkD` (§2.18); SPIs and nonces are the new SA's. */
export declare function rekeyedKeys(
  suite: IkeSuite,
  inputs: KeyInputs,
  shared: Bytes,
  oldPrf: Prf,
  oldSkD: Secret,
): IkeKeys;
/** The protection of the messages of the original initiator and of the responder. */
export declare function ikeProtections(
  suite: IkeSuite,
  keys: IkeKeys,
): { readonly initiator: Protection; readonly responder: Protection };
/** KEYMAT (§2.17): `initiator` protects what the initiator of the *exchange* sends. `shared` only with PFS. */
export declare function childKeys(
  prf: Prf,
  skD: Secret,
  suite: ChildSuite,
  nonceI: Bytes,
  nonceR: Bytes,
  shared?: Bytes,
): { readonly initiator: ChildKeys; readonly responder: ChildKeys };
