/**
 * A tenant's world inside the gateway: interfaces, routes, forwarding and the local host behind its own addresses.
 *
 * Read first: RFC 1812 §4.2.2, §4.3, §5.2–5.3 (the router), RFC 1191 §3–4 (DF and the MTU), RFC 8200 §3–5, RFC 4443 §2–3,
 * RFC 4291 §2.5.6 (scope), RFC 3927 §2.7 (IPv4 link-local).
 * Own addresses are answered on all interfaces of this compartment (weak host model, RFC 1122 §3.3.4.2) and on no other's:
 * nothing here knows another compartment.
 * A packet never goes back out of the point-to-point link it came in by (RFC 4443 §3.1 forbids it for on-link prefixes):
 * the other end chose us as its way, so it would return until its TTL is gone. Its sender is told "host unreachable". On a
 * segment two hosts may talk through us, and a `link` to another compartment may turn a packet round; redirects are not sent.
 * Leaves to others: drivers, tunnels, selectors (what they refuse comes back by `refuse`), options of forwarded packets
 * (record route and timestamps pass unwritten), reverse-path checks beyond own and broadcast sources.
 * IPv6 treats every link as one of at least 1280 octets (RFC 8200 §5): what is below must carry that.
 * Invariants: each packet given is emitted or released exactly once; forwarding allocates nothing.
 */
import type { Deadline, Millis, Random } from '../core/index.ts';
import { invariant, u16, u32 } from '../core/index.ts';
import {
  type Address,
  checkIp,
  DROP,
  type FlowRecord,
  formatAddress,
  hashFlow,
  hashFlowRecord,
  hopLimit,
  IPV6_MIN_MTU,
  ipLength,
  ipVersion,
  ipv4DestinationAt,
  ipv4DontFragment,
  ipv4SourceAt,
  ipv6DestinationAt,
  ipv6SourceAt,
  mixLast,
  PASS,
  type Packet,
  type PacketPool,
  type Prefix,
  segmentLength,
  setHopLimit,
  wirePackets,
} from '../ip/index.ts';
import {
  type CompartmentCounters,
  type CompartmentLimits,
  DISCARD,
  type InterfaceConfig,
  type InterfaceView,
  type PingRequest,
  type Route,
  type RouteExplanation,
  type RouteOrigin,
  type RouteQuery,
  type Sink,
} from './contract.ts';
import {
  COMPARTMENT_CELLS,
  COMPARTMENT_DROPS,
  type Counters,
  dropCells,
  FORWARDED,
  newCounters,
  readCounters,
} from './counters.ts';
import { Exit } from './exit.ts';
import { LocalHost, UNPOOLED } from './host.ts';
import { IcmpErrors, REFUSALS } from './icmp-errors.ts';
import { Identification } from './identification.ts';
import { Interface } from './interface.ts';
import { COMPARTMENT_LIMITS } from './limits.ts';
import { clampToMtu } from './mss.ts';
import { DISCARDING, ENTRY, type Entry, isOwn, RoutingTable, wayOf } from './routes.ts';
import { isGroup, isLinkScoped, scopeInWords } from './scope.ts';

export interface CompartmentOptions {
  readonly name: string;
  /** 1 is the gateway's own. */
  readonly number: number;
  readonly pool: PacketPool;
  readonly sink: Sink;
  /** For the identification of IP packets, and for which of equal ways a flow goes. */
  readonly random: Random;
  readonly limits?: Partial<CompartmentLimits>;
  /** Where its counters stand: COMPARTMENT_CELLS doubles from `first` on, which is 0 by default. Default: its own. */
  readonly cells?: Float64Array;
  readonly first?: number;
}

/** `into` of `Sink.dropped` for packets of the compartment's own. */
export const NO_INTERFACE = 0;

