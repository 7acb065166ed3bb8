/**
 * One data plane as a gateway of tenants whose virtual subnets reach the outside by NAT, without sockets: NVGRE goes in, and what left by
 * the external interface is written down.
 */
import { type Bytes, seededRandom, toHex } from '../../src/core/index.ts';
import { chooseEngine, nobleEngine } from '../../src/crypto/index.ts';
import { DataPlane, LocalCells, type PlaneCommand } from '../../src/gateway/index.ts';
import {
  buildIp,
  cutSuperframe,
  fillIpv4Checksum,
  fillTransportChecksum,
  ipv4Number,
  ipv4Source,
  octetsOf,
  type Packet,
  PacketPool,
  parseAddress,
  parsePrefix,
} from '../../src/ip/index.ts';
import { NAT_LIMITS, NAT_TIMEOUTS } from '../../src/nat/index.ts';

export const VM = parseAddress('10.1.0.10')!;
export const SERVER = parseAddress('198.51.100.7')!;
const HERE = parseAddress('172.16.0.1')!;
const HOST = parseAddress('172.16.0.2')!;
const VM_MAC = Uint8Array.of(2, 0, 1, 0, 0, 1);
const PORT_MAC = Uint8Array.of(2, 0, 0, 0, 0, 1);
const ANY = parsePrefix('0.0.0.0/0')!;
const { engine } = chooseEngine([nobleEngine]);

/** As a number. */
export const externalOf = (tenant: number): number => ipv4Number(Uint8Array.of(203, 0, 113, tenant + 1));

/** Its tenants are alike but for VSID and external address. */
export class NatGateway {
  readonly pool = new PacketPool(160, 4096);
  readonly plane: DataPlane;
  /** As they left: octets of the wire, and how many packets of it each was. */
  readonly left: { readonly octets: string; readonly source: number; readonly protocol: number }[] = [];
  readonly sizes: number[] = [];
  readonly #compartments: readonly number[];
  #slots = 2;

  constructor(tenants: number, superframes: boolean) {
    const output = {
      datagram: (): void => {},
      underlay: (_local: unknown, _remote: unknown, packet: Packet): void => this.pool.release(packet),
      packet: (_port: number, packet: Packet): void => this.#leave(packet),
    };
    const cells = new LocalCells();
    this.plane = new DataPlane({ pool: this.pool, random: seededRandom(1), engine, output, cells, superframes });
    this.#do({ do: 'underlay', underlay: { addresses: [HERE], carrier: 'nvgre' } });
    this.#do({ do: 'add-compartment', compartment: 1, name: 'default', cells: this.#slot() });
    const config = { name: 'external', kind: 'tun', mtu: 1500, addresses: [] } as const;
    this.#do({ do: 'add-interface', compartment: 1, interface: 1, config, cells: this.#slot(), way: { port: 1 } });
    this.#route(1, 1, ANY);
    for (let tenant = 0; tenant < tenants; tenant++) this.#addTenant(tenant);
    this.#compartments = Array.from({ length: tenants + 1 }, (_, i) => i + 1);
  }

  send(tenant: number, octets: Bytes): void {
    const frame = Uint8Array.of(0x20, 0, 0x65, 0x58, 0, 0x10, tenant, 0, ...PORT_MAC, ...VM_MAC, 8, 0, ...octets);
    this.plane.underlay(HOST, this.pool.from(frame)!, 0);
  }

  get drops(): readonly (readonly number[])[] {
    return this.#compartments.map((compartment) => [...this.plane.compartment(compartment)!.drops]);
  }

  get counters(): readonly unknown[] {
    return this.#compartments.map((number) => {
      const compartment = this.plane.compartment(number)!;
      return [compartment.counters, compartment.interfaces()];
    });
  }

  removeTenant(tenant: number): void {
    this.#do({ do: 'remove-compartment', compartment: tenant + 2 });
  }

  #leave(packet: Packet): void {
    const pieces: Packet[] = [];
    const count = packet.segment === 0 ? 0 : cutSuperframe(packet, this.pool, pieces);
    this.sizes.push(Math.max(1, count));
    for (const piece of count === 0 ? [packet] : pieces.slice(0, count)) {
      const octets = octetsOf(piece);
      this.left.push({ octets: toHex(octets), source: ipv4Source(octets, 0), protocol: octets[9]! });
      if (piece !== packet) this.pool.release(piece);
    }
    this.pool.release(packet);
  }

  #addTenant(tenant: number): void {
    const compartment = tenant + 2;
    const vsid = 0x1000 + tenant;
    const own = { address: parseAddress('10.1.0.1')!, length: 24 };
    this.#do({ do: 'add-compartment', compartment, name: `tenant${tenant}`, cells: this.#slot() });
    const records = [{ vsid, ca: VM, mac: VM_MAC, pa: HOST, type: 'static' }] as const;
    const subnets = [{ vsid, prefix: own }];
    this.#do({
      do: 'network',
      network: { compartment, name: `tenant${tenant}`, subnets, records, routes: [], cells: this.#slot() },
    });
    const config = { name: 'subnet', kind: 'ethernet', mtu: 1500, addresses: [own], clampMss: true } as const;
    const way = { switchPort: 100 + tenant, vsid, mac: PORT_MAC, segmentCells: this.#slot() };
    this.#do({ do: 'add-interface', compartment, interface: 1, config, cells: this.#slot(), way });
    const link = tenant + 1;
    const outside = { name: `link${tenant}`, kind: 'link', mtu: 1500, addresses: [] } as const;
    this.#do({
      do: 'add-interface',
      compartment: 1,
      interface: tenant + 2,
      config: outside,
      cells: this.#slot(),
      way: { link, side: 'outside' },
    });
    const nat = {
      external: externalOf(tenant),
      cells: this.#slot(),
      rules: [],
      filtering: 'address',
      timeouts: NAT_TIMEOUTS,
      limits: NAT_LIMITS,
    } as const;
    this.#do({
      do: 'add-interface',
      compartment,
      interface: 2,
      config: { ...outside, name: 'outside' },
      cells: this.#slot(),
      way: { link, side: 'inside', nat },
    });
    this.#route(compartment, 2, ANY);
    this.#route(1, tenant + 2, parsePrefix(`203.0.113.${tenant + 1}/32`)!);
  }

  #route(compartment: number, number: number, prefix: typeof ANY): void {
    const route = { prefix, interface: number, origin: 'nat', preference: 2, why: 'test' } as const;
    this.#do({ do: 'add-route', compartment, route });
  }

  #do(command: PlaneCommand): void {
    this.plane.command(command, 0);
  }

  #slot(): number {
    return this.#slots++;
  }
}

/** UDP of the VM's, from that port to the server's DNS. */
export const udp = (port: number): Bytes =>
  sealed(
    buildIp(
      { source: VM, destination: SERVER, protocol: 17 },
      Uint8Array.of(port >>> 8, port & 0xff, 0, 53, 0, 12, 0, 0, 1, 2, 3, 4),
    ),
  );

/** With its checksums. */
export function sealed(octets: Bytes): Bytes {
  fillIpv4Checksum(octets, 0);
  fillTransportChecksum(octets, 0, 20, octets.length, octets[9]!);
  return octets;
}
