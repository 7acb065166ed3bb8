/**
 * A datagram socket made of system calls: UDP, or raw IP (protocols 50 and 47), of either family, received straight into the pool.
 *
 * Read first: ip(7), ipv6(7), raw(7), cmsg(3). Leaves to others: which socket to open (`udp.ts`, `raw.ts`).
 * Deliberate limits: one datagram a call unless offloads are asked for (`batch-send.ts`, `batch-receive.ts`); a datagram that
 * does not fit a packet of the pool, or finds the pool empty, is dropped and counted.
 * Invariant: UDP_ENCAP is never set; the kernel hands us ESP in UDP as it came.
 */
import { type Address, type Endpoint, formatAddress, HEADROOM, type Packet, type PacketPool } from '../ip/index.ts';
import { putSockaddr, SOCKADDR_ROOM } from './batch-address.ts';
import { BatchReceiver } from './batch-receive.ts';
import { BatchSender } from './batch-send.ts';
import { Arena, addressOf } from './memory.ts';
import {
  type BatchCounters,
  batchCounters,
  NOT_ASKED,
  type SocketOffloadOptions,
  type SocketOffloads,
} from './offload.ts';
import type { Readiness } from './readiness.ts';
import type { BatchSocket, Carrier, Receive, SendResult, SocketCounters, SocketFeatures } from './socket.ts';
import { FAILED, FULL, RAW_PROTOCOL, SENT, sendSingly, socketCounters, TOO_BIG, UNKNOWN_TOS } from './socket.ts';
import { SO_REUSEPORT } from './steering.ts';
import { check, EAGAIN, EINTR, EMSGSIZE, ENOBUFS, requireSyscalls, type Syscalls, setOption } from './syscalls.ts';
import { enlarge, prepareSocketOffloads, SO_RCVBUF, SO_RCVBUFFORCE, SO_SNDBUF, SO_SNDBUFFORCE } from './udp-gso.ts';

export interface NativeSocketOptions {
  readonly kind: Carrier;
  /** Port 0 asks for any free port; of no meaning for raw IP. */
  readonly local: Endpoint;
  readonly pool: PacketPool;
  /** Undefined: the owner calls `drain` when it pleases. */
  readonly readiness?: Readiness | undefined;
  readonly receive: Receive;
  /** Undefined: one datagram a call. */
  readonly offload?: SocketOffloadOptions | undefined;
  /** What to say for an errno of opening or binding. */
  readonly advice: Readonly<Record<string, string>>;
  /** Other sockets of ours may have the same address and port (SO_REUSEPORT). */
  readonly shared?: boolean | undefined;
  /** Nobody reads it: the kernel keeps next to nothing of what comes. */
  readonly deaf?: boolean | undefined;
  /** A socket that another thread opened and bound; `local` is where. Whoever opened it closes it. */
  readonly adopt?: AdoptedSocket | undefined;
}

/** What one thread tells another of a socket of this kind. */
export interface AdoptedSocket {
  readonly fd: number;
  readonly features: SocketFeatures;
  readonly offloads: SocketOffloads;
}

export class NativeSocket implements BatchSocket {
  readonly carrier: Carrier;
  readonly local: Endpoint;
  readonly fd: number;
  readonly features: SocketFeatures;
  readonly offloads: SocketOffloads;
  readonly counters: SocketCounters = socketCounters();
  readonly batchCounters: BatchCounters = batchCounters();
  readonly #sys: Syscalls;
  readonly #ipv6: boolean;
  readonly #pool: PacketPool;
  readonly #readiness: Readiness | undefined;
  readonly #receive: Receive;
  /** IPv4 raw sockets hand over the IP header too, IPv6 ones do not (RFC 3542 §3). */
  readonly #withHeader: boolean;
  readonly #arena: Arena;
  readonly #in: Message;
  readonly #out: Message;
  readonly #spill: number;
  readonly #sender: BatchSender | undefined;
  readonly #receiver: BatchReceiver | undefined;
  readonly #adopted: boolean;
  #from: Endpoint = NOWHERE;
  #to: Endpoint = NOWHERE;
  #df: boolean | undefined;
  #companion = NONE;
  #open = true;

