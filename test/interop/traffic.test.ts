/** What passes: first packets, large packets, path MTU discovery, TCP and UDP load, IPv6 inside and outside, DSCP. */
import { afterAll, beforeAll, beforeEach, expect, it } from 'vitest';
import { Bulkhead, HOSTINGS, hostedBy } from '../support/bulkhead.ts';
import { iperf } from '../support/iperf.ts';
import { ADDRESSES, ADDRESSES6, Topology } from '../support/netns.ts';
import { requirePeers } from '../support/peers.ts';
import { Strongswan } from '../support/strongswan.ts';
import { Capture, tsharkFields } from '../support/tshark.ts';
import { bulkheadEnd, swanConnections, swanEnd, tenant } from './ends.ts';

const NEEDS = ['linux', 'root', 'netns', 'tun', 'koffi', 'strongswan', 'ethtool', 'ping'] as const;
const describeWithPeers = requirePeers(...NEEDS, 'iperf3', 'tshark', 'tcpdump');

/** ESP in UDP over IPv4 with AES-GCM and 1500 octets outside: 20 + 8 + 8 + 8 + 16, and padding to four octets. */
const INNER_MTU = 1438;

describeWithPeers.each(HOSTINGS)('traffic between a host behind Bulkhead (%s) and one behind strongSwan', (hosting) => {
  let network: Topology;
  let gateway: Bulkhead;
  let swan: Strongswan;

  beforeAll(async () => {
    network = new Topology({ innerMtu: 9000 });
    swan = await Strongswan.start(network, 'gwB', swanEnd());
    gateway = await Bulkhead.start(network, 'gwA', bulkheadEnd({ start: 'demand' }), hostedBy(hosting));
  });

  afterAll(async () => {
    await gateway?.stop();
    await swan?.stop();
    await network?.close();
  });

  beforeEach(async () => {
    for (const host of ['hostA', 'hostB'] as const) await network.must(host, 'ip', ['route', 'flush', 'cache']);
  });

  const ping = async (size: number, df: 'do' | 'dont', count = 3) => {
    const words = ['-n', '-c', String(count), '-i', '0.2', '-W', '3', '-s', String(size - 28), '-M', df];
    const { stdout, stderr } = await network.run('hostA', 'ping', [...words, ADDRESSES.hostB]);
    return { received: Number(stdout.match(/(\d+) received/)?.[1]), words: stdout + stderr };
  };

  it('the packet that opens the tunnel is delivered, and so are the next', async () => {
    expect((await gateway.connection()).state).toBe('down');
    const { received, words } = await ping(84, 'do', 5);
    expect(words).toContain('icmp_seq=1 ttl=61');
    expect(received).toBe(5);
    expect(await network.ping('hostB', ADDRESSES.hostA, 3)).toBe(3);
    const [sa] = await gateway.childSas();
    expect([sa?.packetsIn, sa?.packetsOut]).toEqual([8, 8]);
    expect((await swan.installed()).map(({ packetsIn, packetsOut }) => [packetsIn, packetsOut])).toEqual([[8, 8]]);
  });

  it.each([28, 100, 1400, INNER_MTU - 1, INNER_MTU])('packets of %d octets with DF', async (size) => {
    expect((await ping(size, 'do')).received).toBe(3);
  });

  it.each([INNER_MTU - 1, INNER_MTU, INNER_MTU + 1, 1500, 1501, 2 * INNER_MTU - 20, 9000, 20_000])(
    'RFC 4301 §8.1: packets of %d octets without DF',
    async (size) => {
      expect((await ping(size, 'dont')).received).toBe(3);
    },
  );

  it('RFC 1191 §4, RFC 4301 §8.2: a packet with DF that is too large is answered with the MTU of the tunnel', async () => {
    expect((await gateway.connection()).mtu).toBe(INNER_MTU);
    const { received, words } = await ping(INNER_MTU + 1, 'do', 2);
    expect(received).toBe(0);
    expect(words).toMatch(new RegExp(`Frag(mentation)? needed .*mtu = ${INNER_MTU}\\)`));
    const route = await network.must('hostA', 'ip', ['route', 'get', ADDRESSES.hostB]);
    expect(route).toMatch(new RegExp(`mtu ${INNER_MTU}\\b`));
    expect((await ping(INNER_MTU, 'do')).received).toBe(3);
  });

  it('RFC 9293 §3.7.1: TCP runs in both directions, its MSS clamped to the tunnel', async () => {
    const capture = await Capture.start(network, 'hostB', 'eth0', 'tcp[tcpflags] & tcp-syn != 0');
    try {
      const there = await iperf(network, 'hostA', 'hostB', ADDRESSES.hostB, { seconds: 2 });
      expect(there.bytes).toBeGreaterThan(1_000_000);
      const back = await iperf(network, 'hostA', 'hostB', ADDRESSES.hostB, { seconds: 2, reverse: true });
      expect(back.bytes).toBeGreaterThan(1_000_000);
      const options = { filter: `ip.src == ${ADDRESSES.hostA}` };
      const rows = await tsharkFields(await capture.stop(), ['tcp.options.mss_val'], options);
      expect(new Set(rows.flat())).toEqual(new Set([String(INNER_MTU - 40)]));
    } finally {
      await capture.remove();
    }
  });

  it('UDP at a steady rate arrives whole, in both directions', async () => {
    for (const reverse of [false, true]) {
      const options = { seconds: 2, udp: true, length: 1000, bitsPerSecond: 2_000_000, reverse };
      const { packets, lost } = await iperf(network, 'hostA', 'hostB', ADDRESSES.hostB, options);
      expect(packets).toBeGreaterThanOrEqual(450);
      expect(lost).toBe(0);
    }
  });

  it('RFC 4301 §5.1.2.1: DSCP is copied to the outside and arrives inside', async () => {
    const outside = await Capture.start(network, 'inet', 'toA', `src host ${ADDRESSES.gwA} and udp port 4500`);
    const inside = await Capture.start(network, 'hostB', 'eth0', `icmp and src host ${ADDRESSES.hostA}`);
    try {
      await network.must('hostA', 'ping', ['-n', '-c', '2', '-i', '0.2', '-Q', '0xb8', ADDRESSES.hostB]);
      await network.must('hostA', 'ping', ['-n', '-c', '1', ADDRESSES.hostB]);
      const dscp = async (capture: Capture, filter: string) =>
        (await tsharkFields(await capture.stop(), ['ip.dsfield.dscp'], { filter })).flat();
      expect(await dscp(outside, 'esp')).toEqual(['46', '46', '0']);
      expect(await dscp(inside, 'icmp')).toEqual(['46', '46', '0']);
    } finally {
      await outside.remove();
      await inside.remove();
    }
  });

  it('RFC 4301 §4.4.1.2: IPv4 and IPv6 share a tunnel over IPv4', async () => {
    const both = {
      ...tenant({
        start: 'demand',
        child: { local: ['10.1.0.0/24', 'fd01::/64'], remote: ['10.2.0.0/24', 'fd02::/64'] },
      }),
      interfaces: [{ name: 'inside', device: 'bh0', addresses: ['10.9.0.1/24', 'fd09::1/64'] }],
      routes: [
        { prefix: '10.1.0.0/24', via: 'inside' },
        { prefix: 'fd01::/64', via: 'inside' },
      ],
    };
    const child = { localTs: ['10.2.0.0/24', 'fd02::/64'], remoteTs: ['10.1.0.0/24', 'fd01::/64'] };
    await swan.load({ connections: swanConnections({ child }) });
    await gateway.reload({ tenants: [both] });
    expect(await network.ping('hostA', ADDRESSES6.hostB, 3)).toBe(3);
    expect(await network.ping('hostA', ADDRESSES.hostB, 2)).toBe(2);
    expect(await network.ping('hostB', ADDRESSES6.hostA, 2)).toBe(2);
    expect((await gateway.childSas()).map(({ local, remote }) => [local, remote])).toEqual([
      [
        ['10.1.0.0/24', 'fd01::/64'],
        ['10.2.0.0/24', 'fd02::/64'],
      ],
    ]);
    const words = ['-n', '-c', '2', '-i', '0.2', '-s', String(INNER_MTU + 1 - 48), '-M', 'do', ADDRESSES6.hostB];
    const { stdout, stderr } = await network.run('hostA', 'ping', words);
    expect(stdout + stderr).toMatch(new RegExp(`Packet too big: mtu=${INNER_MTU}`));
    expect(await network.must('hostA', 'ip', ['-6', 'route', 'get', ADDRESSES6.hostB])).toMatch(
      new RegExp(`mtu ${INNER_MTU}\\b`),
    );
    const tcp = await iperf(network, 'hostA', 'hostB', ADDRESSES6.hostB, { seconds: 1 });
    expect(tcp.bytes).toBeGreaterThan(500_000);
  });

  it('RFC 7296 §3.13: the outside is IPv6', async () => {
    const addresses = { localAddress: ADDRESSES6.gwB, remoteAddress: ADDRESSES6.gwA };
    await swan.load({ connections: swanConnections(addresses) });
    const external = { addresses: [ADDRESSES6.gwA] };
    await gateway.reload(bulkheadEnd({ start: 'demand', remote: { address: ADDRESSES6.gwB } }, { external }));
    expect(await network.ping('hostA', ADDRESSES.hostB, 3)).toBe(3);
    expect(await network.ping('hostB', ADDRESSES.hostA, 2, { size: 1300 })).toBe(2);
    const { mtu, ikeSas } = await gateway.connection();
    expect(mtu).toBe(INNER_MTU - 20);
    expect(ikeSas[0]?.remote).toBe(`[${ADDRESSES6.gwB}]:4500`);
    expect((await ping(mtu, 'do')).received).toBe(3);
    expect((await ping(mtu + 1, 'do')).received).toBe(0);
  });
});
