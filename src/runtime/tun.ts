/**
 * A TUN device: IP packets between the kernel of this host and a compartment.
 *
 * Read first: Documentation/networking/tuntap.rst of Linux. Needs koffi, CAP_NET_ADMIN and /dev/net/tun.
 * Leaves to others: what is routed there (the gateway says, `routes` does it).
 * Deliberate limits: one queue; an MTU no larger than a packet of the pool; superframes only where asked for (`tun-vnet.ts`).
 * Invariant: the device is ours and lives as long as the process holds it: no persistent devices.
 */
import { formatPrefix, type Packet, type PacketPool, type Prefix, SUPERFRAME_MAX, sameAddress } from '../ip/index.ts';
import { Netlink } from './netlink.ts';
import { EXCLUDED, NOT_ASKED, type TunOffloadOptions, type TunOffloads, USED, unused } from './offload.ts';
import type { Readiness } from './readiness.ts';
import { check, errorWords, requireSyscalls, type Syscalls, SystemError } from './syscalls.ts';
import { TunQueue } from './tun-queue.ts';
import { fixVnetHeader, IFF_VNET_HDR, negotiateSuperframes, noSuperframes, probeVnetHeader } from './tun-vnet.ts';

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

export class Tun extends TunQueue {
  readonly mtu: number;
  readonly #sys: Syscalls;
  readonly #readiness: Readiness | undefined;
  readonly #index: number;
  readonly #netlink: Netlink;
  #routes: readonly Prefix[] = [];
  #closed = false;

  constructor(options: TunOptions) {
    const { device, mtu, pool, readiness, receive, failed } = options;
    const sys = readiness?.sys ?? requireSyscalls();
    const { fd, index, netlink, offloads } = create(sys, options);
    super({
      sys,
      fd,
      device,
      offloads,
      pool,
      receive,
      failed: (why) => {
        void readiness?.forget(fd);
        failed?.(why);
      },
    });
    this.mtu = mtu;
    this.#sys = sys;
    this.#readiness = readiness;
    this.#index = index;
    this.#netlink = netlink;
    readiness?.watch(fd, () => this.drain(BATCH));
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
    if (this.#closed) return;
    this.#closed = true;
    this.stop();
    if (this.#readiness !== undefined) await this.#readiness.forget(this.fd);
    this.#netlink.close();
    this.#sys.close(this.fd);
  }
}

interface Created {
  readonly fd: number;
  readonly index: number;
  readonly netlink: Netlink;
  readonly offloads: TunOffloads;
}

function create(sys: Syscalls, options: TunOptions): Created {
  const { device, mtu, offload, pool } = options;
  if (!DEVICE_NAME.test(device))
    throw new SystemError(
      `TUN device ${device}`,
      'EINVAL',
      'A device name is 1 to 15 letters, digits, "-", "_" or "."',
    );
  if (mtu > pool.capacity)
    throw new SystemError(`TUN device ${device}`, 'EMSGSIZE', `Packets of this gateway hold ${pool.capacity} octets`);
  const fd = check(sys, sys.open(TUN_FILE, O_RDWR | O_NONBLOCK | O_CLOEXEC), `opening ${TUN_FILE}`, OPEN_ADVICE);
  let netlink: Netlink | undefined;
  try {
    const header = offload === undefined ? NOT_ASKED : probeVnetHeader(sys, fd, offload.without ?? []);
    const attached = attach(sys, fd, device, header.used ? IFF_VNET_HDR : 0);
    check(sys, attached, `creating TUN device ${device}`, ATTACH_ADVICE);
    if (header.used) fixVnetHeader(sys, fd);
    netlink = new Netlink(sys);
    const index = indexOf(sys, device);
    const offloads = header.used ? negotiate(sys, fd, netlink, index, pool, offload!) : noSuperframes(header);
    netlink.bringUp(device, index, mtu);
    for (const prefix of options.addresses) netlink.addAddress(device, index, prefix);
    return { fd, index, netlink, offloads };
  } catch (error) {
    netlink?.close();
    sys.close(fd);
    throw error;
  }
}

/** The limits come first, so that no superframe comes that exceeds them. */
function negotiate(
  sys: Syscalls,
  fd: number,
  netlink: Netlink,
  index: number,
  { capacity }: PacketPool,
  { maxSegments = 0, without = [] }: TunOffloadOptions,
): TunOffloads {
  const octets = Math.min(capacity, SUPERFRAME_MAX);
  let limits = EXCLUDED;
  if (!without.includes('limits')) {
    const refused = netlink.limitSuperframes(index, maxSegments === 0 ? MAX_SEGMENTS : maxSegments, octets);
    limits = refused === undefined ? USED : unused(`the host does not bound superframes: ${errorWords(refused)}`);
  }
  return negotiateSuperframes(sys, fd, limits, capacity >= SUPERFRAME_MAX, without);
}

/* struct ifreq: name (16) | flags (2) … 40 octets in all */
function attach(sys: Syscalls, fd: number, device: string, flags: number): number {
  const { bytes, view, base } = sys.scratch;
  bytes.fill(0, 0, IFREQ);
  bytes.set(new TextEncoder().encode(device));
  view.setUint16(16, IFF_TUN | IFF_NO_PI | IFF_TUN_EXCL | flags, true);
  return sys.ioctl(fd, TUNSETIFF, base);
}

function indexOf(sys: Syscalls, device: string): number {
  const { bytes, view, base } = sys.scratch;
  const fd = check(sys, sys.socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0), 'socket');
  bytes.fill(0, 0, IFREQ);
  bytes.set(new TextEncoder().encode(device));
  const result = sys.ioctl(fd, SIOCGIFINDEX, base);
  sys.close(fd);
  check(sys, result, `finding ${device}`);
  return view.getInt32(16, true);
}

const samePrefix = (a: Prefix, b: Prefix): boolean => a.length === b.length && sameAddress(a.address, b.address);

const TUN_FILE = '/dev/net/tun';
const DEVICE_NAME = /^[A-Za-z0-9._-]{1,15}$/;
/** Packets read before the event loop gets a turn. */
const BATCH = 64;
const IFREQ = 40;
/** What Linux permits a device unless told otherwise. */
const MAX_SEGMENTS = 65535;

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
