/**
 * What the parts of BGP say to each other: sessions (RFC 4271 §8) to the tables and back, and both to the host that has the transport.
 *
 * A session is a `Machine<SessionEvent, SessionAction>`; it owns both connections of a peer (RFC 4271 §6.8), all timers and the octets until
 * they are whole messages. It knows nothing of routes: an UPDATE leaves it as octets that are framed and nothing more. The tables know nothing
 * of connections and time except as arguments. `speaker.ts` puts the two together and is a `Machine` itself.
 */
import type { Bytes } from '../core/index.ts';
import type { Endpoint } from '../ip/index.ts';
import type { CodecContext, Family, NotificationMessage, OpenMessage } from './message/types.ts';

/** A transport connection, named by whoever opened it: the session for `dial` (negative), the host for what it accepted (positive). */
export type ConnectionId = number;

export type SessionEvent =
  /** ManualStart, AutomaticStart: RFC 4271 §8.1.2 events 1, 3. */
  | { readonly type: 'start' }
  /** ManualStop (event 2), with what the operator says of it (RFC 9003). */
  | { readonly type: 'stop'; readonly subcode: number; readonly text?: string }
  /** Events 16 and 17: TCP is up, dialled by us or by the peer. */
  | {
      readonly type: 'connected';
      readonly connection: ConnectionId;
      readonly direction: 'out' | 'in';
      readonly local: Endpoint;
      readonly remote: Endpoint;
    }
  | { readonly type: 'received'; readonly connection: ConnectionId; readonly octets: Bytes }
  /** From the tables: whole messages, UPDATE or ROUTE-REFRESH, one after another. Refused, with a `log`, unless Established. */
  | { readonly type: 'transmit'; readonly octets: Bytes }
  /** Event 18, and a dial that came to nothing. */
  | { readonly type: 'closed'; readonly connection: ConnectionId; readonly why: string }
  /**
   * The transport took something of what it was given: what is still queued, in octets. Send hold timer (RFC 9687), back pressure.
   * A host has to say it: a session from which nothing is ever taken ends.
   */
  | { readonly type: 'drained'; readonly connection: ConnectionId; readonly queued: number }
  /** Something outside knows that the way to the peer is gone or there again: a tunnel, an interface. */
  | { readonly type: 'path'; readonly up: boolean; readonly why: string }
  /** The tables refuse what the peer sent (RFC 4271 §6.3, RFC 7606 reset) or how much of it (RFC 4486 maximum prefixes). */
  | {
      readonly type: 'fault';
      readonly notification: NotificationMessage;
      readonly why: string;
      readonly idleMillis?: number;
    }
  | { readonly type: 'tick' };

export type SessionAction =
  | { readonly do: 'dial'; readonly connection: ConnectionId }
  | { readonly do: 'send'; readonly connection: ConnectionId; readonly octets: Bytes }
  /** After what was sent has left; `abort` at once, with RST. */
  | { readonly do: 'close'; readonly connection: ConnectionId; readonly abort: boolean }
  /**
   * `connection`: the one that what is transmitted goes over. `preserved`: families whose stale routes may stay until End-of-RIB, because the
   * peer says that it went on forwarding (RFC 4724 §4.2, RFC 9494 §4.2); those of all others go at once.
   */
  | {
      readonly do: 'established';
      readonly connection: ConnectionId;
      readonly negotiated: Negotiated;
      readonly preserved: readonly Family[];
    }
  /** A whole UPDATE, header included, as it came. Only valid during the call. */
  | { readonly do: 'update'; readonly octets: Bytes }
  | { readonly do: 'refresh'; readonly family: Family; readonly subtype: number }
  /** Established is left. `retain`: families whose routes stay as stale, and for how long (RFC 4724 §4.2, RFC 9494); empty: all go at once. */
  | {
      readonly do: 'down';
      readonly why: string;
      readonly retain: readonly { family: Family; millis: number; longLivedMillis: number }[];
    }
  /** `kind`: a peer can have this happen as often as it likes; there are few kinds of an event, and each need only be said now and then. */
  | { readonly do: 'log'; readonly event: string; readonly why: string; readonly kind?: string };

export type SessionState = 'idle' | 'connect' | 'active' | 'openSent' | 'openConfirm' | 'established';

/** What both OPENs settled. */
export interface Negotiated {
  readonly local: OpenMessage;
  readonly remote: OpenMessage;
  /** The peer's, of 32 bits. */
  readonly remoteAs: number;
  readonly holdSeconds: number;
  readonly keepaliveSeconds: number;
  readonly families: readonly Family[];
  readonly receive: CodecContext;
  readonly send: CodecContext;
  readonly routeRefresh: boolean;
  readonly enhancedRouteRefresh: boolean;
  readonly extendedNextHop: readonly Family[];
  /** Addresses of the connection that is left: next hops of our own come from it. */
  readonly localEndpoint: Endpoint;
  readonly remoteEndpoint: Endpoint;
}
