/**
 * The data plane: packets between sockets, ESP, compartments and devices. One object with synchronous methods that knows
 * neither IKE nor documents: commands tell it what there is, events tell control what packets ask for (`contract.ts`).
 *
 * Read first: RFC 4301 §5 (order of processing), RFC 3948 §2 (what comes on the NAT-T port), docs/architecture.md.
 * The doors into a compartment are `packet` (a port of the tenant's own), the SPI of an ESP packet, the VSID of an NVGRE frame, and
 * behind compartment 1 the external address of a NAT or the prefixes of a tenant without one. Packets are taken in
 * at any pace and leave at `flush`, which ends a batch; commands come between batches.
 * Invariants: each packet taken is given to the output or released, once; an event is kept until `takeEvents`, but IKE messages,
 * TCP and strays beyond EVENTS are dropped like packets, and counted (`repeated.ts`).
 */
import type { Interface } from '../../compartment/index.ts';
import {
  Agenda,
  type Bytes,
  type Deadline,
  invariant,
  type Millis,
  type Random,
  Shares,
  type Timed,
} from '../../core/index.ts';
import type { Engine } from '../../crypto/index.ts';
import { classify, DATAGRAM, NON_ESP_MARKER_LENGTH, Sad, spiOf } from '../../esp/index.ts';
import {
  type Address,
  DROP,
  DROP_COUNT,
  type Endpoint,
  octetsOf,
  type Packet,
  type PacketPool,
} from '../../ip/index.ts';
import { trace } from '../trace/index.ts';
import { type CellPlace, type Cells, LocalCells, POOL_AT } from './cells.ts';
import type { PlaneCommand, PlaneEvent, PlaneOutput, SaPair, SaPhase } from './contract.ts';
import { Egress } from './egress.ts';
import { Ingress } from './ingress.ts';
import { Joining } from './joining.ts';
import { Layout } from './layout.ts';
import { holderOf, isRepeated, REFUSED, type RepeatedKind } from './repeated.ts';
import { Tap } from './tap.ts';
import type { PlaneTenant } from './tenant.ts';
import type { PlaneSa, PlaneTunnel } from './tunnel.ts';

export interface DataPlaneOptions {
  readonly pool: PacketPool;
  readonly random: Random;
  readonly engine: Engine;
  readonly output: PlaneOutput;
  /** Where it counts. Default: its own memory. */
  readonly cells?: Cells;
  /** SPIs that are `residue` modulo `modulus` are its own; other ones are told to control. Default: all. */
  readonly spis?: { readonly modulus: number; readonly residue: number };
  /** The first of its own two slots: drops before a tenant was known, with the pool; drops before an SA was. */
  readonly slot?: number;
  /** Packets of one flow may leave as superframes. Default: false. */
  readonly superframes?: boolean;
  /** It stands for another one and sends nothing of its own. Default: false. */
  readonly likeness?: boolean;
}

/** Of each kind between two batches; of other events an SA, a tunnel, a ping causes a few. */
const EVENTS: Readonly<Record<RepeatedKind, number>> = { ike: 1024, stray: 1024, transport: 768 };

const NOBODY = 0;

