/**
 * What passes through a port, which is a TUN device (IP packets), a TAP device or a packet socket (Ethernet frames): read from and
 * written to its descriptor, whoever made it.
 *
 * Read first: Documentation/networking/tuntap.rst of Linux, packet(7), `vnet-frame.ts`, `packet-frames.ts`.
 * Leaves to others: the port itself (`tun.ts`, `packet-socket.ts`).
 * Limits: a frame in a VLAN that the kernel took the tag from, one larger than a packet of the pool and a superframe without the
 * header that describes it are dropped and counted.
 * Invariants: a descriptor has one reader at a time; nothing is allocated a packet. The IP header of a frame stands where that of
 * a packet would, at HEADROOM: the Ethernet header lies before it.
 */
import {
  completeChecksum,
  ETHERNET_HEADER,
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
import { deviceGone, FrameReader } from './packet-frames.ts';
import { FAILED, FULL, SENT, type SendResult, type SocketCounters, socketCounters } from './socket.ts';
import { EAGAIN, EINTR, EINVAL, ENETDOWN, ENOBUFS, errorCode, errorWords, type Syscalls } from './syscalls.ts';
import { describeFrame, readVnetFrame, VnetWriter } from './vnet-frame.ts';

export type PortKind = 'tun' | 'tap' | 'packet';

export interface PortQueueOptions {
  readonly sys: Syscalls;
  readonly kind: PortKind;
  /** Of the attached device or the bound socket, which does not block. */
  readonly fd: number;
  /** For people. */
  readonly device: string;
  /** What was agreed with the kernel. */
  readonly offloads: TunOffloads;
  readonly pool: PacketPool;
  /** Takes over what the host sent into the device, or what a packet socket got. */
  readonly receive: (packet: Packet) => void;
  /** The device failed for good (somebody deleted it): words for people. No call follows. */
  readonly failed?: ((why: string) => void) | undefined;
}

export class PortQueue {
  readonly kind: PortKind;
  readonly fd: number;
  readonly device: string;
  readonly offloads: TunOffloads;
  /** Octets of the link's header before the IP header: of Ethernet, or none. */
  readonly linkHeader: number;
  readonly counters: SocketCounters = socketCounters();
  /** Superframes among what was received and sent. */
  readonly superframes = { received: 0, sent: 0 };
  /** Frames in a VLAN among those dropped. */
  tagged = 0;
  readonly #options: PortQueueOptions;
  readonly #sys: Syscalls;
  readonly #pool: PacketPool;
  readonly #spill: Arena;
  readonly #addresses: AddressCache;
  /** Present where a header stands before each frame. */
  readonly #vnet: VnetWriter | undefined;
  /** Of a packet socket. */
  readonly #reader: FrameReader | undefined;
  /** Octets before each frame, and the most that may come with them. */
  readonly #before: number;
  readonly #most: number;
  #open = true;
  #failed = false;

  constructor(options: PortQueueOptions) {
    const { sys, kind, fd, device, offloads, pool } = options;
    this.#options = options;
    this.#sys = sys;
    this.kind = kind;
    this.fd = fd;
    this.device = device;
    this.offloads = offloads;
    this.linkHeader = kind === 'tun' ? 0 : ETHERNET_HEADER;
    this.#pool = pool;
    this.#spill = new Arena(sys.koffi, SPILL);
    this.#addresses = new AddressCache(sys.koffi);
    const framed = offloads.vnetHeader.used;
    this.#vnet = framed ? new VnetWriter(sys, fd) : undefined;
    this.#reader = kind === 'packet' ? new FrameReader(sys, fd) : undefined;
    this.#before = framed ? VIRTIO_HEADER : 0;
    this.#most = this.#before + this.linkHeader + pool.capacity;
  }

  /** No packet passes any more; the descriptor stays its owner's. */
  stop(): void {
    this.#open = false;
  }

  /** Sends buf[start, end), a packet or frame with all its checksums. */
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
   * Sends a packet or frame; the kernel cuts it if it is a superframe and computes the checksum if that is owed. It stays the
   * caller's. FAILED for a superframe of a kind that `takes` denies: cut it first.
   */
  writePacket(packet: Packet): SendResult {
    const { buf, start, end, segment } = packet;
    if (this.#vnet === undefined) {
      if (segment > 0 || !this.#complete(packet)) return this.#refused(0);
      return this.write(buf, start, end);
    }
    describeFrame(packet, this.linkHeader, described);
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
    const into = HEADROOM - this.linkHeader - this.#before;
    let count = 0;
    for (; count < max && this.#open && !this.#failed; count++) {
      const packet = pool.take();
      const length =
        packet === undefined
          ? this.#read(this.#spill.base, SPILL)
          : this.#read(this.#addresses.of(packet.buf) + into, this.#most + 1);
      if (length < 0) {
        if (packet !== undefined) pool.release(packet);
        const errno = this.#sys.errno();
        // A frame for which there is no header (Linux gives EINVAL and drops it) is no reason to give up.
        if (this.#before === 0 || errno !== EINVAL) {
          this.#readFailed(errno);
          break;
        }
        this.counters.errors += 1;
      } else if (packet === undefined) this.counters.dropped += 1;
      else if (this.#accept(packet, length)) {
        this.counters.received += 1;
        if (packet.segment > 0) this.superframes.received += 1;
        receive(packet);
      } else pool.release(packet);
    }
    return count;
  }

  #read(into: number, room: number): number {
    return this.#reader === undefined ? this.#sys.read(this.fd, into, room) : this.#reader.read(into, room);
  }

  /** Makes a packet of the octets just read into it, unless they are refused. */
  #accept(packet: Packet, length: number): boolean {
    const reader = this.#reader;
    const link = this.linkHeader;
    const described = this.#before > 0;
    packet.start = HEADROOM - link;
    packet.end = packet.start + length - this.#before;
    if (length > this.#most || (reader !== undefined && (reader.tagged || (reader.superframe && !described)))) {
      if (reader?.tagged === true) this.tagged += 1;
      this.counters.dropped += 1;
      return false;
    }
    if (!described) packet.partial = reader?.partial === true;
    const good = described ? readVnetFrame(packet, link) === PASS : packet.end - packet.start >= link;
    if (good && (described || this.#complete(packet))) return true;
    this.counters.errors += 1;
    return false;
  }

  /** Computes the checksum that a packet or frame owes; false where nobody can. */
  #complete(packet: Packet): boolean {
    if (!packet.partial) return true;
    packet.start += this.linkHeader;
    const verdict = completeChecksum(packet);
    packet.start -= this.linkHeader;
    return verdict === PASS;
  }

  #readFailed(errno: number): void {
    if (errno === EAGAIN || errno === EINTR) return;
    // A link that is switched off may be switched on again.
    if (this.kind === 'packet' && errno === ENETDOWN && !deviceGone(this.#sys, this.fd)) return;
    this.counters.errors += 1;
    this.#failed = true;
    const code = errorCode(errno);
    const [what, then] = WORDS[this.kind];
    this.#options.failed?.(`${what} ${this.device} is gone: ${errorWords(code)} (${code}). ${then}`);
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
/** What a port is called, and what to do when it is gone. */
const WORDS = {
  tun: ['TUN device', 'Reload to create it anew'],
  tap: ['TAP device', 'Reload to create it anew'],
  packet: ['device', 'Reload when it is there again'],
} as const;
const NOTHING_OWED = newOffload();
const described = newOffload();
