/**
 * What goes out on a connection: the SYN, octets from a ring, the FIN; when it goes again; how much the peer and the path take.
 *
 * Read first: RFC 9293 §3.8 (3.8.6.1 zero windows, 3.8.6.2.1 small windows), RFC 6298 §5, RFC 5681, RFC 6582.
 * After a retransmission timeout everything from `una` on goes again, as the congestion window opens. Nagle's algorithm is
 * off: what is there goes. Leaves to others: headers, and acknowledging.
 * Invariants: una ≤ nxt ≤ max; the ring begins at `una`, or behind the SYN; `retransmitAt` is set while something is in flight
 * and `probeAt` while something waits for a window and nothing is in flight: one of them or none.
 */
import type { Bytes, Millis } from '../../core/index.ts';
import { EMPTY } from '../../core/index.ts';
import { Congestion } from './congestion.ts';
import { Ring } from './ring.ts';
import { RoundTrip } from './round-trip.ts';
import { advance, distance, isAfter, isBefore } from './sequence.ts';

/** A stretch of sequence space to be sent. */
export interface Piece {
  readonly sequence: number;
  readonly data: Bytes;
  readonly syn: boolean;
  readonly fin: boolean;
  /** RFC 9293 §3.9.1.2: nothing waits behind it. */
  readonly push: boolean;
}

export class Sender {
  readonly iss: number;
  readonly #ring: Ring;
  readonly #roundTrip = new RoundTrip();
  readonly #congestion: Congestion;
  una: number;
  nxt: number;
  /** The sequence number behind everything ever sent. */
  max: number;
  retransmitAt: Millis | undefined;
  probeAt: Millis | undefined;
  /** Since when nothing in flight was acknowledged, or no probe answered. */
  stalledSince: Millis = 0;
  /** Pieces that were sent again. */
  retransmissions = 0;
  #mss: number;
  #window = 0;
  #maxWindow = 0;
  /** SND.WL1 and SND.WL2. */
  #windowSequence = 0;
  #windowAcknowledgment = 0;
  #finAt: number | undefined;
  #timed: { readonly upTo: number; readonly at: Millis } | undefined;
  #timeouts = 0;
  #probes = 0;
  #synLost = false;
  #lastSent: Millis = 0;
  #refused = false;

  constructor(iss: number, mss: number, buffer: number) {
    this.iss = iss;
    this.una = iss;
    this.nxt = iss;
    this.max = iss;
    this.#mss = mss;
    this.#ring = new Ring(buffer);
    this.#congestion = new Congestion(mss, iss);
  }

  get mss(): number {
    return this.#mss;
  }

  get maxWindow(): number {
    return this.#maxWindow;
  }

  get synAcknowledged(): boolean {
    return this.una !== this.iss;
  }

  get finAcknowledged(): boolean {
    return this.#finAt !== undefined && isAfter(this.una, this.#finAt);
  }

