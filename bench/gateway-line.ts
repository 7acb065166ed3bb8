/**
 * One data plane as a multi-tenant gateway, without sockets: NVGRE comes in as a virtualization host sends it, and what leaves for the
 * external network, a site or a host is counted and released.
 *
 * Built with the commands of control, and with its numbers: compartment 1 with the external interface, for each tenant a compartment
 * with a port in its virtual subnet, a NAT behind an external address of its own, a connection. All tenants have the same addresses.
 * A session is a number: its VM, port and server follow from it. Packets are written outside of the clock.
 */
import { type Bytes, putU16, putU32, u16, u32 } from '../src/core/index.ts';
import type { Engine, Suite } from '../src/crypto/index.ts';
import { DataPlane, LocalCells, type PlaneCommand, SLOT_CELLS, SlotBook, SMALL_CELLS } from '../src/gateway/index.ts';
import {
  ARP_OPERATION,
  ETHER_TYPE,
  ETHERNET_HEADER,
  etherType,
  fillIpv4Checksum,
  fillTransportChecksum,
  ipv4Octets,
  networkOf,
  type Packet,
  type PacketPool,
  type Prefix,
  parseAddress,
  parsePrefix,
  selectorOfPrefix,
  wirePackets,
  writeArp,
  writeEthernet,
} from '../src/ip/index.ts';
import { NAT_LIMITS, NAT_TIMEOUTS, SESSIONS_MAX } from '../src/nat/index.ts';
import { innerMtu, type LookupRecord } from '../src/nvgre/index.ts';
import { systemRandom } from '../src/runtime/index.ts';

/** VMs of a tenant that send. */
export const VMS = 64;
/** Inner endpoints of a tenant at most; further sessions are those of the same endpoints with other servers. */
export const ENDPOINTS = 50_000;

export interface LineOptions {
  readonly pool: PacketPool;
  readonly engine: Engine;
  readonly suite: Suite;
  /** What the external interface is. Default: `tun`. */
  readonly external?: 'tun' | 'ethernet';
  /** Packets of one flow may become one. Default: true, as in a gateway. */
  readonly superframes?: boolean;
  /** Of each tenant's NAT. Default: as many as there can be. */
  readonly natSessions?: number;
  /** The gateway's own address in each tenant's subnet, with its prefix. */
  readonly own?: readonly Prefix[];
  /** Whether a station of each tenant's, LEARNER_MAC, has addresses that are learned. */
  readonly learns?: boolean;
}

/** What has left; a superframe or a train counts as its packets on the wire. */
export interface Left {
  external: number;
  /** Those of them that are of the first tenant. */
  first: number;
  underlay: number;
  datagrams: number;
  /** Times the output was called. */
  calls: number;
}

export class GatewayLine {
  readonly left: Left = { external: 0, first: 0, underlay: 0, datagrams: 0, calls: 0 };
  readonly plane: DataPlane;
  readonly #pool: PacketPool;
  readonly #suite: Suite;
  readonly #ethernet: boolean;
  readonly #natSessions: number;
  readonly #own: readonly Prefix[];
  readonly #learns: boolean;
  /** ARP on the external segment, answered before the next batch. */
  readonly #answers: Packet[] = [];
  #tenants = 0;
  readonly #slots = new SlotBook(OWN_SLOTS);

  constructor(options: LineOptions) {
    const { pool, engine, suite, external = 'tun', superframes = true } = options;
    this.#natSessions = options.natSessions ?? SESSIONS_MAX;
    this.#own = options.own ?? OWN;
    this.#learns = options.learns === true;
    this.#pool = pool;
    this.#suite = suite;
    this.#ethernet = external === 'ethernet';
    const { left } = this;
    const output = {
      datagram: (_udp: boolean, _local: unknown, _remote: unknown, packet: Packet): void => {
        left.calls += 1;
        left.datagrams += trainOf(packet);
        pool.release(packet);
      },
      underlay: (_local: unknown, _remote: unknown, packet: Packet): void => {
        left.calls += 1;
        left.underlay += trainOf(packet);
        pool.release(packet);
      },
      packet: (_port: number, packet: Packet): void => this.#leave(packet),
    };
    const cells = new LocalCells();
    this.plane = new DataPlane({ pool, random: systemRandom, engine, output, cells, superframes });
    this.#begin();
  }

