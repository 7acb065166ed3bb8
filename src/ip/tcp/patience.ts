/**
 * How long a connection waits for its peer: R2 of RFC 1122 §4.2.3.5, and the keepalives of RFC 1122 §4.2.3.6.
 *
 * While the application has the connection, a peer that answers keeps it (RFC 9293 §3.8.6.1, MUST-37): ending it is the application's
 * decision. One that is closed has nobody to decide, so R2 counts from the close at the latest, whatever the peer answers.
 * Leaves to others: retransmission; whoever gives up says so to the peer.
 */
import type { Millis } from '../../core/index.ts';
import type { State } from './connection-contract.ts';
import { CONNECT_TIMEOUT_MS, type TcpOptions, USER_TIMEOUT_MS } from './contract.ts';
import type { Sender } from './sender.ts';

export class Patience {
  readonly #options: TcpOptions;
  #heardAt: Millis = 0;
  #asked = 0;
  #closedAt = Number.POSITIVE_INFINITY;
  #deafAt = Number.POSITIVE_INFINITY;

  constructor(options: TcpOptions) {
    this.#options = options;
  }

  /** The peer is there. */
  heard(now: Millis): void {
    this.#heardAt = now;
    this.#asked = 0;
  }

  /** The application has closed: from now on no answer makes the wait longer. From `deafAt` on text is for nobody. */
  closed(now: Millis, deafAt: Millis): void {
    this.#closedAt = Math.min(this.#closedAt, now);
    this.#deafAt = Math.min(this.#deafAt, deafAt);
  }

  isDeaf(now: Millis): boolean {
    return now >= this.#deafAt;
  }

  /** When it is over, while something waits for an acknowledgment or an open window. */
  endsAt({ retransmitAt, probeAt, stalledSince }: Sender, at: State['at']): Millis | undefined {
    if (retransmitAt === undefined && probeAt === undefined) return undefined;
    const { connectTimeoutMs = CONNECT_TIMEOUT_MS, userTimeoutMs = USER_TIMEOUT_MS } = this.#options;
    const since = Math.min(stalledSince, this.#closedAt);
    return since + (at === 'synSent' ? connectTimeoutMs : userTimeoutMs);
  }

  /** When the peer is to be asked, while nothing else would tell that it is gone. */
  asksAt({ retransmitAt, probeAt }: Sender, at: State['at']): Millis | undefined {
    const { keepalive } = this.#options;
    if (keepalive === undefined || (at !== 'established' && at !== 'closeWait')) return undefined;
    if (retransmitAt !== undefined || probeAt !== undefined) return undefined;
    return this.#heardAt + keepalive.idleMs + this.#asked * keepalive.intervalMs;
  }

  /** `asksAt` has come; false: the peer was asked often enough. */
  ask(): boolean {
    if (this.#asked >= (this.#options.keepalive?.probes ?? 0)) return false;
    this.#asked += 1;
    return true;
  }
}
