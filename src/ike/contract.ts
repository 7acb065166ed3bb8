/**
 * What goes into and comes out of the IKE endpoint: one machine for all IKE SAs of a gateway.
 *
 * The gateway owns the other side: it turns `install` into ESP SAs and packets without an SA into `acquire`.
 * Secrets travel as `Secret`. Times in configurations are seconds as people write them; deadlines are Millis.
 */
import type { Bytes, Secret } from '../core/index.ts';
import type { Encryption, Group, Integrity, Prf } from '../crypto/index.ts';
import type { Address, Endpoint, TrafficSelector } from '../ip/index.ts';
import type { Identity } from './identity.ts';
import type { Proposal } from './proposal.ts';

/** One connection as the endpoint needs it; every default is already filled in. */
export interface IkeConnection {
  /** Unique in the gateway: `tenant/connection`. */
  readonly name: string;
  readonly localAddress: Address;
  /** Undefined: any peer may come (listen only). */
  readonly remoteAddress: Address | undefined;
  readonly localId: Identity;
  /** Undefined: the remote address. */
  readonly remoteId: Identity;
  readonly psk: Secret;
  readonly ikeProposals: readonly Proposal[];
  readonly ikeLifetimeSeconds: number;
  /** An unanswered request means the peer is gone after this long; default the endpoint's. */
  readonly giveUpSeconds?: number;
  readonly child: ChildConfig;
  readonly start: 'demand' | 'boot' | 'listen';
  /** Silence after which the peer is asked whether it lives; 0: never. */
  readonly dpdSeconds: number;
  readonly forceEncapsulation: boolean;
  /** Where the peer listens: 500, which floats to 4500 behind NAT; any other is a NAT-T port, with non-ESP markers from the start (§2.23). */
  readonly remotePort: number;
  /** Inbound SPIs are `residue` modulo `modulus`: who opens the packets can be seen from outside. Default: any. */
  readonly spis?: { readonly modulus: number; readonly residue: number };
}

export interface ChildConfig {
  readonly proposals: readonly Proposal[];
  readonly local: readonly TrafficSelector[];
  readonly remote: readonly TrafficSelector[];
  readonly lifetimeSeconds: number;
  /** Infinity: no limit. Counted by ESP, which tells with `expire`. */
  readonly lifetimeBytes: number;
  readonly lifetimePackets: number;
}

/** A negotiated ESP suite; `group` is what a rekey with PFS used. */
export interface ChildSuite {
  readonly encryption: Encryption;
  readonly integrity: Integrity | undefined;
  readonly group: Group | undefined;
  readonly esn: boolean;
}

export interface IkeSuite {
  readonly encryption: Encryption;
  readonly integrity: Integrity | undefined;
  readonly prf: Prf;
  readonly group: Group;
}

/** All that ESP needs for both directions of one Child SA. SPIs are unsigned 32-bit numbers. */
export interface ChildSa {
  readonly connection: string;
  /** Counts up in the life of the endpoint; for people: `hq{3}`. */
  readonly id: number;
  /** The IKE SA that owns it, by its id (`hq[1]`). */
  readonly ikeId: number;
  readonly spiIn: number;
  readonly spiOut: number;
  readonly suite: ChildSuite;
  readonly keysIn: ChildKeys;
  readonly keysOut: ChildKeys;
  readonly local: readonly TrafficSelector[];
  readonly remote: readonly TrafficSelector[];
  readonly localEndpoint: Endpoint;
  readonly remoteEndpoint: Endpoint;
  readonly udpEncapsulation: boolean;
  /** RFC 7296 §2.23: the peer stands behind NAT and we do not, so it is where its newest authentic packet comes from. */
  readonly peerMoves: boolean;
  /** RFC 7296 §1.3.1: the peer does not want TFC padding. */
  readonly tfcPadding: boolean;
}

export interface ChildKeys {
  readonly encryption: Secret;
  readonly integrity: Secret;
}

/** A packet that wants a tunnel: becomes the first traffic selector pair (RFC 7296 §2.9). */
export interface PacketSelector {
  readonly source: Address;
  readonly destination: Address;
  readonly protocol: number;
  readonly sourcePort: number;
  readonly destinationPort: number;
}

