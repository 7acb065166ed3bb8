/**
 * Out of the tunnels: ESP packets opened in bursts and delivered to the compartment of their SA, as superframes where they are
 * packets of one flow that the compartment passes on.
 *
 * Read first: RFC 4301 §5.2, RFC 4303 §3.4, RFC 7296 §2.23 (moving peers). The SPI is the door: nothing else chooses a compartment.
 * A train's packets are opened where they lie; one that leaves by itself is copied, because its train ends with the batch.
 * Invariant: packets of two tunnels never become one.
 */
import type { Bytes, Millis } from '../../core/index.ts';
import { BURST_PACKETS } from '../../crypto/index.ts';
import { ESP_HEADER_LENGTH, type InboundSa, OpenQueue, RUN_FIRST, runLength, SIGNAL } from '../../esp/index.ts';
import {
  Coalescer,
  DROP,
  type Endpoint,
  newPart,
  octetsOf,
  PASS,
  type Packet,
  type Part,
  placePart,
  sameEndpoint,
} from '../../ip/index.ts';
import type { DataPlane } from './plane.ts';
import type { PlaneSa, PlaneTunnel } from './tunnel.ts';

export class Ingress {
  readonly #plane: DataPlane;
  readonly #queue: OpenQueue;
  readonly #coalescer: Coalescer | undefined;
  /** Of each packet in the queue: who sent it. */
  readonly #remotes: Endpoint[] = [];
  /** What each was, where a tap is set. */
  readonly #sealed: Bytes[] = [];
  /** Used in turn: as many as may wait, and the one at hand. */
  readonly #parts: readonly Part[] = Array.from({ length: 2 * BURST_PACKETS }, newPart);
  #nextPart = 0;
  /** Whose parts wait. */
  readonly #trains: Packet[] = [];
  /** Whose packets the coalescer holds. */
  #into: PlaneTunnel | undefined;
  /** Begins without a value: see `DataPlane`. */
  #now: Millis | undefined;
  /** Found for the last packet: the next one is mostly of the same SA. */
  #inbound: InboundSa | undefined;
  #sa: PlaneSa | undefined;

