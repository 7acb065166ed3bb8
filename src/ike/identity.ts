/** Identities, RFC 7296 §3.5. */
import type { Bytes } from '../core/index.ts';
import type { Address } from '../ip/index.ts';

export interface Identity {
  /** ID type: 1 ID_IPV4_ADDR, 2 ID_FQDN, 3 ID_RFC822_ADDR, 5 ID_IPV6_ADDR, 9 ID_DER_ASN1_DN, 11 ID_KEY_ID. */
  readonly type: number;
  readonly data: Bytes;
}

export type ParsedIdentity =
  | { readonly ok: true; readonly identity: Identity }
  | { readonly ok: false; readonly problem: string };
export declare function parseIdentity(text: string): ParsedIdentity;
export declare function formatIdentity(identity: Identity): string;
export declare function sameIdentity(a: Identity, b: Identity): boolean;
export declare function identityOfAddress(address: Address): Identity;
/** The body of an ID payload, which AUTH covers (§2.15). */
export declare function identityBody(identity: Identity, reserved?: number): Bytes;
