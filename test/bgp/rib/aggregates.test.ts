import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { AggregateOptions } from '../../../src/bgp/rib/aggregates.ts';
import { Rib } from '../../../src/bgp/rib/rib.ts';
import { type Bytes, concat, EMPTY } from '../../../src/core/index.ts';
import { formatAddress, formatPrefix, parsePrefix } from '../../../src/ip/index.ts';
import { Receiver } from './receiver.ts';
import { attribute, peerOptions, update, usual, word } from './speakers.ts';

const HOP = [10, 9, 9, 9];
const prefix = (text: string) => parsePrefix(text)!;
const TEN: AggregateOptions = { prefix: prefix('10.0.0.0/8'), summaryOnly: false, asSet: false };
const SUMMARY = { ...TEN, summaryOnly: true };
const SET = { ...TEN, asSet: true };
/** As `Receiver` names it. */
const AGGREGATE = '8/0a';

/** NLRI of 10.`second`.0.0/16. */
const sixteen = (second: number): Bytes => Uint8Array.of(16, 10, second);

class World {
  readonly rib = new Rib({ localAs: 65_000, routerId: 0x01010101 });
  readonly receiver = new Receiver();
  readonly peers: readonly number[];
  readonly reader: number;

  constructor(...aggregates: AggregateOptions[]) {
    this.rib.aggregate(aggregates);
    this.peers = [1, 2, 3].map((number) => this.rib.add(peerOptions(number)));
    this.reader = this.rib.add(peerOptions(9));
    this.read();
  }

  say(peer: number, path: readonly number[], nlri: Bytes, more: Bytes = EMPTY, origin = 0): void {
    this.rib.receive(this.peers[peer - 1]!, update(EMPTY, concat(usual(path, HOP, origin), more), nlri), 0);
  }

  unsay(peer: number, nlri: Bytes): void {
    this.rib.receive(this.peers[peer - 1]!, update(nlri, EMPTY, EMPTY), 0);
  }

  read(): Map<string, string> {
    this.rib.flush();
    for (const peer of this.peers) while (this.rib.hasOutput(peer)) this.rib.take(peer, 65_536);
    while (this.rib.hasOutput(this.reader))
      for (const octets of this.rib.take(this.reader, 4096)) this.receiver.read(octets);
    expect(this.receiver.faults).toEqual([]);
    return this.receiver.routes;
  }
}

