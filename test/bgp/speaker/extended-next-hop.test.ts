import { describe, expect, it } from 'vitest';
import { Speaker, type SpeakerAction, type SpeakerEvent } from '../../../src/bgp/index.ts';
import {
  attributeOf,
  type CodecContext,
  decodeUpdate,
  encodeControlMessage,
  encodeUpdate,
  findValue,
  IPV4_UNICAST,
  KEEPALIVE,
  MESSAGE,
  messageType,
} from '../../../src/bgp/message/index.ts';
import { ALL } from '../../../src/bgp/policy/policy.ts';
import { openOf, type SessionConfiguration, sessionConfiguration } from '../../../src/bgp/session/index.ts';
import { type Bytes, seededRandom, toHex } from '../../../src/core/index.ts';
import { formatAddress, formatPrefix, parsePrefix } from '../../../src/ip/index.ts';
import { address, context, messagesIn } from '../rib/speakers.ts';

const end = (last: number) => ({ address: address(`2001:db8::${last}`), port: 179 });
const settled: CodecContext = context(true, { families: [IPV4_UNICAST], extendedNextHop: [IPV4_UNICAST] });
const session = (asn: number, remoteAs: number, offers: boolean): SessionConfiguration =>
  sessionConfiguration({
    asn,
    identifier: asn,
    remoteAs,
    passive: true,
    extendedNextHop: offers ? [{ family: IPV4_UNICAST, nextHopAfi: 2 }] : [],
  });

/** An IPv4 prefix by an IPv6 next hop. */
const octets = encodeUpdate(
  {
    kind: 'update',
    withdrawn: [],
    attributes: [
      attributeOf({
        name: 'mpReach',
        family: IPV4_UNICAST,
        nextHops: [address('2001:db8::2')],
        nlri: [{ prefix: parsePrefix('198.51.100.0/24')! }],
      }),
      attributeOf({ name: 'origin', origin: 'igp' }),
      attributeOf({ name: 'asPath', segments: [{ type: 'sequence', asns: [65_001] }] }),
    ],
    nlri: [],
  },
  settled,
);

function scene(offers: boolean) {
  const speaker = new Speaker({ localAs: 65_000, routerId: 65_000 }, seededRandom(5));
  const actions: SpeakerAction[] = [];
  const handle = (event: SpeakerEvent): void => void actions.push(...speaker.handle(event, 0));
  const receive = (peer: string, bytes: Bytes): void =>
    handle({ type: 'session', peer, event: { type: 'received', connection: 1, octets: bytes } });
  for (const [name, asn] of [
    ['a', 65_001],
    ['b', 65_002],
  ] as const) {
    const peer = { name, session: session(65_000, asn, true), import: ALL, export: ALL };
    handle({ type: 'add-peer', peer });
    handle({ type: 'session', peer: name, event: { type: 'start' } });
    const remote = end(asn - 64_999);
    const connected = { type: 'connected', connection: 1, direction: 'in', local: end(1), remote } as const;
    handle({ type: 'session', peer: name, event: connected });
    receive(name, encodeControlMessage(openOf(session(asn, 65_000, offers), false)));
    receive(name, encodeControlMessage(KEEPALIVE));
  }
  actions.length = 0;
  receive('a', octets);
  const sent = (peer: string, type: number): Bytes[] =>
    actions
      .flatMap((a) => (a.do === 'session' && a.peer === peer && a.action.do === 'send' ? [a.action.octets] : []))
      .flatMap(messagesIn)
      .filter((message) => messageType(message, 0) === type);
  return { actions, sent };
}

describe('RFC 8950: IPv4 over a session that has IPv6 alone', () => {
  it('a prefix by an IPv6 next hop is read, forwards, and goes on by our own IPv6 address', () => {
    const { actions, sent } = scene(true);
    const routes = actions.flatMap((a) => (a.do === 'routes' ? a.changes : []));
    expect(routes.map(({ prefix, nextHops }) => [formatPrefix(prefix), nextHops.map(formatAddress)])).toEqual([
      ['198.51.100.0/24', ['2001:db8::2']],
    ]);
    const [told] = sent('b', MESSAGE.UPDATE);
    const decoded = decodeUpdate(told!, settled);
    expect(decoded.treatment).toBe('none');
    if (decoded.treatment === 'reset') return;
    const reach = findValue(decoded.update.attributes, 'mpReach');
    expect(reach?.nextHops.map(formatAddress)).toEqual(['2001:db8::1']);
    expect(reach?.nlri.map(({ prefix }) => formatPrefix(prefix))).toEqual(['198.51.100.0/24']);
    expect(findValue(decoded.update.attributes, 'nextHop')).toBeUndefined();
  });

  it('RFC 7606 §7.11: where it was not settled such a next hop ends the session, with the attribute as data', () => {
    const { sent } = scene(false);
    const [notification] = sent('a', MESSAGE.NOTIFICATION);
    expect(toHex(notification!.subarray(19))).toBe(`0309${toHex(octets.subarray(23, 23 + 28))}`);
    expect(sent('b', MESSAGE.NOTIFICATION)).toEqual([]);
  });
});
