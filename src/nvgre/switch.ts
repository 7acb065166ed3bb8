/**
 * The virtual switch of a node for all its tenants: on a virtualization host its ports are VMs, on the gateway they are the
 * compartments' own interfaces. A port and a VSID are its only doors; each leads to one tenant's network for life.
 *
 * Read first: `contract.ts`, then `network.ts`, where everything happens; RFC 7637 §3.1.
 * Leaves to others: sockets and devices, outer headers, which of this node's provider addresses a frame leaves by, ICMP.
 * Limits: those of `SwitchLimits` for each tenant; ports, subnets and tenants are the document's, which is checked before.
 * Invariants: a VSID belongs to one tenant; each frame given is handed on or released exactly once.
 */
import type { Deadline, Millis, Random } from '../core/index.ts';
import { Agenda, invariant, u32 } from '../core/index.ts';
import { DROP, dropCounters, PASS, type Packet, type PacketPool } from '../ip/index.ts';
import type {
  CustomerRoute,
  LookupRecord,
  NextHopExplanation,
  NextHopQuery,
  PortConfig,
  ProviderAddress,
  RecordView,
  SwitchLimits,
  SwitchSink,
  TenantConfig,
  TenantCounters,
  VirtualSubnet,
} from './contract.ts';
import { beginCells, readCounters } from './counters.ts';
import { explainNextHop } from './explain.ts';
import { checkNvgre, decapsulate, vsidOf } from './frame.ts';
import { SWITCH_LIMITS } from './limits.ts';
import { LookupPolicy } from './lookup.ts';
import { VirtualNetwork } from './network.ts';
import { ProviderAddresses, type Station, type Subnet } from './station.ts';

export interface SwitchOptions {
  readonly pool: PacketPool;
  readonly sink: SwitchSink;
  /** The provider addresses of this node. */
  readonly own: readonly ProviderAddress[];
  /** For the hash tables. */
  readonly random: Random;
  readonly limits?: Partial<SwitchLimits>;
  /** Where the drops of frames without a tenant are counted: DROP_COUNT doubles. Default: its own. */
  readonly drops?: Float64Array;
}

export class VirtualSwitch {
  readonly limits: SwitchLimits;
  /** Of frames for which no door was found, one counter a DROP code, live. */
  readonly drops: Float64Array;
  readonly #pool: PacketPool;
  readonly #sink: SwitchSink;
  readonly #random: Random;
  readonly #addresses: ProviderAddresses;
  readonly #agenda = new Agenda();
  readonly #networks = new Map<number, VirtualNetwork>();
  readonly #ports = new Map<number, Door<Station>>();
  readonly #subnets = new Map<number, Door<Subnet>>();

  constructor(options: SwitchOptions) {
    this.limits = { ...SWITCH_LIMITS, ...options.limits };
    this.drops = options.drops ?? dropCounters();
    this.#pool = options.pool;
    this.#sink = options.sink;
    this.#random = options.random;
    this.#addresses = new ProviderAddresses(options.own);
  }

  // Tenants and ports.

