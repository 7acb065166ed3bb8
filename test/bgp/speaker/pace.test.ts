import { describe, expect, it } from 'vitest';
import { IPV4_UNICAST, standardCommunity, wordsOfSet } from '../../../src/bgp/index.ts';
import { policy } from '../rib/world.ts';
import { type Change, GRACEFUL, prefixOf, SpeakerNetwork } from './network.ts';

const [A, B, OWN] = ['198.51.100.0/24', '203.0.113.0/24', '192.0.2.0/24'] as const;
const INTERVAL = 30_000;
const PACED: Change = { advertisementMillis: INTERVAL, session: { families: [IPV4_UNICAST] } };

interface Told {
  readonly at: number;
  readonly what: string;
}

/** `r` between `a` and `b`, which has the interval; what `r` tells `b`, and when. */
function joined(ofB: Change = PACED, others: Change = {}): { net: SpeakerNetwork; told: Told[] } {
  const net = new SpeakerNetwork();
  const told: Told[] = [];
  net.loses = ({ from, to, octets }) => {
    const what = from === 'r' && to === 'b' ? wordsOf(octets) : '';
    if (what !== '') told.push({ at: net.now, what });
    return false;
  };
  net.add('r', 65000);
  net.add('a', 65001);
  net.add('b', 65002);
  net.originate('r', OWN);
  net.join('r', 'a', others, others);
  net.join('r', 'b', ofB, others);
  net.run(5_000);
  return { net, told };
}

/** UPDATE and ROUTE-REFRESH, as far as they matter here. */
function wordsOf(octets: Uint8Array): string {
  if (octets[18] === 5) return ['asks', 'BoRR', 'EoRR'][octets[21]!]!;
  if (octets[18] !== 2) return '';
  if (octets.length === 23) return 'End-of-RIB';
  const prefixes = [OWN, A, B].filter((text) => hex(octets).includes(`18${hex(prefixOf(text).address).slice(0, 6)}`));
  return `${octets[20] === 0 ? '' : 'no '}${prefixes.join(', ')}`;
}

const hex = (octets: Uint8Array) => [...octets].map((octet) => octet.toString(16).padStart(2, '0')).join('');
const words = (told: readonly Told[]) => told.map(({ what }) => what);
const dueAt = (net: SpeakerNetwork) => net.speaker('r').advertisesAt('b');
/** Which of its changes of A the reader knows. */
const known = (net: SpeakerNetwork) => {
  const { rib } = net.speaker('b');
  return rib.explain(prefixOf(A)).flatMap(({ set }) => wordsOfSet(rib.store, set).communities);
};
/** `a` tells another route to A. */
function change(net: SpeakerNetwork, number: number): void {
  net.speaker('a').originate(prefixOf(A), { why: 'a test', communities: [standardCommunity(number)] });
  net.handle('a', { type: 'tick' });
}

