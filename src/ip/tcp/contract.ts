/** What a TCP endpoint is asked, what it answers, and its bounds. */
import type { Bytes, Millis, Random, Secret } from '../../core/index.ts';
import type { Address, Endpoint } from '../address.ts';

/** Names a connection of one host; never used twice. */
export type TcpConnectionId = number;

export type TcpAction =
  /** A whole IP packet, from `local` of a connection or from where a segment for nobody was sent to. */
  | { readonly do: 'emit'; readonly packet: Bytes }
  /** `passive`: it came through a listener. */
  | {
      readonly do: 'connected';
      readonly id: TcpConnectionId;
      readonly local: Endpoint;
      readonly remote: Endpoint;
      readonly passive: boolean;
    }
  /** `read` has something. */
  | { readonly do: 'received'; readonly id: TcpConnectionId }
  /** `send` refused something and takes more again. */
  | { readonly do: 'writable'; readonly id: TcpConnectionId }
  /** The peer sends nothing after what `read` has. */
  | { readonly do: 'ended'; readonly id: TcpConnectionId }
  /** The last word on a connection. Text that was not read is lost, unless it `finished` from this side: then it stays through TIME-WAIT. */
  | { readonly do: 'closed'; readonly id: TcpConnectionId; readonly how: TcpClosure; readonly why: string };

/** `finished`: both sides closed, and everything sent is acknowledged. */
export type TcpClosure = 'finished' | 'refused' | 'reset' | 'timeout' | 'unreachable' | 'aborted';

export interface TcpOptions {
  /** RFC 2385. Segments without a right signature are dropped, and so are signed ones where there is no key. */
  readonly md5Key?: Secret;
  /** RFC 5082: the peer is at most so many links away; 1 is a neighbour. What comes from further away is dropped. */
  readonly gtsmHops?: number;
  /** TTL or hop limit, default 64; with `gtsmHops` 255. */
  readonly ttl?: number;
  readonly trafficClass?: number;
  /** Largest packet towards the peer; default: the host's `mtu`. */
  readonly mtu?: number;
  /** RFC 1122 §4.2.3.6; default none. */
  readonly keepalive?: { readonly idleMs: Millis; readonly intervalMs: Millis; readonly probes: number };
  /** R2 for SYNs (RFC 1122 §4.2.3.5: at least three minutes). */
  readonly connectTimeoutMs?: Millis;
  /** R2 for everything else: 100 seconds at least. */
  readonly userTimeoutMs?: Millis;
  readonly sendBuffer?: number;
  readonly receiveBuffer?: number;
}

export interface TcpListenOptions {
  /** Only for this own address; default all. */
  readonly address?: Address;
  /** The options for a peer, or undefined for one who is refused. Default: everybody, with defaults. */
  readonly accept?: (remote: Address, local: Address) => TcpOptions | undefined;
}

export interface TcpLimits {
  /** Half-open, established and waiting ones. The oldest in TIME-WAIT goes when one more is needed. */
  readonly connections: number;
  /** Of one remote address. The oldest that nobody here has (half-open, or closed) goes when one more is needed. */
  readonly connectionsPerPeer: number;
  /** Connections that a peer began and has not completed. */
  readonly backlog: number;
  readonly listeners: number;
  readonly sendBuffer: number;
  readonly receiveBuffer: number;
  /** Pieces of a connection that wait for what comes before them. */
  readonly pieces: number;
  /** SYN-ACKs sent again before a half-open connection is given up. */
  readonly synAckRetries: number;
  /** RFC 5961 §7: challenge ACKs in five seconds, of one connection. */
  readonly challengeAcks: number;
  /** RSTs a second for segments that belong to nothing. */
  readonly resets: number;
  readonly timeWaitMs: Millis;
  /** How long a closed side waits for the peer's FIN. */
  readonly finWaitMs: Millis;
  /** How long text is still taken after `leave`: a RST sooner may keep the peer from reading what was sent last. */
  readonly lingerMs: Millis;
  readonly delayedAckMs: Millis;
}

export interface TcpHostOptions {
  /** For ports, and the secret of initial sequence numbers. */
  readonly random: Random;
  /** The MD5 of RFC 1321, for signatures (RFC 2385) and initial sequence numbers (RFC 6528 §3). */
  readonly md5: (octets: Bytes) => Bytes;
  /** Largest packet towards an address; default 1500. */
  readonly mtu?: (remote: Address) => number;
  /** How whom the host dials is spoken to, where a connection is gone and the peer does not know it yet. */
  readonly dialled?: (remote: Endpoint) => TcpOptions | undefined;
  /** From whom a segment came that does not pass, beside the count of all. */
  readonly dropped?: (remote: Address, why: 'signature' | 'hopLimit') => void;
  readonly limits?: Partial<TcpLimits>;
}

export type TcpConnected =
  | { readonly id: TcpConnectionId; readonly actions: readonly TcpAction[] }
  /** Words: nothing was begun. */
  | { readonly refused: string };

export interface TcpCounters {
  segmentsIn: number;
  segmentsOut: number;
  retransmissions: number;
  /** No TCP segment, or a wrong checksum. */
  malformed: number;
  /** RFC 2385: missing, wrong or uncalled-for signatures. */
  signature: number;
  /** RFC 5082. */
  hopLimit: number;
  /** Segments for ports nobody listens on, or from peers who are not accepted. */
  refused: number;
  backlogFull: number;
  connectionsFull: number;
  /** Outside of the window, or an acknowledgment of what was never sent. */
  unacceptable: number;
  challengeAcks: number;
  challengeAcksOverRate: number;
  resets: number;
  resetsOverRate: number;
  piecesRefused: number;
  /** ICMP errors that concern no connection, or nothing it has in flight (RFC 5927 §4). */
  icmpIgnored: number;
}

export const TCP_LIMITS: TcpLimits = {
  connections: 64,
  connectionsPerPeer: 8,
  backlog: 16,
  listeners: 16,
  sendBuffer: 65_536,
  // The largest window without a scale.
  receiveBuffer: 65_535,
  pieces: 32,
  // Linux: net.ipv4.tcp_synack_retries; about a minute.
  synAckRetries: 5,
  challengeAcks: 10,
  resets: 50,
  // RFC 9293 §3.4.2 has an MSL of two minutes; Linux waits 60 seconds in all, and so do we.
  timeWaitMs: 60_000,
  // Linux: net.ipv4.tcp_fin_timeout.
  finWaitMs: 60_000,
  lingerMs: 5000,
  // RFC 9293 §3.8.6.3: less than half a second.
  delayedAckMs: 100,
};

/** RFC 1122 §4.2.3.5. */
export const CONNECT_TIMEOUT_MS = 180_000;
export const USER_TIMEOUT_MS = 100_000;

export const newTcpCounters = (): TcpCounters => ({
  segmentsIn: 0,
  segmentsOut: 0,
  retransmissions: 0,
  malformed: 0,
  signature: 0,
  hopLimit: 0,
  refused: 0,
  backlogFull: 0,
  connectionsFull: 0,
  unacceptable: 0,
  challengeAcks: 0,
  challengeAcksOverRate: 0,
  resets: 0,
  resetsOverRate: 0,
  piecesRefused: 0,
  icmpIgnored: 0,
});
