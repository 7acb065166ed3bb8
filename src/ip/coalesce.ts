/**
 * Puts consecutive packets of one flow together into superframes: the opposite of cutting.
 *
 * Read first: superframe.ts; the rules are those of Linux GRO (net/ipv4/tcp_offload.c, udp_offload.c, af_inet.c).
 * Packets join when addresses, ports, TTL or hop limit, traffic class, DF, flow label, window, acknowledgment and TCP options
 * are the same, sequence numbers and IPv4 identifications go on, payloads are equally long except a shorter last one, and
 * transport checksums hold. No fragments, IP options, extension headers, SYN, RST or URG; CWR only first, FIN only last.
 * Unlike Linux, PSH does not end a superframe: it counts for the whole and so for its last segment.
 * The payload of a packet that joins is copied behind the first one, in a slot of the pool; a sum of what is copied costs nothing.
 * Invariants: packets of one flow leave in the order they came; each packet given is emitted exactly once, or released because
 * it joined; a packet that stays alone leaves as it came, a part of another one's slot too.
 * Deliberate limit: identifications that stay the same with DF (RFC 6864 §4.1: of no meaning) join as in Linux, but nothing
 * says so: whoever cuts the superframe counts them up.
 */
import {
  COALESCE_SEGMENTS_MAX,
  FRAGMENT,
  Group,
  MERGEABLE,
  NO_FLOW,
  newReading,
  readForCoalescing,
} from './coalesce-group.ts';
import type { Packet, PacketPool } from './packet.ts';

export { COALESCE_SEGMENTS_MAX };
/** Flows that may still grow: MAX_GRO_SKBS of Linux. */
export const COALESCE_OPEN_MAX = 8;
/** Packets and superframes held until they are flushed: a full burst of decryption. */
export const COALESCE_HELD_MAX = 128;

export interface CoalescerOptions {
  readonly pool: PacketPool;
  /** Takes over what leaves: packets that nobody releases (`Part`) as they came, others are the receiver's. It adds none meanwhile. */
  readonly emit: (packet: Packet) => void;
  /** Whether packets like this one, which differ in length and number only, may leave as one. */
  readonly grows: (packet: Packet) => boolean;
}

export class Coalescer {
  /** Superframes emitted, packets in them, flows that ended because others began. */
  readonly counters = { superframes: 0, merged: 0, evicted: 0 };
  readonly #options: CoalescerOptions;
  /** In the order of their first packets. */
  readonly #groups: readonly Group[];
  #count = 0;
  /** Those that may grow, oldest first. */
  readonly #open: Group[];
  #opened = 0;
  readonly #seen = newReading();

  constructor(options: CoalescerOptions) {
    this.#options = options;
    this.#groups = Array.from({ length: COALESCE_HELD_MAX }, () => new Group(options.pool));
    this.#open = this.#groups.slice(0, COALESCE_OPEN_MAX);
  }

  /** Packets and superframes waiting for `flush`. */
  get held(): number {
    return this.#count;
  }

  /** Takes over a packet that passed `checkIp`, until `flush`; when there is no room for it, the others go first. */
  add(packet: Packet): void {
    if (this.#count === COALESCE_HELD_MAX) this.flush();
    const seen = this.#seen;
    let open = this.#opened - 1;
    let fits = open >= 0 && this.#open[open]!.continues(packet, seen);
    if (!fits) {
      readForCoalescing(packet, seen);
      open = seen.standing === NO_FLOW ? -1 : this.#find(packet);
      fits = open >= 0 && seen.standing === MERGEABLE && this.#open[open]!.fits(packet, seen);
    }
    if (fits && this.#join(open, packet)) return;
    for (; open >= 0; open = seen.standing === FRAGMENT ? this.#find(packet) : -1) this.#close(open);
    const group = this.#groups[this.#count]!;
    this.#count += 1;
    group.packet = packet;
    group.count = 1;
    if (seen.standing !== MERGEABLE) return;
    group.start(seen);
    if (!group.ended) this.#keepOpen(group);
  }

  /** Emits all it holds, in the order of first packets. */
  flush(): void {
    const groups = this.#count;
    this.#opened = 0;
    for (let i = 0; i < groups; i++) {
      const group = this.#groups[i]!;
      if (group.count > 1) {
        this.counters.superframes += 1;
        this.counters.merged += group.count;
        group.finish();
      }
      this.#options.emit(group.packet);
    }
    this.#count = 0;
  }

  #join(open: number, packet: Packet): boolean {
    const { pool, grows } = this.#options;
    const group = this.#open[open]!;
    if ((group.count === 1 && !grows(group.packet)) || !group.join(packet, this.#seen)) return false;
    if (packet.slot >= 0) pool.release(packet);
    if (group.ended) this.#close(open);
    return true;
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
}
