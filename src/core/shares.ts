/**
 * Room that many share, without a part set aside for each: a holder may have EAGERNESS times what is left free. Alone it gets two thirds;
 * however many are at that bound, some is free, and who has little gets it; who has nothing, the last of it.
 *
 * Leaves to others: the room itself. Limit: holders are remembered only while they hold something.
 */
export class Shares {
  readonly #most: number;
  readonly #held = new Map<number, number>();
  #used = 0;

  constructor(most: number) {
    this.#most = most;
  }

  get used(): number {
    return this.#used;
  }

  /** False: it is not to have so much. */
  take(holder: number, amount = 1): boolean {
    if (!this.mayTake(holder, amount)) return false;
    this.#held.set(holder, (this.#held.get(holder) ?? 0) + amount);
    this.#used += amount;
    return true;
  }

  mayTake(holder: number, amount = 1): boolean {
    const held = this.#held.get(holder) ?? 0;
    const free = this.#most - this.#used - amount;
    return held === 0 ? free >= 0 : held + amount <= EAGERNESS * free;
  }

  give(holder: number, amount = 1): void {
    const held = (this.#held.get(holder) ?? 0) - amount;
    if (held > 0) this.#held.set(holder, held);
    else this.#held.delete(holder);
    this.#used -= amount;
  }

  /** Everything is given back. */
  clear(): void {
    if (this.#used === 0) return;
    this.#held.clear();
    this.#used = 0;
  }
}

const EAGERNESS = 2;
