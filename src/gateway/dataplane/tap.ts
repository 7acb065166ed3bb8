/**
 * A tap on real packets: what became of each, stage by stage, told to control when it is known.
 *
 * The slot of a packet names its journey from the door to the way out, because a packet keeps its slot on the way, and the use of the
 * slot tells it from those before. Pieces that it is cut into begin journeys of their own. Where no tap is set nothing here is called (`DataPlane.tapping`).
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
  type Endpoint,
  ETHERNET_HEADER,
  echoIdentifier,
  findUpperLayer,
  flowRecord,
  formatAddress,
  formatEndpoint,
  formatMac,
  formatPrefix,
  IP_PROTOCOL,
  isEchoReply,
  isEchoRequest,
  newUpperLayer,
  PASS,
  type Packet,
  type PacketPool,
  segmentLength,
} from '../../ip/index.ts';
import { flowIdOf, GRE_IN_UDP_PORT, NVGRE_HEADER, overhead, vsidOf } from '../../nvgre/index.ts';
import type { StageName, TraceStage } from '../trace/contract.ts';
import type { UnderlayParameters } from './contract.ts';
import type { PlaneTenant } from './tenant.ts';
import type { PlaneSa } from './tunnel.ts';

/** Where a packet was seen: an interface of a compartment, or, sealed or encapsulated, a network that has none of its own. */
export interface TapPoint {
  readonly network?: 'underlay' | 'external';
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
  /** Of its slot: another packet in it is on a journey of its own. */
  readonly use: number;
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
  readonly #pool: PacketPool;
  readonly #tell: (packet: TappedPacket) => void;
  readonly #journeys = new Map<number, Journey>();
  #compartments: ReadonlySet<number> | 'all' = new Set();
  #second: Millis = Number.NEGATIVE_INFINITY;
  #sampled = 0;
  #missed = 0;

