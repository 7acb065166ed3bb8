/**
 * BGP inside ESP: two tenants with the same addresses and AS numbers on one Bulkhead, each with a tunnel to a site of its own, where
 * strongSwan and FRR are. What FRR says is in the tenant's FIB, and packets go where it says. The sessions of the second are signed (RFC 2385).
 *
 * The second site is that of a second network with the same addresses, joined at `inet`, as in `tenants.test.ts`.
 */
import { afterAll, beforeAll, expect, it } from 'vitest';
import type { RouteExplanationStatus, RouteStatus } from '../../src/gateway/status.ts';
import type { BgpPeerStatus, BgpSummaryStatus } from '../../src/gateway/status-bgp.ts';
import type { BgpDaemon, DaemonSettings } from '../support/bgp-daemon.ts';
import { Bird } from '../support/bird.ts';
import { Bulkhead, type TenantText } from '../support/bulkhead.ts';
import { Frr } from '../support/frr.ts';
import { ADDRESSES, Topology } from '../support/netns.ts';
import { requirePeers } from '../support/peers.ts';
import { sh, type TestProcess, until } from '../support/process.ts';
import { Strongswan, type SwanOptions } from '../support/strongswan.ts';
import { joinSites, SECOND_SITE, swanEnd } from './ends.ts';

const describeWithPeers = requirePeers(
  'linux',
  'root',
  'netns',
  'tun',
  'koffi',
  'strongswan',
  'frr',
  'bird',
  'ethtool',
  'ping',
);

const NAMES = ['blue', 'red'] as const;
const SITES = [ADDRESSES.gwB, SECOND_SITE] as const;
/** Behind hostB of each site. */
const LEARNED = '10.50.0.0/24';
const SERVER_ADDRESS = '10.50.0.2';
/** Networks of the tenant's own. */
const OWN = 1;
/** Of red alone. */
const MD5_KEY = 'the-key-of-red';
const MANY = 100_000;
const manyPrefixes = Array.from({ length: MANY }, (_, i) => `100.${64 + (i >> 16)}.${(i >> 8) & 255}.${i & 255}/32`);

/** Answers every TCP connection with its name and who it sees, and ends it. */
const SERVER = `
  const [name, address] = process.argv.slice(1);
  require('node:net').createServer((socket) => socket.end(name + ' sees ' + socket.remoteAddress))
    .listen(8000, address, () => console.log('listening'));
`;
const CLIENT = `
  const socket = require('node:net').connect({ host: process.argv[1], port: 8000, timeout: 5000 });
  socket.on('data', (data) => process.stdout.write(data));
  socket.on('timeout', () => socket.destroy(new Error('timeout')));
`;

