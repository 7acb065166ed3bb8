/**
 * The inside of a tenant at one gateway: the hosts that hang on a `fabric` interface, found by their addresses.
 *
 * A segment knows no other segment: two tenants' hosts with one address never meet here.
 */
import type { Bytes } from '../core/index.ts';
import { type Address, destinationOf, formatAddress } from '../ip/index.ts';
import type { Receive } from './network.ts';
import type { Timeline } from './timeline.ts';

export class Segment {
  /** Packets from the gateway to an address no host here has. */
  unclaimed = 0;
  readonly #timeline: Timeline;
  readonly #toGateway: Receive;
  readonly #hosts = new Map<string, Receive>();
  readonly #taps: Receive[] = [];

  constructor(timeline: Timeline, toGateway: Receive) {
    this.#timeline = timeline;
    this.#toGateway = toGateway;
  }

  attach(address: Address, receive: Receive): void {
    this.#hosts.set(formatAddress(address), receive);
  }

  /** Every packet on the segment, either way. */
  tap(see: Receive): void {
    this.#taps.push(see);
  }

  /** From the gateway. */
  deliver(packet: Bytes): void {
    for (const see of this.#taps) see(packet);
    const receive = this.#hosts.get(formatAddress(destinationOf(packet, 0)));
    if (receive === undefined) this.unclaimed += 1;
    else this.#timeline.after(0, () => receive(packet));
  }

  /** From a host: to its neighbour, or to the gateway. */
  send(packet: Bytes): void {
    for (const see of this.#taps) see(packet);
    const neighbour = this.#hosts.get(formatAddress(destinationOf(packet, 0)));
    this.#timeline.after(0, () => (neighbour ?? this.#toGateway)(packet));
  }
}
