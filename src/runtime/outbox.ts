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
import { type BatchSocket, type DatagramSocket, sendSingly, TOO_BIG } from './socket.ts';
import type { Tun } from './tun.ts';

/** As many as one UDP_SEGMENT message takes; as many octets as a few of them, which the cache still holds. */
const MAX_PACKETS = 64;
const MAX_OCTETS = 256 << 10;

export type TooBig = (local: Endpoint, remote: Endpoint) => void;

/** What it needs of a device. */
export type PacketDevice = Pick<Tun, 'takes' | 'writePacket'>;

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

  /** Takes over `packet`, an IP packet for the host. */
  write(tun: PacketDevice, packet: Packet): void {
    const pieces = this.#pieces;
    const count =
      packet.segment === 0 || tun.takes(isUdp(packet) ? OFFLOAD_KIND.udp : OFFLOAD_KIND.tcp4)
        ? 0
        : cutSuperframe(packet, this.#pool, pieces);
    // One that cannot be cut is left to the device, which counts it.
    if (count === 0) tun.writePacket(packet);
    this.#pool.release(packet);
    for (let i = 0; i < count; i++) {
      tun.writePacket(pieces[i]!);
      this.#pool.release(pieces[i]!);
    }
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
    const worst = isBatch(socket)
      ? socket.sendBatch(this.#datagrams, 0, count, remote, tos, df)
      : sendSingly(socket, this.#datagrams, 0, count, remote, tos, df);
    for (let i = 0; i < count; i++) this.#pool.release(this.#datagrams[i]!);
    if (worst === TOO_BIG) this.#tooBig(socket.local, remote);
  }

  readonly #flushScheduled = (): void => {
    this.#scheduled = false;
    this.flush();
  };
}

const isBatch = (socket: DatagramSocket): socket is BatchSocket => 'sendBatch' in socket;

function isUdp({ buf, start, end }: Packet): boolean {
  return findUpperLayer(buf, start, end, upper) === PASS && upper.protocol === IP_PROTOCOL.udp;
}

const upper = newUpperLayer();
