/** What a speaker is told and what it asks for. */
import type { Millis } from '../core/index.ts';
import type { Address } from '../ip/index.ts';
import type { SessionAction, SessionEvent } from './contract.ts';
import type { RouteChange } from './rib/fib.ts';
import type { PeerOptions } from './rib/peer.ts';
import type { SessionConfiguration } from './session/index.ts';

/** What a peer is, beside its session. */
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

export type SpeakerEvent =
  | { readonly type: 'session'; readonly peer: string; readonly event: Exclude<SessionEvent, { type: 'tick' }> }
  | { readonly type: 'add-peer'; readonly peer: PeerSettings }
  /** What does not touch the session is another now: policies, limits. */
  | { readonly type: 'configure-peer'; readonly peer: PeerSettings }
  /** With what the operator says of it; its routes go at once. */
  | { readonly type: 'remove-peer'; readonly peer: string; readonly text?: string }
  /** Asks the peer for everything again (RFC 2918), or tells it everything again. */
  | { readonly type: 'refresh'; readonly peer: string; readonly direction: 'in' | 'out' }
  /** Ways to next hops may have changed. */
  | { readonly type: 'next-hops' }
  | { readonly type: 'tick' };

export type SpeakerAction =
  | {
      readonly do: 'session';
      readonly peer: string;
      readonly action: Extract<SessionAction, { do: 'dial' | 'send' | 'close' }>;
    }
  /** What changes in the FIB. */
  | { readonly do: 'routes'; readonly changes: readonly RouteChange[] }
  | { readonly do: 'log'; readonly peer: string; readonly event: string; readonly why: string };
