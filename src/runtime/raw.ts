/**
 * ESP and GRE directly in IP: raw sockets of protocols 50 (RFC 4303 §2) and 47 (RFC 2784 §4), one per address of the gateway.
 *
 * Needs koffi and CAP_NET_RAW; without them the gateway still speaks both in UDP.
 */
import type { Address, PacketPool } from '../ip/index.ts';
import { NativeSocket } from './native-socket.ts';
import type { SocketOffloadOptions } from './offload.ts';
import { heedTooBig } from './path-mtu.ts';
import type { Readiness } from './readiness.ts';
import { type BatchSocket, RAW_PROTOCOL, type RawCarrier, type Receive } from './socket.ts';
import { requireSyscalls } from './syscalls.ts';

export interface RawOptions {
  readonly protocol: RawCarrier;
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
  const { protocol, local, readiness } = options;
  const socket = new NativeSocket({
    ...options,
    kind: protocol,
    local: { address: local, port: 0 },
    advice: ADVICE[protocol],
  });
  if (local.length === 16)
    socket.closesToo(heedTooBig(readiness?.sys ?? requireSyscalls(), local, RAW_PROTOCOL[protocol]));
  return socket;
}

const adviceFor = (without: string, address: string): Readonly<Record<string, string>> => ({
  EPERM: `Raw sockets need root or CAP_NET_RAW; without it set ${without}`,
  EACCES: `Raw sockets need root or CAP_NET_RAW; without it set ${without}`,
  EADDRNOTAVAIL: `This host does not have the address: add it to an interface, or correct ${address}`,
  EPROTONOSUPPORT: 'The kernel lacks the address family: IPv6 is switched off?',
});

const ADVICE: Readonly<Record<RawCarrier, Readonly<Record<string, string>>>> = {
  'ip-50': adviceFor('`encapsulation: udp` on the connections', 'gateway.external.addresses'),
  'ip-47': adviceFor('`encapsulation: nvgre-udp` in the underlay', 'the addresses of the underlay'),
};
