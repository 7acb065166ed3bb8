/** A session as people want to see it; every field is plain data that may be shown as JSON. */
import type { Bytes, Millis } from '../../core/index.ts';
import type { ConnectionId, Negotiated, SessionState } from '../contract.ts';
import type { Capability, Family } from '../message/index.ts';
import { presentedAs, type SessionConfiguration } from './configuration.ts';
import type { Connection } from './connection.ts';
import type { Counters, LastError, MessageCounts } from './counters.ts';
import type { Ends } from './negotiate.ts';
import type { Waiting } from './session.ts';

export interface SessionView {
  readonly state: SessionState;
  /** Why the session is Idle; undefined in other states. */
  readonly why?: string;
  /** Nobody wants it: never started, or stopped. */
  readonly stopped: boolean;
  /** Absent where only an operator ends the waiting. Until the IdleHoldTimer or ConnectRetryTimer expires. */
  readonly nextTryMillis?: number;
  readonly localAs: number;
  readonly localIdentifier: number;
  readonly received: MessageCounts;
  readonly sent: MessageCounts;
  readonly octetsReceived: number;
  readonly octetsSent: number;
  /** Octets that the transport of the session still has. */
  readonly queued: number;
  readonly connectionsEstablished: number;
  readonly connectionsDropped: number;
  /** Since the last session ended; absent in Established, and where there was none. */
  readonly downMillis?: number;
  readonly connectionsRefused: number;
  readonly collisions: number;
  readonly connectRetryCounter: number;
  readonly ignored: number;
  readonly lastErrorSent?: ErrorView;
  readonly lastErrorReceived?: ErrorView;
  /** In Established alone. */
  readonly session?: EstablishedView;
}

export interface ErrorView {
  readonly code: number;
  readonly subcode: number;
  readonly words: string;
  readonly agoMillis: number;
}

export interface EstablishedView {
  readonly remoteAs: number;
  readonly remoteIdentifier: number;
  readonly dialledBy: 'us' | 'peer';
  readonly uptimeMillis: number;
  readonly holdSeconds: number;
  readonly keepaliveSeconds: number;
  readonly families: readonly Family[];
  readonly capabilitiesSent: readonly Capability[];
  readonly capabilitiesReceived: readonly Capability[];
}

export interface Viewed {
  readonly configuration: SessionConfiguration;
  readonly counters: Counters;
  readonly state: SessionState;
  readonly waiting: Waiting;
  readonly connections: readonly Connection[];
  readonly connectRetryCounter: number;
}

/** A connection and what came on it of a message that is not whole yet. */
export interface SessionLine extends Ends {
  readonly id: ConnectionId;
  readonly begun: Bytes;
  /** In Established alone. */
  readonly negotiated: Negotiated | undefined;
}

export const lineOf = ({ id, ends, phase, begun }: Connection): SessionLine => ({
  id,
  ...ends,
  begun,
  negotiated: phase.at === 'established' ? phase.negotiated : undefined,
});

export function viewOf(v: Viewed, now: Millis): SessionView {
  const { counters: c, waiting } = v;
  const nextTry = waiting.at === 'held' ? waiting.until : waiting.at === 'trying' ? waiting.retryAt : undefined;
  const established = v.connections.find((connection) => connection.phase.at === 'established');
  return {
    state: v.state,
    ...(v.state === 'idle' && waiting.at !== 'trying' ? { why: waiting.why } : {}),
    stopped: waiting.at === 'stopped',
    ...(nextTry === undefined || nextTry === Number.POSITIVE_INFINITY
      ? {}
      : { nextTryMillis: Math.max(0, nextTry - now) }),
    localAs: presentedAs(v.configuration),
    localIdentifier: v.configuration.identifier,
    received: { ...c.received },
    sent: { ...c.sent },
    octetsReceived: c.octetsReceived,
    octetsSent: c.octetsSent,
    queued: v.connections.reduce((sum, connection) => sum + connection.queued, 0),
    connectionsEstablished: c.established,
    connectionsDropped: c.dropped,
    ...(c.droppedAt === undefined || established !== undefined ? {} : { downMillis: now - c.droppedAt }),
    connectionsRefused: c.refused,
    collisions: c.collisions,
    connectRetryCounter: v.connectRetryCounter,
    ignored: c.ignored,
    ...(c.lastSent === undefined ? {} : { lastErrorSent: errorView(c.lastSent, now) }),
    ...(c.lastReceived === undefined ? {} : { lastErrorReceived: errorView(c.lastReceived, now) }),
    ...(established === undefined ? {} : sessionView(established, now)),
  };
}

function sessionView(connection: Connection, now: Millis): { session?: EstablishedView } {
  const { phase } = connection;
  if (phase.at !== 'established') return {};
  const { local, remote, remoteAs, holdSeconds, keepaliveSeconds, families } = phase.negotiated;
  return {
    session: {
      remoteAs,
      remoteIdentifier: remote.identifier,
      dialledBy: connection.direction === 'out' ? 'us' : 'peer',
      uptimeMillis: now - phase.since,
      holdSeconds,
      keepaliveSeconds,
      families,
      capabilitiesSent: local.capabilities,
      capabilitiesReceived: remote.capabilities,
    },
  };
}

const errorView = ({ at, meant: _, ...error }: LastError, now: Millis): ErrorView => ({
  ...error,
  agoMillis: now - at,
});