  constructor(options: NativeSocketOptions) {
    const { kind, local, pool, receive, readiness, offload } = options;
    const sys = readiness?.sys ?? requireSyscalls();
    this.carrier = kind;
    this.#sys = sys;
    this.#ipv6 = local.address.length === 16;
    this.#pool = pool;
    this.#readiness = readiness;
    this.#receive = receive;
    this.#withHeader = kind !== 'udp' && !this.#ipv6;
    this.#arena = new Arena(sys.koffi, 1024 + SPILL);
    this.#in = layOut(this.#arena);
    this.#out = layOut(this.#arena);
    this.#spill = this.#arena.base + this.#arena.alloc(SPILL);
    this.#adopted = options.adopt !== undefined;
    const { fd, offloads, features } = options.adopt ?? this.#create(options);
    this.fd = fd;
    this.offloads = offloads;
    this.features = features;
    this.local = { address: local.address, port: kind === 'udp' ? this.#boundPort() : 0 };
    if (offload !== undefined) {
      const { gso, gro, mmsg } = this.offloads;
      const shared = {
        sys,
        fd: this.fd,
        ipv6: this.#ipv6,
        counters: this.counters,
        batchCounters: this.batchCounters,
      };
      const messages = mmsg.used ? MESSAGES : 1;
      this.#sender = new BatchSender({ ...shared, gso: gso.used, messages });
      this.#receiver = new BatchReceiver({
        ...shared,
        carrier: kind,
        pool,
        messages: gro.used ? 1 : messages,
        receive,
      });
    }
    readiness?.watch(this.fd, () => this.drain(BATCH));
  }

  send(buf: Uint8Array, start: number, end: number, remote: Endpoint, tos = 0, df?: boolean): SendResult {
    if (!this.#open) return this.#refused(FAILED);
    const { view, base } = this.#arena;
    const message = this.#out;
    if (remote !== this.#to) {
      view.setUint32(message.header + 8, putSockaddr(this.#arena, message.name, remote), true);
      this.#to = remote;
    }
    if (df !== this.#df) this.#discover(df);
    this.#arena.putWord(message.iov, addressOf(this.#sys.koffi, buf) + start);
    this.#arena.putWord(message.iov + 8, end - start);
    if (tos === 0) this.#arena.putWord(message.header + 40, 0);
    else this.#putTos(message, tos);
    while (this.#sys.sendmsg(this.fd, base + message.header, 0) < 0) {
      const errno = this.#sys.errno();
      if (errno === EINTR) continue;
      if (errno === EAGAIN || errno === ENOBUFS) return this.#refused(FULL);
      return this.#refused(errno === EMSGSIZE ? TOO_BIG : FAILED);
    }
    this.counters.sent += 1;
    return SENT;
  }

  sendBatch(
    packets: readonly Packet[],
    from: number,
    count: number,
    remote: Endpoint,
    tos = 0,
    df?: boolean,
  ): SendResult {
    if (this.#sender !== undefined && this.#open) {
      if (df !== this.#df) this.#discover(df);
      return this.#sender.send(packets, from, count, remote, tos);
    }
    return sendSingly(this, packets, from, count, remote, tos, df);
  }

  drain(max: number): number {
    if (!this.#open) return 0;
    if (this.#receiver !== undefined) return this.#receiver.drain(max);
    let count = 0;
    while (count < max && this.#open && this.#receiveOne()) count += 1;
    return count;
  }

  /** A descriptor of the owner's, negative: none, that is closed with this one. */
  closesToo(fd: number): void {
    this.#companion = Math.max(NONE, fd);
  }

  /** Without a Readiness the descriptor is closed when this returns. */
  async close(): Promise<void> {
    if (!this.#open) return;
    this.#open = false;
    this.#receiver?.stop();
    if (this.#readiness !== undefined) await this.#readiness.forget(this.fd);
    if (this.#companion !== NONE) this.#sys.close(this.#companion);
    if (!this.#adopted) this.#sys.close(this.fd);
  }

  #create({ kind, local, offload, advice, shared, deaf }: NativeSocketOptions): AdoptedSocket {
    const sys = this.#sys;
    const protocol = kind === 'udp' ? 0 : RAW_PROTOCOL[kind];
    const port = kind === 'udp' ? ` port ${local.port}` : '';
    const what = `${kind === 'udp' ? 'UDP' : `IP protocol ${protocol}`} on ${formatAddress(local.address)}${port}`;
    const type = (kind === 'udp' ? SOCK_DGRAM : SOCK_RAW) | SOCK_NONBLOCK | SOCK_CLOEXEC;
    const family = this.#ipv6 ? AF_INET6 : AF_INET;
    const fd = check(sys, sys.socket(family, type, protocol), what, advice);
    try {
      if (shared === true) setOption(sys, fd, SOL_SOCKET, SO_REUSEPORT, 1);
      const offloads = this.#prepareQueues(fd, offload);
      if (deaf === true) setOption(sys, fd, SOL_SOCKET, SO_RCVBUF, 0);
      const features = this.#prepare(fd);
      const length = putSockaddr(this.#arena, this.#out.name, kind === 'udp' ? local : { ...local, port: 0 });
      check(sys, sys.bind(fd, this.#arena.base + this.#out.name, length), what, advice);
      return { fd, offloads, features };
    } catch (error) {
      sys.close(fd);
      throw error;
    }
  }

  #receiveOne(): boolean {
    const { view } = this.#arena;
    const message = this.#in;
    const packet = this.#pool.take();
    const room = packet === undefined ? SPILL : packet.buf.length - HEADROOM;
    const into = packet === undefined ? this.#spill : addressOf(this.#sys.koffi, packet.buf) + HEADROOM;
    this.#arena.putWord(message.iov, into);
    this.#arena.putWord(message.iov + 8, room);
    view.setUint32(message.header + 8, SOCKADDR_ROOM, true);
    this.#arena.putWord(message.header + 40, CONTROL_ROOM);
    const length = this.#sys.recvmsg(this.fd, this.#arena.base + message.header, 0);
    if (length < 0) {
      if (packet !== undefined) this.#pool.release(packet);
      const errno = this.#sys.errno();
      if (errno === EINTR) return true;
      if (errno !== EAGAIN) this.counters.errors += 1;
      return errno !== EAGAIN;
    }
    if (packet === undefined || (view.getUint32(message.header + 48, true) & MSG_TRUNC) !== 0) {
      if (packet !== undefined) this.#pool.release(packet);
      this.counters.dropped += 1;
      return true;
    }
    packet.end = packet.start + length;
    if (this.#withHeader) packet.start += (packet.buf[packet.start]! & 0x0f) << 2;
    this.counters.received += 1;
    this.#receive(packet, this.#senderOf(), this.#tosOf(message));
    return true;
  }

  /** The sender as an Endpoint; the same object as long as it is the same sender. */
  #senderOf(): Endpoint {
    const { bytes } = this.#arena;
    const at = this.#in.name;
    const port = this.carrier === 'udp' ? (bytes[at + 2]! << 8) | bytes[at + 3]! : 0;
    const address = at + (this.#ipv6 ? 8 : 4);
    const known = this.#from.address;
    let same = port === this.#from.port && known.length === (this.#ipv6 ? 16 : 4);
    for (let i = 0; same && i < known.length; i++) same = known[i] === bytes[address + i];
    if (!same) this.#from = { address: bytes.slice(address, address + (this.#ipv6 ? 16 : 4)), port };
    return this.#from;
  }

  #tosOf(message: Message): number {
    const { view, bytes } = this.#arena;
    if (view.getUint32(message.header + 40, true) < CMSG_HEADER + 1) return UNKNOWN_TOS;
    const type = view.getInt32(message.control + 12, true);
    return type === (this.#ipv6 ? IPV6_TCLASS : IP_TOS) ? bytes[message.control + CMSG_HEADER]! : UNKNOWN_TOS;
  }

  /* struct cmsghdr: cmsg_len (8) | cmsg_level (4) | cmsg_type (4) | data */
  #putTos(message: Message, tos: number): void {
    const { view } = this.#arena;
    this.#arena.putWord(message.control, CMSG_HEADER + 4);
    view.setInt32(message.control + 8, this.#level, true);
    view.setInt32(message.control + 12, this.#ipv6 ? IPV6_TCLASS : IP_TOS, true);
    view.setInt32(message.control + 16, tos, true);
    this.#arena.putWord(message.header + 40, CMSG_HEADER + 8);
  }

  get #level(): number {
    return this.#ipv6 ? IPPROTO_IPV6 : IPPROTO_IP;
  }

  /** DF of what follows: set (the kernel refuses what exceeds its path MTU), clear, or as the kernel thinks best. */
  #discover(df: boolean | undefined, fd = this.fd): boolean {
    this.#df = df;
    const mode = df === undefined ? PMTUDISC_WANT : df ? PMTUDISC_DO : PMTUDISC_DONT;
    return setOption(this.#sys, fd, this.#level, this.#ipv6 ? IPV6_MTU_DISCOVER : IP_MTU_DISCOVER, mode);
  }

  #prepare(fd: number): SocketFeatures {
    const sys = this.#sys;
    if (this.#ipv6 && this.carrier === 'udp') setOption(sys, fd, IPPROTO_IPV6, IPV6_V6ONLY, 1);
    const received = setOption(sys, fd, this.#level, this.#ipv6 ? IPV6_RECVTCLASS : IP_RECVTOS, 1);
    return { native: true, tos: true, df: this.#discover(undefined, fd), receivesTos: received };
  }

  #prepareQueues(fd: number, offload: SocketOffloadOptions | undefined): SocketOffloads {
    const sys = this.#sys;
    if (offload !== undefined) return prepareSocketOffloads(sys, fd, this.carrier, this.#pool.capacity, offload);
    return {
      gso: NOT_ASKED,
      gro: NOT_ASKED,
      mmsg: NOT_ASKED,
      busyPoll: NOT_ASKED,
      receiveBuffer: enlarge(sys, fd, SO_RCVBUFFORCE, SO_RCVBUF, BUFFER_OCTETS),
      sendBuffer: enlarge(sys, fd, SO_SNDBUFFORCE, SO_SNDBUF, BUFFER_OCTETS),
    };
  }

  #boundPort(): number {
    const { view, base, bytes } = this.#arena;
    const at = this.#in.name;
    view.setUint32(this.#in.control, SOCKADDR_ROOM, true);
    check(this.#sys, this.#sys.getsockname(this.fd, base + at, base + this.#in.control), 'getsockname');
    return (bytes[at + 2]! << 8) | bytes[at + 3]!;
  }

  #refused(result: SendResult): SendResult {
    this.counters.refused += 1;
    return result;
  }
}

/** Offsets of one msghdr and all it points to. */
interface Message {
  readonly header: number;
  readonly iov: number;
  readonly name: number;
  readonly control: number;
}

/* struct msghdr: name (8) | namelen (4+4) | iov (8) | iovlen (8) | control (8) | controllen (8) | flags (4+4) */
function layOut(arena: Arena): Message {
  const header = arena.alloc(56);
  const iov = arena.alloc(16);
  const name = arena.alloc(SOCKADDR_ROOM);
  const control = arena.alloc(CONTROL_ROOM);
  arena.putWord(header, arena.base + name);
  arena.putWord(header + 16, arena.base + iov);
  arena.putWord(header + 24, 1);
  arena.putWord(header + 32, arena.base + control);
  return { header, iov, name, control };
}

const NONE = -1;
const NO_ADDRESS: Address = new Uint8Array(0);
const NOWHERE: Endpoint = { address: NO_ADDRESS, port: 0 };

/** Datagrams read before the event loop gets a turn. */
const BATCH = 32;
/** Messages a call of sendmmsg and recvmmsg. */
const MESSAGES = 64;
/** Where datagrams go that nobody has room for. */
const SPILL = 16;
const BUFFER_OCTETS = 4 << 20;
const CONTROL_ROOM = 64;
const CMSG_HEADER = 16;

const SOL_SOCKET = 1;
const AF_INET = 2;
const AF_INET6 = 10;
const SOCK_DGRAM = 2;
const SOCK_RAW = 3;
const SOCK_NONBLOCK = 0x800;
const SOCK_CLOEXEC = 0x80000;
const IPPROTO_IP = 0;
const IPPROTO_IPV6 = 41;
const IP_TOS = 1;
const IP_MTU_DISCOVER = 10;
const IP_RECVTOS = 13;
const IPV6_MTU_DISCOVER = 23;
const IPV6_V6ONLY = 26;
const IPV6_RECVTCLASS = 66;
const IPV6_TCLASS = 67;
const PMTUDISC_DONT = 0;
const PMTUDISC_WANT = 1;
const PMTUDISC_DO = 2;
const MSG_TRUNC = 0x20;
