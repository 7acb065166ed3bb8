import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { Segment } from '../../src/compartment/index.ts';
import { seededRandom, toHex } from '../../src/core/index.ts';
import { ETHERNET_HEADER, HEADROOM, octetsOf, type Packet, PacketPool } from '../../src/ip/index.ts';
import { addr, counting, echo, icmp6, ipv4, ipv6, join, tcp, udp } from './octets.ts';
import { arp, BROADCAST, discovery, ethernet, macOf, Port, US } from './port.ts';

const [A, B] = ['02:00:00:00:00:0a', '02:00:00:00:00:0b'];
const [IPV4, ARP, IPV6] = [0x0800, 0x0806, 0x86dd];
const packet4 = (src = '10.3.0.10', dst = '10.2.0.7') => ipv4({ src, dst }, udp(src, dst, 1, 2, counting(20)));
const packet6 = (src = '2001:db8:3::10', dst = '2001:db8:2::7') =>
  ipv6({ src, dst }, udp(src, dst, 1, 2, counting(20)));

const asks = (mac: string, from: string, to: string, by = BROADCAST) =>
  ethernet(by, mac, ARP, arp(1, mac, from, undefined, to));
const replies = (mac: string, from: string, toMac: string, to: string) =>
  ethernet(toMac, mac, ARP, arp(2, mac, from, toMac, to));
const solicits = (mac: string, src: string, target: string, dst = target, to = US) =>
  ethernet(to, mac, IPV6, discovery(135, src, dst, target, { option: [1, mac] }));
const advertises = (mac: string, target: string, dst: string, flags = 0x60, to = US) =>
  ethernet(to, mac, IPV6, discovery(136, target, dst, target, { flags, option: [2, mac] }));
const hex = (...frames: Uint8Array[]): string[] => frames.map(toHex);

describe('RFC 894, RFC 2464: frames in', () => {
  const good4 = ethernet(US, A, IPV4, packet4());
  it.each([
    ['IPv4', good4, 'pass'],
    ['IPv4 with padding behind', join(good4, new Uint8Array(40)), 'pass'],
    ['IPv6', ethernet(US, A, IPV6, packet6()), 'pass'],
    ['for another station', ethernet(B, A, IPV4, packet4()), 'notOurs'],
    ['ARP for another station', ethernet(B, A, ARP, arp(2, A, '10.3.0.10', B, '10.3.0.11')), 'notOurs'],
    ['from a group', ethernet(US, '03:00:00:00:00:0a', IPV4, packet4()), 'martian'],
    ['from our own MAC address', ethernet(BROADCAST, US, IPV4, packet4()), 'martian'],
    ['another EtherType', ethernet(US, A, 0x88cc, counting(50)), 'etherType'],
    ['an IEEE 802.3 length', ethernet('01:80:c2:00:00:00', A, 38, counting(50)), 'etherType'],
    ['a VLAN tag', ethernet(US, A, 0x8100, join([0, 5, 8, 0], packet4())), 'vlanTag'],
    ['a service tag', ethernet(US, A, 0x88a8, counting(60)), 'vlanTag'],
    ['no header', good4.subarray(0, 13), 'short'],
    ['nothing', new Uint8Array(0), 'short'],
    ['IPv4, a cut header', good4.subarray(0, 14 + 19), 'short'],
    ['IPv6, a cut header', ethernet(US, A, IPV6, packet6().subarray(0, 39)), 'short'],
    ['IPv6 that says it is IPv4', ethernet(US, A, IPV4, packet6()), 'version'],
    ['IPv4 that says it is IPv6', ethernet(US, A, IPV6, join(packet4(), counting(40))), 'version'],
    ['RFC 1812 §5.3.4: one host, to all', ethernet(BROADCAST, A, IPV4, packet4()), 'notForwarded'],
    ['RFC 1812 §5.3.4: one host, to a group', ethernet('33:33:00:00:00:01', A, IPV6, packet6()), 'notForwarded'],
    ['a group, to a group', ethernet('01:00:5e:00:00:05', A, IPV4, packet4('10.3.0.10', '224.0.0.5')), 'pass'],
    ['all, to all', ethernet(BROADCAST, A, IPV4, packet4('10.3.0.10', '255.255.255.255')), 'pass'],
    ['malformed ARP', ethernet(BROADCAST, A, ARP, counting(28)), 'neighbourMessage'],
    [
      'cut ARP',
      ethernet(BROADCAST, A, ARP, arp(1, A, '10.3.0.10', undefined, '10.3.0.1').subarray(0, 27)),
      'neighbourMessage',
    ],
  ])('%s: %s', (_, frame, expected) => {
    const port = new Port();
    expect(port.receive(frame)).toBe(expected);
    const codes = Object.entries(port.segment.drops).filter(([, count]) => count > 0);
    expect(codes.length).toBe(expected === 'pass' ? 0 : 1);
    expect([port.packets.length, port.pool.taken]).toEqual([expected === 'pass' ? 1 : 0, 0]);
  });

  it('the packet goes on without its header, where it lies', () => {
    const port = new Port();
    port.receive(ethernet(US, A, IPV4, packet4()));
    port.receive(ethernet(US, A, IPV6, packet6()));
    expect(port.packets.map(toHex)).toEqual(hex(packet4(), packet6()));
  });

  it('any octets end somewhere, and no packet is lost', () => {
    const samples = [
      ethernet(US, A, IPV4, packet4()),
      ethernet(US, A, IPV6, packet6()),
      asks(A, '10.3.0.10', '10.3.0.1'),
      replies(A, '10.3.0.10', US, '10.3.0.1'),
      solicits(A, '2001:db8:3::10', '2001:db8:3::1'),
      advertises(A, '2001:db8:3::10', '2001:db8:3::1'),
    ];
    const change = fc.tuple(fc.nat(90), fc.nat(255));
    const frame = fc
      .tuple(fc.constantFrom(...samples), fc.array(change, { maxLength: 4 }), fc.integer({ min: 0, max: 100 }))
      .map(([sample, changes, cut]) => {
        const out = sample.slice(0, cut > 20 ? sample.length : Math.min(sample.length, 4 * cut));
        for (const [at, octet] of changes) if (at < out.length) out[at] = octet;
        return out;
      });
    const port = new Port();
    fc.assert(
      fc.property(fc.array(frame, { minLength: 1, maxLength: 20 }), (frames) => {
        for (const octets of frames) {
          port.receive(octets);
          port.transmit(packet4('10.2.0.7', '10.3.0.10'));
          port.pass(100);
        }
        expect(port.pool.taken).toBe(port.segment.neighbours().reduce((sum, n) => sum + n.waiting, 0));
      }),
      { numRuns: 300 },
    );
  });
});

