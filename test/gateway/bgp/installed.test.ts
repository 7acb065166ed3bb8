import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { DISCARD } from '../../../src/compartment/index.ts';
import { Installed } from '../../../src/gateway/bgp/installed.ts';
import type { PlaneCommand } from '../../../src/gateway/dataplane/index.ts';
import { formatPrefix } from '../../../src/ip/index.ts';
import { Bench, net } from '../../compartment/fixture.ts';
import { addr } from '../../support/packets.ts';

/** A compartment with a tunnel and a segment, and room for so many routes. */
function world(routes = 100) {
  const bench = new Bench({ limits: { routes } });
  const { compartment } = bench;
  const tunnel = bench.add('hq', 'connection', 1400);
  const segment = bench.add('inside', 'ethernet', 1500, '10.1.0.1/24');
  const commands: string[] = [];
  const command = (each: PlaneCommand): void => {
    commands.push(each.do);
    if (each.do === 'add-route') compartment.addRoute(each.route);
    else if (each.do === 'remove-route')
      compartment.removeRoute(each.prefix, each.interface, each.origin, each.nextHop);
  };
  const add = (prefix: string, out: number, nextHop?: string): boolean => {
    const route = { prefix: net(prefix), interface: out, origin: 'static', preference: 1, why: 'a test' } as const;
    return compartment.addRoute(nextHop === undefined ? route : { ...route, nextHop: addr(nextHop) });
  };
  const installed = new Installed({ number: 2, compartment, command });
  /** As in the tables: a row for each prefix. */
  const rows: string[] = [];
  const row = (prefix: string): number => {
    if (!rows.includes(prefix)) rows.push(prefix);
    return rows.indexOf(prefix) + 1;
  };
  const set = (prefix: string, ...hops: string[]) =>
    installed.set(row(prefix), net(prefix), hops.map(addr), 20, 'a test');
  const discard = (prefix: string) => installed.discard(row(prefix), net(prefix), 254, 'an aggregate');
  const fib = () =>
    compartment
      .routes()
      .filter(({ origin }) => origin === 'bgp')
      .map(
        ({ prefix, interface: out, nextHop }) =>
          `${formatPrefix(prefix)} ${out}${nextHop === undefined ? '' : ` ${nextHop.join('.')}`}`,
      );
  return { installed, set, discard, add, fib, commands, tunnel, segment, compartment };
}

