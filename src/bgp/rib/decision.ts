/**
 * Which path of a prefix is best, by which step, and in words.
 *
 * Read first: RFC 4271 §9.1.2.2; RFC 4456 §9; RFC 9494 §4.3. Around the steps of the RFC stand those that the field has agreed on:
 * weight, own routes, age of external paths, length of CLUSTER_LIST.
 *
 * MED is compared as the RFC writes it, by removal: among what is equal up to ORIGIN, a path goes when another of the same neighbour AS
 * has a lower MED. What remains is compared without MED. So the answer does not depend on the order of arrival, which is what others
 * call deterministic MED.
 */
import { compareAddresses } from '../../ip/index.ts';
import { type AttributeStore, SET } from './attribute-store.ts';
import { PATH, type PathTable } from './path-table.ts';
import type { Peer } from './peer.ts';

export interface DecisionOptions {
  /** Compares MED across neighbour AS numbers. */
  readonly alwaysCompareMed: boolean;
  /** A missing MED is the worst. Default: the best, 0 (RFC 4271 §9.1.2.2 c). */
  readonly missingMedAsWorst: boolean;
  /** Looks at identifiers at once; otherwise the oldest external path wins first. */
  readonly compareRouterId: boolean;
  /** Paths that are used side by side at most. */
  readonly multipath: number;
}

export const DECISION: DecisionOptions = {
  alwaysCompareMed: false,
  missingMedAsWorst: false,
  compareRouterId: false,
  multipath: 1,
};

export type Step = (typeof STEPS)[number];

const STEPS = [
  'only',
  'long-lived stale',
  'weight',
  'local preference',
  'own route',
  'AS path length',
  'origin',
  'MED',
  'external over internal',
  'metric of the next hop',
  'age',
  'router identifier',
  'cluster list length',
  'neighbour address',
  'path identifier',
] as const;

export class Decision {
  readonly #store: AttributeStore;
  readonly #paths: PathTable;
  readonly #peers: readonly (Peer | undefined)[];
  readonly #options: DecisionOptions;
  readonly #left: number[] = [];
  readonly #groups: number[] = [];
  readonly #lowest: number[] = [];

  constructor(
    store: AttributeStore,
    paths: PathTable,
    peers: readonly (Peer | undefined)[],
    options: DecisionOptions = DECISION,
  ) {
    this.#store = store;
    this.#paths = paths;
    this.#peers = peers;
    this.#options = options;
  }

  /** The best of a chain of paths, or 0. */
  best(first: number): number {
    const { nexts } = this.#paths;
    if (first === 0) return 0;
    if (nexts[first] === 0) return this.eligible(first) ? first : 0;
    return this.among(first, undefined);
  }

