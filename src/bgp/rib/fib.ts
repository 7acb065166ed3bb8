/**
 * What changes for forwarding: rows whose next hops differ from those that were last handed out.
 *
 * Next hops of a row are one number: a next hop's own, or that of a group of them for multipath. A row waits in the list at most once; what
 * is handed out is its state then, so a flapping prefix costs one entry.
 * Of what is chosen of our own, only aggregates matter here: RFC 4632 §5.1 has what they match, and nothing longer does, discarded.
 */
import type { Address, Prefix } from '../../ip/index.ts';
import type { AttributeStore } from './attribute-store.ts';
import { grown32 } from './columns.ts';
import type { Decision } from './decision.ts';
import type { PathTable } from './path-table.ts';
import type { PrefixTable } from './prefix-table.ts';

export interface RouteChange {
  readonly prefix: Prefix;
  /** Of the prefix among those of its family, as long as it has next hops or discards; then it may be another's. */
  readonly row: number;
  /** Empty: the route is gone, or discards. Prefixes with the same next hops mostly have the same list. */
  readonly nextHops: readonly Address[];
  /** What the prefix matches is to be discarded: an aggregate stands for it. */
  readonly discard: boolean;
  readonly peer: number;
}

export const WAITS = 2;

/** Next hops of multipath. */
interface Group {
  readonly key: string;
  readonly hops: readonly number[];
  readonly addresses: readonly Address[];
  /** That have it. */
  rows: number;
}

export class Fib {
  readonly #store: AttributeStore;
  readonly #table: PrefixTable;
  readonly #paths: PathTable;
  #installed: Uint32Array = new Uint32Array(8);
  #waiting: Uint32Array = new Uint32Array(8);
  #count = 0;
  /** Groups of next hops, by number without GROUP and by text. */
  readonly #groups: (Group | undefined)[] = [];
  readonly #numbers = new Map<string, number>();
  /** Lists that were handed out, by the number of their one next hop. */
  readonly #lists: (readonly Address[] | undefined)[] = [];

  constructor(store: AttributeStore, table: PrefixTable, paths: PathTable) {
    this.#store = store;
    this.#table = table;
    this.#paths = paths;
  }

  get octets(): number {
    return (this.#installed.length + this.#waiting.length) * 4;
  }

  get waiting(): number {
    return this.#count;
  }

  /** The best path of a row has been decided; `discards`: an aggregate stands for it. */
  decide(row: number, decision: Decision, discards: boolean): void {
    if (row >= this.#installed.length) this.#installed = grown32(this.#installed, this.#table.best.length);
    const best = this.#table.best[row]!;
    const next = discards ? DISCARDS : best === 0 ? 0 : this.#hopsOf(row, best, decision);
    const old = this.#installed[row]!;
    this.#installed[row] = next;
    this.#release(old);
    if (next !== old) this.#wait(row);
  }

  /** Adds up to `limit` changes to `out`; `tidied` is told which rows no longer wait. */
  take(limit: number, out: RouteChange[], tidied: (row: number) => void): void {
    const count = Math.min(limit, this.#count);
    for (let i = 0; i < count; i++) {
      const row = this.#waiting[i]!;
      this.#table.marks[row]! &= ~WAITS;
      const best = this.#table.best[row]!;
      out.push({
        prefix: this.#table.prefix(row),
        row,
        nextHops: this.#addressesOf(this.#installed[row]!),
        discard: this.#installed[row] === DISCARDS,
        peer: best === 0 ? 0 : this.#paths.owner(best),
      });
      if (this.#table.paths[row] === 0) tidied(row);
    }
    this.#waiting.copyWithin(0, count, this.#count);
    this.#count -= count;
    if (this.#count === 0 && this.#waiting.length > 8192) this.#waiting = new Uint32Array(8);
  }

  /** One reference for the row. Routes of our own have no next hop here: the host knows them better. */
  #hopsOf(row: number, best: number, decision: Decision): number {
    const { nextHops, hops } = this.#store;
    const paths = decision.multipath(this.#table.paths[row]!, best);
    const first = nextHops[this.#paths.after[best]!]!;
    if (paths.length === 1) {
      hops.retain(first);
      return first;
    }
    const members = [...new Set(paths.map((path) => nextHops[this.#paths.after[path]!]!))].sort((a, b) => a - b);
    return members.length === 1 ? this.#single(first) : this.#group(members);
  }

  #single(hop: number): number {
    this.#store.hops.retain(hop);
    return hop;
  }

  #group(members: readonly number[]): number {
    const key = members.join();
    let number = this.#numbers.get(key);
    if (number === undefined) {
      number = this.#groups.indexOf(undefined);
      if (number < 0) number = this.#groups.length;
      for (const hop of members) this.#store.hops.retain(hop);
      const addresses = members.map((hop) => this.#store.hops.at(hop).address);
      this.#groups[number] = { key, hops: members, addresses, rows: 0 };
      this.#numbers.set(key, number);
    }
    this.#groups[number]!.rows++;
    return (number | GROUP) >>> 0;
  }

  #addressesOf(number: number): readonly Address[] {
    if (number === 0 || number === DISCARDS) return NONE;
    if (number >= GROUP_FROM) return this.#groups[number - GROUP_FROM]!.addresses;
    const { address } = this.#store.hops.at(number);
    const known = this.#lists[number];
    // The number may have been another next hop's.
    if (known?.[0] === address) return known;
    const list = [address];
    this.#lists[number] = list;
    return list;
  }

  #release(number: number): void {
    if (number === DISCARDS) return;
    if (number < GROUP_FROM) return this.#store.hops.release(number);
    const group = this.#groups[number - GROUP_FROM]!;
    if (--group.rows > 0) return;
    for (const hop of group.hops) this.#store.hops.release(hop);
    this.#numbers.delete(group.key);
    this.#groups[number - GROUP_FROM] = undefined;
  }

  #wait(row: number): void {
    if ((this.#table.marks[row]! & WAITS) !== 0) return;
    this.#table.marks[row]! |= WAITS;
    if (this.#count === this.#waiting.length) this.#waiting = grown32(this.#waiting);
    this.#waiting[this.#count++] = row;
  }
}

const NONE: readonly Address[] = [];
const GROUP = 0x8000_0000;
const GROUP_FROM = 0x8000_0000;
/** No group has this number, and no next hop. */
const DISCARDS = 0xffff_ffff;
