/**
 * TCP out of virtual networks, joined before its compartment: against a data plane that joins nothing, whatever comes in whatever
 * order, each flow leaves with the same octets in the same order, and the same is counted.
 */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { Bytes } from '../../../src/core/index.ts';
import { buildIp } from '../../../src/ip/index.ts';
import { externalOf, NatGateway, SERVER, sealed, udp, VM } from '../../support/nat-gateway.ts';

const TENANTS = [0, 1] as const;
const EXTERNAL = [externalOf(0), externalOf(1)];
const SEGMENT = 100;

/** Segment `index` of the stream with that port; `SYN` begins it. */
function segment(port: number, index: number, length = SEGMENT): Bytes {
  const payload = new Uint8Array(20 + (index < 0 ? 0 : length)).fill(index & 0xff, 20);
  const sequence = index < 0 ? 0 : 1 + index * SEGMENT;
  payload.set([port >>> 8, port & 0xff, 1, 0xbb, 0, 0, sequence >>> 8, sequence & 0xff, 0, 0, 0, 1]);
  payload.set([5 << 4, index < 0 ? SYN : ACK, 0xff, 0xff, 0, 0, 0, 0], 12);
  return sealed(buildIp({ source: VM, destination: SERVER, protocol: 6, identification: index + 1 }, payload));
}

const SYN = 0x02;
const ACK = 0x10;
const PORTS = [5000, 5001];

function opened(superframes: boolean): NatGateway {
  const twin = new NatGateway(2, superframes);
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
        const flow = (twin: NatGateway, external: number, port: number, protocol: number): string[] =>
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