describe('RFC 4271 §9.2.1.1: MinRouteAdvertisementInterval', () => {
  it('the first table goes at once with End-of-RIB; what changes then, at one instant and as it is by then; §10: 0.75 to 1.0 of it', () => {
    const { net, told } = joined();
    const [{ at: first }] = told as [Told];
    expect(told).toEqual([
      { at: first, what: OWN },
      { at: first, what: 'End-of-RIB' },
    ]);
    expect(first).toBeLessThan(100);
    expect(dueAt(net)).toBeUndefined();
    told.length = 0;
    net.originate('a', B);
    for (let number = 1; number <= 9; number++) {
      change(net, number);
      net.run(100);
    }
    const due = dueAt(net)!;
    expect(due - first).toBeGreaterThanOrEqual(0.75 * INTERVAL);
    expect(due - first).toBeLessThan(INTERVAL);
    expect(net.speaker('r').deadline()).toMatchObject({ at: due, why: 'minimum route advertisement interval' });
    expect(told).toEqual([]);
    net.run(due - net.now + 1);
    expect([told, dueAt(net)]).toEqual([
      [
        { at: due, what: B },
        { at: due, what: A },
      ],
      undefined,
    ]);
    expect([net.fib('b').length, known(net)]).toEqual([3, ['0:9']]);
    // Another time is as long by chance.
    change(net, 10);
    net.run(10);
    expect(dueAt(net)! - due).not.toBe(due - first);
    expect((dueAt(net)! - due) / INTERVAL).toBeGreaterThanOrEqual(0.75);
  });

  it('after a time without changes one goes at once, and again the next one does not', () => {
    const { net, told } = joined();
    net.run(INTERVAL);
    const begun = net.now;
    told.length = 0;
    change(net, 1);
    net.run(10);
    change(net, 2);
    net.run(10);
    expect([told, known(net)]).toEqual([[{ at: begun + 1, what: A }], ['0:1']]);
    const due = dueAt(net)!;
    net.run(INTERVAL);
    expect([told[1], told.length, known(net)]).toEqual([{ at: due, what: A }, 2, ['0:2']]);
  });

  it('a withdrawal waits as well; what was not told yet is not withdrawn, and what is back by then is told as it is', () => {
    const { net, told } = joined();
    const [{ at: first }] = told as [Told];
    told.length = 0;
    net.withdraw('r', OWN);
    for (let times = 0; times < 5; times++) {
      net.originate('r', B);
      net.withdraw('r', B);
    }
    net.run(10);
    const due = dueAt(net)!;
    expect([told, net.fib('b').length]).toEqual([[], 1]);
    expect(due - first).toBeGreaterThanOrEqual(0.75 * INTERVAL);
    net.run(due - net.now + 1);
    expect([told, net.fib('b')]).toEqual([[{ at: due, what: `no ${OWN}` }], []]);
    told.length = 0;
    net.originate('r', OWN);
    net.withdraw('r', OWN);
    net.originate('r', OWN);
    const next = dueAt(net)!;
    expect(next - due).toBeGreaterThanOrEqual(0.75 * INTERVAL);
    net.run(INTERVAL);
    expect(told).toEqual([{ at: next, what: OWN }]);
    // What came to nothing does not keep what comes then.
    net.originate('r', B);
    net.withdraw('r', B);
    expect(dueAt(net)).toBeUndefined();
  });

  it('another peer that has none is told at once', () => {
    const { net } = joined();
    net.add('c', 65003);
    net.join('r', 'c');
    net.run(1000);
    change(net, 1);
    net.run(10);
    expect([net.fib('c').length, net.fib('b').length]).toEqual([2, 1]);
  });

  it('RFC 2918, RFC 7313: ROUTE-REFRESH is answered in the next round, once for all that have come', () => {
    const { net, told } = joined();
    told.length = 0;
    const ask = () => net.handle('b', { type: 'refresh', peer: 'r', direction: 'in' });
    for (let times = 0; times < 3; times++) {
      ask();
      net.run(10);
    }
    change(net, 1);
    net.run(10);
    expect(told).toEqual([]);
    const due = dueAt(net)!;
    net.run(due - net.now + 1);
    expect(words(told)).toEqual(['BoRR', OWN, A, 'EoRR']);
    expect(told.every(({ at }) => at === due)).toBe(true);
    net.run(INTERVAL);
    told.length = 0;
    ask();
    net.run(10);
    expect(words(told)).toEqual(['BoRR', OWN, A, 'EoRR']);
    expect(net.fib('b')).toHaveLength(2);
  });

  it('RFC 4724 §4: a new session is told all at once, then End-of-RIB, whatever time there was left', () => {
    const graceful = { ...PACED, session: GRACEFUL };
    const { net, told } = joined(graceful, { session: GRACEFUL });
    change(net, 1);
    net.run(10);
    expect([net.fib('b').length, dueAt(net) !== undefined]).toEqual([1, true]);
    told.length = 0;
    net.cut('r', 'b');
    net.run(10_000);
    expect(net.state('r', 'b')).toBe('established');
    const [{ at }] = told as [Told];
    expect(told).toEqual([OWN, A, 'End-of-RIB'].map((what) => ({ at, what })));
    expect(net.log('b').filter((line) => line.includes('stale'))).toEqual([]);
    expect(net.fib('b')).toHaveLength(2);
  });

  it('RFC 4724 §4.1: a family that is chosen later waits as any change does, and its End-of-RIB behind its routes', () => {
    const { net, told } = joined({ ...PACED, session: GRACEFUL }, { session: GRACEFUL });
    const { loses } = net;
    net.loses = (message) => loses(message) || (message.from === 'a' && wordsOf(message.octets) === 'End-of-RIB');
    const restarting = { gracefulRestart: { ...GRACEFUL.gracefulRestart, restarting: true } };
    net.restart('r');
    net.peer('r', 'a', { session: restarting });
    net.peer('r', 'b', { ...PACED, session: restarting });
    net.handle('r', { type: 'restarted', deferralMillis: 15_000 });
    net.originate('r', OWN, '2001:db8:a::/48');
    told.length = 0;
    net.run(14_000);
    expect([net.fib('b').length, told]).toEqual([2, []]);
    net.run(2_000);
    expect([net.log('r').filter((line) => line.includes('chosen')).length, told]).toEqual([2, []]);
    const due = dueAt(net)!;
    net.run(INTERVAL);
    expect(told).toEqual([OWN, 'End-of-RIB'].map((what) => ({ at: due, what })));
  });

  it('changed under the session: what waits goes at once where the interval goes, and what policy does not let pass any more waits, too', () => {
    const { net, told } = joined();
    const configure = (change: Change) =>
      net.handle('r', { type: 'configure-peer', peer: net.settings('r', 'b', { session: PACED.session!, ...change }) });
    net.run(INTERVAL);
    change(net, 1);
    net.run(10);
    change(net, 2);
    net.run(10);
    told.length = 0;
    configure({ advertisementMillis: INTERVAL, export: policy([{ prefix: OWN, action: 'reject' }, {}]) });
    expect([told, dueAt(net) !== undefined]).toEqual([[], true]);
    configure({ export: policy([{ prefix: OWN, action: 'reject' }, {}]) });
    net.run(10);
    expect(words(told).sort()).toEqual([A, `no ${OWN}`]);
    expect([known(net), dueAt(net), net.fib('b').length]).toEqual([['0:2'], undefined, 1]);
    configure({});
    configure({ advertisementMillis: INTERVAL });
    change(net, 3);
    net.run(10);
    expect(known(net)).toEqual(['0:2']);
    net.run(INTERVAL);
    expect(known(net)).toEqual(['0:3']);
    expect(net.established('r', 'b')).toBe(1);
  });
});