describe('frames out', () => {
  it('RFC 826: asks everybody, and sends what waited when the answer is there', () => {
    const port = new Port();
    const [first, second] = [packet4('10.2.0.7', '10.3.0.10'), packet4('10.2.0.8', '10.3.0.10')];
    port.transmit(first);
    expect(port.sent()).toEqual([
      'ffffffffffff02000000000108060001080006040001020000000001' + '0a030001' + '000000000000' + '0a03000a',
    ]);
    port.transmit(second);
    expect(port.sent()).toEqual([]);
    expect(port.receive(replies(A, '10.3.0.10', US, '10.3.0.1'))).toBe('pass');
    expect(port.sent()).toEqual(hex(ethernet(A, US, IPV4, first), ethernet(A, US, IPV4, second)));
    expect(port.states()).toEqual([`10.3.0.10 reachable ${A}`]);
    port.transmit(second);
    expect(port.sent()).toEqual(hex(ethernet(A, US, IPV4, second)));
    expect(port.pool.taken).toBe(0);
  });

  it('RFC 4861 §7.2.2: asks the solicited-node group, with its MAC address in an option', () => {
    const port = new Port();
    const packet = packet6('2001:db8:2::7', '2001:db8:3::10');
    port.transmit(packet);
    const solicitation = discovery(135, '2001:db8:3::1', 'ff02::1:ff00:10', '2001:db8:3::10', { option: [1, US] });
    expect(port.sent()).toEqual(hex(ethernet('33:33:ff:00:00:10', US, IPV6, solicitation)));
    expect(port.receive(advertises(A, '2001:db8:3::10', '2001:db8:3::1'))).toBe('pass');
    expect(port.sent()).toEqual(hex(ethernet(A, US, IPV6, packet)));
    expect(port.states()).toEqual([`2001:db8:3::10 reachable ${A}`]);
  });

  it('RFC 4861 §7.3.3: probes go to the one who is known', () => {
    const port = new Port();
    const ways = [
      [packet4('10.2.0.7', '10.3.0.10'), replies(A, '10.3.0.10', US, '10.3.0.1')],
      [packet6('2001:db8:2::7', '2001:db8:3::10'), advertises(A, '2001:db8:3::10', '2001:db8:3::1')],
    ] as const;
    for (const [packet, answer] of ways) {
      port.transmit(packet);
      port.receive(answer);
    }
    port.pass(60_000);
    for (const [packet] of ways) port.transmit(packet);
    port.sent();
    port.pass(5000);
    const probe = discovery(135, '2001:db8:3::1', '2001:db8:3::10', '2001:db8:3::10', { option: [1, US] });
    expect(port.sent()).toEqual(hex(asks(US, '10.3.0.1', '10.3.0.10', A), ethernet(A, US, IPV6, probe)));
    const bare = discovery(136, '2001:db8:3::10', '2001:db8:3::1', '2001:db8:3::10', { flags: 0x40 });
    port.receive(replies(A, '10.3.0.10', US, '10.3.0.1'));
    port.receive(ethernet(US, A, IPV6, bare));
    expect(port.states()).toEqual([`10.3.0.10 reachable ${A}`, `2001:db8:3::10 reachable ${A}`]);
    expect(port.segment.counters).toMatchObject({ solicitations: 2, probes: 2, resolved: 2, lost: 0 });
  });

  it('to a next hop, of either family', () => {
    const port = new Port();
    port.segment.addPermanent(addr('10.3.0.254'), macOf(A), port.now);
    port.segment.addPermanent(addr('fe80::1'), macOf(B), port.now);
    port.transmit(packet4('10.3.0.10', '192.0.2.1'), addr('10.3.0.254'));
    port.transmit(packet4('10.3.0.10', '192.0.2.1'), addr('fe80::1'));
    port.transmit(packet6('2001:db8:3::10', '2001:db8:9::1'), addr('fe80::1'));
    expect(port.sent()).toEqual(
      hex(
        ethernet(A, US, IPV4, packet4('10.3.0.10', '192.0.2.1')),
        ethernet(B, US, IPV4, packet4('10.3.0.10', '192.0.2.1')),
        ethernet(B, US, IPV6, packet6('2001:db8:3::10', '2001:db8:9::1')),
      ),
    );
  });

  it.each([
    [packet4('10.3.0.1', '224.0.0.251'), '01:00:5e:00:00:fb', IPV4],
    [packet4('10.3.0.1', '255.255.255.255'), BROADCAST, IPV4],
    [packet6('2001:db8:3::1', 'ff02::fb'), '33:33:00:00:00:fb', IPV6],
  ])('RFC 1112 §6.4, RFC 2464 §7: to a group', (packet, to, type) => {
    const port = new Port();
    port.transmit(packet);
    expect(port.sent()).toEqual(hex(ethernet(to, US, type, packet)));
    expect(port.segment.neighbours()).toEqual([]);
  });

  it('a superframe passes both ways, with one header in front', () => {
    const pool = new PacketPool(2, 65535);
    const [src, dst] = ['10.3.0.10', '10.2.0.7'];
    const large = ipv4({ src, dst, protocol: 6 }, tcp(src, dst, { flags: 0x10 }, counting(40_000)));
    const seen: unknown[] = [];
    const note = ({ segment, partial, start, end, buf }: Packet, at: number) => {
      seen.push([segment, partial, start, toHex(buf.subarray(start + at, end)) === toHex(large)]);
    };
    const segment = new Segment({
      mac: macOf(US),
      pool,
      addresses: [],
      random: seededRandom(1),
      sink: {
        frame: (packet) => note(packet, ETHERNET_HEADER),
        ip: (packet) => note(packet, 0),
        refuse: () => undefined,
      },
    });
    segment.addPermanent(addr(dst), macOf(B), 0);
    const packet = pool.from(ethernet(US, A, IPV4, large))!;
    Object.assign(packet, { segment: 1400, partial: true });
    segment.receive(packet, 0);
    segment.transmit(packet, undefined, 0);
    expect(seen).toEqual([
      [1400, true, HEADROOM + ETHERNET_HEADER, true],
      [1400, true, HEADROOM, true],
    ]);
    expect(toHex(octetsOf(packet).subarray(0, ETHERNET_HEADER))).toBe(toHex(ethernet(B, US, IPV4, [])));
  });

  it('without room in front a packet is refused', () => {
    const port = new Port();
    port.segment.addPermanent(addr('10.3.0.10'), macOf(A), port.now);
    const packet = port.packetOf(new Uint8Array(100));
    packet.start = 13;
    packet.end = 13 + 48;
    packet.buf.set(packet4('10.2.0.7', '10.3.0.10'), 13);
    port.segment.transmit(packet, undefined, port.now);
    expect([port.refused, port.frames]).toEqual([['noRoom'], []]);
  });

  it('who does not answer is given up after three seconds', () => {
    const port = new Port({ limits: { waitingEach: 3 } });
    for (const _ of [1, 2, 3, 4]) port.transmit(packet4('10.2.0.7', '10.3.0.10'));
    expect(port.refused).toEqual(['queueFull']);
    port.pass(2999);
    expect(port.sent().length).toBe(3);
    port.pass(1);
    expect(port.refused).toEqual(['queueFull', 'neighbour', 'neighbour', 'neighbour']);
    expect(port.segment.counters).toMatchObject({ solicitations: 3, failed: 1, waitingRefused: 1, unreachable: 3 });
    expect(port.pool.taken).toBe(0);
  });

  it('RFC 5227 §1.1: without an address of ours IPv4 neighbours are asked by nobody, IPv6 ones not at all', () => {
    const port = new Port({ addresses: [] });
    port.transmit(packet4('10.2.0.7', '10.3.0.10'));
    port.transmit(packet6('2001:db8:2::7', '2001:db8:3::10'));
    expect(port.sent()).toEqual(hex(asks(US, '0.0.0.0', '10.3.0.10')));
    port.receive(replies(A, '10.3.0.10', US, '0.0.0.0'));
    expect(port.sent()).toEqual(hex(ethernet(A, US, IPV4, packet4('10.2.0.7', '10.3.0.10'))));
    port.pass(3000);
    expect(port.refused).toEqual(['neighbour']);
  });

  it('asks with the address of the network it asks in', () => {
    const port = new Port({ addresses: ['10.3.0.1/24', '10.4.0.1/16', '2001:db8:3::1/64', 'fe80::5/64'] });
    for (const to of ['10.4.9.9', '10.9.0.9']) port.transmit(packet4('10.2.0.7', to));
    expect(port.sent()).toEqual(hex(asks(US, '10.4.0.1', '10.4.9.9'), asks(US, '10.3.0.1', '10.9.0.9')));
    port.transmit(packet6('2001:db8:2::7', '2001:db8:9::9'), addr('fe80::99'));
    expect(port.sent()[0]!.slice(28 + 16, 28 + 48)).toBe(toHex(addr('fe80::5')));
  });

  it('with an empty pool nothing is said, and that is counted', () => {
    const port = new Port({ pool: new PacketPool(1, 2048) });
    port.transmit(packet4('10.2.0.7', '10.3.0.10'));
    expect(port.sent()).toEqual([]);
    expect(port.segment.counters).toMatchObject({ withoutBuffer: 1, solicitations: 0 });
    port.pass(3000);
    expect([port.refused, port.pool.taken]).toEqual([['neighbour'], 0]);
  });
});

