/**
 * An Ethernet segment in the data plane: an interface of one compartment on one side, on the other a port of the host's or of the
 * virtual switch.
 *
 * Read first: compartment/segment.ts. Invariant: an IP packet out of a segment enters the compartment it belongs to, and no other.
 */
import { type Interface, Segment, type SegmentSink } from '../../compartment/index.ts';
import type { AgendaEntry, Bytes, Deadline, Millis, Timed } from '../../core/index.ts';
import { type Address, formatPrefix, type Packet, type Prefix } from '../../ip/index.ts';
import type { DataPlane } from './plane.ts';
import type { PlaneTenant } from './tenant.ts';

export interface PlaneSegmentOptions {
  readonly plane: DataPlane;
  readonly tenant: PlaneTenant;
  /** The interface of the tenant's compartment. */
  readonly into: Interface;
  readonly mac: Bytes;
  readonly addresses: readonly Prefix[];
  readonly cells: Float64Array;
  /** Takes over a frame. */
  readonly out: (frame: Packet) => void;
  /** Packets of one flow may enter as one. */
  readonly joins: boolean;
}

export class PlaneSegment implements Timed, SegmentSink {
  touched = false;
  entry: AgendaEntry | undefined = undefined;
  readonly segment: Segment;
  /** What else is answered for, by the text of the prefix. */
  #answered: Map<string, Prefix> | undefined;
  /** Takes over a frame. */
  readonly frame: (frame: Packet) => void;
  readonly #plane: DataPlane;
  readonly #tenant: PlaneTenant;
  readonly #into: Interface;
  readonly #joins: boolean;

  constructor({ plane, tenant, into, mac, addresses, cells, out, joins }: PlaneSegmentOptions) {
    this.#plane = plane;
    this.#tenant = tenant;
    this.#into = into;
    this.#joins = joins;
    this.frame = out;
    this.segment = new Segment({ mac, pool: plane.pool, addresses, random: plane.random, cells, sink: this });
  }

  get tenant(): PlaneTenant {
    return this.#tenant;
  }

  /** Reads what each frame needs: see `look-ahead.ts`. */
  touch(): number {
    return this.segment.touch() + this.#into.touch();
  }

  // For the segment: what comes of frames and packets.

  ip(packet: Packet, now: Millis): void {
    if (this.#joins) this.#plane.join(this.#tenant, this.#into, packet, now);
    else this.#plane.enter(this.#tenant, this.#into, packet, now);
  }

  refuse(packet: Packet, reason: number, now: Millis): void {
    this.#tenant.compartment.refuse(packet, reason, now);
  }

  conflict(address: Address, mac: Bytes): void {
    const compartment = this.#tenant.compartment.number;
    this.#plane.tell({ type: 'conflict', compartment, interface: this.#into.number, address, mac });
  }

  /** What else is answered for. */
  get answered(): Iterable<Prefix> {
    return this.#answered?.values() ?? [];
  }

  /** False: there are too many. */
  answerFor(prefix: Prefix): boolean {
    const taken = this.segment.answerFor(prefix);
    if (taken) {
      this.#answered ??= new Map();
      this.#answered.set(formatPrefix(prefix), prefix);
    }
    return taken;
  }

  stopAnswering(prefix: Prefix): void {
    this.#answered?.delete(formatPrefix(prefix));
    this.segment.stopAnswering(prefix);
  }

  receive(frame: Packet, now: Millis): void {
    this.segment.receive(frame, now);
    this.#plane.touch(this);
  }

  transmit(packet: Packet, nextHop: Address | undefined, now: Millis): void {
    this.segment.transmit(packet, nextHop, now, this.#plane.senderOr(this.#tenant.compartment.number));
    this.#plane.touch(this);
  }

  deadline(): Deadline | undefined {
    return this.segment.deadline();
  }

  tick(now: Millis): void {
    this.segment.expire(now);
  }
}
