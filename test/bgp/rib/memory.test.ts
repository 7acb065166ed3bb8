import { describe, expect, it } from 'vitest';
import { concat } from '../../../src/core/index.ts';
import { attribute, usual, word } from './speakers.ts';
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
});
