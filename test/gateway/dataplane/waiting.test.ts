import { expect, it } from 'vitest';
import { seededRandom } from '../../../src/core/index.ts';
import { defaultEngine } from '../../../src/crypto/index.ts';
import { DataPlane, LocalCells, WAITING_PACKETS } from '../../../src/gateway/dataplane/index.ts';
import {
  ARP_OPERATION,
  buildUdp,
  DROP,
  ETHER_TYPE,
  ETHERNET_HEADER,
  octetsOf,
  type Packet,
  PacketPool,
  parseAddress,
  parsePrefix,
  writeArp,
  writeEthernet,
} from '../../../src/ip/index.ts';
import { NAT_LIMITS, NAT_TIMEOUTS } from '../../../src/nat/index.ts';

const PORT = 11;
const TUNNEL = 21;

it('a tunnel that goes keeps no packet: neither one that waited nor the error about it, routed into the same tunnel', () => {
  const pool = new PacketPool(16);
  const output = {
    datagram: () => expect.fail('sent'),
    underlay: () => expect.fail('sent'),
    packet: () => expect.fail('sent'),
  };
  const plane = new DataPlane({ pool, random: seededRandom(1), engine: defaultEngine, output });
  const addresses = [parsePrefix('10.1.0.1/24', true)!];
  plane.command({ do: 'add-compartment', compartment: 2, name: 'blue', cells: 2 }, 0);
  const inside = { name: 'inside', kind: 'tun', mtu: 1500, addresses } as const;
  const hq = { name: 'hq', kind: 'connection', mtu: 1400, addresses: [] } as const;
  const add = { do: 'add-interface', compartment: 2 } as const;
  plane.command({ ...add, interface: 1, config: inside, cells: 3, way: { port: PORT } }, 0);
  const way = { tunnel: TUNNEL, df: 'copy', mtu: 1400 } as const;
  plane.command({ ...add, interface: 2, config: hq, cells: 4, way }, 0);
  const route = {
    prefix: parsePrefix('10.2.0.0/16')!,
    interface: 2,
    origin: 'static',
    preference: 1,
    why: '',
  } as const;
  plane.command({ do: 'add-route', compartment: 2, route }, 0);

  // The host here says that it is one behind the tunnel.
  const [source, destination] = [parseAddress('10.2.0.7')!, parseAddress('10.2.0.8')!];
  const octets = buildUdp({ source, destination, sourcePort: 1, destinationPort: 2 }, new Uint8Array(20));
  for (let i = 0; i < 3; i++) plane.packet(PORT, pool.from(octets)!, 0);
  plane.flush(0);
  expect(pool.taken).toBe(3);
  plane.command({ do: 'remove-interface', compartment: 2, interface: 2 }, 0);
  plane.flush(0);
  expect(pool.taken).toBe(0);
});

