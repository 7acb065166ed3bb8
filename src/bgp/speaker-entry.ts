/** What a speaker knows of a peer beside what its session and the tables know. */
import type { ConnectionId, Negotiated } from './contract.ts';
import type { Family } from './message/index.ts';
import { Pace } from './pace.ts';
import type { PeerSettings } from './peer-settings.ts';
import { Seldom } from './seldom.ts';
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
  readonly pace: Pace;
  /** Of what is logged, in this session. */
  readonly seldom: Seldom;
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
  pace: new Pace(),
  seldom: new Seldom(),
});
