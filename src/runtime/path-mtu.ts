/**
 * What the kernel knows of the MTU between two addresses: that of the link, or less where routers said so.
 *
 * Read first: ip(7) (IP_MTU), ipv6(7) (IPV6_MTU, IPV6_RECVERR): the value is known for connected sockets only, so one is made for
 * the question. Routers are heard by the kernel alone, for as long as it pleases (mtu_expires).
 */
import type { Address, Endpoint } from '../ip/index.ts';
import { putSockaddr, SOCKADDR_ROOM } from './batch-address.ts';
import { Arena } from './memory.ts';
import { option, type Syscalls, setOption } from './syscalls.ts';
import { SO_RCVBUF } from './udp-gso.ts';

/** Octets of the largest IP packet; undefined where there is no way, or the kernel does not tell. */
export function pathMtu(sys: Syscalls, local: Address, remote: Address): number | undefined {
  const ipv6 = local.length === 16;
  const arena = new Arena(sys.koffi, SOCKADDR_ROOM);
  const fd = sys.socket(ipv6 ? AF_INET6 : AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
  if (fd < 0) return undefined;
  const named = (endpoint: Endpoint): [number, number] => [arena.base, putSockaddr(arena, 0, endpoint)];
  try {
    if (sys.bind(fd, ...named({ address: local, port: 0 })) < 0) return undefined;
    if (sys.connect(fd, ...named({ address: remote, port: ANY_PORT })) < 0) return undefined;
    const mtu = ipv6 ? option(sys, fd, IPPROTO_IPV6, IPV6_MTU) : option(sys, fd, IPPROTO_IP, IP_MTU);
    return mtu === undefined || mtu <= 0 ? undefined : mtu;
  } finally {
    sys.close(fd);
  }
}

/**
 * Makes the kernel heed what routers say of a protocol over IPv6 (RFC 8201 §4): of one that it does not know it does so only where a raw socket asks for errors. That is this socket's whole purpose, so that the one that carries packets need not be
 * asked for errors of all kinds. Nobody reads it: its buffer is of the least size and soon full, and then it costs nothing.
 * Gives its descriptor, or -1.
 */
export function heedTooBig(sys: Syscalls, local: Address, protocol: number): number {
  const fd = sys.socket(AF_INET6, SOCK_RAW | SOCK_CLOEXEC, protocol);
  if (fd < 0) return fd;
  const arena = new Arena(sys.koffi, SOCKADDR_ROOM);
  const length = putSockaddr(arena, 0, { address: local, port: 0 });
  setOption(sys, fd, SOL_SOCKET, SO_RCVBUF, 0);
  if (setOption(sys, fd, IPPROTO_IPV6, IPV6_RECVERR, 1) && sys.bind(fd, arena.base, length) === 0) return fd;
  sys.close(fd);
  return -1;
}

/** No datagram is sent to it. */
const ANY_PORT = 4500;
const SOL_SOCKET = 1;
const AF_INET = 2;
const AF_INET6 = 10;
const SOCK_DGRAM = 2;
const SOCK_RAW = 3;
const SOCK_CLOEXEC = 0x80000;
const IPPROTO_IP = 0;
const IPPROTO_IPV6 = 41;
const IP_MTU = 14;
const IPV6_MTU = 24;
const IPV6_RECVERR = 25;
