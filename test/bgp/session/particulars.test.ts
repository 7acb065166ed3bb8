import { describe, expect, it } from 'vitest';
import type { SessionAction } from '../../../src/bgp/contract.ts';
import {
  type Capability,
  encodeControlMessage,
  IPV4_UNICAST,
  IPV6_UNICAST,
  KEEPALIVE,
  MESSAGE,
  notification,
} from '../../../src/bgp/message/index.ts';
import { openOf } from '../../../src/bgp/session/configuration.ts';
import {
  capability,
  Session,
  type SessionConfiguration,
  sessionConfiguration,
} from '../../../src/bgp/session/index.ts';
import { type Bytes, concat, seededRandom, u16 } from '../../../src/core/index.ts';

const gracefulRestart = {
  restartSeconds: 60,
  restarting: false,
  notification: false,
  families: [{ family: IPV4_UNICAST, forwarding: true }],
  longLived: [{ family: IPV4_UNICAST, forwarding: false, staleSeconds: 600 }],
};
const end = { address: Uint8Array.of(192, 0, 2, 1), port: 179 };

/** Of identifier 5; the peer has the one given. */
class Subject {
  readonly session: Session;
  now = 0;

  constructor(settings: Partial<SessionConfiguration> = {}) {
    this.session = new Session(
      sessionConfiguration({ asn: 65001, identifier: 5, remoteAs: 65002, ...settings }),
      seededRandom(1),
    );
    this.session.handle({ type: 'start' }, 0);
  }

  connect(connection: number): readonly SessionAction[] {
    const direction = connection < 0 ? 'out' : 'in';
    return this.session.handle({ type: 'connected', connection, direction, local: end, remote: end }, this.now);
  }

  give(connection: number, ...octets: Bytes[]): readonly SessionAction[] {
    return this.session.handle({ type: 'received', connection, octets: concat(...octets) }, this.now);
  }

  close(connection: number): readonly SessionAction[] {
    return this.session.handle({ type: 'closed', connection, why: 'reset' }, this.now);
  }

  /** Ticks at each deadline until `at`. */
  wait(at: number): SessionAction[] {
    const all: SessionAction[] = [];
    for (let due = this.session.deadline(); due !== undefined && due.at <= at; due = this.session.deadline()) {
      this.now = due.at;
      all.push(...this.session.handle({ type: 'tick' }, due.at));
    }
    this.now = at;
    return all;
  }
}

const open = (settings: Partial<SessionConfiguration> = {}): Bytes =>
  encodeControlMessage(
    openOf(sessionConfiguration({ asn: 65002, identifier: 4, remoteAs: 65001, ...settings }), false),
  );
const keepalive = encodeControlMessage(KEEPALIVE);
const keepalives = (actions: readonly SessionAction[]): number[] =>
  actions.flatMap((a) => (a.do === 'send' && a.octets[18] === MESSAGE.KEEPALIVE ? [a.connection] : []));

describe('RFC 4271 §6.8: a connection that waits for the one that is preferred', () => {
  it('goes on as soon as that one fails', () => {
    const subject = new Subject();
    subject.connect(1);
    subject.connect(-1);
    expect(keepalives(subject.give(1, open(), keepalive))).toEqual([]);
    expect(subject.session.state).toBe('openConfirm');
    expect(keepalives(subject.close(-1))).toEqual([1]);
    expect(subject.session.state).toBe('established');
  });

  it('goes on as soon as its dial fails', () => {
    const subject = new Subject();
    subject.connect(1);
    expect(keepalives(subject.give(1, open()))).toEqual([]);
    expect(keepalives(subject.close(-1))).toEqual([1]);
  });

  it('goes on after three seconds, and gives the other one up', () => {
    const subject = new Subject();
    subject.connect(1);
    subject.give(1, open(), keepalive);
    const actions = subject.wait(3_000);
    expect(keepalives(actions)).toEqual([1]);
    expect(actions).toContainEqual({ do: 'close', connection: -1, abort: true });
    expect(subject.session.state).toBe('established');
  });

  it('does not wait where it is preferred itself', () => {
    const subject = new Subject();
    subject.connect(1);
    expect(keepalives(subject.give(1, open({ identifier: 6 })))).toEqual([1]);
  });
});

