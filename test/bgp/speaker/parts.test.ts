/** What concerns many prefixes at once is done in parts, one at each `tick`, and ends where it would have ended at once. */
import { describe, expect, it } from 'vitest';
import { DECIDED_AT_ONCE, ROUTES_AT_ONCE } from '../../../src/bgp/index.ts';
import { compilePolicy } from '../../../src/bgp/policy/compile.ts';
import { type Bytes, concat, EMPTY } from '../../../src/core/index.ts';
import { update, usual } from '../rib/speakers.ts';
import { GRACEFUL, SpeakerNetwork } from './network.ts';

/** More than two parts of everything. */
const MANY = 20_000;
const nlri = (from: number, count: number): Bytes =>
  concat(...Array.from({ length: count }, (_, i) => Uint8Array.of(24, 20, (from + i) >> 8, (from + i) & 0xff)));

/** `b` has many routes of `a`, and tells them to `c`. */
function world(session: Partial<typeof GRACEFUL> = {}) {
  const network = new SpeakerNetwork();
  for (const [i, name] of ['a', 'b', 'c'].entries()) network.add(name, 65_001 + i);
  network.join('a', 'b', { session }, { session });
  network.join('b', 'c');
  network.run(20_000);
  const speaker = network.speaker('b');
  /** Most changes for forwarding, and most rows that were decided, after one event. */
  const most = { routes: 0, decided: 0 };
  const { handle } = speaker;
  speaker.handle = (event, now) => {
    const waiting = speaker.rib.families.reduce((sum, rib) => sum + rib.waiting, 0);
    const actions = handle.call(speaker, event, now);
    const left = speaker.rib.families.reduce((sum, rib) => sum + rib.waiting, 0);
    most.decided = Math.max(most.decided, waiting - left);
    for (const action of actions)
      if (action.do === 'routes') most.routes = Math.max(most.routes, action.changes.length);
    return actions;
  };
  const announce = (path: number[] = [65_001]) => {
    for (let from = 0; from < MANY; from += 500)
      network.inject('b', 'a', update(EMPTY, usual(path, [192, 0, 2, 1]), nlri(from, 500)));
  };
  announce();
  network.run(1000);
  expect([network.fib('b').length, network.fib('c').length]).toEqual([MANY, MANY]);
  const isDue = (): boolean => (speaker.deadline()?.at ?? Number.POSITIVE_INFINITY) <= network.now;
  const bounded = (): void => {
    expect(most.routes).toBeGreaterThan(0);
    expect(most.routes).toBeLessThanOrEqual(ROUTES_AT_ONCE);
    expect(most.decided).toBeLessThanOrEqual(DECIDED_AT_ONCE);
  };
  return { network, speaker, announce, isDue, bounded };
}

describe('many prefixes at once, RFC 4271 §9', () => {
  it('a session is lost: its routes go part by part, what others say waits no longer than they do, and all have gone at the end', () => {
    const { network, isDue, bounded } = world();
    network.cut('a', 'b');
    expect(isDue()).toBe(true);
    expect(network.fib('b').length).toBeGreaterThanOrEqual(MANY - ROUTES_AT_ONCE);
    network.inject('b', 'c', update(EMPTY, usual([65_003], [192, 0, 2, 3]), Uint8Array.of(24, 30, 0, 0)));
    expect(network.fib('b')).not.toContain('30.0.0.0/24 via 192.0.2.3');
    network.run(1000);
    expect(network.fib('b')).toEqual(['30.0.0.0/24 via 192.0.2.3']);
    expect(network.fib('c')).toEqual([]);
    expect(isDue()).toBe(false);
    bounded();
  });

  it('RFC 4724 §4.2: a peer that restarts: with End-of-RIB what it has not said again goes part by part, and is in use until then', () => {
    const { network, speaker, isDue, bounded } = world(GRACEFUL);
    const [ipv4] = speaker.rib.families;
    const number = speaker.number('a')!;
    network.restart('a');
    network.peer('a', 'b', { session: { gracefulRestart: { ...GRACEFUL.gracefulRestart, restarting: true } } });
    network.run(1);
    expect([network.fib('b').length, ipv4!.countOf(number), isDue()]).toEqual([MANY, MANY, false]);
    while (ipv4!.countOf(number) > 0) network.run(1);
    expect(speaker.number('a')).toBe(number);
    network.run(1000);
    expect([network.state('b', 'a'), network.fib('b'), network.fib('c')]).toEqual(['established', [], []]);
    expect([isDue(), ipv4!.generations.waits, ipv4!.table.count < ROUTES_AT_ONCE]).toEqual([false, false, true]);
    bounded();
  });

  it('a peer that is lost comes back with other routes: nothing of the old ones is left', () => {
    const { network, speaker, isDue, bounded } = world();
    network.cut('a', 'b');
    expect(isDue()).toBe(true);
    network.run(20_000);
    expect(network.state('b', 'a')).toBe('established');
    network.inject('b', 'a', update(EMPTY, usual([65_001], [192, 0, 2, 1]), nlri(7, 3)));
    network.run(1000);
    const left = ['20.0.7.0/24 via 192.0.2.1', '20.0.8.0/24 via 192.0.2.1', '20.0.9.0/24 via 192.0.2.1'];
    expect(network.fib('b')).toEqual(left);
    expect(network.fib('c')).toHaveLength(3);
    expect(speaker.rib.families[0]!.table.count).toBeLessThan(DECIDED_AT_ONCE);
    bounded();
  });

  it('import policy is another, and another before the first has been asked of all: the last one holds', () => {
    const { network, isDue, bounded } = world();
    const none = compilePolicy('none');
    if (!none.ok) throw new Error('a policy without clauses compiles');
    const configure = (change: Parameters<typeof network.settings>[2]) =>
      network.handle('b', { type: 'configure-peer', peer: network.settings('b', 'a', change) });
    configure({ import: none.policy });
    expect(isDue()).toBe(true);
    configure({});
    network.run(1000);
    expect([network.fib('b').length, network.fib('c').length]).toEqual([MANY, MANY]);
    configure({ import: none.policy });
    network.run(1000);
    expect([network.fib('b').length, network.fib('c').length]).toEqual([0, 0]);
    expect(isDue()).toBe(false);
    bounded();
  });

  it('routes that come again while they go stay', () => {
    const { network, announce, bounded } = world();
    for (let from = 0; from < MANY; from += 500) network.inject('b', 'a', update(nlri(from, 500), EMPTY, EMPTY));
    announce([65_001, 65_009]);
    network.run(1000);
    expect([network.fib('b').length, network.fib('c').length]).toEqual([MANY, MANY]);
    bounded();
  });
});
