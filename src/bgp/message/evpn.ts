/**
 * Routes of EVPN as records: RFC 7432 §7.1–§7.4, RFC 9136 §3.1. They are the NLRI of `L2VPN_EVPN`, which the attribute codec leaves as octets.
 *
 * Labels are the 24 bits of their field: an MPLS label in the upper 20, or a VNI or VSID in all of them (RFC 8365 §5.1.3).
 * A type nobody knows, and a known one of a length it cannot have, is kept as octets; a receiver leaves it out (RFC 7606 §5.4).
 */
import { type Bytes, Reader, WireError, type Writer } from '../../core/index.ts';
import { type Address, networkOf, type Prefix } from '../../ip/index.ts';
import { countTypedNlri } from './update-view.ts';

export type EvpnRoute =
  | {
      readonly type: 'autoDiscovery';
      readonly distinguisher: Bytes;
      readonly segment: Bytes;
      readonly tag: number;
      readonly label: number;
    }
  | {
      readonly type: 'mac';
      readonly distinguisher: Bytes;
      readonly segment: Bytes;
      readonly tag: number;
      readonly mac: Bytes;
      readonly address?: Address;
      readonly label: number;
      /** For routing between subnets (RFC 9135). */
      readonly label2?: number;
    }
  | {
      readonly type: 'inclusiveMulticast';
      readonly distinguisher: Bytes;
      readonly tag: number;
      readonly originator: Address;
    }
  | { readonly type: 'segment'; readonly distinguisher: Bytes; readonly segment: Bytes; readonly originator: Address }
  | {
      readonly type: 'prefix';
      readonly distinguisher: Bytes;
      readonly segment: Bytes;
      readonly tag: number;
      readonly prefix: Prefix;
      readonly gateway: Address;
      readonly label: number;
    }
  | { readonly type: 'unknown'; readonly routeType: number; readonly value: Bytes };

export interface EvpnNlri {
  readonly route: EvpnRoute;
  readonly pathId?: number;
}

/*  Path Identifier (4, with `pathIds`) | Route Type (1) | Length (1) | Route  */
/** Undefined when the routes do not fit their octets (RFC 7606 §5.3). */
export function decodeEvpn(octets: Bytes, pathIds = false): EvpnNlri[] | undefined {
  if (countTypedNlri(octets, 0, octets.length, pathIds) < 0) return undefined;
  const r = new Reader(octets);
  const out: EvpnNlri[] = [];
  while (r.left > 0) {
    const pathId = pathIds ? r.u32('evpn.pathId') : undefined;
    const routeType = r.u8('evpn.type');
    const value = r.bytes('evpn.value', r.u8('evpn.length'));
    const route = decodeRoute(routeType, value);
    out.push(pathId === undefined ? { route } : { route, pathId });
  }
  return out;
}

export function encodeEvpn(w: Writer, nlri: readonly EvpnNlri[], pathIds = false): void {
  for (const { route, pathId } of nlri) {
    if (pathIds) w.u32(pathId ?? 0);
    w.u8(route.type === 'unknown' ? route.routeType : ROUTE_TYPES[route.type]);
    w.counted8(() => encodeRoute(w, route));
  }
}

function decodeRoute(routeType: number, value: Bytes): EvpnRoute {
  try {
    const r = new Reader(value);
    const route = DECODERS[routeType]?.(r);
    if (route !== undefined && r.left === 0) return route;
  } catch (error) {
    if (!(error instanceof WireError)) throw error;
  }
  return { type: 'unknown', routeType, value };
}

function encodeRoute(w: Writer, route: EvpnRoute): void {
  if (route.type === 'unknown') return w.bytes(route.value);
  w.bytes(route.distinguisher);
  switch (route.type) {
    case 'autoDiscovery':
      w.bytes(route.segment);
      w.u32(route.tag);
      return w.u24(route.label);
    case 'mac':
      return encodeMac(w, route);
    case 'inclusiveMulticast':
      w.u32(route.tag);
      return encodeAddress(w, route.originator);
    case 'segment':
      w.bytes(route.segment);
      return encodeAddress(w, route.originator);
    case 'prefix':
      w.bytes(route.segment);
      w.u32(route.tag);
      w.u8(route.prefix.length);
      w.bytes(networkOf(route.prefix));
      w.bytes(route.gateway);
      return w.u24(route.label);
  }
}

