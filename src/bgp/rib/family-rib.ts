/**
 * The tables of one family: Adj-RIBs-In (columns of the paths), Loc-RIB (the best path of each row), the groups with Adj-RIBs-Out.
 *
 * Read first: RFC 4271 §9.1, §9.2; RFC 4724 §4.2; RFC 9494 §4.3. Changes mark rows; `flush` decides each marked row once and tells the
 * groups. A path that is gone, and a row without paths, live until every group and every member on its own way has said so, because
 * their numbers are what groups know them by.
 */
import type { Millis } from '../../core/index.ts';
import { type Family, IPV4_UNICAST } from '../message/types.ts';
import { Aggregates, type Aggregator } from './aggregates.ts';
import type { AttributeDraft } from './attribute-draft.ts';
import type { AttributeStore } from './attribute-store.ts';
import { type Audience, introduce, tell } from './audience.ts';
import { Changes } from './changes.ts';
import { grown32 } from './columns.ts';
import { type Damped, Dampening, type DampeningOptions } from './dampening.ts';
import { Decision, type DecisionOptions } from './decision.ts';
import { Fib } from './fib.ts';
import { Generations } from './generations.ts';
import { LONG_ROW, PathIndex } from './path-index.ts';
import { PATH, PathTable } from './path-table.ts';
import type { Peer } from './peer.ts';
import { PrefixTable } from './prefix-table.ts';
import type { UpdateGroup } from './update-group.ts';

/** What the tables of all families of a speaker have in common. */
export interface FamilyRibOptions {
  readonly store: AttributeStore;
  readonly draft: AttributeDraft;
  readonly peers: readonly (Peer | undefined)[];
  readonly decision: DecisionOptions;
  readonly forwards: boolean;
  readonly seed: number;
  readonly aggregator: Aggregator;
  readonly dampening: DampeningOptions | undefined;
}

/** Marks of a row. */
const DIRTY = 1;
/** Its paths are to be tidied: one is gone, or there is none. */
const GONE = 4;
/** Its paths are in the index. */
const LONG = 8;

export class FamilyRib {
  readonly family: Family;
  readonly table: PrefixTable;
  readonly paths = new PathTable();
  readonly generations: Generations;
  readonly decision: Decision;
  readonly changes: Changes;
  readonly audiences: Audience[] = [];
  /** Groups without members, which hold sets yet. */
  readonly #ending: UpdateGroup[] = [];
  /** Undefined: nobody forwards by these routes. */
  readonly fib: Fib | undefined;
  readonly aggregates: Aggregates;
  /** Undefined: routes may change as often as they like. */
  dampening: Dampening | undefined;
  /** RFC 4724 §4.1: what comes is kept and nothing is chosen. */
  deferred = false;
  /** The default route that some peers are told whatever routes there are: a path of our own that is never chosen, or 0. */
  heldDefault = 0;
  readonly #store: AttributeStore;
  readonly #index: PathIndex;
  #dirty: Uint32Array = new Uint32Array(8);
  #dirtyCount = 0;

  constructor(family: Family, options: FamilyRibOptions) {
    const { store, draft, peers, decision, forwards, seed, aggregator, dampening } = options;
    this.family = family;
    this.#store = store;
    this.table = new PrefixTable(family === IPV4_UNICAST ? 1 : 4, seed);
    this.#index = new PathIndex(this.paths, seed);
    this.generations = new Generations(store, this.paths, this);
    this.decision = new Decision(store, this.paths, peers, decision);
    this.changes = new Changes(store);
    this.fib = forwards ? new Fib(store, this.table, this.paths) : undefined;
    this.aggregates = new Aggregates(store, draft, this, aggregator);
    this.dampening = dampening === undefined ? undefined : new Dampening(dampening);
  }

  /** Paths of a peer that have not been withdrawn, whatever policy says of them. */
  countOf(peer: number): number {
    return this.generations.countOf(peer);
  }

  get octets(): number {
    return (
      this.table.octets +
      this.paths.octets +
      this.#index.octets +
      this.#dirty.length * 4 +
      (this.fib?.octets ?? 0) +
      this.audiences.reduce((sum, { group }) => sum + group.octets, 0)
    );
  }

