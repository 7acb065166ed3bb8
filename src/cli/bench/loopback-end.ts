/**
 * One gateway of the loopback way: hosts the machine with sockets on 127.0.0.1 and a function instead of a device.
 *
 * Gateways keep the addresses and ports of their documents: a table says which socket stands for which port, so that any free
 * ports will do and neither gateway sees a NAT. Leaves to others: what goes in, and what becomes of what comes out.
 */
import { formatIssue, readDocument } from '../../config/index.ts';
import { invariant, type Millis, type Secret } from '../../core/index.ts';
import type { Engine } from '../../crypto/index.ts';
import { type ConnectionStatus, Gateway, type GatewayAction, type GatewayEvent } from '../../gateway/index.ts';
import { type Endpoint, type Packet, PacketPool, parseAddress } from '../../ip/index.ts';
import { monotonicMillis, systemRandom } from '../../runtime/clock.ts';
import type { Readiness } from '../../runtime/readiness.ts';
import type { DatagramSocket } from '../../runtime/socket.ts';
import { openUdp } from '../../runtime/udp.ts';
import { CONNECTION, documentText, INSIDE, INTERFACE, OUTSIDE, otherSide, type Side, TENANT } from './way.ts';

export interface LoopbackOptions {
  readonly side: Side;
  readonly suite: string;
  readonly secret: Secret;
  readonly engine: Engine;
  /** Undefined: node:dgram. */
  readonly readiness: Readiness | undefined;
}

export class LoopbackEnd {
  /** A packet came out of the tunnel; its octets are free again on return. */
  arrived: (packet: Packet) => void = () => {};
  /** The connection is another than before. */
  changed: () => void = () => {};
  readonly #options: LoopbackOptions;
  readonly #pool = new PacketPool(POOL);
  readonly #gateway: Gateway;
  readonly #sockets = new Map<number, DatagramSocket>();
  readonly #remotes = new Map<number, Endpoint>();
  readonly #events: GatewayEvent[] = [];
  #peer: LoopbackEnd | undefined;
  #pinged: (millis: Millis | null) => void = () => {};
  #busy = false;
  #timer: ReturnType<typeof setTimeout> | undefined;
  #timerAt: Millis = Number.POSITIVE_INFINITY;

  private constructor(options: LoopbackOptions) {
    this.#options = options;
    this.#gateway = new Gateway({ random: systemRandom, pool: this.#pool, engine: options.engine });
  }

  /** Both, with sockets and documents; what was opened is closed when something fails. */
  static async pair(options: Omit<LoopbackOptions, 'side'>): Promise<Readonly<Record<Side, LoopbackEnd>>> {
    const a = new LoopbackEnd({ ...options, side: 'a' });
    const b = new LoopbackEnd({ ...options, side: 'b' });
    a.#peer = b;
    b.#peer = a;
    try {
      for (const end of [a, b]) for (const port of PORTS) await end.#open(port);
      for (const end of [a, b]) end.#apply();
      return { a, b };
    } catch (error) {
      await Promise.all([a.close(), b.close()]);
      throw error;
    }
  }

  get connection(): ConnectionStatus {
    return this.#gateway.connections(monotonicMillis())[0]!;
  }

  /** A packet from the inside. */
  send(octets: Uint8Array): void {
    const packet = this.#pool.from(octets);
    if (packet !== undefined) this.dispatch({ type: 'packet', tenant: TENANT, interface: INTERFACE, packet });
  }

  command(type: 'up' | 'down'): void {
    this.dispatch({ type, tenant: TENANT, connection: CONNECTION, what: 'ike' });
  }

