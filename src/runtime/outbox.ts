/**
 * What leaves in one turn of the event loop: datagrams to one destination go out together (UDP_SEGMENT, sendmmsg), packets for
 * a device at once, a superframe that it does not take in pieces.
 *
 * Read first: `batch-send.ts`. Order is kept within a destination and within a device.
 * Limits: MAX_PACKETS with up to MAX_OCTETS wait for one destination; then they go at once.
 * Invariant: each packet given is released exactly once, whether the kernel took it or not.
 */
import {
  cutSuperframe,
  type Endpoint,
  findUpperLayer,
  IP_PROTOCOL,
  newUpperLayer,
  OFFLOAD_KIND,
  PASS,
  type Packet,
  type PacketPool,
  sameEndpoint,
} from '../ip/index.ts';
import type { PortQueue } from './port-queue.ts';
import { type DatagramSocket, sendAll, TOO_BIG } from './socket.ts';

/** As many as one UDP_SEGMENT message takes; as many octets as a few of them, which the cache still holds. */
const MAX_PACKETS = 64;
const MAX_OCTETS = 256 << 10;

export type TooBig = (local: Endpoint, remote: Endpoint) => void;

/** What it needs of a port; without a `linkHeader` packets are IP packets. */
export type PacketDevice = Pick<PortQueue, 'takes' | 'writePacket'> & Partial<Pick<PortQueue, 'linkHeader'>>;

export class Outbox {
  readonly #pool: PacketPool;
  readonly #datagrams: Packet[] = [];
  #count = 0;
  #octets = 0;
  #socket: DatagramSocket | undefined;
  #remote: Endpoint | undefined;
  #tos = 0;
  #dontFragment = false;
  readonly #pieces: Packet[] = [];
  readonly #tooBig: TooBig;
  readonly #later: (flush: () => void) => void;
  #scheduled = false;

  /**
   * `tooBig` hears of datagrams that exceeded what the kernel knows of their way. `later` calls what it is given before anybody
   * waits for packets; default: after the callback that is running.
   */
  constructor(pool: PacketPool, tooBig: TooBig = () => {}, later: (flush: () => void) => void = process.nextTick) {
    this.#pool = pool;
    this.#tooBig = tooBig;
    this.#later = later;
  }

  /** Takes over `packet`, the payload of one datagram, or of several of `segment` octets back to back. */
  send(socket: DatagramSocket, remote: Endpoint, packet: Packet, tos: number, dontFragment: boolean): void {
    const octets = packet.end - packet.start;
    const same =
      this.#socket === socket &&
      this.#tos === tos &&
      this.#dontFragment === dontFragment &&
      (this.#remote === remote || sameEndpoint(this.#remote!, remote));
    if (!same || this.#count === MAX_PACKETS || this.#octets + octets > MAX_OCTETS) this.flush();
    this.#socket = socket;
    this.#remote = remote;
    this.#tos = tos;
    this.#dontFragment = dontFragment;
    this.#datagrams[this.#count] = packet;
    this.#count += 1;
    this.#octets += octets;
    if (this.#scheduled) return;
    this.#scheduled = true;
    this.#later(this.#flushScheduled);
  }

  /** Takes over `packet`, an IP packet or a frame, as the port has them. */
  write(port: PacketDevice, packet: Packet): void {
    const count = packet.segment === 0 ? 0 : this.#cut(port, packet);
    // One that cannot be cut is left to the port, which counts it.
    if (count === 0) port.writePacket(packet);
    this.#pool.release(packet);
    for (let i = 0; i < count; i++) {
      port.writePacket(this.#pieces[i]!);
      this.#pool.release(this.#pieces[i]!);
    }
  }

  /** Into how many pieces a superframe was cut that the port does not take; each has the link's header of the whole. */
  #cut(port: PacketDevice, packet: Packet): number {
    const link = port.linkHeader ?? 0;
    const { buf, start } = packet;
    packet.start += link;
    const taken = port.takes(isUdp(packet) ? OFFLOAD_KIND.udp : OFFLOAD_KIND.tcp4);
    const count = taken ? 0 : cutSuperframe(packet, this.#pool, this.#pieces);
    packet.start = start;
    for (let i = 0; i < count && link > 0; i++) {
      const piece = this.#pieces[i]!;
      piece.start -= link;
      for (let o = 0; o < link; o++) piece.buf[piece.start + o] = buf[start + o]!;
    }
    return count;
  }

  /** Everything that waits goes now. */
  flush(): void {
    const count = this.#count;
    if (count === 0) return;
    this.#count = 0;
    this.#octets = 0;
    const socket = this.#socket!;
    const remote = this.#remote!;
    const [tos, df] = [this.#tos, this.#dontFragment];
    const worst = sendAll(socket, this.#datagrams, 0, count, remote, tos, df);
    for (let i = 0; i < count; i++) this.#pool.release(this.#datagrams[i]!);
    if (worst === TOO_BIG) this.#tooBig(socket.local, remote);
  }

  readonly #flushScheduled = (): void => {
    this.#scheduled = false;
    this.flush();
  };
}

function isUdp({ buf, start, end }: Packet): boolean {
  return findUpperLayer(buf, start, end, upper) === PASS && upper.protocol === IP_PROTOCOL.udp;
}

const upper = newUpperLayer();
