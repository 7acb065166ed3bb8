/**
 * What people see of a gateway: one truth for command line, API and tests. Plain JSON: no octets, no secrets, no big numbers.
 * Times are seconds (durations) or ISO 8601 (moments are made by the API, the core knows only durations).
 */

import type { SegmentCounters } from '../compartment/index.ts';
import type { NatCounters, NatFiltering } from '../nat/index.ts';
import type { RecordType, TenantCounters } from '../nvgre/index.ts';
import type { TraceOutcome, TraceStage } from './trace/contract.ts';

export type ConnectionState = 'down' | 'connecting' | 'up' | 'rekeying' | 'closing' | 'waiting';

export interface GatewayStatus {
  readonly name: string;
  readonly version: string;
  readonly upSeconds: number;
  readonly state: 'ok' | 'degraded' | 'stopping';
  /** Everything that is wrong now, each with cause and next step. */
  readonly problems: readonly Problem[];
  readonly listen: readonly { readonly address: string; readonly port: number; readonly carrier: 'udp' | 'ip-50' }[];
  readonly tenants: number;
  readonly connections: { readonly total: number; readonly up: number; readonly failed: number };
  readonly ikeSas: number;
  /** Requests of IKE_SA_INIT that led to an SA. */
  readonly ikeAccepted: number;
  readonly halfOpen: number;
  readonly childSas: number;
  /** Of all workers together. */
  readonly packets: PacketsStatus;
  /** Drops by reason, whole gateway (tenants have their own). */
  readonly drops: Readonly<Record<string, number>>;
  /** The data planes that pass packets, by their numbers; one without threads of its own has one. */
  readonly workers: readonly WorkerStatus[];
  /** What there was no room for in the memory of counters: it is shown with zeros. */
  readonly countersRefused: number;
  readonly engine: string;
  /** Of all tenants; absent where none has a BGP router. */
  readonly bgp?: BgpMemoryStatus;
  readonly memoryBytes?: number;
}

/** Path attributes of all BGP routers together. */
export interface BgpMemoryStatus {
  readonly routers: number;
  readonly attributeOctets: number;
  readonly attributeLimit: number;
  /** Sessions that were ended because all did not fit. */
  readonly sessionsEnded: number;
}

/** Slots of a packet pool. */
export interface PacketsStatus {
  readonly poolSize: number;
  readonly inUse: number;
  readonly peak: number;
  /** How often none was free. */
  readonly refused: number;
}

export interface WorkerStatus {
  readonly worker: number;
  /** `main`: packets pass through the thread that does everything else, too. */
  readonly thread: 'own' | 'main';
  /** `lost`: no packet of its tenants passes until it was started anew. */
  readonly state: 'running' | 'lost';
  /** What became of a lost one, in words that follow "the data plane". */
  readonly why?: string;
  readonly engine: string;
  /** How often it was started anew. */
  readonly restarts?: number;
  readonly tenants: number;
  readonly packets: PacketsStatus;
  /** By reason, those of its tenants among them. */
  readonly drops: Readonly<Record<string, number>>;
}

export interface Problem {
  readonly severity: 'warning' | 'error';
  readonly tenant?: string;
  readonly connection?: string;
  readonly problem: string;
  readonly advice: string;
  /** A comparison or a table, line by line: ours against theirs. */
  readonly lines: readonly string[];
}

export interface TenantStatus {
  readonly name: string;
  readonly compartment: number;
  /** The number of its data plane, see `WorkerStatus`. */
  readonly worker: number;
  readonly rdid?: string;
  readonly interfaces: readonly InterfaceStatus[];
  readonly subnets: readonly SubnetStatus[];
  readonly nat?: NatStatus;
  /** Routed to the external network as it is. */
  readonly direct: boolean;
  /** Its part of the virtual switch. */
  readonly network?: NetworkStatus;
  /** How many its compartment has. */
  readonly routes: number;
  readonly connections: readonly string[];
  readonly drops: Readonly<Record<string, number>>;
}

export interface InterfaceStatus {
  readonly name: string;
  readonly kind: string;
  readonly device?: string;
  readonly state: 'up' | 'down';
  readonly mtu: number;
  readonly addresses: readonly string[];
  readonly rxPackets: number;
  readonly rxBytes: number;
  readonly txPackets: number;
  readonly txBytes: number;
  /** Ours on an Ethernet segment, and what came to pass there. */
  readonly mac?: string;
  readonly segment?: SegmentCounters;
  readonly segmentDrops?: Readonly<Record<string, number>>;
}

/** A virtual subnet the compartment takes part in, by the interface of that name. */
export interface SubnetStatus {
  readonly vsid: number;
  readonly interface: string;
  readonly addresses: readonly string[];
}

export interface NatStatus extends NatCounters {
  readonly tenant: string;
  readonly externalAddress: string;
  readonly filtering: NatFiltering;
  /** How many of the document. */
  readonly rules: number;
  readonly sessionLimit: number;
  /** What it refused, both ways. */
  readonly drops: Readonly<Record<string, number>>;
}

