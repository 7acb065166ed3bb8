/**
 * Paths of long rows by row, peer and path identifier: an open hash of path numbers.
 *
 * Most prefixes have few paths, and walking those is as fast as anything. Where hundreds of peers say the same, or with ADD-PATH (RFC 7911)
 * one peer alone says thousands, each path would be looked for among all others: a row whose chain was walked too far is put in here, for
 * as long as it has paths.
 *
 * Octets a path of such a row: 5 to 11.
 */
import type { PathTable } from './path-table.ts';

/** Paths that are walked before the row is put in. */
export const LONG_ROW = 16;

export class PathIndex {
  readonly #paths: PathTable;
  readonly #seed: number;
  #slots: Uint32Array = new Uint32Array(16);
  #count = 0;

  /** `seed` keeps a peer from choosing path identifiers that collide. */
  constructor(paths: PathTable, seed: number) {
    this.#paths = paths;
    this.#seed = seed;
  }

  get octets(): number {
    return this.#slots.length * 4;
  }

  /** A path, or 0. */
  find(row: number, peer: number, id: number): number {
    const paths = this.#paths;
    const slots = this.#slots;
    const mask = slots.length - 1;
    for (let slot = this.#hash(row, peer, id) & mask; ; slot = (slot + 1) & mask) {
      const path = slots[slot]!;
      if (path === 0 || (paths.rows[path] === row && paths.owner(path) === peer && paths.id(path) === id)) return path;
    }
  }

  add(path: number): void {
    this.#count++;
    if (this.#count * 4 > this.#slots.length * 3) this.#grow();
    this.#put(path);
  }

  /** Called while the path still has its row, peer and identifier. */
  remove(path: number): void {
    const slots = this.#slots;
    const mask = slots.length - 1;
    let hole = this.#home(path) & mask;
    while (slots[hole] !== path) hole = (hole + 1) & mask;
    for (let at = (hole + 1) & mask; slots[at] !== 0; at = (at + 1) & mask) {
      const home = this.#home(slots[at]!) & mask;
      if (((at - home) & mask) < ((at - hole) & mask)) continue;
      slots[hole] = slots[at]!;
      hole = at;
    }
    slots[hole] = 0;
    this.#count--;
  }

  #put(path: number): void {
    const slots = this.#slots;
    const mask = slots.length - 1;
    let slot = this.#home(path) & mask;
    while (slots[slot] !== 0) slot = (slot + 1) & mask;
    slots[slot] = path;
  }

  #grow(): void {
    const old = this.#slots;
    this.#slots = new Uint32Array(old.length * 2);
    for (let i = 0; i < old.length; i++) if (old[i] !== 0) this.#put(old[i]!);
  }

  #home(path: number): number {
    const paths = this.#paths;
    return this.#hash(paths.rows[path]!, paths.owner(path), paths.id(path));
  }

  #hash(row: number, peer: number, id: number): number {
    let h = Math.imul(this.#seed ^ row, 0x9e3779b1);
    h = Math.imul(h ^ (h >>> 15) ^ peer, 0x85ebca77);
    h = Math.imul(h ^ (h >>> 13) ^ id, 0x9e3779b1);
    return h ^ (h >>> 16);
  }
}
