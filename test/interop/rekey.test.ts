/** Rekeys of either SA, begun by either end, under a flood of pings: RFC 7296 §2.8 wants that nothing is lost. */
import { afterAll, beforeAll, expect, it } from 'vitest';
import { Bulkhead, HOSTINGS, hostedBy } from '../support/bulkhead.ts';
import { ADDRESSES, Topology } from '../support/netns.ts';
import { requirePeers } from '../support/peers.ts';
import { until } from '../support/process.ts';
import { Strongswan } from '../support/strongswan.ts';
import {
  bulkheadEnd,
  type ConnectionChanges,
  flood,
  noneLeft,
  oneOfEach,
  type SwanChanges,
  swanConnections,
  swanEnd,
} from './ends.ts';

/** Limits far from the rekey: by default 10 % beyond it, and 10 % of a few seconds is the same second. */
const LIVES_ON = ['life_time = 60'];

const NOTHING_LOST = { lost: [], doubled: 0 };

const describeWithPeers = requirePeers('linux', 'root', 'netns', 'tun', 'koffi', 'strongswan', 'ethtool', 'ping');

describeWithPeers.each(HOSTINGS)('rekeys under a flood of pings (packets by the %s)', (hosting) => {
  let network: Topology;
  let gateway: Bulkhead;
  let swan: Strongswan;

  beforeAll(async () => {
    network = new Topology();
    swan = await Strongswan.start(network, 'gwB', swanEnd({}, { lines: ['delete_rekeyed_delay = 1'] }));
    gateway = await Bulkhead.start(network, 'gwA', bulkheadEnd(), hostedBy(hosting));
  });

  afterAll(async () => {
    await gateway?.stop();
    await swan?.stop();
    await network?.close();
  });

  /** Both ends anew, and the tunnel up. */
  const begin = async (ours: ConnectionChanges = {}, theirs: SwanChanges = {}): Promise<void> => {
    await gateway.reload({ tenants: [] });
    await noneLeft(swan);
    await swan.load({ connections: swanConnections(theirs) });
    await gateway.reload(bulkheadEnd({ ...ours, start: 'demand' }));
    expect(await network.ping('hostA', ADDRESSES.hostB, 1)).toBe(1);
  };

  /** Of SAs in use: a replaced inbound SA stays a moment for packets under way. */
  const ourSpis = async () => {
    const { ikeSas, childSas } = await gateway.connection();
    const child = childSas.filter(({ state }) => state !== 'draining').map((sa) => sa.spiIn);
    return { ike: ikeSas.map((sa) => sa.spiI), child };
  };

  /** Nothing of `old` is left at either end, and there is one of each. */
  const settled = async (old: { readonly ike?: string | undefined; readonly child?: string | undefined }) => {
    let last = await ourSpis();
    const wanted = async (): Promise<boolean> => {
      last = await ourSpis();
      const { ike, child } = last;
      return ike.length === 1 && child.length === 1 && ike[0] !== old.ike && child[0] !== old.child;
    };
    const tell = () => `Bulkhead has ${JSON.stringify(last)}, old: ${JSON.stringify(old)}\n${gateway.log.slice(-3000)}`;
    await until(wanted, 15_000, tell);
    await oneOfEach(swan);
    const [sa] = await swan.listSas();
    expect([sa?.spiI, sa?.children[0]?.spiOut]).toEqual([last.ike[0], last.child[0]]);
  };

  /** The names of `count` SAs one after the other. */
  const successors = async (kind: 'ike' | 'child', count: number): Promise<void> => {
    const seen = new Set<string>();
    const enough = async (): Promise<boolean> => {
      for (const spi of (await ourSpis())[kind]) seen.add(spi);
      return seen.size >= count;
    };
    await until(enough, 20_000, () => `there were only ${seen.size} SAs\n${gateway.log.slice(-3000)}`);
  };

  it.each([
    { who: 'Bulkhead', pfs: true },
    { who: 'strongSwan', pfs: true },
    { who: 'Bulkhead', pfs: false },
    { who: 'strongSwan', pfs: false },
  ] as const)(
    'RFC 7296 §2.8: $who rekeys the Child SA three times (PFS: $pfs), no packet is lost',
    async ({ who, pfs }) => {
      const proposals = pfs ? 'aes256gcm16-ecp256' : 'aes256gcm16';
      await begin({ child: { proposals: [proposals] } }, { child: { proposals } });
      const [first] = (await ourSpis()).child;
      const result = await flood(network, async () => {
        for (let round = 0; round < 3; round += 1) {
          const [old] = (await ourSpis()).child;
          if (who === 'strongSwan') await swan.rekey({ child: 'net' });
          else {
            const words = ['connections', 'rekey', 'hq', '--wait', '10'];
            expect(await gateway.cli(...words)).toMatchObject([{ outcome: 'done' }]);
          }
          await gateway.when(({ childSas }) => childSas.some((sa) => sa.state === 'active' && sa.spiIn !== old));
        }
      });
      expect(result).toMatchObject(NOTHING_LOST);
      await settled({ child: first });
      const { childSas } = await gateway.connection();
      const inUse = childSas.filter(({ state }) => state === 'active');
      expect(inUse.map(({ suite }) => suite)).toEqual([proposals]);
      expect((await swan.installed()).map(({ suite }) => suite)).toEqual([`AES_GCM_16-256${pfs ? '/ECP_256' : ''}`]);
    },
  );

  it.each([{ who: 'Bulkhead' }, { who: 'strongSwan' }] as const)(
    'RFC 7296 §2.18: $who rekeys the IKE SA three times, no packet is lost, the Child SA is inherited',
    async ({ who }) => {
      await begin();
      const before = await ourSpis();
      const result = await flood(network, async () => {
        for (let round = 0; round < 3; round += 1) {
          const [old] = (await ourSpis()).ike;
          if (who === 'strongSwan') await swan.rekey({ ike: 's2s' });
          else {
            const words = ['connections', 'rekey', 'hq', '--what', 'ike', '--wait', '10'];
            expect(await gateway.cli(...words)).toMatchObject([{ outcome: 'done' }]);
          }
          await gateway.when(({ ikeSas }) => ikeSas.length === 1 && ikeSas[0]!.spiI !== old);
        }
      });
      expect(result).toMatchObject(NOTHING_LOST);
      await settled({ ike: before.ike[0] });
      expect((await ourSpis()).child).toEqual(before.child);
    },
  );

  it.each([
    { kind: 'Child', end: 'Bulkhead', sas: 2, ours: { child: { lifetimeSeconds: 5 } }, theirs: {} },
    { kind: 'Child', end: 'strongSwan', sas: 3, ours: {}, theirs: { child: { rekeySeconds: 2, lines: LIVES_ON } } },
    {
      kind: 'Child',
      end: 'both',
      sas: 3,
      ours: { child: { lifetimeSeconds: 5 } },
      theirs: { child: { rekeySeconds: 4, lines: LIVES_ON } },
    },
    { kind: 'IKE', end: 'Bulkhead', sas: 2, ours: { ike: { lifetimeSeconds: 5 } }, theirs: {} },
    { kind: 'IKE', end: 'strongSwan', sas: 3, ours: {}, theirs: { rekeySeconds: 2, lines: ['over_time = 60'] } },
  ] as const)('RFC 7296 §2.8: $kind SAs that live a few seconds at $end are replaced in time', async (row) => {
    await begin(row.ours, row.theirs);
    const result = await flood(network, () => successors(row.kind === 'IKE' ? 'ike' : 'child', row.sas));
    expect(result).toMatchObject(NOTHING_LOST);
  });

  it.each([
    { limit: 'lifetimeBytes of Bulkhead', ours: { child: { lifetimeBytes: 1_048_576 } }, theirs: {} },
    { limit: 'lifetimePackets of Bulkhead', ours: { child: { lifetimePackets: 1000 } }, theirs: {} },
    { limit: 'rekey_packets of strongSwan', ours: {}, theirs: { child: { rekeyPackets: 500 } } },
  ] as const)('RFC 4301 §4.4.2.1: $limit leads to a rekey, no packet is lost', async ({ ours, theirs }) => {
    await begin(ours, theirs);
    const [first] = (await ourSpis()).child;
    const result = await flood(network, () => successors('child', 2), { intervalMs: 3, size: 1200 });
    expect(result).toMatchObject(NOTHING_LOST);
    expect(result.sent).toBeGreaterThanOrEqual(500);
    await settled({ child: first });
  });

  it('RFC 7296 §2.8.1: both ends rekey the Child SA at once', async () => {
    await begin();
    const [first] = (await ourSpis()).child;
    const result = await flood(network, async () => {
      for (let round = 0; round < 3; round += 1) {
        const [old] = (await ourSpis()).child;
        await Promise.all([gateway.ask('POST', '/v1/connections/fabrikam/hq/rekey', {}), swan.rekey({ child: 'net' })]);
        await settled({ child: old });
      }
    });
    expect(result).toMatchObject(NOTHING_LOST);
    await settled({ child: first });
    await gateway.when(({ childSas }) => childSas.length === 1);
  });
});
