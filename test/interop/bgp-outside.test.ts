/**
 * The provider's router is BIRD, with its kernel's table, and the gateway's own router is its peer on the external network. Neither has a static
 * route to the other's side: the gateway knows no way to the server, and the router no way to the addresses of the NATs.
 */
import { afterAll, beforeAll, expect, it } from 'vitest';
import type { BgpPeerStatus } from '../../src/gateway/status-bgp.ts';
import { Bird } from '../support/bird.ts';
import { Bulkhead } from '../support/bulkhead.ts';
import type { Place } from '../support/netns.ts';
import { gatewayDocument, hostDocument, Overlay, ROUTER, SERVER, type Spot } from '../support/overlay.ts';
import { requirePeers } from '../support/peers.ts';
import { until } from '../support/process.ts';
import { askFrom, serve, UDP_ECHO } from '../support/talk.ts';

const TENANTS = ['blue', 'red'] as const;
/** On no link of the router. */
const NAT = { blue: '198.18.7.50', red: '198.18.7.51' } as const;
const SECRET = 'a secret of the provider';
/** More than the link of the server, which BIRD knows by its device. */
const BEHIND = '198.51.100.0/24';
const ECHO_PORT = 7;

const document = (bgp?: object): string =>
  gatewayDocument(
    { blue: { nat: { address: NAT.blue } }, red: { nat: { address: NAT.red } } },
    {
      external: {
        interface: { driver: 'packet', device: 'ext0', addresses: ['203.0.113.10/24'] },
        pool: '198.18.7.48-198.18.7.63',
        ...(bgp === undefined ? {} : { bgp }),
      },
    },
  );
const PEER = {
  name: 'provider',
  address: ROUTER,
  asn: 65021,
  import: 'all',
  export: 'all',
  connectRetrySeconds: 1,
  md5: { inline: SECRET },
};
const BGP = { asn: 65010, redistribute: ['nat'], transit: false, peers: [PEER] };

