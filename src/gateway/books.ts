/**
 * What the parts of a gateway share: its tenants and tunnels, the data plane, and the actions of the current event.
 * `dataplane/` moves packets, `ike-actions.ts` carries out what IKE says, `reconcile.ts` applies documents, `view.ts` shows.
 *
 * The data plane here is the one that packets pass through, or, where others host it (`remote`), their likeness: every command
 * goes to both, counters stand in shared cells, and no packet of a tenant comes here.
 */
import type { Compartment } from '../compartment/index.ts';
import type { TenantConfig } from '../config/index.ts';
import { invariant, type Millis, type Random, type Timed } from '../core/index.ts';
import { defaultEngine, type Engine } from '../crypto/index.ts';
import { IkeEndpoint, type IkeOptions, type Report } from '../ike/index.ts';
import { type Address, type Endpoint, type Packet, type PacketPool, sameAddress } from '../ip/index.ts';
import { BgpFollowers } from './bgp/followers.ts';
import { BgpMemory } from './bgp/memory.ts';
import { BgpRecordings } from './bgp/recordings.ts';
import type { GatewayAction, ResolvedDocument } from './contract.ts';
import {
  type Cells,
  DataPlane,
  LocalCells,
  NAT_REFUSED_AT,
  type PlaneCommand,
  type PlaneOutput,
  RouteBatch,
  SlotBook,
} from './dataplane/index.ts';
import { Outside } from './outside.ts';
import type { Tenant, TenantInterface } from './tenant.ts';
import type { Tunnel } from './tunnel.ts';

export interface GatewayOptions {
  readonly random: Random;
  /** Default: as many slots as the document's `limits.packets`. */
  readonly pool: PacketPool;
  readonly version?: string;
  /** Protects ESP packets. Default: what needs no native code. */
  readonly engine?: Engine;
  /** Packets of one flow leave as superframes, where the data plane is not hosted elsewhere. Default: false. */
  readonly superframes?: boolean;
  /** The data plane is hosted elsewhere: commands for it become actions, and it counts in these cells. */
  readonly remote?: RemotePlanes;
  /** Who had which external address when the last gateway of this document ran. */
  readonly natAddresses?: ReadonlyMap<string, Address>;
  /** Retransmission and give-up times of IKE; for tests and labs. */
  readonly ike?: Partial<Omit<IkeOptions, 'random' | 'exportKeys'>>;
}

/** Data planes in threads of their own; each tenant belongs to one. */
export interface RemotePlanes {
  readonly cells: Cells;
  /** How many, at most MAX_PLANES - 1. */
  readonly planes: number;
}

export interface Listener {
  readonly address: Address;
  problem: string | undefined;
  rawEsp: boolean;
}

export class Books {
  readonly random: Random;
  readonly pool: PacketPool;
  readonly version: string;
  readonly engine: Engine;
  readonly options: GatewayOptions;
  readonly plane: DataPlane;
  readonly cells: Cells;
  /** Compartment 1. */
  readonly outside: Outside;
  /** Gives out slots of the cells. */
  readonly slots = new SlotBook(PLANE_SLOTS);
  readonly tenants = new Map<string, Tenant>();
  /** By the number of their compartment. */
  readonly byCompartment = new Map<number, Tenant>();
  /** By name, `tenant/connection`. */
  readonly tunnels = new Map<string, Tunnel>();
  /** By the index an SA names. */
  readonly byIndex = new Map<number, Tunnel>();
  /** The tunnel of each inbound SPI. */
  readonly bySpi = new Map<number, Tunnel>();
  readonly listeners: Listener[] = [];
  /** Why the underlay cannot be reached. */
  underlayProblem: string | undefined;
  /** What a port of the host's belongs to. */
  readonly ports = new Map<number, { readonly tenant: Tenant; readonly interface: TenantInterface }>();
  ike: IkeEndpoint;
  resolved: ResolvedDocument | undefined;
  /** What became of data planes that are hosted elsewhere; those that run are not in it. */
  readonly planeProblems = new Map<number, string>();
  /** Who taps packets of which compartment; undefined: of all. */
  readonly taps = new Map<number, number | undefined>();
  readonly bgpMemory = new BgpMemory(this.tenants);
  readonly bgpFollowers = new BgpFollowers((query, said) => this.emit({ do: 'bgp-said', query, at: this.now, said }));
  readonly bgpRecordings = new BgpRecordings((tenant, peer, records) =>
    this.emit({ do: 'bgp-recorded', at: this.now, tenant, peer, records }),
  );
  /** Rows for Wireshark are handed out. */
  keysEnabled = false;
  startedAt: Millis = 0;
  stopping = false;
  /** Asks a machine of a tenant for its deadline again. */
  touch: (item: Timed) => void = () => {};
  forget: (item: Timed) => void = () => {};
  /** The time of the event at hand. */
  now: Millis = 0;
  #actions: GatewayAction[] = [];
  /** Told with the next action, or at the end. */
  #routes: RouteBatch | undefined;
  #lastIndex = 0;
  #lastCompartment = 1;
  #lastPort = 0;

