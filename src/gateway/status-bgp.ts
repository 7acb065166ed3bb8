/**
 * What people see of BGP: plain JSON, beside `status.ts`. The keys of the summary are those of `show bgp summary json` of FRR, so that what
 * reads one reads the other; times with `Msec` are milliseconds, all others seconds.
 */
import type { LocalRoute, ReceivedRoute, SetWords, ToldRoute } from '../bgp/index.ts';
import type { RouteStatus } from './status.ts';

export type BgpState = 'Idle' | 'Connect' | 'Active' | 'OpenSent' | 'OpenConfirm' | 'Established';

export interface BgpSummaryStatus {
  readonly tenant: string;
  /** The tenant, which is what others call a VRF. */
  readonly vrfName: string;
  readonly routerId: string;
  readonly as: number;
  /** How often what forwards has been told of a change. */
  readonly tableVersion: number;
  /** Prefixes in the tables. */
  readonly ribCount: number;
  readonly ribMemory: number;
  /** RFC 4724 §4.1: routes are not chosen yet, and will be after so long at the latest. Absent: they are. */
  readonly selectionDeferredSeconds?: number;
  readonly peerCount: number;
  readonly totalPeers: number;
  readonly displayedPeers: number;
  /** Peers are those of the document. */
  readonly dynamicPeers: 0;
  readonly failedPeers: number;
  /** By address. */
  readonly peers: Readonly<Record<string, BgpPeerSummary>>;
}

export interface BgpPeerSummary {
  readonly desc: string;
  readonly remoteAs: number;
  readonly localAs: number;
  readonly version: 4;
  readonly msgRcvd: number;
  readonly msgSent: number;
  readonly tableVersion: number;
  /** Octets that wait to be sent. */
  readonly outq: number;
  /** What comes is taken in at once. */
  readonly inq: 0;
  /** Since it is up, or since it is not any more: `00:01:23`, `2d04h11m`; `never` where it never was up. */
  readonly peerUptime: string;
  readonly peerUptimeMsec: number;
  /** Before policy. */
  readonly pfxRcd: number;
  readonly pfxSnt: number;
  readonly state: BgpState;
  /** `Admin`: stopped. `Policy`: an external peer without import or export, which gets or gives nothing (RFC 8212). */
  readonly peerState: 'OK' | 'Admin' | 'Policy';
  readonly connectionsEstablished: number;
  readonly connectionsDropped: number;
  readonly idType: 'ipv4' | 'ipv6';
  /** Why it is not Established; absent where it is. */
  readonly why?: string;
  /** UPDATEs with faults that have not ended the session (RFC 7606); absent where there was none. */
  readonly treated?: BgpTreatedStatus;
}

export interface BgpTreatedStatus {
  /** Without some of their attributes. */
  readonly discard: number;
  /** As if they had withdrawn what they tell. */
  readonly withdraw: number;
  /** Of the last one. */
  readonly why: string;
}

export interface BgpErrorStatus {
  readonly code: number;
  readonly subcode: number;
  readonly words: string;
  readonly secondsAgo: number;
}

/** A peer in detail. */
export interface BgpPeerStatus extends Omit<BgpPeerSummary, 'desc'> {
  readonly tenant: string;
  readonly name: string;
  readonly address: string;
  readonly kind: 'external' | 'internal' | 'client';
  readonly remoteId?: string;
  readonly localId: string;
  readonly dialledBy?: 'us' | 'peer';
  readonly holdSeconds?: number;
  readonly keepaliveSeconds?: number;
  readonly nextTrySeconds?: number;
  /** RFC 4271 §9.2.1.1; absent: changes are told at once. */
  readonly advertisementIntervalSeconds?: number;
  /** When the peer is told of changes that wait for that; absent: none do. */
  readonly nextAdvertisementSeconds?: number;
  /** An operator or the document wants it down. */
  readonly shutdown: boolean;
  readonly md5: boolean;
  readonly import: string;
  readonly export: string;
  readonly pfxAccepted: number;
  readonly families: readonly string[];
  readonly capabilitiesSent: readonly string[];
  readonly capabilitiesReceived: readonly string[];
  readonly messagesReceived: Readonly<Record<string, number>>;
  readonly messagesSent: Readonly<Record<string, number>>;
  readonly octetsReceived: number;
  readonly octetsSent: number;
  readonly collisions: number;
  readonly lastErrorSent?: BgpErrorStatus;
  readonly lastErrorReceived?: BgpErrorStatus;
}

export type BgpRouteStatus = LocalRoute;
export type BgpReceivedStatus = ReceivedRoute;
export type BgpAdvertisedStatus = ToldRoute;

export interface BgpExplanationStatus {
  readonly asked: string;
  /** null: the tables have nothing for it. */
  readonly prefix: string | null;
  /** The best first. */
  readonly paths: readonly BgpPathExplanation[];
  /** What each peer with a session is told of the best path. */
  readonly told: readonly { readonly peer: string; readonly told: boolean; readonly why: string }[];
  /** Routes of the prefix in the compartment, whatever they come from. */
  readonly fib: readonly RouteStatus[];
  /** What the compartment does with a packet to the address, or into the prefix. */
  readonly fibWhy: string;
}

export interface BgpPathExplanation {
  readonly peer: string;
  readonly pathId: number;
  readonly best: boolean;
  /** The step of the decision that it lost by. */
  readonly step?: string;
  readonly why: string;
  readonly stale: boolean;
  readonly nextHopUsable: boolean;
  /** The route that leads to the next hop, or why none does. */
  readonly nextHopWhy: string;
  readonly attributes: SetWords;
}

/** What would become of a route at a peer. */
export interface BgpTrialStatus {
  readonly tenant: string;
  readonly peer: string;
  readonly direction: 'in' | 'out';
  readonly prefix: string;
  readonly accepted: boolean;
  /** The clause or the rule that decided. */
  readonly why: string;
  /** null: the message was not a route any more (RFC 7606). */
  readonly before: SetWords | null;
  readonly after: SetWords | null;
}

/** What somebody who follows a peer sees. */
export interface BgpSaidStatus {
  readonly tenant: string;
  readonly peer: string;
  /** A message to us or of ours, or something that happened to the session. */
  readonly kind: 'in' | 'out' | 'event';
  /** `UPDATE`, `established` … */
  readonly what: string;
  readonly words: string;
  /** Of the message; 0 for an event. */
  readonly octets: number;
  /** Lines before this one that were too many. */
  readonly missed: number;
}
