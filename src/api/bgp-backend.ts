/** What the control API asks of BGP. Each question about routes names its tenant; undefined is the answer of one without a router. */
import type { Page } from '../bgp/index.ts';
import type { Millis } from '../core/index.ts';
import type {
  BgpAdvertisedStatus,
  BgpCommand,
  BgpDump,
  BgpExplanationStatus,
  BgpPeerStatus,
  BgpReceivedStatus,
  BgpRouteStatus,
  BgpSaidStatus,
  BgpSummaryStatus,
  Follower,
  Gateway,
  GatewayAction,
  GatewayEvent,
  Recorded,
} from '../gateway/index.ts';
import { records } from '../gateway/index.ts';
import type { Address, Prefix } from '../ip/index.ts';
import { ApiProblem } from './api-problem.ts';
import type { CommandStatus } from './backend.ts';
import { LiveStream } from './live-stream.ts';
import { type MrtPage, MrtStream, tablePages } from './mrt-stream.ts';

export interface BgpBackend {
  /** Of one tenant, or of all. */
  summaries(tenant?: string): readonly BgpSummaryStatus[];
  /** `peer`: of that name only. */
  peers(tenant?: string, peer?: string): readonly BgpPeerStatus[];
  routes(tenant: string, page: Page): readonly BgpRouteStatus[] | undefined;
  received(tenant: string, peer: string, page: Page): readonly BgpReceivedStatus[] | undefined;
  advertised(tenant: string, peer: string, page: Page): readonly BgpAdvertisedStatus[] | undefined;
  explain(tenant: string, asked: Address | Prefix): BgpExplanationStatus | undefined;
  /** `text` goes to the peer with the end of the session (RFC 9003). */
  command(tenant: string, peer: string, what: BgpCommand, text: string): void;
  /** Called when something has happened to a session of the tenant; the answer ends that. */
  watch(tenant: string, changed: () => void): () => void;
  /** What happens, as it happens; ends when `signal` says so. Throws ApiProblem where too many follow. */
  follow(whom: Follower, signal: AbortSignal): AsyncIterable<BgpLine>;
  /** The tables of a tenant as MRT; throws ApiProblem where too many are asked for. */
  dump(tenant: string): AsyncIterable<MrtPage> | undefined;
  /** What passes in sessions as MRT, as it passes; ends and throws as `follow`. Undefined: the tenant has no router. */
  record(whom: Recorded, signal: AbortSignal): AsyncIterable<MrtPage> | undefined;
}

/** One thing that happened, and when: ISO 8601. */
export interface BgpLine extends BgpSaidStatus {
  readonly time: string;
}

/** How a command went by the time the API answered, and the peer as it is then. */
export interface BgpCommandStatus extends Pick<CommandStatus, 'outcome' | 'why'> {
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
  readonly #recordings = new Set<MrtStream>();
  readonly #watchers = new Set<{ readonly tenant: string; readonly changed: () => void }>();
  #dumps = 0;
  #last = 0;

  constructor(host: Host) {
    this.#host = host;
  }

  summaries = (tenant?: string) => this.#view.summaries(this.#host.now(), tenant);
  peers = (tenant?: string, peer?: string) => this.#view.peers(this.#host.now(), tenant, peer);
  routes = (tenant: string, page: Page) => this.#view.routes(tenant, page);
  received = (tenant: string, peer: string, page: Page) => this.#view.received(tenant, peer, page);
  advertised = (tenant: string, peer: string, page: Page) => this.#view.advertised(tenant, peer, page);
  explain = (tenant: string, asked: Address | Prefix) => this.#view.explain(tenant, asked);

  command(tenant: string, peer: string, what: BgpCommand, text: string): void {
    this.#host.dispatch({ type: 'bgp', tenant, peer, what, text });
  }

  watch(tenant: string, changed: () => void): () => void {
    const watcher = { tenant, changed };
    this.#watchers.add(watcher);
    return () => void this.#watchers.delete(watcher);
  }

  changed(tenant: string): void {
    for (const watcher of [...this.#watchers]) if (watcher.tenant === tenant) watcher.changed();
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

  dump(tenant: string): AsyncIterable<MrtPage> | undefined {
    const tables = this.#view.dump(tenant, Math.floor(Date.now() / 1000), this.#host.now());
    return tables === undefined ? undefined : this.#dump(tables);
  }

  record(whom: Recorded, signal: AbortSignal): AsyncIterable<MrtPage> | undefined {
    return this.#view.has(whom.tenant) ? this.#record(whom, signal) : undefined;
  }

  recorded({ at, tenant, peer, records: all }: Extract<GatewayAction, { do: 'bgp-recorded' }>): void {
    const wallclock = Date.now() - Math.max(0, Math.round(this.#host.now() - at));
    const time = { seconds: Math.floor(wallclock / 1000), micros: (wallclock % 1000) * 1000 };
    for (const stream of this.#recordings)
      if (records(stream.whom, tenant, peer)) for (const record of all) stream.offer({ ...record, time });
  }

  async *#dump(tables: BgpDump): AsyncGenerator<MrtPage, void, undefined> {
    if (this.#dumps >= DUMPS)
      throw new ApiProblem(503, 'busy', `${DUMPS} tables are dumped already`, 'Wait until one has ended.');
    this.#dumps += 1;
    try {
      yield* tablePages(tables);
    } finally {
      this.#dumps -= 1;
    }
  }

  async *#record(whom: Recorded, signal: AbortSignal): AsyncGenerator<MrtPage, void, undefined> {
    if (this.#recordings.size >= FOLLOWERS)
      throw new ApiProblem(503, 'busy', `messages are recorded ${FOLLOWERS} times already`, 'End one of them.');
    const stream = new MrtStream(whom);
    this.#last += 1;
    const query = this.#last;
    this.#recordings.add(stream);
    this.#host.dispatch({ type: 'record', query, ...whom });
    try {
      yield* stream.pages(signal);
    } finally {
      this.#recordings.delete(stream);
      this.#host.dispatch({ type: 'unrecord', query });
    }
  }

  get #view() {
    return this.#host.gateway.bgp;
  }
}

const FOLLOWERS = 16;
const DUMPS = 4;
