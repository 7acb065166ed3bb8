import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { SessionAction, SessionEvent } from '../../../src/bgp/contract.ts';
import {
  encodeControlMessage,
  IPV4_UNICAST,
  IPV6_UNICAST,
  KEEPALIVE,
  notification,
  type OpenMessage,
} from '../../../src/bgp/message/index.ts';
import { Session, type SessionConfiguration, sessionConfiguration } from '../../../src/bgp/session/index.ts';
import { type Bytes, concat, seededRandom } from '../../../src/core/index.ts';

const graceful = (notifies: boolean) => ({
  restartSeconds: 60,
  restarting: false,
  notification: notifies,
  families: [{ family: IPV4_UNICAST, forwarding: true }],
  longLived: [{ family: IPV4_UNICAST, forwarding: true, staleSeconds: 600 }],
});

const settings: fc.Arbitrary<Partial<SessionConfiguration>> = fc.record({
  holdSeconds: fc.constantFrom(0, 3, 90),
  passive: fc.boolean(),
  automaticStart: fc.boolean(),
  delayOpenMillis: fc.constantFrom(0, 2_000),
  notifyWithoutOpen: fc.boolean(),
  families: fc.constantFrom([IPV4_UNICAST], [IPV4_UNICAST, IPV6_UNICAST]),
  pathDown: fc.constantFrom('drop', 'retain', 'ignore'),
});

const open: fc.Arbitrary<Bytes> = fc
  .record({
    kind: fc.constant('open' as const),
    version: fc.constantFrom(4, 4, 4, 4, 4, 4, 4, 3),
    myAs: fc.constantFrom(65002, 65002, 65002, 65002, 65001),
    holdSeconds: fc.constantFrom(0, 3, 3, 30, 30, 30, 2),
    identifier: fc.constantFrom(1, 3),
    capabilities: fc.constantFrom<OpenMessage['capabilities']>(
      [],
      [{ name: 'routeRefresh' }, { name: 'enhancedRouteRefresh' }, { name: 'extendedMessage' }],
      [{ name: 'gracefulRestart', ...graceful(false) }],
      [{ name: 'gracefulRestart', ...graceful(true) }],
    ),
  })
  .map(encodeControlMessage);

const message = (type: number, ...body: number[]): Bytes => {
  const octets = new Uint8Array(19 + body.length).fill(0xff, 0, 16);
  octets.set([0, octets.length, type, ...body], 16);
  return octets;
};

const octets: fc.Arbitrary<Bytes> = fc
  .array(
    fc.oneof(
      { weight: 6, arbitrary: open },
      { weight: 4, arbitrary: open.map((o) => concat(o, encodeControlMessage(KEEPALIVE))) },
      { weight: 6, arbitrary: fc.constant(encodeControlMessage(KEEPALIVE)) },
      { weight: 3, arbitrary: fc.constant(message(2, 0, 0, 0, 0)) },
      { weight: 1, arbitrary: fc.constantFrom(message(3, 6, 4), message(3, 6, 9, 6, 2), message(3, 2, 1), message(9)) },
      { weight: 2, arbitrary: fc.constantFrom(message(5, 0, 1, 0, 1), message(5, 0, 1, 7, 1), message(5, 0, 1)) },
      { weight: 1, arbitrary: fc.uint8Array({ maxLength: 40 }) },
    ),
    { minLength: 1, maxLength: 2 },
  )
  .map((parts) => concat(...parts));

/** Which of the connections the session and the host have named, from the latest; resolved when the event happens. */
type Step =
  | { readonly wait: number }
  | { readonly tick: true }
  | { readonly event: SessionEvent }
  | { readonly on: number; readonly make: (connection: number) => SessionEvent }
  | { readonly accept: true };

const end = { address: Uint8Array.of(192, 0, 2, 1), port: 179 };
const connected = (connection: number): SessionEvent => {
  return { type: 'connected', connection, direction: connection < 0 ? 'out' : 'in', local: end, remote: end };
};

