/**
 * A tenant as control knows it: its document, and the interfaces and connections it has in the data plane.
 *
 * Invariant: nothing here refers to another tenant. The doors in are the SPI (`tunnel` of an SA) and the port of an interface.
 */

import { type Compartment, DISCARD, ROUTE_ORIGINS, type Route } from '../compartment/index.ts';
import type { InterfaceDocument, StaticRoute, TenantConfig } from '../config/index.ts';
import type { Bytes, Millis } from '../core/index.ts';
import { contains, formatAddress, formatPrefix, type Prefix } from '../ip/index.ts';
import type { TenantRouter } from './bgp/index.ts';
import { type Books, FIRST_PLANE } from './books.ts';
import type { PlaneCommand } from './dataplane/index.ts';
import { macOf, TenantNetwork } from './network.ts';
import type { Tunnel } from './tunnel.ts';

export interface TenantInterface {
  readonly config: InterfaceDocument;
  readonly number: number;
  /** What the host calls it by. */
  readonly port: number;
  /** Slot of its counters; undefined: it is none of the compartment's. */
  readonly cells: number | undefined;
  /** Slot of its segment's. */
  readonly segmentCells: number | undefined;
  problem: string | undefined;
  hostRoutes: readonly Prefix[];
}

/** What stands behind an interface of a compartment, by the name that people know. */
export interface TenantWay {
  readonly config: { readonly name: string; readonly addresses?: readonly Prefix[] };
}

export class Tenant {
  readonly name: string;
  config: TenantConfig;
  /** Number of its compartment. */
  readonly number: number;
  /** Which data plane has it, where there are several. */
  readonly plane: number;
  /** Slot of the compartment's counters. */
  readonly cells: number;
  readonly interfaces = new Map<string, TenantInterface>();
  readonly tunnels = new Map<string, Tunnel>();
  /** What an interface number stands for. */
  readonly ways = new Map<number, TenantInterface | TenantWay>();
  readonly network: TenantNetwork;
  router: TenantRouter | undefined;
  /** By interface: when somebody last claimed an address of ours there, in words. */
  readonly conflicts = new Map<number, { readonly at: Millis; readonly words: string }>();
  readonly #books: Books;
  #lastInterface = 0;

  constructor(books: Books, config: TenantConfig, number = books.nextCompartment()) {
    this.#books = books;
    this.name = config.name;
    this.config = config;
    this.number = number;
    this.network = new TenantNetwork(books, this);
    // Compartment 1 is where those are who meet in it.
    this.plane = number === 1 ? FIRST_PLANE : books.planeFor(config);
    this.cells = books.takeSlot();
    books.byCompartment.set(this.number, this);
    this.command({ do: 'add-compartment', compartment: this.number, name: this.name, cells: this.cells });
  }

  /** The compartment, to look at: only commands change it. */
  get compartment(): Compartment {
    return this.#books.compartment(this.number);
  }

  command(command: PlaneCommand): void {
    this.#books.command(command, this);
  }

  addInterface(config: InterfaceDocument): TenantInterface {
    const books = this.#books;
    const { name, mtu, addresses, driver } = config;
    const kind = driver === 'tun' || driver === 'fabric' ? driver : 'ethernet';
    const number = this.nextInterface();
    const port = books.nextPort();
    const cells = books.takeSmallSlot();
    const segmentCells = kind === 'ethernet' ? books.takeSlot() : undefined;
    const mac = macOf(config.mac, `${this.name}/${name}`);
    this.command({
      do: 'add-interface',
      compartment: this.number,
      interface: number,
      config: { name, kind, mtu, addresses },
      cells,
      way: segmentCells === undefined ? { port } : { port, mac, segmentCells },
    });
    const opened = segmentCells === undefined ? config : { ...config, mac };
    const made = this.#note({ config: opened, number, port, cells, segmentCells, problem: undefined, hostRoutes: [] });
    this.ways.set(number, made);
    return made;
  }

