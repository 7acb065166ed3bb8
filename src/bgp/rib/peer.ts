/**
 * What the tables know of a peer. The session's facts come as options when it is established; nothing here is a connection.
 *
 * Peer 0 is ourselves: originated routes are its paths.
 */

import type { Millis } from '../../core/index.ts';
import type { Address, Prefix } from '../../ip/index.ts';
import { MAXIMUM_LENGTH } from '../message/iana.ts';
import type { CodecContext, Family } from '../message/types.ts';
import type { Policy } from '../policy/policy.ts';

/** `client`: an internal peer to which routes of other internal peers are reflected (RFC 4456). */
export type PeerKind = 'external' | 'internal' | 'client' | 'local';

export interface PeerOptions {
  readonly name: string;
  readonly kind: PeerKind;
  readonly localAs: number;
  readonly remoteAs: number;
  /** The peer's BGP identifier. */
  readonly remoteId: number;
  readonly localAddress: Address;
  readonly remoteAddress: Address;
  /** Next hop of our own for IPv6 where the session runs over IPv4 (RFC 2545), and the other way round (RFC 8950). */
  readonly otherAddress?: Address;
  readonly receive: CodecContext;
  readonly send: CodecContext;
  /** Families whose next hop may be of the other kind (RFC 8950). */
  readonly extendedNextHop?: readonly Family[];
  /** Missing on an external peer: nothing passes (RFC 8212); on an internal one: everything. */
  readonly import?: Policy;
  readonly export?: Policy;
  /** How often our own AS may stand in AS_PATH. Default 0. */
  readonly allowOwnAs?: number;
  /** Default `auto`: RFC 4271 §5.1.3. `self` and `unchanged` for what others have said. */
  readonly nextHop?: 'auto' | 'self' | 'unchanged';
  /** Told a default route of each family, whatever routes there are and whatever policy says. */
  readonly defaultOriginate?: boolean;
  /** A subnet that an external peer shares with us: next hops on it stay (third party, RFC 4271 §5.1.3). */
  readonly shared?: Prefix;
  /** Best paths a prefix that are sent where ADD-PATH is (RFC 7911). Default all. */
  readonly addPaths?: number;
  /**
   * MinRouteAdvertisementIntervalTimer (RFC 4271 §9.2.1.1). Default 0: what has changed is told at once, as FRR does by default and BIRD always;
   * the RFC's 30 s for external and 5 s for internal peers keep all behind from what has changed, and dampening (RFC 2439) is
   * there for the routes that flap.
   */
  readonly advertisementMillis?: Millis;
  /** Whether the peer has said that it does long-lived graceful restart (RFC 9494 §4.5). */
  readonly longLived?: boolean;
  /** RFC 4486 subcode 1: a session with more prefixes of a family is ended. Counted before policy. Default MAXIMUM_PREFIXES. */
  readonly maximumPrefixes?: number;
  /** A word is said at this part of it. Default 0.75. */
  readonly warnAt?: number;
  /** Whether the first AS of AS_PATH must be an external peer's own (RFC 4271 §6.3). Default true. */
  readonly enforceFirstAs?: boolean;
}

export interface Peer extends PeerOptions {
  /** Small, from 1; given again when the peer is gone. */
  readonly number: number;
}

export const isPaced = ({ advertisementMillis = 0 }: Pick<PeerOptions, 'advertisementMillis'>): boolean =>
  advertisementMillis > 0;

export const isInternal = (kind: PeerKind): boolean => kind === 'internal' || kind === 'client';

/** Whose the routes of our own are. */
export function ourselves(localAs: number, routerId: number): Peer {
  const context = { ebgp: false, fourOctetAs: true, maximumLength: MAXIMUM_LENGTH, addPath: [], families: [] };
  return {
    number: 0,
    name: 'local',
    kind: 'local',
    localAs,
    remoteAs: localAs,
    remoteId: routerId,
    localAddress: new Uint8Array(4),
    remoteAddress: new Uint8Array(4),
    receive: context,
    send: context,
  };
}
