import { describe, expect, it } from 'vitest';
import { IPV4_UNICAST, IPV6_UNICAST, notification } from '../../../src/bgp/message/index.ts';
import type { GracefulRestart } from '../../../src/bgp/session/index.ts';
import { Network, type Settings } from './network.ts';

const graceful = (changes: Partial<GracefulRestart> = {}): { gracefulRestart: GracefulRestart } => ({
  gracefulRestart: {
    restartSeconds: 120,
    restarting: false,
    notification: false,
    families: [{ family: IPV4_UNICAST, forwarding: true }],
    longLived: [],
    ...changes,
  },
});

function established(seed: number, a: Settings = {}, b: Settings = {}, spread = 10): Network {
  const net = new Network(seed, a, b);
  net.spread = spread;
  net.start();
  net.until(() => net.both('established'), 60_000);
  net.runUntil(net.now + 1_000);
  return net;
}

const seeds = Array.from({ length: 64 }, (_, i) => i);

describe('RFC 4271 §6.8: both dial at once', () => {
  it.each([
    ['b has the higher identifier', {}, {}, 'b'],
    ['a has the higher identifier', { identifier: 0xffffffff }, {}, 'a'],
    ['RFC 6286 §2.3: equal identifiers, b has the larger AS', { identifier: 7 }, { identifier: 7 }, 'b'],
    [
      'RFC 6286 §2.3: equal identifiers, a has the larger AS',
      { identifier: 7, asn: 4200000000 },
      { identifier: 7 },
      'a',
    ],
  ] as const)('%s: its connection stays, whatever the order of messages', (_, a, b, winner) => {
    for (const seed of seeds) {
      const net = established(seed, a, b);
      expect([seed, net.openWires(), net.states()]).toEqual([seed, 1, 'established established']);
      expect([seed, net.of('a', 'established').length, net.of('b', 'established').length]).toEqual([seed, 1, 1]);
      expect([seed, net.sessions.a.view(net.now).session?.dialledBy]).toEqual([seed, winner === 'a' ? 'us' : 'peer']);
      net.runUntil(net.now + 300_000);
      expect([seed, net.of('a', 'down'), net.of('b', 'down')]).toEqual([seed, [], []]);
    }
  });

  it.each([
    ['a', {}],
    ['a session with graceful restart, where a new connection may mean that the old one is lost', graceful()],
  ] as const)('%s: however long each message takes, one connection becomes the session and stays it', (_, settings) => {
    for (const spread of [20, 100, 1_000]) {
      for (const seed of seeds) {
        const net = established(seed, settings, settings, spread);
        net.runUntil(net.now + 300_000);
        const downs = [...net.of('a', 'down'), ...net.of('b', 'down')].map((down) => down.why);
        expect([spread, seed, net.openWires(), downs]).toEqual([spread, seed, 1, []]);
      }
    }
  });

  it('and again after every loss, without ever falling into step', () => {
    for (const seed of seeds) {
      const net = established(seed);
      for (let i = 0; i < 4; i++) {
        net.cut();
        expect(net.both('established')).toBe(false);
        net.until(() => net.both('established'), 40_000);
      }
      expect([seed, net.openWires()]).toEqual([seed, 1]);
    }
  });
});

describe('RFC 4271 §6.5: hold timer', () => {
  it('expires on both sides when nothing arrives any more, and not before', () => {
    const net = established(3, { holdSeconds: 9 }, { holdSeconds: 30 });
    const { a, b } = net.sessions;
    expect([a.view(net.now).session?.holdSeconds, b.view(net.now).session?.holdSeconds]).toEqual([9, 9]);
    net.delivers = false;
    net.reachable = false;
    const took = net.until(() => !net.both('established'), 20_000);
    expect(took).toBeGreaterThan(5_900);
    expect(took).toBeLessThan(9_100);
    expect([...net.of('a', 'down'), ...net.of('b', 'down')][0]).toMatchObject({
      why: 'hold timer expired',
      retain: [],
    });
  });

  it('§4.2: of 0 seconds there are neither hold timer nor KEEPALIVEs', () => {
    const net = established(4, { holdSeconds: 0 }, { holdSeconds: 90 });
    const before = net.sessions.a.view(net.now).sent.keepalive;
    net.runUntil(net.now + 3_600_000);
    expect(net.states()).toBe('established established');
    expect(net.sessions.a.view(net.now).sent.keepalive).toBe(before);
    expect(net.sessions.a.deadline()).toBeUndefined();
  });

  it('§4.4: of 3 seconds there is one KEEPALIVE a second and never more', () => {
    const net = established(5, { holdSeconds: 3 });
    const before = net.sessions.a.view(net.now).sent.keepalive;
    net.runUntil(net.now + 60_000);
    expect(net.sessions.a.view(net.now).sent.keepalive - before).toBe(60);
    expect(net.states()).toBe('established established');
  });

  it('RFC 9687: a peer that takes nothing is left, without waiting for it to take a NOTIFICATION', () => {
    const net = established(6, { holdSeconds: 0, sendHoldMillis: 20_000 });
    net.delivers = false;
    net.handle('a', { type: 'transmit', octets: emptyUpdate() });
    net.actions.a.length = 0;
    const took = net.until(() => net.sessions.a.state !== 'established', 30_000);
    expect(took).toBe(20_000);
    expect(net.of('a', 'send')).toEqual([]);
    expect(net.of('a', 'close')).toMatchObject([{ abort: true }]);
    expect(net.of('a', 'down')).toMatchObject([{ why: 'send hold timer expired' }]);
  });
});

