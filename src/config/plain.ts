/** The document as plain data in the words of the file: what `show` writes and `diff` compares. Secrets stay references. */
import { formatAddress, formatPrefix } from '../ip/index.ts';
import type {
  ConnectionConfig,
  Document,
  GatewayConfig,
  InterfaceDocument,
  SecretReference,
  StaticRoute,
  TenantConfig,
} from './contract.ts';
import { formatSelector } from './words.ts';

export type Plain = string | number | boolean | readonly Plain[] | { readonly [key: string]: Plain };

/** The whole document; reading it again gives the same one, unless a secret stands inline. */
export function plainDocument(document: Document): Plain {
  return {
    version: document.version,
    gateway: plainGateway(document.gateway),
    tenants: document.tenants.map(plainTenant),
    api: { listen: document.api?.listen ?? 'none' },
  };
}

export function plainGateway(gateway: GatewayConfig): Plain {
  return present({
    name: gateway.name,
    external: { addresses: gateway.external.addresses.map(formatAddress), ports: { ...gateway.external.ports } },
    keyLog: gateway.keyLog,
    limits: { ...gateway.limits },
    dataplane: { ...gateway.dataplane, cpus: [...gateway.dataplane.cpus] },
  });
}

function plainTenant(tenant: TenantConfig): Plain {
  return present({
    name: tenant.name,
    rdid: tenant.rdid,
    interfaces: tenant.interfaces.map(plainInterface),
    routes: tenant.routes.map(plainRoute),
    connections: tenant.connections.map(plainConnection),
  });
}

export function plainInterface(i: InterfaceDocument): Plain {
  const { name, driver, device, mtu, hostRoutes } = i;
  const [addresses, hostAddresses] = [i.addresses.map(formatPrefix), i.hostAddresses.map(formatPrefix)];
  return { name, driver, device, mtu, addresses, hostAddresses, hostRoutes };
}

export const plainRoute = ({ prefix, via }: StaticRoute): Plain => ({
  prefix: formatPrefix(prefix),
  via: 'interface' in via ? via.interface : formatAddress(via.nextHop),
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

const plainSecret = (reference: SecretReference): Plain =>
  reference.from === 'inline' ? { inline: String(reference.value) } : { [reference.from]: reference.value };

const limit = (value: number): Plain => (value === Number.POSITIVE_INFINITY ? 'unlimited' : value);

function present(section: Readonly<Record<string, Plain | undefined>>): Plain {
  return Object.fromEntries(
    Object.entries(section).filter((entry): entry is [string, Plain] => entry[1] !== undefined),
  );
}
