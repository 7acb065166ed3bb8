/** From a draft without errors, in which every part is there, to the document. */
import { type Address, type Prefix, parseAddress } from '../ip/index.ts';
import type {
  GatewayConfig,
  GatewayDocument,
  HostConfig,
  HostSubnetConfig,
  HostTenantConfig,
  InterfaceDocument,
  StaticRoute,
  SubnetConfig,
  TenantConfig,
} from './contract.ts';
import type { BgpConfig } from './contract-bgp.ts';
import { directPrefixes } from './direct-prefixes.ts';
import {
  type BgpDraft,
  configsOf,
  type Draft,
  externalAddressesOf,
  ownAddressesOf,
  type Placed,
  readable,
  type SubnetDraft,
  type TenantDraft,
} from './draft.ts';
import { compareRanges, prefixesIn } from './range.ts';
import { routerIdOf } from './rules-bgp.ts';

export function finishGateway(draft: Draft): Pick<GatewayDocument, 'gateway' | 'tenants'> {
  const tenants = draft.tenants.map(({ value }) => finishTenant(value));
  return { gateway: finishSection(draft, tenants), tenants };
}

function finishSection(draft: Draft, tenants: readonly TenantConfig[]): GatewayConfig {
  const { external, keyLog, ...same } = draft.gateway!;
  const pool = draft.pool!.map(({ value }) => value).sort(compareRanges);
  return {
    ...same,
    external: {
      addresses: external.addresses,
      ports: external.ports,
      interface: draft.external?.value,
      pool,
      bgp: finishBgp(draft.bgp?.value, externalAddressesOf(draft), [
        ...pool.flatMap(prefixesIn),
        ...tenants.flatMap((tenant) => (tenant.direct ? directPrefixes(tenant) : [])),
      ]),
    },
    underlay: draft.underlay?.value,
    keyLog,
  };
}

export const finishHost = ({ host, underlay }: Draft): HostConfig => ({ name: host!.name, underlay: underlay!.value! });

function finishTenant(draft: TenantDraft): TenantConfig {
  const interfaces = values(configsOf(draft.interfaces));
  return {
    ...virtualNetwork(draft),
    subnets: groups(draft).map(
      (entries): SubnetConfig => ({
        vsid: entries[0]!.vsid,
        addresses: entries.map(({ prefix, address }): Prefix => ({ address: address!, length: prefix.length })),
        mac: entries.find(({ mac }) => mac !== 'auto')?.mac ?? 'auto',
      }),
    ),
    nat: draft.nat?.value,
    direct: draft.direct,
    interfaces,
    routes: values(readable(draft.routes)).map(
      ({ prefix, via, metric }): StaticRoute => ({ prefix, via: finishWay(via, interfaces), metric }),
    ),
    connections: values(configsOf(draft.connections)),
    bgp: finishBgp(draft.bgp?.value, ownAddressesOf(draft), []),
  };
}

function finishWay(via: string | undefined, interfaces: readonly InterfaceDocument[]): StaticRoute['via'] {
  if (via === undefined) return { discard: true };
  return interfaces.some(({ name }) => name === via) ? { interface: via } : { nextHop: parseAddress(via)! };
}

function finishBgp(
  bgp: BgpDraft | undefined,
  own: readonly Address[],
  tenantPrefixes: readonly Prefix[],
): BgpConfig | undefined {
  return bgp && { ...bgp, routerId: routerIdOf(bgp, own)!, peers: values(configsOf(bgp.peers)), tenantPrefixes };
}

export function finishHostTenant(draft: TenantDraft): HostTenantConfig {
  return {
    ...virtualNetwork(draft),
    subnets: groups(draft).map(
      (entries): HostSubnetConfig => ({
        vsid: entries[0]!.vsid,
        prefixes: entries.map(({ prefix }) => prefix),
      }),
    ),
    vms: values(configsOf(draft.vms)),
  };
}

const virtualNetwork = (draft: TenantDraft) => ({
  name: draft.name!,
  rdid: draft.rdid,
  lookup: values(readable(draft.lookup)),
  customerRoutes: values(readable(draft.customerRoutes)),
});

const values = <T>(entries: readonly Placed<T>[]): readonly T[] => entries.map(({ value }) => value);

/** Entries of one VSID together, in the order of their first. */
function groups(draft: TenantDraft): readonly (readonly SubnetDraft[])[] {
  const found = new Map<number, SubnetDraft[]>();
  for (const { value } of readable(draft.subnets)) {
    const group = found.get(value.vsid);
    if (group === undefined) found.set(value.vsid, [value]);
    else group.push(value);
  }
  return [...found.values()];
}
