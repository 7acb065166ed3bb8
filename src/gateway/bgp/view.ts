/** A router as people want to see it; `status-bgp.ts` says what the fields are. */
import {
  describeCapability,
  describeFamily,
  longestMatch,
  type Page,
  receivedOf,
  routesOf,
  type SessionState,
  type SessionView,
  toldCount,
  toldTo,
  whyTold,
  wordsOfSet,
} from '../../bgp/index.ts';
import { type BgpPeerConfig, isExternal, type PolicyConfig } from '../../config/index.ts';
import type { Millis } from '../../core/index.ts';
import { type Address, formatAddress, ipv4Octets, type Prefix } from '../../ip/index.ts';
import type {
  BgpAdvertisedStatus,
  BgpErrorStatus,
  BgpExplanationStatus,
  BgpPathExplanation,
  BgpPeerStatus,
  BgpPeerSummary,
  BgpReceivedStatus,
  BgpRouteStatus,
  BgpState,
  BgpSummaryStatus,
} from '../status-bgp.ts';
import type { TenantRouter } from './router.ts';

export function viewSummary(tenant: string, router: TenantRouter, now: Millis): BgpSummaryStatus {
  const { speaker, config, tableVersion } = router;
  const { rib, deferredUntil } = speaker;
  const peers = config.peers.map((peer) => summaryOf(router, peer, now));
  return {
    tenant,
    vrfName: tenant,
    routerId: identifier(config.routerId),
    as: config.asn,
    tableVersion,
    ribCount: rib.families.reduce((sum, { table }) => sum + table.count, 0),
    ribMemory: rib.octets,
    ...(deferredUntil === undefined ? {} : { selectionDeferredSeconds: Math.ceil((deferredUntil - now) / 1000) }),
    peerCount: peers.length,
    totalPeers: peers.length,
    displayedPeers: peers.length,
    dynamicPeers: 0,
    failedPeers: peers.filter(({ state }) => state !== 'Established').length,
    peers: Object.fromEntries(config.peers.map(({ address }, i) => [formatAddress(address), peers[i]!])),
  };
}

/** All of them, or the one of that name: each is a walk over its paths. */
export function viewPeers(tenant: string, router: TenantRouter, now: Millis, only?: string): BgpPeerStatus[] {
  const peers = router.config.peers.filter(({ name }) => (only ?? name) === name);
  return peers.map((peer) => viewPeer(tenant, router, peer, now));
}

export const viewRoutes = (router: TenantRouter, page: Page): readonly BgpRouteStatus[] =>
  routesOf(router.speaker.rib, page);

export function viewReceived(router: TenantRouter, peer: string, page: Page): readonly BgpReceivedStatus[] {
  const number = router.speaker.number(peer);
  return number === undefined ? [] : receivedOf(router.speaker.rib, number, page);
}

export function viewAdvertised(router: TenantRouter, peer: string, page: Page): readonly BgpAdvertisedStatus[] {
  const number = router.speaker.number(peer);
  return number === undefined ? [] : toldTo(router.speaker.rib, number, page);
}

/** What of the tables there is to say of an address or a prefix; what forwards is the caller's to add. */
export function viewBgpExplanation(
  router: TenantRouter,
  asked: Address | Prefix,
): Omit<BgpExplanationStatus, 'fib' | 'fibWhy' | 'prefix' | 'asked'> & { readonly found: Prefix | undefined } {
  const { rib } = router.speaker;
  const prefix = asked instanceof Uint8Array ? longestMatch(rib, asked) : asked;
  const paths = prefix === undefined ? [] : rib.explain(prefix);
  if (prefix === undefined || paths.length === 0) return { found: undefined, paths: [], told: [] };
  return {
    found: prefix,
    paths: paths.map(({ set, nextHop: _hop, ...path }): BgpPathExplanation => {
      const hop = rib.store.hops.at(rib.store.nextHops[set]!);
      return { ...path, nextHopUsable: hop.usable, nextHopWhy: hop.why, attributes: wordsOfSet(rib.store, set) };
    }),
    told: toldOf(router, prefix),
  };
}

function toldOf({ speaker }: TenantRouter, prefix: Prefix): BgpExplanationStatus['told'] {
  const { rib } = speaker;
  return speaker.peers.flatMap((peer) => {
    const number = speaker.number(peer);
    const why = number === undefined ? undefined : whyTold(rib, number, prefix);
    return number === undefined || why === undefined
      ? []
      : [{ peer, told: rib.toldTo(number, prefix).length > 0, why }];
  });
}

function summaryOf(router: TenantRouter, peer: BgpPeerConfig, now: Millis): BgpPeerSummary {
  const { speaker, tableVersion } = router;
  const { rib } = speaker;
  const number = speaker.number(peer.name);
  const view = speaker.session(peer.name)!.view(now);
  const since = view.session?.uptimeMillis ?? view.downMillis;
  const why = whyDown(router, peer.name, view);
  const treated = number === undefined ? undefined : rib.treated(number);
  return {
    desc: peer.name,
    remoteAs: peer.asn,
    localAs: view.localAs,
    version: 4,
    msgRcvd: sum(view.received),
    msgSent: sum(view.sent),
    tableVersion: view.state === 'established' ? tableVersion : 0,
    outq: view.queued + router.transport.queuedOf(peer.name),
    inq: 0,
    peerUptime: since === undefined ? 'never' : formatUptime(since),
    peerUptimeMsec: Math.floor(since ?? 0),
    pfxRcd: number === undefined ? 0 : rib.families.reduce((all, family) => all + family.countOf(number), 0),
    pfxSnt: number === undefined ? 0 : toldCount(rib, number),
    state: STATES[view.state],
    peerState: view.stopped ? 'Admin' : isWithoutPolicy(router, peer) ? 'Policy' : 'OK',
    connectionsEstablished: view.connectionsEstablished,
    connectionsDropped: view.connectionsDropped,
    idType: peer.address.length === 4 ? 'ipv4' : 'ipv6',
    ...(why === undefined ? {} : { why }),
    ...(treated === undefined || treated.why === '' ? {} : { treated }),
  };
}

