/**
 * Receives many datagrams with few system calls, straight into packets of the pool: aggregates of UDP_GRO, one a call, or up
 * to 64 datagrams with one recvmmsg.
 *
 * Read first: udp(7) (UDP_GRO), recvmmsg(2), cmsg(3).
 * Deliberate limits: aggregates are read one a call, for the packet just released is the one still in the cache; what the pool
 * has no packet for, or what does not fit one, is dropped and counted.
 * Invariants: nothing is allocated per call for senders known by now; every packet taken goes to `receive` or back to the pool.
 */
import { HEADROOM, type Packet, type PacketPool } from '../ip/index.ts';
import { SenderTable, SOCKADDR_ROOM } from './batch-address.ts';
import { AddressCache, Arena } from './memory.ts';
import type { BatchCounters } from './offload.ts';
import { type Carrier, type Receive, type SocketCounters, UNKNOWN_TOS } from './socket.ts';
import { EAGAIN, EINTR, type Syscalls } from './syscalls.ts';
import { SOL_UDP, UDP_GRO } from './udp-gso.ts';

export interface BatchReceiverOptions {
  readonly sys: Syscalls;
  readonly fd: number;
  readonly ipv6: boolean;
  readonly carrier: Carrier;
  readonly pool: PacketPool;
  /** Messages a call. */
  readonly messages: number;
  readonly counters: SocketCounters;
  readonly batchCounters: BatchCounters;
  readonly receive: Receive;
}

export class BatchReceiver {
  readonly #options: BatchReceiverOptions;
  readonly #messages: number;
  readonly #addresses: AddressCache;
  readonly #arena: Arena;
  readonly #headers: number;
  readonly #vectors: number;
  readonly #names: number;
  readonly #controls: number;
  readonly #spill: number;
  readonly #senders: SenderTable;
  /** The packets being filled. */
  readonly #packets: (Packet | undefined)[];
  /** What the control messages of the datagram at hand said. */
  #segment = 0;
  #tos = UNKNOWN_TOS;
  #stopped = false;

