/**
 * Out of the tunnels: ESP packets opened in bursts and delivered to the compartment of their SA.
 *
 * Read first: RFC 4301 §5.2, RFC 4303 §3.4, RFC 7296 §2.23 (moving peers). The SPI is the door: nothing else chooses a compartment.
 */
import type { Millis } from '../../core/index.ts';
import { type InboundSa, open, SIGNAL } from '../../esp/index.ts';
import { type Endpoint, PASS, type Packet, sameEndpoint } from '../../ip/index.ts';
import type { DataPlane } from './plane.ts';

export class Ingress {
  readonly #plane: DataPlane;

  constructor(plane: DataPlane) {
    this.#plane = plane;
  }

  /** An ESP packet, whatever carried it. `remote.port` is 0 for protocol 50. */
  add(remote: Endpoint, packet: Packet, tos: number, now: Millis): void {
    const { sad, pool } = this.#plane;
    const verdict = open(sad, packet, tos < 0 ? NO_TOS : tos, now);
    const { last, authentic, newest } = sad;
    if (last === undefined) return pool.release(packet);
    this.#heed(last, authentic, newest, remote, now);
    const tunnel = this.#plane.tunnels.get(last.tunnel);
    if (verdict !== PASS || tunnel === undefined) return pool.release(packet);
    this.#plane.deliver(tunnel, packet, now);
  }

  flush(_now: Millis): void {}

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
