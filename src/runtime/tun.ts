/**
 * A TUN device: IP packets between the kernel of this host and a compartment.
 *
 * Read first: Documentation/networking/tuntap.rst of Linux. Needs koffi, CAP_NET_ADMIN and /dev/net/tun.
 * Leaves to others: what is routed there (the gateway says, `routes` does it).
 * Deliberate limits: one queue; an MTU no larger than a packet of the pool; superframes only where asked for (`tun-vnet.ts`).
 * Invariant: the device is ours and lives as long as the process holds it: no persistent devices.
 */
import {
  type Coalesced,
  completeChecksum,
  describeOffload,
  formatPrefix,
  HEADROOM,
  newOffload,
  OFFLOAD_KIND,
  PASS,
  type Packet,
  type PacketPool,
  type Prefix,
  SUPERFRAME_MAX,
  sameAddress,
  VIRTIO_HEADER,
} from '../ip/index.ts';
import { AddressCache, Arena } from './memory.ts';
import { Netlink } from './netlink.ts';
import { EXCLUDED, NOT_ASKED, type TunOffloadOptions, type TunOffloads, USED, unused } from './offload.ts';
import type { Readiness } from './readiness.ts';
import { FAILED, FULL, SENT, type SendResult, type SocketCounters, socketCounters } from './socket.ts';
import {
  check,
  EAGAIN,
  EINTR,
  EINVAL,
  ENOBUFS,
  errorCode,
  errorWords,
  requireSyscalls,
  type Syscalls,
  SystemError,
} from './syscalls.ts';
import {
  fixVnetHeader,
  IFF_VNET_HDR,
  negotiateSuperframes,
  noSuperframes,
  probeVnetHeader,
  readVnetFrame,
  VnetWriter,
} from './tun-vnet.ts';

export interface TunOptions {
  /** At most 15 characters; must not exist. */
  readonly device: string;
  readonly mtu: number;
  /** Given to the host on this device; on-link prefixes come with them. */
  readonly addresses: readonly Prefix[];
  readonly pool: PacketPool;
  /** Undefined: the owner calls `drain` when it pleases. */
  readonly readiness?: Readiness | undefined;
  /** Superframes, and checksums that are owed, both ways; undefined: none. Each that the kernel lacks is done without. */
  readonly offload?: TunOffloadOptions | undefined;
  /** Takes over a packet that the host sent into the device. */
  readonly receive: (packet: Packet) => void;
  /** The device failed for good (somebody deleted it): words for people. No call follows. */
  readonly failed?: (why: string) => void;
}

/** Creates the device, configures it and switches it on. Throws SystemError, and leaves nothing behind then. */
export function openTun(options: TunOptions): Tun {
  return new Tun(options);
}

export class Tun {
  readonly device: string;
  readonly mtu: number;
  /** For a PollSet. */
  readonly fd: number;
  readonly offloads: TunOffloads;
  readonly counters: SocketCounters = socketCounters();
  /** Superframes among what was received and sent. */
  readonly superframes = { received: 0, sent: 0 };
  readonly #options: TunOptions;
  readonly #sys: Syscalls;
  readonly #index: number;
  readonly #netlink: Netlink;
  readonly #spill: Arena;
  readonly #addresses: AddressCache;
  /** Present where a header stands before each frame. */
  readonly #vnet: VnetWriter | undefined;
  /** Octets before each frame. */
  readonly #before: number;
  #routes: readonly Prefix[] = [];
  #open = true;
  #failed = false;

