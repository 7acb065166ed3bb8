import { describe, expect, it } from 'vitest';
import { IPV4_UNICAST } from '../../../src/bgp/message/types.ts';
import { MAXIMUM_PREFIXES, type RibEvent } from '../../../src/bgp/rib/intake.ts';
import { type Bytes, concat, EMPTY, fromHex } from '../../../src/core/index.ts';
import { context, usual } from './speakers.ts';
import { NET, World } from './world.ts';

const hop = [10, 9, 9, 9];

describe('what a peer may take of the memory of all', () => {
  /** IPv4 prefixes of 24 bits and then 25, from `first`, in messages of 16,000. */
  function flood(world: World, peer: number, first: number, end: number): RibEvent[] {
    const events: RibEvent[] = [];
    for (let at = first; at < end; at += 16_000) {
      const count = Math.min(16_000, end - at);
      const nlri = new Uint8Array(count * 4);
      for (let i = 0; i < count; i++) nlri.set([24, (at + i) >> 16, (at + i) >> 8, at + i], i * 4);
      events.push(...world.say(peer, usual([65_001], hop), nlri));
    }
    return events;
  }

  it('RFC 4486 §4: where nobody says how many prefixes, a full table passes without a word, and there is a limit', () => {
    const world = new World();
    const a = world.peer(1, { receive: context(true, { maximumLength: 65_535 }) });
    expect(flood(world, a, 0, 1_000_000)).toEqual([]);
    expect(flood(world, a, 1_000_000, MAXIMUM_PREFIXES)).toEqual([
      { type: 'nearLimit', family: IPV4_UNICAST, prefixes: 1_128_000, maximum: MAXIMUM_PREFIXES },
    ]);
    expect(flood(world, a, MAXIMUM_PREFIXES, MAXIMUM_PREFIXES + 1)).toMatchObject([
      {
        type: 'fault',
        why: '1500001 prefixes, 1500000 are allowed',
        notification: { code: 6, subcode: 1, data: fromHex('0001010016e360') },
      },
    ]);
  });

  it('RFC 4486 §4: Out of Resources for who brings a new attribute set when they are too many, and for nobody else', () => {
    const world = new World({ attributeOctets: 10_000 });
    const [a, b] = [world.peer(1), world.peer(2)];
    const net = (i: number): Bytes => Uint8Array.of(24, 10, i >> 8, i);
    expect(world.say(b, usual([65_002], hop))).toEqual([]);
    let events: readonly RibEvent[] = [];
    let said = 0;
    while (events.length === 0 && said < 1_000) events = world.say(a, usual([65_001, ++said], hop), net(said));
    expect(events).toEqual([
      {
        type: 'fault',
        notification: { kind: 'notification', code: 6, subcode: 8, data: EMPTY },
        why: expect.stringMatching(/^path attributes of this router take 10\d{3} octets, 10000 are allowed$/),
      },
    ]);
    expect(said).toBeGreaterThan(50);
    expect(world.rib.families[0]!.countOf(a)).toBe(said - 1);
    // What there is already may be said again, and of more prefixes.
    expect(world.say(b, usual([65_002], hop), concat(NET, net(1)))).toEqual([]);
    world.rib.remove(a);
    world.rib.flush();
    expect(world.say(b, usual([65_002, 9], hop))).toEqual([]);
    expect(world.rib.store.held).toBeLessThan(1_200);
  });

  it('RFC 4486 §4: nobody is refused for what is there only because its turn has not come; it can be asked to go at once', () => {
    const world = new World({ attributeOctets: 10_000 });
    const [a, b] = [world.peer(1), world.peer(2)];
    const fill = (path: number): number => {
      let said = 0;
      const one = () => world.say(a, usual([65_001, path, ++said], hop), Uint8Array.of(24, 10, said >> 8, said));
      while (one().length === 0);
      return said - 1;
    };
    const most = fill(1);
    world.rib.markStale(a, IPV4_UNICAST);
    world.rib.sweepStale(a, IPV4_UNICAST);
    expect(world.rib.store.count).toBe(most);
    const path = [65_002, ...Array.from({ length: 50 }, (_, i) => i + 1)];
    expect(world.say(b, usual(path, hop))).toEqual([]);
    expect(world.rib.store.count).toBe(1);
    const again = fill(2);
    world.rib.remove(a);
    expect(world.rib.store.count).toBe(again + 1);
    world.rib.giveBack();
    expect(world.rib.store.count).toBe(1);
  });
});
