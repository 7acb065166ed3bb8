/**
 * Every number and name of the IANA registry "Internet Key Exchange Version 2 (IKEv2) Parameters" that IKE messages carry.
 * Names are IANA's. Algorithms of the transforms stand in `crypto/`; only their types are here.
 */

/** RFC 7296 §3.1, RFC 5723, 9242, 9370, 6311. */
export const EXCHANGE = {
  IKE_SA_INIT: 34,
  IKE_AUTH: 35,
  CREATE_CHILD_SA: 36,
  INFORMATIONAL: 37,
  IKE_SESSION_RESUME: 38,
  GSA_AUTH: 39,
  GSA_REGISTRATION: 40,
  GSA_REKEY: 41,
  IKE_INTERMEDIATE: 43,
  IKE_FOLLOWUP_KE: 44,
} as const;

/** RFC 7296 §3.2, RFC 7383 (SKF), RFC 8019 (PS), RFC 6467 (GSPM). */
export const PAYLOAD = {
  NONE: 0,
  SA: 33,
  KE: 34,
  IDI: 35,
  IDR: 36,
  CERT: 37,
  CERTREQ: 38,
  AUTH: 39,
  NONCE: 40,
  NOTIFY: 41,
  DELETE: 42,
  VENDOR: 43,
  TSI: 44,
  TSR: 45,
  SK: 46,
  CP: 47,
  EAP: 48,
  GSPM: 49,
  IDG: 50,
  GSA: 51,
  KD: 52,
  SKF: 53,
  PS: 54,
} as const;

/** Protocol IDs of proposals, notifications and deletions, RFC 7296 §3.3.1. */
export const PROTOCOL = { NONE: 0, IKE: 1, AH: 2, ESP: 3 } as const;

/** RFC 7296 §3.3.2, RFC 9370. */
export const TRANSFORM = {
  ENCR: 1,
  PRF: 2,
  INTEG: 3,
  KE: 4,
  /** Extended Sequence Numbers; renamed Sequence Numbers by RFC 9827. */
  ESN: 5,
  ADDKE1: 6,
  ADDKE2: 7,
  ADDKE3: 8,
  ADDKE4: 9,
  ADDKE5: 10,
  ADDKE6: 11,
  ADDKE7: 12,
} as const;

/** Transform IDs of type ESN, RFC 7296 §3.3.2. */
export const ESN = { NONE: 0, ESN: 1 } as const;

/** Transform IDs that say "without" (types INTEG and KE). */
export const NONE_ID = 0;

/** Transform attribute types, RFC 7296 §3.3.5. */
export const ATTRIBUTE = { KEY_LENGTH: 14 } as const;

/** RFC 7296 §3.5. */
export const ID = {
  IPV4_ADDR: 1,
  FQDN: 2,
  RFC822_ADDR: 3,
  IPV6_ADDR: 5,
  DER_ASN1_DN: 9,
  DER_ASN1_GN: 10,
  KEY_ID: 11,
  FC_NAME: 12,
  NULL: 13,
} as const;

/** RFC 7296 §3.6. */
export const CERT = {
  PKCS7: 1,
  PGP: 2,
  DNS_SIGNED_KEY: 3,
  X509_SIGNATURE: 4,
  KERBEROS_TOKEN: 6,
  CRL: 7,
  ARL: 8,
  SPKI: 9,
  X509_ATTRIBUTE: 10,
  HASH_URL_X509: 12,
  HASH_URL_BUNDLE: 13,
  OCSP_CONTENT: 14,
  RAW_PUBLIC_KEY: 15,
} as const;

/** RFC 7296 §3.8, RFC 4754, 6467, 7427, 7619. */
export const AUTH_METHOD = {
  RSA_SIGNATURE: 1,
  SHARED_KEY_MIC: 2,
  DSS_SIGNATURE: 3,
  ECDSA_SHA256_P256: 9,
  ECDSA_SHA384_P384: 10,
  ECDSA_SHA512_P521: 11,
  SECURE_PASSWORD: 12,
  NULL: 13,
  DIGITAL_SIGNATURE: 14,
} as const;

/** RFC 7296 §3.13.1, RFC 4595, RFC 9478. */
export const TS_TYPE = { IPV4_ADDR_RANGE: 7, IPV6_ADDR_RANGE: 8, FC_ADDR_RANGE: 9, SECLABEL: 10 } as const;

/** RFC 7296 §3.15. */
export const CFG = { REQUEST: 1, REPLY: 2, SET: 3, ACK: 4 } as const;

