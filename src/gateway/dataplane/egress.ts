/**
 * Into the tunnels: which SA carries a packet, superframes cut where the wire begins, bursts sealed, datagrams handed out.
 *
 * Read first: RFC 4301 §5.1, RFC 4303 §3.3. Order is kept within an SA.
 * Invariant: each packet taken is handed out, refused to its compartment, or waits for its tunnel.
 */
import type { Millis } from '../../core/index.ts';
import { BURST_PACKETS } from '../../crypto/index.ts';
import { RUN_FIRST, SealQueue, SIGNAL } from '../../esp/index.ts';
import {
  checkSuperframe,
  completeChecksum,
  cutSuperframe,
  DROP,
  type Endpoint,
  flowRecord,
  PASS,
  type Packet,
} from '../../ip/index.ts';
import type { DataPlane } from './plane.ts';
import { type PlaneSa, type PlaneTunnel, sends } from './tunnel.ts';

export class Egress {
  readonly #plane: DataPlane;
  readonly #queue: SealQueue;
  readonly #pieces: Packet[] = [];
  /** Of each packet in the queue: what its datagram is to be. */
  readonly #sas: PlaneSa[] = [];
  readonly #locals: Endpoint[] = [];
  readonly #remotes: Endpoint[] = [];
  readonly #tos = new Uint8Array(BURST_PACKETS);
  readonly #flags = new Uint8Array(BURST_PACKETS);

  constructor(plane: DataPlane) {
    this.#plane = plane;
    this.#queue = new SealQueue(plane.pool.memory);
  }

  /** Packets wait for `flush`. */
  get pending(): boolean {
    return this.#queue.count > 0;
  }

  /** Into the tunnel; the first packet opens it. */
  transmit(tunnel: PlaneTunnel, packet: Packet, now: Millis): void {
    const sa = tunnel.outboundFor(packet);
    if (sa !== undefined) return this.#sealAll(tunnel, sa, packet, now);
    const { compartment } = tunnel.tenant;
    if (tunnel.up) return compartment.refuse(packet, DROP.prohibited, now);
    if (this.#plane.stopping) return compartment.refuse(packet, DROP.linkDown, now);
    const flow = flowRecord(packet.buf, packet.start, packet.end);
    if (!tunnel.wait(packet)) return compartment.refuse(packet, DROP.queueFull, now);
    this.#plane.tell({ type: 'acquire', tunnel: tunnel.parameters.tunnel, flow });
  }

  /** Nothing will come of the tunnel: whoever waits is told. */
  giveUp(tunnel: PlaneTunnel, now: Millis): void {
    for (const packet of tunnel.waiting.splice(0)) tunnel.tenant.compartment.refuse(packet, DROP.noSa, now);
  }

  /** Seals what waits and hands it out, in order. */
  flush(): void {
    const queue = this.#queue;
    const { output } = this.#plane;
    const { count } = queue;
    if (count === 0) return;
    queue.run();
    for (let i = 0; i < count; i++) {
      const flags = this.#flags[i]!;
      const { tunnel } = this.#sas[i]!;
      output.datagram(
        (flags & UDP) !== 0,
        this.#locals[i]!,
        this.#remotes[i]!,
        queue.packetAt(i),
        this.#tos[i]!,
        (flags & DONT_FRAGMENT) !== 0,
        tunnel.parameters.tunnel,
      );
    }
    queue.clear();
  }

  /** Only here, where the wire begins, a superframe is cut and an owed checksum computed. */
  #sealAll(tunnel: PlaneTunnel, sa: PlaneSa, packet: Packet, now: Millis): void {
    const { compartment } = tunnel.tenant;
    if (packet.segment === 0) {
      const owed = completeChecksum(packet);
      return owed === PASS ? this.#seal(sa, packet, now) : compartment.refuse(packet, owed, now);
    }
    const { pool } = this.#plane;
    const pieces = this.#pieces;
    let count = cutSuperframe(packet, pool, pieces);
    if (count === 0 && this.pending) {
      // What waits here may be what the pool lacks.
      this.flush();
      count = cutSuperframe(packet, pool, pieces);
    }
    if (count === 0) {
      const refused = checkSuperframe(packet);
      return compartment.refuse(packet, refused === PASS ? DROP.noBuffer : refused, now);
    }
    pool.release(packet);
    for (let i = 0; i < count; i++) {
      // A packet may be the last that the SA carries: what follows finds its own way.
      if (sends(sa)) this.#seal(sa, pieces[i]!, now);
      else this.transmit(tunnel, pieces[i]!, now);
    }
  }

  #seal(sa: PlaneSa, packet: Packet, now: Millis): void {
    const { outbound, tunnel, pair } = sa;
    const queue = this.#queue;
    const fits = packet.end - packet.start <= tunnel.mtu;
    let verdict = queue.add(outbound, packet, now);
    if (verdict === RUN_FIRST) {
      this.flush();
      verdict = queue.add(outbound, packet, now);
    }
    if (outbound.usage.signal !== SIGNAL.none) {
      const hard = outbound.usage.takeSignal() === SIGNAL.hard;
      this.#plane.tell({ type: 'expire', spiIn: pair.spiIn, hard });
    }
    if (verdict !== PASS) return tunnel.tenant.compartment.refuse(packet, verdict, now);
    const i = queue.count - 1;
    this.#sas[i] = sa;
    this.#locals[i] = outbound.localEndpoint;
    this.#remotes[i] = outbound.remoteEndpoint;
    this.#tos[i] = outbound.tos;
    // RFC 8200 §5: an IPv6 packet of 1280 octets gets through, and where the way is too narrow for that, in fragments.
    const whole = fits && outbound.dontFragment === 1;
    this.#flags[i] = (outbound.udpEncapsulation ? UDP : 0) | (whole ? DONT_FRAGMENT : 0);
  }
}

const UDP = 1;
const DONT_FRAGMENT = 2;