  /** Tenants up to this number, each with so many VMs. */
  addTenants(count: number, vms = VMS): void {
    for (; this.#tenants < count; this.#tenants++) this.#addTenant(this.#tenants, vms);
  }

  /** So much later, when what is past has no more consequences: addresses were announced twice, sessions are over. */
  settle(after: number): void {
    const later = performance.now() + after;
    for (let due = this.plane.deadline(); due !== undefined && due.at <= later; due = this.plane.deadline()) {
      this.plane.tick(due.at);
      this.plane.flush(due.at);
    }
    this.plane.takeEvents();
  }

  /** An SA pair for the connection of each tenant below. */
  install(count: number): void {
    for (let tenant = 0; tenant < count; tenant++) this.#install(tenant);
  }

  /** UDP of `length` octets of a tenant's session, to a server outside or at its site, as NVGRE. */
  writeUdp(packet: Packet, tenant: number, session: number, length: number, toSite: boolean): void {
    const ip = this.#writeOuter(packet, tenant, session, length, toSite, UDP);
    putU16(packet.buf, ip + 24, length - IPV4);
    seal(packet, ip, UDP);
  }

  /** The segment of a TCP stream of session 0 that begins at `sequence`, or its SYN. */
  writeTcp(packet: Packet, tenant: number, sequence: number, length: number, syn = false): void {
    const ip = this.#writeOuter(packet, tenant, 0, length, false, TCP);
    putU16(packet.buf, ip + 4, Math.floor(sequence / (length - IPV4 - TCP_HEADER)) & 0xffff);
    putU32(packet.buf, ip + 24, sequence >>> 0);
    putU32(packet.buf, ip + 28, syn ? 0 : 1);
    putU16(packet.buf, ip + 32, (5 << 12) | (syn ? 0x02 : 0x10));
    putU16(packet.buf, ip + 34, 0xffff);
    seal(packet, ip, TCP);
  }

  /** UDP of a server outside for the external port of a session; a frame where the external interface takes frames. */
  writeAnswer(packet: Packet, tenant: number, session: number, externalPort: number, length: number): void {
    const { buf, start } = packet;
    const ip = start + (this.#ethernet ? ETHERNET_HEADER : 0);
    if (this.#ethernet) writeEthernet(buf, start, EXTERNAL_MAC, ROUTER_MAC, ETHER_TYPE.ipv4);
    writeIp(buf, ip, length, UDP, serverOf(session), externalOf(tenant));
    putU16(buf, ip + 20, SERVER_PORT);
    putU16(buf, ip + 22, externalPort);
    putU16(buf, ip + 24, length - IPV4);
    packet.end = ip + length;
    seal(packet, ip, UDP);
  }

  /** Of those with the first server. */
  sessionOf(innerAddress: number, innerPort: number): number {
    return (innerPort - FIRST_PORT) * VMS + innerAddress - vmAddress(0);
  }

  receive(packet: Packet, now: number): void {
    this.plane.underlay(HOST, packet, now);
  }

  receiveOutside(packet: Packet, now: number): void {
    this.plane.packet(EXTERNAL_PORT, packet, now);
  }

  /** What a loop does behind each batch. */
  flush(now: number): void {
    const { plane } = this;
    plane.flush(now);
    const due = plane.deadline();
    if (due !== undefined && due.at <= now) {
      plane.tick(now);
      plane.flush(now);
    }
    plane.takeEvents();
    while (this.#answers.length > 0) plane.packet(EXTERNAL_PORT, this.#answers.pop()!, now);
  }

  /** Throws when something is still held. */
  check(what: string, left: number, expected: number): void {
    const { taken } = this.#pool;
    if (left === expected && taken === 0) return;
    const drops = this.plane.drops.join();
    const compartments = [1, 2].map((n) => this.plane.compartment(n)?.drops.join());
    throw new Error(`${what}: ${left} of ${expected} packets, ${taken} still held; drops ${drops}; ${compartments}`);
  }

  #leave(packet: Packet): void {
    const { buf, start } = packet;
    if (this.#ethernet) {
      if (etherType(buf, start) === ETHER_TYPE.arp) return this.#answer(packet);
      packet.start += ETHERNET_HEADER;
    }
    const count = wirePackets(packet);
    this.left.calls += 1;
    this.left.external += count;
    if (u32(buf, packet.start + 12) === externalOf(0)) this.left.first += count;
    this.#pool.release(packet);
  }

  /** The router outside is there. */
  #answer(packet: Packet): void {
    const { buf, start } = packet;
    const at = start + ETHERNET_HEADER;
    const [sender, target] = [u32(buf, at + 14), u32(buf, at + 24)];
    if (target !== ROUTER) return this.#pool.release(packet);
    writeEthernet(buf, start, EXTERNAL_MAC, ROUTER_MAC, ETHER_TYPE.arp);
    writeArp(buf, at, ARP_OPERATION.reply, ROUTER_MAC, ROUTER, sender, EXTERNAL_MAC);
    this.#answers.push(packet);
  }

  #writeOuter(
    packet: Packet,
    tenant: number,
    session: number,
    length: number,
    toSite: boolean,
    protocol: number,
  ): number {
    const { buf, start } = packet;
    const endpoint = session % ENDPOINTS;
    const vm = endpoint % VMS;
    putU32(buf, start, 0x2000_6558);
    putU32(buf, start + 4, (vsidOf(tenant) << 8) >>> 0);
    writeEthernet(buf, start + NVGRE, PORT_MAC, vmMac(vm), ETHER_TYPE.ipv4);
    const ip = start + NVGRE + ETHERNET_HEADER;
    writeIp(buf, ip, length, protocol, vmAddress(vm), toSite ? SITE_HOST : serverOf(session));
    putU16(buf, ip + 20, FIRST_PORT + Math.floor(endpoint / VMS));
    putU16(buf, ip + 22, SERVER_PORT);
    packet.end = ip + length;
    return ip;
  }

  #begin(): void {
    const mtu = 1500;
    this.#do({ do: 'underlay', underlay: { addresses: [HERE], carrier: 'nvgre' } });
    this.#do({ do: 'add-compartment', compartment: 1, name: 'default', cells: this.#slot() });
    const addresses = [{ address: parseAddress('192.0.2.1')!, length: 24 }];
    const config = { name: 'external', kind: this.#ethernet ? 'ethernet' : 'tun', mtu, addresses } as const;
    const port = EXTERNAL_PORT;
    const way = this.#ethernet ? { port, mac: EXTERNAL_MAC, segmentCells: this.#slot() } : { port };
    this.#do({ do: 'add-interface', compartment: 1, interface: 1, config, cells: this.#small(), way });
    const route = { prefix: ANY, interface: 1, origin: 'static', preference: 1, why: 'bench' } as const;
    const nextHop = this.#ethernet ? { nextHop: ipv4Octets(ROUTER) } : {};
    this.#do({ do: 'add-route', compartment: 1, route: { ...route, ...nextHop } });
  }

  #addTenant(tenant: number, vms: number): void {
    const compartment = tenant + 2;
    const name = `tenant${tenant}`;
    const vsid = vsidOf(tenant);
    this.#do({ do: 'add-compartment', compartment, name, cells: this.#slot() });
    const records: LookupRecord[] = Array.from(
      { length: vms },
      (_, vm) => ({ vsid, ca: ipv4Octets(vmAddress(vm)), mac: vmMac(vm), pa: HOST, type: 'static' }) as const,
    );
    if (this.#learns) records.push({ vsid, mac: LEARNER_MAC, pa: HOST, type: 'l2only' });
    const subnets = this.#own.map((prefix) => ({
      vsid,
      prefix: { address: networkOf(prefix), length: prefix.length },
    }));
    const network = { compartment, name, subnets, records, routes: [], cells: this.#slot() };
    this.#do({ do: 'network', network });
    this.#do({
      do: 'add-interface',
      compartment,
      interface: 1,
      config: {
        name: `vsid:${vsid}`,
        kind: 'ethernet',
        mtu: innerMtu(1600, 'nvgre', 4),
        addresses: this.#own,
        clampMss: true,
      },
      cells: this.#small(),
      way: { switchPort: 100 + tenant, vsid, mac: PORT_MAC, segmentCells: this.#slot() },
    });
    this.#addOutside(tenant);
    this.#do({
      do: 'add-interface',
      compartment,
      interface: 3,
      config: { name: 'hq', kind: 'connection', mtu: 1438, addresses: [] },
      cells: this.#small(),
      way: { tunnel: tenant, df: 'copy', mtu: 1438 },
    });
    const route = { prefix: SITE, interface: 3, origin: 'connection', preference: 5, why: 'bench' } as const;
    this.#do({ do: 'add-route', compartment, route });
  }

  #addOutside(tenant: number): void {
    const compartment = tenant + 2;
    const external = externalOf(tenant);
    const [link, outside] = [tenant + 1, tenant + 2];
    const config = { kind: 'link', mtu: 1500, addresses: [] } as const;
    this.#do({
      do: 'add-interface',
      compartment: 1,
      interface: outside,
      config: { ...config, name: `tenant:tenant${tenant}` },
      cells: this.#small(),
      way: { link, side: 'outside' },
    });
    const limits = { ...NAT_LIMITS, sessions: this.#natSessions };
    const settings = { rules: [], filtering: 'address', timeouts: NAT_TIMEOUTS, limits } as const;
    this.#do({
      do: 'add-interface',
      compartment,
      interface: 2,
      config: { ...config, name: 'outside' },
      cells: this.#small(),
      way: { link, side: 'inside', nat: { external, cells: this.#slot(), ...settings } },
    });
    const back = { address: ipv4Octets(external), length: 32 };
    const common = { origin: 'nat', why: 'bench' } as const;
    this.#do({
      do: 'add-route',
      compartment: 1,
      route: { prefix: back, interface: outside, preference: 2, ...common },
    });
    this.#do({ do: 'add-route', compartment, route: { prefix: ANY, interface: 2, preference: 8, ...common } });
  }

  #install(tenant: number): void {
    const { encryption, integrity } = this.#suite;
    const keys = {
      encryption: new Uint8Array(encryption.keyLength + encryption.saltLength).fill(tenant),
      integrity: new Uint8Array(integrity?.keyLength ?? 0).fill(tenant),
    };
    this.#do({
      do: 'install',
      phase: 'active',
      sa: {
        tunnel: tenant,
        spiIn: 0x1000 + tenant,
        spiOut: 0x2000 + tenant,
        encryption,
        integrity,
        keysIn: keys,
        keysOut: keys,
        esn: true,
        replayWindow: 1024,
        lifetime: { softBytes: Infinity, hardBytes: Infinity, softPackets: Infinity, hardPackets: Infinity },
        local: [selectorOfPrefix(parsePrefix('10.1.0.0/16')!)],
        remote: [selectorOfPrefix(SITE)],
        localEndpoint: { address: parseAddress('192.0.2.1')!, port: 4500 },
        remoteEndpoint: { address: parseAddress('198.51.100.1')!, port: 4500 },
        udpEncapsulation: true,
        peerMoves: true,
        cellsIn: this.#slot(),
        cellsOut: this.#slot(),
      },
    });
  }

  #do(command: PlaneCommand): void {
    this.plane.command(command, performance.now());
  }

  #small(): number {
    return this.#slots.takeSmall();
  }

  #slot(): number {
    return this.#slots.take();
  }
}

