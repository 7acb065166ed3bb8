/**
 * A document between reading and rules: each part with its place, and undefined where it could not be read, so that its
 * neighbours are checked all the same.
 */
import { type Address, compareAddresses, contains, formatAddress, networkOf, type Prefix } from '../ip/index.ts';
import type {
  ConnectionConfig,
  CustomerRoute,
  ExternalInterfaceConfig,
  InterfaceDocument,
  LookupConfig,
  NatConfig,
  UnderlayConfig,
  VmConfig,
} from './contract.ts';
import type { AggregateConfig, BgpPeerConfig, DampeningConfig, Redistributed } from './contract-bgp.ts';
import type { IssueList } from './issue.ts';
import type { Mac } from './mac.ts';
import type { AddressRange } from './range.ts';
import type { GatewayShape, HostShape, RouteShape } from './schema.ts';
import type { BgpShape } from './schema-bgp.ts';
import type { Path } from './source.ts';

export interface Placed<T> {
  readonly path: Path;
  readonly value: T;
}

/** Undefined: nothing is written. A value that is undefined: it could not be read. */
export type Perhaps<T> = Placed<T | undefined> | undefined;

export interface Draft {
  readonly role: 'gateway' | 'host';
  readonly gateway: GatewayShape | undefined;
  readonly host: HostShape | undefined;
  readonly external: Perhaps<ExternalInterfaceConfig>;
  /** Undefined: it could not be read. */
  readonly pool: readonly Placed<AddressRange>[] | undefined;
  /** Of `gateway.external`. */
  readonly bgp: Perhaps<BgpDraft>;
  readonly underlay: Perhaps<UnderlayConfig>;
  readonly tenants: readonly Placed<TenantDraft>[];
}

export interface TenantDraft {
  readonly name: string | undefined;
  readonly rdid: string | undefined;
  readonly subnets: readonly Placed<SubnetDraft | undefined>[];
  readonly lookup: readonly Placed<LookupConfig | undefined>[];
  readonly customerRoutes: readonly Placed<CustomerRoute | undefined>[];
  readonly nat: Perhaps<NatConfig>;
  readonly direct: boolean;
  readonly interfaces: readonly Placed<Named<InterfaceDocument>>[];
  readonly routes: readonly Placed<RouteShape | undefined>[];
  readonly connections: readonly Placed<Named<ConnectionConfig>>[];
  readonly vms: readonly Placed<Named<VmConfig>>[];
  readonly bgp: Perhaps<BgpDraft>;
}

/** `bgp` with its peers one by one. */
export interface BgpDraft extends Omit<BgpShape, 'peers' | 'dampening' | 'clusterId' | 'aggregates' | 'redistribute'> {
  readonly aggregates: readonly AggregateConfig[];
  readonly clusterId: number | undefined;
  readonly redistribute: readonly Redistributed[];
  readonly dampening: DampeningConfig | undefined;
  readonly peers: readonly Placed<Named<BgpPeerConfig>>[];
}

/** An entry of the document; several may have one VSID. */
export interface SubnetDraft {
  readonly vsid: number;
  readonly prefix: Prefix;
  /** The gateway's own; undefined on a host. */
  readonly address: Address | undefined;
  readonly mac: Mac | 'auto';
}

/** The name is known even where the rest could not be read. */
export interface Named<T> {
  readonly name: string | undefined;
  readonly config: T | undefined;
}

export const POOL_PATH: Path = ['gateway', 'external', 'pool'];
/** For what goes by the external interface where there is none. */
export const ADD_INTERFACE =
  'needs gateway.external.interface, by which packets leave: { driver: packet, device: …, addresses: […], gateway: … }';
export const EXTERNAL_BGP: Path = ['gateway', 'external', 'bgp'];

/** Entries of which one word may stand only once; `message` gets the place of the first. */
export function unique<T>(
  entries: readonly Placed<T>[],
  of: (value: T) => string | undefined,
  key: string,
  message: (word: string, first: Path) => string,
  issues: IssueList,
): void {
  const seen = new Map<string, Path>();
  for (const { path, value } of entries) {
    const word = of(value);
    if (word === undefined) continue;
    const first = seen.get(word);
    if (first === undefined) seen.set(word, [...path, key]);
    else issues.error([...path, key], message(word, first));
  }
}

/** Those that could be read. */
export const readable = <T>(entries: readonly Placed<T | undefined>[]): readonly Placed<T>[] =>
  entries.filter((entry): entry is Placed<T> => entry.value !== undefined);

export const configsOf = <T>(entries: readonly Placed<Named<T>>[]): readonly Placed<T>[] =>
  entries.flatMap(({ path, value: { config } }) => (config === undefined ? [] : [{ path, value: config }]));

/** What the tenant's interfaces and subnets are connected to. */
export const connectedOf = (tenant: TenantDraft): readonly Prefix[] => [
  ...configsOf(tenant.interfaces).flatMap(({ value }) => value.addresses),
  ...readable(tenant.subnets).map(({ value }) => value.prefix),
];

/** Addresses of the tenant's interfaces and of the gateway in its subnets. */
export const ownAddressesOf = (tenant: TenantDraft): readonly Address[] => [
  ...configsOf(tenant.interfaces).flatMap(({ value }) => value.addresses.map(({ address }) => address)),
  ...readable(tenant.subnets).flatMap(({ value }) => value.address ?? []),
];

/** Addresses of the external interface. */
export const externalAddressesOf = ({ external }: Draft): readonly Address[] =>
  (external?.value?.addresses ?? []).map(({ address }) => address);

/** `10.1.0.0/24` for 10.1.0.1/24. */
export const networkText = (prefix: Prefix): string => `${formatAddress(networkOf(prefix))}/${prefix.length}`;

export function overlap(a: Prefix, b: Prefix): boolean {
  const [wide, narrow]: readonly [Prefix, Address] = a.length <= b.length ? [a, b.address] : [b, a.address];
  return contains(wide, narrow);
}

/** A prefix that belongs to somebody. */
export interface Extent {
  readonly prefix: Prefix;
  /** For people. */
  readonly owner: string;
  /** Extents of one group may overlap. */
  readonly group: unknown;
  readonly path: Path;
}

/** Pairs of different groups whose prefixes overlap, in the order of `extents`; at most one for each that comes second. */
export function clashes(extents: readonly Extent[]): readonly (readonly [first: Extent, second: Extent])[] {
  const found = new Map<Extent, Extent>();
  const order = new Map(extents.map((extent, i) => [extent, i]));
  const compare = (a: Extent, b: Extent): number =>
    compareAddresses(networkOf(a.prefix), networkOf(b.prefix)) || a.prefix.length - b.prefix.length;
  const around: Extent[] = [];
  for (const extent of extents.toSorted(compare)) {
    while (around.length > 0 && !contains(around.at(-1)!.prefix, extent.prefix.address)) around.pop();
    const other = around.findLast(({ group }) => group !== extent.group);
    around.push(extent);
    if (other === undefined) continue;
    const [first, second] = order.get(other)! < order.get(extent)! ? [other, extent] : [extent, other];
    if (!found.has(second)) found.set(second, first);
  }
  return [...found].map(([second, first]) => [first, second]);
}
