/**
 * What passes between control and data plane: commands one way, events the other. Plain data, so that it may cross to another thread.
 *
 * Control names everything by numbers of its own: compartments, interfaces, tunnels, ports (the host's end of an interface),
 * and `cells`, the slots in which the data plane counts (`cells.ts`). A number is not used again while a packet may name it.
 * Packets change owner with the call that names them.
 */
import type {
  InterfaceConfig,
  NeighbourView,
  PingRequest,
  PingResult,
  Route,
  RouteOrigin,
} from '../../compartment/index.ts';
import type { Bytes, Millis } from '../../core/index.ts';
import type { Encryption, Integrity } from '../../crypto/index.ts';
import type { DfPolicy, Lifetime } from '../../esp/index.ts';
import type { Address, Endpoint, FlowRecord, Packet, Prefix, TrafficSelector } from '../../ip/index.ts';
import type {
  NatCounters,
  NatFiltering,
  NatLimits,
  NatRule,
  NatSessionFilter,
  NatSessionView,
  NatTimeouts,
} from '../../nat/index.ts';
import type { CustomerRoute, LookupRecord, VirtualSubnet } from '../../nvgre/index.ts';

import type { TraceQuestion, TraceStage } from '../trace/contract.ts';
import type { RouteTemplate } from './route-batch.ts';
import type { TappedPacket } from './tap.ts';

/** A tunnel as the data plane knows it. */
export interface TunnelParameters {
  /** What its SAs name; never used twice. */
  readonly tunnel: number;
  readonly df: DfPolicy;
  /** MTU inside, or what the way outside leaves. */
  readonly mtu: number | 'auto';
}

/** A port of the host's that carries Ethernet frames. */
export interface EthernetPort {
  readonly port: number;
  /** Our own on it. */
  readonly mac: Bytes;
  /** Slot of the segment's counters. */
  readonly segmentCells: number;
}

/** A port of the virtual switch, by which the compartment takes part in one of its tenant's virtual subnets. */
export interface SubnetPort {
  /** Among all ports of the switch, the host's included. */
  readonly switchPort: number;
  readonly vsid: number;
  readonly mac: Bytes;
  readonly segmentCells: number;
}

/**
 * One end of a link between two compartments of the gateway: `inside` is a tenant's, `outside` that of compartment 1. What goes
 * through a link with a NAT is translated there.
 */
export interface LinkEnd {
  /** Both ends name it; never used twice. */
  readonly link: number;
  readonly side: 'inside' | 'outside';
  /** With the inside end. */
  readonly nat?: NatParameters;
}

export interface NatSettings {
  readonly rules: readonly NatRule[];
  readonly filtering: NatFiltering;
  readonly timeouts: NatTimeouts;
  readonly limits: NatLimits;
}

export interface NatParameters extends NatSettings {
  /** IPv4, as a number. */
  readonly external: number;
  /** Slot of its counters. */
  readonly cells: number;
}

/** Where packets of an interface go: to a port of the host's, a segment, a tunnel, another compartment. */
export type WayParameters = { readonly port: number } | EthernetPort | SubnetPort | TunnelParameters | LinkEnd;

/** This machine in the provider network. */
export interface UnderlayParameters {
  readonly addresses: readonly Address[];
  readonly carrier: 'nvgre' | 'nvgre-udp';
}

/** A tenant's part of the virtual switch. */
export interface NetworkParameters {
  /** Of its compartment on a gateway; any number of its own on a virtualization host. */
  readonly compartment: number;
  readonly name: string;
  readonly subnets: readonly VirtualSubnet[];
  readonly records: readonly LookupRecord[];
  readonly routes: readonly CustomerRoute[];
  readonly cells: number;
}

/** A machine of a tenant on this host: a port of the host's that is one of the switch. */
export interface MachineParameters {
  readonly compartment: number;
  readonly port: number;
  readonly switchPort: number;
  readonly vsid: number;
  readonly mac: Bytes;
  /** Undefined: learned. */
  readonly addresses: readonly Address[] | undefined;
}

