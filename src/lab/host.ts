/**
 * A virtual host: answers pings, runs the echo service of UDP port 7 (RFC 862), sends pings and datagrams, and remembers what
 * it saw. It hangs on a segment, on the outer network, or on a cable of its own.
 *
 * What it sends begins with a marker naming its tenant, so that a datum seen at another tenant's host is found (`foreign`). One
 * that belongs to no tenant (`OUTSIDE`) may talk with all.
 * Large packets without DF are cut at the host's MTU. Leaves TCP to others.
 */
import { type Bytes, type Deadline, EMPTY, type Millis, putU16, type Timed, u16 } from '../core/index.ts';
import {
  type Address,
  answerEcho,
  buildIcmpEcho,
  buildUdp,
  checkIp,
  checkUdp,
  destinationOf,
  echoIdentifier,
  echoSequence,
  fillIpv4Checksum,
  findUpperLayer,
  formatAddress,
  fragmentIpv4,
  ICMP_HEADER,
  ICMP_TYPE,
  ICMPV6_TYPE,
  IP_PROTOCOL,
  icmpCode,
  icmpMtu,
  icmpType,
  icmpv6Mtu,
  ipVersion,
  ipv4IsFragment,
  isEchoReply,
  isEchoRequest,
  newUpperLayer,
  octetsOf,
  PASS,
  PacketPool,
  quotedPacketAt,
  Reassembly,
  sourceOf,
  transportChecksumHolds,
  UDP_HEADER,
  type UpperLayer,
  udpDestinationPort,
  udpSourcePort,
  wrapPacket,
} from '../ip/index.ts';
import type { Receive } from './network.ts';
import type { Timeline } from './timeline.ts';

export const ECHO_PORT = 7;

/** The tenant of hosts that are nobody's. */
export const OUTSIDE = '';

/** What a host hangs on. */
export interface HostLink {
  /** Packets to `address` are given to `receive`. */
  attach(address: Address, receive: Receive): void;
  send(packet: Bytes): void;
}

export interface HostOptions {
  readonly timeline: Timeline;
  readonly segment: HostLink;
  readonly tenant: string;
  readonly name: string;
  readonly addresses: readonly Address[];
  readonly mtu?: number;
}

export interface HostPing {
  /** Octets of data, the marker among them. Default 56. */
  readonly size?: number;
  readonly dontFragment?: boolean;
  readonly timeToLive?: number;
  /** Default 2000. */
  readonly timeoutMs?: Millis;
}

/** A question under way or answered: a ping, or a datagram to somebody's echo service. */
export interface Query {
  readonly destination: Address;
  readonly size: number;
  readonly sentAt: Millis;
  outcome: 'waiting' | 'reply' | 'timeout' | 'unreachable' | 'too-big' | 'ttl-exceeded';
  milliseconds: Millis | undefined;
  /** Who said what kept it from its destination. */
  from: Address | undefined;
  /** `too-big`: what would fit. */
  mtu: number | undefined;
}

export interface HostCounters {
  /** Whole packets for one of its addresses. */
  received: number;
  echoRequests: number;
  datagrams: number;
  /** Data of another tenant: what must never be. */
  foreign: number;
  /** Wrong checksums, malformed. */
  refused: number;
}

export class Host implements Timed {
  readonly tenant: string;
  readonly name: string;
  readonly addresses: readonly Address[];
  readonly counters: HostCounters = { received: 0, echoRequests: 0, datagrams: 0, foreign: 0, refused: 0 };
  /** Markers seen in what arrived, each with how often. */
  readonly markers = new Map<string, number>();
  /** Of each marker the addresses it came from. */
  readonly sources = new Map<string, Set<string>>();
  readonly #timeline: Timeline;
  readonly #segment: HostLink;
  readonly #mtu: number;
  readonly #queries = new Map<string, { readonly query: Query; readonly giveUpAt: Millis }>();
  readonly #reassembly = new Reassembly();
  readonly #pool = new PacketPool(64, 9216);
  readonly #upper = newUpperLayer();
  #sequence = 0;
  #identification = 0;

