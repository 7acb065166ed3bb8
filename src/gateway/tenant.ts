/**
 * A tenant in the gateway: its compartment, the interfaces and connections that hang on it.
 *
 * Invariant: nothing here refers to another tenant. The doors in are the SPI (`tunnel` of an SA) and the interface name.
 */
import { Compartment, type Sink } from '../compartment/index.ts';
import type { InterfaceDocument, StaticRoute, TenantConfig } from '../config/index.ts';
import type { Deadline, Millis, Random, Timed } from '../core/index.ts';
import { contains, formatPrefix, type PacketPool, type Prefix } from '../ip/index.ts';
import type { Tunnel } from './tunnel.ts';

export interface TenantInterface {
  readonly config: InterfaceDocument;
  readonly number: number;
  problem: string | undefined;
  hostRoutes: readonly Prefix[];
}

export class Tenant implements Timed {
  readonly name: string;
  config: TenantConfig;
  readonly compartment: Compartment;
  readonly interfaces = new Map<string, TenantInterface>();
  readonly tunnels = new Map<string, Tunnel>();
  /** What an interface number stands for. */
  readonly ways = new Map<number, TenantInterface | Tunnel>();

  constructor(config: TenantConfig, number: number, pool: PacketPool, sink: Sink, random: Random) {
    this.name = config.name;
    this.config = config;
    this.compartment = new Compartment({ name: config.name, number, pool, sink, random });
  }

  addInterface(config: InterfaceDocument): TenantInterface {
    const { name, mtu, addresses } = config;
    const kind = config.driver === 'tun' ? 'tun' : 'fabric';
    const number = this.compartment.addInterface({ name, kind, mtu, addresses });
    const made: TenantInterface = { config, number, problem: undefined, hostRoutes: [] };
    this.interfaces.set(name, made);
    this.ways.set(number, made);
    return made;
  }

  removeInterface(name: string): void {
    const gone = this.interfaces.get(name);
    if (gone === undefined) return;
    this.interfaces.delete(name);
    this.ways.delete(gone.number);
    this.compartment.removeInterface(gone.number);
  }

  addTunnel(tunnel: Tunnel): void {
    this.tunnels.set(tunnel.config.name, tunnel);
    this.ways.set(tunnel.interface, tunnel);
    for (const prefix of tunnel.config.routes) {
      this.compartment.addRoute({
        prefix,
        interface: tunnel.interface,
        origin: 'connection',
        preference: 5,
        why: `route of connection ${tunnel.config.name}`,
      });
    }
  }

  removeTunnel(name: string): void {
    const gone = this.tunnels.get(name);
    if (gone === undefined) return;
    this.tunnels.delete(name);
    this.ways.delete(gone.interface);
    this.compartment.removeInterface(gone.interface);
  }

  /** Makes the static routes exactly these; what stays is not touched. */
  setRoutes(routes: readonly StaticRoute[]): void {
    const wanted = new Set(routes.map((route) => `${formatPrefix(route.prefix)} ${this.#wayOf(route)}`));
    for (const route of this.compartment.routes()) {
      if (route.origin !== 'static') continue;
      const kept = wanted.delete(`${formatPrefix(route.prefix)} ${route.interface}`);
      if (!kept) this.compartment.removeRoute(route.prefix, route.interface, 'static');
    }
    for (const route of routes) {
      if (!wanted.has(`${formatPrefix(route.prefix)} ${this.#wayOf(route)}`)) continue;
      const number = this.#wayOf(route);
      if (number === undefined) continue;
      this.compartment.addRoute({
        prefix: route.prefix,
        interface: number,
        origin: 'static',
        preference: 1,
        why: 'static route of the document',
      });
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

  deadline(): Deadline | undefined {
    return this.compartment.deadline();
  }

  tick(now: Millis): void {
    this.compartment.expire(now);
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
