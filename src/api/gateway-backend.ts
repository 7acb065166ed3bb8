/**
 * A gateway as the API's backend: what is the same for a real one and for the lab's.
 *
 * The host gives it the gateway and a way to hand in events, and tells it every action (`observe`). Files and clocks stay the
 * host's: keys, reload and the document's text are functions it passes.
 * Limit: pings are paced by real time, also where the host's own time runs differently.
 */
import type { RouteQuery } from '../compartment/index.ts';
import type { Millis } from '../core/index.ts';
import type {
  ConnectionStatus,
  Gateway,
  GatewayAction,
  GatewayEvent,
  GatewayStatus,
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
  TraceOrder,
  TraceStage,
} from '../gateway/index.ts';
import { type Address, formatAddress, parseAddress } from '../ip/index.ts';
import type { NatSessionFilter } from '../nat/index.ts';
import {
  ApiProblem,
  type Backend,
  type KeysStatus,
  type LivePacket,
  type PingOrder,
  type ReloadStatus,
  type SaKind,
} from './backend.ts';
import { GatewayBgp } from './bgp-backend.ts';
import { LiveStream } from './live-stream.ts';
import { Questions } from './questions.ts';

export interface GatewayHost {
  readonly gateway: Gateway;
  /** Handles the event and carries out the actions, before or after it returns. */
  dispatch(event: GatewayEvent): void;
  /** The clock the gateway is run by. */
  now(): Millis;
  keys(): KeysStatus;
  setKeys(enabled: boolean, folder: string | undefined): KeysStatus;
  reload(): Promise<ReloadStatus>;
  configText(): string;
  /** Left out where it says nothing about the gateway. */
  memoryBytes?(): number;
  /** Of each data plane that has a thread of its own; left out where none has. */
  workers?(): readonly WorkerFacts[];
}

/** What only the host knows of a worker. */
export interface WorkerFacts {
  readonly engine: string;
  readonly restarts: number;
}

export class GatewayBackend implements Backend {
  readonly bgp: GatewayBgp;
  readonly #host: GatewayHost;
  readonly #watchers = new Set<() => void>();
  readonly #questions = new Questions();
  readonly #taps = new Set<LiveStream<LivePacket>>();
  #lastTap = 0;
  readonly #series = new Map<number, PingSeries>();
  #lastSeries = 0;

  constructor(host: GatewayHost) {
    this.#host = host;
    this.bgp = new GatewayBgp(host);
  }

