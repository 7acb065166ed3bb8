/**
 * Sends many datagrams to one destination with few system calls: datagrams of one length become one message for
 * UDP_SEGMENT to cut, and up to 64 messages go with one sendmmsg.
 *
 * Read first: udp(7) (UDP_SEGMENT), sendmmsg(2), cmsg(3).
 * A message that the kernel refuses to cut (EIO, EINVAL, EMSGSIZE: the way out cannot, or a datagram exceeds its MTU) goes
 * datagram by datagram, and so do all of that length to that destination for a while.
 * Invariants: datagrams leave in the order given; nothing is allocated per call; all structures stand in one arena.
 */
import type { Endpoint, Packet } from '../ip/index.ts';
import { putSockaddr, SOCKADDR_ROOM } from './batch-address.ts';
import { AddressCache, Arena } from './memory.ts';
import type { BatchCounters } from './offload.ts';
import { FAILED, FULL, SENT, type SendResult, type SocketCounters, TOO_BIG } from './socket.ts';
import { EAGAIN, EINTR, EINVAL, EIO, EMSGSIZE, ENOBUFS, type Syscalls } from './syscalls.ts';
import { SOL_UDP, UDP_SEGMENT } from './udp-gso.ts';

export interface BatchSenderOptions {
  readonly sys: Syscalls;
  readonly fd: number;
  readonly ipv6: boolean;
  /** Datagrams may be grouped for UDP_SEGMENT. */
  readonly gso: boolean;
  /** Messages a call: 1 for a kernel without sendmmsg. */
  readonly messages: number;
  readonly counters: SocketCounters;
  readonly batchCounters: BatchCounters;
}

/** Most datagrams a message carries, and most octets: what every kernel with UDP_SEGMENT takes. */
export const MAX_SEGMENTS = 64;
export const MAX_GROUP_OCTETS = 65000;

export class BatchSender {
  readonly #sys: Syscalls;
  readonly #fd: number;
  readonly #ipv6: boolean;
  readonly #gso: boolean;
  readonly #messages: number;
  readonly #counters: SocketCounters;
  readonly #batchCounters: BatchCounters;
  readonly #addresses: AddressCache;
  readonly #arena: Arena;
  readonly #headers: number;
  readonly #vectors: number;
  readonly #controls: number;
  readonly #name: number;
  #to: Endpoint | undefined;
  /** Where the next datagram begins: an octet of a packet. */
  #packets: readonly Packet[] = NONE;
  #index = 0;
  #last = 0;
  #at = 0;
  /** Of each message: where its first datagram begins, how many it has, and the longest. */
  readonly #firstIndex = new Int32Array(MESSAGES);
  readonly #firstAt = new Int32Array(MESSAGES);
  readonly #datagrams = new Int32Array(MESSAGES);
  readonly #size = new Int32Array(MESSAGES);
  /** The shortest datagrams that the kernel refused to cut a message into, by destination. */
  #refused = new WeakMap<Endpoint, number>();
  /** Calls until refusals are forgotten; 0: there are none. */
  #forgetIn = 0;

  constructor(options: BatchSenderOptions) {
    this.#sys = options.sys;
    this.#fd = options.fd;
    this.#ipv6 = options.ipv6;
    this.#gso = options.gso;
    this.#messages = Math.min(options.messages, MESSAGES);
    this.#counters = options.counters;
    this.#batchCounters = options.batchCounters;
    this.#addresses = new AddressCache(options.sys.koffi);
    const arena = new Arena(
      options.sys.koffi,
      (MESSAGES + 1) * (HEADER + CONTROL) + (VECTORS + 1) * VECTOR + SOCKADDR_ROOM,
    );
    this.#arena = arena;
    // One of each behind the batch is for datagrams that go singly.
    this.#headers = arena.alloc((MESSAGES + 1) * HEADER);
    this.#vectors = arena.alloc((VECTORS + 1) * VECTOR);
    this.#controls = arena.alloc((MESSAGES + 1) * CONTROL);
    this.#name = arena.alloc(SOCKADDR_ROOM);
    for (let m = 0; m <= MESSAGES; m++) this.#layOut(m);
  }

