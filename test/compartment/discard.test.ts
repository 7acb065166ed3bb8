import { afterEach, describe, expect, it } from 'vitest';
import { DISCARD } from '../../src/compartment/index.ts';
import { toHex } from '../../src/core/index.ts';
import { DROP, PacketPool } from '../../src/ip/index.ts';
import { type Bench, net, site } from './fixture.ts';
import { normalized } from './model.ts';
import { addr, counting, icmp4, icmp6, ipv4, ipv6, udp } from './octets.ts';

let bench: ReturnType<typeof site>;
const open = (...args: Parameters<typeof site>) => {
  bench = site(...args);
  return bench;
};
afterEach(() => expect(bench.pool.taken).toBe(0));

const VM = '10.1.0.10';
const VM6 = '2001:db8:1::10';
const to = (dst: string, src = VM) => ipv4({ src, dst }, udp(src, dst, 1, 2, counting(4)));
const to6 = (dst: string) => ipv6({ src: VM6, dst }, udp(VM6, dst, 1, 2, counting(4)));
const outs = ({ sent }: ReturnType<Bench['receive']>) => sent.map(({ out }) => out);

describe('a discard route', () => {
  it('RFC 4632 §5.1: takes what it matches and nothing longer does; RFC 1812 §5.2.7.1: network unreachable', () => {
    const { inside, hq } = open();
    bench.route('10.0.0.0/8', DISCARD, 254, 'bgp');
    expect(outs(bench.receive(to('10.2.0.7'), inside))).toEqual([hq]);
    const packet = to('10.77.0.1');
    const { dropped, sent } = bench.receive(packet, inside);
    expect(dropped).toEqual(['discarded']);
    expect(bench.compartment.drops[DROP.discarded]).toBe(1);
    const error = ipv4({ src: '10.1.0.1', dst: VM, protocol: 1, tos: 0xc0, id: 0 }, icmp4(3, 0, [0, 0, 0, 0], packet));
    expect(sent.map(({ out, octets }) => [out, toHex(normalized(octets))])).toEqual([[inside, toHex(error)]]);
  });

  it('RFC 4443 §3.1: reject route to destination', () => {
    const { inside } = open();
    bench.route('2001:db8::/32', DISCARD, 254, 'bgp');
    const packet = to6('2001:db8:77::1');
    const { dropped, sent } = bench.receive(packet, inside);
    expect(dropped).toEqual(['discarded']);
    const own = '2001:db8:1::1';
    const error = ipv6({ src: own, dst: VM6, next: 58 }, icmp6(own, VM6, 1, 6, [0, 0, 0, 0], packet));
    expect(sent.map(({ out, octets }) => [out, toHex(octets)])).toEqual([[inside, toHex(error)]]);
  });

  it('RFC 1812 §4.3.2.8: senders are told no more often than of other errors', () => {
    const { inside } = open({ limits: { icmpErrorBurst: 2, icmpErrorsPerSecond: 1 } });
    bench.route('10.0.0.0/8', DISCARD);
    const told = [1, 2, 3].map(() => bench.receive(to('10.77.0.1'), inside).sent.length);
    expect(told).toEqual([1, 1, 0]);
    expect(bench.compartment.counters.icmpErrorsOverRate).toBe(1);
    expect(bench.compartment.drops[DROP.discarded]).toBe(3);
  });

  it('is no reason not to take what comes from there', () => {
    const { lan, hq } = open();
    bench.route('192.0.2.0/24', DISCARD);
    expect(outs(bench.receive(to('10.2.0.7', '192.0.2.9'), lan))).toEqual([hq]);
  });

  it("takes the compartment's own packets too; a ping finds no route", () => {
    open();
    bench.route('10.0.0.0/8', DISCARD);
    const request = { destination: addr('10.77.0.1'), id: 1, sequence: 1, size: 8 };
    expect(bench.compartment.ping(request, bench.now)).toBeUndefined();
    expect(bench.pings).toMatchObject([{ outcome: 'no-route', why: 'the longest match is a discard route' }]);
    expect(bench.dropped).toEqual(['discarded']);
  });

  it('counts among the routes there may be, and goes as others do', () => {
    open({ limits: { routes: 6 } });
    expect([bench.route('10.0.0.0/8', DISCARD), bench.route('11.0.0.0/8', DISCARD)]).toEqual([true, false]);
    expect(bench.compartment.removeRoute(net('10.0.0.0/8'), DISCARD, 'static')).toBe(true);
    expect(bench.compartment.removeRoute(net('10.0.0.0/8'), DISCARD, 'static')).toBe(false);
    expect(bench.compartment.explain(addr('10.77.0.1')).why).toBe('no route to 10.77.0.1');
  });
});

