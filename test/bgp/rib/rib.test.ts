import { describe, expect, it } from 'vitest';
import { parseCommunity } from '../../../src/bgp/message/community.ts';
import { IPV4_UNICAST, IPV6_UNICAST } from '../../../src/bgp/message/types.ts';
import type { RibEvent } from '../../../src/bgp/rib/intake.ts';
import type { PeerOptions } from '../../../src/bgp/rib/peer.ts';
import { type Bytes, concat, EMPTY, fromHex, toHex } from '../../../src/core/index.ts';
import { formatAddress, formatPrefix } from '../../../src/ip/index.ts';
import { FEED, feed } from '../message/feed.ts';
import { Receiver } from './receiver.ts';
import { address, attribute, context, messagesIn, peerOptions, usual, word } from './speakers.ts';
import { KEY, NET, prefix, World } from './world.ts';

const internal = { kind: 'internal' as const };
const client = { kind: 'client' as const };
const preference = attribute(0x40, 5, ...word(150));
const hop = [10, 9, 9, 9];

describe('what peers are told', () => {
  it('RFC 4271 §5.1: an external peer gets our AS and next hop, and neither LOCAL_PREF nor a MED of others', () => {
    const world = new World();
    const [a, b] = [world.peer(1), world.peer(2)];
    world.say(a, concat(usual([65_001, 70_000], hop), attribute(0x80, 4, ...word(9))));
    const octets = world.octets(b);
    expect(toHex(octets)).toBe(
      `${'ff'.repeat(16)}003702` +
        '0000' +
        '001c' +
        '40010100' +
        '40020e02030000fde80000fde900011170' +
        '400304c0000201' +
        '18c63364',
    );
    expect(world.rib.hasOutput(a) && world.rib.take(a, 4096).length > 0).toBe(false);
  });

  it('RFC 4271 §5.1.3, §5.1.5: an internal peer gets the next hop of the external one, and LOCAL_PREF', () => {
    const world = new World();
    const [a, b] = [world.peer(1), world.peer(2, internal)];
    world.say(a, concat(usual([65_001], hop), attribute(0x80, 4, ...word(9))));
    expect(world.read(b).routes.get(KEY)).toBe('1=00 2=02010000fde9 3=0a090909 4=00000009 5=00000064');
  });

  it('RFC 4271 §9.2: what an internal peer says goes to no other internal peer', () => {
    const world = new World();
    const [a, b, c] = [world.peer(1, internal), world.peer(2, internal), world.peer(3)];
    world.say(a, concat(usual([7], hop), preference));
    expect(world.read(b).routes.size).toBe(0);
    expect(world.read(c).routes.get(KEY)).toBe('1=00 2=02020000fde800000007 3=c0000201');
  });

  it('RFC 4456 §8: a reflector adds ORIGINATOR_ID and CLUSTER_LIST, between clients unless told otherwise', () => {
    for (const clientToClient of [true, false]) {
      const world = new World({ clientToClient, clusterId: 0x63 });
      const [a, b, c] = [world.peer(1, client), world.peer(2, client), world.peer(3, internal)];
      world.say(a, concat(usual([7], hop), preference));
      const reflected = '1=00 2=020100000007 3=0a090909 5=00000096 9=0a000001 10=00000063';
      expect(world.read(c).routes.get(KEY)).toBe(reflected);
      expect(world.read(b).routes.get(KEY)).toBe(clientToClient ? reflected : undefined);
      expect(world.read(a).routes.size).toBe(0);
    }
  });

  it('RFC 4456 §8: a route with our identifier or cluster in it is a loop', () => {
    for (const own of [attribute(0x80, 9, 1, 1, 1, 1), attribute(0x80, 10, 0, 0, 0, 1, 0, 0, 0, 0x63)]) {
      const world = new World({ clusterId: 0x63 });
      world.say(world.peer(1, client), concat(usual([7], hop), preference, own));
      expect(world.why()).toEqual([expect.stringContaining('a loop')]);
    }
  });

  it('RFC 4271 §9.1.2: our own AS in the path is a loop, as often as is not allowed', () => {
    for (const [allowOwnAs, used] of [
      [0, 0],
      [1, 1],
    ] as const) {
      const world = new World();
      const [a, b] = [world.peer(1, { allowOwnAs }), world.peer(2)];
      world.say(a, usual([65_001, 65_000], hop));
      expect(world.read(b).routes.size).toBe(used);
    }
  });

  it.each([
    [65_000, 0],
    [64_999, 0],
    [64_998, 1],
  ])('RFC 4271 §9.1.2: a peer that knows us as AS 64999 sends a path with AS %i: %i routes', (asn, used) => {
    const world = new World();
    const [a, b] = [world.peer(1, { localAs: 64_999 }), world.peer(2)];
    world.say(a, usual([65_001, asn], hop));
    expect(world.read(b).routes.size).toBe(used);
  });

  it.each([
    ['no-export', 0xffffff01, [false, true]],
    ['no-advertise', 0xffffff02, [false, false]],
    ['no-export-subconfed', 0xffffff03, [false, true]],
    ['no-peer', 0xffffff04, [true, true]],
  ] as const)('RFC 1997: %s', (_, community, [outside, inside]) => {
    const world = new World();
    const [a, b, c] = [world.peer(1), world.peer(2), world.peer(3, internal)];
    world.say(a, concat(usual([65_001], hop), attribute(0xc0, 8, ...word(community))));
    expect([world.read(b).routes.size === 1, world.read(c).routes.size === 1]).toEqual([outside, inside]);
  });

  it('RFC 8212: an external peer without policy neither gives nor gets; the reason is told', () => {
    const world = new World();
    const { import: _i, export: _e, ...none } = peerOptions(1);
    const a = world.rib.add(none);
    const b = world.peer(2);
    world.say(a, usual([65_001], hop));
    expect(world.read(b).routes.size).toBe(0);
    expect(world.why()).toEqual(['peer 1: no import policy (RFC 8212)']);
    world.say(b, usual([65_002], hop), Uint8Array.of(8, 10));
    expect(world.read(a)).toMatchObject({ routes: new Map(), ends: 2 });
  });

  it('RFC 6793 §4.2.2, §4.2.3: two octets to who cannot four, with AS4_PATH and AS4_AGGREGATOR; and back', () => {
    const world = new World();
    const narrow = { send: context(true, { fourOctetAs: false }), receive: context(true, { fourOctetAs: false }) };
    const [a, b, c] = [world.peer(1), world.peer(2, narrow), world.peer(3)];
    const aggregator = attribute(0xc0, 7, ...word(70_001), 1, 2, 3, 4);
    world.say(a, concat(usual([65_001, 70_000], hop), aggregator));
    expect(world.read(b).routes.get(KEY)).toBe(
      '1=00 2=0203fde8fde95ba0 3=c0000201 7=5ba001020304 17=02030000fde80000fde900011170 18=0001117101020304',
    );
    const path = attribute(0x40, 2, 2, 3, 0xfd, 0xea, 0x5b, 0xa0, 0x5b, 0xa0);
    const as4 = attribute(0xc0, 17, 2, 2, ...word(70_000), ...word(70_002));
    world.say(b, concat(attribute(0x40, 1, 0), path, attribute(0x40, 3, ...hop), as4), Uint8Array.of(8, 10));
    expect(world.read(c).routes.get('8/0a')).toBe('1=00 2=02040000fde80000fdea0001117000011172 3=c0000201');
  });

  it('RFC 4760, RFC 2545: IPv6 over IPv4 with our other address; RFC 8950: IPv4 with a next hop of IPv6', () => {
    const world = new World();
    const v6 = address('2001:db8::1');
    const [a, b] = [world.peer(1), world.peer(2)];
    const c = world.peer(3, { localAddress: v6, extendedNextHop: [IPV4_UNICAST] });
    const { otherAddress: _, ...only6 } = peerOptions(3, { localAddress: v6, extendedNextHop: [IPV4_UNICAST] });
    const d = world.rib.add(only6);
    const reach = attribute(0x80, 14, 0, 2, 1, 16, ...address('2001:db8::9'), 0, 32, 0x20, 1, 0xd, 0xb8);
    const common = concat(attribute(0x40, 1, 0), attribute(0x40, 2, 2, 1, ...word(65_001)));
    world.say(a, concat(reach, common), EMPTY);
    world.say(a, usual([65_001], hop));
    expect(world.read(b).routes.get('32/20010db8')).toBe(`1=00 2=02020000fde80000fde9 hop=${toHex(v6)}`);
    expect(world.read(c).routes.size).toBe(2);
    expect(world.read(d).routes.get(KEY)).toBe(`1=00 2=02020000fde80000fde9 hop=${toHex(v6)}`);
    const unreach = attribute(0x80, 15, 0, 2, 1, 32, 0x20, 1, 0xd, 0xb8);
    world.say(a, unreach, EMPTY);
    world.rib.flush();
    expect(toHex(concat(...world.rib.take(b, 4096)))).toBe(`${'ff'.repeat(16)}0023020000000c900f00080002012020010db8`);
  });

  it('RFC 4271 §5: an unknown transitive attribute goes on with the Partial bit, an unknown other does not', () => {
    const world = new World();
    const [a, b] = [world.peer(1), world.peer(2)];
    world.say(a, concat(usual([65_001], hop), attribute(0xc0, 99, 1, 2), attribute(0x80, 98, 3)));
    world.rib.flush();
    const octets = toHex(concat(...world.rib.take(b, 4096)));
    expect(octets).toContain('e063020102');
    expect(octets).not.toContain('6203');
  });
});

