/**
 * `open` for bursts: packets get their checks before the cipher one by one, are decrypted together, then get the rest in order.
 *
 * Read first: `burst-queue.ts`, `inbound.ts`; RFC 4303 §3.4.3 and Appendix A2.2.
 * Invariant: what becomes of each packet, its SA and the SAD is what `open` would have made of it at its place in the sequence.
 * So nothing is decided by `add` that packets still waiting could change: replays among them are found after the cipher, and
 * RUN_FIRST is the answer where the high half of a number, or why a packet is refused, depends on them.
 */
import type { Millis } from '../core/index.ts';
import { BURST_PACKETS } from '../crypto/index.ts';
import { DROP, PASS, type Packet } from '../ip/index.ts';
import { BurstQueue, RUN_FIRST } from './burst-queue.ts';
import { admit, deliver, locate, numberOf, unwrap, unwrapLike } from './inbound.ts';
import { ESP_HEADER_LENGTH, spiOf, unframe } from './packet.ts';
import { type InboundSa, refuse, type Sad } from './sad.ts';
import { cipherHigh, LAST_EXTENDED_SEQUENCE } from './sequence.ts';

export class OpenQueue extends BurstQueue<InboundSa> {
  /** Octets of packets that have not been run. */
  #octets = 0;
  readonly #tos = new Uint8Array(BURST_PACKETS);
  readonly #sequence = new Float64Array(BURST_PACKETS);
  /** The highest number of the same SA up to this packet, from the first that has not been run. */
  readonly #highest = new Float64Array(BURST_PACKETS);
  readonly #verdict = new Uint8Array(BURST_PACKETS);
  readonly #newest = new Uint8Array(BURST_PACKETS);

