/**
 * Puts consecutive packets of one flow together into superframes for a device that takes them: the opposite of cutting.
 *
 * Read first: superframe.ts, virtio.ts; the rules are those of Linux GRO (net/ipv4/tcp_offload.c, udp_offload.c, af_inet.c).
 * Packets join when addresses, ports, TTL or hop limit, traffic class, DF, flow label, window, acknowledgment and TCP options
 * are the same, sequence numbers and IPv4 identifications go on, payloads are equally long except a shorter last one, and
 * both checksums hold. No fragments, IP options, extension headers, SYN, RST or URG; CWR only first, FIN only last.
 * Unlike Linux, PSH does not end a superframe: it counts for the whole and so for its last segment.
 * Invariants: packets of one flow leave in the order they came; each packet given is emitted exactly once; a packet that
 * stays alone leaves as it came.
 * Deliberate limit: identifications that stay the same with DF (RFC 6864 §4.1: of no meaning) join as in Linux, but the
 * device has no way to hear of it: whoever cuts the superframe counts them up.
 */
import { invariant } from '../core/index.ts';
import {
  COALESCE_SEGMENTS_MAX,
  FRAGMENT,
  Group,
  MERGEABLE,
  NO_FLOW,
  NOTHING,
  newReading,
  readForCoalescing,
} from './coalesce-group.ts';
import type { Packet } from './packet.ts';
import { describeOffload, newOffload, type Offload } from './virtio.ts';

export { COALESCE_SEGMENTS_MAX };
/** Flows that may still grow: MAX_GRO_SKBS of Linux. */
export const COALESCE_OPEN_MAX = 8;
/** Packets held until they are flushed: two full bursts of decryption. */
export const COALESCE_HELD_MAX = 256;

/** buf[offset, offset + length) of a packet. */
export interface Slice {
  packet: Packet;
  offset: number;
  length: number;
}

/** What leaves: one IP packet in `count` slices, each of another packet, and what the device is to be told about it. */
export interface Coalesced extends Offload {
  count: number;
  /** Octets of all slices. */
  octets: number;
  /** Those from `count` on are left over from others. */
  readonly slices: readonly Slice[];
}

export class Coalescer {
  /** Superframes emitted, packets in them, flows that ended because others began, packets refused because it was full. */
  readonly counters = { superframes: 0, merged: 0, evicted: 0, full: 0 };
  readonly #packets: Packet[] = Array.from({ length: COALESCE_HELD_MAX }, () => NOTHING);
  /** For each packet held, the next of its group, or -1. */
  readonly #next = new Int16Array(COALESCE_HELD_MAX);
  #held = 0;
  /** In the order of their first packets. */
  readonly #groups: readonly Group[] = Array.from({ length: COALESCE_HELD_MAX }, () => new Group());
  #count = 0;
  /** Those that may grow, oldest first. */
  readonly #open: Group[] = this.#groups.slice(0, COALESCE_OPEN_MAX);
  #opened = 0;
  readonly #seen = newReading();
  readonly #out: Coalesced = {
    ...newOffload(),
    count: 0,
    octets: 0,
    slices: Array.from({ length: COALESCE_SEGMENTS_MAX }, () => ({ packet: NOTHING, offset: 0, length: 0 })),
  };

  /** Packets waiting for `flush`. */
  get held(): number {
    return this.#held;
  }

  /** Takes a packet, of any octets, until `flush`; false when full: flush, then add it again. */
  add(packet: Packet): boolean {
    if (this.#held === COALESCE_HELD_MAX) {
      this.counters.full += 1;
      return false;
    }
    const seen = this.#seen;
    readForCoalescing(packet, seen);
    const entry = this.#held;
    this.#held += 1;
    this.#packets[entry] = packet;
    this.#next[entry] = -1;
    let open = seen.standing === NO_FLOW ? -1 : this.#find(packet);
    if (open >= 0 && seen.standing === MERGEABLE) {
      const group = this.#open[open]!;
      if (group.join(packet, seen)) {
        this.#next[group.tail] = entry;
        group.tail = entry;
        if (group.ended) this.#close(open);
        return true;
      }
    }
    for (; open >= 0; open = seen.standing === FRAGMENT ? this.#find(packet) : -1) this.#close(open);
    const group = this.#groups[this.#count]!;
    this.#count += 1;
    group.head = entry;
    group.tail = entry;
    group.count = 1;
    if (seen.standing !== MERGEABLE) return true;
    group.start(packet, seen);
    if (!group.ended) this.#keepOpen(group);
    return true;
  }

  /**
   * Emits all it holds, in the order of first packets. The record is reused for each; its packets then belong to the
   * receiver, who adds none meanwhile.
   */
  flush(emit: (coalesced: Coalesced) => void): void {
    const groups = this.#count;
    this.#opened = 0;
    for (let i = 0; i < groups; i++) {
      this.#fill(this.#groups[i]!);
      emit(this.#out);
    }
    this.#count = 0;
    this.#held = 0;
  }

  /** Index of the youngest open group that the packet may not overtake, or -1. */
  #find(packet: Packet): number {
    let open = this.#opened - 1;
    while (open >= 0 && !this.#open[open]!.concerns(packet, this.#seen)) open -= 1;
    return open;
  }

  #keepOpen(group: Group): void {
    if (this.#opened === COALESCE_OPEN_MAX) {
      this.#close(0);
      this.counters.evicted += 1;
    }
    this.#open[this.#opened] = group;
    this.#opened += 1;
  }

  #close(open: number): void {
    this.#opened -= 1;
    for (let i = open; i < this.#opened; i++) this.#open[i] = this.#open[i + 1]!;
  }

  #fill(group: Group): void {
    const out = this.#out;
    const first = this.#packets[group.head]!;
    const slice = out.slices[0]!;
    slice.packet = first;
    slice.offset = first.start;
    out.count = group.count;
    if (group.count === 1) {
      describeOffload(first, out);
      slice.length = first.end - first.start;
      out.octets = slice.length;
      return;
    }
    this.counters.superframes += 1;
    this.counters.merged += group.count;
    group.describe(out);
    out.octets = group.octets;
    slice.length = group.headers + group.segment;
    let left = group.octets - slice.length;
    let entry = group.head;
    for (let i = 1; i < group.count; i++) {
      entry = this.#next[entry]!;
      const following = out.slices[i]!;
      following.packet = this.#packets[entry]!;
      following.offset = following.packet.start + group.headers;
      following.length = Math.min(group.segment, left);
      left -= following.length;
    }
    invariant(left === 0, 'the slices of a superframe are its octets');
  }
}
