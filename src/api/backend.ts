/**
 * What the control API asks of a running gateway. `runtime/` implements it for a real one, the lab for its own, tests by hand.
 * Commands begin something and return at once; `watch` tells when to look again.
 */
import type { RouteQuery } from '../compartment/index.ts';
import type { Issue } from '../config/index.ts';
import type { TraceOrder, TraceOutcome, TraceStage } from '../gateway/index.ts';
import type {
  ChildSaStatus,
  ConnectionStatus,
  GatewayStatus,
  IkeSaStatus,
  NatSessionStatus,
  NatStatus,
  NeighbourStatus,
  NetworkStatus,
  NextHopStatus,
  PingStatus,
  RecordStatus,
  RouteExplanationStatus,
  RouteStatus,
  TappedStatus,
  TenantStatus,
} from '../gateway/status.ts';
import type { Address } from '../ip/index.ts';
import type { NatSessionFilter } from '../nat/index.ts';
import type { BgpBackend } from './bgp-backend.ts';

export interface Backend {
  status(): GatewayStatus;
  tenantNames(): readonly string[];
  /** With all their routes, which may be many. */
  tenants(): readonly TenantStatus[];
  /** Of a tenant that is there, those that are asked for. */
  routes(tenant: string, query: RouteQuery): readonly RouteStatus[];
  /** `lastFailure.secondsAgo` with fractions: it tells a failure of this command from an older one. */
  connections(): readonly ConnectionStatus[];

  /** Commands for a connection that exists (the API has looked). */
  up(tenant: string, connection: string): void;
  down(tenant: string, connection: string, what: SaKind): void;
  rekey(tenant: string, connection: string, what: SaKind): void;
  /** Calls `changed` after any connection changed its state or its SAs; the answer ends that. */
  watch(changed: () => void): () => void;

  /** Why a packet of `tenant` to `address` goes where it goes. Undefined when `address` is none. */
  explain(tenant: string, address: string): RouteExplanationStatus | undefined;
  /** One answer a request, in order, at their pace; ends early when `signal` says so. Throws ApiProblem for what it cannot do. */
  ping(tenant: string, request: PingOrder, signal: AbortSignal): AsyncIterable<PingStatus>;

  nats(): readonly NatStatus[];
  /** These ask the data plane, and wait for it a while. They throw ApiProblem for what it cannot answer. */
  natSessions(tenant: string, filter: NatSessionFilter, most: number): Promise<readonly NatSessionStatus[]>;
  /** How many sessions it ended. */
  flushNat(tenant: string, filter: NatSessionFilter): Promise<number>;
  neighbours(tenant: string): Promise<readonly NeighbourStatus[]>;

  trace(order: TraceOrder): Promise<readonly TraceStage[]>;
  /** Real packets of a tenant, or of all, as they come; ends when `signal` says so. */
  tap(tenant: string | undefined, signal: AbortSignal): AsyncIterable<LivePacket>;

  networks(): readonly NetworkStatus[];
  /** The lookup table of all tenants. */
  records(): readonly RecordStatus[];
  /** Undefined: the tenant has no virtual network. */
  nextHop(tenant: string, vsid: number, source: Address, destination: Address): NextHopStatus | undefined;

  readonly bgp: BgpBackend;

  keys(): KeysStatus;
  /** `folder` undefined: where the document says, or the gateway's own choice. */
  setKeys(enabled: boolean, folder: string | undefined): KeysStatus;
  /** Reads the document again and applies what changed; a document with errors changes nothing. */
  reload(): Promise<ReloadStatus>;
  /** The effective document as YAML, secrets as references. */
  configText(): string;
}

export type SaKind = 'ike' | 'child';

export interface PingOrder {
  readonly destination: string;
  readonly source?: string;
  readonly count: number;
  readonly intervalMs: number;
  readonly timeoutMs: number;
  /** Octets of data. */
  readonly size: number;
  readonly ttl: number;
}

/** A packet that was tapped, and when: ISO 8601. */
export interface LivePacket extends TappedStatus {
  readonly time: string;
}

/** A packet and what would become of it. */
export interface TraceStatus {
  readonly tenant: string;
  readonly packet: string;
  readonly from: string;
  readonly outcome: TraceOutcome;
  readonly stages: readonly TraceStage[];
}

export interface KeysStatus {
  readonly enabled: boolean;
  /** Where Wireshark's tables are written; null while off. */
  readonly folder: string | null;
}

export interface ReloadStatus {
  readonly applied: boolean;
  /** One line a change, as `config diff` writes them. */
  readonly changes: readonly string[];
  readonly issues: readonly Issue[];
}

/** How a command went by the time the API answered. */
export interface CommandStatus {
  readonly command: 'up' | 'down' | 'rekey';
  /** `begun`: nobody waited. `timeout`: the wait was over before the outcome was known. */
  readonly outcome: 'begun' | 'done' | 'failed' | 'timeout';
  readonly why: string;
  readonly connection: ConnectionStatus;
}

/** SAs of all connections in one list, each knowing whose it is. */
export type SaStatus =
  | ({ readonly sa: 'ike'; readonly tenant: string; readonly connection: string } & IkeSaStatus)
  | ({ readonly sa: 'child' } & ChildSaStatus);

export { ApiProblem } from './api-problem.ts';
