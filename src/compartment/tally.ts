/** How much each of some holders has, and who has most. Who has nothing is not remembered. */
export class Tally {
  readonly #counts = new Map<number, number>();
  /** Somebody who has no less than any other; undefined: to be looked for. */
  #most: number | undefined;

  add(holder: number): void {
    const count = (this.#counts.get(holder) ?? 0) + 1;
    this.#counts.set(holder, count);
    if (this.#most !== undefined && count > (this.#counts.get(this.#most) ?? 0)) this.#most = holder;
  }

  remove(holder: number): void {
    const count = (this.#counts.get(holder) ?? 0) - 1;
    if (count > 0) this.#counts.set(holder, count);
    else this.#counts.delete(holder);
    if (holder === this.#most) this.#most = undefined;
  }

  /** Of meaning while anybody has something. */
  get most(): number {
    if (this.#most === undefined) {
      let most = 0;
      for (const [holder, count] of this.#counts)
        if (count > most) {
          most = count;
          this.#most = holder;
        }
    }
    return this.#most ?? 0;
  }
}
