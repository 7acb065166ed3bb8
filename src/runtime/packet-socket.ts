/**
 * A packet socket on a network interface that is there: frames of our own beside those of the host, on a NIC or the end of a veth pair.
 *
 * Read first: packet(7); linux/if_packet.h (PACKET_VNET_HDR, PACKET_IGNORE_OUTGOING). Needs koffi and CAP_NET_RAW.
 * Leaves to others: what passes (`port-queue.ts`), the interface itself: it is not switched on, nor given addresses.
 * Deliberate limits: the host and we do not hear each other by one interface, since neither hears what this machine sends. What others
 * send to the host's own MAC comes here too, unless `mac` is another. How large superframes become is the interface's own affair
 * (GRO): those that exceed a packet of the pool are dropped and counted.
 */
import { release } from 'node:os';
import type { Packet, PacketPool } from '../ip/index.ts';
import {
  attachProgram,
  type Instruction,
  JUMP_EQUAL,
  JUMP_SET,
  LOAD_HALF,
  LOAD_OCTET,
  LOAD_WORD,
  NOTHING,
  RETURN,
  SO_ATTACH_FILTER,
  WHOLE,
} from './bpf.ts';
import { checkDeviceName, type EthernetInterface, ethernetInterface } from './interfaces.ts';
import {
  EXCLUDED,
  NOT_ASKED,
  type OffloadState,
  type TunOffloadOptions,
  type TunOffloads,
  USED,
  unused,
} from './offload.ts';
import { PACKET_AUXDATA, SOL_PACKET } from './packet-frames.ts';
import { Port } from './port.ts';
import type { Readiness } from './readiness.ts';
import { check, requireSyscalls, type Syscalls, SystemError, setOption } from './syscalls.ts';
import { noSuperframes } from './tun-vnet.ts';
import { enlarge, SO_RCVBUF, SO_RCVBUFFORCE, SO_SNDBUF, SO_SNDBUFFORCE } from './udp-gso.ts';

export interface PacketSocketOptions {
  /** Of an Ethernet interface. */
  readonly device: string;
  /** Whose frames come, beside those to groups; default: the interface's own address. */
  readonly mac?: Uint8Array | undefined;
  /** All frames come, whoever they are for. */
  readonly promiscuous?: boolean | undefined;
  readonly pool: PacketPool;
  /** Undefined: the owner calls `drain` when it pleases. */
  readonly readiness?: Readiness | undefined;
  /** Superframes, and checksums that are owed, both ways; undefined: none, and those that come are lost. */
  readonly offload?: TunOffloadOptions | undefined;
  /** Takes over a frame from the link. */
  readonly receive: (frame: Packet) => void;
  /** The interface is gone: words for people. No call follows. One that is switched off and on goes on. */
  readonly failed?: ((why: string) => void) | undefined;
}

/** Throws SystemError, and leaves nothing behind then. */
export function openPacketSocket(options: PacketSocketOptions): PacketSocket {
  return new PacketSocket(options);
}

/** What would pass, tried without an interface. Throws SystemError where there are no packet sockets for us. */
export function probePacketSocket(sys: Syscalls): TunOffloads {
  const fd = check(sys, sys.socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC, 0), 'packet socket', ADVICE);
  const offloads = negotiate(sys, fd, {});
  sys.close(fd);
  return offloads;
}

export class PacketSocket extends Port {
  /** Of the interface; frames may be sent from another address. */
  readonly mac: Uint8Array;
  readonly mtu: number;

  constructor(options: PacketSocketOptions) {
    const { device, pool, readiness, receive, failed } = options;
    const sys = readiness?.sys ?? requireSyscalls();
    checkDeviceName(device, 'packet socket on');
    const of = ethernetInterface(sys, device);
    if (of.mtu > pool.capacity)
      throw new SystemError(
        `packet socket on ${device}`,
        'EMSGSIZE',
        `Its MTU is ${of.mtu}, packets of this gateway hold ${pool.capacity} octets`,
      );
    const { fd, offloads } = create(sys, options, of);
    super({ sys, kind: 'packet', fd, device, offloads, pool, readiness, receive, failed });
    this.mac = of.mac;
    this.mtu = of.mtu;
  }
}

