/**
 * What a member with a MinRouteAdvertisementInterval is owed: it is on its own way for good, and is told in rounds.
 *
 * Read first: RFC 4271 §9.2.1.1; the timer between two rounds is the peer's (`bgp/pace.ts`). What has been marked when a round begins goes in
 * it, each unit once and as it is by then, withdrawals too; what is marked later is held for the next round, unless the peer is to have nothing
 * and has nothing. So is a unit of the round that goes before it has been told, for what comes in place of a path (ADD-PATH) is held as
 * well. An answer to ROUTE-REFRESH is a round, and waits for its time. Own marks are those of the round.
 * Invariant: a unit is in the round, held, or in neither.
 */
import { Marks } from './marks.ts';
import { Resync } from './resync.ts';

export class PacedResync extends Resync {
  #held = new Marks();
  /** What the peer may have. */
  readonly #has = new Marks();
  #inRound = false;

  /** All that was held may go, and when it has gone, what stands behind it. Whether there is anything. */
  beginRound(): boolean {
    this.#held.each((unit) => super.mark(unit));
    this.#held = new Marks();
    this.#inRound = true;
    return this.count > 0;
  }

  /** Nothing is left that may go: whether that is the end of a round. */
  endRound(): boolean {
    const ends = this.#inRound;
    this.#inRound = false;
    return ends;
  }

  /** Whether something waits for the next round. */
  get waits(): boolean {
    return this.#held.count > 0 || this.again !== undefined;
  }

  override get speaks(): boolean {
    return this.#inRound || this.count > 0 || this.literal.length > 0;
  }

  override owe(unit: number, withdrawn: boolean): void {
    if (withdrawn) this.clear(unit);
    if (!withdrawn || this.#has.has(unit)) this.mark(unit);
  }

  override clear(unit: number): void {
    super.clear(unit);
    this.#held.clear(unit);
  }

  override mark(unit: number): void {
    if (!super.has(unit)) this.#held.mark(unit);
  }

  override told(unit: number, has: boolean): void {
    this.clear(unit);
    if (has) this.#has.mark(unit);
    else this.#has.clear(unit);
  }

  override adopt(other: Resync): this {
    other.each((unit) => this.#has.mark(unit));
    return super.adopt(other);
  }

  override has(unit: number): boolean {
    return super.has(unit) || this.#held.has(unit);
  }

  override each(visit: (unit: number) => void): void {
    super.each(visit);
    this.#held.each(visit);
  }
}
