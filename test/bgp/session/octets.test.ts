import { describe, expect, it } from 'vitest';
import type { SessionAction } from '../../../src/bgp/contract.ts';
import {
  type Capability,
  encodeControlMessage,
  IPV4_UNICAST,
  IPV6_UNICAST,
  KEEPALIVE,
  type OpenMessage,
} from '../../../src/bgp/message/index.ts';
import { openOf, Session, type SessionConfiguration, sessionConfiguration } from '../../../src/bgp/session/index.ts';
import { type Bytes, concat, fromHex, seededRandom, toHex } from '../../../src/core/index.ts';

const MARKER = 'ff'.repeat(16);
const bare = {
  routeRefresh: false,
  enhancedRouteRefresh: false,
  extendedMessages: false,
  fourOctetAs: false,
} satisfies Partial<SessionConfiguration>;
const local = { asn: 65001, identifier: 0xc0000201, remoteAs: 65002, holdSeconds: 90 } as const;

function opened(settings: Partial<SessionConfiguration> = {}): Session {
  const session = new Session(sessionConfiguration({ ...local, ...settings }), seededRandom(1));
  session.handle({ type: 'start' }, 0);
  connect(session, -1);
  return session;
}

function connect(session: Session, connection: number): readonly SessionAction[] {
  const end = { address: Uint8Array.of(192, 0, 2, 1), port: 179 };
  const direction = connection < 0 ? 'out' : 'in';
  return session.handle({ type: 'connected', connection, direction, local: end, remote: end }, 0);
}

const give = (session: Session, octets: Bytes, now = 10): readonly SessionAction[] =>
  session.handle({ type: 'received', connection: -1, octets }, now);

const sent = (actions: readonly SessionAction[]): string[] =>
  actions.flatMap((action) => (action.do === 'send' ? [toHex(action.octets)] : []));

const peer = (changes: Partial<OpenMessage> = {}): Bytes =>
  encodeControlMessage({
    kind: 'open',
    version: 4,
    myAs: 65002,
    holdSeconds: 90,
    identifier: 0xc0000202,
    capabilities: [],
    ...changes,
  });

describe('RFC 4271 §4.2: the OPEN we send', () => {
  const octets = (settings: Partial<SessionConfiguration>): string =>
    toHex(encodeControlMessage(openOf(sessionConfiguration({ ...local, ...settings }), false)));

  it('RFC 4760 §8: with its families and nothing more', () => {
    expect(octets({ ...bare })).toBe(
      `${MARKER}002501 04 fde9 005a c0000201 08 0206 0104 0001 00 01`.replaceAll(' ', ''),
    );
  });

  it('RFC 6793 §4.1: AS_TRANS stands for an AS of four octets, and only for one', () => {
    const long = octets({ ...bare, fourOctetAs: true, asn: 4200000001 });
    expect(long).toBe(
      `${MARKER}002b01 04 5ba0 005a c0000201 0e 020c 0104 0001 00 01 4104 fa56ea01`.replaceAll(' ', ''),
    );
    expect(octets({ ...bare, fourOctetAs: true })).toContain('04fde9005a');
  });

  it('the AS for this peer alone goes into both fields', () => {
    expect(octets({ ...bare, fourOctetAs: true, localAs: 64999 })).toContain('4104' + '0000fde7');
    expect(octets({ ...bare, fourOctetAs: true, localAs: 64999 })).toContain('04fde7005a');
  });

  it('RFC 4724 §3, RFC 8538, RFC 9494: graceful restart, in the order of its families', () => {
    const gracefulRestart = {
      restartSeconds: 120,
      restarting: true,
      notification: true,
      families: [{ family: IPV4_UNICAST, forwarding: true }],
      longLived: [{ family: IPV4_UNICAST, forwarding: false, staleSeconds: 3600 }],
    };
    const open = toHex(
      encodeControlMessage(openOf(sessionConfiguration({ ...local, ...bare, gracefulRestart }), true)),
    );
    expect(open).toContain('4006' + 'c078' + '00010180' + '4707' + '00010100' + '000e10');
  });
});