requirePeers(
  'linux',
  'root',
  'koffi',
  'netns',
  'tun',
  'bird',
  'ping',
)('BGP with the provider’s router', () => {
  let net: Overlay;
  let gateway: Bulkhead;
  let h1: Bulkhead;
  let bird: Bird;

  beforeAll(async () => {
    net = new Overlay();
    bird = new Bird({
      link: {
        namespace: net.name('inet'),
        ours: '203.0.113.10',
        theirs: ROUTER,
        ours6: 'fd03::10',
        theirs6: 'fd03::1',
      },
      asn: 65021,
      peerAs: 65010,
      announces: [BEHIND],
      plain: true,
      md5: SECRET,
      kernel: true,
    });
    await bird.start();
    const start = (spot: Spot, text: string) => Bulkhead.start(net.topology, spot as Place, text);
    gateway = await start('gw', document());
    h1 = await start('h1', hostDocument('h1'));
    await serve(net, 'server', UDP_ECHO, String(ECHO_PORT));
  });

  afterAll(async () => {
    for (const node of [h1, gateway]) await node?.stop();
    await bird?.stop();
    await net?.close();
  });

  const toNats = (): Promise<string> => net.must('inet', 'ip', ['route', 'show', 'root', '198.18.0.0/16']);
  const peer = async (): Promise<BgpPeerStatus | undefined> =>
    (await gateway.ask<readonly BgpPeerStatus[]>('GET', '/v1/bgp/peers?tenant=default'))[0];
  const established = () =>
    until(
      async () => (await peer())?.state === 'Established',
      20_000,
      () => `not up\n${bird.output.slice(-2000)}`,
    );
  const replies = async (): Promise<readonly number[]> => {
    const counts: number[] = [];
    for (const tenant of TENANTS) counts.push(await net.ping(`${tenant}1`, SERVER, 2));
    return counts;
  };

  it('without it neither side knows a way', async () => {
    expect([await toNats(), await replies()]).toEqual(['', [0, 0]]);
  });

  it('RFC 4271 §3.2, RFC 2385: told of the NAT addresses and telling the way to the server, it lets two tenants with the same addresses out', async () => {
    await gateway.reload(document(BGP));
    await established();
    for (const address of Object.values(NAT)) await bird.hears(`${address}/32`);
    const routes = await gateway.ask<readonly { prefix: string; origin: string }[]>(
      'GET',
      '/v1/tenants/default/routes',
    );
    expect(routes).toContainEqual(expect.objectContaining({ prefix: BEHIND, origin: 'bgp', nextHop: ROUTER }));
    await until(
      async () => (await toNats()).split('\n').filter(Boolean).length === 2,
      10_000,
      'the kernel has no route',
    );
    expect(await toNats()).toMatch(new RegExp(`^${NAT.blue} via 203.0.113.10 .*\\n${NAT.red} via 203.0.113.10 `));
    // The first packets wait for neighbours.
    await replies();
    expect(await replies()).toEqual([2, 2]);
    for (const tenant of TENANTS) {
      const { answers } = await askFrom(net, `${tenant}1`, SERVER, ECHO_PORT, [20_000, 20_001]);
      expect(answers).toEqual({ 20000: `${NAT[tenant]}:20000`, 20001: `${NAT[tenant]}:20001` });
    }
  });

  it('what the router says of a tenant’s address is refused: whose it is stays whose it is', async () => {
    await bird.announce(`${NAT.red}/32`, '198.18.7.60/32', '198.18.0.0/16');
    const received = () =>
      gateway.ask<readonly { prefix: string; accepted: boolean }[]>(
        'GET',
        '/v1/tenants/default/bgp/peers/provider/received',
      );
    await until(async () => (await received()).length === 4, 10_000, 'the routes do not come');
    const refused = (await received()).filter(({ accepted }) => !accepted).map(({ prefix }) => prefix);
    expect(refused.sort()).toEqual([`${NAT.red}/32`, '198.18.7.60/32'].sort());
    await bird.withdraw(`${NAT.red}/32`, '198.18.7.60/32', '198.18.0.0/16');
    await until(async () => (await received()).length === 1, 10_000, 'the routes do not go');
    expect(await replies()).toEqual([2, 2]);
  });

  it('withdrawn, the way is gone, and it comes back with the route', async () => {
    await bird.withdraw(BEHIND);
    const has = async (wanted = BEHIND) =>
      (await gateway.ask<readonly { prefix: string }[]>('GET', '/v1/tenants/default/routes')).some(
        ({ prefix }) => prefix === wanted,
      );
    await until(async () => !(await has()), 10_000, 'the route stays');
    expect(await replies()).toEqual([0, 0]);
    // The default route does as well.
    await bird.announce('0.0.0.0/0');
    await until(() => has('0.0.0.0/0'), 10_000, 'the default route does not come');
    expect(await replies()).toEqual([2, 2]);
    await bird.withdraw('0.0.0.0/0');
    await bird.announce(BEHIND);
    await until(async () => (await has()) && !(await has('0.0.0.0/0')), 10_000, 'the route does not come');
    expect(await replies()).toEqual([2, 2]);
  });

  it('an operator asks it as a tenant called default', async () => {
    expect(await gateway.cli('bgp', 'peers', 'default/provider')).toMatchObject([
      { name: 'provider', state: 'Established' },
    ]);
    await gateway.cli('bgp', 'down', 'default/provider', '--wait', '10');
    await bird.forgets(`${NAT.red}/32`);
    await gateway.cli('bgp', 'up', 'default/provider', '--wait', '20');
    await bird.hears(`${NAT.red}/32`);
    const advertised = await gateway.cli<{ prefix: string }>('bgp', 'advertised', 'provider', '--tenant', 'default');
    expect(advertised.map(({ prefix }) => prefix).sort()).toEqual(Object.values(NAT).map((each) => `${each}/32`));
  });

  it('a reload without it ends the session, and the router forgets', async () => {
    await gateway.reload(document());
    await bird.forgets(`${NAT.blue}/32`);
    expect([await peer(), await toNats()]).toEqual([undefined, '']);
  });
});