describe('what goes on is right, whatever came', () => {
  it('RFC 4271 §4.3: Partial is cleared but on what is optional and transitive', () => {
    const world = new World();
    const [a, b] = [world.peer(1), world.peer(2)];
    const path = attribute(0x60, 2, 2, 1, ...word(65_001));
    const rest = [attribute(0x60, 3, ...hop), attribute(0x60, 6), attribute(0xe0, 8, 0, 1, 0, 2)];
    world.say(a, concat(attribute(0x60, 1, 0), path, ...rest));
    expect(toHex(world.octets(b).subarray(23))).toBe(
      '40010100' + '40020a02020000fde80000fde9' + '400304c0000201' + '400600' + 'e0080400010002' + '18c63364',
    );
  });

  it('RFC 6793 §6: no empty AS4_PATH where only segments of a confederation have large numbers', () => {
    const world = new World();
    const [a, b] = [world.peer(1, client), world.peer(2, { ...client, send: context(false, { fourOctetAs: false }) })];
    const path = attribute(0x40, 2, 3, 1, ...word(70_000), 2, 1, ...word(7));
    world.say(
      a,
      concat(attribute(0x40, 1, 0), attribute(0x40, 2, 3, 1, ...word(70_000)), attribute(0x40, 3, ...hop), preference),
    );
    const told = world.read(b);
    expect(told.routes.get(KEY)).toBe('1=00 2=03015ba0 3=0a090909 5=00000096 9=0a000001 10=01010101');
    world.say(a, concat(attribute(0x40, 1, 0), path, attribute(0x40, 3, ...hop), preference));
    expect(world.read(b, told).routes.get(KEY)).toBe(
      '1=00 2=03015ba002010007 3=0a090909 5=00000096 9=0a000001 10=01010101 17=020100000007',
    );
  });
});