describe('RFC 4271 §6.2: what is wrong with an OPEN, and the NOTIFICATION it is owed', () => {
  const refused = (changes: Partial<OpenMessage>, settings: Partial<SessionConfiguration> = {}): string => {
    const session = opened(settings);
    const actions = give(session, peer(changes));
    expect(actions.at(-1)).toEqual({ do: 'close', connection: -1, abort: false });
    expect(session.state).toBe('idle');
    return sent(actions)[0]!.slice(MARKER.length);
  };
  const asn = (value: number): Capability => ({ name: 'fourOctetAs', asn: value });

  it.each([
    ['version 3: the largest we do', { version: 3 }, {}, '0017030201' + '0004'],
    ['another AS', { myAs: 65003 }, {}, '0015030202'],
    ['RFC 6793 §4: another AS in the capability', { myAs: 23456, capabilities: [asn(65536)] }, {}, '0015030202'],
    ['RFC 6793 §4.2.1: two numbers that differ', { capabilities: [asn(65003)] }, { remoteAs: 'any' }, '0015030202'],
    ['RFC 7607: AS 0', { myAs: 0 }, { remoteAs: 'any' }, '0015030202'],
    ['an AS that is not ours', {}, { remoteAs: 'internal' }, '0015030202'],
    ['our own AS', { myAs: 65001 }, { remoteAs: 'external' }, '0015030202'],
    ['a hold time of 1 s', { holdSeconds: 1 }, {}, '0015030206'],
    ['a hold time of 2 s', { holdSeconds: 2 }, {}, '0015030206'],
    ['a hold time below what the operator takes', { holdSeconds: 20 }, { leastHoldSeconds: 30 }, '0015030206'],
    ['identifier 0', { identifier: 0 }, {}, '0015030203'],
    [
      'RFC 6286 §2.2: our identifier within our AS',
      { identifier: 0xc0000201, myAs: 65001 },
      { remoteAs: 65001 },
      '0015030203',
    ],
    ['RFC 5492 §5: a capability we require', {}, { required: ['fourOctetAs'] }, '001b030207' + '41040000fde9'],
    ['RFC 5492 §5: no family in common', {}, { families: [IPV6_UNICAST] }, '001b030207' + '010400020001'],
  ] as const)('%s', (_, changes, settings, expected) => {
    expect(refused(changes as Partial<OpenMessage>, settings as Partial<SessionConfiguration>)).toBe(expected);
  });

  it('§6.2: an optional parameter that is unknown', () => {
    const body = fromHex('04 fdea 005a c0000202 03 05 01 00');
    const octets = concat(fromHex(`${MARKER} 0020 01`), body);
    expect(sent(give(opened(), octets))[0]!.slice(MARKER.length)).toBe('0015030204');
  });

  it.each([
    ['RFC 6286 §2.2: our identifier in another AS', { identifier: 0xc0000201 }],
    [
      'RFC 5492 §3: a capability that is unknown',
      { capabilities: [{ name: 'unknown', code: 199, value: Uint8Array.of(1) }] },
    ],
    ['a hold time of 0', { holdSeconds: 0 }],
    ['a hold time of 3 s', { holdSeconds: 3 }],
    ['RFC 6793 §4: an AS of two octets in the capability', { capabilities: [asn(65002)] }],
  ] as const)('%s is none', (_, changes) => {
    const session = opened();
    expect(sent(give(session, peer(changes as Partial<OpenMessage>)))).toEqual([`${MARKER}001304`]);
    expect(session.state).toBe('openConfirm');
  });
});

