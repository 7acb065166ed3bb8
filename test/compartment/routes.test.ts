import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { DISCARD, type RouteOrigin, type RouteQuery } from '../../src/compartment/index.ts';
import { contains, formatAddress, formatPrefix, ipv4Octets, networkOf, sameAddress } from '../../src/ip/index.ts';
import { Bench, net, site } from './fixture.ts';
import { addr, counting, ipv4, udp } from './octets.ts';

const outOf = (bench: Bench, destination: string, from: number): number | undefined => {
  const { sent, dropped } = bench.receive(ipv4({ src: '10.3.0.9', dst: destination }, counting(8)), from);
  return dropped.length === 0 ? sent[0]!.out : undefined;
};

describe('RFC 1812 §5.2.4.3: the choice of a route', () => {
  it('is by the longest prefix, then by preference, then by metric', () => {
    const bench = new Bench();
    const lan = bench.add('lan', 'fabric', 1500, '10.3.0.1/24');
    const [a, b, c] = ['a', 'b', 'c'].map((name) => bench.add(name, 'connection', 1400)) as [number, number, number];
    bench.route('10.2.0.0/16', a, 5, 'connection');
    expect(outOf(bench, '10.2.0.7', lan)).toBe(a);
    bench.route('10.2.0.0/16', b, 1, 'static', { metric: 5 });
    expect(outOf(bench, '10.2.0.7', lan)).toBe(b);
    bench.route('10.2.0.0/16', c, 1, 'static', { metric: 6 });
    expect(outOf(bench, '10.2.0.7', lan)).toBe(b);
    bench.route('10.2.0.0/16', c, 1, 'static', { metric: 4 });
    expect(outOf(bench, '10.2.0.7', lan)).toBe(c);
    bench.compartment.removeRoute(net('10.2.0.0/16'), c, 'static');
    expect(outOf(bench, '10.2.0.7', lan)).toBe(b);
    bench.route('10.2.0.0/24', c, 200, 'bgp');
    expect(outOf(bench, '10.2.0.7', lan)).toBe(c);
    expect(outOf(bench, '10.2.1.7', lan)).toBe(b);
  });

  it('leaves out interfaces that are down: the next candidate, then the shorter prefix', () => {
    const bench = new Bench();
    const lan = bench.add('lan', 'fabric', 1500, '10.3.0.1/24');
    const [a, b, c] = ['a', 'b', 'c'].map((name) => bench.add(name, 'connection', 1400)) as [number, number, number];
    bench.route('10.2.0.0/16', a, 1);
    bench.route('10.2.0.0/16', b, 5);
    bench.route('0.0.0.0/0', c, 9);
    const chosen = () => outOf(bench, '10.2.0.7', lan);
    expect(chosen()).toBe(a);
    bench.compartment.setUp(a, false);
    expect(chosen()).toBe(b);
    bench.compartment.setUp(b, false);
    expect(chosen()).toBe(c);
    bench.compartment.removeInterface(c);
    expect(chosen()).toBeUndefined();
    bench.compartment.setUp(a, true);
    expect(chosen()).toBe(a);
    expect(bench.compartment.removeRoute(net('10.2.0.0/16'), a, 'static')).toBe(true);
    expect(bench.compartment.removeRoute(net('10.2.0.0/16'), a, 'static')).toBe(false);
    expect(chosen()).toBeUndefined();
  });

  it('lists every candidate in order, and replaces what has the same prefix, interface and origin', () => {
    const bench = site();
    const { hq, inside, lan } = bench;
    bench.route('10.2.0.0/16', bench.inside, 1);
    bench.route('10.2.0.0/16', bench.hq, 7, 'connection');
    expect(bench.compartment.routes().map((r) => `${formatPrefix(r.prefix)} ${r.interface} ${r.preference}`)).toEqual([
      `10.1.0.0/24 ${inside} 0`,
      `10.2.0.0/16 ${inside} 1`,
      `10.2.0.0/16 ${hq} 7`,
      `10.3.0.0/24 ${lan} 0`,
      `2001:db8:1::/64 ${inside} 0`,
      `2001:db8:2::/48 ${hq} 5`,
    ]);
  });

  it('answers with those that are asked for, a page at a time', () => {
    const bench = site();
    const { hq, inside } = bench;
    bench.route('10.2.0.0/16', inside, 1);
    bench.route('10.2.0.0/16', hq, 7, 'connection');
    bench.route('10.2.3.0/24', hq, 20, 'bgp');
    bench.route('10.2.4.0/24', hq, 20, 'bgp');
    const asked = (query: RouteQuery) =>
      bench.compartment.routes(query).map((r) => `${formatPrefix(r.prefix)} ${r.origin}`);
    expect(asked({ prefix: net('10.2.0.0/16') })).toEqual(['10.2.0.0/16 static', '10.2.0.0/16 connection']);
    expect(asked({ prefix: net('10.2.0.0/17') })).toEqual([]);
    const all = ['10.2.0.0/16 static', '10.2.0.0/16 connection', '10.2.3.0/24 bgp', '10.2.4.0/24 bgp'];
    expect(asked({ within: net('10.2.0.0/16') })).toEqual(all);
    expect(asked({ within: net('10.2.0.0/16'), offset: 1, limit: 2 })).toEqual(all.slice(1, 3));
    expect(asked({ within: net('10.2.3.0/24') })).toEqual(['10.2.3.0/24 bgp']);
    expect(asked({ within: net('::/0'), origins: ['connection'] })).toEqual(['2001:db8:2::/48 connection']);
    expect(asked({ origins: ['bgp', 'static'] })).toEqual([all[0], ...all.slice(2)]);
    expect(asked({ origins: [] })).toEqual([]);
    expect(bench.compartment.routeCount).toBe(bench.compartment.routes().length);
  });

  it('pages of 50,000 routes: each is a walk over numbers, and together they are all', () => {
    const bench = new Bench();
    const hq = bench.add('hq', 'connection', 1400);
    const prefixOf = (i: number) => ({ address: ipv4Octets((0x0a00_0000 + i * 0x100) >>> 0), length: 24 });
    for (let i = 0; i < 50_000; i++)
      bench.compartment.addRoute({ prefix: prefixOf(i), interface: hq, origin: 'bgp', preference: 20, why: 'a peer' });
    const pages: number[] = [];
    let seen = 0;
    for (let offset = 0; offset < 50_000; offset += 10_000) {
      const page = bench.compartment.routes({ offset, limit: 10_000 });
      pages.push(page.length);
      seen += page.filter(({ prefix }, i) => sameAddress(prefix.address, prefixOf(offset + i).address)).length;
    }
    expect([pages, seen]).toEqual([[10_000, 10_000, 10_000, 10_000, 10_000], 50_000]);
    expect(bench.compartment.routes({ offset: 49_999, limit: 10 })).toHaveLength(1);
    expect(bench.compartment.routes({ origins: ['static'] })).toEqual([]);
  });

  it('counts what exceeds the limit', () => {
    const bench = site({ limits: { routes: 6 } });
    expect(bench.route('192.0.2.0/24', bench.hq)).toBe(true);
    expect(bench.route('192.0.3.0/24', bench.hq)).toBe(false);
    expect(bench.route('192.0.2.0/24', bench.hq, 3)).toBe(true);
    expect(bench.compartment.counters.routesRefused).toBe(1);
    bench.compartment.removeRoute(net('192.0.2.0/24'), bench.hq, 'static');
    expect(bench.route('192.0.3.0/24', bench.hq)).toBe(true);
  });

  it('RFC 3021: a /31 has no broadcast address', () => {
    const bench = new Bench();
    const lan = bench.add('lan', 'fabric', 1500, '10.3.0.1/24');
    const link = bench.add('link', 'tun', 1500, '10.9.0.0/31');
    expect(outOf(bench, '10.9.0.1', lan)).toBe(link);
  });

  it('RFC 1122 §3.3.4.2: an own address goes before every route and stays while its interface is there', () => {
    const bench = site();
    const { compartment, hq, inside, lan } = bench;
    bench.route('10.1.0.1/32', hq);
    compartment.setUp(inside, false);
    expect(compartment.owns(addr('10.1.0.1'))).toBe(true);
    expect(compartment.explain(addr('10.1.0.1')).chosen?.interface).toBe(inside);
    compartment.removeInterface(inside);
    expect(compartment.owns(addr('10.1.0.1'))).toBe(false);
    expect(outOf(bench, '10.1.0.1', lan)).toBe(hq);
  });
});

