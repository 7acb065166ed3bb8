/**
 * Open vSwitch as a host of the fabric that is not ours, in the place of `h2`: two tenants with identical addresses and MACs between it,
 * Bulkhead's host and Bulkhead's gateway, and the frames of all of them octet for octet.
 */
import { readFileSync } from 'node:fs';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { readCapture } from '../../src/capture/index.ts';
import { toHex } from '../../src/core/index.ts';
import { Bulkhead } from '../support/bulkhead.ts';
import type { Place } from '../support/netns.ts';
import { OpenVswitch, withoutOffloads } from '../support/openvswitch.ts';
import {
  CA,
  GATEWAY_CA,
  GATEWAY_MACS,
  gatewayDocument,
  HOSTS,
  hostDocument,
  MAC,
  Overlay,
  SERVER,
  type Spot,
  UNDERLAY,
  type Vm,
  VSID,
} from '../support/overlay.ts';
import { requirePeers } from '../support/peers.ts';
import { scapy, sendFrames } from '../support/scapy.ts';
import { Capture, tsharkFields } from '../support/tshark.ts';

const TENANTS = ['blue', 'red'] as const;

/** Frames of a machine `mac` `ca` to the machine `to` `other`; the largest is an IP packet of 1458 octets. */
const FRAMES = `
def ip(**more): return Ether(src=data['mac'], dst=data['to'], type=0x0800) / IP(src=data['ca'], dst=data['other'], id=7, **more)
frames = [
  ip() / ICMP(id=5, seq=1) / (b'abcdefgh' * 7),
  ip() / UDP(sport=1000, dport=9, chksum=0) / b'x',
  ip(flags='DF', tos=0xb8, ttl=3) / UDP(sport=5000, dport=9) / bytes(range(200)),
  ip() / TCP(sport=5001, dport=9, flags='PA', seq=1, ack=2, options=[('NOP', None), ('NOP', None), ('Timestamp', (1, 2))]) / (b'z' * 1406),
  ip(flags='MF') / UDP(sport=5002, dport=9, len=1008, chksum=0) / (b'f' * 800),
  ip(frag=101, proto=17) / (b'g' * 200),
  ip(options=[IPOption_NOP()] * 4, proto=253) / (b'unknown' * 3),
]
print(json.dumps([bytes(frame).hex() for frame in frames]))`;
const LARGEST = 14 + 1458;

/** What Scapy sends for the inner frames, with the numbers that are the sender's choice. */
const OUTER = `
print(json.dumps([(Ether(src=d['from'], dst=d['to'], type=0x0800)
  / IP(src=d['pa'], dst=d['remote'], flags='DF', ttl=64, tos=0, id=d['id'], proto=47)
  / GRE(key_present=1, proto=0x6558, key=d['key']) / Ether(bytes.fromhex(d['inner']))).build().hex() for d in data]))`;

/** GRE that is no NVGRE, each with the drop it must be counted as. */
const HOSTILE = `
inner = Ether(src=data['mac'], dst=data['to'], type=0x0800) / IP(src=data['ca'], dst=data['other']) / UDP(dport=9)
def gre(inner=inner, **more): return IP(src=data['pa'], dst=data['remote']) / GRE(**{'key_present': 1, 'proto': 0x6558, 'key': data['key'], **more}) / inner
tagged = Ether(src=data['mac'], dst=data['to'], type=0x8100) / Dot1Q(vlan=5) / inner.payload
stranger = Ether(src='02:00:00:00:00:99', dst=data['to']) / inner.payload
spoofed = Ether(src=data['mac'], dst=data['to'], type=0x0800) / IP(src=data['other'], dst=data['other']) / UDP(dport=9)
for packet in [gre(chksum_present=1), gre(seqnum_present=1, seqence_number=1), gre(version=1), gre(key_present=0), gre(proto=0x0800),
  gre(key=0xfff00), gre(key=0xffffff00), gre(key=7777 << 8), gre(tagged), gre(stranger), gre(spoofed)]: send(packet)
print('null')`;

