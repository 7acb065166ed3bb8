/**
 * NAT as real kernels and real programs see it: two tenants with identical addresses, each behind an external address of its own, a
 * server behind a firewall, and a gateway whose document changes while connections last.
 */
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { NatSessionStatus, NatStatus } from '../../src/gateway/status.ts';
import { Bulkhead } from '../support/bulkhead.ts';
import type { Place } from '../support/netns.ts';
import {
  CA,
  type Changes,
  gatewayDocument,
  hostDocument,
  IKE,
  Overlay,
  ROUTER,
  SERVER,
  type Spot,
  UNDERLAY,
} from '../support/overlay.ts';
import { requirePeers } from '../support/peers.ts';
import { until } from '../support/process.ts';
import { askFrom, LINE_ECHO, LongConnection, NAME_SERVER, serve, UDP_ECHO } from '../support/talk.ts';
import { Capture, tsharkFields } from '../support/tshark.ts';

const TENANTS = ['blue', 'red'] as const;
type Tenant = (typeof TENANTS)[number];
const EXTERNAL = { blue: '203.0.113.50', red: '203.0.113.51' } as const;
const [ECHO_PORT, DNS_PORT, LINE_PORT] = [7, 53, 4000];

/** The same external port leads to the second machine of blue and to the first one of red. */
const RULES = { blue: `${CA[1]}:${DNS_PORT}`, red: `${CA[0]}:${DNS_PORT}` } as const;
const natOf = (tenant: Tenant, more: object = {}): { readonly nat: object } => ({
  nat: { address: EXTERNAL[tenant], rules: [rule(5353, RULES[tenant])], ...more },
});
const rule = (externalPort: number, to: string) => ({ protocol: 'udp', externalPort, to });
const PLAIN = { blue: natOf('blue'), red: natOf('red') } as const;

/** Answers alone reach what is behind the router of the server. */
const FIREWALL = `
table inet filter {
  counter refused { }
  chain forward {
    type filter hook forward priority 0; policy accept;
    ct state established,related accept
    iifname "toServer" counter name refused drop
  }
}`;

