/**
 * The way between the gateways becomes narrower and wider: what a router outside reports decides what fits inside, and hosts are
 * told. Two Bulkheads over every carrier and family outside, then strongSwan as the other end.
 */
import { setTimeout as pause } from 'node:timers/promises';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { Bulkhead, type DocumentText } from '../support/bulkhead.ts';
import { longestSilence } from '../support/iperf.ts';
import { ADDRESSES, ADDRESSES6, Topology } from '../support/netns.ts';
import { requirePeers } from '../support/peers.ts';
import { Strongswan } from '../support/strongswan.ts';
import { sweep } from '../support/sweep.ts';
import { Capture, tsharkFields } from '../support/tshark.ts';
import { bulkheadEnd, type Carriage, type ConnectionChanges, pairEnd, swanEnd } from './ends.ts';

const NEEDS = ['linux', 'root', 'netns', 'tun', 'koffi', 'ethtool', 'ping', 'iperf3', 'tshark', 'tcpdump'] as const;
const describeWithPeers = requirePeers(...NEEDS);
const describeWithSwan = requirePeers(...NEEDS, 'strongswan');

const SUITES = ['aes256gcm16', 'aes256-sha256', 'chacha20poly1305'] as const;

interface Way extends Carriage {
  readonly title: string;
  /** What fits inside with AES-GCM as long as 1500 octets fit outside. */
  readonly wide: number;
  /** What the way carries at last, and what fits inside then. */
  readonly narrow: number;
  readonly inner: Readonly<Record<(typeof SUITES)[number], number>>;
  readonly env?: Readonly<Record<string, string>>;
}

/** 20 or 40, 8 of UDP, 8 of ESP, IV, ICV; then padding to 4 octets, of AES-CBC to 16, with two of trailer in it. */
const UDP4: Way = {
  title: 'UDP over IPv4',
  carrier: 'udp',
  outer: ADDRESSES,
  wide: 1438,
  narrow: 1300,
  inner: { aes256gcm16: 1238, 'aes256-sha256': 1230, chacha20poly1305: 1238 },
};
const WAYS: readonly Way[] = [
  UDP4,
  { ...UDP4, title: 'UDP over IPv4, packets on the main thread', env: { BULKHEAD_WORKERS: '0' } },
  {
    title: 'protocol 50 over IPv4',
    carrier: 'ip-50',
    outer: ADDRESSES,
    wide: 1446,
    narrow: 1300,
    inner: { aes256gcm16: 1246, 'aes256-sha256': 1230, chacha20poly1305: 1246 },
  },
  {
    title: 'UDP over IPv6',
    carrier: 'udp',
    outer: ADDRESSES6,
    wide: 1418,
    narrow: 1280,
    inner: { aes256gcm16: 1198, 'aes256-sha256': 1182, chacha20poly1305: 1198 },
  },
  {
    title: 'protocol 50 over IPv6',
    carrier: 'ip-50',
    outer: ADDRESSES6,
    wide: 1426,
    narrow: 1280,
    inner: { aes256gcm16: 1206, 'aes256-sha256': 1198, chacha20poly1305: 1206 },
  },
];

/** Both directions. */
function narrow(network: Topology, mtu: number | undefined): void {
  for (const gateway of ['gwA', 'gwB'] as const) network.narrow(gateway, mtu);
}

