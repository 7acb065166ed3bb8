/**
 * What a member with a MinRouteAdvertisementInterval is owed: it is on its own way for good, and is told in rounds.
 *
 * Read first: RFC 4271 §9.2.1.1; the timer between two rounds is the peer's (`bgp/pace.ts`). What has been marked when a round begins goes in
 * it, each unit once and as it is by then; what is marked later is held for the next round. A withdrawal waits for no round, and
 * where the peer does not have the unit there is none. With ADD-PATH a path that goes may have made room for another, which is held: then it
 * is held as well, as long as some path of the prefix is told (`hurry`).
 * An answer to ROUTE-REFRESH is a round, and waits for its time. Own marks are those of the round.
 * Invariant: a unit is in the round, held, to be withdrawn, or in none of these.
 */
import { Marks } from './marks.ts';
import { Resync } from './resync.ts';

export class PacedResync extends Resync {
  readonly #addPath: boolean;
  #held = new Marks();
  /** To be withdrawn. */
  readonly #gone = new Marks();
  /** What the peer may have. */
  readonly #has = new Marks();
  #inRound = false;
  #recalled = false;

  constructor(addPath: boolean) {
    super();
    this.#addPath = addPath;
  }

  /** All that was held may go, and when it has gone, what stands behind it. Whether there is anything. */
  beginRound(): boolean {
    this.#held.each((unit) => super.mark(unit));
    this.#held = new Marks();
    this.#inRound = true;
    return super.count > 0;
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

  /** Whether something that might have gone may not any more, since this was asked last. */
  takeRecalled(): boolean {
    const recalled = this.#recalled;
    this.#recalled = false;
    return recalled;
  }

  /** No path of the prefix is told any more. */
  hurry(unit: number): void {
    if (!this.#held.has(unit)) return;
    this.#held.clear(unit);
    this.#gone.mark(unit);
  }

  override get speaks(): boolean {
    return this.#inRound || this.count > 0 || this.literal.length > 0;
  }

  override owe(unit: number, withdrawn: boolean): void {
    if (!withdrawn) return this.mark(unit);
    if (super.has(unit)) this.#recalled = true;
    this.clear(unit);
    if (this.#has.has(unit)) (this.#addPath ? this.#held : this.#gone).mark(unit);
  }

  override mark(unit: number): void {
    if (this.#gone.has(unit)) this.#recalled = true;
    this.#gone.clear(unit);
    if (!super.has(unit)) this.#held.mark(unit);
  }

  override clear(unit: number): void {
    super.clear(unit);
    this.#held.clear(unit);
    this.#gone.clear(unit);
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
    return super.has(unit) || this.#gone.has(unit) || this.#held.has(unit);
  }

  /** How many may go now. */
  override get count(): number {
    return super.count + this.#gone.count;
  }

  override each(visit: (unit: number) => void): void {
    super.each(visit);
    this.#gone.each(visit);
    this.#held.each(visit);
  }

  /** Of those that may go now, withdrawals first. */
  override slice(): Uint32Array {
    return this.#gone.count > 0 ? this.#gone.slice() : super.slice();
  }
}