/** RFC 7296 §3.15.1 and its extensions. */
export const CFG_ATTRIBUTE = {
  INTERNAL_IP4_ADDRESS: 1,
  INTERNAL_IP4_NETMASK: 2,
  INTERNAL_IP4_DNS: 3,
  INTERNAL_IP4_NBNS: 4,
  INTERNAL_IP4_DHCP: 6,
  APPLICATION_VERSION: 7,
  INTERNAL_IP6_ADDRESS: 8,
  INTERNAL_IP6_DNS: 10,
  INTERNAL_IP6_DHCP: 12,
  INTERNAL_IP4_SUBNET: 13,
  SUPPORTED_ATTRIBUTES: 14,
  INTERNAL_IP6_SUBNET: 15,
  MIP6_HOME_PREFIX: 16,
  INTERNAL_IP6_LINK: 17,
  INTERNAL_IP6_PREFIX: 18,
  HOME_AGENT_ADDRESS: 19,
  P_CSCF_IP4_ADDRESS: 20,
  P_CSCF_IP6_ADDRESS: 21,
  FTT_KAT: 22,
  EXTERNAL_SOURCE_IP4_NAT_INFO: 23,
  TIMEOUT_PERIOD_FOR_LIVENESS_CHECK: 24,
  INTERNAL_DNS_DOMAIN: 25,
  INTERNAL_DNSSEC_TA: 26,
  ENCDNS_IP4: 27,
  ENCDNS_IP6: 28,
  ENCDNS_DIGEST_INFO: 29,
} as const;

/** RFC 3748 §4: codes of EAP packets. */
export const EAP_CODE = { REQUEST: 1, RESPONSE: 2, SUCCESS: 3, FAILURE: 4 } as const;

/** RFC 7427 §7: values of SIGNATURE_HASH_ALGORITHMS. */
export const HASH = {
  SHA1: 1,
  SHA2_256: 2,
  SHA2_384: 3,
  SHA2_512: 4,
  IDENTITY: 5,
  STREEBOG_256: 6,
  STREEBOG_512: 7,
} as const;

