/**
 * A task is one request of ours and what its answer means. The IKE SA runs one at a time (window size 1); the task never
 * sees a message ID. Tasks that have nothing left to do say so by returning undefined, and the next one runs.
 */
import type { Millis } from '../../core/index.ts';
import type { Payload } from '../payload.ts';
import type { IkeSa } from './ike-sa.ts';

export type TaskKind =
  | 'ike-init'
  | 'ike-auth'
  | 'child-create'
  | 'child-rekey'
  | 'child-delete'
  | 'ike-rekey'
  | 'ike-delete'
  | 'liveness';

export interface Request {
  readonly exchange: number;
  readonly payloads: readonly Payload[];
}

export interface Task {
  readonly kind: TaskKind;
  /** What to ask the peer; undefined when the reason for asking is gone. May be called again after a restart. */
  request(sa: IkeSa, now: Millis): Request | undefined;
  /** The peer's authenticated answer; `octets` are the message as received (IKE_SA_INIT needs them for AUTH). */
  answer(sa: IkeSa, payloads: readonly Payload[], now: Millis, octets: Uint8Array): void;
  /** The IKE SA closes, or the answer could not be understood: give back what was reserved. */
  abandon(sa: IkeSa, now: Millis): void;
}
