/**
 * What there is in a data plane beside SAs: compartments with their interfaces, the ways behind these, the doors of the host's
 * ports, links between compartments, the underlay.
 *
 * Invariant: a door leads into one compartment, or to one port of the virtual switch; nothing else does.
 */
import type { Sink } from '../../compartment/index.ts';
import type { Millis } from '../../core/index.ts';
import { type Address, DROP, type Packet, type Prefix } from '../../ip/index.ts';
import type { EthernetPort, LinkEnd, PlaneCommand, SubnetPort, TunnelParameters } from './contract.ts';
import { Fabric } from './fabric.ts';
import { PlaneLink } from './link.ts';
import type { DataPlane } from './plane.ts';
import { PlaneSegment } from './segment.ts';
import { PlaneTenant } from './tenant.ts';
import { tellTransport } from './transport.ts';
import { PlaneTunnel } from './tunnel.ts';

/** What stands behind an interface number. */
export interface Way {
  /** Takes over an IP packet; undefined: it is for its destination itself. */
  transmit(packet: Packet, nextHop: Address | undefined, now: Millis): void;
  close(): void;
  /** To be looked at. */
  readonly behind: Behind;
}

export type Behind =
  | { readonly kind: 'port'; readonly port: number }
  /** Of a virtual subnet with its port of the switch. */
  | { readonly kind: 'segment'; readonly segment: PlaneSegment; readonly switchPort?: number; readonly vsid?: number }
  | { readonly kind: 'tunnel'; readonly tunnel: PlaneTunnel }
  | { readonly kind: 'link'; readonly link: PlaneLink; readonly side: 'inside' | 'outside' };

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

  /** The Ethernet segment behind an interface. */
  segment(compartment: number, number: number): PlaneSegment | undefined {
    const behind = this.tenants.get(compartment)?.ways.get(number)?.behind;
    return behind?.kind === 'segment' ? behind.segment : undefined;
  }

  /** From a port of the host's. */
  arrive(port: number, packet: Packet, now: Millis): void {
    const door = this.#doors.get(port);
    if (this.#plane.tapping) this.#plane.tap.fromPort(port, packet, now);
    if (door === undefined) this.#plane.drop(packet, DROP.linkDown);
    else door(packet, now);
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
        if (tenant !== undefined) tenant.transport = command.on;
        return;
      }
      case 'add-route':
        return void this.#compartment(command.compartment)?.addRoute(command.route);
      case 'remove-route': {
        const { compartment, prefix, interface: out, origin, nextHop } = command;
        return void this.#compartment(compartment)?.removeRoute(prefix, out, origin, nextHop);
      }
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
        this.#doors.set(machine.port, (frame, at) => this.fabric?.fromPort(machine.switchPort, frame, at));
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
    const plane = this.#plane;
    const { pool, random } = plane;
    const sink: Sink = {
      emit: (packet, out, nextHop) => this.#leave(tenant, packet, out, nextHop),
      dropped: (packet, reason) => {
        if (plane.tapping) plane.tap.dropped(packet, reason, number, plane.now);
      },
      transport: (packet) => tenant.transport && tellTransport(plane, number, packet),
      pinged: (result) => void plane.tell({ type: 'pinged', compartment: number, result }),
    };
    const options = { name, number, pool, random, sink, cells: plane.cellsAt(cells) };
    const tenant: PlaneTenant = new PlaneTenant(options, cells);
    this.tenants.set(number, tenant);
  }

  #removeCompartment(number: number): void {
    const tenant = this.tenants.get(number);
    if (tenant === undefined) return;
    for (const each of [...tenant.ways.keys()]) this.#removeInterface(number, each);
    this.tenants.delete(number);
    this.#plane.forget(tenant);
  }

  /** The compartment's decision is made. */
  #leave(tenant: PlaneTenant, packet: Packet, out: number, nextHop: Address | undefined): void {
    const { now, tapping, tap } = this.#plane;
    const way = tenant.ways.get(out);
    if (tapping) tap.left(tenant, out, nextHop, packet, now);
    if (way === undefined) tenant.compartment.refuse(packet, DROP.linkDown, now);
    else way.transmit(packet, nextHop, now);
  }

  #addInterface(command: Of<'add-interface'>, now: Millis): void {
    const tenant = this.tenants.get(command.compartment);
    if (tenant === undefined) return;
    const { interface: number, way } = command;
    tenant.add(command, this.#plane.cellsAt(command.cells));
    if ('link' in way) tenant.ways.set(number, this.#linkWay(tenant, number, way));
    else if ('tunnel' in way) tenant.ways.set(number, this.#tunnelWay(tenant, number, way));
    else if ('mac' in way) {
      const segment = this.#segmentWay(tenant, command, way);
      tenant.ways.set(number, segment);
      if (!this.#plane.likeness && segment.behind.kind === 'segment') segment.behind.segment.segment.announce(now);
    } else tenant.ways.set(number, this.#portWay(tenant, number, way.port));
  }

  #removeInterface(compartment: number, number: number): void {
    const tenant = this.tenants.get(compartment);
    const way = tenant?.ways.get(number);
    if (tenant === undefined || way === undefined) return;
    way.close();
    tenant.remove(number);
  }

  #portWay(tenant: PlaneTenant, number: number, port: number): Way {
    const plane = this.#plane;
    this.#doors.set(port, (packet, now) => plane.enter(tenant, number, packet, now));
    return {
      behind: { kind: 'port', port },
      transmit: (packet) => {
        if (plane.tapping) plane.tap.toPort(port, packet);
        plane.output.packet(port, packet);
      },
      close: () => void this.#doors.delete(port),
    };
  }

  #segmentWay(tenant: PlaneTenant, command: Of<'add-interface'>, way: EthernetPort | SubnetPort): Way {
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
      interface: number,
      mac: way.mac,
      addresses: config.addresses,
      cells: plane.cellsAt(way.segmentCells),
      out,
      joins: 'switchPort' in way,
    });
    const take: Door = (frame, now) => segment.receive(frame, now);
    if ('port' in way) this.#doors.set(way.port, take);
    else {
      const addresses = config.addresses.map(({ address }) => address);
      this.fabric?.attach(command.compartment, way, addresses, take);
    }
    const place = 'port' in way ? {} : { switchPort: way.switchPort, vsid: way.vsid };
    return {
      behind: { kind: 'segment', segment, ...place },
      transmit: (packet, nextHop, now) => segment.transmit(packet, nextHop, now),
      close: () => {
        if ('port' in way) this.#doors.delete(way.port);
        else this.fabric?.detach(way.switchPort);
        // What waits is refused, and the error about it must not wait here again.
        tenant.compartment.setUp(number, false);
        segment.segment.flushNeighbours(plane.now);
        plane.forget(segment);
      },
    };
  }

  #toSwitch(switchPort: number, frame: Packet): void {
    if (this.fabric === undefined) this.#plane.drop(frame, DROP.linkDown);
    else this.fabric.fromPort(switchPort, frame, this.#plane.now);
  }

  #tunnelWay(tenant: PlaneTenant, number: number, parameters: TunnelParameters): Way {
    const plane = this.#plane;
    const tunnel = new PlaneTunnel(tenant, parameters, number);
    this.tunnels.set(parameters.tunnel, tunnel);
    return {
      behind: { kind: 'tunnel', tunnel },
      transmit: (packet, _nextHop, now) => plane.toTunnel(tunnel, packet, now),
      close: () => {
        plane.closeTunnel(tunnel);
        this.tunnels.delete(parameters.tunnel);
      },
    };
  }

  #linkWay(tenant: PlaneTenant, number: number, end: LinkEnd): Way {
    const { side, nat } = end;
    const link = this.#links.get(end.link) ?? new PlaneLink(this.#plane);
    this.#links.set(end.link, link);
    link[side] = { tenant, interface: number };
    if (nat !== undefined) link.translate(nat);
    return {
      behind: { kind: 'link', link, side },
      transmit: (packet, _nextHop, now) => (side === 'inside' ? link.leave(packet, now) : link.enter(packet, now)),
      close: () => {
        link[side] = undefined;
        if (link.inside !== undefined || link.outside !== undefined) return;
        this.#links.delete(end.link);
        this.#plane.forget(link);
      },
    };
  }

  #answerFor(compartment: number, number: number, prefix: Prefix, on: boolean, now: Millis): void {
    const segment = this.segment(compartment, number);
    if (segment === undefined) return;
    const isOne = prefix.length === 8 * prefix.address.length;
    if (!on) segment.stopAnswering(prefix);
    else if (segment.answerFor(prefix) && isOne && !this.#plane.likeness) segment.segment.announce(now, prefix.address);
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
    const segments = [...(this.tenants.get(compartment)?.ways ?? [])].flatMap(([number, { behind }]) => {
      if (behind.kind !== 'segment') return [];
      const { segment } = behind;
      segment.tick(now);
      this.#plane.touch(segment);
      return [{ interface: number, neighbours: segment.segment.neighbours() }];
    });
    this.#plane.tell({ type: 'neighbours', query, compartment, at: now, segments });
  }
}
