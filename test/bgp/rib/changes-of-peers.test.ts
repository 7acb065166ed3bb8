import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { IPV4_UNICAST, IPV6_UNICAST } from '../../../src/bgp/message/types.ts';
import { concat, EMPTY } from '../../../src/core/index.ts';
import { Receiver } from './receiver.ts';
import { attribute, context, peerOptions, update, usual, word } from './speakers.ts';
import { KEY, policy, prefix, World } from './world.ts';

const hop = [10, 9, 9, 9];
const client = { kind: 'client' as const };
const preference = attribute(0x40, 5, ...word(150));

describe('peers that change', () => {
  it('RFC 7911: another number of paths counts where only the second family has ADD-PATH, and the first is not told again', () => {
    const world = new World();
    const speakers = [1, 2, 3].map((n) => world.peer(n));
    const b = world.peer(9, { send: context(true, { addPath: [IPV6_UNICAST] }), addPaths: 1 });
    const ipv4 = world.rib.groupOf(b, IPV4_UNICAST)!;
    const reach = attribute(0x80, 14, 0, 2, 1, 16, 0x20, 1, ...new Array<number>(13).fill(0), 9, 0, 8, 0x20);
    for (const [i, a] of speakers.entries()) {
      const path = attribute(0x40, 2, 2, 1, ...word(65_001 + i));
      world.say(a, concat(reach, attribute(0x40, 1, 0), path), EMPTY);
    }
    const told = world.read(b, new Receiver(true));
    expect(told.routes.size).toBe(1);
    world.say(speakers[0]!, usual([65_001], hop));
    world.rib.flush();
    world.rib.take(b, 65_536);
    const { own } = ipv4.counters;
    world.rib.configure(b, { addPaths: 2 });
    expect(world.read(b, told).routes.size).toBe(2);
    expect(world.rib.groupOf(b, IPV4_UNICAST)).toBe(ipv4);
    expect(ipv4.counters.own).toBe(own);
    expect(ipv4.size).toBe(4);
    world.rib.configure(b, { addPaths: 1 });
    expect(world.read(b, told).routes.size).toBe(1);
  });

  it('RFC 9494 §4.2: NO_LLGR that import policy adds counts as one that was received', () => {
    const world = new World();
    const noLlgr = policy([{ prefix: '10.0.0.0/8', set: { communities: { add: ['65535:7'] } } }, {}]);
    const a = world.peer(1, { import: noLlgr });
    world.say(a, usual([65_001], hop), Uint8Array.of(8, 10, 8, 11));
    world.rib.down(a, [IPV4_UNICAST]);
    world.rib.keepLongLived(a, IPV4_UNICAST);
    world.rib.flush();
    expect([world.why('10.0.0.0/8').length, world.why('11.0.0.0/8').length]).toEqual([0, 1]);
  });

  it('RFC 4456 §8: a route that outlives its session is reflected with the identifier of the next one', () => {
    const world = new World({ clusterId: 0x63 });
    const [a, b] = [world.peer(1, client), world.peer(2, client)];
    world.say(a, concat(usual([7], hop), preference));
    const told = world.read(b);
    const reflected = (id: string) => `1=00 2=020100000007 3=0a090909 5=00000096 9=${id} 10=00000063`;
    expect(told.routes.get(KEY)).toBe(reflected('0a000001'));
    world.rib.down(a, [IPV4_UNICAST]);
    world.rib.resume(a, peerOptions(1, { ...client, remoteId: 0x0a0b0c0d }));
    world.say(a, concat(usual([7], hop), preference));
    expect(world.read(b, told).routes.get(KEY)).toBe(reflected('0a0b0c0d'));
    expect(told.faults).toEqual([]);
  });
});