  constructor(options: TunOptions) {
    const { device, mtu, readiness } = options;
    this.device = device;
    this.mtu = mtu;
    this.#options = options;
    this.#sys = readiness?.sys ?? requireSyscalls();
    this.#spill = new Arena(this.#sys.koffi, SPILL);
    this.#addresses = new AddressCache(this.#sys.koffi);
    if (!DEVICE_NAME.test(device))
      throw new SystemError(
        `TUN device ${device}`,
        'EINVAL',
        'A device name is 1 to 15 letters, digits, "-", "_" or "."',
      );
    if (mtu > options.pool.capacity)
      throw new SystemError(
        `TUN device ${device}`,
        'EMSGSIZE',
        `Packets of this gateway hold ${options.pool.capacity} octets`,
      );
    this.fd = check(
      this.#sys,
      this.#sys.open(TUN_FILE, O_RDWR | O_NONBLOCK | O_CLOEXEC),
      `opening ${TUN_FILE}`,
      OPEN_ADVICE,
    );
    const { offload } = options;
    const header = offload === undefined ? NOT_ASKED : probeVnetHeader(this.#sys, this.fd, offload.without ?? []);
    try {
      const attached = this.#attach(device, header.used ? IFF_VNET_HDR : 0);
      check(this.#sys, attached, `creating TUN device ${device}`, ATTACH_ADVICE);
      if (header.used) fixVnetHeader(this.#sys, this.fd);
      this.#netlink = new Netlink(this.#sys);
    } catch (error) {
      this.#sys.close(this.fd);
      throw error;
    }
    try {
      this.#index = this.#indexOf(device);
      this.offloads = header.used ? this.#negotiate(offload!) : noSuperframes(header);
      this.#netlink.bringUp(device, this.#index, mtu);
      for (const prefix of options.addresses) this.#netlink.addAddress(device, this.#index, prefix);
    } catch (error) {
      this.#netlink.close();
      this.#sys.close(this.fd);
      throw error;
    }
    this.#vnet = header.used ? new VnetWriter(this.#sys, this.fd) : undefined;
    this.#before = header.used ? VIRTIO_HEADER : 0;
    readiness?.watch(this.fd, () => this.drain(BATCH));
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

  /** The same for what a Coalescer emits; its packets stay the caller's. */
  writeGroup(group: Coalesced): SendResult {
    const { kind, count, slices } = group;
    if (this.#vnet === undefined) return count === 1 ? this.writePacket(slices[0]!.packet) : this.#refused(0);
    while (this.#open && this.takes(kind)) {
      if (this.#vnet.writeGroup(group) >= 0) return this.#sent(kind);
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

  /**
   * Makes the host's routes into this device exactly `prefixes`, touching only what differs. Gives a sentence for each the
   * kernel refused; those are tried again by the next call.
   */
  route(prefixes: readonly Prefix[]): readonly string[] {
    const problems: string[] = [];
    const kept = this.#routes.filter((have) => prefixes.some((want) => samePrefix(want, have)));
    for (const have of this.#routes) {
      if (kept.includes(have)) continue;
      const code = this.#netlink.removeRoute(this.#index, have);
      if (code !== undefined && code !== 'ESRCH')
        problems.push(`host route ${formatPrefix(have)} stays on ${this.device}: ${errorWords(code)} (${code})`);
    }
    const routes = [...kept];
    for (const want of prefixes) {
      if (routes.some((have) => samePrefix(have, want))) continue;
      const code = this.#netlink.addRoute(this.#index, want);
      if (code === undefined) routes.push(want);
      else
        problems.push(
          `no host route ${formatPrefix(want)} into ${this.device}: ${ROUTE_WORDS[code] ?? `${errorWords(code)} (${code})`}`,
        );
    }
    this.#routes = routes;
    return problems;
  }

  /** The device and its routes are gone when this resolves; without a Readiness, when it returns. */
  async close(): Promise<void> {
    if (!this.#open) return;
    this.#open = false;
    if (this.#options.readiness !== undefined) await this.#options.readiness.forget(this.fd);
    this.#netlink.close();
    this.#sys.close(this.fd);
  }

  /** Hands packets to `receive` until it were `max` or nothing is left, without waiting; gives how many it read. */
  drain(max: number): number {
    const { pool, receive } = this.#options;
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
    void this.#options.readiness?.forget(this.fd);
    this.#options.failed?.(
      `TUN device ${this.device} is gone: ${errorWords(errorCode(errno))} (${errorCode(errno)}). Reload to create it anew`,
    );
  }

  /** The limits come first, so that no superframe comes that exceeds them. */
  #negotiate({ maxSegments = 0, without = [] }: TunOffloadOptions): TunOffloads {
    const { capacity } = this.#options.pool;
    const octets = Math.min(capacity, SUPERFRAME_MAX);
    let limits = EXCLUDED;
    if (!without.includes('limits')) {
      const refused = this.#netlink.limitSuperframes(
        this.#index,
        maxSegments === 0 ? MAX_SEGMENTS : maxSegments,
        octets,
      );
      limits = refused === undefined ? USED : unused(`the host does not bound superframes: ${errorWords(refused)}`);
    }
    return negotiateSuperframes(this.#sys, this.fd, limits, capacity >= SUPERFRAME_MAX, without);
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

  /* struct ifreq: name (16) | flags (2) … 40 octets in all */
  #attach(device: string, flags: number): number {
    const { bytes, view, base } = this.#sys.scratch;
    bytes.fill(0, 0, IFREQ);
    bytes.set(new TextEncoder().encode(device));
    view.setUint16(16, IFF_TUN | IFF_NO_PI | IFF_TUN_EXCL | flags, true);
    return this.#sys.ioctl(this.fd, TUNSETIFF, base);
  }

  #indexOf(device: string): number {
    const { bytes, view, base } = this.#sys.scratch;
    const fd = check(this.#sys, this.#sys.socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0), 'socket');
    bytes.fill(0, 0, IFREQ);
    bytes.set(new TextEncoder().encode(device));
    const result = this.#sys.ioctl(fd, SIOCGIFINDEX, base);
    this.#sys.close(fd);
    check(this.#sys, result, `finding ${device}`);
    return view.getInt32(16, true);
  }
}

const samePrefix = (a: Prefix, b: Prefix): boolean => a.length === b.length && sameAddress(a.address, b.address);

const TUN_FILE = '/dev/net/tun';
const DEVICE_NAME = /^[A-Za-z0-9._-]{1,15}$/;
/** Packets read before the event loop gets a turn. */
const BATCH = 64;
/** Where a packet goes that the pool has no room for; the kernel truncates it. */
const SPILL = 16;
const IFREQ = 40;
/** What Linux permits a device unless told otherwise. */
const MAX_SEGMENTS = 65535;
const NOTHING_OWED = newOffload();
const described = newOffload();

const NO_RIGHTS = 'TUN devices need root or CAP_NET_ADMIN';
const OPEN_ADVICE: Readonly<Record<string, string>> = {
  ENOENT: 'The kernel module is missing: `modprobe tun`; in a container pass the device in (`--device /dev/net/tun`)',
  ENODEV: 'The kernel has no TUN driver: `modprobe tun`',
  EACCES: NO_RIGHTS,
  EPERM: `${NO_RIGHTS}; in a container pass the device in (\`--device /dev/net/tun\`)`,
};
const ATTACH_ADVICE: Readonly<Record<string, string>> = {
  EPERM: NO_RIGHTS,
  EBUSY: 'A device of that name exists: another gateway runs, or `ip link del` it, or choose another `device`',
  EINVAL: 'A device of that name and another kind exists: choose another `device`',
};
const ROUTE_WORDS: Readonly<Record<string, string>> = {
  EEXIST: 'the host has a route for exactly that prefix already; remove it, or set `hostRoutes: none`',
  EPERM: 'routes need root or CAP_NET_ADMIN',
};

const O_RDWR = 0x2;
const O_NONBLOCK = 0x800;
const O_CLOEXEC = 0x80000;
const TUNSETIFF = 0x400454ca;
const SIOCGIFINDEX = 0x8933;
const IFF_TUN = 0x0001;
const IFF_NO_PI = 0x1000;
const IFF_TUN_EXCL = 0x8000;
const AF_INET = 2;
const SOCK_DGRAM = 2;
const SOCK_CLOEXEC = 0x80000;
