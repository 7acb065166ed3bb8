/**
 * What must hold between the parts of a document: names, references, prefixes, peers that cannot be told apart. Virtual networks
 * and the way outside have files of their own.
 *
 * Works on drafts, where a part that could not be read is undefined: its neighbours are checked all the same.
 */
import { contains, familyOf, formatAddress, formatPrefix, parseAddress, sameAddress } from '../ip/index.ts';
import type { ConnectionConfig, InterfaceDocument } from './contract.ts';
import {
  clashes,
  configsOf,
  connectedOf,
  type Draft,
  type Extent,
  networkText,
  overlap,
  ownAddressesOf,
  type Placed,
  readable,
  type TenantDraft,
  unique,
} from './draft.ts';
import type { IssueList } from './issue.ts';
import { checkMtu } from './read-network.ts';
import { checkBgp } from './rules-bgp.ts';
import { checkExternal } from './rules-external.ts';
import { checkOverlay } from './rules-overlay.ts';
import type { GatewayShape, RouteShape } from './schema.ts';
import { weakness } from './secrets.ts';
import type { Path } from './source.ts';
import { nearest } from './suggestion.ts';

export function checkRules(draft: Draft, issues: IssueList): void {
  const { gateway, tenants } = draft;
  if (gateway !== undefined) checkGateway(gateway, issues);
  unique(
    tenants,
    (tenant) => tenant.name,
    'name',
    (name) => `tenant ${name} stands here a second time`,
    issues,
  );
  unique(
    tenants,
    (tenant) => tenant.rdid,
    'rdid',
    () => 'another tenant has this RDID',
    issues,
  );
  for (const { value: tenant } of tenants) checkTenant(tenant, gateway, issues);
  checkDevices(draft, issues);
  checkHostRoutes(tenants, issues);
  checkPeers(tenants, issues);
  checkOverlay(draft, issues);
  checkExternal(draft, issues);
}

function checkGateway(gateway: GatewayShape, issues: IssueList): void {
  const { addresses, ports } = gateway.external;
  for (const [i, address] of addresses.entries()) {
    if (addresses.findIndex((other) => sameAddress(other, address)) < i) {
      issues.error(['gateway', 'external', 'addresses', i], `${formatAddress(address)} stands here a second time`);
    }
  }
  if (ports.ike === ports.natt) {
    issues.error(['gateway', 'external', 'ports'], 'ike and natt must differ: the second carries ESP (RFC 3948 §2.2)');
  }
  if (gateway.keyLog !== undefined) {
    issues.warning(['gateway', 'keyLog'], 'whoever reads this folder reads all traffic: for debugging only', 'key');
  }
}

function checkTenant(tenant: TenantDraft, gateway: GatewayShape | undefined, issues: IssueList): void {
  const both: readonly Placed<{ readonly name: string | undefined }>[] = [...tenant.interfaces, ...tenant.connections];
  unique(
    both,
    (entry) => entry.name,
    'name',
    (name) => `${name} stands here a second time in this tenant`,
    issues,
  );
  checkBgp(tenant, issues);
  checkAddresses(tenant, issues);
  for (const { path, value } of tenant.interfaces) {
    if (value.config === undefined) continue;
    checkMtu(value.config.mtu, value.config.addresses, path, issues);
    checkHostAddresses(value.config, path, issues);
  }
  unique(
    tenant.routes,
    (route) => route && `${formatPrefix(route.prefix)} ${route.discard ? 'discarded' : `by ${route.via}`}`,
    'prefix',
    (text, first) => `${text} stands here a second time (${issues.line(first)})`,
    issues,
  );
  for (const { path, value } of tenant.routes) if (value !== undefined) checkRoute(value, path, tenant, issues);
  for (const { path, value } of tenant.connections) {
    if (value.config !== undefined) checkConnection(value.config, path, gateway, issues);
  }
}

/** Connected prefixes of a tenant are apart, but for those of one interface; a subnet shares with nobody. */
function checkAddresses(tenant: TenantDraft, issues: IssueList): void {
  const seen = new Set<string>();
  const extents: Extent[] = [];
  for (const { path, value } of tenant.interfaces) {
    for (const [i, prefix] of (value.config?.addresses ?? []).entries()) {
      const at = [...path, 'addresses', i];
      const address = formatAddress(prefix.address);
      if (seen.has(address)) issues.error(at, `${address} stands here a second time in this tenant`);
      else extents.push({ prefix, owner: value.name ?? '', group: value.name ?? '', path: at });
      seen.add(address);
    }
  }
  for (const { path, value } of readable(tenant.subnets)) {
    extents.push({ prefix: value.prefix, owner: `VSID ${value.vsid}`, group: value, path: [...path, 'prefix'] });
  }
  for (const [first, second] of clashes(extents)) {
    const [here, there] = [networkText(second.prefix), `${networkText(first.prefix)} of ${first.owner}`];
    const text = `${here} and ${there} (${issues.line(first.path)}) overlap: no one could tell where to send`;
    issues.error(second.path, text);
  }
}

