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
  BgpSaidStatus,
  BgpSummaryStatus,
  Follower,
  Gateway,
  GatewayEvent,
} from '../gateway/index.ts';
import type { Address, Prefix } from '../ip/index.ts';
import { ApiProblem } from './api-problem.ts';
import { LiveStream } from './live-stream.ts';

export interface BgpBackend {
  /** Of one tenant, or of all. */
  summaries(tenant?: string): readonly BgpSummaryStatus[];
  peers(tenant?: string): readonly BgpPeerStatus[];
  routes(tenant: string, page: Page): readonly BgpRouteStatus[] | undefined;
  received(tenant: string, peer: string, page: Page): readonly BgpReceivedStatus[] | undefined;
  advertised(tenant: string, peer: string, page: Page): readonly BgpAdvertisedStatus[] | undefined;
  explain(tenant: string, asked: Address | Prefix): BgpExplanationStatus | undefined;
  /** `text` goes to the peer with the end of the session (RFC 9003). */
  command(tenant: string, peer: string, what: BgpCommand, text: string): void;
  /** What happens, as it happens; ends when `signal` says so. Throws ApiProblem where too many follow. */
  follow(whom: Follower, signal: AbortSignal): AsyncIterable<BgpLine>;
}

/** One thing that happened, and when: ISO 8601. */
export interface BgpLine extends BgpSaidStatus {
  readonly time: string;
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

export class GatewayBgp implements BgpBackend {
  readonly #host: Host;
  /** By query. */
  readonly #streams = new Map<number, LiveStream<BgpLine>>();
  #last = 0;

  constructor(host: Host) {
    this.#host = host;
  }

  summaries = (tenant?: string) => this.#view.summaries(this.#host.now(), tenant);
  peers = (tenant?: string) => this.#view.peers(this.#host.now(), tenant);
  routes = (tenant: string, page: Page) => this.#view.routes(tenant, page);
  received = (tenant: string, peer: string, page: Page) => this.#view.received(tenant, peer, page);
  advertised = (tenant: string, peer: string, page: Page) => this.#view.advertised(tenant, peer, page);
  explain = (tenant: string, asked: Address | Prefix) => this.#view.explain(tenant, asked);

  command(tenant: string, peer: string, what: BgpCommand, text: string): void {
    this.#host.dispatch({ type: 'bgp', tenant, peer, what, text });
  }

  async *follow(whom: Follower, signal: AbortSignal): AsyncGenerator<BgpLine, void, undefined> {
    if (this.#streams.size >= FOLLOWERS)
      throw new ApiProblem(503, 'busy', `${FOLLOWERS} logs are followed already`, 'End one of them.');
    const stream = new LiveStream<BgpLine>(() => true);
    this.#last += 1;
    const query = this.#last;
    this.#streams.set(query, stream);
    this.#host.dispatch({ type: 'follow', query, ...whom });
    try {
      yield* stream.items(signal);
    } finally {
      this.#streams.delete(query);
      this.#host.dispatch({ type: 'unfollow', query });
    }
  }

  observe(query: number, at: Millis, said: BgpSaidStatus): void {
    const time = new Date(Date.now() - Math.max(0, this.#host.now() - at)).toISOString();
    this.#streams.get(query)?.offer({ time, ...said });
  }

  get #view() {
    return this.#host.gateway.bgp;
  }
}

const FOLLOWERS = 16;
