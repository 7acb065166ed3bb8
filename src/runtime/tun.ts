/**
 * A TUN device: IP packets between the kernel of this host and a compartment.
 *
 * Read first: Documentation/networking/tuntap.rst of Linux. Needs koffi, CAP_NET_ADMIN and /dev/net/tun.
 * Leaves to others: what is routed there (the gateway says, `routes` does it).
 * Deliberate limits: one queue, no segmentation offload; an MTU no larger than a packet of the pool.
 * Invariant: the device is ours and lives as long as the process holds it: no persistent devices.
 */
import { formatPrefix, HEADROOM, type Packet, type PacketPool, type Prefix, sameAddress } from '../ip/index.ts';
import { Arena, addressOf } from './memory.ts';
import { Netlink } from './netlink.ts';
import type { Readiness } from './readiness.ts';
import { FAILED, FULL, SENT, type SendResult, type SocketCounters, socketCounters } from './socket.ts';
import { check, EAGAIN, EINTR, ENOBUFS, errorCode, errorWords, type Syscalls, SystemError } from './syscalls.ts';

export interface TunOptions {
  /** At most 15 characters; must not exist. */
  readonly device: string;
  readonly mtu: number;
  /** Given to the host on this device; on-link prefixes come with them. */
  readonly addresses: readonly Prefix[];
  readonly pool: PacketPool;
  readonly readiness: Readiness;
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
  readonly counters: SocketCounters = socketCounters();
  readonly #options: TunOptions;
  readonly #sys: Syscalls;
  readonly #fd: number;
  readonly #index: number;
  readonly #netlink: Netlink;
  readonly #spill: Arena;
  #routes: readonly Prefix[] = [];
  #open = true;

  constructor(options: TunOptions) {
    const { device, mtu, readiness } = options;
    this.device = device;
    this.mtu = mtu;
    this.#options = options;
    this.#sys = readiness.sys;
    this.#spill = new Arena(this.#sys.koffi, SPILL);
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
    this.#fd = check(
      this.#sys,
      this.#sys.open(TUN_FILE, O_RDWR | O_NONBLOCK | O_CLOEXEC),
      `opening ${TUN_FILE}`,
      OPEN_ADVICE,
    );
    try {
      check(this.#sys, this.#attach(device), `creating TUN device ${device}`, ATTACH_ADVICE);
      this.#netlink = new Netlink(this.#sys);
    } catch (error) {
      this.#sys.close(this.#fd);
      throw error;
    }
    try {
      this.#index = this.#indexOf(device);
      this.#netlink.bringUp(device, this.#index, mtu);
      for (const prefix of options.addresses) this.#netlink.addAddress(device, this.#index, prefix);
    } catch (error) {
      this.#netlink.close();
      this.#sys.close(this.#fd);
      throw error;
    }
    readiness.watch(this.#fd, () => this.#drain());
  }

  /** Hands buf[start, end), an IP packet, to the host. */
  write(buf: Uint8Array, start: number, end: number): SendResult {
    const address = addressOf(this.#sys.koffi, buf) + start;
    while (this.#open && this.#sys.write(this.#fd, address, end - start) < 0) {
      const errno = this.#sys.errno();
      if (errno === EINTR) continue;
      this.counters.refused += 1;
      return errno === EAGAIN || errno === ENOBUFS ? FULL : FAILED;
    }
    if (!this.#open) {
      this.counters.refused += 1;
      return FAILED;
    }
    this.counters.sent += 1;
    return SENT;
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

  /** The device and its routes are gone when this resolves. */
  async close(): Promise<void> {
    if (!this.#open) return;
    this.#open = false;
    await this.#options.readiness.forget(this.#fd);
    this.#netlink.close();
    this.#sys.close(this.#fd);
  }

  /** Reads a batch into the pool; what remains is announced again. */
  #drain(): void {
    const { pool, receive } = this.#options;
    for (let i = 0; i < BATCH && this.#open; i++) {
      const packet = pool.take();
      const into = packet === undefined ? this.#spill.base : addressOf(this.#sys.koffi, packet.buf) + HEADROOM;
      const room = packet === undefined ? SPILL : pool.capacity;
      const length = this.#sys.read(this.#fd, into, room);
      if (length < 0) {
        if (packet !== undefined) pool.release(packet);
        this.#readFailed(this.#sys.errno());
        return;
      }
      if (packet === undefined) {
        this.counters.dropped += 1;
        continue;
      }
      packet.end = packet.start + length;
      this.counters.received += 1;
      receive(packet);
    }
  }

  #readFailed(errno: number): void {
    if (errno === EAGAIN || errno === EINTR) return;
    this.counters.errors += 1;
    void this.#options.readiness.forget(this.#fd);
    this.#options.failed?.(
      `TUN device ${this.device} is gone: ${errorWords(errorCode(errno))} (${errorCode(errno)}). Reload to create it anew`,
    );
  }

  /* struct ifreq: name (16) | flags (2) … 40 octets in all */
  #attach(device: string): number {
    const { bytes, view, base } = this.#sys.scratch;
    bytes.fill(0, 0, IFREQ);
    bytes.set(new TextEncoder().encode(device));
    view.setUint16(16, IFF_TUN | IFF_NO_PI | IFF_TUN_EXCL, true);
    return this.#sys.ioctl(this.#fd, TUNSETIFF, base);
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