  constructor(options: GatewayOptions) {
    this.options = options;
    this.random = options.random;
    this.pool = options.pool;
    this.version = options.version ?? '';
    this.engine = options.engine ?? defaultEngine;
    this.ike = newEndpoint(options, {});
    this.cells = options.remote?.cells ?? new LocalCells();
    const { pool, random, engine, cells } = this;
    const superframes = options.superframes === true;
    const likeness = options.remote !== undefined;
    this.plane = new DataPlane({ pool, random, engine, cells, superframes, likeness, output: this.#output() });
    this.outside = new Outside(this);
  }

  /** How many data planes pass packets. */
  get planes(): number {
    return this.options.remote?.planes ?? 1;
  }

  /**
   * Changes the data plane of a tenant, wherever it is. A likeness sends nothing of its own: it would use sequence numbers a
   * second time.
   */
  command(command: PlaneCommand, { plane }: { readonly plane: number }): void {
    const { remote } = this.options;
    if (remote === undefined || !THERE_ONLY.has(command.do)) this.plane.command(command, this.now);
    if (remote !== undefined) this.tell(plane, command);
  }

  /** A data plane that is hosted elsewhere. Routes go together as long as nothing else comes between. */
  tell(plane: number, command: PlaneCommand): void {
    if (command.do !== 'add-route' && command.do !== 'remove-route') return this.emit({ do: 'plane', plane, command });
    if (this.#routes?.add(plane, command)) return;
    this.#tellRoutes();
    this.#routes = new RouteBatch(plane, command.compartment);
    this.#routes.add(plane, command);
  }

  /** No tunnel is asked for any more. */
  stop(): void {
    this.stopping = true;
    for (let plane = 0; plane < this.planes; plane++) this.command({ do: 'stop' }, { plane });
  }

  /**
   * The data plane of a new tenant: that of a tenant with the same peer, because the kernel may hand over packets of one peer
   * together (UDP_GRO); else the one with the fewest tenants.
   */
  planeFor(config: TenantConfig): number {
    if (meetsOthers(config)) return FIRST_PLANE;
    const tenants = new Array<number>(this.planes).fill(0);
    for (const { plane, config: other } of this.tenants.values()) {
      if (samePeers(config, other)) return plane;
      tenants[plane]! += 1;
    }
    return tenants.indexOf(Math.min(...tenants));
  }

  /** Where each data plane keeps its own drops and the state of its pool, and drops before an SA was known. */
  planeCells(): Float64Array[] {
    return this.#ownSlots().map((slot) => this.cells.at(slot));
  }

  sadCells(): Float64Array[] {
    return this.#ownSlots().map((slot) => this.cells.at(slot + 1));
  }

  /** Tells a data plane, or all, what is tapped. */
  commandTaps(only?: number): void {
    const compartments = [...this.taps.values()];
    const known = compartments.filter((number) => number !== undefined);
    const tapped = known.length < compartments.length ? 'all' : [...new Set(known)];
    for (let plane = 0; plane < this.planes; plane++)
      if (only === undefined || plane === only) this.command({ do: 'tap', compartments: tapped }, { plane });
  }

  /** When the NAT with these cells last refused a flow: no port was left, its sessions were at the limit. */
  natRefusedAt(cells: number): readonly [noPort: Millis, atLimit: Millis] {
    const own = this.cells.at(cells);
    return [own[NAT_REFUSED_AT]!, own[NAT_REFUSED_AT + 1]!];
  }

  compartment(number: number): Compartment {
    const compartment = this.plane.compartment(number);
    invariant(compartment !== undefined, 'a tenant has its compartment as long as it lives');
    return compartment;
  }

  takeSlot(): number {
    const slot = this.slots.take();
    this.cells.at(slot).fill(0);
    return slot;
  }

  /** For the counters of an interface. */
  takeSmallSlot(): number {
    const slot = this.slots.takeSmall();
    this.cells.at(slot).fill(0);
    return slot;
  }

  giveSlot(slot: number): void {
    this.slots.give(slot);
  }

  /** The ports and limits of the first document decide; later documents cannot change them. */
  begin(resolved: ResolvedDocument, now: Millis): void {
    const { external, limits } = resolved.document.gateway;
    this.startedAt = now;
    this.ike = newEndpoint(this.options, {
      ikePort: external.ports.ike,
      nattPort: external.ports.natt,
      cookieThreshold: limits.cookieThreshold,
      maxHalfOpen: limits.halfOpen,
    });
  }

  emit(action: GatewayAction): void {
    this.#tellRoutes();
    this.#actions.push(action);
  }

  takeActions(): readonly GatewayAction[] {
    this.#tellRoutes();
    const actions = this.#actions;
    this.#actions = [];
    return actions;
  }

  report(level: Report['level'], tunnel: Tunnel | undefined, what: string, text: string): void {
    this.emit({ do: 'report', report: { level, connection: tunnel?.name, what, text } });
  }

  changed(tunnel: Tunnel): void {
    this.emit({ do: 'changed', tenant: tunnel.tenant.name, connection: tunnel.config.name });
  }

  /** Indexes are never used twice, so that no late packet can reach another tenant's tunnel. */
  nextIndex(): number {
    this.#lastIndex += 1;
    return this.#lastIndex;
  }

  /** Neither are ports. */
  nextPort(): number {
    this.#lastPort += 1;
    return this.#lastPort;
  }

  /** Compartment 1 is the gateway's own. */
  nextCompartment(): number {
    this.#lastCompartment += 1;
    return this.#lastCompartment;
  }

  #ownSlots(): number[] {
    const { remote } = this.options;
    return [0, ...Array.from({ length: remote?.planes ?? 0 }, (_, plane) => slotOf(plane))];
  }

  #tellRoutes(): void {
    const routes = this.#routes;
    if (routes === undefined) return;
    this.#routes = undefined;
    this.#actions.push({ do: 'plane', plane: routes.plane, command: routes.command() });
  }

  /** What leaves the data plane here becomes actions. */
  #output(): PlaneOutput {
    return {
      datagram: (udp, local, remote, packet, tos, dontFragment) => {
        invariant(this.options.remote === undefined, 'a sequence number is used by one data plane only');
        if (udp) this.emit({ do: 'udp', local, remote, packet, tos, dontFragment });
        else this.emit({ do: 'esp', local: local.address, remote: remote.address, packet, tos, dontFragment });
      },
      underlay: (local, remote, packet) => {
        if (this.options.remote === undefined) this.emit({ do: 'underlay', local, remote, packet });
        else this.pool.release(packet);
      },
      packet: (port: number, packet: Packet) => {
        if (this.options.remote !== undefined) return this.pool.release(packet);
        const known = this.ports.get(port);
        if (known === undefined) return this.pool.release(packet);
        const { tenant, interface: iface } = known;
        this.emit({ do: 'packet', tenant: tenant.name, interface: iface.config.name, packet });
      },
    };
  }

