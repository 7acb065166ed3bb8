/**
 * What a segment hears about neighbours: ARP and neighbour discovery, whom it believes, what it answers, and who claims its addresses.
 *
 * Read first: RFC 826 (packet reception), RFC 5227 §2.4 (conflict, defence), RFC 4861 §7.2.3 and §7.2.5, RFC 6980 §5 (no fragments).
 * Verdicts: PASS: it was for us or about somebody we know; `notOurs`: it is between others; `martian`: our own words came back.
 * Deliberate limit: solicitations and advertisements of routers, and redirects, are checked and mean nothing here.
 */
import type { Bytes, Millis } from '../core/index.ts';
import {
  type Address,
  ARP_OPERATION,
  arpOperation,
  arpSender,
  arpSenderMacAt,
  arpTarget,
  BROADCAST_MAC,
  checkArp,
  checkIpv6,
  checkNeighbourDiscovery,
  DROP,
  ETHERNET_HEADER,
  findUpperLayer,
  ICMPV6_TYPE,
  IP_PROTOCOL,
  ipv4Octets,
  ipv6DestinationAt,
  ipv6IsMulticastAt,
  ipv6IsUnspecifiedAt,
  ipv6SourceAt,
  isArpProbe,
  isNeighbourDiscovery,
  MAC_LENGTH,
  macIsGroup,
  ND_FLAG,
  ND_OPTION,
  ndFlags,
  ndLinkLayerAt,
  ndTargetAt,
  newUpperLayer,
  PASS,
  type Packet,
  sameMac,
} from '../ip/index.ts';
import type { CountersOfSegment } from './counters.ts';
import { NEIGHBOUR } from './neighbour.ts';
import type { NeighbourMessages } from './neighbour-messages.ts';
import type { NeighbourTable } from './neighbours.ts';
import type { Answered, OwnAddresses } from './own-addresses.ts';

/** The parts of a segment that hearing concerns. */
export interface ReceptionOptions {
  readonly mac: Bytes;
  readonly own: OwnAddresses;
  readonly neighbours: NeighbourTable;
  readonly messages: NeighbourMessages;
  readonly counters: CountersOfSegment;
  readonly defendMs: Millis;
  conflict(address: Address, mac: Bytes): void;
}

export class NeighbourReception {
  readonly #parts: ReceptionOptions;
  readonly #upper = newUpperLayer();

  constructor(parts: ReceptionOptions) {
    this.#parts = parts;
  }

