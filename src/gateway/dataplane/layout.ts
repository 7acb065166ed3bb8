/**
 * What there is in a data plane beside SAs: compartments with their interfaces, the ways behind these, the doors of the host's
 * ports, links between compartments, the underlay.
 *
 * Invariant: a door leads into one compartment, or to one port of the virtual switch; nothing else does.
 */
import type { Millis } from '../../core/index.ts';
import { type Address, DROP, type Packet, type Prefix } from '../../ip/index.ts';
import type { EthernetPort, LinkEnd, PlaneCommand, SubnetPort, TunnelParameters } from './contract.ts';
import { Fabric } from './fabric.ts';
import { PlaneLink } from './link.ts';
import type { DataPlane } from './plane.ts';
import { eachRoute } from './route-batch.ts';
import { PlaneSegment } from './segment.ts';
import { PlaneTenant } from './tenant.ts';
import { PlaneTunnel } from './tunnel.ts';
import { LinkWay, PortWay, SegmentWay, TunnelWay, type Way } from './ways.ts';

/** Takes over what comes in by a port of the host's. */
type Door = (packet: Packet, now: Millis) => void;

type Of<Do extends PlaneCommand['do']> = Extract<PlaneCommand, { do: Do }>;

/** The commands that are carried out here. */
export type LayoutCommand = Of<
  | 'add-compartment'
  | 'remove-compartment'
  | 'add-interface'
  | 'remove-interface'
  | 'set-up'
  | 'set-transport'
  | 'add-route'
  | 'remove-route'
  | 'change-routes'
  | 'underlay'
  | 'network'
  | 'remove-network'
  | 'add-machine'
  | 'remove-machine'
  | 'answer-for'
  | 'set-nat'
  | 'flush-nat'
  | 'ask-nat'
  | 'ask-neighbours'
>;

export class Layout {
  readonly tenants = new Map<number, PlaneTenant>();
  readonly tunnels = new Map<number, PlaneTunnel>();
  fabric: Fabric | undefined;
  readonly #plane: DataPlane;
  readonly #doors = new Map<number, Door>();
  readonly #links = new Map<number, PlaneLink>();

  constructor(plane: DataPlane) {
    this.#plane = plane;
  }

  /** Whether the pool has room for one more packet of the tenant's that waits. */
  mayWait({ compartment }: PlaneTenant): boolean {
    return this.#plane.pool.waiting.mayTake(compartment.number);
  }

  /** The Ethernet segment behind an interface. */
  segment(compartment: number, number: number): PlaneSegment | undefined {
    const way = this.tenants.get(compartment)?.ways.get(number);
    return way?.kind === 'segment' ? way.segment : undefined;
  }

  /** From a port of the host's. */
  arrive(port: number, packet: Packet, now: Millis): void {
    const door = this.#doors.get(port);
    if (door !== undefined) return door(packet, now);
    if (this.#plane.tapping) this.#plane.tap.fromPort(port, packet, now);
    this.#plane.drop(packet, DROP.linkDown);
  }

  /** What makes another one like it for some of the compartments, and the underlay or not. */
  describe(compartments: readonly number[], underlay: boolean): PlaneCommand[] {
    const commands: PlaneCommand[] = underlay ? [...(this.fabric?.describe() ?? [])] : [];
    for (const number of compartments) commands.push(...(this.tenants.get(number)?.describe() ?? []));
    for (const [tunnel, { outerMtu, tenant }] of this.tunnels)
      if (outerMtu !== Number.POSITIVE_INFINITY && compartments.includes(tenant.compartment.number))
        commands.push({ do: 'path-mtu', tunnel, mtu: outerMtu });
    return commands;
  }

  command(command: LayoutCommand, now: Millis): void {
    switch (command.do) {
      case 'add-compartment':
        return this.#addCompartment(command);
      case 'remove-compartment':
        return this.#removeCompartment(command.compartment);
      case 'add-interface':
        return this.#addInterface(command, now);
      case 'remove-interface':
        return this.#removeInterface(command.compartment, command.interface);
      case 'set-up':
        return this.#compartment(command.compartment)?.setUp(command.interface, command.up);
      case 'set-transport': {
        const tenant = this.tenants.get(command.compartment);
        if (tenant !== undefined) tenant.hasTransport = command.on;
        return;
      }
      case 'add-route':
        return void this.#compartment(command.compartment)?.addRoute(command.route);
      case 'remove-route': {
        const { compartment, prefix, interface: out, origin, nextHop } = command;
        return void this.#compartment(compartment)?.removeRoute(prefix, out, origin, nextHop);
      }
      case 'change-routes':
        return eachRoute(command, (change) => this.command(change, now));
      case 'underlay':
        if (this.fabric !== undefined) this.#plane.forget(this.fabric);
        this.fabric = new Fabric(this.#plane, command.underlay);
        return;
      case 'network':
        return this.fabric?.setNetwork(command.network);
      case 'remove-network':
        return this.fabric?.removeNetwork(command.compartment);
      case 'add-machine': {
        const { machine } = command;
        this.fabric?.addMachine(machine);
        this.#doors.set(machine.port, (frame, at) => {
          if (this.#plane.tapping) this.#plane.tap.fromMachine(machine.vsid, frame, at);
          this.fabric?.fromPort(machine.switchPort, frame, at);
        });
        return;
      }
      case 'remove-machine':
        this.#doors.delete(command.port);
        return this.fabric?.removeMachine(command.port);
      case 'answer-for':
        return this.#answerFor(command.compartment, command.interface, command.prefix, command.on, now);
      case 'set-nat':
        return this.#links.get(command.link)?.reconfigure(command.settings);
      case 'flush-nat':
        return this.#flushNat(command);
      case 'ask-nat':
        return this.#askNat(command, now);
      case 'ask-neighbours':
        return this.#askNeighbours(command, now);
    }
  }

  #compartment(number: number) {
    return this.tenants.get(number)?.compartment;
  }

