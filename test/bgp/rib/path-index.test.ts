import fc from 'fast-check';
import { expect, it } from 'vitest';
import { LONG_ROW, PathIndex } from '../../../src/bgp/rib/path-index.ts';
import { PathTable } from '../../../src/bgp/rib/path-table.ts';
import { Rib } from '../../../src/bgp/rib/rib.ts';
import { parsePrefix } from '../../../src/ip/index.ts';
import { peerOptions, update, usual } from './speakers.ts';

const PREFIX = Uint8Array.of(16, 10, 1);
const EMPTY = new Uint8Array(0);

it('an index of paths equals a Map over any operations', () => {
  const operation = fc.tuple(fc.constantFrom('add', 'add', 'remove'), fc.nat(3), fc.nat(3), fc.nat(40));
  fc.assert(
    fc.property(fc.array(operation, { maxLength: 200 }), (operations) => {
      const paths = new PathTable();
      const index = new PathIndex(paths, 7);
      const model = new Map<string, number>();
      for (const [what, row, peer, id] of operations) {
        const key = `${row + 1} ${peer} ${id}`;
        const found = index.find(row + 1, peer, id);
        expect(found).toBe(model.get(key) ?? 0);
        if (what === 'add' && found === 0) {
          const path = paths.allocate(peer, row + 1, id);
          index.add(path);
          model.set(key, path);
        } else if (what === 'remove' && found !== 0) {
          index.remove(found);
          paths.release(found);
          model.delete(key);
        }
      }
      for (const [key, path] of model) {
        const [row, peer, id] = key.split(' ').map(Number) as [number, number, number];
        expect(index.find(row, peer, id)).toBe(path);
      }
    }),
  );
});

it('a prefix of more peers than are walked keeps one path of each, and its row is given back when the last has gone', () => {
  const rib = new Rib({ localAs: 65_000, routerId: 1, forwards: false });
  const prefix = parsePrefix('10.1.0.0/16')!;
  const peers = Array.from({ length: 3 * LONG_ROW }, (_, i) => rib.add(peerOptions(i + 1)));
  const say = (i: number): void => {
    rib.receive(peers[i]!, update(EMPTY, usual([65_001 + i], [10, 0, 0, i + 1]), PREFIX), 0);
  };
  const unsay = (i: number): void => {
    rib.receive(peers[i]!, update(PREFIX, EMPTY, EMPTY), 0);
  };
  for (let round = 0; round < 3; round++) {
    for (const i of peers.keys()) say(i);
    for (const i of peers.keys()) say(i);
    rib.flush();
    expect(rib.explain(prefix)).toHaveLength(peers.length);
    for (const i of peers.keys()) if (i % 2 === 0) unsay(i);
    rib.flush();
    expect(rib.explain(prefix)).toHaveLength(peers.length / 2);
    for (const i of peers.keys()) unsay(i);
    rib.flush();
    for (const peer of peers) rib.take(peer, 1 << 20);
    rib.flush();
    expect(rib.families[0]!.table.count).toBe(0);
    expect(rib.families[0]!.paths.count).toBe(0);
  }
});
