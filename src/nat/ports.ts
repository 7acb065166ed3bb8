/**
 * The external ports of one protocol, or its query identifiers: which are taken, and which one a new mapping gets.
 *
 * Read first: RFC 4787 §4.2.1–4.2.2 (preservation, ranges, parity), RFC 6056 §3.3 (chance), RFC 7857 §9.
 * The inner port where it is free; else the first free one from a random place on, with the same parity and in the same
 * range, 0–1023 or 1024–65535. Other parity before none at all; a low port may become a high one, never the other way round.
 * Limits: the ports given; 8 KB once the first is taken. A search reads at most 2,048 words, none when it must fail.
 */
import type { Random } from '../core/index.ts';
import { type Bytes, u32 } from '../core/index.ts';

export class PortMap {
  readonly #first: number;
  readonly #last: number;
  readonly #draw: () => number;
  /** One bit a port. */
  #taken: Int32Array | undefined;
  /** Free ports: low even, low odd, high even, high odd; undefined while none is taken. */
  #free: number[] | undefined;

  /** Dynamic ports are `first` to `last`, both included; `draw` gives unsigned 32-bit numbers. */
  constructor(first: number, last: number, draw: () => number) {
    this.#first = first;
    this.#last = last;
    this.#draw = draw;
  }

  isTaken(port: number): boolean {
    return this.#taken !== undefined && ((this.#taken[port >>> 5]! >>> (port & 31)) & 1) === 1;
  }

  get octets(): number {
    return this.#taken?.byteLength ?? 0;
  }

  /** Whether `preferred` itself would be taken. */
  isOpen(preferred: number): boolean {
    return preferred >= this.#first && preferred <= this.#last && !this.isTaken(preferred);
  }

  /** Whether `take` would find any. */
  hasRoomFor(preferred: number): boolean {
    const free = this.#free ?? this.#allFree();
    return free[2]! + free[3]! > 0 || (preferred < LOW_END && free[0]! + free[1]! > 0);
  }

  /** Takes a port for an inner one, or gives -1. */
  take(preferred: number): number {
    const port = this.isOpen(preferred) ? preferred : this.#choose(preferred);
    if (port >= 0) this.mark(port);
    return port;
  }

  /** Takes this very port, dynamic or not. */
  mark(port: number): void {
    if (this.isTaken(port)) return;
    this.#taken ??= new Int32Array(0x1_0000 / 32);
    this.#taken[port >>> 5]! |= 1 << (port & 31);
    this.#count(port, -1);
  }

  free(port: number): void {
    if (this.#taken === undefined || !this.isTaken(port)) return;
    this.#taken[port >>> 5]! &= ~(1 << (port & 31));
    this.#count(port, 1);
  }

  clear(): void {
    this.#taken = undefined;
    this.#free = undefined;
  }

  #allFree(): number[] {
    return [0, 1, 2, 3].map((kind) => {
      const low = kind < 2;
      const from = low ? this.#first : Math.max(this.#first, LOW_END);
      const to = low ? Math.min(this.#last, LOW_END - 1) : this.#last;
      return to < from ? 0 : portsOfParity(from, to, kind & 1);
    });
  }

  #count(port: number, change: number): void {
    if (port < this.#first || port > this.#last) return;
    this.#free ??= this.#allFree();
    this.#free[(port < LOW_END ? 0 : 2) + (port & 1)]! += change;
  }

  #choose(preferred: number): number {
    const parity = preferred & 1;
    if (preferred < LOW_END) {
      const low = this.#search(0, parity);
      if (low >= 0) return low;
    }
    return this.#search(2, parity);
  }

  /** In the range that kinds 0 and 1 or 2 and 3 are of; the parity wanted, else the other. */
  #search(kinds: 0 | 2, wanted: number): number {
    const free = this.#free ?? this.#allFree();
    const parity = free[kinds + wanted]! > 0 ? wanted : 1 - wanted;
    if (free[kinds + parity] === 0) return -1;
    const from = kinds === 0 ? this.#first : Math.max(this.#first, LOW_END);
    const to = kinds === 0 ? Math.min(this.#last, LOW_END - 1) : this.#last;
    const start = from + (this.#draw() % (to - from + 1));
    const port = this.#scan(start, to, parity);
    return port >= 0 ? port : this.#scan(from, start, parity);
  }

  #scan(from: number, to: number, parity: number): number {
    const taken = this.#taken;
    if (taken === undefined) return from + ((from ^ parity) & 1) <= to ? from + ((from ^ parity) & 1) : -1;
    const ofParity = parity === 0 ? EVEN : ODD;
    for (let word = from >>> 5; word <= to >>> 5; word++) {
      let open = ~taken[word]! & ofParity;
      if (word === from >>> 5) open &= -1 << (from & 31);
      if (word === to >>> 5) open &= -1 >>> (31 - (to & 31));
      if (open !== 0) return (word << 5) + 31 - Math.clz32(open & -open);
    }
    return -1;
  }
}

/** Unsigned 32-bit numbers from `random`, which is asked once for many. */
export function drawsFrom(random: Random): () => number {
  let pool: Bytes = EMPTY;
  let at = 0;
  return () => {
    if (at === pool.length) {
      pool = random(DRAW_OCTETS);
      at = 0;
    }
    at += 4;
    return u32(pool, at - 4);
  };
}

const EMPTY = new Uint8Array(0);

/** How many numbers from `from` to `to` are even (0) or odd (1). */
const portsOfParity = (from: number, to: number, parity: number): number =>
  Math.floor((to - parity) / 2) - Math.floor((from - 1 - parity) / 2);

/** RFC 4787 REQ-3a: a range of its own below. */
const LOW_END = 1024;
const EVEN = 0x5555_5555;
const ODD = 0xaaaa_aaaa;
const DRAW_OCTETS = 256;