describe('RFC 4724: graceful restart', () => {
  function established(): Subject {
    const subject = new Subject({ gracefulRestart });
    subject.connect(-1);
    subject.give(-1, open({ gracefulRestart }), keepalive);
    expect(subject.session.state).toBe('established');
    return subject;
  }

  it('§5: a dial of the peer that crossed ours does not end a young session', () => {
    const subject = established();
    subject.now = 1_000;
    expect(subject.connect(1).map((a) => a.do)).toEqual(['send']);
    expect(subject.session.state).toBe('established');
    expect(subject.give(1, open({ gracefulRestart })).filter((a) => a.do === 'down')).toHaveLength(1);
  });

  it('§5: any other one does at once', () => {
    const subject = established();
    subject.wait(10_000);
    expect(subject.connect(1).map((a) => a.do)).toEqual(['close', 'down', 'send']);
  });

  it('RFC 9494 §4.2: after the Restart Time the F bit of the long-lived capability counts', () => {
    for (const [after, preserved] of [
      [30_000, [IPV4_UNICAST]],
      [61_000, []],
    ] as const) {
      const subject = established();
      subject.close(-1);
      subject.wait(after);
      subject.connect(1);
      const actions = [
        ...subject.give(1, open({ gracefulRestart, identifier: 6 }), keepalive),
        ...subject.wait(after + 4_000),
      ];
      expect(actions.find((a) => a.do === 'established')).toMatchObject({ preserved });
    }
  });

  it('RFC 9494 §4.2: the Restart Time of a family that only the long-lived capability has is zero; its other time is reduced to ours', () => {
    const both = [IPV4_UNICAST, IPV6_UNICAST];
    const theirs = (forwarding: boolean) => ({
      families: both,
      gracefulRestart: {
        ...gracefulRestart,
        families: [{ family: IPV6_UNICAST, forwarding: true }],
        longLived: [
          { family: IPV4_UNICAST, forwarding, staleSeconds: 600 },
          { family: IPV6_UNICAST, forwarding: false, staleSeconds: 300 },
        ],
      },
    });
    const own = {
      ...gracefulRestart,
      longLived: both.map((family) => ({ family, forwarding: true, staleSeconds: 400 })),
    };
    for (const [forwarding, preserved] of [
      [true, [IPV4_UNICAST, IPV6_UNICAST]],
      [false, [IPV6_UNICAST]],
    ] as const) {
      const subject = new Subject({ gracefulRestart: own, families: both });
      subject.connect(-1);
      subject.give(-1, open(theirs(true)), keepalive);
      const retain = [
        { family: IPV4_UNICAST, millis: 0, longLivedMillis: 400_000 },
        { family: IPV6_UNICAST, millis: 60_000, longLivedMillis: 300_000 },
      ];
      expect(subject.close(-1).find((a) => a.do === 'down')).toMatchObject({ retain });
      subject.now = 1_000;
      subject.connect(1);
      expect(subject.session.state).toBe('openSent');
      const actions = [
        ...subject.give(1, open({ ...theirs(forwarding), identifier: 6 }), keepalive),
        ...subject.wait(5_000),
      ];
      expect(actions.find((a) => a.do === 'established')).toMatchObject({ connection: 1, preserved });
    }
  });

  it('RFC 9494 §4.1, §4.2: without a family in the capability for graceful restart there is only the long-lived period', () => {
    const longLivedOnly = { ...gracefulRestart, families: [] };
    const subject = new Subject({ gracefulRestart: longLivedOnly });
    subject.connect(-1);
    subject.give(-1, open({ gracefulRestart: longLivedOnly }), keepalive);
    subject.wait(10_000);
    const actions = subject.connect(1);
    expect(actions.map((a) => a.do)).toEqual(['close', 'down', 'send']);
    expect(actions[1]).toMatchObject({ retain: [{ family: IPV4_UNICAST, millis: 0, longLivedMillis: 600_000 }] });
  });

  it('§3: of several capabilities the last one counts', () => {
    const said = (restartSeconds: number, ...families: number[]): Capability => ({
      name: 'gracefulRestart',
      restarting: false,
      notification: false,
      restartSeconds,
      families: families.map((family) => ({ family, forwarding: true })),
    });
    const lost = (...otherCapabilities: Capability[]) => {
      const subject = new Subject({ gracefulRestart, passive: true });
      subject.connect(1);
      subject.give(1, open({ otherCapabilities }), keepalive);
      return subject.close(1).find((a) => a.do === 'down');
    };
    const retain = [{ family: IPV4_UNICAST, millis: 7_000, longLivedMillis: 0 }];
    expect(lost(said(60), said(7, IPV4_UNICAST))).toMatchObject({ retain });
    expect(lost(said(60, IPV4_UNICAST), said(7))).toMatchObject({ retain: [] });
  });

  it('§3: Restart State is set until the session is Established, and never again', () => {
    const subject = new Subject({ gracefulRestart: { ...gracefulRestart, restarting: true }, passive: true });
    const restarting = () => capability(subject.session.ownOpen(), 'gracefulRestart')?.restarting;
    subject.connect(1);
    expect(restarting()).toBe(true);
    subject.give(1, open());
    expect(restarting()).toBe(true);
    subject.give(1, keepalive);
    expect(restarting()).toBe(false);
  });
});

