/** What a request of the peer's is answered with, and what happens once the answer is on its way. */
import type { Millis } from '../../core/index.ts';
import type { NotifyPayload, Payload } from '../payload.ts';

export interface Answer {
  readonly payloads: readonly Payload[];
  /** Runs after the response was sent. */
  readonly after?: (now: Millis) => void;
}

export const refuse = (payload: NotifyPayload, after?: (now: Millis) => void): Answer =>
  after === undefined ? { payloads: [payload] } : { payloads: [payload], after };
