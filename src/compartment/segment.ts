/**
 * What stands between an interface of a compartment and an Ethernet port: headers on and off, who is where, and what is said about it.
 *
 * Read first: RFC 894, RFC 2464 (IP over Ethernet), RFC 826, RFC 5227 §2.3–2.4 (announcement, defence), RFC 4861 §7.2, RFC 1812 §3.3.2
 * and §5.3.4 (whom not to believe, what came to a group), RFC 6980 §5 (no fragments).
 * Frames for another station, of other types, with VLAN tags or from our own MAC address end here. IP packets go on as they came: the
 * compartment checks them. Superframes pass both ways, with one header in front; their IP header stands at start + ETHERNET_HEADER.
 * Leaves to others: states of neighbours (`neighbours.ts`), what is heard and said (`neighbour-reception.ts`, `neighbour-messages.ts`),
 * routes, ports.
 * Deliberate limits: an address is used without asking first whether it is free (RFC 5227 §2.1, RFC 4862 §5.4): a gateway comes up with
 * what it is given, and reports conflicts. No router advertisements; those of others, and redirects, mean nothing to a compartment.
 * Invariants: a frame given is handed on or released; a packet given is framed, refused or waits, each once; nothing is allocated for
 * a packet to a known neighbour.
 */
import type { Bytes, Deadline, Millis, Random } from '../core/index.ts';
import { earliest, invariant } from '../core/index.ts';
import {
  type Address,
  BROADCAST_MAC,
  checkEthernet,
  DROP,
  destinationOf,
  ETHER_TYPE,
  ETHERNET_HEADER,
  etherType,
  IP_PROTOCOL,
  IPV4_HEADER,
  IPV6_HEADER,
  ipVersion,
  ipv4Destination,
  ipv4IsMulticast,
  ipv6DestinationAt,
  ipv6NextHeader,
  MAC_LENGTH,
  macIsGroup,
  PASS,
  type Packet,
  type PacketPool,
  type Prefix,
  sameMac,
  writeEthernet,
  writeIpv4GroupMac,
  writeIpv6GroupMac,
} from '../ip/index.ts';
import { Announcements } from './announcements.ts';
import {
  type CountersOfSegment,
  newSegmentCounters,
  readSegmentCounters,
  SEGMENT_CELLS,
  SEGMENT_DROPS,
  segmentDropCells,
} from './counters.ts';
import { SEGMENT_LIMITS } from './limits.ts';
import type { Neighbour } from './neighbour.ts';
import { NeighbourMessages } from './neighbour-messages.ts';
import { NeighbourReception } from './neighbour-reception.ts';
import { NeighbourTable } from './neighbours.ts';
import { OwnAddresses } from './own-addresses.ts';
import { isGroup } from './scope.ts';
import type { NeighbourView, SegmentCounters, SegmentLimits, SegmentOptions, SegmentSink } from './segment-contract.ts';

export class Segment {
  readonly limits: SegmentLimits;
  readonly #mac: Bytes;
  readonly #pool: PacketPool;
  readonly #sink: SegmentSink;
  readonly #own: OwnAddresses;
  readonly #random: Random;
  readonly #cells: Float64Array;
  readonly #counters: CountersOfSegment;
  readonly #messages: NeighbourMessages;
  /** From the first packet on. */
  #made: Parts | undefined;
  /** While something is to be announced. */
  #announcements: Announcements | undefined;

  constructor(options: SegmentOptions) {
    const { mac, pool, sink } = options;
    invariant(mac.length === MAC_LENGTH && !macIsGroup(mac, 0), 'the MAC address of a segment is that of one station');
    this.limits = options.limits === undefined ? SEGMENT_LIMITS : { ...SEGMENT_LIMITS, ...options.limits };
    this.#mac = mac;
    this.#pool = pool;
    this.#sink = sink;
    this.#random = options.random;
    this.#cells = options.cells ?? new Float64Array(SEGMENT_CELLS);
    this.#counters = newSegmentCounters(this.#cells);
    this.#messages = new NeighbourMessages(mac, pool, sink, this.#counters);
    this.#own = new OwnAddresses(this.limits.answered);
    this.#own.set(options.addresses);
  }

  /** Reads what each frame needs, to be read before it is needed; of no meaning otherwise. */
  touch(): number {
    return this.#mac[0]! + (this.#announcements === undefined ? 0 : 1);
  }

  get mac(): Bytes {
    return this.#mac.slice();
  }

  // Packets.

