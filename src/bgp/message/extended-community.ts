/**
 * Extended communities by what they mean and as text: route targets and origins (RFC 4360 §4, §5; RFC 5668), the encapsulation of a tunnel (RFC 9012 §4.1),
 * MAC mobility (RFC 7432 §7.7), the MAC address of a router (RFC 9135 §8.1).
 *
 * On a route they are eight octets each; whatever is not known here stays that.
 */
import { type Bytes, fromHex, putU16, putU32, sameBytes, toHex, u16, u32 } from '../../core/index.ts';
import { type Address, formatAddress, parseAddress } from '../../ip/index.ts';

/** A number of 16 or 32 bits, or an IPv4 address, and what its owner gave out under it. */
export type Administrator =
  | { readonly form: 'as2' | 'as4'; readonly asn: number; readonly assigned: number }
  | { readonly form: 'ipv4'; readonly address: Address; readonly assigned: number };

export type ExtendedCommunity =
  | ({ readonly name: 'routeTarget' } & Administrator)
  | ({ readonly name: 'routeOrigin' } & Administrator)
  | { readonly name: 'encapsulation'; readonly tunnel: number }
  | { readonly name: 'macMobility'; readonly sticky: boolean; readonly sequence: number }
  | { readonly name: 'routerMac'; readonly mac: Bytes }
  | { readonly name: 'unknown'; readonly octets: Bytes };

/** IANA, BGP Tunnel Encapsulation Attribute Tunnel Types. */
export const TUNNEL = {
  GRE: 2,
  IP_IN_IP: 7,
  VXLAN: 8,
  NVGRE: 9,
  MPLS: 10,
  MPLS_IN_GRE: 11,
  MPLS_IN_UDP: 13,
  GENEVE: 19,
} as const;

/*  Type (1) | Sub-Type (1) | Value (6)  */
/** What eight octets say; unknown where writing it back would not give the same octets. */
export function readExtendedCommunity(octets: Bytes): ExtendedCommunity {
  const community = known(octets);
  return community !== undefined && sameBytes(writeExtendedCommunity(community), octets)
    ? community
    : { name: 'unknown', octets };
}

export function writeExtendedCommunity(c: ExtendedCommunity): Bytes {
  if (c.name === 'unknown') return c.octets;
  const b = new Uint8Array(8);
  switch (c.name) {
    case 'routeTarget':
      writeAdministrator(b, ROUTE_TARGET, c);
      return b;
    case 'routeOrigin':
      writeAdministrator(b, ROUTE_ORIGIN, c);
      return b;
    case 'encapsulation':
      putU16(b, 0, ENCAPSULATION);
      putU16(b, 6, c.tunnel);
      return b;
    case 'macMobility':
      putU16(b, 0, MAC_MOBILITY);
      b[2] = c.sticky ? STICKY : 0;
      putU32(b, 4, c.sequence);
      return b;
    case 'routerMac':
      putU16(b, 0, ROUTER_MAC);
      b.set(c.mac, 2);
      return b;
  }
}

/**
 * `rt:65001:100`, `soo:192.0.2.1:7`, `encapsulation:nvgre`, `mac-mobility:3:sticky`, `router-mac:02:00:00:00:00:01`, `0x…`. A four-octet AS
 * number that two would do for has an L, because the octets are others: `rt:65001L:7`.
 */
export function describeExtendedCommunity(octets: Bytes): string {
  const c = readExtendedCommunity(octets);
  switch (c.name) {
    case 'routeTarget':
      return `rt:${administratorWords(c)}`;
    case 'routeOrigin':
      return `soo:${administratorWords(c)}`;
    case 'encapsulation':
      return `encapsulation:${TUNNEL_WORDS.get(c.tunnel) ?? c.tunnel}`;
    case 'macMobility':
      return `mac-mobility:${c.sequence}${c.sticky ? ':sticky' : ''}`;
    case 'routerMac':
      return `router-mac:${[...c.mac].map((octet) => toHex(Uint8Array.of(octet))).join(':')}`;
    case 'unknown':
      return `0x${toHex(c.octets)}`;
  }
}

/** Of lower-case text: what is printed, and the words of others for the kinds. Undefined where it is no extended community. */
export function parseExtendedCommunity(text: string): Bytes | undefined {
  const hex = /^(?:0x)?([0-9a-f]{16})$/.exec(text)?.[1];
  if (hex !== undefined) return fromHex(hex);
  const colon = text.indexOf(':');
  const kind = KINDS[text.slice(0, Math.max(colon, 0))];
  const community = kind === undefined ? undefined : readWords(kind, text.slice(colon + 1));
  return community && writeExtendedCommunity(community);
}

function readWords(kind: Kind, text: string): ExtendedCommunity | undefined {
  switch (kind) {
    case 'routeTarget':
    case 'routeOrigin': {
      const administrator = parseAdministrator(text);
      return administrator && { name: kind, ...administrator };
    }
    case 'encapsulation': {
      const tunnel = TUNNEL_NUMBERS.get(text) ?? numberOf(text, U16);
      return tunnel === undefined ? undefined : { name: kind, tunnel };
    }
    case 'macMobility': {
      const sequence = numberOf(text.replace(/:sticky$/, ''), U32);
      return sequence === undefined ? undefined : { name: kind, sticky: text.endsWith(':sticky'), sequence };
    }
    case 'routerMac':
      return /^[0-9a-f]{2}(:[0-9a-f]{2}){5}$/.test(text)
        ? { name: kind, mac: fromHex(text.replaceAll(':', '')) }
        : undefined;
    case 'unknown': {
      const [, high, low] = /^0x([0-9a-f]{1,8}):0x([0-9a-f]{1,8})$/.exec(text) ?? [];
      if (high === undefined || low === undefined) return undefined;
      return { name: kind, octets: fromHex(high.padStart(8, '0') + low.padStart(8, '0')) };
    }
  }
}

