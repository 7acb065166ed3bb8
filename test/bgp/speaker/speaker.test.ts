import { describe, expect, it } from 'vitest';
import { compilePolicy, type Policy, type PolicyRecord } from '../../../src/bgp/index.ts';
import { encodeControlMessage, KEEPALIVE } from '../../../src/bgp/message/index.ts';
import { WINDOW } from '../../../src/bgp/speaker.ts';
import { concat, EMPTY, toHex } from '../../../src/core/index.ts';
import { update, usual } from '../rib/speakers.ts';
import { GRACEFUL, SpeakerNetwork } from './network.ts';

const [ONE, TWO, THREE, SIX] = ['198.51.100.0/24', '203.0.113.0/24', '192.0.2.0/24', '2001:db8:6::/48'] as const;

function policyOf(record: PolicyRecord): Policy {
  const compiled = compilePolicy(record);
  if (!compiled.ok) throw new Error('the policy of a test is wrong');
  return compiled.policy;
}

/** `a` says three routes to `b`, and `b` what it is allowed to `c`. */
function chain(ofB: Parameters<SpeakerNetwork['join']>[3] = {}, ofA: Parameters<SpeakerNetwork['join']>[2] = {}) {
  const net = new SpeakerNetwork();
  net.add('a', 65001);
  net.add('b', 65002);
  net.add('c', 65003);
  net.originate('a', ONE, TWO, THREE);
  net.join('a', 'b', ofA, ofB);
  net.join('b', 'c');
  net.run(2_000);
  return net;
}

const via = (hop: string, ...prefixes: string[]) => prefixes.map((prefix) => `${prefix} via ${hop}`).sort();
const notifications = (net: SpeakerNetwork) =>
  net.sent.filter(({ octets }) => octets[18] === 3).map(({ from, octets }) => `${from} ${toHex(octets.subarray(19))}`);

describe('sessions and tables together', () => {
  it('routes go from speaker to speaker, IPv6 over IPv4 with an own address of that family', () => {
    const net = chain();
    net.originate('a', SIX);
    net.run(10);
    expect(net.fib('b')).toEqual([...via('10.0.0.1', ONE, TWO, THREE), `${SIX} via 2001:db8::1`].sort());
    expect(net.fib('c')).toEqual([...via('10.0.0.2', ONE, TWO, THREE), `${SIX} via 2001:db8::2`].sort());
    net.withdraw('a', ONE, SIX);
    net.run(10);
    expect(net.fib('c')).toEqual(via('10.0.0.2', TWO, THREE));
  });

  it('RFC 4271 §9: without graceful restart all routes of a lost session go at once, and are told', () => {
    const net = chain();
    net.reachable = false;
    net.cut('a', 'b');
    net.run(3);
    expect([net.fib('b'), net.fib('c')]).toEqual([[], []]);
    net.reachable = true;
    net.run(30_000);
    expect(net.fib('c')).toEqual(via('10.0.0.2', ONE, TWO, THREE));
  });

  it('RFC 4271 §6.8: however two dial, one connection is left', () => {
    for (let delay = 0; delay < 8; delay++) {
      const net = new SpeakerNetwork();
      net.add('a', 65001);
      net.add('b', 65002);
      net.originate('a', ONE);
      net.peer('a', 'b');
      net.run(delay);
      net.peer('b', 'a');
      net.run(20_000);
      expect([net.state('a', 'b'), net.state('b', 'a'), net.open, net.fib('b').length]).toEqual([
        'established',
        'established',
        1,
        1,
      ]);
    }
  });

  it('a peer that is taken away hears Peer De-configured, and its routes go', () => {
    const net = chain();
    net.handle('b', { type: 'remove-peer', peer: 'a' });
    net.run(3);
    expect(net.speaker('b').peers).toEqual(['c']);
    expect(net.fib('c')).toEqual([]);
    expect(net.log('a')).toContain('b: notification received: Cease: Peer De-configured');
  });

  it('RFC 8212: without a policy nothing passes an external peer, either way', () => {
    const net = chain({ silent: true });
    expect(net.fib('b')).toEqual([]);
    net.originate('b', '10.9.0.0/16');
    net.run(10);
    expect(net.fib('a')).toEqual([]);
    expect(net.fib('c')).toEqual(via('10.0.0.2', '10.9.0.0/16'));
  });

  it('a peer that takes nothing is given a window, and keeps nobody else waiting', () => {
    const net = chain();
    net.add('d', 65004);
    net.join('b', 'd');
    net.run(2_000);
    net.stalls = (from, to) => from === 'b' && to === 'c';
    const before = net.sent.length;
    const many = Array.from({ length: 80_000 }, (_, i) => `10.${(i >> 8) & 0xff}.${i & 0xff}.${i >> 16}/32`);
    net.originate('a', ...many);
    net.run(1_000);
    expect(net.fib('d')).toHaveLength(80_003);
    const given = (): number =>
      net.sent
        .slice(before)
        .filter(({ from, to, octets }) => from === 'b' && to === 'c' && octets[18] === 2)
        .reduce((sum, { octets }) => sum + octets.length, 0);
    const window = given();
    expect(window).toBeGreaterThan(WINDOW / 2);
    expect(window).toBeLessThan(WINDOW + 65_536);
    // Further connections of the peer take what they are given: that is none of this one's.
    const end = { address: Uint8Array.of(10, 0, 0, 9), port: 179 };
    for (const connection of [701, 702, 703]) {
      net.tell('b', 'c', { type: 'connected', connection, direction: 'in', local: end, remote: end });
      net.tell('b', 'c', { type: 'drained', connection, queued: 0 });
    }
    expect(given()).toBe(window);
    net.stalls = () => false;
    net.tell('b', 'c', { type: 'drained', connection: net.connection('b', 'c'), queued: 0 });
    net.run(1_000);
    expect(net.fib('c')).toHaveLength(80_003);
  });
});

