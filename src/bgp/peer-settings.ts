/** What a speaker knows of a peer beside its session, and what the tables know of it once both OPENs have settled the rest. */

import type { Millis } from '../core/index.ts';
import type { Address } from '../ip/index.ts';
import type { Negotiated } from './contract.ts';
import type { Capability, Family } from './message/index.ts';
import type { PeerOptions } from './rib/peer.ts';
import { capability, type SessionConfiguration } from './session/index.ts';

export interface PeerSettings
  extends Pick<
    PeerOptions,
    | 'import'
    | 'export'
    | 'allowOwnAs'
    | 'nextHop'
    | 'shared'
    | 'addPaths'
    | 'maximumPrefixes'
    | 'warnAt'
    | 'enforceFirstAs'
    | 'defaultOriginate'
    | 'advertisementMillis'
  > {
  readonly name: string;
  readonly session: SessionConfiguration;
  /** An internal peer to which routes are reflected (RFC 4456). */
  readonly client?: boolean;
  /** Next hop of our own for the family that the session does not run over. */
  readonly otherAddress?: Address;
  /** After too many prefixes: how long the session stays down; absent: until an operator begins it. */
  readonly restartMillis?: Millis;
}

/** What a peer need not have. */
export const ABSENT = {
  import: undefined,
  export: undefined,
  allowOwnAs: undefined,
  nextHop: undefined,
  shared: undefined,
  addPaths: undefined,
  maximumPrefixes: undefined,
  warnAt: undefined,
  enforceFirstAs: undefined,
  defaultOriginate: undefined,
  advertisementMillis: undefined,
} as const;

/** What the tables go by that no session has settled. */
export function changeable({
  name: _name,
  session: _session,
  client: _client,
  restartMillis: _restart,
  ...rest
}: PeerSettings) {
  return rest;
}

/** What the tables know of a peer whose session is Established. */
export function optionsOf(settings: PeerSettings, negotiated: Negotiated): PeerOptions {
  const { name, session, client } = settings;
  const { remoteAs, remote, receive, send, extendedNextHop, localEndpoint, remoteEndpoint } = negotiated;
  const has = (name: Capability['name']): boolean => capability(remote, name) !== undefined;
  const localAs = session.localAs ?? session.asn;
  return {
    ...changeable(settings),
    name,
    kind: remoteAs !== localAs ? 'external' : client === true ? 'client' : 'internal',
    localAs,
    remoteAs,
    remoteId: remote.identifier,
    localAddress: localEndpoint.address,
    remoteAddress: remoteEndpoint.address,
    receive,
    send,
    extendedNextHop,
    // RFC 9494 §4.1: without the one for graceful restart the other is disregarded.
    longLived: has('gracefulRestart') && has('longLivedGracefulRestart'),
  };
}

/** Families of a peer with graceful restart, whose End-of-RIB is awaited: it names those whose routes outlive it, and ends all (RFC 4724 §2). */
export const restartFamilies = ({ remote, families }: Negotiated): readonly Family[] =>
  capability(remote, 'gracefulRestart') === undefined ? [] : families;
