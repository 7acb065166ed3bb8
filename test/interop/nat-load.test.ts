/**
 * A NAT box that forgets its mappings under load: peers behind it come from other ports from one moment to the next, once of one
 * gateway and once of two whose tenants are alike.
 */
import { setTimeout as pause } from 'node:timers/promises';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { Bulkhead, type TenantText } from '../support/bulkhead.ts';
import { longestSilence } from '../support/iperf.ts';
import { ADDRESSES, Topology } from '../support/netns.ts';
import { requirePeers } from '../support/peers.ts';
import { sh, type TestProcess } from '../support/process.ts';
import { Strongswan } from '../support/strongswan.ts';
import { bulkheadEnd, CABLE_ENDS, cableBetween, flood, swanEnd } from './ends.ts';

const NEEDS = ['linux', 'root', 'netns', 'tun', 'koffi', 'ethtool', 'nft', 'ping', 'iperf3'] as const;
const describeWithPeers = requirePeers(...NEEDS);
const describeWithSwan = requirePeers(...NEEDS, 'strongswan');

const MODES: readonly { readonly title: string; readonly env?: Readonly<Record<string, string>> }[] = [
  { title: 'packets in a worker' },
  { title: 'packets on the main thread', env: { BULKHEAD_WORKERS: '0' } },
];

/** Reasons that have nothing to do with peers that move: path MTU discovery, and what hosts and NAT keepalives say by themselves. */
const HARMLESS = ['tooBig', 'notForwarded', 'keepalive'];

async function unexplained(gateway: Bulkhead): Promise<readonly string[]> {
  const sas = (await gateway.connections()).flatMap(({ childSas }) => childSas.map(({ drops }) => drops));
  return [(await gateway.status()).drops, ...sas].flatMap(Object.keys).filter((reason) => !HARMLESS.includes(reason));
}

describeWithPeers.each(MODES)('Bulkhead behind NAT and Bulkhead, $title', ({ env }) => {
  let network: Topology;
  let near: Bulkhead;
  let far: Bulkhead;

  beforeAll(async () => {
    network = new Topology({ nat: true, natTimeouts: { unreplied: 30, replied: 60 }, offloads: true });
    const options = env === undefined ? {} : { env };
    const theirs = {
      local: { id: 'b.example' },
      remote: { address: 'any', id: 'a.example' },
      start: 'listen' as const,
    };
    far = await Bulkhead.start(network, 'gwB', bulkheadEnd(theirs, {}, 'B'), options);
    const ours = { local: { id: 'a.example' }, remote: { address: ADDRESSES.gwB, id: 'b.example' } };
    near = await Bulkhead.start(network, 'gwA', bulkheadEnd({ ...ours, start: 'demand' }), options);
  });

  afterAll(async () => {
    await near?.stop();
    await far?.stop();
    await network?.close();
  });

  it('RFC 7296 §2.23, RFC 3948 §4: three other ports under TCP in both directions: nothing rests for a second', async () => {
    expect(await network.ping('hostA', ADDRESSES.hostB, 2, { interval: 0.05 })).toBe(2);
    const [before] = await far.ikeSas();
    let silence = Number.POSITIVE_INFINITY;
    const { sent, lost, doubled } = await flood(network, async () => {
      silence = await longestSilence(network, 4, [
        [800, () => network.renat()],
        [1800, () => network.renat()],
        [2800, () => network.renat()],
      ]);
    });
    expect(silence).toBeLessThan(1);
    expect(doubled).toBe(0);
    // One ping every 10 ms: each time a few, those on their way.
    expect(lost.length).toBeLessThan(sent / 10);
    expect(
      far.log.match(/peer moved from 198\.51\.100\.254:\d+ to 198\.51\.100\.254:\d+/g)?.length,
    ).toBeGreaterThanOrEqual(3);
    const [after] = await far.ikeSas();
    expect([after?.spiI, after?.nat]).toEqual([before?.spiI, 'remote']);
    expect([await unexplained(near), await unexplained(far)]).toEqual([[], []]);
    expect(await near.cli('connections', 'rekey', 'hq', '--wait', '10')).toMatchObject([{ outcome: 'done' }]);
    expect(await network.ping('hostB', ADDRESSES.hostA, 3, { interval: 0.05 })).toBe(3);
  });
});

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

/** The outer address of the second gateway behind the NAT box. */
const SECOND = '203.0.113.1';

