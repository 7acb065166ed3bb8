/**
 * TCP out of virtual networks, joined before its compartment: against a data plane that joins nothing, whatever comes in whatever
 * order, each flow leaves with the same octets in the same order, and the same is counted.
 */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { type Bytes, seededRandom, toHex } from '../../../src/core/index.ts';
import { chooseEngine, nobleEngine } from '../../../src/crypto/index.ts';
import { DataPlane, LocalCells, type PlaneCommand } from '../../../src/gateway/index.ts';
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
} from '../../../src/ip/index.ts';
import { NAT_LIMITS, NAT_TIMEOUTS } from '../../../src/nat/index.ts';

const TENANTS = [0, 1] as const;
const HERE = parseAddress('172.16.0.1')!;
const HOST = parseAddress('172.16.0.2')!;
const VM = parseAddress('10.1.0.10')!;
const SERVER = parseAddress('198.51.100.7')!;
const VM_MAC = Uint8Array.of(2, 0, 1, 0, 0, 1);
const PORT_MAC = Uint8Array.of(2, 0, 0, 0, 0, 1);
const ANY = parsePrefix('0.0.0.0/0')!;
const EXTERNAL = ['203.0.113.1', '203.0.113.2'].map((text) => ipv4Number(parseAddress(text)!));
const SEGMENT = 100;
const { engine } = chooseEngine([nobleEngine]);

/** A gateway of two tenants that are alike but for VSID and external address. */
class Twin {
  readonly pool = new PacketPool(160, 4096);
  readonly plane: DataPlane;
  /** As they left: octets of the wire, and how many packets of it each was. */
  readonly left: { readonly octets: string; readonly source: number; readonly protocol: number }[] = [];
  readonly sizes: number[] = [];
  #slots = 2;

  constructor(superframes: boolean) {
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
    for (const tenant of TENANTS) this.#addTenant(tenant);
  }

  send(tenant: number, octets: Bytes): void {
    const frame = Uint8Array.of(0x20, 0, 0x65, 0x58, 0, 0x10, tenant, 0, ...PORT_MAC, ...VM_MAC, 8, 0, ...octets);
    this.plane.underlay(HOST, this.pool.from(frame)!, 0);
  }

  get drops(): readonly (readonly number[])[] {
    return [1, 2, 3].map((compartment) => [...this.plane.compartment(compartment)!.drops]);
  }

