/**
 * A NAT with a clock, and packets written `10.1.0.10:5000`. Whatever it translates is checked from nothing: header checksum,
 * transport checksum, and those of the packet an ICMP error quotes.
 */
import { expect } from 'vitest';
import { seededRandom } from '../../src/core/index.ts';
import { DROP_NAMES, formatAddress, ipv4Number, PASS, type Packet, wrapPacket } from '../../src/ip/index.ts';
import {
  NAT_LIMITS,
  NAT_TIMEOUTS,
  Nat,
  type NatFlow,
  type NatLimits,
  type NatOptions,
  type NatRule,
  type NatTimeouts,
} from '../../src/nat/index.ts';
import {
  addr,
  be16,
  checksum,
  counting,
  udp as datagram,
  type Ipv4Fields,
  icmp4,
  ipv4,
  join,
  tcp as segment,
  transportChecksum,
} from '../compartment/octets.ts';

export const EXTERNAL = '203.0.113.50';
export const [FIN, SYN, RST, ACK] = [0x01, 0x02, 0x04, 0x10];
/** NAT's headroom in tests: translation must not assume that a packet begins its buffer. */
const BEFORE = 6;

export const num = (text: string): number => ipv4Number(addr(text));
export const hostOf = (end: string): string => end.split(':')[0]!;
export const portOf = (end: string): number => Number(end.split(':')[1]);

export interface WorldOptions extends Partial<Omit<NatOptions, 'external' | 'timeouts' | 'limits' | 'rules'>> {
  readonly rules?: readonly string[];
  readonly timeouts?: Partial<NatTimeouts>;
  readonly limits?: Partial<NatLimits>;
}

/** `tcp 443 > 10.1.0.10:8443` */
export function rule(text: string): NatRule {
  const [, protocol, externalPort, end] = /^(tcp|udp) (\d+) > (\S+)$/.exec(text)!;
  return {
    protocol: protocol === 'tcp' ? 6 : 17,
    externalPort: Number(externalPort),
    address: num(hostOf(end!)),
    port: portOf(end!),
  };
}

export class World {
  readonly nat: Nat;
  readonly #options: WorldOptions;
  now = 1_000_000;

  constructor(options: WorldOptions = {}) {
    this.#options = options;
    this.nat = new Nat({
      external: num(EXTERNAL),
      random: seededRandom(7),
      ...this.#settings(options),
      ...ofNat(options),
    });
  }

  /** A packet from the tenant: what leaves, in words, or the name of the drop. */
  out(octets: Uint8Array): string {
    return this.#pass(octets, (packet) => this.nat.outbound(packet, this.now)).text;
  }

  /** A packet from outside. */
  in(octets: Uint8Array): string {
    return this.#pass(octets, (packet) => this.nat.inbound(packet, this.now)).text;
  }

  outOctets(octets: Uint8Array): Uint8Array {
    return this.#pass(octets, (packet) => this.nat.outbound(packet, this.now)).octets;
  }

  inOctets(octets: Uint8Array): Uint8Array {
    return this.#pass(octets, (packet) => this.nat.inbound(packet, this.now)).octets;
  }

  /** Out to the external address and back in: the way a router takes for hairpinning. */
  hairpin(octets: Uint8Array): string {
    const outside = this.outOctets(octets);
    return this.in(outside);
  }

  /** Waits, and looks after every deadline meanwhile. */
  wait(seconds: number): void {
    const until = this.now + seconds * 1000;
    for (let due = this.nat.deadline(); due !== undefined && due.at <= until; due = this.nat.deadline()) {
      this.now = Math.max(this.now, due.at);
      this.nat.expire(this.now);
    }
    this.now = until;
    this.nat.expire(until);
  }

  reconfigure(options: WorldOptions): void {
    this.nat.reconfigure(this.#settings({ ...this.#options, ...options }));
  }

  /** `udp 10.1.0.10:5000 = 5000 > 192.0.2.1:53 answered`, sorted. */
  get sessions(): string[] {
    return [...this.nat.sessions()]
      .map((s) => {
        const inner = `${text(s.innerAddress)}:${s.innerPort}`;
        const name = { 1: 'icmp', 6: 'tcp', 17: 'udp' }[s.protocol];
        return `${name} ${inner} = ${s.externalPort} > ${text(s.remoteAddress)}:${s.remotePort} ${s.state}`;
      })
      .sort();
  }

  #settings({ rules = [], filtering = 'address', timeouts, limits }: WorldOptions) {
    return {
      rules: rules.map(rule),
      filtering,
      timeouts: { ...NAT_TIMEOUTS, ...timeouts },
      limits: { ...NAT_LIMITS, ...limits },
    };
  }

  #pass(
    octets: Uint8Array,
    through: (packet: Packet) => number,
  ): { readonly text: string; readonly octets: Uint8Array } {
    const packet = placed(octets);
    const verdict = through(packet);
    const after = packet.buf.slice(packet.start, packet.end);
    if (verdict === PASS) {
      expectValid(after);
      return { text: words(after), octets: after };
    }
    expect(after, 'a packet that is dropped stays as it was').toEqual(octets);
    return { text: DROP_NAMES[verdict]!, octets: after };
  }
}

const ofNat = ({
  rules: _,
  timeouts: __,
  limits: ___,
  filtering: ____,
  ...options
}: WorldOptions): Partial<NatOptions> => options as Partial<NatOptions>;

