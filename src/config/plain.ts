/** The document as plain data in the words of the file: what `show` writes and `diff` compares. Secrets stay references. */
import { formatAddress, formatEndpoint, formatPrefix } from '../ip/index.ts';
import type {
  ConnectionConfig,
  CustomerRoute,
  Document,
  ExternalInterfaceConfig,
  GatewayConfig,
  HostSubnetConfig,
  HostTenantConfig,
  InterfaceDocument,
  LookupConfig,
  NatConfig,
  SecretReference,
  StaticRoute,
  SubnetConfig,
  TenantConfig,
  UnderlayConfig,
  VmConfig,
} from './contract.ts';
import { networkText } from './draft.ts';
import { formatMac, type Mac } from './mac.ts';
import { plainBgp } from './plain-bgp.ts';
import { formatRange } from './range.ts';
import { formatSelector } from './words.ts';

export type Plain = string | number | boolean | readonly Plain[] | { readonly [key: string]: Plain };

/** The whole document; reading it again gives the same one, unless a secret stands inline. */
export function plainDocument(document: Document): Plain {
  const { version } = document;
  const api = { listen: document.api?.listen ?? 'none' };
  if (document.role === 'gateway') {
    return { version, gateway: plainGateway(document.gateway), tenants: document.tenants.map(plainTenant), api };
  }
  const { name, underlay } = document.host;
  return {
    version,
    host: { name, underlay: plainUnderlay(underlay) },
    tenants: document.tenants.map(plainHostTenant),
    api,
  };
}

export function plainGateway(gateway: GatewayConfig): Plain {
  const { addresses, ports, interface: outside, pool, bgp } = gateway.external;
  return present({
    name: gateway.name,
    external: present({
      addresses: addresses.map(formatAddress),
      ports: { ...ports },
      interface: outside && plainExternalInterface(outside),
      pool: pool.length === 0 ? undefined : pool.map(formatRange),
      bgp: bgp && plainBgp(bgp),
    }),
    underlay: gateway.underlay && plainUnderlay(gateway.underlay),
    keyLog: gateway.keyLog,
    limits: { ...gateway.limits },
    dataplane: { ...gateway.dataplane, cpus: [...gateway.dataplane.cpus] },
  });
}

export function plainExternalInterface(i: ExternalInterfaceConfig): Plain {
  return {
    driver: i.driver,
    device: i.device,
    mtu: i.mtu,
    addresses: i.addresses.map(formatPrefix),
    gateway: i.gateways.map(formatAddress),
    mac: plainMac(i.mac),
    hostRoutes: i.hostRoutes,
  };
}

export const plainUnderlay = ({ addresses, encapsulation, sourcePort, mtu }: UnderlayConfig): Plain => ({
  addresses: addresses.map(formatAddress),
  encapsulation,
  ...(encapsulation === 'nvgre-udp' ? { sourcePort } : {}),
  mtu,
});

function plainTenant(tenant: TenantConfig): Plain {
  return present({
    name: tenant.name,
    rdid: tenant.rdid,
    subnets: tenant.subnets.flatMap(plainSubnet),
    lookup: tenant.lookup.map(plainLookup),
    customerRoutes: tenant.customerRoutes.map(plainCustomerRoute),
    nat: tenant.nat === undefined ? 'off' : plainNat(tenant.nat),
    direct: tenant.direct,
    interfaces: tenant.interfaces.map(plainInterface),
    routes: tenant.routes.map(plainRoute),
    connections: tenant.connections.map(plainConnection),
    bgp: tenant.bgp && plainBgp(tenant.bgp),
  });
}

function plainHostTenant(tenant: HostTenantConfig): Plain {
  return present({
    name: tenant.name,
    rdid: tenant.rdid,
    subnets: tenant.subnets.flatMap(plainHostSubnet),
    lookup: tenant.lookup.map(plainLookup),
    customerRoutes: tenant.customerRoutes.map(plainCustomerRoute),
    vms: tenant.vms.map(plainVm),
  });
}

/** The entries of one VSID. */
const plainSubnet = ({ vsid, addresses, mac }: SubnetConfig): readonly Plain[] =>
  addresses.map((own) => ({
    vsid,
    prefix: networkText(own),
    address: formatAddress(own.address),
    mac: plainMac(mac),
  }));

