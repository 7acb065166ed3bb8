/**
 * What the kernel may do for many packets at once, and how it is asked for and reported: superframes of TUN devices,
 * segmentation and aggregation of UDP, calls for many messages, busy polling.
 *
 * Every offload is probed for itself and does without for itself; nothing here is on unless asked for.
 * Leaves to others: the asking (`udp-gso.ts`, `tun-vnet.ts`) and the use (`batch-send.ts`, `batch-receive.ts`, `tun.ts`).
 */

/** In use, or in words why not. */
export interface OffloadState {
  readonly used: boolean;
  /** Empty when used. */
  readonly why: string;
}

export type SocketOffloadName = 'gso' | 'gro' | 'mmsg' | 'busyPoll';

export interface SocketOffloadOptions {
  /** Octets of the kernel's queue each way; default 32 MB, of which an unprivileged process gets what the host permits. */
  readonly bufferOctets?: number | undefined;
  /** How long a read looks at the network card before it gives up, SO_BUSY_POLL; default not at all. */
  readonly busyPollMicros?: number | undefined;
  /** Not to be used, even where the kernel has them. */
  readonly without?: readonly SocketOffloadName[] | undefined;
}

export interface SocketOffloads {
  /** UDP_SEGMENT: one call sends up to 64 datagrams of one length. */
  readonly gso: OffloadState;
  /** UDP_GRO: one packet brings many datagrams, `segment` octets each. */
  readonly gro: OffloadState;
  /** sendmmsg and recvmmsg: one call for up to 64 messages. */
  readonly mmsg: OffloadState;
  readonly busyPoll: OffloadState;
  /** Octets the kernel queues for us, and from us. */
  readonly receiveBuffer: number;
  readonly sendBuffer: number;
}

export type TunOffloadName = 'vnetHeader' | 'checksum' | 'tso4' | 'tso6' | 'ecn' | 'uso' | 'limits';

export interface TunOffloadOptions {
  /** Most segments in a superframe from the host, where the kernel can be told: as many as one GSO send takes. */
  readonly maxSegments?: number | undefined;
  /** Not to be used, even where the kernel has them. */
  readonly without?: readonly TunOffloadName[] | undefined;
}

export interface TunOffloads {
  /** IFF_VNET_HDR: without it there is none of the others. */
  readonly vnetHeader: OffloadState;
  /** Packets come with the transport checksum still to be completed, and may be written so. */
  readonly checksum: OffloadState;
  readonly tso4: OffloadState;
  readonly tso6: OffloadState;
  /** TCP superframes with ECN's CWR. */
  readonly ecn: OffloadState;
  /** UDP superframes of either family, both ways (Linux 6.2). */
  readonly uso: OffloadState;
  /** Superframes are no larger than told, and than packets of the pool. */
  readonly limits: OffloadState;
}

/** How much the offloads of a socket did. */
export interface BatchCounters {
  /** Calls that sent, and messages of several datagrams among what they sent. */
  sendCalls: number;
  groupsSent: number;
  /** Messages of several datagrams that the kernel refused, sent one by one then. */
  groupsRefused: number;
  /** Calls that received something, and packets of several datagrams among that. */
  receiveCalls: number;
  groupsReceived: number;
}

export const batchCounters = (): BatchCounters => ({
  sendCalls: 0,
  groupsSent: 0,
  groupsRefused: 0,
  receiveCalls: 0,
  groupsReceived: 0,
});

export const USED: OffloadState = { used: true, why: '' };
export const unused = (why: string): OffloadState => ({ used: false, why });

/** An offload that nobody asked for. */
export const NOT_ASKED = unused('not asked for');
/** One that the options exclude. */
export const EXCLUDED = unused('switched off');
