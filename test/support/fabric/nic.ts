/** A station's Ethernet: headers on and off, ARP and neighbour discovery, one neighbour table that never forgets. */
import {
  type Address,
  ARP_LENGTH,
  arpOperation,
  arpSender,
  arpTarget,
  BROADCAST_MAC,
  destinationOf,
  ETHER_TYPE,
  ETHERNET_HEADER,
  etherType,
  findUpperLayer,
  formatAddress,
  formatMac,
  ICMPV6_TYPE,
  IP_PROTOCOL,
  ipVersion,
  ipv4Number,
  ipv4Octets,
  macIsGroup,
  ND_FLAG,
  ND_PACKET,
  ndTargetAt,
  newUpperLayer,
  PASS,
  sameMac,
  solicitedNode,
  sourceOf,
  writeArp,
  writeEthernet,
  writeIpv6GroupMac,
  writeNeighbourAdvertisement,
  writeNeighbourSolicitation,
} from '../../../src/ip/index.ts';
import type { Bytes, Millis } from './octets.ts';

export interface NicOptions {
  readonly mac: Bytes;
  readonly addresses: readonly Address[];
  readonly now: () => Millis;
  /** Who is asked for the way to an address. */
  readonly nextHop: (destination: Address) => Address | undefined;
  /** Carries a frame away. */
  readonly out: (frame: Bytes) => void;
  /** Takes an IP packet. */
  readonly up: (packet: Bytes) => void;
}

export class Nic {
  readonly mac: Bytes;
  readonly neighbours = new Map<string, Bytes>();
  /** Who asked for whom, and who said where he is: `10.1.0.1 asks for 10.1.0.10`, `10.1.0.1 is at …`. */
  readonly arp: string[] = [];
  /** Frames that were for somebody else. */
  stray = 0;
  /** It hears nothing, and so says nothing. */
  deaf = false;
  readonly #options: NicOptions;
  readonly #waiting = new Map<string, { readonly packet: Bytes; readonly since: Millis }[]>();
  readonly #upper = newUpperLayer();

  constructor(options: NicOptions) {
    this.#options = options;
    this.mac = options.mac;
  }

  send(packet: Bytes): void {
    const hop = this.#options.nextHop(destinationOf(packet, 0));
    if (hop === undefined) return;
    const key = formatAddress(hop);
    const mac = this.neighbours.get(key);
    if (mac !== undefined) return this.frame(mac, packet);
    const waiting = this.#waiting.get(key) ?? [];
    waiting.push({ packet, since: this.#options.now() });
    this.#waiting.set(key, waiting);
    this.ask(hop);
  }

  /** An IP packet in a frame. */
  frame(to: Bytes, packet: Bytes): void {
    this.#out(to, ipVersion(packet, 0) === 4 ? ETHER_TYPE.ipv4 : ETHER_TYPE.ipv6, packet);
  }

  ask(address: Address): void {
    const own = this.#options.addresses.find(({ length }) => length === address.length);
    if (own === undefined) return;
    if (address.length === 4) return this.sayArp(1, ipv4Number(own), ipv4Number(address));
    const packet = new Uint8Array(ND_PACKET);
    const group = solicitedNode(address);
    writeNeighbourSolicitation(packet, 0, own, group, address, this.mac);
    const to = new Uint8Array(6);
    writeIpv6GroupMac(to, 0, group);
    this.frame(to, packet);
  }

  sayArp(operation: number, sender: number, target: number, to: Bytes = BROADCAST_MAC): void {
    const message = new Uint8Array(ARP_LENGTH);
    writeArp(message, 0, operation, this.mac, sender, target);
    this.#out(to, ETHER_TYPE.arp, message);
  }

  receive(frame: Bytes): void {
    if (this.deaf) return;
    if (!macIsGroup(frame, 0) && !sameMac(frame, 0, this.mac, 0)) {
      this.stray += 1;
      return;
    }
    const body = frame.slice(ETHERNET_HEADER);
    const from = frame.slice(6, 12);
    if (etherType(frame, 0) === ETHER_TYPE.arp) return this.#onArp(body, from);
    if (etherType(frame, 0) === ETHER_TYPE.ipv6 && this.#onDiscovery(body, from)) return;
    this.#options.up(body);
  }

  #onArp(message: Bytes, from: Bytes): void {
    const sender = ipv4Octets(arpSender(message, 0));
    const target = ipv4Octets(arpTarget(message, 0));
    if (arpOperation(message, 0) === 2) return this.#learn(sender, from);
    this.arp.push(`${formatAddress(sender)} asks for ${formatAddress(target)}`);
    if (this.#owns(target)) this.sayArp(2, ipv4Number(target), ipv4Number(sender), from);
  }

  #onDiscovery(packet: Bytes, from: Bytes): boolean {
    const upper = this.#upper;
    if (findUpperLayer(packet, 0, packet.length, upper) !== PASS || upper.protocol !== IP_PROTOCOL.icmpv6) return false;
    const type = packet[upper.at]!;
    const target = packet.slice(ndTargetAt(upper.at), ndTargetAt(upper.at) + 16);
    if (type === ICMPV6_TYPE.neighborAdvertisement) this.#learn(target, from);
    else if (type !== ICMPV6_TYPE.neighborSolicitation) return false;
    else if (this.#owns(target)) {
      const answer = new Uint8Array(ND_PACKET);
      const flags = ND_FLAG.solicited | ND_FLAG.override;
      writeNeighbourAdvertisement(answer, 0, flags, target, sourceOf(packet, 0), target, this.mac);
      this.frame(from, answer);
    }
    return true;
  }

  #learn(address: Address, mac: Bytes): void {
    const key = formatAddress(address);
    this.arp.push(`${key} is at ${formatMac(mac)}`);
    this.neighbours.set(key, mac);
    const waiting = this.#waiting.get(key) ?? [];
    this.#waiting.delete(key);
    for (const { packet, since } of waiting) if (this.#options.now() - since < WAIT) this.frame(mac, packet);
  }

  #owns(address: Address): boolean {
    const key = formatAddress(address);
    return this.#options.addresses.some((own) => formatAddress(own) === key);
  }

  #out(to: Bytes, type: number, body: Bytes): void {
    const frame = new Uint8Array(ETHERNET_HEADER + body.length);
    writeEthernet(frame, 0, to, this.mac, type);
    frame.set(body, ETHERNET_HEADER);
    this.#options.out(frame);
  }
}

/** How long a packet waits for its neighbour. */
const WAIT: Millis = 1000;
