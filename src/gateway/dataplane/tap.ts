/**
 * A tap on real packets: what became of each, stage by stage, told to control when it is known.
 *
 * The slot of a packet names its journey from the door to the way out, because a packet keeps its slot on the way; pieces that it is
 * cut into begin journeys of their own. Where no tap is set nothing here is called (`DataPlane.tapping`).
 * Limits: SAMPLES a second, TAP_OCTETS of each packet at each point; `missed` counts packets beyond the former.
 * Invariant: a journey is told at most once, and only if it touches a compartment that is tapped.
 */
import type { Bytes, Millis } from '../../core/index.ts';
import {
  type Address,
  buildIp,
  buildUdp,
  DROP_NAMES,
  DROP_TEXT,
  type DropReason,
  ETHERNET_HEADER,
  flowRecord,
  formatAddress,
  formatMac,
  formatPrefix,
  IP_PROTOCOL,
  type Packet,
  segmentLength,
} from '../../ip/index.ts';
import { flowIdOf, GRE_IN_UDP_PORT, NVGRE_HEADER, overhead, vsidOf } from '../../nvgre/index.ts';
import type { StageName, TraceStage } from '../trace/contract.ts';
import type { UnderlayParameters } from './contract.ts';
import type { PlaneTenant } from './tenant.ts';
import type { PlaneSa } from './tunnel.ts';

/** Where a packet was seen: an interface of a compartment, or the provider network. */
export interface TapPoint {
  readonly compartment?: number;
  readonly interface?: number;
  readonly direction: 'inbound' | 'outbound';
  /** An IP packet, at most TAP_OCTETS of it. */
  readonly octets: Bytes;
  readonly length: number;
}

export interface TappedPacket {
  readonly at: Millis;
  readonly compartments: readonly number[];
  readonly points: readonly TapPoint[];
  readonly stages: readonly TraceStage[];
  /** Packets since the last one told that were too many to be. */
  readonly missed: number;
}

interface Journey {
  readonly at: Millis;
  readonly compartments: Set<number>;
  readonly points: TapPoint[];
  readonly stages: TraceStage[];
  /** `sampled`: one of SAMPLES; `missed`: one too many; `open`: it has not touched what is tapped. */
  state: 'open' | 'sampled' | 'missed';
}

/** A packet of the wire whole; of superframes and jumbo frames the beginning. */
export const TAP_OCTETS = 2048;
const SAMPLES = 100;
/** The compartment that all tenants with NAT or direct routing meet in. */
const DEFAULT = 1;

export class Tap {
  readonly #tell: (packet: TappedPacket) => void;
  readonly #journeys = new Map<number, Journey>();
  #compartments: ReadonlySet<number> | 'all' = new Set();
  #second: Millis = Number.NEGATIVE_INFINITY;
  #sampled = 0;
  #missed = 0;

  constructor(tell: (packet: TappedPacket) => void) {
    this.#tell = tell;
  }

  /** Whether there is anything to tap. */
  set(compartments: readonly number[] | 'all'): boolean {
    this.#compartments = compartments === 'all' ? 'all' : new Set(compartments);
    this.#journeys.clear();
    this.#missed = 0;
    return compartments === 'all' || compartments.length > 0;
  }

  // Doors.

  /** NVGRE from a provider address, GRE header first. */
  fromUnderlay(underlay: UnderlayParameters, remote: Address, packet: Packet, now: Millis): void {
    const journey = this.#begin(packet, now);
    const { buf, start, end } = packet;
    const vsid = end - start >= 8 ? vsidOf(buf, start) : 0;
    this.#underlay(journey, underlay, remote, packet, 'inbound');
    note(journey, 'door', `NVGRE, VSID ${vsid}`, `from ${formatAddress(remote)}`);
  }