describe('explain', () => {
  const texts = (bench: Bench, address: string) => {
    const { chosen, why, passedOver } = bench.compartment.explain(addr(address));
    return {
      by: chosen?.interface,
      why,
      passedOver: passedOver.map((p) => `${formatPrefix(p.route.prefix)}: ${p.why}`),
    };
  };

  it('says why a packet goes where it goes, and what lost', () => {
    const bench = site();
    bench.route('10.2.0.0/16', bench.lan, 9, 'bgp');
    bench.route('10.2.0.0/16', bench.inside, 5, 'static', { metric: 10 });
    bench.route('10.2.3.0/24', bench.inside);
    expect(texts(bench, '10.2.3.4')).toEqual({
      by: bench.inside,
      why: '10.2.3.0/24 leaves by inside: static route of the test',
      passedOver: [],
    });
    bench.compartment.setUp(bench.inside, false);
    expect(texts(bench, '10.2.3.4')).toEqual({
      by: bench.hq,
      why: '10.2.0.0/16 leaves by hq: connection route of the test',
      passedOver: [
        '10.2.3.0/24: interface inside is down',
        '10.2.0.0/16: interface inside is down',
        '10.2.0.0/16: preference 9, the route by hq has 5',
      ],
    });
    bench.compartment.setUp(bench.inside, true);
    expect(texts(bench, '10.2.9.9').passedOver).toEqual([
      '10.2.0.0/16: metric 10, the route by hq has 0',
      '10.2.0.0/16: preference 9, the route by hq has 5',
    ]);
  });

  it.each([
    ['10.1.0.1', "10.1.0.1 is this compartment's own: address 10.1.0.1/24 of inside"],
    ['10.1.0.255', '10.1.0.255 is a broadcast address, not routed: address 10.1.0.1/24 of inside'],
    ['10.3.0.77', '10.3.0.0/24 leaves by lan: address 10.3.0.1/24 of lan'],
    ['192.0.2.1', 'no route to 192.0.2.1'],
    ['224.0.0.5', '224.0.0.5 is multicast: not routed'],
    ['255.255.255.255', '255.255.255.255 is the limited broadcast address: not routed'],
    ['169.254.7.7', '169.254.7.7 is link-local: not routed'],
    ['ff02::1', 'ff02::1 is multicast: not routed'],
    ['fe80::1', 'fe80::1 is link-local: not routed'],
    ['2001:db8:2::9', '2001:db8:2::/48 leaves by hq: connection route of the test'],
  ])('%s', (address, why) => {
    expect(texts(site(), address).why).toBe(why);
  });

  it('says that all candidates are down', () => {
    const bench = site();
    bench.compartment.setUp(bench.hq, false);
    expect(texts(bench, '10.2.0.7')).toEqual({
      by: undefined,
      why: 'no route to 10.2.0.7 whose interface is up',
      passedOver: ['10.2.0.0/16: interface hq is down'],
    });
  });

  it('says what an own address takes from a route', () => {
    const bench = site();
    bench.route('10.1.0.1/32', bench.hq);
    expect(texts(bench, '10.1.0.1').passedOver).toEqual([
      '10.1.0.1/32: address 10.1.0.1/24 of inside goes before every route',
    ]);
  });
});

