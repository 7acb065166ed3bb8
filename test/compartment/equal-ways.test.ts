import { describe, expect, it } from 'vitest';
import { EQUAL_WAYS } from '../../src/compartment/routes.ts';
import { DROP, formatAddress } from '../../src/ip/index.ts';
import { Bench, net } from './fixture.ts';
import { addr, be16, counting, ipv4, ipv6, udp } from './octets.ts';

const [SRC, DST] = ['10.3.0.9', '10.2.0.7'];
const FLOWS = 1200;

/** The datagram number `n` of a client: its flow, and what else it says. */
const datagram = (n: number, data = counting(4), tos = 0): Uint8Array =>
  ipv4({ src: SRC, dst: DST, tos }, udp(SRC, DST, 1024 + n, 443, data));
const flowOf = (n: number) => ({
  source: addr(SRC),
  destination: addr(DST),
  protocol: 17,
  sourcePort: 1024 + n,
  destinationPort: 443,
});

/** A segment, and so many next hops on it for 10.2.0.0/16. */
function spread(hops: number, options: ConstructorParameters<typeof Bench>[0] = {}) {
  const bench = new Bench(options);
  const lan = bench.add('lan', 'ethernet', 1500, '10.3.0.1/24', '2001:db8:3::1/64');
  const nextHops = Array.from({ length: hops }, (_, n) => addr(`10.3.0.${100 + n}`));
  for (const nextHop of nextHops) bench.route('10.2.0.0/16', lan, 1, 'static', { nextHop });
  const hopOf = (packet: Uint8Array): string => {
    const { sent, dropped } = bench.receive(packet, lan);
    expect([sent.length, dropped]).toEqual([1, []]);
    return formatAddress(sent[0]!.nextHop!);
  };
  return { bench, lan, nextHops, hopOf };
}

const shares = (hops: readonly string[]): number[] => [
  ...hops.reduce((m, hop) => m.set(hop, (m.get(hop) ?? 0) + 1), new Map<string, number>()).values(),
];