  /**
   * What a segment without text is numbered: behind everything sent, but not beyond the window, where the peer would not look at it
   * (it refuses the octet that probes a closed window).
   */
  get acceptable(): number {
    const edge = advance(this.una, this.#window);
    return this.synAcknowledged && isAfter(this.max, edge) ? edge : this.max;
  }

  get memory(): number {
    return this.#ring.capacity;
  }

  /** Octets accepted and not acknowledged. */
  get queued(): number {
    return this.#ring.length;
  }

  // What the caller wants.

  /** Takes as much as fits and says how much that was. */
  queue(octets: Bytes): number {
    const taken = this.#ring.append(octets);
    this.#refused ||= taken < octets.length;
    return taken;
  }

  /** Once after `queue` refused something: half of the buffer is free. */
  becameWritable(): boolean {
    if (!this.#refused || this.#finAt !== undefined || this.#ring.free * 2 < this.#ring.limit) return false;
    this.#refused = false;
    return true;
  }

  /** Nothing is queued after this. */
  finish(): void {
    this.#finAt = advance(this.#dataFrom, this.#ring.length);
  }

  clear(): void {
    this.#ring.clear();
    this.retransmitAt = undefined;
    this.probeAt = undefined;
  }

  // What the peer and the path say.

  /** The sizes that hold from here on: RFC 9293 §3.7.1. */
  begin(mss: number): void {
    this.#mss = mss;
    this.#congestion.begin(mss, this.#synLost);
  }

  /** RFC 1191 §6.5: what is in flight was too large, and goes again in smaller pieces. */
  shrink(mss: number): void {
    this.#mss = mss;
    this.#congestion.resize(mss);
    this.#timed = undefined;
    if (this.synAcknowledged) this.nxt = this.una;
  }

  /** RFC 9293 §3.10.7.4: not from an older segment than the last one that was believed. `window` is scaled. */
  update(window: number, sequence: number, acknowledgment: number, always = false): boolean {
    const older =
      isBefore(sequence, this.#windowSequence) ||
      (sequence === this.#windowSequence && isBefore(acknowledgment, this.#windowAcknowledgment));
    if (older && !always) return false;
    const changed = window !== this.#window;
    this.#window = window;
    this.#maxWindow = Math.max(this.#maxWindow, window);
    this.#windowSequence = sequence;
    this.#windowAcknowledgment = acknowledgment;
    if (window > 0) this.probeAt = undefined;
    return changed;
  }

  /** `ack` is in (una, max]. The piece that is to go at once, if one is. */
  acknowledge(ack: number, now: Millis): Piece | undefined {
    const hadSyn = this.synAcknowledged;
    const octets = distance(this.una, ack);
    this.#ring.discard(Math.min(octets - (hadSyn ? 0 : 1), this.#ring.length));
    this.una = ack;
    if (isBefore(this.nxt, ack)) this.nxt = ack;
    if (this.#timed !== undefined && !isBefore(ack, this.#timed.upTo)) {
      this.#roundTrip.measure(Math.max(1, now - this.#timed.at));
      this.#timed = undefined;
    }
    const wasRecovering = this.#congestion.recovering;
    const retransmit = hadSyn && this.#congestion.acknowledge(octets, ack, this.#flight);
    // RFC 6298 (5.2), (5.3); RFC 6582 §3.2: within a recovery only the first partial acknowledgment restarts the timer.
    if (this.#flight === 0) this.retransmitAt = undefined;
    else if (!wasRecovering || !retransmit || this.#timeouts > 0) this.retransmitAt = now + this.#roundTrip.timeout;
    this.#timeouts = 0;
    this.stalledSince = now;
    if (this.#ring.length === 0) this.#ring.relax();
    return retransmit ? this.#first() : undefined;
  }

  /** RFC 5681 §2: the caller has seen that it is one. */
  duplicate(): Piece | undefined {
    if (this.#flight === 0 || !this.#congestion.duplicate(this.una, this.max)) return undefined;
    return this.#first();
  }

  /** Something was heard while a window was closed (RFC 1122 §4.2.2.17: that keeps the connection). */
  heard(now: Millis): void {
    if (this.retransmitAt === undefined) this.stalledSince = now;
  }

  // What is to be sent.

  /** The next piece that may go, if one may; tell `sent` that it did. */
  next(now: Millis): Piece | undefined {
    if (!this.synAcknowledged) {
      if (this.nxt !== this.iss) return undefined;
      return { sequence: this.iss, data: EMPTY, syn: true, fin: false, push: false };
    }
    const flight = this.#flight;
    if (flight === 0 && now - this.#lastSent > this.#roundTrip.timeout) this.#congestion.idle();
    const usable = Math.min(this.#congestion.window, this.#window) - flight;
    const waiting = this.#ring.length - flight;
    if (waiting < 0 || usable <= 0) return undefined;
    const length = Math.min(waiting, usable, this.#mss);
    // RFC 9293 §3.8.6.2.1 (1)–(3): a full segment, all there is, or half of the largest window.
    if (length < waiting && length < this.#mss && length * 2 < this.#maxWindow) return undefined;
    const fin = this.#finAt === advance(this.nxt, length) && usable > length;
    return length > 0 || fin ? this.#piece(this.nxt, flight, length, fin) : undefined;
  }

  /** Something went out at `now`. */
  sent(piece: Piece, now: Millis): void {
    const end = advance(piece.sequence, piece.data.length + (piece.syn ? 1 : 0) + (piece.fin ? 1 : 0));
    this.#lastSent = now;
    const again = isBefore(piece.sequence, this.max);
    if (isAfter(end, this.max)) this.max = end;
    if (again) {
      this.retransmissions += 1;
      // RFC 6298 §3, Karn's algorithm.
      this.#timed = undefined;
    } else {
      this.#timed ??= { upTo: end, at: now };
    }
    if (isAfter(end, this.nxt)) this.nxt = end;
    this.probeAt = undefined;
    if (this.retransmitAt !== undefined) return;
    this.retransmitAt = now + this.#roundTrip.timeout;
    if (this.#timeouts === 0) this.stalledSince = now;
  }

  /** After all that may go went: who waits for a window of the peer has to ask for it. */
  settle(now: Millis): void {
    const waits = this.synAcknowledged && this.#flight === 0 && this.#waits;
    if (!waits) this.probeAt = undefined;
    else if (this.probeAt === undefined) {
      this.probeAt = now + this.#roundTrip.timeout;
      this.#probes = 1;
      this.stalledSince = now;
    }
  }

  /** `retransmitAt` has come: RFC 6298 (5.4)–(5.7). `next` begins again at `una`. */
  timeout(): void {
    this.retransmitAt = undefined;
    this.#timed = undefined;
    if (this.synAcknowledged) this.#congestion.timeout(this.una, this.max, this.#timeouts > 0);
    else this.#synLost = true;
    this.#timeouts += 1;
    this.#roundTrip.backOff();
    this.nxt = this.una;
  }

  /** `probeAt` has come: RFC 9293 §3.8.6.1, one octet beyond the window, or what a small window takes. */
  probe(now: Millis): Piece {
    this.probeAt = now + Math.min(PROBE_MAXIMUM_MS, this.#roundTrip.timeout * 2 ** this.#probes);
    this.#probes = Math.min(this.#probes + 1, 16);
    const length = Math.min(this.#ring.length, this.#mss, Math.max(1, this.#window));
    const piece = this.#piece(this.una, 0, length, this.#finAt !== undefined && length === this.#ring.length);
    const end = advance(this.una, length + (piece.fin ? 1 : 0));
    if (isAfter(end, this.max)) this.max = end;
    this.#timed = undefined;
    return piece;
  }

  /** How often the same thing timed out. */
  get timeouts(): number {
    return this.#timeouts;
  }

  /** RFC 6298 (5.7). */
  established(): void {
    if (this.#synLost) this.#roundTrip.afterLostSyn();
  }

  get #flight(): number {
    return distance(this.una, this.nxt);
  }

  get #waits(): boolean {
    return this.#ring.length > 0 || (this.#finAt !== undefined && !this.finAcknowledged);
  }

  /** Where the ring begins. */
  get #dataFrom(): number {
    return this.synAcknowledged ? this.una : advance(this.iss, 1);
  }

  /** The first segment that is not acknowledged, again. */
  #first(): Piece {
    const length = Math.min(this.#ring.length, this.#mss, distance(this.una, this.max));
    const fin = this.#finAt !== undefined && length === this.#ring.length && isAfter(this.max, this.#finAt);
    return this.#piece(this.una, 0, length, fin);
  }

  #piece(sequence: number, offset: number, length: number, fin: boolean): Piece {
    const push = length > 0 && offset + length === this.#ring.length;
    return { sequence, data: this.#ring.copy(offset, length), syn: false, fin, push };
  }
}

/** RFC 1122 §4.2.2.17: the interval grows as that of retransmissions does. */
const PROBE_MAXIMUM_MS = 60_000;
