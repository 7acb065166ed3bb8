import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  CHANGE,
  ceilingOf,
  DAMPENING,
  Dampening,
  type DampeningOptions,
  LIMIT,
  WITHDRAWAL,
} from '../../../src/bgp/rib/dampening.ts';
import { receivedOf } from '../../../src/bgp/rib/look.ts';
import { Rib } from '../../../src/bgp/rib/rib.ts';
import { type Bytes, EMPTY } from '../../../src/core/index.ts';
import { parsePrefix } from '../../../src/ip/index.ts';
import { Receiver } from './receiver.ts';
import { peerOptions, update, usual } from './speakers.ts';

const MINUTE = 60_000;
const words = Uint32Array.of(0xc633_6400);
const options: DampeningOptions = {
  ...DAMPENING,
  halfLifeMillis: 15 * MINUTE,
  unreachableHalfLifeMillis: 30 * MINUTE,
};

/** One route of peer 1, whose events are told by name. */
class Flapper {
  readonly dampening: Dampening;
  now = 0;

  constructor(change: Partial<DampeningOptions> = {}) {
    this.dampening = new Dampening({ ...options, ...change });
  }

  /** Whether it is suppressed then. */
  heard(news: 'back' | 'changed' | 'same'): boolean {
    return this.dampening.heard(1, 0, words, 24, news, this.now);
  }

  withdrawn(): void {
    this.dampening.withdrawn(1, 0, words, 24, this.now);
  }

  get view() {
    return this.dampening.figure(1, 0, words, 24, this.now);
  }
}

