/** The section `bgp` as plain data in the words of the file. */
import { formatAddress, formatPrefix } from '../ip/index.ts';
import type {
  AsnRange,
  BgpConfig,
  BgpPeerConfig,
  PolicyClause,
  PolicyConfig,
  PolicyEdits,
  PrefixMatch,
} from './contract-bgp.ts';
import { type Plain, plainSecret, present } from './plain.ts';

export const plainBgp = (bgp: BgpConfig): Plain => ({
  ...(plainBgpRouter(bgp) as object),
  peers: bgp.peers.map(plainBgpPeer),
});

/** Without its peers. */
export const plainBgpRouter = (bgp: BgpConfig): Plain => ({
  asn: bgp.asn,
  routerId: formatRouterId(bgp.routerId),
  networks: bgp.networks.map(formatPrefix),
  redistribute: [...bgp.redistribute],
  transit: bgp.transit,
  ...(bgp.clusterId === undefined ? {} : { clusterId: formatRouterId(bgp.clusterId) }),
  clientToClient: bgp.clientToClient,
  maxPaths: bgp.maxPaths,
  aggregates: bgp.aggregates.map(({ prefix, summaryOnly, asSet, set }) => ({
    prefix: formatPrefix(prefix),
    summaryOnly,
    asSet,
    set: plainEdits(set),
  })),
  selectionDeferralSeconds: bgp.selectionDeferralSeconds,
  ...(bgp.dampening === undefined ? {} : { dampening: { ...bgp.dampening } }),
  decision: { ...bgp.decision },
});

export const plainBgpPeer = (peer: BgpPeerConfig): Plain =>
  present({
    name: peer.name,
    address: formatAddress(peer.address),
    asn: peer.asn,
    localAs: peer.localAs,
    localAddress: peer.localAddress && formatAddress(peer.localAddress),
    port: peer.port,
    passive: peer.passive,
    shutdown: peer.shutdown,
    start: peer.start,
    holdSeconds: peer.holdSeconds,
    connectRetrySeconds: peer.connectRetrySeconds,
    idleHoldSeconds: peer.idleHoldSeconds,
    delayOpenSeconds: peer.delayOpenSeconds,
    sendHoldSeconds: peer.sendHoldSeconds,
    advertisementIntervalSeconds: peer.advertisementIntervalSeconds,
    families: [...peer.families],
    ttl: peer.ttl,
    ttlSecurityHops: peer.ttlSecurityHops,
    md5: peer.md5 && plainSecret(peer.md5),
    import: peer.import && plainPolicy(peer.import),
    export: peer.export && plainPolicy(peer.export),
    maxPrefixes: peer.maxPrefixes && { ...peer.maxPrefixes },
    routeReflectorClient: peer.routeReflectorClient,
    nextHop: peer.nextHop,
    defaultOriginate: peer.defaultOriginate,
    allowOwnAs: peer.allowOwnAs,
    enforceFirstAs: peer.enforceFirstAs,
    gracefulRestartSeconds: peer.gracefulRestartSeconds,
    longLivedStaleSeconds: peer.longLivedStaleSeconds,
    addPath: peer.addPath,
    addPaths: peer.addPaths,
    tunnelDown: peer.tunnelDown,
  });

/** As an IPv4 address. */
export const formatRouterId = (id: number): string =>
  formatAddress(Uint8Array.of(id >>> 24, (id >>> 16) & 0xff, (id >>> 8) & 0xff, id & 0xff));

const plainPolicy = (policy: PolicyConfig): Plain => (typeof policy === 'string' ? policy : policy.map(plainClause));

function plainClause(clause: PolicyClause): Plain {
  const { set } = clause;
  return present({
    prefix: some(clause.prefixes.map(plainMatch)),
    asPath: clause.asPath,
    neighbourAs: clause.neighbourAs && plainRange(clause.neighbourAs),
    originAs: clause.originAs && plainRange(clause.originAs),
    community: some(clause.communities),
    nextHop: clause.nextHop && formatPrefix(clause.nextHop),
    med: clause.med,
    origin: clause.origin,
    set: plainEdits(set),
    action: clause.action,
  });
}

const plainEdits = (set: PolicyEdits): Plain =>
  present({
    localPreference: set.localPreference,
    med: set.med,
    nextHop: set.nextHop === undefined || set.nextHop === 'self' ? set.nextHop : formatAddress(set.nextHop),
    weight: set.weight,
    origin: set.origin,
    prepend: set.prepend,
    addCommunities: some(set.addCommunities),
    removeCommunities: some(set.removeCommunities),
    clearCommunities: set.clearCommunities,
  });

const plainMatch = ({ prefix, ge, le }: PrefixMatch): Plain => ({ prefix: formatPrefix(prefix), ge, le });

const plainRange = ({ first, last }: AsnRange): Plain => (first === last ? String(first) : `${first}-${last}`);

const some = (list: readonly Plain[]): Plain | undefined => (list.length === 0 ? undefined : list);
