/**
 * Fragments: what the first of a packet tells about the later ones, and those that come before it.
 *
 * Read first: RFC 4787 §11 (REQ-14), RFC 791 §3.2, RFC 6864 §5.3.1 (identification behind a NAT).
 * The first fragment has the ports: what became of it holds for (source, destination, protocol, identification) and is
 * remembered for the others, which have only addresses to translate. One that comes before the first waits in a copy,
 * shortly, and goes when the first has passed.
 * Limits: `NatLimits.fragments` packets in a cache that floods only push through: in order fragments need a place for
 * moments, and packets that are whole need none (REQ-14a). `NatLimits.waiting` copies and `WAITING_OCTETS`, oldest out first.
 */
import type { Bytes, Millis } from '../core/index.ts';
import type { Packet } from '../ip/index.ts';
import { NAT_CELL } from './counters.ts';
import { type HashKeys, keyedHash } from './hash.ts';

/** The fragment a later one belongs to; addresses are signed numbers, as they came. */
export interface FragmentKey {
  outbound: boolean;
  source: number;
  destination: number;
  protocol: number;
  identification: number;
}

/** Fills `key` from the header at the start of the packet. */
export function readFragmentKey({ view, start }: Packet, outbound: boolean, key: FragmentKey): void {
  key.outbound = outbound;
  key.source = view.getInt32(start + 12);
  key.destination = view.getInt32(start + 16);
  key.protocol = view.getUint8(start + 9);
  key.identification = view.getUint16(start + 4);
}

export const newFragmentKey = (): FragmentKey => ({
  outbound: false,
  source: 0,
  destination: 0,
  protocol: 0,
  identification: 0,
});

/** As long as a receiver waits for the rest: ipfrag_time of Linux, and twice what RFC 791 §3.2 begins with. */
export const FRAGMENT_MS = 30_000;
/** How long a fragment waits for the first: fragments of one packet leave their sender back to back. */
export const WAITING_MS = 2000;
/** Two packets of the largest size. */
export const WAITING_OCTETS = 0x2_0000;

/** First fragments, by key: sets of four rows, in which the oldest makes way. */
export class FragmentTable {
  readonly #sets: number;
  readonly #keys: HashKeys;
  readonly #cells: Float64Array;
  readonly #first: number;
  #rows: Int32Array | undefined;

  /** Remembers at most `packets`, rounded up to a power of two, four at least. Memory is taken with the first. */
  constructor(packets: number, keys: HashKeys, cells: Float64Array, first = 0) {
    this.#sets = 2 ** Math.ceil(Math.log2(Math.max(packets, WAYS) / WAYS));
    this.#keys = keys;
    this.#cells = cells;
    this.#first = first;
  }

  get octets(): number {
    return this.#rows?.byteLength ?? 0;
  }

