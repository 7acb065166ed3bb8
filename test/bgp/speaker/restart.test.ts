import { describe, expect, it } from 'vitest';
import { type Capability, encodeControlMessage, IPV4_UNICAST, IPV6_UNICAST } from '../../../src/bgp/index.ts';
import type { GracefulRestart } from '../../../src/bgp/session/index.ts';
import { STALE_MILLIS } from '../../../src/bgp/stale.ts';
import { concat, EMPTY } from '../../../src/core/index.ts';
import { attribute, update, usual, word } from '../rib/speakers.ts';
import { GRACEFUL, SpeakerNetwork } from './network.ts';

const ONE = '198.51.100.0/24';
const TWO = '203.0.113.0/24';

const restarting = (change: Partial<GracefulRestart> = {}) => ({
  session: { gracefulRestart: { ...GRACEFUL.gracefulRestart, restarting: true, ...change } },
});

/** `b` keeps the routes of `a` when its session is lost, and tells `c`. */
function helped(graceful: Partial<GracefulRestart> = {}): SpeakerNetwork {
  const net = new SpeakerNetwork();
  const session = { gracefulRestart: { ...GRACEFUL.gracefulRestart, ...graceful } };
  net.add('a', 65001);
  net.add('b', 65002);
  net.add('c', 65003);
  net.originate('a', ONE, TWO);
  net.join('a', 'b', { session }, { session });
  net.join('b', 'c', { session }, { session });
  net.run(3_000);
  expect(net.fib('c')).toEqual([`${ONE} via 10.0.0.2`, `${TWO} via 10.0.0.2`]);
  return net;
}

describe('RFC 4724 §4.2: the receiving speaker', () => {
  it('keeps what a lost peer said, marked stale, and tells nobody of it', () => {
    const net = helped();
    net.reachable = false;
    const before = net.sent.length;
    net.restart('a');
    net.run(59_000);
    expect(net.fib('b')).toEqual([`${ONE} via 10.0.0.1`, `${TWO} via 10.0.0.1`]);
    expect(net.paths('b', ONE)).toEqual(['a stale']);
    expect(net.sent.slice(before).filter(({ octets }) => octets[18] === 2)).toEqual([]);
  });

  it('removes them when the Restart Time is over', () => {
    const net = helped();
    net.reachable = false;
    net.restart('a');
    net.run(60_002);
    expect(net.fib('b')).toEqual([]);
    expect(net.fib('c')).toEqual([]);
    expect(net.log('b')).toContain('a: stale routes removed: IPv4 unicast: the peer did not come back in time');
  });

  it('removes at End-of-RIB what the peer has not said again', () => {
    const net = helped();
    net.restart('a');
    net.originate('a', TWO);
    net.peer('a', 'b', restarting());
    net.run(20_000);
    expect(net.established('b', 'a')).toBe(2);
    expect(net.fib('b')).toEqual([`${TWO} via 10.0.0.1`]);
    expect(net.paths('b', TWO)).toEqual(['a']);
    expect(net.fib('c')).toEqual([`${TWO} via 10.0.0.2`]);
  });

  it('removes at once what the peer did not forward meanwhile', () => {
    const net = helped();
    net.restart('a');
    net.loses = ({ from, octets }) => from === 'a' && octets[18] === 2;
    net.peer('a', 'b', restarting({ families: [{ family: IPV4_UNICAST, forwarding: false }] }));
    net.run(20_000);
    expect(net.state('b', 'a')).toBe('established');
    expect(net.fib('b')).toEqual([]);
  });

  it('§3: who only lost the session went on forwarding, which its next OPEN says: nothing goes away', () => {
    const net = helped({ families: [{ family: IPV4_UNICAST, forwarding: false }] });
    net.cut('a', 'b');
    for (let i = 0; i < 20_000 && net.established('b', 'a') < 2; i++) net.run(1);
    for (let i = 0; i < 20; i++) {
      net.run(1);
      expect(net.fib('b')).toHaveLength(2);
    }
    expect([net.established('b', 'a'), net.paths('b', ONE)]).toEqual([2, ['a']]);
  });

  it('does not wait for End-of-RIB for ever', () => {
    const net = helped();
    net.restart('a');
    net.loses = ({ from, octets }) => from === 'a' && octets[18] === 2;
    net.peer('a', 'b', restarting());
    net.run(20_000);
    expect(net.paths('b', ONE)).toEqual(['a stale']);
    net.run(STALE_MILLIS);
    expect(net.fib('b')).toEqual([]);
    expect(net.log('b')).toContain('a: stale routes removed: IPv4 unicast: no End-of-RIB in time');
  });

  it('a second restart before End-of-RIB: what was stale already goes', () => {
    const net = helped();
    net.restart('a');
    // Of what it says again, End-of-RIB is lost.
    net.loses = ({ from, octets }) =>
      from === 'a' && octets[18] === 2 && (octets.length === 23 || octets.length === 30);
    net.originate('a', TWO);
    net.peer('a', 'b', restarting());
    net.run(20_000);
    expect([net.paths('b', ONE), net.paths('b', TWO)]).toEqual([['a stale'], ['a']]);
    net.reachable = false;
    net.restart('a');
    net.run(10);
    expect([net.paths('b', ONE), net.paths('b', TWO)]).toEqual([[], ['a stale']]);
  });

  it('RFC 4271 §6.7: an operator who stops the session ends it with all its routes', () => {
    const net = helped();
    net.tell('a', 'b', { type: 'stop', subcode: 2, text: 'for today' });
    net.run(10);
    expect(net.fib('b')).toEqual([]);
    expect(net.log('b')).toContain('a: notification received: Cease: Administrative Shutdown, "for today"');
  });
});

