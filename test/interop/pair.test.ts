/**
 * Two Bulkheads and nobody else, with ESN, both families inside, over every carrier and family outside, between hosts whose
 * kernels hand over superframes: veth keeps its offloads. What arrives is compared octet by octet, and tshark and tcpdump look
 * for checksums that are wrong.
 */
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { Bulkhead, type DocumentText } from '../support/bulkhead.ts';
import { iperf } from '../support/iperf.ts';
import { ADDRESSES, ADDRESSES6, type Place, Topology } from '../support/netns.ts';
import { requirePeers } from '../support/peers.ts';
import { must, sh, until } from '../support/process.ts';
import { sweep } from '../support/sweep.ts';
import { Capture, tsharkFields } from '../support/tshark.ts';
import { type Carriage, flood, pairEnd, type Side } from './ends.ts';
import { datagrams, exchange } from './loads.ts';

const NEEDS = [
  'linux',
  'root',
  'netns',
  'tun',
  'koffi',
  'ethtool',
  'ping',
  'iperf3',
  'tshark',
  'tcpdump',
  'nft',
] as const;
const describeWithPeers = requirePeers(...NEEDS);

interface Way extends Carriage {
  readonly title: string;
  /** How long the rekeys under load go on; 0: there are none. */
  readonly seconds: number;
  /** MTU of the devices inside, and the family whose packets are tried up to that: errors come at a limited pace. */
  readonly inside: 1500 | 9000;
  readonly whole?: 4 | 6;
}

const WAYS: readonly Way[] = [
  { title: 'protocol 50 over IPv4', carrier: 'ip-50', outer: ADDRESSES, seconds: 20, inside: 1500 },
  { title: 'UDP over IPv4', carrier: 'udp', outer: ADDRESSES, seconds: 13, inside: 1500 },
  { title: 'protocol 50 over IPv6', carrier: 'ip-50', outer: ADDRESSES6, seconds: 5, inside: 9000, whole: 4 },
  { title: 'UDP over IPv6', carrier: 'udp', outer: ADDRESSES6, seconds: 0, inside: 9000, whole: 6 },
];

/** What else one wants to know of a segment whose checksum is wrong. */
const OF_TCP = ['seq_raw', 'len', 'flags.str', 'checksum', 'checksum_calculated'].map((field) => `tcp.${field}`);

/**
 * RFC 1624 §3: the other zero of one's complement. Linux writes it where it has no offload (skb_checksum_help), for TCP
 * too; every receiver takes it, tshark calls it wrong.
 */
const ZEROS = '0xffff,0x0000';

const endOf = (side: Side, way: Way): DocumentText =>
  pairEnd(side, way, { mtu: way.inside }, { child: { esn: 'require' }, start: 'demand' });