/** Somewhere inside a buffer. */
export function placed(octets: Uint8Array): Packet {
  const buf = new Uint8Array(BEFORE + octets.length + 3).fill(0xa5);
  buf.set(octets, BEFORE);
  return wrapPacket(buf, BEFORE, BEFORE + octets.length);
}

export const flow = (protocol: number, from: string, to: string, opens?: boolean): NatFlow => ({
  protocol,
  source: num(hostOf(from)),
  sourcePort: portOf(from),
  destination: num(hostOf(to)),
  destinationPort: portOf(to),
  ...(opens !== undefined && { opens }),
});

export function udp(from: string, to: string, data = counting(8), fields: Partial<Ipv4Fields> = {}): Uint8Array {
  const [src, dst] = [hostOf(from), hostOf(to)];
  return ipv4({ src, dst, ...fields, protocol: 17 }, datagram(src, dst, portOf(from), portOf(to), data));
}

export function tcp(from: string, to: string, flags: number, data = counting(0)): Uint8Array {
  const [src, dst] = [hostOf(from), hostOf(to)];
  const ports = { sport: portOf(from), dport: portOf(to) };
  return ipv4({ src, dst, protocol: 6 }, segment(src, dst, { flags, ...ports }, data));
}

/** An echo request, or with type 0 its reply. */
export const ping = (src: string, dst: string, id: number, type = 8): Uint8Array =>
  ipv4({ src, dst, protocol: 1 }, icmp4(type, 0, [...be16(id), 0, 1], counting(16)));

/** An ICMP error about `about`, of which `quoted` octets are quoted. */
export const error = (
  src: string,
  dst: string,
  about: Uint8Array,
  { type = 3, code = 3, quoted = 28, rest = [0, 0, 0, 0] } = {},
): Uint8Array => ipv4({ src, dst, protocol: 1 }, icmp4(type, code, rest, about.slice(0, quoted)));

/** All checksums there are, summed from nothing. A UDP checksum of zero is none. */
export function expectValid(octets: Uint8Array): void {
  const header = (octets[0]! & 15) * 4;
  expect(checksum(octets.slice(0, header)), `header checksum of ${words(octets)}`).toBe(0);
  const [fragment, protocol] = [be(octets, 6) & 0x3fff, octets[9]!];
  if (fragment !== 0) return;
  const upper = octets.slice(header);
  if (protocol === 1) {
    expect(checksum(upper), `ICMP checksum of ${words(octets)}`).toBe(0);
    if (![0, 8, 13, 14].includes(upper[0]!)) expectQuoteValid(upper.slice(8));
  } else if (protocol === 6 || be(upper, 6) !== 0) {
    const [src, dst] = [text(be32(octets, 12)), text(be32(octets, 16))];
    expect(transportChecksum(src, dst, protocol, upper), `transport checksum of ${words(octets)}`).toBe(0);
  }
}

/** What is quoted of a packet has a right header; and if all of it is there, the rest, too. */
function expectQuoteValid(quote: Uint8Array): void {
  const header = (quote[0]! & 15) * 4;
  expect(checksum(quote.slice(0, header)), 'header checksum of a quote').toBe(0);
  if (quote.length >= be(quote, 2)) expectValid(quote.slice(0, be(quote, 2)));
}

/** `udp A:p > B:p`, `tcp A:p > B:p SYN,ACK`, `echo 8 A > B id 7`, `error 3/3 A > B (…)`, `fragment A > B id 5 @8+`. */
export function words(octets: Uint8Array): string {
  const [src, dst] = [text(be32(octets, 12)), text(be32(octets, 16))];
  const upper = octets.slice((octets[0]! & 15) * 4);
  const offset = (be(octets, 6) & 0x1fff) * 8;
  const more = (be(octets, 6) & 0x2000) !== 0;
  if (offset > 0) return `fragment ${src} > ${dst} @${offset}${more ? '+' : ''}`;
  const mark = more ? ' @0+' : '';
  switch (octets[9]) {
    case 6:
      return `tcp ${src}:${be(upper, 0)} > ${dst}:${be(upper, 2)} ${flagNames(upper[13] ?? 0)}${mark}`;
    case 17:
      return `udp ${src}:${be(upper, 0)} > ${dst}:${be(upper, 2)}${mark}`;
    case 1:
      if ([0, 8, 13, 14].includes(upper[0]!)) return `echo ${upper[0]} ${src} > ${dst} id ${be(upper, 4)}${mark}`;
      return `error ${upper[0]}/${upper[1]} ${src} > ${dst} (${words(upper.slice(8))})`;
    default:
      return `protocol ${octets[9]} ${src} > ${dst}`;
  }
}

export const text = (address: number): string =>
  formatAddress(Uint8Array.of(address >>> 24, address >>> 16, address >>> 8, address));
export const be = (octets: Uint8Array, at: number): number => (octets[at] ?? 0) * 256 + (octets[at + 1] ?? 0);
export const be32 = (octets: Uint8Array, at: number): number => be(octets, at) * 65536 + be(octets, at + 2);
export { counting, ipv4, join };

const flagNames = (flags: number): string =>
  [
    [SYN, 'SYN'],
    [FIN, 'FIN'],
    [RST, 'RST'],
    [ACK, 'ACK'],
  ]
    .filter(([bit]) => (flags & (bit as number)) !== 0)
    .map(([, name]) => name)
    .join(',');