describe('RFC 2439: the figure of a route', () => {
  it('§4.2: grows by 1000 with a withdrawal and by 500 with a change, and halves in a half-life', () => {
    const route = new Flapper();
    expect([route.heard('back'), route.view]).toEqual([false, undefined]);
    route.withdrawn();
    expect(route.heard('back')).toBe(false);
    expect(route.view).toEqual({ figure: WITHDRAWAL, reuseMillis: undefined });
    route.now += 15 * MINUTE;
    expect(route.view?.figure).toBe(WITHDRAWAL / 2);
    route.heard('changed');
    expect(route.view?.figure).toBe(WITHDRAWAL / 2 + CHANGE);
    route.heard('same');
    expect(route.view?.figure).toBe(WITHDRAWAL / 2 + CHANGE);
  });

  it('§4.2: halves in another one while the route is withdrawn', () => {
    const route = new Flapper();
    route.withdrawn();
    route.now += 30 * MINUTE;
    expect(route.view?.figure).toBe(500);
    route.heard('back');
    route.now += 30 * MINUTE;
    expect(route.view?.figure).toBe(125);
  });

  it('§4.2: above the one threshold it is suppressed, and until it is below the other', () => {
    const route = new Flapper();
    const seen: boolean[] = [];
    for (let i = 0; i < 3; i++) {
      route.withdrawn();
      seen.push(route.heard('back'));
    }
    expect(seen).toEqual([false, false, true]);
    // 3000 to 750 are two half-lives.
    expect(route.view?.reuseMillis).toBe(30 * MINUTE + 1);
    while (route.dampening.next! <= 30 * MINUTE) expect(route.dampening.reuse(route.dampening.next!)).toEqual([]);
    expect(route.dampening.next).toBe(30 * MINUTE + 1);
    route.now = 30 * MINUTE + 1;
    expect(route.dampening.reuse(route.now)).toMatchObject([{ peer: 1, id: 0, words, length: 24 }]);
    expect(route.view).toMatchObject({ reuseMillis: undefined });
    expect(route.heard('same')).toBe(false);
  });

  it('§4.2: never grows beyond what the longest wait allows, and is forgotten at half of what allows to use it', () => {
    const route = new Flapper();
    for (let i = 0; i < 100; i++) {
      route.withdrawn();
      route.heard('back');
    }
    expect(route.view).toEqual({ figure: ceilingOf(options), reuseMillis: 60 * MINUTE + 1 });
    route.now += 75 * MINUTE;
    route.dampening.reuse(route.now);
    expect(route.dampening.count).toBe(1);
    route.now = route.dampening.next!;
    route.dampening.reuse(route.now);
    expect([route.dampening.count, route.dampening.next]).toEqual([0, undefined]);
  });

  it('of a route that stays withdrawn is forgotten as well, and says nothing', () => {
    const route = new Flapper();
    for (let i = 0; i < 5; i++) {
      route.withdrawn();
      route.heard('back');
    }
    route.withdrawn();
    while (route.dampening.next !== undefined) expect(route.dampening.reuse(route.dampening.next)).toEqual([]);
    expect(route.dampening.count).toBe(0);
  });

  it('is kept of a named number of routes, and of none of a peer that is gone', () => {
    const { dampening } = new Flapper();
    for (let i = 0; i <= LIMIT; i++) dampening.withdrawn(1 + (i & 1), 0, Uint32Array.of(i), 32, 0);
    expect([dampening.count, dampening.overlooked]).toEqual([LIMIT, 1]);
    dampening.forget(1);
    expect(dampening.count).toBe(LIMIT / 2);
  });

  it('goes on by other rules when these are others: what was gone by until then stays gone', () => {
    const route = new Flapper();
    for (let i = 0; i < 3; i++) {
      route.withdrawn();
      route.heard('back');
    }
    route.now = 15 * MINUTE;
    const other = { ...options, halfLifeMillis: 5 * MINUTE, reuse: 375 };
    expect(route.dampening.configure(other, route.now)).toEqual([]);
    // 1500 to 375 are two of the new half-lives.
    expect(route.view).toEqual({ figure: 1500, reuseMillis: 10 * MINUTE + 1 });
    expect(route.dampening.configure({ ...other, reuse: 1501 }, route.now)).toMatchObject([{ peer: 1, words }]);
    expect([route.heard('same'), route.view]).toEqual([false, { figure: 1500, reuseMillis: undefined }]);
    // A threshold that it is above already counts with its next change; and none is above the new ceiling.
    route.dampening.configure({ ...other, suppress: 1000 }, route.now);
    expect(route.heard('same')).toBe(false);
    expect(route.heard('changed')).toBe(true);
    const low = { ...other, mostMillis: 5 * MINUTE };
    expect(route.dampening.configure(low, route.now)).toEqual([]);
    expect(route.view?.figure).toBe(ceilingOf(low));
    expect(route.dampening.next).toBeGreaterThan(route.now);
  });

  it('equals the sum of what each event has left, and suppression follows it', () => {
    const event = fc.record({
      after: fc.integer({ min: 1, max: 20 * MINUTE }),
      what: fc.constantFrom('withdraw' as const, 'withdraw' as const, 'change' as const),
    });
    fc.assert(
      fc.property(fc.array(event, { maxLength: 25 }), fc.integer({ min: 1, max: 90 }), (events, unreachable) => {
        const change = { unreachableHalfLifeMillis: unreachable * MINUTE, mostMillis: 100 * 60 * MINUTE };
        const route = new Flapper(change);
        const naive = new Naive({ ...options, ...change });
        for (const { after, what } of events) {
          const until = route.now + after;
          for (let next = route.dampening.next; next !== undefined && next <= until; next = route.dampening.next)
            route.dampening.reuse(next);
          route.now = until;
          if (what === 'withdraw' && naive.reachable) {
            route.withdrawn();
            naive.add(until, WITHDRAWAL, false);
          } else {
            const suppressed = route.heard(naive.reachable ? 'changed' : 'back');
            naive.add(until, naive.reachable ? CHANGE : 0, true);
            expect(suppressed).toBe(naive.suppressed);
          }
          const { figure } = naive.at(until);
          if (route.view === undefined) expect(figure).toBeLessThan(options.reuse / 2);
          else if (figure > options.reuse) expect(route.view.figure / figure).toBeCloseTo(1, 1);
        }
      }),
      { numRuns: 500 },
    );
  });
});

