/**
 * An Ethernet segment as its owner sees it: frames to and from the port, IP packets to and from the compartment, and what is known of
 * the hosts on it.
 */
import type { Bytes, Millis, Random } from '../core/index.ts';
import type { Address, Packet, PacketPool, Prefix } from '../ip/index.ts';

export interface SegmentOptions {
  /** Our own, 6 octets. */
  readonly mac: Bytes;
  readonly pool: PacketPool;
  /** Our own, with the on-link prefix; those of the compartment's interface. */
  readonly addresses: readonly Prefix[];
  readonly sink: SegmentSink;
  /** For times that must not coincide (RFC 4861 §6.3.2) and a table nobody can fill on purpose. */
  readonly random: Random;
  readonly limits?: Partial<SegmentLimits>;
  /** Where its counters stand: SEGMENT_CELLS doubles. Default: its own. */
  readonly cells?: Float64Array;
}

/** Where a segment's results go. Ownership of the packet goes with it. */
export interface SegmentSink {
  /** An Ethernet frame for the port. Of a superframe the IP header stands at start + ETHERNET_HEADER. */
  frame(packet: Packet): void;
  /** An IP packet for the compartment, which checks it. */
  ip(packet: Packet, now: Millis): void;
  /** An IP packet that cannot be carried: `neighbour`, `queueFull` or `noRoom` (`Compartment.refuse`). */
  refuse(packet: Packet, reason: number, now: Millis): void;
  /** Somebody says that an address of ours is his. At most once in `defendMs` for each. */
  conflict?(address: Address, mac: Bytes): void;
}

/** RFC 4861 §7.3.2; `failed` after nobody answered, `permanent` by configuration. */
export type NeighbourState = 'incomplete' | 'reachable' | 'stale' | 'delay' | 'probe' | 'failed' | 'permanent';

export interface NeighbourView {
  readonly address: Address;
  /** Absent while it is not known. */
  readonly mac?: Bytes;
  readonly state: NeighbourState;
  /** When it came to be in that state. */
  readonly since: Millis;
  /** Packets that wait for its MAC address. */
  readonly waiting: number;
}

/** Named bounds and times of one segment; what a bound refuses is counted. */
export interface SegmentLimits {
  /** Neighbours known or sought; the least useful one goes for a new one. */
  readonly neighbours: number;
  /** Of them those that are sought; for a new one that goes which the holder of most has sought longest. */
  readonly unresolved: number;
  /** Packets that wait, over all neighbours; for a new one the oldest goes of the holder of most. */
  readonly waiting: number;
  readonly waitingEach: number;
  /** Prefixes that are answered for beside the own addresses. */
  readonly answered: number;
  /** The mean of how long an answer is good for. */
  readonly reachableMs: Millis;
  /** Between two solicitations, of which there are so many. */
  readonly retransmitMs: Millis;
  readonly solicitations: number;
  /** From the first packet to a stale neighbour until it is asked. */
  readonly delayMs: Millis;
  /** How long a neighbour nobody sends to is kept, and that one did not answer. */
  readonly staleMs: Millis;
  readonly failedMs: Millis;
  /** Between two announcements of an address that came up. */
  readonly announceMs: Millis;
  /** Between two defences of one address. */
  readonly defendMs: Millis;
}

/** What became of a segment's own work; drops of frames have their own array. */
export interface SegmentCounters {
  /** ARP requests and solicitations sent, to all and to one. */
  readonly solicitations: number;
  readonly probes: number;
  /** Requests for our addresses answered. */
  readonly answers: number;
  readonly announcements: number;
  /** Neighbours found, and those nobody answered for: sought in vain, known but gone. */
  readonly resolved: number;
  readonly failed: number;
  readonly lost: number;
  /** Neighbours learned because they asked for us. */
  readonly learned: number;
  /** Known neighbours that have another MAC address now. */
  readonly moved: number;
  /** Neighbours that made room for others, by `neighbours` and `unresolved`. */
  readonly evicted: number;
  /** Packets that `waiting` and `waitingEach` refused, and those refused with a neighbour. */
  readonly waitingRefused: number;
  readonly unreachable: number;
  /** What was said of neighbours nobody seeks, and of permanent ones that it contradicts. */
  readonly unsolicited: number;
  readonly contradicted: number;
  /** Messages by which somebody claimed an address of ours, and those that were answered with an announcement. */
  readonly conflicts: number;
  readonly defences: number;
  /** Messages of ours there was no packet for. */
  readonly withoutBuffer: number;
  /** Permanent neighbours and answered prefixes there was no room for. */
  readonly configurationRefused: number;
}