function encodeMac(w: Writer, route: Extract<EvpnRoute, { type: 'mac' }>): void {
  w.bytes(route.segment);
  w.u32(route.tag);
  w.u8(MAC_BITS);
  w.bytes(route.mac);
  if (route.address === undefined) w.u8(0);
  else encodeAddress(w, route.address);
  w.u24(route.label);
  if (route.label2 !== undefined) w.u24(route.label2);
}

function encodeAddress(w: Writer, address: Address): void {
  w.u8(address.length * 8);
  w.bytes(address);
}

/*  RD (8) | Ethernet Segment Identifier (10) | Ethernet Tag ID (4) | MPLS Label (3)  */
const decodeAutoDiscovery = (r: Reader): EvpnRoute => ({
  type: 'autoDiscovery',
  distinguisher: distinguisherOf(r),
  segment: segmentOf(r),
  tag: r.u32('evpn.tag'),
  label: r.u24('evpn.label'),
});

/*  RD | ESI | Tag | MAC Length (1) | MAC (6) | IP Length (1) | IP (0, 4, 16) | Label1 (3) | Label2 (0, 3)  */
function decodeMac(r: Reader): EvpnRoute {
  const head = { distinguisher: distinguisherOf(r), segment: segmentOf(r), tag: r.u32('evpn.tag') };
  if (r.u8('evpn.macLength') !== MAC_BITS) r.fail('evpn.macLength', 'is not 48');
  const mac = r.bytes('evpn.mac', MAC_BITS / 8);
  const bits = r.u8('evpn.addressLength');
  const address = bits === 0 ? {} : { address: addressOf(r, bits) };
  const label = r.u24('evpn.label');
  const label2 = r.left === 0 ? {} : { label2: r.u24('evpn.label2') };
  return { type: 'mac', ...head, mac, ...address, label, ...label2 };
}

/*  RD | Ethernet Tag ID (4) | IP Address Length (1) | Originating Router's IP Address (4, 16)  */
const decodeInclusiveMulticast = (r: Reader): EvpnRoute => ({
  type: 'inclusiveMulticast',
  distinguisher: distinguisherOf(r),
  tag: r.u32('evpn.tag'),
  originator: addressOf(r, r.u8('evpn.addressLength')),
});

/*  RD | ESI | IP Address Length (1) | Originating Router's IP Address (4, 16)  */
const decodeSegment = (r: Reader): EvpnRoute => ({
  type: 'segment',
  distinguisher: distinguisherOf(r),
  segment: segmentOf(r),
  originator: addressOf(r, r.u8('evpn.addressLength')),
});

/*  RD | ESI | Tag | IP Prefix Length (1) | IP Prefix (4, 16) | GW IP Address (4, 16) | MPLS Label (3): RFC 9136 §3.1  */
function decodePrefix(r: Reader): EvpnRoute {
  const head = { distinguisher: distinguisherOf(r), segment: segmentOf(r), tag: r.u32('evpn.tag') };
  const length = r.u8('evpn.prefixLength');
  const width = (r.left - 3) / 2;
  if ((width !== 4 && width !== 16) || length > width * 8) r.fail('evpn.prefix', `${length} bits of ${width} octets`);
  const address = networkOf({ address: r.bytes('evpn.prefix', width), length });
  const gateway = r.bytes('evpn.gateway', width);
  return { type: 'prefix', ...head, prefix: { address, length }, gateway, label: r.u24('evpn.label') };
}

const distinguisherOf = (r: Reader): Bytes => r.bytes('evpn.distinguisher', 8);
const segmentOf = (r: Reader): Bytes => r.bytes('evpn.segment', 10);

function addressOf(r: Reader, bits: number): Address {
  if (bits !== 32 && bits !== 128) r.fail('evpn.addressLength', `${bits} bits`);
  return r.bytes('evpn.address', bits >>> 3);
}

const MAC_BITS = 48;

const ROUTE_TYPES: Readonly<Record<Exclude<EvpnRoute['type'], 'unknown'>, number>> = {
  autoDiscovery: 1,
  mac: 2,
  inclusiveMulticast: 3,
  segment: 4,
  prefix: 5,
};

const DECODERS: Readonly<Record<number, (r: Reader) => EvpnRoute>> = {
  1: decodeAutoDiscovery,
  2: decodeMac,
  3: decodeInclusiveMulticast,
  4: decodeSegment,
  5: decodePrefix,
};
