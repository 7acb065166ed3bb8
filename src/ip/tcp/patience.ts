/**
 * How long a connection waits for its peer: R2 of RFC 1122 §4.2.3.5, and the keepalives of RFC 1122 §4.2.3.6.
 *
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

  constructor(options: TcpOptions) {
    this.#options = options;
  }

  /** The peer is there. */
  heard(now: Millis): void {
    this.#heardAt = now;
    this.#asked = 0;
  }

  /** When it is over, while something waits for an acknowledgment or an open window. */
  endsAt({ retransmitAt, probeAt, stalledSince }: Sender, at: State['at']): Millis | undefined {
    if (retransmitAt === undefined && probeAt === undefined) return undefined;
    const { connectTimeoutMs = CONNECT_TIMEOUT_MS, userTimeoutMs = USER_TIMEOUT_MS } = this.#options;
    return stalledSince + (at === 'synSent' ? connectTimeoutMs : userTimeoutMs);
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
