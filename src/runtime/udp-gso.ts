/**
 * Asks the kernel for the offloads of a datagram socket: queues that hold a batch, UDP_SEGMENT, UDP_GRO, busy polling.
 *
 * Read first: udp(7) (UDP_SEGMENT, UDP_GRO), socket(7) (SO_RCVBUFFORCE, SO_BUSY_POLL).
 * Limit: UDP_SEGMENT may still be refused for one destination later on; `batch-send.ts` does without there.
 */
import { SUPERFRAME_MAX } from '../ip/index.ts';
import {
  EXCLUDED,
  NOT_ASKED,
  type OffloadState,
  type SocketOffloadOptions,
  type SocketOffloads,
  USED,
  unused,
} from './offload.ts';
import type { Carrier } from './socket.ts';
import { option, type Syscalls, setOption } from './syscalls.ts';

/** Sets up `fd`. `capacity`: octets the packets hold that will receive. */
export function prepareSocketOffloads(
  sys: Syscalls,
  fd: number,
  carrier: Carrier,
  capacity: number,
  options: SocketOffloadOptions,
): SocketOffloads {
  const { bufferOctets = BUFFER_OCTETS, busyPollMicros = 0, without = [] } = options;
  return {
    gso: without.includes('gso') ? EXCLUDED : carrier === 'udp' ? probeSegmentation(sys, fd) : NOT_UDP,
    gro: without.includes('gro') ? EXCLUDED : carrier === 'udp' ? enableAggregation(sys, fd, capacity) : NOT_UDP,
    mmsg: without.includes('mmsg') ? EXCLUDED : USED,
    busyPoll: without.includes('busyPoll') ? EXCLUDED : enableBusyPoll(sys, fd, busyPollMicros),
    receiveBuffer: enlarge(sys, fd, SO_RCVBUFFORCE, SO_RCVBUF, bufferOctets),
    sendBuffer: enlarge(sys, fd, SO_SNDBUFFORCE, SO_SNDBUF, bufferOctets),
  };
}

/** Sets one of the two queues, beyond the host's limit where that is permitted. Gives its octets. */
export function enlarge(sys: Syscalls, fd: number, force: number, plain: number, octets: number): number {
  if (!setOption(sys, fd, SOL_SOCKET, force, octets)) setOption(sys, fd, SOL_SOCKET, plain, octets);
  // socket(7): the kernel keeps, and tells, twice what was asked for.
  return (option(sys, fd, SOL_SOCKET, plain) ?? 0) >>> 1;
}

function probeSegmentation(sys: Syscalls, fd: number): OffloadState {
  return option(sys, fd, SOL_UDP, UDP_SEGMENT) === undefined ? unused('needs UDP_SEGMENT of Linux 4.18') : USED;
}

function enableAggregation(sys: Syscalls, fd: number, capacity: number): OffloadState {
  if (capacity < SUPERFRAME_MAX)
    return unused(`packets of this gateway hold ${capacity} octets, an aggregate may have ${SUPERFRAME_MAX}`);
  return setOption(sys, fd, SOL_UDP, UDP_GRO, 1) ? USED : unused('needs UDP_GRO of Linux 5.0');
}

function enableBusyPoll(sys: Syscalls, fd: number, micros: number): OffloadState {
  if (micros === 0) return NOT_ASKED;
  return setOption(sys, fd, SOL_SOCKET, SO_BUSY_POLL, micros) ? USED : unused('SO_BUSY_POLL needs CAP_NET_ADMIN');
}

const NOT_UDP = unused('raw IP has none');

const BUFFER_OCTETS = 32 << 20;

export const SOL_UDP = 17;
export const UDP_SEGMENT = 103;
export const UDP_GRO = 104;
const SOL_SOCKET = 1;
export const SO_SNDBUF = 7;
export const SO_RCVBUF = 8;
export const SO_SNDBUFFORCE = 32;
export const SO_RCVBUFFORCE = 33;
const SO_BUSY_POLL = 46;