describe('RFC 9494 §4.2: long-lived graceful restart', () => {
  const longLived = [IPV4_UNICAST, IPV6_UNICAST].map((family) => ({ family, forwarding: true, staleSeconds: 600 }));

  it('begins at once for families that the capability for graceful restart does not name', () => {
    const net = helped({ longLived, families: [] });
    net.reachable = false;
    net.restart('a');
    net.run(10);
    expect(net.paths('b', ONE)).toEqual(['a stale']);
    expect(net.sent.some(({ from, to, octets }) => from === 'b' && to === 'c' && holds(octets, 0xffff0006))).toBe(true);
    net.run(599_000);
    expect(net.fib('c')).toHaveLength(2);
    net.run(1_000);
    expect([net.fib('b'), net.fib('c')]).toEqual([[], []]);
  });

  it.each([
    [true, 1],
    [false, 0],
  ])(
    '§4.1, §4.5: whether the capability comes with the one for graceful restart (%s): %i LLGR_STALE routes',
    (with64, told) => {
      const long: Capability = { name: 'longLivedGracefulRestart', families: longLived };
      const { gracefulRestart } = GRACEFUL;
      const net = new SpeakerNetwork();
      for (const [i, name] of ['a', 'b', 'c'].entries()) net.add(name, 65_001 + i);
      net.join('a', 'b');
      net.join('b', 'c', {}, { session: { otherCapabilities: [long], ...(with64 ? { gracefulRestart } : {}) } });
      net.run(3_000);
      const stale = concat(usual([65_001], [10, 0, 0, 1]), attribute(0xc0, 8, ...word(0xffff_0006)));
      net.inject('b', 'a', update(EMPTY, stale, Uint8Array.of(24, 198, 51, 100)));
      net.run(10);
      expect([net.fib('b').length, net.fib('c').length]).toEqual([1, told]);
    },
  );

  it('after the Restart Time routes stay as the least preferred, then go', () => {
    const net = helped({ longLived });
    net.reachable = false;
    net.restart('a');
    net.run(61_000);
    expect(net.fib('b')).toEqual([`${ONE} via 10.0.0.1`, `${TWO} via 10.0.0.1`]);
    // LLGR_STALE, for those who know what it means.
    expect(net.sent.some(({ from, to, octets }) => from === 'b' && to === 'c' && holds(octets, 0xffff0006))).toBe(true);
    net.run(600_000);
    expect(net.fib('b')).toEqual([]);
    expect(net.fib('c')).toEqual([]);
  });

  it('a peer that is back in that time has Forwarding State in its long-lived capability, and End-of-RIB ends it', () => {
    const net = helped({ longLived });
    net.reachable = false;
    net.restart('a');
    net.run(61_000);
    net.reachable = true;
    net.originate('a', TWO);
    net.peer('a', 'b', restarting({ longLived }));
    net.run(20_000);
    expect(net.fib('b')).toEqual([`${TWO} via 10.0.0.1`]);
    expect(net.paths('b', TWO)).toEqual(['a']);
  });

  /** `a` is back without End-of-RIB, has said TWO again, and is lost once more. */
  function lostTwice(first: number, second: number): SpeakerNetwork {
    const net = helped({ longLived });
    net.reachable = false;
    net.restart('a');
    net.run(first);
    net.reachable = true;
    net.originate('a', TWO);
    net.loses = ({ from, octets }) =>
      from === 'a' && octets[18] === 2 && (octets.length === 23 || octets.length === 30);
    net.peer('a', 'b', restarting({ longLived }));
    net.run(second);
    expect(net.established('b', 'a')).toBe(2);
    net.reachable = false;
    net.restart('a');
    net.run(10);
    return net;
  }

  it('consecutive restarts: what was stale already does not go before the long-lived time is over', () => {
    const net = lostTwice(1_000, 20_000);
    expect([net.paths('b', ONE), net.paths('b', TWO)]).toEqual([['a stale'], ['a stale']]);
    net.run(60_000 + 600_000 - 100);
    expect(net.fib('b')).toHaveLength(2);
    net.run(100);
    expect(net.fib('b')).toEqual([]);
  });

  it('a long-lived time that runs is not begun again by the next loss', () => {
    const net = lostTwice(61_000, 20_000);
    expect([net.paths('b', ONE), net.paths('b', TWO)]).toEqual([['a stale'], ['a stale']]);
    net.run(660_000 - 81_000 - 100);
    expect(net.fib('b')).toHaveLength(2);
    net.run(200);
    expect(net.fib('b')).toEqual([]);
  });

  it('a long-lived time that ends before End-of-RIB takes what was not said again, and a loss then takes the rest', () => {
    const net = helped({ longLived });
    net.reachable = false;
    net.restart('a');
    net.run(600_000);
    net.reachable = true;
    net.originate('a', TWO);
    net.loses = ({ from, octets }) =>
      from === 'a' && octets[18] === 2 && (octets.length === 23 || octets.length === 30);
    net.peer('a', 'b', restarting({ longLived }));
    net.run(20_000);
    expect([net.paths('b', ONE), net.paths('b', TWO)]).toEqual([['a stale'], ['a']]);
    net.run(41_000);
    expect([net.paths('b', ONE), net.paths('b', TWO)]).toEqual([[], ['a']]);
    net.reachable = false;
    net.restart('a');
    net.run(10);
    expect(net.fib('b')).toEqual([]);
  });
});