/** Two tenants with the same addresses, and as many tunnels of each that nobody answers at the other end of. */
function twins(poolPackets: number, tunnels: number) {
  const pool = new PacketPool(poolPackets);
  const left: number[] = [];
  const output = {
    datagram: () => expect.fail('sent'),
    underlay: () => expect.fail('sent'),
    packet: (port: number, packet: Parameters<typeof pool.release>[0]) => {
      left.push(port);
      pool.release(packet);
    },
  };
  const cells = new LocalCells();
  const plane = new DataPlane({ pool, random: seededRandom(1), engine: defaultEngine, output, cells });
  let slot = 2;
  for (const compartment of [2, 3]) {
    const add = { do: 'add-interface', compartment } as const;
    plane.command({ do: 'add-compartment', compartment, name: `tenant${compartment}`, cells: slot++ }, 0);
    for (const [number, network] of [
      [1, '10.1.0.1/24'],
      [2, '10.9.0.1/24'],
    ] as const) {
      const addresses = [parsePrefix(network, true)!];
      const config = { name: `inside${number}`, kind: 'tun', mtu: 1500, addresses } as const;
      plane.command({ ...add, interface: number, config, cells: slot++, way: { port: 10 * compartment + number } }, 0);
    }
    for (let n = 0; n < tunnels; n++) {
      const config = { name: `site${n}`, kind: 'connection', mtu: 1400, addresses: [] } as const;
      const way = { tunnel: 100 * compartment + n, df: 'copy', mtu: 1400 } as const;
      plane.command({ ...add, interface: 10 + n, config, cells: slot++, way }, 0);
      const route = { interface: 10 + n, origin: 'static', preference: 1, why: '' } as const;
      const prefix = parsePrefix(`10.2.${n}.0/24`)!;
      plane.command({ do: 'add-route', compartment, route: { prefix, ...route } }, 0);
    }
  }
  const [source, inside] = [parseAddress('10.1.0.7')!, parseAddress('10.9.0.7')!];
  /** False: the pool was empty. */
  const say = (compartment: number, destination: Uint8Array): boolean => {
    const octets = buildUdp({ source, destination, sourcePort: 1, destinationPort: 2 }, new Uint8Array(20));
    const packet = pool.from(octets);
    if (packet === undefined) return false;
    plane.packet(10 * compartment + 1, packet, 0);
    plane.flush(0);
    return true;
  };
  const toSite = (compartment: number, n: number): boolean => say(compartment, Uint8Array.of(10, 2, n, 7));
  return { plane, pool, left, toSite, inward: (compartment: number) => say(compartment, inside) };
}

it('a tenant whose packets wait for many tunnels leaves the pool to others, and room in which theirs wait', () => {
  const { plane, pool, left, toSite, inward } = twins(256, 20);
  for (let i = 0; i < 100; i++) for (let n = 0; n < 20; n++) expect(toSite(2, n)).toBe(true);
  // A third of half the pool is free for others to wait in, and the other half for what passes.
  expect(pool.taken).toBe(85);
  expect(plane.compartment(2)!.drops[DROP.queueFull]).toBe(2000 - 85);
  left.length = 0;
  for (let i = 0; i < 300; i++) expect(inward(3)).toBe(true);
  expect(left).toEqual(Array.from({ length: 300 }, () => 32));
  for (let i = 0; i < 20; i++) toSite(3, 0);
  expect(plane.tunnels.get(300)!.waiting).toHaveLength(20);
  expect(plane.compartment(3)!.drops[DROP.queueFull]).toBe(0);
});

it('one tunnel has as many waiting as ever where the pool is large, and gives their room back', () => {
  const { plane, pool, toSite } = twins(1024, 1);
  for (let i = 0; i < 100; i++) toSite(2, 0);
  expect(plane.tunnels.get(200)!.waiting).toHaveLength(WAITING_PACKETS);
  expect(pool.waiting.used).toBe(WAITING_PACKETS);
  plane.command({ do: 'give-up', tunnel: 200 }, 0);
  plane.flush(0);
  expect([pool.taken, pool.waiting.used]).toEqual([0, 0]);
  toSite(2, 0);
  plane.command({ do: 'remove-interface', compartment: 2, interface: 10 }, 0);
  expect([pool.taken, pool.waiting.used]).toEqual([0, 0]);
});

