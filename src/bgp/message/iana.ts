/**
 * The numbers of BGP-4: message types, capabilities, path attributes and their flags, NOTIFICATION codes and subcodes with their words.
 *
 * Names are those of IANA's registries "BGP Parameters", "Capability Codes", "BGP Well-known Communities" and "BGP Extended Communities".
 * What a number means for a message is said by the codec that uses it.
 */

/** RFC 4271 §4.1, RFC 2918. */
export const MESSAGE = { OPEN: 1, UPDATE: 2, NOTIFICATION: 3, KEEPALIVE: 4, ROUTE_REFRESH: 5 } as const;

/** RFC 4271 §4.1. */
export const HEADER_LENGTH = 19;
/** RFC 4271 §4.1; the most an OPEN or KEEPALIVE may ever have. */
export const MAXIMUM_LENGTH = 4096;
/** RFC 8654 §4. */
export const EXTENDED_MAXIMUM_LENGTH = 65535;
export const BGP_VERSION = 4;
/** RFC 6793 §9. */
export const AS_TRANS = 23456;

export const AFI = { IPV4: 1, IPV6: 2, L2VPN: 25 } as const;
export const SAFI = { UNICAST: 1, MULTICAST: 2, LABELED: 4, EVPN: 70, VPN: 128 } as const;

export const CAPABILITY = {
  MULTIPROTOCOL: 1,
  ROUTE_REFRESH: 2,
  EXTENDED_NEXT_HOP: 5,
  EXTENDED_MESSAGE: 6,
  ROLE: 9,
  GRACEFUL_RESTART: 64,
  FOUR_OCTET_AS: 65,
  ADD_PATH: 69,
  ENHANCED_ROUTE_REFRESH: 70,
  LONG_LIVED_GRACEFUL_RESTART: 71,
  FQDN: 73,
} as const;

/** Optional parameters of OPEN: RFC 5492 §4, RFC 9072 §2. */
export const PARAMETER = { CAPABILITIES: 2, EXTENDED_LENGTH: 255 } as const;

export const ATTRIBUTE = {
  ORIGIN: 1,
  AS_PATH: 2,
  NEXT_HOP: 3,
  MULTI_EXIT_DISC: 4,
  LOCAL_PREF: 5,
  ATOMIC_AGGREGATE: 6,
  AGGREGATOR: 7,
  COMMUNITIES: 8,
  ORIGINATOR_ID: 9,
  CLUSTER_LIST: 10,
  MP_REACH_NLRI: 14,
  MP_UNREACH_NLRI: 15,
  EXTENDED_COMMUNITIES: 16,
  AS4_PATH: 17,
  AS4_AGGREGATOR: 18,
  PMSI_TUNNEL: 22,
  TUNNEL_ENCAPSULATION: 23,
  TRAFFIC_ENGINEERING: 24,
  IPV6_EXTENDED_COMMUNITIES: 25,
  AIGP: 26,
  PE_DISTINGUISHER_LABELS: 27,
  BGP_LS: 29,
  LARGE_COMMUNITIES: 32,
  ONLY_TO_CUSTOMER: 35,
  PREFIX_SID: 40,
  ATTR_SET: 128,
} as const;

/** RFC 4271 §4.3. */
export const FLAG = { OPTIONAL: 0x80, TRANSITIVE: 0x40, PARTIAL: 0x20, EXTENDED_LENGTH: 0x10 } as const;

/** Values of ORIGIN: RFC 4271 §5.1.1. */
export const ORIGINS = ['igp', 'egp', 'incomplete'] as const;

/** Segments of AS_PATH: RFC 4271 §4.3, RFC 5065 §3. */
export const SEGMENT = { SET: 1, SEQUENCE: 2, CONFED_SEQUENCE: 3, CONFED_SET: 4 } as const;

/** RFC 1997, RFC 7999, RFC 8326, RFC 9494. */
export const COMMUNITY = {
  GRACEFUL_SHUTDOWN: 0xffff0000,
  ACCEPT_OWN: 0xffff0001,
  LLGR_STALE: 0xffff0006,
  NO_LLGR: 0xffff0007,
  BLACKHOLE: 0xffff029a,
  NO_EXPORT: 0xffffff01,
  NO_ADVERTISE: 0xffffff02,
  NO_EXPORT_SUBCONFED: 0xffffff03,
  NO_PEER: 0xffffff04,
} as const;

/** RFC 4271 §4.5, RFC 7313 §5, RFC 9687 §3. */
export const ERROR = {
  HEADER: 1,
  OPEN: 2,
  UPDATE: 3,
  HOLD_TIMER: 4,
  FSM: 5,
  CEASE: 6,
  REFRESH: 7,
  SEND_HOLD_TIMER: 8,
} as const;

/** RFC 4271 §6.1. */
export const HEADER_ERROR = { NOT_SYNCHRONIZED: 1, BAD_LENGTH: 2, BAD_TYPE: 3 } as const;

/** RFC 4271 §6.2, RFC 5492 §5, RFC 9234 §4.2. */
export const OPEN_ERROR = {
  UNSPECIFIC: 0,
  UNSUPPORTED_VERSION: 1,
  BAD_PEER_AS: 2,
  BAD_IDENTIFIER: 3,
  UNSUPPORTED_PARAMETER: 4,
  UNACCEPTABLE_HOLD_TIME: 6,
  UNSUPPORTED_CAPABILITY: 7,
  ROLE_MISMATCH: 11,
} as const;

