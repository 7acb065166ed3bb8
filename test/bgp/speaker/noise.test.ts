import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { Speaker, type SpeakerEvent } from '../../../src/bgp/index.ts';
import {
  decodeControlMessage,
  encodeControlMessage,
  encodeUpdate,
  IPV4_UNICAST,
  IPV6_UNICAST,
  KEEPALIVE,
  MESSAGE,
  messageType,
} from '../../../src/bgp/message/index.ts';
import { ALL } from '../../../src/bgp/policy/policy.ts';
import { openOf, type SessionConfiguration, sessionConfiguration } from '../../../src/bgp/session/index.ts';
import { type Bytes, concat, EMPTY, putU16, seededRandom } from '../../../src/core/index.ts';
import { parsePrefix } from '../../../src/ip/index.ts';
import { updateMessage } from '../message/arbitraries.ts';
import { EBGP } from '../message/contexts.ts';
import { messagesIn, update, usual } from '../rib/speakers.ts';

const FAMILIES = [IPV4_UNICAST, IPV6_UNICAST];
const session = (asn: number, remoteAs: number): SessionConfiguration =>
  sessionConfiguration({ asn, identifier: asn, remoteAs, passive: true, families: FAMILIES });
const end = (last: number) => ({ address: Uint8Array.of(192, 0, 2, last), port: 179 });
/** No noise is likely to have it. */
const STEADY = parsePrefix('198.18.77.0/24')!;

class Scene {
  now = 0;
  readonly speaker = new Speaker({ localAs: 65_000, routerId: 65_000 }, seededRandom(3));
  readonly sent: { readonly peer: string; readonly octets: Bytes }[] = [];

  constructor() {
    this.join('noisy', 65_001);
    this.join('steady', 65_002);
    this.receive('steady', update(EMPTY, usual([65_002], [10, 0, 0, 2]), Uint8Array.of(24, 198, 18, 77)));
    this.sent.length = 0;
  }

  join(name: string, asn: number): void {
    const peer = { name, session: session(65_000, asn), import: ALL, export: ALL, maximumPrefixes: 200 };
    this.handle({ type: 'add-peer', peer });
    this.tell(name, { type: 'start' });
    this.tell(name, { type: 'connected', connection: 1, direction: 'in', local: end(1), remote: end(asn - 65_000) });
    this.receive(name, encodeControlMessage(openOf(session(asn, 65_000), false)));
    this.receive(name, encodeControlMessage(KEEPALIVE));
    expect(this.speaker.session(name)?.state).toBe('established');
  }

  receive(peer: string, octets: Bytes): void {
    this.tell(peer, { type: 'received', connection: 1, octets });
  }

  tell(peer: string, event: Extract<SpeakerEvent, { type: 'session' }>['event']): void {
    this.handle({ type: 'session', peer, event });
  }

  handle(event: SpeakerEvent): void {
    for (const action of this.speaker.handle(event, this.now)) {
      if (action.do !== 'session' || action.action.do !== 'send') continue;
      this.sent.push({ peer: action.peer, octets: action.action.octets });
      this.tell(action.peer, { type: 'drained', connection: 1, queued: 0 });
    }
  }

  get steady(): { state: string | undefined; path: boolean } {
    const path = this.speaker.rib.explain(STEADY).some(({ peer, best }) => peer === 'steady' && best);
    return { state: this.speaker.session('steady')?.state, path };
  }
}

/** A message of any type: octets at random, or an UPDATE that is sound but for some of them. */
const body = fc.oneof(
  fc.tuple(fc.constantFrom(1, 2, 2, 3, 4, 5, 6, 200), fc.uint8Array({ maxLength: 60 })),
  fc
    .tuple(updateMessage, fc.array(fc.tuple(fc.nat(), fc.nat(255)), { maxLength: 3 }))
    .map(([message, changes]): [number, Uint8Array] => {
      const octets = encodeUpdate(message, EBGP).slice(19);
      for (const [at, value] of changes) octets[at % octets.length] = value;
      return [MESSAGE.UPDATE, octets];
    }),
);
const messages = fc.array(
  body.map(([type, octets]) => {
    const message = concat(new Uint8Array(19).fill(0xff), octets);
    putU16(message, 16, message.length);
    message[18] = type;
    return message;
  }),
  { minLength: 1, maxLength: 12 },
);

describe('whatever octets one peer sends', () => {
  it('nothing throws, another peer keeps its session and its routes, and nothing of it is left', () => {
    const empty = new Scene().speaker.rib;
    const before = [empty.store.count, ...empty.families.map(({ table }) => table.count)];
    fc.assert(
      fc.property(messages, fc.array(fc.nat(300), { maxLength: 6 }), (all, cuts) => {
        const scene = new Scene();
        const stream = concat(...all);
        let at = 0;
        for (const cut of [...cuts, stream.length]) {
          scene.receive('noisy', stream.subarray(at, at + cut));
          at += cut;
          scene.now += 10;
        }
        expect(scene.steady).toEqual({ state: 'established', path: true });
        const due = scene.speaker.deadline();
        expect(due === undefined || Number.isFinite(due.at)).toBe(true);
        for (const { peer, octets } of scene.sent)
          for (const message of messagesIn(octets)) {
            if (messageType(message, 0) === MESSAGE.NOTIFICATION) expect(peer).toBe('noisy');
            if (messageType(message, 0) !== MESSAGE.UPDATE) expect(decodeControlMessage(message).ok).toBe(true);
          }
        scene.handle({ type: 'remove-peer', peer: 'noisy' });
        scene.handle({ type: 'tick' });
        expect(scene.steady).toEqual({ state: 'established', path: true });
        const { rib } = scene.speaker;
        expect([rib.store.count, ...rib.families.map(({ table }) => table.count)]).toEqual(before);
      }),
      { numRuns: 200 },
    );
  });
});