  fromPort(port: number, packet: Packet, now: Millis): void {
    note(this.#begin(packet, now), 'door', `port ${port}`, 'by the device');
  }

  // On the way.

  entered({ compartment, ways }: PlaneTenant, number: number, packet: Packet, now: Millis): void {
    const journey = this.#journeys.get(packet.slot) ?? this.#begin(packet, now);
    if (!this.#touch(journey, compartment.number, now)) return;
    const name = compartment.interfaces().find((view) => view.number === number)?.name ?? '';
    if (journey.stages.length === 0 && ways.get(number)?.kind === 'tunnel')
      note(journey, 'door', 'ESP', `by connection ${name}`);
    journey.points.push(pointOf(packet, 'inbound', compartment.number, number));
    note(journey, 'compartment', `${compartment.name} (compartment ${compartment.number})`, `by interface ${name}`);
  }

  /** The compartment has decided. */
  left({ compartment }: PlaneTenant, number: number, nextHop: Address | undefined, packet: Packet, now: Millis): void {
    const known = this.#journeys.get(packet.slot);
    const journey = known ?? this.#begin(packet, now);
    if (!this.#touch(journey, compartment.number, now)) return;
    if (known === undefined) note(journey, 'door', 'this gateway', 'a packet of its own, or a piece of a larger one');
    const { name, mtu } = compartment.interfaces().find((view) => view.number === number) ?? { name: '', mtu: 0 };
    const flow = flowRecord(packet.buf, packet.start, packet.end);
    const chosen = flow && compartment.explain(flow.destination, flow);
    const prefix = chosen?.chosen === undefined ? '' : `${formatPrefix(chosen.chosen.prefix)} `;
    const hop = nextHop === undefined ? '' : ` to ${formatAddress(nextHop)}`;
    journey.points.push(pointOf(packet, 'outbound', compartment.number, number));
    note(journey, 'fib', `${prefix}by ${name}${hop}`, chosen?.why ?? '');
    const size = packet.segment === 0 ? packet.end - packet.start : segmentLength(packet);
    note(journey, 'mtu', `${size} octets`, `${name} carries ${mtu}`);
  }

  /** A NAT has translated it. */
  translated(packet: Packet, outward: boolean): void {
    const journey = this.#journeys.get(packet.slot);
    const flow =
      journey !== undefined && journey.state !== 'missed'
        ? flowRecord(packet.buf, packet.start, packet.end)
        : undefined;
    if (journey === undefined || flow === undefined) return;
    const [address, port] = outward ? [flow.source, flow.sourcePort] : [flow.destination, flow.destinationPort];
    const shown = flow.protocol === IP_PROTOCOL.icmp ? formatAddress(address) : `${formatAddress(address)}:${port}`;
    note(
      journey,
      'nat',
      `${outward ? 'source' : 'destination'} becomes ${shown}`,
      'translated by the NAT of the tenant',
    );
  }

  // Ends.

  sealed({ outbound, inbound }: PlaneSa, packet: Packet): void {
    const journey = this.#journeys.get(packet.slot);
    if (journey === undefined) return;
    const decision = `SPI ${outbound.spi.toString(16).padStart(8, '0')}, sequence number ${outbound.sequence}`;
    const why = 'the newest active SA whose selectors admit it';
    journey.stages.push({ stage: 'sa', decision, why, detail: [], spiIn: inbound.spi });
    this.#end(packet, 'out', formatAddress(outbound.remoteEndpoint.address), 'ESP to the peer');
  }

  /** NVGRE to a provider address, GRE header first. */
  toUnderlay(underlay: UnderlayParameters, remote: Address, packet: Packet): void {
    const journey = this.#journeys.get(packet.slot);
    if (journey === undefined) return;
    this.#underlay(journey, underlay, remote, packet, 'outbound');
    const { buf, start } = packet;
    if (journey.stages.at(-1)?.stage === 'mtu') this.#neighbour(journey, packet, start + NVGRE_HEADER);
    const words = `NVGRE, VSID ${vsidOf(buf, start)}, FlowID ${flowIdOf(buf, start)}`;
    note(journey, 'encapsulation', words, 'as its lookup record says');
    const outer = innerLength(packet) + overhead(underlay.carrier, remote.length === 4 ? 4 : 6);
    note(journey, 'mtu', `${outer} octets outside`, 'what the interface carries leaves room for the headers');
    this.#end(packet, 'out', formatAddress(remote), 'in the provider network');
  }

  toPort(port: number, packet: Packet): void {
    this.#end(packet, 'out', `port ${port}`, 'given to the device');
  }

  /** A frame to a port of the host's. */
  framed(packet: Packet): void {
    const { buf, start } = packet;
    const journey = this.#journeys.get(packet.slot);
    if (journey !== undefined) this.#neighbour(journey, packet, start);
    this.#end(packet, 'out', `frame to ${formatMac(buf.slice(start, start + 6))}`, 'given to the device');
  }

  /** The frame that begins at `at` is for whoever the segment found. */
  #neighbour(journey: Journey, { buf }: Packet, at: number): void {
    note(journey, 'neighbour', formatMac(buf.slice(at, at + 6)), 'the segment knows the next hop there');
  }

  /** The local host of the compartment has taken it. */
  delivered(packet: Packet): void {
    this.#end(packet, 'local', 'consumed here', 'the destination is an address of this compartment');
  }

  /** `compartment` undefined: where none was found. */
  dropped(packet: Packet, reason: number, compartment: number | undefined, now: Millis): void {
    const journey = this.#journeys.get(packet.slot) ?? this.#begin(packet, now);
    if (compartment !== undefined && !this.#touch(journey, compartment, now))
      return void this.#journeys.delete(packet.slot);
    const drop = DROP_NAMES[reason] as DropReason;
    const stage = journey.stages.at(-1)?.stage ?? 'door';
    journey.stages.push({ stage, decision: `dropped: ${drop}`, why: DROP_TEXT[drop], detail: [], drop });
    this.#finish(packet.slot, journey);
  }

  #begin({ slot }: Packet, now: Millis): Journey {
    const journey: Journey = { at: now, compartments: new Set(), points: [], stages: [], state: 'open' };
    this.#journeys.set(slot, journey);
    return journey;
  }

  /** Whether its stages are noted: where it is tapped, and in compartment 1, from where it may come to be. */
  #touch(journey: Journey, compartment: number, now: Millis): boolean {
    journey.compartments.add(compartment);
    if (journey.state !== 'open') return journey.state === 'sampled';
    if (this.#compartments !== 'all' && !this.#compartments.has(compartment)) return compartment === DEFAULT;
    if (now - this.#second >= 1000) {
      this.#second = now;
      this.#sampled = 0;
    }
    const isSample = this.#sampled < SAMPLES;
    if (isSample) this.#sampled += 1;
    else this.#missed += 1;
    journey.state = isSample ? 'sampled' : 'missed';
    return isSample;
  }

  #underlay(
    journey: Journey,
    { addresses, carrier }: UnderlayParameters,
    remote: Address,
    { buf, start, end, segment }: Packet,
    direction: TapPoint['direction'],
  ): void {
    const local = addresses.find(({ length }) => length === remote.length) ?? remote;
    const whole = segment === 0 ? end : start + segment;
    const [source, destination] = direction === 'inbound' ? [remote, local] : [local, remote];
    const gre = buf.slice(start, whole);
    const ports = { sourcePort: GRE_IN_UDP_PORT, destinationPort: GRE_IN_UDP_PORT };
    const outer =
      carrier === 'nvgre'
        ? buildIp({ source, destination, protocol: IP_PROTOCOL.gre }, gre)
        : buildUdp({ source, destination, ...ports }, gre);
    journey.points.push({ direction, octets: outer.slice(0, TAP_OCTETS), length: outer.length });
  }

  #end(packet: Packet, stage: StageName, decision: string, why: string): void {
    const journey = this.#journeys.get(packet.slot);
    if (journey === undefined) return;
    note(journey, stage, decision, why);
    this.#finish(packet.slot, journey);
  }

  #finish(slot: number, { at, compartments, points, stages, state }: Journey): void {
    this.#journeys.delete(slot);
    if (state !== 'sampled') return;
    this.#tell({ at, compartments: [...compartments], points, stages, missed: this.#missed });
    this.#missed = 0;
  }
}

function note({ stages }: Journey, stage: StageName, decision: string, why: string): void {
  stages.push({ stage, decision, why, detail: [] });
}

/** Octets of the IP packet in a frame behind a GRE header; of a superframe those of one of its packets. */
function innerLength(packet: Packet): number {
  const headers = NVGRE_HEADER + ETHERNET_HEADER;
  if (packet.segment === 0) return packet.end - packet.start - headers;
  packet.start += headers;
  const length = segmentLength(packet);
  packet.start -= headers;
  return length;
}

/** Of a superframe as it is. */
function pointOf(
  { buf, start, end }: Packet,
  direction: TapPoint['direction'],
  compartment: number,
  number: number,
): TapPoint {
  const octets = buf.slice(start, Math.min(end, start + TAP_OCTETS));
  return { compartment, interface: number, direction, octets, length: end - start };
}
