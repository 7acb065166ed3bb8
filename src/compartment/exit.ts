/**
 * What leaves a compartment by an interface and not as it is: cut to what the link takes, or copied into the pool.
 *
 * Read first: RFC 791 §3.2, RFC 8200 §4.5 (fragments), ip/superframe.ts.
 * Leaves to others: whether a packet may be cut, and the ICMP error where it may not (`compartment.ts`).
 * Invariant: after PASS the packet or its pieces are the sink's; after anything else it is the caller's, as it was.
 */
import type { Random } from '../core/index.ts';
import { u32 } from '../core/index.ts';
import {
  checkSuperframe,
  completeChecksum,
  cutSuperframe,
  DROP,
  fragmentIpv4,
  fragmentIpv6,
  ipVersion,
  PASS,
  type Packet,
  type PacketPool,
} from '../ip/index.ts';
import type { Counters } from './counters.ts';
import type { Entry } from './routes.ts';

/** What leaving needs of its compartment. */
export interface ExitOptions {
  readonly pool: PacketPool;
  readonly random: Random;
  readonly counters: Counters;
  /** Counts and hands on what is as large as the link takes: PASS. */
  readonly emit: (packet: Packet, entry: Entry) => number;
  release(packet: Packet): void;
  /** Counts and releases a piece that went no further. */
  drop(packet: Packet, reason: number, out: number): void;
}

export class Exit {
  readonly #options: ExitOptions;

  constructor(options: ExitOptions) {
    this.#options = options;
  }

  /** Of octets that belong to no pool. */
  emitCopy(packet: Packet, entry: Entry): number {
    const copy = this.#options.pool.from(packet.buf.subarray(packet.start, packet.end));
    return copy === undefined ? DROP.noBuffer : this.#options.emit(copy, entry);
  }

  /** Emits the pieces once all are made: whoever takes one may take packets from the pool, too. */
  cut(packet: Packet, entry: Entry, mtu: number): number {
    if (packet.segment > 0) return this.#cutSuperframe(packet, entry, mtu);
    const owed = completeChecksum(packet);
    if (owed !== PASS) return owed;
    const { pool, random, counters, emit } = this.#options;
    const pieces: Packet[] = [];
    const collect = (piece: Packet): void => {
      pieces.push(piece);
    };
    const verdict =
      ipVersion(packet.buf, packet.start) === 4
        ? fragmentIpv4(packet, mtu, pool, collect)
        : fragmentIpv6(packet, mtu, u32(random(4), 0), pool, collect);
    if (verdict !== PASS) return verdict;
    this.#options.release(packet);
    counters.fragmented += 1;
    counters.fragments += pieces.length;
    for (const piece of pieces) emit(piece, entry);
    return PASS;
  }

  /** A superframe whose packets are larger than the link takes, and may be cut: into packets first, then into fragments. */
  #cutSuperframe(packet: Packet, entry: Entry, mtu: number): number {
    const pieces: Packet[] = [];
    const refused = checkSuperframe(packet);
    if (refused !== PASS) return refused;
    if (cutSuperframe(packet, this.#options.pool, pieces) === 0) return DROP.noBuffer;
    this.#options.release(packet);
    for (const piece of pieces) {
      const fits = piece.end - piece.start <= mtu;
      const verdict = fits ? this.#options.emit(piece, entry) : this.cut(piece, entry, mtu);
      if (verdict !== PASS) this.#options.drop(piece, verdict, entry.out.number);
    }
    return PASS;
  }
}