describe('RFC 7911: more paths than one', () => {
  const many = (addPaths?: number): Partial<PeerOptions> => ({
    send: context(true, { addPath: [IPV4_UNICAST] }),
    ...(addPaths === undefined ? {} : { addPaths }),
  });

  it.each([
    [undefined, 3],
    [2, 2],
    [1, 1],
  ])('the best %s of three', (addPaths, expected) => {
    const world = new World();
    const sources = [1, 2, 3].map((n) => world.peer(n));
    const to = world.peer(4, many(addPaths));
    for (const [i, source] of sources.entries()) world.say(source, usual([65_001 + i, ...Array(i).fill(1)], hop));
    const receiver = world.read(to, new Receiver(true));
    expect([...receiver.routes.values()].map((text) => text.split(' ')[1]!.slice(2, 6)).sort()).toEqual(
      ['0202', '0203', '0204'].slice(0, expected),
    );
    world.say(sources[0]!, EMPTY, EMPTY, NET);
    world.read(to, receiver);
    expect(receiver.routes.size).toBe(Math.min(2, expected));
    for (const source of sources) world.rib.remove(source);
    world.read(to, receiver);
    expect(receiver).toMatchObject({ routes: new Map(), faults: [] });
    expect(world.rib.family(IPV4_UNICAST)!.paths.count).toBe(0);
  });

  it('paths of one peer are told apart by their identifiers, and withdrawn by them', () => {
    const world = new World();
    const a = world.peer(1, { receive: context(true, { addPath: [IPV4_UNICAST] }) });
    const b = world.peer(2, many());
    const receiver = new Receiver(true);
    for (const id of [5, 6]) world.say(a, usual([65_001, id], hop), concat(Uint8Array.from(word(id)), NET));
    expect(world.read(b, receiver).routes.size).toBe(2);
    world.say(a, EMPTY, EMPTY, concat(Uint8Array.from(word(5)), NET));
    expect([...world.read(b, receiver).routes.values()]).toEqual(['1=00 2=02030000fde80000fde900000006 3=c0000201']);
    expect(receiver.faults).toEqual([]);
  });
});

