import { describe, expect, it } from 'vitest';
import { IPV4_UNICAST } from '../../../src/bgp/index.ts';
import { capability } from '../../../src/bgp/session/index.ts';
import { type Change, GRACEFUL, prefixOf, SpeakerNetwork } from './network.ts';

const [A, A6, B, OWN] = ['198.51.100.0/24', '2001:db8:a::/48', '203.0.113.0/24', '192.0.2.0/24'] as const;
const SESSION: Change = { session: GRACEFUL };
const RESTARTED = { session: { gracefulRestart: { ...GRACEFUL.gracefulRestart, restarting: true } } };
const DEFERRAL = 40_000;
const LATE = 'the Selection_Deferral_Timer has ended';
const ALL_SAID = 'no peer has still to say End-of-RIB';

/** `r` between `a` and `b`, all with routes of their own; `ofA` and `ofB` are what differs at the peers. */
function joined(ofA: Change = SESSION, ofB: Change = SESSION): SpeakerNetwork {
  const net = new SpeakerNetwork();
  net.add('r', 65000);
  net.add('a', 65001);
  net.add('b', 65002);
  net.originate('a', A, A6);
  net.originate('b', B);
  net.originate('r', OWN);
  net.join('r', 'a', SESSION, ofA);
  net.join('r', 'b', SESSION, ofB);
  net.run(5_000);
  expect(net.fib('r')).toHaveLength(3);
  return net;
}

/** The process of `r` is another, and waits so long at most. */
function restart(net: SpeakerNetwork, deferralMillis = DEFERRAL, change: Change = RESTARTED): void {
  net.restart('r');
  net.sent.length = 0;
  for (const peer of ['a', 'b']) {
    net.peer('r', peer, change);
  }
  net.handle('r', { type: 'restarted', deferralMillis });
  net.originate('r', OWN);
}

const isUpdate = (octets: Uint8Array) => octets[18] === 2;
const isEnd = (octets: Uint8Array) => isUpdate(octets) && (octets.length === 23 || octets.length === 30);
const isUp = (net: SpeakerNetwork) => ['a', 'b'].map((peer) => net.state('r', peer));
/** UPDATEs of `r` to a peer, in order. */
const told = (net: SpeakerNetwork, peer: string) =>
  net.sent.filter(({ from, to, octets }) => from === 'r' && to === peer && isUpdate(octets));
const chosen = (net: SpeakerNetwork) => net.log('r').filter((line) => line.includes('chosen'));
const BOTH = (why: string) => [`IPv4 unicast chosen: ${why}`, `IPv6 unicast chosen: ${why}`];

