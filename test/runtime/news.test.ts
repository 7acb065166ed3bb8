/** What the ring to the main thread takes while nobody looks: of no kind all of it, and of no kind all for one. */
import { describe, expect, it } from 'vitest';
import type { PlaneEvent } from '../../src/gateway/index.ts';
import { DROP, PASS } from '../../src/ip/index.ts';
import { decodeNews, SIGNS_OCTETS } from '../../src/runtime/worker/contract.ts';
import { News } from '../../src/runtime/worker/news.ts';
import { Ring } from '../../src/runtime/worker/ring.ts';
import { addr } from '../support/packets.ts';

function channel() {
  const ring = new Ring(Ring.room(1 << 17));
  const news = new News(ring, new Int32Array(new SharedArrayBuffer(SIGNS_OCTETS)), () => {});
  const tell = (event: PlaneEvent): number => news.report({ type: 'plane', event });
  const tcp = (compartment: number): number =>
    tell({ type: 'transport', compartment, octets: new Uint8Array(500).fill(compartment) });
  const local = { address: addr('192.0.2.1'), port: 500 };
  const from = (peer: string) => ({ address: addr(peer), port: 500 });
  const ike = (peer = '198.51.100.1'): number =>
    tell({ type: 'ike', local, remote: from(peer), octets: new Uint8Array(500) });
  const stray = (peer = '198.51.100.1'): number =>
    tell({ type: 'stray', udp: true, local, remote: from(peer), octets: new Uint8Array(500), tos: 0 });
  const acquire = (tunnel: number): number => tell({ type: 'acquire', tunnel, flow: undefined });
  /** How many went, and why no more. */
  const fill = (say: () => number): [said: number, refused: number] => {
    for (let said = 0; ; said++) {
      const refused = say();
      if (refused !== PASS) return [said, refused];
    }
  };
  const share = (): number => ring.used / ring.capacity;
  const read = () => {
    const record = ring.shift();
    return record && decodeNews(record);
  };
  return { ring, news, tell, tcp, ike, stray, acquire, fill, share, read };
}

it('the TCP of one tenant leaves a third of its part to others, and of the ring more to IKE', () => {
  const { tcp, ike, fill, share } = channel();
  const [first, refused] = fill(() => tcp(2));
  expect(refused).toBe(DROP.tcpRefused);
  expect(share()).toBeGreaterThan(0.2);
  expect(share()).toBeLessThanOrEqual((0.3125 * 2) / 3);
  const [second] = fill(() => tcp(3));
  expect(second).toBeGreaterThanOrEqual(Math.floor(first / 3));
  expect(fill(() => tcp(4))[0]).toBeGreaterThan(0);
  expect(share()).toBeLessThan(0.3125);
  expect(fill(() => ike())[0]).toBeGreaterThan(10);
  expect(share()).toBeLessThanOrEqual(0.5);
});

it('IKE from one address leaves a third of its part to others: a peer is heard while somebody floods', () => {
  const { ike, fill, share } = channel();
  const [garbage, refused] = fill(() => ike('203.0.113.66'));
  expect(refused).toBe(DROP.ikeRefused);
  expect(fill(() => ike('198.51.100.1'))[0]).toBeGreaterThanOrEqual(Math.floor(garbage / 3));
  expect(share()).toBeLessThanOrEqual(0.1875);
});

it('an IPv6 site counts as one, whatever address in its /64 it sends from', () => {
  const { ike, fill } = channel();
  let n = 0;
  const [garbage] = fill(() => {
    n += 1;
    return ike(`2001:db8:0:66::${n.toString(16)}`);
  });
  expect(fill(() => ike('2001:db8:0:1::1'))[0]).toBeGreaterThanOrEqual(Math.floor(garbage / 3));
});

describe('each kind has room of its own', () => {
  it.each(['ike', 'stray', 'tcp'] as const)('a flood of %s from everywhere takes nothing from the others', (kind) => {
    const { tcp, ike, stray, tell, fill } = channel();
    const says = { tcp, ike: (n: number) => ike(`203.0.${n}.1`), stray: (n: number) => stray(`203.0.${n}.1`) };
    for (let n = 0; n < 250; n++) fill(() => says[kind](n));
    for (const [other, say] of Object.entries(says))
      if (other !== kind) expect(fill(() => say(251))[0], other).toBeGreaterThan(8);
    expect(tell({ type: 'inbound', spiIn: 1, from: undefined })).toBe(PASS);
  });

  it('all of them together leave an eighth for what SAs and tunnels have to say', () => {
    const { tcp, ike, stray, acquire, fill, share, read } = channel();
    for (let n = 0; n < 250; n++)
      for (const say of [() => tcp(n), () => ike(`203.0.${n}.1`), () => stray(`203.0.${n}.1`)]) fill(say);
    expect(share()).toBeLessThanOrEqual(0.625);
    expect(acquire(7)).toBe(PASS);
    let last: ReturnType<typeof read>;
    for (let next = read(); next !== undefined; next = read()) last = next;
    expect(last).toEqual({ type: 'plane', event: { type: 'acquire', tunnel: 7, flow: undefined } });
  });
});

it('packets that wait for one tunnel are one request in the ring and one behind it; other tunnels are asked for at once', () => {
  const { ring, news, acquire, read } = channel();
  for (let packet = 0; packet < 1000; packet++) expect(acquire(1)).toBe(PASS);
  const one = ring.used;
  expect(acquire(2)).toBe(PASS);
  expect(ring.used).toBe(2 * one);
  const tunnels = () => {
    const event = read();
    news.flush();
    return event?.type === 'plane' && event.event.type === 'acquire' ? event.event.tunnel : undefined;
  };
  expect([tunnels(), tunnels(), tunnels(), tunnels()]).toEqual([1, 2, 1, undefined]);
});

it('what was read is room again, for each as much as it had', () => {
  const { ring, tcp, ike, fill } = channel();
  const [most] = fill(() => tcp(2));
  for (let round = 0; round < 200; round++) {
    ike();
    for (let read = 0; read <= most && ring.shift() !== undefined; read++);
    expect(fill(() => tcp(2))[0]).toBe(most);
    for (let read = 0; read < 3; read++) ring.shift();
    expect(fill(() => tcp(2))[0]).toBe(3);
  }
});
