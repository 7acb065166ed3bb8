/**
 * The sockets of the underlay: GRE directly in IP (protocol 47, RFC 2784 §4) or in UDP (RFC 8086), which `nvgre/` reads and writes.
 *
 * Needs CAP_NET_RAW for protocol 47; for UDP neither rights nor native code.
 * Leaves to others: source ports that follow the flow (`flow-sockets.ts`). Deliberate limits: TOS 0. An endpoint of NVGRE does not fragment,
 * so DF is set: what exceeds the path MTU is refused by the kernel, and said (`Outbox`).
 */
import { type Address, type Packet, type PacketPool, sameAddress } from '../ip/index.ts';
import { GRE_IN_UDP_PORT } from '../nvgre/index.ts';
import { RemoteTable } from './batch-address.ts';
import { FlowSockets, openNativeSenders, openNodeSenders } from './flow-sockets.ts';
import type { SocketOffloadOptions } from './offload.ts';
import type { Outbox } from './outbox.ts';
import { openRaw } from './raw.ts';
import type { Readiness } from './readiness.ts';
import type { BatchSocket, DatagramSocket, Receive } from './socket.ts';
import { openNativeUdp, openUdp, type UdpOptions } from './udp.ts';

export type UnderlayKind = 'ip-47' | 'udp-gre';

export interface UnderlayOptions {
  readonly kind: UnderlayKind;
  readonly local: Address;
  readonly pool: PacketPool;
  /** Of UDP: the source port follows the flow; else it is that of GRE, too. Default: that. */
  readonly flowPorts?: boolean | undefined;
  /** Takes over what begins with a GRE header, or a train (`Receive`). */
  readonly receive: Receive;
  /** Undefined: node:dgram for UDP; for protocol 47 the owner calls `drain`. */
  readonly readiness?: Readiness | undefined;
  /** Many packets a call; undefined: one. */
  readonly offload?: SocketOffloadOptions | undefined;
}

/** For the main thread; rejects with SystemError. */
export async function openUnderlay(options: UnderlayOptions): Promise<Underlay> {
  const { kind, local, pool, readiness, offload } = options;
  const native = kind === 'ip-47' || readiness !== undefined;
  const socket = native ? openNativeUnderlay(options) : await openUdp(udpOptions(options));
  if (!followsFlow(options)) return new Underlay(kind, socket);
  try {
    const senders = native ? openNativeSenders(local, pool, offload) : await openNodeSenders(local, pool);
    return new Underlay(kind, new FlowSockets(socket, senders));
  } catch (error) {
    await socket.close();
    throw error;
  }
}

/** Whether it has sockets that only send. */
export const followsFlow = ({ kind, flowPorts }: Pick<UnderlayOptions, 'kind' | 'flowPorts'>): boolean =>
  kind === 'udp-gre' && flowPorts === true;

/** At once, by system calls; throws SystemError. Without a Readiness the owner calls `drain`. */
export function openNativeUnderlay(options: UnderlayOptions): BatchSocket {
  return options.kind === 'ip-47' ? openRaw({ ...options, protocol: 'ip-47' }) : openNativeUdp(udpOptions(options));
}

/** A socket of the underlay, as something that addresses are reached by. */
export class Underlay {
  readonly kind: UnderlayKind;
  readonly socket: DatagramSocket;
  readonly #remotes: RemoteTable;

  constructor(kind: UnderlayKind, socket: DatagramSocket) {
    this.kind = kind;
    this.socket = socket;
    this.#remotes = new RemoteTable(kind === 'ip-47' ? 0 : GRE_IN_UDP_PORT);
  }

  isAt(local: Address): boolean {
    return sameAddress(this.socket.local.address, local);
  }

  /** Takes over `packet`, a GRE packet or a train of them. */
  send(outbox: Outbox, remote: Address, packet: Packet): void {
    outbox.send(this.socket, this.#remotes.of(remote), packet, 0, true);
  }
}

const udpOptions = ({ local, pool, readiness, offload, receive }: UnderlayOptions): UdpOptions => ({
  local: { address: local, port: GRE_IN_UDP_PORT },
  pool,
  readiness,
  offload,
  receive,
  advice: ADVICE,
});

const ADVICE: Readonly<Record<string, string>> = {
  EADDRINUSE:
    'Another tunnel endpoint holds the port of GRE in UDP: stop it, or set `encapsulation: nvgre` in the underlay',
  EADDRNOTAVAIL:
    'This host does not have the address: add it to an interface, or correct the addresses of the underlay',
};