  /** To be told every action of the gateway. */
  observe(action: GatewayAction): void {
    if (action.do === 'changed') for (const watcher of [...this.#watchers]) watcher();
    else if (action.do === 'pinged') {
      const { id, sequence, from, outcome, milliseconds, octets, why } = action.result;
      const status = { sequence, from: formatAddress(from), outcome, milliseconds, octets };
      this.#series.get(id)?.answer(why === undefined ? status : { ...status, why });
    } else if (action.do === 'ping-refused') {
      this.#series.get(action.request.id)?.refuse(action.request.sequence, action.why);
    } else if (action.do === 'nat-sessions') this.#questions.answer(action.query, action.sessions);
    else if (action.do === 'nat-flushed') this.#questions.answer(action.query, action.sessions);
    else if (action.do === 'neighbours') this.#questions.answer(action.query, action.neighbours);
    else if (action.do === 'tapped') this.#live(action.at, action.tapped);
    else if (action.do === 'bgp-said') this.bgp.observe(action.query, action.at, action.said);
    else if (action.do === 'bgp-changed') this.bgp.changed(action.tenant);
    else if (action.do === 'bgp-recorded') this.bgp.recorded(action);
    else if (action.do === 'traced') this.#questions.answer(action.query, action.stages);
    else if (action.do === 'query-refused') this.#questions.refuse(action.query, action.why);
  }

  status(): GatewayStatus {
    const { gateway, memoryBytes } = this.#host;
    const status = gateway.status(this.#host.now());
    const facts = this.#host.workers?.() ?? [];
    const workers = status.workers.map((worker) => ({ ...worker, ...facts[worker.worker] }));
    return { ...status, workers, ...(memoryBytes === undefined ? {} : { memoryBytes: memoryBytes() }) };
  }

  tenantNames(): readonly string[] {
    return this.#host.gateway.tenantNames();
  }

  tenants(): readonly TenantStatus[] {
    return this.#host.gateway.tenants();
  }

  routes(tenant: string, query: RouteQuery): readonly RouteStatus[] {
    return this.#host.gateway.routes(tenant, query) ?? [];
  }

  connections(): readonly ConnectionStatus[] {
    return this.#host.gateway.connections(this.#host.now());
  }

  up(tenant: string, connection: string): void {
    this.#host.dispatch({ type: 'up', tenant, connection, what: 'ike' });
  }

  down(tenant: string, connection: string, what: SaKind): void {
    this.#host.dispatch({ type: 'down', tenant, connection, what });
  }

  rekey(tenant: string, connection: string, what: SaKind): void {
    this.#host.dispatch({ type: 'rekey', tenant, connection, what });
  }

  watch(changed: () => void): () => void {
    this.#watchers.add(changed);
    return () => void this.#watchers.delete(changed);
  }

  explain(tenant: string, text: string): RouteExplanationStatus | undefined {
    const address = parseAddress(text);
    return address && this.#host.gateway.explainRoute(tenant, address);
  }

  nats(): readonly NatStatus[] {
    return this.#host.gateway.nats();
  }

  natSessions(tenant: string, filter: NatSessionFilter, most: number): Promise<readonly NatSessionStatus[]> {
    return this.#ask((query) => ({ type: 'ask-nat', tenant, query, filter, most }));
  }

  flushNat(tenant: string, filter: NatSessionFilter): Promise<number> {
    return this.#ask((query) => ({ type: 'flush-nat', tenant, query, filter }));
  }

  neighbours(tenant: string): Promise<readonly NeighbourStatus[]> {
    return this.#ask((query) => ({ type: 'ask-neighbours', tenant, query }));
  }

  trace(order: TraceOrder): Promise<readonly TraceStage[]> {
    return this.#ask((query) => ({ type: 'trace', query, order }));
  }

  async *tap(tenant: string | undefined, signal: AbortSignal): AsyncGenerator<LivePacket, void, undefined> {
    if (this.#taps.size >= TAPS) throw new ApiProblem(503, 'busy', `${TAPS} taps are set already`, 'End one of them.');
    const stream = new LiveStream<LivePacket>(({ tenants }) => tenant === undefined || tenants.includes(tenant));
    this.#lastTap += 1;
    const query = this.#lastTap;
    this.#taps.add(stream);
    this.#host.dispatch({ type: 'tap', query, tenant });
    try {
      yield* stream.items(signal);
    } finally {
      this.#taps.delete(stream);
      this.#host.dispatch({ type: 'untap', query });
    }
  }

  networks(): readonly NetworkStatus[] {
    return this.#host.gateway.networks();
  }

  records(): readonly RecordStatus[] {
    return this.#host.gateway.records(this.#host.now());
  }

  nextHop(tenant: string, vsid: number, source: Address, destination: Address): NextHopStatus | undefined {
    return this.#host.gateway.nextHop(tenant, vsid, source, destination);
  }

  async *ping(tenant: string, order: PingOrder, signal: AbortSignal): AsyncGenerator<PingStatus, void, undefined> {
    const destination = addressOf('destination', order.destination);
    const source = order.source === undefined ? undefined : addressOf('source', order.source);
    const id = this.#freeSeries();
    const series = new PingSeries();
    const { size, ttl, timeoutMs } = order;
    const request = { destination, ...(source === undefined ? {} : { source }), id, size, ttl, timeoutMs };
    this.#series.set(id, series);
    try {
      yield* series.run(formatAddress(destination), order, signal, (sequence) =>
        this.#host.dispatch({ type: 'ping', tenant, request: { ...request, sequence } }),
      );
    } finally {
      this.#series.delete(id);
    }
  }

  keys(): KeysStatus {
    return this.#host.keys();
  }

  setKeys(enabled: boolean, folder: string | undefined): KeysStatus {
    return this.#host.setKeys(enabled, folder);
  }

  reload(): Promise<ReloadStatus> {
    return this.#host.reload();
  }

  configText(): string {
    return this.#host.configText();
  }

  #live(at: Millis, tapped: TappedStatus): void {
    const time = new Date(Date.now() - Math.max(0, this.#host.now() - at)).toISOString();
    for (const stream of this.#taps) stream.offer({ time, ...tapped });
  }

  #ask<T>(question: (query: number) => GatewayEvent): Promise<T> {
    return this.#questions.ask<T>((query) => this.#host.dispatch(question(query)));
  }

  /** An identifier of ICMP no other series uses. */
  #freeSeries(): number {
    if (this.#series.size >= SERIES_LIMIT) {
      throw new ApiProblem(503, 'busy', `${SERIES_LIMIT} pings are running already`, 'Wait until one has ended.');
    }
    do this.#lastSeries = (this.#lastSeries + 1) & 0xffff;
    while (this.#series.has(this.#lastSeries));
    return this.#lastSeries;
  }
}

/** Requests at their pace, answers in the order of the requests. */
class PingSeries {
  readonly #answers = new Map<number, PingStatus>();
  readonly #refusals = new Map<number, string>();
  #wake = (): void => {};

  answer(status: PingStatus): void {
    this.#answers.set(status.sequence, status);
    this.#wake();
  }

  refuse(sequence: number, why: string): void {
    this.#refusals.set(sequence, why);
    this.#wake();
  }

  async *run(
    destination: string,
    { count, intervalMs, timeoutMs }: PingOrder,
    signal: AbortSignal,
    send: (sequence: number) => void,
  ): AsyncGenerator<PingStatus, void, undefined> {
    const sentAt: number[] = [];
    const none = (sequence: number, outcome: PingStatus['outcome'], why: string): PingStatus => {
      return { sequence, from: destination, outcome, milliseconds: null, octets: 0, why };
    };
    let told = 0;
    while (told < count && !signal.aborted) {
      const now = performance.now();
      const first = sentAt[0] ?? now;
      const nextAt = sentAt.length < count ? first + sentAt.length * intervalMs : Number.POSITIVE_INFINITY;
      const sequence = told + 1;
      const refusal = this.#refusals.get(sequence);
      const answer = this.#answers.get(sequence);
      const lostAt = told < sentAt.length ? sentAt[told]! + timeoutMs + GRACE_MS : Number.POSITIVE_INFINITY;
      if (now >= nextAt) send(sentAt.push(now));
      else if (refusal !== undefined && told === 0) throw new ApiProblem(409, 'refused', refusal, '');
      else if (answer !== undefined || refusal !== undefined || now >= lostAt) {
        told += 1;
        this.#answers.delete(sequence);
        yield answer ??
          (refusal === undefined
            ? none(sequence, 'timeout', 'the gateway forgot this ping')
            : none(sequence, 'unreachable', refusal));
      } else await this.#pause(Math.min(nextAt, lostAt) - now, signal);
    }
  }

  #pause(milliseconds: number, signal: AbortSignal): Promise<void> {
    return new Promise((resolve) => {
      const done = (): void => {
        clearTimeout(timer);
        signal.removeEventListener('abort', done);
        this.#wake = () => {};
        resolve();
      };
      const timer = setTimeout(done, milliseconds);
      signal.addEventListener('abort', done);
      this.#wake = done;
    });
  }
}

function addressOf(field: string, text: string): Address {
  const address = parseAddress(text);
  if (address !== undefined) return address;
  const problem = `${field}: ${JSON.stringify(text.slice(0, 64))} is not an address`;
  throw new ApiProblem(400, 'bad-request', problem, 'Write an IPv4 or IPv6 address.');
}

const SERIES_LIMIT = 256;
const TAPS = 16;
/** A ping whose tenant has gone never gets a result from the gateway. */
const GRACE_MS = 500;
