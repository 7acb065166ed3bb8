/**
 * What must hold on the way outside: the external interface, the pool, NAT and direct routing. Outside there is one routing
 * table, so that what one tenant is there no other can be.
 */
import {
  type Address,
  contains,
  formatAddress,
  formatPrefix,
  lastOf,
  networkOf,
  type Prefix,
  sameAddress,
} from '../ip/index.ts';
import type { NatConfig } from './contract.ts';
import {
  ADD_INTERFACE,
  clashes,
  configsOf,
  connectedOf,
  type Draft,
  type Extent,
  networkText,
  ownAddressesOf,
  type Placed,
  POOL_PATH,
  readable,
  type TenantDraft,
  unique,
} from './draft.ts';
import type { IssueList } from './issue.ts';
import { type AddressRange, formatRange, inRange, rangesOverlap, sizeOf } from './range.ts';
import { checkExternalBgp } from './rules-bgp.ts';
import type { Path } from './source.ts';

export function checkExternal(draft: Draft, issues: IssueList): void {
  const { role, pool, tenants } = draft;
  if (role === 'host') return;
  if (pool !== undefined) checkPool(pool, draft, issues);
  for (const { path, value: tenant } of tenants) {
    if (tenant.nat !== undefined) checkNat({ path, value: tenant }, tenant.nat.value, draft, issues);
    if (tenant.direct) checkDirect({ path, value: tenant }, draft, issues);
  }
  checkExternalBgp(draft, issues);
  checkNatAddresses(draft, issues);
  checkDirectPrefixes(draft, issues);
}

/** More than one gateway has tenants by far. */
const POOL_LIMIT = 65536;
/** Each is compared with all others. */
const RANGE_LIMIT = 256;

function checkPool(pool: readonly Placed<AddressRange>[], draft: Draft, issues: IssueList): void {
  if (pool.length > RANGE_LIMIT) return issues.error(POOL_PATH, `has ${pool.length} entries: at most ${RANGE_LIMIT}`);
  const size = pool.reduce((sum, { value }) => sum + sizeOf(value), 0);
  if (size > POOL_LIMIT) issues.error(POOL_PATH, `has ${size} addresses: at most ${POOL_LIMIT}`);
  const reserved = reservedOf(draft, issues);
  for (const [i, { path, value: range }] of pool.entries()) {
    const other = pool.slice(0, i).find(({ value }) => rangesOverlap(value, range));
    if (other !== undefined) {
      const text = `${formatRange(range)} and ${formatRange(other.value)} (${issues.line(other.path)}) overlap`;
      issues.error(path, text);
    }
    const told = new Set<string>();
    for (const { address, whose } of reserved) {
      const text = formatAddress(address);
      if (inRange(range, address) && !told.has(text)) issues.error(path, `contains ${text}, ${whose}`);
      told.add(text);
    }
  }
}

/** What no tenant can have. */
function reservedOf(
  { gateway, external }: Draft,
  issues: IssueList,
): readonly { readonly address: Address; readonly whose: string }[] {
  const { addresses: own = [], gateways = [] } = external?.value ?? {};
  const at = (...path: Path): string => `(${issues.line(['gateway', 'external', ...path])})`;
  return [
    ...(gateway?.external.addresses ?? []).map((address, i) => ({
      address,
      whose: `one of gateway.external.addresses ${at('addresses', i)}`,
    })),
    ...own.map(({ address }, i) => ({ address, whose: `the interface's own ${at('interface', 'addresses', i)}` })),
    ...gateways.map((address) => ({ address, whose: `the next hop ${at('interface', 'gateway')}` })),
    ...own.flatMap((prefix, i) => {
      if (prefix.address.length !== 4 || prefix.length > 30) return [];
      const of = `${networkText(prefix)} ${at('interface', 'addresses', i)}`;
      return [
        { address: networkOf(prefix), whose: `the network's own address of ${of}` },
        { address: lastOf(prefix), whose: `the broadcast address of ${of}` },
      ];
    }),
  ];
}

function checkNat(
  { path, value: tenant }: Placed<TenantDraft>,
  nat: NatConfig | undefined,
  { gateway, external, pool }: Draft,
  issues: IssueList,
): void {
  const at = [...path, 'nat'];
  if (gateway !== undefined && external === undefined) issues.error(at, ADD_INTERFACE, 'key');
  if (gateway !== undefined && pool?.length === 0) {
    issues.error(
      at,
      'needs gateway.external.pool, from which each tenant gets an address: 203.0.113.50-203.0.113.99',
      'key',
    );
  }
  if (nat === undefined) return;
  const { address } = nat;
  if (address !== 'auto' && pool !== undefined && pool.length > 0) {
    if (!pool.some(({ value }) => inRange(value, address))) {
      const known = pool.map(({ value }) => formatRange(value)).join(', ');
      issues.error([...at, 'address'], `${formatAddress(address)} is not in gateway.external.pool (${known})`);
    }
  }
  const rules = nat.rules.map((value, i) => ({ path: [...at, 'rules', i], value }));
  unique(
    rules,
    ({ protocol, externalPort }) => `${protocol} port ${externalPort}`,
    'externalPort',
    (text, first) => `${text} is taken (${issues.line(first)})`,
    issues,
  );
  const inside = insideOf(tenant);
  const own = ownAddressesOf(tenant);
  for (const { path: rule, value } of rules) {
    const text = formatAddress(value.to.address);
    if (own.some((mine) => sameAddress(mine, value.to.address))) {
      issues.error([...rule, 'to'], `${text} is the gateway's own address: nothing listens there`);
    } else if (inside !== undefined && !inside.some((prefix) => contains(prefix, value.to.address))) {
      issues.warning([...rule, 'to'], `${text} is in no subnet, interface prefix or route of this tenant`);
    }
  }
}