export class Compartment {
  readonly name: string;
  readonly number: number;
  readonly limits: CompartmentLimits;
  readonly #pool: PacketPool;
  readonly #sink: Sink;
  readonly #interfaces = new Map<number, Interface>();
  readonly #routes: RoutingTable;
  readonly #cells: Float64Array;
  readonly #first: number;
  readonly #counters: Counters;
  readonly #random: Random;
  /** Made when they are first needed: most compartments forward and nothing else. */
  #made: { readonly errors: IcmpErrors; readonly host: LocalHost; readonly exit: Exit } | undefined;
  #lastInterface = NO_INTERFACE;
  readonly #identification: Identification;
  readonly #flowSeed: number;

  constructor(options: CompartmentOptions) {
    this.name = options.name;
    this.number = options.number;
    this.limits = options.limits === undefined ? COMPARTMENT_LIMITS : { ...COMPARTMENT_LIMITS, ...options.limits };
    this.#cells = options.cells ?? new Float64Array(COMPARTMENT_CELLS);
    this.#first = options.first ?? 0;
    this.#counters = newCounters(this.#cells, this.#first);
    this.#pool = options.pool;
    this.#sink = options.sink;
    this.#random = options.random;
    const chance = options.random(4);
    this.#identification = new Identification(u16(chance, 0));
    this.#flowSeed = mixLast(u32(chance, 0));
    this.#routes = new RoutingTable(this.limits.routes);
  }

  // Interfaces.

