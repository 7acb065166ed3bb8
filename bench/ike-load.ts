/**
 * The load generator of `ike.ts`, run in the router between two responders: opens IKE SAs against either of them, a wave at a
 * time, and writes one JSON line a wave. It is Bulkhead's IkeEndpoint as initiator on its own sockets.
 *
 * A wave: a fresh endpoint, one connection and identity an SA, `window` of them under way at a time. The clock and the
 * responder's CPU time run from the first IKE_SA_INIT until the last IKE_AUTH is answered; the DELETEs afterwards are not counted.
 */
import { setTimeout as pause } from 'node:timers/promises';
import { Secret } from '../src/core/index.ts';
import { classify, DATAGRAM, NON_ESP_MARKER_LENGTH } from '../src/esp/index.ts';
import { type IkeAction, type IkeConnection, IkeEndpoint, parseIdentity, parseProposal } from '../src/ike/index.ts';
import {
  type Address,
  octetsOf,
  type Packet,
  PacketPool,
  parseAddress,
  parsePrefix,
  selectorOfPrefix,
} from '../src/ip/index.ts';
import { type DatagramSocket, monotonicMillis, openUdp, Readiness, systemRandom } from '../src/runtime/index.ts';
import { cpuSeconds } from './processor.ts';

export interface Target {
  readonly name: string;
  readonly pid: number;
  readonly local: string;
  readonly remote: string;
  /** The network behind the responder. */
  readonly network: string;
}

export interface LoadOrder {
  readonly targets: readonly Target[];
  readonly suites: readonly string[];
  readonly rounds: number;
  /** SAs a wave. */
  readonly count: number;
  /** SAs under way at a time. */
  readonly window: number;
  readonly psk: string;
}

export interface Wave {
  readonly target: string;
  readonly suite: string;
  /** 0 warms up. */
  readonly round: number;
  readonly established: number;
  readonly seconds: number;
  readonly responderCpuSeconds: number;
  readonly loadCpuSeconds: number;
}

export const siteName = (number: number): string => `site${number}.bench`;

class Load {
  readonly #order: LoadOrder;
  readonly #target: Target;
  readonly #pool = new PacketPool(256);
  readonly #readiness: Readiness;
  readonly #sockets: DatagramSocket[] = [];
  #endpoint: IkeEndpoint | undefined;
  #timer: ReturnType<typeof setTimeout> | undefined;
  #started = 0;
  #up = 0;
  #failures: string[] = [];
  #done: (() => void) | undefined;
  #isShut: (() => void) | undefined;

  constructor(order: LoadOrder, target: Target, readiness: Readiness) {
    this.#order = order;
    this.#target = target;
    this.#readiness = readiness;
  }