describe('RFC 826: requests for us', () => {
  it('are answered to whoever asked, exactly', () => {
    const port = new Port();
    expect(port.receive(asks(A, '10.3.0.10', '10.3.0.1'))).toBe('pass');
    expect(port.sent()).toEqual([
      '02000000000a02000000000108060001080006040002020000000001' + '0a030001' + '02000000000a' + '0a03000a',
    ]);
    expect(port.states()).toEqual([`10.3.0.10 stale ${A}`]);
    expect(port.segment.counters).toMatchObject({ answers: 1, learned: 1 });
  });

  it('RFC 4861 §7.2.4: solicited advertisements, router and override', () => {
    const port = new Port();
    const [a, us] = ['2001:db8:3::10', '2001:db8:3::1'];
    expect(port.receive(solicits(A, a, us, 'ff02::1:ff00:1', '33:33:ff:00:00:01'))).toBe('pass');
    const answer = ethernet(A, US, IPV6, discovery(136, us, a, us, { flags: 0xe0, option: [2, US] }));
    expect(port.sent()).toEqual(hex(answer));
    expect(port.states()).toEqual([`${a} stale ${A}`]);
  });

  it('as Linux probes: from a link-local address, which is answered and not kept', () => {
    const port = new Port();
    const [a, us] = ['fe80::215:5dff:fe00:20', '2001:db8:3::1'];
    expect(port.receive(solicits(A, a, us))).toBe('pass');
    const answer = ethernet(A, US, IPV6, discovery(136, us, a, us, { flags: 0xe0, option: [2, US] }));
    expect(port.sent()).toEqual(hex(answer));
    const bare = ethernet(US, A, IPV6, discovery(135, a, us, us));
    expect(port.receive(bare)).toBe('pass');
    expect(port.sent()).toEqual(hex(answer));
    expect(port.states()).toEqual([]);
  });

  it('RFC 5227 §1.1, RFC 4862 §5.4.3: whoever wants to know whether an address is free is told, and not learned', () => {
    const port = new Port();
    expect(port.receive(asks(A, '0.0.0.0', '10.3.0.1'))).toBe('pass');
    expect(port.sent()).toEqual(hex(replies(US, '10.3.0.1', A, '0.0.0.0')));
    const us = '2001:db8:3::1';
    const detection = discovery(135, '::', 'ff02::1:ff00:1', us);
    expect(port.receive(ethernet('33:33:ff:00:00:01', A, IPV6, detection))).toBe('pass');
    const answer = discovery(136, us, 'ff02::1', us, { flags: 0xa0, option: [2, US] });
    expect(port.sent()).toEqual(hex(ethernet('33:33:00:00:00:01', US, IPV6, answer)));
    port.segment.answerFor({ address: addr('0.0.0.0'), length: 0 });
    expect(port.receive(asks(A, '0.0.0.0', '10.3.0.1'))).toBe('pass');
    expect([port.states(), port.conflicts]).toEqual([[], []]);
  });

  it('from whom no network of ours can have are answered, and nobody is learned', () => {
    const port = new Port();
    expect(port.receive(asks(A, '192.0.2.9', '10.3.0.1'))).toBe('pass');
    expect(port.receive(solicits(A, '2001:db8:9::9', '2001:db8:3::1'))).toBe('pass');
    expect(port.receive(asks(A, '10.3.0.255', '10.3.0.1'))).toBe('pass');
    expect(port.receive(asks(A, '10.3.0.0', '10.3.0.1'))).toBe('pass');
    expect([port.sent().length, port.states()]).toEqual([4, []]);
  });

  it('for others end here', () => {
    const port = new Port();
    expect(port.receive(asks(A, '10.3.0.10', '10.3.0.11'))).toBe('notOurs');
    expect(port.receive(solicits(A, '2001:db8:3::10', '2001:db8:3::11', 'ff02::1:ff00:11', '33:33:ff:00:00:11'))).toBe(
      'notOurs',
    );
    expect(
      port.receive(ethernet('33:33:ff:00:00:11', A, IPV6, discovery(135, '::', 'ff02::1:ff00:11', '2001:db8:3::11'))),
    ).toBe('notOurs');
    expect([port.sent(), port.states()]).toEqual([[], []]);
  });

  it('for prefixes that are ours, too, until they are not', () => {
    const port = new Port();
    const [one, many] = [
      { address: addr('10.3.0.50'), length: 32 },
      { address: addr('10.3.0.64'), length: 28 },
    ];
    expect([port.segment.answerFor(one), port.segment.answerFor(many)]).toEqual([true, true]);
    const answered = () =>
      ['10.3.0.49', '10.3.0.50', '10.3.0.63', '10.3.0.64', '10.3.0.79', '10.3.0.80'].filter((address) => {
        port.receive(asks(A, '10.3.0.10', address));
        const sent = port.sent();
        if (sent.length > 0) expect(sent).toEqual(hex(replies(US, address, A, '10.3.0.10')));
        return sent.length > 0;
      });
    expect(answered()).toEqual(['10.3.0.50', '10.3.0.64', '10.3.0.79']);
    expect([port.segment.stopAnswering(many), port.segment.stopAnswering(many)]).toEqual([true, false]);
    expect(answered()).toEqual(['10.3.0.50']);
    port.segment.answerFor({ address: addr('2001:db8:3::50'), length: 128 });
    port.receive(solicits(A, '2001:db8:3::10', '2001:db8:3::50'));
    expect(port.sent().length).toBe(1);
  });

  it('prefixes that are answered for are bounded', () => {
    const port = new Port({ limits: { answered: 1 } });
    const prefixes = ['10.3.0.50', '10.3.0.51'].map((text) => ({ address: addr(text), length: 32 }));
    expect(prefixes.map((prefix) => port.segment.answerFor(prefix))).toEqual([true, false]);
    expect(port.segment.answerFor(prefixes[0]!)).toBe(true);
    expect(port.segment.counters.configurationRefused).toBe(1);
  });

  it('are answered for the addresses we have then', () => {
    const port = new Port();
    port.segment.setAddresses([{ address: addr('10.3.0.2'), length: 24 }]);
    expect(port.receive(asks(A, '10.3.0.10', '10.3.0.1'))).toBe('notOurs');
    expect(port.receive(asks(A, '10.3.0.10', '10.3.0.2'))).toBe('pass');
    expect(port.receive(solicits(A, '2001:db8:3::10', '2001:db8:3::1'))).toBe('pass');
    expect(port.sent()).toEqual(hex(replies(US, '10.3.0.2', A, '10.3.0.10')));
  });
});

