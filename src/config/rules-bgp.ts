/** What must hold between a tenant's BGP router and the rest of the tenant: identifier, own addresses, peers that differ. */
import { u32 } from '../core/index.ts';
import { type Address, familyOf, formatAddress, formatPrefix, sameAddress } from '../ip/index.ts';
import type { AggregateConfig, BgpPeerConfig } from './contract-bgp.ts';
import { type BgpDraft, configsOf, ownAddressesOf, type Placed, type TenantDraft, unique } from './draft.ts';
import type { IssueList } from './issue.ts';
import { weakness } from './secrets.ts';
import type { Path } from './source.ts';

/** What is written, or the first own IPv4 address. */
export function routerIdOf(tenant: TenantDraft): number | undefined {
  const written = tenant.bgp?.value?.routerId;
  if (written !== undefined) return written;
  const own = ownAddressesOf(tenant).find((address) => familyOf(address) === 4);
  return own && u32(own, 0);
}

export function checkBgp(tenant: TenantDraft, issues: IssueList): void {
  const { bgp } = tenant;
  if (bgp?.value === undefined) return;
  const { asn, aggregates, peers } = bgp.value;
  checkAggregates(aggregates, [...bgp.path, 'aggregates'], issues);
  const own = ownAddressesOf(tenant);
  if (routerIdOf(tenant) === undefined) {
    issues.error([...bgp.path, 'routerId'], 'is needed where the tenant has no IPv4 address of its own');
  }
  if (own.length === 0) {
    issues.error(bgp.path, 'needs an address of its own to speak from: an interface or a subnet', 'key');
  }
  unique(
    peers,
    (peer) => peer.name,
    'name',
    (name) => `peer ${name} stands here a second time in this tenant`,
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
  for (const peer of configsOf(peers)) checkPeer(peer, asn, own, issues);
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
  issues: IssueList,
): void {
  const { address, localAddress, md5 } = value;
  const external = value.asn !== asn;
  if (own.some((each) => sameAddress(each, address))) {
    issues.error([...path, 'address'], `${formatAddress(address)} is the tenant's own: a router is not its own peer`);
  }
  if (localAddress !== undefined && !own.some((each) => sameAddress(each, localAddress))) {
    issues.error([...path, 'localAddress'], `${formatAddress(localAddress)} is not an address of this tenant`);
  } else if (!own.some((each) => each.length === address.length)) {
    issues.error([...path, 'address'], `the tenant has no address of the family of ${formatAddress(address)}`);
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
