/**
 * A member of an update group on its own way: its first table, an answer to ROUTE-REFRESH, or what it missed while it did not read.
 *
 * A mark says that the peer may not have what the group says of a unit. Octets are made from the group's present state when the peer
 * takes them, so what changes meanwhile costs nothing, and memory is bounded by the marks. Units go out in slices of the table, each sorted
 * by attribute set; rows are in the order of arrival, so slices hardly cost packing.
 */
import type { Bytes } from '../../core/index.ts';
import { Marks } from './marks.ts';

export class Resync extends Marks {
  /** Withdrawals that had been encoded and not taken: they go first, as they are. */
  readonly literal: Bytes[] = [];
  /** Messages before everything else and behind it: BoRR, EoRR (RFC 7313), End-of-RIB. */
  readonly before: Bytes[] = [];
  readonly behind: Bytes[] = [];
  /** Whether an answer to ROUTE-REFRESH is on its way. */
  refreshes = false;
  /** Behind that, all once more: ROUTE-REFRESH that came before the end of what is on its way. */
  again: { readonly before: readonly Bytes[]; readonly behind: readonly Bytes[] } | undefined;

  /** Whether it has something to say now. */
  get speaks(): boolean {
    return true;
  }

  /** What the group says of a unit is another now. `withdrawn`: nothing, to this peer. */
  owe(unit: number, _withdrawn: boolean): void {
    this.mark(unit);
  }

  /** Whether a unit that was to go now still is. */
  isDue(unit: number): boolean {
    return super.has(unit);
  }

  /** The peer has been told of it. `has`: and has it. */
  told(unit: number, _has: boolean): void {
    this.clear(unit);
  }

  /** Takes over from one of the other kind. */
  adopt(other: Resync): this {
    this.literal.push(...other.literal);
    this.before.push(...other.before);
    this.behind.push(...other.behind);
    this.refreshes = other.refreshes;
    this.again = other.again;
    other.each((unit) => this.mark(unit));
    return this;
  }
}