describe('RFC 4271 §9.2.2.2: aggregates', () => {
  it('are there as long as something contributes', () => {
    const world = new World(TEN);
    world.say(1, [65_001], Uint8Array.of(16, 11, 1));
    world.say(1, [65_001], Uint8Array.of(8, 10));
    expect([...world.read().keys()]).toEqual(['16/0b01', AGGREGATE]);
    expect(world.receiver.routes.get(AGGREGATE)).not.toContain('7=');
    world.say(2, [65_002], sixteen(1));
    expect(world.read().get(AGGREGATE)).toContain('7=0000fde801010101');
    world.unsay(2, sixteen(1));
    expect(world.read().get(AGGREGATE)).not.toContain('7=');
    world.unsay(1, Uint8Array.of(8, 10));
    expect([...world.read().keys()]).toEqual(['16/0b01']);
  });

  it('with `set`: of the attributes it has otherwise, as a clause of a policy sets them', () => {
    const world = new World({
      ...TEN,
      set: {
        med: 7,
        origin: 'incomplete',
        communities: { remove: ['65001:1'], add: ['65000:9'] },
        prepend: { asn: 65_000, times: 2 },
      },
    });
    const said = concat(attribute(0xc0, 8, ...word(0xfde90001), ...word(0xfde90002)), attribute(0x80, 4, ...word(3)));
    world.say(1, [65_001], sixteen(1), said);
    expect(world.read().get(AGGREGATE)).toBe(
      '1=02 2=02040000fde80000fde80000fde80000fde9 3=c0000201 4=00000007 7=0000fde801010101 8=fde90002fde80009',
    );
    world.rib.aggregate([{ ...TEN, set: { communities: { clear: true } } }]);
    expect(world.read().get(AGGREGATE)).toBe('1=00 2=02020000fde80000fde9 3=c0000201 7=0000fde801010101');
    expect(() => world.rib.aggregate([{ ...TEN, set: { med: -1 } }])).toThrow('set.med: -1 is not between');
  });

  it('equal AS paths: the same one, with nothing left out', () => {
    const world = new World(TEN);
    world.say(1, [65_001, 64_700], concat(sixteen(1), sixteen(2)));
    world.say(1, [65_001, 64_700], sixteen(3), attribute(0xc0, 8, ...word(0xfde90001)));
    expect(world.read().get(AGGREGATE)).toBe(
      '1=00 2=02030000fde80000fde90000fcbc 3=c0000201 7=0000fde801010101 8=fde90001',
    );
  });

  it('§5.1.6, RFC 9774: AS paths that differ: what they begin with, and ATOMIC_AGGREGATE', () => {
    const world = new World(TEN);
    world.say(1, [65_001, 64_700, 64_701], sixteen(1), attribute(0xc0, 8, ...word(0xfde90001)));
    world.say(1, [65_001, 64_700, 64_702], sixteen(2));
    expect(world.read().get(AGGREGATE)).toBe('1=00 2=02030000fde80000fde90000fcbc 3=c0000201 6= 7=0000fde801010101');
    world.say(2, [65_002], sixteen(3));
    expect(world.read().get(AGGREGATE)).toBe('1=00 2=02010000fde8 3=c0000201 6= 7=0000fde801010101');
  });

  it('§9.2.2.2: with asSet what they do not share is an AS_SET, each number once; RFC 1997: and communities are united', () => {
    const world = new World(SET);
    world.say(1, [65_001, 64_702, 64_701], sixteen(1), attribute(0xc0, 8, ...word(0xfde90002), ...word(0xfde90001)));
    world.say(1, [65_001, 64_701], sixteen(2), attribute(0xc0, 8, ...word(0xfde90001)));
    expect(world.read().get(AGGREGATE)).toBe(
      '1=00 2=02020000fde80000fde901020000fcbd0000fcbe 3=c0000201 7=0000fde801010101 8=fde90001fde90002',
    );
  });

  it.each([
    [[0, 0], 0],
    [[0, 1], 1],
    [[1, 2, 0], 2],
  ])('ORIGIN of %s is %s, and ATOMIC_AGGREGATE is kept', (origins, origin) => {
    const world = new World(SET);
    for (const [i, each] of origins.entries()) world.say(1, [65_001], sixteen(i), attribute(0x40, 6), each);
    expect(world.read().get(AGGREGATE)).toBe(`1=0${origin} 2=02020000fde80000fde9 3=c0000201 6= 7=0000fde801010101`);
  });

  it('summaryOnly: peers are told of the aggregate alone, and of what is left when it is taken away', () => {
    const world = new World(SUMMARY);
    world.say(1, [65_001], concat(sixteen(1), sixteen(2)));
    expect([...world.read().keys()]).toEqual([AGGREGATE]);
    world.rib.aggregate([TEN]);
    expect([...world.read().keys()].sort()).toEqual(['16/0a01', '16/0a02', AGGREGATE]);
    world.rib.aggregate([SUMMARY]);
    expect([...world.read().keys()]).toEqual([AGGREGATE]);
    world.rib.aggregate([]);
    expect([...world.read().keys()].sort()).toEqual(['16/0a01', '16/0a02']);
  });

  it('one contributes to a shorter one', () => {
    const world = new World(SUMMARY, { ...SUMMARY, prefix: prefix('10.1.0.0/16') });
    world.say(1, [65_001], Uint8Array.of(24, 10, 1, 7));
    expect([...world.read().keys()]).toEqual([AGGREGATE]);
    world.unsay(1, Uint8Array.of(24, 10, 1, 7));
    expect(world.read().size).toBe(0);
  });

  it('are routes of our own', () => {
    const world = new World(TEN);
    world.say(1, [65_001], sixteen(1));
    world.read();
    expect(world.rib.explain(TEN.prefix).map(({ peer, best, why }) => [peer, best, why])).toEqual([
      ['local', true, 'our own: an aggregate of what is more specific'],
    ]);
  });

  it('whatever comes and goes in whatever order, what is told follows from what there is', () => {
    const change = fc.record({
      peer: fc.integer({ min: 1, max: 3 }),
      second: fc.integer({ min: 0, max: 3 }),
      path: fc.option(fc.array(fc.integer({ min: 64_700, max: 64_703 }), { maxLength: 2 })),
      reads: fc.boolean(),
    });
    fc.assert(
      fc.property(fc.array(change, { maxLength: 30 }), fc.boolean(), (changes, summaryOnly) => {
        const world = new World({ ...TEN, summaryOnly });
        const said = new Map<string, readonly number[]>();
        for (const { peer, second, path, reads } of changes) {
          if (path === null) world.unsay(peer, sixteen(second));
          else world.say(peer, [65_000 + peer, ...path], sixteen(second));
          if (path === null) said.delete(`${peer} ${second}`);
          else said.set(`${peer} ${second}`, path);
          if (reads) world.read();
        }
        const seconds = [...new Set([...said.keys()].map((key) => Number(key.split(' ')[1])))];
        const wanted = summaryOnly ? [] : seconds.map((second) => `16/0a0${second}`);
        expect([...world.read().keys()].sort()).toEqual([...wanted, ...(seconds.length > 0 ? [AGGREGATE] : [])].sort());
        world.rib.aggregate([]);
        for (const key of said.keys()) world.unsay(Number(key[0]), sixteen(Number(key.split(' ')[1])));
        expect(world.read().size).toBe(0);
        world.rib.takeRoutes(99);
        world.rib.flush();
        expect(world.rib.family(0x0101)!.table.count).toBe(0);
      }),
      { numRuns: 100 },
    );
  });
});

