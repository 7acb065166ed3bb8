/** A segment between a test that is the port and a test that is the compartment; and frames, written field by field. */
import { Segment, type SegmentLimits } from '../../src/compartment/index.ts';
import { seededRandom, toHex } from '../../src/core/index.ts';
import {
  type Address,
  DROP_NAMES,
  formatAddress,
  formatMac,
  octetsOf,
  type Packet,
  PacketPool,
  parseMac,
} from '../../src/ip/index.ts';
import { net } from './fixture.ts';
import { addr, be16, be32, icmp6, ipv6, join } from './octets.ts';

export const BROADCAST = 'ff:ff:ff:ff:ff:ff';
export const macOf = (text: string): Uint8Array => parseMac(text)!;

export const ethernet = (to: string, from: string, type: number, payload: Uint8Array | readonly number[]): Uint8Array =>
  join(macOf(to), macOf(from), be16(type), payload);

/** Target MAC address: where it is not given, zero. */
export const arp = (operation: number, fromMac: string, from: string, toMac: string | undefined, to: string) =>
  join(
    [0, 1, 8, 0, 6, 4, 0, operation],
    macOf(fromMac),
    addr(from),
    toMac === undefined ? new Uint8Array(6) : macOf(toMac),
    addr(to),
  );

/** A solicitation (135) or an advertisement (136) of neighbour discovery, with one option or none. */
export function discovery(
  type: number,
  src: string,
  dst: string,
  target: string,
  more: { flags?: number; option?: readonly [number, string]; hop?: number } = {},
): Uint8Array {
  const option = more.option === undefined ? [] : [more.option[0], 1, ...macOf(more.option[1])];
  const message = icmp6(src, dst, type, 0, be32(((more.flags ?? 0) << 24) >>> 0), join(addr(target), option));
  return ipv6({ src, dst, next: 58, hop: more.hop ?? 255 }, message);
}

export const US = '02:00:00:00:00:01';

export interface PortOptions {
  readonly mac?: string;
  readonly addresses?: readonly string[];
  readonly limits?: Partial<SegmentLimits>;
  readonly pool?: PacketPool;
  readonly seed?: number;
}

export class Port {
  readonly pool: PacketPool;
  readonly segment: Segment;
  now = 1000;
  /** What came of it since it was last looked at. */
  readonly frames: Uint8Array[] = [];
  readonly packets: Uint8Array[] = [];
  readonly refused: string[] = [];
  readonly conflicts: string[] = [];

  constructor(options: PortOptions = {}) {
    this.pool = options.pool ?? new PacketPool(256, 2048);
    this.segment = new Segment({
      mac: macOf(options.mac ?? US),
      pool: this.pool,
      addresses: (options.addresses ?? ['10.3.0.1/24', '2001:db8:3::1/64']).map(net),
      random: seededRandom(options.seed ?? 1),
      limits: options.limits ?? {},
      sink: {
        frame: (packet) => this.#keep(packet, this.frames),
        ip: (packet) => this.#keep(packet, this.packets),
        refuse: (packet, reason) => {
          this.refused.push(DROP_NAMES[reason]!);
          this.pool.release(packet);
        },
        conflict: (address, mac) => void this.conflicts.push(`${formatAddress(address)} ${formatMac(mac)}`),
      },
    });
  }

  receive(frame: Uint8Array): string {
    return DROP_NAMES[this.segment.receive(this.packetOf(frame), this.now)]!;
  }

  transmit(octets: Uint8Array, nextHop?: Address): void {
    this.segment.transmit(this.packetOf(octets), nextHop, this.now);
  }

  /** Everything due until then happens when it is due. */
  pass(milliseconds: number): void {
    const until = this.now + milliseconds;
    for (let next = this.segment.deadline(); next !== undefined && next.at <= until; next = this.segment.deadline()) {
      this.now = Math.max(this.now, next.at);
      this.segment.expire(this.now);
    }
    this.now = until;
  }

  /** The frames since the last look, in hexadecimal. */
  sent(): string[] {
    return this.frames.splice(0).map(toHex);
  }

  states(): string[] {
    return this.segment
      .neighbours()
      .map((n) => `${formatAddress(n.address)} ${n.state}${n.mac ? ` ${formatMac(n.mac)}` : ''}`)
      .sort();
  }

  packetOf(octets: Uint8Array): Packet {
    const packet = this.pool.from(octets);
    if (packet === undefined) throw new Error('the test has no packet left');
    return packet;
  }

  #keep(packet: Packet, into: Uint8Array[]): void {
    into.push(octetsOf(packet).slice());
    this.pool.release(packet);
  }
}
