/**
 * TUN and TAP devices: IP packets, or Ethernet frames, between the kernel of this host and a compartment.
 *
 * Read first: Documentation/networking/tuntap.rst of Linux. Needs koffi, CAP_NET_ADMIN and /dev/net/tun.
 * Leaves to others: what is routed there (the gateway says, `routes` does it).
 * Deliberate limits: one queue; an MTU no larger than a packet of the pool; superframes only where asked for (`tun-vnet.ts`).
 * Invariant: the device is ours and lives as long as the process holds it: no persistent devices.
 */
import { type Address, type Packet, type PacketPool, type Prefix, SUPERFRAME_MAX } from '../ip/index.ts';
import { HostRoutes } from './host-routes.ts';
import { checkDeviceName, ethernetInterface, interfaceIndex, putInterfaceRequest } from './interfaces.ts';
import { Netlink } from './netlink.ts';
import { EXCLUDED, NOT_ASKED, type TunOffloadOptions, type TunOffloads, USED, unused } from './offload.ts';
import { Port } from './port.ts';
import type { Readiness } from './readiness.ts';
import { check, errorWords, requireSyscalls, type Syscalls, SystemError } from './syscalls.ts';
import {
  fixVnetHeader,
  IFF_VNET_HDR,
  negotiateSuperframes,
  noSuperframes,
  probeVnetHeader,
  tunFeatures,
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
  /** Takes over a packet, of TAP a frame, that the host sent into the device. */
  readonly receive: (packet: Packet) => void;
  /** The device failed for good (somebody deleted it): words for people. No call follows. */
  readonly failed?: (why: string) => void;
}

export interface TapOptions extends Omit<TunOptions, 'addresses'> {
  readonly addresses?: readonly Prefix[] | undefined;
  /** Of the host's end; default: one the kernel makes up. */
  readonly mac?: Uint8Array | undefined;
  /** Our end: where the routes of the host lead, at most one a family. */
  readonly nextHops?: readonly Address[] | undefined;
}

/** Creates the device, configures it and switches it on. Throws SystemError, and leaves nothing behind then. */
export function openTun(options: TunOptions): Tun {
  return new Tun('tun', { ...options, nextHops: undefined });
}

/** The same for Ethernet frames: what is not IP passes as it is, and so does what is in a VLAN. */
export function openTap(options: TapOptions): Tun {
  return new Tun('tap', options);
}

/** Whether the driver is there and makes TAP devices; no device is made for the question. */
export function makesTap(sys: Syscalls): boolean {
  const fd = sys.open(TUN_FILE, O_RDWR | O_CLOEXEC);
  if (fd < 0) return false;
  const features = tunFeatures(sys, fd);
  sys.close(fd);
  return (features & IFF_TAP) !== 0;
}

export class Tun extends Port {
  readonly mtu: number;
  /** Of the host's end of a TAP device; undefined for TUN. */
  readonly mac: Uint8Array | undefined;
  readonly #routes: HostRoutes;

  constructor(kind: 'tun' | 'tap', options: TapOptions) {
    const { device, mtu, pool, readiness, receive, failed, nextHops = [] } = options;
    const sys = readiness?.sys ?? requireSyscalls();
    const { fd, index, mac, netlink, offloads } = create(sys, kind, options);
    super({ sys, kind, fd, device, offloads, pool, readiness, receive, failed, release: () => netlink.close() });
    this.mtu = mtu;
    this.mac = mac;
    this.#routes = new HostRoutes({ netlink, device, index, nextHops });
  }

  /**
   * Makes the host's routes into this device exactly `prefixes`. Gives a sentence for each the kernel refused; those are tried again
   * by the next call.
   */
  route(prefixes: readonly Prefix[]): readonly string[] {
    return this.#routes.set(prefixes);
  }
}

interface Created {
  readonly fd: number;
  readonly index: number;
  readonly mac: Uint8Array | undefined;
  readonly netlink: Netlink;
  readonly offloads: TunOffloads;
}

function create(sys: Syscalls, kind: 'tun' | 'tap', options: TapOptions): Created {
  const { device, mtu, offload, pool, addresses = [] } = options;
  const what = `${kind.toUpperCase()} device`;
  checkDeviceName(device, what);
  if (mtu > pool.capacity)
    throw new SystemError(`${what} ${device}`, 'EMSGSIZE', `Packets of this gateway hold ${pool.capacity} octets`);
  const fd = check(sys, sys.open(TUN_FILE, O_RDWR | O_NONBLOCK | O_CLOEXEC), `opening ${TUN_FILE}`, OPEN_ADVICE);
  let netlink: Netlink | undefined;
  try {
    const header = offload === undefined ? NOT_ASKED : probeVnetHeader(sys, fd, offload.without ?? []);
    const flags = (kind === 'tun' ? IFF_TUN : IFF_TAP) | (header.used ? IFF_VNET_HDR : 0);
    check(sys, attach(sys, fd, device, flags), `creating ${what} ${device}`, ATTACH_ADVICE);
    if (header.used) fixVnetHeader(sys, fd);
    netlink = new Netlink(sys);
    const index = interfaceIndex(sys, device);
    const offloads = header.used ? negotiate(sys, fd, netlink, index, pool, offload!) : noSuperframes(header);
    if (options.mac !== undefined) netlink.setMac(device, index, options.mac);
    netlink.bringUp(device, index, mtu);
    for (const prefix of addresses) netlink.addAddress(device, index, prefix);
    const mac = kind === 'tap' ? ethernetInterface(sys, device).mac : undefined;
    return { fd, index, mac, netlink, offloads };
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

function attach(sys: Syscalls, fd: number, device: string, flags: number): number {
  putInterfaceRequest(sys, device);
  sys.scratch.view.setUint16(16, IFF_NO_PI | IFF_TUN_EXCL | flags, true);
  return sys.ioctl(fd, TUNSETIFF, sys.scratch.base);
}

const TUN_FILE = '/dev/net/tun';
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

const O_RDWR = 0x2;
const O_NONBLOCK = 0x800;
const O_CLOEXEC = 0x80000;
const TUNSETIFF = 0x400454ca;
const IFF_TUN = 0x0001;
const IFF_TAP = 0x0002;
const IFF_NO_PI = 0x1000;
const IFF_TUN_EXCL = 0x8000;
