/**
 * A compartment's view of the world: interfaces by number, packets in, packets out. How a packet gets to the other end of
 * an interface (TUN, tunnel, fabric) is not its business.
 */
import type { Packet, Prefix, SelectorPair } from '../ip/index.ts';

export type InterfaceKind = 'tun' | 'connection' | 'fabric';

export interface InterfaceConfig {
  readonly name: string;
  readonly kind: InterfaceKind;
  /** Largest IP packet the interface takes. */
  readonly mtu: number;
  /** The compartment's own addresses on it, with the on-link prefix. */
  readonly addresses: readonly Prefix[];
}

export type RouteOrigin = 'connected' | 'static' | 'connection' | 'bgp' | 'nat';

export interface Route {
  readonly prefix: Prefix;
  /** Number of the interface it leaves by. */
  readonly interface: number;
  readonly origin: RouteOrigin;
  /** Lower wins between routes to one prefix: connected 0, static 1, connection 5. */
  readonly preference: number;
  /** For people: where this route comes from. */
  readonly why: string;
}

/** Where a compartment's results go. Ownership of the packet goes with it. */
export interface Sink {
  /** `packet` leaves by interface `out`. */
  emit(packet: Packet, out: number): void;
  /** `packet` went no further; the compartment has counted it and releases it afterwards. For traces. */
  dropped?(packet: Packet, reason: number, into: number): void;
}

/** The answer to "why does a packet to this address go there?" */
export interface RouteExplanation {
  readonly chosen: Route | undefined;
  /** Longer-or-equal candidates that lost, each with the reason. */
  readonly passedOver: readonly { readonly route: Route; readonly why: string }[];
}

export type { SelectorPair };
