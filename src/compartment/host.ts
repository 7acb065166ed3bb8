/**
 * The local host of a compartment: answers echo requests to its own addresses, says what it does not offer, and pings.
 *
 * Read first: RFC 1122 §3.2.2 and §3.3.2, RFC 1812 §4.3.3.6 (echo), RFC 4443 §2.2 (a), §3.1, §4; RFC 8200 §4.5.
 * Leaves to others: routes and fragmentation of what it sends (`compartment.ts`), putting fragments together (`ip/`).
 * Deliberate limits: no UDP service, so every port is unreachable; TCP goes to an endpoint elsewhere (`Sink.transport`), and without one
 * is as unreachable as other protocols; a reply carries no options and no extension headers, also where the request had them; ICMP
 * messages other than echo and errors are consumed in silence.
 * Invariant: nothing here answers an answer, so a packet to itself ends after one reply.
 */
import { type Bytes, type Deadline, earliest, type Millis, putU16 } from '../core/index.ts';
import {
  type Address,
  answerEcho,
  buildIcmpEcho,
  checkUdp,
  completeChecksum,
  DROP,
  DROP_NAMES,
  DROP_TEXT,
  type DropReason,
  destinationOf,
  dscpOf,
  echoIdentifier,
  echoSequence,
  fillIpv4Checksum,
  findUpperLayer,
  formatAddress,
  ICMP_HEADER,
  IP_PROTOCOL,
  IPV4_HEADER,
  IPV6_HEADER,
  ipVersion,
  isEchoReply,
  isEchoRequest,
  newUpperLayer,
  PASS,
  type Packet,
  quotedPacketAt,
  Reassembly,
  setTrafficClass,
  sourceOf,
  trafficClass,
  transportChecksumHolds,
  wrapPacket,
} from '../ip/index.ts';
import type { CompartmentLimits, PingRequest, PingResult } from './contract.ts';
import type { IcmpErrors, Station } from './icmp-errors.ts';
import type { Interface } from './interface.ts';
import { nextHeaderField } from './parameter-problem.ts';
import { Pings } from './pings.ts';
import { failureOf, quotedEcho } from './quote.ts';

/** The slot of octets that belong to no pool: datagrams put together from fragments. */
export const UNPOOLED = -1;

export class LocalHost {
  readonly #station: Station;
  readonly #errors: IcmpErrors;
  readonly #limits: CompartmentLimits;
  readonly #reassembly: Reassembly;
  readonly #pings: Pings;
  readonly #upper = newUpperLayer();

  constructor(station: Station, errors: IcmpErrors, limits: CompartmentLimits, report: (result: PingResult) => void) {
    this.#station = station;
    this.#errors = errors;
    this.#limits = limits;
    this.#reassembly = new Reassembly({ packets: limits.reassemblies });
    this.#pings = new Pings(limits.pings, report);
  }

  /** Takes a checked packet to an own address: PASS when it is consumed, else the DROP code, and it stays the caller's. */
  deliver(packet: Packet, into: Interface | undefined, now: Millis): number {
    const { buf, start, end } = packet;
    const upper = this.#upper;
    const verdict = findUpperLayer(buf, start, end, upper);
    if (verdict !== PASS) return verdict;
    if (upper.fragmentHeader < 0 && upper.fragmentOffset === 0 && !upper.moreFragments) {
      return this.#receive(packet, into, now);
    }
    const whole = this.#reassembly.add(buf, start, end, now);
    if (whole === 'refused') return DROP.fragment;
    if (whole !== 'waiting') {
      const datagram = wrapPacket(whole);
      const fate = findUpperLayer(whole, 0, whole.length, upper);
      if (fate !== PASS) return fate;
      const refused = this.#receive(datagram, into, now);
      if (refused !== PASS) return refused;
    }
    this.#station.release(packet);
    return PASS;
  }

  /** Sends an echo request; its one result comes later, or at once where there is no way. Words when it was not accepted. */
  ping(request: PingRequest, now: Millis): string | undefined {
    const refusal = this.#begin(request, now);
    if (refusal !== undefined) this.#station.counters.pingsRefused += 1;
    return refusal;
  }

  /** Gives up on pings and on fragments that waited too long. */
  expire(now: Millis): void {
    this.#pings.expire(now);
    for (const first of this.#reassembly.expire(now)) {
      const packet = wrapPacket(first);
      this.#errors.answer('reassemblyTimeExceeded', packet, undefined, now, 0, destinationOf(first, 0));
    }
  }

