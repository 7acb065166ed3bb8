/**
 * The contract of a datagram socket: the IKE port, the NAT-T port, GRE in UDP, and IP protocols 50 and 47 look alike from above.
 *
 * Leaves to others: `udp.ts` and `raw.ts` open them. The non-ESP marker of RFC 3948 §2.2 is the gateway's business.
 */
import { type Endpoint, IP_PROTOCOL, type Packet } from '../ip/index.ts';
import type { BatchCounters, SocketOffloads } from './offload.ts';

/** ESP and GRE directly in IP. */
export type RawCarrier = 'ip-50' | 'ip-47';
export type Carrier = 'udp' | RawCarrier;

export const RAW_PROTOCOL: Readonly<Record<RawCarrier, number>> = {
  'ip-50': IP_PROTOCOL.esp,
  'ip-47': IP_PROTOCOL.gre,
};

/**
 * Takes over `packet`: the payload of one datagram (of raw IP: without the IP header). `from` is shared between calls and
 * never changes; its port is 0 for raw IP. `tos` is the outer TOS or traffic class octet, or UNKNOWN_TOS.
 * A packet with a `segment` (of a socket with offloads only) holds the payloads of several datagrams back to back, all of that
 * length but the last, which may be shorter.
 */
export type Receive = (packet: Packet, from: Endpoint, tos: number) => void;

export interface DatagramSocket {
  readonly carrier: Carrier;
  /** The bound address and the port really in use. */
  readonly local: Endpoint;
  readonly features: SocketFeatures;
  readonly counters: SocketCounters;
  /**
   * Sends buf[start, end) now; the octets are free again on return. Without `df` the kernel decides on DF; with `true` it
   * refuses what exceeds the path MTU it knows (TOO_BIG), with `false` routers may fragment. What `features` denies is ignored.
   */
  send(buf: Uint8Array, start: number, end: number, remote: Endpoint, tos?: number, df?: boolean): SendResult;
  close(): Promise<void>;
}

/** A socket made of system calls, which sends and receives many datagrams at once. */
export interface BatchSocket extends DatagramSocket {
  /** For a PollSet. */
  readonly fd: number;
  readonly offloads: SocketOffloads;
  readonly batchCounters: BatchCounters;
  /**
   * Sends packets[from, from + count) to one destination, in order; they stay the caller's and are free again on return. A packet
   * with a `segment` holds datagrams back to back. Gives the worst of the results: SENT when the kernel took them all; on
   * TOO_BIG shorter ones may have gone. As few calls as the offloads permit; without any, one a datagram.
   */
  sendBatch(
    packets: readonly Packet[],
    from: number,
    count: number,
    remote: Endpoint,
    tos?: number,
    df?: boolean,
  ): SendResult;
  /** Hands packets to `receive` until it were `max` or nothing is left, without waiting; gives how many it took. */
  drain(max: number): number;
}

/** What this socket can do beyond sending octets. */
export interface SocketFeatures {
  /** By system calls; else by node:dgram. */
  readonly native: boolean;
  readonly tos: boolean;
  readonly df: boolean;
  readonly receivesTos: boolean;
}

export interface SocketCounters {
  sent: number;
  received: number;
  /** Sends refused at once: queue full, too big, no route. */
  refused: number;
  /** Datagrams for which the pool had no packet, or which were larger than one. */
  dropped: number;
  /** What the kernel reported otherwise. */
  errors: number;
}

export const socketCounters = (): SocketCounters => ({ sent: 0, received: 0, refused: 0, dropped: 0, errors: 0 });

export type SendResult = typeof SENT | typeof FULL | typeof TOO_BIG | typeof FAILED;

export const SENT = 0;
/** The kernel's queue is full: like a loss on the wire. */
export const FULL = 1;
/** DF is set and the packet exceeds the path MTU. */
export const TOO_BIG = 2;
/** No route, refused by a firewall, or the socket is closed. */
export const FAILED = 3;

export const UNKNOWN_TOS = -1;

/** As `sendBatch`, which not every socket has. */
export function sendAll(
  socket: DatagramSocket,
  packets: readonly Packet[],
  from: number,
  count: number,
  remote: Endpoint,
  tos?: number,
  df?: boolean,
): SendResult {
  return sendsBatches(socket)
    ? socket.sendBatch(packets, from, count, remote, tos, df)
    : sendSingly(socket, packets, from, count, remote, tos, df);
}

const sendsBatches = (socket: DatagramSocket): socket is DatagramSocket & Pick<BatchSocket, 'sendBatch'> =>
  'sendBatch' in socket;

/** As `sendBatch`, with one call a datagram. */
export function sendSingly(
  socket: DatagramSocket,
  packets: readonly Packet[],
  from: number,
  count: number,
  remote: Endpoint,
  tos?: number,
  df?: boolean,
): SendResult {
  let worst: SendResult = SENT;
  for (let i = from; i < from + count; i++) {
    const { buf, start, end, segment } = packets[i]!;
    const step = segment === 0 ? end - start : segment;
    let at = start;
    do {
      const result = socket.send(buf, at, Math.min(at + step, end), remote, tos, df);
      if (result > worst) worst = result;
      at += step;
    } while (at < end);
  }
  return worst;
}