describe('RFC 4271 §6.1, §6.5, RFC 6608, RFC 9003: other NOTIFICATIONs', () => {
  const established = (settings: Partial<SessionConfiguration> = {}): Session => {
    const session = opened(settings);
    give(session, concat(peer(), encodeControlMessage(KEEPALIVE)));
    expect(session.state).toBe('established');
    return session;
  };

  it.each([
    ['§6.1: a marker that is not all ones', `fe${'ff'.repeat(15)}001304`, '0015030101'],
    ['§6.1: a length below 19', `${MARKER}001204`, '0017030102' + '0012'],
    ['§6.1: a length above 4096', `${MARKER}100102`, '0017030102' + '1001'],
    ['§6.1: a KEEPALIVE with a body', `${MARKER}00140400`, '0017030102' + '0014'],
    ['§6.1: a type nobody knows', `${MARKER}001306`, '0016030103' + '06'],
    ['RFC 6608 §4: OPEN in Established', toHex(peer()), '0016030503' + '01'],
  ])('%s', (_, octets, expected) => {
    const session = established({ extendedMessages: false });
    expect(sent(give(session, fromHex(octets)))[0]!.slice(MARKER.length)).toBe(expected);
  });

  it('RFC 8654 §4: 65535 octets where we have offered them, though the peer has not', () => {
    const session = established();
    const update = new Uint8Array(65535).fill(0xff, 0, 16);
    update.set([0xff, 0xff, 2], 16);
    expect(give(session, update)).toEqual([{ do: 'update', octets: update }]);
  });

  it('§6.5: the hold timer expires', () => {
    const session = established();
    session.handle({ type: 'tick' }, 60_000);
    expect(sent(session.handle({ type: 'tick' }, 90_010))[0]!.slice(MARKER.length)).toBe('0015030400');
  });

  it('§6.5: found late it is given one more second, once, for what the transport still has', () => {
    const session = established();
    expect(sent(session.handle({ type: 'tick' }, 120_000))).toEqual([`${MARKER}001304`]);
    give(session, encodeControlMessage(KEEPALIVE), 120_500);
    expect(session.handle({ type: 'tick' }, 210_499).filter((a) => a.do === 'down')).toEqual([]);
    session.handle({ type: 'tick' }, 300_000);
    expect(session.state).toBe('established');
    session.handle({ type: 'tick' }, 400_000);
    expect(session.state).toBe('idle');
  });

  it('RFC 9003 §2: a shutdown in the operator’s words', () => {
    const actions = established().handle({ type: 'stop', subcode: 2, text: 'naïve' }, 20);
    expect(sent(actions)[0]!.slice(MARKER.length)).toBe('001c030602' + '06' + '6e61c3af7665');
  });

  it.each([
    { peer: 'restarts too', families: [{ family: IPV4_UNICAST, forwarding: true }] },
    // As FRR is by itself: it keeps what we said all the same.
    { peer: 'names no family, so only helps', families: [] },
  ])('RFC 8538 §3: a hard reset carries what it is for, where the peer $peer', ({ families }) => {
    const gracefulRestart = {
      restartSeconds: 60,
      restarting: false,
      notification: true,
      families: [{ family: IPV4_UNICAST, forwarding: true }],
      longLived: [],
    };
    const session = opened({ gracefulRestart });
    const capabilities: Capability[] = [{ name: 'gracefulRestart', ...gracefulRestart, families }];
    give(session, concat(peer({ capabilities }), encodeControlMessage(KEEPALIVE)));
    expect(sent(session.handle({ type: 'stop', subcode: 3 }, 20))[0]!.slice(MARKER.length)).toBe('0017030609' + '0603');
  });
});

describe('octets in pieces', () => {
  it('whatever the pieces, UPDATEs come whole and each once', () => {
    const head = fromHex(`${MARKER} 001c 02 0000 0000 20`);
    const updates = Array.from({ length: 50 }, (_, i) => concat(head, Uint8Array.of(10, 0, 0, i)));
    const stream = concat(peer(), encodeControlMessage(KEEPALIVE), ...updates);
    for (const size of [1, 7, 19, 64, 4096]) {
      const session = opened();
      const seen: string[] = [];
      for (let o = 0; o < stream.length; o += size) {
        for (const action of give(session, stream.slice(o, o + size)))
          if (action.do === 'update') seen.push(toHex(action.octets));
      }
      expect(seen).toEqual(updates.map(toHex));
    }
  });

  it('a KEEPALIVE that is due leaves with the piece in which it became so', () => {
    const session = opened();
    give(session, concat(peer(), encodeControlMessage(KEEPALIVE)));
    const due = session.deadline()!.at;
    const update = fromHex(`${MARKER} 0017 02 0000 0000`);
    expect(sent(give(session, concat(update, update), due - 1))).toEqual([]);
    expect(sent(give(session, concat(update, update), due))).toEqual([`${MARKER}001304`]);
  });
});
