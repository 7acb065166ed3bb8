/**
 * What stands behind the interfaces of a compartment: a port of the host's, an Ethernet segment, a tunnel, or a link to
 * compartment 1.
 *
 * Leaves to others: what makes them and lets go of what leads to them (`layout.ts`).
 */
import type { Millis } from '../../core/index.ts';
import type { Address, Packet } from '../../ip/index.ts';
import type { PlaneCommand } from './contract.ts';
import type { PlaneLink } from './link.ts';
import type { DataPlane } from './plane.ts';
import type { PlaneSegment } from './segment.ts';
import type { PlaneTunnel } from './tunnel.ts';

type AddInterface = Extract<PlaneCommand, { do: 'add-interface' }>;

export type Way = PortWay | SegmentWay | TunnelWay | LinkWay;

interface Common {
  /** That made it, or makes it as it is now. */
  command: AddInterface;
  /** Takes over an IP packet; undefined: it is for its destination itself. */
  transmit(packet: Packet, nextHop: Address | undefined, now: Millis): void;
}

export class PortWay implements Common {
  command: AddInterface;
  readonly port: number;
  readonly #plane: DataPlane;

  constructor(command: AddInterface, port: number, plane: DataPlane) {
    this.command = command;
    this.port = port;
    this.#plane = plane;
  }

  get kind(): 'port' {
    return 'port';
  }

  transmit(packet: Packet): void {
    if (this.#plane.tapping) this.#plane.tap.toPort(this.port, packet);
    this.#plane.output.packet(this.port, packet);
  }
}

export class SegmentWay implements Common {
  command: AddInterface;
  readonly segment: PlaneSegment;

  constructor(command: AddInterface, segment: PlaneSegment) {
    this.command = command;
    this.segment = segment;
  }

  get kind(): 'segment' {
    return 'segment';
  }

  /** Of a virtual subnet: its port of the switch. */
  get switchPort(): number | undefined {
    const { way } = this.command;
    return 'switchPort' in way ? way.switchPort : undefined;
  }

  get vsid(): number | undefined {
    const { way } = this.command;
    return 'switchPort' in way ? way.vsid : undefined;
  }

  transmit(packet: Packet, nextHop: Address | undefined, now: Millis): void {
    this.segment.transmit(packet, nextHop, now);
  }
}

export class TunnelWay implements Common {
  command: AddInterface;
  readonly tunnel: PlaneTunnel;
  readonly #plane: DataPlane;

  constructor(command: AddInterface, tunnel: PlaneTunnel, plane: DataPlane) {
    this.command = command;
    this.tunnel = tunnel;
    this.#plane = plane;
  }

  get kind(): 'tunnel' {
    return 'tunnel';
  }

  transmit(packet: Packet, _nextHop: Address | undefined, now: Millis): void {
    this.#plane.toTunnel(this.tunnel, packet, now);
  }
}

export class LinkWay implements Common {
  command: AddInterface;
  readonly link: PlaneLink;
  readonly side: 'inside' | 'outside';

  constructor(command: AddInterface, link: PlaneLink, side: 'inside' | 'outside') {
    this.command = command;
    this.link = link;
    this.side = side;
  }

  get kind(): 'link' {
    return 'link';
  }

  transmit(packet: Packet, _nextHop: Address | undefined, now: Millis): void {
    if (this.side === 'inside') this.link.leave(packet, now);
    else this.link.enter(packet, now);
  }
}
