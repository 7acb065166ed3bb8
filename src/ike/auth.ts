/**
 * AUTH with a pre-shared key.
 *
 * Read first: RFC 7296 §2.15 (what is covered), §3.8 (the payload).
 * Invariants: messages and ID bodies are taken as they stood on the wire, never encoded anew; MACs are compared in constant time.
 */
import { type Bytes, concat, Secret } from '../core/index.ts';
import { equalSecret, type Prf } from '../crypto/index.ts';

/**
 * What one side's AUTH covers: its own first message as last sent (with cookie and right group, without non-ESP marker) |
 * the other side's nonce | prf(its SK_p, the body of its ID payload).
 */
export function signedOctets(prf: Prf, skP: Secret, message: Bytes, peerNonce: Bytes, idBody: Bytes): Bytes {
  return concat(message, peerNonce, prf.compute(skP.reveal(), idBody));
}

/** AUTH = prf(prf(shared secret, "Key Pad for IKEv2"), octets). */
export function pskAuth(prf: Prf, psk: Secret, octets: Bytes): Bytes {
  const key = new Secret(prf.compute(psk.reveal(), KEY_PAD));
  return prf.compute(key.reveal(), octets);
}

export const verifyPskAuth = (prf: Prf, psk: Secret, octets: Bytes, auth: Bytes): boolean =>
  equalSecret(pskAuth(prf, psk, octets), auth);

/** 17 ASCII octets, no terminator. */
const KEY_PAD = new TextEncoder().encode('Key Pad for IKEv2');
