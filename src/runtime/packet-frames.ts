/**
 * Frames of a packet socket, read with what the kernel tells beside them: VLAN tags it took off, checksums not there yet.
 *
 * Read first: packet(7) (PACKET_AUXDATA), linux/if_packet.h (struct tpacket_auxdata, TP_STATUS_*), cmsg(3).
 * Leaves to others: the socket (`packet-socket.ts`), what becomes of a frame (`port-queue.ts`).
 */
import { Arena } from './memory.ts';
import type { Syscalls } from './syscalls.ts';

export class FrameReader {
  readonly #sys: Syscalls;
  readonly #fd: number;
  readonly #arena: Arena;
  readonly #header: number;
  readonly #vector: number;
  readonly #control: number;
  #status = 0;
  #tag = 0;

  constructor(sys: Syscalls, fd: number) {
    this.#sys = sys;
    this.#fd = fd;
    const arena = new Arena(sys.koffi, HEADER + VECTOR + CONTROL);
    this.#arena = arena;
    /* struct msghdr: name (8) | namelen (4+4) | iov (8) | iovlen (8) | control (8) | controllen (8) | flags (4+4) */
    this.#header = arena.alloc(HEADER);
    this.#vector = arena.alloc(VECTOR);
    this.#control = arena.alloc(CONTROL);
    arena.putWord(this.#header + 16, arena.base + this.#vector);
    arena.putWord(this.#header + 24, 1);
    arena.putWord(this.#header + 32, arena.base + this.#control);
  }

  /** One frame into `room` octets at address `into`: what recvmsg gives. A longer one is cut off. */
  read(into: number, room: number): number {
    const arena = this.#arena;
    arena.putWord(this.#vector, into);
    arena.putWord(this.#vector + 8, room);
    arena.putWord(this.#header + 40, CONTROL);
    const length = this.#sys.recvmsg(this.#fd, arena.base + this.#header, MSG_DONTWAIT);
    if (length >= 0) this.#readControl();
    return length;
  }

  /** The frame just read was in a VLAN. One with a tag for its priority only was not (IEEE 802.1Q §6.9). */
  get tagged(): boolean {
    return (this.#status & TP_STATUS_VLAN_VALID) !== 0 && (this.#tag & VLAN_ID) !== 0;
  }

  /** It owes its transport checksum. */
  get partial(): boolean {
    return (this.#status & TP_STATUS_CSUMNOTREADY) !== 0;
  }

  /** It is a superframe of TCP. */
  get superframe(): boolean {
    return (this.#status & TP_STATUS_GSO_TCP) !== 0;
  }

  /* struct cmsghdr: len (8) | level (4) | type (4); struct tpacket_auxdata: status (4) | len (4) | snaplen (4) | mac (2) | net (2)
     | vlan_tci (2) | vlan_tpid (2) */
  #readControl(): void {
    const { view } = this.#arena;
    const told = view.getUint32(this.#header + 40, true) >= CONTROL - 4;
    const auxdata = told && view.getInt32(this.#control + 12, true) === PACKET_AUXDATA;
    this.#status = auxdata ? view.getUint32(this.#control + CMSG_HEADER, true) : 0;
    this.#tag = auxdata ? view.getUint16(this.#control + CMSG_HEADER + 16, true) : 0;
  }
}

/**
 * Whether the device of a packet socket is gone, or only switched off. That it went down is heard before it is known which: an
 * option that needs the lock of all links waits until whoever holds it has finished.
 */
export function deviceGone(sys: Syscalls, fd: number): boolean {
  const { view, bytes, base } = sys.scratch;
  bytes.fill(0, 0, MEMBERSHIP);
  view.setUint16(4, PACKET_MR_UNICAST, true);
  sys.setsockopt(fd, SOL_PACKET, PACKET_DROP_MEMBERSHIP, base, MEMBERSHIP);
  /* struct sockaddr_ll: family (2) | protocol (2) | ifindex (4) … */
  view.setInt32(SOCKADDR_LL, SOCKADDR_LL, true);
  return sys.getsockname(fd, base, base + SOCKADDR_LL) < 0 || view.getInt32(4, true) <= 0;
}

const HEADER = 56;
const VECTOR = 16;
const CMSG_HEADER = 16;
/** One control message of 20 octets, padded to 8. */
const CONTROL = 40;
const VLAN_ID = 0x0fff;
const MSG_DONTWAIT = 0x40;

export const SOL_PACKET = 263;
export const PACKET_AUXDATA = 8;
const PACKET_DROP_MEMBERSHIP = 2;
const PACKET_MR_UNICAST = 3;
/** Octets of a struct packet_mreq and of a struct sockaddr_ll. */
const MEMBERSHIP = 16;
const SOCKADDR_LL = 20;
const TP_STATUS_CSUMNOTREADY = 0x08;
const TP_STATUS_VLAN_VALID = 0x10;
const TP_STATUS_GSO_TCP = 0x100;
