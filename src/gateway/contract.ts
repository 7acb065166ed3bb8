/**
 * What goes into and comes out of a gateway: one machine for all tenants. `runtime/` hosts it with real sockets and devices,
 * `lab/` with an in-process network; neither knows more than this file.
 *
 * Packets change owner with the event or action that names them: whoever holds one passes it on or releases it to the
 * gateway's pool.
 */
import type { MrtRecord } from '../bgp/index.ts';
import type { PingRequest, PingResult } from '../compartment/index.ts';
import type { GatewayDocument, HostTenantConfig, InterfaceDocument, UnderlayConfig } from '../config/index.ts';
import type { Bytes, Millis, Secret } from '../core/index.ts';
import type { Report } from '../ike/index.ts';
import type { Address, Endpoint, Packet, Prefix } from '../ip/index.ts';
import type { NatCounters, NatSessionFilter } from '../nat/index.ts';
import type { Follower } from './bgp/followers.ts';
import type { Recorded } from './bgp/recordings.ts';
import type { PlaneCommand, PlaneEvent } from './dataplane/index.ts';
import type { NatSessionStatus, NeighbourStatus, TappedStatus } from './status.ts';
import type { BgpSaidStatus } from './status-bgp.ts';
import type { TraceStage } from './trace/contract.ts';
import type { TraceOrder } from './trace/order.ts';

/** A document with its secrets fetched; keys are `tenant/connection`, and `tenant/bgp/peer` for MD5. */
export interface ResolvedDocument {
  readonly document: GatewayDocument;
  /** Of a virtualization host (`planHost`), by the name of the tenant. */
  readonly machines?: ReadonlyMap<string, HostTenantConfig>;
  readonly secrets: ReadonlyMap<string, Secret>;
}

export type BgpCommand = 'start' | 'stop' | 'reset' | 'refresh-in' | 'refresh-out';

export type GatewayEvent =
  | { readonly type: 'tick' }
  /** The first one starts the gateway; later ones touch only what changed. */
  | { readonly type: 'apply'; readonly resolved: ResolvedDocument }
  /** Payload of a UDP datagram to one of the IKE or NAT-T ports. `tos` of the outer header, or -1. */
  | {
      readonly type: 'udp';
      readonly local: Endpoint;
      readonly remote: Endpoint;
      readonly packet: Packet;
      readonly tos: number;
    }
  /** Payload of protocol 50. */
  | {
      readonly type: 'esp';
      readonly local: Address;
      readonly remote: Address;
      readonly packet: Packet;
      readonly tos: number;
    }
  /** NVGRE from another provider address, GRE header first. */
  | { readonly type: 'underlay'; readonly remote: Address; readonly packet: Packet }
  /** An IP packet, or an Ethernet frame, from a tenant's interface. */
  | { readonly type: 'packet'; readonly tenant: string; readonly interface: string; readonly packet: Packet }
  /** From a data plane that is hosted elsewhere. */
  | { readonly type: 'plane'; readonly event: PlaneEvent }
  /** A datagram with DF exceeded what the way from one address to the other carries, or what the kernel knows of it. */
  | { readonly type: 'too-big'; readonly local: Address; readonly remote: Address }
  /** The answer to `probe-path`. */
  | { readonly type: 'path-mtu'; readonly local: Address; readonly remote: Address; readonly mtu: number }
  /** One of the data planes that are hosted elsewhere was lost: no packet passes it. `why` in words that follow "the data plane". */
  | { readonly type: 'plane-lost'; readonly plane: number; readonly why: string }
  /** And a new one runs that knows nothing yet. */
  | { readonly type: 'plane-restarted'; readonly plane: number; readonly why: string }
  /** What became of `open-interface` or `listen`; undefined: it works. */
  | {
      readonly type: 'interface-state';
      readonly tenant: string;
      readonly interface: string;
      readonly problem: string | undefined;
    }
  | {
      readonly type: 'listen-state';
      readonly address: Address;
      readonly problem: string | undefined;
      readonly rawEsp: boolean;
    }
  /** What became of `open-underlay`; undefined: it works. */
  | { readonly type: 'underlay-state'; readonly problem: string | undefined }
  /** Questions; an action of the same `query` is the answer, or `query-refused`. At most so many NAT sessions of a tenant. */
  | {
      readonly type: 'ask-nat';
      readonly tenant: string;
      readonly query: number;
      readonly filter: NatSessionFilter;
      readonly most: number;
    }
  | {
      readonly type: 'flush-nat';
      readonly tenant: string;
      readonly query: number;
      readonly filter: NatSessionFilter;
    }
  | { readonly type: 'ask-neighbours'; readonly tenant: string; readonly query: number }
  /** From here on packets of the tenant, or of all, are told by `tapped`, until `untap` of the same query. */
  | { readonly type: 'tap'; readonly query: number; readonly tenant: string | undefined }
  | { readonly type: 'untap'; readonly query: number }
  | { readonly type: 'trace'; readonly query: number; readonly order: TraceOrder }
  | {
      readonly type: 'up' | 'down' | 'rekey';
      readonly tenant: string;
      readonly connection: string;
      readonly what: 'ike' | 'child';
    }
  /** For a BGP peer; `text` goes with the end of a session (RFC 9003). */
  | {
      readonly type: 'bgp';
      readonly tenant: string;
      readonly peer: string;
      readonly what: BgpCommand;
      readonly text: string;
    }
  /** From here on what happens to BGP peers is told by `bgp-said`, until `unfollow` of the same query. */
  | ({ readonly type: 'follow'; readonly query: number } & Follower)
  | { readonly type: 'unfollow'; readonly query: number }
  /** From here on what passes in these sessions is told by `bgp-recorded`, until `unrecord` of the same query. */
  | ({ readonly type: 'record'; readonly query: number } & Recorded)
  | { readonly type: 'unrecord'; readonly query: number }
  | { readonly type: 'ping'; readonly tenant: string; readonly request: PingRequest }
  /** Whether keys are written for Wireshark. On: also those in use already. */
  | { readonly type: 'keys'; readonly enabled: boolean }
  | { readonly type: 'shutdown' };