function create(
  sys: Syscalls,
  { device, mac, promiscuous = false, offload }: PacketSocketOptions,
  of: EthernetInterface,
): { readonly fd: number; readonly offloads: TunOffloads } {
  const what = `packet socket on ${device}`;
  // Protocol 0 receives nothing, so that no frame is there from before the filter.
  const fd = check(sys, sys.socket(AF_PACKET, SOCK_RAW | SOCK_NONBLOCK | SOCK_CLOEXEC, 0), what, ADVICE);
  try {
    const ignored = setOption(sys, fd, SOL_PACKET, PACKET_IGNORE_OUTGOING, 1);
    const own = mac ?? of.mac;
    const filter = [...(ignored ? [] : NOT_OUTGOING), ...(promiscuous ? ALL : stationOnly(own))];
    if (!attachProgram(sys, fd, SO_ATTACH_FILTER, filter)) check(sys, -1, `${what}: filter`);
    if (!setOption(sys, fd, SOL_PACKET, PACKET_AUXDATA, 1)) check(sys, -1, `${what}: auxiliary data`);
    const offloads = negotiate(sys, fd, offload);
    enlarge(sys, fd, SO_RCVBUFFORCE, SO_RCVBUF, BUFFER_OCTETS);
    enlarge(sys, fd, SO_SNDBUFFORCE, SO_SNDBUF, BUFFER_OCTETS);
    const others = promiscuous || own.some((octet, i) => octet !== of.mac[i]);
    check(sys, join(sys, fd, of.index, others ? PACKET_MR_PROMISC : PACKET_MR_ALLMULTI), `${what}: membership`, ADVICE);
    check(sys, bindTo(sys, fd, of.index), what, ADVICE);
    return { fd, offloads };
  } catch (error) {
    sys.close(fd);
    throw error;
  }
}

/** There is one switch for all. What it brings the kernel says with each frame; what it takes depends on its age. */
function negotiate(sys: Syscalls, fd: number, offload: TunOffloadOptions | undefined): TunOffloads {
  if (offload === undefined) return noSuperframes(NOT_ASKED);
  const { without = [] } = offload;
  if (without.includes('vnetHeader')) return noSuperframes(EXCLUDED);
  if (!setOption(sys, fd, SOL_PACKET, PACKET_VNET_HDR, 1))
    return noSuperframes(unused('needs PACKET_VNET_HDR of Linux'));
  const uso: OffloadState = kernelIs(6, 2) ? USED : unused('UDP superframes need Linux 6.2');
  return {
    vnetHeader: USED,
    checksum: USED,
    tso4: USED,
    tso6: USED,
    ecn: USED,
    uso: without.includes('uso') ? EXCLUDED : uso,
    limits: unused('superframes are as large as the interface makes them'),
  };
}

function kernelIs(major: number, minor: number): boolean {
  const [ours = 0, point = 0] = release().split(/[.-]/).map(Number);
  return ours > major || (ours === major && point >= minor);
}

/* struct packet_mreq: ifindex (4) | type (2) | alen (2) | address (8) */
function join(sys: Syscalls, fd: number, index: number, type: number): number {
  const { view, bytes, base } = sys.scratch;
  bytes.fill(0, 0, 16);
  view.setInt32(0, index, true);
  view.setUint16(4, type, true);
  return sys.setsockopt(fd, SOL_PACKET, PACKET_ADD_MEMBERSHIP, base, 16);
}

/* struct sockaddr_ll: family (2) | protocol (2, network order) | ifindex (4) | hatype (2) | pkttype (1) | halen (1) | addr (8) */
function bindTo(sys: Syscalls, fd: number, index: number): number {
  const { view, bytes, base } = sys.scratch;
  bytes.fill(0, 0, 20);
  view.setUint16(0, AF_PACKET, true);
  view.setUint16(2, ETH_P_ALL);
  view.setInt32(4, index, true);
  return sys.bind(fd, base, 20);
}

/** Frames to that station, and to groups. */
function stationOnly(mac: Uint8Array): readonly Instruction[] {
  const { buffer, byteOffset } = mac;
  const octets = new DataView(buffer, byteOffset);
  return [
    [LOAD_OCTET, 0, 0, 0],
    [JUMP_SET, 4, 0, 0x01],
    [LOAD_WORD, 0, 0, 0],
    [JUMP_EQUAL, 0, 3, octets.getUint32(0)],
    [LOAD_HALF, 0, 0, 4],
    [JUMP_EQUAL, 0, 1, octets.getUint16(4)],
    [RETURN, 0, 0, WHOLE],
    [RETURN, 0, 0, NOTHING],
  ];
}

const ALL: readonly Instruction[] = [[RETURN, 0, 0, WHOLE]];

/** For kernels without PACKET_IGNORE_OUTGOING (Linux 4.20): linux/filter.h, SKF_AD_OFF + SKF_AD_PKTTYPE. */
const NOT_OUTGOING: readonly Instruction[] = [
  [LOAD_OCTET, 0, 0, 0xffff_f004],
  [JUMP_EQUAL, 0, 1, 4],
  [RETURN, 0, 0, NOTHING],
];

const ADVICE: Readonly<Record<string, string>> = {
  EPERM: 'Packet sockets need root or CAP_NET_RAW',
  EACCES: 'Packet sockets need root or CAP_NET_RAW',
  EAFNOSUPPORT: 'The kernel has no packet sockets: `modprobe af_packet`',
};

const BUFFER_OCTETS = 32 << 20;
const AF_PACKET = 17;
const ETH_P_ALL = 0x0003;
const SOCK_RAW = 3;
const SOCK_NONBLOCK = 0x800;
const SOCK_CLOEXEC = 0x80000;
const PACKET_ADD_MEMBERSHIP = 1;
const PACKET_MR_PROMISC = 1;
const PACKET_MR_ALLMULTI = 2;
const PACKET_VNET_HDR = 15;
const PACKET_IGNORE_OUTGOING = 23;
