/**
 * How much an SA has been used, and its limits: soft ones ask for a successor, hard ones stop it.
 *
 * Read first: RFC 4301 §4.4.2.1 (lifetime of an SA). Seconds are IKE's business; bytes, packets and sequence numbers are counted here.
 * Invariants: each signal is given once; a packet that would pass a hard limit is not processed ("SHOULD be discarded").
 */
import type { Millis } from '../core/index.ts';
import { beginSaCells, SA_CELL } from './cells.ts';
import type { Lifetime } from './contract.ts';

/** What `takeSignal` says. */
export const SIGNAL = { none: 0, soft: 1, hard: 2 } as const;

export class Usage {
  /** A hard limit is reached: the SA processes nothing more. */
  stopped = false;
  /** Other than SIGNAL.none: the gateway has something to fetch with `takeSignal`. */
  signal: number = SIGNAL.none;
  readonly #limits: Lifetime;
  readonly #cells: Float64Array;
  #asked = false;

  /** `cells` as `beginSaCells` leaves them. */
  constructor(limits: Lifetime, cells = beginSaCells()) {
    this.#limits = limits;
    this.#cells = cells;
  }

  /** Packets processed, dummies included. */
  get packets(): number {
    return this.#cells[SA_CELL.packets]!;
  }

  /** Octets of the inner packets sent or delivered: what people are told. */
  get innerBytes(): number {
    return this.#cells[SA_CELL.innerBytes]!;
  }

  set innerBytes(octets: number) {
    this.#cells[SA_CELL.innerBytes] = octets;
  }

  /** Octets the cipher was applied to, padding and trailer included: what lifetimes count (RFC 4301 §4.4.2.1 (a)). */
  get protectedBytes(): number {
    return this.#cells[SA_CELL.protectedBytes]!;
  }

  get lastUsedAt(): Millis | undefined {
    const at = this.#cells[SA_CELL.lastUsedAt]!;
    return Number.isNaN(at) ? undefined : at;
  }

  /** Whether one more packet of so many protected octets stays within the hard limits; if not, the SA stops. */
  admits(protectedBytes: number): boolean {
    if (this.stopped) return false;
    const { hardBytes, hardPackets } = this.#limits;
    if (this.packets < hardPackets && this.protectedBytes + protectedBytes <= hardBytes) return true;
    this.stop();
    return false;
  }

  /** Whether the SA goes on, or is stopped, whatever becomes of up to so many packets with so many octets. */
  settled(packets: number, octets: number): boolean {
    const { hardBytes, hardPackets } = this.#limits;
    return this.stopped || (this.packets + packets <= hardPackets && this.protectedBytes + octets <= hardBytes);
  }

  count(protectedBytes: number, now: Millis, packets = 1): void {
    const cells = this.#cells;
    cells[SA_CELL.packets]! += packets;
    cells[SA_CELL.protectedBytes]! += protectedBytes;
    cells[SA_CELL.lastUsedAt] = now;
    const { softBytes, softPackets } = this.#limits;
    if (!this.#asked && (this.packets >= softPackets || this.protectedBytes >= softBytes)) this.ask();
  }

  /** The SA wants a successor; said once. */
  ask(): void {
    if (this.#asked) return;
    this.#asked = true;
    this.signal = SIGNAL.soft;
  }

  /** The SA has come to its end; said once, and instead of a soft signal nobody fetched. */
  stop(): void {
    if (this.stopped) return;
    this.stopped = true;
    this.#asked = true;
    this.signal = SIGNAL.hard;
  }

  /** One of SIGNAL, and forgets it. */
  takeSignal(): number {
    const signal = this.signal;
    this.signal = SIGNAL.none;
    return signal;
  }
}