  /**
   * Its number, from 1 and never used twice: the next one, or the one asked for. It is up. `cells`: where its counters stand,
   * INTERFACE_CELLS doubles from `first` on.
   */
  addInterface(
    config: InterfaceConfig,
    number = this.#lastInterface + 1,
    cells?: Float64Array,
    first?: number,
  ): number {
    invariant(this.#interfaces.size < this.limits.interfaces, 'the document keeps to the limit of interfaces');
    invariant(!this.#interfaces.has(number), 'an interface number is used once');
    this.#lastInterface = Math.max(this.#lastInterface, number);
    const added = new Interface(number, config, cells, first);
    this.#interfaces.set(added.number, added);
    this.#routes.connect(added);
    return added.number;
  }

  /** Its addresses and all routes by it go with it. */
  removeInterface(number: number): void {
    const removed = this.interfaceAt(number);
    this.#interfaces.delete(number);
    removed.up = false;
    this.#routes.disconnect(removed);
  }

  setMtu(number: number, mtu: number): void {
    this.interfaceAt(number).mtu = mtu;
  }

  /** Routes by an interface that is down are not used; its own addresses stay this compartment's. */
  setUp(number: number, up: boolean): void {
    const changed = this.interfaceAt(number);
    if (changed.up === up) return;
    changed.up = up;
    this.#routes.refresh(changed);
  }

  /** For `receiveBy`. */
  interfaceAt(number: number): Interface {
    const found = this.#interfaces.get(number);
    invariant(found !== undefined, 'an interface number is one that addInterface gave');
    return found;
  }

  interfaces(): InterfaceView[] {
    return [...this.#interfaces.values()].map((i) => i.view());
  }

  /** Whether an address is this compartment's own. */
  owns(address: Address): boolean {
    return this.#routes.fib.lookup(address)?.kind === ENTRY.local;
  }

  /** RFC 1812 §4.3.2.4: the own address of the interface towards the receiver, else where it came in, else any of the family. */
  sourceTowards(address: Address, into?: Interface): Address | undefined {
    const octets = address.length === 4 ? 4 : 16;
    const towards = this.#routes.fib.lookup(address)?.out.primary(octets) ?? into?.primary(octets);
    if (towards !== undefined) return towards;
    for (const other of this.#interfaces.values()) {
      const own = other.primary(octets);
      if (own !== undefined) return own;
    }
    return undefined;
  }

  // Routes.

  /** False, and counted, when the table is full. The same prefix, interface, next hop and origin is replaced. */
  addRoute(route: Route): boolean {
    const added = this.#routes.add(route, route.interface === DISCARD ? DISCARDING : this.interfaceAt(route.interface));
    if (!added) this.#counters.routesRefused += 1;
    return added;
  }

  /** False when there was no such route. Without a next hop those of all next hops go. */
  removeRoute(prefix: Prefix, interfaceNumber: number, origin: RouteOrigin, nextHop?: Address): boolean {
    return this.#routes.remove(prefix, interfaceNumber, origin, nextHop);
  }

  /** Every candidate, connected routes included, by prefix and then in the order of election; or those of them that are asked for. */
  routes(query?: RouteQuery): Route[] {
    return this.#routes.routes(query);
  }

  get routeCount(): number {
    return this.#routes.size;
  }

  /** Where packets to an address go; those of `flow`, whose destination that is, where several equal ways lead there. */
  explain(address: Address, flow?: FlowRecord): RouteExplanation {
    const explanation = this.#routes.explain(address, flow && hashFlowRecord(flow, this.#flowSeed));
    const scope = this.owns(address) ? undefined : scopeInWords(address);
    if (scope === undefined) return explanation;
    return { chosen: undefined, why: `${formatAddress(address)} is ${scope}: not routed`, passedOver: [] };
  }

  /** The route to an address that would be used if there were none of that origin. */
  routeWithout(origin: RouteOrigin, address: Address): Route | undefined {
    return this.#routes.routeWithout(origin, address);
  }

  // Counters.

  /** One counter a DROP code, live. */
  get drops(): Float64Array {
    return dropCells(this.#cells, this.#first);
  }

  get counters(): CompartmentCounters {
    return readCounters(this.#counters);
  }

  // Packets.

  /** Takes a packet that came in by an interface; it is emitted, consumed or released. */
  receive(packet: Packet, from: number, now: Millis): void {
    const into = this.#interfaces.get(from);
    if (into === undefined) this.#drop(packet, DROP.linkDown, from);
    else this.receiveBy(packet, into, now);
  }

  /** The same for whoever keeps the interface, which may be gone meanwhile. */
  receiveBy(packet: Packet, into: Interface, now: Millis): void {
    const verdict = into.up ? this.#forward(packet, into, into.countReceived(packet), now) : DROP.linkDown;
    if (verdict !== PASS) this.#drop(packet, verdict, into.number);
  }

  /**
   * Whether `receive` would pass a packet on through a port, as it is, and with it all that differ from it in length up to its
   * own, number and payload: they may come as one superframe. Changes and counts nothing.
   */
  forwards(packet: Packet, from: number): boolean {
    const { buf, start, end } = packet;
    const into = this.#interfaces.get(from);
    if (into?.up !== true || checkIp(buf, start, end) !== PASS || isLinkScoped(buf, start)) return false;
    const entry = this.#destined(packet);
    const back = this.#sourced(packet);
    if (entry?.kind !== ENTRY.unicast || (back !== undefined && isOwn(back))) return false;
    if (back?.out.kind === 'link' && back.out !== into) return false;
    const { out } = entry;
    if (out.kind === 'connection' || (out === into && out.pointToPoint)) return false;
    return hopLimit(buf, start) > 1 && end - start <= linkMtu(packet, out);
  }

  // What each packet needs, to be read before it is needed; of no meaning otherwise.

  touch(): number {
    return this.#cells[this.#first + FORWARDED]! + this.number + this.#lastInterface + this.#routes.fib.size;
  }

  /** The interface by which packets to an IPv4 address leave, or others like them. */
  touchWay(address: number): Interface | undefined {
    return this.#routes.fib.lookup4(address)?.out;
  }

  /** Takes a packet of this compartment's own and routes it: PASS, or the DROP code that was counted. Causes no ICMP error. */
  send(packet: Packet, now: Millis): number {
    const verdict = this.#originate(packet, now);
    if (verdict === PASS) this.#counters.originated += 1;
    else this.#drop(packet, verdict, NO_INTERFACE);
    return verdict;
  }

  /**
   * Takes back an emitted packet that cannot be carried, counts it and answers the ICMP error owed: `prohibited` and
   * `noRoute` as such, `tooBig` with `mtu` if the packet may not be cut, `linkDown`, `noSa` and `neighbour` as host unreachable;
   * other reasons are told to nobody. May be called from within `Sink.emit`. The packet stays counted as sent, too.
   */
  refuse(packet: Packet, reason: number, now: Millis, mtu = 0): void {
    const error = REFUSALS.get(reason);
    const mayBeCut = reason === DROP.tooBig && isIpv4(packet) && !ipv4DontFragment(packet.buf, packet.start);
    if (error !== undefined && !mayBeCut) this.#parts.errors.answer(error, packet, undefined, now, mtu);
    this.#drop(packet, reason, NO_INTERFACE);
  }

  /** Sends an echo request; `Sink.pinged` has its one result. Words when it was not accepted. */
  ping(request: PingRequest, now: Millis): string | undefined {
    return this.#parts.host.ping(request, now);
  }

  /** Gives up on what is due: pings, fragments waiting for their like. */
  expire(now: Millis): void {
    this.#made?.host.expire(now);
  }

  deadline(): Deadline | undefined {
    return this.#made?.host.deadline();
  }

  /** RFC 1812 §5.2: all checks see the packet as it came, so that errors quote what was sent. On the wire it is `packets`. */
  #forward(packet: Packet, into: Interface, packets: number, now: Millis): number {
    const { buf, start } = packet;
    const verdict = checkIp(buf, start, packet.end);
    if (verdict !== PASS) {
      if (verdict === DROP.options || verdict === DROP.hopOptions) {
        this.#parts.errors.answerParameterProblem(packet, into, now);
      }
      return verdict;
    }
    packet.end = start + ipLength(buf, start);
    const entry = this.#destined(packet);
    const isLocal = entry?.kind === ENTRY.local;
    if (!isLocal && (entry?.kind === ENTRY.broadcast || isLinkScoped(buf, start))) return DROP.notForwarded;
    const back = this.#sourced(packet);
    if (back !== undefined && isOwn(back)) return DROP.martian;
    // RFC 3704 §2.2: what is behind a link to another compartment comes by that link, and nothing else does.
    if ((into.kind === 'link' || back?.out.kind === 'link') && back?.out !== into) return DROP.spoofed;
    if (isLocal) return this.#parts.host.deliver(packet, into, now);
    if (entry === undefined || entry.kind === ENTRY.discard) {
      const why = entry === undefined ? 'noRoute' : 'discarded';
      this.#parts.errors.answer(why, packet, into, now);
      return DROP[why];
    }
    const { out } = entry;
    if (out === into && out.pointToPoint) {
      this.#parts.errors.answer('addressUnreachable', packet, into, now);
      return DROP.bounce;
    }
    const hops = hopLimit(buf, start);
    if (hops <= 1) {
      this.#parts.errors.answer('hopLimitExceeded', packet, into, now);
      return DROP.hopLimit;
    }
    const mtu = linkMtu(packet, out);
    const fits = (packet.segment === 0 ? packet.end - start : segmentLength(packet)) <= mtu;
    if (!fits && (!isIpv4(packet) || ipv4DontFragment(buf, start))) {
      this.#parts.errors.answer('packetTooBig', packet, into, now, mtu);
      return DROP.tooBig;
    }
    setHopLimit(buf, start, hops - 1);
    if ((into.clampMss || out.clampMss) && clampToMtu(packet, Math.min(linkMtu(packet, into), mtu)))
      this.#counters.mssClamped += 1;
    const sent = fits ? this.#emit(packet, entry) : this.#parts.exit.cut(packet, entry, mtu);
    if (sent === PASS) this.#cells[this.#first + FORWARDED]! += packets;
    return sent;
  }

  #originate(packet: Packet, now: Millis): number {
    const { buf, start } = packet;
    const verdict = checkIp(buf, start, packet.end);
    if (verdict !== PASS) return verdict;
    packet.end = start + ipLength(buf, start);
    const entry = this.#destined(packet);
    if (entry === undefined) return isLinkScoped(buf, start) ? DROP.notForwarded : DROP.noRoute;
    if (entry.kind === ENTRY.broadcast || isGroup(buf, start)) return DROP.notForwarded;
    if (entry.kind === ENTRY.discard) return DROP.discarded;
    if (isIpv4(packet)) this.#identification.stamp(packet);
    const pooled = packet.slot !== UNPOOLED;
    if (entry.kind === ENTRY.local) return pooled ? this.#parts.host.deliver(packet, undefined, now) : DROP.noBuffer;
    const mtu = linkMtu(packet, entry.out);
    const largest = pooled ? mtu : Math.min(mtu, this.#pool.capacity);
    if (packet.end - start > largest) return this.#parts.exit.cut(packet, entry, largest);
    return pooled ? this.#emit(packet, entry) : this.#parts.exit.emitCopy(packet, entry);
  }

  #emit(packet: Packet, { out, nextHop }: Entry): number {
    out.countSent(packet);
    this.#sink.emit(packet, out.number, nextHop);
    return PASS;
  }

  get #parts() {
    if (this.#made !== undefined) return this.#made;
    const station = {
      pool: this.#pool,
      counters: this.#counters,
      send: (packet: Packet, now: Millis) => this.send(packet, now),
      release: (packet: Packet) => this.#release(packet),
      sourceTowards: (address: Address, into?: Interface) => this.sourceTowards(address, into),
      owns: (address: Address) => this.owns(address),
      consumed: (packet: Packet) => this.#sink.consumed?.(packet),
      transport: (packet: Packet) => this.#sink.transport?.(packet) === true,
    };
    const errors = new IcmpErrors(station, this.limits);
    const host = new LocalHost(station, errors, this.limits, (result) => this.#sink.pinged?.(result));
    const exit = new Exit({
      pool: this.#pool,
      random: this.#random,
      counters: this.#counters,
      emit: (packet, entry) => this.#emit(packet, entry),
      release: station.release,
      drop: (packet, reason, out) => this.#drop(packet, reason, out),
    });
    this.#made = { errors, host, exit };
    return this.#made;
  }

  #destined({ buf, view, start, end }: Packet): Entry | undefined {
    const { fib } = this.#routes;
    const entry =
      ipVersion(buf, start) === 4
        ? fib.lookup4(view.getInt32(ipv4DestinationAt(start)))
        : fib.lookup6(buf, ipv6DestinationAt(start));
    if (entry?.among === undefined) return entry;
    return wayOf(entry.among, hashFlow(buf, start, end, this.#flowSeed));
  }

  #sourced({ buf, view, start }: Packet): Entry | undefined {
    const { fib } = this.#routes;
    return ipVersion(buf, start) === 4
      ? fib.lookup4(view.getInt32(ipv4SourceAt(start)))
      : fib.lookup6(buf, ipv6SourceAt(start));
  }

  #drop(packet: Packet, reason: number, into: number): void {
    this.#cells[this.#first + COMPARTMENT_DROPS + reason]! += wirePackets(packet);
    this.#sink.dropped?.(packet, reason, into);
    this.#release(packet);
  }

  #release(packet: Packet): void {
    if (packet.slot !== UNPOOLED) this.#pool.release(packet);
  }
}

const isIpv4 = ({ buf, start }: Packet): boolean => ipVersion(buf, start) === 4;

const linkMtu = (packet: Packet, { mtu }: Interface): number => (isIpv4(packet) ? mtu : Math.max(mtu, IPV6_MIN_MTU));