it('RFC 7606: what a peer can make us say as often as it likes is said once a minute, and how often it was', () => {
  const net = chain();
  const bad = update(EMPTY, usual([65001], [10, 0, 0, 1], 9), Uint8Array.of(16, 10, 1));
  const endOfRib = update(EMPTY, EMPTY, EMPTY);
  const said = (what: string) => net.log('b').filter((each) => each.startsWith(`a: ${what}`));
  for (let i = 0; i < 100; i++) net.inject('b', 'a', concat(bad, endOfRib));
  expect([said('treated as withdraw').length, said('end of rib').length]).toEqual([1, 2]);
  net.run(61_000);
  net.inject('b', 'a', bad);
  expect(said('treated as withdraw')[1]).toMatch(/ \(and 99 times before\)$/);
  expect(net.established('b', 'a')).toBe(1);
});

describe('RFC 4271 §6.8: connections that a peer opens as often as it likes', () => {
  const end = (last: number) => ({ address: Uint8Array.of(10, 0, 0, last), port: 179 });
  const dials = (net: SpeakerNetwork, from: number, count: number, octets?: Uint8Array) => {
    for (let connection = from; connection < from + count; connection++) {
      net.tell('b', 'a', { type: 'connected', connection, direction: 'in', local: end(2), remote: end(1) });
      if (octets !== undefined) net.tell('b', 'a', { type: 'received', connection, octets });
    }
  };

  it('in Idle each is refused, which is said once a minute with how often it was', () => {
    const net = chain();
    net.reachable = false;
    net.tell('b', 'a', { type: 'stop', subcode: 2 });
    const said = () => net.log('b').filter((each) => each.startsWith('a: connection refused'));
    dials(net, 1_000, 63);
    expect(said()).toEqual(['a: connection refused: stopped']);
    net.run(61_000);
    dials(net, 2_000, 1);
    expect(said().slice(1)).toEqual(['a: connection refused: stopped (and 62 times before)']);
    expect(net.speaker('b').session('a')!.counters.refused).toBe(64);
  });

  it.each([
    ['a Cease of ours for all but the last', undefined, 'a: notification sent: Cease'],
    [
      'its own NOTIFICATION on each',
      encodeControlMessage({ kind: 'notification', code: 6, subcode: 5, data: EMPTY }),
      'a: notification received: Cease',
    ],
    ['what is no OPEN on each', encodeControlMessage(KEEPALIVE), 'a: notification sent: Finite State Machine Error'],
  ])('beside a session: %s is said once a minute, and the end of the session at once', (_, octets, words) => {
    const net = chain();
    net.run(60_000);
    const said = () => net.log('b').filter((each) => each.startsWith(words));
    const before = said().length;
    dials(net, 1_000, 63, octets);
    expect(said()).toHaveLength(before + 1);
    net.run(61_000);
    dials(net, 2_000, 2, octets);
    expect(said()).toHaveLength(before + 2);
    expect(said().at(-1)).toMatch(/ \(and 6[12] times before\)$/);
    expect(net.state('b', 'a')).toBe('established');
    net.tell('b', 'a', { type: 'stop', subcode: 2 });
    expect(net.log('b')).toContain('a: notification sent: Cease: Administrative Shutdown: stopped');
  });
});

