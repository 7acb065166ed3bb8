import { describe, expect, it } from 'vitest';
import { IPV4_UNICAST } from '../../../src/bgp/message/types.ts';
import { compilePolicy } from '../../../src/bgp/policy/index.ts';
import { longestMatch, receivedOf, routesOf, toldCount, toldTo, whyTold } from '../../../src/bgp/rib/look.ts';
import type { PeerOptions } from '../../../src/bgp/rib/peer.ts';
import { Rib } from '../../../src/bgp/rib/rib.ts';
import { concat, EMPTY } from '../../../src/core/index.ts';
import { formatPrefix, parsePrefix } from '../../../src/ip/index.ts';
import { address, attribute, context, peerOptions, update, usual, word } from './speakers.ts';

const ALL_OF_IT = { offset: 0, limit: 100 };
const HOP = [10, 9, 9, 9];

function world(change: Partial<PeerOptions> = {}) {
  const rib = new Rib({ localAs: 65_000, routerId: 0x01010101 });
  const [a, b] = [rib.add(peerOptions(1, change)), rib.add(peerOptions(2))];
  const say = (peer: number, attributes: Uint8Array, ...nlri: number[]) =>
    void rib.receive(peer, update(EMPTY, attributes, Uint8Array.from(nlri)), 0);
  return { rib, a, b, say };
}

describe('attributes in words', () => {
  it('each has its field; those without one are in `others`', () => {
    const { rib, a, say } = world();
    const set = concat(
      usual([65_001, 70_000], HOP, 1),
      attribute(0x80, 4, ...word(9)),
      attribute(0x40, 6),
      attribute(0xc0, 8, ...word(0xfde8_0064)),
      attribute(0xc0, 16, 0, 2, ...word(0xfde8_0007), 0, 1),
      attribute(0xc0, 32, ...word(70_000), ...word(1), ...word(2)),
      attribute(0xe0, 99, 1, 2),
    );
    say(a, set, 16, 10, 1);
    rib.flush();
    expect(routesOf(rib, ALL_OF_IT)).toEqual([
      {
        prefix: '10.1.0.0/16',
        peer: 'peer 1',
        pathId: 0,
        best: true,
        valid: true,
        stale: false,
        attributes: {
          nextHop: '10.9.9.9',
          asPath: '65001 70000',
          origin: 'egp',
          med: 9,
          weight: 0,
          communities: ['65000:100', 'rt:65000:458753', '70000:1:2'],
          others: ['ATOMIC_AGGREGATE', 'ATTRIBUTE(99) 0102'],
        },
      },
    ]);
  });

  it('an internal peer: LOCAL_PREF, ORIGINATOR_ID, CLUSTER_LIST', () => {
    const { rib, a, say } = world({ kind: 'internal' });
    const set = concat(
      usual([], HOP),
      attribute(0x40, 5, ...word(150)),
      attribute(0x80, 9, 10, 0, 0, 7),
      attribute(0x80, 10, 10, 0, 0, 8, 10, 0, 0, 9),
    );
    say(a, set, 16, 10, 1);
    rib.flush();
    expect(routesOf(rib, ALL_OF_IT)[0]!.attributes).toEqual({
      nextHop: '10.9.9.9',
      asPath: '',
      origin: 'igp',
      localPreference: 150,
      weight: 0,
      communities: [],
      originatorId: '10.0.0.7',
      clusterList: ['10.0.0.8', '10.0.0.9'],
      others: [],
    });
  });
});

