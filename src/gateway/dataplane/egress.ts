/**
 * Into the tunnels: which SA carries a packet, superframes cut where the wire begins, bursts sealed, datagrams handed out.
 *
 * Read first: RFC 4301 §5.1, RFC 4303 §3.3. Order is kept within an SA.
 * A superframe that its SA carries as a whole becomes trains: its ESP packets stand back to back in one slot, as UDP_SEGMENT
 * sends them. Others become packets of their own.
 * Invariant: each packet taken is handed out, refused to its compartment, or waits for its tunnel.
 */
import type { Millis } from '../../core/index.ts';
import { BURST_PACKETS } from '../../crypto/index.ts';
import { ESP_HEADER_LENGTH, protectedLength, RUN_FIRST, SealQueue, SIGNAL } from '../../esp/index.ts';
import {
  beginCut,
  checkSuperframe,
  completeChecksum,
  cutSuperframe,
  DROP,
  type Endpoint,
  flowRecord,
  PASS,
  type Packet,
  segmentLength,
  writeSegments,
} from '../../ip/index.ts';
import type { DataPlane } from './plane.ts';
import { type PlaneSa, type PlaneTunnel, sends } from './tunnel.ts';

export class Egress {
  readonly #plane: DataPlane;
  readonly #queue: SealQueue;
  readonly #pieces: Packet[] = [];
  /** What leaves once the queue was run: packets and trains, and what their datagrams are to be. */
  readonly #leaving: Packet[] = [];
  readonly #sas: PlaneSa[] = [];
  readonly #locals: Endpoint[] = [];
  readonly #remotes: Endpoint[] = [];
  readonly #tos = new Uint8Array(BURST_PACKETS);
  readonly #flags = new Uint8Array(BURST_PACKETS);
  #departures = 0;

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
    const { pool } = this.#plane;
    if (!tunnel.wait(packet, this.#plane.senderOr(compartment.number), pool.waiting))
      return compartment.refuse(packet, DROP.queueFull, now);
    this.#plane.tell({ type: 'acquire', tunnel: tunnel.parameters.tunnel, flow });
  }

  /** Nothing will come of the tunnel: whoever waits is told. */
  giveUp(tunnel: PlaneTunnel, now: Millis): void {
    for (const packet of tunnel.takeWaiting(this.#plane.pool.waiting))
      tunnel.tenant.compartment.refuse(packet, DROP.noSa, now);
  }

  /** Seals what waits and hands it out, in order. */
  flush(): void {
    const queue = this.#queue;
    const { output } = this.#plane;
    const count = this.#departures;
    if (count === 0) return;
    queue.run();
    for (let i = 0; i < count; i++) {
      const flags = this.#flags[i]!;
      const { tunnel } = this.#sas[i]!;
      output.datagram(
        (flags & UDP) !== 0,
        this.#locals[i]!,
        this.#remotes[i]!,
        this.#leaving[i]!,
        this.#tos[i]!,
        (flags & DONT_FRAGMENT) !== 0,
        tunnel.parameters.tunnel,
      );
    }
    queue.clear();
    this.#departures = 0;
  }

  /** Only here, where the wire begins, a superframe is cut and an owed checksum computed. */
  #sealAll(tunnel: PlaneTunnel, sa: PlaneSa, packet: Packet, now: Millis): void {
    const { compartment } = tunnel.tenant;
    if (packet.segment === 0) {
      const owed = completeChecksum(packet);
      return owed === PASS ? this.#seal(sa, packet, now) : compartment.refuse(packet, owed, now);
    }
    if (this.#sealTrains(tunnel, sa, packet, now)) return;
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

  /** False: nothing has happened, the pieces have to go one by one. */
  #sealTrains(tunnel: PlaneTunnel, sa: PlaneSa, packet: Packet, now: Millis): boolean {
    const { outbound } = sa;
    const { protection } = outbound;
    const { pool } = this.#plane;
    const pieces = beginCut(packet);
    const largest = segmentLength(packet);
    if (pieces === 0 || largest > tunnel.mtu) return false;
    const before = ESP_HEADER_LENGTH + protection.ivLength;
    const length = protectedLength(protection, largest);
    const stride = before + length + protection.icvLength;
    const most = Math.min(BURST_PACKETS, Math.floor(pool.capacity / stride));
    if (most === 0 || Math.ceil(pieces / most) > pool.size - pool.taken) return false;
    if (!outbound.carries(pieces, pieces * length)) return false;
    for (let first = 0; first < pieces; first += most) {
      const count = Math.min(most, pieces - first);
      if (this.#queue.room < count) {
        this.flush();
        // Whoever was handed a datagram may have cut something else.
        beginCut(packet);
      }
      const train = pool.take()!;
      const last = writeSegments(packet, first, count, train, train.start + before, stride);
      this.#queue.addTrain(outbound, train, count, stride, largest, last, now);
      train.segment = count === 1 ? 0 : stride;
      this.#note(sa, train, true);
    }
    if (this.#plane.tapping) this.#plane.tap.sealed(sa, packet);
    pool.release(packet);
    return true;
  }

  #seal(sa: PlaneSa, packet: Packet, now: Millis): void {
    const { outbound, tunnel } = sa;
    const queue = this.#queue;
    const fits = packet.end - packet.start <= tunnel.mtu;
    let verdict = queue.add(outbound, packet, now);
    if (verdict === RUN_FIRST) {
      this.flush();
      verdict = queue.add(outbound, packet, now);
    }
    if (verdict === PASS) {
      if (this.#plane.tapping) this.#plane.tap.sealed(sa, packet);
      this.#note(sa, packet, fits);
    } else {
      this.#listen(sa);
      tunnel.tenant.compartment.refuse(packet, verdict, now);
    }
  }

  /** What is to become of the packet or train that was queued last. */
  #note(sa: PlaneSa, leaving: Packet, fits: boolean): void {
    const { outbound } = sa;
    const i = this.#departures++;
    this.#leaving[i] = leaving;
    this.#sas[i] = sa;
    this.#locals[i] = outbound.localEndpoint;
    this.#remotes[i] = outbound.remoteEndpoint;
    this.#tos[i] = outbound.tos;
    // RFC 8200 §5: an IPv6 packet of 1280 octets gets through, and where the way is too narrow for that, in fragments.
    const whole = fits && outbound.dontFragment === 1;
    this.#flags[i] = (outbound.udpEncapsulation ? UDP : 0) | (whole ? DONT_FRAGMENT : 0);
    this.#listen(sa);
  }

  /** An SA may have come near its end. */
  #listen({ inbound, outbound }: PlaneSa): void {
    if (outbound.usage.signal === SIGNAL.none) return;
    const hard = outbound.usage.takeSignal() === SIGNAL.hard;
    this.#plane.tell({ type: 'expire', spiIn: inbound.spi, hard });
  }
}

const UDP = 1;
const DONT_FRAGMENT = 2;