/** The host is a neighbour of the compartment on the device between them. */
function checkHostAddresses({ addresses, hostAddresses }: InterfaceDocument, path: Path, issues: IssueList): void {
  for (const [i, { address }] of hostAddresses.entries()) {
    const at = [...path, 'hostAddresses', i];
    if (addresses.some((own) => sameAddress(own.address, address))) {
      const text = `${formatAddress(address)} is the gateway's own: the host needs another of that prefix`;
      issues.error(at, text);
    } else if (!addresses.some((own) => contains(own, address))) {
      issues.warning(
        at,
        `${formatAddress(address)} is in no prefix of this interface's addresses: nothing comes back to it`,
      );
    }
  }
}

function checkRoute(route: RouteShape, path: Path, tenant: TenantDraft, issues: IssueList): void {
  const { via } = route;
  if (via === undefined) {
    if (!route.discard) issues.error([...path, 'via'], 'is needed, or discard: true');
    return;
  }
  const at = [...path, 'via'];
  if (route.discard) {
    issues.error([...path, 'discard'], 'a route that discards has no way: leave via out');
    return;
  }
  if (tenant.interfaces.some(({ value }) => value.name === via)) return;
  const nextHop = parseAddress(via);
  if (nextHop === undefined) {
    if (tenant.connections.some(({ value }) => value.name === via)) {
      issues.error(at, `${via} is a connection: put the prefix into its own routes`);
      return;
    }
    const names = tenant.interfaces.flatMap(({ value }) => value.name ?? []);
    const near = nearest(via, names);
    const known = names.length === 0 ? 'this tenant has none' : `known: ${names.join(', ')}`;
    const hint = near === undefined ? known : `did you mean ${near}?`;
    issues.error(at, `${JSON.stringify(via)} is neither an interface of this tenant nor an address; ${hint}`);
    return;
  }
  if (familyOf(nextHop) !== familyOf(route.prefix.address)) {
    issues.error(at, `${via} is not of the family of ${formatPrefix(route.prefix)}`);
    return;
  }
  const unread =
    tenant.interfaces.some(({ value }) => value.config === undefined) ||
    tenant.subnets.some(({ value }) => value === undefined);
  if (!unread && !connectedOf(tenant).some((prefix) => contains(prefix, nextHop))) {
    issues.error(at, `${via} is on no interface and in no subnet of this tenant`);
  } else if (ownAddressesOf(tenant).some((address) => sameAddress(address, nextHop))) {
    issues.error(at, `${via} is the gateway's own address`);
  }
}

function checkConnection(c: ConnectionConfig, path: Path, gateway: GatewayShape | undefined, issues: IssueList): void {
  const addresses = gateway?.external.addresses;
  const remote = c.remote.address;
  if (addresses !== undefined && !addresses.some((address) => sameAddress(address, c.local.address))) {
    const known = addresses.map(formatAddress).join(', ');
    issues.error(
      [...path, 'local', 'address'],
      `${formatAddress(c.local.address)} is not in gateway.external.addresses (${known})`,
    );
  } else if (remote !== undefined && familyOf(remote) !== familyOf(c.local.address)) {
    issues.error(
      [...path, 'remote', 'address'],
      `${formatAddress(remote)} is not of the family of ${formatAddress(c.local.address)}`,
    );
  } else if (remote !== undefined && addresses?.some((address) => sameAddress(address, remote))) {
    const ports = gateway?.external.ports;
    if (c.remote.port === ports?.ike) issues.error([...path, 'remote', 'address'], 'is this gateway itself');
  }
  if (remote === undefined && c.start !== 'listen') {
    issues.error([...path, 'start'], `${c.start} needs to know the remote address: only listen goes with any`);
  }
  checkSelectors(c, path, issues);
  checkConnectionRoutes(c, path, issues);
  checkMtu(
    c.mtu,
    c.child.remote.map((selector) => selector.prefix),
    path,
    issues,
  );
  if (c.child.replayWindow === 0) {
    const at = [...path, 'child', 'replayWindow'];
    if (c.child.esn !== 'never') issues.error(at, '0 needs esn: never (RFC 4303 §3.3.3)');
    else issues.warning(at, 'packets can be replayed');
  }
  if (c.legacy) issues.warning([...path, 'legacy'], 'algorithms that no longer protect are allowed', 'key');
  if (c.psk.from === 'inline') {
    const at = [...path, 'auth', 'psk'];
    issues.warning(at, 'the secret stands in the document: better file, env or credential', 'key');
    const weak = weakness(c.psk.value);
    if (weak !== undefined) issues.warning(at, weak, 'key');
  }
}

