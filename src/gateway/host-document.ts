/** A virtualization host as the gateway machine takes it: a gateway without an outside, whose tenants have machines instead of interfaces. */
import type { GatewayDocument, HostDocument, HostTenantConfig, TenantConfig } from '../config/index.ts';

export interface HostPlan {
  readonly document: GatewayDocument;
  /** By the name of the tenant. */
  readonly machines: ReadonlyMap<string, HostTenantConfig>;
}

export function planHost(document: HostDocument): HostPlan {
  const { host, tenants, api, version } = document;
  return {
    document: {
      version,
      role: 'gateway',
      api,
      gateway: {
        name: host.name,
        external: { addresses: [], ports: { ike: 500, natt: 4500 }, interface: undefined, pool: [], bgp: undefined },
        underlay: host.underlay,
        keyLog: undefined,
        limits: { cookieThreshold: 30, halfOpen: 1000, packets: 1024, bgpAttributeOctets: 1 << 30 },
        dataplane: {
          workers: 1,
          cpus: [],
          offloads: true,
          bufferOctets: 32 << 20,
          scheduling: 'auto',
          busyPollMicros: 0,
        },
      },
      tenants: tenants.map(withoutInterfaces),
    },
    machines: new Map(tenants.map((tenant) => [tenant.name, tenant])),
  };
}

const withoutInterfaces = ({ name, rdid, lookup, customerRoutes }: HostTenantConfig): TenantConfig => ({
  name,
  rdid,
  lookup,
  customerRoutes,
  subnets: [],
  nat: undefined,
  direct: false,
  interfaces: [],
  routes: [],
  connections: [],
  bgp: undefined,
});
