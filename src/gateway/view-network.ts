/**
 * NAT and virtual networks as people see them: what control knows, and what the data plane counts in shared cells.
 *
 * Deliberate limit: where others host the data plane, the virtual switch here knows the policy and nothing that was learned.
 */

import type { NeighbourView } from '../compartment/index.ts';
import { formatMac } from '../config/index.ts';
import type { Millis } from '../core/index.ts';
import { type Address, dropsByName, formatAddress, formatEndpoint, ipv4Octets, protocolName } from '../ip/index.ts';
import { type NatSessionView, natDrops, readNatCounters } from '../nat/index.ts';
import type { RecordView } from '../nvgre/index.ts';
import type { Books } from './books.ts';
import type {
  NatSessionStatus,
  NatStatus,
  NeighbourStatus,
  NetworkStatus,
  NextHopStatus,
  RecordStatus,
} from './status.ts';
import type { Tenant } from './tenant.ts';

export const viewNats = (books: Books): NatStatus[] =>
  [...books.tenants.keys()].flatMap((name) => viewNat(books, name) ?? []);

/** Undefined: the tenant has none. */
export function viewNat(books: Books, tenant: string): NatStatus | undefined {
  const out = books.outside.tenants.get(tenant);
  const nat = books.tenants.get(tenant)?.config.nat;
  if (out?.natCells === undefined || out.external === undefined || nat === undefined) return undefined;
  const cells = books.cells.at(out.natCells);
  return {
    tenant,
    externalAddress: formatAddress(out.external),
    filtering: nat.filtering,
    rules: nat.rules.length,
    sessionLimit: nat.limits.sessions,
    ...readNatCounters(cells),
    drops: dropsByName(natDrops(cells)),
  };
}

export const viewSession = (external: Address, view: NatSessionView): NatSessionStatus => {
  const { protocol, innerAddress, innerPort, externalPort, remoteAddress, remotePort, ...rest } = view;
  return {
    protocol: protocolName(protocol),
    inner: endpoint(innerAddress, innerPort),
    external: formatEndpoint({ address: external, port: externalPort }),
    remote: remotePort === 0 ? formatAddress(ipv4Octets(remoteAddress)) : endpoint(remoteAddress, remotePort),
    ...rest,
  };
};

/** Undefined: the tenant has no virtual network. */
export function viewNetwork(books: Books, { name, number, network }: Tenant): NetworkStatus | undefined {
  const { switch: ports } = books.plane;
  if (network.cells === undefined || ports === undefined) return undefined;
  return { tenant: name, counters: ports.counters(number), drops: dropsByName(ports.dropsOf(number)) };
}

export const viewNetworks = (books: Books): NetworkStatus[] =>
  [...books.tenants.values()].flatMap((tenant) => viewNetwork(books, tenant) ?? []);

export const viewRecords = (books: Books, now: Millis): RecordStatus[] =>
  [...books.tenants.values()].flatMap(({ name, number, network }) =>
    network.cells === undefined
      ? []
      : (books.plane.switch?.records(number) ?? []).map((record) => viewRecord(name, record, now)),
  );

function viewRecord(tenant: string, { vsid, ca, mac, pa, type, origin, seen }: RecordView, now: Millis): RecordStatus {
  return {
    tenant,
    vsid,
    ca: ca === undefined ? null : formatAddress(ca),
    mac: formatMac(mac),
    pa: pa === undefined ? null : formatAddress(pa),
    type,
    origin,
    ...(seen === undefined ? {} : { seenSecondsAgo: Math.floor((now - seen) / 1000) }),
  };
}

/** Undefined: the tenant has no virtual network. */
export function viewNextHop(
  books: Books,
  { number, network }: Tenant,
  query: { readonly vsid: number; readonly source: Address; readonly destination: Address },
): NextHopStatus | undefined {
  if (network.cells === undefined) return undefined;
  const explained = books.plane.switch?.explain(number, query);
  if (explained === undefined) return undefined;
  const { chosen, why, steps } = explained;
  return {
    chosen:
      chosen === undefined
        ? null
        : {
            vsid: chosen.vsid,
            nextHop: chosen.nextHop === undefined ? null : formatAddress(chosen.nextHop),
            mac: formatMac(chosen.mac),
            pa: chosen.pa === undefined ? null : formatAddress(chosen.pa),
            port: chosen.port ?? null,
          },
    why,
    steps,
  };
}

export function viewNeighbour(name: string, view: NeighbourView, now: Millis): NeighbourStatus {
  const { address, mac, state, since, waiting } = view;
  return {
    interface: name,
    address: formatAddress(address),
    mac: mac === undefined ? null : formatMac(mac),
    state,
    forSeconds: Math.max(0, Math.floor((now - since) / 1000)),
    waiting,
  };
}

const endpoint = (address: number, port: number): string => formatEndpoint({ address: ipv4Octets(address), port });