describe('why a route is not told', () => {
  const why = (world: World, to: number) => {
    const [ipv4] = world.rib.families;
    const row = ipv4!.table.find(ipv4!.table.load(prefix('198.51.100.0/24')));
    return world.rib.groupOf(to, IPV4_UNICAST)!.exporter.explain(ipv4!.pathsOf(row)[0]!);
  };

  it('RFC 9494 §4.5: long-lived stale, to a peer that does not keep such routes', () => {
    const world = new World();
    const [a, b, c] = [world.peer(1), world.peer(2), world.peer(3, { longLived: true })];
    world.say(a, usual([65_001], hop));
    expect(why(world, b)).toBe('all pass');
    world.rib.down(a, [IPV4_UNICAST]);
    world.rib.keepLongLived(a, IPV4_UNICAST);
    expect(why(world, b)).toContain('RFC 9494 §4.5');
    expect(why(world, c)).toBe('all pass');
    expect(world.read(b).routes.size).toBe(0);
  });

  it('RFC 8950 §4: no next hop that the session carries', () => {
    const world = new World();
    const a = world.peer(1);
    const { otherAddress: _, ...only } = peerOptions(2, { localAddress: new Uint8Array(16).fill(1) });
    const b = world.rib.add(only);
    world.say(a, usual([65_001], hop));
    expect(world.read(b).routes.size).toBe(0);
    expect(why(world, b)).toContain('no next hop');
    expect(world.rib.store.count).toBe(2);
  });
});

describe('RFC 7911: many paths of one prefix', () => {
  const receive = context(true, { addPath: [IPV4_UNICAST] });
  const nlri = (id: number) => Uint8Array.of(...word(id), 8, 10);

  it('30,000 of one peer come, change and go in any order of their identifiers', () => {
    const world = new World();
    const a = world.peer(1, { receive });
    const ids = Array.from({ length: 30_000 }, (_, i) => Math.imul(i, 0x9e3779b1) >>> 0);
    for (const attributes of [usual([65_001], hop), usual([65_001, 7], hop)])
      for (let from = 0; from < ids.length; from += 500)
        world.say(a, attributes, concat(...ids.slice(from, from + 500).map(nlri)));
    world.rib.flush();
    const [ipv4] = world.rib.families;
    expect([ipv4!.paths.count, ipv4!.countOf(a)]).toEqual([30_000, 30_000]);
    for (let from = 0; from < ids.length; from += 500)
      world.rib.receive(a, update(concat(...ids.slice(from, from + 500).map(nlri)), EMPTY, EMPTY), 0);
    world.rib.flush();
    world.rib.takeRoutes(1);
    world.rib.flush();
    expect([ipv4!.paths.count, ipv4!.countOf(a), ipv4!.table.count]).toEqual([0, 0, 0]);
  });

  it('are found as a Map finds them, over any operations', () => {
    const step = fc.tuple(fc.boolean(), fc.integer({ min: 0, max: 1 }), fc.integer({ min: 1, max: 120 }), fc.boolean());
    fc.assert(
      fc.property(fc.array(step, { minLength: 200, maxLength: 600 }), (steps) => {
        const world = new World({ forwards: false });
        const peers = [world.peer(1, { receive }), world.peer(2, { receive })];
        const model = new Set<string>();
        for (const [comes, who, id, flushes] of steps) {
          const peer = peers[who]!;
          if (comes || id > 40) world.say(peer, usual([65_001 + who], hop), nlri(id));
          else world.rib.receive(peer, update(nlri(id), EMPTY, EMPTY), 0);
          if (comes || id > 40) model.add(`${peer}:${id}`);
          else model.delete(`${peer}:${id}`);
          if (flushes) world.rib.flush();
        }
        world.rib.flush();
        const [ipv4] = world.rib.families;
        const row = ipv4!.table.find(ipv4!.table.load(prefix('10.0.0.0/8')));
        const found = ipv4!.pathsOf(row).map((path) => `${ipv4!.paths.owner(path)}:${ipv4!.paths.id(path)}`);
        expect(found.sort()).toEqual([...model].sort());
      }),
      { numRuns: 60 },
    );
  });
});
