/** What a connection is made of, what it has of its host, and the states it goes through. */
import type { Millis } from '../../core/index.ts';
import type { Endpoint } from '../address.ts';
import type { TcpAction, TcpConnectionId, TcpCounters, TcpLimits, TcpOptions } from './contract.ts';
import type { Md5 } from './segment.ts';

/** RFC 9293 §3.3.2. LISTEN is no connection's. */
export type State =
  | {
      readonly at:
        | 'synSent'
        | 'synReceived'
        | 'established'
        | 'finWait1'
        | 'closing'
        | 'closeWait'
        | 'lastAck'
        | 'closed';
    }
  | { readonly at: 'finWait2' | 'timeWait'; readonly until: Millis };

export interface Surroundings {
  readonly limits: TcpLimits;
  readonly counters: TcpCounters;
  readonly md5: Md5;
  act(action: TcpAction): void;
}

export interface ConnectionOptions {
  readonly id: TcpConnectionId;
  readonly local: Endpoint;
  readonly remote: Endpoint;
  /** It came through a listener. */
  readonly passive: boolean;
  readonly iss: number;
  readonly mtu: number;
  readonly options: TcpOptions;
}