/** RFC 4271 §6.3. */
export const UPDATE_ERROR = {
  MALFORMED_ATTRIBUTE_LIST: 1,
  UNRECOGNIZED_WELL_KNOWN: 2,
  MISSING_WELL_KNOWN: 3,
  ATTRIBUTE_FLAGS: 4,
  ATTRIBUTE_LENGTH: 5,
  INVALID_ORIGIN: 6,
  INVALID_NEXT_HOP: 8,
  OPTIONAL_ATTRIBUTE: 9,
  INVALID_NETWORK_FIELD: 10,
  MALFORMED_AS_PATH: 11,
} as const;

/** RFC 6608 §3. */
export const FSM_ERROR = { UNSPECIFIED: 0, OPEN_SENT: 1, OPEN_CONFIRM: 2, ESTABLISHED: 3 } as const;

/** RFC 4486 §3, RFC 8538 §3, RFC 9384 §2. */
export const CEASE = {
  MAXIMUM_PREFIXES: 1,
  ADMINISTRATIVE_SHUTDOWN: 2,
  PEER_DECONFIGURED: 3,
  ADMINISTRATIVE_RESET: 4,
  CONNECTION_REJECTED: 5,
  OTHER_CONFIGURATION_CHANGE: 6,
  COLLISION_RESOLUTION: 7,
  OUT_OF_RESOURCES: 8,
  HARD_RESET: 9,
  BFD_DOWN: 10,
} as const;

/** RFC 7313 §5. */
export const REFRESH_ERROR = { INVALID_LENGTH: 1 } as const;

/** RFC 2918 §3, RFC 7313 §4. */
export const REFRESH = { REQUEST: 0, BEGIN: 1, END: 2 } as const;

/** `UPDATE`, or `MESSAGE(9)`. */
export const messageName = (type: number): string => nameIn(MESSAGE_NAMES, 'MESSAGE', type);
/** `AS_PATH`, or `ATTRIBUTE(99)`. */
export const attributeName = (type: number): string => nameIn(ATTRIBUTE_NAMES, 'ATTRIBUTE', type);
/** `MULTIPROTOCOL`, or `CAPABILITY(128)`. */
export const capabilityName = (code: number): string => nameIn(CAPABILITY_NAMES, 'CAPABILITY', code);

/** `OPEN Message Error`, or `Error 99`. */
export const errorName = (code: number): string => ERROR_WORDS[code]?.name ?? `Error ${code}`;
/** `Bad Peer AS`; `Unspecific` for 0; `subcode 42` for what has no name. */
export const suberrorName = (code: number, subcode: number): string =>
  ERROR_WORDS[code]?.subcodes[subcode] ?? (subcode === 0 ? 'Unspecific' : `subcode ${subcode}`);

/** Every code with each of its subcodes, and with 0. */
export const errorNumbers = (): readonly (readonly [code: number, subcode: number])[] =>
  Object.entries(ERROR_WORDS).flatMap(([code, { subcodes }]) =>
    [0, ...Object.keys(subcodes).map(Number)].map((subcode) => [Number(code), subcode] as const),
  );

interface ErrorWords {
  readonly name: string;
  readonly subcodes: Readonly<Record<number, string>>;
}

const ERROR_WORDS: Readonly<Record<number, ErrorWords>> = {
  1: {
    name: 'Message Header Error',
    subcodes: { 1: 'Connection Not Synchronized', 2: 'Bad Message Length', 3: 'Bad Message Type' },
  },
  2: {
    name: 'OPEN Message Error',
    subcodes: {
      1: 'Unsupported Version Number',
      2: 'Bad Peer AS',
      3: 'Bad BGP Identifier',
      4: 'Unsupported Optional Parameter',
      5: 'Authentication Failure (deprecated)',
      6: 'Unacceptable Hold Time',
      7: 'Unsupported Capability',
      11: 'Role Mismatch',
    },
  },
  3: {
    name: 'UPDATE Message Error',
    subcodes: {
      1: 'Malformed Attribute List',
      2: 'Unrecognized Well-known Attribute',
      3: 'Missing Well-known Attribute',
      4: 'Attribute Flags Error',
      5: 'Attribute Length Error',
      6: 'Invalid ORIGIN Attribute',
      7: 'AS Routing Loop (deprecated)',
      8: 'Invalid NEXT_HOP Attribute',
      9: 'Optional Attribute Error',
      10: 'Invalid Network Field',
      11: 'Malformed AS_PATH',
    },
  },
  4: { name: 'Hold Timer Expired', subcodes: {} },
  5: {
    name: 'Finite State Machine Error',
    subcodes: {
      1: 'Receive Unexpected Message in OpenSent State',
      2: 'Receive Unexpected Message in OpenConfirm State',
      3: 'Receive Unexpected Message in Established State',
    },
  },
  6: {
    name: 'Cease',
    subcodes: {
      1: 'Maximum Number of Prefixes Reached',
      2: 'Administrative Shutdown',
      3: 'Peer De-configured',
      4: 'Administrative Reset',
      5: 'Connection Rejected',
      6: 'Other Configuration Change',
      7: 'Connection Collision Resolution',
      8: 'Out of Resources',
      9: 'Hard Reset',
      10: 'BFD Down',
    },
  },
  7: { name: 'ROUTE-REFRESH Message Error', subcodes: { 1: 'Invalid Message Length' } },
  8: { name: 'Send Hold Timer Expired', subcodes: {} },
};

type Names = ReadonlyMap<number, string>;

const namesOf = (registry: Readonly<Record<string, number>>): Names =>
  new Map(Object.entries(registry).map(([name, number]) => [number, name]));

const nameIn = (names: Names, kind: string, value: number): string => names.get(value) ?? `${kind}(${value})`;

const MESSAGE_NAMES = namesOf(MESSAGE);
const ATTRIBUTE_NAMES = namesOf(ATTRIBUTE);
const CAPABILITY_NAMES = namesOf(CAPABILITY);
