import { describe, expect, it } from 'vitest';
import { IPV4_UNICAST } from '../../../src/bgp/message/types.ts';
import { concat, EMPTY } from '../../../src/core/index.ts';
import { Receiver } from './receiver.ts';
import { attribute, context, update, usual, word } from './speakers.ts';
import { policy, World } from './world.ts';

const hop = [10, 9, 9, 9];

describe('what is not needed any more is not kept', () => {
  it('sets that are told as they are: one prefix that changes leaves no more than it has now', () => {
    const world = new World();
    const [a, b] = [
      world.peer(1, { import: policy([{ set: { localPreference: 200 } }]) }),
      world.peer(2, { kind: 'internal' }),
    ];
    for (let med = 0; med < 200; med++) {
      world.say(a, concat(usual([65_001], hop), attribute(0x80, 4, ...word(med))));
      expect(world.read(b).routes.size).toBe(1);
    }
    // As received, after policy, and as an external peer would be told.
    expect(world.rib.store.count).toBe(3);
    world.rib.remove(a);
    world.read(b);
    expect(world.rib.store.count).toBe(0);
    world.rib.remove(b);
    expect(world.rib.store.count).toBe(0);
  });

  it('sets that are told as they are, after the group that was told them has gone', () => {
    const world = new World();
    const [a, b] = [
      world.peer(1, { import: policy([{ set: { localPreference: 200 } }]) }),
      world.peer(2, { kind: 'internal' }),
    ];
    world.say(a, usual([65_001], hop));
    world.read(b);
    world.rib.remove(b);
    expect(world.rib.store.count).toBe(3);
    world.rib.remove(a);
    world.rib.flush();
    expect(world.rib.store.count).toBe(0);
  });

  it.each([[[]], [[IPV4_UNICAST]]])(
    'rows and paths of whom a lost peer had yet to be told, ADD-PATH for %j',
    (addPath) => {
      const world = new World({ forwards: false });
      const send = context(true, { addPath });
      const [a, _fast] = [world.peer(1), world.peer(2, { send })];
      for (let cycle = 0; cycle < 3; cycle++) {
        for (let i = 0; i < 100; i++) world.say(a, usual([65_001], hop), Uint8Array.of(24, 10, cycle, i));
        world.rib.flush();
        const slow = world.rib.add({ ...world.rib.peer(_fast)!, name: 'slow' });
        for (let i = 0; i < 100; i++) world.rib.receive(a, update(Uint8Array.of(24, 10, cycle, i), EMPTY, EMPTY), 0);
        world.rib.flush();
        const [ipv4] = world.rib.families;
        expect([ipv4!.table.count, ipv4!.paths.count]).toEqual(addPath.length > 0 ? [100, 100] : [100, 0]);
        world.rib.remove(slow);
        expect(world.rib.isSettled).toBe(false);
        world.rib.flush();
        expect([ipv4!.table.count, ipv4!.paths.count]).toEqual([0, 0]);
      }
    },
  );
});

describe('RFC 2918: ROUTE-REFRESH', () => {
  it('that comes while an answer is on its way makes one more answer, however many they are', () => {
    const world = new World();
    const [a, b] = [world.peer(1), world.peer(2)];
    for (let i = 0; i < 100; i++) world.say(a, usual([65_001], hop), Uint8Array.of(24, 10, 0, i));
    world.read(b);
    const group = world.rib.groupOf(b, IPV4_UNICAST)!;
    const before = group.counters.own;
    for (let i = 0; i < 1000; i++) world.rib.refresh(b, IPV4_UNICAST);
    const told = new Receiver();
    told.strict = false;
    expect(world.read(b, told)).toMatchObject({ messages: 2, faults: [] });
    expect(told.routes.size).toBe(100);
    expect(group.counters.own - before).toBe(2);
  });
});