/** Doubles that a tenant with one subnet, NAT and a connection counts in: compartment, segment, NAT, switch; four interfaces. */
export const CELLS_A_TENANT = 4 * SLOT_CELLS + 4 * SMALL_CELLS;
/** Of the plane's own two. */
const OWN_SLOTS = 2;

const IPV4 = 20;
const TCP_HEADER = 20;
const UDP = 17;
const TCP = 6;
export const NVGRE = 8;
export const EXTERNAL_PORT = 1;
const SERVER_PORT = 443;
const FIRST_PORT = 20_000;

export const HERE = parseAddress('172.16.0.1')!;
export const HOST = parseAddress('172.16.0.2')!;
const ANY = parsePrefix('0.0.0.0/0')!;
/** Of the gateway in each tenant's subnet, where nothing else is said. */
const OWN: readonly Prefix[] = [{ address: parseAddress('10.1.0.1')!, length: 24 }];
const SITE = parsePrefix('192.168.0.0/16')!;
const SITE_HOST = 0xc0a8_0707;
/** 192.0.2.254. */
const ROUTER = 0xc000_02fe;
const ROUTER_MAC = Uint8Array.of(2, 0, 0, 0, 0, 0xfe);
const EXTERNAL_MAC = Uint8Array.of(2, 0, 0, 0, 0, 2);
export const PORT_MAC = Uint8Array.of(2, 0, 0, 0, 0, 1);
export const LEARNER_MAC = Uint8Array.of(2, 0, 2, 0, 0, 1);
const VM_MACS = Array.from({ length: VMS }, (_, vm) => Uint8Array.of(2, 0, 1, 0, vm >>> 8, vm));