  /**
   * Sends the datagrams of packets[from, from + count) to `remote`; the packets stay the caller's. One with a `segment` holds
   * datagrams of that length back to back. Gives the worst of the results: SENT when the kernel took them all.
   */
  send(packets: readonly Packet[], from: number, count: number, remote: Endpoint, tos: number): SendResult {
    if (remote !== this.#to) {
      putSockaddr(this.#arena, this.#name, remote);
      this.#to = remote;
    }
    this.#packets = packets;
    this.#last = from + count;
    this.#moveTo(from);
    const limit = this.#groupedBelow(remote);
    let worst: SendResult = SENT;
    while (this.#index < this.#last) worst = worse(worst, this.#flush(this.#fill(limit, tos), remote, tos));
    this.#packets = NONE;
    return worst;
  }

  /** Lays out as many messages as go in one call, and gives their number. */
  #fill(limit: number, tos: number): number {
    let vector = 0;
    let m = 0;
    while (m < this.#messages && vector < VECTORS && this.#index < this.#last) {
      const next = this.#group(m, vector, limit);
      this.#finish(m, vector, next - vector, this.#datagrams[m]! > 1 ? this.#size[m]! : 0, tos);
      vector = next;
      m += 1;
    }
    return m;
  }

  /** Takes the datagrams of message `m`, with vectors from `vector` on; gives the first vector left. */
  #group(m: number, vector: number, limit: number): number {
    const size = this.#nextLength();
    const most = this.#gso && size > 0 && size < limit ? MAX_SEGMENTS : 1;
    this.#firstIndex[m] = this.#index;
    this.#firstAt[m] = this.#at;
    this.#size[m] = size;
    let count = 0;
    let octets = 0;
    let free = vector;
    let run = 0;
    let runEnd = -1;
    let length = size;
    do {
      const address = this.#addresses.of(this.#packets[this.#index]!.buf) + this.#at;
      if (address === runEnd) run += length;
      else {
        if (free === VECTORS) break;
        run = length;
        this.#arena.putWord(this.#vectors + free * VECTOR, address);
        free += 1;
      }
      this.#arena.putWord(this.#vectors + (free - 1) * VECTOR + 8, run);
      runEnd = address + length;
      octets += length;
      count += 1;
      this.#advance(length);
      if (length < size || this.#index === this.#last) break;
      length = this.#nextLength();
    } while (count < most && length > 0 && length <= size && octets + length <= MAX_GROUP_OCTETS);
    this.#datagrams[m] = count;
    return free;
  }

  /** Length of the datagram at the cursor. */
  #nextLength(): number {
    const packet = this.#packets[this.#index]!;
    const rest = packet.end - this.#at;
    return packet.segment > 0 && packet.segment < rest ? packet.segment : rest;
  }

  #advance(length: number): void {
    this.#at += length;
    if (this.#at >= this.#packets[this.#index]!.end) this.#moveTo(this.#index + 1);
  }

