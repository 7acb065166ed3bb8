/**
 * Broadcast and multicast of a virtual subnet: a copy for every port here and one for every host that has a station in it.
 *
 * Read first: RFC 7637 §4.2 (N-way unicast). What came from the fabric goes to ports alone, so that nothing circles.
 * Deliberate limit: no membership is kept (IGMP, MLD): a multicast is a broadcast.
 * Limits: copies of one frame, and copies a second, of each tenant; what they refuse is counted copy by copy.
 */
import type { Millis } from '../core/index.ts';
import { DROP, PASS, type Packet, type PacketPool } from '../ip/index.ts';
import type { SwitchLimits, SwitchSink } from './contract.ts';
import { CELL, TENANT_DROPS } from './counters.ts';
import { encapsulate, flowIdFor } from './frame.ts';
import type { Station, Subnet } from './station.ts';

export class Replicator {
  readonly #pool: PacketPool;
  readonly #sink: SwitchSink;
  readonly #cells: Float64Array;
  readonly #first: number;
  readonly #copies: number;
  readonly #budget: Budget;

  constructor(pool: PacketPool, sink: SwitchSink, cells: Float64Array, first: number, limits: SwitchLimits) {
    this.#pool = pool;
    this.#sink = sink;
    this.#cells = cells;
    this.#first = first;
    this.#copies = limits.copies;
    this.#budget = new Budget(limits.copiesPerSecond, limits.copyBurst);
  }

  /** Takes the frame over: PASS; or the DROP code for which its caller is to drop it. `from`: a station here that sent it. */
  flood(subnet: Subnet, from: Station | undefined, frame: Packet, now: Millis): number {
    let wanted = from === undefined ? 0 : subnet.peers.length;
    for (const station of subnet.local) if (station !== from && station.isHere) wanted += 1;
    this.#cells[this.#first + CELL.replicated]! += 1;
    if (wanted === 0) {
      this.#pool.release(frame);
      return PASS;
    }
    const granted = this.#budget.take(Math.min(wanted, this.#copies), now);
    // The caller counts the drop of the frame itself.
    this.#cells[this.#first + TENANT_DROPS + DROP.replication]! += wanted - Math.max(granted, 1);
    if (granted === 0) return DROP.replication;
    const left = this.#toPorts(subnet, from, frame, granted, now);
    return left === 0 ? PASS : this.#toPeers(subnet, frame, left, now);
  }

  /** The last copy is the frame itself. Gives how many are left. */
  #toPorts(subnet: Subnet, from: Station | undefined, frame: Packet, granted: number, now: Millis): number {
    let left = granted;
    for (const station of subnet.local) {
      if (left === 0) break;
      if (station === from || !station.isHere) continue;
      left -= 1;
      const copy = left === 0 ? frame : this.#copyOf(frame);
      if (copy === undefined) continue;
      this.#cells[this.#first + CELL.copies]! += 1;
      this.#cells[this.#first + CELL.toPorts]! += 1;
      this.#sink.toPort(station.port, copy, now);
    }
    return left;
  }

  #toPeers(subnet: Subnet, frame: Packet, granted: number, now: Millis): number {
    const verdict = encapsulate(frame, subnet.vsid, flowIdFor(frame.buf, frame.start, frame.end));
    if (verdict !== PASS) return verdict;
    for (let i = 0; i < granted; i++) {
      const copy = i === granted - 1 ? frame : this.#copyOf(frame);
      if (copy === undefined) continue;
      this.#cells[this.#first + CELL.copies]! += 1;
      this.#cells[this.#first + CELL.toFabric]! += 1;
      this.#sink.toFabric(subnet.peers[i]!, subnet.vsid, copy, now);
    }
    return PASS;
  }

  #copyOf(frame: Packet): Packet | undefined {
    const copy = this.#pool.copyOf(frame, frame.start, frame.end);
    if (copy === undefined) {
      this.#cells[this.#first + TENANT_DROPS + DROP.noBuffer]! += 1;
      return undefined;
    }
    copy.segment = frame.segment;
    copy.partial = frame.partial;
    return copy;
  }
}

/** So many a second in the long run, and so many at once. Time never runs backwards in here. */
class Budget {
  readonly #perMs: number;
  readonly #burst: number;
  #left: number;
  #at: Millis = Number.NEGATIVE_INFINITY;

  constructor(perSecond: number, burst: number) {
    this.#perMs = perSecond / 1000;
    this.#burst = burst;
    this.#left = burst;
  }

  /** As many of them as there are. */
  take(wanted: number, now: Millis): number {
    if (now > this.#at) {
      this.#left = Math.min(this.#burst, this.#left + (now - this.#at) * this.#perMs);
      this.#at = now;
    }
    const granted = Math.min(wanted, Math.floor(this.#left));
    this.#left -= granted;
    return granted;
  }
}