/** Two tenants with the same addresses, and the external network that they leave by. */
function outside() {
  const pool = new PacketPool(512);
  const frames: Uint8Array[] = [];
  const output = {
    datagram: () => expect.fail('sent'),
    underlay: () => expect.fail('sent'),
    packet: (_port: number, packet: Packet) => {
      frames.push(octetsOf(packet).slice());
      pool.release(packet);
    },
  };
  const plane = new DataPlane({
    pool,
    random: seededRandom(1),
    engine: defaultEngine,
    output,
    cells: new LocalCells(),
  });
  let slot = 2;
  const mac = Uint8Array.of(2, 0, 0, 0, 0, 1);
  const link = { kind: 'link', mtu: 1500, addresses: [] } as const;
  plane.command({ do: 'add-compartment', compartment: 1, name: 'default', cells: slot++ }, 0);
  const config = {
    name: 'external',
    kind: 'ethernet',
    mtu: 1500,
    addresses: [parsePrefix('192.0.2.1/24', true)!],
  } as const;
  const external = { port: 1, mac, segmentCells: slot++ };
  plane.command({ do: 'add-interface', compartment: 1, interface: 1, config, cells: slot++, way: external }, 0);
  for (const compartment of [2, 3]) {
    const add = { do: 'add-interface', compartment } as const;
    const addresses = [parsePrefix('10.1.0.1/24', true)!];
    const inside = { name: 'inside', kind: 'tun', mtu: 1500, addresses } as const;
    const settings = { rules: [], filtering: 'address', timeouts: NAT_TIMEOUTS, limits: NAT_LIMITS } as const;
    const nat = { external: 0xcb00_7100 + compartment, cells: slot++, ...settings };
    const ends = [
      { link: compartment, side: 'inside', nat },
      { link: compartment, side: 'outside' },
    ] as const;
    const of1 = { do: 'add-interface', compartment: 1, interface: compartment, cells: slot++, way: ends[1] } as const;
    plane.command({ do: 'add-compartment', compartment, name: `tenant${compartment}`, cells: slot++ }, 0);
    plane.command({ ...add, interface: 1, config: inside, cells: slot++, way: { port: 10 + compartment } }, 0);
    plane.command({ ...of1, config: { ...link, name: `tenant${compartment}` } }, 0);
    plane.command({ ...add, interface: 2, config: { ...link, name: 'outside' }, cells: slot++, way: ends[0] }, 0);
    const route = { prefix: parsePrefix('0.0.0.0/0')!, interface: 2, origin: 'nat', preference: 8, why: '' } as const;
    plane.command({ do: 'add-route', compartment, route }, 0);
    const back = { ...route, prefix: parsePrefix(`203.0.113.${compartment}`)!, interface: compartment };
    plane.command({ do: 'add-route', compartment: 1, route: back }, 0);
  }
  const say = (compartment: number, host: number): void => {
    const ends = { source: parseAddress('10.1.0.7')!, destination: Uint8Array.of(192, 0, 2, host) };
    const octets = buildUdp({ ...ends, sourcePort: 1, destinationPort: compartment }, new Uint8Array(20));
    plane.packet(10 + compartment, pool.from(octets)!, 0);
    plane.flush(0);
  };
  /** The host outside answers who has its address. */
  const answer = (host: number): void => {
    const packet = pool.take()!;
    const theirs = Uint8Array.of(2, 0, 0, 0, 1, host);
    writeEthernet(packet.buf, packet.start, mac, theirs, ETHER_TYPE.arp);
    const ends = [0xc000_0200 + host, 0xc000_0201] as const;
    writeArp(packet.buf, packet.start + ETHERNET_HEADER, ARP_OPERATION.reply, theirs, ...ends, mac);
    packet.end = packet.start + ETHERNET_HEADER + 28;
    plane.packet(1, packet, 0);
    plane.flush(0);
  };
  return { plane, pool, frames, say, answer };
}

it('a tenant that sends to many that are not there outside leaves the packet of another to its neighbour', () => {
  const { plane, pool, frames, say, answer } = outside();
  say(3, 9);
  for (let round = 0; round < 3; round++) for (let host = 10; host < 250; host++) say(2, host);
  expect(plane.segment(1, 1)!.neighbours()).toHaveLength(241);
  frames.length = 0;
  answer(9);
  // Ethernet, IPv4 and the destination port by which the tenants are told apart.
  expect(frames.map((frame) => [frame[5], frame[14 + 20 + 3]])).toEqual([[9, 3]]);
  expect(plane.segment(1, 1)!.counters.waitingRefused).toBe(720 - 63);
  expect(pool.waiting.used).toBe(63);
});
