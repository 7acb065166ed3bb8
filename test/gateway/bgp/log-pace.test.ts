import fc from 'fast-check';
import { describe, expect, it, test } from 'vitest';
import { LogPace } from '../../../src/gateway/bgp/log-pace.ts';
import { BgpWorld } from './world.ts';

const words = ({ event, often, why }: { event: string; often?: string; why: string }): string =>
  `${event}${often === undefined ? '' : `, ${often}`}: ${why}`;

describe('the log of a peer that does the same again and again', () => {
  const says = (pace: LogPace, times: number, every: number, peer = 'hq'): string[] =>
    Array.from({ length: times }, (_, i) => pace.say({ peer, event: 'down', why: `no ${i + 1}` }, i * every)).flatMap(
      (said) => (said === undefined ? [] : [words(said)]),
    );

  it('the first three, then each time that they have doubled, and what is left in the end', () => {
    const pace = new LogPace();
    expect(says(pace, 20, 1000)).toEqual([
      'down: no 1',
      'down: no 2',
      'down: no 3',
      'down, the 6th time in 5 s: no 6',
      'down, the 12th time in 11 s: no 12',
    ]);
    expect(pace.deadline()).toEqual({ at: 60_000, why: 'a line of the log that was held back' });
    expect(pace.takeDue(59_999)).toEqual([]);
    expect(pace.takeDue(60_000).map(words)).toEqual(['down, the 20th time in 60 s: no 20']);
    expect([pace.takeDue(60_000), pace.deadline()]).toEqual([[], undefined]);
  });

  it('at its deadline it is due, also where a sum and a difference of times are rounded apart', () => {
    fc.assert(
      fc.property(fc.double({ min: 0, max: 1e12, noNaN: true }), (since) => {
        const pace = new LogPace();
        for (let i = 0; i < 4; i++) pace.say({ peer: 'hq', event: 'down', why: 'x' }, since);
        expect(pace.takeDue(pace.deadline()!.at)).toHaveLength(1);
        expect(pace.deadline()).toBeUndefined();
      }),
    );
  });

  it('what happens seldom is said as it is, and nothing is owed', () => {
    const pace = new LogPace();
    expect(says(pace, 5, 60_000)).toEqual(['down: no 1', 'down: no 2', 'down: no 3', 'down: no 4', 'down: no 5']);
    expect(says(pace, 3, 1000, 'other')).toHaveLength(3);
    expect(pace.deadline()).toBeUndefined();
  });

  it('another peer, and another event of the same one, are not held back by it', () => {
    const pace = new LogPace();
    says(pace, 1000, 1);
    expect(pace.say({ peer: 'other', event: 'down', why: 'x' }, 1000)).toEqual({
      peer: 'other',
      event: 'down',
      why: 'x',
    });
    expect(pace.say({ peer: 'hq', event: 'established', why: 'x' }, 1000)).toEqual({
      peer: 'hq',
      event: 'established',
      why: 'x',
    });
    pace.forget('hq');
    expect(pace.deadline()).toBeUndefined();
  });

  it('nothing is lost: whatever comes when, counts add up, and lines are few', () => {
    fc.assert(
      fc.property(fc.array(fc.nat(20_000), { maxLength: 200 }), (gaps) => {
        const pace = new LogPace();
        let now = 0;
        let lines = 0;
        let last = '';
        for (const [i, gap] of gaps.entries()) {
          now += gap;
          const said = [...pace.takeDue(now), pace.say({ peer: 'hq', event: 'down', why: `no ${i}` }, now)];
          for (const each of said) if (each !== undefined) [lines, last] = [lines + 1, each.why];
        }
        for (const each of pace.takeDue(now + 60_000)) [lines, last] = [lines + 1, each.why];
        // The last line says how things stand.
        if (gaps.length > 0) expect(last).toBe(`no ${gaps.length - 1}`);
        const windows = Math.floor(now / 60_000) + 1;
        expect(lines).toBeLessThanOrEqual(windows * (3 + Math.ceil(Math.log2(gaps.length + 1)) + 1));
      }),
    );
  });
});

test('a peer that reconnects in a loop: few lines that count, and every line of the other tenant’s', () => {
  const world = new BgpWorld();
  world.run(10_000);
  const of = (tenant: string) => world.reports().filter((text) => text.startsWith(`BGP peer ${tenant}/hq: `));
  const before = { contoso: of('contoso').length, woodgrove: of('woodgrove').length };
  for (let i = 0; i < 30; i++) {
    world.sites.dispatch({ type: 'bgp', tenant: 'contoso', peer: 'cloud', what: 'reset', text: '' });
    if (i === 20) world.sites.dispatch({ type: 'bgp', tenant: 'woodgrove', peer: 'cloud', what: 'reset', text: '' });
    world.run(500);
    // Nobody backs off.
    for (const [node, peer] of [
      [world.gw, 'hq'],
      [world.sites, 'cloud'],
    ] as const)
      node.dispatch({ type: 'bgp', tenant: 'contoso', peer, what: 'start', text: '' });
    world.run(1_500);
  }
  world.run(120_000);
  const established = world.gw.gateway.bgp.peers(world.timeline.now)[0]!.connectionsEstablished;
  expect(established).toBeGreaterThan(20);
  const lines = of('contoso').slice(before.contoso);
  const ups = lines.filter((text) => text.startsWith('BGP peer contoso/hq: established'));
  expect(ups.length).toBeLessThan(established);
  expect(ups.some((text) => /established, the \d+(st|nd|rd|th) time in \d+ s: with AS 65020$/.test(text))).toBe(true);
  expect(of('woodgrove').slice(before.woodgrove)).toEqual([
    'BGP peer woodgrove/hq: notification received: Cease: Administrative Reset',
    'BGP peer woodgrove/hq: down: Cease: Administrative Reset',
    'BGP peer woodgrove/hq: connection refused: Cease: Administrative Reset',
    'BGP peer woodgrove/hq: established: with AS 65020',
    'BGP peer woodgrove/hq: end of rib: IPv4 unicast',
  ]);
});
