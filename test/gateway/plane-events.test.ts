import { expect, it } from 'vitest';
import { seededRandom } from '../../src/core/index.ts';
import { defaultEngine } from '../../src/crypto/index.ts';
import { DataPlane } from '../../src/gateway/index.ts';
import { DROP, PacketPool } from '../../src/ip/index.ts';
import { addr } from '../support/packets.ts';
import { tenant } from '../support/plane.ts';

const LOCAL = { address: addr('192.0.2.1'), port: 4500 };
const from = (address: Uint8Array) => ({ address, port: 4500 });
const KINDS = [
  { type: 'ike', words: 'IKE messages', marker: 0, refused: DROP.ikeRefused },
  { type: 'stray', words: 'packets for another plane', marker: 1, refused: DROP.strayRefused },
] as const;

function planeWithTenant() {
  const pool = new PacketPool(64);
  const output = { datagram: () => {}, underlay: () => {}, packet: () => {} };
  const spis = { modulus: 2, residue: 0 };
  const plane = new DataPlane({ pool, random: seededRandom(1), engine: defaultEngine, output, spis });
  for (const command of tenant(1)) plane.command(command, 0);
  const say = (marker: number, sender: Uint8Array): void =>
    plane.udp(LOCAL, from(sender), pool.from(new Uint8Array(40).fill(9).fill(marker, 0, 4))!, 0, true, 0);
  return { plane, say };
}

it.each(KINDS)(
  'a flood of $words between two batches is bounded and counted, and what a tunnel says is kept',
  ({ type, marker, refused }) => {
    const { plane, say } = planeWithTenant();
    for (let i = 0; i < 3000; i++) say(marker, Uint8Array.of(198, 18, i >>> 8, i));
    const request = { destination: addr('10.2.0.5'), id: 1, sequence: 1, size: 8, timeoutMs: 100 };
    plane.command({ do: 'ping', compartment: 1, request }, 0);
    const told = plane.takeEvents();
    expect(told.filter((event) => event.type === type)).toHaveLength(1024);
    expect(told.at(-1)).toMatchObject({ type: 'acquire', tunnel: 1 });
    expect(plane.drops[refused]).toBe(3000 - 1024);
    expect(plane.takeEvents()).toEqual([]);
  },
);

it.each(KINDS)('$words of one address leave room for those of another, and of the other kind', ({ type, marker }) => {
  const { plane, say } = planeWithTenant();
  const [flooder, peer] = [addr('203.0.113.66'), addr('198.51.100.1')];
  for (let i = 0; i < 3000; i++) say(marker, flooder);
  for (let i = 0; i < 100; i++) say(marker, peer);
  for (let i = 0; i < 100; i++) say(1 - marker, peer);
  const of = (address: Uint8Array, kind: string) =>
    plane.takeEvents().filter((event) => event.type === kind && 'remote' in event && event.remote.address === address)
      .length;
  expect(of(flooder, type)).toBe(682);
  for (let i = 0; i < 3000; i++) say(marker, flooder);
  for (let i = 0; i < 100; i++) say(marker, peer);
  expect(of(peer, type)).toBe(100);
  for (let i = 0; i < 3000; i++) say(marker, flooder);
  for (let i = 0; i < 100; i++) say(1 - marker, peer);
  expect(of(peer, type === 'ike' ? 'stray' : 'ike')).toBe(100);
});
