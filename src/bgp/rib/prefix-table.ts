/**
 * Prefixes of one family as rows: an open hash over integer keys, and columns for what hangs on a prefix.
 *
 * A row is a small number that stays the same while the prefix is in use; 0 is none. A key is one word (IPv4) or four (IPv6) and the
 * length; the caller puts it into `key` and calls `find` or `insert`. Rows are given out in the order of arrival, which is why
 * neighbours in the table mostly share their attributes.
 *
 * Octets a prefix: 4 or 16 key, 1 length, 4 first path, 4 best path, 1 mark, 5 to 11 hash.
 */
import type { Bytes } from '../../core/index.ts';
import { ipv4Octets, type Prefix } from '../../ip/index.ts';
import { putWord, word } from './attribute-store.ts';
import { grown8, grown32, larger } from './columns.ts';

export class PrefixTable {
  /** Words of an address: 1 or 4. */
  readonly words: number;
  readonly key: Uint32Array;
  lengths: Uint8Array = new Uint8Array(8);
  /** First path of the prefix. */
  paths: Uint32Array = new Uint32Array(8);
  best: Uint32Array = new Uint32Array(8);
  /** 1: waits for a decision; 2: for who forwards; 4: is to be tidied; 8: has many paths. */
  marks: Uint8Array = new Uint8Array(8);
  #keys: Uint32Array;
  #slots: Uint32Array = new Uint32Array(16);
  #next = 1;
  #free = 0;
  #count = 0;
  readonly #seed: number;

  /** `seed` keeps a peer from choosing prefixes that collide. */
  constructor(words: number, seed = 0) {
    this.words = words;
    this.key = new Uint32Array(words);
    this.#seed = seed | 0;
    this.#keys = new Uint32Array(8 * words);
  }

  get count(): number {
    return this.#count;
  }

  /** One more than the largest row that was ever given. */
  get bound(): number {
    return this.#next;
  }

  get octets(): number {
    return this.#keys.length * 4 + this.#slots.length * 4 + this.lengths.length * 10;
  }