  #addCompartment({ compartment: number, name, cells }: Of<'add-compartment'>): void {
    this.tenants.set(number, new PlaneTenant(this.#plane, name, number, cells));
  }

  #removeCompartment(number: number): void {
    const tenant = this.tenants.get(number);
    if (tenant === undefined) return;
    for (const each of [...tenant.ways.keys()]) this.#removeInterface(number, each);
    this.tenants.delete(number);
    this.#plane.forget(tenant);
  }

  #addInterface(command: Of<'add-interface'>, now: Millis): void {
    const tenant = this.tenants.get(command.compartment);
    if (tenant === undefined) return;
    tenant.add(command, this.#plane.placeOf(command.cells));
    const way = this.#wayOf(tenant, command);
    tenant.ways.set(command.interface, way);
    if (!this.#plane.likeness && way.kind === 'segment') this.#announce(way.segment, now);
  }

  #wayOf(tenant: PlaneTenant, command: Of<'add-interface'>): Way {
    const { way } = command;
    if ('link' in way) return this.#linkWay(tenant, command, way);
    if ('tunnel' in way) return this.#tunnelWay(tenant, command, way);
    return 'mac' in way ? this.#segmentWay(tenant, command, way) : this.#portWay(tenant, command, way.port);
  }

  #announce(segment: PlaneSegment, now: Millis, only?: Address): void {
    segment.segment.announce(now, only);
    this.#plane.touch(segment);
  }

  #removeInterface(compartment: number, number: number): void {
    const tenant = this.tenants.get(compartment);
    const way = tenant?.ways.get(number);
    if (tenant === undefined || way === undefined) return;
    this.#close(tenant, number, way);
    tenant.remove(number);
  }

  /** Nothing leads to it any more. */
  #close(tenant: PlaneTenant, number: number, way: Way): void {
    switch (way.kind) {
      case 'port':
        this.#doors.delete(way.port);
        return;
      case 'segment':
        return this.#closeSegment(tenant, number, way);
      case 'tunnel':
        this.#plane.closeTunnel(way.tunnel);
        this.tunnels.delete(way.tunnel.parameters.tunnel);
        return;
      case 'link': {
        const { link, side } = way;
        link[side] = undefined;
        if (side === 'inside') tenant.outside = undefined;
        if (link.inside !== undefined || link.outside !== undefined) return;
        if ('link' in way.command.way) this.#links.delete(way.command.way.link);
        this.#plane.forget(link);
      }
    }
  }

  #closeSegment(tenant: PlaneTenant, number: number, { segment, switchPort, command }: SegmentWay): void {
    if (switchPort !== undefined) this.fabric?.detach(switchPort);
    else if ('port' in command.way) this.#doors.delete(command.way.port);
    // What waits is refused, and the error about it must not wait here again.
    tenant.compartment.setUp(number, false);
    segment.segment.flushNeighbours(this.#plane.now);
    this.#plane.forget(segment);
  }

  #portWay(tenant: PlaneTenant, command: Of<'add-interface'>, port: number): PortWay {
    const plane = this.#plane;
    const into = tenant.compartment.interfaceAt(command.interface);
    this.#doors.set(port, (packet, now) => {
      if (plane.tapping) plane.tap.fromPort(port, packet, now);
      plane.enter(tenant, into, packet, now);
    });
    return new PortWay(command, port, plane);
  }

  #segmentWay(tenant: PlaneTenant, command: Of<'add-interface'>, way: EthernetPort | SubnetPort): SegmentWay {
    const plane = this.#plane;
    const { interface: number, config } = command;
    const out =
      'port' in way
        ? (frame: Packet) => {
            if (plane.tapping) plane.tap.framed(frame);
            plane.output.packet(way.port, frame);
          }
        : (frame: Packet) => this.#toSwitch(way.switchPort, frame);
    const segment = new PlaneSegment({
      plane,
      tenant,
      into: tenant.compartment.interfaceAt(number),
      mac: way.mac,
      addresses: config.addresses,
      cells: plane.cellsAt(way.segmentCells),
      out,
      joins: 'switchPort' in way,
    });
    if ('port' in way)
      this.#doors.set(way.port, (frame, now) => {
        if (plane.tapping) plane.tap.fromWire(frame, now);
        segment.receive(frame, now);
      });
    else {
      const addresses = config.addresses.map(({ address }) => address);
      this.fabric?.attach(command.compartment, way, addresses, segment);
    }
    return new SegmentWay(command, segment);
  }

  #toSwitch(switchPort: number, frame: Packet): void {
    if (this.fabric === undefined) this.#plane.drop(frame, DROP.linkDown);
    else this.fabric.fromPort(switchPort, frame, this.#plane.now);
  }

  #tunnelWay(tenant: PlaneTenant, command: Of<'add-interface'>, parameters: TunnelParameters): TunnelWay {
    const tunnel = new PlaneTunnel(tenant, parameters, command.interface);
    this.tunnels.set(parameters.tunnel, tunnel);
    return new TunnelWay(command, tunnel, this.#plane);
  }

  #linkWay(tenant: PlaneTenant, command: Of<'add-interface'>, { link: number, side, nat }: LinkEnd): LinkWay {
    const link = this.#links.get(number) ?? new PlaneLink(this.#plane);
    this.#links.set(number, link);
    link[side] = { tenant, into: tenant.compartment.interfaceAt(command.interface) };
    if (side === 'inside') tenant.outside = link;
    if (nat !== undefined) link.translate(nat);
    return new LinkWay(command, link, side);
  }

  #answerFor(compartment: number, number: number, prefix: Prefix, on: boolean, now: Millis): void {
    const segment = this.segment(compartment, number);
    if (segment === undefined) return;
    const isOne = prefix.length === 8 * prefix.address.length;
    if (!on) segment.stopAnswering(prefix);
    else if (segment.answerFor(prefix) && isOne && !this.#plane.likeness) this.#announce(segment, now, prefix.address);
    this.#plane.touch(segment);
  }

  #askNat({ link, query, filter, most }: Of<'ask-nat'>, now: Millis): void {
    const nat = this.#links.get(link)?.nat;
    if (nat === undefined) return void this.#plane.tell({ type: 'unanswered', query, why: 'the NAT is gone' });
    nat.expire(now);
    const sessions = [];
    for (const session of nat.sessions(filter)) {
      if (sessions.length >= most) break;
      sessions.push(session);
    }
    this.#plane.tell({ type: 'nat-sessions', query, link, sessions, counters: nat.counters });
  }

  #flushNat({ link, query, filter }: Of<'flush-nat'>): void {
    const sessions = this.#links.get(link)?.nat?.flush(filter) ?? 0;
    this.#plane.tell({ type: 'nat-flushed', query, sessions });
  }

  #askNeighbours({ compartment, query }: Of<'ask-neighbours'>, now: Millis): void {
    const segments = [...(this.tenants.get(compartment)?.ways ?? [])].flatMap(([number, way]) => {
      if (way.kind !== 'segment') return [];
      const { segment } = way;
      segment.tick(now);
      this.#plane.touch(segment);
      return [{ interface: number, neighbours: segment.segment.neighbours() }];
    });
    this.#plane.tell({ type: 'neighbours', query, compartment, at: now, segments });
  }
}
