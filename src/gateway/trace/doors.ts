/** How a packet comes in: which door it takes, and whether that lets it pass. */
import { assertNever } from '../../core/index.ts';
import {
  type Address,
  contains,
  DROP_TEXT,
  formatAddress,
  formatMac,
  ipv6IsMulticastAt,
  sameAddress,
} from '../../ip/index.ts';
import type { RecordView } from '../../nvgre/index.ts';
import type { PlaneTenant } from '../dataplane/tenant.ts';
import type { PlaneTunnel } from '../dataplane/tunnel.ts';
import type { TraceDoor } from './contract.ts';
import { enter, type Walk } from './walk.ts';
import { encapsulate, hex32, recordsOf } from './ways.ts';

export function begin(walk: Walk, tenant: PlaneTenant, door: TraceDoor): void {
  switch (door.by) {
    case 'gateway':
      walk.note('door', 'this gateway', 'it is a packet of its own');
      return enter(walk, tenant, undefined, 'its own packet');
    case 'interface':
      return byInterface(walk, tenant, door.interface);
    case 'vm':
      return fromVm(walk, tenant, door.vsid, door.ca);
    default:
      return assertNever(door);
  }
}

function byInterface(walk: Walk, tenant: PlaneTenant, number: number): void {
  const behind = tenant.ways.get(number);
  if (behind === undefined) return walk.drop('door', 'linkDown', 'the interface is gone');
  if (behind.kind === 'tunnel') return fromPeer(walk, tenant, behind.tunnel, number);
  const { name } = tenant.compartment;
  if (behind.kind === 'port') walk.note('door', `port ${behind.port}`, `the device is one of ${name}`);
  else if (behind.kind === 'segment')
    walk.note('door', `frame for ${formatMac(behind.segment.segment.mac)}`, `the segment is one of ${name}`);
  else walk.note('door', 'link', 'it comes from another compartment');
  enter(walk, tenant, number, 'the door leads there');
}

/** RFC 4301 §5.2: the SPI is the door, and what is inside must be within the selectors. */
function fromPeer(walk: Walk, tenant: PlaneTenant, tunnel: PlaneTunnel, number: number): void {
  const { buf, start, end } = walk.packet;
  const sas = [...tunnel.sas.values()].reverse();
  if (sas.length === 0) return walk.drop('door', 'noSa', 'no SA of the connection is up: nothing comes by it');
  const sa = sas.find(({ inbound }) => inbound.selectors.match(buf, start, end, false));
  if (sa === undefined)
    return walk.drop(
      'door',
      'espSelector',
      DROP_TEXT.espSelector,
      sas.map(({ inbound }) => `not of SPI ${hex32(inbound.spi)}`),
    );
  const { spi, sequence } = sa.inbound;
  walk.note(
    'door',
    `ESP, SPI ${hex32(spi)}`,
    'an SA of the connection, whose selectors admit it',
    [`the highest sequence number received is ${sequence}`],
    { spiIn: spi },
  );
  enter(walk, tenant, number, 'the SPI leads there');
}

/** RFC 7637: the VSID is the door; the virtual switch decides, first of all at the VM's own host. */
function fromVm(walk: Walk, tenant: PlaneTenant, vsid: number, ca: Address): void {
  const records = recordsOf(walk, tenant).filter((record) => record.vsid === vsid);
  const { fabric } = walk.layout;
  const sender = records.find((record) => record.ca !== undefined && sameAddress(record.ca, ca));
  const learns = records.some(({ type }) => type === 'l2only');
  if (fabric === undefined || (sender === undefined && !learns))
    return walk.drop(
      'door',
      'spoofed',
      `no record of ${formatAddress(ca)} in VSID ${vsid}: its host would not be believed`,
    );
  const place = sender?.pa === undefined ? 'a port here' : formatAddress(sender.pa);
  const why =
    sender === undefined
      ? 'a VM whose addresses are learned'
      : `${formatMac(sender.mac)} at ${place}, ${sender.type} record`;
  const { flow } = walk;
  if (sender !== undefined && !maySend(walk, tenant, records, sender, flow.source))
    return walk.drop('door', 'spoofed', `${formatAddress(flow.source)} is not an address of ${formatMac(sender.mac)}`);
  walk.note('door', `${sender?.pa === undefined ? 'Ethernet' : 'NVGRE'}, VSID ${vsid}`, why);
  const { number } = tenant.compartment;
  const {
    chosen,
    why: reason,
    steps,
  } = fabric.switch.explain(number, { vsid, source: flow.source, destination: flow.destination });
  if (chosen === undefined && isGroup(flow.destination)) {
    walk.note('switch', 'copied', reason, steps.slice(0, -1));
    for (const [by, behind] of tenant.ways)
      if (behind.kind === 'segment' && behind.vsid === vsid)
        return enter(walk, tenant, by, `a copy is for VSID ${vsid} here`);
    return walk.note('out', 'copies', 'to other ports and provider addresses');
  }
  if (chosen === undefined) return walk.drop('switch', 'noRecord', reason, steps.slice(0, -1));
  const { mac, pa, port } = chosen;
  walk.note('switch', `to ${formatMac(mac)} in VSID ${chosen.vsid}`, reason, steps.slice(0, -1));
  for (const [by, behind] of tenant.ways)
    if (behind.kind === 'segment' && port !== undefined && behind.switchPort === port)
      return enter(walk, tenant, by, `VSID ${chosen.vsid} is a virtual subnet of ${tenant.compartment.name}`);
  if (pa === undefined) return walk.note('out', `port of ${formatMac(mac)}`, 'its VM is at this node');
  if (sender?.pa === undefined) return encapsulate(walk, chosen.vsid, sender?.mac ?? mac, mac, pa, reason);
  walk.note('out', `${place} > ${formatAddress(pa)}`, 'its own host sends it there: it does not come by this gateway');
}

const isGroup = (address: Address): boolean =>
  address.length === 16 ? ipv6IsMulticastAt(address, 0) : address[0]! >= 224;

/** What `source-guard.ts` asks: the sender's own address, or one that a customer route has behind it. */
function maySend(
  { layout }: Walk,
  { compartment }: PlaneTenant,
  records: readonly RecordView[],
  sender: RecordView,
  source: Address,
): boolean {
  const owner = records.find(({ ca }) => ca !== undefined && sameAddress(ca, source));
  if (owner !== undefined) return sameAddress(owner.mac, sender.mac);
  if (records.some(({ type, mac }) => type !== 'static' && type !== 'dynamic' && sameAddress(mac, sender.mac)))
    return true;
  const routes = layout.fabric?.network(compartment.number)?.routes ?? [];
  return routes.some(
    ({ nextHop, prefix }) => sender.ca !== undefined && sameAddress(nextHop, sender.ca) && contains(prefix, source),
  );
}