  deadline(): Deadline | undefined {
    return earliest(this.#pings.deadline(), this.#reassembly.deadline());
  }

  /** `#upper` describes the packet, which is whole. */
  #receive(packet: Packet, into: Interface | undefined, now: Millis): number {
    const { buf, start } = packet;
    const { protocol, at, end } = this.#upper;
    const version = ipVersion(buf, start);
    if (protocol === (version === 4 ? IP_PROTOCOL.icmp : IP_PROTOCOL.icmpv6)) {
      if (!transportChecksumHolds(buf, start, at, end, protocol)) return DROP.checksum;
      this.#consumed(packet);
      if (isEchoRequest(buf, at, end, version)) return this.#reply(packet, now);
      if (isEchoReply(buf, at, end, version)) {
        const from = sourceOf(buf, start);
        const octets = end - at - ICMP_HEADER;
        this.#expected(this.#pings.replied(echoIdentifier(buf, at), echoSequence(buf, at), from, octets, now));
      } else {
        this.#heedError(packet, now);
      }
      this.#station.release(packet);
      return PASS;
    }
    // RFC 8200 §4.7: nothing follows and nobody is told.
    if (protocol === IP_PROTOCOL.noNextHeader && version === 6) return DROP.protocolUnreachable;
    if (protocol === IP_PROTOCOL.tcp && this.#station.transport(packet)) {
      this.#consumed(packet);
      this.#station.release(packet);
      return PASS;
    }
    const own = destinationOf(buf, start);
    if (protocol === IP_PROTOCOL.udp) {
      // A superframe goes on owing its checksum; its headers were measured where it came in.
      completeChecksum(packet);
      const verdict = packet.segment > 0 ? PASS : checkUdp(buf, start, at, end);
      if (verdict !== PASS) return verdict;
      this.#errors.answer('portUnreachable', packet, into, now, 0, own);
      return DROP.portUnreachable;
    }
    const pointer = version === 4 ? 0 : nextHeaderField(buf, start, at);
    this.#errors.answer('protocolUnreachable', packet, into, now, pointer, own);
    return DROP.protocolUnreachable;
  }

  #consumed(packet: Packet): void {
    this.#station.counters.delivered += 1;
    this.#station.consumed(packet);
  }

  /** RFC 1122 §3.2.2.6: the same data back, from the address it was sent to, as a packet of our own. */
  #reply(packet: Packet, now: Millis): number {
    const { buf } = packet;
    this.#strip(packet);
    answerEcho(buf, packet.start, this.#upper.at);
    setTrafficClass(buf, packet.start, dscpOf(trafficClass(buf, packet.start)) << 2);
    this.#station.counters.echoReplies += 1;
    this.#station.send(packet, now);
    return PASS;
  }

  /** Leaves of the headers the IP header alone, directly before the upper layer; DF, too, was the sender's wish only. */
  #strip(packet: Packet): void {
    const { buf, start } = packet;
    const { protocol, at, end } = this.#upper;
    const v4 = ipVersion(buf, start) === 4;
    const header = v4 ? IPV4_HEADER : IPV6_HEADER;
    packet.start = at - header;
    packet.end = end;
    packet.segment = 0;
    packet.partial = false;
    buf.copyWithin(packet.start, start, start + header);
    if (v4) {
      buf[packet.start] = 0x45;
      putU16(buf, packet.start + 2, end - packet.start);
      putU16(buf, packet.start + 6, 0);
      fillIpv4Checksum(buf, packet.start);
    } else {
      buf[packet.start + 6] = protocol;
      putU16(buf, packet.start + 4, end - at);
    }
  }

  /** An ICMP error about a ping of ours ends it; others may concern a TCP endpoint. */
  #heedError(packet: Packet, now: Millis): void {
    const { buf, start } = packet;
    const { at, end } = this.#upper;
    const version = ipVersion(buf, start);
    const quoted = quotedPacketAt(buf, at, end, version);
    const asked = quoted < 0 ? undefined : quotedEcho(buf, quoted, end, version);
    if (asked === undefined) {
      if (quoted >= 0) this.#station.transport(packet);
      return;
    }
    const from = sourceOf(buf, start);
    const failure = failureOf(buf, at, version, from);
    this.#expected(this.#pings.failed(asked.id, asked.sequence, asked.destination, from, failure, now));
  }

  #expected(matched: boolean): void {
    if (!matched) this.#station.counters.pingsUnmatched += 1;
  }

  #begin(request: PingRequest, now: Millis): string | undefined {
    const { destination, id, sequence, size } = request;
    const { pool } = this.#station;
    if ((id | sequence) >>> 16 !== 0) return 'identifier and sequence number of a ping have 16 bits';
    const source = request.source ?? this.#station.sourceTowards(destination);
    if (source === undefined) return `no own address of the family of ${formatAddress(destination)} to ping from`;
    if (source.length !== destination.length) return 'source and destination are of different families';
    if (!this.#station.owns(source)) return `${formatAddress(source)} is not an address of this compartment`;
    const room = pool.capacity - (source.length === 4 ? IPV4_HEADER : IPV6_HEADER) - ICMP_HEADER;
    if (size < 0 || size > room) return `a ping carries 0..${room} octets`;
    const refusal = this.#pings.begin(id, sequence, destination, now, request.timeoutMs ?? this.#limits.pingTimeoutMs);
    if (refusal !== undefined) return refusal;
    const verdict = this.#request(request, source, now);
    if (verdict !== PASS) {
      const outcome = verdict === DROP.noRoute || verdict === DROP.discarded ? 'no-route' : 'unreachable';
      const why = DROP_TEXT[DROP_NAMES[verdict] as DropReason];
      this.#pings.failed(id, sequence, destination, undefined, { outcome, why }, now);
    }
    return undefined;
  }

  #request({ destination, id, sequence, size, ttl }: PingRequest, source: Address, now: Millis): number {
    const echo = { type: 'request', source, destination, identifier: id, sequence, hopLimit: ttl ?? 64 } as const;
    const packet = this.#station.pool.from(buildIcmpEcho(echo, counting(size)));
    return packet === undefined ? DROP.noBuffer : this.#station.send(packet, now);
  }
}

/** Octets counting up, as ping(8) sends them. */
function counting(size: number): Bytes {
  const data = new Uint8Array(size);
  for (let i = 0; i < size; i++) data[i] = i;
  return data;
}
