/**
 * What passes between the main thread and a worker that hosts the data plane: orders one way, news the other.
 *
 * The main thread opens and closes every socket and device; the worker reads and writes their descriptors, which belong to the
 * process. Orders and news cross in rings (`ring.ts`), serialised.
 */
import { deserialize, serialize } from 'node:v8';
import type { PlaneCommand, PlaneEvent } from '../../gateway/index.ts';
import type { Address, Endpoint } from '../../ip/index.ts';
import type { AdoptedSocket } from '../native-socket.ts';
import type { SocketOffloadOptions, TunOffloads } from '../offload.ts';
import type { PortKind } from '../port-queue.ts';
import type { UnderlayKind } from '../underlay.ts';

export type WorkerOrder =
  | { readonly do: 'plane'; readonly command: PlaneCommand }
  | {
      readonly do: 'attach-port';
      readonly port: number;
      /** Says whether IP packets or frames pass. */
      readonly kind: PortKind;
      readonly fd: number;
      readonly device: string;
      readonly offloads: TunOffloads;
    }
  | { readonly do: 'detach-port'; readonly port: number }
  | {
      readonly do: 'attach-socket';
      readonly id: number;
      /** ESP and IKE messages come by the first two, GRE by the others. */
      readonly kind: 'udp' | 'ip-50' | UnderlayKind;
      readonly local: Endpoint;
      readonly socket: AdoptedSocket;
      /** Of `udp-gre`: those that send, where the port is to follow the flow. */
      readonly senders?: readonly { readonly local: Endpoint; readonly socket: AdoptedSocket }[];
      readonly offload: SocketOffloadOptions | undefined;
    }
  | { readonly do: 'detach-socket'; readonly id: number }
  /** A datagram of control's own, from one of the attached sockets. */
  | { readonly do: 'send'; readonly local: Endpoint; readonly remote: Endpoint; readonly octets: Uint8Array }
  /** ESP that came to another worker. */
  | {
      readonly do: 'inject';
      readonly udp: boolean;
      readonly local: Endpoint;
      readonly remote: Endpoint;
      readonly octets: Uint8Array;
      readonly tos: number;
    }
  /** For tests of the watch over workers: the thread stands still, or ends. */
  | { readonly do: 'fail'; readonly how: 'wedge' | 'throw' }
  | { readonly do: 'end' };

export type WorkerNews =
  | { readonly type: 'ready'; readonly engine: string; readonly sums: string }
  | { readonly type: 'plane'; readonly event: PlaneEvent }
  | { readonly type: 'too-big'; readonly local: Address; readonly remote: Address }
  /** The thread touches that descriptor no more. */
  | { readonly type: 'detached'; readonly key: string }
  | { readonly type: 'port-failed'; readonly port: number; readonly why: string };

export const portKey = (port: number): string => `port ${port}`;
export const socketKey = (id: number): string => `socket ${id}`;

/** What a worker is started with. */
export interface WorkerData {
  readonly orders: SharedArrayBuffer;
  readonly news: SharedArrayBuffer;
  /** `BEAT`, `TOLD`, `STARVED`: see there. */
  readonly signs: SharedArrayBuffer;
  readonly cells: SharedArrayBuffer;
  /** Which of how many it is. */
  readonly plane: number;
  readonly planes: number;
  /** Eventfd that the worker waits for, too. */
  readonly wake: number;
  readonly packets: number;
  /** Packets of one flow leave as superframes. */
  readonly superframes: boolean;
  /** Processor the thread stays on; undefined: as the kernel pleases. */
  readonly cpu: number | undefined;
  /** Scheduled before everything that is not (SCHED_RR), where there are rights for it. */
  readonly realtime: boolean;
}

/** Counts up with each turn of the worker's loop. */
export const BEAT = 0;
/** 1 from when the worker told the main thread of news until that looks. */
export const TOLD = 1;
/** 1 while orders wait in the main thread for room in the ring. */
export const STARVED = 2;

export const SIGNS_OCTETS = 64;

export const encodeOrder = (order: WorkerOrder): Uint8Array => serialize(order);
export const decodeOrder = (octets: Uint8Array): WorkerOrder => deserialize(octets) as WorkerOrder;
export const encodeNews = (news: WorkerNews): Uint8Array => serialize(news);
export const decodeNews = (octets: Uint8Array): WorkerNews => deserialize(octets) as WorkerNews;
