/** What the ring to the main thread takes while nobody looks: not all of it from one tenant, and not all of it TCP. */
import { expect, it } from 'vitest';
import type { PlaneEvent } from '../../src/gateway/index.ts';
import { SIGNS_OCTETS } from '../../src/runtime/worker/contract.ts';
import { News } from '../../src/runtime/worker/news.ts';
import { Ring } from '../../src/runtime/worker/ring.ts';
import { addr } from '../support/packets.ts';

function channel() {
  const ring = new Ring(Ring.room(1 << 16));
  const news = new News(ring, new Int32Array(new SharedArrayBuffer(SIGNS_OCTETS)), () => {});
  const tell = (event: PlaneEvent): boolean => news.report({ type: 'plane', event });
  const tcp = (compartment: number): boolean =>
    tell({ type: 'transport', compartment, octets: new Uint8Array(500).fill(compartment) });
  const end = { address: addr('192.0.2.1'), port: 500 };
  const ike = (): boolean => tell({ type: 'ike', local: end, remote: end, octets: new Uint8Array(500) });
  const fill = (say: () => boolean): number => {
    let said = 0;
    while (said < 1000 && say()) said += 1;
    return said;
  };
  return { ring, tcp, ike, fill };
}

it('the TCP of one tenant leaves a third of its part to others, and of the ring more to IKE', () => {
  const { ring, tcp, ike, fill } = channel();
  const first = fill(() => tcp(2));
  expect(ring.used / ring.capacity).toBeGreaterThan(0.4);
  expect(ring.used / ring.capacity).toBeLessThanOrEqual((0.625 * 2) / 3);
  const second = fill(() => tcp(3));
  expect(second).toBeGreaterThanOrEqual(Math.floor(first / 3));
  expect(fill(() => tcp(4))).toBeGreaterThan(0);
  expect(ring.used / ring.capacity).toBeLessThan(0.625);
  expect(fill(ike)).toBeGreaterThan(10);
  expect(ring.used / ring.capacity).toBeLessThanOrEqual(0.75);
});

it('what was read is room again, for each as much as it had', () => {
  const { ring, tcp, ike, fill } = channel();
  const most = fill(() => tcp(2));
  for (let round = 0; round < 200; round++) {
    ike();
    for (let read = 0; read <= most && ring.shift() !== undefined; read++);
    expect(fill(() => tcp(2))).toBe(most);
    for (let read = 0; read < 3; read++) ring.shift();
    expect(fill(() => tcp(2))).toBe(3);
  }
});
