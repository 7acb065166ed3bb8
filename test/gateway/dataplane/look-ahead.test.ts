/**
 * A batch of frames is looked up before it is processed, and nobody can tell: what leaves, what is dropped and what is counted is the same as
 * when each frame is a batch of its own, which is not looked up.
 */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { Bytes } from '../../../src/core/index.ts';
import { NatGateway, udp } from '../../support/nat-gateway.ts';

/** More than are looked up for their sessions alone. */
const TENANTS = 70;

interface Frame {
  readonly tenant: number;
  readonly octets: Bytes;
}

/** Of few tenants as often as of many; some are nobody's, cut off, or damaged. */
const frame: fc.Arbitrary<Frame> = fc
  .record({
    tenant: fc.oneof(fc.nat(3), fc.nat(TENANTS + 3)),
    port: fc.integer({ min: 1024, max: 1030 }),
    damage: fc.option(fc.record({ at: fc.nat(31), value: fc.nat(255) }), { freq: 5 }),
    length: fc.option(fc.nat(31), { freq: 8 }),
  })
  .map(({ tenant, port, damage, length }) => {
    const octets = udp(port);
    if (damage !== null) octets[damage.at] = damage.value;
    return { tenant, octets: octets.slice(0, length ?? octets.length) };
  });

/** In batches of so many. */
function passed(frames: readonly Frame[], batch: number): NatGateway {
  const gateway = new NatGateway(TENANTS, false);
  for (const [i, { tenant, octets }] of frames.entries()) {
    gateway.send(tenant, octets);
    if (i % batch === batch - 1) gateway.plane.flush(0);
  }
  gateway.plane.flush(0);
  return gateway;
}

describe('frames out of the underlay, looked up before', () => {
  it('leave, are dropped and counted as one by one', () => {
    fc.assert(
      fc.property(
        fc.array(frame, { minLength: 8, maxLength: 150 }),
        fc.integer({ min: 8, max: 64 }),
        (frames, batch) => {
          const [together, alone] = [passed(frames, batch), passed(frames, 1)];
          expect(together.left).toEqual(alone.left);
          expect(together.drops).toEqual(alone.drops);
          expect(together.counters).toEqual(alone.counters);
          expect([...together.plane.drops]).toEqual([...alone.plane.drops]);
          expect(together.pool.taken).toBe(0);
        },
      ),
      { numRuns: 40 },
    );
  });

  it('of each tenant with an external address of its own', () => {
    const frames = Array.from({ length: TENANTS }, (_, tenant) => ({ tenant, octets: udp(5000) }));
    const { left } = passed(frames, 64);
    expect(left.map(({ source }) => source & 0xff)).toEqual(frames.map(({ tenant }) => tenant + 1));
  });
});