  /** Takes a frame from the port: PASS, or the DROP code that was counted. */
  receive(frame: Packet, now: Millis): number {
    const verdict = this.#admit(frame, now);
    if (verdict !== PASS) {
      this.#cells[SEGMENT_DROPS + verdict]! += 1;
      this.#pool.release(frame);
    }
    return verdict;
  }

  /**
   * Takes an IP packet for `nextHop`; undefined: for its destination. It leaves, or waits until it is known where to, and then counts as
   * that of `holder`.
   */
  transmit(packet: Packet, nextHop: Address | undefined, now: Millis, holder = 0): void {
    const { buf, start } = packet;
    if (nextHop === undefined && isGroup(buf, start)) return this.#carry(packet, this.#macOfGroup(buf, start), now);
    const { neighbours } = this.#parts;
    const neighbour = nextHop === undefined ? towards(neighbours, buf, start) : neighbours.find(nextHop);
    if (neighbour === undefined) neighbours.seek(nextHop ?? destinationOf(buf, start), packet, holder, now);
    else if (neighbours.use(neighbour, now)) this.#carry(packet, neighbour.mac, now);
    else neighbours.hold(neighbour, packet, holder, now);
  }

  // Our addresses.

  /** Replaces our own addresses; `announce` tells the segment. */
  setAddresses(addresses: readonly Prefix[]): void {
    this.#own.set(addresses);
  }

  /**
   * Answers for every address of the prefix, as for the external addresses of a NAT: nobody else on the segment may have one. False,
   * and counted, when there are too many.
   */
  answerFor(prefix: Prefix): boolean {
    const added = this.#own.answerFor(prefix);
    if (!added) this.#counters.configurationRefused += 1;
    return added;
  }

  /** False when it was not answered for. */
  stopAnswering(prefix: Prefix): boolean {
    return this.#own.stopAnswering(prefix);
  }

