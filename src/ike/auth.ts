/** AUTH with a pre-shared key. RFC 7296 §2.15. */
import type { Bytes, Secret } from '../core/index.ts';
import type { Prf } from '../crypto/index.ts';

/** What AUTH covers: own first message as last sent | the peer's nonce | prf(SK_p, own ID payload body). */
export declare function signedOctets(prf: Prf, skP: Secret, message: Bytes, peerNonce: Bytes, idBody: Bytes): Bytes;
export declare function pskAuth(prf: Prf, psk: Secret, octets: Bytes): Bytes;
/** In constant time. */
export declare function verifyPskAuth(prf: Prf, psk: Secret, octets: Bytes, auth: Bytes): boolean;