describe('what peers do wrong', () => {
  const wrong: [string, Bytes, Bytes, object][] = [
    [
      'RFC 7606 §3 d: a missing ORIGIN withdraws',
      attribute(0x40, 2, 2, 1, ...word(65_001)),
      NET,
      { treatment: 'withdraw' },
    ],
    ['RFC 7606 §7.1: ORIGIN 3 withdraws', usual([65_001], hop, 3), NET, { treatment: 'withdraw' }],
    [
      'RFC 7606 §7.2: half a segment withdraws',
      concat(attribute(0x40, 1, 0), attribute(0x40, 2, 2, 2, 0, 0, 0, 1), attribute(0x40, 3, ...hop)),
      NET,
      { treatment: 'withdraw' },
    ],
    [
      'RFC 7606 §7.7: a short AGGREGATOR is discarded',
      concat(usual([65_001], hop), attribute(0xc0, 7, 1)),
      NET,
      { treatment: 'discard' },
    ],
    [
      'RFC 7606 §7.5: LOCAL_PREF from outside is discarded',
      concat(usual([65_001], hop), preference),
      NET,
      { treatment: 'discard' },
    ],
    [
      'RFC 7606 §5.3: a prefix of 33 bits ends the session',
      usual([65_001], hop),
      Uint8Array.of(33, 1, 2, 3, 4, 5),
      { notification: { code: 3, subcode: 10 } },
    ],
    [
      'RFC 7606 §3 g: MP_UNREACH_NLRI twice ends it',
      concat(attribute(0x80, 15, 0, 2, 1), attribute(0x80, 15, 0, 2, 1)),
      EMPTY,
      { notification: { code: 3, subcode: 1 } },
    ],
    [
      'RFC 7606 §5.2: a fault without a prefix ends it',
      attribute(0x40, 1, 9),
      EMPTY,
      { notification: { code: 3, subcode: 6 } },
    ],
    [
      'RFC 7606 §5.2: a fault beside withdrawn prefixes alone ends it',
      concat(attribute(0x80, 15, 0, 2, 1, 32, 0x20, 1, 0xd, 0xb8), attribute(0x40, 1, 9)),
      EMPTY,
      { notification: { code: 3, subcode: 6 } },
    ],
    ['RFC 4271 §6.3: another first AS withdraws', usual([1], hop), NET, { treatment: 'withdraw' }],
  ];
  it.each(wrong)('%s', (_, attributes, nlri, expected) => {
    const world = new World();
    const [a, b] = [world.peer(1), world.peer(2)];
    world.say(a, usual([65_001], hop));
    const receiver = world.read(b);
    expect(receiver.routes.size).toBe(1);
    const events = world.say(a, attributes, nlri);
    expect(events).toEqual([expect.objectContaining(treated(expected))]);
    world.read(b, receiver);
    expect(receiver.routes.size).toBe('treatment' in expected && expected.treatment === 'withdraw' ? 0 : 1);
  });

  const treated = (expected: object): object =>
    'notification' in expected ? { notification: expect.objectContaining(expected.notification) } : expected;

  it('RFC 7606 §6: what was wrong is told each time, and counted', () => {
    const world = new World();
    const a = world.peer(1);
    const wrong = usual([65_001], hop, 3);
    const why = (): string[] => world.say(a, wrong).flatMap((event) => ('why' in event ? [event.why] : []));
    expect([why(), why()]).toEqual([['ORIGIN 3'], ['ORIGIN 3']]);
    expect(world.rib.treated(a)).toMatchObject({ discard: 0, withdraw: 2 });
  });

  it('RFC 4486 §4: more prefixes than allowed end the session, with family and limit; a word before, once', () => {
    const world = new World();
    const a = world.peer(1, { maximumPrefixes: 4, warnAt: 0.5 });
    const nets = (n: number): Bytes => concat(...Array.from({ length: n }, (_, i) => Uint8Array.of(24, 10, 0, i)));
    expect(world.say(a, usual([65_001], hop), nets(2))).toEqual([]);
    expect(world.say(a, usual([65_001], hop), nets(3))).toEqual([
      { type: 'nearLimit', family: IPV4_UNICAST, prefixes: 3, maximum: 4 },
    ]);
    expect(world.say(a, usual([65_001], hop), nets(4))).toEqual([]);
    expect(world.say(a, EMPTY, EMPTY, nets(4))).toEqual([]);
    expect(world.say(a, usual([65_001], hop), nets(1))).toEqual([]);
    expect(world.say(a, usual([65_001], hop), nets(3))).toHaveLength(1);
    world.rib.remove(a);
    world.rib.flush();
    // Another peer by the same number is told for itself.
    expect(world.peer(1, { maximumPrefixes: 4, warnAt: 0.5 })).toBe(a);
    expect(world.say(a, usual([65_001], hop), nets(3))).toHaveLength(1);
    const [fault] = world.say(a, usual([65_001], hop), nets(5));
    expect(fault).toMatchObject({
      type: 'fault',
      why: '5 prefixes, 4 are allowed',
      notification: { code: 6, subcode: 1, data: fromHex('00010100000004') },
    });
  });
});