  /** RFC 5227 §2.3, RFC 4861 §7.2.6: tells everybody what is ours, and once more after a while; `only` one address of it. */
  announce(now: Millis, only?: Address): void {
    const addresses = only === undefined ? this.#own.announced() : [only];
    this.#announcements ??= new Announcements(this.limits.announceMs, (address) => {
      if (this.#own.isAnswered(address)) this.#messages.announce(address);
    });
    this.#announcements.begin(
      addresses.filter((address) => this.#own.isAnswered(address)),
      now,
    );
  }

  // Neighbours.

  neighbours(): NeighbourView[] {
    return this.#made?.neighbours.views() ?? [];
  }

  /** False, and counted, when there is no room for it. */
  addPermanent(address: Address, mac: Bytes, now: Millis): boolean {
    const added = this.#parts.neighbours.addPermanent(address, mac, now);
    if (!added) this.#counters.configurationRefused += 1;
    return added;
  }

  /** Permanent ones, too. What waits for it is refused. False when it was not known. */
  removeNeighbour(address: Address, now: Millis): boolean {
    return this.#made?.neighbours.remove(address, now) ?? false;
  }

  /** Forgets all but permanent ones; what waits is refused, so that nothing is left of a segment that goes. */
  flushNeighbours(now: Millis): void {
    this.#made?.neighbours.flush(now);
  }

  // Counters and time.

  /** One counter a DROP code, live. */
  get drops(): Float64Array {
    return segmentDropCells(this.#cells);
  }

  get counters(): SegmentCounters {
    return readSegmentCounters(this.#counters);
  }

  /** What time does to neighbours and announcements. */
  expire(now: Millis): void {
    this.#made?.neighbours.expire(now);
    this.#announcements?.run(now);
    if (this.#announcements?.deadline() === undefined) this.#announcements = undefined;
  }

  deadline(): Deadline | undefined {
    return earliest(this.#made?.neighbours.deadline(), this.#announcements?.deadline());
  }

  // In.

  #admit(frame: Packet, now: Millis): number {
    const { buf, start, end } = frame;
    const verdict = checkEthernet(buf, start, end);
    if (verdict !== PASS) return verdict;
    if (sameMac(buf, start + 6, this.#mac, 0)) return DROP.martian;
    if (!macIsGroup(buf, start) && !sameMac(buf, start, this.#mac, 0)) return DROP.notOurs;
    switch (etherType(buf, start)) {
      case ETHER_TYPE.ipv4:
        return this.#ipv4(frame, now);
      case ETHER_TYPE.ipv6:
        return this.#ipv6(frame, now);
      case ETHER_TYPE.arp:
        return this.#consume(frame, this.#parts.reception.arp(frame, now));
      default:
        return DROP.etherType;
    }
  }

  #ipv4(frame: Packet, now: Millis): number {
    const { buf, start, end } = frame;
    const at = start + ETHERNET_HEADER;
    if (end - at < IPV4_HEADER) return DROP.short;
    if (ipVersion(buf, at) !== 4) return DROP.version;
    return this.#deliver(frame, at, now);
  }

  #ipv6(frame: Packet, now: Millis): number {
    const { buf, start, end } = frame;
    const at = start + ETHERNET_HEADER;
    if (end - at < IPV6_HEADER) return DROP.short;
    if (ipVersion(buf, at) !== 6) return DROP.version;
    const next = ipv6NextHeader(buf, at);
    if (next !== IP_PROTOCOL.tcp && next !== IP_PROTOCOL.udp && this.#parts.reception.isDiscovery(buf, at, end)) {
      return this.#consume(frame, this.#parts.reception.discovery(frame, now));
    }
    return this.#deliver(frame, at, now);
  }

  /** RFC 1812 §5.3.4: what came to a group and is for one host was never meant to be routed. */
  #deliver(frame: Packet, at: number, now: Millis): number {
    if (macIsGroup(frame.buf, frame.start) && !isGroup(frame.buf, at)) return DROP.notForwarded;
    frame.start = at;
    this.#sink.ip(frame, now);
    return PASS;
  }

  #consume(frame: Packet, verdict: number): number {
    if (verdict === PASS) this.#pool.release(frame);
    return verdict;
  }

  // Out.

  #carry(packet: Packet, mac: Bytes, now: Millis): void {
    const type = ipVersion(packet.buf, packet.start) === 4 ? ETHER_TYPE.ipv4 : ETHER_TYPE.ipv6;
    if (packet.start < ETHERNET_HEADER) return this.#sink.refuse(packet, DROP.noRoom, now);
    packet.start -= ETHERNET_HEADER;
    writeEthernet(packet.buf, packet.start, mac, this.#mac, type);
    this.#sink.frame(packet);
  }

  #macOfGroup(buf: Bytes, start: number): Bytes {
    const mac = GROUP_MAC;
    if (ipVersion(buf, start) === 6) writeIpv6GroupMac(mac, 0, buf, ipv6DestinationAt(start));
    else if (ipv4IsMulticast(ipv4Destination(buf, start))) writeIpv4GroupMac(mac, 0, ipv4Destination(buf, start));
    else mac.set(BROADCAST_MAC);
    return mac;
  }

  get #parts(): Parts {
    this.#made ??= this.#makeParts();
    return this.#made;
  }

  #makeParts(): Parts {
    const sink = this.#sink;
    const owner = {
      solicit: (neighbour: Neighbour, unicast: boolean) => this.#solicit(neighbour, unicast),
      carry: (packet: Packet, neighbour: Neighbour, now: Millis) => this.#carry(packet, neighbour.mac, now),
      refuse: (packet: Packet, reason: number, now: Millis) => sink.refuse(packet, reason, now),
    };
    const neighbours = new NeighbourTable(owner, this.limits, this.#counters, this.#random, this.#pool.waiting);
    const reception = new NeighbourReception({
      mac: this.#mac,
      own: this.#own,
      neighbours,
      messages: this.#messages,
      counters: this.#counters,
      defendMs: this.limits.defendMs,
      conflict: (address, other) => sink.conflict?.(address, other),
    });
    return { neighbours, reception };
  }

  /** RFC 4861 §7.2.2: without an address of the family nobody can be asked; over IPv4 the zero address asks, too (RFC 5227 §1.1). */
  #solicit(neighbour: Neighbour, unicast: boolean): void {
    const { address, mac } = neighbour;
    const source = this.#own.sourceFor(address) ?? (address.length === 4 ? ZERO : undefined);
    if (source !== undefined) this.#messages.ask(address, source, unicast ? mac : undefined);
  }
}

interface Parts {
  readonly neighbours: NeighbourTable;
  readonly reception: NeighbourReception;
}

const towards = (neighbours: NeighbourTable, buf: Bytes, start: number): Neighbour | undefined =>
  ipVersion(buf, start) === 4
    ? neighbours.find4(ipv4Destination(buf, start))
    : neighbours.find6(buf, ipv6DestinationAt(start));

/** Of one call only. */
const GROUP_MAC = new Uint8Array(MAC_LENGTH);

const ZERO: Address = new Uint8Array(4);