  /**
   * The prefix stands in `table.key`. `before` and `after` are held for the caller; the path takes references of its own.
   * A path that says nothing new keeps its age and wakes nobody.
   */
  announce(peer: number, length: number, id: number, before: number, after: number, flags: number, now: Millis): void {
    const row = this.table.insert(length);
    const { paths, generations } = this;
    let path = this.#find(row, peer, id);
    const isNew = path === 0;
    if (path === 0) {
      generations.settle(paths.freeOf(peer));
      path = paths.allocate(peer, row, id);
      paths.nexts[path] = this.table.paths[row]!;
      this.table.paths[row] = path;
      if ((this.table.marks[row]! & LONG) !== 0) this.#index.add(path);
      generations.said(peer, PATH.gone);
    } else {
      generations.settle(path);
      const old = paths.flags[path]!;
      generations.said(peer, old);
      if (
        (old & PATH.gone) === 0 &&
        paths.before[path] === before &&
        paths.after[path] === after &&
        (old & ~PATH.stale) === flags
      ) {
        paths.flags[path] = flags;
        return;
      }
    }
    this.#store.retain(before);
    if (after !== 0) this.#store.retain(after);
    if (!isNew) {
      this.#store.release(paths.before[path]!);
      this.#store.release(paths.after[path]!);
    }
    paths.before[path] = before;
    paths.after[path] = after;
    paths.flags[path] = flags;
    paths.arrivals[path] = Math.floor(now / 100);
    if (!isNew || !this.#changesNothing(row, path)) this.touch(row);
  }

  /** A new path that loses, where only the best is told: most of what many peers say of one prefix. */
  #changesNothing(row: number, path: number): boolean {
    const best = this.table.best[row]!;
    if (best === 0 || (this.table.marks[row]! & DIRTY) !== 0 || this.paths.behind(best) >= 0) return false;
    if (!this.decision.stays(best, path)) return false;
    return this.audiences.every(({ group }) => !group.addPath);
  }

  /** The path that a peer has announced and not withdrawn, or 0. The prefix stands in `table.key`. */
  pathOf(peer: number, length: number, id: number): number {
    const row = this.table.find(length);
    const path = row === 0 ? 0 : this.#find(row, peer, id);
    return path === 0 || this.isGone(path) ? 0 : path;
  }

  /** RFC 2439 §4.8.7: routes that were damped long enough. */
  reuse(now: Millis): void {
    this.#undamp(this.dampening?.reuse(now) ?? []);
  }

  /** By other rules from here on; undefined: by none. */
  dampen(options: DampeningOptions | undefined, now: Millis): void {
    const known = this.dampening;
    if (options === undefined) this.dampening = undefined;
    else if (known === undefined) this.dampening = new Dampening(options);
    this.#undamp((options === undefined ? known?.end() : known?.configure(options, now)) ?? []);
  }

