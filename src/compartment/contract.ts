/**
 * A compartment's view of the world: interfaces by number, packets in, packets out. How a packet gets to the other end of
 * an interface (TUN, tunnel, fabric) is not its business.
 */
import type { Millis } from '../core/index.ts';
import type { Address, Packet, Prefix, SelectorPair } from '../ip/index.ts';

/**
 * `tun` and `connection` are point-to-point: nothing that came in by them goes back out of them. `fabric` is a segment
 * with several hosts, between which the compartment may route, and `ethernet` one whose hosts have MAC addresses (`Segment`).
 * `link` leads to another compartment of the gateway; what comes in by it may go back by it, as between two hosts behind one NAT.
 */
export type InterfaceKind = 'tun' | 'connection' | 'fabric' | 'ethernet' | 'link';

export interface InterfaceConfig {
  readonly name: string;
  readonly kind: InterfaceKind;
  /** Largest IP packet the interface takes, 68..65535 octets; IPv6 uses interfaces of 1280 and more. */
  readonly mtu: number;
  /** The compartment's own addresses on it, with the on-link prefix. */
  readonly addresses: readonly Prefix[];
  /** Lowers the MSS of TCP SYNs that cross it, both ways, to what fits. Default: connections only. */
  readonly clampMss?: boolean;
}

export interface InterfaceCounters {
  readonly rxPackets: number;
  readonly rxBytes: number;
  readonly txPackets: number;
  readonly txBytes: number;
}

export interface InterfaceView extends InterfaceCounters {
  readonly number: number;
  readonly name: string;
  readonly kind: InterfaceKind;
  readonly mtu: number;
  readonly up: boolean;
  readonly addresses: readonly Prefix[];
}

/** In place of an interface's number: what the route matches is discarded, and its sender told so. */
export const DISCARD = 0;

export const ROUTE_ORIGINS = ['connected', 'static', 'connection', 'bgp', 'nat'] as const;
export type RouteOrigin = (typeof ROUTE_ORIGINS)[number];

export interface Route {
  readonly prefix: Prefix;
  /** Number of the interface it leaves by, or DISCARD. */
  readonly interface: number;
  readonly origin: RouteOrigin;
  /** Who forwards it on a segment; without one the destination itself is there. Without meaning on point-to-point interfaces. */
  readonly nextHop?: Address;
  /** Lower wins between routes to one prefix: connected 0, static 1, connection 5. */
  readonly preference: number;
  /** Lower wins between routes of one preference; default 0. Those that are equal then share the flows. */
  readonly metric?: number;
  /** For people: where this route comes from. */
  readonly why: string;
}

/** Of all routes those that all of it fits; a page of them, where one is asked for. */
export interface RouteQuery {
  /** Of exactly this prefix. */
  readonly prefix?: Prefix;
  /** Of prefixes that lie in this one. */
  readonly within?: Prefix;
  readonly origins?: readonly RouteOrigin[];
  /** Routes to pass over, and how many at most behind them. */
  readonly offset?: number;
  readonly limit?: number;
}

/** Where a compartment's results go. Ownership of the packet goes with `emit`. */
export interface Sink {
  /** `packet` leaves by interface `out`, where `nextHop` forwards it; undefined: its destination is there. */
  emit(packet: Packet, out: number, nextHop: Address | undefined): void;
  /** `packet` went no further; the compartment has counted it and releases it afterwards. For traces. */
  dropped?(packet: Packet, reason: number, into: number): void;
  /** The local host has taken `packet`; what it answers, in the same octets, is another one. For traces. */
  consumed?(packet: Packet): void;
  /**
   * A whole packet to an own address that carries TCP, or an ICMP error about something else than a ping. True: it was copied, and
   * a TCP endpoint answers it; else the protocol is unreachable. Checksums of TCP may be owed (`packet.partial`, superframes).
   */
  transport?(packet: Packet): boolean;
  /** A ping begun here has an outcome; called once for each. */
  pinged?(result: PingResult): void;
}

/** The answer to "why does a packet to this address go there?" */
export interface RouteExplanation {
  /** Of several that share the flows: the one of the flow that was asked about, else the oldest. */
  readonly chosen: Route | undefined;
  /** All that share the flows; absent where the chosen one has them to itself. */
  readonly among?: readonly Route[];
  /** The answer in one sentence, also where no route decides (own address, multicast, nothing known). */
  readonly why: string;
  /** Longer-or-equal candidates that lost, each with the reason. */
  readonly passedOver: readonly { readonly route: Route; readonly why: string }[];
}

export interface PingRequest {
  readonly destination: Address;
  /** One of the compartment's own addresses; default: the one an ICMP error to `destination` would carry. */
  readonly source?: Address;
  readonly id: number;
  readonly sequence: number;
  /** Octets of data after the ICMP header. */
  readonly size: number;
  /** TTL or hop limit, default 64. */
  readonly ttl?: number;
  readonly timeoutMs?: Millis;
}

export interface PingResult {
  readonly id: number;
  readonly sequence: number;
  readonly destination: Address;
  /** Who answered; the destination itself where nobody did. */
  readonly from: Address;
  readonly outcome: 'reply' | 'timeout' | 'unreachable' | 'no-route' | 'ttl-exceeded';
  /** From request to answer; null where nobody answered. */
  readonly milliseconds: number | null;
  /** Octets of data in the reply; 0 without one. */
  readonly octets: number;
  /** Words for everything but a reply. */
  readonly why?: string;
}

/** Named bounds of one compartment, each with a counter of what it refused. */
export interface CompartmentLimits {
  /** Interfaces, refused by an Error: the document is checked before. */
  readonly interfaces: number;
  /** Routes over all prefixes; `addRoute` answers false beyond. */
  readonly routes: number;
  /** ICMP errors a second, long term (RFC 1812 §4.3.2.8, RFC 4443 §2.4 (f)). */
  readonly icmpErrorsPerSecond: number;
  /** ICMP errors at once. */
  readonly icmpErrorBurst: number;
  /** Pings waiting for an answer. */
  readonly pings: number;
  readonly pingTimeoutMs: Millis;
  /** Datagrams to the compartment's own addresses being put together from fragments. */
  readonly reassemblies: number;
}

/** What became of the compartment's own work; drops have their own array. */
export interface CompartmentCounters {
  readonly forwarded: number;
  /** Packets consumed by the local host. */
  readonly delivered: number;
  /** Packets the compartment itself sent: replies, errors, pings. */
  readonly originated: number;
  /** Packets cut to pieces, and the pieces. */
  readonly fragmented: number;
  readonly fragments: number;
  readonly mssClamped: number;
  readonly echoReplies: number;
  readonly icmpErrors: number;
  /** ICMP errors owed but not sent: over the rate, no own address of that family, no packet in the pool. */
  readonly icmpErrorsOverRate: number;
  readonly icmpErrorsWithoutSource: number;
  readonly icmpErrorsWithoutBuffer: number;
  /** Echo replies and errors no ping waits for. */
  readonly pingsUnmatched: number;
  readonly pingsRefused: number;
  readonly routesRefused: number;
}

export type { SelectorPair };
