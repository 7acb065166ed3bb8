/**
 * What changed between two documents, in the units a reload acts on. What is not named here stays untouched.
 *
 * Units are compared by their kind, tenant and name. Routes, customer routes and lookup records are each one unit of a tenant,
 * a set whose order says nothing and whose fields are its entries.
 * Limit: a secret behind an unchanged reference is not compared; whoever resolves it knows.
 */
import { sameBytes } from '../core/index.ts';
import { formatAddress, formatEndpoint, formatPrefix } from '../ip/index.ts';
import {
  type CustomerRoute,
  DEFAULT_COMPARTMENT,
  type Document,
  type HostTenantConfig,
  type LookupConfig,
  type NatConfig,
  type SecretReference,
  type StaticRoute,
  type SubnetConfig,
  type TenantConfig,
} from './contract.ts';
import type { BgpConfig } from './contract-bgp.ts';
import { networkText } from './draft.ts';
import { formatPath } from './issue.ts';
import { formatMac } from './mac.ts';
import {
  type Plain,
  plainConnection,
  plainExternalInterface,
  plainGateway,
  plainInterface,
  plainMac,
  plainNat,
  plainUnderlay,
  plainVm,
} from './plain.ts';
import { plainBgpPeer, plainBgpRouter } from './plain-bgp.ts';
import { formatRange } from './range.ts';

export type ChangeKind =
  /** The section but for what follows, and `bgp`. */
  | 'gateway'
  /** The section but for `underlay`. */
  | 'host'
  | 'api'
  /** `gateway.external.interface`. */
  | 'external'
  /** `gateway.external.pool`. */
  | 'pool'
  /** Of the gateway or the host. */
  | 'underlay'
  /** Its `rdid` and `direct`. */
  | 'tenant'
  | 'interface'
  /** By VSID. */
  | 'subnet'
  | 'lookup'
  | 'customerRoutes'
  | 'nat'
  | 'routes'
  | 'connection'
  /** Without its peers; that of compartment 1 is `default`'s. */
  | 'bgp'
  | 'bgp peer'
  | 'vm';

export interface Change {
  readonly what: 'added' | 'removed' | 'changed';
  readonly kind: ChangeKind;
  readonly tenant?: string;
  /** Of the interface, connection or VM; the VSID of a subnet. */
  readonly name?: string;
  /** What differs inside, for `changed`; values are written as in the document. */
  readonly fields: readonly FieldChange[];
  /** A running gateway cannot take this over. */
  readonly needsRestart: boolean;
}

export interface FieldChange {
  /** `child.proposals[1]`; the prefix of a route, VSID and address of a lookup record. */
  readonly path: string;
  /** Undefined: not there. */
  readonly before: string | undefined;
  readonly after: string | undefined;
}

export function diffDocuments(before: Document, after: Document): readonly Change[] {
  const changes = changesOf(globalUnits(before), globalUnits(after));
  if (before.role !== after.role) {
    for (const tenant of before.tenants) changes.push(...changesOf(tenantUnits(tenant), []));
    for (const tenant of after.tenants) changes.push(...changesOf([], tenantUnits(tenant)));
    return changes;
  }
  const tenants = pairs<TenantConfig | HostTenantConfig>(before.tenants, after.tenants, ({ name }) => name);
  return [
    ...changes,
    ...tenants.flatMap(([old, now]) => changesOf(old ? tenantUnits(old) : [], now ? tenantUnits(now) : [])),
  ];
}

/** `~ connection fabrikam/hq: dpdSeconds 30 → 10`; one line for each thing added or removed and for each field. */
export function formatChanges(changes: readonly Change[]): string[] {
  return changes.flatMap((change) => {
    const name = [change.tenant, change.name].filter((part) => part !== undefined).join('/');
    const label = name === '' ? change.kind : `${change.kind} ${name}`;
    const note = change.needsRestart ? ' (needs a restart)' : '';
    if (change.what !== 'changed') return [`${change.what === 'added' ? '+' : '-'} ${label}${note}`];
    return change.fields.map(({ path, before, after }) => {
      const values =
        before === undefined ? `added ${after}` : after === undefined ? `removed ${before}` : `${before} → ${after}`;
      return `~ ${label}: ${path} ${values}${note}`;
    });
  });
}

interface Unit {
  readonly kind: ChangeKind;
  readonly tenant?: string;
  readonly name?: string;
  readonly plain: Plain;
  /** Entries that are there or not; an empty set is as good as none. */
  readonly isSet?: true;
  /** With its path in the unit. */
  readonly secret?: readonly [path: string, reference: SecretReference | undefined];
}