describeWithSwan('two gateways behind one NAT box, with tenants that are alike', () => {
  const names = ['blue', 'red'] as const;
  const networks: Topology[] = [];
  const servers: TestProcess[] = [];
  let gateway: Bulkhead;
  let blue: Bulkhead;
  let red: Strongswan;

  const tenantOf = (name: string): TenantText => ({
    name,
    interfaces: [{ name: 'inside', device: `bh-${name}`, addresses: ['10.2.0.1/24'], hostRoutes: 'none' }],
    connections: [
      {
        name: 'site',
        local: { id: 'b.example' },
        remote: { address: 'any', id: `${name}.example` },
        auth: { psk: `the key of ${name}` },
        child: { local: ['10.2.0.0/24'], remote: ['10.1.0.0/24'] },
        start: 'listen',
      },
    ],
  });

  beforeAll(async () => {
    networks.push(new Topology({ nat: true }), new Topology());
    const [first, second] = networks as [Topology, Topology];
    join(first, second);
    gateway = await Bulkhead.start(first, 'gwB', { tenants: names.map(tenantOf) });
    for (const [i, network] of networks.entries()) {
      const [name, host] = [`bh-${names[i]}`, network.name('hostB')];
      sh('ip', ['-n', first.name('gwB'), 'link', 'set', 'dev', name, 'netns', host]);
      sh('ip', ['-n', host, 'addr', 'flush', 'dev', 'eth0']);
      sh('ip', ['-n', host, 'addr', 'add', `${ADDRESSES.hostB}/24`, 'dev', name]);
      sh('ip', ['-n', host, 'link', 'set', 'dev', name, 'up']);
      sh('ip', ['-n', host, 'route', 'replace', 'default', 'via', '10.2.0.1']);
      const server = network.start('hostB', process.execPath, ['-e', SERVER, `site-${names[i]}`]);
      servers.push(server);
      await server.line(/listening/);
    }
    const changes = { local: { id: 'blue.example' }, remote: { address: ADDRESSES.gwB, id: 'b.example' } };
    const psk = 'the key of blue';
    blue = await Bulkhead.start(first, 'gwA', bulkheadEnd({ ...changes, auth: { psk }, start: 'demand' }));
    const theirs = { localAddress: SECOND, localId: 'red.example', remoteId: 'b.example', psk: 'the key of red' };
    red = await Strongswan.start(second, 'gwA', swanEnd(theirs, {}, 'A'));
    expect((await red.initiate()).code).toBe(0);
  });

  afterAll(async () => {
    await blue?.stop();
    await red?.stop();
    await gateway?.stop();
    for (const server of servers) await server.stop();
    for (const network of networks) await network.close();
  });

  const ask = (i: number): Promise<string> => networks[i]!.must('hostA', process.execPath, ['-e', CLIENT]);
  const remotes = async () => [
    ...(await gateway.ikeSas('blue/site')).map(({ remote }) => remote),
    ...(await gateway.ikeSas('red/site')).map(({ remote }) => remote),
  ];

  it('RFC 3948 §5.1: both come from one address, and each reaches its own', async () => {
    for (const network of networks) expect(await network.ping('hostA', ADDRESSES.hostB, 2, { interval: 0.05 })).toBe(2);
    const from = await remotes();
    expect(from).toEqual(from.map(() => expect.stringMatching(/^198\.51\.100\.254:2\d{4}$/)));
    expect([from.length, new Set(from).size]).toEqual([2, 2]);
    for (const i of [0, 1]) expect(await ask(i)).toBe(`site-${names[i]} sees ${ADDRESSES.hostA}`);
  });

  it('RFC 3948 §5.1, RFC 7296 §2.23: the NAT box forgets under the load of both: both go on, and stay apart', async () => {
    const before = await remotes();
    const silences = Promise.all(networks.map((network) => longestSilence(network, 3, [])));
    await pause(1000);
    networks[0]!.renat();
    const answers = await Promise.all([0, 1, 0, 1].map(ask));
    expect(answers).toEqual([0, 1, 0, 1].map((i) => `site-${names[i]} sees ${ADDRESSES.hostA}`));
    expect(Math.max(...(await silences))).toBeLessThan(1);
    const after = await remotes();
    expect([after.length, new Set([...before, ...after]).size]).toEqual([2, 4]);
    for (const network of networks) expect(await network.ping('hostB', ADDRESSES.hostA, 2, { interval: 0.05 })).toBe(2);
    expect(await unexplained(gateway)).toEqual([]);
  });
});

/** A cable between the two `inet`s; the second gateway A has an address of its own, and reaches the first gateway B through the NAT box. */
function join(first: Topology, second: Topology): void {
  const [left, right] = cableBetween(first, second);
  sh('ip', ['-n', second.name('gwA'), 'addr', 'add', `${SECOND}/32`, 'dev', 'out']);
  sh('ip', ['-n', right, 'route', 'add', `${SECOND}/32`, 'via', ADDRESSES.gwA]);
  sh('ip', ['-n', right, 'route', 'add', `${ADDRESSES.gwB}/32`, 'via', CABLE_ENDS.left]);
  sh('ip', ['-n', left, 'route', 'add', `${SECOND}/32`, 'via', CABLE_ENDS.right]);
}
