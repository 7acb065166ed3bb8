/**
 * DSCP and ECN across the tunnel: what the outer header has of the inner one, and what becomes of marks that a router makes
 * outside (nftables plays it). Two Bulkheads over every carrier and family outside, both families inside.
 */
import { afterAll, beforeAll, expect, it } from 'vitest';
import { Bulkhead } from '../support/bulkhead.ts';
import { iperf } from '../support/iperf.ts';
import { ADDRESSES, ADDRESSES6, Topology } from '../support/netns.ts';
import { requirePeers } from '../support/peers.ts';
import { sh } from '../support/process.ts';
import { Capture, tsharkFields } from '../support/tshark.ts';
import { type Carriage, pairEnd } from './ends.ts';

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
  readonly env?: Readonly<Record<string, string>>;
}

const WAYS: readonly Way[] = [
  { title: 'UDP over IPv4', carrier: 'udp', outer: ADDRESSES },
  { title: 'protocol 50 over IPv4', carrier: 'ip-50', outer: ADDRESSES },
  { title: 'UDP over IPv6', carrier: 'udp', outer: ADDRESSES6 },
  { title: 'protocol 50 over IPv6', carrier: 'ip-50', outer: ADDRESSES6 },
  {
    title: 'UDP over IPv4, packets on the main thread',
    carrier: 'udp',
    outer: ADDRESSES,
    env: { BULKHEAD_WORKERS: '0' },
  },
];

/** RFC 3168 §5. */
const ECN = ['not-ect', 'ect1', 'ect0', 'ce'] as const;
/** RFC 6040 §4.2, Figure 4: a row for each ECN inside, a column for each that arrives outside, in that order. */
const ARRIVES: readonly (readonly (number | 'dropped')[])[] = [
  [0, 0, 0, 'dropped'],
  [1, 1, 1, 3],
  [2, 1, 2, 3],
  [3, 3, 3, 3],
];
const EF = 46;

