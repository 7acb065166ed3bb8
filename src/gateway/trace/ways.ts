/**
 * What stands behind an interface of a compartment, asked what it would do with a packet: a link with its NAT, a segment with its
 * neighbours, a virtual subnet with its records, a tunnel with its SAs, a port.
 */
import { assertNever } from '../../core/index.ts';
import { outerDf, outerLength } from '../../esp/index.ts';
import {
  type Address,
  DROP_NAMES,
  type DropReason,
  ETHER_TYPE,
  ETHERNET_HEADER,
  formatAddress,
  formatEndpoint,
  formatMac,
  IP_PROTOCOL,
  ipv4Number,
  ipv4Octets,
  octetsOf,
  PASS,
  sameAddress,
  writeEthernet,
} from '../../ip/index.ts';
import { explainInbound, explainOutbound, type NatFlow } from '../../nat/index.ts';
import { flowIdFor, overhead, type ProviderAddress, type RecordView } from '../../nvgre/index.ts';
import type { PlaneLink } from '../dataplane/link.ts';
import type { PlaneSegment } from '../dataplane/segment.ts';
import type { PlaneTenant } from '../dataplane/tenant.ts';
import { type PlaneTunnel, WAITING_PACKETS } from '../dataplane/tunnel.ts';
import { enter, type Walk } from './walk.ts';

/** The compartment has decided that the packet leaves by this interface. */
export function leave(walk: Walk, tenant: PlaneTenant, number: number, nextHop: Address | undefined): void {
  const behind = tenant.ways.get(number);
  if (behind === undefined) return walk.drop('out', 'linkDown');
  switch (behind.kind) {
    case 'link':
      return throughLink(walk, behind.link, behind.side);
    case 'tunnel':
      return intoTunnel(walk, behind.tunnel);
    case 'segment':
      return ontoSegment(walk, tenant, behind.segment, behind.switchPort, nextHop ?? walk.flow.destination);
    case 'port':
      return walk.note('out', `port ${behind.port}`, 'the packet is given to the device as it is');
    default:
      return assertNever(behind);
  }
}

/** Between a tenant's compartment and compartment 1. */
function throughLink(walk: Walk, link: PlaneLink, side: 'inside' | 'outside'): void {
  const to = side === 'inside' ? link.outside : link.inside;
  if (to === undefined) return walk.drop('nat', 'linkDown', 'the other end of the link is gone');
  if (link.nat === undefined) {
    walk.note('nat', 'not translated', 'the tenant is routed directly');
    return enter(walk, to.tenant, to.into.number, 'the link leads there');
  }
  const { flow } = walk;
  if (flow.source.length !== 4) return walk.drop('nat', 'natProtocol', 'NAT is for IPv4');
  const asked: NatFlow = {
    protocol: flow.protocol,
    source: ipv4Number(flow.source),
    sourcePort: flow.sourcePort,
    destination: ipv4Number(flow.destination),
    destinationPort: flow.destinationPort,
    opens: walk.opens,
  };
  const outward = side === 'inside';
  const { verdict, words, translated } = outward ? explainOutbound(link.nat, asked) : explainInbound(link.nat, asked);
  const why = words.at(-1) ?? '';
  if (verdict !== PASS || translated === undefined)
    return walk.drop('nat', DROP_NAMES[verdict] as DropReason, why, words.slice(0, -1));
  const address = ipv4Octets(translated.address);
  const port = translated.port ?? 0;
  const isQuery = flow.protocol === IP_PROTOCOL.icmp;
  walk.flow = outward
    ? { ...flow, source: address, sourcePort: port, ...(isQuery ? { destinationPort: port } : {}) }
    : { ...flow, destination: address, destinationPort: port, ...(isQuery ? { sourcePort: port } : {}) };
  const shown =
    translated.port === undefined ? `${formatAddress(address)}, a port by chance` : formatEndpoint({ address, port });
  walk.note('nat', `${outward ? 'source' : 'destination'} becomes ${shown}`, why, words.slice(0, -1));
  enter(walk, to.tenant, to.into.number, outward ? 'behind the NAT' : 'the NAT address is the tenant’s');
}

/** An SA carries it, or it waits for one. */
function intoTunnel(walk: Walk, tunnel: PlaneTunnel): void {
  const sa = tunnel.outboundFor(walk.packet);
  if (sa === undefined) {
    if (tunnel.up) return walk.drop('sa', 'prohibited', 'SAs are up, and none has selectors that admit it');
    if (walk.stopping) return walk.drop('sa', 'linkDown', 'the gateway is stopping');
    if (tunnel.waiting.length >= WAITING_PACKETS)
      return walk.drop('sa', 'queueFull', `${WAITING_PACKETS} packets wait for the tunnel already`);
    if (!walk.layout.mayWait(tunnel.tenant))
      return walk.drop('sa', 'queueFull', 'as many packets of the tenant wait as leave room to others');
    return walk.note('sa', 'waits', 'no SA is up: IKE is asked for one', [], { waits: true });
  }
  const { inbound, outbound } = sa;
  const { localEndpoint, remoteEndpoint, udpEncapsulation, protection } = outbound;
  walk.note(
    'sa',
    `SPI ${hex32(outbound.spi)}, sequence number ${outbound.sequence + 1}`,
    'the newest active SA whose selectors admit it',
    [],
    { spiIn: inbound.spi },
  );
  const carrier = udpEncapsulation ? 'udp' : 'ip-50';
  const family = remoteEndpoint.address.length === 4 ? 4 : 6;
  const { packet } = walk;
  const df = outerDf(packet.buf, packet.start, outbound.df) === 1 && walk.size <= tunnel.mtu;
  const outer = outerLength(walk.size, protection, carrier, family);
  const ends = udpEncapsulation
    ? `${formatEndpoint(localEndpoint)} > ${formatEndpoint(remoteEndpoint)}`
    : `${formatAddress(localEndpoint.address)} > ${formatAddress(remoteEndpoint.address)}`;
  walk.note('encapsulation', udpEncapsulation ? 'ESP in UDP' : 'ESP', `to the peer at ${ends}`);
  walk.note('mtu', `${outer} octets outside`, `the tunnel carries ${tunnel.mtu} inside`, [
    df ? 'with DF' : 'without DF',
  ]);
  walk.note('out', ends, 'by the socket of IKE and ESP');
}

