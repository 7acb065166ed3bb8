/**
 * Two tenants with identical networks, hosts and sites on one Bulkhead, each with its tunnel to its own strongSwan. Nothing but
 * the tenant tells their packets apart.
 *
 * The second tenant's host, gateway and site are those of a second network with the same addresses, joined at `inet`; only its
 * strongSwan's outer address differs. Each tenant's TUN device is moved into the namespace of its host, for the kernel has one
 * routing table a namespace.
 */
import { afterAll, beforeAll, expect, it } from 'vitest';
import {
  Bulkhead,
  type FaultOrder,
  HOSTINGS,
  type Hosting,
  hostedBy,
  type TenantText,
  withFaults,
} from '../support/bulkhead.ts';
import { ADDRESSES, Topology } from '../support/netns.ts';
import { requirePeers } from '../support/peers.ts';
import { sh, type TestProcess, until } from '../support/process.ts';
import { Strongswan } from '../support/strongswan.ts';
import { joinSites, noneLeft, oneOfEach, SECOND_SITE, swanEnd } from './ends.ts';

const describeWithPeers = requirePeers('linux', 'root', 'netns', 'tun', 'koffi', 'strongswan', 'ethtool', 'ping');

/** What is done to workers in turn, and who notices: of two workers each has one of the tenants. */
const LOSSES: readonly Loss[] = [
  { hosting: 'worker', fault: 'kill', lost: ['blue', 'red'] },
  { hosting: 'worker', fault: 'wedge', lost: ['blue', 'red'] },
  { hosting: 'two workers', fault: 'kill@1', lost: ['red'] },
  { hosting: 'two workers', fault: 'wedge@0', lost: ['blue'] },
];
interface Loss {
  readonly hosting: Hosting;
  readonly fault: FaultOrder;
  readonly lost: readonly string[];
}
/** A rekeyed SA of strongSwan's is gone soon. */
const QUICK = { lines: ['delete_rekeyed_delay = 1'] };

/** Answers every TCP connection with its name and who it sees, and ends it. */
const SERVER = `
  const name = process.argv[1];
  require('node:net').createServer((socket) => socket.end(name + ' sees ' + socket.remoteAddress))
    .listen(8000, '10.2.0.2', () => console.log('listening'));
`;
const CLIENT = `
  const socket = require('node:net').connect({ host: '10.2.0.2', port: 8000, timeout: 5000 });
  socket.on('data', (data) => process.stdout.write(data));
  socket.on('timeout', () => socket.destroy(new Error('timeout')));
`;

