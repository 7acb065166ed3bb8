/** From the document's words to what a speaker needs. The document was checked before it came here. */
import {
  AFI,
  type AggregateOptions,
  type AttributeAccount,
  type DampeningOptions,
  type Family,
  IPV4_UNICAST,
  IPV6_UNICAST,
  type PeerSettings,
  type Policy,
  type RibOptions,
  SESSION_DEFAULTS,
  type SessionConfiguration,
  sessionConfiguration,
} from '../../bgp/index.ts';
import {
  type BgpConfig,
  type BgpPeerConfig,
  type DampeningConfig,
  editsRecord,
  isExternal,
  ownAsTowards,
} from '../../config/index.ts';
import type { Secret } from '../../core/index.ts';
import { type Address, formatAddress, type TcpOptions } from '../../ip/index.ts';
import { compilePolicy } from './policy.ts';
import type { TransportPeer } from './transport.ts';

export const compileRib = (
  config: BgpConfig,
  resolve: NonNullable<RibOptions['resolve']>,
  account?: AttributeAccount,
): RibOptions => ({
  ...(account === undefined ? {} : { account }),
  localAs: config.asn,
  routerId: config.routerId,
  ...(config.clusterId === undefined ? {} : { clusterId: config.clusterId }),
  clientToClient: config.clientToClient,
  decision: { ...config.decision, multipath: config.maxPaths },
  ...(config.dampening === undefined ? {} : { dampening: compileDampening(config.dampening) }),
  resolve,
});

export const compileDampening = (config: DampeningConfig): DampeningOptions => ({
  halfLifeMillis: config.halfLifeSeconds * 1000,
  unreachableHalfLifeMillis: config.unreachableHalfLifeSeconds * 1000,
  suppress: config.suppress,
  reuse: config.reuse,
  mostMillis: config.maxSuppressSeconds * 1000,
});

export const compileAggregates = ({ aggregates, asn }: BgpConfig): AggregateOptions[] =>
  aggregates.map(({ set, ...aggregate }) => ({ ...aggregate, set: editsRecord(set, asn) }));

/** `connected`: the peer is on a prefix of the compartment's own. */
export function compilePeer(
  router: BgpConfig,
  peer: BgpPeerConfig,
  connected: boolean,
  otherAddress: Address | undefined,
): PeerSettings {
  const { maxPrefixes } = peer;
  // Where tenants' prefixes are kept from peers, an internal one has a policy in any case.
  const isKept = router.tenantPrefixes.length > 0 && !isExternal(router, peer);
  const imported = peer.import ?? (isKept ? 'all' : undefined);
  return {
    name: peer.name,
    session: compileSession(router, peer, connected),
    client: peer.routeReflectorClient,
    allowOwnAs: peer.allowOwnAs,
    enforceFirstAs: peer.enforceFirstAs,
    nextHop: peer.nextHop,
    defaultOriginate: peer.defaultOriginate,
    advertisementMillis: peer.advertisementIntervalSeconds * 1000,
    ...(peer.addPaths === undefined ? {} : { addPaths: peer.addPaths }),
    ...(otherAddress === undefined ? {} : { otherAddress }),
    ...(imported === undefined ? {} : { import: compilePolicy(imported, router, 'import') }),
    ...(peer.export === undefined && router.transit ? {} : { export: compileExport(router, peer) }),
    ...(maxPrefixes === undefined
      ? {}
      : {
          maximumPrefixes: maxPrefixes.limit,
          warnAt: maxPrefixes.warnPercent / 100,
          ...(maxPrefixes.restartSeconds === 0 ? {} : { restartMillis: maxPrefixes.restartSeconds * 1000 }),
        }),
  };
}

function compileExport(router: BgpConfig, peer: BgpPeerConfig): Policy {
  // RFC 8212.
  const policy = peer.export ?? (isExternal(router, peer) ? 'none' : 'all');
  return compilePolicy(policy, router, 'export', router.transit, ownAsTowards(router, peer));
}

/**
 * RFC 4724 §4.1: the first session of a process. Whether there was one before it cannot know; whom it has never met loses nothing by not
 * waiting for its End-of-RIB.
 */
export function restarting(peer: PeerSettings): PeerSettings {
  const { session } = peer;
  const { gracefulRestart } = session;
  if (gracefulRestart === undefined) return peer;
  return { ...peer, session: { ...session, gracefulRestart: { ...gracefulRestart, restarting: true } } };
}