  constructor(plane: DataPlane, superframes: boolean) {
    this.#plane = plane;
    this.#queue = new OpenQueue(plane.pool.memory);
    if (superframes)
      this.#coalescer = new Coalescer({
        pool: plane.pool,
        emit: (packet) => this.#deliver(this.#into!, packet),
        grows: (packet) => this.#into!.tenant.compartment.forwards(packet, this.#into!.interface),
      });
  }

  /** Packets wait for `flush`. */
  get pending(): boolean {
    return this.#queue.count > 0;
  }

  /** An ESP packet, whatever carried it. `remote.port` is 0 for protocol 50. */
  add(remote: Endpoint, packet: Packet, outerTos: number, now: Millis): void {
    const { sad, tapping } = this.#plane;
    const sealed = tapping ? octetsOf(packet).slice() : NOTHING;
    const tos = outerTos < 0 ? NO_TOS : outerTos;
    let verdict = this.#queue.add(sad, packet, tos);
    if (verdict === RUN_FIRST) {
      this.flush(now);
      verdict = this.#queue.add(sad, packet, tos);
    }
    if (verdict === PASS) {
      this.#remotes[this.#queue.count - 1] = remote;
      this.#sealed[this.#queue.count - 1] = sealed;
      return;
    }
    if (sad.last !== undefined) this.#heed(sad.last, false, false, remote, now);
    this.#release(packet);
  }

  /**
   * The same for ESP packets in the octets [start, end) of a train, one each `segment` octets: how many it took, one at least. Behind the
   * last one of a train comes `end`.
   */
  addParts(remote: Endpoint, train: Packet, start: number, end: number, outerTos: number, now: Millis): number {
    const taken = this.#plane.tapping ? 0 : this.#addRun(remote, train, start, end, outerTos);
    if (taken > 0) return taken;
    const part = this.#parts[this.#nextPart]!;
    this.#nextPart = (this.#nextPart + 1) % this.#parts.length;
    placePart(part, train, start, Math.min(start + train.segment, end));
    this.add(remote, part, outerTos, now);
    return 1;
  }

  /** Those of one SA, of one length and with numbers in a row, as far as they may be taken all at once: how many. */
  #addRun(remote: Endpoint, train: Packet, start: number, end: number, outerTos: number): number {
    const queue = this.#queue;
    const parts = this.#parts;
    const { segment } = train;
    const most = Math.min(queue.room, RUN_MAX, Math.floor((end - start) / segment));
    const count = segment < ESP_HEADER_LENGTH ? 0 : runLength(train, start, segment, most);
    if (count < 2) return 0;
    // They stand side by side; of those that wait, none is among the first ones then.
    const from = this.#nextPart + count > parts.length ? 0 : this.#nextPart;
    for (let i = 0, at = start; i < count; i++, at += segment) placePart(parts[from + i]!, train, at, at + segment);
    if (!queue.addRun(this.#plane.sad, parts, from, count, outerTos < 0 ? NO_TOS : outerTos)) return 0;
    this.#nextPart = (from + count) % parts.length;
    for (let i = queue.count - count; i < queue.count; i++) this.#remotes[i] = remote;
    return count;
  }

  /** Takes over a train whose parts were added. */
  end(train: Packet): void {
    if (this.pending) this.#trains.push(train);
    else this.#plane.pool.release(train);
  }

  /** Opens what waits, and delivers what is sound. */
  flush(now: Millis): void {
    const queue = this.#queue;
    const { count } = queue;
    if (count === 0) return;
    this.#now = now;
    queue.run(now);
    for (let i = 0; i < count; i++) {
      const packet = queue.packetAt(i);
      if (!this.#repeats(i)) this.#heed(queue.saAt(i), queue.authenticAt(i), queue.newestAt(i), this.#remotes[i]!, now);
      if (queue.verdictAt(i) === PASS && this.#sa !== undefined) this.#pass(this.#sa, packet, i);
      else this.#release(packet);
    }
    this.#coalescer?.flush();
    this.#into = undefined;
    this.#inbound = undefined;
    this.#sa = undefined;
    queue.clear();
    const trains = this.#trains;
    while (trains.length > 0) this.#plane.pool.release(trains.pop()!);
  }

  /** The one with that number in the queue. */
  #pass(sa: PlaneSa, packet: Packet, i: number): void {
    const { tunnel } = sa;
    const coalescer = this.#coalescer;
    // Who watches sees each packet by itself.
    if (this.#plane.tapping) return this.#passTapped(sa, packet, i);
    if (coalescer === undefined) return this.#deliver(tunnel, packet);
    if (tunnel !== this.#into) {
      coalescer.flush();
      this.#into = tunnel;
    }
    coalescer.add(packet);
  }

  #passTapped(sa: PlaneSa, packet: Packet, i: number): void {
    const own = this.#ownOf(packet);
    if (own === undefined) return;
    const { tap } = this.#plane;
    tap.opened(sa, this.#remotes[i]!, this.#queue.sequenceAt(i), this.#sealed[i]!, own, this.#now!);
    this.#plane.deliver(sa.tunnel, own, this.#now!);
  }

  #deliver(tunnel: PlaneTunnel, packet: Packet): void {
    const own = this.#ownOf(packet);
    if (own !== undefined) this.#plane.deliver(tunnel, own, this.#now!);
  }

  /** One in a slot of its own. */
  #ownOf(packet: Packet): Packet | undefined {
    const { pool, drops } = this.#plane;
    const own = packet.slot < 0 ? pool.copyOf(packet, packet.start, packet.end) : packet;
    if (own === undefined) drops[DROP.noBuffer]! += 1;
    return own;
  }

  #release(packet: Packet): void {
    if (packet.slot >= 0) this.#plane.pool.release(packet);
  }

  /** Packet i tells nothing that the one before it did not tell. */
  #repeats(i: number): boolean {
    const queue = this.#queue;
    return (
      i > 0 &&
      queue.newestAt(i) &&
      queue.newestAt(i - 1) &&
      queue.saAt(i) === queue.saAt(i - 1) &&
      this.#remotes[i] === this.#remotes[i - 1]
    );
  }

  /** What a packet tells control beside its contents. */
  #heed(inbound: InboundSa, authentic: boolean, newest: boolean, remote: Endpoint, now: Millis): void {
    const { spi, usage } = inbound;
    if (usage.signal !== SIGNAL.none)
      this.#plane.tell({ type: 'expire', spiIn: spi, hard: usage.takeSignal() === SIGNAL.hard });
    if (inbound !== this.#inbound) {
      this.#inbound = inbound;
      this.#sa = this.#plane.sas.get(spi);
    }
    const sa = this.#sa;
    if (!authentic || sa === undefined) return;
    // RFC 7296 §2.23: only the newest authentic packet may move the peer's address.
    const { udpEncapsulation, remoteEndpoint } = sa.outbound;
    const decides = newest && udpEncapsulation && remote.port !== 0;
    if (decides && !sameEndpoint(remote, remoteEndpoint)) sa.tunnel.follow(sa, remote);
    const moved = decides && !sameEndpoint(remote, sa.peerAt);
    if (now - sa.toldAt < (moved || sa.phase === 'standby' ? TELL_AGAIN : TELL_ALIVE)) return;
    sa.toldAt = now;
    const from = moved ? { address: remote.address, port: remote.port } : undefined;
    this.#plane.tell({ type: 'inbound', spiIn: spi, from });
  }
}

/** Control hears of a living peer at most this often an SA, … */
const TELL_ALIVE: Millis = 1000;
/** … and of one that moved, or that sends on an SA which waits for that, until it has done something about it. */
const TELL_AGAIN: Millis = 10;
/** Where nobody looks. */
const NOTHING = new Uint8Array(0);
/** Packets of one run, so that half of the parts are enough for those that wait. */
const RUN_MAX = BURST_PACKETS / 2;
/** Outer TOS where the socket does not tell it. */
const NO_TOS = 0;