  /** The place of a first fragment that passed not long ago, or -1. */
  find(key: FragmentKey, now: Millis): number {
    const rows = this.#rows;
    if (rows === undefined) return -1;
    const set = this.#setOf(key);
    for (let at = set; at < set + WAYS * WORDS; at += WORDS) {
      if (this.#holds(rows, at, key) && ((rows[at + EXPIRES]! - now) | 0) > 0) return at;
    }
    return -1;
  }

  /** What was remembered at a place that `find` gave. */
  value(place: number): number {
    return this.#rows![place + VALUE]!;
  }

  add(key: FragmentKey, value: number, now: Millis): void {
    this.#rows ??= new Int32Array(this.#sets * WAYS * WORDS);
    const rows = this.#rows;
    const set = this.#setOf(key);
    let place = set;
    for (let at = set; at < set + WAYS * WORDS; at += WORDS) {
      if (rows[at + FLAGS] === 0 || this.#holds(rows, at, key)) {
        place = at;
        break;
      }
      if (((rows[at + EXPIRES]! - rows[place + EXPIRES]!) | 0) < 0) place = at;
    }
    const taken = rows[place + FLAGS] !== 0 && !this.#holds(rows, place, key);
    if (taken && ((rows[place + EXPIRES]! - now) | 0) > 0) this.#cells[this.#first + NAT_CELL.fragmentsEvicted]! += 1;
    rows[place + ADDRESSES] = key.source;
    rows[place + ADDRESSES + 1] = key.destination;
    rows[place + FLAGS] = flagsOf(key);
    rows[place + VALUE] = value;
    rows[place + EXPIRES] = now + FRAGMENT_MS;
  }

  #setOf(key: FragmentKey): number {
    const hash = keyedHash(this.#keys, key.source, key.identification, key.protocol, key.destination, 0);
    return (hash & (this.#sets - 1)) * WAYS * WORDS;
  }

  #holds(rows: Int32Array, at: number, key: FragmentKey): boolean {
    return (
      rows[at + ADDRESSES] === key.source &&
      rows[at + ADDRESSES + 1] === key.destination &&
      rows[at + FLAGS] === flagsOf(key)
    );
  }
}

/** Copies of fragments that came before the first of their packet. */
export class WaitingFragments {
  #limit: number;
  readonly #cells: Float64Array;
  readonly #first: number;
  /** In order of arrival. */
  #entries: WaitingFragment[] = [];
  #octets = 0;

  constructor(limit: number, cells: Float64Array, first = 0) {
    this.#limit = limit;
    this.#cells = cells;
    this.#first = first;
  }

  get size(): number {
    return this.#entries.length;
  }

  limitTo(limit: number): void {
    this.#limit = limit;
    while (this.size > limit) this.#giveUpOldest();
  }

  /** When the oldest gives up; undefined when none waits. */
  get expires(): Millis | undefined {
    return this.#entries[0]?.expires;
  }

  add(key: FragmentKey, { buf, start, end }: Packet, now: Millis): void {
    if (this.#limit === 0) {
      this.#cells[this.#first + NAT_CELL.waitingLost]! += 1;
      return;
    }
    while (this.size >= this.#limit || this.#octets + end - start > WAITING_OCTETS) this.#giveUpOldest();
    this.#entries.push({ ...key, octets: buf.slice(start, end), expires: now + WAITING_MS, ready: false });
    this.#octets += end - start;
  }

  /** The first fragment has passed: those that waited for it may go. */
  release(key: FragmentKey): void {
    for (const entry of this.#entries) entry.ready ||= sameKey(entry, key);
  }

  /** Takes out one that may go in this direction; undefined: there is none. */
  take(outbound: boolean): Bytes | undefined {
    const index = this.#entries.findIndex((entry) => entry.ready && entry.outbound === outbound);
    const [entry] = index < 0 ? [] : this.#entries.splice(index, 1);
    this.#octets -= entry?.octets.length ?? 0;
    return entry?.octets;
  }

  expire(now: Millis): void {
    while (this.#entries.length > 0 && this.#entries[0]!.expires <= now) this.#giveUpOldest();
  }

  #giveUpOldest(): void {
    this.#octets -= this.#entries.shift()!.octets.length;
    this.#cells[this.#first + NAT_CELL.waitingLost]! += 1;
  }
}

interface WaitingFragment extends Readonly<FragmentKey> {
  readonly octets: Bytes;
  readonly expires: Millis;
  ready: boolean;
}

const sameKey = (a: Readonly<FragmentKey>, b: FragmentKey): boolean =>
  a.outbound === b.outbound &&
  a.source === b.source &&
  a.destination === b.destination &&
  a.protocol === b.protocol &&
  a.identification === b.identification;

/** Never 0, which is a free place. */
const flagsOf = (key: FragmentKey): number =>
  (key.identification << 16) | (key.protocol << 8) | (key.outbound ? OUTBOUND : INBOUND);

const OUTBOUND = 1;
const INBOUND = 2;
const WAYS = 4;
const WORDS = 5;
const ADDRESSES = 0;
const FLAGS = 2;
const VALUE = 3;
const EXPIRES = 4;
