import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { type Look, ratesBetween } from '../../src/cli/rates.ts';
import type { ChildSaStatus } from '../../src/gateway/status.ts';
import { childSa, connection, GATEWAY, TENANTS, worker } from '../api/fake-backend.ts';

const NONE = { packetsPerSecond: 0, bitsPerSecond: 0 };

/** `counters`: packets and octets in, packets and octets out. */
const sa = (id: number, counters: readonly [number, number, number, number], change: Partial<ChildSaStatus> = {}) => {
  const [packetsIn, bytesIn, packetsOut, bytesOut] = counters;
  return { ...childSa(id), spiIn: `c000000${id}`, drops: {}, packetsIn, bytesIn, packetsOut, bytesOut, ...change };
};

/** fabrikam/hq with these SAs, contoso with none, so many seconds after the gateway began. */
const look = (upSeconds: number, sas: readonly ChildSaStatus[], change: Partial<Look> = {}): Look => ({
  at: upSeconds * 1000,
  moment: '2026-11-27T00:00:00.000Z',
  status: { ...GATEWAY, upSeconds, drops: {} },
  tenants: TENANTS.map((tenant) => ({ ...tenant, drops: {} })),
  connections: [
    connection('fabrikam', 'hq', { state: 'up', childSas: sas }),
    connection('contoso', 'hq'),
    connection('contoso', 'branch'),
  ],
  ...change,
});