  constructor(options: HostOptions) {
    const { timeline, segment, tenant, name, addresses, mtu = 1500 } = options;
    this.tenant = tenant;
    this.name = name;
    this.addresses = addresses;
    this.#timeline = timeline;
    this.#segment = segment;
    this.#mtu = mtu;
    for (const address of addresses) segment.attach(address, (packet) => this.#receive(packet));
    timeline.join(this);
  }

  deadline(): Deadline | undefined {
    let at = Number.POSITIVE_INFINITY;
    for (const { giveUpAt } of this.#queries.values()) at = Math.min(at, giveUpAt);
    return at === Number.POSITIVE_INFINITY ? undefined : { at, why: `${this.name} gives up on an answer` };
  }

  tick(now: Millis): void {
    for (const [key, { giveUpAt }] of this.#queries) if (giveUpAt <= now) this.#settle(key, 'timeout', undefined);
  }

  /** `bh:contoso:vm:`, what its data begin with. */
  get marker(): string {
    return `${MARK}${this.tenant}:${this.name}:`;
  }

  ping(destination: Address, options: HostPing = {}): Query {
    const { size = 56, dontFragment = false, timeToLive = 64, timeoutMs = TIMEOUT } = options;
    const sequence = this.#nextSequence();
    const query = this.#ask(`echo ${sequence}`, destination, size, timeoutMs);
    const fields = { source: this.#sourceFor(destination), destination, hopLimit: timeToLive, dontFragment };
    const echo = {
      ...fields,
      type: 'request' as const,
      identifier: IDENTIFIER,
      sequence,
      identification: this.#nextId(),
    };
    this.#send(buildIcmpEcho(echo, this.#data(size)));
    return query;
  }

  /** A datagram to the echo service of `destination`; the answer must be the same octets. */
  askUdp(destination: Address, size = 64, timeoutMs: Millis = TIMEOUT): Query {
    const sequence = this.#nextSequence();
    const query = this.#ask(`udp ${FIRST_PORT + sequence}`, destination, size, timeoutMs);
    this.sendUdp(destination, ECHO_PORT, this.#data(size), FIRST_PORT + sequence);
    return query;
  }

  sendUdp(destination: Address, destinationPort: number, data: Bytes, sourcePort: number): void {
    const fields = { source: this.#sourceFor(destination), destination, sourcePort, destinationPort };
    this.#send(buildUdp({ ...fields, identification: this.#nextId() }, data));
  }

  #ask(key: string, destination: Address, size: number, timeoutMs: Millis): Query {
    const sentAt = this.#timeline.now;
    const query: Query = {
      destination,
      size,
      sentAt,
      outcome: 'waiting',
      milliseconds: undefined,
      from: undefined,
      mtu: undefined,
    };
    this.#queries.set(key, { query, giveUpAt: sentAt + timeoutMs });
    return query;
  }

  #settle(key: string, outcome: Query['outcome'], from: Address | undefined, mtu?: number): void {
    const open = this.#queries.get(key);
    if (open === undefined) return;
    this.#queries.delete(key);
    const { query } = open;
    query.outcome = outcome;
    query.from = from;
    query.mtu = mtu;
    if (outcome !== 'timeout') query.milliseconds = this.#timeline.now - query.sentAt;
  }

  #send(packet: Bytes): void {
    if (packet.length <= this.#mtu || ipVersion(packet, 0) !== 4) return this.#segment.send(packet);
    fragmentIpv4(wrapPacket(packet), this.#mtu, this.#pool, (piece) => {
      this.#segment.send(octetsOf(piece).slice());
      this.#pool.release(piece);
    });
  }

  #receive(packet: Bytes): void {
    const { now } = this.#timeline;
    this.#reassembly.expire(now);
    if (checkIp(packet, 0, packet.length) !== PASS) {
      this.counters.refused += 1;
      return;
    }
    const isFragment = ipVersion(packet, 0) === 4 && ipv4IsFragment(packet, 0);
    const whole = isFragment ? this.#reassembly.add(packet, 0, packet.length, now) : packet;
    if (typeof whole === 'string') return;
    const upper = this.#upper;
    const readable = findUpperLayer(whole, 0, whole.length, upper) === PASS && this.#sound(whole, upper);
    this.counters[readable ? 'received' : 'refused'] += 1;
    if (!readable) return;
    if (upper.protocol === IP_PROTOCOL.udp) this.#datagram(whole, upper.at, upper.end);
    else if (isIcmp(upper.protocol)) this.#icmp(whole, upper.at, upper.end);
  }

  #sound(packet: Bytes, { protocol, at, end }: UpperLayer): boolean {
    if (protocol === IP_PROTOCOL.udp) return checkUdp(packet, 0, at, end) === PASS;
    return !isIcmp(protocol) || (end - at >= ICMP_HEADER && transportChecksumHolds(packet, 0, at, end, protocol));
  }

  #datagram(packet: Bytes, at: number, end: number): void {
    const data = packet.slice(at + UDP_HEADER, end);
    this.counters.datagrams += 1;
    const from = sourceOf(packet, 0);
    this.#look(data, from);
    const sourcePort = udpSourcePort(packet, at);
    const port = udpDestinationPort(packet, at);
    if (port === ECHO_PORT && sourcePort !== ECHO_PORT) this.#echo(destinationOf(packet, 0), from, sourcePort, data);
    else this.#settle(`udp ${port}`, 'reply', from);
  }