requirePeers(
  'linux',
  'root',
  'koffi',
  'netns',
  'tun',
  'openvswitch',
  'scapy',
  'tcpdump',
  'tshark',
  'ethtool',
  'iperf3',
  'ping',
)('Open vSwitch as a host of the fabric', () => {
  let net: Overlay;
  let ovs: OpenVswitch | undefined;
  let h1: Bulkhead;
  const nodes: Bulkhead[] = [];
  const captures: Capture[] = [];

  const start = async (spot: Spot, document: string): Promise<Bulkhead> => {
    const node = await Bulkhead.start(net.topology, spot as Place, document);
    nodes.push(node);
    return node;
  };

  /** What passes a device while `happens`, as hexadecimal. */
  const captured = async (spot: Spot, device: string, filter: string, happens: () => Promise<unknown>) => {
    const capture = await Capture.start(net.topology, spot as Place, device, filter);
    captures.push(capture);
    await happens();
    const file = await capture.stop();
    return { file, frames: [...readCapture([readFileSync(file)])].map(({ octets }) => toHex(octets)) };
  };

  const tcp = async (from: Spot, to: Spot, address: string, ...more: readonly string[]): Promise<number> => {
    const server = net.start(to, 'iperf3', ['-s', '-1', '--forceflush']);
    await server.line(/Server listening/);
    const { stdout } = await net.run(from, 'iperf3', ['-c', address, '-n', '20M', '-J', ...more]);
    await server.end();
    return (JSON.parse(stdout) as { end: { sum_received: { bytes: number } } }).end.sum_received.bytes;
  };

  beforeAll(async () => {
    net = new Overlay();
    await start('gw', gatewayDocument({ blue: { nat: {} }, red: { nat: {} } }));
    h1 = await start('h1', hostDocument('h1'));
    for (const tenant of TENANTS) withoutOffloads(net, `${tenant}2`, 'eth0');
    ovs = await OpenVswitch.start(net, 'h2', {
      device: 'under0',
      address: `${HOSTS.h2}/24`,
      ports: TENANTS.map((tenant) => ({ vsid: VSID[tenant], mac: MAC[1], device: `${tenant}2` })),
      records: TENANTS.flatMap((tenant) => [
        { vsid: VSID[tenant], ca: CA[0], mac: MAC[0], pa: HOSTS.h1 },
        { vsid: VSID[tenant], ca: CA[1], mac: MAC[1], pa: HOSTS.h2 },
        { vsid: VSID[tenant], ca: GATEWAY_CA, mac: GATEWAY_MACS[tenant], pa: UNDERLAY },
      ]),
    });
    // Open vSwitch drops what waits for a neighbour of the underlay, and learns neighbours from the kernel's ARP, too.
    for (const pa of [HOSTS.h1, UNDERLAY]) await net.ping('h2', pa, 1);
  });

  afterAll(async () => {
    for (const capture of captures) await capture.remove();
    await ovs?.stop();
    for (const node of nodes) await node.stop();
    await net?.close();
  });

  describe.each(TENANTS)('%s', (tenant) => {
    const [first, second] = [`${tenant}1`, `${tenant}2`] as const;

    it('RFC 7637 §4: machines of Bulkhead’s host and of Open vSwitch reach each other, 1458 octets and larger', async () => {
      expect(await net.ping(first, CA[1])).toBe(3);
      expect(await net.ping(second, CA[0])).toBe(3);
      expect(await net.ping(first, CA[1], 3, 1430, ['-M', 'do'])).toBe(3);
      expect(await net.ping(second, CA[0], 3, 1430, ['-M', 'do'])).toBe(3);
      expect(await net.ping(first, CA[1], 3, 9000)).toBe(3);
      expect(await net.ping(second, CA[0], 3, 9000)).toBe(3);
    });

    it('RFC 7637 §4.6: a machine of Open vSwitch reaches the gateway, and the outside through it', async () => {
      expect(await net.ping(second, GATEWAY_CA)).toBe(3);
      expect(await net.ping(second, SERVER)).toBe(3);
      expect(await net.ping(second, SERVER, 3, 1430, ['-M', 'do'])).toBe(3);
      expect(await net.ping(second, SERVER, 3, 9000)).toBe(3);
    });

    it('TCP at speed: to and from Bulkhead’s host and the gateway', async () => {
      expect(await tcp(first, second, CA[1])).toBeGreaterThan(5_000_000);
      expect(await tcp(first, second, CA[1], '-R')).toBeGreaterThan(5_000_000);
      expect(await tcp(second, 'server', SERVER)).toBeGreaterThan(5_000_000);
      expect(await tcp(second, 'server', SERVER, '-R')).toBeGreaterThan(5_000_000);
    });

    it('RFC 7637 §4.2: a broadcast reaches the machines of its own virtual subnet alone, both ways', async () => {
      const heard = async (vm: Vm) => (await net.must(vm, 'cat', ['/proc/net/snmp'])).match(/^Icmp: \d.*/m)![0];
      const others = TENANTS.filter((other) => other !== tenant).flatMap((other): Vm[] => [`${other}1`, `${other}2`]);
      for (const vm of [first, second])
        await net.must(vm, 'sysctl', ['-q', '-w', 'net.ipv4.icmp_echo_ignore_broadcasts=0']);
      const before = await Promise.all(others.map(heard));
      for (const [from, answer] of [[first, CA[1]] as const, [second, CA[0]] as const]) {
        // Its own answers come first, and would end a ping that counts them.
        const { stdout } = await net.run(from, 'ping', ['-n', '-b', '-i', '0.2', '-w', '2', '10.1.0.255']);
        expect(stdout).toContain(`from ${answer}`);
      }
      expect(await Promise.all(others.map(heard))).toEqual(before);
    });
  });

  describe('octet for octet', () => {
    const sent = {} as Record<string, readonly string[]>;
    let inner: readonly string[];
    let outside: readonly string[];

    const describeTo = (to: string, other: string) =>
      scapy<string[]>(net, 'fabric', FRAMES, { mac: MAC[1], ca: CA[1], to, other });

    /** What host h2 sends when its machines send `inner` to h1 and `outside` to the gateway. */
    const sendAll = async (): Promise<typeof sent> => {
      const found = {} as Record<string, readonly string[]>;
      for (const tenant of TENANTS) {
        const from = `src ${HOSTS.h2} and proto gre`;
        const all = await captured('fabric', 'to-h2', from, async () => {
          await sendFrames(net, `${tenant}2`, 'eth0', inner);
          if (tenant === 'blue') await sendFrames(net, 'blue2', 'eth0', outside);
        });
        files[tenant] = all.file;
        found[tenant] = carrying(inner, all.frames);
        if (tenant === 'blue') found.gateway = carrying(outside, all.frames);
      }
      return found;
    };
    const files = {} as Record<'blue' | 'red', string>;

    beforeAll(async () => {
      inner = await describeTo(MAC[0], CA[0]);
      outside = await describeTo(GATEWAY_MACS.blue, SERVER);
    });

    it('RFC 7637 §3.2: what Open vSwitch sends is what Scapy says, key and FlowID with it', async () => {
      Object.assign(sent, await sendAll());
      expect(Math.max(...inner.map((frame) => frame.length / 2))).toBe(LARGEST);
      const wanted = Object.entries(sent).flatMap(([to, frames]) =>
        frames.map((frame, i) => ({
          ...addressesOf(frame),
          pa: HOSTS.h2,
          remote: to === 'gateway' ? UNDERLAY : HOSTS.h1,
          id: Number.parseInt(frame.slice(36, 40), 16),
          key: ((to === 'red' ? VSID.red : VSID.blue) << 8) | flowIdOf(frame),
          inner: (to === 'gateway' ? outside : inner)[i],
        })),
      );
      expect(Object.values(sent).flat()).toEqual(await scapy(net, 'fabric', OUTER, wanted));
      expect(sent.blue!.map(withoutVsid)).toEqual(sent.red!.map(withoutVsid));
      expect(new Set(sent.blue!.map(flowIdOf)).size).toBeGreaterThan(1);
    });

    it('tshark has nothing to say against them', async () => {
      const fields = ['frame.protocols', 'gre.key', 'gre.flags.checksum', 'gre.flags.sequence_number', '_ws.malformed'];
      const rows = await tsharkFields(files.red, fields, { filter: `gre && ip.src == ${HOSTS.h2}` });
      expect(rows.length).toBeGreaterThanOrEqual(inner.length);
      for (const [protocols, key, ...flags] of rows) {
        expect(protocols).toMatch(/^eth:ethertype:ip:gre:eth:ethertype:ip/);
        expect(Number(key) >>> 8).toBe(VSID.red);
        expect(flags).toEqual(['0', '0', '']);
      }
    });

    it('the frame that a machine gets is the one that was sent, without an octet more, whoever carries it', async () => {
      // In whatever order: Open vSwitch changes it.
      const filter = `ether src ${MAC[1]} and ether dst ${MAC[0]} and ip[4:2] == 7`;
      const { frames } = await captured('blue1', 'eth0', filter, () => sendFrames(net, 'blue2', 'eth0', inner));
      expect(frames.toSorted()).toEqual(inner.toSorted());
      const back = await scapy<string[]>(net, 'fabric', FRAMES, { mac: MAC[0], ca: CA[0], to: MAC[1], other: CA[1] });
      const there = `ether src ${MAC[0]} and ether dst ${MAC[1]} and ip[4:2] == 7`;
      const theirs = await captured('blue2', 'eth0', there, () => sendFrames(net, 'blue1', 'eth0', back));
      expect(theirs.frames.toSorted()).toEqual(back.toSorted());
    });

    it('Bulkhead in its place sends the same, but for identification and FlowID', async () => {
      await ovs!.stop();
      ovs = undefined;
      const h2 = await start('h2', hostDocument('h2'));
      const ours = await sendAll();
      for (const to of Object.keys(sent)) expect(ours[to]!.map(comparable)).toEqual(sent[to]!.map(comparable));
      for (const frame of Object.values(ours).flat()) expect(headerSum(frame)).toBe(0xffff);
      expect(ours.blue!.map(flowIdOf)).toEqual(ours.red!.map(flowIdOf));
      expect((await h2.status()).drops).toEqual({});
    });

    it('RFC 7637 §3: GRE that is no NVGRE is dropped and counted by what is wrong with it', async () => {
      const before = (await h1.status()).drops;
      const remote = { pa: HOSTS.h2, remote: HOSTS.h1, key: (VSID.blue << 8) | 1 };
      const seen = await captured('blue1', 'eth0', `ether dst ${MAC[0]} and udp port 9`, () =>
        scapy(net, 'h2', HOSTILE, { mac: MAC[1], ca: CA[1], to: MAC[0], other: CA[0], ...remote }),
      );
      expect(seen.frames).toEqual([]);
      const after = (await h1.status()).drops;
      const more = Object.entries(after).map(([name, count]) => [name, count - (before[name] ?? 0)] as const);
      expect(Object.fromEntries(more.filter(([, count]) => count > 0))).toEqual({
        gre: 5,
        vsid: 3,
        vlanTag: 1,
        spoofed: 2,
      });
    });
  });
});

