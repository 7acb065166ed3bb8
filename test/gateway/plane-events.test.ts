import { expect, it } from 'vitest';
import { seededRandom } from '../../src/core/index.ts';
import { defaultEngine } from '../../src/crypto/index.ts';
import { DataPlane } from '../../src/gateway/index.ts';
import { DROP, PacketPool } from '../../src/ip/index.ts';
import { addr } from '../support/packets.ts';
import { tenant } from '../support/plane.ts';

it.each([
  { type: 'ike', words: 'IKE messages', marker: 0 },
  { type: 'stray', words: 'packets for another plane', marker: 1 },
])(
  'a flood of $words between two batches is bounded and counted, and what a tunnel says is kept',
  ({ type, marker }) => {
    const pool = new PacketPool(64);
    const output = { datagram: () => {}, underlay: () => {}, packet: () => {} };
    const spis = { modulus: 2, residue: 0 };
    const plane = new DataPlane({ pool, random: seededRandom(1), engine: defaultEngine, output, spis });
    for (const command of tenant(1)) plane.command(command, 0);
    const [local, remote] = [192, 198].map((octet) => ({ address: addr(`${octet}.0.2.1`), port: 4500 }));
    const message = new Uint8Array(40).fill(9).fill(marker, 0, 4);
    for (let i = 0; i < 3000; i++) plane.udp(local!, remote!, pool.from(message)!, 0, true, 0);
    const request = { destination: addr('10.2.0.5'), id: 1, sequence: 1, size: 8, timeoutMs: 100 };
    plane.command({ do: 'ping', compartment: 1, request }, 0);
    const told = plane.takeEvents();
    expect(told.filter((event) => event.type === type)).toHaveLength(1024);
    expect(told.at(-1)).toMatchObject({ type: 'acquire', tunnel: 1 });
    expect(plane.drops[DROP.queueFull]).toBe(3000 - 1024);
    expect(plane.takeEvents()).toEqual([]);
  },
);
