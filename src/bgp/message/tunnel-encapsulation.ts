/**
 * The Tunnel Encapsulation attribute as records: RFC 9012 §2, §3. The attribute codec leaves it as octets, so it passes routers as it came.
 *
 * A sub-TLV nobody knows, and a known one of a length it cannot have or with bits that mean nothing here, is kept as octets: writing gives
 * back what was read. What a tunnel is used for is nobody's business here.
 */
import {
  type Bytes,
  EMPTY,
  encoded,
  putU16,
  Reader,
  sameBytes,
  u16,
  u32,
  WireError,
  type Writer,
} from '../../core/index.ts';
import type { Address } from '../../ip/index.ts';
import { TUNNEL } from './extended-community.ts';

export interface EncapsulatedTunnel {
  /** As `TUNNEL` has them. */
  readonly type: number;
  readonly parts: readonly TunnelPart[];
}

export type TunnelPart =
  /** RFC 9012 §3.2, of VXLAN and NVGRE; undefined where the flag says so. */
  | { readonly name: 'virtualNetwork'; readonly network: number | undefined; readonly mac: Bytes | undefined }
  /** §3.2, of GRE. */
  | { readonly name: 'greKey'; readonly key: number }
  /** §3.4 */
  | { readonly name: 'protocol'; readonly etherType: number }
  /** §3.4 */
  | { readonly name: 'color'; readonly color: number }
  /** §3.1; undefined: the next hop of the route. */
  | { readonly name: 'egress'; readonly address: Address | undefined }
  /** §3.3 */
  | { readonly name: 'dsField'; readonly value: number }
  | { readonly name: 'udpPort'; readonly port: number }
  | { readonly name: 'unknown'; readonly type: number; readonly value: Bytes };

/*  { Tunnel Type (2) | Length (2) | { Sub-TLV Type (1) | Length (1, or 2 from type 128 on) | Value } }  */
/** Undefined when the last octet of a tunnel is not that of its last part (RFC 9012 §13). */
export function decodeTunnelEncapsulation(value: Bytes): EncapsulatedTunnel[] | undefined {
  try {
    const r = new Reader(value);
    const out: EncapsulatedTunnel[] = [];
    while (r.left > 0) {
      const type = r.u16('tunnel.type');
      out.push({ type, parts: decodeParts(r.sub('tunnel.value', r.u16('tunnel.length')), type) });
    }
    return out;
  } catch (error) {
    if (error instanceof WireError) return undefined;
    throw error;
  }
}

export function encodeTunnelEncapsulation(w: Writer, tunnels: readonly EncapsulatedTunnel[]): void {
  for (const { type, parts } of tunnels) {
    w.u16(type);
    w.counted16(() => {
      for (const part of parts) encodePart(w, part);
    });
  }
}

function decodeParts(r: Reader, tunnel: number): TunnelPart[] {
  const out: TunnelPart[] = [];
  while (r.left > 0) {
    const type = r.u8('part.type');
    const length = type < LONG ? r.u8('part.length') : r.u16('part.length');
    const value = r.bytes('part.value', length);
    const part = known(type, value, tunnel);
    const exact = part !== undefined && sameBytes(encoded(encodeValue, part), value);
    out.push(exact ? part : { name: 'unknown', type, value });
  }
  return out;
}

function known(type: number, b: Bytes, tunnel: number): TunnelPart | undefined {
  const { length } = b;
  if (type === PART.encapsulation) return encapsulation(b, tunnel);
  if (type === PART.protocol && length === 2) return { name: 'protocol', etherType: u16(b, 0) };
  if (type === PART.color && length === 8) return { name: 'color', color: u32(b, 4) };
  if (type === PART.egress && length >= 6) return { name: 'egress', address: length === 6 ? undefined : b.slice(6) };
  if (type === PART.dsField && length === 1) return { name: 'dsField', value: b[0]! };
  return type === PART.udpPort && length === 2 ? { name: 'udpPort', port: u16(b, 0) } : undefined;
}

/*  V M r r r r r r (1) | VN-ID (3) | MAC Address (6) | Reserved (2)  */
function encapsulation(b: Bytes, tunnel: number): TunnelPart | undefined {
  if (tunnel === TUNNEL.GRE && b.length === 4) return { name: 'greKey', key: u32(b, 0) };
  if (!VIRTUAL.includes(tunnel) || b.length !== 12) return undefined;
  return {
    name: 'virtualNetwork',
    network: (b[0]! & HAS_NETWORK) === 0 ? undefined : u32(b, 0) & 0xffffff,
    mac: (b[0]! & HAS_MAC) === 0 ? undefined : b.slice(4, 10),
  };
}

function encodePart(w: Writer, part: TunnelPart): void {
  const type = part.name === 'unknown' ? part.type : PART[TYPES[part.name]];
  w.u8(type);
  if (type < LONG) w.counted8(() => encodeValue(w, part));
  else w.counted16(() => encodeValue(w, part));
}

function encodeValue(w: Writer, part: TunnelPart): void {
  switch (part.name) {
    case 'virtualNetwork':
      w.u8((part.network === undefined ? 0 : HAS_NETWORK) | (part.mac === undefined ? 0 : HAS_MAC));
      w.u24(part.network ?? 0);
      w.bytes(part.mac ?? NO_MAC);
      return w.u16(0);
    case 'greKey':
      return w.u32(part.key);
    case 'protocol':
      return w.u16(part.etherType);
    case 'color':
      w.u16(COLOR_COMMUNITY);
      w.u16(0);
      return w.u32(part.color);
    case 'egress':
      return w.bytes(egress(part.address ?? EMPTY));
    case 'dsField':
      return w.u8(part.value);
    case 'udpPort':
      return w.u16(part.port);
    case 'unknown':
      return w.bytes(part.value);
  }
}

/*  Reserved (4) | Address Family (2): 0, or that of the address | Address (0, 4 or 16)  */
function egress(address: Address): Bytes {
  const out = new Uint8Array(6 + address.length);
  putU16(out, 4, address.length === 0 ? 0 : address.length === 4 ? 1 : 2);
  out.set(address, 6);
  return out;
}

const PART = { encapsulation: 1, protocol: 2, color: 4, egress: 6, dsField: 7, udpPort: 8 } as const;
const TYPES: Readonly<Record<Exclude<TunnelPart['name'], 'unknown'>, keyof typeof PART>> = {
  virtualNetwork: 'encapsulation',
  greKey: 'encapsulation',
  protocol: 'protocol',
  color: 'color',
  egress: 'egress',
  dsField: 'dsField',
  udpPort: 'udpPort',
};
/** From this type on a length has two octets. */
const LONG = 128;
const HAS_NETWORK = 0x80;
const HAS_MAC = 0x40;
const NO_MAC: Bytes = new Uint8Array(6);
/** RFC 9012 §4.3. */
const COLOR_COMMUNITY = 0x030b;
const VIRTUAL: readonly number[] = [TUNNEL.VXLAN, TUNNEL.NVGRE];
