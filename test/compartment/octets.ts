/**
 * Packets as plain octets, written field by field and with the slowest checksum there is: nothing of `src/ip` but the
 * parsing of address text, so that these tests do not check the code with itself.
 */
import { type Address, parseAddress } from '../../src/ip/index.ts';

export const addr = (text: string): Address => {
  const address = parseAddress(text);
  if (address === undefined) throw new Error(`not an address: ${text}`);
  return address;
};

export const join = (...parts: readonly (Uint8Array | readonly number[])[]): Uint8Array =>
  Uint8Array.from(parts.flatMap((part) => [...part]));

export const be16 = (value: number): number[] => [(value >>> 8) & 0xff, value & 0xff];
export const be32 = (value: number): number[] => [...be16(value >>> 16), ...be16(value & 0xffff)];

/** The Internet checksum (RFC 1071), one word at a time. */
export function checksum(octets: Uint8Array): number {
  let sum = 0;
  for (let i = 0; i < octets.length; i += 2) {
    sum += octets[i]! * 256 + (octets[i + 1] ?? 0);
    if (sum > 0xffff) sum -= 0xffff;
  }
  return 0xffff - sum;
}

const stamped = (octets: Uint8Array, at: number, sum: number): Uint8Array => {
  const out = octets.slice();
  out.set(be16(sum), at);
  return out;
};

export interface Ipv4Fields {
  readonly src: string;
  readonly dst: string;
  readonly protocol?: number;
  readonly ttl?: number;
  readonly id?: number;
  readonly tos?: number;
  readonly df?: boolean;
  readonly mf?: boolean;
  /** In octets. */
  readonly offset?: number;
  readonly options?: readonly number[];
}

export function ipv4(f: Ipv4Fields, payload: Uint8Array = new Uint8Array(0)): Uint8Array {
  const options = f.options ?? [];
  const length = 20 + options.length;
  const flags = (f.df ? 0x4000 : 0) | (f.mf ? 0x2000 : 0) | ((f.offset ?? 0) >>> 3);
  const header = join(
    [0x40 | (length / 4), f.tos ?? 0],
    be16(length + payload.length),
    be16(f.id ?? 0x1234),
    be16(flags),
    [f.ttl ?? 64, f.protocol ?? 17, 0, 0],
    addr(f.src),
    addr(f.dst),
    options,
  );
  return join(stamped(header, 10, checksum(header)), payload);
}

export interface Ipv6Fields {
  readonly src: string;
  readonly dst: string;
  readonly next?: number;
  readonly hop?: number;
  readonly trafficClass?: number;
  readonly flow?: number;
}

export function ipv6(f: Ipv6Fields, payload: Uint8Array = new Uint8Array(0)): Uint8Array {
  const first = (0x6000_0000 | ((f.trafficClass ?? 0) << 20) | (f.flow ?? 0)) >>> 0;
  return join(be32(first), be16(payload.length), [f.next ?? 17, f.hop ?? 64], addr(f.src), addr(f.dst), payload);
}

/** The checksum over pseudo-header and `segment` (RFC 9293 §3.1, RFC 8200 §8.1), for either family. */
export function transportChecksum(src: string, dst: string, protocol: number, segment: Uint8Array): number {
  const four = addr(src).length === 4;
  const tail = four ? [0, protocol, ...be16(segment.length)] : [...be32(segment.length), 0, 0, 0, protocol];
  return checksum(join(addr(src), addr(dst), tail, segment));
}

export function icmp4(type: number, code: number, rest: readonly number[], data: Uint8Array): Uint8Array {
  const message = join([type, code, 0, 0], rest, data);
  return stamped(message, 2, checksum(message));
}

export function icmp6(
  src: string,
  dst: string,
  type: number,
  code: number,
  rest: readonly number[],
  data: Uint8Array,
): Uint8Array {
  const message = join([type, code, 0, 0], rest, data);
  return stamped(message, 2, transportChecksum(src, dst, 58, message));
}

export function udp(src: string, dst: string, sport: number, dport: number, data: Uint8Array): Uint8Array {
  const segment = join(be16(sport), be16(dport), be16(8 + data.length), [0, 0], data);
  return stamped(segment, 6, transportChecksum(src, dst, 17, segment));
}

export const SYN = 0x02;
export const ACK = 0x10;

export function tcp(
  src: string,
  dst: string,
  f: { readonly flags: number; readonly options?: readonly number[]; readonly sport?: number; readonly dport?: number },
  data: Uint8Array = new Uint8Array(0),
): Uint8Array {
  const options = f.options ?? [];
  const segment = join(
    be16(f.sport ?? 40000),
    be16(f.dport ?? 80),
    be32(0x01020304),
    be32(0),
    [((20 + options.length) / 4) << 4, f.flags],
    be16(0xfaf0),
    [0, 0, 0, 0],
    options,
    data,
  );
  return stamped(segment, 16, transportChecksum(src, dst, 6, segment));
}

/** `length` octets counting up: what a ping carries. */
export const counting = (length: number): Uint8Array => Uint8Array.from({ length }, (_, i) => i & 0xff);

/** A whole echo request of either family. */
export function echo(
  src: string,
  dst: string,
  f: { readonly id?: number; readonly sequence?: number; readonly ttl?: number; readonly reply?: boolean } = {},
  data: Uint8Array = counting(56),
): Uint8Array {
  const rest = [...be16(f.id ?? 7), ...be16(f.sequence ?? 1)];
  if (addr(src).length === 4) {
    return ipv4({ src, dst, protocol: 1, ttl: f.ttl ?? 64 }, icmp4(f.reply ? 0 : 8, 0, rest, data));
  }
  return ipv6({ src, dst, next: 58, hop: f.ttl ?? 64 }, icmp6(src, dst, f.reply ? 129 : 128, 0, rest, data));
}
