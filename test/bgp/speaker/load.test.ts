import { describe, expect, it } from 'vitest';
import { Speaker, type SpeakerEvent } from '../../../src/bgp/index.ts';
import { encodeControlMessage, KEEPALIVE, MESSAGE, messageType } from '../../../src/bgp/message/index.ts';
import { ALL } from '../../../src/bgp/policy/policy.ts';
import { openOf, type SessionConfiguration, sessionConfiguration } from '../../../src/bgp/session/index.ts';
import { type Bytes, concat, EMPTY, type Millis, seededRandom } from '../../../src/core/index.ts';
import { messagesIn, update, usual } from '../rib/speakers.ts';

const HOLD: Millis = 3_000;
const session = (asn: number, remoteAs: number): SessionConfiguration =>
  sessionConfiguration({ asn, identifier: asn, remoteAs, holdSeconds: HOLD / 1000, passive: true });
const end = (last: number) => ({ address: Uint8Array.of(192, 0, 2, last), port: 179 });

/** UPDATEs without end: prefixes that come, change and go, never two alike. */
function* flood(asn: number): Generator<Bytes> {
  for (let n = 0; ; n++) {
    const nlri = concat(...Array.from({ length: 700 }, (_, i) => Uint8Array.of(24, 20, (i >> 8) + (n % 7), i & 0xff)));
    const path = usual([asn, 100 + (n % 50), 1000 + (n % 11)], [10, 0, 0, n % 9]);
    yield n % 3 === 2 ? update(nlri, EMPTY, EMPTY) : update(EMPTY, path, nlri);
  }
}

/** A host whose every piece of work takes its time: what is due waits for the piece at hand, never for two. */
class BusyHost {
  now: Millis = 0;
  /** When each peer was last sent something, and the longest it waited. */
  readonly last = new Map<string, Millis>();
  readonly longest = new Map<string, Millis>();
  readonly told = new Map<string, number>();
  readonly refusals: string[] = [];
  readonly speaker = new Speaker({ localAs: 65_000, routerId: 65_000 }, seededRandom(7));

  join(name: string, asn: number): void {
    const peer = { name, session: session(65_000, asn), import: ALL, export: ALL, enforceFirstAs: false };
    this.work({ type: 'add-peer', peer });
    this.tell(name, { type: 'start' });
    this.tell(name, { type: 'connected', connection: 1, direction: 'in', local: end(1), remote: end(2) });
    this.receive(name, encodeControlMessage(openOf(session(asn, 65_000), false)));
    this.receive(name, encodeControlMessage(KEEPALIVE));
  }

  receive(peer: string, octets: Bytes): void {
    this.tell(peer, { type: 'received', connection: 1, octets });
  }

  tell(peer: string, event: Extract<SpeakerEvent, { type: 'session' }>['event']): void {
    this.work({ type: 'session', peer, event });
  }

  work(event: SpeakerEvent): void {
    for (const action of this.speaker.handle(event, this.now)) {
      if (action.do === 'log' && /expired|notification/.test(action.event)) this.refusals.push(action.why);
      if (action.do !== 'session' || action.action.do !== 'send') continue;
      const { peer } = action;
      this.longest.set(peer, Math.max(this.longest.get(peer) ?? 0, this.now - (this.last.get(peer) ?? this.now)));
      this.last.set(peer, this.now);
      const updates = messagesIn(action.action.octets).filter((message) => messageType(message, 0) === MESSAGE.UPDATE);
      this.told.set(peer, (this.told.get(peer) ?? 0) + updates.length);
      this.tell(peer, { type: 'drained', connection: 1, queued: 0 });
    }
  }

  tickIfDue(): void {
    const due = this.speaker.deadline();
    if (due !== undefined && due.at <= this.now) this.work({ type: 'tick' });
  }
}

describe('RFC 4271 §4.4, §6.5: a hold time of 3 s under UPDATEs without end', () => {
  it.each([100, 400])(
    'holds for the sender, a reader and one who is told nothing, with %i ms for each piece',
    (cost) => {
      const host = new BusyHost();
      for (const [name, asn] of [
        ['sender', 65_001],
        ['reader', 65_002],
        ['quiet', 65_003],
      ] as const)
        host.join(name, asn);
      host.work({ type: 'configure-peer', peer: { ...host.speaker.settings('quiet')!, export: NOTHING } });
      const octets = flood(65_001);
      let kept = 0;
      while (host.now < 12_000) {
        host.receive('sender', concat(octets.next().value!, octets.next().value!, octets.next().value!));
        host.now += cost;
        // The others keep alive as they are to.
        if (host.now - kept >= 1000) {
          kept = host.now;
          for (const name of ['reader', 'quiet']) host.receive(name, encodeControlMessage(KEEPALIVE));
        }
        host.tickIfDue();
      }
      expect(host.refusals).toEqual([]);
      for (const name of host.speaker.peers) expect(host.speaker.session(name)?.state).toBe('established');
      // A third of the hold time, and the piece that was at hand.
      for (const name of ['sender', 'quiet']) expect(host.longest.get(name)).toBeLessThanOrEqual(1000 + cost);
      expect(host.told.get('reader')).toBeGreaterThan(10);
      expect(host.speaker.rib.family(0x0101)!.countOf(host.speaker.number('sender')!)).toBeGreaterThan(0);
    },
  );

  it('ends for who falls silent, and for nobody else', () => {
    const host = new BusyHost();
    for (const [name, asn] of [
      ['sender', 65_001],
      ['silent', 65_002],
    ] as const)
      host.join(name, asn);
    const octets = flood(65_001);
    while (host.now < 6_000) {
      host.receive('sender', octets.next().value!);
      host.now += 100;
      host.tickIfDue();
    }
    expect(host.speaker.session('sender')?.state).toBe('established');
    expect(host.speaker.session('silent')?.state).not.toBe('established');
    expect(host.refusals).toEqual(['Hold Timer Expired: hold timer expired']);
  });
});

const NOTHING = { ...ALL, key: 'none', run: () => ({ accept: false, changed: false, why: 'none' }) };