describe('RFC 4724 §4.2: graceful restart', () => {
  it('a lost connection leaves routes of the peer’s families for its Restart Time', () => {
    const both = { families: [IPV4_UNICAST, IPV6_UNICAST] };
    const longLived = [{ family: IPV4_UNICAST, forwarding: true, staleSeconds: 3600 }];
    const net = established(
      7,
      { ...both, ...graceful({ longLived }) },
      { ...both, ...graceful({ longLived, restartSeconds: 30 }) },
    );
    net.cut();
    expect(net.of('a', 'down')).toEqual([
      { do: 'down', why: 'cut', retain: [{ family: IPV4_UNICAST, millis: 30_000, longLivedMillis: 3_600_000 }] },
    ]);
    net.until(() => net.both('established'), 10_000);
    expect(net.of('a', 'established').at(-1)?.preserved).toEqual([IPV4_UNICAST]);
  });

  it('the peer that begins again with Forwarding State clear preserves nothing', () => {
    const net = established(8, graceful(), graceful());
    net.restart('b', graceful({ restarting: true, families: [{ family: IPV4_UNICAST, forwarding: false }] }), true);
    net.handle('b', { type: 'start' });
    net.until(() => net.both('established'), 10_000);
    const last = net.of('a', 'established').at(-1)!;
    expect(last.preserved).toEqual([]);
    expect(last.negotiated.remote.capabilities).toContainEqual(
      expect.objectContaining({ name: 'gracefulRestart', restarting: true }),
    );
  });

  it('§4.2, §5: a new connection while Established is the end of the old one, and no NOTIFICATION is sent on it', () => {
    const net = established(9, { ...graceful(), passive: true }, graceful());
    net.runUntil(net.now + 60_000);
    net.restart('b', graceful({ restarting: true }), false);
    const sent = net.sessions.a.view(net.now).sent.notification;
    net.handle('b', { type: 'start' });
    net.until(() => net.of('b', 'established').length === 1, 10_000);
    expect(net.of('a', 'down')).toMatchObject([{ why: 'the peer connected again', retain: [{ millis: 120_000 }] }]);
    expect(net.sessions.a.view(net.now).sent.notification).toBe(sent);
    net.until(() => net.both('established'), 1_000);
  });

  it('without the capability the old one stays until its hold timer, and the new ones are ceased', () => {
    const net = established(10, { passive: true });
    net.restart('b', {}, false);
    net.handle('b', { type: 'start' });
    net.runUntil(net.now + 10_000);
    expect(net.sessions.a.state).toBe('established');
    expect(net.sessions.b.view(net.now).lastErrorReceived?.words).toBe('Cease: Connection Collision Resolution');
    net.until(() => net.both('established') && net.of('a', 'established').length === 2, 300_000);
  });

  it('§4: a NOTIFICATION ends it the ordinary way', () => {
    const net = established(11, graceful(), graceful());
    net.handle('a', { type: 'stop', subcode: 4 });
    net.until(() => net.of('b', 'down').length > 0, 1_000);
    expect(net.of('a', 'down')).toMatchObject([{ retain: [] }]);
    expect(net.of('b', 'down')).toMatchObject([{ retain: [] }]);
  });

  it('RFC 8538: with the N flag on both sides routes survive a NOTIFICATION, but no hard reset', () => {
    const n = graceful({ notification: true });
    const net = established(12, n, n);
    net.handle('a', { type: 'stop', subcode: 4 });
    net.until(() => net.of('b', 'down').length > 0, 1_000);
    expect(net.of('b', 'down')).toMatchObject([{ why: 'Cease: Administrative Reset', retain: [{ millis: 120_000 }] }]);
    net.until(() => net.both('established'), 10_000);
    net.handle('a', { type: 'stop', subcode: 2, text: 'good night' });
    net.runUntil(net.now + 1_000);
    expect(net.of('b', 'down').at(-1)).toEqual({
      do: 'down',
      why: 'Hard Reset, Cease: Administrative Shutdown, "good night"',
      retain: [],
    });
  });
});

