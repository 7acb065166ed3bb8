/**
 * What leaves in one turn of the event loop, put together: datagrams to one destination go out in one call (UDP_SEGMENT,
 * sendmmsg), packets of one flow into a device as one superframe.
 *
 * Read first: `ip/coalesce.ts`, `batch-send.ts`. Order is kept within a destination and within a flow of a device.
 * Limits: MAX_DATAGRAMS wait for one destination, COALESCE_HELD_MAX packets for one device; then they go at once.
 * A superframe for a device that takes none of its kind is cut here.
 * Invariant: each packet given is released exactly once, whether the kernel took it or not.
 */
import {
  type Coalesced,
  Coalescer,
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
import { type BatchSocket, type DatagramSocket, SENT, type SendResult, TOO_BIG } from './socket.ts';
import type { Tun } from './tun.ts';

/** As many as one UDP_SEGMENT message takes. */
const MAX_DATAGRAMS = 64;

export type TooBig = (local: Endpoint, remote: Endpoint) => void;

/** What it needs of a device. */
export type PacketDevice = Pick<Tun, 'takes' | 'writePacket' | 'writeGroup'>;

export class Outbox {
  readonly #pool: PacketPool;
  readonly #datagrams: Packet[] = [];
  #count = 0;
  #socket: DatagramSocket | undefined;
  #remote: Endpoint | undefined;
  #tos = 0;
  #dontFragment = false;
  readonly #pieces: Packet[] = [];
  readonly #devices = new Map<PacketDevice, Coalescer>();
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

  /** Takes over `packet`, the payload of one datagram. */
  send(socket: DatagramSocket, remote: Endpoint, packet: Packet, tos: number, dontFragment: boolean): void {
    const same =
      this.#socket === socket &&
      this.#tos === tos &&
      this.#dontFragment === dontFragment &&
      (this.#remote === remote || sameEndpoint(this.#remote!, remote));
    if (!same || this.#count === MAX_DATAGRAMS) this.#flushDatagrams();
    this.#socket = socket;
    this.#remote = remote;
    this.#tos = tos;
    this.#dontFragment = dontFragment;
    this.#datagrams[this.#count] = packet;
    this.#count += 1;
    this.#schedule();
  }

  /** Takes over `packet`, an IP packet for the host. */
  write(tun: PacketDevice, packet: Packet): void {
    // Without UDP superframes datagrams go one by one; those of one flow keep their order among themselves.
    if (!tun.takes(OFFLOAD_KIND.tcp4) || (!tun.takes(OFFLOAD_KIND.udp) && isUdp(packet)))
      return this.#writeNow(tun, packet);
    let coalescer = this.#devices.get(tun);
    if (coalescer === undefined) {
      coalescer = new Coalescer();
      this.#devices.set(tun, coalescer);
    }
    if (!coalescer.add(packet)) {
      this.#flushDevice(tun, coalescer);
      coalescer.add(packet);
    }
    this.#schedule();
  }

  /** Everything that waits goes now. */
  flush(): void {
    this.#scheduled = false;
    this.#flushDatagrams();
    for (const [tun, coalescer] of this.#devices) this.#flushDevice(tun, coalescer);
  }

  /** `tun` closes: what waits for it goes first. */
  forget(tun: PacketDevice): void {
    const coalescer = this.#devices.get(tun);
    if (coalescer !== undefined) this.#flushDevice(tun, coalescer);
    this.#devices.delete(tun);
  }

  readonly #flushScheduled = (): void => {
    if (this.#scheduled) this.flush();
  };

  #schedule(): void {
    if (this.#scheduled) return;
    this.#scheduled = true;
    this.#later(this.#flushScheduled);
  }

  #flushDatagrams(): void {
    const count = this.#count;
    if (count === 0) return;
    this.#count = 0;
    const socket = this.#socket!;
    const remote = this.#remote!;
    let worst: SendResult = SENT;
    if (isBatch(socket)) worst = socket.sendBatch(this.#datagrams, 0, count, remote, this.#tos, this.#dontFragment);
    for (let i = 0; i < count; i++) {
      const packet = this.#datagrams[i]!;
      if (!isBatch(socket)) socket.send(packet.buf, packet.start, packet.end, remote, this.#tos, this.#dontFragment);
      this.#pool.release(packet);
    }
    if (worst === TOO_BIG) this.#tooBig(socket.local, remote);
  }

  /** Cuts a superframe, for a device that takes none; one that cannot be cut is left to the device, which counts it. */
  #writeNow(tun: PacketDevice, packet: Packet): void {
    const pieces = this.#pieces;
    const count = packet.segment === 0 ? 0 : cutSuperframe(packet, this.#pool, pieces);
    if (count === 0) tun.writePacket(packet);
    this.#pool.release(packet);
    for (let i = 0; i < count; i++) {
      tun.writePacket(pieces[i]!);
      this.#pool.release(pieces[i]!);
    }
  }

  #flushDevice(tun: PacketDevice, coalescer: Coalescer): void {
    if (coalescer.held > 0) coalescer.flush((group) => this.#writeGroup(tun, group));
  }

  #writeGroup(tun: PacketDevice, group: Coalesced): void {
    tun.writeGroup(group);
    for (let i = 0; i < group.count; i++) this.#pool.release(group.slices[i]!.packet);
  }
}

const isBatch = (socket: DatagramSocket): socket is BatchSocket => 'sendBatch' in socket;

function isUdp({ buf, start, end }: Packet): boolean {
  return findUpperLayer(buf, start, end, upper) === PASS && upper.protocol === IP_PROTOCOL.udp;
}

const upper = newUpperLayer();