describe('the table as a whole', () => {
  type Step =
    | { do: 'add' | 'remove'; prefix: string; by: number; origin: RouteOrigin; preference: number; metric: number }
    | { do: 'up' | 'down'; by: number };
  interface Kept {
    prefix: string;
    by: number;
    origin: RouteOrigin;
    preference: number;
    metric: number;
  }
  // A handful of nested prefixes, so that they meet.
  const prefix = fc
    .tuple(fc.integer({ min: 0, max: 3 }), fc.constantFrom(0, 7, 8, 9, 24, 31, 32))
    .map(([n, length]) => {
      const address = Uint8Array.of(20, [0, 1, 128, 255][n]!, 0, [0, 1, 128, 255][n]!);
      return formatPrefix({ address: networkOf({ address, length }), length });
    });
  /** The fifth is no interface: the route discards. */
  const by = fc.integer({ min: 0, max: 4 });
  const step: fc.Arbitrary<Step> = fc.oneof(
    {
      weight: 4,
      arbitrary: fc.record({
        do: fc.constantFrom('add', 'add', 'remove'),
        prefix,
        by,
        origin: fc.constantFrom<RouteOrigin>('static', 'bgp'),
        preference: fc.integer({ min: 1, max: 3 }),
        metric: fc.integer({ min: 0, max: 1 }),
      }),
    },
    { weight: 1, arbitrary: fc.record({ do: fc.constantFrom('up', 'down'), by: fc.integer({ min: 0, max: 3 }) }) },
  );

  const byCost = (a: Kept, b: Kept): number => a.preference - b.preference || a.metric - b.metric;
  const ends = { source: addr('10.3.0.9') };

  it('equals a list searched from end to end', () => {
    fc.assert(
      fc.property(fc.array(step, { maxLength: 40 }), (steps) => {
        const bench = new Bench();
        const lan = bench.add('lan', 'fabric', 1500, '10.3.0.1/24');
        const numbers = [0, 1, 2, 3].map((n) => bench.add(`c${n}`, 'connection', 1400));
        numbers.push(DISCARD);
        const isUp = [true, true, true, true, true];
        let kept: Kept[] = [];
        for (const s of steps) {
          if (!('prefix' in s)) {
            isUp[s.by] = s.do === 'up';
            bench.compartment.setUp(numbers[s.by]!, s.do === 'up');
            continue;
          }
          const same = kept.find((k) => k.prefix === s.prefix && k.by === s.by && k.origin === s.origin);
          if (s.do === 'remove') {
            kept = kept.filter((k) => k !== same);
            expect(bench.compartment.removeRoute(net(s.prefix), numbers[s.by]!, s.origin)).toBe(same !== undefined);
          } else {
            kept = [...kept.filter((k) => k !== same), s];
            bench.route(s.prefix, numbers[s.by]!, s.preference, s.origin, { metric: s.metric });
          }
        }
        for (const destination of ['20.0.0.0', '20.0.0.1', '20.1.0.1', '20.128.0.128', '20.255.0.255', '21.0.0.1']) {
          const usable = kept
            .filter((k) => isUp[k.by] && contains(net(k.prefix), addr(destination)))
            .sort((a, b) => net(b.prefix).length - net(a.prefix).length || byCost(a, b));
          const best = usable.filter((k) => k.prefix === usable[0]!.prefix && byCost(k, usable[0]!) === 0);
          const ways = best.filter((k) => k.by !== 4);
          const isDiscarded = best.length > 0 && ways.length === 0;
          const expected = isDiscarded ? [DISCARD] : ways.map((k) => numbers[k.by]);
          const { chosen, among } = bench.compartment.explain(addr(destination));
          const said = among ?? (chosen === undefined ? [] : [chosen]);
          expect(said.map((route) => route.interface).sort()).toEqual(expected.sort());
          const flow = { ...ends, destination: addr(destination), protocol: 17, sourcePort: 1, destinationPort: 0x203 };
          const taken = outOf(bench, destination, lan) ?? (isDiscarded ? DISCARD : undefined);
          if (isDiscarded) expect(bench.dropped).toEqual(['discarded']);
          expect(taken).toBe(bench.compartment.explain(addr(destination), flow).chosen?.interface);
          expect(taken === undefined ? expected.length === 0 : expected.includes(taken)).toBe(true);
        }
        const all = bench.compartment.routes();
        expect([all.length, bench.compartment.routeCount]).toEqual([kept.length + 1, kept.length + 1]);
        for (const origins of [['static'], ['bgp', 'connection'], ['connected', 'connection']] as const)
          expect(bench.compartment.routes({ origins })).toEqual(
            all.filter(({ origin }) => (origins as readonly RouteOrigin[]).includes(origin)),
          );
        expect(bench.pool.taken).toBe(0);
      }),
      { numRuns: 500 },
    );
  });

  it('is empty again when everything is gone', () => {
    const bench = site();
    for (const { number } of bench.compartment.interfaces()) bench.compartment.removeInterface(number);
    expect(bench.compartment.routes()).toEqual([]);
    expect(bench.compartment.interfaces()).toEqual([]);
    const again = bench.add('again', 'tun', 1500, '10.1.0.1/24');
    expect(again).toBe(4);
    const { sent } = bench.receive(
      ipv4({ src: '10.1.0.9', dst: '10.2.0.7' }, udp('10.1.0.9', '10.2.0.7', 1, 2, counting(1))),
      again,
    );
    expect(formatAddress(sent[0]!.octets.slice(12, 16))).toBe('10.1.0.1');
  });
});
