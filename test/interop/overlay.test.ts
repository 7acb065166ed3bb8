/**
 * The picture of a hoster with real kernels: two tenants with identical addresses and MACs, virtual machines on two virtualization
 * hosts, a provider network, a gateway, each tenant behind an external address of its own, one of them with a site too.
 */
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { Bulkhead } from '../support/bulkhead.ts';
import type { Place } from '../support/netns.ts';
import { CA, gatewayDocument, hostDocument, IKE, Overlay, SERVER, SITE, type Spot } from '../support/overlay.ts';
import { requirePeers } from '../support/peers.ts';
import { Strongswan } from '../support/strongswan.ts';

const PSK = 'a secret of blue and its site';
const EXTERNAL = { blue: '203.0.113.50', red: '203.0.113.51' } as const;

const TENANTS = {
  blue: {
    nat: { address: EXTERNAL.blue, rules: [{ protocol: 'tcp', externalPort: 8080, to: `${CA[1]}:80` }] },
    connections: [
      {
        name: 'hq',
        local: { address: IKE },
        remote: { address: SITE },
        auth: { psk: { inline: PSK } },
        child: { proposals: ['aes128gcm16'], local: ['10.1.0.0/24'], remote: ['10.2.0.0/24'] },
      },
    ],
  },
  red: { nat: { address: EXTERNAL.red } },
};

/** Answers every request with the address it came from. */
const ECHO = `require('http').createServer((q, r) => r.end(q.socket.remoteAddress + '\\n')).listen(80, '0.0.0.0', () => console.log('ready'))`;

