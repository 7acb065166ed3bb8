/**
 * RFC 4724 where the gateway itself is killed (SIGKILL) and started again, as the BGP peer of FRR and of BIRD on two of its interfaces.
 *
 * FRR misses it by its hold timer and keeps the routes until then as stale (RFC 8538). BIRD, which would wait for longer, hears of it from the
 * connection that the next process opens (RFC 4724 §5).
 *
 *     hostA: BIRD, 10.1.0.2 ── 10.1.0.1, gwA: Bulkhead, 192.0.2.1 ── 192.0.2.254, inet: FRR
 */
import { afterAll, beforeAll, expect, it } from 'vitest';
import type { BgpPeerStatus } from '../../src/gateway/status-bgp.ts';
import { Bird } from '../support/bird.ts';
import { Bulkhead, type DocumentText } from '../support/bulkhead.ts';
import { Frr } from '../support/frr.ts';
import { ADDRESSES, ADDRESSES6, Topology } from '../support/netns.ts';
import { requirePeers } from '../support/peers.ts';
import { sh } from '../support/process.ts';

const describeWithPeers = requirePeers('linux', 'root', 'netns', 'tun', 'koffi', 'frr', 'bird', 'ethtool');
const KEPT = ['10.77.0.0/16', '2001:db8:77::/48'];
/** Not told again by the next process. */
const FORGOTTEN = ['10.78.0.0/16', '2001:db8:78::/48'];
const LEARNED = { frr: ['10.201.1.0/24', '2001:db8:201::/48'], bird: ['10.202.1.0/24', '2001:db8:202::/48'] };

describeWithPeers('a gateway that is killed and started again', () => {
  let network: Topology;
  let gateway: Bulkhead;
  let frr: Frr;
  let bird: Bird;

  const document = (networks: readonly string[]): DocumentText => ({
    gateway: { external: { addresses: ['127.0.0.1'] } },
    tenants: [
      {
        name: 'blue',
        interfaces: [
          { name: 'inside', driver: 'packet', device: 'in', addresses: ['10.1.0.1/24', 'fd01::1/64'] },
          { name: 'outside', driver: 'packet', device: 'out', addresses: ['192.0.2.1/24', '2001:db8:a::1/64'] },
          { name: 'spare', driver: 'tun', device: 'bh0', addresses: ['10.9.0.1/24'] },
        ],
        bgp: {
          asn: 65010,
          networks,
          peers: [
            { name: 'frr', address: ADDRESSES.inetA, asn: 65021 },
            { name: 'bird', address: ADDRESSES.hostA, asn: 65022 },
          ].map((peer) => ({
            ...peer,
            families: ['ipv4', 'ipv6'] as const,
            import: 'all' as const,
            export: 'all' as const,
            connectRetrySeconds: 1,
          })),
        },
      },
    ],
  });

  beforeAll(async () => {
    network = new Topology();
    for (const device of ['in', 'out']) sh('ip', ['-n', network.name('gwA'), 'addr', 'flush', 'dev', device]);
    const common = { peerAs: 65010, gracefulSeconds: 120 };
    frr = new Frr({
      ...common,
      link: {
        namespace: network.name('inet'),
        ours: ADDRESSES.gwA,
        theirs: ADDRESSES.inetA,
        ours6: ADDRESSES6.gwA,
        theirs6: ADDRESSES6.inetA,
      },
      asn: 65021,
      announces: LEARNED.frr,
      // Of two connections that cross it may lose both, and then the session is not the first.
      passive: true,
    });
    bird = new Bird({
      ...common,
      link: {
        namespace: network.name('hostA'),
        ours: ADDRESSES.gwAInside,
        theirs: ADDRESSES.hostA,
        ours6: ADDRESSES6.gwAInside,
        theirs6: ADDRESSES6.hostA,
      },
      asn: 65022,
      announces: LEARNED.bird,
      holdSeconds: 90,
    });
    await Promise.all([frr.start(), bird.start()]);
    gateway = await Bulkhead.start(network, 'gwA', document([...KEPT, ...FORGOTTEN]));
  });

  afterAll(async () => {
    await gateway?.remove();
    await frr?.stop();
    await bird?.stop();
    await network?.close();
  });

  const devices = (): Promise<string> => network.must('gwA', 'ip', ['-o', 'link']);
  const frrSays = async (): Promise<FrrGraceful> =>
    (JSON.parse(await frr.session()) as Readonly<Record<string, FrrGraceful>>)[ADDRESSES.gwA]!;

  it('tells each what it has and what the other says', async () => {
    const told = [
      [frr, [...KEPT, ...FORGOTTEN, ...LEARNED.bird]],
      [bird, [...KEPT, ...FORGOTTEN, ...LEARNED.frr]],
    ] as const;
    for (const [daemon, prefixes] of told)
      for (const prefix of prefixes) expect(await daemon.hears(prefix)).toMatchObject({ stale: false });
  });

  it('RFC 8538 §3: killed, it leaves nothing but routes, which FRR keeps as stale', async () => {
    expect(await devices()).toMatch(/bh0/);
    await gateway.kill();
    expect(await devices()).not.toMatch(/bh0/);
    for (const prefix of [...KEPT, ...FORGOTTEN, ...LEARNED.bird]) await frr.hears(prefix, ({ stale }) => stale);
    expect(await frrSays()).toMatchObject({ connectionsDropped: 1 });
    expect(await bird.session()).toMatch(/Established/);
  });

  it('RFC 4724 §4.1, §5: started again with another document it says so: what it tells again stays, the rest goes', async () => {
    gateway.write(document(KEPT));
    await gateway.launch();
    for (const daemon of [frr, bird]) {
      for (const prefix of FORGOTTEN) await daemon.forgets(prefix);
      for (const prefix of KEPT) await daemon.hears(prefix, ({ stale }) => !stale);
    }
    for (const prefix of LEARNED.bird) await frr.hears(prefix, ({ stale }) => !stale);
    for (const prefix of LEARNED.frr) await bird.hears(prefix, ({ stale }) => !stale);
    expect((await frrSays()).gracefulRestartInfo).toMatchObject({ rBit: true, ipv4Unicast: { fBit: false } });
    expect(await bird.session()).toMatch(/Restart recovery/);
    const peers = await gateway.ask<readonly BgpPeerStatus[]>('GET', '/v1/bgp/peers');
    expect(peers.map(({ state }) => state)).toEqual(['Established', 'Established']);
    for (const { capabilitiesSent } of peers)
      expect(capabilitiesSent).toContain('GRACEFUL_RESTART 120 s restarting notification, IPv4 unicast, IPv6 unicast');
    expect(await devices()).toMatch(/bh0/);
    await gateway.stop();
    expect(await devices()).not.toMatch(/bh0/);
  });
});

interface FrrGraceful {
  readonly connectionsDropped: number;
  readonly gracefulRestartInfo: object;
}