describe('RFC 4632 §5.1: what an aggregate matches and nothing longer does is discarded', () => {
  /** What is to be changed where it forwards, since the last time. */
  const changes = (world: World): string[] => {
    world.read();
    return world.rib
      .takeRoutes(99)
      .map(({ prefix: each, nextHops, discard, peer }) =>
        [formatPrefix(each), discard ? 'discard' : nextHops.map(formatAddress).join(), peer].join(' '),
      )
      .sort();
  };

  it('as long as the aggregate is there', () => {
    const world = new World(TEN);
    expect(changes(world)).toEqual([]);
    world.say(1, [65_001], sixteen(1));
    expect(changes(world)).toEqual(['10.0.0.0/8 discard 0', '10.1.0.0/16 10.9.9.9 1']);
    world.say(2, [65_002], sixteen(2));
    expect(changes(world)).toEqual(['10.2.0.0/16 10.9.9.9 2']);
    world.unsay(1, sixteen(1));
    expect(changes(world)).toEqual(['10.1.0.0/16  0']);
    world.unsay(2, sixteen(2));
    expect(changes(world)).toEqual(['10.0.0.0/8  0', '10.2.0.0/16  0']);
  });

  it('nor longer, when the document has it no more; another one begins at once', () => {
    const world = new World(TEN);
    world.say(1, [65_001], sixteen(1));
    changes(world);
    world.rib.aggregate([{ ...TEN, prefix: prefix('10.0.0.0/12') }]);
    expect(changes(world)).toEqual(['10.0.0.0/12 discard 0', '10.0.0.0/8  0']);
  });

  it('a route of its very prefix that a peer has said gives way to it, and is there again afterwards', () => {
    const world = new World(TEN);
    world.say(1, [65_001], Uint8Array.of(8, 10));
    expect(changes(world)).toEqual(['10.0.0.0/8 10.9.9.9 1']);
    world.say(2, [65_002], sixteen(2));
    expect(changes(world)).toEqual(['10.0.0.0/8 discard 0', '10.2.0.0/16 10.9.9.9 2']);
    world.unsay(2, sixteen(2));
    expect(changes(world)).toEqual(['10.0.0.0/8 10.9.9.9 1', '10.2.0.0/16  0']);
  });

  it('also where a network of ours of its very prefix is told before it', () => {
    const world = new World(TEN);
    world.rib.originate(TEN.prefix, { why: 'a network' });
    expect(changes(world)).toEqual([]);
    world.say(2, [65_002], sixteen(2));
    expect(changes(world)).toEqual(['10.0.0.0/8 discard 0', '10.2.0.0/16 10.9.9.9 2']);
    world.rib.withdraw(TEN.prefix);
    expect(changes(world)).toEqual([]);
    world.rib.originate(TEN.prefix, { why: 'a network' });
    world.unsay(2, sixteen(2));
    expect(changes(world)).toEqual(['10.0.0.0/8  0', '10.2.0.0/16  0']);
  });
});