  get counters(): readonly unknown[] {
    return [1, 2, 3].map((number) => {
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
      external: EXTERNAL[tenant]!,
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

/** Segment `index` of the stream with that port; `SYN` begins it. */
function segment(port: number, index: number, length = SEGMENT): Bytes {
  const payload = new Uint8Array(20 + (index < 0 ? 0 : length)).fill(index & 0xff, 20);
  const sequence = index < 0 ? 0 : 1 + index * SEGMENT;
  payload.set([port >>> 8, port & 0xff, 1, 0xbb, 0, 0, sequence >>> 8, sequence & 0xff, 0, 0, 0, 1]);
  payload.set([5 << 4, index < 0 ? SYN : ACK, 0xff, 0xff, 0, 0, 0, 0], 12);
  return sealed(buildIp({ source: VM, destination: SERVER, protocol: 6, identification: index + 1 }, payload));
}

const udp = (port: number): Bytes =>
  sealed(
    buildIp(
      { source: VM, destination: SERVER, protocol: 17 },
      Uint8Array.of(port >>> 8, port & 0xff, 0, 53, 0, 12, 0, 0, 1, 2, 3, 4),
    ),
  );

function sealed(octets: Bytes): Bytes {
  fillIpv4Checksum(octets, 0);
  fillTransportChecksum(octets, 0, 20, octets.length, octets[9]!);
  return octets;
}

const SYN = 0x02;
const ACK = 0x10;
const PORTS = [5000, 5001];

function opened(superframes: boolean): Twin {
  const twin = new Twin(superframes);
  for (const tenant of TENANTS) for (const port of PORTS) twin.send(tenant, segment(port, -1));
  twin.plane.flush(0);
  twin.left.length = 0;
  twin.sizes.length = 0;
  return twin;
}

describe('TCP out of a virtual network', () => {
  it('a stream is routed and translated once: what leaves is one superframe of its segments', () => {
    const [joined, single] = [opened(true), opened(false)];
    for (const twin of [joined, single]) {
      for (let i = 0; i < 20; i++) twin.send(0, segment(5000, i));
      twin.plane.flush(0);
    }
    expect(joined.sizes).toEqual([20]);
    expect(single.sizes).toEqual(new Array(20).fill(1));
    expect(joined.left).toEqual(single.left);
    expect(joined.counters).toEqual(single.counters);
  });

  it('isolation: equal flows of two tenants by turns never join, each leaves by its own external address', () => {
    const [joined, single] = [opened(true), opened(false)];
    for (const twin of [joined, single]) {
      for (let i = 0; i < 10; i++) for (const tenant of TENANTS) twin.send(tenant, segment(5000, i));
      twin.plane.flush(0);
    }
    expect(joined.sizes).toEqual(new Array(20).fill(1));
    expect(joined.left).toEqual(single.left);
    expect(joined.left.map(({ source }) => source)).toEqual(joined.left.map((_, i) => EXTERNAL[i % 2]));
  });

  it('isolation: what is the next segment of one tenant is never the next of the other', () => {
    const twin = opened(true);
    for (let i = 0; i < 10; i++) twin.send(i % 2, segment(5000, i));
    for (let i = 10; i < 20; i++) twin.send(i < 15 ? 0 : 1, segment(5000, i));
    twin.plane.flush(0);
    expect(twin.sizes).toEqual([...new Array(10).fill(1), 5, 5]);
    expect(twin.left.filter(({ source }) => source === EXTERNAL[0])).toHaveLength(10);
  });

  it('other protocols do not wait for what may join', () => {
    const twin = opened(true);
    twin.send(0, segment(5000, 0));
    twin.send(0, udp(6000));
    twin.plane.flush(0);
    expect(twin.left.map(({ protocol }) => protocol)).toEqual([17, 6]);
  });

  it('a header checksum that is wrong is not hidden by others: dropped, and counted', () => {
    const twin = opened(true);
    const broken = segment(5000, 1);
    broken[10]! ^= 1;
    for (const octets of [segment(5000, 0), broken, segment(5000, 2)]) twin.send(0, octets);
    twin.plane.flush(0);
    expect(twin.sizes).toEqual([1, 1]);
    expect(twin.plane.compartment(2)!.drops.reduce((a, b) => a + b)).toBe(1);
  });

  it('what waits goes before a command', () => {
    const twin = opened(true);
    for (let i = 0; i < 3; i++) twin.send(0, segment(5000, i));
    twin.removeTenant(0);
    expect(twin.sizes).toEqual([3]);
    expect(twin.pool.taken).toBe(0);
  });

  it('whatever comes in whatever order, each flow leaves as it would one by one', () => {
    const step = fc.record({
      tenant: fc.constantFrom(...TENANTS),
      port: fc.constantFrom(...PORTS),
      what: fc.constantFrom('next', 'next', 'next', 'next', 'again', 'short', 'udp', 'broken', 'wrong', 'flush'),
    });
    let superframes = 0;
    fc.assert(
      fc.property(fc.array(step, { maxLength: 120, size: 'max' }), (steps) => {
        const twins = [opened(true), opened(false)] as const;
        for (const twin of twins) {
          const next = new Map<number, number>();
          for (const { tenant, port, what } of steps) {
            const index = next.get(2 * port + tenant) ?? 0;
            const octets = what === 'udp' ? udp(port) : segment(port, index, what === 'short' ? 7 : SEGMENT);
            if (what === 'broken') octets[10]! ^= 1;
            if (what === 'wrong') octets[36]! ^= 1;
            if (what === 'flush') twin.plane.flush(0);
            else twin.send(tenant, octets);
            if (what === 'next') next.set(2 * port + tenant, index + 1);
          }
          twin.plane.flush(0);
          expect(twin.pool.taken).toBe(0);
        }
        const [joined, single] = twins;
        superframes += joined.sizes.filter((size) => size > 1).length;
        // External ports are those of inside here: source and ports are the flow.
        const flow = (twin: Twin, external: number, port: number, protocol: number): string[] =>
          twin.left
            .filter((left) => left.source === external && left.protocol === protocol)
            .map(({ octets }) => octets)
            .filter((octets) => octets.slice(40, 44) === port.toString(16));
        for (const external of EXTERNAL)
          for (const port of PORTS)
            for (const protocol of [6, 17])
              expect(flow(joined, external, port, protocol)).toEqual(flow(single, external, port, protocol));
        expect(joined.left).toHaveLength(single.left.length);
        expect(joined.drops).toEqual(single.drops);
        expect(joined.counters).toEqual(single.counters);
      }),
      { numRuns: 60, seed: 4 },
    );
    expect(superframes).toBeGreaterThan(20);
  });
});
