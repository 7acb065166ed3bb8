import { expect, it } from 'vitest';
import { seededRandom } from '../../../src/core/index.ts';
import { defaultEngine } from '../../../src/crypto/index.ts';
import { DataPlane } from '../../../src/gateway/dataplane/index.ts';
import { buildUdp, PacketPool, parseAddress, parsePrefix } from '../../../src/ip/index.ts';

const PORT = 11;
const TUNNEL = 21;

it('a tunnel that goes keeps no packet: neither one that waited nor the error about it, routed into the same tunnel', () => {
  const pool = new PacketPool(8);
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
