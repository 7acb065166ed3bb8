/**
 * Which payloads an exchange may carry and how often, as tables.
 *
 * Read first: RFC 7296 §1.2–1.4, Appendix C; §2.5 (what is skipped).
 * The order of payloads is never significant (§2.5); what they say is judged by the tasks.
 * Deliberate limits: EAP is in no table; the upper bounds of repeatable payloads are ours.
 */
import { PAYLOAD, payloadName } from './iana.ts';
import type { Payload } from './payload.ts';

export type Rule = readonly [payload: number, min: number, max: number];

export interface Rules {
  /** For people: `IKE_AUTH request`. */
  readonly name: string;
  readonly rules: readonly Rule[];
}

/** What is wrong, in words (the peer is owed INVALID_SYNTAX); undefined when all is as it should be. */
export function breaks({ name, rules }: Rules, payloads: readonly Payload[]): string | undefined {
  const count = new Map<number, number>();
  for (const { type } of payloads) if (type !== 'unknown') count.set(type, (count.get(type) ?? 0) + 1);
  for (const [type, min, max] of rules) {
    const present = count.get(type) ?? 0;
    count.delete(type);
    if (present < min) return `${name}: ${payloadName(type)} is missing`;
    if (present > max) return `${name}: ${present} times ${payloadName(type)}, at most ${max} allowed`;
  }
  const [stranger] = count.keys();
  return stranger === undefined ? undefined : `${name}: ${payloadName(stranger)} does not belong here`;
}

/** Upper bounds of what the RFC leaves open: notifications, vendor IDs, certificates and requests for them. */
const MAX_NOTIFIES = 64;
const MAX_VENDORS = 32;
const MAX_CERTS = 16;

const ANYWHERE: readonly Rule[] = [
  [PAYLOAD.NOTIFY, 0, MAX_NOTIFIES],
  [PAYLOAD.VENDOR, 0, MAX_VENDORS],
];
const CHILD: readonly Rule[] = [
  [PAYLOAD.SA, 1, 1],
  [PAYLOAD.TSI, 1, 1],
  [PAYLOAD.TSR, 1, 1],
];
const rules = (name: string, ...own: readonly Rule[]): Rules => ({ name, rules: [...own, ...ANYWHERE] });

/** RFC 7296 §1.2, C.1. */
export const IKE_SA_INIT_REQUEST = rules(
  'IKE_SA_INIT request',
  [PAYLOAD.SA, 1, 1],
  [PAYLOAD.KE, 1, 1],
  [PAYLOAD.NONCE, 1, 1],
);

/** A response that goes on; one with COOKIE, INVALID_KE_PAYLOAD or an error keeps to `ERROR_RESPONSE`. */
export const IKE_SA_INIT_RESPONSE = rules(
  'IKE_SA_INIT response',
  [PAYLOAD.SA, 1, 1],
  [PAYLOAD.KE, 1, 1],
  [PAYLOAD.NONCE, 1, 1],
  [PAYLOAD.CERTREQ, 0, MAX_CERTS],
);

/** Notifications and nothing else. */
export const ERROR_RESPONSE: Rules = {
  name: 'error response',
  rules: [
    [PAYLOAD.NOTIFY, 1, MAX_NOTIFIES],
    [PAYLOAD.VENDOR, 0, MAX_VENDORS],
  ],
};

const IKE_AUTH_I: readonly Rule[] = [
  [PAYLOAD.IDI, 1, 1],
  [PAYLOAD.CERT, 0, MAX_CERTS],
  [PAYLOAD.CERTREQ, 0, MAX_CERTS],
  [PAYLOAD.IDR, 0, 1],
  [PAYLOAD.AUTH, 1, 1],
  [PAYLOAD.CP, 0, 1],
];
const IKE_AUTH_R: readonly Rule[] = [
  [PAYLOAD.IDR, 1, 1],
  [PAYLOAD.CERT, 0, MAX_CERTS],
  [PAYLOAD.AUTH, 1, 1],
  [PAYLOAD.CP, 0, 1],
];

/** §1.2, C.2. */
export const IKE_AUTH_REQUEST = rules('IKE_AUTH request', ...IKE_AUTH_I, ...CHILD);
export const IKE_AUTH_RESPONSE = rules('IKE_AUTH response', ...IKE_AUTH_R, ...CHILD);
/** RFC 6023 §4. */
export const IKE_AUTH_REQUEST_CHILDLESS = rules('IKE_AUTH request', ...IKE_AUTH_I);
/** The child was refused (RFC 7296 §1.2, §2.21.2) or never asked for: IDr and AUTH stand alone. */
export const IKE_AUTH_RESPONSE_CHILDLESS = rules('IKE_AUTH response', ...IKE_AUTH_R);

const NEW_CHILD: readonly Rule[] = [...CHILD, [PAYLOAD.NONCE, 1, 1], [PAYLOAD.KE, 0, 1], [PAYLOAD.CP, 0, 1]];

/** §1.3.1, C.4. */
export const CREATE_CHILD_REQUEST = rules('CREATE_CHILD_SA request', ...NEW_CHILD);
export const CREATE_CHILD_RESPONSE = rules('CREATE_CHILD_SA response', ...NEW_CHILD);

/** §1.3.3: REKEY_SA names the SA. */
export const REKEY_CHILD_REQUEST: Rules = {
  name: 'CREATE_CHILD_SA request',
  rules: [...NEW_CHILD, [PAYLOAD.NOTIFY, 1, MAX_NOTIFIES], [PAYLOAD.VENDOR, 0, MAX_VENDORS]],
};
export const REKEY_CHILD_RESPONSE = CREATE_CHILD_RESPONSE;

const REKEY_IKE: readonly Rule[] = [
  [PAYLOAD.SA, 1, 1],
  [PAYLOAD.NONCE, 1, 1],
  [PAYLOAD.KE, 1, 1],
];

/** §1.3.2, C.5. */
export const REKEY_IKE_REQUEST = rules('CREATE_CHILD_SA request', ...REKEY_IKE);
export const REKEY_IKE_RESPONSE = rules('CREATE_CHILD_SA response', ...REKEY_IKE);

/** §1.4, C.6; both directions. */
export const INFORMATIONAL_RULES = rules('INFORMATIONAL', [PAYLOAD.DELETE, 0, 32], [PAYLOAD.CP, 0, 1]);