describeWithPeers.each(WAYS)('$title', (way) => {
  const v6 = way.outer === ADDRESSES6;
  let network: Topology;
  let a: Bulkhead;
  let b: Bulkhead;

  beforeAll(async () => {
    network = new Topology({ offloads: true });
    const options = way.env === undefined ? {} : { env: way.env };
    b = await Bulkhead.start(network, 'gwB', pairEnd('B', way), options);
    a = await Bulkhead.start(network, 'gwA', pairEnd('A', way, {}, { start: 'demand' }), options);
    network.nft('inet', 'add', 'table', 'inet', 'marks');
    network.nft('inet', 'add', 'chain', 'inet', 'marks', 'way', '{ type filter hook forward priority 0 ; }');
  });

  afterAll(async () => {
    await a?.stop();
    await b?.stop();
    await network?.close();
  });

  /** What inet does to the outer packets on the way to gwB. */
  function rewrite(...rules: readonly string[]): void {
    network.nft('inet', 'flush', 'chain', 'inet', 'marks', 'way');
    const esp = way.carrier === 'udp' ? 'udp dport 4500' : 'meta l4proto esp';
    for (const rule of rules)
      network.nft(
        'inet',
        'add',
        'rule',
        'inet',
        'marks',
        'way',
        `oifname "toB" ${esp} ${rule.replaceAll('IP', v6 ? 'ip6' : 'ip')}`,
      );
  }

  /** One echo request a TOS, from `host`, in both families; the octets of data tell which. */
  const ask = (host: 'hostA' | 'hostB', values: readonly number[]) => {
    const other = host === 'hostA' ? 'hostB' : 'hostA';
    return Promise.all(
      [ADDRESSES[other], ADDRESSES6[other]].flatMap((to) =>
        values.map((tos) =>
          network.run(host, 'ping', ['-n', '-c', '1', '-W', '0.4', '-s', `${tos}`, '-Q', `${tos}`, to]),
        ),
      ),
    );
  };

  it('RFC 4301 §5.1.2.1, RFC 6040 §4.1: DSCP and ECN are copied outside, from both ends', async () => {
    await ask('hostA', [0]);
    const values = [0, 1, 2, 3, (EF << 2) | 2, (10 << 2) | 1];
    const filter = way.carrier === 'udp' ? 'udp port 4500' : v6 ? 'ip6 proto 50' : 'esp';
    const capture = await Capture.start(network, 'inet', 'toB', filter);
    try {
      await ask('hostA', values);
      await ask('hostB', values);
      const fields = v6 ? ['ipv6.src', 'ipv6.tclass'] : ['ip.src', 'ip.dsfield'];
      const rows = await tsharkFields(await capture.stop(), fields, { filter: 'esp' });
      for (const from of [way.outer.gwA, way.outer.gwB]) {
        const seen = rows.filter(([source]) => source === from).map(([, tos]) => Number(tos));
        // Requests of one end, answers to the other's, in two families.
        const each = new Map(values.map((tos) => [tos, 4]));
        expect(new Map(values.map((tos) => [tos, seen.filter((value) => value === tos).length]))).toEqual(each);
      }
    } finally {
      await capture.remove();
    }
  });

  it.each([0, 1, 2, 3])(
    'RFC 6040 §4.2, RFC 4301 §5.1.2.1: a router rewrites ECN outside to %i, and DSCP',
    async (outer) => {
      rewrite(`IP ecn set ${ECN[outer]}`, 'IP dscp set cs1');
      const dropsBefore = (await b.status()).drops.ecnIllegal ?? 0;
      const filter = `src host ${ADDRESSES.hostA} or src host ${ADDRESSES6.hostA}`;
      const capture = await Capture.start(network, 'hostB', 'eth0', filter);
      try {
        await ask(
          'hostA',
          ECN.map((_, inner) => (EF << 2) | inner),
        );
        const fields = ['ip.len', 'ip.dsfield', 'ipv6.plen', 'ipv6.tclass'];
        const rows = await tsharkFields(await capture.stop(), fields, {
          filter: 'icmp.type == 8 or icmpv6.type == 128',
        });
        for (const family of [4, 6]) {
          const seen = new Map(
            rows.flatMap(([length4, tos4, length6, tos6]) => {
              const [length, tos] = family === 4 ? [Number(length4) - 28, tos4] : [Number(length6) - 8, tos6];
              return tos === '' ? [] : [[length & 3, Number(tos)] as const];
            }),
          );
          const arrives = ARRIVES.map((row, inner) => [inner, row[outer]!] as const);
          const wanted = arrives.flatMap(([inner, ecn]) =>
            ecn === 'dropped' ? [] : [[inner, (EF << 2) | ecn] as const],
          );
          expect([family, seen]).toEqual([family, new Map(wanted)]);
        }
      } finally {
        await capture.remove();
        rewrite();
      }
      const dropped = outer === 3 ? 2 : 0;
      expect(((await b.status()).drops.ecnIllegal ?? 0) - dropsBefore).toBe(dropped);
    },
  );

  it('RFC 3168 §6.1, RFC 6040 §4.2: TCP hears of congestion met outside', async () => {
    for (const host of ['hostA', 'hostB'] as const)
      sh('ip', ['netns', 'exec', network.name(host), 'sysctl', '-q', '-w', 'net.ipv4.tcp_ecn=1']);
    rewrite('IP ecn ect0 numgen inc mod 20 == 0 IP ecn set ce');
    const [to, marked] = v6 ? [ADDRESSES.hostB, 'IpExtInCEPkts'] : [ADDRESSES6.hostB, 'Ip6InCEPkts'];
    const { bytes } = await iperf(network, 'hostA', 'hostB', to, { seconds: 1 });
    expect(bytes).toBeGreaterThan(1_000_000);
    const count = async (host: 'hostA' | 'hostB', name: string) =>
      Number((await network.must(host, 'nstat', ['-sz', name])).match(new RegExp(`${name} +(\\d+)`))?.[1]);
    expect(await count('hostB', marked)).toBeGreaterThan(0);
    expect(await count('hostA', 'TcpExtTCPDeliveredCE')).toBeGreaterThan(0);
    rewrite();
    const { drops } = await b.status();
    expect(Object.keys(drops).filter((reason) => !['ecnIllegal', 'notForwarded'].includes(reason))).toEqual([]);
  });
});
