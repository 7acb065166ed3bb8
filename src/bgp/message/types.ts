/**
 * What BGP messages mean, as records. Read first: RFC 4271 §4, RFC 4760, RFC 5492, RFC 6793.
 *
 * Records are for OPEN, for people, tests, policies and dumps. The way of an UPDATE through a router does not make them for each
 * prefix: it walks the octets (`update-view.ts`) and decodes an attribute set once for all routes that share it.
 */
import type { Bytes } from '../../core/index.ts';
import type { Address, Prefix } from '../../ip/index.ts';

/** AFI << 8 | SAFI. */
export type Family = number;
export const IPV4_UNICAST: Family = 0x0101;
export const IPV6_UNICAST: Family = 0x0201;
export const L2VPN_EVPN: Family = 0x1946;

/** RFC 5492; numbers and shapes of each by its own RFC. What is unknown survives as octets. */
export type Capability =
  /** RFC 4760 §8. */
  | { readonly name: 'multiprotocol'; readonly family: Family }
  /** RFC 2918. */
  | { readonly name: 'routeRefresh' }
  /** RFC 8950 §4. */
  | { readonly name: 'extendedNextHop'; readonly entries: readonly { family: Family; nextHopAfi: number }[] }
  /** RFC 8654. */
  | { readonly name: 'extendedMessage' }
  /** RFC 4724 §3; `notification` is the N flag of RFC 8538. */
  | {
      readonly name: 'gracefulRestart';
      readonly restarting: boolean;
      readonly notification: boolean;
      readonly restartSeconds: number;
      readonly families: readonly { family: Family; forwarding: boolean }[];
    }
  /** RFC 6793 §3. */
  | { readonly name: 'fourOctetAs'; readonly asn: number }
  /** RFC 7911 §4: 1 receive, 2 send, 3 both; others survive and mean nothing. */
  | { readonly name: 'addPath'; readonly families: readonly { family: Family; mode: number }[] }
  /** RFC 7313. */
  | { readonly name: 'enhancedRouteRefresh' }
  /** RFC 9494 §3. */
  | {
      readonly name: 'longLivedGracefulRestart';
      readonly families: readonly { family: Family; forwarding: boolean; staleSeconds: number }[];
    }
  | { readonly name: 'unknown'; readonly code: number; readonly value: Bytes };

export interface OpenMessage {
  readonly kind: 'open';
  readonly version: number;
  /** My Autonomous System as on the wire: AS_TRANS (23456) where the number has four octets. */
  readonly myAs: number;
  readonly holdSeconds: number;
  /** Unsigned 32 bits. */
  readonly identifier: number;
  readonly capabilities: readonly Capability[];
}

export interface KeepaliveMessage {
  readonly kind: 'keepalive';
}

/** RFC 4271 §4.5. */
export interface NotificationMessage {
  readonly kind: 'notification';
  readonly code: number;
  readonly subcode: number;
  readonly data: Bytes;
}

/** RFC 2918; `subtype` 0 asks, 1 begins and 2 ends an answer (RFC 7313). */
export interface RouteRefreshMessage {
  readonly kind: 'routeRefresh';
  readonly family: Family;
  readonly subtype: number;
}

/** A prefix as in NLRI; `pathId` where the session has ADD-PATH for the family (RFC 7911 §3). */
export interface Nlri {
  readonly prefix: Prefix;
  readonly pathId?: number;
}

export interface UpdateMessage {
  readonly kind: 'update';
  /** IPv4 unicast, RFC 4271 §4.3. */
  readonly withdrawn: readonly Nlri[];
  /** In the order of the wire. */
  readonly attributes: readonly PathAttribute[];
  readonly nlri: readonly Nlri[];
}

export type Message = OpenMessage | UpdateMessage | NotificationMessage | KeepaliveMessage | RouteRefreshMessage;

/** RFC 4271 §4.3, RFC 5065: types of AS_PATH segments. */
export type AsSegmentType = 'set' | 'sequence' | 'confedSequence' | 'confedSet';

export interface AsSegment {
  readonly type: AsSegmentType;
  readonly asns: readonly number[];
}

/** RFC 8092: global administrator and two parts of 32 bits each. */
export interface LargeCommunity {
  readonly global: number;
  readonly local1: number;
  readonly local2: number;
}

/** What an attribute says, without its flags. `asPath` and `aggregator` have numbers of 32 bits, whatever the wire had. */
export type AttributeValue =
  | { readonly name: 'origin'; readonly origin: 'igp' | 'egp' | 'incomplete' }
  | { readonly name: 'asPath'; readonly segments: readonly AsSegment[] }
  | { readonly name: 'nextHop'; readonly address: Address }
  | { readonly name: 'med'; readonly med: number }
  | { readonly name: 'localPreference'; readonly preference: number }
  | { readonly name: 'atomicAggregate' }
  | { readonly name: 'aggregator'; readonly asn: number; readonly address: Address }
  /** RFC 1997; each an unsigned number of 32 bits. */
  | { readonly name: 'communities'; readonly communities: readonly number[] }
  | { readonly name: 'originatorId'; readonly identifier: number }
  | { readonly name: 'clusterList'; readonly identifiers: readonly number[] }
  | {
      readonly name: 'mpReach';
      readonly family: Family;
      readonly nextHops: readonly Address[];
      readonly nlri: readonly Nlri[];
    }
  | { readonly name: 'mpUnreach'; readonly family: Family; readonly withdrawn: readonly Nlri[] }
  /** A family whose NLRI are not prefixes, or that is unknown: octets, for the family's own codec (`evpn.ts`). */
  | { readonly name: 'mpReachOctets'; readonly family: Family; readonly nextHop: Bytes; readonly nlri: Bytes }
  | { readonly name: 'mpUnreachOctets'; readonly family: Family; readonly withdrawn: Bytes }
  /** RFC 4360: eight octets each. */
  | { readonly name: 'extendedCommunities'; readonly communities: readonly Bytes[] }
  | { readonly name: 'as4Path'; readonly segments: readonly AsSegment[] }
  | { readonly name: 'as4Aggregator'; readonly asn: number; readonly address: Address }
  | { readonly name: 'largeCommunities'; readonly communities: readonly LargeCommunity[] }
  /** RFC 9234 §5. */
  | { readonly name: 'onlyToCustomer'; readonly asn: number }
  | { readonly name: 'unknown'; readonly value: Bytes };

/** RFC 4271 §4.3: optional 0x80, transitive 0x40, partial 0x20, extended length 0x10. */
export interface PathAttribute {
  readonly flags: number;
  readonly type: number;
  readonly value: AttributeValue;
}

/** RFC 7606 §2, weakest first. `none` is a sound message. */
export type Treatment = 'none' | 'discard' | 'withdraw' | 'reset';

/** What the session has settled, as far as octets depend on it. */
export interface CodecContext {
  readonly ebgp: boolean;
  /** Both ends speak four octets (RFC 6793); never guessed. */
  readonly fourOctetAs: boolean;
  /** 4096, or 65535 for UPDATE, NOTIFICATION and ROUTE-REFRESH after RFC 8654. */
  readonly maximumLength: number;
  /** Families in whose NLRI of this direction a path identifier stands. */
  readonly addPath: readonly Family[];
  /** Families the session has; what belongs to others is ignored (RFC 4760 §7). */
  readonly families: readonly Family[];
  /** Families of IPv4 whose next hops may be IPv6 addresses (RFC 8950 §4); none where absent. */
  readonly extendedNextHop?: readonly Family[];
}