  addTenant(config: TenantConfig): void {
    const { tenant, name, first = 0 } = config;
    invariant(!this.#networks.has(tenant), 'a tenant is added once');
    const cells = beginCells(config.cells, first);
    const { limits } = this;
    const seed = u32(this.#random(4), 0);
    const policy = new LookupPolicy({ limits, seed, cells, first, addresses: this.#addresses, agenda: this.#agenda });
    const options = { tenant, name, policy, cells, first, limits, pool: this.#pool, sink: this.#sink };
    this.#networks.set(tenant, new VirtualNetwork(options));
    this.setSubnets(tenant, config.subnets);
    policy.setRecords(config.records ?? []);
    policy.setRoutes(config.routes ?? []);
  }

  /** Its ports, virtual subnets and records go with it. */
  removeTenant(tenant: number): void {
    const network = this.#network(tenant);
    for (const [port, door] of this.#ports) if (door.network === network) this.removePort(port);
    this.setSubnets(tenant, []);
    this.#networks.delete(tenant);
  }

  /** Those that stay keep their ports and what was learned in them; one that goes has no ports any more. */
  setSubnets(tenant: number, subnets: readonly VirtualSubnet[]): void {
    const network = this.#network(tenant);
    for (const { vsid } of subnets) {
      const door = this.#subnets.get(vsid);
      invariant(door === undefined || door.network === network, 'a VSID belongs to one tenant');
    }
    for (const { vsid } of network.policy.subnets()) this.#subnets.delete(vsid);
    network.policy.setSubnets(subnets);
    for (const subnet of network.policy.subnets()) this.#subnets.set(subnet.vsid, { network, place: subnet });
  }

  /** All records of the tenant. A VM that has moved is followed at once; what was learned stays where it may. */
  setRecords(tenant: number, records: readonly LookupRecord[]): void {
    this.#network(tenant).policy.setRecords(records);
  }

  /** All customer routes of the tenant. */
  setRoutes(tenant: number, routes: readonly CustomerRoute[]): void {
    this.#network(tenant).policy.setRoutes(routes);
  }

  addPort(config: PortConfig): void {
    invariant(!this.#ports.has(config.port), 'a port is added once');
    const network = this.#network(config.tenant);
    this.#ports.set(config.port, { network, place: network.policy.attach(config) });
  }

  removePort(port: number): void {
    const door = this.#ports.get(port);
    invariant(door !== undefined, 'a port is removed once');
    this.#ports.delete(port);
    door.network.policy.detach(door.place);
  }

  // Frames.

  /** Takes an Ethernet frame, or one with a superframe behind its header, that came in by a port. */
  fromPort(port: number, frame: Packet, now: Millis): void {
    const door = this.#ports.get(port);
    if (door === undefined) this.#drop(frame, DROP.linkDown, port, now);
    else door.network.fromPort(door.place, frame, now);
  }

  /** Takes what a provider address has sent, GRE header first. */
  fromFabric(pa: ProviderAddress, packet: Packet, now: Millis): void {
    const { buf, start, end } = packet;
    const verdict = checkNvgre(buf, start, end);
    const door = verdict === PASS ? this.#subnets.get(vsidOf(buf, start)) : undefined;
    if (door === undefined) {
      this.#drop(packet, verdict === PASS ? DROP.vsid : verdict, undefined, now);
      return;
    }
    decapsulate(packet);
    door.network.fromFabric(door.place, pa, packet, now);
  }

  /** Tenants that there are. */
  get tenants(): number {
    return this.#networks.size;
  }

  /** Whose virtual subnet that is. */
  networkOf(vsid: number): VirtualNetwork | undefined {
    return this.#subnets.get(vsid)?.network;
  }

  /** Forgets dynamic records that have grown old. */
  expire(now: Millis): void {
    this.#agenda.tick(now);
  }

  deadline(): Deadline | undefined {
    return this.#agenda.deadline();
  }

  // For people.

  counters(tenant: number): TenantCounters {
    const { cells, first } = this.#network(tenant);
    return readCounters(cells, first);
  }

  /** Of a tenant, one counter a DROP code, live. */
  dropsOf(tenant: number): Float64Array {
    return this.#network(tenant).drops;
  }

  records(tenant: number): RecordView[] {
    return this.#network(tenant).policy.records();
  }

  /** What would become of a packet, without sending one. */
  explain(tenant: number, query: NextHopQuery): NextHopExplanation {
    const { name, policy } = this.#network(tenant);
    return explainNextHop(policy, name, query);
  }

  #network(tenant: number): VirtualNetwork {
    const network = this.#networks.get(tenant);
    invariant(network !== undefined, 'a tenant is there while it is spoken of');
    return network;
  }

  #drop(packet: Packet, reason: number, port: number | undefined, now: Millis): void {
    this.drops[reason]! += 1;
    this.#sink.dropped?.(packet, reason, undefined, port, now);
    this.#pool.release(packet);
  }
}

/** Where it leads, and what it is there. */
interface Door<T> {
  readonly network: VirtualNetwork;
  readonly place: T;
}
