/**
 * ESP directly in IP: raw sockets of protocol 50, one per address of the gateway (RFC 4303 §2).
 *
 * Needs koffi and CAP_NET_RAW; without them the gateway still speaks ESP in UDP.
 */
import type { Address, PacketPool } from '../ip/index.ts';
import { NativeSocket } from './native-socket.ts';
import type { SocketOffloadOptions } from './offload.ts';
import { heedTooBig } from './path-mtu.ts';
import type { Readiness } from './readiness.ts';
import type { BatchSocket, Receive } from './socket.ts';
import { requireSyscalls } from './syscalls.ts';

export interface RawOptions {
  readonly local: Address;
  readonly pool: PacketPool;
  readonly receive: Receive;
  /** Undefined: the owner calls `drain`. */
  readonly readiness?: Readiness | undefined;
  /** Many packets a call; undefined: one. */
  readonly offload?: SocketOffloadOptions | undefined;
}

/** Throws SystemError where the rights are missing; ports of its endpoints are 0. */
export function openRaw(options: RawOptions): BatchSocket {
  const { local, readiness } = options;
  const socket = new NativeSocket({
    ...options,
    kind: 'ip-50',
    local: { address: local, port: 0 },
    advice: RAW_ADVICE,
  });
  if (local.length === 16) socket.closesToo(heedTooBig(readiness?.sys ?? requireSyscalls(), local));
  return socket;
}

const RAW_ADVICE: Readonly<Record<string, string>> = {
  EPERM: 'Raw sockets need root or CAP_NET_RAW; without it set `encapsulation: udp` on the connections',
  EACCES: 'Raw sockets need root or CAP_NET_RAW; without it set `encapsulation: udp` on the connections',
  EADDRNOTAVAIL: 'This host does not have the address: add it to an interface, or correct gateway.external.addresses',
  EPROTONOSUPPORT: 'The kernel lacks the address family: IPv6 is switched off?',
};