export type IkeEvent =
  | { readonly type: 'tick' }
  /** A datagram from the IKE port or, without its non-ESP marker, from the NAT-T port. */
  | { readonly type: 'datagram'; readonly local: Endpoint; readonly remote: Endpoint; readonly octets: Bytes }
  /** Replaces the set of connections. What did not change is untouched; what is gone is deleted. */
  | { readonly type: 'configure'; readonly connections: readonly IkeConnection[] }
  | { readonly type: 'acquire'; readonly connection: string; readonly packet: PacketSelector | undefined }
  | { readonly type: 'terminate'; readonly connection: string; readonly what: 'ike' | 'child' }
  | { readonly type: 'rekey'; readonly connection: string; readonly what: 'ike' | 'child' }
  /** ESP counted a Child SA (inbound SPI) to its soft or hard limit. */
  | { readonly type: 'expire'; readonly spiIn: number; readonly hard: boolean }
  /** An authenticated ESP packet came in; `from` when the outer source is not the known one. At most one a second and SA. */
  | { readonly type: 'inbound'; readonly spiIn: number; readonly from: Endpoint | undefined }
  /** DELETE for everything; `done` follows when all is answered or given up. */
  | { readonly type: 'shutdown' };

export type IkeAction =
  /** The runtime adds the non-ESP marker when `local.port` is a NAT-T port. */
  | { readonly do: 'send'; readonly local: Endpoint; readonly remote: Endpoint; readonly octets: Bytes }
  /** One octet 0xFF towards the peer (RFC 3948 §2.3): no marker, no answer. */
  | { readonly do: 'keepalive'; readonly local: Endpoint; readonly remote: Endpoint }
  /** `standby`: receive on it, but keep sending on the old one until `activate` (RFC 7296 §2.8). */
  | { readonly do: 'install'; readonly child: ChildSa; readonly outbound: 'active' | 'standby' }
  | { readonly do: 'activate'; readonly spiIn: number }
  | { readonly do: 'remove'; readonly spiIn: number; readonly why: string }
  | {
      readonly do: 'move';
      readonly spiIn: number;
      readonly localEndpoint: Endpoint;
      readonly remoteEndpoint: Endpoint;
      readonly udpEncapsulation: boolean;
    }
  /** Nothing will come of an `acquire`: waiting packets may go. */
  | { readonly do: 'unreachable'; readonly connection: string; readonly failure: Failure }
  /** Only where key export was asked for. */
  | { readonly do: 'keys'; readonly keys: IkeKeysExport }
  | { readonly do: 'report'; readonly report: Report }
  | { readonly do: 'done' };

/** Why something failed, for a person who can act on it. `lines` hold the comparison, ours against theirs. */
export interface Failure {
  readonly code:
    | 'no-proposal'
    | 'authentication'
    | 'identity'
    | 'selectors'
    | 'no-answer'
    | 'invalid-ke'
    | 'syntax'
    | 'version'
    | 'peer-error'
    | 'dpd'
    | 'temporary'
    | 'policy';
  /** One sentence: what happened. */
  readonly problem: string;
  /** One sentence: what to do next. */
  readonly advice: string;
  readonly lines: readonly string[];
}

/** One line of the connection's story. */
export interface Report {
  readonly level: 'debug' | 'info' | 'warn' | 'error';
  readonly connection: string | undefined;
  /** `ike-up`, `child-up`, `child-rekeyed`, `ike-rekeyed`, `ike-down`, `child-down`, `failed`, `moved`, `drop`, `retransmit` … */
  readonly what: string;
  readonly text: string;
  readonly failure?: Failure;
}

/** The secrets of one IKE SA, for Wireshark's `ikev2_decryption_table`. */
export interface IkeKeysExport {
  readonly spiI: Bytes;
  readonly spiR: Bytes;
  readonly suite: IkeSuite;
  readonly skEi: Secret;
  readonly skEr: Secret;
  readonly skAi: Secret;
  readonly skAr: Secret;
}
