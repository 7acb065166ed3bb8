/**
 * Frames with a virtio header before them, as TUN, TAP and packet sockets pass them: what they are as packets, and written as such.
 *
 * Read first: ip/virtio.ts. The header counts from the first octet of the frame, `ip/` from the IP header: `link` octets, those of an
 * Ethernet header or none, lie between the two.
 * Leaves to others: what the header means, cutting superframes and making them (`ip/`).
 * Limits: the header of 10 octets, in the host's byte order, which is little-endian (`koffi.ts`). A superframe behind a VLAN tag
 * is refused.
 */
import {
  applyOffload,
  DROP,
  describeOffload,
  ETHER_TYPE,
  etherType,
  newOffload,
  OFFLOAD_KIND,
  type Offload,
  PASS,
  type Packet,
  readVirtioHeader,
  VIRTIO_HEADER,
  writeVirtioHeader,
} from '../ip/index.ts';
import { AddressCache, Arena } from './memory.ts';
import type { Syscalls } from './syscalls.ts';

/** Makes a packet of a frame whose header stands right before it: PASS, or why the two do not agree. */
export function readVnetFrame(packet: Packet, link: number): number {
  const { buf, start, end } = packet;
  const verdict = readVirtioHeader(buf, start - VIRTIO_HEADER, start, offload);
  if (verdict !== PASS) return verdict;
  if (link === 0) return applyOffload(packet, offload);
  if (end - start < link) return DROP.short;
  if (offload.kind !== OFFLOAD_KIND.none && !isIpFrame(packet)) return DROP.superframe;
  if (offload.partial && offload.checksumStart < link) return DROP.superframe;
  offload.checksumStart -= link;
  packet.start = start + link;
  const applied = applyOffload(packet, offload);
  packet.start = start;
  return applied;
}

/** Describes a frame to the kernel, as `describeOffload` does a packet. */
export function describeFrame(packet: Packet, link: number, out: Offload): void {
  packet.start += link;
  describeOffload(packet, out);
  packet.start -= link;
  if (!out.partial) return;
  out.headerLength += link;
  out.checksumStart += link;
}

/** Writes frames with a header before them, without copying the two together. */
export class VnetWriter {
  readonly #sys: Syscalls;
  readonly #fd: number;
  readonly #addresses: AddressCache;
  readonly #arena: Arena;
  readonly #header: number;
  readonly #vectors: number;

  constructor(sys: Syscalls, fd: number) {
    this.#sys = sys;
    this.#fd = fd;
    this.#addresses = new AddressCache(sys.koffi);
    this.#arena = new Arena(sys.koffi, 16 + 2 * VECTOR);
    this.#header = this.#arena.alloc(VIRTIO_HEADER);
    this.#vectors = this.#arena.alloc(2 * VECTOR);
    this.#arena.putWord(this.#vectors, this.#arena.base + this.#header);
    this.#arena.putWord(this.#vectors + 8, VIRTIO_HEADER);
  }

  /** buf[start, end) with what `offload` says of it. What writev gives. */
  write(buf: Uint8Array, start: number, end: number, offload: Offload): number {
    writeVirtioHeader(this.#arena.bytes, this.#header, offload);
    const vector = this.#vectors + VECTOR;
    this.#arena.putWord(vector, this.#addresses.of(buf) + start);
    this.#arena.putWord(vector + 8, end - start);
    return this.#sys.writev(this.#fd, this.#arena.base + this.#vectors, 2);
  }
}

/** Of the EtherTypes of IP; what stands behind a VLAN tag is not looked for. */
function isIpFrame({ buf, start }: Packet): boolean {
  const type = etherType(buf, start);
  return type === ETHER_TYPE.ipv4 || type === ETHER_TYPE.ipv6;
}

/* struct iovec: base (8) | len (8) */
const VECTOR = 16;

const offload = newOffload();