/** RFC 7296 §3.10.1. Types below 16384 report errors, the others status. */
export const NOTIFY = {
  UNSUPPORTED_CRITICAL_PAYLOAD: 1,
  INVALID_IKE_SPI: 4,
  INVALID_MAJOR_VERSION: 5,
  INVALID_SYNTAX: 7,
  INVALID_MESSAGE_ID: 9,
  INVALID_SPI: 11,
  NO_PROPOSAL_CHOSEN: 14,
  INVALID_KE_PAYLOAD: 17,
  AUTHENTICATION_FAILED: 24,
  SINGLE_PAIR_REQUIRED: 34,
  NO_ADDITIONAL_SAS: 35,
  INTERNAL_ADDRESS_FAILURE: 36,
  FAILED_CP_REQUIRED: 37,
  TS_UNACCEPTABLE: 38,
  INVALID_SELECTORS: 39,
  UNACCEPTABLE_ADDRESSES: 40,
  UNEXPECTED_NAT_DETECTED: 41,
  USE_ASSIGNED_HOA: 42,
  TEMPORARY_FAILURE: 43,
  CHILD_SA_NOT_FOUND: 44,
  INVALID_GROUP_ID: 45,
  AUTHORIZATION_FAILED: 46,
  STATE_NOT_FOUND: 47,
  TS_MAX_QUEUE: 48,
  REGISTRATION_FAILED: 49,
  INITIAL_CONTACT: 16384,
  SET_WINDOW_SIZE: 16385,
  ADDITIONAL_TS_POSSIBLE: 16386,
  IPCOMP_SUPPORTED: 16387,
  NAT_DETECTION_SOURCE_IP: 16388,
  NAT_DETECTION_DESTINATION_IP: 16389,
  COOKIE: 16390,
  USE_TRANSPORT_MODE: 16391,
  HTTP_CERT_LOOKUP_SUPPORTED: 16392,
  REKEY_SA: 16393,
  ESP_TFC_PADDING_NOT_SUPPORTED: 16394,
  NON_FIRST_FRAGMENTS_ALSO: 16395,
  MOBIKE_SUPPORTED: 16396,
  ADDITIONAL_IP4_ADDRESS: 16397,
  ADDITIONAL_IP6_ADDRESS: 16398,
  NO_ADDITIONAL_ADDRESSES: 16399,
  UPDATE_SA_ADDRESSES: 16400,
  COOKIE2: 16401,
  NO_NATS_ALLOWED: 16402,
  AUTH_LIFETIME: 16403,
  MULTIPLE_AUTH_SUPPORTED: 16404,
  ANOTHER_AUTH_FOLLOWS: 16405,
  REDIRECT_SUPPORTED: 16406,
  REDIRECT: 16407,
  REDIRECTED_FROM: 16408,
  TICKET_LT_OPAQUE: 16409,
  TICKET_REQUEST: 16410,
  TICKET_ACK: 16411,
  TICKET_NACK: 16412,
  TICKET_OPAQUE: 16413,
  LINK_ID: 16414,
  USE_WESP_MODE: 16415,
  ROHC_SUPPORTED: 16416,
  EAP_ONLY_AUTHENTICATION: 16417,
  CHILDLESS_IKEV2_SUPPORTED: 16418,
  QUICK_CRASH_DETECTION: 16419,
  IKEV2_MESSAGE_ID_SYNC_SUPPORTED: 16420,
  IPSEC_REPLAY_COUNTER_SYNC_SUPPORTED: 16421,
  IKEV2_MESSAGE_ID_SYNC: 16422,
  IPSEC_REPLAY_COUNTER_SYNC: 16423,
  SECURE_PASSWORD_METHODS: 16424,
  PSK_PERSIST: 16425,
  PSK_CONFIRM: 16426,
  ERX_SUPPORTED: 16427,
  IFOM_CAPABILITY: 16428,
  SENDER_REQUEST_ID: 16429,
  IKEV2_FRAGMENTATION_SUPPORTED: 16430,
  SIGNATURE_HASH_ALGORITHMS: 16431,
  CLONE_IKE_SA_SUPPORTED: 16432,
  CLONE_IKE_SA: 16433,
  PUZZLE: 16434,
  USE_PPK: 16435,
  PPK_IDENTITY: 16436,
  NO_PPK_AUTH: 16437,
  INTERMEDIATE_EXCHANGE_SUPPORTED: 16438,
  IP4_ALLOWED: 16439,
  IP6_ALLOWED: 16440,
  ADDITIONAL_KEY_EXCHANGE: 16441,
  USE_AGGFRAG: 16442,
  SUPPORTED_AUTH_METHODS: 16443,
  SA_RESOURCE_INFO: 16444,
  USE_PPK_INT: 16445,
  PPK_IDENTITY_KEY: 16446,
} as const;

/** The lowest type of a status notification (RFC 7296 §3.10.1). */
export const FIRST_STATUS = 16384;
export const isErrorNotify = (notify: number): boolean => notify < FIRST_STATUS;

/** `IKE_AUTH`, or `EXCHANGE(77)`. */
export const exchangeName = (value: number): string => nameOf(EXCHANGE, 'EXCHANGE', value);
export const payloadName = (value: number): string => nameOf(PAYLOAD, 'PAYLOAD', value);
export const protocolName = (value: number): string => nameOf(PROTOCOL, 'PROTOCOL', value);
export const transformTypeName = (value: number): string => nameOf(TRANSFORM, 'TRANSFORM', value);
export const idTypeName = (value: number): string => nameOf(ID, 'ID', value);
export const certEncodingName = (value: number): string => nameOf(CERT, 'CERT', value);
export const authMethodName = (value: number): string => nameOf(AUTH_METHOD, 'AUTH_METHOD', value);
export const tsTypeName = (value: number): string => nameOf(TS_TYPE, 'TS_TYPE', value);
export const configurationKindName = (value: number): string => nameOf(CFG, 'CFG', value);
export const configurationAttributeName = (value: number): string => nameOf(CFG_ATTRIBUTE, 'CFG_ATTRIBUTE', value);
export const eapCodeName = (value: number): string => nameOf(EAP_CODE, 'EAP', value);
export const hashName = (value: number): string => nameOf(HASH, 'HASH', value);
/** `COOKIE`, or `NOTIFY(40960)`. */
export const notifyName = (value: number): string => nameOf(NOTIFY, 'NOTIFY', value);

function nameOf(registry: Readonly<Record<string, number>>, kind: string, value: number): string {
  let names = NAMES.get(registry);
  if (names === undefined) {
    names = new Map(Object.entries(registry).map(([name, number]) => [number, name]));
    NAMES.set(registry, names);
  }
  return names.get(value) ?? `${kind}(${value})`;
}

const NAMES = new Map<Readonly<Record<string, number>>, Map<number, string>>();