  /** Of the other gateway's inside address; null: no answer. */
  ping(sequence: number, size: number, timeoutMs: Millis): Promise<Millis | null> {
    const destination = parseAddress(INSIDE[otherSide(this.#options.side)])!;
    return new Promise((resolve) => {
      this.#pinged = resolve;
      const request = { destination, id: 1, sequence: sequence & 0xffff, size, timeoutMs };
      this.dispatch({ type: 'ping', tenant: TENANT, request });
    });
  }

  dispatch(event: GatewayEvent): void {
    this.#events.push(event);
    if (this.#busy) return;
    this.#busy = true;
    for (let next = this.#events.shift(); next !== undefined; next = this.#events.shift())
      for (const action of this.#gateway.handle(next, monotonicMillis())) this.#perform(action);
    this.#busy = false;
    this.#arm(this.#gateway.deadline()?.at ?? Number.POSITIVE_INFINITY);
  }

  async close(): Promise<void> {
    await Promise.all([...this.#sockets.values()].map((socket) => socket.close()));
    clearTimeout(this.#timer);
  }

  #arm(at: Millis): void {
    if (at === this.#timerAt) return;
    this.#timerAt = at;
    clearTimeout(this.#timer);
    if (at === Number.POSITIVE_INFINITY) return;
    const tick = (): void => {
      this.#timerAt = Number.POSITIVE_INFINITY;
      this.dispatch({ type: 'tick' });
    };
    this.#timer = setTimeout(tick, Math.max(0, Math.ceil(at - monotonicMillis())));
  }

  #apply(): void {
    const { side, suite, secret } = this.#options;
    const text = documentText(side, suite, { driver: 'fabric' }, { env: 'UNUSED' });
    const { document, issues } = readDocument(text, 'bench');
    invariant(
      document?.role === 'gateway',
      `the document of the bench is right: ${issues.map(formatIssue).join('; ')}`,
    );
    const secrets = new Map([[`${TENANT}/${CONNECTION}`, secret]]);
    this.dispatch({ type: 'apply', resolved: { document, secrets } });
  }

  async #open(port: number): Promise<void> {
    const { side, readiness } = this.#options;
    const local: Endpoint = { address: parseAddress(OUTSIDE[side])!, port };
    const socket = await openUdp({
      local: { address: LOOPBACK, port: 0 },
      pool: this.#pool,
      readiness,
      receive: (packet, from, tos) =>
        this.dispatch({ type: 'udp', local, remote: this.#standsFor(from.port), packet, tos }),
    });
    this.#sockets.set(port, socket);
  }

  /** The endpoint of the documents that a socket of the peer stands for; always the same object. */
  #standsFor(real: number): Endpoint {
    const known = this.#remotes.get(real);
    if (known !== undefined) return known;
    const address = parseAddress(OUTSIDE[otherSide(this.#options.side)])!;
    const [port = 0] = [...this.#peer!.#sockets].find(([, socket]) => socket.local.port === real) ?? [];
    const remote = { address, port };
    this.#remotes.set(real, remote);
    return remote;
  }

  #perform(action: GatewayAction): void {
    switch (action.do) {
      case 'udp': {
        const { packet, local, remote, tos } = action;
        const to = this.#peer!.#sockets.get(remote.port)?.local;
        if (to !== undefined) this.#sockets.get(local.port)?.send(packet.buf, packet.start, packet.end, to, tos);
        return this.#pool.release(packet);
      }
      case 'packet':
        this.arrived(action.packet);
        return this.#pool.release(action.packet);
      case 'esp':
        return this.#pool.release(action.packet);
      case 'open-interface': {
        const { tenant, config } = action;
        return this.dispatch({ type: 'interface-state', tenant, interface: config.name, problem: undefined });
      }
      case 'listen':
        return this.dispatch({ type: 'listen-state', address: action.address, problem: undefined, rawEsp: false });
      case 'pinged':
        return this.#pinged(action.result.outcome === 'reply' ? action.result.milliseconds : null);
      case 'ping-refused':
        return this.#pinged(null);
      case 'changed':
        return this.changed();
      default:
        return;
    }
  }
}

const LOOPBACK = Uint8Array.of(127, 0, 0, 1);
/** Of the document: IKE and NAT-T. */
const PORTS = [500, 4500];
const POOL = 512;