describe('rates between two looks', () => {
  test('what was counted, over the time between: of SA, connection, tenant and gateway', () => {
    const rates = ratesBetween(look(10, [sa(1, [100, 10_000, 50, 500])]), look(12, [sa(1, [300, 30_000, 60, 600])]));
    const flows = {
      in: { packetsPerSecond: 100, bitsPerSecond: 80_000 },
      out: { packetsPerSecond: 5, bitsPerSecond: 400 },
      dropsPerSecond: {},
    };
    const idle = { in: NONE, out: NONE, dropsPerSecond: {} };
    expect(rates).toMatchObject({ seconds: 2, name: 'gw1', state: 'ok', engine: 'node', upSeconds: 12, ...flows });
    expect(rates.childSas).toEqual([
      { tenant: 'fabrikam', connection: 'hq', id: 1, state: 'active', suite: 'aes256gcm16', ...flows },
    ]);
    expect(rates.connections).toEqual([
      { tenant: 'fabrikam', connection: 'hq', state: 'up', ...flows },
      { tenant: 'contoso', connection: 'hq', state: 'down', ...idle },
      { tenant: 'contoso', connection: 'branch', state: 'down', ...idle },
    ]);
    expect(rates.tenants).toEqual([
      { tenant: 'fabrikam', ...flows },
      { tenant: 'contoso', ...idle },
    ]);
  });

  test('of a worker: what its tenants carried, its own drops, and how it stands', () => {
    const drops = [{}, { noRoute: 4 }, { noRoute: 10 }];
    const at = (n: number, counters: readonly [number, number, number, number]): Look => {
      const { tenants, ...before } = look(10 + 2 * n, [sa(1, counters)]);
      const workers = [worker(0), worker(1, { drops: drops[n]!, state: 'lost', why: 'failed' })];
      const [fabrikam, contoso] = tenants;
      const placed = [{ ...fabrikam!, worker: 1 }, contoso!];
      return { ...before, tenants: placed, status: { ...before.status, workers } };
    };
    const [idle, busy] = ratesBetween(at(1, [0, 0, 8, 80]), at(2, [200, 2000, 8, 80])).workers;
    expect(idle).toEqual({ ...worker(0), drops: undefined, in: NONE, out: NONE, dropsPerSecond: {} });
    expect(busy).toMatchObject({ worker: 1, state: 'lost', why: 'failed', out: NONE, dropsPerSecond: { noRoute: 3 } });
    expect(busy!.in).toEqual({ packetsPerSecond: 100, bitsPerSecond: 8000 });
    // It has counted before this one looked.
    expect(ratesBetween(look(10, []), at(1, [0, 0, 0, 0])).workers[1]!.dropsPerSecond).toEqual({ noRoute: 2 });
  });

  test('two looks at the same moment: nothing, and no division by zero', () => {
    const same = look(10, [sa(1, [100, 10_000, 50, 500])]);
    expect(ratesBetween(same, same)).toMatchObject({ in: NONE, out: NONE });
  });

  test('an SA that appears counts from zero', () => {
    const { childSas } = ratesBetween(look(10, []), look(11, [sa(1, [7, 700, 0, 0])]));
    expect(childSas[0]).toMatchObject({ in: { packetsPerSecond: 7, bitsPerSecond: 5600 }, out: NONE });
  });

  test('a rekey: the connection goes on at its rate, over both SAs and after the old one has gone', () => {
    const looks = [
      look(1, [sa(1, [1000, 0, 1000, 0])]),
      look(2, [sa(1, [1080, 0, 1030, 0], { state: 'draining' }), sa(2, [20, 0, 70, 0])]),
      look(3, [sa(1, [1080, 0, 1030, 0], { state: 'draining' }), sa(2, [120, 0, 170, 0])]),
      look(4, [sa(2, [220, 0, 270, 0])]),
    ];
    const rates = looks.slice(1).map((after, i) => ratesBetween(looks[i]!, after));
    const ofConnection = rates.map(({ connections: [c] }) => [c!.in.packetsPerSecond, c!.out.packetsPerSecond]);
    expect(ofConnection).toEqual([
      [100, 100],
      [100, 100],
      [100, 100],
    ]);
    expect(rates[2]!.childSas.map(({ id }) => id)).toEqual([2]);
  });

  test('another SA with the same id, and a gateway that began anew: from zero', () => {
    const before = look(100, [sa(1, [1000, 0, 0, 0])]);
    const other = ratesBetween(before, look(101, [sa(1, [5, 0, 0, 0], { spiIn: 'cafe0001' })]));
    expect(other.in.packetsPerSecond).toBe(5);
    const anew = ratesBetween(before, { ...look(1, [sa(1, [1001, 0, 0, 0])]), at: 101_000 });
    expect(anew.in.packetsPerSecond).toBe(1001);
  });

  test('drops by reason, at their place; sums that shrink with an SA are no drops', () => {
    const drops = (own: Record<string, number>, tenant: Record<string, number>, all: Record<string, number>) => ({
      status: { ...GATEWAY, upSeconds: 11, drops: all },
      tenants: [{ ...TENANTS[0]!, drops: tenant }],
      connections: [connection('fabrikam', 'hq', { childSas: [sa(1, [0, 0, 0, 0], { drops: own })] })],
    });
    const before = look(10, [], drops({ espReplay: 4 }, { noRoute: 9, espReplay: 4 }, { noRoute: 12, espReplay: 40 }));
    const after = look(12, [], drops({ espReplay: 10 }, { noRoute: 9, espReplay: 10 }, { noRoute: 17, espReplay: 3 }));
    const rates = ratesBetween(before, after);
    expect(rates.childSas[0]!.dropsPerSecond).toEqual({ espReplay: 3 });
    expect(rates.connections[0]!.dropsPerSecond).toEqual({ espReplay: 3 });
    expect(rates.tenants[0]!.dropsPerSecond).toEqual({ espReplay: 3 });
    expect(rates.dropsPerSecond).toEqual({ noRoute: 2.5 });
  });

  test('nothing is ever negative, and a sum is that of its parts', () => {
    const counter = fc.integer({ min: 0, max: 1_000_000 });
    const someSa = fc
      .tuple(fc.integer({ min: 1, max: 4 }), fc.tuple(counter, counter, counter, counter), counter)
      .map(([id, counters, replays]) => sa(id, counters, { drops: { espReplay: replays } }));
    const sas = fc.uniqueArray(someSa, { selector: ({ id }) => id });
    fc.assert(
      fc.property(sas, sas, fc.integer({ min: 0, max: 20 }), (first, second, later) => {
        const rates = ratesBetween(look(10, first), look(10 + later, second));
        const parts = [...rates.childSas, ...rates.connections, ...rates.tenants, rates];
        for (const { in: received, out, dropsPerSecond } of parts) {
          const all = [...Object.values(received), ...Object.values(out), ...Object.values(dropsPerSecond)];
          expect(Math.min(0, ...all)).toBe(0);
        }
        const total = rates.childSas.reduce((sum, { in: { packetsPerSecond } }) => sum + packetsPerSecond, 0);
        expect(rates.in.packetsPerSecond).toBeCloseTo(total, 2);
      }),
    );
  });
});
