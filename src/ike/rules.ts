/** Which payloads an exchange may carry, how often. RFC 7296 Appendix C. */
import type { Payload } from './payload.ts';

export type Rule = readonly [payload: number, min: number, max: number];
export interface Rules {
  /** For people: `IKE_AUTH request`. */
  readonly name: string;
  readonly rules: readonly Rule[];
}

/** What the peer is owed INVALID_SYNTAX for, in words; undefined when all is as it should be. */
export declare function breaks(rules: Rules, payloads: readonly Payload[]): string | undefined;

export declare const IKE_SA_INIT_REQUEST: Rules;
/** SA, KE and nonce. A response with COOKIE, INVALID_KE_PAYLOAD or an error has `ERROR_RESPONSE`. */
export declare const IKE_SA_INIT_RESPONSE: Rules;
/** Notifications only. */
export declare const ERROR_RESPONSE: Rules;
export declare const IKE_AUTH_REQUEST: Rules;
export declare const IKE_AUTH_RESPONSE: Rules;
/** The child was refused: IDr and AUTH stand, SA and TS do not (§2.21.2). */
export declare const IKE_AUTH_RESPONSE_CHILDLESS: Rules;
export declare const CREATE_CHILD_REQUEST: Rules;
export declare const CREATE_CHILD_RESPONSE: Rules;
export declare const REKEY_CHILD_REQUEST: Rules;
export declare const REKEY_CHILD_RESPONSE: Rules;
export declare const REKEY_IKE_REQUEST: Rules;
export declare const REKEY_IKE_RESPONSE: Rules;
export declare const INFORMATIONAL_RULES: Rules;