describe('RFC 4486 §4: more prefixes than are allowed', () => {
  it('a word near the limit, then Cease with family and limit; without a time it stays so until an operator begins it', () => {
    const net = chain({ maximumPrefixes: 4, warnAt: 0.5 });
    net.originate('a', '10.1.0.0/16');
    net.run(10);
    const near = net.log('b').filter((each) => each.includes('near the limit'));
    expect(near).toEqual(['a: near the limit of prefixes: 3 of 4']);
    net.originate('a', '10.2.0.0/16');
    net.run(10);
    expect(notifications(net).filter((each) => each.startsWith('b 06'))).toContain('b 060100010100000004');
    expect([net.state('b', 'a'), net.fib('b'), net.fib('c')]).toEqual(['idle', [], []]);
    net.run(3_600_000);
    expect(net.state('b', 'a')).toBe('idle');
    net.withdraw('a', '10.1.0.0/16');
    net.tell('b', 'a', { type: 'start' });
    net.run(300_000);
    expect(net.fib('b')).toHaveLength(4);
  });

  it('a prefix that comes and goes at the limit is no more than a word a minute', () => {
    const net = chain({ maximumPrefixes: 4 });
    const near = () => net.log('b').filter((each) => each.includes('near the limit'));
    const [path, comes, stays] = [
      usual([65001], [10, 0, 0, 1]),
      Uint8Array.of(16, 10, 1),
      Uint8Array.of(24, 198, 51, 100),
    ];
    const flap = () => net.inject('b', 'a', concat(update(EMPTY, path, comes), update(comes, path, stays)));
    for (let round = 0; round < 100; round++) flap();
    expect(near()).toEqual(['a: near the limit of prefixes: 4 of 4']);
    net.run(60_000);
    flap();
    expect(near()[1]).toBe('a: near the limit of prefixes: 4 of 4 (and 99 times before)');
    expect(net.established('b', 'a')).toBe(1);
  });

  it('with a time it begins again by itself', () => {
    const net = chain({ maximumPrefixes: 3, restartMillis: 60_000 });
    net.originate('a', '10.1.0.0/16');
    net.run(59_000);
    expect(net.state('b', 'a')).toBe('idle');
    net.withdraw('a', '10.1.0.0/16');
    net.run(300_000);
    expect([net.state('b', 'a'), net.fib('b').length]).toEqual(['established', 3]);
  });

  it('a limit that is lowered below what there is holds at once', () => {
    const net = chain({ maximumPrefixes: 10 });
    net.handle('b', { type: 'configure-peer', peer: net.settings('b', 'a', { maximumPrefixes: 2 }) });
    net.run(10);
    expect(net.fib('b')).toEqual([]);
    expect(notifications(net)).toContain('b 060100010100000002');
  });
});

it('RFC 4486 §4: Out of Resources ends the session with all its routes at once, also with graceful restart, and it comes again', () => {
  const net = new SpeakerNetwork();
  net.add('a', 65001);
  net.add('b', 65002, { attributeOctets: 20_000 });
  const session = { gracefulRestart: { ...GRACEFUL.gracefulRestart, notification: true } };
  net.join('a', 'b', { session }, { session });
  net.run(2_000);
  const all = Array.from({ length: 300 }, (_, i) => i + 1);
  const route = (i: number) => update(EMPTY, usual([65001, i], [10, 0, 0, 1]), Uint8Array.of(24, 10, i >> 8, i));
  for (const i of all) if (net.state('b', 'a') === 'established') net.inject('b', 'a', route(i));
  expect([net.state('b', 'a'), net.fib('b')]).toEqual(['idle', []]);
  expect(notifications(net)).toContain('b 06090608');
  expect(net.log('b')).toContainEqual(
    expect.stringMatching(
      /^a: notification sent: Hard Reset, Cease: Out of Resources: path attributes of this router take 20\d{3} octets, 20000 are allowed$/,
    ),
  );
  net.run(300_000);
  expect(net.established('b', 'a')).toBe(2);
});