describe('sessions that go and come', () => {
  it('RFC 4724 §4.2: stale routes stay in use until they are swept, and those heard again live on', () => {
    const world = new World();
    const [a, b] = [world.peer(1), world.peer(2)];
    world.say(a, usual([65_001], hop), concat(NET, Uint8Array.of(8, 10)));
    const receiver = world.read(b);
    world.rib.down(a, [IPV4_UNICAST]);
    expect(world.read(b, receiver).routes.size).toBe(2);
    world.rib.resume(a, peerOptions(1));
    world.say(a, usual([65_001], hop));
    expect(world.say(a, EMPTY, EMPTY)).toEqual([{ type: 'endOfRib', family: IPV4_UNICAST }]);
    world.rib.sweepStale(a, IPV4_UNICAST);
    expect([...world.read(b, receiver).routes.keys()]).toEqual([KEY]);
    world.rib.down(a, []);
    expect(world.read(b, receiver).routes.size).toBe(0);
    expect(receiver.faults).toEqual([]);
  });

  it('RFC 9494 §4.3, §4.5: a long-lived stale route is the last choice, and goes only to who knows what that is', () => {
    const world = new World();
    const [a, b, c] = [world.peer(1), world.peer(2), world.peer(3, { longLived: true })];
    const d = world.peer(4);
    world.say(a, usual([65_001], hop), concat(NET, Uint8Array.of(8, 10)));
    world.say(a, concat(usual([65_001], hop), attribute(0xc0, 8, ...word(0xffff0007))), Uint8Array.of(8, 11));
    world.say(d, usual([65_004, 1, 2, 3], hop));
    const [plain, knows] = [world.read(b), world.read(c)];
    world.rib.down(a, [IPV4_UNICAST]);
    world.rib.keepLongLived(a, IPV4_UNICAST);
    expect([...world.read(b, plain).routes.keys()]).toEqual([KEY]);
    world.read(c, knows);
    expect(knows.routes.get('8/0a')).toBe('1=00 2=02020000fde80000fde9 3=c0000201 8=ffff0006');
    expect([...knows.routes.keys()].sort()).toEqual([KEY, '8/0a']);
    expect(world.why()).toEqual([
      'peer 4: the best of all that may be used',
      'peer 1: peer 4 is better by long-lived stale',
    ]);
  });

  it('RFC 7313 §4: an answer to ROUTE-REFRESH stands between its marks and has everything', () => {
    const world = new World();
    const [a, b] = [world.peer(1), world.peer(2)];
    world.say(a, usual([65_001], hop));
    world.read(b);
    world.rib.refresh(b, IPV4_UNICAST, [fromHex('01')], [fromHex('02')]);
    const parts = world.rib.take(b, 4096).map(toHex);
    expect([parts[0], parts.at(-1), parts.length]).toEqual(['01', '02', 3]);
    expect(parts[1]).toContain('18c63364');
  });

  it('RFC 7313 §4: who asks while it is told the table gets End-of-RIB first, and one answer however often it asked', () => {
    const world = new World();
    const [a, b] = [world.peer(1), world.rib.add(peerOptions(2))];
    world.say(a, usual([65_001], hop));
    world.rib.flush();
    for (let asked = 0; asked < 3; asked++) world.rib.refresh(b, IPV4_UNICAST, [fromHex('01')], [fromHex('02')]);
    const parts = world.rib.take(b, 4096).map(toHex);
    const kinds = parts.map((part) => (part.length === 2 ? part : part.includes('18c63364') ? 'route' : 'end of RIB'));
    expect(kinds.slice(0, 5)).toEqual(['route', 'end of RIB', '01', 'route', '02']);
    expect(kinds.slice(5)).toEqual(['end of RIB']);
    expect(world.rib.hasOutput(b)).toBe(false);
  });

  it('soft re-evaluation: policy that changes is asked of Adj-RIB-In, and of what has been told', () => {
    const world = new World();
    const [a, b] = [world.peer(1), world.peer(2)];
    world.say(a, usual([65_001], hop));
    const receiver = world.read(b);
    world.rib.configure(a, { import: NOTHING });
    expect(world.read(b, receiver).routes.size).toBe(0);
    expect(world.why()).toEqual(['peer 1: nothing passes']);
    world.rib.configure(a, { import: peerOptions(1).import! });
    expect(world.read(b, receiver).routes.size).toBe(1);
    world.rib.configure(b, { export: NOTHING });
    expect(world.read(b, receiver).routes.size).toBe(0);
    world.rib.configure(b, { export: peerOptions(2).export!, nextHop: 'unchanged' });
    expect(world.read(b, receiver).routes.get(KEY)).toBe('1=00 2=02020000fde80000fde9 3=0a090909');
    expect(receiver.faults).toEqual([]);
    expect(world.rib.groups.length).toBe(4);
  });

  it('a member that changes groups with a withdrawal unread is told of it all the same', () => {
    const world = new World();
    const [a, b] = [world.peer(1), world.peer(2)];
    world.say(a, usual([65_001], hop));
    const receiver = world.read(b);
    world.say(a, EMPTY, EMPTY, NET);
    world.rib.flush();
    world.rib.configure(b, { nextHop: 'unchanged' });
    expect(world.read(b, receiver).routes.size).toBe(0);
  });

  const NOTHING = {
    key: 'nothing',
    byPrefix: false,
    signature: () => 0,
    run: () => ({ accept: false, changed: false, why: 'nothing passes' }),
  };
});