export interface NatSessionStatus {
  readonly protocol: string;
  readonly inner: string;
  readonly external: string;
  /** Without a port for ICMP queries, whose identifiers stand in the others. */
  readonly remote: string;
  readonly state: string;
  readonly fromOutside: boolean;
  readonly secondsLeft: number;
  readonly packetsOut: number;
  readonly octetsOut: number;
  readonly packetsIn: number;
  readonly octetsIn: number;
}

export interface NetworkStatus {
  readonly tenant: string;
  readonly counters: TenantCounters;
  readonly drops: Readonly<Record<string, number>>;
}

/** A line of the lookup table. */
export interface RecordStatus {
  readonly tenant: string;
  readonly vsid: number;
  /** Null: whatever nobody else has. */
  readonly ca: string | null;
  readonly mac: string;
  /** Null: at this gateway. */
  readonly pa: string | null;
  readonly type: RecordType;
  readonly origin: 'policy' | 'port' | 'learned';
  readonly seenSecondsAgo?: number;
}

export interface NextHopStatus {
  readonly chosen: {
    readonly vsid: number;
    readonly nextHop: string | null;
    readonly mac: string;
    readonly pa: string | null;
    /** Of the virtual switch. */
    readonly port: number | null;
  } | null;
  readonly why: string;
  readonly steps: readonly string[];
}

export interface NeighbourStatus {
  readonly interface: string;
  readonly address: string;
  readonly mac: string | null;
  readonly state: string;
  readonly forSeconds: number;
  /** Packets that wait for its MAC address. */
  readonly waiting: number;
}

export interface RouteStatus {
  readonly prefix: string;
  /** The interface; `discard` of a discard route. */
  readonly via: string;
  /** What it matches is discarded, and its sender told so. Absent: it is not. */
  readonly discard?: true;
  /** Who forwards it there; without one the destination itself is. */
  readonly nextHop?: string;
  readonly origin: string;
  readonly preference: number;
  readonly metric: number;
  readonly why: string;
}

export interface RouteExplanationStatus {
  readonly address: string;
  readonly chosen: RouteStatus | null;
  /** All that share the flows; absent where the chosen one has them to itself. */
  readonly among?: readonly RouteStatus[];
  readonly why: string;
  readonly passedOver: readonly { readonly route: RouteStatus; readonly why: string }[];
}

export interface ConnectionStatus {
  readonly tenant: string;
  readonly name: string;
  readonly state: ConnectionState;
  /** Why it is in this state, in words. */
  readonly why: string;
  readonly start: string;
  readonly localAddress: string;
  readonly remoteAddress: string;
  readonly localId: string;
  readonly remoteId: string;
  readonly ikeSas: readonly IkeSaStatus[];
  readonly childSas: readonly ChildSaStatus[];
  readonly lastFailure?: Problem & { readonly code: string; readonly secondsAgo: number };
  readonly routes: readonly string[];
  readonly mtu: number;
  readonly waitingPackets: number;
}

export interface IkeSaStatus {
  readonly id: number;
  readonly spiI: string;
  readonly spiR: string;
  readonly role: 'initiator' | 'responder';
  readonly state: string;
  readonly suite: string;
  readonly local: string;
  readonly remote: string;
  /** Which end is behind NAT. */
  readonly nat: 'none' | 'local' | 'remote' | 'both' | 'forced';
  readonly establishedSeconds: number;
  readonly rekeySeconds: number | null;
  readonly retransmits: number;
}

export interface ChildSaStatus {
  readonly id: number;
  readonly ikeId: number;
  readonly tenant: string;
  readonly connection: string;
  readonly state: 'standby' | 'active' | 'draining';
  readonly spiIn: string;
  readonly spiOut: string;
  readonly suite: string;
  readonly esn: boolean;
  readonly carrier: 'udp' | 'ip-50';
  readonly local: readonly string[];
  readonly remote: readonly string[];
  readonly bytesIn: number;
  readonly packetsIn: number;
  readonly bytesOut: number;
  readonly packetsOut: number;
  readonly sequenceIn: number;
  readonly sequenceOut: number;
  readonly installedSeconds: number;
  readonly rekeySeconds: number | null;
  readonly drops: Readonly<Record<string, number>>;
}

export interface PingStatus {
  readonly sequence: number;
  readonly from: string;
  readonly outcome: 'reply' | 'timeout' | 'unreachable' | 'no-route' | 'ttl-exceeded';
  readonly milliseconds: number | null;
  readonly octets: number;
  /** Words for everything but a reply. */
  readonly why?: string;
}

/** A real packet that was tapped: where it was seen, and what became of it. */
export interface TappedStatus {
  readonly tenants: readonly string[];
  readonly outcome: TraceOutcome;
  readonly stages: readonly TraceStage[];
  readonly points: readonly TapPointStatus[];
  /** Packets before it that were too many to be told. */
  readonly missed: number;
}

export interface TapPointStatus {
  /** `underlay`, `external`, or `tenant/interface`. */
  readonly point: string;
  readonly direction: 'inbound' | 'outbound';
  /** The beginning of an IP packet, hexadecimal. */
  readonly octets: string;
  readonly length: number;
}
