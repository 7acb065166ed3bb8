/**
 * A gateway in the lab: hosts the machine with an outer network instead of sockets and segments instead of devices.
 *
 * What the gateway sends outside becomes a real IP packet with the TOS and DF of the action; what comes in for a port it
 * listens on is given to it. Leaves to others: the clock (`timeline.ts`), who else is on the network.
 */
import type { UnderlayConfig } from '../config/index.ts';
import { type Bytes, type Deadline, invariant, type Millis, type Random, type Timed } from '../core/index.ts';
import {
  Gateway,
  type GatewayAction,
  type GatewayEvent,
  type GatewayOptions,
  type ResolvedDocument,
} from '../gateway/index.ts';
import type { Report } from '../ike/index.ts';
import {
  type Address,
  buildIp,
  buildUdp,
  checkUdp,
  destinationOf,
  findUpperLayer,
  formatAddress,
  IP_PROTOCOL,
  newUpperLayer,
  octetsOf,
  PASS,
  PacketPool,
  sourceOf,
  trafficClass,
  UDP_HEADER,
  udpDestinationPort,
  udpSourcePort,
} from '../ip/index.ts';
import { GRE_IN_UDP_PORT } from '../nvgre/index.ts';
import type { Outer, Receive } from './network.ts';
import { Segment } from './segment.ts';
import type { Timeline } from './timeline.ts';

export interface GatewayNodeOptions {
  readonly timeline: Timeline;
  readonly outer: Outer;
  /** The provider network, for gateways and virtualization hosts with an underlay. */
  readonly fabric?: Outer;
  readonly random: Random;
  readonly version?: string;
  readonly ike?: NonNullable<GatewayOptions['ike']>;
  /** Slots of the packet pool. */
  readonly packets?: number;
  /** Whether it has the rights for protocol 50. */
  readonly rawEsp?: boolean;
}

export interface KeyRow {
  readonly table: 'ikev2_decryption_table' | 'esp_sa';
  readonly row: string;
}

interface Listener {
  readonly address: Address;
  readonly ports: ReadonlySet<number>;
}

export class GatewayNode implements Timed {
  gateway: Gateway;
  pool: PacketPool;
  readonly reports: Report[] = [];
  readonly keys: KeyRow[] = [];
  /** Interfaces that are open, `tenant/interface`. */
  readonly open = new Set<string>();
  /** The gateway has said that it is through. */
  done = false;
  readonly #options: GatewayNodeOptions;
  readonly #observers: ((action: GatewayAction, now: Millis) => void)[] = [];
  readonly #segments = new Map<string, Segment>();
  readonly #plugs = new Map<string, Receive>();
  readonly #listeners = new Map<string, Listener>();
  readonly #upper = newUpperLayer();
  #resolved: ResolvedDocument | undefined;
  #underlay: UnderlayConfig | undefined;
  #identification = 0;

  constructor(options: GatewayNodeOptions) {
    this.#options = options;
    [this.gateway, this.pool] = this.#boot();
    options.timeline.join(this);
  }

  /** Sees every action before it is carried out. */
  observe(observer: (action: GatewayAction, now: Millis) => void): void {
    this.#observers.push(observer);
  }

  apply(resolved: ResolvedDocument): void {
    this.#resolved = resolved;
    this.dispatch({ type: 'apply', resolved });
  }

