/** Identities, RFC 7296 §3.5. */
import type { Bytes } from '../core/index.ts';

export interface Identity {
  /** ID type: 1 ID_IPV4_ADDR, 2 ID_FQDN, 3 ID_RFC822_ADDR, 5 ID_IPV6_ADDR, 9 ID_DER_ASN1_DN, 11 ID_KEY_ID. */
  readonly type: number;
  readonly data: Bytes;
}
