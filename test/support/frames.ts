/** Ethernet frames for tests, and a reader that keeps what a port gives. */
import { octetsOf, type Packet, type PacketPool, wrapPacket } from '../../src/ip/index.ts';
import { sh, until } from './process.ts';

export const MAC_A = Uint8Array.of(0x02, 0, 0, 0, 0, 0x0a);
export const MAC_B = Uint8Array.of(0x02, 0, 0, 0, 0, 0x0b);
export const MAC_C = Uint8Array.of(0x02, 0, 0, 0, 0, 0x0c);
export const BROADCAST = new Uint8Array(6).fill(0xff);

export const ETHER = { ipv4: 0x0800, arp: 0x0806, vlan: 0x8100, ipv6: 0x86dd, test: 0x88b5 } as const;

export const frame = (to: Uint8Array, from: Uint8Array, type: number, payload: Uint8Array): Uint8Array =>
  Uint8Array.of(...to, ...from, type >>> 8, type & 0xff, ...payload);

/** With the tag of a VLAN; `tci` has priority and number. */
export const taggedFrame = (to: Uint8Array, from: Uint8Array, tci: number, type: number, payload: Uint8Array) =>
  frame(to, from, ETHER.vlan, Uint8Array.of(tci >>> 8, tci & 0xff, type >>> 8, type & 0xff, ...payload));

export const etherTypeOf = (octets: Uint8Array): number => (octets[12]! << 8) | octets[13]!;

export const arpRequest = (mac: Uint8Array, ip: Uint8Array, wanted: Uint8Array): Uint8Array =>
  frame(BROADCAST, mac, ETHER.arp, arp(1, mac, ip, new Uint8Array(6), wanted));

export const arpReply = (mac: Uint8Array, ip: Uint8Array, toMac: Uint8Array, toIp: Uint8Array): Uint8Array =>
  frame(toMac, mac, ETHER.arp, arp(2, mac, ip, toMac, toIp));

/* RFC 826: hardware space | protocol space | lengths | opcode | sender's MAC and IP | target's MAC and IP */
const arp = (op: number, mac: Uint8Array, ip: Uint8Array, toMac: Uint8Array, toIp: Uint8Array): Uint8Array =>
  Uint8Array.of(0, 1, 8, 0, 6, 4, 0, op, ...mac, ...ip, ...toMac, ...toIp);

/** What a port gave, as octets with what they owe. The kernel's own talk (IPv6 multicast) is left out. */
export class Kept {
  readonly frames: Uint8Array[] = [];
  readonly packets: { readonly octets: Uint8Array; readonly segment: number; readonly partial: boolean }[] = [];
  readonly #pool: PacketPool;

  constructor(pool: PacketPool) {
    this.#pool = pool;
  }

  readonly receive = (packet: Packet): void => {
    const octets = octetsOf(packet).slice();
    const { segment, partial } = packet;
    this.#pool.release(packet);
    if (octets[0] === 0x33 && octets[1] === 0x33) return;
    this.frames.push(octets);
    this.packets.push({ octets, segment, partial });
  };
}

/** A frame as a packet of nobody, with octets before it. */
export function framed(octets: Uint8Array): Packet {
  const buf = new Uint8Array(64 + octets.length);
  buf.set(octets, 64);
  return wrapPacket(buf, 64, buf.length);
}

/** Links are up: before that what is sent there goes nowhere, without a word. */
export const linksUp = (...devices: readonly string[]): Promise<void> =>
  until(() => devices.every((device) => sh('ip', ['link', 'show', 'dev', device]).includes('state UP')));