export class DataPlane {
  readonly pool: PacketPool;
  readonly random: Random;
  readonly engine: Engine;
  readonly output: PlaneOutput;
  readonly sad: Sad;
  /** Drops that belong to no tenant: before an SPI or an interface was known. */
  readonly drops: Float64Array;
  /** By inbound SPI. */
  readonly sas = new Map<number, PlaneSa>();
  readonly #cells: Cells;
  readonly #own: Float64Array;
  readonly #agenda = new Agenda();
  readonly #layout: Layout;
  readonly likeness: boolean;
  readonly tap: Tap;
  /** A tap is set: only then `tap` is called. */
  tapping = false;
  readonly #egress: Egress;
  readonly #ingress: Ingress;
  readonly #joining: Joining;
  readonly #spis: { readonly modulus: number; readonly residue: number };
  #events: PlaneEvent[] = [];
  readonly #shares: Readonly<Record<RepeatedKind, Shares>> = {
    ike: new Shares(EVENTS.ike),
    stray: new Shares(EVENTS.stray),
    transport: new Shares(EVENTS.transport),
  };
  #stopping = false;
  /** Of the packet at hand, where that passes through compartment 1. */
  #sender = NOBODY;
  /** Begins without a value, because V8 makes a new object of what it reads from a field that never held anything but numbers. */
  #now: Millis | undefined;

  constructor(options: DataPlaneOptions) {
    const { slot = 0 } = options;
    this.pool = options.pool;
    this.random = options.random;
    this.engine = options.engine;
    this.output = options.output;
    this.#cells = options.cells ?? new LocalCells();
    this.#own = this.#cells.at(slot);
    this.drops = this.#own.subarray(0, DROP_COUNT);
    this.sad = new Sad(this.#cells.at(slot + 1).subarray(0, DROP_COUNT));
    this.#spis = options.spis ?? { modulus: 1, residue: 0 };
    this.likeness = options.likeness === true;
    this.tap = new Tap(this.pool, (packet) => void this.tell({ type: 'tapped', packet }));
    this.#layout = new Layout(this);
    this.#egress = new Egress(this);
    this.#ingress = new Ingress(this, options.superframes === true);
    this.#joining = new Joining(this, options.superframes === true);
  }

  get stopping(): boolean {
    return this.#stopping;
  }

  /** Of the call at hand. */
  get now(): Millis {
    return this.#now!;
  }

  get tunnels(): ReadonlyMap<number, PlaneTunnel> {
    return this.#layout.tunnels;
  }

  compartment(number: number) {
    return this.#layout.tenants.get(number)?.compartment;
  }

  /** The Ethernet segment behind an interface. */
  segment(compartment: number, number: number) {
    return this.#layout.segment(compartment, number)?.segment;
  }

  /** The NAT by which a tenant's packets leave, where some have. */
  natOf(compartment: number) {
    return this.#layout.tenants.get(compartment)?.outside?.natInUse;
  }

  /** The virtual switch, where there is an underlay. */
  get switch() {
    return this.#layout.fabric?.switch;
  }

  // Packets in.

  /** A UDP payload. On the IKE port everything is IKE; on the NAT-T port the first octets tell (RFC 3948 §2). */
  udp(local: Endpoint, remote: Endpoint, packet: Packet, tos: number, natt: boolean, now: Millis): void {
    this.#now = now;
    if (packet.segment > 0) return this.#train(local, remote, packet, tos, natt, now);
    if (!natt) return this.#ike(local, remote, packet, 0);
    switch (classify(packet.buf, packet.start, packet.end)) {
      case DATAGRAM.esp:
        return this.#opened(true, local, remote, packet, tos, now);
      case DATAGRAM.ike:
        return this.#ike(local, remote, packet, NON_ESP_MARKER_LENGTH);
      case DATAGRAM.keepalive:
        return this.drop(packet, DROP.keepalive);
      default:
        return this.drop(packet, DROP.espShort);
    }
  }

  /** An ESP packet that came as protocol 50; the endpoint has port 0. */
  esp(local: Endpoint, remote: Endpoint, packet: Packet, tos: number, now: Millis): void {
    this.#now = now;
    this.#opened(false, local, remote, packet, tos, now);
  }

  /** An IP packet, or a frame, from a port of the host's. */
  packet(port: number, packet: Packet, now: Millis): void {
    this.#now = now;
    this.#layout.arrive(port, packet, now);
  }

  /** NVGRE from another provider address, GRE header first. */
  underlay(remote: Address, packet: Packet, now: Millis): void {
    this.#now = now;
    const { fabric } = this.#layout;
    if (fabric === undefined) this.drop(packet, DROP.linkDown);
    else fabric.receive(remote, packet, now);
  }

  // Between the parts of the data plane.

  /** A packet enters a compartment by an interface. */
  enter(tenant: PlaneTenant, into: Interface, packet: Packet, now: Millis): void {
    if (this.tapping) this.tap.entered(tenant, into.number, packet, now);
    tenant.compartment.receiveBy(packet, into, now);
    this.#agenda.touch(tenant);
  }

  /** A packet of another tenant's enters: what waits on its way counts as that one's. */
  enterFrom(sender: PlaneTenant, tenant: PlaneTenant, into: Interface, packet: Packet, now: Millis): void {
    const before = this.#sender;
    this.#sender = sender.compartment.number;
    this.enter(tenant, into, packet, now);
    this.#sender = before;
  }

  /** Whose packet that is. */
  senderOr(compartment: number): number {
    return this.#sender === NOBODY ? compartment : this.#sender;
  }

  /** The same out of a virtual subnet: it may wait for others of its flow until the batch ends. */
  join(tenant: PlaneTenant, into: Interface, packet: Packet, now: Millis): void {
    // Who watches sees each packet by itself.
    if (this.tapping) this.enter(tenant, into, packet, now);
    else this.#joining.add(tenant, into, packet, now);
  }

  /** An opened packet enters the compartment of its tunnel. */
  deliver(tunnel: PlaneTunnel, packet: Packet, now: Millis): void {
    this.enter(tunnel.tenant, tunnel.into, packet, now);
  }

  toTunnel(tunnel: PlaneTunnel, packet: Packet, now: Millis): void {
    this.#egress.transmit(tunnel, packet, now);
  }

  closeTunnel(tunnel: PlaneTunnel): void {
    // The error about a packet that waits may be routed into the same tunnel.
    while (tunnel.waiting.length > 0) this.#egress.giveUp(tunnel, this.now);
    for (const sa of [...tunnel.sas.values()]) this.#remove(sa);
  }

  cellsAt(slot: number): Float64Array {
    return this.#cells.at(slot);
  }

  placeOf(slot: number): CellPlace {
    return this.#cells.place(slot);
  }

  touch(item: Timed): void {
    this.#agenda.touch(item);
  }

  forget(item: Timed): void {
    this.#agenda.forget(item);
  }

  drop(packet: Packet, reason: number): void {
    if (this.tapping) this.tap.dropped(packet, reason, undefined, this.now);
    this.drops[reason]! += 1;
    this.pool.release(packet);
  }

  /** Ends a batch: what came in is joined or opened, what is to leave is sealed, and both go on. */
  flush(now: Millis): void {
    this.#now = now;
    this.#layout.fabric?.flush(now);
    this.#joining.flush(now);
    this.#ingress.flush(now);
    this.#egress.flush();
    const { counters } = this.pool;
    this.#own[POOL_AT] = this.pool.size;
    this.#own[POOL_AT + 1] = this.pool.taken;
    this.#own[POOL_AT + 2] = counters.peak;
    this.#own[POOL_AT + 3] = counters.refused;
  }

  // Time and events.

  deadline(): Deadline | undefined {
    return this.#agenda.deadline();
  }

  tick(now: Millis): void {
    this.#now = now;
    this.#agenda.tick(now);
  }

  /** False: dropped, because control does not keep up. */
  tell(event: PlaneEvent): boolean {
    if (isRepeated(event) && !this.#shares[event.type].take(holderOf(event))) {
      this.drops[REFUSED[event.type]]! += 1;
      return false;
    }
    this.#events.push(event);
    return true;
  }

  /** What happened since the last call; call it after `flush`. */
  takeEvents(): readonly PlaneEvent[] {
    if (this.#events.length === 0) return this.#events;
    const events = this.#events;
    this.#events = [];
    for (const shares of Object.values(this.#shares)) shares.clear();
    return events;
  }

  // Commands.

  /** What makes a new data plane like this one for some of its compartments, and the underlay or not; SAs and waiting packets excepted. */
  describe(compartments: readonly number[], underlay: boolean): PlaneCommand[] {
    const commands = this.#layout.describe(compartments, underlay);
    if (this.#stopping) commands.push({ do: 'stop' });
    return commands;
  }

  /** Between batches. Commands that name what is gone do nothing. */
  command(command: PlaneCommand, now: Millis): void {
    this.#now = now;
    // No SA and no compartment goes while packets of it wait.
    if (this.#layout.fabric?.pending || this.#joining.pending || this.#ingress.pending || this.#egress.pending)
      this.flush(now);
    switch (command.do) {
      case 'install':
        return this.#install(command.sa, command.phase, now);
      case 'phase':
        return this.#withSa(command.spiIn, (sa) => sa.tunnel.setPhase(sa, command.phase));
      case 'move': {
        const { localEndpoint, remoteEndpoint, udpEncapsulation } = command;
        return this.#withSa(command.spiIn, (sa) => sa.tunnel.move(sa, localEndpoint, remoteEndpoint, udpEncapsulation));
      }
      case 'remove':
        return this.#withSa(command.spiIn, (sa) => this.#remove(sa));
      case 'path-mtu': {
        const tunnel = this.tunnels.get(command.tunnel);
        if (tunnel !== undefined) tunnel.outerMtu = command.mtu;
        return;
      }
      case 'flush': {
        const tunnel = this.tunnels.get(command.tunnel);
        if (tunnel?.up)
          for (const packet of tunnel.takeWaiting(this.pool.waiting)) this.#egress.transmit(tunnel, packet, now);
        return;
      }
      case 'give-up': {
        const tunnel = this.tunnels.get(command.tunnel);
        if (tunnel !== undefined) this.#egress.giveUp(tunnel, now);
        return;
      }
      case 'stop':
        this.#stopping = true;
        return;
      case 'ping':
        return this.#ping(command, now);
      case 'send':
        return this.#send(command.compartment, command.octets, now);
      case 'tap':
        this.tapping = this.tap.set(command.compartments);
        return;
      case 'trace': {
        const { query, question } = command;
        this.tell({ type: 'traced', query, stages: trace(this.#layout, question, this.#stopping, now) });
        return;
      }
      default:
        return this.#layout.command(command, now);
    }
  }

  #install(pair: SaPair, phase: SaPhase, now: Millis): void {
    const tunnel = this.tunnels.get(pair.tunnel);
    if (tunnel === undefined) return;
    invariant(!this.sas.has(pair.spiIn), 'an SPI belongs to one SA');
    const sa = tunnel.install(pair, phase, this.engine, this.random, this.#cells, now);
    this.sas.set(pair.spiIn, sa);
    this.sad.add(sa.inbound);
  }

  #remove(sa: PlaneSa): void {
    this.sas.delete(sa.inbound.spi);
    this.sad.remove(sa.inbound.spi);
    sa.tunnel.remove(sa);
  }

  #withSa(spiIn: number, act: (sa: PlaneSa) => void): void {
    const sa = this.sas.get(spiIn);
    if (sa !== undefined) act(sa);
  }

  #ping({ compartment, request }: Extract<PlaneCommand, { do: 'ping' }>, now: Millis): void {
    const tenant = this.#layout.tenants.get(compartment);
    const why = tenant === undefined ? 'the tenant is gone' : tenant.compartment.ping(request, now);
    if (tenant !== undefined) this.#agenda.touch(tenant);
    if (why !== undefined) this.tell({ type: 'ping-refused', compartment, request, why });
  }

  #send(compartment: number, octets: Bytes, now: Millis): void {
    const tenant = this.#layout.tenants.get(compartment);
    if (tenant === undefined || this.likeness) return;
    const packet = this.pool.from(octets);
    if (packet === undefined) this.drops[DROP.noBuffer]! += 1;
    else tenant.compartment.send(packet, now);
  }

  /** What the kernel brought to the wrong data plane goes round by control. */
  #opened(udp: boolean, local: Endpoint, remote: Endpoint, packet: Packet, tos: number, now: Millis): void {
    if (packet.end - packet.start < 4 || this.#isOwn(packet.buf, packet.start))
      return this.#ingress.add(remote, packet, tos, now);
    const octets = octetsOf(packet).slice();
    this.drop(packet, DROP.strayed);
    this.tell({ type: 'stray', udp, local, remote, octets, tos });
  }

  #ike(local: Endpoint, remote: Endpoint, packet: Packet, skip: number): void {
    packet.start += skip;
    const octets: Bytes = octetsOf(packet).slice();
    this.pool.release(packet);
    this.tell({ type: 'ike', local, remote, octets });
  }

  /** Datagrams of one length back to back, as UDP_GRO brings them. ESP is opened where it lies, others are copied. */
  #train(local: Endpoint, remote: Endpoint, train: Packet, tos: number, natt: boolean, now: Millis): void {
    const { pool, drops } = this;
    const { buf, segment, end } = train;
    let taken = 1;
    for (let at = train.start; at < end; at += taken * segment) {
      const to = Math.min(at + segment, end);
      if (natt && classify(buf, at, to) === DATAGRAM.esp && this.#isOwn(buf, at)) {
        taken = this.#ingress.addParts(remote, train, at, end, tos, now);
        continue;
      }
      taken = 1;
      const datagram = pool.copyOf(train, at, to);
      if (datagram === undefined) drops[DROP.noBuffer]! += 1;
      else this.udp(local, remote, datagram, tos, natt, now);
    }
    this.#ingress.end(train);
  }

  /** Of several data planes each has SPIs of its own. */
  #isOwn(buf: Bytes, start: number): boolean {
    const { modulus, residue } = this.#spis;
    return modulus === 1 || spiOf(buf, start) % modulus === residue;
  }
}