  constructor(options: BatchReceiverOptions) {
    this.#options = options;
    this.#messages = Math.min(options.messages, MESSAGES);
    const { koffi } = options.sys;
    this.#addresses = new AddressCache(koffi);
    this.#senders = new SenderTable(options.ipv6, options.carrier === 'udp');
    const each = HEADER + VECTOR + SOCKADDR_ROOM + CONTROL;
    const arena = new Arena(koffi, this.#messages * each + SPILL);
    this.#arena = arena;
    this.#headers = arena.alloc(this.#messages * HEADER);
    this.#vectors = arena.alloc(this.#messages * VECTOR);
    this.#names = arena.alloc(this.#messages * SOCKADDR_ROOM);
    this.#controls = arena.alloc(this.#messages * CONTROL);
    this.#spill = arena.base + arena.alloc(SPILL);
    this.#packets = new Array<Packet | undefined>(this.#messages).fill(undefined);
    for (let m = 0; m < this.#messages; m++) {
      const header = this.#headers + m * HEADER;
      arena.putWord(header, arena.base + this.#names + m * SOCKADDR_ROOM);
      arena.putWord(header + 16, arena.base + this.#vectors + m * VECTOR);
      arena.putWord(header + 24, 1);
      arena.putWord(header + 32, arena.base + this.#controls + m * CONTROL);
    }
  }

  /** Reads until `max` packets are handed over or nothing is left; gives how many it took from the socket. */
  drain(max: number): number {
    const { sys, fd, counters, batchCounters } = this.#options;
    let given = 0;
    let errors = 0;
    while (given < max && !this.#stopped) {
      const room = this.#load(Math.min(this.#messages, max - given));
      const got = sys.recvmmsg(fd, this.#arena.base + this.#headers, room, MSG_DONTWAIT, 0);
      if (got < 0) {
        this.#unload(0, room);
        const errno = sys.errno();
        if (errno === EINTR) continue;
        if (errno === EAGAIN) break;
        counters.errors += 1;
        errors += 1;
        if (errors > MAX_ERRORS) break;
        continue;
      }
      batchCounters.receiveCalls += 1;
      this.#unload(got, room);
      for (let m = 0; m < got; m++) this.#deliver(m);
      given += got;
      // A short answer of many is the end; another call would only say so.
      if (got < room) break;
    }
    return given;
  }

  /** No packet is handed over after this. */
  stop(): void {
    this.#stopped = true;
  }

  /** Takes packets for up to `want` messages and gives how many; with the pool empty one message that is lost. */
  #load(want: number): number {
    const { pool } = this.#options;
    let m = 0;
    while (m < want) {
      const packet = m > 0 && pool.taken === pool.size ? undefined : pool.take();
      if (packet === undefined && m > 0) break;
      this.#packets[m] = packet;
      const into = packet === undefined ? this.#spill : this.#addresses.of(packet.buf) + packet.start;
      const room = packet === undefined ? SPILL : packet.buf.length - HEADROOM;
      const header = this.#headers + m * HEADER;
      this.#arena.putWord(this.#vectors + m * VECTOR, into);
      this.#arena.putWord(this.#vectors + m * VECTOR + 8, room);
      this.#arena.view.setUint32(header + 8, SOCKADDR_ROOM, true);
      this.#arena.putWord(header + 40, CONTROL);
      m += 1;
      if (packet === undefined) break;
    }
    return m;
  }

  /** Gives back the packets of messages [from, to). */
  #unload(from: number, to: number): void {
    for (let m = from; m < to; m++) {
      const packet = this.#packets[m];
      this.#packets[m] = undefined;
      if (packet !== undefined) this.#options.pool.release(packet);
    }
  }

  #deliver(m: number): void {
    const { counters, batchCounters, receive, pool, carrier, ipv6 } = this.#options;
    const { view, bytes } = this.#arena;
    const header = this.#headers + m * HEADER;
    const packet = this.#packets[m];
    this.#packets[m] = undefined;
    if (packet === undefined || this.#stopped || (view.getUint32(header + 48, true) & MSG_TRUNC) !== 0) {
      if (packet !== undefined) pool.release(packet);
      counters.dropped += 1;
      return;
    }
    const length = view.getUint32(header + 56, true);
    this.#readControl(this.#controls + m * CONTROL, view.getUint32(header + 40, true));
    packet.end = packet.start + length;
    // raw(7): IPv4 raw sockets hand over the IP header too, IPv6 ones do not (RFC 3542 §3).
    if (carrier !== 'udp' && !ipv6) packet.start += (packet.buf[packet.start]! & 0x0f) << 2;
    const several = this.#segment > 0 && this.#segment < length;
    packet.segment = several ? this.#segment : 0;
    counters.received += several ? Math.ceil(length / this.#segment) : 1;
    if (several) batchCounters.groupsReceived += 1;
    receive(packet, this.#senders.at(bytes, this.#names + m * SOCKADDR_ROOM), this.#tos);
  }

  /* struct cmsghdr: len (8) | level (4) | type (4) | data, padded to 8 */
  #readControl(from: number, length: number): void {
    const { view, bytes } = this.#arena;
    this.#segment = 0;
    this.#tos = UNKNOWN_TOS;
    for (let at = from; at + CMSG_HEADER < from + length; ) {
      const size = view.getUint32(at, true);
      if (size <= CMSG_HEADER) return;
      const level = view.getInt32(at + 8, true);
      const type = view.getInt32(at + 12, true);
      if (level === SOL_UDP && type === UDP_GRO) this.#segment = view.getInt32(at + CMSG_HEADER, true);
      else if ((level === IPPROTO_IP && type === IP_TOS) || (level === IPPROTO_IPV6 && type === IPV6_TCLASS))
        this.#tos = bytes[at + CMSG_HEADER]!;
      at += (size + 7) & ~7;
    }
  }
}

/** Failed reads in a row before the caller gets a turn. */
const MAX_ERRORS = 8;
/** Where datagrams go that nobody has room for. */
const SPILL = 16;
const MESSAGES = 64;
const HEADER = 64;
const VECTOR = 16;
const CONTROL = 64;
const CMSG_HEADER = 16;

const MSG_TRUNC = 0x20;
const MSG_DONTWAIT = 0x40;
const IPPROTO_IP = 0;
const IPPROTO_IPV6 = 41;
const IP_TOS = 1;
const IPV6_TCLASS = 67;