describeWithPeers('BGP through the tunnels of two tenants that are alike', () => {
  const networks: Topology[] = [];
  const swans: Strongswan[] = [];
  const daemons: BgpDaemon[] = [];
  const servers: TestProcess[] = [];
  let gateway: Bulkhead;

  const swanOptions = (i: number): SwanOptions =>
    swanEnd({
      psk: `the key of ${NAMES[i]}`,
      localAddress: SITES[i]!,
      child: { localTs: ['0.0.0.0/0'], remoteTs: ['10.1.0.0/24'] },
    });

  const tenantOf = (i: number, md5 = MD5_KEY): TenantText => ({
    name: NAMES[i]!,
    interfaces: [{ name: 'inside', device: `bh-${NAMES[i]}`, addresses: ['10.1.0.1/24'], hostRoutes: 'none' }],
    connections: [
      {
        name: 'hq',
        remote: { address: SITES[i]! },
        auth: { psk: `the key of ${NAMES[i]}` },
        child: { local: ['10.1.0.0/24'], remote: ['0.0.0.0/0'] },
        routes: ['10.2.0.1/32'],
        start: 'demand',
        dpdSeconds: 1,
        ike: { giveUpSeconds: 5 },
      },
    ],
    bgp: {
      asn: 65010,
      networks: ['10.1.0.0/24'],
      peers: [
        {
          name: 'hq',
          address: '10.2.0.1',
          asn: 65020,
          import: 'all',
          export: 'all',
          // Of blue it has to hold whatever red is told (`MANY`).
          holdSeconds: i === 0 ? 6 : 9,
          connectRetrySeconds: 1,
          ...(i === 1 ? { md5: { inline: md5 } } : {}),
        },
      ],
    },
  });

  const daemonSettings = (i: number): DaemonSettings => ({
    link: {
      namespace: networks[i]!.name('gwB'),
      ours: '10.1.0.1',
      theirs: '10.2.0.1',
      ours6: 'fd01::1',
      theirs6: 'fd02::1',
    },
    asn: 65020,
    peerAs: 65010,
    announces: [LEARNED],
    multihop: true,
    ...(i === 1 ? { md5: MD5_KEY } : {}),
  });

  beforeAll(async () => {
    const [blue, red] = [new Topology(), new Topology()];
    networks.push(blue, red);
    joinSites(blue, red);
    for (const [i, network] of networks.entries()) {
      swans.push(await Strongswan.start(network, 'gwB', swanOptions(i)));
      sh('ip', ['-n', network.name('hostB'), 'addr', 'add', `${SERVER_ADDRESS}/24`, 'dev', 'eth0']);
      sh('ip', ['-n', network.name('gwB'), 'route', 'add', LEARNED, 'via', ADDRESSES.hostB]);
      const daemon = new Frr(daemonSettings(i));
      daemons.push(daemon);
      await daemon.start();
      const server = network.start('hostB', process.execPath, ['-e', SERVER, `site-${NAMES[i]}`, SERVER_ADDRESS]);
      servers.push(server);
      await server.line(/listening/);
    }
    gateway = await Bulkhead.start(blue, 'gwA', { tenants: [tenantOf(0), tenantOf(1)] });
    for (const [i, network] of networks.entries()) {
      const [name, device] = [network.name('hostA'), `bh-${NAMES[i]}`];
      sh('ip', ['-n', blue.name('gwA'), 'link', 'set', 'dev', device, 'netns', name]);
      sh('ip', ['-n', name, 'addr', 'flush', 'dev', 'eth0']);
      sh('ip', ['-n', name, 'addr', 'add', `${ADDRESSES.hostA}/24`, 'dev', device]);
      sh('ip', ['-n', name, 'link', 'set', 'dev', device, 'up']);
      sh('ip', ['-n', name, 'route', 'replace', 'default', 'via', '10.1.0.1']);
    }
  });

  afterAll(async () => {
    await gateway?.stop();
    for (const server of servers) await server.stop();
    for (const daemon of daemons) await daemon.stop();
    for (const swan of swans) await swan.stop();
    for (const network of networks) await network.close();
  });

  const routesOf = (i: number): Promise<readonly RouteStatus[]> => gateway.ask('GET', `/v1/tenants/${NAMES[i]}/routes`);
  const learned = async (i: number): Promise<readonly RouteStatus[]> =>
    (await routesOf(i)).filter(({ origin }) => origin === 'bgp');
  const chosen = async (i: number, address: string): Promise<RouteStatus | null> => {
    const path = `/v1/tenants/${NAMES[i]}/routes?explain=${address}`;
    return (await gateway.ask<readonly [RouteExplanationStatus]>('GET', path))[0].chosen;
  };
  const forwards = async (i: number, is: boolean): Promise<void> =>
    until(
      async () => (await learned(i)).some(({ prefix }) => prefix === LEARNED) === is,
      30_000,
      () => `${NAMES[i]} ${is ? 'has no' : 'still has a'} route\n${gateway.log.slice(-3000)}`,
    );
  const ask = (i: number): Promise<string> =>
    networks[i]!.must('hostA', process.execPath, ['-e', CLIENT, SERVER_ADDRESS]);

  it('each router opens its tunnel, and what FRR says is in the FIB of its tenant', async () => {
    for (const i of [0, 1]) {
      await forwards(i, true);
      expect(await learned(i)).toMatchObject([{ prefix: LEARNED, via: 'hq', preference: 20 }]);
      expect(await daemons[i]!.hears('10.1.0.0/24')).toMatchObject({ path: [65010] });
    }
  });

  it('pings cross, to the site of the tenant’s own', async () => {
    for (const [i, network] of networks.entries()) {
      expect(await network.ping('hostA', SERVER_ADDRESS, 3)).toBe(3);
      expect(await ask(i)).toBe(`site-${NAMES[i]} sees ${ADDRESSES.hostA}`);
    }
  });

  it('one site takes its route back: its tenant reaches nothing there, the other does not notice', async () => {
    await daemons[0]!.withdraw(LEARNED);
    await forwards(0, false);
    expect(await networks[0]!.ping('hostA', SERVER_ADDRESS, 2, { wait: 1 })).toBe(0);
    expect(await ask(1)).toBe(`site-red sees ${ADDRESSES.hostA}`);
    await daemons[0]!.announce(LEARNED);
    await forwards(0, true);
    expect(await ask(0)).toBe(`site-blue sees ${ADDRESSES.hostA}`);
  });

  it('a site dies without a word: its routes go; it comes back, and so do they', async () => {
    await Promise.all([swans[0]!.kill(), daemons[0]!.kill()]);
    await forwards(0, false);
    expect(await networks[0]!.ping('hostA', SERVER_ADDRESS, 1, { wait: 1 })).toBe(0);
    expect(await ask(1)).toBe(`site-red sees ${ADDRESSES.hostA}`);
    await swans[0]!.launch();
    await swans[0]!.load(swanOptions(0));
    await daemons[0]!.restart();
    await forwards(0, true);
    expect(await ask(0)).toBe(`site-blue sees ${ADDRESSES.hostA}`);
  });

  it('RFC 2385: with another key than its site red has no session, and blue does not notice', async () => {
    const red = async (): Promise<BgpPeerStatus> =>
      (await gateway.ask<readonly BgpPeerStatus[]>('GET', '/v1/bgp/peers?tenant=red'))[0]!;
    const badlySigned = async (): Promise<number> => {
      const [names, values] = (await networks[1]!.must('gwB', 'grep', ['^TcpExt', '/proc/net/netstat'])).split('\n');
      return Number(values!.split(' ')[names!.split(' ').indexOf('TCPMD5Failure')]);
    };
    expect(await red()).toMatchObject({ state: 'Established', md5: true });
    const before = await badlySigned();
    await gateway.reload({ tenants: [tenantOf(0), tenantOf(1, 'not-the-key')] });
    await forwards(1, false);
    await until(async () => (await badlySigned()) > before, 20_000, 'the kernel of the site finds nothing wrong');
    expect(await red()).toMatchObject({ md5: true, connectionsEstablished: 0 });
    expect(await ask(0)).toBe(`site-blue sees ${ADDRESSES.hostA}`);
    await gateway.reload({ tenants: [tenantOf(0), tenantOf(1)] });
    await forwards(1, true);
    expect(await ask(1)).toBe(`site-red sees ${ADDRESSES.hostA}`);
  });

  it(`${MANY} prefixes come through the tunnel, and go; blue, with a hold time of 6 s, does not notice`, async () => {
    const sessionsOfBlue = async (): Promise<number> =>
      (await gateway.ask<readonly BgpPeerStatus[]>('GET', '/v1/bgp/peers?tenant=blue'))[0]!.connectionsEstablished;
    const before = await sessionsOfBlue();
    await daemons[1]!.stop();
    await forwards(1, false);
    const bird = new Bird({ ...daemonSettings(1), announces: [LEARNED, ...manyPrefixes], plain: true });
    daemons[1] = bird;
    await bird.start();
    // A list of all would keep the gateway busy: their number is asked for, and single ones.
    const prefixesOfRed = async (): Promise<number> => {
      const all = await gateway.ask<readonly BgpSummaryStatus[]>('GET', '/v1/bgp');
      return all.find(({ tenant }) => tenant === 'red')!.ribCount;
    };
    const holds = (count: number): Promise<void> =>
      until(
        async () => (await prefixesOfRed().catch(() => -1)) === count,
        60_000,
        () => `not ${count} prefixes\n${gateway.log.slice(-3000)}`,
      );
    await holds(OWN + MANY + 1);
    for (const prefix of manyPrefixes.filter((_, i) => i % 33_333 === 0)) {
      const address = prefix.split('/')[0]!;
      // The FIB follows the tables part by part.
      await until(async () => (await chosen(1, address)) !== null, 10_000, `no way to ${address}`);
      expect(await chosen(1, address)).toMatchObject({ prefix, via: 'hq', origin: 'bgp' });
    }
    expect((await learned(0)).map(({ prefix }) => prefix)).toEqual([LEARNED]);
    expect(await ask(1)).toBe(`site-red sees ${ADDRESSES.hostA}`);
    await bird.kill();
    await holds(OWN);
    await until(async () => (await learned(1)).length === 0, 10_000, 'routes of red are left');
    expect(await chosen(1, '100.64.0.0')).toBeNull();
    expect(await sessionsOfBlue()).toBe(before);
    expect(await ask(0)).toBe(`site-blue sees ${ADDRESSES.hostA}`);
  });
});
