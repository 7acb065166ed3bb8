/**
 * A tenant as control knows it: its document, and the interfaces and connections it has in the data plane.
 *
 * Invariant: nothing here refers to another tenant. The doors in are the SPI (`tunnel` of an SA) and the port of an interface.
 */
import type { Compartment } from '../compartment/index.ts';
import type { InterfaceDocument, StaticRoute, TenantConfig } from '../config/index.ts';
import { contains, formatPrefix, type Prefix } from '../ip/index.ts';
import type { Books } from './books.ts';
import type { PlaneCommand } from './dataplane/index.ts';
import type { Tunnel } from './tunnel.ts';

export interface TenantInterface {
  readonly config: InterfaceDocument;
  readonly number: number;
  /** What the host calls it by. */
  readonly port: number;
  /** Slot of its counters. */
  readonly cells: number;
  problem: string | undefined;
  hostRoutes: readonly Prefix[];
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
  readonly ways = new Map<number, TenantInterface | Tunnel>();
  readonly #books: Books;
  #lastInterface = 0;

  constructor(books: Books, config: TenantConfig) {
    this.#books = books;
    this.name = config.name;
    this.config = config;
    this.number = books.nextCompartment();
    this.plane = books.planeFor(config);
    this.cells = books.takeSlot();
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
    const { name, mtu, addresses } = config;
    const kind = config.driver === 'tun' ? 'tun' : 'fabric';
    const number = this.nextInterface();
    const port = books.nextPort();
    const cells = books.takeSlot();
    this.command({
      do: 'add-interface',
      compartment: this.number,
      interface: number,
      config: { name, kind, mtu, addresses },
      cells,
      way: { port },
    });
    const made: TenantInterface = { config, number, port, cells, problem: undefined, hostRoutes: [] };
    this.interfaces.set(name, made);
    this.ways.set(number, made);
    books.ports.set(port, { tenant: this, interface: made });
    return made;
  }

  removeInterface(name: string): void {
    const gone = this.interfaces.get(name);
    if (gone === undefined) return;
    this.interfaces.delete(name);
    this.ways.delete(gone.number);
    this.#books.ports.delete(gone.port);
    this.command({ do: 'remove-interface', compartment: this.number, interface: gone.number });
    this.#books.giveSlot(gone.cells);
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
    for (const prefix of config.routes) {
      const why = `route of connection ${config.name}`;
      const route = { prefix, interface: number, origin: 'connection', preference: 5, why } as const;
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
    const wanted = new Set(routes.map((route) => `${formatPrefix(route.prefix)} ${this.#wayOf(route)}`));
    for (const { origin, prefix, interface: out } of this.compartment.routes()) {
      if (origin !== 'static') continue;
      const kept = wanted.delete(`${formatPrefix(prefix)} ${out}`);
      if (!kept) this.command({ do: 'remove-route', compartment, prefix, interface: out, origin });
    }
    for (const route of routes) {
      if (!wanted.has(`${formatPrefix(route.prefix)} ${this.#wayOf(route)}`)) continue;
      const out = this.#wayOf(route);
      if (out === undefined) continue;
      const why = 'static route of the document';
      const added = { prefix: route.prefix, interface: out, origin: 'static', preference: 1, why } as const;
      this.command({ do: 'add-route', compartment, route: added });
    }
  }

  /**
   * What the kernel must send to this interface so that the compartment gets it: everything reached elsewhere, and the
   * compartment's own prefixes on it (those a host address lies in the kernel knows already).
   */
  reachableBeyond(iface: TenantInterface): Prefix[] {
    const { hostRoutes, hostAddresses } = iface.config;
    if (hostRoutes === 'none') return [];
    return this.compartment
      .routes()
      .filter(({ interface: number, origin, prefix }) =>
        number === iface.number
          ? origin === 'connected' && !hostAddresses.some((host) => contains(prefix, host.address))
          : origin !== 'connected',
      )
      .map((route) => route.prefix);
  }

  /** Numbers of interfaces are never used twice. */
  nextInterface(): number {
    this.#lastInterface += 1;
    return this.#lastInterface;
  }

  #wayOf({ via }: StaticRoute): number | undefined {
    if ('interface' in via)
      return this.interfaces.get(via.interface)?.number ?? this.tunnels.get(via.interface)?.interface;
    for (const { config, number } of this.interfaces.values()) {
      if (config.addresses.some((prefix) => contains(prefix, via.nextHop))) return number;
    }
    return undefined;
  }
}
