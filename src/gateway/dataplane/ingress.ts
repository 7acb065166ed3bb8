/**
 * Out of the tunnels: ESP packets opened in bursts and delivered to the compartment of their SA.
 *
 * Read first: RFC 4301 §5.2, RFC 4303 §3.4, RFC 7296 §2.23 (moving peers). The SPI is the door: nothing else chooses a compartment.
 */
import type { Millis } from '../../core/index.ts';
import { type InboundSa, OpenQueue, RUN_FIRST, SIGNAL } from '../../esp/index.ts';
import { type Endpoint, PASS, type Packet, sameEndpoint } from '../../ip/index.ts';
import type { DataPlane } from './plane.ts';

export class Ingress {
  readonly #plane: DataPlane;
  readonly #queue: OpenQueue;
  /** Of each packet in the queue: who sent it. */
  readonly #remotes: Endpoint[] = [];

  constructor(plane: DataPlane) {
    this.#plane = plane;
    this.#queue = new OpenQueue(plane.pool.memory);
  }

  /** Packets wait for `flush`. */
  get pending(): boolean {
    return this.#queue.count > 0;
  }

  /** An ESP packet, whatever carried it. `remote.port` is 0 for protocol 50. */
  add(remote: Endpoint, packet: Packet, outerTos: number, now: Millis): void {
    const { sad, pool } = this.#plane;
    const tos = outerTos < 0 ? NO_TOS : outerTos;
    let verdict = this.#queue.add(sad, packet, tos);
    if (verdict === RUN_FIRST) {
      this.flush(now);
      verdict = this.#queue.add(sad, packet, tos);
    }
    if (verdict === PASS) {
      this.#remotes[this.#queue.count - 1] = remote;
      return;
    }
    if (sad.last !== undefined) this.#heed(sad.last, false, false, remote, now);
    pool.release(packet);
  }

  /** Opens what waits, and delivers what is sound. */
  flush(now: Millis): void {
    const queue = this.#queue;
    const { pool, tunnels } = this.#plane;
    const { count } = queue;
    if (count === 0) return;
    queue.run(now);
    for (let i = 0; i < count; i++) {
      const packet = queue.packetAt(i);
      const sa = queue.saAt(i);
      this.#heed(sa, queue.authenticAt(i), queue.newestAt(i), this.#remotes[i]!, now);
      const tunnel = tunnels.get(sa.tunnel);
      if (queue.verdictAt(i) === PASS && tunnel !== undefined) this.#plane.deliver(tunnel, packet, now);
      else pool.release(packet);
    }
    queue.clear();
  }

  /** What a packet tells control beside its contents. */
  #heed(inbound: InboundSa, authentic: boolean, newest: boolean, remote: Endpoint, now: Millis): void {
    const { spi, usage } = inbound;
    if (usage.signal !== SIGNAL.none)
      this.#plane.tell({ type: 'expire', spiIn: spi, hard: usage.takeSignal() === SIGNAL.hard });
    const sa = authentic ? this.#plane.sas.get(spi) : undefined;
    if (sa === undefined) return;
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
/** Outer TOS where the socket does not tell it. */
const NO_TOS = 0;