/** What lies inside a tenant; undefined: a part could not be read. */
function insideOf(tenant: TenantDraft): readonly Prefix[] | undefined {
  const { interfaces, connections, subnets, routes, customerRoutes } = tenant;
  const unread =
    [...interfaces, ...connections].some(({ value }) => value.config === undefined) ||
    [...subnets, ...routes, ...customerRoutes].some(({ value }) => value === undefined);
  if (unread) return undefined;
  return [
    ...connectedOf(tenant),
    ...readable(routes).flatMap(({ value }) => (value.discard ? [] : [value.prefix])),
    ...readable(customerRoutes).map(({ value }) => value.prefix),
    ...configsOf(connections).flatMap(({ value }) => value.routes),
  ];
}

function checkNatAddresses({ pool, tenants }: Draft, issues: IssueList): void {
  const owners = new Map<string, { readonly name: string | undefined; readonly path: Path }>();
  let automatic = 0;
  for (const { path, value: tenant } of tenants) {
    const address = tenant.nat?.value?.address;
    if (address === 'auto') automatic += 1;
    if (address === undefined || address === 'auto') continue;
    const at = [...path, 'nat', 'address'];
    const text = formatAddress(address);
    const owner = owners.get(text);
    if (owner === undefined) owners.set(text, { name: tenant.name, path: at });
    else {
      const there = `${text} is ${owner.name}'s (${issues.line(owner.path)})`;
      issues.error(at, `${there}: each tenant has an address of its own`);
    }
  }
  if (pool === undefined || pool.length === 0) return;
  const chosen = tenants.flatMap(({ value }) => value.nat?.value?.address ?? []).filter((a) => a !== 'auto');
  const taken = new Set(chosen.filter((a) => pool.some(({ value }) => inRange(value, a))).map(formatAddress)).size;
  const free = pool.reduce((sum, { value }) => sum + sizeOf(value), 0) - taken;
  if (free >= automatic) return;
  const wanted = `${automatic} ${automatic === 1 ? 'tenant wants' : 'tenants want'} one`;
  const text = `has ${free} free ${free === 1 ? 'address' : 'addresses'}, and ${wanted}: ${automatic - free} more needed`;
  issues.error(POOL_PATH, text);
}

function checkDirect({ path, value: tenant }: Placed<TenantDraft>, draft: Draft, issues: IssueList): void {
  const at = [...path, 'direct'];
  if (draft.gateway !== undefined && draft.external === undefined) issues.error(at, ADD_INTERFACE, 'key');
  if (tenant.nat === undefined) return;
  const nat = issues.line([...path, 'nat'], 'key');
  issues.error(at, `goes without translation, and nat (${nat}) translates: one of the two`, 'key');
}

function checkDirectPrefixes({ gateway, external, pool, bgp, tenants }: Draft, issues: IssueList): void {
  const own = external?.value?.addresses ?? [];
  const extents: Extent[] = [
    ...own.map((prefix, i) => ({
      prefix,
      owner: 'the external interface',
      group: undefined,
      path: ['gateway', 'external', 'interface', 'addresses', i],
    })),
    ...(gateway?.external.addresses ?? []).map((address, i) => ({
      prefix: { address, length: address.length * 8 },
      owner: 'gateway.external.addresses',
      group: undefined,
      path: ['gateway', 'external', 'addresses', i],
    })),
    ...tenants.filter(({ value }) => value.direct).flatMap(({ value }) => outsideOf(value)),
  ];
  for (const [first, second] of clashes(extents)) {
    const [here, there] = [networkText(second.prefix), `${networkText(first.prefix)} of ${first.owner}`];
    const text = `${here} and ${there} (${issues.line(first.path)}) overlap: routed directly, they are in one table`;
    issues.error(second.path, text);
  }
  const peers = configsOf(bgp?.value?.peers ?? []);
  for (const { prefix, owner, group, path } of extents) {
    if (group === undefined) continue;
    for (const { path: peer, value } of peers) {
      if (!contains(prefix, value.address)) continue;
      const there = `${networkText(prefix)} of ${owner} (${issues.line(path)})`;
      issues.error([...peer, 'address'], `${formatAddress(value.address)} is in ${there}, and no router outside`);
    }
    const whole = { first: networkOf(prefix), last: lastOf(prefix) };
    const clash = prefix.address.length === 4 ? pool?.find(({ value }) => rangesOverlap(value, whole)) : undefined;
    if (clash === undefined) continue;
    const there = `${formatRange(clash.value)} of gateway.external.pool (${issues.line(clash.path)})`;
    issues.error(path, `${formatPrefix({ ...prefix, address: whole.first })} and ${there} overlap`);
  }
}

/** What a directly routed tenant is outside: its subnets, what its interfaces are connected to, and its routes but the default. */
function outsideOf(tenant: TenantDraft): readonly Extent[] {
  const common = { owner: tenant.name ?? '', group: tenant };
  return [
    ...readable(tenant.subnets).map(({ path, value }) => ({
      ...common,
      prefix: value.prefix,
      path: [...path, 'prefix'],
    })),
    ...configsOf(tenant.interfaces).flatMap(({ path, value }) =>
      value.addresses.map((prefix, i) => ({ ...common, prefix, path: [...path, 'addresses', i] })),
    ),
    ...[...readable(tenant.routes), ...readable(tenant.customerRoutes)]
      .filter(({ value }) => value.prefix.length > 0)
      .map(({ path, value }) => ({ ...common, prefix: value.prefix, path: [...path, 'prefix'] })),
  ];
}