describe('RFC 4271 §3.2: Adj-RIB-In, Loc-RIB, Adj-RIB-Out', () => {
  const compiled = compilePolicy([
    { name: 'no defaults', prefix: '0.0.0.0/0', action: 'reject' },
    { name: 'prefer', set: { localPreference: 200 } },
  ]);
  const policy = compiled.ok ? compiled.policy : undefined;

  it('received: before and behind import policy, and why', () => {
    const { rib, a, say } = world({ import: policy! });
    say(a, usual([65_001], HOP), 0, 16, 10, 1);
    say(a, usual([65_001, 65_000], HOP), 16, 10, 2);
    rib.flush();
    const received = receivedOf(rib, a, ALL_OF_IT);
    expect(received.map(({ prefix, accepted, why }) => ({ prefix, accepted, why }))).toEqual([
      { prefix: '0.0.0.0/0', accepted: false, why: 'no defaults refuses it' },
      { prefix: '10.1.0.0/16', accepted: true, why: 'prefer accepts it' },
      {
        prefix: '10.2.0.0/16',
        accepted: false,
        why: 'our AS, identifier or cluster is in it: a loop (RFC 4271 §9.1.2, RFC 4456 §8)',
      },
    ]);
    expect(received.map(({ before, after }) => [before.localPreference, after?.localPreference])).toEqual([
      [undefined, undefined],
      [undefined, 200],
      [undefined, undefined],
    ]);
  });

  it('the best is first, and the peer it came from is not told of it', () => {
    const { rib, a, b, say } = world();
    say(a, usual([65_001, 65_009], HOP), 16, 10, 1);
    say(b, usual([65_002], HOP), 16, 10, 1);
    rib.flush();
    expect(routesOf(rib, ALL_OF_IT).map(({ peer, best }) => [peer, best])).toEqual([
      ['peer 2', true],
      ['peer 1', false],
    ]);
    expect(toldTo(rib, a, ALL_OF_IT)).toEqual([
      {
        prefix: '10.1.0.0/16',
        attributes: {
          nextHop: '192.0.2.1',
          asPath: '65000 65002',
          origin: 'igp',
          weight: 0,
          communities: [],
          others: [],
        },
      },
    ]);
    expect(toldTo(rib, b, ALL_OF_IT)).toEqual([]);
    expect([toldCount(rib, a), toldCount(rib, b)]).toEqual([1, 0]);
    const prefix = parsePrefix('10.1.0.0/16')!;
    expect([whyTold(rib, a, prefix), whyTold(rib, b, prefix)]).toEqual(['all pass', 'the peer has told us itself']);
    rib.aggregate([{ prefix: parsePrefix('10.0.0.0/8')!, summaryOnly: true, asSet: false }]);
    rib.flush();
    expect(toldTo(rib, a, ALL_OF_IT).map((each) => each.prefix)).toEqual(['10.0.0.0/8']);
    expect(whyTold(rib, a, prefix)).toBe('the aggregate 10.0.0.0/8 stands for it');
  });

  it('RFC 7911: a peer with ADD-PATH is told every path', () => {
    const { rib, a, b, say } = world();
    const c = rib.add(peerOptions(3, { send: context(true, { addPath: [IPV4_UNICAST] }) }));
    say(a, usual([65_001, 65_009], HOP), 16, 10, 1);
    say(b, usual([65_002], HOP), 16, 10, 1);
    rib.flush();
    expect(toldTo(rib, c, ALL_OF_IT).map(({ attributes }) => attributes.asPath)).toEqual([
      '65000 65001 65009',
      '65000 65002',
    ]);
    expect(toldCount(rib, c)).toBe(2);
  });
});

describe('pages', () => {
  const { rib, a, b, say } = world();
  for (let i = 0; i < 50; i++) say(a, usual([65_001], HOP), 24, 10, i % 2, i);
  say(b, usual([65_002, 65_009], HOP), 24, 10, 0, 0);
  rib.flush();

  it('one after another they are the whole, each route once', () => {
    for (const view of [routesOf, (of: Rib, page: typeof ALL_OF_IT) => toldTo(of, b, page)]) {
      const pages = [0, 20, 40, 60].flatMap((offset) => view(rib, { offset, limit: 20 }));
      expect(pages).toEqual(view(rib, ALL_OF_IT));
    }
    expect(receivedOf(rib, a, { offset: 45, limit: 20 })).toHaveLength(5);
    expect(routesOf(rib, { offset: 0, limit: 1 }).map(({ peer }) => peer)).toEqual(['peer 1', 'peer 2']);
  });

  it('only prefixes that lie in another', () => {
    const within = parsePrefix('10.1.0.0/17')!;
    const found = routesOf(rib, { ...ALL_OF_IT, within }).map(({ prefix }) => prefix);
    expect(found).toHaveLength(25);
    expect(found.every((prefix) => prefix.startsWith('10.1.'))).toBe(true);
    expect(routesOf(rib, { ...ALL_OF_IT, within: parsePrefix('2001:db8::/32')! })).toEqual([]);
  });
});

it('the longest prefix that an address is in', () => {
  const { rib, a, say } = world();
  say(a, usual([65_001], HOP), 8, 10, 16, 10, 1, 24, 10, 1, 2);
  rib.flush();
  const match = (text: string) => {
    const found = longestMatch(rib, address(text));
    return found && formatPrefix(found);
  };
  expect(['10.1.2.3', '10.1.3.3', '10.2.0.1', '11.0.0.1', '2001:db8::1'].map(match)).toEqual([
    '10.1.2.0/24',
    '10.1.0.0/16',
    '10.0.0.0/8',
    undefined,
    undefined,
  ]);
});
