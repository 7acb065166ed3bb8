/** What must hold between a BGP router and the compartment it is in: identifier, own addresses, peers that differ. */
import { u32 } from '../core/index.ts';
import { type Address, familyOf, formatAddress, formatPrefix, sameAddress } from '../ip/index.ts';
import type { AggregateConfig, BgpPeerConfig } from './contract-bgp.ts';
import {
  ADD_INTERFACE,
  type BgpDraft,
  configsOf,
  type Draft,
  externalAddressesOf,
  ownAddressesOf,
  type Perhaps,
  type Placed,
  type TenantDraft,
  unique,
} from './draft.ts';
import type { IssueList } from './issue.ts';
import { isExternal } from './own-as.ts';
import { formatRange, inRange } from './range.ts';
import { weakness } from './secrets.ts';
import type { Path } from './source.ts';

/** What is written, or the first own IPv4 address. */
export function routerIdOf({ routerId }: BgpDraft, own: readonly Address[]): number | undefined {
  const first = own.find((address) => familyOf(address) === 4);
  return routerId ?? (first && u32(first, 0));
}

/** Whose router it is, for people, and where its addresses come from. */
interface Speaking {
  readonly whose: string;
  readonly has: string;
}

export function checkBgp(tenant: TenantDraft, issues: IssueList): void {
  checkRouter(tenant.bgp, ownAddressesOf(tenant), { whose: 'tenant', has: 'an interface or a subnet' }, issues);
}

/** Of the external network: no peer is where tenants are. */
export function checkExternalBgp(draft: Draft, issues: IssueList): void {
  const { bgp, external, pool } = draft;
  if (draft.gateway === undefined || bgp === undefined) return;
  if (external === undefined) return issues.error(bgp.path, ADD_INTERFACE, 'key');
  if (external.value === undefined) return;
  const speaking = { whose: 'external interface', has: 'addresses of gateway.external.interface' };
  checkRouter(bgp, externalAddressesOf(draft), speaking, issues);
  for (const { path, value } of configsOf(bgp.value?.peers ?? [])) {
    const { address } = value;
    const range = pool?.find((each) => inRange(each.value, address));
    if (range === undefined) continue;
    const there = `${formatRange(range.value)} of gateway.external.pool (${issues.line(range.path)})`;
    issues.error([...path, 'address'], `${formatAddress(address)} is in ${there}: those are the tenants'`);
  }
}

function checkRouter(
  bgp: Perhaps<BgpDraft>,
  own: readonly Address[],
  { whose, has }: Speaking,
  issues: IssueList,
): void {
  if (bgp?.value === undefined) return;
  const { asn, aggregates, peers } = bgp.value;
  checkAggregates(aggregates, [...bgp.path, 'aggregates'], issues);
  if (routerIdOf(bgp.value, own) === undefined) {
    issues.error([...bgp.path, 'routerId'], `is needed where the ${whose} has no IPv4 address of its own`);
  }
  if (own.length === 0) issues.error(bgp.path, `needs an address of its own to speak from: ${has}`, 'key');
  unique(
    peers,
    (peer) => peer.name,
    'name',
    (name) => `peer ${name} stands here a second time${whose === 'tenant' ? ' in this tenant' : ''}`,
    issues,
  );
  unique(
    peers,
    (peer) => peer.config && formatAddress(peer.config.address),
    'address',
    (address, first) => `${address} is a peer already (${issues.line(first)})`,
    issues,
  );
  checkReflection(bgp.value, bgp.path, issues);
  for (const peer of configsOf(peers)) checkPeer(peer, asn, own, whose, issues);
}

/** RFC 4456: a reflector is one by its clients. */
function checkReflection({ clusterId, clientToClient, peers }: BgpDraft, path: Path, issues: IssueList): void {
  if (configsOf(peers).some(({ value }) => value.routeReflectorClient)) return;
  const key = clusterId !== undefined ? 'clusterId' : clientToClient ? undefined : 'clientToClient';
  if (key === undefined) return;
  issues.warning([...path, key], 'means nothing yet: no peer is a routeReflectorClient (RFC 4456)');
}

function checkAggregates(aggregates: readonly AggregateConfig[], path: Path, issues: IssueList): void {
  const known = new Set<string>();
  for (const [i, { prefix, asSet, set }] of aggregates.entries()) {
    const text = formatPrefix(prefix);
    if (prefix.length === prefix.address.length * 8)
      issues.error([...path, i, 'prefix'], `nothing is more specific than ${text}: no route contributes`);
    if (known.has(text)) issues.error([...path, i, 'prefix'], `${text} is an aggregate already`);
    known.add(text);
    const { nextHop } = set;
    if (nextHop instanceof Uint8Array && nextHop.length !== prefix.address.length)
      issues.error([...path, i, 'set', 'nextHop'], `${formatAddress(nextHop)} is not of the family of ${text}`);
    if (asSet) issues.warning([...path, i, 'asSet'], 'RFC 9774: others may refuse a route with an AS_SET');
  }
}

function checkPeer(
  { path, value }: Placed<BgpPeerConfig>,
  asn: number,
  own: readonly Address[],
  whose: string,
  issues: IssueList,
): void {
  const { address, localAddress, md5 } = value;
  const external = isExternal({ asn }, value);
  if (own.some((each) => sameAddress(each, address))) {
    issues.error([...path, 'address'], `${formatAddress(address)} is the ${whose}'s own: a router is not its own peer`);
  }
  if (localAddress !== undefined && !own.some((each) => sameAddress(each, localAddress))) {
    issues.error([...path, 'localAddress'], `${formatAddress(localAddress)} is not an address of this ${whose}`);
  } else if (!own.some((each) => each.length === address.length)) {
    issues.error([...path, 'address'], `the ${whose} has no address of the family of ${formatAddress(address)}`);
  }
  if (value.localAs === asn) {
    issues.warning([...path, 'localAs'], `AS ${asn} is what the peer is shown anyway`);
  } else if (value.localAs !== undefined && value.asn === asn) {
    issues.error([...path, 'localAs'], `the peer is of AS ${asn} itself: what it says is a loop (RFC 4271 §9.1.2)`);
  }
  if (external && value.routeReflectorClient) {
    issues.error(
      [...path, 'routeReflectorClient'],
      `AS ${value.asn} is another AS: reflection is within one (RFC 4456)`,
    );
  }
  if (!external && value.nextHop === 'unchanged') {
    issues.warning([...path, 'nextHop'], 'unchanged is what an internal peer gets anyway (RFC 4271 §5.1.3)');
  }
  for (const key of ['import', 'export'] as const) {
    if (!external || value[key] !== undefined) continue;
    issues.warning(path, `no ${key}: nothing passes an external peer without a policy (RFC 8212); all lets all pass`);
  }
  if (md5?.from !== 'inline') return;
  const weak = weakness(md5.value);
  issues.warning([...path, 'md5'], 'the secret stands in the document: better file, env or credential', 'key');
  if (weak !== undefined) issues.warning([...path, 'md5'], weak, 'key');
}
