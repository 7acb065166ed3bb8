/**
 * The outer network: IP packets between the addresses attached to it, late, lost, doubled and overtaken as its conditions say.
 *
 * Read first: RFC 791 §3.2 (fragments: cut at the MTU here, put together where they arrive).
 * Jitter alone never lets a packet overtake another of its flow; `reorder` does.
 * Leaves to others: who stands at an address (`gateway-node.ts`), address translation (`nat.ts`), files (`capture.ts`).
 * Limits: one hop, no ICMP: what does not arrive is counted.
 */
import { type Bytes, fraction, type Millis, type Random } from '../core/index.ts';
import {
  type Address,
  checkIp,
  destinationOf,
  formatAddress,
  fragmentIpv4,
  ipVersion,
  ipv4DontFragment,
  ipv4IsFragment,
  octetsOf,
  PASS,
  PacketPool,
  Reassembly,
  sourceOf,
  wrapPacket,
} from '../ip/index.ts';
import type { Timeline } from './timeline.ts';

export interface Conditions {
  /** One way. */
  readonly delay: Millis;
  /** At most this much more. */
  readonly jitter: Millis;
  /** Shares of all packets, 0..1. */
  readonly loss: number;
  readonly duplicate: number;
  readonly reorder: number;
  readonly mtu: number;
}

export const CLEAN: Conditions = { delay: 5, jitter: 0, loss: 0, duplicate: 0, reorder: 0, mtu: 1500 };

export type Receive = (packet: Bytes) => void;

/** Where gateways send to and are found at: the outer network, or the inside of a NAT. */
export interface Outer {
  /** Whole packets to `address` are given to `receive`. */
  attach(address: Address, receive: Receive): void;
  detach(address: Address): void;
  send(packet: Bytes): void;
}

export interface NetworkCounters {
  sent: number;
  delivered: number;
  lost: number;
  duplicated: number;
  reordered: number;
  /** Larger than the MTU and not to be cut. */
  tooBig: number;
  /** Nobody has that address. */
  unknown: number;
  /** Stopped by `filter`. */
  filtered: number;
}

interface Attachment {
  readonly receive: Receive;
  readonly whole: boolean;
  readonly reassembly: Reassembly;
}

export class OuterNetwork implements Outer {
  conditions: Conditions;
  /** A firewall on the way: false stops a packet. */
  filter: (packet: Bytes) => boolean = () => true;
  readonly counters: NetworkCounters = {
    sent: 0,
    delivered: 0,
    lost: 0,
    duplicated: 0,
    reordered: 0,
    tooBig: 0,
    unknown: 0,
    filtered: 0,
  };
  readonly #timeline: Timeline;
  readonly #random: Random;
  readonly #attached = new Map<string, Attachment>();
  readonly #taps: Receive[] = [];
  /** Of each flow: before when nothing may arrive. */
  readonly #arrivals = new Map<string, Millis>();
  readonly #pool = new PacketPool(64, 9216);

  constructor(timeline: Timeline, random: Random, conditions: Partial<Conditions> = {}) {
    this.#timeline = timeline;
    this.#random = random;
    this.conditions = { ...CLEAN, ...conditions };
  }

  /** `whole` false: fragments come as they are, for who puts them together himself or passes them on. */
  attach(address: Address, receive: Receive, whole = true): void {
    this.#attached.set(formatAddress(address), { receive, whole, reassembly: new Reassembly() });
  }

  detach(address: Address): void {
    this.#attached.delete(formatAddress(address));
  }

  /** Every packet as it is sent, before anything can happen to it. */
  tap(see: Receive): void {
    this.#taps.push(see);
  }

  send(packet: Bytes): void {
    const { mtu } = this.conditions;
    if (packet.length <= mtu) return this.#carry(packet);
    if (ipVersion(packet, 0) !== 4 || ipv4DontFragment(packet, 0)) {
      this.counters.tooBig += 1;
      return;
    }
    fragmentIpv4(wrapPacket(packet), mtu, this.#pool, (piece) => {
      const octets = octetsOf(piece).slice();
      this.#pool.release(piece);
      this.#carry(octets);
    });
  }

  #carry(packet: Bytes): void {
    this.counters.sent += 1;
    for (const see of this.#taps) see(packet);
    const { loss, duplicate } = this.conditions;
    if (!this.filter(packet)) this.counters.filtered += 1;
    else if (this.#happens(loss)) this.counters.lost += 1;
    else {
      this.#schedule(packet);
      if (!this.#happens(duplicate)) return;
      this.counters.duplicated += 1;
      this.#schedule(packet);
    }
  }

  #schedule(packet: Bytes): void {
    const { delay, jitter, reorder } = this.conditions;
    const late = jitter === 0 ? delay : delay + jitter * fraction(this.#random);
    if (this.#happens(reorder)) {
      this.counters.reordered += 1;
      return this.#timeline.after(late + HELD_BACK, () => this.#deliver(packet));
    }
    const flow = `${formatAddress(sourceOf(packet, 0))}>${formatAddress(destinationOf(packet, 0))}`;
    const at = Math.max(this.#timeline.now + late, this.#arrivals.get(flow) ?? 0);
    this.#arrivals.set(flow, at);
    this.#timeline.after(at - this.#timeline.now, () => this.#deliver(packet));
  }

  #deliver(packet: Bytes): void {
    if (checkIp(packet, 0, packet.length) !== PASS) return;
    const attachment = this.#attached.get(formatAddress(destinationOf(packet, 0)));
    if (attachment === undefined) {
      this.counters.unknown += 1;
      return;
    }
    const { receive, whole: asWhole, reassembly } = attachment;
    reassembly.expire(this.#timeline.now);
    const isFragment = asWhole && ipVersion(packet, 0) === 4 && ipv4IsFragment(packet, 0);
    const whole = isFragment ? reassembly.add(packet, 0, packet.length, this.#timeline.now) : packet.slice();
    if (typeof whole === 'string') return;
    this.counters.delivered += 1;
    receive(whole);
  }

  #happens(share: number): boolean {
    return share > 0 && fraction(this.#random) < share;
  }
}

/** How much later a packet comes that others overtake. */
const HELD_BACK: Millis = 20;