/* outer Ethernet 14 | outer IPv4 20, identification at 18, checksum at 24 | GRE 8, FlowID at 41 | inner frame */
/** The frames around `inner`, each of which there must be once; Open vSwitch may change their order. */
const carrying = (inner: readonly string[], frames: readonly string[]): readonly string[] =>
  inner.map((each) => {
    const found = frames.filter((frame) => frame.slice(84) === each);
    expect(found.length, `frames around ${each}`).toBe(1);
    return found[0]!;
  });
const flowIdOf = (frame: string): number => Number.parseInt(frame.slice(82, 84), 16);
const withoutVsid = (frame: string): string => blank(comparable(frame), 38, 3);
const comparable = (frame: string): string => blank(blank(blank(frame, 18, 2), 24, 2), 41, 1);
const blank = (frame: string, at: number, octets: number): string =>
  `${frame.slice(0, 2 * at)}${'.'.repeat(2 * octets)}${frame.slice(2 * (at + octets))}`;
const macAt = (frame: string, at: number): string => frame.slice(2 * at, 2 * at + 12).replace(/..(?=.)/g, '$&:');
const addressesOf = (frame: string) => ({ to: macAt(frame, 0), from: macAt(frame, 6) });

/** RFC 1071 over the outer IPv4 header: 0xffff where its checksum is right. */
function headerSum(frame: string): number {
  let sum = 0;
  for (let at = 28; at < 68; at += 4) sum += Number.parseInt(frame.slice(at, at + 4), 16);
  return (sum & 0xffff) + (sum >>> 16);
}