describeWithPeers.each(WAYS)('two Bulkheads, $title, ESN', (way) => {
  let network: Topology;
  let a: Bulkhead;
  let b: Bulkhead;

  beforeAll(async () => {
    network = new Topology({ innerMtu: 9000, offloads: true });
    b = await Bulkhead.start(network, 'gwB', endOf('B', way));
    a = await Bulkhead.start(network, 'gwA', endOf('A', way));
  });

  afterAll(async () => {
    await a?.stop();
    await b?.stop();
    await network?.close();
  });

  /** Checksum errors that the kernel of a host has counted, by protocol. */
  async function checksumErrors(host: Place): Promise<readonly string[]> {
    const rows = (await network.must(host, 'cat', ['/proc/net/snmp'])).trim().split('\n');
    const counts: string[] = [];
    for (let i = 0; i < rows.length; i += 2) {
      const [names, values] = [rows[i]!.split(' '), rows[i + 1]!.split(' ')];
      counts.push(`${names[0]} ${values[names.indexOf('InCsumErrors')] ?? 0}`);
    }
    const rows6 = (await network.must(host, 'cat', ['/proc/net/snmp6'])).trim().split('\n');
    counts.push(...rows6.filter((row) => row.includes('InCsumErrors')).map((row) => row.replace(/\s+/, ': ')));
    return counts.filter((row) => !row.endsWith(' 0'));
  }

  /** Sums of what the kernels of hosts have counted. */
  async function counts(hosts: readonly Place[], names: readonly string[]): Promise<readonly number[]> {
    const texts = await Promise.all(hosts.map((host) => network.must(host, 'nstat', ['-asz', ...names])));
    const count = (name: string) => (text: string) => Number(text.match(new RegExp(`${name} +(\\d+)`))?.[1]);
    return names.map((name) => texts.map(count(name)).reduce((a, b) => a + b));
  }

  /** Of packets that the host and the gateway hand each other through the device, as the kernel counts them: superframes are one. */
  async function meanLength(place: 'gwA' | 'gwB', meanwhile: () => Promise<void>): Promise<number> {
    const counted = async (): Promise<{ readonly packets: number; readonly bytes: number }> => {
      const [link] = JSON.parse(await network.must(place, 'ip', ['-j', '-s', 'link', 'show', 'dev', 'bh0']));
      const { rx, tx } = link.stats64;
      return { packets: rx.packets + tx.packets, bytes: rx.bytes + tx.bytes };
    };
    const before = await counted();
    await meanwhile();
    const after = await counted();
    return (after.bytes - before.bytes) / (after.packets - before.packets);
  }

  it('RFC 4303 §2.2.1: comes up with extended sequence numbers, the first packet is delivered', async () => {
    expect(await network.ping('hostA', ADDRESSES.hostB, 3, { interval: 0.05 })).toBe(3);
    for (const gateway of [a, b]) {
      const [sa, ...others] = await gateway.childSas();
      expect(others).toEqual([]);
      expect(sa).toMatchObject({ esn: true, carrier: way.carrier, packetsIn: 3, packetsOut: 3, drops: {} });
    }
  });

  it('pings of 28 to 20,000 octets, both families, from both ends', async () => {
    const { mtu } = await a.connection();
    const sizes = [28, 29, 100, 576, 1280, 1400, mtu - 1, mtu, mtu + 1, 1500, 1501, 2 * mtu, 9000, 9001, 20_000];
    const ask = (size: number, count: number) => {
      const options = { interval: 0.02, wait: 1 };
      return Promise.all([
        network.ping('hostA', ADDRESSES.hostB, count, { ...options, size: size - 28 }),
        network.ping('hostB', ADDRESSES.hostA, count, { ...options, size: size - 28 }),
        network.ping('hostA', ADDRESSES6.hostB, count, { ...options, size: Math.max(48, size) - 48 }),
      ]);
    };
    // The first that are too large tell the hosts the MTU of the path (RFC 1191 §3, RFC 8201 §4).
    await ask(mtu + 1, 5);
    for (const size of sizes) expect([size, ...(await ask(size, 2))]).toEqual([size, 2, 2, 2]);
  });

  it('RFC 1191 §4, RFC 8201 §4: echo requests of every size are answered, or refused with the MTU of the tunnel', async () => {
    const { mtu } = await a.connection();
    const NOTHING = { refused: {}, silent: '', wrong: '' };
    for (const [to, from, header] of [
      [ADDRESSES.hostB, ADDRESSES.hostA, 28],
      [ADDRESSES6.hostB, ADDRESSES6.hostA, 48],
    ] as const) {
      // The hosts learn the MTU of the path.
      const large = { size: 4000, interval: 0.05, wait: 1 };
      await network.ping('hostA', to, 3, large);
      await network.ping('hostB', from, 3, large);
      const clear = await sweep(network, 'hostA', to, { from: 0, to: 9000, df: 'clear' });
      expect(clear).toEqual({ ...NOTHING, answered: '0-9000' });
      const largest = (way.whole === (header === 28 ? 4 : 6) ? 9000 : 1500) - header;
      const fits = mtu - header;
      const set = await sweep(network, 'hostA', to, { from: 0, to: largest, df: 'set', fits });
      expect(set).toEqual({ ...NOTHING, answered: `0-${fits}`, refused: { [mtu]: `${fits + 1}-${largest}` } });
    }
  });

  it('RFC 7323 §3, RFC 2018 §3: timestamps and SACK are in use, and what is lost outside is repeated', async () => {
    const server = network.start('hostB', 'iperf3', ['-s', '-1', '-B', ADDRESSES.hostB, '--forceflush']);
    await server.line(/Server listening/);
    const load = network.start('hostA', 'iperf3', ['-c', ADDRESSES.hostB, '-t', '1', '-b', '20M']);
    const options = async () =>
      (await network.must('hostA', 'ss', ['-tinoH', 'dst', ADDRESSES.hostB])).match(/\bts sack\b/);
    await until(options, 5000, 'ss shows no connection with timestamps and SACK');
    expect(await load.end()).toBe(0);
    await server.stop();
    const filter = way.carrier === 'udp' ? 'udp dport 4500' : 'meta l4proto esp';
    network.nft('inet', 'add', 'table', 'inet', 'loss');
    network.nft('inet', 'add', 'chain', 'inet', 'loss', 'way', '{ type filter hook forward priority 0 ; }');
    network.nft('inet', 'add', 'rule', 'inet', 'loss', 'way', `${filter} numgen inc mod 80 == 0 drop`);
    try {
      await exchange(network, ADDRESSES.hostB, 5_000_000);
      await exchange(network, ADDRESSES6.hostB, 2_000_000);
    } finally {
      network.nft('inet', 'delete', 'table', 'inet', 'loss');
    }
    const names = ['TcpExtTCPSackRecovery', 'TcpExtPAWSEstab'];
    const [recovered, old] = await counts(['hostA', 'hostB'], names);
    expect(recovered).toBeGreaterThan(0);
    expect(old).toBe(0);
  });

  it('TCP of both families: 50 MB each way at once arrive as they were sent, as superframes', async () => {
    const mean = await meanLength('gwA', () => exchange(network, ADDRESSES.hostB, 50_000_000));
    // Acknowledgments count, too.
    expect(mean).toBeGreaterThan(3000);
    await exchange(network, ADDRESSES6.hostB, 10_000_000);
    for (const reverse of [false, true]) {
      const { bytes } = await iperf(network, 'hostA', 'hostB', ADDRESSES.hostB, { seconds: 1, reverse });
      expect(bytes).toBeGreaterThan(5_000_000);
    }
  });

  it('UDP: datagrams at a steady rate, and such as the kernel cuts from one buffer, arrive whole and in order', async () => {
    for (const reverse of [false, true]) {
      const options = { seconds: 1, udp: true, length: 1400, bitsPerSecond: 10_000_000, reverse };
      const { packets, lost } = await iperf(network, 'hostA', 'hostB', ADDRESSES.hostB, options);
      expect(packets).toBeGreaterThan(700);
      expect(lost).toBe(0);
    }
    // As large as IP carries them, cut to fragments by the host; the first find out the MTU.
    const { hostB } = way.outer;
    await network.ping('hostA', hostB, 3, { size: 9000, interval: 0.02, wait: 1 });
    const large = { seconds: 1, udp: true, length: 60_000, bitsPerSecond: 12_000_000 };
    const { packets, lost } = await iperf(network, 'hostA', 'hostB', hostB, large);
    expect([packets > 20, lost]).toEqual([true, 0]);
    await datagrams(network, ADDRESSES.hostB, 4000);
    await datagrams(network, ADDRESSES6.hostB, 2000);
  });

  it.skipIf(way.seconds === 0)(
    'RFC 7296 §2.8: rekeys of either SA by either end every 3 s under TCP load: no ping lost, no stall',
    async () => {
      const server = network.start('hostB', 'iperf3', ['-s', '-1', '-B', ADDRESSES.hostB, '--forceflush']);
      await server.line(/Server listening/);
      const words = ['-c', ADDRESSES.hostB, '-b', '100M', '-i', '0.25', '-t', String(way.seconds), '-J'];
      const load = network.start('hostA', 'iperf3', words);
      let rekeys = 0;
      const spis = new Set<string>();
      const result = await flood(network, async () => {
        for (; load.running && rekeys < Math.floor(way.seconds / 3); rekeys++) {
          await pause(3000);
          const [gateway, what] = [rekeys % 2 === 0 ? a : b, rekeys % 4 < 2 ? 'child' : 'ike'];
          const path = '/v1/connections/fabrikam/hq/rekey';
          const [answer] = await gateway.ask<readonly { readonly outcome: string }[]>('POST', path, { what, wait: 10 });
          expect(answer!.outcome).toBe('done');
          const { ikeSas, childSas } = await a.connection();
          spis.add(`${ikeSas.at(-1)!.spiI} ${childSas.find(({ state }) => state === 'active')!.spiIn}`);
        }
        expect(await load.end()).toBe(0);
      });
      await server.stop();
      expect({ ...result, sent: 0 }).toEqual({ sent: 0, lost: [], doubled: 0 });
      expect(result.sent).toBeGreaterThan(way.seconds * 20);
      expect(spis.size).toBe(rekeys);
      const { intervals } = JSON.parse(load.stdout) as { intervals: { sum: { bytes: number; seconds: number } }[] };
      expect(intervals.length).toBeGreaterThan(2 * way.seconds);
      expect(intervals.filter(({ sum }) => sum.seconds > 0.1 && sum.bytes === 0)).toEqual([]);
      for (const gateway of [a, b]) {
        const { ikeSas, childSas } = await gateway.when(({ childSas: now }) => now.length === 1);
        expect([ikeSas.length, childSas[0]!.esn, childSas[0]!.drops]).toEqual([1, true, {}]);
      }
    },
  );

  it('no checksum is wrong: tshark inside the tunnel, tcpdump and the kernel at the receiver', async () => {
    // What is to be looked at must be as on a wire; hostA goes on handing over superframes.
    const plain = ['tx', 'off', 'tso', 'off', 'gso', 'off', 'gro', 'off', 'tx-udp-segmentation', 'off'];
    for (const [place, device] of [
      ['gwA', 'out'],
      ['inet', 'toA'],
      ['inet', 'toB'],
      ['gwB', 'out'],
      ['gwB', 'in'],
      ['hostB', 'eth0'],
    ] as const)
      sh('ip', ['netns', 'exec', network.name(place), 'ethtool', '-K', device, ...plain]);
    const keys = join(a.folder, 'keys');
    await a.cli('keys', 'on', '--folder', keys);
    const wire = await Capture.start(network, 'inet', 'toA', 'esp or udp port 4500');
    const receiver = await Capture.start(
      network,
      'hostB',
      'eth0',
      `src host ${ADDRESSES.hostA} or ${ADDRESSES6.hostA}`,
    );
    try {
      const mean = await meanLength('gwA', async () => {
        await exchange(network, ADDRESSES.hostB, 1_000_000);
        await exchange(network, ADDRESSES6.hostB, 1_000_000);
      });
      expect(mean).toBeGreaterThan(1500);
      await datagrams(network, ADDRESSES.hostB, 400);
      await datagrams(network, ADDRESSES6.hostB, 400);
      expect(await network.ping('hostA', ADDRESSES.hostB, 3, { interval: 0.05, size: 4000 })).toBe(3);
      const [file, seen] = [await wire.stop(), await receiver.stop()];

      const words = await must('tcpdump', ['-n', '-vv', '-r', seen]);
      expect(words.match(/incorrect|bad .*cksum|wrong/g)).toBe(null);
      expect(words.match(/\(correct\)/g)!.length).toBeGreaterThan(1000);
      expect(words.match(/udp sum ok/g)!.length).toBe(800);

      const statuses = ['tcp', 'udp', 'icmp', 'ip'].map((protocol) => `${protocol}.checksum.status`);
      const fields = [...statuses, 'frame.number', 'frame.protocols', 'ip.src', 'ipv6.src', 'esp.sequence', ...OF_TCP];
      const preferences = ['tcp', 'udp', 'ip'].map((protocol) => `${protocol}.check_checksum:TRUE`);
      const rows = await tsharkFields(file, fields, { keys, filter: 'esp', preferences });
      const last = (row: readonly string[], i: number) => row[i]?.split(',').at(-1) ?? '';
      const count = (i: number, status: string) => rows.filter((row) => last(row, i) === status).length;
      const wrong = rows.filter((row) => statuses.some((_, i) => row[i]?.split(',').includes('0')));
      expect(wrong.filter((row) => row.slice(-2).join() !== ZEROS)).toEqual([]);
      expect(count(0, '1')).toBeGreaterThan(2500);
      expect(
        rows.filter((row) => last(row, 0) === '' && row[1]!.split(',').length > (way.carrier === 'udp' ? 1 : 0)).length,
      ).toBeGreaterThanOrEqual(800);
      expect(count(2, '1')).toBeGreaterThan(0);
    } finally {
      await wire.remove();
      await receiver.remove();
    }
    for (const host of ['hostA', 'hostB'] as const) expect(await checksumErrors(host)).toEqual([]);
  });

  it('nothing was dropped that is not explained', async () => {
    for (const gateway of [a, b]) {
      const { drops, packets, problems } = await gateway.status();
      expect([problems, packets.refused]).toEqual([[], 0]);
      // Path MTU discovery, and what a host says on a fresh link (RFC 4861 §6.3.7).
      expect(Object.keys(drops).filter((reason) => reason !== 'tooBig' && reason !== 'notForwarded')).toEqual([]);
    }
  });
});