  dispatch(event: GatewayEvent): void {
    const { now } = this.#options.timeline;
    for (const action of this.gateway.handle(event, now)) {
      for (const observer of this.#observers) observer(action, now);
      this.#perform(action);
    }
  }

  /** Where the hosts behind an interface of a tenant hang; it may be asked for before the interface is open. */
  segment(tenant: string, name: string): Segment {
    const key = `${tenant}/${name}`;
    const known = this.#segments.get(key);
    if (known !== undefined) return known;
    const made = new Segment(this.#options.timeline, (octets) => this.#fromOutside(tenant, name, octets));
    this.#segments.set(key, made);
    return made;
  }

  /**
   * The other end of an interface that carries frames, or of any in place of its segment: what the gateway sends is given to
   * `receive`. What comes back sends to the gateway.
   */
  plug(tenant: string, name: string, receive: Receive): Receive {
    const key = `${tenant}/${name}`;
    this.#plugs.set(key, receive);
    return (octets) => this.#fromOutside(tenant, name, octets);
  }

  unplug(tenant: string, name: string): void {
    this.#plugs.delete(`${tenant}/${name}`);
  }

  /** Power off and on: everything it knew is gone, the document and the cables stay. */
  restart(): void {
    for (const { address } of this.#listeners.values()) this.#options.outer.detach(address);
    this.#listeners.clear();
    this.open.clear();
    this.done = false;
    [this.gateway, this.pool] = this.#boot();
    if (this.#resolved !== undefined) this.dispatch({ type: 'apply', resolved: this.#resolved });
  }

  deadline(): Deadline | undefined {
    return this.gateway.deadline();
  }

  tick(): void {
    this.dispatch({ type: 'tick' });
  }

  #boot(): [Gateway, PacketPool] {
    const { random, version, ike, packets = 256 } = this.#options;
    const pool = new PacketPool(packets);
    const options = {
      random,
      pool,
      ...(version === undefined ? {} : { version }),
      ...(ike === undefined ? {} : { ike }),
    };
    return [new Gateway(options), pool];
  }

  #perform(action: GatewayAction): void {
    const { outer, timeline } = this.#options;
    switch (action.do) {
      case 'udp': {
        const { local, remote, tos, dontFragment } = action;
        const ports = { sourcePort: local.port, destinationPort: remote.port };
        const fields = {
          source: local.address,
          destination: remote.address,
          trafficClass: tos,
          dontFragment,
          ...ports,
        };
        for (const octets of this.#take(action))
          outer.send(buildUdp({ ...fields, identification: this.#nextId() }, octets));
        return;
      }
      case 'esp': {
        const { local: source, remote: destination, tos, dontFragment } = action;
        const fields = { source, destination, trafficClass: tos, dontFragment, protocol: IP_PROTOCOL.esp };
        for (const octets of this.#take(action))
          outer.send(buildIp({ ...fields, identification: this.#nextId() }, octets));
        return;
      }
      case 'packet': {
        const { tenant, interface: name, packet } = action;
        invariant(packet.segment === 0 && !packet.partial, 'the lab has wires, for which nobody has to cut anything');
        const plugged = this.#plugs.get(`${tenant}/${name}`);
        for (const octets of this.#take(action)) {
          if (plugged === undefined) this.segment(tenant, name).deliver(octets);
          else timeline.after(0, () => plugged(octets));
        }
        return;
      }
      case 'open-interface': {
        const { tenant, config } = action;
        const gateway = this.gateway;
        this.open.add(`${tenant}/${config.name}`);
        return timeline.after(0, () => {
          if (gateway !== this.gateway) return;
          this.dispatch({ type: 'interface-state', tenant, interface: config.name, problem: undefined });
        });
      }
      case 'close-interface':
        this.open.delete(`${action.tenant}/${action.interface}`);
        return;
      case 'listen':
        return this.#listen(action.address, [action.ike, action.natt]);
      case 'unlisten':
        this.#listeners.delete(formatAddress(action.address));
        return outer.detach(action.address);
      case 'report':
        this.reports.push(action.report);
        if (this.reports.length > REPORTS) this.reports.shift();
        return;
      case 'key':
        this.keys.push({ table: action.table, row: action.row });
        return;
      case 'done':
        this.done = true;
        return;
      case 'underlay':
        return this.#sendUnderlay(action);
      case 'open-underlay':
        return this.#openUnderlay(action.underlay);
      case 'close-underlay':
        for (const address of this.#underlay?.addresses ?? []) this.#options.fabric?.detach(address);
        this.#underlay = undefined;
        return;
      case 'nat-sessions':
      case 'nat-flushed':
      case 'neighbours':
      case 'traced':
      case 'tapped':
      case 'query-refused':
      case 'nat-addresses':
      case 'host-routes':
      case 'pinged':
      case 'ping-refused':
      case 'changed':
      case 'bgp-changed':
      case 'plane':
      case 'probe-path':
        return;
    }
  }

  #fromOutside(tenant: string, name: string, octets: Bytes): void {
    if (!this.open.has(`${tenant}/${name}`)) return;
    const packet = this.pool.from(octets);
    if (packet !== undefined) this.dispatch({ type: 'packet', tenant, interface: name, packet });
  }

  #listen(address: Address, ports: readonly number[]): void {
    const { outer, timeline, rawEsp = true } = this.#options;
    const gateway = this.gateway;
    this.#listeners.set(formatAddress(address), { address, ports: new Set(ports) });
    outer.attach(address, (packet) => this.#receive(packet));
    timeline.after(0, () => {
      if (gateway !== this.gateway) return;
      this.dispatch({ type: 'listen-state', address, problem: undefined, rawEsp });
    });
  }

  #receive(packet: Bytes): void {
    const upper = this.#upper;
    const local = destinationOf(packet, 0);
    const listener = this.#listeners.get(formatAddress(local));
    if (listener === undefined || findUpperLayer(packet, 0, packet.length, upper) !== PASS) return;
    const { protocol, at, end } = upper;
    const tos = trafficClass(packet, 0);
    const remote = sourceOf(packet, 0);
    if (protocol === IP_PROTOCOL.esp && this.#options.rawEsp !== false) {
      const payload = this.pool.from(packet.subarray(at, end));
      if (payload !== undefined) this.dispatch({ type: 'esp', local, remote, packet: payload, tos });
    } else if (protocol === IP_PROTOCOL.udp && checkUdp(packet, 0, at, end) === PASS) {
      const port = udpDestinationPort(packet, at);
      if (!listener.ports.has(port)) return;
      const payload = this.pool.from(packet.subarray(at + UDP_HEADER, end));
      if (payload === undefined) return;
      const from = { address: remote, port: udpSourcePort(packet, at) };
      this.dispatch({ type: 'udp', local: { address: local, port }, remote: from, packet: payload, tos });
    }
  }

  #openUnderlay(underlay: UnderlayConfig): void {
    const { fabric, timeline } = this.#options;
    const gateway = this.gateway;
    this.#underlay = underlay;
    for (const address of underlay.addresses) fabric?.attach(address, (packet) => this.#receiveUnderlay(packet));
    const problem = fabric === undefined ? 'this node has no provider network' : undefined;
    timeline.after(0, () => {
      if (gateway === this.gateway) this.dispatch({ type: 'underlay-state', problem });
    });
  }

  #sendUnderlay(action: Extract<GatewayAction, { do: 'underlay' }>): void {
    const { local: source, remote: destination } = action;
    for (const frame of this.#take(action)) {
      const fields = { source, destination, identification: this.#nextId() };
      if (this.#underlay?.encapsulation === 'nvgre-udp') {
        const ports = { sourcePort: GRE_IN_UDP_PORT, destinationPort: GRE_IN_UDP_PORT };
        this.#options.fabric?.send(buildUdp({ ...fields, ...ports }, frame));
      } else this.#options.fabric?.send(buildIp({ ...fields, protocol: IP_PROTOCOL.gre }, frame));
    }
  }

  #receiveUnderlay(packet: Bytes): void {
    const upper = this.#upper;
    if (findUpperLayer(packet, 0, packet.length, upper) !== PASS) return;
    const { protocol, at, end } = upper;
    const inUdp = this.#underlay?.encapsulation === 'nvgre-udp';
    if (inUdp && (protocol !== IP_PROTOCOL.udp || checkUdp(packet, 0, at, end) !== PASS)) return;
    if (inUdp ? udpDestinationPort(packet, at) !== GRE_IN_UDP_PORT : protocol !== IP_PROTOCOL.gre) return;
    const frame = this.pool.from(packet.subarray(inUdp ? at + UDP_HEADER : at, end));
    if (frame !== undefined) this.dispatch({ type: 'underlay', remote: sourceOf(packet, 0), packet: frame });
  }

  /** What an action's packet is on the wire: of a train each datagram by itself. The packet goes back to the pool. */
  #take({ packet }: Extract<GatewayAction, { do: 'udp' | 'esp' | 'packet' | 'underlay' }>): Bytes[] {
    const octets = octetsOf(packet).slice();
    const step = packet.segment === 0 ? octets.length : packet.segment;
    this.pool.release(packet);
    return Array.from({ length: Math.ceil(octets.length / step) }, (_, i) => octets.slice(i * step, (i + 1) * step));
  }

  #nextId(): number {
    this.#identification = (this.#identification + 1) & 0xffff;
    return this.#identification;
  }
}

/** Reports kept; the oldest go first. */
const REPORTS = 1000;