  /** RFC 826, in the order of its section on reception; notOurs: it is between others. */
  arp({ buf, start, end }: Packet, now: Millis): number {
    const at = start + ETHERNET_HEADER;
    const verdict = checkArp(buf, at, end);
    if (verdict !== PASS) return verdict;
    const sender = arpSender(buf, at);
    const target = arpTarget(buf, at);
    const macAt = arpSenderMacAt(at);
    const claimed = isArpProbe(buf, at) ? undefined : this.#parts.own.answered4(sender);
    if (claimed !== undefined) return this.#claimed(claimed, ipv4Octets(sender), buf, macAt, now);
    const known = this.#parts.neighbours.find4(sender);
    if (arpOperation(buf, at) === ARP_OPERATION.reply) {
      if (known === undefined) return this.#unsolicited();
      const { state } = known;
      const isAsked = state === NEIGHBOUR.incomplete || state === NEIGHBOUR.probe;
      const claim = isAsked && !macIsGroup(buf, start) ? CONFIRMATION : REPLACEMENT;
      this.#parts.neighbours.advertised(known, buf, macAt, claim, now);
      return PASS;
    }
    if (known !== undefined) this.#parts.neighbours.told(known, buf, macAt, now);
    if (this.#parts.own.answered4(target) === undefined) return known === undefined ? DROP.notOurs : PASS;
    if (known === undefined && this.#parts.own.isOnLink4(sender)) {
      this.#parts.neighbours.learn(ipv4Octets(sender), buf, macAt, now);
    }
    this.#parts.messages.reply(target, sender, buf.slice(macAt, macAt + MAC_LENGTH));
    return PASS;
  }

  /** Whether it is neighbour discovery and for us; `#upper` describes it then. What cannot be read is left to the compartment. */
  isDiscovery(buf: Bytes, at: number, end: number): boolean {
    const upper = this.#upper;
    if (findUpperLayer(buf, at, end, upper) !== PASS || upper.protocol !== IP_PROTOCOL.icmpv6) return false;
    if (upper.fragmentOffset !== 0 || upper.at >= upper.end || !isNeighbourDiscovery(buf[upper.at]!)) return false;
    const destination = ipv6DestinationAt(at);
    return ipv6IsMulticastAt(buf, destination) || this.#parts.own.answered6(buf, destination) !== undefined;
  }

  /** Directly after `isDiscovery`. */
  discovery({ buf, start, end }: Packet, now: Millis): number {
    const ip = start + ETHERNET_HEADER;
    const verdict = checkIpv6(buf, ip, end);
    if (verdict !== PASS) return verdict;
    const { at, end: last, fragmentHeader } = this.#upper;
    if (fragmentHeader >= 0) return DROP.neighbourMessage;
    const refused = checkNeighbourDiscovery(buf, ip, at, last);
    if (refused !== PASS) return refused;
    switch (buf[at]) {
      case ICMPV6_TYPE.neighborSolicitation:
        return this.#solicited(buf, start, ip, at, last, now);
      case ICMPV6_TYPE.neighborAdvertisement:
        return this.#advertised(buf, start, at, last, now);
      default:
        return DROP.notForwarded;
    }
  }

  /** RFC 4861 §7.2.3. */
  #solicited(buf: Bytes, start: number, ip: number, at: number, end: number, now: Millis): number {
    const source = ipv6SourceAt(ip);
    const target = ndTargetAt(at);
    const isAsked = this.#parts.own.answered6(buf, target) !== undefined;
    const option = ndLinkLayerAt(buf, at, end, ND_OPTION.sourceLinkLayerAddress);
    const macAt = option < 0 ? start + 6 : option;
    if (ipv6IsUnspecifiedAt(buf, source)) {
      if (!isAsked) return DROP.notOurs;
      this.#parts.messages.advertise(buf.slice(target, target + 16), undefined, BROADCAST_MAC);
      return PASS;
    }
    const claimed = this.#parts.own.answered6(buf, source);
    if (claimed !== undefined) return this.#claimed(claimed, buf.slice(source, source + 16), buf, macAt, now);
    const known = this.#parts.neighbours.find6(buf, source);
    if (known !== undefined && option >= 0) this.#parts.neighbours.told(known, buf, option, now);
    if (!isAsked) return known === undefined ? DROP.notOurs : PASS;
    if (known === undefined && option >= 0 && this.#parts.own.isOnLink6(buf, source)) {
      this.#parts.neighbours.learn(buf.slice(source, source + 16), buf, option, now);
    }
    const mac = buf.slice(macAt, macAt + MAC_LENGTH);
    this.#parts.messages.advertise(buf.slice(target, target + 16), buf.slice(source, source + 16), mac);
    return PASS;
  }

  /** RFC 4861 §7.2.5. */
  #advertised(buf: Bytes, start: number, at: number, end: number, now: Millis): number {
    const target = ndTargetAt(at);
    const option = ndLinkLayerAt(buf, at, end, ND_OPTION.targetLinkLayerAddress);
    const claimed = this.#parts.own.answered6(buf, target);
    if (claimed !== undefined) {
      return this.#claimed(claimed, buf.slice(target, target + 16), buf, option < 0 ? start + 6 : option, now);
    }
    const known = this.#parts.neighbours.find6(buf, target);
    if (known === undefined) return this.#unsolicited();
    const flags = ndFlags(buf, at);
    const claim = { solicited: (flags & ND_FLAG.solicited) !== 0, override: (flags & ND_FLAG.override) !== 0 };
    this.#parts.neighbours.advertised(known, buf, option, claim, now);
    return PASS;
  }

  /** RFC 5227 §2.4 (c): a router's address is defended for ever, but not more often than that. Our own words may come back to us. */
  #claimed(claimed: Answered, address: Address, buf: Bytes, macAt: number, now: Millis): number {
    if (sameMac(buf, macAt, this.#parts.mac, 0)) return DROP.martian;
    this.#parts.counters.conflicts += 1;
    const { defendedAt } = claimed;
    if (defendedAt !== undefined && now - defendedAt < this.#parts.defendMs) return PASS;
    claimed.defendedAt = now;
    this.#parts.counters.defences += 1;
    this.#parts.messages.announce(address);
    this.#parts.conflict(address, buf.slice(macAt, macAt + MAC_LENGTH));
    return PASS;
  }

  #unsolicited(): number {
    this.#parts.counters.unsolicited += 1;
    return PASS;
  }
}

/** An answer to a request of ours, and what anybody may say at any time: both replace what was known. */
const CONFIRMATION = { solicited: true, override: true } as const;
const REPLACEMENT = { solicited: false, override: true } as const;
