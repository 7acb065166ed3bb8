/** Groups that begin with a large table are told of it in parts; nobody in them is told anything before that is done. */
import { describe, expect, it } from 'vitest';
import { IPV4_UNICAST } from '../../../src/bgp/message/types.ts';
import { type Bytes, concat, EMPTY } from '../../../src/core/index.ts';
import { Receiver } from './receiver.ts';
import { context, peerOptions, update, usual } from './speakers.ts';
import { policy, World } from './world.ts';

const hop = [10, 9, 9, 9];
const MANY = 100;
const nlri = (from: number, count: number): Bytes =>
  concat(...Array.from({ length: count }, (_, i) => Uint8Array.of(24, 20, 0, from + i)));
/** IPv4 alone. */
const send = context(true, { families: [IPV4_UNICAST] });
const dearer = { export: policy([{ set: { med: 7 } }]), send };

/** `a` has said many prefixes, and `b` has been told of them. */
function scene() {
  const world = new World();
  const [a, b] = [world.peer(1), world.peer(2)];
  world.say(a, usual([65_001], hop), nlri(0, MANY));
  const told = world.read(b);
  expect(told.routes.size).toBe(MANY);
  const read = (peer: number, into: Receiver): Receiver => {
    for (const octets of world.rib.take(peer, 1 << 20)) into.read(octets);
    return into;
  };
  return { world, rib: world.rib, a, b, told, read };
}

describe('a group that begins', () => {
  it.each([
    ['the best path', []],
    ['RFC 7911: all paths', [IPV4_UNICAST]],
  ])('%s: the first member is told of the whole table with the last part, then End-of-RIB', (_, addPath) => {
    const { rib, read } = scene();
    const c = rib.add(peerOptions(3, { ...dearer, send: { ...send, addPath } }));
    const told = new Receiver(addPath.length > 0);
    const parts: unknown[] = [];
    for (let done = false; !done; parts.push([done, rib.hasOutput(c), read(c, told).routes.size, told.ends]))
      done = rib.flush(40);
    expect(parts).toEqual([
      [false, false, 0, 0],
      [false, false, 0, 0],
      [true, true, MANY, 1],
    ]);
    expect([rib.hasOutput(c), rib.isSettled, told.faults]).toEqual([false, true, []]);
  });

  it('what changes while it begins is told once, as it is at the end', () => {
    const { world, rib, a, read } = scene();
    const c = rib.add(peerOptions(3, dearer));
    rib.flush(40);
    world.say(a, usual([65_001, 9], hop), nlri(0, 5));
    rib.receive(a, update(nlri(5, 5), EMPTY, EMPTY), 0);
    rib.receive(a, update(nlri(95, 5), EMPTY, EMPTY), 0);
    while (!rib.flush(40)) read(c, new Receiver());
    const told = read(c, new Receiver());
    const longer = [...told.routes.values()].filter((each) => each.includes('00000009'));
    expect([told.routes.size, longer.length, told.ends]).toEqual([90, 5, 1]);
  });

  it('what a peer has said that is lost meanwhile is not told', () => {
    const { rib, a, read } = scene();
    const c = rib.add(peerOptions(3, dearer));
    rib.remove(a);
    while (!rib.flush(16));
    const told = read(c, new Receiver());
    expect([told.routes.size, told.messages, told.faults.length]).toEqual([0, 1, 0]);
  });

  it('a peer of which export policy is another is told of differences alone, and of no withdrawal between', () => {
    const { rib, b, told, read } = scene();
    rib.configure(b, { export: dearer.export });
    for (let done = false; !done; read(b, told)) {
      done = rib.flush(40);
      expect(told.routes.size).toBe(MANY);
    }
    expect([...told.routes.values()].every((each) => each.includes('4=00000007'))).toBe(true);
    expect([told.routes.size, told.faults]).toEqual([MANY, []]);
  });

  it('looks at the rows there are, and not at those that were given back', () => {
    const { world, rib, a, b, told, read } = scene();
    rib.receive(a, update(nlri(0, 60), EMPTY, EMPTY), 0);
    world.read(b, told);
    rib.takeRoutes(1000);
    rib.flush();
    const [ipv4] = rib.families;
    expect([ipv4!.table.count, ipv4!.table.bound]).toEqual([40, 101]);
    const { generations } = ipv4!;
    const { settleRow } = generations;
    const looked: number[] = [];
    generations.settleRow = (first) => {
      looked.push(ipv4!.paths.rows[first]!);
      return settleRow.call(generations, first);
    };
    const c = rib.add(peerOptions(3, dearer));
    while (!rib.flush(16));
    expect(looked).toEqual(Array.from({ length: 40 }, (_, i) => 61 + i));
    expect(read(c, new Receiver()).routes.size).toBe(40);
  });

  it('ends before it has begun: what it holds is given back in parts, too, and nothing is left of it', () => {
    const { rib, b } = scene();
    const { count } = rib.store;
    const c = rib.add(peerOptions(3, dearer));
    rib.flush(40);
    expect(rib.store.count).toBe(count + 1);
    rib.remove(c);
    expect([rib.groups.length, rib.isSettled]).toEqual([2, false]);
    const counts: unknown[] = [];
    for (let done = false; !done; counts.push([done, rib.store.count])) done = rib.flush(30);
    expect(counts).toEqual([
      [false, count + 1],
      [false, count + 1],
      [true, count],
    ]);
    expect(rib.groupOf(b, IPV4_UNICAST)).toBeDefined();
  });

  it('RFC 4724 §4.1: is told of nothing before there is a choice', () => {
    const world = new World();
    const a = world.rib.add(peerOptions(1));
    const families = world.rib.defer();
    world.say(a, usual([65_001], hop), nlri(0, MANY));
    const c = world.rib.add(peerOptions(3, dearer));
    expect([world.rib.flush(40), world.rib.hasOutput(c)]).toEqual([true, false]);
    for (const family of families) world.rib.choose(family);
    while (!world.rib.flush(40)) expect(world.rib.take(c, 1000)).toEqual([]);
    expect(world.read(c).routes.size).toBe(MANY);
  });
});