function compileSession(router: BgpConfig, peer: BgpPeerConfig, connected: boolean): SessionConfiguration {
  const families = peer.families.map((family) => FAMILIES[family]);
  const { gracefulRestartSeconds: restartSeconds, longLivedStaleSeconds: staleSeconds } = peer;
  const ADD_PATH = { off: 0, receive: 1, send: 2, both: 3 } as const;
  return sessionConfiguration({
    asn: router.asn,
    identifier: router.routerId,
    ...(peer.localAs === undefined ? {} : { localAs: peer.localAs }),
    remoteAs: peer.asn,
    holdSeconds: peer.holdSeconds,
    connectRetryMillis: peer.connectRetrySeconds * 1000,
    idleHold: idleHoldOf(peer),
    delayOpenMillis: peer.delayOpenSeconds * 1000,
    ...(peer.sendHoldSeconds === undefined ? {} : { sendHoldMillis: peer.sendHoldSeconds * 1000 }),
    passive: peer.passive,
    automaticStart: peer.start === 'auto',
    families,
    extendedNextHop: extendedNextHop(peer),
    addPath: peer.addPath === 'off' ? [] : families.map((family) => ({ family, mode: ADD_PATH[peer.addPath] })),
    pathDown: peer.tunnelDown,
    transport: { hopLimit: hopLimitOf(router, peer, connected) },
    ...(restartSeconds === 0
      ? {}
      : {
          gracefulRestart: {
            restartSeconds,
            restarting: false,
            notification: true,
            // What forwards is lost with the process, so nothing is said to have been preserved.
            families: families.map((family) => ({ family, forwarding: false })),
            longLived:
              staleSeconds === 0 ? [] : families.map((family) => ({ family, forwarding: false, staleSeconds })),
          },
        }),
  });
}

function idleHoldOf({ idleHoldSeconds }: BgpPeerConfig): SessionConfiguration['idleHold'] {
  const { idleHold } = SESSION_DEFAULTS;
  const initialMillis = idleHoldSeconds * 1000;
  return { ...idleHold, initialMillis, mostMillis: Math.max(initialMillis, idleHold.mostMillis) };
}

/** RFC 8950: over IPv6 an IPv4 prefix may have the next hop that there is. */
const extendedNextHop = ({ address, families }: BgpPeerConfig): SessionConfiguration['extendedNextHop'] =>
  address.length === 16 && families.includes('ipv4') ? [{ family: IPV4_UNICAST, nextHopAfi: AFI.IPV6 }] : [];

export function compileTransport(
  router: BgpConfig,
  peer: BgpPeerConfig,
  connected: boolean,
  md5Key: Secret | undefined,
): TransportPeer {
  const ttl = hopLimitOf(router, peer, connected);
  const tcp: TcpOptions = {
    ...(peer.ttlSecurityHops === undefined ? { ttl } : { gtsmHops: peer.ttlSecurityHops }),
    ...(md5Key === undefined ? {} : { md5Key }),
    // RFC 4271 §5: precedence of routing protocols (Internetwork Control).
    trafficClass: 0xc0,
  };
  const { name, address, localAddress, port } = peer;
  return { name, address, localAddress, port, tcp };
}

/** RFC 4271 leaves it to choice; others send 1 to an external peer on the link, so that it is none further away. */
function hopLimitOf(router: BgpConfig, peer: BgpPeerConfig, connected: boolean): number {
  if (peer.ttlSecurityHops !== undefined) return 255;
  if (peer.ttl !== 'auto') return peer.ttl;
  return isExternal(router, peer) && connected ? 1 : 64;
}

const FAMILIES: Readonly<Record<'ipv4' | 'ipv6', Family>> = { ipv4: IPV4_UNICAST, ipv6: IPV6_UNICAST };

/** As text: what makes a new session necessary, and what is changed under one. Of a secret only whether there is one. */
export interface PeerIdentity {
  readonly fixed: string;
  readonly soft: string;
}

export function identityOf(settings: PeerSettings, transport: TransportPeer): PeerIdentity {
  const { session, client, otherAddress, import: imported, export: exported, ...soft } = settings;
  const { address, localAddress, port, tcp } = transport;
  const text = (each: Address | undefined) => each && formatAddress(each);
  const addresses = [otherAddress, address, localAddress].map(text);
  return {
    fixed: JSON.stringify([session, client, addresses, port, tcp.ttl, tcp.gtsmHops, tcp.md5Key !== undefined]),
    soft: JSON.stringify([imported?.key, exported?.key, soft]),
  };
}