/** A selector none of the other side's family could ever match a packet (RFC 7296 §2.9 takes both ends from one packet). */
function checkSelectors(c: ConnectionConfig, path: Path, issues: IssueList): void {
  for (const [side, other] of [
    ['local', 'remote'],
    ['remote', 'local'],
  ] as const) {
    for (const [i, selector] of c.child[side].entries()) {
      const family = familyOf(selector.prefix.address);
      if (!c.child[other].some((facing) => familyOf(facing.prefix.address) === family)) {
        issues.error(
          [...path, 'child', side, i],
          `is IPv${family}, but child.${other} has no IPv${family} selector to go with it`,
        );
      }
    }
  }
}

function checkConnectionRoutes(c: ConnectionConfig, path: Path, issues: IssueList): void {
  for (const [i, route] of c.routes.entries()) {
    if (!c.child.remote.some(({ prefix }) => overlap(prefix, route))) {
      issues.warning([...path, 'routes', i], `no selector of child.remote admits packets to ${formatPrefix(route)}`);
    }
  }
}

function checkDevices({ external, tenants }: Draft, issues: IssueList): void {
  const all: readonly Placed<{ readonly device: string } | undefined>[] = [
    ...(external === undefined ? [] : [external]),
    ...tenants.flatMap(({ value }) => [...configsOf(value.interfaces), ...configsOf(value.vms)]),
  ];
  const message = (name: string, first: Path): string =>
    `device ${name} belongs to another interface (${issues.line(first)})`;
  unique(all, (owner) => owner?.device || undefined, 'device', message, issues);
}

/** The host has one routing table: a prefix behind two tenants can only lead into one of them. */
function checkHostRoutes(tenants: readonly Placed<TenantDraft>[], issues: IssueList): void {
  const seen = new Map<string, string>();
  for (const { value: tenant } of tenants) {
    for (const { path, value } of tenant.interfaces) {
      if (value.config?.hostRoutes !== 'auto' || value.config.driver === 'fabric') continue;
      const reached = tenant.connections.flatMap(({ value: connection }) => connection.config?.routes ?? []);
      const clash = reached.map(formatPrefix).find((text) => (seen.get(text) ?? tenant.name) !== tenant.name);
      if (clash !== undefined) {
        const text = `the host can route ${clash} to one tenant only, and ${seen.get(clash)} has it: set hostRoutes: none`;
        issues.warning(path, text);
      }
      for (const prefix of reached)
        if (!seen.has(formatPrefix(prefix))) seen.set(formatPrefix(prefix), tenant.name ?? '');
    }
  }
}

/** A responder finds the connection by addresses and identities (RFC 7296 §2.15): two alike cannot be told apart. */
function checkPeers(tenants: readonly Placed<TenantDraft>[], issues: IssueList): void {
  const seen = new Map<string, { readonly label: string; readonly listens: boolean }>();
  for (const { value: tenant } of tenants) {
    for (const { path, value } of tenant.connections) {
      const c = value.config;
      if (c === undefined) continue;
      const remote = c.remote.address === undefined ? 'any' : formatAddress(c.remote.address);
      const key = [formatAddress(c.local.address), remote, c.local.id, c.remote.id].join(' ');
      const first = seen.get(key);
      const listens = c.start === 'listen';
      if (first === undefined) {
        seen.set(key, { label: `${tenant.name}/${c.name}`, listens });
      } else if (listens || first.listens) {
        issues.error(
          path,
          `same addresses and identities as ${first.label}: a peer that comes cannot be told apart; give them ids`,
        );
      } else {
        issues.warning(
          path,
          `same addresses and identities as ${first.label}: when the peer opens, the first one answers; give them ids`,
        );
      }
    }
  }
}
