/**
 * The sockets of the underlay: GRE directly in IP (protocol 47, RFC 2784 §3) or in UDP (RFC 8086), each packet one GRE packet.
 *
 * Leaves to others: what is in GRE (`nvgre/`). Needs CAP_NET_RAW for protocol 47; for UDP neither rights nor native code.
 * Deliberate limits: the source port of UDP is GRE_PORT, too: no entropy in it (RFC 8086 §3.2.1 permits that). TOS 0. An endpoint of
 * NVGRE does not fragment, so DF is set: what exceeds the path MTU is refused by the kernel, and said (`Outbox`).
 */
import { type Address, type Endpoint, type Packet, type PacketPool, sameAddress } from '../ip/index.ts';
import { RemoteTable } from './batch-address.ts';
import type { SocketOffloadOptions } from './offload.ts';
import type { Outbox } from './outbox.ts';
import { openRaw } from './raw.ts';
import type { Readiness } from './readiness.ts';
import type { BatchSocket, DatagramSocket, Receive } from './socket.ts';
import { openNativeUdp, openUdp, type UdpOptions } from './udp.ts';

export type UnderlayKind = 'ip-47' | 'udp-gre';

/** RFC 8086 §8.1. */
export const GRE_PORT = 4754;

/** Takes over one GRE packet. `remote` is shared between calls and never changes. */
export type UnderlayReceive = (packet: Packet, remote: Address) => void;

export interface UnderlayOptions {
  readonly kind: UnderlayKind;
  readonly local: Address;
  readonly pool: PacketPool;
  readonly receive: UnderlayReceive;
  /** Undefined: node:dgram for UDP; for protocol 47 the owner calls `drain`. */
  readonly readiness?: Readiness | undefined;
  /** Many packets a call; undefined: one. */
  readonly offload?: SocketOffloadOptions | undefined;
}

/** For the main thread; rejects with SystemError. */
export async function openUnderlay(options: UnderlayOptions): Promise<Underlay> {
  const { kind, readiness, pool, receive } = options;
  if (kind === 'ip-47' || readiness !== undefined) return new Underlay(kind, openNativeUnderlay(options));
  return new Underlay(kind, await openUdp({ ...udpOptions(options), receive: singly(pool, receive) }));
}

/** At once, by system calls; throws SystemError. Without a Readiness the owner calls `drain`. */
export function openNativeUnderlay(options: UnderlayOptions): BatchSocket {
  const receive = singly(options.pool, options.receive);
  if (options.kind === 'ip-47') return openRaw({ ...options, receive, protocol: 'ip-47' });
  return openNativeUdp({ ...udpOptions(options), receive });
}

/** A socket of the underlay, as something that addresses are reached by. */
export class Underlay {
  readonly kind: UnderlayKind;
  readonly socket: DatagramSocket;
  readonly #remotes: RemoteTable;

  constructor(kind: UnderlayKind, socket: DatagramSocket) {
    this.kind = kind;
    this.socket = socket;
    this.#remotes = new RemoteTable(kind === 'ip-47' ? 0 : GRE_PORT);
  }

  isAt(local: Address): boolean {
    return sameAddress(this.socket.local.address, local);
  }

  /** Takes over `packet`, one GRE packet. */
  send(outbox: Outbox, remote: Address, packet: Packet): void {
    outbox.send(this.socket, this.#remotes.of(remote), packet, 0, true);
  }
}

/** Trains (UDP_GRO) become their datagrams, each a packet of its own. One for which the pool has none is lost; the pool counts it. */
export function singly(pool: PacketPool, receive: UnderlayReceive): Receive {
  return (packet: Packet, { address }: Endpoint): void => {
    const { segment, end } = packet;
    packet.segment = 0;
    if (segment > 0) {
      for (; end - packet.start > segment; packet.start += segment) {
        const one = pool.copyOf(packet, packet.start, packet.start + segment);
        if (one !== undefined) receive(one, address);
      }
    }
    receive(packet, address);
  };
}

const udpOptions = ({ local, pool, readiness, offload }: UnderlayOptions): Omit<UdpOptions, 'receive'> => ({
  local: { address: local, port: GRE_PORT },
  pool,
  readiness,
  offload,
  advice: ADVICE,
});

const ADVICE: Readonly<Record<string, string>> = {
  EADDRINUSE:
    'Another tunnel endpoint holds the port of GRE in UDP: stop it, or set `encapsulation: nvgre` in the underlay',
  EADDRNOTAVAIL:
    'This host does not have the address: add it to an interface, or correct the addresses of the underlay',
};
