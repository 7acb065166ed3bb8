/**
 * What comes in on a connection: octets in order into a ring, those out of order into the same ring ahead of its end.
 *
 * Read first: RFC 9293 §3.8.6.2.2 (small windows), §3.10.7.4 (acceptability), RFC 7323 §2.
 * Leaves to others: when an acknowledgment goes. Bounds: the ring's limit is the window, and so bounds what waits out of order;
 * the stretches of it are counted as well, and one too many is refused: its sender sends it again.
 * Invariants: stretches are in order, apart from each other and behind `nxt`; the edge never moves back. With a
 * scale the field says up to 2^scale - 1 octets less than the edge; they are accepted all the same.
 */
import type { Bytes } from '../../core/index.ts';
import { Ring } from './ring.ts';
import { advance, distance, isAfter, isBefore } from './sequence.ts';

/** What became of a segment's text. */
export type Reception = 'delivered' | 'filled' | 'waiting' | 'refused' | 'nothing';

export class Receiver {
  readonly irs: number;
  /** Of the windows that go out (RFC 7323 §2.2); 0 until the peer has agreed. */
  scale = 0;
  nxt: number;
  readonly #ring: Ring;
  readonly #pieces: number;
  /** Out of order: [from, to). */
  #waiting: { from: number; to: number }[] = [];
  /** The sequence number behind what the peer may send. */
  #edge: number;
  #finAt: number | undefined;

  constructor(irs: number, buffer: number, pieces: number) {
    this.irs = irs;
    this.nxt = advance(irs, 1);
    this.#edge = this.nxt;
    this.#ring = new Ring(buffer);
    this.#pieces = pieces;
  }

  get length(): number {
    return this.#ring.length;
  }

  get memory(): number {
    return this.#ring.capacity;
  }

  /** The peer's FIN has come, and everything before it. */
  get finished(): boolean {
    return this.#finAt !== undefined && isAfter(this.nxt, this.#finAt);
  }

  /** RFC 9293 §3.10.7.4, the table of four cases, with the edge as it was told. */
  accepts(sequence: number, length: number): boolean {
    const window = distance(this.nxt, this.#edge);
    const from = distance(this.nxt, sequence);
    // Directly behind the window, too: its sender has used all of it, and acknowledges what we sent.
    if (length === 0) return from >= 0 && from <= window;
    // Its acknowledgment counts, also where its text cannot be taken.
    if (window === 0) return from === 0;
    const last = from + length - 1;
    return (from >= 0 && from < window) || (last >= 0 && last < window);
  }

  /** Takes what is new and within the window of an acceptable segment. */
  take(sequence: number, data: Bytes, fin: boolean): Reception {
    if (this.finished) return 'nothing';
    const end = advance(sequence, data.length);
    const skipped = Math.max(0, distance(sequence, this.nxt));
    const beyond = Math.max(0, distance(this.#edge, end));
    const text = data.subarray(Math.min(skipped, data.length), Math.max(0, data.length - beyond));
    // A FIN is within the window, behind everything known, or it contradicts what is.
    if (fin && beyond === 0 && !isBefore(end, this.nxt) && !this.#waiting.some(({ to }) => isAfter(to, end))) {
      this.#finAt ??= end;
    }
    const offset = Math.max(0, distance(this.nxt, sequence));
    const reception = text.length === 0 ? 'nothing' : this.#place(offset, this.#upToFin(offset, text));
    if (this.#finAt === this.nxt) {
      this.nxt = advance(this.nxt, 1);
      this.#edge = isBefore(this.#edge, this.nxt) ? this.nxt : this.#edge;
      return 'delivered';
    }
    return reception;
  }

  /** Takes octets away, for the application. */
  read(most: number): Bytes {
    const octets = this.#ring.copy(0, Math.min(most, this.#ring.length));
    this.#ring.discard(octets.length);
    if (this.#ring.length === 0 && this.#waiting.length === 0) this.#ring.relax();
    return octets;
  }

  /** Whether the window that could be told is larger than the one that was by enough to say so. */
  opens(mss: number): boolean {
    return !this.finished && this.#gain() >= this.#worth(mss);
  }

  /** The window field of a segment that goes out; small gains are kept back (RFC 9293 §3.8.6.2.2). */
  advertise(mss: number, scale = this.scale): number {
    if (this.#gain() >= this.#worth(mss)) this.#edge = advance(this.nxt, this.#room);
    return Math.min(0xffff, distance(this.nxt, this.#edge) >>> scale);
  }

  #gain(): number {
    return this.#room - distance(this.nxt, this.#edge);
  }

  /** What the ring takes and the window field can say. */
  get #room(): number {
    return Math.min(this.#ring.free, 0xffff << this.scale);
  }

  #worth(mss: number): number {
    return Math.min(this.#ring.limit >>> 1, mss);
  }

  /** Text behind the FIN is none. */
  #upToFin(offset: number, text: Bytes): Bytes {
    if (this.#finAt === undefined) return text;
    return text.subarray(0, Math.max(0, distance(this.nxt, this.#finAt) - offset));
  }

  #place(offset: number, text: Bytes): Reception {
    if (offset > 0 && !this.#remember(advance(this.nxt, offset), text.length)) return 'refused';
    this.#ring.place(offset, text);
    if (offset > 0) return 'waiting';
    let to = advance(this.nxt, text.length);
    const before = this.#waiting.length;
    while (this.#waiting.length > 0 && !isAfter(this.#waiting[0]!.from, to)) {
      const next = this.#waiting.shift()!;
      if (isAfter(next.to, to)) to = next.to;
    }
    this.#ring.extend(distance(this.nxt, to));
    this.nxt = to;
    return before > 0 ? 'filled' : 'delivered';
  }

  /** Adds a stretch, joined with those it touches. False: there are too many. */
  #remember(from: number, length: number): boolean {
    if (length === 0) return true;
    let [low, high] = [from, advance(from, length)];
    const apart = this.#waiting.filter((w) => isBefore(w.to, low) || isAfter(w.from, high));
    if (apart.length === this.#waiting.length && apart.length >= this.#pieces) return false;
    for (const w of this.#waiting) {
      if (isBefore(w.to, from) || isAfter(w.from, advance(from, length))) continue;
      if (isBefore(w.from, low)) low = w.from;
      if (isAfter(w.to, high)) high = w.to;
    }
    this.#waiting = [...apart, { from: low, to: high }].sort((a, b) => -distance(a.from, b.from));
    return true;
  }
}