describe('RFC 2991: equal ways', () => {
  it.each([2, 3, 5])('%i of them carry about the same number of flows', (hops) => {
    const { hopOf } = spread(hops);
    const counts = shares(Array.from({ length: FLOWS }, (_, n) => hopOf(datagram(n))));
    expect(counts.length).toBe(hops);
    for (const count of counts) expect(Math.abs(count - FLOWS / hops)).toBeLessThan(FLOWS / hops / 4);
  });

  it('a flow has one way, whatever its packets carry, and explain knows which', () => {
    const { bench, hopOf } = spread(4);
    for (let n = 0; n < 100; n++) {
      const hop = hopOf(datagram(n));
      expect(hopOf(datagram(n, counting(900), 0xb8))).toBe(hop);
      const { chosen } = bench.compartment.explain(addr(DST), flowOf(n));
      expect(formatAddress(chosen!.nextHop!)).toBe(hop);
    }
  });

  it('fragments go the way of their addresses, the first one, too', () => {
    const { hopOf } = spread(4);
    for (let n = 0; n < 50; n++) {
      const [src, dst] = [`10.3.0.${10 + n}`, DST];
      const whole = udp(src, dst, 1, 2, counting(72));
      const first = ipv4({ src, dst, mf: true }, whole.subarray(0, 48));
      const second = ipv4({ src, dst, offset: 48 }, whole.subarray(48));
      expect(hopOf(first)).toBe(hopOf(second));
      const other = udp(src, dst, 3, 4, counting(72));
      expect(hopOf(ipv4({ src, dst, mf: true }, other.subarray(0, 48)))).toBe(hopOf(first));
    }
  });

  it('IPv6 flows, fragments and next hops as well', () => {
    const { bench, lan } = spread(0);
    for (const n of [1, 2, 3]) {
      const nextHop = addr(`2001:db8:3::10${n}`);
      bench.route('2001:db8:2::/48', lan, 1, 'static', { nextHop });
    }
    const [src, dst] = ['2001:db8:3::9', '2001:db8:2::7'];
    const hopOf = (packet: Uint8Array) => formatAddress(bench.receive(packet, lan).sent[0]!.nextHop!);
    const hops = Array.from({ length: 300 }, (_, n) => hopOf(ipv6({ src, dst }, udp(src, dst, n, 53, counting(8)))));
    expect(shares(hops).length).toBe(3);
    const fragment = (offset: number, more: number, data: Uint8Array) =>
      ipv6({ src, dst, next: 44 }, Uint8Array.from([17, 0, ...be16(offset | more), 0, 0, 0, 1, ...data]));
    const whole = udp(src, dst, 1, 2, counting(72));
    expect(hopOf(fragment(0, 1, whole.subarray(0, 48)))).toBe(hopOf(fragment(48, 0, whole.subarray(48))));
  });

  it('when one goes, only its own flows move; when it is back, they return', () => {
    const { bench, lan, nextHops, hopOf } = spread(4);
    const lost = nextHops[1]!;
    const before = Array.from({ length: 400 }, (_, n) => hopOf(datagram(n)));
    expect(bench.compartment.removeRoute(net('10.2.0.0/16'), lan, 'static', lost)).toBe(true);
    const without = Array.from({ length: 400 }, (_, n) => hopOf(datagram(n)));
    for (const [n, hop] of before.entries()) {
      if (hop === formatAddress(lost)) expect(without[n]).not.toBe(hop);
      else expect(without[n]).toBe(hop);
    }
    bench.route('10.2.0.0/16', lan, 1, 'static', { nextHop: lost });
    const again = Array.from({ length: 400 }, (_, n) => hopOf(datagram(n)));
    for (const [n, hop] of again.entries()) if (hop !== formatAddress(lost)) expect(hop).toBe(without[n]);
  });

  it('ways by other interfaces share, too, and leave with them', () => {
    const { bench, lan } = spread(0);
    const tunnels = ['a', 'b'].map((name) => bench.add(name, 'connection', 1400));
    for (const tunnel of tunnels) bench.route('10.2.0.0/16', tunnel, 5, 'connection');
    const outs = () => new Set(Array.from({ length: 50 }, (_, n) => bench.receive(datagram(n), lan).sent[0]!.out));
    expect([...outs()].sort()).toEqual(tunnels);
    bench.compartment.setUp(tunnels[0]!, false);
    expect([...outs()]).toEqual([tunnels[1]]);
  });

  it('are chosen differently by compartments of other seeds', () => {
    const [one, two] = [spread(2, { seed: 1 }), spread(2, { seed: 2 })];
    const differing = Array.from({ length: 200 }, (_, n) => one.hopOf(datagram(n)) !== two.hopOf(datagram(n)));
    const count = differing.filter(Boolean).length;
    expect(count).toBeGreaterThan(50);
    expect(count).toBeLessThan(150);
  });

  it('the pieces of a packet that is cut go its way', () => {
    const { bench, lan, hopOf } = spread(4);
    bench.compartment.setMtu(lan, 600);
    for (let n = 0; n < 20; n++) {
      const hop = hopOf(datagram(n));
      const { sent } = bench.receive(datagram(n, counting(1200)), lan);
      expect(sent.length).toBeGreaterThan(1);
      expect(new Set(sent.map(({ nextHop }) => formatAddress(nextHop!)))).toEqual(new Set([hop]));
    }
  });

  it(`are the oldest ${EQUAL_WAYS} of more`, () => {
    const { bench, hopOf } = spread(EQUAL_WAYS + 2);
    const hops = new Set(Array.from({ length: FLOWS }, (_, n) => hopOf(datagram(n))));
    expect(hops.size).toBe(EQUAL_WAYS);
    const { among, passedOver } = bench.compartment.explain(addr(DST));
    expect(among?.length).toBe(EQUAL_WAYS);
    expect(passedOver.map(({ route, why }) => `${formatAddress(route.nextHop!)}: ${why}`)).toEqual([
      '10.3.0.116: 16 equal routes that were there before share the flows',
      '10.3.0.117: 16 equal routes that were there before share the flows',
    ]);
  });

  it('are none where networks are connected: a host is on one segment only', () => {
    const bench = new Bench();
    const lan = bench.add('lan', 'ethernet', 1500, '10.3.0.1/24');
    const first = bench.add('first', 'ethernet', 1500, '10.2.0.1/24');
    bench.add('second', 'ethernet', 1500, '10.2.0.2/24');
    for (let n = 0; n < 50; n++) expect(bench.receive(datagram(n), lan).sent[0]!.out).toBe(first);
    const { why, among, passedOver } = bench.compartment.explain(addr(DST));
    expect([why, among]).toEqual(['10.2.0.0/24 leaves by first: address 10.2.0.1/24 of first', undefined]);
    expect(passedOver.map((lost) => lost.why)).toEqual([
      'same preference 0 as the route by first, which was there before',
    ]);
  });
});