function globalUnits(document: Document): readonly Unit[] {
  const api: Unit = { kind: 'api', plain: { listen: document.api?.listen ?? 'none' } };
  if (document.role === 'host') {
    const { name, underlay } = document.host;
    return [{ kind: 'host', plain: { name } }, { kind: 'underlay', plain: plainUnderlay(underlay) }, api];
  }
  const { external, underlay } = document.gateway;
  const { interface: outside, pool, bgp } = external;
  const apart = { interface: undefined, pool: [], bgp: undefined };
  const rest = { ...document.gateway, underlay: undefined, external: { ...external, ...apart } };
  return [
    { kind: 'gateway', plain: plainGateway(rest) },
    ...(outside === undefined ? [] : [{ kind: 'external', plain: plainExternalInterface(outside) } as const]),
    { kind: 'pool', plain: pool.length === 0 ? {} : { addresses: pool.map(formatRange).join(', ') }, isSet: true },
    ...(bgp === undefined ? [] : bgpUnits(DEFAULT_COMPARTMENT, bgp)),
    ...(underlay === undefined ? [] : [{ kind: 'underlay', plain: plainUnderlay(underlay) } as const]),
    api,
  ];
}

function tenantUnits(config: TenantConfig | HostTenantConfig): readonly Unit[] {
  const tenant = config.name;
  const rdid: Record<string, Plain> = config.rdid === undefined ? {} : { rdid: config.rdid };
  const policy: readonly Unit[] = [
    { kind: 'lookup', tenant, plain: entries(config.lookup.map(recordEntry)), isSet: true },
    { kind: 'customerRoutes', tenant, plain: routeEntries(config.customerRoutes.map(customerRouteEntry)), isSet: true },
  ];
  const subnet = (vsid: number, plain: Plain): Unit => ({ kind: 'subnet', tenant, name: String(vsid), plain });
  if ('vms' in config) {
    return [
      { kind: 'tenant', tenant, plain: rdid },
      ...config.subnets.map(({ vsid, prefixes }) => subnet(vsid, { prefixes: prefixes.map(formatPrefix) })),
      ...policy,
      ...config.vms.map((vm): Unit => ({ kind: 'vm', tenant, name: vm.name, plain: plainVm(vm) })),
    ];
  }
  return [
    { kind: 'tenant', tenant, plain: { ...rdid, direct: config.direct } },
    ...config.interfaces.map((i): Unit => ({ kind: 'interface', tenant, name: i.name, plain: plainInterface(i) })),
    ...config.subnets.map((s) => subnet(s.vsid, subnetEntries(s))),
    ...policy,
    ...(config.nat === undefined ? [] : [{ kind: 'nat', tenant, plain: natEntries(config.nat) } as const]),
    { kind: 'routes', tenant, plain: routeEntries(config.routes.map(staticRouteEntry)), isSet: true },
    ...config.connections.map(
      (c): Unit => ({
        kind: 'connection',
        tenant,
        name: c.name,
        plain: plainConnection(c),
        secret: ['auth.psk', c.psk],
      }),
    ),
    ...(config.bgp === undefined ? [] : bgpUnits(tenant, config.bgp)),
  ];
}

const bgpUnits = (tenant: string, bgp: BgpConfig): readonly Unit[] => [
  { kind: 'bgp', tenant, plain: plainBgpRouter(bgp) },
  ...bgp.peers.map(
    (p): Unit => ({ kind: 'bgp peer', tenant, name: p.name, plain: plainBgpPeer(p), secret: ['md5', p.md5] }),
  ),
];

const entries = (list: readonly (readonly [string, Plain])[]): Plain => Object.fromEntries(list);

/** Several ways for one prefix are one entry: what the prefix leads to. */
function routeEntries(list: readonly (readonly [prefix: string, way: string])[]): Plain {
  const ways = new Map<string, string[]>();
  for (const [prefix, way] of list) ways.set(prefix, [...(ways.get(prefix) ?? []), way]);
  return entries([...ways].map(([prefix, all]) => [prefix, all.sort().join(', ')]));
}

const metricText = (metric: number): string => (metric === 0 ? '' : ` metric ${metric}`);

const staticRouteEntry = ({ prefix, via, metric }: StaticRoute): readonly [string, string] => [
  formatPrefix(prefix),
  `${'discard' in via ? 'discarded' : 'interface' in via ? via.interface : formatAddress(via.nextHop)}${metricText(metric)}`,
];

const customerRouteEntry = ({ prefix, nextHop, metric }: CustomerRoute): readonly [string, string] => [
  formatPrefix(prefix),
  `${formatAddress(nextHop)}${metricText(metric)}`,
];