function viewPeer(tenant: string, router: TenantRouter, peer: BgpPeerConfig, now: Millis): BgpPeerStatus {
  const { desc: name, ...summary } = summaryOf(router, peer, now);
  const view = router.speaker.session(name)!.view(now);
  const { session, nextTryMillis: next, lastErrorSent: sent, lastErrorReceived: received } = view;
  const { advertisementIntervalSeconds } = peer;
  const advertisesAt = router.speaker.advertisesAt(name);
  const external = isExternal(router.config, peer);
  return {
    tenant,
    name,
    address: formatAddress(peer.address),
    ...summary,
    kind: external ? 'external' : peer.routeReflectorClient ? 'client' : 'internal',
    localId: identifier(view.localIdentifier),
    shutdown: view.stopped,
    md5: peer.md5 !== undefined,
    import: policyWords(peer.import, external),
    export: policyWords(peer.export, external),
    pfxAccepted: acceptedOf(router, name),
    families: (session?.families ?? []).map(describeFamily),
    capabilitiesSent: (session?.capabilitiesSent ?? []).map(describeCapability),
    capabilitiesReceived: (session?.capabilitiesReceived ?? []).map(describeCapability),
    messagesReceived: { ...view.received },
    messagesSent: { ...view.sent },
    octetsReceived: view.octetsReceived,
    octetsSent: view.octetsSent,
    collisions: view.collisions,
    ...(advertisementIntervalSeconds === 0 ? {} : { advertisementIntervalSeconds }),
    ...(advertisesAt === undefined ? {} : { nextAdvertisementSeconds: Math.ceil((advertisesAt - now) / 1000) }),
    ...(next === undefined || session !== undefined ? {} : { nextTrySeconds: Math.ceil(next / 1000) }),
    ...(session === undefined
      ? {}
      : {
          remoteId: identifier(session.remoteIdentifier),
          dialledBy: session.dialledBy,
          holdSeconds: session.holdSeconds,
          keepaliveSeconds: session.keepaliveSeconds,
        }),
    ...(sent === undefined ? {} : { lastErrorSent: errorOf(sent) }),
    ...(received === undefined ? {} : { lastErrorReceived: errorOf(received) }),
  };
}

/** Why a session is not Established; undefined where it is. */
export function whyDown(router: TenantRouter, peer: string, view: SessionView): string | undefined {
  if (view.state === 'established') return undefined;
  if (view.why !== undefined) return view.why;
  const { address } = router.config.peers.find(({ name }) => name === peer) ?? {};
  const dials = view.state === 'connect' || view.state === 'active';
  if (dials && address !== undefined && !router.reaches(address)) return `no route to ${formatAddress(address)}`;
  return router.troubles.words(peer) ?? WAITS[view.state];
}

const isWithoutPolicy = ({ config }: TenantRouter, peer: BgpPeerConfig): boolean =>
  isExternal(config, peer) && (peer.import === undefined || peer.export === undefined);

function acceptedOf({ speaker }: TenantRouter, peer: string): number {
  const number = speaker.number(peer);
  let accepted = 0;
  if (number === undefined) return 0;
  for (const { paths } of speaker.rib.families)
    paths.each(number, (path) => {
      if (paths.after[path] !== 0) accepted++;
    });
  return accepted;
}

function policyWords(policy: PolicyConfig | undefined, external: boolean): string {
  if (policy === undefined) return external ? 'none (RFC 8212)' : 'all';
  if (typeof policy === 'string') return policy;
  return `${policy.length} ${policy.length === 1 ? 'clause' : 'clauses'}`;
}

const errorOf = ({ agoMillis, ...error }: NonNullable<SessionView['lastErrorSent']>): BgpErrorStatus => ({
  ...error,
  secondsAgo: Math.floor(agoMillis / 1000),
});

const identifier = (id: number): string => formatAddress(ipv4Octets(id));

const sum = (counts: object): number => Object.values(counts).reduce((all: number, each: number) => all + each, 0);

/** `00:01:23`, `2d04h11m`. */
function formatUptime(millis: Millis): string {
  const seconds = Math.floor(millis / 1000);
  const two = (value: number) => String(value).padStart(2, '0');
  const [days, hours, minutes] = [seconds / 86_400, (seconds / 3600) % 24, (seconds / 60) % 60].map(Math.floor);
  if (days! > 0) return `${days}d${two(hours!)}h${two(minutes!)}m`;
  return `${two(hours!)}:${two(minutes!)}:${two(seconds % 60)}`;
}

const STATES: Readonly<Record<SessionState, BgpState>> = {
  idle: 'Idle',
  connect: 'Connect',
  active: 'Active',
  openSent: 'OpenSent',
  openConfirm: 'OpenConfirm',
  established: 'Established',
};

const WAITS: Readonly<Record<SessionState, string>> = {
  idle: 'not begun',
  connect: 'its TCP connection has not been answered yet',
  active: 'waits for the peer, or for the next try',
  openSent: 'the peer has not sent OPEN yet',
  openConfirm: 'the peer has not confirmed OPEN yet',
  established: '',
};