const step: fc.Arbitrary<Step> = fc.oneof(
  { weight: 3, arbitrary: fc.record({ wait: fc.constantFrom(1, 1_000, 30_000, 200_000) }) },
  { weight: 6, arbitrary: fc.constant({ tick: true } as const) },
  { weight: 8, arbitrary: fc.constant({ event: { type: 'start' } } as const) },
  { weight: 1, arbitrary: fc.constantFrom(2, 4, 6).map((subcode) => ({ event: { type: 'stop', subcode } as const })) },
  {
    weight: 2,
    arbitrary: fc
      .constantFrom(true, true, true, false)
      .map((up) => ({ event: { type: 'path', up, why: 'tunnel' } as const })),
  },
  {
    weight: 1,
    arbitrary: fc.constantFrom(undefined, 0, 1e6, Number.POSITIVE_INFINITY, Number.NaN).map((idleMillis) => ({
      event: {
        type: 'fault',
        notification: notification(6, 1),
        why: 'many',
        ...(idleMillis === undefined ? {} : { idleMillis }),
      } as const,
    })),
  },
  { weight: 1, arbitrary: fc.constant({ event: { type: 'transmit', octets: message(2, 0, 0, 0, 0) } } as const) },
  { weight: 6, arbitrary: fc.constant({ accept: true } as const) },
  { weight: 6, arbitrary: fc.nat(2).map((on) => ({ on, make: connected })) },
  {
    weight: 20,
    arbitrary: fc.tuple(fc.nat(2), octets).map(([on, given]) => ({
      on,
      make: (connection: number) => ({ type: 'received', connection, octets: given }) as const,
    })),
  },
  {
    weight: 3,
    arbitrary: fc
      .nat(2)
      .map((on) => ({ on, make: (connection: number) => ({ type: 'closed', connection, why: 'reset' }) as const })),
  },
  {
    weight: 3,
    arbitrary: fc.tuple(fc.nat(2), fc.constantFrom(0, 100)).map(([on, queued]) => ({
      on,
      make: (connection: number) => ({ type: 'drained', connection, queued }) as const,
    })),
  },
);

/** What a host sees: it checks each action against what was said before. */
class Witness {
  readonly names: number[] = [];
  readonly #dialled = new Set<number>();
  readonly #open = new Set<number>();
  #up = false;

  /** Events a host would send: nothing of a connection that is closed. */
  possible(event: SessionEvent): boolean {
    if (event.type === 'connected') return event.connection < 0 ? this.#dialled.has(event.connection) : true;
    if (event.type === 'closed') return this.#open.has(event.connection) || this.#dialled.has(event.connection);
    return event.type === 'received' || event.type === 'drained' ? this.#open.has(event.connection) : true;
  }

  before(event: SessionEvent): void {
    if (event.type === 'connected') {
      this.#dialled.delete(event.connection);
      this.#open.add(event.connection);
    }
    if (event.type === 'closed') this.#forget(event.connection);
  }

  see(action: SessionAction): void {
    if (action.do === 'dial') {
      expect(this.names).not.toContain(action.connection);
      this.names.push(action.connection);
      this.#dialled.add(action.connection);
      expect(this.#dialled.size).toBe(1);
    }
    if (action.do === 'send') expect(this.#open).toContain(action.connection);
    if (action.do === 'close') {
      expect(this.#open.has(action.connection) || this.#dialled.has(action.connection)).toBe(true);
      this.#forget(action.connection);
    }
    if (action.do === 'established' || action.do === 'down') {
      expect(this.#up).toBe(action.do === 'down');
      this.#up = action.do === 'established';
    }
    if (action.do === 'update' || action.do === 'refresh') expect(this.#up).toBe(true);
  }

  after(session: Session, now: number): void {
    expect(this.#up).toBe(session.state === 'established');
    expect(this.#open.size).toBeLessThanOrEqual(3);
    const deadline = session.deadline();
    expect(Number.isFinite(deadline?.at ?? 0)).toBe(true);
    const view = session.view(now);
    expect(JSON.parse(JSON.stringify(view)).state).toBe(session.state);
    expect(view.connectionsEstablished - view.connectionsDropped).toBe(this.#up ? 1 : 0);
  }

  #forget(connection: number): void {
    this.#open.delete(connection);
    this.#dialled.delete(connection);
  }
}

describe('RFC 4271 §8: whatever happens', () => {
  it('nothing throws, nothing is sent on what is closed, one connection at most is Established, deadlines are finite', () => {
    fc.assert(
      fc.property(
        settings,
        fc.constantFrom(undefined, false, true),
        fc.array(step, { minLength: 20, maxLength: 80 }),
        run,
      ),
      {
        numRuns: 1_500,
      },
    );
  });
});

function run(changes: Partial<SessionConfiguration>, notifies: boolean | undefined, steps: readonly Step[]): void {
  const restart = notifies === undefined ? {} : { gracefulRestart: graceful(notifies) };
  const session = new Session(
    sessionConfiguration({ asn: 65001, identifier: 2, remoteAs: 'any', ...changes, ...restart }),
    seededRandom(5),
  );
  const witness = new Witness();
  let now = 0;
  let accepted = 0;
  for (const action of session.handle({ type: 'start' }, now)) witness.see(action);
  for (const each of steps) {
    let event: SessionEvent | undefined;
    if ('wait' in each) now += each.wait;
    else if ('tick' in each) {
      now = Math.max(now, session.deadline()?.at ?? now);
      event = { type: 'tick' };
    } else if ('event' in each) event = each.event;
    else if ('accept' in each) {
      witness.names.push(++accepted);
      event = connected(accepted);
    } else {
      const name = witness.names.at(-1 - each.on);
      event = name === undefined ? undefined : each.make(name);
      if (event?.type === 'connected' && event.connection > 0) event = undefined;
    }
    if (event === undefined || !witness.possible(event)) continue;
    witness.before(event);
    for (const action of session.handle(event, now)) witness.see(action);
    witness.after(session, now);
  }
}