  /** Row of `key`/`length`, or 0. */
  find(length: number): number {
    const mask = this.#slots.length - 1;
    for (let slot = this.#hash(this.key, 0, length) & mask; ; slot = (slot + 1) & mask) {
      const row = this.#slots[slot]!;
      if (row === 0 || this.#is(row, length)) return row;
    }
  }

  insert(length: number): number {
    const mask = this.#slots.length - 1;
    let slot = this.#hash(this.key, 0, length) & mask;
    for (; this.#slots[slot] !== 0; slot = (slot + 1) & mask)
      if (this.#is(this.#slots[slot]!, length)) return this.#slots[slot]!;
    const row = this.#row();
    for (let i = 0; i < this.words; i++) this.#keys[row * this.words + i] = this.key[i]!;
    this.lengths[row] = length;
    this.#slots[slot] = row;
    this.#count++;
    if (this.#count * 4 > this.#slots.length * 3) this.#rehash();
    return row;
  }

  remove(row: number): void {
    const slots = this.#slots;
    const mask = slots.length - 1;
    let hole = this.#home(row) & mask;
    while (slots[hole] !== row) hole = (hole + 1) & mask;
    for (let at = (hole + 1) & mask; slots[at] !== 0; at = (at + 1) & mask) {
      const home = this.#home(slots[at]!) & mask;
      if (((at - home) & mask) < ((at - hole) & mask)) continue;
      slots[hole] = slots[at]!;
      hole = at;
    }
    slots[hole] = 0;
    this.lengths[row] = FREE;
    this.paths[row] = this.#free;
    this.best[row] = this.marks[row] = 0;
    this.#free = row;
    this.#count--;
  }

  isUsed(row: number): boolean {
    return row < this.#next && this.lengths[row] !== FREE;
  }

  /** Reads a prefix of NLRI at `at` into `key`; the caller has checked that its octets are there. Bits beyond the length count as 0. */
  read(octets: Bytes, at: number, length: number): void {
    const { key } = this;
    for (let i = 0, left = length, o = at; i < this.words; i++, left -= 32, o += 4) {
      if (left <= 0) key[i] = 0;
      else if (left > 24) key[i] = (word(octets, o) & (left >= 32 ? -1 : -1 << (32 - left))) >>> 0;
      else {
        let value = octets[o]! << 24;
        if (left > 8) value |= octets[o + 1]! << 16;
        if (left > 16) value |= octets[o + 2]! << 8;
        key[i] = (value & (-1 << (32 - left))) >>> 0;
      }
    }
  }

  /** Writes a row as NLRI; returns where it ends. */
  write(row: number, octets: Bytes, at: number): number {
    const length = this.lengths[row]!;
    octets[at++] = length;
    const base = row * this.words;
    for (let left = length, i = base; left > 0; left -= 32, i++) {
      const value = this.#keys[i]!;
      octets[at++] = value >>> 24;
      if (left > 8) octets[at++] = value >>> 16;
      if (left > 16) octets[at++] = value >>> 8;
      if (left > 24) octets[at++] = value;
    }
    return at;
  }

  /** The first word of a row's address. */
  head(row: number): number {
    return this.#keys[row * this.words]!;
  }

  prefix(row: number): Prefix {
    const base = row * this.words;
    if (this.words === 1) return { address: ipv4Octets(this.#keys[base]!), length: this.lengths[row]! };
    const address = new Uint8Array(16);
    for (let i = 0; i < 4; i++) putWord(address, i * 4, this.#keys[base + i]!);
    return { address, length: this.lengths[row]! };
  }

  /** Puts a row's address into `key`. */
  fetch(row: number): void {
    for (let i = 0; i < this.words; i++) this.key[i] = this.#keys[row * this.words + i]!;
  }

  /** Puts a prefix into `key`; returns its length. */
  load(prefix: Prefix): number {
    this.read(prefix.address, 0, prefix.length);
    return prefix.length;
  }

  #is(row: number, length: number): boolean {
    const { words } = this;
    if (this.lengths[row] !== length) return false;
    const base = row * words;
    for (let i = 0; i < words; i++) if (this.#keys[base + i] !== this.key[i]) return false;
    return true;
  }

  #home(row: number): number {
    return this.#hash(this.#keys, row * this.words, this.lengths[row]!);
  }

  #hash(words: Uint32Array, base: number, length: number): number {
    let h = this.#seed ^ length;
    for (let i = base; i < base + this.words; i++) {
      h = Math.imul(h ^ words[i]!, 0x9e3779b1);
      h ^= h >>> 15;
    }
    h = Math.imul(h, 0x85ebca77);
    return h ^ (h >>> 13);
  }

  #row(): number {
    if (this.#free !== 0) {
      const row = this.#free;
      this.#free = this.paths[row]!;
      this.paths[row] = 0;
      return row;
    }
    if (this.#next === this.lengths.length) this.#grow();
    return this.#next++;
  }

  #grow(): void {
    const length = larger(this.lengths.length);
    this.lengths = grown8(this.lengths, length);
    this.marks = grown8(this.marks, length);
    this.paths = grown32(this.paths, length);
    this.best = grown32(this.best, length);
    this.#keys = grown32(this.#keys, length * this.words);
  }

  #rehash(): void {
    const old = this.#slots;
    const slots = new Uint32Array(old.length * 2);
    const mask = slots.length - 1;
    for (let i = 0; i < old.length; i++) {
      const row = old[i]!;
      if (row === 0) continue;
      let slot = this.#home(row) & mask;
      while (slots[slot] !== 0) slot = (slot + 1) & mask;
      slots[slot] = row;
    }
    this.#slots = slots;
  }
}

/** No prefix is that long: the row is free. */
const FREE = 0xff;
