/**
 * What a segment says to its neighbours: ARP requests and replies, solicitations and advertisements, as frames for its port.
 *
 * Read first: RFC 826, RFC 5227 §2.3 (announcements), RFC 4861 §7.2.2, §7.2.4 and §7.2.6, RFC 2464 §7.
 * We are a router, and nobody else has an address we answer for: advertisements say `router` and `override`.
 * Invariant: a message there is no packet for is counted and not sent; nothing waits.
 */
import type { Bytes } from '../core/index.ts';
import {
  type Address,
  ALL_NODES,
  ARP_LENGTH,
  ARP_OPERATION,
  BROADCAST_MAC,
  ETHER_TYPE,
  ETHERNET_HEADER,
  ipv4Number,
  MAC_LENGTH,
  ND_FLAG,
  ND_PACKET,
  type Packet,
  type PacketPool,
  solicitedNode,
  writeArp,
  writeEthernet,
  writeIpv6GroupMac,
  writeNeighbourAdvertisement,
  writeNeighbourSolicitation,
} from '../ip/index.ts';
import type { CountersOfSegment } from './counters.ts';
import type { SegmentSink } from './segment-contract.ts';

export class NeighbourMessages {
  readonly #mac: Bytes;
  readonly #pool: PacketPool;
  readonly #sink: Pick<SegmentSink, 'frame'>;
  readonly #counters: CountersOfSegment;

  constructor(mac: Bytes, pool: PacketPool, sink: Pick<SegmentSink, 'frame'>, counters: CountersOfSegment) {
    this.#mac = mac;
    this.#pool = pool;
    this.#sink = sink;
    this.#counters = counters;
  }

  /** Asks who has `target`: everybody, or the one with that MAC address. `source` is of its family. */
  ask(target: Address, source: Address, mac: Bytes | undefined): void {
    const asked =
      target.length === 4
        ? this.#arp(ARP_OPERATION.request, mac ?? BROADCAST_MAC, ipv4Number(source), ipv4Number(target), undefined)
        : this.#solicitation(target, source, mac);
    if (!asked) return;
    if (mac === undefined) this.#counters.solicitations += 1;
    else this.#counters.probes += 1;
  }

  /** Answers whoever asked by ARP for `address` of ours. */
  reply(address: number, to: number, toMac: Bytes): void {
    if (this.#arp(ARP_OPERATION.reply, toMac, address, to, toMac)) this.#counters.answers += 1;
  }

  /** Answers whoever solicited `address` of ours; `to` is undefined where he has no address yet (RFC 4861 §7.2.4). */
  advertise(address: Address, to: Address | undefined, toMac: Bytes): void {
    const answered =
      to === undefined
        ? this.#advertisement(OURS, address, ALL_NODES, groupMac(ALL_NODES))
        : this.#advertisement(OURS | ND_FLAG.solicited, address, to, toMac);
    if (answered) this.#counters.answers += 1;
  }

  /** Tells everybody that `address` is ours. */
  announce(address: Address): void {
    const number = address.length === 4 ? ipv4Number(address) : 0;
    const told =
      address.length === 4
        ? this.#arp(ARP_OPERATION.request, BROADCAST_MAC, number, number, undefined)
        : this.#advertisement(OURS, address, ALL_NODES, groupMac(ALL_NODES));
    if (told) this.#counters.announcements += 1;
  }

  #arp(operation: number, to: Bytes, sender: number, target: number, targetMac: Bytes | undefined): boolean {
    const frame = this.#frame(to, ETHER_TYPE.arp, ARP_LENGTH);
    if (frame === undefined) return false;
    writeArp(frame.buf, frame.start + ETHERNET_HEADER, operation, this.#mac, sender, target, targetMac);
    this.#sink.frame(frame);
    return true;
  }

  #solicitation(target: Address, source: Address, mac: Bytes | undefined): boolean {
    const to = mac === undefined ? solicitedNode(target) : target;
    const frame = this.#frame(mac ?? groupMac(to), ETHER_TYPE.ipv6, ND_PACKET);
    if (frame === undefined) return false;
    writeNeighbourSolicitation(frame.buf, frame.start + ETHERNET_HEADER, source, to, target, this.#mac);
    this.#sink.frame(frame);
    return true;
  }

  #advertisement(flags: number, address: Address, to: Address, toMac: Bytes): boolean {
    const frame = this.#frame(toMac, ETHER_TYPE.ipv6, ND_PACKET);
    if (frame === undefined) return false;
    writeNeighbourAdvertisement(frame.buf, frame.start + ETHERNET_HEADER, flags, address, to, address, this.#mac);
    this.#sink.frame(frame);
    return true;
  }

  /** A frame with its header, and room for so many octets. */
  #frame(destination: Bytes, type: number, octets: number): Packet | undefined {
    const frame = this.#pool.take();
    if (frame === undefined) {
      this.#counters.withoutBuffer += 1;
      return undefined;
    }
    writeEthernet(frame.buf, frame.start, destination, this.#mac, type);
    frame.end = frame.start + ETHERNET_HEADER + octets;
    return frame;
  }
}

const OURS = ND_FLAG.router | ND_FLAG.override;

function groupMac(group: Address): Bytes {
  const mac = new Uint8Array(MAC_LENGTH);
  writeIpv6GroupMac(mac, 0, group);
  return mac;
}