const plainHostSubnet = ({ vsid, prefixes }: HostSubnetConfig): readonly Plain[] =>
  prefixes.map((prefix) => ({ vsid, prefix: formatPrefix(prefix) }));

const plainLookup = ({ vsid, ca, mac, pa, type }: LookupConfig): Plain =>
  present({ vsid, ca: ca && formatAddress(ca), mac: formatMac(mac), pa: formatAddress(pa), type });

const plainCustomerRoute = ({ prefix, nextHop, metric }: CustomerRoute): Plain => ({
  prefix: formatPrefix(prefix),
  nextHop: formatAddress(nextHop),
  metric,
});

export const plainVm = (vm: VmConfig): Plain => ({
  name: vm.name,
  vsid: vm.vsid,
  mac: formatMac(vm.mac),
  addresses: vm.addresses.map(formatAddress),
  driver: vm.driver,
  device: vm.device,
});

export function plainNat(nat: NatConfig): Plain {
  return {
    address: nat.address === 'auto' ? 'auto' : formatAddress(nat.address),
    filtering: nat.filtering,
    rules: nat.rules.map(({ protocol, externalPort, to }) => ({ protocol, externalPort, to: formatEndpoint(to) })),
    timeouts: { ...nat.timeouts },
    limits: { ...nat.limits },
    routes: nat.routes.map(formatPrefix),
  };
}

export function plainInterface(i: InterfaceDocument): Plain {
  const { name, driver, device, mtu, hostRoutes } = i;
  const [addresses, hostAddresses] = [i.addresses.map(formatPrefix), i.hostAddresses.map(formatPrefix)];
  return { name, driver, device, mtu, addresses, mac: plainMac(i.mac), hostAddresses, hostRoutes };
}

const wayText = (via: Exclude<StaticRoute['via'], { discard: true }>): string =>
  'interface' in via ? via.interface : formatAddress(via.nextHop);

export const plainRoute = ({ prefix, via, metric }: StaticRoute): Plain => ({
  prefix: formatPrefix(prefix),
  ...('discard' in via ? { discard: true } : { via: wayText(via) }),
  metric,
});

export function plainConnection(c: ConnectionConfig): Plain {
  return {
    name: c.name,
    local: { address: formatAddress(c.local.address), id: c.local.id },
    remote: {
      address: c.remote.address === undefined ? 'any' : formatAddress(c.remote.address),
      id: c.remote.id,
      port: c.remote.port,
    },
    auth: { psk: plainSecret(c.psk) },
    legacy: c.legacy,
    ike: { proposals: c.ike.proposals, lifetimeSeconds: c.ike.lifetimeSeconds, giveUpSeconds: c.ike.giveUpSeconds },
    child: {
      proposals: c.child.proposals,
      local: c.child.local.map(formatSelector),
      remote: c.child.remote.map(formatSelector),
      lifetimeSeconds: c.child.lifetimeSeconds,
      lifetimeBytes: limit(c.child.lifetimeBytes),
      lifetimePackets: limit(c.child.lifetimePackets),
      esn: c.child.esn,
      replayWindow: c.child.replayWindow,
    },
    start: c.start,
    routes: c.routes.map(formatPrefix),
    dpdSeconds: c.dpdSeconds,
    idleSeconds: c.idleSeconds,
    encapsulation: c.encapsulation,
    df: c.df,
    mtu: c.mtu,
  };
}

export const plainSecret = (reference: SecretReference): Plain =>
  reference.from === 'inline' ? { inline: String(reference.value) } : { [reference.from]: reference.value };

export const plainMac = (mac: Mac | 'auto'): string => (mac === 'auto' ? 'auto' : formatMac(mac));

const limit = (value: number): Plain => (value === Number.POSITIVE_INFINITY ? 'unlimited' : value);

export function present(section: Readonly<Record<string, Plain | undefined>>): Plain {
  return Object.fromEntries(
    Object.entries(section).filter((entry): entry is [string, Plain] => entry[1] !== undefined),
  );
}
