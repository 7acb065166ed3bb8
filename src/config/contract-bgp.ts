/** The `bgp` section of a tenant or of the external network, as it is once read. */
import type { Address, Prefix } from '../ip/index.ts';
import type { SecretReference } from './contract.ts';

/** A BGP router in a compartment (RFC 4271): it speaks from the compartment's own addresses, and its best routes are the compartment's. */
export interface BgpConfig {
  /** 1..4294967295 (RFC 6793), none of the reserved ones. */
  readonly asn: number;
  /** BGP Identifier: 32 bits, not zero (RFC 6286). Default: the first own IPv4 address. */
  readonly routerId: number;
  /** Originated as they are, whether there is a route or not. */
  readonly networks: readonly Prefix[];
  /** Routes of these origins are originated too. */
  readonly redistribute: readonly Redistributed[];
  /** Whether what one peer says is told to others. */
  readonly transit: boolean;
  /** RFC 4456 §7: shared by the reflectors of one cluster; undefined: the router identifier. */
  readonly clusterId: number | undefined;
  /** RFC 4456 §6: false where the clients of a cluster have sessions with each other. */
  readonly clientToClient: boolean;
  /** Equal paths that share the flows. */
  readonly maxPaths: number;
  readonly aggregates: readonly AggregateConfig[];
  /**
   * RFC 4724 §4.1: Selection_Deferral_Timer. After the gateway's process has begun anew routes are chosen once every peer with graceful restart has
   * said all it has, and after so many seconds at the latest; until then none is used and none told. 0: each is chosen as it comes.
   */
  readonly selectionDeferralSeconds: number;
  /** RFC 2439, for routes of external peers; undefined: they may change as often as they like. */
  readonly dampening: DampeningConfig | undefined;
  readonly decision: {
    readonly alwaysCompareMed: boolean;
    readonly missingMedAsWorst: boolean;
    /** The lower identifier wins before the older route does. */
    readonly compareRouterId: boolean;
  };
  readonly peers: readonly BgpPeerConfig[];
  /** Of the external network's router: the pool, and what directly routed tenants are. What a peer says of these and of parts of them is refused. */
  readonly tenantPrefixes: readonly Prefix[];
}

/** Of a tenant: the first three. Of compartment 1: `connected`, `nat` (addresses that tenants have) and `direct` (prefixes of tenants). */
export type Redistributed = 'connected' | 'static' | 'connection' | 'nat' | 'direct';

/** RFC 4271 §9.2.2.2. */
export interface AggregateConfig {
  readonly prefix: Prefix;
  /** More specific routes are not told. */
  readonly summaryOnly: boolean;
  readonly asSet: boolean;
  /** Of its own attributes, before any peer's export is asked. */
  readonly set: PolicyEdits;
}

/** A withdrawal counts 1000, a change 500. */
export interface DampeningConfig {
  readonly halfLifeSeconds: number;
  /** While the route is withdrawn. */
  readonly unreachableHalfLifeSeconds: number;
  /** Above the one a route is not used, until it is below the other. */
  readonly suppress: number;
  readonly reuse: number;
  /** After the last change a route waits no longer than this. */
  readonly maxSuppressSeconds: number;
}