export const vsidOf = (tenant: number): number => 0x1000 + tenant;
export const vmMac = (vm: number): Bytes => VM_MACS[vm]!;
export const vmAddress = (vm: number): number => 0x0a01_000a + vm;
/** 203.0.0.0 and on. */
const externalOf = (tenant: number): number => 0xcb00_0000 + tenant;
/** 198.18.0.0 and on. */
const serverOf = (session: number): number => 0xc612_0000 + Math.floor(session / ENDPOINTS);

export function writeIp(
  buf: Bytes,
  at: number,
  length: number,
  protocol: number,
  source: number,
  destination: number,
): void {
  putU16(buf, at, 0x4500);
  putU16(buf, at + 2, length);
  putU32(buf, at + 4, 0);
  putU16(buf, at + 8, (64 << 8) | protocol);
  putU32(buf, at + 12, source);
  putU32(buf, at + 16, destination);
  buf.fill(0, at + 20, at + 40);
}

export function seal({ buf }: Packet, ip: number, protocol: number): void {
  fillIpv4Checksum(buf, ip);
  fillTransportChecksum(buf, ip, ip + IPV4, ip + u16(buf, ip + 2), protocol);
}

const trainOf = ({ start, end, segment }: Packet): number => (segment === 0 ? 1 : Math.ceil((end - start) / segment));
