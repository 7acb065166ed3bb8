/** What a session has seen and done, in bounded memory; `view.ts` shows it. */
import type { Millis } from '../../core/index.ts';
import { MESSAGE, type NotificationMessage } from '../message/index.ts';
import { meantBy, wordsOf } from './notice.ts';

export interface MessageCounts {
  open: number;
  update: number;
  notification: number;
  keepalive: number;
  routeRefresh: number;
}

export interface LastError {
  readonly at: Millis;
  readonly code: number;
  readonly subcode: number;
  readonly words: string;
  /** Of a hard reset what it carries (RFC 8538 §3); else the same. */
  readonly meant: { readonly code: number; readonly subcode: number };
}

export interface Counters {
  readonly received: MessageCounts;
  readonly sent: MessageCounts;
  octetsReceived: number;
  octetsSent: number;
  established: number;
  dropped: number;
  /** When the last session ended. */
  droppedAt: Millis | undefined;
  /** ROUTE-REFRESH that means nothing here (RFC 2918 §4, RFC 7313 §5), and events of connections that are gone. */
  ignored: number;
  /** Connections that came when none was wanted. */
  refused: number;
  collisions: number;
  lastSent: LastError | undefined;
  lastReceived: LastError | undefined;
}

export const newCounters = (): Counters => ({
  received: newCounts(),
  sent: newCounts(),
  octetsReceived: 0,
  octetsSent: 0,
  established: 0,
  dropped: 0,
  droppedAt: undefined,
  ignored: 0,
  refused: 0,
  collisions: 0,
  lastSent: undefined,
  lastReceived: undefined,
});

export function countMessage(counts: MessageCounts, type: number): void {
  const name = NAMES[type];
  if (name !== undefined) counts[name] += 1;
}

export function errorOf(n: NotificationMessage, at: Millis): LastError {
  const { code, subcode } = meantBy(n);
  return { at, code: n.code, subcode: n.subcode, words: wordsOf(n), meant: { code, subcode } };
}

const newCounts = (): MessageCounts => ({ open: 0, update: 0, notification: 0, keepalive: 0, routeRefresh: 0 });

const NAMES: Readonly<Record<number, keyof MessageCounts>> = {
  [MESSAGE.OPEN]: 'open',
  [MESSAGE.UPDATE]: 'update',
  [MESSAGE.NOTIFICATION]: 'notification',
  [MESSAGE.KEEPALIVE]: 'keepalive',
  [MESSAGE.ROUTE_REFRESH]: 'routeRefresh',
};