export type GatewayAction =
  | {
      readonly do: 'udp';
      readonly local: Endpoint;
      readonly remote: Endpoint;
      readonly packet: Packet;
      /** TOS or traffic class of the outer header. */
      readonly tos: number;
      readonly dontFragment: boolean;
    }
  | {
      readonly do: 'esp';
      readonly local: Address;
      readonly remote: Address;
      readonly packet: Packet;
      readonly tos: number;
      readonly dontFragment: boolean;
    }
  | { readonly do: 'packet'; readonly tenant: string; readonly interface: string; readonly packet: Packet }
  | { readonly do: 'underlay'; readonly local: Address; readonly remote: Address; readonly packet: Packet }
  /** Sockets for NVGRE on these addresses, read by that data plane. */
  | { readonly do: 'open-underlay'; readonly plane: number; readonly underlay: UnderlayConfig }
  | { readonly do: 'close-underlay' }
  /** Who has which external address now: to be kept, and given as `natAddresses` the next time. */
  | { readonly do: 'nat-addresses'; readonly addresses: ReadonlyMap<string, Address> }
  | {
      readonly do: 'nat-sessions';
      readonly query: number;
      readonly sessions: readonly NatSessionStatus[];
      readonly counters: NatCounters;
    }
  | { readonly do: 'nat-flushed'; readonly query: number; readonly sessions: number }
  | { readonly do: 'neighbours'; readonly query: number; readonly neighbours: readonly NeighbourStatus[] }
  /** To who follows by this query. */
  | { readonly do: 'bgp-said'; readonly query: number; readonly at: Millis; readonly said: BgpSaidStatus }
  /** To everybody who records that session; what happened at `at`, of which the records' own times say nothing. */
  | {
      readonly do: 'bgp-recorded';
      readonly at: Millis;
      readonly tenant: string;
      readonly peer: string;
      readonly records: readonly MrtRecord[];
    }
  /** A real packet, to everybody who taps one of these tenants. */
  | { readonly do: 'tapped'; readonly at: Millis; readonly tapped: TappedStatus }
  | { readonly do: 'traced'; readonly query: number; readonly stages: readonly TraceStage[] }
  | { readonly do: 'query-refused'; readonly query: number; readonly why: string }
  | {
      readonly do: 'open-interface';
      readonly tenant: string;
      /** Which data plane has it, where there are several, and what it calls it. */
      readonly plane: number;
      readonly port: number;
      readonly config: InterfaceDocument;
      readonly hostRoutes: readonly Prefix[];
      /** The MAC of the machine behind it, where it is a machine's and no interface of the compartment. */
      readonly machine?: Bytes;
    }
  | { readonly do: 'close-interface'; readonly tenant: string; readonly interface: string }
  /** The whole set the kernel should reach through the device. */
  | {
      readonly do: 'host-routes';
      readonly tenant: string;
      readonly interface: string;
      readonly prefixes: readonly Prefix[];
    }
  /** What does the kernel know of the MTU between these addresses? Nobody need answer. */
  | { readonly do: 'probe-path'; readonly local: Address; readonly remote: Address }
  /** For one of the data planes that are hosted elsewhere, in this order and before the actions behind it. */
  | { readonly do: 'plane'; readonly plane: number; readonly command: PlaneCommand }
  /** Bind the IKE and NAT-T ports on this address, and protocol 50 where there are rights. */
  | { readonly do: 'listen'; readonly address: Address; readonly ike: number; readonly natt: number }
  | { readonly do: 'unlisten'; readonly address: Address }
  | { readonly do: 'report'; readonly report: Report }
  /** A row for Wireshark's table of that name. */
  | { readonly do: 'key'; readonly table: 'ikev2_decryption_table' | 'esp_sa'; readonly row: string }
  | { readonly do: 'pinged'; readonly tenant: string; readonly result: PingResult }
  /** A ping could not even be sent. */
  | { readonly do: 'ping-refused'; readonly tenant: string; readonly request: PingRequest; readonly why: string }
  /** States or SAs of this connection changed: look again. */
  | { readonly do: 'changed'; readonly tenant: string; readonly connection: string }
  /** Something has happened to the session with this BGP peer: look again. */
  | { readonly do: 'bgp-changed'; readonly tenant: string; readonly peer: string }
  | { readonly do: 'done' };