requirePeers(
  'linux',
  'root',
  'koffi',
  'netns',
  'tun',
  'nft',
  'iperf3',
  'ping',
  'curl',
  'dig',
  'tcpdump',
  'tshark',
  'traceroute',
)('NAT of two tenants with identical addresses', () => {
  let net: Overlay;
  let gateway: Bulkhead;
  let h1: Bulkhead;
  let h2: Bulkhead;
  let long: LongConnection | undefined;

  const nat = async (tenant: Tenant): Promise<NatStatus> =>
    (await gateway.ask<NatStatus[]>('GET', `/v1/nat?tenant=${tenant}`))[0]!;
  const connections = (tenant: Tenant): Promise<NatSessionStatus[]> =>
    gateway.ask('GET', `/v1/tenants/${tenant}/nat/sessions?protocol=tcp`);

  /** The strings of a TXT record, as dig prints them. */
  const dig = async (from: Spot, ...words: readonly string[]): Promise<string> =>
    (await net.must(from, 'dig', ['+short', '+tries=1', '+time=3', 'TXT', ...words])).trim();

  /** Who answered, hop by hop. */
  const traceroute = async (from: Spot, to: string, ...words: readonly string[]): Promise<readonly string[]> => {
    const out = await net.must(from, 'traceroute', ['-n', '-q', '1', '-w', '2', '-m', '8', ...words, to]);
    return [...out.matchAll(/^ *\d+ +(\S+)/gm)].map((line) => line[1]!);
  };

  /** Octets that arrived of 20 MB between a machine and the server. */
  const tcp = async (from: Spot, ...more: readonly string[]): Promise<number> => {
    const server = net.start('server', 'iperf3', ['-s', '-1', '--forceflush']);
    await server.line(/Server listening/);
    const { stdout } = await net.run(from, 'iperf3', ['-c', SERVER, '-n', '20M', '-J', ...more]);
    await server.end();
    return (JSON.parse(stdout) as { end: { sum_received: { bytes: number } } }).end.sum_received.bytes;
  };

  beforeAll(async () => {
    net = new Overlay();
    const start = (spot: Spot, document: string) => Bulkhead.start(net.topology, spot as Place, document);
    gateway = await start('gw', gatewayDocument(PLAIN));
    h1 = await start('h1', hostDocument('h1'));
    h2 = await start('h2', hostDocument('h2'));
    await net.must('inet', 'nft', [FIREWALL]);
    await serve(net, 'server', UDP_ECHO, String(ECHO_PORT));
    await serve(net, 'server', NAME_SERVER, String(DNS_PORT));
    await serve(net, 'server', LINE_ECHO, String(LINE_PORT));
    await serve(net, 'blue2', NAME_SERVER, String(DNS_PORT));
    await serve(net, 'red1', NAME_SERVER, String(DNS_PORT));
    // While a neighbour is looked for only so many packets wait.
    for (const vm of ['blue1', 'blue2', 'red1', 'red2'] as const) await net.ping(vm, SERVER, 1);
  });

  afterAll(async () => {
    await long?.end();
    for (const node of [h1, h2, gateway]) await node?.stop();
    await net?.close();
  });

  it('RFC 4787 REQ-3, REQ-8: from many ports at once the server sees the machine’s own ports at the tenant’s address', async () => {
    const ports = Array.from({ length: 200 }, (_, i) => 20_000 + i);
    const patient = { wait: 10_000, again: 500 };
    const asked = await Promise.all(TENANTS.map((each) => askFrom(net, `${each}1`, SERVER, ECHO_PORT, ports, patient)));
    for (const [i, tenant] of TENANTS.entries()) {
      expect(asked[i]!.errors).toEqual([]);
      expect(asked[i]!.answers).toEqual(Object.fromEntries(ports.map((p) => [p, `${EXTERNAL[tenant]}:${p}`])));
    }
  });

  it('RFC 4787 REQ-4: where another machine has the port, parity at least stays', async () => {
    const { answers } = await askFrom(net, 'blue2', SERVER, ECHO_PORT, [20_000, 20_001, 20_002, 20_003]);
    const seen = Object.values(answers).map((end) => Number(end.split(':')[1]));
    expect(seen.map((port) => port % 2)).toEqual([0, 1, 0, 1]);
    expect(new Set(seen).size).toBe(4);
    for (const port of seen) expect(port < 20_000 || port >= 20_200).toBe(true);
  });

  it('the server’s firewall lets answers through and nothing else', async () => {
    expect(await net.ping('blue1', SERVER)).toBe(3);
    expect(await net.ping('server', EXTERNAL.blue, 2)).toBe(0);
    const refused = await net.must('inet', 'nft', ['list', 'counter', 'inet', 'filter', 'refused']);
    expect(refused).toMatch(/packets [1-9]/);
  });

  it('dig: over UDP, over TCP, and an answer in fragments', async () => {
    for (const tenant of TENANTS) {
      const seen = new RegExp(`^"${EXTERNAL[tenant]}:\\d+"$`);
      expect(await dig(`${tenant}1`, `@${SERVER}`, 'who.example')).toMatch(seen);
      expect(await dig(`${tenant}2`, `@${SERVER}`, '+tcp', 'who.example')).toMatch(seen);
      const large = await dig(`${tenant}1`, `@${SERVER}`, '+bufsize=4096', '+ignore', 'large.example');
      expect(large.replace(/[" ]/g, '')).toBe('x'.repeat(2500));
      expect((await nat(tenant)).fragments).toBeGreaterThan(0);
    }
  });

  it('RFC 4787 §5, RFC 3022 §4.1: one port of both external addresses, and each leads to its tenant’s machine', async () => {
    for (const tenant of TENANTS)
      expect(await dig('site', '-p', '5353', `@${EXTERNAL[tenant]}`, 'who.example')).toMatch(/^"198\.51\.100\.1:\d+"$/);
    expect(await dig('red2', '-p', '5353', `@${EXTERNAL.blue}`, 'who.example')).toMatch(
      new RegExp(`^"${EXTERNAL.red}:\\d+"$`),
    );
  });

  it.each([
    ['UDP', []],
    ['ICMP', ['-I']],
    ['TCP', ['-T', '-p', String(LINE_PORT)]],
  ])('RFC 5508 REQ-4: traceroute by %s sees every router, and the server at the end', async (_name, words) => {
    expect(await traceroute('blue1', SERVER, ...words)).toEqual(['10.1.0.254', '203.0.113.10', ROUTER, SERVER]);
  });

  it('RFC 5508 REQ-4: the server’s port unreachable is an error of the machine’s socket', async () => {
    const { answers, errors } = await askFrom(net, 'red1', SERVER, 9, [21_000]);
    expect([answers, errors]).toEqual([{}, ['ECONNREFUSED']]);
  });

  it('RFC 5508 REQ-4, RFC 1191: the machine’s kernel learns of a narrow link behind the NAT', async () => {
    const narrow = (mtu: string) =>
      Promise.all([
        net.must('inet', 'ip', ['link', 'set', 'toServer', 'mtu', mtu]),
        net.must('server', 'ip', ['link', 'set', 'eth0', 'mtu', mtu]),
      ]);
    const forget = () => net.must('blue1', 'ip', ['route', 'flush', 'cache']);
    const learned = () => net.must('blue1', 'ip', ['route', 'get', SERVER]);
    await narrow('1300');
    try {
      const { stdout } = await net.run('blue1', 'ping', ['-n', '-c', '1', '-W', '1', '-M', 'do', '-s', '1400', SERVER]);
      expect(stdout).toContain(`From ${ROUTER}`);
      expect(stdout).toContain('mtu = 1300');
      expect(await learned()).toContain('mtu 1300');
      expect(await net.ping('blue1', SERVER, 3, 1272, ['-M', 'do'])).toBe(3);
      expect((await nat('blue')).icmpErrors).toBeGreaterThan(0);
      // A server that knows nothing of the narrow link: TCP finds it by ICMP alone.
      await net.must('server', 'ip', ['route', 'change', 'default', 'via', '198.51.100.126', 'advmss', '1460']);
      await forget();
      expect(await tcp('blue1')).toBeGreaterThan(10_000_000);
      expect(await learned()).toContain('mtu 1300');
    } finally {
      await narrow('1500');
      await forget();
    }
  });

  describe('a document that changes', () => {
    beforeAll(async () => {
      long = await LongConnection.open(net, 'blue1', SERVER, LINE_PORT);
    });

    it('the 17th flow of 16 is refused and counted, and the other tenant feels nothing', async () => {
      const short = { timeouts: { udpSeconds: 2 }, limits: { sessions: 16 } };
      await gateway.reload(gatewayDocument({ ...PLAIN, red: natOf('red', short) }));
      await gateway.ask('POST', '/v1/tenants/red/nat/flush', {});
      const refused = (await nat('red')).refusedLimit;
      const ports = Array.from({ length: 17 }, (_, i) => 22_000 + i);
      const [blue, red] = await Promise.all(TENANTS.map((t) => askFrom(net, `${t}1`, SERVER, ECHO_PORT, ports)));
      expect(Object.keys(blue!.answers).length).toBe(17);
      expect(Object.keys(red!.answers).length).toBe(16);
      const { sessions, sessionLimit, refusedLimit, drops } = await nat('red');
      expect([sessions, sessionLimit, refusedLimit - refused]).toEqual([16, 16, 1]);
      expect(drops).toMatchObject({ natLimit: refusedLimit });
      expect((await nat('blue')).refusedLimit).toBe(0);
    });

    it('RFC 4787 REQ-5: a mapping ends when its time is over, and answers find it no more', async () => {
      await until(async () => (await nat('red')).sessions === 0, 5000, 'red keeps sessions');
      const quick = { delay: 1000, wait: 500 };
      const slow = { delay: 3000, wait: 500 };
      const [inTime, late, ofBlue] = await Promise.all([
        askFrom(net, 'red1', SERVER, ECHO_PORT, [23_000], quick),
        askFrom(net, 'red1', SERVER, ECHO_PORT, [23_001], slow),
        askFrom(net, 'blue1', SERVER, ECHO_PORT, [23_001], slow),
      ]);
      expect(inTime.answers).toEqual({ 23000: `${EXTERNAL.red}:23000` });
      expect(late.answers).toEqual({});
      expect(ofBlue.answers).toEqual({ 23001: `${EXTERNAL.blue}:23001` });
      const { drops, expired } = await nat('red');
      expect(drops).toMatchObject({ natNoSession: 1 });
      expect(expired).toBeGreaterThanOrEqual(17);
    });

    it('a rule goes, another one comes, and a connection does not notice', async () => {
      const rules = [rule(5454, RULES.blue)];
      await gateway.reload(gatewayDocument({ ...PLAIN, blue: natOf('blue', { rules }) }));
      expect(await dig('site', '-p', '5454', `@${EXTERNAL.blue}`, 'who.example')).toContain('198.51.100.1');
      expect((await net.run('site', 'dig', ['+tries=1', '+time=1', '-p', '5353', `@${EXTERNAL.blue}`])).code).toBe(9);
      await long!.lives();
    });

    it('a machine moves to another host and keeps its connection', async () => {
      await move({ at: { blue1: 'h2' } });
      await long!.lives();
      expect(await net.ping('blue1', CA[1])).toBe(3);
      expect(await net.ping('red1', CA[1])).toBe(3);
      expect(await connections('blue')).toContainEqual(
        expect.objectContaining({ protocol: 'tcp', remote: `${SERVER}:${LINE_PORT}`, state: 'established' }),
      );
    });

    it('a tenant that is routed as it is can be reached from outside by its own addresses, the other stays behind NAT', async () => {
      await net.must('inet', 'ip', ['route', 'add', '10.1.0.0/24', 'via', '203.0.113.10']);
      const documents = { ...PLAIN, red: { direct: true } };
      await gateway.reload(gatewayDocument(documents, { at: { blue1: 'h2' } }));
      expect(await dig('site', `@${CA[0]}`, 'who.example')).toMatch(/^"198\.51\.100\.1:\d+"$/);
      expect(await dig('red2', `@${SERVER}`, 'who.example')).toMatch(new RegExp(`^"${CA[1]}:\\d+"$`));
      expect(await dig('blue2', `@${SERVER}`, 'who.example')).toMatch(new RegExp(`^"${EXTERNAL.blue}:\\d+"$`));
      expect(await traceroute('site', CA[0], '-I')).toEqual(['198.51.100.2', '203.0.113.10', '10.1.0.254', CA[0]]);
      await long!.lives();
      await net.must('inet', 'ip', ['route', 'del', '10.1.0.0/24']);
    });
  });

  describe('GRE in UDP below, a TUN device above', () => {
    const POOL = { blue: '203.0.113.130', red: '203.0.113.131' } as const;
    const changes: Changes = {
      at: { blue1: 'h2' },
      encapsulation: 'nvgre-udp',
      external: {
        interface: { driver: 'tun', device: 'bh-ext', addresses: ['203.0.113.129/25'] },
        pool: Object.values(POOL),
      },
    };

    beforeAll(async () => {
      await long!.end();
      await net.must('gw', 'sysctl', ['-q', '-w', 'net.ipv4.ip_forward=1', 'net.ipv4.conf.all.rp_filter=0']);
      await net.must('inet', 'ip', ['route', 'add', '203.0.113.128/25', 'via', IKE]);
      // RFC 8086 costs 8 octets more.
      for (const tenant of TENANTS)
        for (const vm of [`${tenant}1`, `${tenant}2`] as const)
          await net.must(vm, 'ip', ['link', 'set', 'eth0', 'mtu', '1450']);
      await h1.reload(hostDocument('h1', changes));
      await h2.reload(hostDocument('h2', changes));
      await gateway.reload(
        gatewayDocument({ blue: { nat: { address: POOL.blue } }, red: { nat: { address: POOL.red } } }, changes),
      );
    });

    it.each(TENANTS)('%s: machines reach each other and the outside, largest packets too', async (tenant) => {
      const [first, second] = [`${tenant}1`, `${tenant}2`] as const;
      expect(await net.ping(first, CA[1], 3, 1422, ['-M', 'do'])).toBe(3);
      expect(await net.ping(second, SERVER, 3, 1422, ['-M', 'do'])).toBe(3);
      expect(await net.ping(first, SERVER, 3, 4000)).toBe(3);
      expect(await dig(first, `@${SERVER}`, 'who.example')).toMatch(new RegExp(`^"${POOL[tenant]}:\\d+"$`));
    });

    it('RFC 8086 §3: what crosses the fabric is UDP to port 4754', async () => {
      const capture = await Capture.start(net.topology, 'fabric' as Place, 'to-gw', 'proto gre or udp');
      expect(await net.ping('red1', SERVER)).toBe(3);
      const fields = ['ip.proto', 'udp.dstport', 'gre.proto', 'ip.flags.df', 'udp.srcport'];
      const rows = await tsharkFields(await capture.stop(), fields);
      await capture.remove();
      const outer = rows.map((row) => row.map((each) => each.split(',')[0]!));
      expect(outer.map((row) => row.slice(0, 4).join(' '))).toEqual(Array(6).fill('17 4754 0x6558 1'));
      // §3.2.1: a dynamic port, of each of the two ends one for a flow.
      const ports = outer.map((row) => Number(row[4]));
      expect(ports.every((port) => port >= 49_152)).toBe(true);
      expect(new Set(ports).size).toBe(2);
    });

    it('RFC 8086 §3.2.1: flows leave from several ports; with `sourcePort: fixed` from that of GRE', async () => {
      const documentOf = (more: Changes): string =>
        gatewayDocument({ blue: { nat: { address: POOL.blue } }, red: { nat: { address: POOL.red } } }, more);
      const flows = Array.from({ length: 24 }, (_, n) => 24_000 + n);
      /** From which the gateway sends the answers to all of them. */
      const portsOf = async (): Promise<Set<number>> => {
        const capture = await Capture.start(net.topology, 'fabric' as Place, 'to-gw', `udp and src host ${UNDERLAY}`);
        const { answers } = await askFrom(net, 'red1', SERVER, ECHO_PORT, flows);
        expect(Object.keys(answers)).toEqual(flows.map(String));
        const rows = await tsharkFields(await capture.stop(), ['udp.srcport']);
        await capture.remove();
        return new Set(rows.map(([ports]) => Number(ports!.split(',')[0])));
      };
      const many = await portsOf();
      expect(many.size).toBeGreaterThan(3);
      expect(Math.min(...many)).toBeGreaterThanOrEqual(49_152);
      await gateway.reload(documentOf({ ...changes, sourcePort: 'fixed' }));
      expect(await portsOf()).toEqual(new Set([4754]));
      await gateway.reload(documentOf(changes));
    });

    it.each(TENANTS)('%s: TCP at speed, both ways', async (tenant) => {
      expect(await tcp(`${tenant}2`)).toBeGreaterThan(10_000_000);
      expect(await tcp(`${tenant}2`, '-R')).toBeGreaterThan(10_000_000);
    });
  });

  /** Port and record go from one host to another. */
  const move = async (changes: Changes): Promise<void> => {
    await h1.reload(hostDocument('h1', changes));
    await net.must('h1', 'ip', ['link', 'set', 'blue1', 'netns', net.name('h2')]);
    await net.must('h2', 'ip', ['link', 'set', 'blue1', 'up']);
    await h2.reload(hostDocument('h2', changes));
    await gateway.reload(gatewayDocument(PLAIN, changes));
  };
});