describe('RFC 4724 §4.1: the restarting speaker', () => {
  it('chooses once every peer has said End-of-RIB; then its routes are told, and End-of-RIB', () => {
    const net = joined();
    let opens = true;
    net.loses = ({ from, octets }) => from === 'b' && isEnd(octets) && opens;
    restart(net);
    net.run(15_000);
    expect(isUp(net)).toEqual(['established', 'established']);
    expect([net.fib('r'), told(net, 'a'), told(net, 'b'), chosen(net)]).toEqual([[], [], [], []]);
    const why = 'routes are not chosen yet: this router has restarted (RFC 4724 §4.1)';
    expect(net.speaker('r').rib.explain(prefixOf(A))).toMatchObject([{ peer: 'a', best: false, why }]);
    // RFC 2918: asked again, it says End-of-RIB again.
    opens = false;
    for (const octets of [[], [0x90, 15, 0, 3, 0, 2, 1]])
      net.inject(
        'r',
        'b',
        Uint8Array.of(...Array(16).fill(255), 0, 23 + octets.length, 2, 0, 0, 0, octets.length, ...octets),
      );
    net.run(10);
    expect(chosen(net)).toEqual(BOTH(ALL_SAID));
    expect(net.fib('r')).toEqual([`${A} via 10.0.0.2`, `${A6} via 2001:db8::2`, `${B} via 10.0.0.3`]);
    const lengths = told(net, 'b').map(({ octets }) => isEnd(octets));
    expect(lengths.lastIndexOf(false)).toBeLessThan(lengths.length - 1);
    expect(lengths.filter(Boolean)).toHaveLength(2);
    expect(net.fib('b')).toEqual([`${OWN} via 10.0.0.1`, `${A} via 10.0.0.1`, `${A6} via 2001:db8::1`].sort());
  });

  it('or when the Selection_Deferral_Timer ends', () => {
    const net = joined();
    net.loses = ({ from, octets }) => from === 'b' && isEnd(octets);
    restart(net);
    const until = net.now + DEFERRAL;
    expect(net.speaker('r').deferredUntil).toBe(until);
    net.run(DEFERRAL - 1);
    expect(net.fib('r')).toEqual([]);
    expect(net.speaker('r').deadline()!.at).toBeLessThanOrEqual(until);
    net.run(2);
    expect(chosen(net)).toEqual(BOTH(LATE));
    expect(net.fib('r')).toHaveLength(3);
    expect(net.speaker('r').deferredUntil).toBeUndefined();
    net.run(100);
    expect(told(net, 'b').filter(({ octets }) => isEnd(octets))).toHaveLength(2);
  });

  it('for each family by itself', () => {
    const net = joined();
    net.loses = ({ from, octets }) => from === 'b' && isUpdate(octets) && octets.length === 23;
    restart(net);
    net.run(15_000);
    expect(chosen(net)).toEqual([`IPv6 unicast chosen: ${ALL_SAID}`]);
    expect(net.fib('r')).toEqual([`${A6} via 2001:db8::2`]);
    expect(told(net, 'b').map(({ octets }) => isEnd(octets))).toEqual([false, true]);
    net.run(DEFERRAL);
    expect(chosen(net)[1]).toBe(`IPv4 unicast chosen: ${LATE}`);
    expect(net.fib('r')).toHaveLength(3);
  });

  it('waits for a peer that is not there, and not for one that has said End-of-RIB and went', () => {
    const net = joined();
    net.loses = ({ from }) => from === 'b';
    restart(net);
    net.run(15_000);
    expect([isUp(net)[0], chosen(net)]).toEqual(['established', []]);
    net.reachable = false;
    net.cut('r', 'a');
    net.loses = () => false;
    net.run(10);
    expect(net.state('r', 'a')).not.toBe('established');
    net.reachable = true;
    net.loses = ({ from, to }) => from === 'a' || to === 'a';
    net.run(20_000);
    expect([isUp(net)[1], chosen(net)]).toEqual(['established', BOTH(ALL_SAID)]);
  });

  it.each([
    ['has not got graceful restart', {}],
    ['has restarted itself', RESTARTED],
  ] as const)('does not wait for a peer that %s', (_, ofB) => {
    const net = joined(SESSION, ofB);
    if ('session' in ofB) {
      net.restart('b');
      net.originate('b', B);
      net.peer('b', 'r', ofB);
    }
    net.loses = ({ from, octets }) => from === 'b' && isEnd(octets);
    restart(net);
    net.run(15_000);
    expect(isUp(net)).toEqual(['established', 'established']);
    expect(chosen(net)).toEqual(BOTH(ALL_SAID));
  });

  it('nor for a family that the peer does not have, one that nobody wants up, and one that is taken away', () => {
    const one = { session: { ...GRACEFUL, families: [IPV4_UNICAST] } };
    for (const act of ['family', 'stop', 'remove'] as const) {
      const net = joined(SESSION, act === 'family' ? one : SESSION);
      net.loses = ({ from, octets }) => from === 'b' && (act === 'family' ? false : isEnd(octets));
      restart(net);
      if (act === 'stop') net.tell('r', 'b', { type: 'stop', subcode: 2 });
      if (act === 'remove') net.handle('r', { type: 'remove-peer', peer: 'b' });
      net.run(15_000);
      expect(chosen(net).sort()).toEqual(BOTH(ALL_SAID));
    }
  });

  it('where this end keeps nothing there is nothing to wait for', () => {
    const net = joined();
    restart(net, DEFERRAL, {});
    expect(chosen(net)).toEqual(BOTH(ALL_SAID));
    expect(net.speaker('r').deferredUntil).toBeUndefined();
  });

  it('Restart State is in the OPEN until there is a session again', () => {
    const net = joined();
    /** As the peer got it. */
    const flag = () => capability(net.speaker('a').negotiated('r')!.remote, 'gracefulRestart')?.restarting;
    expect(flag()).toBe(false);
    restart(net);
    net.run(20_000);
    expect(flag()).toBe(true);
    net.cut('r', 'a');
    net.run(20_000);
    expect([net.state('r', 'a'), net.established('a', 'r'), flag()]).toEqual(['established', 3, false]);
  });

  it('what comes and goes meanwhile is as if it had been chosen at once', () => {
    const net = joined(SESSION, {});
    net.loses = ({ from, octets }) => from === 'a' && isEnd(octets);
    restart(net);
    net.run(10_000);
    net.originate('b', '10.1.0.0/16', '10.2.0.0/16');
    net.run(100);
    net.withdraw('b', '10.1.0.0/16', B);
    net.withdraw('a', A);
    net.run(100);
    // A session without graceful restart that ends: all it said goes, and comes again.
    net.cut('r', 'b');
    net.run(15_000);
    expect(isUp(net)).toEqual(['established', 'established']);
    expect(net.fib('r')).toEqual([]);
    net.run(DEFERRAL);
    expect(net.fib('r')).toEqual(['10.2.0.0/16 via 10.0.0.3', `${A6} via 2001:db8::2`]);
    expect(net.fib('a')).toEqual(['10.2.0.0/16 via 10.0.0.1', `${OWN} via 10.0.0.1`]);
    expect(net.fib('b')).toEqual([`${OWN} via 10.0.0.1`, `${A6} via 2001:db8::1`].sort());
    net.cut('r', 'b');
    net.run(10);
    expect(net.fib('r')).toEqual([`${A6} via 2001:db8::2`]);
  });
});