  #undamp(routes: readonly Damped[]): void {
    for (const { peer, id, words, length } of routes) {
      this.table.key.set(words);
      const path = this.pathOf(peer, length, id);
      if (path === 0) continue;
      this.paths.flags[path]! &= ~PATH.damped;
      this.touch(this.paths.rows[path]!);
    }
  }

  /** The prefix stands in `table.key`. */
  withdraw(peer: number, length: number, id: number): void {
    const row = this.table.find(length);
    const path = row === 0 ? 0 : this.#find(row, peer, id);
    if (path !== 0) this.remove(path);
  }

  remove(path: number): void {
    const { paths } = this;
    this.generations.settle(path);
    if ((paths.flags[path]! & PATH.gone) !== 0) return;
    this.generations.gone(paths.owner(path), paths.flags[path]!);
    this.bury(path);
  }

  /** As `Generations` asks. */
  bury(path: number): void {
    const { paths } = this;
    paths.flags[path]! |= PATH.gone;
    this.#store.release(paths.before[path]!);
    this.#store.release(paths.after[path]!);
    paths.before[path] = paths.after[path] = 0;
    this.table.marks[paths.rows[path]!]! |= GONE;
    this.touch(paths.rows[path]!);
  }

  /** From here on there is a default route for peers that are told one always. */
  holdDefault(set: number): void {
    if (this.heldDefault !== 0) return;
    this.table.key.fill(0);
    this.announce(0, 0, DEFAULT_ID, set, 0, PATH.refused, 0);
    this.heldDefault = this.#find(this.table.insert(0), 0, DEFAULT_ID);
  }

  isHeldDefault(path: number): boolean {
    return path !== 0 && path === this.heldDefault;
  }

  /** All that a peer has said goes. */
  purge(peer: number): void {
    this.dampening?.forget(peer);
    this.generations.mark(peer);
    this.generations.sweep(peer);
  }

  /** A peer has another identifier, by which paths are compared (RFC 4271 §9.1.2.2 f) and reflected (RFC 4456 §8). */
  identified(peer: number): void {
    for (const { group } of this.audiences) group.exporter.forget(peer);
    this.paths.each(peer, (path) => this.touch(this.paths.rows[path]!));
  }

  /** Import policy has been asked again. The path takes a reference of its own. */
  rejudge(path: number, after: number, flags: number): void {
    const { paths } = this;
    if (paths.after[path] === after && paths.flags[path] === flags) return;
    if (after !== 0) this.#store.retain(after);
    this.#store.release(paths.after[path]!);
    paths.after[path] = after;
    paths.flags[path] = flags;
    this.touch(paths.rows[path]!);
  }

  touchHops(changed: ReadonlySet<number>): void {
    const { rows, after, bound } = this.paths;
    for (let path = 0; path < Math.min(bound, rows.length); path++)
      if (rows[path] !== 0 && after[path] !== 0 && changed.has(this.#store.nextHops[after[path]!]!))
        this.touch(rows[path]!);
  }

  touch(row: number): void {
    const { marks } = this.table;
    if ((marks[row]! & DIRTY) !== 0) return;
    marks[row]! |= DIRTY;
    if (this.#dirtyCount === this.#dirty.length) this.#dirty = grown32(this.#dirty);
    this.#dirty[this.#dirtyCount++] = row;
  }

  isDirty(row: number): boolean {
    return (this.table.marks[row]! & DIRTY) !== 0;
  }

  /** Rows that the next flush decides. */
  get waiting(): number {
    return this.deferred ? 0 : this.#dirtyCount;
  }

  /** Nothing waits for `flush`. */
  get isSettled(): boolean {
    if (this.generations.waits || this.#ending.length > 0 || this.waiting > 0) return false;
    return this.deferred || this.audiences.every(({ next }) => next === undefined);
  }

  /** Decides what has changed, or about `limit` rows of it, those that have waited longest; how many those were. */
  flush(limit: number): number {
    this.clear(limit);
    if (this.deferred) return 0;
    const decided = this.#dirtyCount === 0 ? 0 : this.#flush(limit);
    for (const audience of this.audiences) introduce(this, audience, limit);
    return decided;
  }

  /** What has gone gives back what it holds, about `limit` paths and as much of groups. */
  clear(limit: number): void {
    this.generations.proceed(limit);
    for (let left = limit; left > 0 && this.#ending.length > 0; ) {
      const given = this.#ending[0]!.end(left);
      if (given < left) this.#ending.shift();
      left -= given;
    }
  }

  /** The group has no members any more. */
  end(audience: Audience): void {
    this.audiences.splice(this.audiences.indexOf(audience), 1);
    this.#ending.push(audience.group);
  }

  #flush(limit: number): number {
    let rows = this.#decide(limit);
    this.aggregates.decided(rows);
    // An aggregate may contribute to a shorter one, and each row is told of once.
    while (this.#dirtyCount > 0 && rows.length < limit && !this.generations.waits) {
      const more = this.#decide(limit);
      this.aggregates.decided(more);
      rows = Uint32Array.from(new Set([...rows, ...more]));
    }
    for (const audience of this.audiences) tell(this, audience, rows);
    this.#tidy(rows);
    return rows.length;
  }

  /** Decides what is dirty, at most `limit` rows; which rows those were. */
  #decide(limit: number): Uint32Array {
    const rows = this.#takeDirty(this.generations.waits ? this.#settleRows(limit) : limit);
    const { best, paths, marks } = this.table;
    for (let i = 0; i < rows.length; i++) {
      const row = rows[i]!;
      marks[row]! &= ~DIRTY;
      best[row] = this.decision.best(paths[row]!);
      this.fib?.decide(row, this.decision, this.aggregates.standFor(row));
    }
    return rows;
  }

  /** How many rows that are dirty, with about `limit` paths, have been settled. */
  #settleRows(limit: number): number {
    let rows = 0;
    for (let left = limit; left > 0 && rows < this.#dirtyCount; rows++)
      left -= 1 + this.generations.settleRow(this.table.paths[this.#dirty[rows]!]!);
    return rows;
  }

  #takeDirty(limit: number): Uint32Array {
    const all = this.#dirty;
    const count = this.#dirtyCount;
    if (count > limit) {
      const rows = all.slice(0, limit);
      all.copyWithin(0, limit, count);
      this.#dirtyCount = count - limit;
      return rows;
    }
    this.#dirty = new Uint32Array(Math.min(count + 8, KEPT));
    this.#dirtyCount = 0;
    return all.subarray(0, count);
  }

  /** All rows. */
  usedRows(): Uint32Array {
    const rows = new Uint32Array(this.table.count);
    let count = 0;
    for (let row = 1; row < this.table.bound; row++) if (this.table.isUsed(row)) rows[count++] = row;
    return rows;
  }

  /** The paths of a row, the first of which is the newest. */
  pathsOf(row: number): number[] {
    const found: number[] = [];
    this.generations.settleRow(this.table.paths[row]!);
    for (let path = this.table.paths[row]!; path !== 0; path = this.paths.nexts[path]!)
      if ((this.paths.flags[path]! & PATH.gone) === 0) found.push(path);
    return found;
  }

  isGone(path: number): boolean {
    return (this.generations.flagsOf(path) & PATH.gone) !== 0;
  }

  /** Unlinks paths that are gone, and gives rows back of which nothing is left. */
  #tidy(rows: Uint32Array): void {
    const { marks } = this.table;
    const pinning = this.audiences.filter(({ group }) => group.pins).map(({ group }) => group);
    for (let i = 0; i < rows.length; i++) {
      const row = rows[i]!;
      if ((marks[row]! & GONE) !== 0) this.#tidyRow(row, pinning);
    }
  }

  #tidyRow(row: number, pinning: readonly UpdateGroup[]): void {
    const { nexts, flags } = this.paths;
    const { paths, marks } = this.table;
    let before = 0;
    let isDone = true;
    for (let path = paths[row]!; path !== 0; ) {
      const next = nexts[path]!;
      const isGone = (flags[path]! & PATH.gone) !== 0;
      if (isGone && !isPinned(pinning, path, true)) {
        if (before === 0) paths[row] = next;
        else nexts[before] = next;
        if ((marks[row]! & LONG) !== 0) this.#index.remove(path);
        this.paths.release(path);
      } else {
        before = path;
        if (isGone) isDone = false;
      }
      path = next;
    }
    if (paths[row] !== 0) {
      if (isDone) marks[row]! &= ~GONE;
    } else if ((marks[row]! & ~LONG) === GONE && !isPinned(pinning, row, false)) this.table.remove(row);
  }

  #find(row: number, peer: number, id: number): number {
    const { marks, paths } = this.table;
    const { nexts } = this.paths;
    if ((marks[row]! & LONG) === 0) {
      let left = LONG_ROW;
      for (let path = paths[row]!; path !== 0 && left > 0; path = nexts[path]!, left--)
        if (this.paths.owner(path) === peer && this.paths.id(path) === id) return path;
      if (left > 0) return 0;
      marks[row]! |= LONG;
      for (let path = paths[row]!; path !== 0; path = nexts[path]!) this.#index.add(path);
    }
    return this.#index.find(row, peer, id);
  }
}

/** Whether a path, or a row of groups without ADD-PATH, must keep its number because a member of a group has yet to be told of it. */
function isPinned(groups: readonly UpdateGroup[], unit: number, isPath: boolean): boolean {
  return groups.length > 0 && groups.some((group) => group.addPath === isPath && group.isPinned(unit));
}

/** Path identifier among our own paths of a prefix. */
const DEFAULT_ID = 1;
/** Rows that may wait without a new array. */
const KEPT = 8192;
