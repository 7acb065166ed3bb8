/**
 * What a flush is about to say, sorted by attribute set, so that prefixes of one set share messages. Set 0, withdrawals, comes first; the
 * others come in the order in which they were first named.
 *
 * Units come in runs that have set and readers in common, since neighbours in the table mostly do: what is chained by set are the runs.
 * One instance serves all groups of a family, one after the other. Chains by set are two columns as long as the numbers of sets.
 */
import type { AttributeStore } from './attribute-store.ts';
import { grown16, grown32 } from './columns.ts';

export type Visit = (set: number, units: Uint32Array, from: number, to: number, except: number, only: number) => void;

export class Changes {
  readonly #store: AttributeStore;
  #units: Uint32Array = new Uint32Array(8);
  #count = 0;
  /** Where each run begins, and where the last one ends. */
  #starts: Uint32Array = new Uint32Array(8);
  #excepts: Uint16Array = new Uint16Array(8);
  #onlys: Uint16Array = new Uint16Array(8);
  /** Next run of the same set, plus 1. */
  #nexts: Uint32Array = new Uint32Array(8);
  #runs = 0;
  /** Set and readers of the last run. */
  #set = NO_SET;
  #except = 0;
  #only = 0;
  /** First and last run of a set, plus 1. */
  #firsts: Uint32Array = new Uint32Array(8);
  #lasts: Uint32Array = new Uint32Array(8);
  #sets: Uint32Array = new Uint32Array(8);
  #setCount = 0;
  #gathered: Uint32Array = new Uint32Array(8);

  constructor(store: AttributeStore) {
    this.#store = store;
  }

  get count(): number {
    return this.#count;
  }

  /** A set that is named stays alive until `each` has been through: the caller holds it. */
  add(set: number, unit: number, except: number, only: number): void {
    if (set !== this.#set || except !== this.#except || only !== this.#only) this.#begin(set, except, only);
    const at = this.#count++;
    if (at === this.#units.length) this.#units = grown32(this.#units);
    this.#units[at] = unit;
  }

  /** Visits and forgets everything. */
  each(visit: Visit): void {
    this.#starts[this.#runs] = this.#count;
    if (this.#firsts[0] !== 0) this.#chain(0, visit);
    for (let i = 0; i < this.#setCount; i++) this.#chain(this.#sets[i]!, visit);
    this.#count = this.#runs = this.#setCount = 0;
    this.#set = NO_SET;
    if (this.#units.length > KEPT) this.#shrink();
  }

  #begin(set: number, except: number, only: number): void {
    this.#set = set;
    this.#except = except;
    this.#only = only;
    const run = this.#runs++;
    if (this.#runs === this.#starts.length) this.#grow();
    this.#starts[run] = this.#count;
    this.#excepts[run] = except;
    this.#onlys[run] = only;
    this.#nexts[run] = 0;
    if (set >= this.#firsts.length) this.#growSets();
    if (this.#firsts[set] === 0) {
      this.#firsts[set] = run + 1;
      if (set !== 0) {
        if (this.#setCount === this.#sets.length) this.#sets = grown32(this.#sets);
        this.#sets[this.#setCount++] = set;
      }
    } else this.#nexts[this.#lasts[set]! - 1] = run + 1;
    this.#lasts[set] = run + 1;
  }

  /** In rounds: each takes what has the same readers as the first that is left. */
  #chain(set: number, visit: Visit): void {
    let first = this.#firsts[set]!;
    this.#firsts[set] = this.#lasts[set] = 0;
    while (first !== 0) {
      const run = first - 1;
      const except = this.#excepts[run]!;
      const only = this.#onlys[run]!;
      if (this.#nexts[run] === 0)
        return visit(set, this.#units, this.#starts[run]!, this.#starts[run + 1]!, except, only);
      let found = 0;
      let left = 0;
      let last = 0;
      for (let at = first; at !== 0; ) {
        const next = this.#nexts[at - 1]!;
        if (this.#excepts[at - 1] === except && this.#onlys[at - 1] === only) found = this.#gather(at - 1, found);
        else {
          if (left === 0) left = at;
          else this.#nexts[last - 1] = at;
          last = at;
          this.#nexts[at - 1] = 0;
        }
        at = next;
      }
      visit(set, this.#gathered, 0, found, except, only);
      first = left;
    }
  }

  #gather(run: number, to: number): number {
    if (this.#gathered.length < this.#count) this.#gathered = new Uint32Array(this.#units.length);
    const units = this.#units;
    const end = this.#starts[run + 1]!;
    for (let at = this.#starts[run]!; at < end; at++) this.#gathered[to++] = units[at]!;
    return to;
  }

  /** One start more than there are runs. */
  #grow(): void {
    this.#starts = grown32(this.#starts);
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
    this.#gathered = new Uint32Array(8);
    if (this.#starts.length <= KEPT) return;
    this.#starts = new Uint32Array(KEPT);
    this.#nexts = new Uint32Array(KEPT);
    this.#excepts = new Uint16Array(KEPT);
    this.#onlys = new Uint16Array(KEPT);
    this.#sets = new Uint32Array(8);
  }
}

const KEPT = 8192;
/** No run has begun. */
const NO_SET = -1;
