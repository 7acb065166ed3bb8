/**
 * One neighbour of a segment, and what finds and orders many of them: an index by address and lines of those for whom the same time
 * runs.
 *
 * Read first: RFC 4861 §5.1 (the neighbour cache), §7.3.2 (states).
 * A line is in the order in which its members joined it; since each waits the same time, the first is due first, and thousands
 * of neighbours need as many timers as there are lines. The index grows by doubling and never shrinks; the table bounds it.
 * Invariant: a neighbour stands in one line, or in none when it is permanent.
 */
import type { Bytes, Millis } from '../core/index.ts';
import { u32 } from '../core/index.ts';
import { type Address, MAC_LENGTH, mixLast, mixWord } from '../ip/index.ts';
import type { NeighbourState } from './segment-contract.ts';

export const NEIGHBOUR = {
  incomplete: 0,
  reachable: 1,
  stale: 2,
  delay: 3,
  probe: 4,
  failed: 5,
  permanent: 6,
} as const satisfies Record<NeighbourState, number>;

export const NEIGHBOUR_STATES = Object.keys(NEIGHBOUR) as readonly NeighbourState[];

export class Neighbour {
  readonly address: Address;
  /** Of meaning where `isResolved`. */
  readonly mac: Bytes = new Uint8Array(MAC_LENGTH);
  state: number = NEIGHBOUR.incomplete;
  /** When it came to be in that state. */
  since: Millis = 0;
  /** Solicitations sent in that state. */
  tries = 0;
  /** For whose packet, while it is. */
  soughtBy = 0;
  /** Packets that wait for it. */
  waiting = 0;
  line: Line | undefined;
  /** When its time in the line has run. */
  due: Millis = 0;
  before: Neighbour | undefined;
  after: Neighbour | undefined;
  /** The next one in its bucket. */
  chained: Neighbour | undefined;
  readonly hash: number;

  constructor(address: Address, hash: number) {
    this.address = address;
    this.hash = hash;
  }

  /** Whether frames can be sent to it. */
  get isResolved(): boolean {
    return this.state !== NEIGHBOUR.incomplete && this.state !== NEIGHBOUR.failed;
  }
}

export class Line {
  readonly period: Millis;
  /** What happens to the first when its time has run, for people. */
  readonly why: string;
  first: Neighbour | undefined;
  size = 0;
  #last: Neighbour | undefined;

  constructor(period: Millis, why: string) {
    this.period = period;
    this.why = why;
  }

  /** Behind all others; it leaves the line it stood in. */
  append(neighbour: Neighbour, now: Millis): void {
    neighbour.line?.remove(neighbour);
    neighbour.line = this;
    neighbour.due = now + this.period;
    neighbour.before = this.#last;
    if (this.#last === undefined) this.first = neighbour;
    else this.#last.after = neighbour;
    this.#last = neighbour;
    this.size += 1;
  }

  remove(neighbour: Neighbour): void {
    const { before, after } = neighbour;
    if (before === undefined) this.first = after;
    else before.after = after;
    if (after === undefined) this.#last = before;
    else after.before = before;
    neighbour.line = undefined;
    neighbour.before = undefined;
    neighbour.after = undefined;
    this.size -= 1;
  }
}

export class NeighbourIndex {
  size = 0;
  readonly #seed: number;
  #buckets: (Neighbour | undefined)[] = buckets(FEWEST_BUCKETS);

  /** A seed nobody else knows: addresses that are chosen to meet in one bucket do not. */
  constructor(seed: number) {
    this.#seed = seed;
  }

  find4(address: number): Neighbour | undefined {
    const hash = mixLast(mixWord(this.#seed, address));
    let found = this.#buckets[hash & (this.#buckets.length - 1)];
    while (found !== undefined && !(found.hash === hash && isAddress4(found.address, address))) found = found.chained;
    return found;
  }

  /** By the 16 octets of buf at `at`. */
  find6(buf: Bytes, at: number): Neighbour | undefined {
    const hash = this.#hash6(buf, at);
    let found = this.#buckets[hash & (this.#buckets.length - 1)];
    while (found !== undefined && !(found.hash === hash && isAddress6(found.address, buf, at))) found = found.chained;
    return found;
  }

  /** A new neighbour of an address that is not here. */
  add(address: Address): Neighbour {
    const hash = address.length === 4 ? mixLast(mixWord(this.#seed, u32(address, 0))) : this.#hash6(address, 0);
    const neighbour = new Neighbour(address, hash);
    if (this.size === this.#buckets.length) this.#grow();
    this.#enter(neighbour);
    this.size += 1;
    return neighbour;
  }

  remove(neighbour: Neighbour): void {
    const bucket = neighbour.hash & (this.#buckets.length - 1);
    let at = this.#buckets[bucket]!;
    if (at === neighbour) this.#buckets[bucket] = neighbour.chained;
    else {
      while (at.chained !== neighbour) at = at.chained!;
      at.chained = neighbour.chained;
    }
    neighbour.chained = undefined;
    this.size -= 1;
  }

  *[Symbol.iterator](): IterableIterator<Neighbour> {
    for (const head of this.#buckets) for (let each = head; each !== undefined; each = each.chained) yield each;
  }

  #hash6(buf: Bytes, at: number): number {
    const half = mixWord(mixWord(this.#seed, u32(buf, at)), u32(buf, at + 4));
    return mixLast(mixWord(mixWord(half, u32(buf, at + 8)), u32(buf, at + 12)));
  }

  #enter(neighbour: Neighbour): void {
    const bucket = neighbour.hash & (this.#buckets.length - 1);
    neighbour.chained = this.#buckets[bucket];
    this.#buckets[bucket] = neighbour;
  }

  #grow(): void {
    const all = [...this];
    this.#buckets = buckets(2 * this.#buckets.length);
    for (const neighbour of all) this.#enter(neighbour);
  }
}

/** A power of two. */
const FEWEST_BUCKETS = 8;

const buckets = (count: number): (Neighbour | undefined)[] => new Array<Neighbour | undefined>(count).fill(undefined);

const isAddress4 = (a: Address, address: number): boolean => a.length === 4 && u32(a, 0) === address;

function isAddress6(a: Address, buf: Bytes, at: number): boolean {
  if (a.length !== 16) return false;
  for (let i = 0; i < 16; i++) if (a[i] !== buf[at + i]) return false;
  return true;
}