describe('RFC 4271 §9.1.2.1: routes of BGP in the compartment', () => {
  it('a next hop behind a tunnel is the tunnel; on a segment it is who forwards, or whom the route to it names', () => {
    const { set, add, fib, tunnel, segment } = world();
    add('10.2.0.1/32', tunnel);
    add('10.8.0.0/16', segment, '10.1.0.254');
    set('10.50.0.0/16', '10.2.0.1');
    set('10.51.0.0/16', '10.1.0.9');
    set('10.52.0.0/16', '10.8.0.1');
    expect(fib()).toEqual([
      `10.50.0.0/16 ${tunnel}`,
      `10.51.0.0/16 ${segment} 10.1.0.9`,
      `10.52.0.0/16 ${segment} 10.1.0.254`,
    ]);
  });

  it('a next hop is never resolved by a route of BGP, nor by the very route that has it', () => {
    const { installed, set, add, fib, tunnel } = world();
    add('10.2.0.1/32', tunnel);
    set('10.2.0.0/16', '10.2.0.1');
    expect(installed.resolve(addr('10.2.0.7'))).toEqual({ metric: 0, usable: false, why: 'no route to 10.2.0.7' });
    set('10.60.0.0/16', '10.2.0.7');
    set('10.2.0.1/32', '10.2.0.1');
    expect(fib()).toEqual([`10.2.0.0/16 ${tunnel}`, `10.2.0.1/32 ${tunnel}`]);
    expect(installed.routeTo(addr('10.2.0.1'))?.origin).toBe('static');
  });

  it('several next hops are several routes; two by one tunnel are one', () => {
    const { set, add, fib, tunnel, segment } = world();
    add('10.2.0.0/24', tunnel);
    set('10.50.0.0/16', '10.2.0.1', '10.2.0.2', '10.1.0.9');
    expect(fib()).toEqual([`10.50.0.0/16 ${tunnel}`, `10.50.0.0/16 ${segment} 10.1.0.9`]);
    set('10.50.0.0/16', '10.1.0.9');
    expect(fib()).toEqual([`10.50.0.0/16 ${segment} 10.1.0.9`]);
    set('10.50.0.0/16');
    expect(fib()).toEqual([]);
  });

  it('when the way to a next hop is another, its routes follow and others are left alone', () => {
    const { installed, set, add, fib, commands, tunnel, segment, compartment } = world();
    add('10.2.0.0/24', tunnel);
    set('10.50.0.0/16', '10.2.0.1');
    set('10.51.0.0/16', '10.1.0.9');
    commands.splice(0);
    installed.reconsider();
    installed.proceed(10);
    expect(commands).toEqual([]);
    compartment.removeRoute(net('10.2.0.0/24'), tunnel, 'static');
    add('10.2.0.0/24', segment, '10.1.0.254');
    installed.reconsider();
    installed.proceed(10);
    expect(commands).toEqual(['remove-route', 'add-route']);
    expect(fib()).toEqual([`10.50.0.0/16 ${segment} 10.1.0.254`, `10.51.0.0/16 ${segment} 10.1.0.9`]);
    installed.clear();
    expect(fib()).toEqual([]);
  });

  it('what a full table refuses is counted, said once, and comes as soon as there is room', () => {
    const { installed, set, fib, segment, compartment } = world(3);
    for (const second of [50, 51, 52, 53]) set(`10.${second}.0.0/16`, '10.1.0.9');
    expect(fib()).toHaveLength(2);
    expect([installed.refused, compartment.counters.routesRefused]).toEqual([2, 2]);
    expect([installed.settle(), installed.settle()]).toEqual(['full', undefined]);
    set('10.50.0.0/16');
    expect(installed.settle()).toBeUndefined();
    expect(fib()).toEqual([`10.51.0.0/16 ${segment} 10.1.0.9`, `10.52.0.0/16 ${segment} 10.1.0.9`]);
    set('10.53.0.0/16');
    expect([installed.refused, installed.settle(), installed.settle()]).toEqual([0, 'fits', undefined]);
  });

  it('RFC 4632 §5.1: a discard route in place of ways, and the other way round; what is discarded is no way to a next hop', () => {
    const { installed, set, discard, add, fib, tunnel } = world();
    add('10.2.0.1/32', tunnel);
    discard('10.0.0.0/8');
    expect(fib()).toEqual([`10.0.0.0/8 ${DISCARD}`]);
    set('10.0.0.0/8', '10.2.0.1');
    expect(fib()).toEqual([`10.0.0.0/8 ${tunnel}`]);
    discard('10.0.0.0/8');
    expect([fib(), installed.size]).toEqual([[`10.0.0.0/8 ${DISCARD}`], 1]);
    set('10.0.0.0/8');
    expect([fib(), installed.size]).toEqual([[], 0]);
    add('10.3.0.0/16', DISCARD);
    expect(installed.resolve(addr('10.3.0.1'))).toEqual({ metric: 0, usable: false, why: '10.3.0.0/16 is discarded' });
    set('10.60.0.0/16', '10.3.0.1');
    expect(fib()).toEqual([]);
    discard('10.0.0.0/8');
    installed.clear();
    expect(fib()).toEqual([]);
  });

  it('whatever comes between the parts of a change of many, the end is the same as done at once', () => {
    const hops = ['10.2.0.1', '10.2.0.2', '10.1.0.9', '10.8.0.1'];
    const step = fc.oneof(
      fc.record({ do: fc.constant('set'), prefix: fc.nat(11), hops: fc.subarray(hops) }),
      fc.record({ do: fc.constant('discard'), prefix: fc.nat(11), hops: fc.constant([]) }),
      fc.record({ do: fc.constant('way'), prefix: fc.nat(3), hops: fc.constant([]) }),
      fc.record({ do: fc.constant('proceed'), prefix: fc.nat(3), hops: fc.constant([]) }),
    );
    fc.assert(
      fc.property(fc.array(step, { maxLength: 60, size: 'max' }), fc.integer({ min: 6, max: 20 }), (steps, room) => {
        const parts = world(room);
        const wanted = new Map<string, readonly string[] | 'discard'>();
        let way = 0;
        const turn = ({ add, compartment, tunnel, segment }: ReturnType<typeof world>, to: number): void => {
          if (to === way) return;
          if (way > 0) compartment.removeRoute(net('10.2.0.0/24'), way === 1 ? tunnel : segment, 'static');
          // A full table has no room for it either.
          const holds = to > 0 && (to === 1 ? add('10.2.0.0/24', tunnel) : add('10.2.0.0/24', segment, `10.1.0.${to}`));
          way = holds ? to : 0;
        };
        for (const { do: what, prefix, hops: by } of steps) {
          const text = `10.${50 + prefix}.0.0/16`;
          if (what === 'set') {
            parts.set(text, ...by);
            wanted.set(text, by);
          } else if (what === 'discard') {
            parts.discard(text);
            wanted.set(text, 'discard');
          } else if (what === 'way') {
            turn(parts, prefix);
            parts.installed.reconsider();
          } else {
            parts.installed.proceed(prefix);
            parts.installed.settle(prefix);
          }
        }
        do {
          parts.installed.proceed(1);
          parts.installed.settle(1);
        } while (parts.installed.owes);
        const whole = world(100);
        const last = way;
        way = 0;
        turn(whole, last);
        for (const [text, by] of wanted) {
          if (by === 'discard') whole.discard(text);
          else whole.set(text, ...by);
        }
        const [got, all] = [parts.fib(), whole.fib()];
        expect(parts.installed.size).toBe(whole.installed.size);
        // The table is full: as many as it holds, and none that it should not have.
        const others = parts.compartment.routeCount - got.length;
        if (others + all.length <= room) expect([...got].sort()).toEqual([...all].sort());
        else {
          expect(got).toHaveLength(room - others);
          for (const route of got) expect(all).toContain(route);
          expect(parts.installed.refused).toBeGreaterThan(0);
        }
        for (const text of wanted.keys()) parts.set(text);
        expect([parts.fib(), parts.installed.size, parts.installed.refused]).toEqual([[], 0, 0]);
      }),
    );
  });
});
