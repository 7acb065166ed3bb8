/** The lab's two gateways and two tenants with identical prefixes, and what tests ask of them. */
import { type Bytes, seededRandom, u32 } from '../../src/core/index.ts';
import type { ConnectionStatus, GatewayAction, TenantStatus } from '../../src/gateway/index.ts';
import { IP_PROTOCOL, parseAddress } from '../../src/ip/index.ts';
import {
  type GatewayNode,
  type HostPing,
  Lab,
  type LabOptions,
  type Query,
  resolveDocument,
  SITE,
  type TenantName,
  VM,
} from '../../src/lab/index.ts';

export const site = parseAddress(SITE)!;
export const vm = parseAddress(VM)!;

export const makeLab = (options: Partial<LabOptions> & { readonly seed?: number } = {}): Lab =>
  new Lab({ random: seededRandom(options.seed ?? 1), ...options });

/** Runs until everything asked is answered or given up. */
export function settle(lab: Lab, ...queries: readonly Query[]): void {
  lab.timeline.runUntil(() => queries.every(({ outcome }) => outcome !== 'waiting'), 300_000);
}

/** A ping from the tenant's host behind `gw` to its site. */
export function ping(lab: Lab, tenant: TenantName, options: HostPing = {}): Query {
  const query = lab.hosts[tenant].vm.ping(site, { timeoutMs: 10_000, ...options });
  settle(lab, query);
  return query;
}

export function open(lab: Lab): void {
  const queries = [lab.hosts.contoso.vm.ping(site), lab.hosts.woodgrove.vm.ping(site)];
  settle(lab, ...queries);
  if (queries.some(({ outcome }) => outcome !== 'reply')) throw new Error('the tunnels did not come up');
}

export const connectionOf = (lab: Lab, tenant: TenantName, node: GatewayNode = lab.gw): ConnectionStatus =>
  node.gateway.connections(lab.timeline.now).find((connection) => connection.tenant === tenant)!;

export const tenantOf = (lab: Lab, tenant: TenantName, node: GatewayNode = lab.gw): TenantStatus =>
  node.gateway.tenants().find(({ name }) => name === tenant)!;

export const idsOf = (connection: ConnectionStatus) => ({
  ike: connection.ikeSas.map(({ id }) => id),
  child: connection.childSas.filter(({ state }) => state === 'active').map(({ id }) => id),
});

/** Another document for `gw`. */
export const reload = (lab: Lab, text: string): void => lab.gw.apply(resolveDocument(text));

export function actionsOf(node: GatewayNode): GatewayAction[] {
  const actions: GatewayAction[] = [];
  node.observe((action) => actions.push(action));
  return actions;
}

/** ESP packets seen on the outer network from here on, oldest first. */
export function watchEsp(lab: Lab): { readonly packet: Bytes; readonly spi: number }[] {
  const seen: { packet: Bytes; spi: number }[] = [];
  lab.outer.tap((packet) => {
    if (isEsp(packet)) seen.push({ packet: packet.slice(), spi: u32(packet, 20) });
  });
  return seen;
}

export const isEsp = (packet: Bytes): boolean => packet[9] === IP_PROTOCOL.esp;

/** What reached the hosts of a tenant, whole packets. */
export const receivedBy = (lab: Lab, tenant: TenantName): number =>
  lab.hosts[tenant].vm.counters.received + lab.hosts[tenant].site.counters.received;

export const foreignIn = (lab: Lab): number =>
  [...Object.values(lab.hosts).flatMap(({ vm: a, site: b }) => [a, b]), lab.printer].reduce(
    (sum, host) => sum + host.counters.foreign,
    0,
  );

/** Both gateways end cleanly: DELETE answered, everything closed, no packet kept. */
export function end(lab: Lab) {
  const clean = lab.shutdown();
  const nodes = [lab.gw, lab.sites];
  return {
    clean,
    taken: nodes.map(({ pool }) => pool.taken),
    open: nodes.flatMap((node) => [...node.open]),
    deadlines: nodes.map((node) => node.deadline()?.why),
  };
}

export const ENDED = { clean: true, taken: [0, 0], open: [], deadlines: [undefined, undefined] };