/** A record is known by its CA, one without by its type and MAC. */
const recordEntry = ({ vsid, ca, mac, pa, type }: LookupConfig): readonly [string, string] =>
  ca === undefined
    ? [`${vsid} ${type} ${formatMac(mac)}`, formatAddress(pa)]
    : [`${vsid} ${formatAddress(ca)}`, `${formatMac(mac)} ${formatAddress(pa)}`];

/** The gateway's address in each prefix. */
const subnetEntries = ({ addresses, mac }: SubnetConfig): Plain =>
  entries([['mac', plainMac(mac)], ...addresses.map((own) => [networkText(own), formatAddress(own.address)] as const)]);

/** Rules by what they are reached by. */
function natEntries(nat: NatConfig): Plain {
  const rules = nat.rules.map(({ protocol, externalPort, to }): readonly [string, Plain] => [
    `${protocol}-${externalPort}`,
    formatEndpoint(to),
  ]);
  return { ...(plainNat(nat) as Record<string, Plain>), rules: entries(rules) };
}

/** Old and new of the same name; in the order of the old, then what is new. */
function pairs<T>(
  before: readonly T[],
  after: readonly T[],
  nameOf: (entry: T) => string,
): (readonly [T, T | undefined] | readonly [undefined, T])[] {
  const now = new Map(after.map((entry) => [nameOf(entry), entry]));
  const old = new Set(before.map(nameOf));
  return [
    ...before.map((entry): readonly [T, T | undefined] => [entry, now.get(nameOf(entry))]),
    ...after.filter((entry) => !old.has(nameOf(entry))).map((entry): readonly [undefined, T] => [undefined, entry]),
  ];
}

function changesOf(before: readonly Unit[], after: readonly Unit[]): Change[] {
  return pairs(before, after, ({ kind, name }) => `${kind} ${name}`).flatMap(([old, now]) => {
    const unit = (now ?? old)!;
    const what = unit.isSet ? 'changed' : old === undefined ? 'added' : now === undefined ? 'removed' : 'changed';
    const fields = what === 'changed' ? fieldsOf(old, now) : [];
    if (what === 'changed' && fields.length === 0) return [];
    const { kind, tenant, name } = unit;
    const place = { ...(tenant === undefined ? {} : { tenant }), ...(name === undefined ? {} : { name }) };
    return [{ what, kind, ...place, fields, needsRestart: NEEDS_RESTART.has(kind) }];
  });
}

/** They say what the process is. */
const NEEDS_RESTART: ReadonlySet<ChangeKind> = new Set(['gateway', 'host', 'api']);

/** A prefix or a record is its own path, without quotes. */
const pathText = (path: Difference['path']): string => (path.length === 1 ? String(path[0]) : formatPath(path));

function fieldsOf(old: Unit | undefined, now: Unit | undefined): readonly FieldChange[] {
  const inside = differences(old?.plain ?? {}, now?.plain ?? {});
  const fields = inside.map((field) => ({ ...field, path: pathText(field.path) }));
  return [...fields, ...inlineSecret(old?.secret, now?.secret)];
}

interface Difference {
  readonly path: readonly (string | number)[];
  readonly before: string | undefined;
  readonly after: string | undefined;
}

function differences(a: Plain | undefined, b: Plain | undefined, path: Difference['path'] = []): Difference[] {
  if (isTree(a) && isTree(b) && Array.isArray(a) === Array.isArray(b)) {
    const keys = new Set([...Object.keys(a), ...Object.keys(b)]);
    return [...keys].flatMap((key) => {
      const step = Array.isArray(a) ? Number(key) : key;
      return differences((a as Record<string, Plain>)[key], (b as Record<string, Plain>)[key], [...path, step]);
    });
  }
  const [before, after] = [write(a), write(b)];
  return before === after ? [] : [{ path, before, after }];
}

const isTree = (value: Plain | undefined): value is object & Plain => typeof value === 'object';
const write = (value: Plain | undefined): string | undefined =>
  value === undefined ? undefined : typeof value === 'string' ? value : JSON.stringify(value);

function inlineSecret(old: Unit['secret'], now: Unit['secret']): readonly FieldChange[] {
  const [[path = '', a] = [], [, b] = []] = [old, now];
  if (a?.from !== 'inline' || b?.from !== 'inline') return [];
  // A document written by `show` has the printed form in place of the secret: nothing is known of that one.
  const [before, after] = [a.value.reveal(), b.value.reveal()];
  const hidden = new TextEncoder().encode(String(a.value));
  if (sameBytes(before, after) || sameBytes(before, hidden) || sameBytes(after, hidden)) return [];
  return [{ path, before: String(a.value), after: String(b.value) }];
}
