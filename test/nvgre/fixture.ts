/**
 * A node with its virtual switch, and frames as plain octets. Nothing of `src/nvgre` writes or reads them, so that these tests
 * do not check the code with itself.
 */
import { expect } from 'vitest';
import { seededRandom } from '../../src/core/index.ts';
import { DROP_NAMES, dropsByName, formatAddress, octetsOf, type Packet, PacketPool } from '../../src/ip/index.ts';
import type { LookupRecord, PortConfig, RecordType, SwitchLimits, TenantConfig } from '../../src/nvgre/index.ts';
import { VirtualSwitch } from '../../src/nvgre/index.ts';
import { addr, be16, icmp6, ipv4, ipv6, join, udp } from '../compartment/octets.ts';
import { pfx } from '../support/packets.ts';

export const ROUTER = '02:62:68:00:00:01';
export const BROADCAST = 'ff:ff:ff:ff:ff:ff';

export const mac = (text: string): Uint8Array =>
  Uint8Array.from(text.split(':'), (octet) => Number.parseInt(octet, 16));
export const macText = (octets: Uint8Array): string =>
  [...octets].map((octet) => octet.toString(16).padStart(2, '0')).join(':');

/** A MAC address that is recognised by its last octet. */
export const vm = (n: number): string => macText(Uint8Array.of(0x00, 0x15, 0x5d, 0, n >>> 8, n & 0xff));

export const eth = (dst: string, src: string, type: number, payload: Uint8Array): Uint8Array =>
  join(mac(dst), mac(src), be16(type), payload);

/** An Ethernet frame around an IP packet of either family. */
export const ipFrame = (dst: string, src: string, packet: Uint8Array): Uint8Array =>
  eth(dst, src, packet[0]! >>> 4 === 4 ? 0x0800 : 0x86dd, packet);

export const arp = (operation: number, sha: string, spa: string, tha: string, tpa: string): Uint8Array =>
  join([0, 1, 8, 0, 6, 4], be16(operation), mac(sha), addr(spa), mac(tha), addr(tpa));

const NOBODY = '00:00:00:00:00:00';
export const arpRequest = (sha: string, spa: string, tpa: string, dst = BROADCAST): Uint8Array =>
  eth(dst, sha, 0x0806, arp(1, sha, spa, NOBODY, tpa));

/** RFC 4291 §2.7.1. */
export const solicitedNode = (target: string): string =>
  `ff02::1:ff${toHex(addr(target).slice(13, 14))}:${toHex(addr(target).slice(14))}`;
const toHex = (octets: Uint8Array): string => [...octets].map((o) => o.toString(16).padStart(2, '0')).join('');

export interface SolicitationFields {
  readonly dst?: string;
  readonly hop?: number;
  readonly options?: readonly number[];
}

export function solicitation(sender: string, src: string, target: string, f: SolicitationFields = {}): Uint8Array {
  const dst = f.dst ?? solicitedNode(target);
  const options = f.options ?? (src === '::' ? [] : [1, 1, ...mac(sender)]);
  const message = icmp6(src, dst, 135, 0, [0, 0, 0, 0], join(addr(target), options));
  const group = addr(dst);
  const to = group[0] === 0xff ? macText(join([0x33, 0x33], group.slice(12))) : BROADCAST;
  return ipFrame(to, sender, ipv6({ src, dst, next: 58, hop: f.hop ?? 255 }, message));
}

/** `flags`: R, S and O in the three highest bits. */
export function advertisement(f: {
  readonly dstMac: string;
  readonly mac: string;
  readonly target: string;
  readonly dst: string;
  readonly flags: number;
}): Uint8Array {
  const message = icmp6(f.target, f.dst, 136, 0, [f.flags, 0, 0, 0], join(addr(f.target), [2, 1], mac(f.mac)));
  return ipFrame(f.dstMac, f.mac, ipv6({ src: f.target, dst: f.dst, next: 58, hop: 255 }, message));
}

export const nvgre = (vsid: number, flowId: number, frame: Uint8Array): Uint8Array =>
  join([0x20, 0x00, 0x65, 0x58, vsid >>> 16, (vsid >>> 8) & 0xff, vsid & 0xff, flowId], frame);

export const record = (
  vsid: number,
  ca: string,
  owner: string,
  pa: string,
  type: RecordType = 'static',
): LookupRecord => ({
  vsid,
  ca: ca === '' ? undefined : addr(ca),
  mac: mac(owner),
  pa: addr(pa),
  type: type as LookupRecord['type'],
});

export const subnet = (vsid: number, prefix?: string, router = true) => ({
  vsid,
  ...(prefix === undefined ? {} : { prefix: pfx(prefix) }),
  router,
});

/** `addresses`: null where they are learned. */
export const port = (
  number: number,
  tenant: number,
  vsid: number,
  owner: string,
  addresses: readonly string[] | null = [],
  role: PortConfig['role'] = 'vm',
): PortConfig => ({ port: number, tenant, vsid, mac: mac(owner), addresses: addresses?.map(addr), role });

export interface Delivery {
  /** `port 1`, or `5001 at 192.168.50.21`. */
  readonly to: string;
  readonly octets: Uint8Array;
  readonly segment: number;
  readonly partial: boolean;
}

