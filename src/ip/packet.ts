/**
 * Packets of the data path: slots of one preallocated pool, with headroom for encapsulation and tailroom for padding and ICV.
 *
 * Ownership: whoever holds a packet either passes it on or releases it, exactly once. The octets are buf[start, end).
 * A packet may be a superframe (`segment`) and may owe its transport checksum (`partial`): superframe.ts settles both.
 * Limits: the pool never grows; `take` gives undefined when it is empty, and counts that. Packets that wait for something are half
 * of it at most, and each tenant's leave room to others' (`waiting`): packets on their way always find some. Superframes need a pool
 * whose capacity is `SUPERFRAME_MAX`.
 */
import { invariant, Shares } from '../core/index.ts';

export interface Packet {
  readonly buf: Uint8Array;
  /** The same octets at the same offsets, for what reads words. */
  readonly view: DataView;
  /** All packets of its pool, and where `buf` begins in there. */
  readonly memory: Uint8Array;
  readonly base: number;
  /** Its place in the pool; negative for a packet that nobody releases. */
  readonly slot: number;
  start: number;
  end: number;
  /** 0: one packet of the wire. Else TCP or UDP over IP to be cut into packets of so many octets of payload, the last one shorter. */
  segment: number;
  /** The transport checksum is still to be computed. What stands in its field is the sum of the pseudo header or nothing of meaning. */
  partial: boolean;
}

/** Octets of the largest IPv4 packet, and so of the largest superframe. */
export const SUPERFRAME_MAX = 65535;

/** Ethernet, NVGRE, outer IPv6, UDP, ESP header and IV fit in front. */
export const HEADROOM = 128;
/** Padding up to 255 octets, pad length, next header and the longest ICV fit behind. */
export const TAILROOM = 320;

export class PacketPool {
  readonly size: number;
  /** Octets of payload each slot takes between headroom and tailroom. */
  readonly capacity: number;
  /** All slots, one behind the other. */
  readonly memory: Uint8Array;
  /** Of packets that are kept until something happens. Holders are compartments. */
  readonly waiting: Shares;
  readonly #counters = { refused: 0, peak: 0 };
  readonly #packets: Packet[] = [];
  readonly #free: Int32Array;
  #top: number;
  /** Times each slot was taken and released: odd while it is taken. */
  readonly #uses: Uint32Array;

  /** The `octetsFor` octets of `buffer` from `at` on are the pool's alone; by default it has a buffer of its own. */
  constructor(
    size = 1024,
    capacity = 9728,
    buffer: ArrayBufferLike = new ArrayBuffer(PacketPool.octetsFor(size, capacity)),
    at = 0,
  ) {
    this.size = size;
    this.capacity = capacity;
    this.waiting = new Shares((size + 1) >>> 1);
    this.memory = new Uint8Array(buffer, at, PacketPool.octetsFor(size, capacity));
    const stride = strideOf(capacity);
    this.#free = new Int32Array(size);
    this.#uses = new Uint32Array(size);
    for (let slot = 0; slot < size; slot++) {
      const buf = this.memory.subarray(slot * stride, (slot + 1) * stride);
      this.#packets.push(packetIn(buf, this.memory, slot * stride, slot, HEADROOM, HEADROOM));
      this.#free[slot] = size - 1 - slot;
    }
    this.#top = size;
  }

  /** How many octets a pool of this size and capacity lies in. */
  static octetsFor(size: number, capacity: number): number {
    return size * strideOf(capacity);
  }

  /** An empty packet whose data begins after the headroom. */
  take(): Packet | undefined {
    if (this.#top === 0) {
      this.#counters.refused += 1;
      return undefined;
    }
    this.#top -= 1;
    const packet = this.#packets[this.#free[this.#top]!]!;
    this.#uses[packet.slot]! += 1;
    packet.start = HEADROOM;
    packet.end = HEADROOM;
    packet.segment = 0;
    packet.partial = false;
    if (this.taken > this.#counters.peak) this.#counters.peak = this.taken;
    return packet;
  }

  /** A packet holding a copy of `octets`; undefined when the pool is empty or they do not fit. */
  from(octets: Uint8Array): Packet | undefined {
    if (octets.length > this.capacity) {
      this.#counters.refused += 1;
      return undefined;
    }
    const packet = this.take();
    if (packet === undefined) return undefined;
    packet.buf.set(octets, HEADROOM);
    packet.end = HEADROOM + octets.length;
    return packet;
  }

  /** A packet holding a copy of the octets [from, to) of another one of this pool; undefined when the pool is empty. */
  copyOf({ base }: Packet, from: number, to: number): Packet | undefined {
    const packet = this.take();
    if (packet === undefined) return undefined;
    this.memory.copyWithin(packet.base + HEADROOM, base + from, base + to);
    packet.end = HEADROOM + to - from;
    return packet;
  }

  release(packet: Packet): void {
    invariant(
      (this.#uses[packet.slot]! & 1) === 1 && this.#packets[packet.slot] === packet,
      'a packet is released once, to its own pool',
    );
    this.#uses[packet.slot]! += 1;
    this.#free[this.#top] = packet.slot;
    this.#top += 1;
  }

  /** A number that the packet in this slot alone has, among those that have it one after another. */
  useOf({ slot }: Packet): number {
    return this.#uses[slot]!;
  }

  get taken(): number {
    return this.size - this.#top;
  }

  /** How often a packet was refused, and how many slots were in use at most; live. */
  get counters(): { readonly refused: number; readonly peak: number } {
    return this.#counters;
  }
}

/** The octets of a packet, as a view: valid until the packet is released. */
export const octetsOf = (p: Packet): Uint8Array => p.buf.subarray(p.start, p.end);

/** A packet over octets that belong to no pool: nobody releases it. */
export const wrapPacket = (buf: Uint8Array, start = 0, end = buf.length): Packet =>
  packetIn(buf, buf, 0, UNPOOLED, start, end);

/** A packet within the slot of another one, its host: nobody releases it, and it is gone when its host is. */
export type Part = { -readonly [Key in keyof Packet]: Packet[Key] };

/** A part of nothing yet. */
export const newPart = (): Part => wrapPacket(NOTHING);

/** Makes `part` the packet [start, end) of its host. */
export function placePart(part: Part, host: Packet, start: number, end: number): void {
  part.buf = host.buf;
  part.view = host.view;
  part.memory = host.memory;
  part.base = host.base;
  part.start = start;
  part.end = end;
  part.segment = 0;
  part.partial = false;
}

const NOTHING = new Uint8Array(0);
const UNPOOLED = -1;

const strideOf = (capacity: number): number => HEADROOM + capacity + TAILROOM;

/** All packets have their fields in one order, so that code compiled for one is good for all. */
const packetIn = (
  buf: Uint8Array,
  memory: Uint8Array,
  base: number,
  slot: number,
  start: number,
  end: number,
): Packet => ({
  buf,
  view: new DataView(buf.buffer, buf.byteOffset, buf.byteLength),
  memory,
  base,
  slot,
  start,
  end,
  segment: 0,
  partial: false,
});