describe('routes for forwarding', () => {
  const text = (world: World): string[] =>
    world.rib.takeRoutes(10).map((r) => `${formatPrefix(r.prefix)} ${r.nextHops.map(formatAddress).join(' ')}`);

  it('RFC 4271 §9.1.2.1: follow what the host says of next hops', () => {
    let usable = true;
    const world = new World({ resolve: () => ({ metric: 1, usable, why: 'tunnel hq is down' }) });
    const [a, b] = [world.peer(1), world.peer(2)];
    world.say(a, usual([65_001], hop));
    const receiver = world.read(b);
    expect(text(world)).toEqual(['198.51.100.0/24 10.9.9.9']);
    usable = false;
    world.rib.nextHopsChanged();
    world.rib.flush();
    expect(text(world)).toEqual(['198.51.100.0/24 ']);
    expect(world.why()).toEqual(['peer 1: next hop 10.9.9.9 cannot be used: tunnel hq is down']);
    expect(world.read(b, receiver).routes.size).toBe(0);
  });

  it('have several next hops where paths are equal, and change once however often the prefix does', () => {
    const world = new World({ decision: { multipath: 4 } });
    const [a, b] = [world.peer(1), world.peer(2)];
    world.say(a, usual([65_001], [10, 9, 9, 1]));
    world.rib.flush();
    world.say(b, usual([65_002], [10, 9, 9, 2]));
    world.rib.flush();
    expect(text(world)).toEqual(['198.51.100.0/24 10.9.9.1 10.9.9.2']);
    world.say(a, EMPTY, EMPTY, NET);
    world.say(b, EMPTY, EMPTY, NET);
    world.rib.flush();
    expect(text(world)).toEqual(['198.51.100.0/24 ']);
    world.rib.flush();
    expect(world.rib.family(IPV4_UNICAST)!.table.count).toBe(0);
  });

  it('originated routes are announced as ours, win, and say why', () => {
    const world = new World();
    const [a, b, c] = [world.peer(1), world.peer(2), world.peer(3, internal)];
    world.say(a, usual([65_001], hop));
    world.rib.originate(prefix('198.51.100.0/24'), {
      why: 'network of the document',
      med: 5,
      communities: [parseCommunity('1:2')!],
    });
    const receiver = world.read(b);
    expect(receiver.routes.get(KEY)).toBe('1=00 2=02010000fde8 3=c0000201 4=00000005 8=00010002');
    expect(world.read(c).routes.get(KEY)).toBe('1=00 2= 3=c0000201 4=00000005 5=00000064 8=00010002');
    expect(world.why()[0]).toBe('local: our own: network of the document');
    world.rib.withdraw(prefix('198.51.100.0/24'));
    expect(world.read(b, receiver).routes.get(KEY)).toBe('1=00 2=02020000fde80000fde9 3=c0000201');
  });
});