/** Both directions of a Child SA. Keys are octets here: whoever passes a command on wipes what it copied. */
export interface SaPair {
  readonly tunnel: number;
  readonly spiIn: number;
  readonly spiOut: number;
  readonly encryption: Encryption;
  readonly integrity: Integrity | undefined;
  readonly keysIn: { readonly encryption: Bytes; readonly integrity: Bytes };
  readonly keysOut: { readonly encryption: Bytes; readonly integrity: Bytes };
  readonly esn: boolean;
  readonly replayWindow: number;
  readonly lifetime: Lifetime;
  readonly local: readonly TrafficSelector[];
  readonly remote: readonly TrafficSelector[];
  readonly localEndpoint: Endpoint;
  readonly remoteEndpoint: Endpoint;
  readonly udpEncapsulation: boolean;
  /** The peer may be followed to where its newest authentic packet came from. */
  readonly peerMoves?: boolean;
  readonly cellsIn: number;
  readonly cellsOut: number;
}

/** `standby` receives only, `draining` too and for the last time (RFC 7296 §2.8). */
export type SaPhase = 'standby' | 'active' | 'draining';

export type PlaneCommand =
  | { readonly do: 'add-compartment'; readonly compartment: number; readonly name: string; readonly cells: number }
  | { readonly do: 'remove-compartment'; readonly compartment: number }
  | {
      readonly do: 'add-interface';
      readonly compartment: number;
      readonly interface: number;
      readonly config: InterfaceConfig;
      readonly cells: number;
      readonly way: WayParameters;
    }
  | { readonly do: 'remove-interface'; readonly compartment: number; readonly interface: number }
  | { readonly do: 'set-up'; readonly compartment: number; readonly interface: number; readonly up: boolean }
  | { readonly do: 'add-route'; readonly compartment: number; readonly route: Route }
  | {
      readonly do: 'remove-route';
      readonly compartment: number;
      readonly prefix: Prefix;
      readonly interface: number;
      readonly origin: RouteOrigin;
      /** Undefined: those of all next hops. */
      readonly nextHop?: Address;
    }
  /** Many of both, in their order (`route-batch.ts`). */
  | {
      readonly do: 'change-routes';
      readonly compartment: number;
      readonly templates: readonly RouteTemplate[];
      readonly changes: Bytes;
      readonly count: number;
    }
  /** The switch begins, or begins anew with all that is in it. */
  | { readonly do: 'underlay'; readonly underlay: UnderlayParameters }
  /** Added, or made so; what did not change is not touched. */
  | { readonly do: 'network'; readonly network: NetworkParameters }
  | { readonly do: 'remove-network'; readonly compartment: number }
  | { readonly do: 'add-machine'; readonly machine: MachineParameters }
  | { readonly do: 'remove-machine'; readonly port: number }
  /** What else is the same host says for this prefix: others ask who has its addresses, and are answered. */
  | {
      readonly do: 'answer-for';
      readonly compartment: number;
      readonly interface: number;
      readonly prefix: Prefix;
      readonly on: boolean;
    }
  | { readonly do: 'set-nat'; readonly link: number; readonly settings: NatSettings }
  /** These are answered by an event of the same `query`. */
  | { readonly do: 'flush-nat'; readonly link: number; readonly query: number; readonly filter: NatSessionFilter }
  /** Packets that touch these are told; none ends that. */
  | { readonly do: 'tap'; readonly compartments: readonly number[] | 'all' }
  | { readonly do: 'trace'; readonly query: number; readonly question: TraceQuestion }
  | { readonly do: 'ask-neighbours'; readonly compartment: number; readonly query: number }
  | {
      readonly do: 'ask-nat';
      readonly link: number;
      readonly query: number;
      readonly filter: NatSessionFilter;
      readonly most: number;
    }
  | { readonly do: 'install'; readonly sa: SaPair; readonly phase: SaPhase }
  /** `active` also makes it the newest. */
  | { readonly do: 'phase'; readonly spiIn: number; readonly phase: SaPhase }
  | {
      readonly do: 'move';
      readonly spiIn: number;
      readonly localEndpoint: Endpoint;
      readonly remoteEndpoint: Endpoint;
      readonly udpEncapsulation: boolean;
    }
  /** Both directions end: neither seals nor opens another packet. */
  | { readonly do: 'remove'; readonly spiIn: number }
  /** The way to the peer carries so much; Infinity: nothing is known of it. */
  | { readonly do: 'path-mtu'; readonly tunnel: number; readonly mtu: number }
  /** What waits for the tunnel goes, if the tunnel is up. */
  | { readonly do: 'flush'; readonly tunnel: number }
  /** What waits for the tunnel is refused. */
  | { readonly do: 'give-up'; readonly tunnel: number }
  /** No tunnel is asked for any more. */
  | { readonly do: 'stop' }
  | { readonly do: 'ping'; readonly compartment: number; readonly request: PingRequest }
  /** Whether TCP to the compartment's own addresses, and ICMP errors, are told to control. */
  | { readonly do: 'set-transport'; readonly compartment: number; readonly on: boolean }
  /** A packet of the compartment's own, complete. */
  | { readonly do: 'send'; readonly compartment: number; readonly octets: Bytes };

