/**
 * A question as people put it, made into one for the data plane: the packet read, and the door it comes by found; and the answer
 * completed with what only control knows.
 */

import { DEFAULT_COMPARTMENT } from '../../config/index.ts';
import {
  type Address,
  contains,
  type FlowRecord,
  formatAddress,
  formatSelector,
  IP_PROTOCOL,
  parseAddress,
  protocolNumber,
  sameAddress,
} from '../../ip/index.ts';
import type { Books } from '../books.ts';
import type { Tenant } from '../tenant.ts';
import type { TraceDoor, TraceQuestion, TraceStage } from './contract.ts';

export interface TraceOrder {
  readonly tenant: string;
  /**
   * A customer address, a connection, an interface, a VM of this host, `outside` (the external network) or `gateway`; undefined: as
   * the source address says.
   */
  readonly from: string | undefined;
  readonly flow: FlowRecord;
  readonly size: number;
  readonly hopLimit: number;
  readonly dontFragment: boolean;
  readonly opens: boolean;
}

/** `tcp 10.1.0.10:5000 > 192.168.7.7:443`; undefined for anything else. Ports may be left out: a source port is 49152 then. */
export function parseFlow(text: string): FlowRecord | undefined {
  const [, word, from, to] = /^\s*(\S+)\s+(\S+)\s*>\s*(\S+)\s*$/.exec(text) ?? [];
  const known = word === undefined ? undefined : protocolNumber(word);
  const [source, destination] = [endpointOf(from), endpointOf(to)];
  if (known === undefined || source === undefined || destination === undefined) return undefined;
  if (source.address.length !== destination.address.length) return undefined;
  const isV6 = source.address.length === 16;
  const protocol = known === IP_PROTOCOL.icmp && isV6 ? IP_PROTOCOL.icmpv6 : known;
  const flow = { source: source.address, destination: destination.address, protocol };
  if (protocol === IP_PROTOCOL.icmp || protocol === IP_PROTOCOL.icmpv6) {
    const identifier = source.port ?? destination.port ?? 1;
    return { ...flow, sourcePort: identifier, destinationPort: identifier };
  }
  if (protocol !== IP_PROTOCOL.tcp && protocol !== IP_PROTOCOL.udp) {
    if (source.port !== undefined || destination.port !== undefined) return undefined;
    return { ...flow, sourcePort: 0, destinationPort: 0 };
  }
  if (destination.port === undefined) return undefined;
  return { ...flow, sourcePort: source.port ?? EPHEMERAL, destinationPort: destination.port };
}

/** A question for the data plane, and whose it is; or why there is none, in words. */
export function questionOf(books: Books, order: TraceOrder): { tenant: Tenant; question: TraceQuestion } | string {
  const { from, flow, size, hopLimit, dontFragment, opens } = order;
  const named = books.tenants.get(order.tenant);
  if (named === undefined) return `there is no tenant ${order.tenant}`;
  const place = placeOf(books, named, from ?? formatAddress(flow.source));
  if (typeof place === 'string') return place;
  const { tenant, door } = place;
  return { tenant, question: { compartment: tenant.number, door, flow, size, hopLimit, dontFragment, opens } };
}

/** What is agreed with the peer stands with the SA. */
export function completed(books: Books, stages: readonly TraceStage[]): TraceStage[] {
  return stages.map((stage) => {
    const tunnel = stage.spiIn === undefined ? undefined : books.bySpi.get(stage.spiIn);
    const child = tunnel?.children.get(stage.spiIn!)?.sa;
    if (tunnel === undefined || child === undefined) return stage;
    const selectors = `${child.local.map(formatSelector).join(', ')} === ${child.remote.map(formatSelector).join(', ')}`;
    const { encryption, integrity } = child.suite;
    const suite = [encryption.word, integrity?.word].filter((word) => word !== undefined).join('-');
    return { ...stage, detail: [`connection ${tunnel.config.name}: ${selectors}, ${suite}`, ...stage.detail] };
  });
}

interface Place {
  readonly tenant: Tenant;
  readonly door: TraceDoor;
}

function placeOf(books: Books, tenant: Tenant, from: string): Place | string {
  if (from === 'gateway') return { tenant, door: { by: 'gateway' } };
  if (from === 'outside') return outside(books);
  const address = parseAddress(from);
  if (address !== undefined) return ofAddress(books, tenant, address);
  for (const [number, { config }] of tenant.ways)
    if (config.name === from) return { tenant, door: { by: 'interface', interface: number } };
  const vm = books.resolved?.machines?.get(tenant.name)?.vms.find(({ name }) => name === from);
  const ca = vm?.addresses[0];
  if (vm !== undefined && ca !== undefined) return { tenant, door: { by: 'vm', vsid: vm.vsid, ca } };
  // Where there is one site only, it need not be named.
  const [only, another] = [...tenant.tunnels.values()];
  if (from === 'site' && only !== undefined && another === undefined)
    return { tenant, door: { by: 'interface', interface: only.interface } };
  const known = [...[...tenant.ways.values()].map(({ config }) => config.name), 'outside', 'gateway'];
  return `nothing of tenant ${tenant.name} is called ${from}; known: customer addresses, ${[...new Set(known)].join(', ')}`;
}

/** The VM that has it, else the way that leads to it. */
function ofAddress(books: Books, tenant: Tenant, address: Address): Place | string {
  const { number } = tenant;
  if (tenant.compartment.owns(address)) return { tenant, door: { by: 'gateway' } };
  const records = tenant.network.cells === undefined ? [] : (books.plane.switch?.records(number) ?? []);
  const record = records.find(({ ca }) => ca !== undefined && sameAddress(ca, address));
  if (record !== undefined) return { tenant, door: { by: 'vm', vsid: record.vsid, ca: address } };
  for (const { vsid, config } of tenant.network.subnets.values())
    if (config.addresses.some((prefix) => contains(prefix, address)))
      return { tenant, door: { by: 'vm', vsid, ca: address } };
  const { chosen, why } = tenant.compartment.explain(address);
  if (chosen === undefined) return `nothing says by which way ${formatAddress(address)} would come: ${why}`;
  if (books.outside.tenants.get(tenant.name)?.inside === chosen.interface) return outside(books);
  return { tenant, door: { by: 'interface', interface: chosen.interface } };
}

/** By the external interface, into compartment 1. */
function outside(books: Books): Place | string {
  const tenant = books.tenants.get(DEFAULT_COMPARTMENT);
  const external = tenant?.interfaces.get('external');
  if (tenant === undefined || external === undefined) return 'there is no external interface';
  return { tenant, door: { by: 'interface', interface: external.number } };
}

function endpointOf(text = ''): { readonly address: Address; readonly port: number | undefined } | undefined {
  const whole = parseAddress(text);
  if (whole !== undefined) return { address: whole, port: undefined };
  const [, host = '', digits = ''] = /^\[?([^\]]*)\]?:(\d{1,5})$/.exec(text) ?? [];
  const address = parseAddress(host);
  return address === undefined || Number(digits) > 0xffff ? undefined : { address, port: Number(digits) };
}

const EPHEMERAL = 49152;