describe('RFC 826, RFC 4861 §7.2.5: what nobody asked for', () => {
  const unasked: readonly (readonly [string, Uint8Array])[] = [
    ['a reply', replies(A, '10.3.0.10', US, '10.3.0.1')],
    ['a reply to all', ethernet(BROADCAST, A, ARP, arp(2, A, '10.3.0.10', A, '10.3.0.10'))],
    ['an announcement', asks(A, '10.3.0.10', '10.3.0.10')],
    ['an advertisement', advertises(A, '2001:db8:3::10', '2001:db8:3::1')],
    ['an advertisement to all', advertises(A, '2001:db8:3::10', 'ff02::1', 0x20, '33:33:00:00:00:01')],
  ];

  it.each(unasked)('%s makes nobody a neighbour', (_, frame) => {
    const port = new Port();
    port.receive(frame);
    expect([port.states(), port.sent()]).toEqual([[], []]);
  });

  it.each(unasked)('%s changes a known one', (_, frame) => {
    const port = new Port();
    port.receive(asks(B, '10.3.0.10', '10.3.0.1'));
    port.receive(solicits(B, '2001:db8:3::10', '2001:db8:3::1'));
    port.receive(frame);
    expect(port.states().filter((state) => state.endsWith(A)).length).toBe(1);
    expect(port.segment.counters).toMatchObject({ moved: 1, learned: 2 });
  });

  it('a reply makes sure of a neighbour only where it was asked for', () => {
    const port = new Port();
    port.receive(asks(A, '10.3.0.10', '10.3.0.1'));
    port.receive(replies(A, '10.3.0.10', US, '10.3.0.1'));
    expect(port.states()).toEqual([`10.3.0.10 stale ${A}`]);
    port.transmit(packet4('10.2.0.7', '10.3.0.10'));
    port.receive(replies(A, '10.3.0.10', US, '10.3.0.1'));
    expect(port.states()).toEqual([`10.3.0.10 delay ${A}`]);
    port.pass(5000);
    port.receive(ethernet(BROADCAST, A, ARP, arp(2, A, '10.3.0.10', A, '10.3.0.10')));
    expect(port.states()).toEqual([`10.3.0.10 probe ${A}`]);
    port.receive(replies(A, '10.3.0.10', US, '10.3.0.1'));
    expect(port.states()).toEqual([`10.3.0.10 reachable ${A}`]);
  });

  it('an announcement of who is sought is enough to send to him', () => {
    const port = new Port();
    const packet = packet4('10.2.0.7', '10.3.0.10');
    port.transmit(packet);
    port.sent();
    port.receive(asks(A, '10.3.0.10', '10.3.0.10'));
    expect(port.sent()).toEqual(hex(ethernet(A, US, IPV4, packet)));
    expect(port.states()).toEqual([`10.3.0.10 stale ${A}`]);
  });
});

