/**
 * Paths of a prefix by peer and path identifier, where there are many of them.
 *
 * Most prefixes have few paths, and walking those is as fast as anything. With ADD-PATH (RFC 7911) one peer alone may say thousands, each of
 * which would be looked for among all others: a row that was walked too far gets an index, for as long as it has that many paths.
 */
import type { PathTable } from './path-table.ts';
import type { PrefixTable } from './prefix-table.ts';

/** Paths that are walked before the index is asked. */
export const LONG_ROW = 64;

export class PathIndex {
  readonly #table: PrefixTable;
  readonly #paths: PathTable;
  readonly #rows = new Map<number, Map<number, number>>();

  constructor(table: PrefixTable, paths: PathTable) {
    this.#table = table;
    this.#paths = paths;
  }

  find(row: number, peer: number, id: number): number {
    let paths = this.#rows.get(row);
    if (paths === undefined) {
      paths = new Map();
      for (let path = this.#table.paths[row]!; path !== 0; path = this.#paths.nexts[path]!)
        paths.set(this.#key(path), path);
      this.#rows.set(row, paths);
    }
    return paths.get(keyOf(peer, id)) ?? 0;
  }

  added(row: number, path: number): void {
    if (this.#rows.size > 0) this.#rows.get(row)?.set(this.#key(path), path);
  }

  /** Called while the path still has its peer and identifier. */
  removed(row: number, path: number): void {
    const paths = this.#rows.size > 0 ? this.#rows.get(row) : undefined;
    paths?.delete(this.#key(path));
    if (paths !== undefined && paths.size < LONG_ROW) this.#rows.delete(row);
  }

  #key(path: number): number {
    return keyOf(this.#paths.owner(path), this.#paths.id(path));
  }
}

const keyOf = (peer: number, id: number): number => peer * 0x1_0000_0000 + id;