describe('what changes under a session', () => {
  const configure = (
    net: SpeakerNetwork,
    at: string,
    of: string,
    change: Parameters<SpeakerNetwork['settings']>[2],
  ) => {
    net.handle(at, { type: 'configure-peer', peer: net.settings(at, of, change) });
    net.run(10);
  };

  it('import is asked again of Adj-RIB-In: routes go and come without a message of the peer', () => {
    const net = chain();
    const before = net.sent.length;
    configure(net, 'b', 'a', { import: policyOf([{ prefix: ONE }]) });
    expect([net.fib('b'), net.fib('c')]).toEqual([via('10.0.0.1', ONE), via('10.0.0.2', ONE)]);
    configure(net, 'b', 'a', {});
    expect(net.fib('c')).toEqual(via('10.0.0.2', ONE, TWO, THREE));
    expect(net.sent.slice(before).every(({ from, to }) => from === 'b' && to === 'c')).toBe(true);
    expect([net.established('b', 'a'), net.established('b', 'c')]).toEqual([1, 1]);
  });

  it('export is asked again: the peer is told what differs alone', () => {
    const net = chain();
    const before = net.sent.length;
    configure(net, 'b', 'c', { export: policyOf([{ prefix: ONE, action: 'reject' }, {}]) });
    expect(net.fib('c')).toEqual(via('10.0.0.2', TWO, THREE));
    configure(net, 'b', 'c', { export: policyOf('all'), nextHop: 'unchanged' });
    expect(net.fib('c')).toEqual(via('10.0.0.1', ONE, TWO, THREE));
    expect(net.sent.slice(before).every(({ from, octets }) => from === 'b' && octets[18] === 2)).toBe(true);
    expect(net.established('c', 'b')).toBe(1);
  });

  it('RFC 8212: a policy that is taken away takes all routes with it', () => {
    const net = chain();
    configure(net, 'b', 'a', { silent: true });
    expect([net.fib('b'), net.fib('c')]).toEqual([[], []]);
    configure(net, 'b', 'a', {});
    expect(net.fib('c')).toHaveLength(3);
    configure(net, 'b', 'c', { silent: true });
    expect(net.fib('c')).toEqual([]);
    expect(net.established('c', 'b')).toBe(1);
  });

  it('with a limit that is taken away there is the one for all', () => {
    const net = chain({ maximumPrefixes: 3 });
    configure(net, 'b', 'a', {});
    net.originate('a', '10.1.0.0/16');
    net.run(10);
    expect(net.fib('b')).toHaveLength(4);
  });

  it('RFC 4724 §4.2: of routes that outlive their session too, and nobody who is away is told anything', () => {
    const net = chain({ session: GRACEFUL }, { session: GRACEFUL });
    net.reachable = false;
    net.cut('a', 'b');
    configure(net, 'b', 'a', { session: GRACEFUL, import: policyOf([{ prefix: ONE }]), export: policyOf('none') });
    expect([net.paths('b', ONE), net.fib('c')]).toEqual([['a stale'], via('10.0.0.2', ONE)]);
    expect(net.speaker('b').rib.groups.reduce((sum, { size }) => sum + size, 0)).toBe(2);
  });

  it('RFC 4271 §6.3: enforceFirstAs: the first AS must be the peer, or not; what was refused is asked for again', () => {
    const net = chain();
    const route = update(EMPTY, usual([65009], [10, 0, 0, 1]), Uint8Array.of(16, 10, 1));
    net.inject('b', 'a', route);
    expect([net.paths('b', '10.1.0.0/16'), net.state('b', 'a')]).toEqual([[], 'established']);
    const before = net.sent.length;
    configure(net, 'b', 'a', { enforceFirstAs: false });
    expect(net.sent.slice(before).some(({ from, octets }) => from === 'b' && octets[18] === 5)).toBe(true);
    net.inject('b', 'a', route);
    expect(net.paths('b', '10.1.0.0/16')).toEqual(['a']);
    configure(net, 'b', 'a', {});
    expect(net.paths('b', '10.1.0.0/16')).toEqual([]);
    expect(net.fib('b')).toHaveLength(3);
  });

  it('before the session is there, what it will go by', () => {
    const net = new SpeakerNetwork();
    net.add('a', 65001);
    net.add('b', 65002);
    net.originate('a', ONE, TWO);
    net.join('a', 'b');
    configure(net, 'b', 'a', { import: policyOf([{ prefix: TWO }]) });
    net.run(3_000);
    expect(net.fib('b')).toEqual(via('10.0.0.1', TWO));
  });
});
