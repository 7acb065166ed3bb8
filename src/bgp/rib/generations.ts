/**
 * What becomes of all paths of a peer at once: they are stale, the stale ones go, or live on for long.
 *
 * Read first: RFC 4724 §4.2; RFC 7313 §4; RFC 9494 §4.2, §4.3. A full table takes longer than others should wait. So each of these is one
 * generation more of the peer (`PathTable.advance`), which takes no time, and a block of paths has the generation that its flags are of.
 * `settle` brings it up to the peer's: a path before it is said again or withdrawn, and all paths of a row before it is decided; `proceed`
 * sees to the others. Who only looks asks `flagsOf`. So what is swept counts as gone from then on, and what is said again meanwhile is new.
 * What has been chosen, and what follows from it, stays until its row has its turn, as with every change.
 * That a path is stale decides nothing: nobody has to proceed for it. `countOf` is right at once, but for paths with NO_LLGR, which count
 * until they are settled.
 * Limit: 2^32 generations of a peer. What changes nothing is none, so a peer needs an UPDATE for each.
 */
import { type AttributeStore, SET } from './attribute-store.ts';
import { PATH, type PathTable } from './path-table.ts';

/** Of one peer. */
interface Ages {
  /** Paths that have not been withdrawn or swept, and how many of them are stale. */
  live: number;
  stale: number;
  /** The last generation that made paths stale. */
  marked: number;
  /** The last one with which stale paths went, and `marked` then. */
  swept: number;
  sweptMark: number;
  /** The last one with which stale paths became long-lived, and `marked` then. */
  kept: number;
  keptMark: number;
}

export interface Paths {
  /** A path that is not counted any more goes. */
  bury(path: number): void;
  touch(row: number): void;
}

export class Generations {
  readonly #store: AttributeStore;
  readonly #paths: PathTable;
  readonly #rib: Paths;
  readonly #ages: Ages[] = [];
  /** `from`: the block that is next. A peer is in here twice at most: on its way, and to begin. */
  readonly #waiting: { readonly peer: number; from: number }[] = [];

  constructor(store: AttributeStore, paths: PathTable, rib: Paths) {
    this.#store = store;
    this.#paths = paths;
    this.#rib = rib;
  }

  /** `proceed` has something to do. */
  get waits(): boolean {
    return this.#waiting.length > 0;
  }

  /** Paths of a peer that have been neither withdrawn nor swept, whatever policy says of them. */
  countOf(peer: number): number {
    return this.#ages[peer]?.live ?? 0;
  }

  /** All are stale until they are said again. */
  mark(peer: number): void {
    const ages = this.#of(peer);
    if (ages.stale === ages.live) return;
    ages.marked = this.#paths.advance(peer);
    ages.stale = ages.live;
  }

  /** The stale ones go. */
  sweep(peer: number): void {
    const ages = this.#of(peer);
    if (ages.stale === 0) return;
    ages.swept = this.#paths.advance(peer);
    ages.sweptMark = ages.marked;
    ages.live -= ages.stale;
    ages.stale = 0;
    this.#wait(peer);
  }

  /** RFC 9494 §4.2, §4.3: the stale ones stay as the least preferred, but for those of which the peer or our policy says NO_LLGR. */
  keep(peer: number): void {
    const ages = this.#of(peer);
    if (ages.stale === 0) return;
    ages.kept = this.#paths.advance(peer);
    ages.keptMark = ages.marked;
    this.#wait(peer);
  }

  /** A path of the peer is said. `flags`: those it had, settled; it is new where it was gone. */
  said(peer: number, flags: number): void {
    const ages = this.#of(peer);
    if ((flags & PATH.gone) !== 0) ages.live++;
    else if ((flags & PATH.stale) !== 0) ages.stale--;
  }

  /** A path is about to go, with these flags, settled. */
  gone(peer: number, flags: number): void {
    const ages = this.#of(peer);
    ages.live--;
    if ((flags & PATH.stale) !== 0) ages.stale--;
  }

  /** Settles about `limit` paths. */
  proceed(limit: number): void {
    for (let left = limit; left > 0 && this.#waiting.length > 0; ) {
      const next = this.#waiting[0]!;
      next.from = this.#paths.some(next.peer, next.from, left, (path) => {
        left--;
        this.settle(path);
      });
      if (next.from === 0) this.#waiting.shift();
    }
  }

  /** All paths of a chain; about how many had to be looked at. */
  settleRow(first: number): number {
    let looked = 0;
    for (let path = first; path !== 0; path = this.#paths.nexts[path]!) looked += this.settle(path);
    return looked;
  }

  /** A path and all others of its block; how many had to be looked at. */
  settle(path: number): number {
    const paths = this.#paths;
    const from = paths.behind(path);
    if (from < 0) return 0;
    const ages = this.#of(paths.owner(path));
    return paths.settle(path, (each) => {
      const old = paths.flags[each]!;
      const now = this.flagsOf(each);
      if ((now & PATH.gone) === 0) {
        paths.flags[each] = now;
        if (((now ^ old) & PATH.longLived) !== 0) this.#rib.touch(paths.rows[each]!);
      } else if ((old & PATH.gone) === 0) {
        if (!isSwept(ages, old, from)) this.gone(paths.owner(each), now);
        this.#rib.bury(each);
      }
    });
  }

  /** What the flags of a path are, settled or not. */
  flagsOf(path: number): number {
    const flags = this.#paths.flags[path]!;
    const from = this.#paths.behind(path);
    if (from < 0 || (flags & PATH.gone) !== 0) return flags;
    const ages = this.#of(this.#paths.owner(path));
    if (isSwept(ages, flags, from)) return flags | PATH.gone;
    const now = ages.marked > from ? flags | PATH.stale : flags;
    if (!isKept(ages, flags, from)) return now;
    return now | (this.#saysNoLlgr(path) ? PATH.gone : PATH.longLived);
  }

  #saysNoLlgr(path: number): boolean {
    const { flags } = this.#store;
    return ((flags[this.#paths.before[path]!]! | flags[this.#paths.after[path]!]!) & SET.noLlgr) !== 0;
  }

  #wait(peer: number): void {
    if (!this.#waiting.some((each) => each.peer === peer && each.from === 0)) this.#waiting.push({ peer, from: 0 });
  }

  #of(peer: number): Ages {
    let ages = this.#ages[peer];
    if (ages === undefined) {
      ages = { live: 0, stale: 0, marked: 0, swept: 0, sweptMark: 0, kept: 0, keptMark: 0 };
      this.#ages[peer] = ages;
    }
    return ages;
  }
}

/** Whether a path whose flags are of generation `from` has been swept since. One that was not stale then has been marked before. */
const isSwept = (ages: Ages, flags: number, from: number): boolean =>
  ((flags & PATH.stale) !== 0 ? ages.swept : ages.sweptMark) > from;

const isKept = (ages: Ages, flags: number, from: number): boolean =>
  ((flags & PATH.stale) !== 0 ? ages.kept : ages.keptMark) > from;
