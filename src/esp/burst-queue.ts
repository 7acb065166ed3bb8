/**
 * What the queues of ESP have in common: packets of one memory that wait for the cipher, as the columns of a burst.
 *
 * Read first: `crypto/burst.ts`. Leaves to others: all before and after the cipher (`seal-queue.ts`, `open-queue.ts`).
 * One queue serves burst after burst: `add` until RUN_FIRST or until nothing more is there, `run`, read the columns, `clear`.
 * Limits: BURST_PACKETS packets. The cipher is given as many as stand side by side under one protection.
 * Preconditions: from `add` to `run` nobody else processes packets of an SA that waits here, and its protection is not disposed of.
 */
import { invariant } from '../core/index.ts';
import { BURST_PACKETS, Burst, type Protection } from '../crypto/index.ts';
import type { Packet } from '../ip/index.ts';
import { ESP_HEADER_LENGTH } from './packet.ts';

/** Instead of a verdict: nothing has happened to the packet or its SA. `run` and `clear` the queue; added again, it gets one. */
export const RUN_FIRST = -1;

export class BurstQueue<S extends { readonly protection: Protection }> {
  protected readonly burst: Burst;
  /** How many of the packets have been run. */
  protected done = 0;
  readonly #packets: (Packet | undefined)[] = new Array(BURST_PACKETS).fill(undefined);
  readonly #sas: (S | undefined)[] = new Array(BURST_PACKETS).fill(undefined);

  /** `memory` is that of all packets: of their pool. */
  constructor(memory: Uint8Array) {
    this.burst = new Burst(memory);
  }

  get count(): number {
    return this.burst.count;
  }

  get full(): boolean {
    return this.room === 0;
  }

  /** How many more packets it takes. */
  get room(): number {
    return this.burst.capacity - this.burst.count;
  }

  /** The packet added as number i, or the train that it was added with. */
  packetAt(i: number): Packet {
    return this.#packets[i]!;
  }

  saAt(i: number): S {
    return this.#sas[i]!;
  }

  /** Forgets the packets, and keeps no SA alive. */
  clear(): void {
    const { count } = this;
    for (let i = 0; i < count; i++) {
      this.#packets[i] = undefined;
      this.#sas[i] = undefined;
    }
    this.burst.clear();
    this.done = 0;
  }

  /** Takes an ESP packet whose bounds are as on the wire. Gives its index. */
  protected push(sa: S, packet: Packet, high: number): number {
    return this.pushPart(sa, packet, packet.start, packet.end, high);
  }

  /** The same for the octets [start, end) of a train. */
  protected pushPart(sa: S, packet: Packet, start: number, end: number, high: number): number {
    const { base } = packet;
    invariant(packet.memory === this.burst.buf, 'a packet lies in the memory of its queue');
    const from = base + start;
    const i = this.burst.add(from, from + ESP_HEADER_LENGTH, base + end - sa.protection.icvLength, high);
    this.#packets[i] = packet;
    this.#sas[i] = sa;
    return i;
  }

  /** Where the packets from `first` on under one protection end. */
  protected stopOf(first: number): number {
    const { protection } = this.saAt(first);
    let stop = first + 1;
    while (stop < this.count && this.saAt(stop).protection === protection) stop++;
    return stop;
  }
}