  constructor(pool: PacketPool, tell: (packet: TappedPacket) => void) {
    this.#pool = pool;
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

  /** A frame of an Ethernet segment. */
  fromWire(frame: Packet, now: Millis): void {
    const { buf, start } = frame;
    note(this.#begin(frame, now), 'door', `frame for ${formatMac(buf.slice(start, start + 6))}`, 'by the device');
  }

  /** A frame of a VM of this host. */
  fromMachine(vsid: number, frame: Packet, now: Millis): void {
    note(this.#begin(frame, now), 'door', `Ethernet, VSID ${vsid}`, 'by the device of the VM');
  }

  /** An ESP packet of `remote` that was opened; `sealed` is what it was. */
  opened(
    { inbound, outbound }: PlaneSa,
    remote: Endpoint,
    sequence: number,
    sealed: Bytes,
    packet: Packet,
    now: Millis,
  ) {
    const journey = this.#begin(packet, now);
    const { spi } = inbound;
    const ends = { source: remote, destination: outbound.localEndpoint };
    journey.points.push(espPoint(ends, outbound.udpEncapsulation, sealed, 'inbound'));
    const why = `sequence number ${sequence}, authentic and within the selectors`;
    journey.stages.push({ stage: 'door', decision: `ESP, SPI ${hex32(spi)}`, why, detail: [], spiIn: spi });
  }

  // On the way.

  entered({ compartment }: PlaneTenant, number: number, packet: Packet, now: Millis): void {
    const journey = this.#of(packet) ?? this.#begin(packet, now);
    if (!this.#touch(journey, compartment.number, now)) return;
    const name = compartment.interfaces().find((view) => view.number === number)?.name ?? '';
    journey.points.push(pointOf(packet, 'inbound', compartment.number, number));
    note(journey, 'compartment', `${compartment.name} (compartment ${compartment.number})`, `by interface ${name}`);
  }

  /** The compartment has decided. */
  left({ compartment }: PlaneTenant, number: number, nextHop: Address | undefined, packet: Packet, now: Millis): void {
    const journey = this.#of(packet) ?? this.#beginHere(packet, now);
    if (!this.#touch(journey, compartment.number, now)) return;
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
    const journey = this.#of(packet);
    const flow =
      journey !== undefined && journey.state !== 'missed'
        ? flowRecord(packet.buf, packet.start, packet.end)
        : undefined;
    if (journey === undefined || flow === undefined) return;
    const end = outward ? formatAddress(flow.source) : formatAddress(flow.destination);
    const port = outward ? flow.sourcePort : flow.destinationPort;
    const shown = flow.protocol === IP_PROTOCOL.icmp ? queryEnd(packet, end) : `${end}:${port}`;
    note(
      journey,
      'nat',
      `${outward ? 'source' : 'destination'} becomes ${shown}`,
      'translated by the NAT of the tenant',
    );
  }

  /** The tenant has no NAT. */
  passed(packet: Packet): void {
    const journey = this.#of(packet);
    if (journey !== undefined) note(journey, 'nat', 'not translated', 'the tenant is routed directly');
  }

  // Ends.

  sealed({ outbound, inbound }: PlaneSa, packet: Packet): void {
    const journey = this.#of(packet);
    if (journey === undefined) return;
    const { spi, sequence, udpEncapsulation, localEndpoint, remoteEndpoint } = outbound;
    const why = 'the newest active SA whose selectors admit it';
    const decision = `SPI ${hex32(spi)}, sequence number ${sequence}`;
    journey.stages.push({ stage: 'sa', decision, why, detail: [], spiIn: inbound.spi });
    const ends = udpEncapsulation
      ? `${formatEndpoint(localEndpoint)} > ${formatEndpoint(remoteEndpoint)}`
      : `${formatAddress(localEndpoint.address)} > ${formatAddress(remoteEndpoint.address)}`;
    const { buf, start, end, segment } = packet;
    const octets = buf.slice(start, segment === 0 ? end : start + segment);
    const point = espPoint(
      { source: localEndpoint, destination: remoteEndpoint },
      udpEncapsulation,
      octets,
      'outbound',
    );
    journey.points.push(point);
    note(journey, 'encapsulation', udpEncapsulation ? 'ESP in UDP' : 'ESP', `to the peer at ${ends}`);
    note(journey, 'mtu', `${point.length} octets outside`, 'what the tunnel carries leaves room for the headers');
    this.#end(packet, 'out', ends, 'by the socket of IKE and ESP');
  }

  /** NVGRE to a provider address, GRE header first. */
  toUnderlay(underlay: UnderlayParameters, remote: Address, packet: Packet): void {
    const journey = this.#of(packet);
    if (journey === undefined) return;
    this.#underlay(journey, underlay, remote, packet, 'outbound');
    const { buf, start } = packet;
    if (journey.stages.at(-1)?.stage === 'mtu') this.#neighbour(journey, packet, start + NVGRE_HEADER);
    const words = `NVGRE, VSID ${vsidOf(buf, start)}, FlowID ${flowIdOf(buf, start)}`;
    note(journey, 'encapsulation', words, 'as its lookup record says');
    const outer = innerLength(packet) + overhead(underlay.carrier, remote.length === 4 ? 4 : 6);
    note(journey, 'mtu', `${outer} octets outside`, 'what the interface carries leaves room for the headers');
    const local = localOf(underlay, remote);
    this.#end(packet, 'out', `${formatAddress(local)} > ${formatAddress(remote)}`, 'in the provider network');
  }

  toPort(port: number, packet: Packet): void {
    this.#end(packet, 'out', `port ${port}`, 'given to the device');
  }

  /** A frame to a port of the host's. */
  framed(packet: Packet): void {
    const { buf, start } = packet;
    const journey = this.#of(packet);
    if (journey !== undefined) this.#neighbour(journey, packet, start);
    const [to, from] = [buf.slice(start, start + 6), buf.slice(start + 6, start + 12)];
    this.#end(packet, 'out', `frame from ${formatMac(from)} to ${formatMac(to)}`, 'given to the device');
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
    const journey = this.#of(packet) ?? this.#beginHere(packet, now);
    if (compartment !== undefined && !this.#touch(journey, compartment, now))
      return void this.#journeys.delete(packet.slot);
    const drop = DROP_NAMES[reason] as DropReason;
    const stage = journey.stages.at(-1)?.stage ?? 'door';
    journey.stages.push({ stage, decision: `dropped: ${drop}`, why: DROP_TEXT[drop], detail: [], drop });
    this.#finish(packet.slot, journey);
  }

  #of(packet: Packet): Journey | undefined {
    const journey = this.#journeys.get(packet.slot);
    if (journey === undefined || journey.use === this.#pool.useOf(packet)) return journey;
    // It was consumed, and nobody was told.
    this.#journeys.delete(packet.slot);
    return undefined;
  }

  #begin(packet: Packet, now: Millis): Journey {
    const { slot } = packet;
    const use = this.#pool.useOf(packet);
    const journey: Journey = { use, at: now, compartments: new Set(), points: [], stages: [], state: 'open' };
    this.#journeys.set(slot, journey);
    return journey;
  }

  #beginHere(packet: Packet, now: Millis): Journey {
    const journey = this.#begin(packet, now);
    note(journey, 'door', 'this gateway', 'a packet of its own, or a piece of a larger one');
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
    underlay: UnderlayParameters,
    remote: Address,
    { buf, start, end, segment }: Packet,
    direction: TapPoint['direction'],
  ): void {
    const local = localOf(underlay, remote);
    const whole = segment === 0 ? end : start + segment;
    const [source, destination] = direction === 'inbound' ? [remote, local] : [local, remote];
    const gre = buf.slice(start, whole);
    const ports = { sourcePort: GRE_IN_UDP_PORT, destinationPort: GRE_IN_UDP_PORT };
    const outer =
      underlay.carrier === 'nvgre'
        ? buildIp({ source, destination, protocol: IP_PROTOCOL.gre }, gre)
        : buildUdp({ source, destination, ...ports }, gre);
    journey.points.push({
      network: 'underlay',
      direction,
      octets: outer.slice(0, TAP_OCTETS),
      length: outer.length,
    });
  }

  #end(packet: Packet, stage: StageName, decision: string, why: string): void {
    const journey = this.#of(packet);
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

const localOf = ({ addresses }: UnderlayParameters, remote: Address): Address =>
  addresses.find(({ length }) => length === remote.length) ?? remote;

const hex32 = (spi: number): string => spi.toString(16).padStart(8, '0');

/** Of a query with its identifier, as a NAT has it; of an error the address. */
function queryEnd({ buf, start, end }: Packet, address: string): string {
  const upper = newUpperLayer();
  if (findUpperLayer(buf, start, end, upper) !== PASS || !isEcho(buf, upper.at, upper.end)) return address;
  return `${address}:${echoIdentifier(buf, upper.at)}`;
}

const isEcho = (buf: Bytes, at: number, end: number): boolean =>
  isEchoRequest(buf, at, end, 4) || isEchoReply(buf, at, end, 4);

/** Octets of the IP packet in a frame behind a GRE header; of a superframe those of one of its packets. */
function innerLength(packet: Packet): number {
  const headers = NVGRE_HEADER + ETHERNET_HEADER;
  if (packet.segment === 0) return packet.end - packet.start - headers;
  packet.start += headers;
  const length = segmentLength(packet);
  packet.start -= headers;
  return length;
}

/** With the headers that the socket writes, or read. */
function espPoint(
  { source, destination }: { readonly source: Endpoint; readonly destination: Endpoint },
  udp: boolean,
  esp: Bytes,
  direction: TapPoint['direction'],
): TapPoint {
  const ends = { source: source.address, destination: destination.address };
  const outer = udp
    ? buildUdp({ ...ends, sourcePort: source.port, destinationPort: destination.port }, esp)
    : buildIp({ ...ends, protocol: IP_PROTOCOL.esp }, esp);
  return { network: 'external', direction, octets: outer.slice(0, TAP_OCTETS), length: outer.length };
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