  /** An IKE message or a keepalive of ours. */
  sendUdp(local: Endpoint, remote: Endpoint, packet: Packet): void {
    this.emit({ do: 'udp', local, remote, packet, tos: 0, dontFragment: false });
  }
}

/** What a likeness would answer from nothing, or do a second time. */
const THERE_ONLY: ReadonlySet<PlaneCommand['do']> = new Set([
  'ping',
  'ask-nat',
  'flush-nat',
  'ask-neighbours',
  'trace',
  'tap',
]);

/** Of several data planes the one with the underlay and compartment 1. */
export const FIRST_PLANE = 0;

/** In the underlay or outside: such tenants share a data plane. */
export const meetsOthers = ({ subnets, lookup, nat, direct }: TenantConfig): boolean =>
  subnets.length > 0 || lookup.length > 0 || nat !== undefined || direct;

/** Each data plane has two slots of its own; so many planes there may be. */
export const MAX_PLANES = 32;
const PLANE_SLOTS = 2 * MAX_PLANES;
/** First of the own slots of a plane hosted elsewhere. */
export const slotOf = (plane: number): number => 2 + 2 * plane;

const samePeers = (a: TenantConfig, b: TenantConfig): boolean =>
  a.connections.some(({ remote: { address } }) =>
    b.connections.some(({ remote }) => address !== undefined && remote.address && sameAddress(address, remote.address)),
  );

const newEndpoint = (options: GatewayOptions, document: Partial<IkeOptions>): IkeEndpoint =>
  new IkeEndpoint({ ...document, ...options.ike, random: options.random, exportKeys: true });