describe('among routes of its prefix', () => {
  const texts = (address: string) => {
    const { chosen, among, why, passedOver } = bench.compartment.explain(addr(address));
    return { by: chosen?.interface, among: among?.length, why, passedOver: passedOver.map((each) => each.why) };
  };

  it('the lower preference wins, and then the lower metric; it is said which', () => {
    const { hq } = open();
    bench.route('10.2.0.0/16', DISCARD, 254, 'bgp');
    expect(texts('10.2.0.7')).toMatchObject({ by: hq, passedOver: ['preference 254, the route by hq has 5'] });
    bench.route('10.2.0.0/16', DISCARD, 5, 'static', { metric: 1 });
    expect(texts('10.2.0.7')).toMatchObject({ by: hq });
    bench.route('10.2.0.0/16', DISCARD, 1);
    expect(texts('10.2.0.7')).toEqual({
      by: DISCARD,
      among: undefined,
      why: '10.2.0.0/16 is discarded: static route of the test',
      passedOver: ['preference 5, the discard route has 1', 'preference 254, the discard route has 1'],
    });
  });

  it('among equals it is the last, and shares the flows with none', () => {
    const { hq, lan } = open();
    bench.route('10.9.0.0/16', DISCARD, 1);
    bench.route('10.9.0.0/16', hq, 1);
    expect(texts('10.9.0.7')).toEqual({
      by: hq,
      among: undefined,
      why: '10.9.0.0/16 leaves by hq: static route of the test',
      passedOver: ['a discard route gives way to the route by hq, its equal'],
    });
    bench.route('10.9.0.0/16', lan, 1);
    expect(texts('10.9.0.7')).toMatchObject({ among: 2 });
  });

  it('stands in when the interface of the other is down', () => {
    const { hq, inside } = open();
    bench.route('10.2.0.0/16', DISCARD, 254);
    bench.compartment.setUp(hq, false);
    expect(texts('10.2.0.7')).toMatchObject({ by: DISCARD, passedOver: ['interface hq is down'] });
    expect(bench.receive(to('10.2.0.7'), inside).dropped).toEqual(['discarded']);
    bench.compartment.setUp(hq, true);
    expect(outs(bench.receive(to('10.2.0.7'), inside))).toEqual([hq]);
  });
});

it('of one compartment it takes nothing from another with the same addresses', () => {
  const pool = new PacketPool(64, 9728);
  const [blue, red] = [site({ pool, name: 'blue' }), open({ pool, name: 'red' })];
  blue.route('10.0.0.0/8', DISCARD, 254, 'bgp');
  blue.route('10.2.0.0/16', DISCARD, 1);
  red.route('10.0.0.0/8', red.lan, 254, 'bgp');
  for (const destination of ['10.2.0.7', '10.77.0.1']) {
    expect(blue.receive(to(destination), blue.inside).dropped).toEqual(['discarded']);
    expect(outs(red.receive(to(destination), red.inside))).toEqual([destination === '10.2.0.7' ? red.hq : red.lan]);
  }
  expect(red.compartment.drops[DROP.discarded]).toBe(0);
  expect(red.compartment.routes().some((route) => route.interface === DISCARD)).toBe(false);
});
