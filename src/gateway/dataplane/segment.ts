/**
 * An Ethernet segment in the data plane: an interface of one compartment on one side, on the other a port of the host's or of the
 * virtual switch.
 *
 * Read first: compartment/segment.ts. Invariant: an IP packet out of a segment enters the compartment it belongs to, and no other.
 */
import { SEGMENT_CELLS, Segment } from '../../compartment/index.ts';
import type { Bytes, Deadline, Millis, Timed } from '../../core/index.ts';
import { type Address, formatPrefix, type Packet, type Prefix } from '../../ip/index.ts';
import type { DataPlane } from './plane.ts';
import type { PlaneTenant } from './tenant.ts';

export interface PlaneSegmentOptions {
  readonly plane: DataPlane;
  readonly tenant: PlaneTenant;
  /** Number of the interface in the tenant's compartment. */
  readonly interface: number;
  readonly mac: Bytes;
  readonly addresses: readonly Prefix[];
  readonly cells: Float64Array;
  /** Takes over a frame. */
  readonly out: (frame: Packet) => void;
  /** Packets of one flow may enter as one. */
  readonly joins: boolean;
}

export class PlaneSegment implements Timed {
  touched = false;
  readonly segment: Segment;
  /** What else is answered for, by the text of the prefix. */
  readonly answered = new Map<string, Prefix>();
  readonly #plane: DataPlane;

  constructor({ plane, tenant, interface: number, mac, addresses, cells, out, joins }: PlaneSegmentOptions) {
    this.#plane = plane;
    const { compartment } = tenant;
    this.segment = new Segment({
      mac,
      pool: plane.pool,
      addresses,
      random: plane.random,
      cells: cells.subarray(0, SEGMENT_CELLS),
      sink: {
        frame: out,
        ip: (packet, now) =>
          joins ? plane.join(tenant, number, packet, now) : plane.enter(tenant, number, packet, now),
        refuse: (packet, reason, now) => compartment.refuse(packet, reason, now),
        conflict: (address, other) =>
          void plane.tell({
            type: 'conflict',
            compartment: compartment.number,
            interface: number,
            address,
            mac: other,
          }),
      },
    });
  }

  /** False: there are too many. */
  answerFor(prefix: Prefix): boolean {
    const taken = this.segment.answerFor(prefix);
    if (taken) this.answered.set(formatPrefix(prefix), prefix);
    return taken;
  }

  stopAnswering(prefix: Prefix): void {
    this.answered.delete(formatPrefix(prefix));
    this.segment.stopAnswering(prefix);
  }

  receive(frame: Packet, now: Millis): void {
    this.segment.receive(frame, now);
    this.#plane.touch(this);
  }

  transmit(packet: Packet, nextHop: Address | undefined, now: Millis): void {
    this.segment.transmit(packet, nextHop, now);
    this.#plane.touch(this);
  }

  deadline(): Deadline | undefined {
    return this.segment.deadline();
  }

  tick(now: Millis): void {
    this.segment.expire(now);
  }
}
