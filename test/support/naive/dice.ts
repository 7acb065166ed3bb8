/** Choices that follow from one number, so that a generated step is this number. */
import { seededU32 } from '../../../src/core/index.ts';

export class Dice {
  readonly #next: () => number;

  constructor(seed: number) {
    this.#next = seededU32(seed);
  }

  below(limit: number): number {
    return this.#next() % limit;
  }

  between(least: number, most: number): number {
    return least + this.below(most - least + 1);
  }

  /** So many times of a hundred. */
  percent(of: number): boolean {
    return this.below(100) < of;
  }

  pick<T>(all: readonly T[]): T {
    return all[this.below(all.length)]!;
  }

  /** By weights. */
  weighed<T>(...all: readonly (readonly [weight: number, value: T])[]): T {
    let at = this.below(all.reduce((sum, [weight]) => sum + weight, 0));
    for (const [weight, value] of all) {
      if (at < weight) return value;
      at -= weight;
    }
    throw new Error('weights add up');
  }

  octets(length: number): Uint8Array {
    return Uint8Array.from({ length }, () => this.below(256));
  }
}