function ontoSegment(
  walk: Walk,
  tenant: PlaneTenant,
  { segment }: PlaneSegment,
  switchPort: number | undefined,
  target: Address,
): void {
  const text = formatAddress(target);
  const known = segment.neighbours().find(({ address }) => sameAddress(address, target));
  const record = switchPort === undefined ? undefined : recordOf(walk, tenant, switchPort, target);
  const mac = known?.mac ?? record?.mac;
  if (mac === undefined) {
    const asked = known === undefined ? 'it is not known, and asked for' : `it is ${known.state}`;
    const queue =
      known === undefined
        ? []
        : [`${known.waiting} packets wait for it; beyond ${segment.limits.waitingEach} the oldest goes`];
    return walk.note('neighbour', 'waits', `who has ${text}? ${asked}`, queue, { waits: true });
  }
  if (known?.mac !== undefined) walk.note('neighbour', formatMac(mac), `${text} is ${known.state} there`);
  else walk.note('neighbour', formatMac(mac), `the switch answers for ${text} from its ${record!.type} record`);
  if (switchPort === undefined)
    return walk.note('out', `frame from ${formatMac(segment.mac)} to ${formatMac(mac)}`, 'the port takes frames');
  toStation(walk, tenant, switchPort, segment.mac, mac);
}

/** The virtual switch hands the frame to its station: another port here, or a host behind a provider address. */
function toStation(walk: Walk, tenant: PlaneTenant, switchPort: number, from: Uint8Array, mac: Uint8Array): void {
  const vsid = vsidOf(tenant, switchPort);
  const records = recordsOf(walk, tenant).filter((record) => record.vsid === vsid);
  const record = records.find((each) => sameAddress(each.mac, mac));
  if (record === undefined)
    return walk.drop('encapsulation', 'noRecord', `no record of ${formatMac(mac)} in VSID ${vsid}`);
  if (record.pa === undefined) return walk.note('out', `port of ${formatMac(mac)}`, 'its VM is at this node');
  encapsulate(walk, vsid, from, mac, record.pa, `${record.type} record: ${formatMac(mac)} is there`);
}

/** NVGRE to a provider address. */
export function encapsulate(
  walk: Walk,
  vsid: number,
  from: Uint8Array,
  to: Uint8Array,
  pa: ProviderAddress,
  why: string,
): void {
  const { fabric } = walk.layout;
  const local = fabric?.parameters.addresses.find(({ length }) => length === pa.length);
  if (fabric === undefined || local === undefined)
    return walk.drop('encapsulation', 'linkDown', 'no provider address of that family');
  const { carrier } = fabric.parameters;
  const octets = octetsOf(walk.packet);
  const frame = new Uint8Array(ETHERNET_HEADER + octets.length);
  writeEthernet(frame, 0, to, from, octets[0]! >>> 4 === 4 ? ETHER_TYPE.ipv4 : ETHER_TYPE.ipv6);
  frame.set(octets, ETHERNET_HEADER);
  const flowId = flowIdFor(frame, 0, frame.length);
  const outer = walk.size + overhead(carrier, pa.length === 4 ? 4 : 6);
  walk.note('encapsulation', `NVGRE, VSID ${vsid}, FlowID ${flowId}`, `to ${formatAddress(pa)}: ${why}`);
  walk.note('mtu', `${outer} octets outside`, 'what the interface carries leaves room for the headers');
  walk.note(
    'out',
    `${formatAddress(local)} > ${formatAddress(pa)}`,
    carrier === 'nvgre' ? 'IP protocol 47 in the provider network' : 'UDP port 4754 in the provider network',
  );
}

export const recordsOf = ({ layout }: Walk, { compartment }: PlaneTenant): readonly RecordView[] =>
  layout.fabric?.network(compartment.number) === undefined ? [] : layout.fabric.switch.records(compartment.number);

function recordOf(walk: Walk, tenant: PlaneTenant, switchPort: number, ca: Address): RecordView | undefined {
  const vsid = vsidOf(tenant, switchPort);
  return recordsOf(walk, tenant).find((r) => r.vsid === vsid && r.ca !== undefined && sameAddress(r.ca, ca));
}

function vsidOf(tenant: PlaneTenant, switchPort: number): number {
  for (const behind of tenant.ways.values())
    if (behind.kind === 'segment' && behind.switchPort === switchPort) return behind.vsid ?? 0;
  return 0;
}

export const hex32 = (spi: number): string => spi.toString(16).padStart(8, '0');