describe('next hops', () => {
  it('are told with what leaves, the same object each time, and nothing where the destination is meant', () => {
    const { bench, lan } = spread(1);
    const first = bench.receive(datagram(1), lan).sent[0]!;
    const second = bench.receive(datagram(2), lan).sent[0]!;
    expect(formatAddress(first.nextHop!)).toBe('10.3.0.100');
    expect(second.nextHop).toBe(first.nextHop);
    const onLink = ipv4({ src: SRC, dst: '10.3.0.77' }, udp(SRC, '10.3.0.77', 1, 2, counting(4)));
    expect(bench.receive(onLink, lan).sent).toEqual([{ out: lan, octets: expect.any(Uint8Array) }]);
  });

  it('RFC 8950: may be of the other family', () => {
    const { bench, lan } = spread(0);
    bench.route('10.2.0.0/16', lan, 1, 'static', { nextHop: addr('fe80::1') });
    expect(formatAddress(bench.receive(datagram(1), lan).sent[0]!.nextHop!)).toBe('fe80::1');
    expect(bench.compartment.explain(addr(DST)).why).toBe(
      '10.2.0.0/16 leaves by lan to fe80::1: static route of the test',
    );
  });

  it('tell routes apart that have the rest in common; without one all of them go', () => {
    const { bench, lan, nextHops } = spread(3);
    bench.route('10.2.0.0/16', lan, 1, 'static', { nextHop: nextHops[0]!, metric: 9 });
    const listed = () =>
      bench.compartment
        .routes()
        .filter(({ origin }) => origin === 'static')
        .map(({ nextHop, metric }) => `${formatAddress(nextHop!)} ${metric ?? 0}`);
    expect(listed()).toEqual(['10.3.0.101 0', '10.3.0.102 0', '10.3.0.100 9']);
    expect(bench.compartment.removeRoute(net('10.2.0.0/16'), lan, 'static', addr('10.3.0.99'))).toBe(false);
    expect(bench.compartment.removeRoute(net('10.2.0.0/16'), lan, 'static', nextHops[1]!)).toBe(true);
    expect(listed()).toEqual(['10.3.0.102 0', '10.3.0.100 9']);
    expect(bench.compartment.removeRoute(net('10.2.0.0/16'), lan, 'static')).toBe(true);
    expect(listed()).toEqual([]);
  });
});

describe('explain', () => {
  it('says that there are several ways, and which one a flow has', () => {
    const { bench, lan } = spread(2);
    bench.route('10.2.0.0/16', lan, 1, 'static', { nextHop: addr('10.3.0.200'), metric: 20 });
    const { why, among, passedOver } = bench.compartment.explain(addr(DST));
    expect(why).toBe(
      '10.2.0.0/16 leaves by 2 equal ways, each flow by one of them: lan to 10.3.0.100, lan to 10.3.0.101',
    );
    expect(among?.map(({ nextHop }) => formatAddress(nextHop!))).toEqual(['10.3.0.100', '10.3.0.101']);
    expect(passedOver.map((lost) => lost.why)).toEqual(['metric 20, the route by lan to 10.3.0.100 has 0']);
    const texts = new Set(Array.from({ length: 50 }, (_, n) => bench.compartment.explain(addr(DST), flowOf(n)).why));
    expect([...texts].sort()).toEqual([
      '10.2.0.0/16 leaves by lan to 10.3.0.100, the way of this flow among 2 (lan to 10.3.0.100, lan to 10.3.0.101): static route of the test',
      '10.2.0.0/16 leaves by lan to 10.3.0.101, the way of this flow among 2 (lan to 10.3.0.100, lan to 10.3.0.101): static route of the test',
    ]);
  });
});

describe('kinds of interfaces', () => {
  it.each([
    ['ethernet', 'turns a packet round'],
    ['link', 'turns a packet round'],
    ['fabric', 'turns a packet round'],
    ['tun', 'does not'],
    ['connection', 'does not'],
  ] as const)('%s %s', (kind, expected) => {
    const bench = new Bench();
    const only = bench.add('only', kind, 1500, '10.3.0.1/24');
    bench.route('10.2.0.0/16', only);
    const { dropped } = bench.receive(datagram(1), only);
    expect(dropped).toEqual(expected === 'does not' ? ['bounce'] : []);
  });

  it('RFC 1812 §5.2.7.1: a neighbour that does not answer is an unreachable host', () => {
    const { bench, lan } = spread(1);
    const packet = bench.pool.from(datagram(1))!;
    bench.sent.length = 0;
    bench.compartment.refuse(packet, DROP.neighbour, bench.now);
    expect(bench.dropped).toEqual(['neighbour']);
    expect(bench.sent.map(({ out, octets }) => [out, octets[9], octets[20], octets[21]])).toEqual([[lan, 1, 3, 1]]);
    expect(bench.pool.taken).toBe(0);
  });
});