describeWithPeers.each(WAYS)('two Bulkheads, $title', (way) => {
  let network: Topology;
  let a: Bulkhead;
  let b: Bulkhead;

  const endOf = (side: 'A' | 'B', changes: ConnectionChanges = {}): DocumentText =>
    pairEnd(side, way, { mtu: 9000 }, { start: 'demand', ...changes });

  beforeAll(async () => {
    network = new Topology({ innerMtu: 9000, offloads: true });
    const options = way.env === undefined ? {} : { env: way.env };
    b = await Bulkhead.start(network, 'gwB', endOf('B'), options);
    a = await Bulkhead.start(network, 'gwA', endOf('A'), options);
  });

  afterAll(async () => {
    await a?.stop();
    await b?.stop();
    await network?.close();
  });

  const mtus = async () => [(await a.connection()).mtu, (await b.connection()).mtu];

  /** Both ends with these settings, the tunnel up. */
  async function change(changes: ConnectionChanges): Promise<void> {
    await b.reload(endOf('B', changes));
    await a.reload(endOf('A', changes));
    expect(await network.ping('hostA', ADDRESSES.hostB, 2, { interval: 0.05 })).toBe(2);
  }

  it('RFC 1191 §3, RFC 8201 §4, RFC 4301 §8.2.1: the way becomes narrow, and narrower, under TCP in both directions', async () => {
    expect(await network.ping('hostA', ADDRESSES.hostB, 2, { interval: 0.05 })).toBe(2);
    expect(await mtus()).toEqual([way.wide, way.wide]);
    const silence = await longestSilence(network, 3, [
      [700, () => narrow(network, 1400)],
      [1300, () => narrow(network, way.narrow)],
    ]);
    expect(silence).toBeLessThan(0.9);
    expect(await mtus()).toEqual([way.inner.aes256gcm16, way.inner.aes256gcm16]);
    const inner = way.wide - (1500 - 1400);
    await a.logged(new RegExp(`the way to the peer carries 1400 octets, the tunnel ${inner}"`));
    await a.logged(new RegExp(`carries ${way.narrow} octets, the tunnel ${way.inner.aes256gcm16}"`));
    for (const gateway of [a, b]) {
      const { drops } = await gateway.status();
      expect(Object.keys(drops).filter((reason) => reason !== 'tooBig' && reason !== 'notForwarded')).toEqual([]);
    }
  });

  it.each(SUITES)(
    'RFC 4301 §8.2.1, RFC 8200 §5: %s: hosts are told what fits; IPv6 of 1280 octets always does',
    async (suite) => {
      await change({ child: { proposals: [suite] } });
      const mtu = way.inner[suite];
      expect(await mtus()).toEqual([mtu, mtu]);
      for (const [to, header, most] of [
        [ADDRESSES.hostB, 28, mtu],
        [ADDRESSES6.hostB, 48, 1280],
      ] as const) {
        const [fits, from, last] = [most - header, most - header - 100, most - header + 40];
        expect(await sweep(network, 'hostA', to, { from, to: last, df: 'set', fits })).toEqual({
          answered: `${from}-${fits}`,
          refused: { [most]: `${fits + 1}-${last}` },
          silent: '',
          wrong: '',
        });
      }
    },
  );

  it('RFC 8200 §5: what exceeds a way of 1280 octets and must pass travels in fragments of the outer packet', async () => {
    const way6 = way.outer === ADDRESSES6;
    narrow(network, 1280);
    const fragments = way6 ? 'ip6[6] == 44' : 'ip[6:2] & 0x3fff != 0';
    const capture = await Capture.start(network, 'inet', 'toB', `dst host ${way.outer.gwB} and ${fragments}`);
    try {
      // The first may find out.
      await network.ping('hostA', ADDRESSES6.hostB, 3, { size: 1280 - 48, interval: 0.1, wait: 1 });
      expect(await network.ping('hostA', ADDRESSES6.hostB, 5, { size: 1280 - 48, interval: 0.05, df: true })).toBe(5);
      const offsets = await tsharkFields(await capture.stop(), [way6 ? 'ipv6.fraghdr.offset' : 'ip.frag_offset']);
      expect(offsets.filter(([offset]) => offset !== '0').length).toBeGreaterThanOrEqual(5);
      expect(offsets.filter(([offset]) => offset === '0').length).toBeGreaterThanOrEqual(5);
    } finally {
      await capture.remove();
    }
  });

  it('RFC 4301 §8.2.2, RFC 1191 §6.3: the kernel forgot, the way is wide again: the next rekey notices', async () => {
    await change({});
    narrow(network, undefined);
    for (const gateway of ['gwA', 'gwB'] as const) network.forgetMtus(gateway);
    expect(Math.max(...(await mtus()))).toBeLessThan(1280);
    expect(await a.cli('connections', 'rekey', 'hq', '--wait', '10')).toMatchObject([{ outcome: 'done' }]);
    await a.when(({ mtu }) => mtu === way.wide);
    await b.when(({ mtu }) => mtu === way.wide);
    const fits = way.wide - 28;
    const { answered, refused } = await sweep(network, 'hostA', ADDRESSES.hostB, {
      from: fits,
      to: fits + 1,
      df: 'set',
    });
    expect([answered, refused]).toEqual([`${fits}`, { [way.wide]: `${fits + 1}` }]);
  });

  it.skipIf(way.outer !== ADDRESSES || way.env !== undefined).each([
    // With DF inside, without, and IPv6, whose packets only their sources may cut; then who passes a narrow way at once.
    { df: 'copy', outside: ['1', '0', '1'], cut: ['dont'], kept: ['do'] },
    { df: 'set', outside: ['1', '1', '1'], cut: [], kept: ['dont'] },
    { df: 'clear', outside: ['0', '0', '0'], cut: ['do', 'dont'], kept: [] },
  ] as const)('RFC 4301 §8.1: df: $df', async ({ df, outside, cut, kept }) => {
    await change({ df });
    const filter = `src host ${ADDRESSES.gwA} and (esp or (udp port 4500 and udp[8:4] != 0))`;
    const capture = await Capture.start(network, 'inet', 'toA', filter);
    try {
      for (const [to, more] of [
        [ADDRESSES.hostB, ['-M', 'do']],
        [ADDRESSES.hostB, ['-M', 'dont']],
        [ADDRESSES6.hostB, []],
      ] as const)
        await network.must('hostA', 'ping', ['-n', '-c', '1', ...more, to]);
      expect((await tsharkFields(await capture.stop(), ['ip.flags.df'])).flat()).toEqual(outside);
    } finally {
      await capture.remove();
    }
    /** How many of four large packets are answered. */
    const large = async (mode: 'do' | 'dont') => {
      for (const host of ['hostA', 'hostB'] as const) network.forgetMtus(host);
      const words = ['-n', '-c', '4', '-i', '0.05', '-W', '1', '-s', '1372', '-M', mode, ADDRESSES.hostB];
      return Number((await network.run('hostA', 'ping', words)).stdout.match(/(\d+) received/)?.[1]);
    };
    narrow(network, 1300);
    try {
      // Nobody tells of packets that routers may cut.
      for (const mode of cut) expect([mode, await large(mode), await mtus()]).toEqual([mode, 4, [way.wide, way.wide]]);
      for (const mode of kept) expect([mode, (await large(mode)) < 4]).toEqual([mode, true]);
      if (kept.length > 0) expect((await a.connection()).mtu).toBe(way.inner.aes256gcm16);
    } finally {
      narrow(network, undefined);
      for (const gateway of ['gwA', 'gwB'] as const) network.forgetMtus(gateway);
    }
  });
});