requirePeers(
  'linux',
  'root',
  'koffi',
  'netns',
  'strongswan',
  'iperf3',
  'ping',
  'curl',
)('a hoster with two tenants', () => {
  let net: Overlay;
  let gateway: Bulkhead;
  let site: Strongswan;
  const nodes: Bulkhead[] = [];

  const serve = (spot: Spot) => net.start(spot, process.execPath, ['-e', ECHO]).line(/ready/);

  const curl = async (from: Spot, url: string): Promise<string> =>
    (await net.run(from, 'curl', ['-s', '--max-time', '5', url])).stdout.trim();

  beforeAll(async () => {
    net = new Overlay();
    const start = (spot: Spot, document: string) => Bulkhead.start(net.topology, spot as Place, document);
    gateway = await start('gw', gatewayDocument(TENANTS));
    nodes.push(gateway, await start('h1', hostDocument('h1')), await start('h2', hostDocument('h2')));
    await serve('server');
    await serve('blue2');
    site = await Strongswan.start(net.topology, 'site' as Place, {
      connections: {
        blue: {
          localAddress: SITE,
          remoteAddress: IKE,
          psk: PSK,
          children: { net: { localTs: ['10.2.0.0/24'], remoteTs: ['10.1.0.0/24'], proposals: 'aes128gcm16' } },
        },
      },
    });
  });

  afterAll(async () => {
    await site?.stop();
    for (const node of nodes) await node.stop();
    await net?.close();
  });

  describe.each(['blue', 'red'] as const)('%s', (tenant) => {
    const [first, second] = [`${tenant}1`, `${tenant}2`] as const;

    it('RFC 7637 §4: machines on two hosts reach each other, packets of 1458 octets and larger too', async () => {
      expect(await net.ping(first, CA[1])).toBe(3);
      expect(await net.ping(second, CA[0])).toBe(3);
      expect(await net.ping(first, CA[1], 3, 1430, ['-M', 'do'])).toBe(3);
      expect(await net.ping(first, CA[1], 3, 4000)).toBe(3);
    });

    it('its gateway answers', async () => {
      expect(await net.ping(first, '10.1.0.254')).toBe(3);
    });

    it('RFC 4787 REQ-1: it reaches a server from its own external address', async () => {
      expect(await net.ping(first, SERVER)).toBe(3);
      expect(await net.ping(second, SERVER, 3, 4000)).toBe(3);
      expect(await curl(first, `http://${SERVER}/`)).toBe(EXTERNAL[tenant]);
      expect(await curl(second, `http://${SERVER}/`)).toBe(EXTERNAL[tenant]);
    });

    it('TCP at speed, both ways', async () => {
      for (const reverse of [[], ['-R']]) {
        const server = net.start('server', 'iperf3', ['-s', '-1', '--forceflush']);
        await server.line(/Server listening/);
        const { stdout } = await net.run(first, 'iperf3', ['-c', SERVER, '-t', '1', '-J', ...reverse]);
        const { end } = JSON.parse(stdout) as { end: { sum_received: { bytes: number } } };
        expect(end.sum_received.bytes).toBeGreaterThan(5_000_000);
        await server.end();
      }
    });
  });

  it('RFC 4787 REQ-9: through the external address of blue its rule leads to blue2, for blue1 and for red1', async () => {
    expect(await curl('blue1', `http://${EXTERNAL.blue}:8080/`)).toBe(EXTERNAL.blue);
    expect(await curl('red1', `http://${EXTERNAL.blue}:8080/`)).toBe(EXTERNAL.red);
    expect(await curl('server', `http://${EXTERNAL.blue}:8080/`)).toBe(SERVER);
    expect(await curl('server', `http://${EXTERNAL.red}:8080/`)).toBe('');
  });

  it('RFC 7296 §1.2: blue’s packets for its site open the tunnel while others go through NAT; red has no way there', async () => {
    await net.ping('blue1', '10.2.0.2', 1);
    expect(await net.ping('blue1', '10.2.0.2')).toBe(3);
    expect(await net.ping('blue2', '10.2.0.2', 3, 1300)).toBe(3);
    expect(await net.ping('blue1', SERVER)).toBe(3);
    expect(await net.ping('red1', '10.2.0.2', 2)).toBe(0);
  });

  it('500 TCP connections side by side, from both tenants', async () => {
    const script = `const http = require('http'); const agent = new http.Agent({ maxSockets: 500 }); let ok = 0, done = 0;
      for (let i = 0; i < 250; i++) http.get({ host: '${SERVER}', agent }, (r) => { let t = ''; r.on('data', (d) => t += d).on('end', () => { if (t.trim() === process.argv[1]) ok++; finish(); }); }).on('error', finish);
      function finish() { if (++done === 250) { console.log(ok); process.exit(0); } }`;
    const count = async (spot: Spot, external: string) =>
      Number((await net.run(spot, process.execPath, ['-e', script, external])).stdout.trim());
    const both = await Promise.all([count('blue1', EXTERNAL.blue), count('red1', EXTERNAL.red)]);
    expect(both).toEqual([250, 250]);
  });

  it('RFC 1812 §5.3.1: traceroute sees the gateway’s routers, the outer one too', async () => {
    const { stdout } = await net.run('blue1', 'ping', ['-n', '-c', '1', '-t', '1', '-W', '2', SERVER]);
    expect(stdout).toContain('From 10.1.0.254');
    const { stdout: second } = await net.run('blue1', 'ping', ['-n', '-c', '1', '-t', '2', '-W', '2', SERVER]);
    expect(second).toContain('From 203.0.113.10');
    const { stdout: third } = await net.run('blue1', 'ping', ['-n', '-c', '1', '-t', '3', '-W', '2', SERVER]);
    expect(third).toContain('From 203.0.113.1 ');
  });

  it('nothing of one tenant ever reaches the other: a machine that only red has answers red alone', async () => {
    await net.must('red2', 'ip', ['addr', 'add', '10.1.0.99/24', 'dev', 'eth0']);
    expect(await net.ping('blue1', '10.1.0.99', 2)).toBe(0);
    await net.must('red2', 'ip', ['addr', 'del', '10.1.0.99/24', 'dev', 'eth0']);
  });

  it('a source that is not the machine’s own is dropped at its host', async () => {
    await net.must('blue1', 'ip', ['addr', 'add', '10.1.0.77/32', 'dev', 'eth0']);
    expect(await net.ping('blue1', CA[1], 2, 56, ['-I', '10.1.0.77'])).toBe(0);
    await net.must('blue1', 'ip', ['addr', 'del', '10.1.0.77/32', 'dev', 'eth0']);
  });
});