export interface BgpPeerConfig {
  readonly name: string;
  readonly address: Address;
  readonly asn: number;
  /**
   * RFC 7705 §3: the AS that this peer is shown in place of the router's. The OPEN has it; what the peer is told has it, and not the router's, in
   * AS_PATH (Replace Old AS); what the peer says stays as it is (No Prepend Inbound), and is refused with either of the two in it. FRR: `local-as N
   * no-prepend replace-as`; BIRD: `local as N`. Undefined: the router's. With the peer's own AS the session is an internal one.
   */
  readonly localAs: number | undefined;
  /** Own address that the session runs from; undefined: the one towards the peer. */
  readonly localAddress: Address | undefined;
  readonly port: number;
  /** Listens only. */
  readonly passive: boolean;
  /** Not begun until an operator says so. */
  readonly shutdown: boolean;
  /** RFC 4271 §8.1.1, AllowAutomaticStart: with `manual` it is begun by an operator alone, the first time and after each failure. */
  readonly start: 'auto' | 'manual';
  /** 0, or 3 and more (RFC 4271 §4.2). */
  readonly holdSeconds: number;
  readonly connectRetrySeconds: number;
  /** IdleHoldTime after a failure; after each further one it is twice as long, up to two minutes where it is not longer itself. */
  readonly idleHoldSeconds: number;
  /** DelayOpenTime: how long the peer's OPEN is waited for before ours. 0: not at all. */
  readonly delayOpenSeconds: number;
  /** RFC 9687: a peer that takes nothing for so long is given up; 0: never. Undefined: the larger of 8 minutes and twice the hold time. */
  readonly sendHoldSeconds: number | undefined;
  /**
   * RFC 4271 §9.2.1.1, MinRouteAdvertisementIntervalTimer: after it has been told of routes the peer is told of changes so many seconds later, less
   * a quarter at most (§10), as they are by then. 0: changes are told at once, as others do it by default.
   */
  readonly advertisementIntervalSeconds: number;
  readonly families: readonly ('ipv4' | 'ipv6')[];
  /** TTL of what is sent; default 1 for an external peer on a connected prefix, else 64. */
  readonly ttl: number | 'auto';
  /** RFC 5082: hops the peer is away at most; undefined: not looked at. */
  readonly ttlSecurityHops: number | undefined;
  /** RFC 2385. */
  readonly md5: SecretReference | undefined;
  /** RFC 8212: without a policy an external peer neither gives nor gets routes, an internal one everything. */
  readonly import: PolicyConfig | undefined;
  readonly export: PolicyConfig | undefined;
  /** RFC 4486: prefixes of a family; more end the session. Undefined: what the tables allow any peer (`bgp/rib/intake.ts`). */
  readonly maxPrefixes:
    | { readonly limit: number; readonly warnPercent: number; readonly restartSeconds: number }
    | undefined;
  /** RFC 4456. */
  readonly routeReflectorClient: boolean;
  readonly nextHop: 'auto' | 'self' | 'unchanged';
  /** A default route is told whatever routes there are. */
  readonly defaultOriginate: boolean;
  /** How often the own AS may stand in what the peer says. */
  readonly allowOwnAs: number;
  readonly enforceFirstAs: boolean;
  /** RFC 4724: seconds the peer shall keep what we said while we restart; 0: neither side keeps anything. */
  readonly gracefulRestartSeconds: number;
  /**
   * RFC 9494: seconds beyond those that the peer shall keep what we said, as the last choice; as long at most is kept what it said. 0: nothing is
   * kept any longer. Not without graceful restart.
   */
  readonly longLivedStaleSeconds: number;
  /** RFC 7911. */
  readonly addPath: 'off' | 'receive' | 'send' | 'both';
  /** How many paths of a prefix are sent at most, the best ones; undefined: all. */
  readonly addPaths: number | undefined;
  /** When the tunnel to the peer is down: its routes go at once, or stay as long as graceful restart lets them, or nothing follows. */
  readonly tunnelDown: 'drop' | 'retain' | 'ignore';
}

/** What may pass, in clauses tried in their order; what none decides does not pass. */
export type PolicyConfig = 'all' | 'none' | readonly PolicyClause[];

/** All that stands in it must hold. */
export interface PolicyClause {
  readonly prefixes: readonly PrefixMatch[];
  /** Regular expression over the AS path as text, numbers separated by blanks. */
  readonly asPath: string | undefined;
  readonly neighbourAs: AsnRange | undefined;
  readonly originAs: AsnRange | undefined;
  /** One of these: `65000:1`, `65000:1:2`, `rt:65000:1`, or the name of a well-known one. */
  readonly communities: readonly string[];
  readonly nextHop: Prefix | undefined;
  readonly med: number | undefined;
  readonly origin: 'igp' | 'egp' | 'incomplete' | undefined;
  readonly set: PolicyEdits;
  readonly action: 'accept' | 'reject' | 'next';
}

/** Lengths from `ge` to `le` within the prefix. */
export interface PrefixMatch {
  readonly prefix: Prefix;
  readonly ge: number;
  readonly le: number;
}

export interface AsnRange {
  readonly first: number;
  readonly last: number;
}

export interface PolicyEdits {
  readonly localPreference: number | undefined;
  readonly med: number | 'none' | undefined;
  readonly nextHop: Address | 'self' | undefined;
  readonly weight: number | undefined;
  readonly origin: 'igp' | 'egp' | 'incomplete' | undefined;
  /** The own AS so many times more. */
  readonly prepend: number;
  readonly addCommunities: readonly string[];
  readonly removeCommunities: readonly string[];
  readonly clearCommunities: boolean;
}