export type PlaneEvent =
  /** An IKE message, without its non-ESP marker. */
  | { readonly type: 'ike'; readonly local: Endpoint; readonly remote: Endpoint; readonly octets: Bytes }
  /** A packet waits for this tunnel. */
  | { readonly type: 'acquire'; readonly tunnel: number; readonly flow: FlowRecord | undefined }
  /** An SA was counted to its soft or hard limit. */
  | { readonly type: 'expire'; readonly spiIn: number; readonly hard: boolean }
  /** The peer of an SA lives; `from` where it sends from another address than control named. */
  | { readonly type: 'inbound'; readonly spiIn: number; readonly from: Endpoint | undefined }
  /** ESP for another data plane, which control knows by the SPI. */
  | {
      readonly type: 'stray';
      readonly udp: boolean;
      readonly local: Endpoint;
      readonly remote: Endpoint;
      readonly octets: Bytes;
      readonly tos: number;
    }
  /** `sessions` are at most as many as were asked for. */
  | {
      readonly type: 'nat-sessions';
      readonly query: number;
      readonly link: number;
      readonly sessions: readonly NatSessionView[];
      readonly counters: NatCounters;
    }
  | { readonly type: 'tapped'; readonly packet: TappedPacket }
  | { readonly type: 'traced'; readonly query: number; readonly stages: readonly TraceStage[] }
  /** There is nothing any more that could answer. */
  | { readonly type: 'unanswered'; readonly query: number; readonly why: string }
  /** How many sessions a flush ended. */
  | { readonly type: 'nat-flushed'; readonly query: number; readonly sessions: number }
  /** Who is known on the segments of a compartment, at the time `at`. */
  | {
      readonly type: 'neighbours';
      readonly query: number;
      readonly compartment: number;
      readonly at: Millis;
      readonly segments: readonly { readonly interface: number; readonly neighbours: readonly NeighbourView[] }[];
    }
  /** Somebody on a segment claims an address of ours. */
  | {
      readonly type: 'conflict';
      readonly compartment: number;
      readonly interface: number;
      readonly address: Address;
      readonly mac: Bytes;
    }
  | { readonly type: 'pinged'; readonly compartment: number; readonly result: PingResult }
  /** An IP packet with TCP to an own address, checksum complete, or an ICMP error. */
  | { readonly type: 'transport'; readonly compartment: number; readonly octets: Bytes }
  | {
      readonly type: 'ping-refused';
      readonly compartment: number;
      readonly request: PingRequest;
      readonly why: string;
    };

/** Where packets leave. Whoever is called takes them over. */
export interface PlaneOutput {
  /** ESP on its way to the peer, in UDP or as protocol 50. A packet with a `segment` is a train: datagrams of that length back to back. */
  datagram(
    udp: boolean,
    local: Endpoint,
    remote: Endpoint,
    packet: Packet,
    tos: number,
    dontFragment: boolean,
    tunnel: number,
  ): void;
  /** NVGRE for another provider address, GRE header first; trains as above. */
  underlay(local: Address, remote: Address, packet: Packet): void;
  /** An IP packet, or an Ethernet frame, for the host's end of an interface. */
  packet(port: number, packet: Packet): void;
}
