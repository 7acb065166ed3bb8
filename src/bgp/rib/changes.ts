/**
 * What a flush is about to say, sorted by attribute set, so that prefixes of one set share messages. Set 0, withdrawals, comes first; the
 * others come in the order in which they were first named.
 *
 * One instance serves all groups of a family, one after the other. Chains by set are two columns as long as the numbers of sets.
 */
import type { AttributeStore } from './attribute-store.ts';
import { grown16, grown32 } from './columns.ts';

export type Visit = (set: number, units: Uint32Array, from: number, to: number, except: number, only: number) => void;

export class Changes {
  readonly #store: AttributeStore;
  #units: Uint32Array = new Uint32Array(8);
  #excepts: Uint16Array = new Uint16Array(8);
  #onlys: Uint16Array = new Uint16Array(8);
  /** Next change of the same set, plus 1. */
  #nexts: Uint32Array = new Uint32Array(8);
  /** First and last change of a set, plus 1. */
  #firsts: Uint32Array = new Uint32Array(8);
  #lasts: Uint32Array = new Uint32Array(8);
  #sets: Uint32Array = new Uint32Array(8);
  #run: Uint32Array = new Uint32Array(8);
  #setCount = 0;
  #count = 0;

  constructor(store: AttributeStore) {
    this.#store = store;
  }

  get count(): number {
    return this.#count;
  }

  /** A set that is named stays alive until `each` has been through: the caller holds it. */
  add(set: number, unit: number, except: number, only: number): void {
    const at = this.#count++;
    if (at === this.#units.length) this.#grow();
    this.#units[at] = unit;
    this.#excepts[at] = except;
    this.#onlys[at] = only;
    this.#nexts[at] = 0;
    if (set >= this.#firsts.length) this.#growSets();
    if (this.#firsts[set] === 0) {
      this.#firsts[set] = at + 1;
      if (set !== 0) {
        if (this.#setCount === this.#sets.length) this.#sets = grown32(this.#sets);
        this.#sets[this.#setCount++] = set;
      }
    } else this.#nexts[this.#lasts[set]! - 1] = at + 1;
    this.#lasts[set] = at + 1;
  }

  /** Visits and forgets everything. */
  each(visit: Visit): void {
    if (this.#run.length < this.#count) this.#run = new Uint32Array(this.#units.length);
    if (this.#firsts[0] !== 0) this.#chain(0, visit);
    for (let i = 0; i < this.#setCount; i++) this.#chain(this.#sets[i]!, visit);
    this.#count = this.#setCount = 0;
    if (this.#units.length > KEPT) this.#shrink();
  }

  /** In rounds: each takes what has the same readers as the first that is left. */
  #chain(set: number, visit: Visit): void {
    let first = this.#firsts[set]!;
    this.#firsts[set] = this.#lasts[set] = 0;
    while (first !== 0) {
      const except = this.#excepts[first - 1]!;
      const only = this.#onlys[first - 1]!;
      let found = 0;
      let left = 0;
      let last = 0;
      for (let at = first; at !== 0; ) {
        const next = this.#nexts[at - 1]!;
        if (this.#excepts[at - 1] === except && this.#onlys[at - 1] === only) this.#run[found++] = this.#units[at - 1]!;
        else {
          if (left === 0) left = at;
          else this.#nexts[last - 1] = at;
          last = at;
          this.#nexts[at - 1] = 0;
        }
        at = next;
      }
      visit(set, this.#run, 0, found, except, only);
      first = left;
    }
  }

  #grow(): void {
    this.#units = grown32(this.#units);
    this.#nexts = grown32(this.#nexts);
    this.#excepts = grown16(this.#excepts);
    this.#onlys = grown16(this.#onlys);
  }

  #growSets(): void {
    const length = this.#store.references.length;
    this.#firsts = grown32(this.#firsts, length);
    this.#lasts = grown32(this.#lasts, length);
  }

  /** After a large flush the columns begin small again. */
  #shrink(): void {
    this.#units = new Uint32Array(KEPT);
    this.#nexts = new Uint32Array(KEPT);
    this.#excepts = new Uint16Array(KEPT);
    this.#onlys = new Uint16Array(KEPT);
    this.#run = new Uint32Array(8);
    this.#sets = new Uint32Array(8);
  }
}

const KEPT = 8192;