  /** A device that is a machine's and no interface of the compartment. */
  addPort(config: InterfaceDocument, port: number, machine: Bytes): void {
    this.#note({
      config,
      number: NO_INTERFACE,
      port,
      cells: undefined,
      segmentCells: undefined,
      problem: undefined,
      hostRoutes: [],
    });
    const { name, plane } = this;
    this.#books.emit({ do: 'open-interface', tenant: name, plane, port, config, hostRoutes: [], machine });
  }

  removePort(name: string): void {
    const gone = this.interfaces.get(name);
    if (gone === undefined) return;
    this.interfaces.delete(name);
    this.#books.ports.delete(gone.port);
    this.#books.emit({ do: 'close-interface', tenant: this.name, interface: name });
  }

  #note(made: TenantInterface): TenantInterface {
    this.interfaces.set(made.config.name, made);
    this.#books.ports.set(made.port, { tenant: this, interface: made });
    return made;
  }

  removeInterface(name: string): void {
    const gone = this.interfaces.get(name);
    if (gone === undefined) return;
    this.interfaces.delete(name);
    this.ways.delete(gone.number);
    this.#books.ports.delete(gone.port);
    this.command({ do: 'remove-interface', compartment: this.number, interface: gone.number });
    for (const slot of [gone.cells, gone.segmentCells]) if (slot !== undefined) this.#books.giveSlot(slot);
  }

  /** The interface of a tunnel, and the routes by it. */
  addTunnel(tunnel: Tunnel): void {
    const { config, interface: number, index, cells } = tunnel;
    this.tunnels.set(config.name, tunnel);
    this.ways.set(number, tunnel);
    this.command({
      do: 'add-interface',
      compartment: this.number,
      interface: number,
      config: { name: config.name, kind: 'connection', mtu: tunnel.mtu, addresses: [] },
      cells,
      way: { tunnel: index, df: config.df, mtu: config.mtu },
    });
    // Of two connections with the same route the second stands by: an interface is up whether its tunnel is or not.
    const metric = this.tunnels.size;
    for (const prefix of config.routes) {
      const why = `route of connection ${config.name}`;
      const route = { prefix, interface: number, origin: 'connection', preference: 5, metric, why } as const;
      this.command({ do: 'add-route', compartment: this.number, route });
    }
  }

  removeTunnel(name: string): void {
    const gone = this.tunnels.get(name);
    if (gone === undefined) return;
    this.tunnels.delete(name);
    this.ways.delete(gone.interface);
    this.command({ do: 'remove-interface', compartment: this.number, interface: gone.interface });
    this.#books.giveSlot(gone.cells);
  }

  /** Makes the static routes exactly these; what stays is not touched. */
  setRoutes(routes: readonly StaticRoute[]): void {
    const { number: compartment } = this;
    const wanted = new Map(routes.flatMap((route) => this.#routeOf(route)).map((route) => [textOf(route), route]));
    for (const route of this.compartment.routes({ origins: ['static'] })) {
      const { origin, prefix, interface: out, nextHop } = route;
      if (wanted.delete(textOf(route))) continue;
      const gone = { do: 'remove-route', compartment, prefix, interface: out, origin } as const;
      this.command(nextHop === undefined ? gone : { ...gone, nextHop });
    }
    for (const route of wanted.values()) this.command({ do: 'add-route', compartment, route });
  }

  /**
   * What the kernel must send to this interface so that the compartment gets it: everything the document says is reached elsewhere, and the
   * compartment's own prefixes on it (those a host address lies in the kernel knows already). What BGP has learned is not among it: no
   * peer may say what this host sends where. Nor is what would be discarded here.
   */
  reachableBeyond(iface: TenantInterface): Prefix[] {
    const { hostRoutes, hostAddresses } = iface.config;
    if (hostRoutes === 'none') return [];
    return this.compartment
      .routes({ origins: NOT_LEARNED })
      .filter(({ interface: number, origin, prefix }) =>
        number === iface.number
          ? origin === 'connected' && !hostAddresses.some((host) => contains(prefix, host.address))
          : origin !== 'connected' && number !== DISCARD,
      )
      .map((route) => route.prefix);
  }

  /** Numbers of interfaces are never used twice. */
  nextInterface(): number {
    this.#lastInterface += 1;
    return this.#lastInterface;
  }

  /** None where its way is not there. */
  #routeOf({ prefix, via, metric }: StaticRoute): Route[] {
    const out = this.#wayOf(via);
    if (out === undefined) return [];
    const why = 'static route of the document';
    const route = { prefix, interface: out, origin: 'static', preference: 1, metric, why } as const;
    return ['nextHop' in via ? { ...route, nextHop: via.nextHop } : route];
  }

  #wayOf(via: StaticRoute['via']): number | undefined {
    if ('discard' in via) return DISCARD;
    if ('interface' in via)
      return this.interfaces.get(via.interface)?.number ?? this.tunnels.get(via.interface)?.interface;
    for (const [number, { config }] of this.ways) {
      if (config.addresses?.some((prefix) => contains(prefix, via.nextHop))) return number;
    }
    return undefined;
  }
}

const NOT_LEARNED = ROUTE_ORIGINS.filter((origin) => origin !== 'bgp');
/** No interface of a compartment has this number. */
const NO_INTERFACE = 0;

const textOf = ({ prefix, interface: out, nextHop, metric = 0 }: Route): string =>
  [formatPrefix(prefix), out, nextHop === undefined ? '' : formatAddress(nextHop), metric].join(' ');