describe('RFC 8654 §5: a NOTIFICATION is no longer than the peer takes', () => {
  it.each([
    [true, 65_535, 65_535],
    [true, 65_535 - 21, 65_535],
    [true, 4096, 4117],
    [false, 4096, 4096],
    [false, 4075, 4096],
  ])(
    'extended messages of the peer %s: BoRR of %i octets, NOTIFICATION of %i (RFC 7313 §5)',
    (extended, length, sent) => {
      const subject = new Subject({ passive: true });
      subject.connect(1);
      subject.give(1, open({ extendedMessages: extended }), keepalive);
      const message = new Uint8Array(length).fill(0xff, 0, 16);
      message.set([length >>> 8, length & 0xff, MESSAGE.ROUTE_REFRESH, 0, 1, 1, 1], 16);
      const octets = subject.give(1, message).flatMap((a) => (a.do === 'send' ? [a.octets] : []))[0]!;
      expect([octets.length, u16(octets, 16), ...octets.subarray(18, 21)]).toEqual([sent, sent, 3, 7, 1]);
      expect(octets.subarray(21)).toEqual(message.subarray(0, sent - 21));
    },
  );
});

describe('Idle', () => {
  it('a session that is started while its path is down waits for it', () => {
    const subject = new Subject();
    subject.session.handle({ type: 'stop', subcode: 2 }, 0);
    subject.session.handle({ type: 'path', up: false, why: 'tunnel' }, 0);
    expect(subject.session.handle({ type: 'start' }, 0)).toEqual([]);
    expect(subject.session.handle({ type: 'path', up: true, why: 'tunnel' }, 0)).toMatchObject([{ do: 'dial' }]);
  });

  it('IdleHoldTime doubles with each loss, and begins anew after a session that lasted', () => {
    const subject = new Subject({ passive: true });
    const held = (seconds: number): number => {
      const id = subject.session.view(subject.now).connectionsEstablished + 1;
      subject.connect(id);
      subject.give(id, open({ holdSeconds: 0 }), keepalive);
      subject.wait(subject.now + seconds * 1000);
      subject.close(id);
      const begun = subject.now;
      const until = subject.session.deadline()!.at;
      subject.wait(until);
      return until - begun;
    };
    const times = [held(1), held(1), held(1), held(301), held(1)];
    for (const [i, time] of [2_000, 4_000, 8_000, 2_000, 4_000].entries()) {
      expect(times[i]).toBeGreaterThanOrEqual(0.75 * time);
      expect(times[i]).toBeLessThan(time);
    }
  });
});

describe('octets in pieces', () => {
  it('an UPDATE that straddled two pieces is whole although the beginning of another one is kept after it', () => {
    const subject = new Subject({ passive: true });
    subject.connect(1);
    subject.give(1, open(), keepalive);
    const update = (fill: number): Bytes => {
      const octets = new Uint8Array(100).fill(0xff, 0, 16).fill(fill, 19);
      octets.set([0, 100, 2], 16);
      return octets;
    };
    subject.give(1, update(1).subarray(0, 50));
    const actions = subject.give(1, update(1).subarray(50), update(2).subarray(0, 90));
    expect(actions).toEqual([{ do: 'update', octets: update(1) }]);
  });
});

describe('RFC 4271 §8.1.1: without AllowAutomaticStart', () => {
  const manual = { automaticStart: false, gracefulRestart };
  const stopped = (subject: Subject): boolean => {
    const { state, stopped: is, nextTryMillis } = subject.session.view(subject.now);
    expect(subject.session.deadline()).toBeUndefined();
    return state === 'idle' && is && nextTryMillis === undefined;
  };

  it('a dial that is refused ends in Idle; one that nobody answers begins again (event 9)', () => {
    const subject = new Subject(manual);
    subject.close(-1);
    expect(stopped(subject)).toBe(true);
    const unanswered = new Subject(manual);
    expect(unanswered.wait(300_000).filter((action) => action.do === 'dial').length).toBeGreaterThan(1);
  });

  it.each([
    ['in OpenSent', 0],
    ['in OpenConfirm', 1],
    ['in Established, whose routes stay', 2],
  ])('a connection that fails %s ends in Idle, until `start`', (_where, messages) => {
    const subject = new Subject(manual);
    subject.connect(-1);
    const said = [open({ gracefulRestart }), keepalive].slice(0, messages);
    if (said.length > 0) subject.give(-1, ...said);
    subject.close(-1);
    expect(stopped(subject)).toBe(true);
    expect(subject.session.handle({ type: 'start' }, subject.now)).toMatchObject([{ do: 'dial' }]);
  });

  it('a path that went, and too many prefixes, end in Idle too; that there is a path again begins nothing', () => {
    const subject = new Subject(manual);
    subject.session.handle({ type: 'path', up: false, why: 'tunnel' }, 0);
    expect(stopped(subject)).toBe(true);
    subject.session.handle({ type: 'path', up: true, why: 'tunnel' }, 0);
    expect(stopped(subject)).toBe(true);
    const full = new Subject(manual);
    full.connect(-1);
    full.give(-1, open(), keepalive);
    full.session.handle({ type: 'fault', notification: notification(6, 1), why: 'many', idleMillis: 1000 }, full.now);
    expect(stopped(full)).toBe(true);
  });
});