describe('the operator, the tables and the path', () => {
  it('RFC 4486, RFC 9003: a shutdown says why, and the session stays Idle until it is started', () => {
    const net = established(13);
    net.handle('a', { type: 'stop', subcode: 2, text: 'back at noon\n' });
    net.runUntil(net.now + 600_000);
    expect(net.sessions.a.state).toBe('idle');
    expect(net.of('b', 'down')).toMatchObject([{ why: 'Cease: Administrative Shutdown, "back at noon\ufffd"' }]);
    expect(net.sessions.a.view(net.now)).toMatchObject({ why: 'stopped: back at noon\n', connectionsDropped: 1 });
    net.handle('a', { type: 'start' });
    net.until(() => net.both('established'), 130_000);
  });

  it('RFC 4486: too many prefixes, and nothing for as long as the tables say', () => {
    const net = established(14);
    net.handle('a', { type: 'fault', notification: notification(6, 1), why: 'more than 10', idleMillis: 600_000 });
    net.runUntil(net.now + 599_000);
    expect(net.sessions.a.state).toBe('idle');
    expect(net.of('b', 'down')).toMatchObject([{ why: 'Cease: Maximum Number of Prefixes Reached' }]);
    net.until(() => net.both('established'), 130_000);
  });

  it('a path that is down ends the session at once, one that is up again begins it at once', () => {
    const net = established(15, graceful(), graceful());
    net.reachable = false;
    net.handle('a', { type: 'path', up: false, why: 'tunnel site-b is down' });
    expect(net.of('a', 'down')).toEqual([{ do: 'down', why: 'tunnel site-b is down', retain: [] }]);
    expect(net.of('a', 'close').at(-1)).toMatchObject({ abort: true });
    expect(net.sessions.a.deadline()).toBeUndefined();
    net.runUntil(net.now + 60_000);
    net.reachable = true;
    net.handle('a', { type: 'path', up: true, why: 'tunnel site-b is up' });
    net.until(() => net.both('established'), 1_000);
  });

  it('RFC 4271 §10: timers have a jitter of 0.75 to 1.0', () => {
    const keepalives = seeds.map((seed) => {
      const net = established(seed, { holdSeconds: 60, passive: true });
      const begun = net.now;
      const before = net.sessions.a.view(net.now).sent.keepalive;
      net.runUntil(begun + 3_600_000);
      return 3_600_000 / (net.sessions.a.view(net.now).sent.keepalive - before);
    });
    for (const interval of keepalives) {
      expect(interval).toBeGreaterThan(15_000);
      expect(interval).toBeLessThan(20_100);
    }
    expect(new Set(keepalives).size).toBeGreaterThan(1);
    const retries = seeds
      .map((seed) => new Network(seed))
      .map((net) => {
        net.reachable = false;
        net.handle('a', { type: 'start' });
        return net.sessions.a.deadline()!.at / 120_000;
      });
    expect(Math.min(...retries)).toBeGreaterThanOrEqual(0.75);
    expect(Math.min(...retries)).toBeLessThan(0.8);
    expect(Math.max(...retries)).toBeGreaterThan(0.95);
    expect(Math.max(...retries)).toBeLessThan(1);
  });

  it('DampPeerOscillations: what fails again and again is tried ever more seldom, down to the named limit', () => {
    const net = new Network(16, { remoteAs: 65099 });
    net.start();
    net.runUntil(3_600_000);
    const failures = net.sessions.a.view(net.now).sent.notification;
    expect(failures).toBeGreaterThan(20);
    expect(failures).toBeLessThan(90);
    expect(net.sessions.b.view(net.now).lastErrorReceived?.words).toBe('OPEN Message Error: Bad Peer AS');
  });
});

function emptyUpdate(): Uint8Array {
  const update = new Uint8Array(23).fill(0xff, 0, 16);
  update.set([0, 23, 2], 16);
  return update;
}