  #moveTo(index: number): void {
    this.#index = index;
    this.#at = index < this.#last ? this.#packets[index]!.start : 0;
  }

  /** Sends messages [0, count). */
  #flush(count: number, remote: Endpoint, tos: number): SendResult {
    let worst: SendResult = SENT;
    for (let done = 0; done < count; ) {
      const taken = this.#submit(done, count - done);
      for (let m = done; m < done + taken; m++) this.#sent(this.#datagrams[m]!);
      done += Math.max(taken, 0);
      if (taken > 0) continue;
      const errno = this.#sys.errno();
      if (errno === EINTR) continue;
      if (errno === EAGAIN || errno === ENOBUFS) {
        for (let m = done; m < count; m++) this.#counters.refused += this.#datagrams[m]!;
        return worse(worst, FULL);
      }
      worst = worse(worst, this.#failed(done, errno, remote, tos));
      done += 1;
    }
    return worst;
  }

  #submit(first: number, count: number): number {
    this.#batchCounters.sendCalls += 1;
    const header = this.#arena.base + this.#headers + first * HEADER;
    if (count > 1) return this.#sys.sendmmsg(this.#fd, header, count, 0);
    return this.#sys.sendmsg(this.#fd, header, 0) < 0 ? -1 : 1;
  }

  #sent(datagrams: number): void {
    this.#counters.sent += datagrams;
    if (datagrams > 1) this.#batchCounters.groupsSent += 1;
  }

  #failed(m: number, errno: number, remote: Endpoint, tos: number): SendResult {
    const cannotCut = errno === EIO || errno === EINVAL || errno === EMSGSIZE;
    if (this.#datagrams[m]! > 1 && cannotCut) {
      this.#batchCounters.groupsRefused += 1;
      this.#refuse(remote, errno === EIO ? 0 : this.#size[m]!);
      return this.#sendSingly(m, tos);
    }
    this.#counters.refused += this.#datagrams[m]!;
    return errno === EMSGSIZE ? TOO_BIG : FAILED;
  }

  /** The datagrams of message `m`, one a call. */
  #sendSingly(m: number, tos: number): SendResult {
    const index = this.#index;
    const at = this.#at;
    let worst: SendResult = SENT;
    this.#index = this.#firstIndex[m]!;
    this.#at = this.#firstAt[m]!;
    for (let left = this.#datagrams[m]!; left > 0; left--) {
      const length = this.#nextLength();
      const vector = this.#vectors + VECTORS * VECTOR;
      this.#arena.putWord(vector, this.#addresses.of(this.#packets[this.#index]!.buf) + this.#at);
      this.#arena.putWord(vector + 8, length);
      this.#finish(MESSAGES, VECTORS, 1, 0, tos);
      worst = worse(worst, this.#sendSpare());
      this.#advance(length);
    }
    this.#index = index;
    this.#at = at;
    return worst;
  }

  #sendSpare(): SendResult {
    while (this.#submit(MESSAGES, 1) < 0) {
      const errno = this.#sys.errno();
      if (errno === EINTR) continue;
      this.#counters.refused += 1;
      return errno === EAGAIN || errno === ENOBUFS ? FULL : errno === EMSGSIZE ? TOO_BIG : FAILED;
    }
    this.#counters.sent += 1;
    return SENT;
  }

  /** Datagrams shorter than this may be grouped. */
  #groupedBelow(remote: Endpoint): number {
    if (this.#forgetIn === 0) return ANY_LENGTH;
    this.#forgetIn -= 1;
    if (this.#forgetIn === 0) {
      this.#refused = new WeakMap();
      return ANY_LENGTH;
    }
    return this.#refused.get(remote) ?? ANY_LENGTH;
  }

  #refuse(remote: Endpoint, size: number): void {
    this.#refused.set(remote, Math.min(size, this.#refused.get(remote) ?? ANY_LENGTH));
    if (this.#forgetIn === 0) this.#forgetIn = RETRY_AFTER;
  }

  /* struct mmsghdr: struct msghdr (56) | len (4+4)
     struct msghdr: name (8) | namelen (4+4) | iov (8) | iovlen (8) | control (8) | controllen (8) | flags (4+4) */
  #layOut(m: number): void {
    const arena = this.#arena;
    const header = this.#headers + m * HEADER;
    arena.putWord(header, arena.base + this.#name);
    arena.putWord(header + 8, this.#ipv6 ? 28 : 16);
    /* struct cmsghdr: len (8) | level (4) | type (4) | data, padded to 8. First UDP_SEGMENT (uint16), then TOS (int). */
    const control = this.#controls + m * CONTROL;
    arena.putWord(control, CMSG_HEADER + 2);
    arena.view.setInt32(control + 8, SOL_UDP, true);
    arena.view.setInt32(control + 12, UDP_SEGMENT, true);
    arena.putWord(control + CMSG, CMSG_HEADER + 4);
    arena.view.setInt32(control + CMSG + 8, this.#ipv6 ? IPPROTO_IPV6 : IPPROTO_IP, true);
    arena.view.setInt32(control + CMSG + 12, this.#ipv6 ? IPV6_TCLASS : IP_TOS, true);
  }

  /** Points message `m` to its vectors and to as much control as it needs; `segment` 0 is one datagram. */
  #finish(m: number, vector: number, vectors: number, segment: number, tos: number): void {
    const arena = this.#arena;
    const header = this.#headers + m * HEADER;
    const control = this.#controls + m * CONTROL;
    arena.putWord(header + 16, arena.base + this.#vectors + vector * VECTOR);
    arena.putWord(header + 24, vectors);
    if (segment > 0) arena.view.setUint16(control + CMSG_HEADER, segment, true);
    if (tos !== 0) arena.view.setInt32(control + CMSG + CMSG_HEADER, tos, true);
    arena.putWord(header + 32, arena.base + (segment > 0 ? control : control + CMSG));
    arena.putWord(header + 40, (segment > 0 ? CMSG : 0) + (tos !== 0 ? CMSG : 0));
  }
}

const worse = (a: SendResult, b: SendResult): SendResult => (a > b ? a : b);

const NONE: readonly Packet[] = [];
const ANY_LENGTH = 0x1_0000;
/** Batches sent before a destination that refused is tried again: its route or MTU may have changed. */
const RETRY_AFTER = 4096;

const MESSAGES = 64;
const VECTORS = 256;
const HEADER = 64;
const VECTOR = 16;
const CMSG_HEADER = 16;
const CMSG = 24;
const CONTROL = 2 * CMSG;

const IPPROTO_IP = 0;
const IPPROTO_IPV6 = 41;
const IP_TOS = 1;
const IPV6_TCLASS = 67;
