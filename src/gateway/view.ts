/**
 * What people see of a gateway and its tenants: plain JSON made from the books, problems first.
 *
 * Leaves to others: connections (`view-connections.ts`), NAT and virtual networks (`view-network.ts`), moments in time (the core
 * knows durations only), memory, sockets' own counters. No secret is read here.
 */
import { DISCARD, type Route, type RouteQuery } from '../compartment/index.ts';
import { DEFAULT_COMPARTMENT, formatMac } from '../config/index.ts';
import type { Millis } from '../core/index.ts';
import { type Address, dropsByName, formatAddress, formatPrefix } from '../ip/index.ts';
import type { Books } from './books.ts';
import { ACCEPTED, tenantDrops, totalDrops } from './drops.ts';
import { problemsOf } from './problems.ts';
import type { GatewayStatus, InterfaceStatus, RouteExplanationStatus, RouteStatus, TenantStatus } from './status.ts';
import type { Tenant } from './tenant.ts';
import { isUp, viewConnections } from './view-connections.ts';
import { viewNat, viewNetwork } from './view-network.ts';
import { viewPackets, viewWorkers } from './view-workers.ts';

export function viewGateway(books: Books, now: Millis): GatewayStatus {
  const connections = viewConnections(books, now);
  const problems = problemsOf(books, connections, now);
  const workers = viewWorkers(books);
  return {
    name: books.resolved?.document.gateway.name ?? '',
    version: books.version,
    upSeconds: Math.floor((now - books.startedAt) / 1000),
    state: books.stopping ? 'stopping' : problems.some((p) => p.severity === 'error') ? 'degraded' : 'ok',
    problems,
    listen: books.listeners.flatMap(({ address, rawEsp, problem }) => {
      if (problem !== undefined) return [];
      const { ike, natt } = books.resolved!.document.gateway.external.ports;
      const text = formatAddress(address);
      const udp = [ike, natt].map((port) => ({ address: text, port, carrier: 'udp' as const }));
      return rawEsp ? [...udp, { address: text, port: 0, carrier: 'ip-50' as const }] : udp;
    }),
    tenants: [...books.tenants.keys()].filter((name) => name !== DEFAULT_COMPARTMENT).length,
    connections: {
      total: connections.length,
      up: connections.filter(isUp).length,
      failed: connections.filter((c) => c.lastFailure !== undefined && !isUp(c)).length,
    },
    ikeSas: books.ike.sas.size,
    ikeAccepted: books.ike.counters.get(ACCEPTED) ?? 0,
    halfOpen: books.ike.halfOpen,
    childSas: connections.reduce((sum, c) => sum + c.childSas.length, 0),
    packets: viewPackets(workers),
    drops: totalDrops(books),
    workers,
    countersRefused: books.slots.refused,
    engine: books.engine.name,
    ...viewBgpMemory(books),
  };
}

/** Nothing where no tenant has a BGP router. */
function viewBgpMemory({ bgpMemory: { budget } }: Books): Pick<GatewayStatus, 'bgp'> {
  if (budget.size === 0) return {};
  const { size: routers, held: attributeOctets, limit: attributeLimit, refused: sessionsEnded } = budget;
  return { bgp: { routers, attributeOctets, attributeLimit, sessionsEnded } };
}

export const viewTenants = (books: Books): TenantStatus[] =>
  [...books.tenants.values()].map((tenant) => {
    const { name, config, compartment, network } = tenant;
    const nat = viewNat(books, name);
    const virtual = viewNetwork(books, tenant);
    return {
      name,
      compartment: compartment.number,
      worker: tenant.plane,
      ...(config.rdid === undefined ? {} : { rdid: config.rdid }),
      interfaces: viewInterfaces(books, tenant),
      subnets: [...network.subnets.values()].map(({ vsid, config: { name: by, addresses } }) => {
        return { vsid, interface: by, addresses: addresses.map(formatPrefix) };
      }),
      ...(nat === undefined ? {} : { nat }),
      direct: config.direct,
      ...(virtual === undefined ? {} : { network: virtual }),
      routes: compartment.routeCount,
      connections: [...tenant.tunnels.keys()],
      drops: tenantDrops(books, tenant),
    };
  });

/** Those of its compartment that are asked for. */
export const viewRoutes = (tenant: Tenant, query: RouteQuery): RouteStatus[] =>
  tenant.compartment.routes(query).map((route) => viewRoute(tenant, route));

const viewRoute = (tenant: Tenant, route: Route): RouteStatus => {
  const { prefix, interface: number, origin, preference, metric = 0, nextHop, why } = route;
  return {
    prefix: formatPrefix(prefix),
    via: wayName(tenant, number),
    ...(number === DISCARD ? { discard: true } : {}),
    ...(nextHop === undefined ? {} : { nextHop: formatAddress(nextHop) }),
    origin,
    preference,
    metric,
    why,
  };
};

export function viewExplanation(tenant: Tenant, address: Address): RouteExplanationStatus {
  const { chosen, among, why, passedOver } = tenant.compartment.explain(address);
  return {
    address: formatAddress(address),
    chosen: chosen === undefined ? null : viewRoute(tenant, chosen),
    ...(among === undefined ? {} : { among: among.map((route) => viewRoute(tenant, route)) }),
    why,
    passedOver: passedOver.map((lost) => ({ route: viewRoute(tenant, lost.route), why: lost.why })),
  };
}

const viewInterfaces = (books: Books, tenant: Tenant): InterfaceStatus[] =>
  tenant.compartment.interfaces().map((view) => {
    const way = tenant.ways.get(view.number);
    const device =
      way !== undefined && 'port' in way && way.config.driver !== 'fabric' ? { device: way.config.device } : {};
    const { name, kind, up, mtu, addresses, rxPackets, rxBytes, txPackets, txBytes } = view;
    const segment = books.plane.segment(tenant.number, view.number);
    return {
      name,
      kind,
      ...device,
      state: up ? 'up' : 'down',
      mtu,
      addresses: addresses.map(formatPrefix),
      rxPackets,
      rxBytes,
      txPackets,
      txBytes,
      ...(segment === undefined
        ? {}
        : { mac: formatMac(segment.mac), segment: segment.counters, segmentDrops: dropsByName(segment.drops) }),
    };
  });

function wayName(tenant: Tenant, number: number): string {
  if (number === DISCARD) return 'discard';
  const way = tenant.ways.get(number);
  return way === undefined ? 'this gateway' : way.config.name;
}