describe('RFC 5227 §2.3, RFC 4861 §7.2.6: announcements', () => {
  it('say what is ours to all, twice', () => {
    const port = new Port();
    port.segment.answerFor({ address: addr('10.3.0.50'), length: 32 });
    port.segment.answerFor({ address: addr('10.3.0.64'), length: 28 });
    port.segment.announce(port.now);
    const us = '2001:db8:3::1';
    const advertisement = discovery(136, us, 'ff02::1', us, { flags: 0xa0, option: [2, US] });
    const all = hex(
      asks(US, '10.3.0.1', '10.3.0.1'),
      ethernet('33:33:00:00:00:01', US, IPV6, advertisement),
      asks(US, '10.3.0.50', '10.3.0.50'),
    );
    const sent = port.sent();
    expect(sent).toEqual(all);
    expect(sent[0]).toBe(
      'ffffffffffff02000000000108060001080006040001020000000001' + '0a030001' + '000000000000' + '0a030001',
    );
    expect(port.segment.deadline()).toEqual({ at: 3000, why: '10.3.0.1 is announced' });
    port.pass(1999);
    expect(port.sent()).toEqual([]);
    port.segment.stopAnswering({ address: addr('10.3.0.50'), length: 32 });
    port.pass(1);
    expect(port.sent()).toEqual(all.slice(0, 2));
    expect([port.segment.deadline(), port.segment.counters.announcements]).toEqual([undefined, 5]);
  });

  it('of one address', () => {
    const port = new Port();
    port.segment.announce(port.now, addr('10.3.0.1'));
    port.segment.announce(port.now, addr('10.3.0.99'));
    expect(port.sent()).toEqual(hex(asks(US, '10.3.0.1', '10.3.0.1')));
  });

  it('of thousands leave the pool to others: 64 at once', () => {
    const port = new Port({ limits: { answered: 4096 } });
    for (let n = 0; n < 300; n++) {
      port.segment.answerFor({ address: Uint8Array.of(10, 3, 1 + (n >>> 8), n & 255), length: 32 });
    }
    port.segment.announce(port.now);
    expect(port.sent().length).toBe(64);
    const bursts: number[] = [];
    for (let next = port.segment.deadline(); next !== undefined; next = port.segment.deadline()) {
      port.now = Math.max(port.now, next.at);
      port.segment.expire(port.now);
      bursts.push(port.sent().length);
    }
    expect(Math.max(...bursts)).toBe(64);
    expect(bursts.reduce((a, b) => a + b, 64)).toBe(2 * 302);
  });
});

