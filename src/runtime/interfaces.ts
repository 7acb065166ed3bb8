/**
 * What the kernel says of a network interface: its number, its MAC address, its MTU.
 *
 * Read first: netdevice(7).
 */
import { check, type Syscalls, SystemError } from './syscalls.ts';

export interface EthernetInterface {
  readonly index: number;
  readonly mac: Uint8Array;
  readonly mtu: number;
}

/** Throws SystemError for what is no name of a device; `what` it was to be. */
export function checkDeviceName(device: string, what: string): void {
  if (DEVICE_NAME.test(device)) return;
  throw new SystemError(`${what} ${device}`, 'EINVAL', 'A device name is 1 to 15 letters, digits, "-", "_" or "."');
}

/** Fills the scratch arena with a struct ifreq: name (16) | a union of 24 octets, all zero. */
export function putInterfaceRequest({ scratch }: Syscalls, device: string): void {
  scratch.bytes.fill(0, 0, IFREQ);
  scratch.bytes.set(new TextEncoder().encode(device));
}

/** Throws SystemError where there is none of that name. */
export function interfaceIndex(sys: Syscalls, device: string): number {
  ask(sys, device, SIOCGIFINDEX);
  return sys.scratch.view.getInt32(UNION, true);
}

/** Throws SystemError where there is none of that name, or none that carries Ethernet frames. */
export function ethernetInterface(sys: Syscalls, device: string): EthernetInterface {
  const { view, bytes } = sys.scratch;
  const index = interfaceIndex(sys, device);
  ask(sys, device, SIOCGIFMTU);
  const mtu = view.getInt32(UNION, true);
  /* struct sockaddr: family (2) | octets */
  ask(sys, device, SIOCGIFHWADDR);
  if (view.getUint16(UNION, true) !== ARPHRD_ETHER)
    throw new SystemError(`device ${device}`, 'EPROTONOSUPPORT', 'It carries no Ethernet frames');
  return { index, mac: bytes.slice(UNION + 2, UNION + 8), mtu };
}

function ask(sys: Syscalls, device: string, request: number): void {
  const fd = check(sys, sys.socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0), 'socket');
  try {
    putInterfaceRequest(sys, device);
    check(sys, sys.ioctl(fd, request, sys.scratch.base), `finding ${device}`, NOT_FOUND);
  } finally {
    sys.close(fd);
  }
}

const DEVICE_NAME = /^[A-Za-z0-9._-]{1,15}$/;
const NOT_FOUND = { ENODEV: 'There is no such device: `ip link` shows those there are' };

/** Octets of a struct ifreq, and of the name before its union. */
const IFREQ = 40;
const UNION = 16;
const ARPHRD_ETHER = 1;
const AF_INET = 2;
const SOCK_DGRAM = 2;
const SOCK_CLOEXEC = 0x80000;
const SIOCGIFMTU = 0x8921;
const SIOCGIFHWADDR = 0x8927;
const SIOCGIFINDEX = 0x8933;
