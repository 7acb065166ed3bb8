/**
 * A network card for a host: IP packets in frames, ARP by the compartments' own segment, one next hop for what is not on link.
 *
 * Read first: `compartment/segment.ts`, which does the work. Leaves to others: what the other end of the cable is.
 * Invariant: a packet it holds is released before the call returns, unless it waits for a neighbour.
 */
import { Segment } from '../compartment/index.ts';
import type { Bytes, Deadline, Millis, Random, Timed } from '../core/index.ts';
import {
  type Address,
  contains,
  destinationOf,
  octetsOf,
  PASS,
  type Packet,
  PacketPool,
  type Prefix,
} from '../ip/index.ts';
import type { HostLink } from './host.ts';
import type { Receive } from './network.ts';
import type { Timeline } from './timeline.ts';

export interface EthernetLinkOptions {
  readonly timeline: Timeline;
  readonly random: Random;
  readonly mac: Bytes;
  /** Own, with the prefix that is on link. */
  readonly address: Prefix;
  readonly gateway: Address;
  /** Puts the cable in: frames from the other end go to `receive`, the answer sends there. */
  readonly plug: (receive: Receive) => Receive;
}

export class EthernetLink implements HostLink, Timed {
  /** Packets whose next hop does not answer, and frames that were not for this card. */
  readonly counters = { unreachable: 0, refused: 0 };
  readonly #options: EthernetLinkOptions;
  readonly #pool = new PacketPool(64, 2048);
  readonly #segment: Segment;
  readonly #out: Receive;
  readonly #taps: Receive[] = [];
  #receive: Receive = () => {};

  constructor(options: EthernetLinkOptions) {
    const { timeline, random, mac, address, plug } = options;
    this.#options = options;
    this.#segment = new Segment({
      mac,
      pool: this.#pool,
      addresses: [address],
      random,
      sink: {
        frame: (packet) => this.#leave(this.#taken(packet)),
        ip: (packet) => {
          const octets = this.#taken(packet);
          timeline.after(0, () => this.#receive(octets));
        },
        refuse: (packet) => {
          this.counters.unreachable += 1;
          this.#pool.release(packet);
        },
      },
    });
    this.#out = plug((frame) => this.#enter(frame));
    timeline.join(this);
  }

  attach(_address: Address, receive: Receive): void {
    this.#receive = receive;
  }

  /** Every frame on the cable, either way. */
  tap(see: Receive): void {
    this.#taps.push(see);
  }

  send(octets: Bytes): void {
    const { timeline, address, gateway } = this.#options;
    const packet = this.#pool.from(octets);
    if (packet === undefined) return;
    const onLink = contains(address, destinationOf(octets, 0));
    this.#segment.transmit(packet, onLink ? undefined : gateway, timeline.now);
  }

  deadline(): Deadline | undefined {
    return this.#segment.deadline();
  }

  tick(now: Millis): void {
    this.#segment.expire(now);
  }

  #leave(frame: Bytes): void {
    for (const see of this.#taps) see(frame);
    this.#options.timeline.after(0, () => this.#out(frame));
  }

  #enter(frame: Bytes): void {
    for (const see of this.#taps) see(frame);
    const packet = this.#pool.from(frame);
    if (packet === undefined) return;
    const verdict = this.#segment.receive(packet, this.#options.timeline.now);
    if (verdict !== PASS) this.counters.refused += 1;
  }

  #taken(packet: Packet): Bytes {
    const octets = octetsOf(packet).slice();
    this.#pool.release(packet);
    return octets;
  }
}
