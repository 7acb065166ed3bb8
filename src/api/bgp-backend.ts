/** What the control API asks of BGP. Each question about routes names its tenant; undefined is the answer of one without a router. */
import type { Page } from '../bgp/index.ts';
import type { Millis } from '../core/index.ts';
import type {
  BgpAdvertisedStatus,
  BgpCommand,
  BgpExplanationStatus,
  BgpPeerStatus,
  BgpReceivedStatus,
  BgpRouteStatus,
  BgpSummaryStatus,
  Gateway,
  GatewayEvent,
} from '../gateway/index.ts';
import type { Address, Prefix } from '../ip/index.ts';

export interface BgpBackend {
  summaries(): readonly BgpSummaryStatus[];
  peers(): readonly BgpPeerStatus[];
  routes(tenant: string, page: Page): readonly BgpRouteStatus[] | undefined;
  received(tenant: string, peer: string, page: Page): readonly BgpReceivedStatus[] | undefined;
  advertised(tenant: string, peer: string, page: Page): readonly BgpAdvertisedStatus[] | undefined;
  explain(tenant: string, asked: Address | Prefix): BgpExplanationStatus | undefined;
  /** `text` goes to the peer with the end of the session (RFC 9003). */
  command(tenant: string, peer: string, what: BgpCommand, text: string): void;
}

/** Once a command has been given: the peer as it is then. */
export interface BgpCommandStatus {
  readonly command: 'up' | 'down' | 'clear';
  readonly peer: BgpPeerStatus;
}

interface Host {
  readonly gateway: Gateway;
  dispatch(event: GatewayEvent): void;
  now(): Millis;
}

export function bgpBackend(host: Host): BgpBackend {
  const { bgp } = host.gateway;
  return {
    summaries: () => bgp.summaries(host.now()),
    peers: () => bgp.peers(host.now()),
    routes: (tenant, page) => bgp.routes(tenant, page),
    received: (tenant, peer, page) => bgp.received(tenant, peer, page),
    advertised: (tenant, peer, page) => bgp.advertised(tenant, peer, page),
    explain: (tenant, asked) => bgp.explain(tenant, asked),
    command: (tenant, peer, what, text) => host.dispatch({ type: 'bgp', tenant, peer, what, text }),
  };
}