describeWithSwan('strongSwan as the other end, UDP over IPv4', () => {
  let network: Topology;
  let gateway: Bulkhead;
  let swan: Strongswan;

  beforeAll(async () => {
    network = new Topology({ innerMtu: 9000 });
    swan = await Strongswan.start(network, 'gwB', swanEnd());
    gateway = await Bulkhead.start(network, 'gwA', bulkheadEnd({ start: 'demand' }));
  });

  afterAll(async () => {
    await gateway?.stop();
    await swan?.stop();
    await network?.close();
  });

  it('RFC 1191 §3, RFC 4301 §8.2.1, §8.2.2: the way becomes narrow under TCP in both directions, and wide again', async () => {
    expect(await network.ping('hostA', ADDRESSES.hostB, 2, { interval: 0.05 })).toBe(2);
    expect((await gateway.connection()).mtu).toBe(1438);
    const silence = await longestSilence(network, 2, [[700, () => narrow(network, 1300)]]);
    expect(silence).toBeLessThan(0.9);
    expect((await gateway.connection()).mtu).toBe(1238);
    const { answered, refused } = await sweep(network, 'hostA', ADDRESSES.hostB, { from: 1200, to: 1250, df: 'set' });
    expect([answered, refused]).toEqual(['1200-1210', { 1238: '1211-1250' }]);
    narrow(network, undefined);
    network.forgetMtus('gwA');
    await pause(100);
    await swan.rekey({ child: 'net' });
    await gateway.when(({ mtu }) => mtu === 1438);
  });
});
