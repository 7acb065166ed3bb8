/**
 * What a NAT is told, what it tells, and the defaults of both with their sources.
 *
 * Addresses are unsigned 32-bit numbers here and in every view; inside the tables they are the same bits as signed ones,
 * which V8 keeps without allocating.
 */
import type { Random } from '../core/index.ts';

/**
 * Who may use a mapping from outside (RFC 4787 §5): anybody; an address that it has sent to; an address and port that it
 * has sent to.
 */
export type NatFiltering = 'endpoint-independent' | 'address' | 'address-and-port';

/** A port of the external address that always leads to one inner endpoint, whoever asks (RFC 3022 §4.1). */
export interface NatRule {
  /** TCP or UDP. */
  readonly protocol: 6 | 17;
  readonly externalPort: number;
  readonly address: number;
  readonly port: number;
}

/** Each from one second to 2,000,000: the end of a session is kept in milliseconds modulo 2^32. */
export interface NatTimeouts {
  readonly tcpEstablishedSeconds: number;
  /** Of TCP connections that are opening, closing or reset. */
  readonly tcpTransientSeconds: number;
  readonly udpSeconds: number;
  readonly icmpSeconds: number;
  /** Whether packets from outside keep a UDP session, too (RFC 4787 REQ-6a). */
  readonly udpInboundRefresh: boolean;
}

export interface NatLimits {
  /** Sessions of the tenant; at most `SESSIONS_MAX`. */
  readonly sessions: number;
  /** Fragmented packets whose later fragments are followed at once. A new one drives out an old one. */
  readonly fragments: number;
  /** Fragments that wait for the first of their packet, in copies of at most `WAITING_OCTETS` together. */
  readonly waiting: number;
}

export interface NatOptions {
  readonly external: number;
  readonly rules: readonly NatRule[];
  readonly filtering: NatFiltering;
  readonly timeouts: NatTimeouts;
  readonly limits: NatLimits;
  /** Draws the secret of the tables and, once a few dozen mappings, external ports. */
  readonly random: Random;
  /** Dynamic mappings take these ports and query identifiers, both ends included. Default: all but port 0. */
  readonly ports?: { readonly first: number; readonly last: number };
  /** `NAT_CELLS` doubles for the counters, zero, from `first` on, which is 0 by default; default: its own. */
  readonly cells?: Float64Array;
  readonly first?: number;
}

/** What `New-NetNat` of the original has. RFC 4787 REQ-5, RFC 5382 REQ-5 and RFC 5508 REQ-2 ask for 120, 7440, 240 and 60 at least. */
export const NAT_TIMEOUTS: NatTimeouts = {
  tcpEstablishedSeconds: 1800,
  tcpTransientSeconds: 120,
  udpSeconds: 120,
  icmpSeconds: 30,
  udpInboundRefresh: false,
};

export const NAT_LIMITS: NatLimits = {
  // About as many as there are ports: a host behind its own address could have no more to one server.
  sessions: 65_536,
  // 16 hosts that each have 16 packets under way.
  fragments: 256,
  // More than one packet of 65,535 octets has at an MTU of 1500.
  waiting: 64,
};

/** An index entry has 22 bits for the number of a session. */
export const SESSIONS_MAX = 0x3f_fffe;

/** A packet's addresses and ports; for ICMP queries both ports are the identifier. */
export interface NatFlow {
  readonly protocol: number;
  readonly source: number;
  readonly sourcePort: number;
  readonly destination: number;
  readonly destinationPort: number;
  /** Whether the packet may begin a session: a SYN without ACK, an ICMP request. Default true. */
  readonly opens?: boolean;
}

/** A session as people see it. */
export interface NatSessionView {
  readonly protocol: number;
  readonly innerAddress: number;
  readonly innerPort: number;
  readonly externalPort: number;
  readonly remoteAddress: number;
  /** 0 for ICMP queries: `innerPort` and `externalPort` are their identifiers. */
  readonly remotePort: number;
  /** `opening`, `established`, `half-closed`, `closed`, `reset` for TCP; `unanswered`, `answered` for others. */
  readonly state: string;
  /** Begun from outside, through a rule or past the filter. */
  readonly fromOutside: boolean;
  readonly secondsLeft: number;
  readonly packetsOut: number;
  readonly octetsOut: number;
  readonly packetsIn: number;
  readonly octetsIn: number;
}

/** Sessions that have all of these. */
export type NatSessionFilter = Partial<
  Pick<
    NatSessionView,
    'protocol' | 'innerAddress' | 'innerPort' | 'externalPort' | 'remoteAddress' | 'remotePort' | 'fromOutside'
  >
>;

export interface NatCounters {
  /** Now. */
  readonly sessions: number;
  readonly created: number;
  readonly expired: number;
  /** Ended by `flush` or by other rules. */
  readonly flushed: number;
  /** New flows that found no external port left. */
  readonly refusedNoPort: number;
  /** New flows beyond `limits.sessions`. */
  readonly refusedLimit: number;
  readonly packetsOut: number;
  readonly packetsIn: number;
  /** ICMP errors translated, both ways. */
  readonly icmpErrors: number;
  /** Fragments other than the first, translated. */
  readonly fragments: number;
  /** Fragmented packets forgotten before their time. */
  readonly fragmentsEvicted: number;
  /** Fragments that waited for the first of their packet and went on. */
  readonly waitingFollowed: number;
  /** Fragments that waited in vain, or too many or too large to wait. */
  readonly waitingLost: number;
}