  /**
   * PASS: the packet waits. A DROP code: it does not, and is counted as `open` counts it; `sad.last` is its SA, `sad.authentic` is
   * false. RUN_FIRST: the queue is full, or what becomes of the packet depends on those before it.
   */
  add(sad: Sad, packet: Packet, outerTos: number): number {
    if (this.full) return RUN_FIRST;
    let verdict = locate(sad, packet);
    if (verdict !== PASS) return verdict;
    const sa = sad.last!;
    const sequence = numberOf(sa, packet);
    const highest = sa.esn ? this.#highestOf(sa) : 0;
    // Appendix A2.2 with the top as far right as it may get: left of that window the low half would mean another number.
    if (sa.esn && sequence <= highest - sa.window.size) return RUN_FIRST;
    verdict = admit(sa, packet, sequence);
    if (verdict !== PASS) {
      // A number that is not fresh stays so, but an SA that stops refuses for that reason.
      return sa.usage.settled(this.count - this.done, this.#octets) ? refuse(sa.drops, verdict) : RUN_FIRST;
    }
    this.#octets += packet.end - packet.start;
    const i = this.push(sa, packet, cipherHigh(sa.esn, sequence));
    this.#tos[i] = outerTos;
    this.#sequence[i] = sequence;
    this.#highest[i] = Math.max(highest, sequence);
    return PASS;
  }

  /**
   * `add` for `count` packets of one length and SPI, with numbers in a row, that are parts[from] and so on, where there is `room`. True:
   * all of them wait. False: nothing has happened, and they have to go one by one.
   */
  addRun(sad: Sad, parts: readonly Packet[], from: number, count: number, outerTos: number): boolean {
    const packet = parts[from]!;
    const sa = sad.find(spiOf(packet.buf, packet.start));
    if (sa === undefined) return false;
    const sequence = numberOf(sa, packet);
    const { top } = sa.window;
    // So each number is fresh, and none of them needs the window elsewhere.
    if (sequence <= top || sequence + count - top > HALF_A_SUBSPACE) return false;
    if (admit(sa, packet, sequence) !== PASS || sequence + count > LAST_EXTENDED_SEQUENCE) return false;
    const highest = sa.esn ? this.#highestOf(sa) : 0;
    if (sa.esn && sequence <= highest - sa.window.size) return false;
    for (let n = 0; n < count; n++) {
      const i = this.push(sa, parts[from + n]!, cipherHigh(sa.esn, sequence + n));
      this.#tos[i] = outerTos;
      this.#sequence[i] = sequence + n;
      this.#highest[i] = Math.max(highest, sequence + n);
    }
    this.#octets += count * (packet.end - packet.start);
    sad.last = sa;
    sad.authentic = false;
    sad.newest = false;
    return true;
  }

  /** Opens what was added since the last time; `now` is when. */
  run(now: Millis): void {
    const { burst, count, done } = this;
    for (let first = done; first < count; ) {
      const stop = this.stopOf(first);
      this.saAt(first).protection.openBurst(burst, first, stop);
      first = stop;
    }
    for (let i = done; i < count; ) {
      const stop = this.#concludeRun(i, now);
      if (stop === i) this.#conclude(i, now);
      i = Math.max(stop, i + 1);
    }
    this.done = count;
    this.#octets = 0;
  }

  /** PASS, or why packet i was dropped; then its octets are undefined. Counted by `run`, as the columns below are made. */
  verdictAt(i: number): number {
    return this.#verdict[i]!;
  }

  /** As `sad.authentic`: the ICV verified, and the packet was no replay. */
  authenticAt(i: number): boolean {
    return this.burst.authentic[i] === 1;
  }

  /** As `sad.newest`. */
  newestAt(i: number): boolean {
    return this.#newest[i] === 1;
  }

  /** The sequence number it was authenticated with. */
  sequenceAt(i: number): number {
    return this.#sequence[i]!;
  }

  override clear(): void {
    super.clear();
    this.#octets = 0;
  }

  #conclude(i: number, now: Millis): void {
    const { authentic } = this.burst;
    const sa = this.saAt(i);
    const packet = this.packetAt(i);
    const sequence = this.#sequence[i]!;
    let verdict = admit(sa, packet, sequence);
    if (verdict === PASS && authentic[i] === 0) verdict = DROP.espIntegrity;
    if (verdict === PASS) {
      this.#newest[i] = sa.accept(sequence) ? 1 : 0;
      verdict = deliver(sa, packet, this.#tos[i]!, now);
    } else {
      authentic[i] = 0;
      this.#newest[i] = 0;
    }
    this.#verdict[i] = verdict === PASS ? PASS : refuse(sa.drops, verdict);
  }

  /** The same for packets from `first` on that continue each other, while nothing is to be said of one that is not of all. Gives where they end. */
  #concludeRun(first: number, now: Millis): number {
    const sa = this.saAt(first);
    const stop = this.#runEnd(sa, first);
    const count = stop - first;
    if (count === 1 || this.#sequence[first]! <= sa.window.top) return first;
    const { ivLength, icvLength } = sa.protection;
    let octets = -count * (ESP_HEADER_LENGTH + ivLength + icvLength);
    for (let i = first; i < stop; i++) octets += this.packetAt(i).end - this.packetAt(i).start;
    if (sa.usage.stopped || !sa.usage.settled(count, octets)) return first;
    sa.acceptRun(this.#sequence[first]!, count);
    sa.usage.count(octets, now, count);
    this.#unwrapRun(sa, first, stop);
    return stop;
  }

  #unwrapRun(sa: InboundSa, first: number, stop: number): void {
    let before: Packet | undefined;
    let tos = 0;
    let octets = 0;
    for (let i = first; i < stop; i++) {
      const packet = this.packetAt(i);
      const outerTos = this.#tos[i]!;
      unframe(packet, sa.protection);
      const verdict =
        before !== undefined && outerTos === tos
          ? unwrapLike(before, sa, packet, outerTos)
          : unwrap(sa, packet, outerTos);
      this.#newest[i] = 1;
      this.#verdict[i] = verdict;
      if (verdict === PASS) {
        octets += packet.end - packet.start;
        before = packet;
        tos = outerTos;
      } else refuse(sa.drops, verdict);
    }
    sa.usage.innerBytes += octets;
  }

  /** Where the packets end that have the numbers after that of `first`, one by one, and are authentic. */
  #runEnd(sa: InboundSa, first: number): number {
    const { authentic } = this.burst;
    const sequence = this.#sequence;
    const { count } = this;
    if (authentic[first] === 0) return first + 1;
    let stop = first + 1;
    while (
      stop < count &&
      authentic[stop] === 1 &&
      sequence[stop] === sequence[stop - 1]! + 1 &&
      this.saAt(stop) === sa
    )
      stop += 1;
    return stop;
  }

  /** As far as the window's top may get by what waits; 0 when nothing of this SA does. */
  #highestOf(sa: InboundSa): number {
    for (let i = this.count - 1; i >= this.done; i--) if (this.saAt(i) === sa) return this.#highest[i]!;
    return 0;
  }
}

const HALF_A_SUBSPACE = 0x8000_0000;