describe('RFC 5227 §2.4: somebody claims our address', () => {
  const claims: readonly (readonly [string, string, Uint8Array])[] = [
    ['by asking', '10.3.0.1', asks(A, '10.3.0.1', '10.3.0.11')],
    ['by announcing', '10.3.0.1', asks(A, '10.3.0.1', '10.3.0.1')],
    ['by replying', '10.3.0.1', replies(A, '10.3.0.1', US, '10.3.0.11')],
    ['of a NAT', '10.3.0.50', asks(A, '10.3.0.50', '10.3.0.11')],
    ['by advertising', '2001:db8:3::1', advertises(A, '2001:db8:3::1', 'ff02::1', 0x20, '33:33:00:00:00:01')],
    [
      'by soliciting',
      '2001:db8:3::1',
      solicits(A, '2001:db8:3::1', '2001:db8:3::9', 'ff02::1:ff00:9', '33:33:ff:00:00:09'),
    ],
  ];

  it.each(claims)('%s: reported and defended, once in ten seconds', (_, address, frame) => {
    const port = new Port();
    port.segment.answerFor({ address: addr('10.3.0.50'), length: 32 });
    port.segment.announce(port.now, addr(address));
    const announcement = port.sent();
    port.pass(2000);
    port.sent();
    expect(port.receive(frame)).toBe('pass');
    expect([port.conflicts, port.sent()]).toEqual([[`${address} ${A}`], announcement]);
    port.pass(9999);
    expect(port.receive(frame)).toBe('pass');
    expect([port.conflicts.length, port.sent()]).toEqual([1, []]);
    port.pass(1);
    port.receive(frame);
    expect([port.conflicts.length, port.sent()]).toEqual([2, announcement]);
    expect(port.segment.counters).toMatchObject({ conflicts: 3, defences: 2, learned: 0 });
    expect(port.states()).toEqual([]);
  });

  it('each address has its own ten seconds, which survive a change of the others', () => {
    const port = new Port({ addresses: ['10.3.0.1/24', '10.3.0.2/24'] });
    port.receive(asks(A, '10.3.0.1', '10.3.0.1'));
    port.receive(asks(A, '10.3.0.2', '10.3.0.2'));
    expect(port.segment.counters.defences).toBe(2);
    port.segment.setAddresses([{ address: addr('10.3.0.2'), length: 24 }]);
    port.receive(asks(A, '10.3.0.2', '10.3.0.2'));
    expect(port.segment.counters).toMatchObject({ conflicts: 3, defences: 2 });
  });

  it('our own words that come back are no conflict', () => {
    const port = new Port();
    expect(port.receive(ethernet(BROADCAST, A, ARP, arp(1, US, '10.3.0.1', undefined, '10.3.0.9')))).toBe('martian');
    expect(port.receive(ethernet(BROADCAST, US, ARP, arp(1, US, '10.3.0.1', undefined, '10.3.0.9')))).toBe('martian');
    expect([port.conflicts, port.segment.counters.conflicts]).toEqual([[], 0]);
  });
});

