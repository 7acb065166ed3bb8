/** What a speaker knows of a peer beside what its session and the tables know. */
import type { Millis } from '../core/index.ts';
import type { ConnectionId, Negotiated } from './contract.ts';
import type { Family } from './message/index.ts';
import type { PeerSettings } from './peer-settings.ts';
import type { Session } from './session/index.ts';
import type { Stale } from './stale.ts';
import { Unanswered } from './unanswered.ts';

export interface Entry {
  settings: PeerSettings;
  session: Session;
  /** Among the tables' peers, as long as they have something of it. */
  number: number | undefined;
  negotiated: Negotiated | undefined;
  /** Of the transport of `connection`, the one that is Established. */
  queued: number;
  connection: ConnectionId | undefined;
  readonly stale: Map<Family, Stale>;
  /** Families whose long-lived time has ended in this session, before End-of-RIB. */
  readonly expired: Set<Family>;
  /** Families whose End-of-RIB a peer with graceful restart has not said yet. */
  readonly awaited: Set<Family>;
  readonly unanswered: Unanswered;
  /** When what was said last, in this session. */
  readonly spoken: Map<string, { readonly at: Millis; untold: number }>;
}

/** Of a peer whose session has not begun. */
export const newEntry = (settings: PeerSettings, session: Session): Entry => ({
  settings,
  session,
  number: undefined,
  negotiated: undefined,
  queued: 0,
  connection: undefined,
  stale: new Map(),
  expired: new Set(),
  awaited: new Set(),
  unanswered: new Unanswered(),
  spoken: new Map(),
});