describeWithPeers.each([...HOSTINGS, 'two workers'] as const)('two tenants that are alike (%s)', (hosting) => {
  const names = ['blue', 'red'] as const;
  const networks: Topology[] = [];
  const swans: Strongswan[] = [];
  const servers: TestProcess[] = [];
  let gateway: Bulkhead;

  const tenantOf = (name: string, remote: string): TenantText => ({
    name,
    interfaces: [{ name: 'inside', device: `bh-${name}`, addresses: ['10.1.0.1/24'], hostRoutes: 'none' }],
    connections: [
      {
        name: 'hq',
        remote: { address: remote },
        auth: { psk: `the key of ${name}` },
        child: { local: ['10.1.0.0/24'], remote: ['10.2.0.0/24'] },
        start: 'demand',
      },
    ],
  });

  beforeAll(async () => {
    const [blue, red] = [new Topology(), new Topology()];
    networks.push(blue, red);
    joinSites(blue, red);
    swans.push(await Strongswan.start(blue, 'gwB', swanEnd({ psk: 'the key of blue' }, QUICK)));
    swans.push(
      await Strongswan.start(red, 'gwB', swanEnd({ psk: 'the key of red', localAddress: SECOND_SITE }, QUICK)),
    );
    const tenants = [tenantOf('blue', ADDRESSES.gwB), tenantOf('red', SECOND_SITE)];
    const faults = withFaults(...LOSSES.filter((loss) => loss.hosting === hosting).map(({ fault }) => fault));
    gateway = await Bulkhead.start(blue, 'gwA', { tenants }, { env: { ...hostedBy(hosting).env, ...faults.env } });
    for (const [i, network] of networks.entries()) {
      const name = names[i]!;
      sh('ip', ['-n', blue.name('gwA'), 'link', 'set', 'dev', `bh-${name}`, 'netns', network.name('hostA')]);
      sh('ip', ['-n', network.name('hostA'), 'addr', 'flush', 'dev', 'eth0']);
      sh('ip', ['-n', network.name('hostA'), 'addr', 'add', `${ADDRESSES.hostA}/24`, 'dev', `bh-${name}`]);
      sh('ip', ['-n', network.name('hostA'), 'link', 'set', 'dev', `bh-${name}`, 'up']);
      sh('ip', ['-n', network.name('hostA'), 'route', 'replace', 'default', 'via', '10.1.0.1']);
      const server = network.start('hostB', process.execPath, ['-e', SERVER, `site-${name}`]);
      servers.push(server);
      await server.line(/listening/);
    }
  });

  afterAll(async () => {
    await gateway?.stop();
    for (const server of servers) await server.stop();
    for (const swan of swans) await swan.stop();
    for (const network of networks) await network.close();
  });

  const ask = async (i: number): Promise<string> => networks[i]!.must('hostA', process.execPath, ['-e', CLIENT]);

  /** Of the Child SA that sends. */
  const spisOf = async (name: string): Promise<readonly string[]> =>
    (await gateway.childSas(`${name}/hq`))
      .filter(({ state }) => state === 'active')
      .flatMap(({ spiIn, spiOut }) => [spiIn, spiOut]);

  const counters = async (name: string) => {
    const { childSas, tenant } = await gateway.connection(`${name}/hq`);
    return { tenant, packets: childSas.map(({ packetsIn, packetsOut }) => [packetsIn, packetsOut]) };
  };

  /** How many the kernel of the site's host has had. */
  const echoRequests = async (network: Topology): Promise<number> => {
    const text = await network.must('hostB', 'nstat', ['-asz', 'IcmpInEchos']);
    return Number(text.match(/IcmpInEchos +(\d+)/)![1]);
  };

  it('each tenant’s host reaches the site of that tenant, at the same address', async () => {
    expect(await networks[0]!.ping('hostA', ADDRESSES.hostB, 3)).toBe(3);
    expect(await counters('blue')).toEqual({ tenant: 'blue', packets: [[3, 3]] });
    expect(await counters('red')).toEqual({ tenant: 'red', packets: [] });
    expect(await networks[1]!.ping('hostA', ADDRESSES.hostB, 5)).toBe(5);
    expect(await Promise.all(networks.map(echoRequests))).toEqual([3, 5]);
    expect(await counters('blue')).toEqual({ tenant: 'blue', packets: [[3, 3]] });
    expect(await counters('red')).toEqual({ tenant: 'red', packets: [[5, 5]] });
    expect(await ask(0)).toBe(`site-blue sees ${ADDRESSES.hostA}`);
    expect(await ask(1)).toBe(`site-red sees ${ADDRESSES.hostA}`);
    for (const swan of swans) await oneOfEach(swan);
  });

  it('both at once, and from the sites: every answer is the tenant’s own', async () => {
    const answers = await Promise.all(Array.from({ length: 10 }, (_, i) => ask(i % 2)));
    expect(answers).toEqual(answers.map((_, i) => `site-${names[i % 2]} sees ${ADDRESSES.hostA}`));
    for (const network of networks) expect(await network.ping('hostB', ADDRESSES.hostA, 2)).toBe(2);
  });

  it.runIf(hosting !== 'main thread').each(LOSSES.filter((loss) => loss.hosting === hosting))(
    'a worker is lost ($fault): the tunnels of $lost get new SAs, and each leads where it led',
    async ({ lost }) => {
      const [written, before] = [gateway.log.length, await Promise.all(names.map((name) => spisOf(name)))];
      gateway.signal('SIGUSR2');
      // Meanwhile both ask on: whoever is answered is answered by the site of its own.
      const answers: (readonly [number, string])[] = [];
      const asking = networks.map(async (_, i) => {
        for (let n = 0; n < 4; n++) answers.push([i, await ask(i).catch(() => 'nobody')]);
      });
      await gateway.logged(/it runs anew, with new Child SAs/, 5000, written);
      for (const [i, network] of networks.entries()) {
        await until(async () => (await network.ping('hostA', ADDRESSES.hostB, 1, { wait: 1 })) === 1);
        expect(await ask(i)).toBe(`site-${names[i]} sees ${ADDRESSES.hostA}`);
        await oneOfEach(swans[i]!);
      }
      await Promise.all(asking);
      for (const [i, answer] of answers) {
        const own = `site-${names[i]} sees ${ADDRESSES.hostA}`;
        expect(lost.includes(names[i]!) ? [own, 'nobody'] : [own]).toContain(answer);
      }
      const after = await Promise.all(names.map((name) => spisOf(name)));
      expect(after.map(({ length }) => length)).toEqual([2, 2]);
      for (const [i, name] of names.entries())
        expect(after[i]!.filter((spi) => before.flat().includes(spi))).toEqual(lost.includes(name) ? [] : before[i]);
    },
  );

  it('each tenant pings the gateway at the same address, and the gateway pings from inside each', async () => {
    for (const network of networks) expect(await network.ping('hostA', '10.1.0.1', 2)).toBe(2);
    for (const name of names) {
      const { code } = await gateway.run('ping', '--tenant', name, '-n', '2', '--interval', '100', ADDRESSES.hostB);
      expect(code).toBe(0);
    }
  });

  it('a tenant whose tunnel is gone reaches nothing, least of all the other tenant’s site', async () => {
    await swans[0]!.stop();
    await gateway.when(({ childSas }) => childSas.length === 0, 15_000, 'blue/hq');
    const before = await echoRequests(networks[1]!);
    expect(await networks[0]!.ping('hostA', ADDRESSES.hostB, 3, { wait: 1 })).toBe(0);
    expect(await echoRequests(networks[1]!)).toBe(before);
    expect(await ask(1)).toBe(`site-red sees ${ADDRESSES.hostA}`);
  });

  it('a tenant is removed by a reload, the other does not notice', async () => {
    const spis = (await gateway.childSas('red/hq')).map(({ spiIn }) => spiIn);
    await gateway.reload({ tenants: [tenantOf('red', SECOND_SITE)] });
    expect((await gateway.connections()).map(({ tenant }) => tenant)).toEqual(['red']);
    expect((await gateway.childSas('red/hq')).map(({ spiIn }) => spiIn)).toEqual(spis);
    expect(await ask(1)).toBe(`site-red sees ${ADDRESSES.hostA}`);
    await gateway.reload({ tenants: [] });
    await noneLeft(swans[1]!);
  });
});
