/**
 * When a peer is told again of what has changed: the MinRouteAdvertisementIntervalTimer.
 *
 * Read first: RFC 4271 §9.2.1.1, §10. There is one timer a peer and none a destination: what has changed goes in rounds (`rib/paced-resync.ts`),
 * the first of which is the table of a new session. The timer is set when the transport has been given the last of a round, so between two
 * UPDATEs about one destination, be they advertisements or withdrawals, there is at least its time, also where a slow reader makes a round
 * long; a round in which nothing is told sets none.
 */
import type { Millis } from '../core/index.ts';
import type { UpdateGroup } from './rib/update-group.ts';

export class Pace {
  /** No round begins before. */
  #until: Millis = 0;
  #inRound = false;

  /** The session is another, or there was no interval before: all there is to say goes at once. */
  clear(): void {
    this.#until = 0;
    this.#inRound = false;
  }

  /** Begins a round, if it is time for one. The groups are those of the peer, of all families. */
  begin(peer: number, groups: readonly UpdateGroup[], now: Millis): void {
    if (this.#inRound || now < this.#until) return;
    for (const group of groups) if (group.beginRound(peer)) this.#inRound = true;
  }

  /** All that may go now has gone. */
  end(now: Millis, interval: () => Millis): void {
    if (!this.#inRound) return;
    this.#inRound = false;
    this.#until = now + interval();
  }

  /** When the peer is told of what it is kept from; undefined: of nothing. */
  nextRound(peer: number, groups: readonly UpdateGroup[]): Millis | undefined {
    return !this.#inRound && groups.some((group) => group.waits(peer)) ? this.#until : undefined;
  }
}