  /** The best of a chain without those of `except`: for the second best and so on. */
  among(first: number, except: ReadonlySet<number> | undefined): number {
    const left = this.#equalUpToOrigin(first, except);
    if (left.length > 1) this.#removeByMed(left);
    let best = left[0] ?? 0;
    for (let i = 1; i < left.length; i++) if (this.#later(left[i]!, best) < 0) best = left[i]!;
    return best;
  }

  /** Paths that are as good as the best up to the metric of the next hop, the best first (at most `multipath`). */
  multipath(first: number, best: number): readonly number[] {
    const chosen = [best];
    if (this.#options.multipath <= 1) return chosen;
    const left = this.#equalUpToOrigin(first, undefined);
    this.#removeByMed(left);
    for (const path of left) {
      if (chosen.length >= this.#options.multipath) break;
      const step = Math.abs(this.#later(path, best));
      if (path !== best && step > METRIC_STEP) chosen.push(path);
    }
    return chosen;
  }

  eligible(path: number): boolean {
    const set = this.#paths.after[path]!;
    return (
      set !== 0 && (this.#paths.flags[path]! & INELIGIBLE) === 0 && this.#store.hops.usable(this.#store.nextHops[set]!)
    );
  }

  /**
   * Whether `best`, which was chosen without `path`, stays the best with it, and with it the paths beside it; false where that is not sure. A path more can only remove
   * others by MED, never bring one back; so all that counts is whether it removes the best one, or is better behind MED.
   */
  stays(best: number, path: number): boolean {
    if (!this.eligible(path)) return true;
    const early = this.#earlier(path, best);
    if (early !== 0) return early > 0;
    if (this.#options.multipath > 1) return false;
    const removes = this.#medGroup(path) === this.#medGroup(best) && this.#med(path) < this.#med(best);
    return !removes && this.#later(path, best) > 0;
  }

  /** By which step `path` lost to `best`; both are of the chain that begins with `first`. */
  lostAt(path: number, best: number, first: number): Step {
    const early = this.#earlier(path, best);
    if (early !== 0) return STEPS[Math.abs(early)]!;
    const left = this.#equalUpToOrigin(first, undefined);
    this.#removeByMed(left);
    return left.includes(path) ? STEPS[Math.abs(this.#later(path, best))]! : 'MED';
  }

  /** The step, negative when `a` is better: up to ORIGIN. */
  #earlier(a: number, b: number): number {
    const s = this.#store;
    const x = this.#paths.after[a]!;
    const y = this.#paths.after[b]!;
    const stale = this.#longLived(a, x) - this.#longLived(b, y);
    if (stale !== 0) return stale;
    if (x === y && this.#paths.owner(a) !== 0 && this.#paths.owner(b) !== 0) return 0;
    if (s.weights[x] !== s.weights[y]) return s.weights[x]! > s.weights[y]! ? -2 : 2;
    if (s.localPreferences[x] !== s.localPreferences[y])
      return s.localPreferences[x]! > s.localPreferences[y]! ? -3 : 3;
    const own = (this.#paths.owner(a) === 0 ? 1 : 0) - (this.#paths.owner(b) === 0 ? 1 : 0);
    if (own !== 0) return own > 0 ? -4 : 4;
    if (s.pathLengths[x] !== s.pathLengths[y]) return s.pathLengths[x]! < s.pathLengths[y]! ? -5 : 5;
    if (s.origins[x] !== s.origins[y]) return s.origins[x]! < s.origins[y]! ? -6 : 6;
    return 0;
  }

  /** The step, negative when `a` is better: behind MED. Never 0 for two paths. */
  #later(a: number, b: number): number {
    if (a === b) return 0;
    const s = this.#store;
    const p = this.#peers[this.#paths.owner(a)]!;
    const q = this.#peers[this.#paths.owner(b)]!;
    const x = this.#paths.after[a]!;
    const y = this.#paths.after[b]!;
    const outside = (p.kind === 'external' ? 1 : 0) - (q.kind === 'external' ? 1 : 0);
    if (outside !== 0) return outside > 0 ? -8 : 8;
    const metric = s.hops.metric(s.nextHops[x]!) - s.hops.metric(s.nextHops[y]!);
    if (metric !== 0) return metric < 0 ? -METRIC_STEP : METRIC_STEP;
    if (!this.#options.compareRouterId && p.kind === 'external') {
      const age = this.#paths.arrivals[a]! - this.#paths.arrivals[b]!;
      if (age !== 0) return age < 0 ? -10 : 10;
    }
    const i = (s.flags[x]! & SET.originator) === 0 ? p.remoteId : s.originators[x]!;
    const j = (s.flags[y]! & SET.originator) === 0 ? q.remoteId : s.originators[y]!;
    if (i !== j) return i < j ? -11 : 11;
    const clusters = s.clusterLengths[x]! - s.clusterLengths[y]!;
    if (clusters !== 0) return clusters < 0 ? -12 : 12;
    const address = p === q ? 0 : compareAddresses(p.remoteAddress, q.remoteAddress);
    if (address !== 0) return address < 0 ? -13 : 13;
    const id = this.#paths.id(a) - this.#paths.id(b);
    return id !== 0 ? (id < 0 ? -14 : 14) : a < b ? -14 : 14;
  }

  #equalUpToOrigin(first: number, except: ReadonlySet<number> | undefined): number[] {
    const left = this.#left;
    left.length = 0;
    for (let path = first; path !== 0; path = this.#paths.nexts[path]!) {
      if (!this.eligible(path) || except?.has(path) === true) continue;
      const step = left.length === 0 ? 0 : this.#earlier(path, left[0]!);
      if (step > 0) continue;
      if (step < 0) left.length = 0;
      left.push(path);
    }
    return left;
  }

  /** RFC 4271 §9.1.2.2 c. Linear in the paths, times the number of neighbour AS numbers. */
  #removeByMed(left: number[]): void {
    if (this.#sameMed(left)) return;
    const groups = this.#groups;
    const lowest = this.#lowest;
    groups.length = lowest.length = 0;
    for (const path of left) {
      const group = this.#medGroup(path);
      const at = groups.indexOf(group);
      const med = this.#med(path);
      if (at < 0) {
        groups.push(group);
        lowest.push(med);
      } else if (med < lowest[at]!) lowest[at] = med;
    }
    let kept = 0;
    for (const path of left) if (this.#med(path) === lowest[groups.indexOf(this.#medGroup(path))]!) left[kept++] = path;
    left.length = kept;
  }

  /** As where nobody sets it: then the number of neighbour AS numbers costs nothing. */
  #sameMed(left: readonly number[]): boolean {
    const first = this.#med(left[0]!);
    for (let i = 1; i < left.length; i++) if (this.#med(left[i]!) !== first) return false;
    return true;
  }

  /** Paths of our own AS are one group (neighbour AS 0). */
  #medGroup(path: number): number {
    return this.#options.alwaysCompareMed ? 0 : this.#store.neighbours[this.#paths.after[path]!]!;
  }

  #med(path: number): number {
    const set = this.#paths.after[path]!;
    if ((this.#store.flags[set]! & SET.med) !== 0) return this.#store.meds[set]!;
    return this.#options.missingMedAsWorst ? 0xffffffff : 0;
  }

  #longLived(path: number, set: number): number {
    return (this.#paths.flags[path]! & PATH.longLived) !== 0 || (this.#store.flags[set]! & SET.llgrStale) !== 0 ? 1 : 0;
  }
}

const METRIC_STEP = 9;
const INELIGIBLE = PATH.gone | PATH.looped | PATH.refused | PATH.damped;
