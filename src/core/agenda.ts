/**
 * Who wants to be woken when: a binary heap of deadlines, for machines that hold thousands of smaller ones.
 *
 * An item is asked for its deadline when it was touched, and again when its time has come: one that moved later meanwhile
 * costs one early look, never a late wake-up. Items without a deadline are not kept.
 */
import type { Deadline, Millis } from './machine.ts';

export interface Timed {
  deadline(): Deadline | undefined;
  /** Something is due. */
  tick(now: Millis): void;
  /** Kept by the agenda, of which an item has one: it is to be asked. */
  touched?: boolean;
  /** Kept by the agenda: when it is asked at the latest. */
  entry?: AgendaEntry | undefined;
}

export interface AgendaEntry {
  readonly item: Timed;
  readonly at: Millis;
}

export class Agenda {
  /** Of each item the `entry` it has, and leftovers, which are no item's. */
  readonly #heap: AgendaEntry[] = [];
  #size = 0;
  /** Those of them that are still `touched` are to be asked, once. */
  readonly #touched: Timed[] = [];

  /** `item` may have a new deadline; it is asked when the agenda is next looked at. */
  touch(item: Timed): void {
    if (item.touched === true) return;
    item.touched = true;
    this.#touched.push(item);
  }

  /** Never wakes `item` again, unless it is touched. */
  forget(item: Timed): void {
    item.touched = false;
    this.#remove(item);
  }

  get size(): number {
    this.#settle();
    return this.#size;
  }

  /** Wakes everything due at `now`. An item whose deadline stays due after its tick is woken once a call. */
  tick(now: Millis): void {
    this.#settle();
    const woken = new Set<Timed>();
    for (let top = this.#top(); top !== undefined && top.at <= now; top = this.#top()) {
      this.#pop();
      this.#remove(top.item);
      const deadline = top.item.deadline();
      if (deadline === undefined) continue;
      if (deadline.at > now || woken.has(top.item)) this.touch(top.item);
      else {
        woken.add(top.item);
        top.item.tick(now);
        this.touch(top.item);
      }
    }
  }

  deadline(): Deadline | undefined {
    this.#settle();
    for (let top = this.#top(); top !== undefined; top = this.#top()) {
      const deadline = top.item.deadline();
      if (deadline !== undefined && deadline.at <= top.at) return deadline;
      this.#pop();
      this.#remove(top.item);
      if (deadline !== undefined) this.#insert(top.item, deadline.at);
    }
    return undefined;
  }

  #settle(): void {
    for (const item of this.#touched) {
      if (item.touched !== true) continue;
      item.touched = false;
      const deadline = item.deadline();
      const known = item.entry;
      if (deadline !== undefined && (known === undefined || deadline.at < known.at)) this.#insert(item, deadline.at);
    }
    this.#touched.length = 0;
  }

  /** The first entry that still counts. */
  #top(): AgendaEntry | undefined {
    for (;;) {
      const top = this.#heap[0];
      if (top === undefined || top.item.entry === top) return top;
      this.#pop();
    }
  }

  #insert(item: Timed, at: Millis): void {
    const entry = { item, at };
    if (item.entry === undefined) this.#size += 1;
    item.entry = entry;
    const heap = this.#heap;
    let i = heap.push(entry) - 1;
    while (i > 0) {
      const parent = (i - 1) >>> 1;
      if (heap[parent]!.at <= at) break;
      heap[i] = heap[parent]!;
      i = parent;
    }
    heap[i] = entry;
  }

  #remove(item: Timed): void {
    if (item.entry === undefined) return;
    item.entry = undefined;
    this.#size -= 1;
  }

  #pop(): void {
    const heap = this.#heap;
    const last = heap.pop();
    if (last === undefined || heap.length === 0) return;
    let i = 0;
    for (;;) {
      let child = 2 * i + 1;
      if (child >= heap.length) break;
      if (child + 1 < heap.length && heap[child + 1]!.at < heap[child]!.at) child += 1;
      if (heap[child]!.at >= last.at) break;
      heap[i] = heap[child]!;
      i = child;
    }
    heap[i] = last;
  }
}
