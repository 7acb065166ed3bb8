/** What a speaker is told, and what it asks for. */
import type { Millis } from '../core/index.ts';
import type { SessionAction, SessionEvent } from './contract.ts';
import type { Family } from './message/index.ts';
import type { PeerSettings } from './peer-settings.ts';
import type { RouteChange } from './rib/fib.ts';

export type SpeakerEvent =
  | { readonly type: 'session'; readonly peer: string; readonly event: Exclude<SessionEvent, { type: 'tick' }> }
  | { readonly type: 'add-peer'; readonly peer: PeerSettings }
  /**
   * The peers there were are added and begun: routes are chosen once each of them has said all it has, or after so long at the latest
   * (RFC 4724 §4.1, Selection_Deferral_Timer). Until then nobody is told anything.
   */
  | { readonly type: 'restarted'; readonly deferralMillis: Millis }
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
  /** Of a family that `restarted` has put off routes are chosen from here on. */
  | { readonly do: 'chosen'; readonly family: Family; readonly why: string }
  | { readonly do: 'log'; readonly peer: string; readonly event: string; readonly why: string };

/** What a session was told and what it made of it. */
export type SessionRecord = (event: SessionEvent, actions: readonly SessionAction[]) => void;
