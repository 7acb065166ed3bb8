/**
 * Peers whose import policy is another, and how far their paths have been asked again: a full table takes longer than others should wait.
 *
 * What a peer says meanwhile is judged by the new policy as it comes. A policy that changes once more begins again.
 */
import type { FamilyRib } from './family-rib.ts';

export class Rejudging {
  readonly #judge: (peer: number, rib: FamilyRib, path: number) => void;
  /** `from`: the block of paths that is next. */
  #waiting: { readonly peer: number; readonly rib: FamilyRib; from: number }[] = [];

  constructor(judge: (peer: number, rib: FamilyRib, path: number) => void) {
    this.#judge = judge;
  }

  get waits(): boolean {
    return this.#waiting.length > 0;
  }

  begin(peer: number, families: readonly FamilyRib[]): void {
    this.#waiting = this.#waiting.filter((each) => each.peer !== peer);
    for (const rib of families) this.#waiting.push({ peer, rib, from: 0 });
  }

  /** About `limit` paths. */
  proceed(limit: number): void {
    for (let left = limit; left > 0 && this.#waiting.length > 0; ) {
      const next = this.#waiting[0]!;
      const { peer, rib } = next;
      next.from = rib.paths.some(peer, next.from, left, (path) => {
        left--;
        if (rib.paths.before[path] !== 0) this.#judge(peer, rib, path);
      });
      if (next.from === 0) this.#waiting.shift();
    }
  }
}