describe('RFC 7313: enhanced route refresh', () => {
  const refresh = (subtype: number) => encodeControlMessage({ kind: 'routeRefresh', family: IPV4_UNICAST, subtype });

  function pair(session: object = {}): SpeakerNetwork {
    const net = new SpeakerNetwork();
    net.add('a', 65001);
    net.add('b', 65002);
    net.originate('a', ONE, TWO);
    net.join('a', 'b', { session }, { session });
    net.run(3_000);
    return net;
  }

  it('§4: End-of-RR purges what the peer has not said again', () => {
    const net = pair();
    net.loses = ({ from, octets }) => from === 'a' && octets[18] === 2;
    net.withdraw('a', ONE);
    net.run(10);
    expect(net.fib('b')).toHaveLength(2);
    net.loses = () => false;
    const before = net.sent.length;
    net.handle('b', { type: 'refresh', peer: 'a', direction: 'in' });
    net.run(10);
    expect(net.fib('b')).toEqual([`${TWO} via 10.0.0.1`]);
    const answer = net.sent.slice(before).filter(({ from }) => from === 'a');
    expect(answer.map(({ octets }) => (octets[18] === 5 ? `refresh ${octets[21]}` : 'update'))).toEqual([
      'refresh 1',
      'update',
      'refresh 2',
      'refresh 1',
      'refresh 2',
    ]);
    expect(net.established('b', 'a')).toBe(1);
  });

  it('§4: a beginning whose end does not come is ended by time', () => {
    const net = pair({ holdSeconds: 0 });
    net.inject('b', 'a', refresh(1));
    net.run(STALE_MILLIS - 1);
    expect(net.paths('b', ONE)).toEqual(['a stale']);
    net.run(1);
    expect(net.fib('b')).toEqual([]);
    expect(net.log('b')).toContain('a: stale routes removed: IPv4 unicast: no End-of-RR in time');
  });

  it('§4: an end without a beginning is not heeded, and a second beginning begins again', () => {
    const net = pair();
    net.inject('b', 'a', refresh(2));
    expect(net.fib('b')).toHaveLength(2);
    net.inject('b', 'a', refresh(1));
    net.handle('a', { type: 'refresh', peer: 'b', direction: 'out' });
    net.run(10);
    expect(net.paths('b', ONE)).toEqual(['a']);
    net.inject('b', 'a', refresh(1));
    net.inject('b', 'a', refresh(2));
    expect(net.fib('b')).toEqual([]);
  });

  it('§4: who does not begin to answer within the hold time is named; who does has refreshed', () => {
    const net = pair({ holdSeconds: 9 });
    net.handle('b', { type: 'refresh', peer: 'a', direction: 'in' });
    net.run(20_000);
    expect(net.log('b').filter((line) => line.includes('refresh'))).toEqual([
      'a: refreshed: IPv4 unicast',
      'a: refreshed: IPv6 unicast',
    ]);
    net.loses = ({ from, octets }) => from === 'a' && octets[18] === 5;
    net.handle('b', { type: 'refresh', peer: 'a', direction: 'in' });
    net.run(8_999);
    expect(net.log('b')).not.toContain('a: refresh not answered: IPv4 unicast: no Begin-of-RR (RFC 7313 §4)');
    net.run(1);
    expect(net.log('b')).toContain('a: refresh not answered: IPv4 unicast: no Begin-of-RR (RFC 7313 §4)');
    expect(net.established('b', 'a')).toBe(1);
  });

  it.each([GRACEFUL.gracefulRestart, { ...GRACEFUL.gracefulRestart, families: [] }])(
    '§4: with graceful restart a beginning before End-of-RIB is not heeded, and End-of-RR is not End-of-RIB',
    (gracefulRestart) => {
      const net = new SpeakerNetwork();
      net.add('a', 65001);
      net.add('b', 65002);
      net.originate('a', ONE);
      net.loses = ({ from, octets }) => from === 'a' && octets[18] === 2 && octets.length === 23;
      net.join('a', 'b', { session: { gracefulRestart } }, { session: { gracefulRestart } });
      net.run(3_000);
      net.inject('b', 'a', refresh(1));
      expect(net.paths('b', ONE)).toEqual(['a']);
      net.inject('b', 'a', refresh(2));
      expect(net.fib('b')).toHaveLength(1);
      expect(net.log('b')).toContain('a: refresh not heeded: IPv4 unicast: it began before End-of-RIB');
    },
  );
});

function holds(octets: Uint8Array, community: number): boolean {
  const view = new DataView(octets.buffer, octets.byteOffset, octets.length);
  for (let at = 19; at + 4 <= octets.length; at++) if (view.getUint32(at) === community) return true;
  return false;
}