describe('a full feed', () => {
  /** The feed has private AS numbers in it, ours among them. */
  const feeder = { enforceFirstAs: false, allowOwnAs: 9 };

  it('RFC 4271 §9.2.4: goes out in at most one in a hundred more UPDATEs than it came in, and all of it', () => {
    const world = new World({ forwards: false });
    const [a, b] = [world.peer(1, feeder), world.peer(2)];
    const receiver = new Receiver();
    const messages = messagesIn(feed());
    const events: RibEvent[] = [];
    for (const [i, message] of messages.entries()) {
      events.push(...world.rib.receive(a, message, 0));
      if (i % 700 === 0) world.read(b, receiver);
    }
    world.read(b, receiver);
    const c = world.rib.add(peerOptions(3));
    const late = world.read(c);
    // RFC 7607 §2: two sets of the feed have it.
    const discarded = { type: 'treated', treatment: 'discard', why: 'AGGREGATOR has the number 0' };
    expect(events).toEqual([discarded, discarded]);
    expect(world.rib.treated(a)).toEqual({ discard: 2, withdraw: 0, why: 'AGGREGATOR has the number 0' });
    expect(receiver).toMatchObject({ faults: [] });
    expect(receiver.routes.size).toBe(FEED.prefixes);
    expect(receiver.messages).toBeLessThanOrEqual(FEED.messages * 1.01);
    expect(late.messages).toBeLessThanOrEqual(FEED.messages * 1.01);
    expect(late.routes).toEqual(receiver.routes);
    const rib = world.rib.family(IPV4_UNICAST)!;
    expect(rib.octets / FEED.prefixes).toBeLessThan(60);
    world.rib.remove(a);
    world.read(b, receiver);
    expect(receiver.routes.size).toBe(0);
  }, 120_000);

  it('a member that does not read costs bits, and another is not slowed', () => {
    const world = new World({ forwards: false, queueOctets: 500_000 });
    const [a, b, c] = [world.peer(1, feeder), world.peer(2), world.peer(3)];
    const [quick, slow] = [new Receiver(), new Receiver()];
    slow.strict = false;
    let most = 0;
    for (const [i, message] of messagesIn(feed()).slice(0, 20_000).entries()) {
      world.rib.receive(a, message, 0);
      if (i % 100 !== 0) continue;
      world.read(b, quick);
      most = Math.max(most, world.rib.groups[0]!.kept);
    }
    world.read(b, quick);
    expect(most).toBeLessThan(1_000_000);
    expect(world.rib.groups[0]!.counters.lagged).toBe(2);
    world.read(c, slow);
    expect(slow.routes).toEqual(quick.routes);
    expect(quick.faults).toEqual([]);
  });
});