function known(b: Bytes): ExtendedCommunity | undefined {
  const type = u16(b, 0);
  if (type === ENCAPSULATION) return { name: 'encapsulation', tunnel: u16(b, 6) };
  if (type === MAC_MOBILITY) return { name: 'macMobility', sticky: (b[2]! & STICKY) !== 0, sequence: u32(b, 4) };
  if (type === ROUTER_MAC) return { name: 'routerMac', mac: b.slice(2, 8) };
  const subtype = b[1]!;
  if (subtype !== ROUTE_TARGET && subtype !== ROUTE_ORIGIN) return undefined;
  const administrator = readAdministrator(b);
  if (administrator === undefined) return undefined;
  return { name: subtype === ROUTE_TARGET ? 'routeTarget' : 'routeOrigin', ...administrator };
}

/** RFC 4360 §3.1, §3.2; RFC 5668 §2. */
function readAdministrator(b: Bytes): Administrator | undefined {
  switch (b[0]) {
    case TWO_OCTET_AS:
      return { form: 'as2', asn: u16(b, 2), assigned: u32(b, 4) };
    case IPV4_ADDRESS:
      return { form: 'ipv4', address: b.slice(2, 6), assigned: u16(b, 6) };
    case FOUR_OCTET_AS:
      return { form: 'as4', asn: u32(b, 2), assigned: u16(b, 6) };
    default:
      return undefined;
  }
}

function writeAdministrator(b: Bytes, subtype: number, a: Administrator): void {
  b[1] = subtype;
  if (a.form === 'as2') {
    b[0] = TWO_OCTET_AS;
    putU16(b, 2, a.asn);
    putU32(b, 4, a.assigned);
    return;
  }
  b[0] = a.form === 'ipv4' ? IPV4_ADDRESS : FOUR_OCTET_AS;
  if (a.form === 'ipv4') b.set(a.address, 2);
  else putU32(b, 2, a.asn);
  putU16(b, 6, a.assigned);
}

function administratorWords(a: Administrator): string {
  if (a.form === 'ipv4') return `${formatAddress(a.address)}:${a.assigned}`;
  return `${a.asn}${a.form === 'as4' && a.asn <= U16 ? 'L' : ''}:${a.assigned}`;
}

/** `65001:100`, `65001l:7`, `1.10:7` (RFC 5396), `192.0.2.1:7`. */
function parseAdministrator(text: string): Administrator | undefined {
  const [, first = '', last = ''] = /^([\d.]+l?):(\d+)$/.exec(text) ?? [];
  const address = parseAddress(first);
  const asn = address === undefined ? parseAsn(first.replace('l', '')) : undefined;
  const short = asn !== undefined && asn <= U16 && !/[l.]/.test(first);
  const assigned = numberOf(last, short ? U32 : U16);
  if (assigned === undefined) return undefined;
  if (address?.length === 4) return { form: 'ipv4', address, assigned };
  return asn === undefined ? undefined : { form: short ? 'as2' : 'as4', asn, assigned };
}

/** `65010`, or `1.10` (RFC 5396: asdot). */
export function parseAsn(text: string): number | undefined {
  const [high, low, ...more] = text.split('.').map((part) => numberOf(part, U32));
  if (low === undefined && !text.includes('.')) return high;
  if (high === undefined || low === undefined || more.length > 0 || high > U16 || low > U16) return undefined;
  return high * 0x1_0000 + low;
}

function numberOf(text: string, most: number): number | undefined {
  const number = /^(0|[1-9]\d{0,9})$/.test(text) ? Number(text) : Number.NaN;
  return number <= most ? number : undefined;
}

type Kind = ExtendedCommunity['name'];

/** What others call them: RFCs and OpenBGPD, BIRD, Junos, FRR. */
const KINDS: Readonly<Record<string, Kind>> = {
  rt: 'routeTarget',
  target: 'routeTarget',
  soo: 'routeOrigin',
  ro: 'routeOrigin',
  origin: 'routeOrigin',
  encapsulation: 'encapsulation',
  et: 'encapsulation',
  'mac-mobility': 'macMobility',
  mm: 'macMobility',
  'router-mac': 'routerMac',
  rmac: 'routerMac',
  generic: 'unknown',
};
const U16 = 0xffff;
const U32 = 0xffff_ffff;

const TWO_OCTET_AS = 0x00;
const IPV4_ADDRESS = 0x01;
const FOUR_OCTET_AS = 0x02;
const ROUTE_TARGET = 0x02;
const ROUTE_ORIGIN = 0x03;
const ENCAPSULATION = 0x030c;
const MAC_MOBILITY = 0x0600;
const ROUTER_MAC = 0x0603;
const STICKY = 0x01;
const TUNNEL_NUMBERS = new Map<string, number>(
  Object.entries(TUNNEL).map(([name, number]) => [name.toLowerCase().replaceAll('_', '-'), number]),
);
const TUNNEL_WORDS = new Map([...TUNNEL_NUMBERS].map(([name, number]) => [number, name]));
