/** From a draft without errors, in which every part is there, to the document. */
import { type Prefix, parseAddress } from '../ip/index.ts';
import type {
  GatewayConfig,
  HostConfig,
  HostSubnetConfig,
  HostTenantConfig,
  InterfaceDocument,
  StaticRoute,
  SubnetConfig,
  TenantConfig,
} from './contract.ts';
import type { BgpConfig } from './contract-bgp.ts';
import { configsOf, type Draft, type Placed, readable, type SubnetDraft, type TenantDraft } from './draft.ts';
import { compareRanges } from './range.ts';
import { routerIdOf } from './rules-bgp.ts';

export function finishGateway(draft: Draft): GatewayConfig {
  const { external, keyLog, ...same } = draft.gateway!;
  return {
    ...same,
    external: {
      addresses: external.addresses,
      ports: external.ports,
      interface: draft.external?.value,
      pool: draft.pool!.map(({ value }) => value).sort(compareRanges),
    },
    underlay: draft.underlay?.value,
    keyLog,
  };
}

export const finishHost = ({ host, underlay }: Draft): HostConfig => ({ name: host!.name, underlay: underlay!.value! });

export function finishTenant(draft: TenantDraft): TenantConfig {
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
    bgp: finishBgp(draft),
  };
}

function finishWay(via: string | undefined, interfaces: readonly InterfaceDocument[]): StaticRoute['via'] {
  if (via === undefined) return { discard: true };
  return interfaces.some(({ name }) => name === via) ? { interface: via } : { nextHop: parseAddress(via)! };
}

function finishBgp(draft: TenantDraft): BgpConfig | undefined {
  const bgp = draft.bgp?.value;
  return bgp && { ...bgp, routerId: routerIdOf(draft)!, peers: values(configsOf(bgp.peers)) };
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