  async open(): Promise<void> {
    const address = parseAddress(this.#target.local)!;
    for (const port of [500, 4500]) {
      const receive = (packet: Packet, from: { address: Address; port: number }): void =>
        this.#receive(packet, { address, port }, from);
      const local = { address, port };
      this.#sockets.push(await openUdp({ local, pool: this.#pool, receive, readiness: this.#readiness }));
    }
  }

  async wave(suite: string, round: number): Promise<Wave> {
    const { count, window } = this.#order;
    this.#endpoint = new IkeEndpoint({ random: systemRandom });
    this.#started = 0;
    this.#up = 0;
    this.#failures = [];
    const connections = Array.from({ length: count }, (_, n) => this.#connection(n, suite));
    this.#do({ type: 'configure', connections });
    const finished = new Promise<void>((resolve) => {
      this.#done = resolve;
    });
    const [cpu, own, began] = [cpuSeconds(this.#target.pid), process.cpuUsage(), performance.now()];
    while (this.#started < Math.min(window, count)) this.#next();
    await Promise.race([finished, pause(30_000, undefined, { ref: false })]);
    const seconds = (performance.now() - began) / 1000;
    const spent = process.cpuUsage(own);
    const responderCpuSeconds = cpuSeconds(this.#target.pid) - cpu;
    const established = this.#up;
    if (established < count)
      throw new Error(`${established} of ${count} came up: ${this.#failures.slice(0, 3).join('; ')}`);
    const shut = new Promise<void>((resolve) => {
      this.#isShut = resolve;
    });
    this.#do({ type: 'shutdown' });
    await shut;
    clearTimeout(this.#timer);
    this.#endpoint = undefined;
    const loadCpuSeconds = (spent.user + spent.system) / 1e6;
    return { target: this.#target.name, suite, round, established, seconds, responderCpuSeconds, loadCpuSeconds };
  }

  #connection(number: number, suite: string): IkeConnection {
    const [encryption, , group] = suite.split('-');
    return {
      name: siteName(number),
      localAddress: parseAddress(this.#target.local)!,
      remoteAddress: parseAddress(this.#target.remote)!,
      localId: identity(siteName(number)),
      remoteId: identity('gateway.bench'),
      psk: Secret.fromText(this.#order.psk),
      ikeProposals: [proposal(suite, 'ike')],
      ikeLifetimeSeconds: 28_800,
      child: {
        proposals: [proposal(`${encryption}-noesn`, 'esp')],
        local: [selectorOfPrefix(parsePrefix(`10.8.${number >> 8}.${number & 0xff}/32`)!)],
        remote: [selectorOfPrefix(parsePrefix(this.#target.network)!)],
        lifetimeSeconds: 3600,
        lifetimeBytes: Number.POSITIVE_INFINITY,
        lifetimePackets: Number.POSITIVE_INFINITY,
      },
      start: 'demand',
      dpdSeconds: 0,
      forceEncapsulation: group === undefined,
      remotePort: 500,
    };
  }

  #next(): void {
    const connection = siteName(this.#started);
    this.#started += 1;
    this.#do({ type: 'acquire', connection, packet: undefined });
  }

  #do(event: Parameters<IkeEndpoint['handle']>[0]): void {
    const endpoint = this.#endpoint;
    if (endpoint === undefined) return;
    for (const action of endpoint.handle(event, monotonicMillis())) this.#perform(action);
    clearTimeout(this.#timer);
    const due = endpoint.deadline();
    if (due !== undefined) this.#timer = setTimeout(() => this.#do({ type: 'tick' }), due.at - monotonicMillis());
  }

  #perform(action: IkeAction): void {
    if (action.do === 'send') this.#send(action);
    else if (action.do === 'install') this.#established();
    else if (action.do === 'done') this.#isShut?.();
    else if (action.do === 'report' && action.report.failure !== undefined) this.#failures.push(action.report.text);
  }

  #established(): void {
    this.#up += 1;
    if (this.#started < this.#order.count) setImmediate(() => this.#next());
    if (this.#up === this.#order.count) this.#done?.();
  }

  #send({ local, remote, octets }: Extract<IkeAction, { do: 'send' }>): void {
    const packet = this.#pool.from(octets)!;
    if (local.port === 4500) {
      packet.start -= NON_ESP_MARKER_LENGTH;
      packet.buf.fill(0, packet.start, packet.start + NON_ESP_MARKER_LENGTH);
    }
    this.#sockets[local.port === 4500 ? 1 : 0]!.send(packet.buf, packet.start, packet.end, remote);
    this.#pool.release(packet);
  }

  #receive(
    packet: Packet,
    local: { address: Address; port: number },
    remote: { address: Address; port: number },
  ): void {
    const isIke = local.port === 500 || classify(packet.buf, packet.start, packet.end) === DATAGRAM.ike;
    if (local.port === 4500) packet.start += NON_ESP_MARKER_LENGTH;
    const octets = isIke ? octetsOf(packet).slice() : undefined;
    this.#pool.release(packet);
    if (octets !== undefined) this.#do({ type: 'datagram', local, remote, octets });
  }
}

function identity(text: string) {
  const parsed = parseIdentity(text);
  if (!parsed.ok) throw new Error(parsed.problem);
  return parsed.identity;
}

function proposal(words: string, use: 'ike' | 'esp') {
  const parsed = parseProposal(words, use);
  if (!parsed.ok) throw new Error(parsed.problem);
  return parsed.proposal;
}

async function main(order: LoadOrder): Promise<void> {
  const readiness = new Readiness();
  const loads: Load[] = [];
  for (const target of order.targets) {
    const load = new Load(order, target, readiness);
    await load.open();
    loads.push(load);
  }
  for (let round = 0; round <= order.rounds; round++) {
    for (const suite of order.suites) {
      for (const load of loads) process.stdout.write(`${JSON.stringify(await load.wave(suite, round))}\n`);
    }
  }
  process.exit(0);
}

const order = process.argv[2];
if (order !== undefined && process.argv[1]?.endsWith('ike-load.js')) await main(JSON.parse(order) as LoadOrder);