describe('RFC 4861 §7.1, RFC 6980 §5: neighbour discovery that is not believed', () => {
  const [a, us] = ['2001:db8:3::10', '2001:db8:3::1'];
  const behind = (header: number, extension: readonly number[]) => {
    const message = icmp6(a, us, 135, 0, [0, 0, 0, 0], join(addr(us), [1, 1], macOf(A)));
    return ethernet(US, A, IPV6, ipv6({ src: a, dst: us, next: header, hop: 255 }, join(extension, message)));
  };

  it.each([
    ['from behind a router', ethernet(US, A, IPV6, discovery(135, a, us, us, { hop: 254 })), 'neighbourMessage'],
    ['fragmented', behind(44, [58, 0, 0, 0, 0, 0, 0, 1]), 'neighbourMessage'],
    ['from a group', ethernet(US, A, IPV6, discovery(135, 'ff02::1', us, us)), 'martian'],
    [
      'with a wrong checksum',
      (() => {
        const frame = solicits(A, a, us);
        frame[14 + 42]! ^= 1;
        return frame;
      })(),
      'checksum',
    ],
    [
      'a router that is sought',
      ethernet(
        '33:33:00:00:00:02',
        A,
        IPV6,
        ipv6(
          { src: 'fe80::a', dst: 'ff02::2', next: 58, hop: 255 },
          icmp6('fe80::a', 'ff02::2', 133, 0, [0, 0, 0, 0], new Uint8Array(0)),
        ),
      ),
      'notForwarded',
    ],
    [
      'a router that advertises itself',
      ethernet(
        '33:33:00:00:00:01',
        A,
        IPV6,
        ipv6(
          { src: 'fe80::a', dst: 'ff02::1', next: 58, hop: 255 },
          icmp6('fe80::a', 'ff02::1', 134, 0, [64, 0, 7, 8], new Uint8Array(8)),
        ),
      ),
      'notForwarded',
    ],
    [
      'a redirect',
      ethernet(
        US,
        A,
        IPV6,
        ipv6(
          { src: 'fe80::a', dst: us, next: 58, hop: 255 },
          icmp6('fe80::a', us, 137, 0, [0, 0, 0, 0], join(addr('fe80::b'), addr('2001:db8:9::9'))),
        ),
      ),
      'notForwarded',
    ],
  ])('%s: %s', (_, frame, expected) => {
    const port = new Port();
    expect(port.receive(frame)).toBe(expected);
    expect([port.sent(), port.states(), port.packets]).toEqual([[], [], []]);
  });

  it('behind a harmless extension header it is', () => {
    const port = new Port();
    expect(port.receive(behind(60, [58, 0, 1, 4, 0, 0, 0, 0]))).toBe('pass');
    expect(port.sent().length).toBe(1);
  });

  it('on its way to somebody else it is a packet like others, and so is an echo request', () => {
    const port = new Port();
    const passing = discovery(136, a, '2001:db8:2::7', a, { hop: 64 });
    const ping = echo(a, us);
    for (const packet of [passing, ping]) expect(port.receive(ethernet(US, A, IPV6, packet))).toBe('pass');
    expect(port.packets.map(toHex)).toEqual(hex(passing, ping));
  });
});