describe('what a member has not read', () => {
  it.each([
    ['one flush for each', 4096, 1],
    ['one flush for each, RFC 8654', 65_535, 1],
    ['one flush for all', 4096, 300],
    ['one flush for all, RFC 8654', 65_535, 300],
  ])('lies in memory that it fills: %s', (_, maximumLength, each) => {
    const world = new World({ forwards: false });
    const [a, b] = [world.peer(1), world.peer(2, { send: context(true, { maximumLength }) })];
    for (let n = 0; n < 300; n++) {
      // As many sets as messages.
      world.say(a, usual([65_001, 1000 + n], hop), Uint8Array.of(24, 10, n >> 8, n & 0xff));
      if (n % each === 0) world.rib.flush();
    }
    world.rib.flush();
    const octets = world.rib.take(b, 1_000_000);
    const buffers = new Set(octets.map(({ buffer }) => buffer));
    const kept = octets.reduce((sum, { length }) => sum + length, 0);
    const held = [...buffers].reduce((sum, { byteLength }) => sum + byteLength, 0);
    expect(octets.length).toBeGreaterThan(0);
    expect(held).toBeLessThanOrEqual((kept * 4) / 3);
  });
});

it('peers that are told the same share one group; who is told otherwise has another', () => {
  const world = new World();
  for (let n = 1; n <= 8; n++) world.peer(n);
  const families = [IPV4_UNICAST, IPV6_UNICAST].length;
  expect(world.rib.groups.map(({ size }) => size)).toEqual(Array(families).fill(8));
  world.peer(9, { nextHop: 'unchanged' });
  expect(world.rib.groups.map(({ size }) => size)).toEqual([8, 8, 1, 1]);
});