  #echo(source: Address, destination: Address, destinationPort: number, data: Bytes): void {
    const fields = { source, destination, sourcePort: ECHO_PORT, destinationPort };
    this.#send(buildUdp({ ...fields, identification: this.#nextId() }, data));
  }

  #icmp(packet: Bytes, at: number, end: number): void {
    const version = ipVersion(packet, 0);
    if (isEchoRequest(packet, at, end, version)) {
      this.counters.echoRequests += 1;
      this.#look(packet.subarray(at + ICMP_HEADER, end), sourceOf(packet, 0));
      answerEcho(packet, 0, at);
      if (version === 4) this.#stamp(packet);
      this.#send(packet);
    } else if (isEchoReply(packet, at, end, version)) {
      this.#look(packet.subarray(at + ICMP_HEADER, end), sourceOf(packet, 0));
      if (echoIdentifier(packet, at) === IDENTIFIER)
        this.#settle(`echo ${echoSequence(packet, at)}`, 'reply', sourceOf(packet, 0));
    } else this.#error(packet, at, end, version);
  }

  /** An ICMP error: about which question of ours? */
  #error(packet: Bytes, at: number, end: number, version: number): void {
    const asked = quotedPacketAt(packet, at, end, version);
    if (asked < 0) return;
    const quoted = asked + (version === 4 ? (packet[asked]! & 0x0f) * 4 : 40);
    if (quoted + 8 > end) return;
    const protocol = version === 4 ? packet[asked + 9]! : packet[asked + 6]!;
    const key = isIcmp(protocol) ? `echo ${echoSequence(packet, quoted)}` : `udp ${u16(packet, quoted)}`;
    const [type, code] = [icmpType(packet, at), icmpCode(packet, at)];
    const tooBig =
      version === 4 ? type === ICMP_TYPE.destinationUnreachable && code === 4 : type === ICMPV6_TYPE.packetTooBig;
    const ttl = type === (version === 4 ? ICMP_TYPE.timeExceeded : ICMPV6_TYPE.timeExceeded);
    const mtu = tooBig ? (version === 4 ? icmpMtu(packet, at) : icmpv6Mtu(packet, at)) : undefined;
    this.#settle(key, tooBig ? 'too-big' : ttl ? 'ttl-exceeded' : 'unreachable', sourceOf(packet, 0), mtu);
  }

  /** Whose data are these? */
  #look(data: Bytes, from: Address): void {
    const found = /^bh:([^:]*):[^:]*:/.exec(String.fromCharCode(...data.subarray(0, MARKER_ROOM)));
    if (found === null) return;
    const [marker, tenant] = found;
    if (tenant !== this.tenant && tenant !== OUTSIDE && this.tenant !== OUTSIDE) this.counters.foreign += 1;
    this.markers.set(marker, (this.markers.get(marker) ?? 0) + 1);
    this.sources.set(marker, (this.sources.get(marker) ?? new Set<string>()).add(formatAddress(from)));
  }

  #data(size: number): Bytes {
    const data = new Uint8Array(size);
    const marker = new TextEncoder().encode(this.marker);
    data.set(marker.subarray(0, size));
    for (let i = marker.length; i < size; i++) data[i] = i & 0xff;
    return data;
  }

  #sourceFor(destination: Address): Address {
    return this.addresses.find(({ length }) => length === destination.length) ?? EMPTY;
  }

  /** RFC 6864 §4.3: the answer is a datagram of this host's own, whose fragments must not meet another's. */
  #stamp(packet: Bytes): void {
    putU16(packet, 4, this.#nextId());
    fillIpv4Checksum(packet, 0);
  }

  #nextSequence(): number {
    this.#sequence = (this.#sequence + 1) & 0x3fff;
    return this.#sequence;
  }

  #nextId(): number {
    this.#identification = (this.#identification + 1) & 0xffff;
    return this.#identification;
  }
}

/** One line for people: `vm of contoso (10.1.0.10)`. */
export const describeHost = (host: Host): string =>
  `${host.name} of ${host.tenant} (${host.addresses.map(formatAddress).join(', ')})`;

const isIcmp = (protocol: number): boolean => protocol === IP_PROTOCOL.icmp || protocol === IP_PROTOCOL.icmpv6;

const MARK = 'bh:';
const MARKER_ROOM = 80;
const IDENTIFIER = 0x6268;
const FIRST_PORT = 40_000;
const TIMEOUT: Millis = 2_000;