describe('configuration', () => {
  it('permanent neighbours are listed, contradicted in vain, and removed', () => {
    const port = new Port({ limits: { neighbours: 1 } });
    expect(port.segment.addPermanent(addr('10.3.0.10'), macOf(A), port.now)).toBe(true);
    expect(port.segment.addPermanent(addr('10.3.0.11'), macOf(A), port.now)).toBe(false);
    port.receive(asks(B, '10.3.0.10', '10.3.0.1'));
    expect(port.states()).toEqual([`10.3.0.10 permanent ${A}`]);
    expect(port.segment.counters).toMatchObject({ contradicted: 1, configurationRefused: 1 });
    expect(port.segment.removeNeighbour(addr('10.3.0.10'), port.now)).toBe(true);
    expect(port.segment.removeNeighbour(addr('10.3.0.10'), port.now)).toBe(false);
  });

  it('a segment that goes keeps nothing', () => {
    const port = new Port();
    for (const last of [10, 11, 12]) port.transmit(packet4('10.2.0.7', `10.3.0.${last}`));
    expect(port.pool.taken).toBe(3);
    port.segment.flushNeighbours(port.now);
    expect([port.pool.taken, port.refused]).toEqual([0, ['neighbour', 'neighbour', 'neighbour']]);
  });

  it('has the MAC address of one station', () => {
    expect(() => new Port({ mac: '01:00:00:00:00:01' })).toThrow();
  });
});