/** All that ever happened, and from it what there is; nothing is forgotten. */
class Naive {
  readonly #options: DampeningOptions;
  readonly #events: { readonly at: number; readonly penalty: number; readonly reachable: boolean }[] = [];
  /** What was forgotten below half of the threshold does not count any more. */
  #since = 0;

  constructor(of: DampeningOptions) {
    this.#options = of;
  }

  suppressed = false;

  get reachable(): boolean {
    return this.#events.at(-1)?.reachable ?? true;
  }

  add(at: number, penalty: number, reachable: boolean): void {
    const { figure } = this.at(at);
    if (figure < this.#options.reuse) this.suppressed = false;
    if (figure < this.#options.reuse / 2) this.#since = this.#events.length;
    this.#events.push({ at, penalty, reachable });
    if (this.at(at).figure > this.#options.suppress) this.suppressed = true;
  }

  /** Each penalty by itself, over all times between events that lie behind it. */
  at(now: number): { readonly figure: number } {
    const ends = this.#events.map((_, i) => this.#events[i + 1]?.at ?? now);
    let figure = 0;
    for (let i = this.#since; i < this.#events.length; i++) {
      let halvings = 0;
      for (let j = i; j < this.#events.length; j++) {
        const { at, reachable } = this.#events[j]!;
        const half = reachable ? this.#options.halfLifeMillis : this.#options.unreachableHalfLifeMillis;
        halvings += (ends[j]! - at) / half;
      }
      figure += this.#events[i]!.penalty * 0.5 ** halvings;
    }
    return { figure };
  }
}

describe('RFC 2439 in the tables', () => {
  const NET = Uint8Array.of(24, 198, 51, 100);
  const prefix = parsePrefix('198.51.100.0/24')!;
  const say = (rib: Rib, peer: number, attributes: Bytes | undefined, now: number): void => {
    const message = attributes === undefined ? update(NET, EMPTY, EMPTY) : update(EMPTY, attributes, NET);
    expect(rib.receive(peer, message, now)).toEqual([]);
    rib.flush();
  };
  const best = (rib: Rib): string | undefined => rib.explain(prefix).find((path) => path.best)?.peer;
  const short = usual([65_001], [10, 9, 9, 1]);
  const long = usual([65_002, 7, 8], [10, 9, 9, 2]);

  function scene(kind: 'external' | 'internal' = 'external') {
    const rib = new Rib({ localAs: 65_000, routerId: 1, dampening: options });
    const flapping = rib.add(peerOptions(1, { kind, remoteAs: kind === 'external' ? 65_001 : 65_000 }));
    const steady = rib.add(peerOptions(2));
    say(rib, steady, long, 0);
    return { rib, flapping, steady };
  }

  it('§4.8: a route that flaps gives way to a longer one, says why, and comes back when it was quiet for long enough', () => {
    const { rib, flapping } = scene();
    const reader = rib.add(peerOptions(3));
    const receiver = new Receiver();
    const read = (): string => {
      rib.flush();
      while (rib.hasOutput(reader)) for (const octets of rib.take(reader, 4096)) receiver.read(octets);
      return receiver.routes.get('24/c63364')!;
    };
    say(rib, flapping, short, 0);
    expect(best(rib)).toBe('peer 1');
    for (let i = 0; i < 3; i++) {
      say(rib, flapping, undefined, 0);
      say(rib, flapping, short, 0);
    }
    expect(best(rib)).toBe('peer 2');
    const why = 'damped: it has changed too often (RFC 2439)';
    expect(rib.explain(prefix)[1]?.why).toBe(why);
    expect(receivedOf(rib, flapping, { offset: 0, limit: 9 })).toMatchObject([{ accepted: true, why }]);
    expect(read()).toContain('0000fdea');
    while (rib.reuseAt! <= 30 * MINUTE) rib.reuse(rib.reuseAt!);
    rib.flush();
    expect(best(rib)).toBe('peer 2');
    rib.reuse(rib.reuseAt!);
    expect(read()).toContain('0000fde9');
    expect(best(rib)).toBe('peer 1');
  });

  it('§4.8.3: an announcement after the wait is used at once, and so is one whose figure fell while it was withdrawn', () => {
    const { rib, flapping } = scene();
    for (let i = 0; i < 4; i++) {
      say(rib, flapping, short, 0);
      say(rib, flapping, undefined, 0);
    }
    say(rib, flapping, short, 10 * MINUTE);
    expect(best(rib)).toBe('peer 2');
    say(rib, flapping, undefined, 10 * MINUTE);
    // 4000 × 2^(-10/30) + 1000, then two hours and a half withdrawn, which is five half-lives.
    say(rib, flapping, short, 160 * MINUTE);
    expect(best(rib)).toBe('peer 1');
  });

  it('other rules, and none: what is damped waits for the new ones, or is used at once; what comes anew is damped by them', () => {
    const { rib, flapping } = scene();
    const flap = (now: number): void => {
      for (let i = 0; i < 3; i++) {
        say(rib, flapping, undefined, now);
        say(rib, flapping, short, now);
      }
    };
    const dampen = (other: DampeningOptions | undefined, now: number): string | undefined => {
      rib.dampen(other, now);
      rib.flush();
      return best(rib);
    };
    say(rib, flapping, short, 0);
    flap(0);
    expect(best(rib)).toBe('peer 2');
    expect(dampen({ ...options, reuse: 100 }, MINUTE)).toBe('peer 2');
    expect(dampen({ ...options, reuse: 5000, suppress: 6000 }, MINUTE)).toBe('peer 1');
    flap(MINUTE);
    expect(best(rib)).toBe('peer 1');
    expect(dampen(options, MINUTE)).toBe('peer 1');
    flap(MINUTE);
    expect(best(rib)).toBe('peer 2');
    expect([dampen(undefined, MINUTE), rib.reuseAt]).toEqual(['peer 1', undefined]);
    flap(2 * MINUTE);
    expect(best(rib)).toBe('peer 1');
    expect(dampen(options, 2 * MINUTE)).toBe('peer 1');
    flap(2 * MINUTE);
    expect(best(rib)).toBe('peer 2');
    // A family that begins later has them too.
    expect(rib.family(0x0201)?.dampening).toBeDefined();
  });

  it('an internal peer may change as often as it likes', () => {
    const { rib, flapping } = scene('internal');
    const inside = usual([7], [10, 9, 9, 1]);
    const whole = new Uint8Array([...inside, 0x40, 5, 4, 0, 0, 0, 100]);
    for (let i = 0; i < 9; i++) {
      say(rib, flapping, whole, 0);
      say(rib, flapping, undefined, 0);
    }
    say(rib, flapping, whole, 0);
    expect(best(rib)).toBe('peer 1');
    expect(rib.reuseAt).toBeUndefined();
  });

  it('the end of a session counts against nobody, and a route that says the same again neither', () => {
    const { rib, flapping } = scene();
    let peer = flapping;
    for (let i = 0; i < 9; i++) {
      say(rib, peer, short, 0);
      say(rib, peer, short, 0);
      rib.remove(peer);
      rib.flush();
      peer = rib.add(peerOptions(1));
    }
    say(rib, peer, short, 0);
    expect(best(rib)).toBe('peer 1');
    expect(rib.reuseAt).toBeUndefined();
  });

  it('nothing is left of it when all are gone', () => {
    const { rib, flapping, steady } = scene();
    for (let i = 0; i < 5; i++) {
      say(rib, flapping, short, 0);
      say(rib, flapping, undefined, 0);
    }
    say(rib, flapping, short, 0);
    rib.remove(flapping);
    rib.remove(steady);
    rib.flush();
    expect([rib.store.count, rib.reuseAt]).toEqual([0, undefined]);
  });
});
