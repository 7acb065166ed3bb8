/**
 * The packets of a TUN device: read from and written to its descriptor, whoever made it.
 *
 * Read first: Documentation/networking/tuntap.rst of Linux, `tun-vnet.ts`. Leaves to others: the device itself (`tun.ts`).
 * Invariant: a descriptor has one reader at a time; nothing is allocated a packet.
 */
import {
  completeChecksum,
  describeOffload,
  HEADROOM,
  newOffload,
  OFFLOAD_KIND,
  PASS,
  type Packet,
  type PacketPool,
  VIRTIO_HEADER,
} from '../ip/index.ts';
import { AddressCache, Arena } from './memory.ts';
import type { TunOffloads } from './offload.ts';
import { FAILED, FULL, SENT, type SendResult, type SocketCounters, socketCounters } from './socket.ts';
import { EAGAIN, EINTR, EINVAL, ENOBUFS, errorCode, errorWords, type Syscalls } from './syscalls.ts';
import { readVnetFrame, VnetWriter } from './tun-vnet.ts';

export interface TunQueueOptions {
  readonly sys: Syscalls;
  /** Of the attached device, which does not block. */
  readonly fd: number;
  /** For people. */
  readonly device: string;
  /** What was agreed with the kernel. */
  readonly offloads: TunOffloads;
  readonly pool: PacketPool;
  /** Takes over a packet that the host sent into the device. */
  readonly receive: (packet: Packet) => void;
  /** The device failed for good (somebody deleted it): words for people. No call follows. */
  readonly failed?: ((why: string) => void) | undefined;
}

export class TunQueue {
  readonly fd: number;
  readonly device: string;
  readonly offloads: TunOffloads;
  readonly counters: SocketCounters = socketCounters();
  /** Superframes among what was received and sent. */
  readonly superframes = { received: 0, sent: 0 };
  readonly #options: TunQueueOptions;
  readonly #sys: Syscalls;
  readonly #pool: PacketPool;
  readonly #spill: Arena;
  readonly #addresses: AddressCache;
  /** Present where a header stands before each frame. */
  readonly #vnet: VnetWriter | undefined;
  /** Octets before each frame. */
  readonly #before: number;
  #open = true;
  #failed = false;

  constructor(options: TunQueueOptions) {
    const { sys, fd, device, offloads, pool } = options;
    this.#options = options;
    this.#sys = sys;
    this.fd = fd;
    this.device = device;
    this.offloads = offloads;
    this.#pool = pool;
    this.#spill = new Arena(sys.koffi, SPILL);
    this.#addresses = new AddressCache(sys.koffi);
    const framed = offloads.vnetHeader.used;
    this.#vnet = framed ? new VnetWriter(sys, fd) : undefined;
    this.#before = framed ? VIRTIO_HEADER : 0;
  }

  /** No packet passes any more; the descriptor stays its owner's. */
  stop(): void {
    this.#open = false;
  }

  /** Hands buf[start, end), an IP packet with all its checksums, to the host. */
  write(buf: Uint8Array, start: number, end: number): SendResult {
    while (this.#open) {
      const written =
        this.#vnet === undefined
          ? this.#sys.write(this.fd, this.#addresses.of(buf) + start, end - start)
          : this.#vnet.write(buf, start, end, NOTHING_OWED);
      if (written >= 0) return this.#sent();
      const errno = this.#sys.errno();
      if (errno !== EINTR) return this.#refused(errno);
    }
    return this.#refused(0);
  }

  /**
   * Hands a packet to the host, which cuts it if it is a superframe and computes the checksum if that is owed. The packet stays
   * the caller's. FAILED for a superframe of a kind that `takes` denies: cut it first.
   */
  writePacket(packet: Packet): SendResult {
    const { buf, start, end, segment } = packet;
    if (this.#vnet === undefined) {
      if (segment > 0 || completeChecksum(packet) !== PASS) return this.#refused(0);
      return this.write(buf, start, end);
    }
    describeOffload(packet, described);
    if (segment > 0 && described.kind === OFFLOAD_KIND.none) return this.#refused(0);
    while (this.#open && this.takes(described.kind)) {
      if (this.#vnet.write(buf, start, end, described) >= 0) return this.#sent(described.kind);
      const errno = this.#sys.errno();
      if (errno !== EINTR) return this.#refused(errno);
    }
    return this.#refused(0);
  }

  /** Whether packets of that kind (`OFFLOAD_KIND`) may be written; Linux takes UDP superframes since it makes them. */
  takes(kind: number): boolean {
    if (kind === OFFLOAD_KIND.none) return true;
    return kind === OFFLOAD_KIND.udp ? this.offloads.uso.used : this.#vnet !== undefined;
  }

  /** Hands packets to `receive` until it were `max` or nothing is left, without waiting; gives how many it read. */
  drain(max: number): number {
    const { receive } = this.#options;
    const pool = this.#pool;
    const before = this.#before;
    let count = 0;
    for (; count < max && this.#open && !this.#failed; count++) {
      const packet = pool.take();
      const into = packet === undefined ? this.#spill.base : this.#addresses.of(packet.buf) + HEADROOM - before;
      const room = packet === undefined ? SPILL : pool.capacity + before;
      const length = this.#sys.read(this.fd, into, room);
      if (length < 0) {
        if (packet !== undefined) pool.release(packet);
        const errno = this.#sys.errno();
        // A frame for which there is no header (Linux gives EINVAL and drops it) is no reason to give up.
        if (before === 0 || errno !== EINVAL) {
          this.#readFailed(errno);
          break;
        }
        this.counters.errors += 1;
      } else if (packet === undefined) this.counters.dropped += 1;
      else {
        packet.end = packet.start + length - before;
        if (before > 0 && readVnetFrame(packet) !== PASS) {
          pool.release(packet);
          this.counters.errors += 1;
          continue;
        }
        this.counters.received += 1;
        if (packet.segment > 0) this.superframes.received += 1;
        receive(packet);
      }
    }
    return count;
  }

  #readFailed(errno: number): void {
    if (errno === EAGAIN || errno === EINTR) return;
    this.counters.errors += 1;
    this.#failed = true;
    this.#options.failed?.(
      `TUN device ${this.device} is gone: ${errorWords(errorCode(errno))} (${errorCode(errno)}). Reload to create it anew`,
    );
  }

  #sent(kind: number = OFFLOAD_KIND.none): SendResult {
    this.counters.sent += 1;
    if (kind !== OFFLOAD_KIND.none) this.superframes.sent += 1;
    return SENT;
  }

  #refused(errno: number): SendResult {
    this.counters.refused += 1;
    return errno === EAGAIN || errno === ENOBUFS ? FULL : FAILED;
  }
}

/** Where a packet goes that the pool has no room for; the kernel truncates it. */
const SPILL = 16;
const NOTHING_OWED = newOffload();
const described = newOffload();