export class Node {
  readonly pool: PacketPool;
  readonly switch: VirtualSwitch;
  readonly sent: Delivery[] = [];
  /** `tenant reason`. */
  readonly dropped: string[] = [];
  now = 1000;

  constructor(
    options: { own?: readonly string[]; limits?: Partial<SwitchLimits>; pool?: PacketPool; seed?: number } = {},
  ) {
    this.pool = options.pool ?? new PacketPool(64, 2048);
    const take = (to: string, packet: Packet): void => {
      this.sent.push({ to, octets: octetsOf(packet).slice(), segment: packet.segment, partial: packet.partial });
      this.pool.release(packet);
    };
    this.switch = new VirtualSwitch({
      pool: this.pool,
      own: (options.own ?? ['192.168.50.10', 'fd50::10']).map(addr),
      random: seededRandom(options.seed ?? 1),
      limits: options.limits ?? {},
      sink: {
        toPort: (number, frame) => take(`port ${number}`, frame),
        toFabric: (pa, vsid, frame) => take(`${vsid} at ${formatAddress(pa)}`, frame),
        dropped: (_frame, reason, tenant) => this.dropped.push(`${tenant ?? 'nobody'} ${DROP_NAMES[reason]}`),
      },
    });
  }

  /** What the frame, sent by a port, came to. */
  send(number: number, octets: Uint8Array, set: Partial<Packet> = {}): Delivery[] {
    return this.#give((packet) => this.switch.fromPort(number, packet, this.now), octets, set);
  }

  /** What the octets behind an outer header from `pa` came to. */
  receive(pa: string, octets: Uint8Array): Delivery[] {
    return this.#give((packet) => this.switch.fromFabric(addr(pa), packet, this.now), octets, {});
  }

  /** The drop that became of it; it must be one, and nothing else. */
  refuses(run: () => Delivery[]): string {
    const before = this.dropped.length;
    expect(run()).toEqual([]);
    expect(this.dropped.length - before, 'drops').toBe(1);
    return this.dropped.at(-1)!;
  }

  drops(tenant: number): Record<string, number> {
    return dropsByName(this.switch.dropsOf(tenant)) as Record<string, number>;
  }

  #give(into: (packet: Packet) => void, octets: Uint8Array, set: Partial<Packet>): Delivery[] {
    const taken = this.pool.taken;
    const packet = this.pool.from(octets)!;
    Object.assign(packet, set);
    this.sent.length = 0;
    into(packet);
    expect(this.pool.taken, 'packets released').toBe(taken);
    return [...this.sent];
  }
}

/** As `Delivery`, but in words: where to, MAC addresses, and the last octet of the data. */
export const placesOf = (deliveries: readonly Delivery[]): string[] => deliveries.map(({ to }) => to);

export const HOST_A = '192.168.50.21';
export const HOST_B = '192.168.50.22';
export const GATEWAY = '192.168.50.10';

/** VMs 1 and 2 here, 3 at host A, 4 at host B in VSID 5001; 5 at host A in 5002. Its twin has the same in 6001, 6002. */
export const tenant = (number: 1 | 2, more: Partial<TenantConfig> = {}): TenantConfig => {
  const [one, two] = number === 1 ? [5001, 5002] : [6001, 6002];
  return {
    tenant: number,
    name: number === 1 ? 'fabrikam' : 'contoso',
    subnets: [subnet(one, '10.1.0.0/24'), subnet(one, '2001:db8:1::/64'), subnet(two, '10.2.0.0/24')],
    records: [
      record(one, '10.1.0.11', vm(1), GATEWAY),
      record(one, '10.1.0.12', vm(2), GATEWAY),
      record(one, '10.1.0.13', vm(3), HOST_A),
      record(one, '2001:db8:1::13', vm(3), HOST_A),
      record(one, '10.1.0.14', vm(4), HOST_B),
      record(two, '10.2.0.15', vm(5), HOST_A),
    ],
    ...more,
  };
};

/** Ports 1 and 2 (tenant 1: VMs 1 and 2), 11 and 12 (tenant 2: the same). */
export function standard(more: Partial<TenantConfig> = {}, limits: Partial<SwitchLimits> = {}): Node {
  const node = new Node({ limits });
  for (const number of [1, 2] as const) {
    node.switch.addTenant(tenant(number, number === 1 ? more : {}));
    const vsid = number === 1 ? 5001 : 6001;
    const first = number === 1 ? 1 : 11;
    node.switch.addPort(port(first, number, vsid, vm(1)));
    node.switch.addPort(port(first + 1, number, vsid, vm(2)));
  }
  return node;
}

/** A UDP datagram in a frame, either family; the data is one octet that marks it. */
export const datagram = (dst: string, src: string, from: string, to: string, mark = 0): Uint8Array => {
  const data = Uint8Array.of(mark);
  const segment = udp(from, to, 1000, 2000, data);
  return ipFrame(
    dst,
    src,
    addr(from).length === 4 ? ipv4({ src: from, dst: to }, segment) : ipv6({ src: from, dst: to }, segment),
  );
};
