import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { AttributeStore } from '../../../src/bgp/rib/attribute-store.ts';
import { PathTable } from '../../../src/bgp/rib/path-table.ts';
import { PrefixTable } from '../../../src/bgp/rib/prefix-table.ts';
import { toHex } from '../../../src/core/index.ts';
import { formatPrefix, networkOf } from '../../../src/ip/index.ts';

const prefixes = (width: 4 | 16) =>
  fc
    .tuple(fc.uint8Array({ minLength: width, maxLength: width }), fc.nat(width * 8), fc.boolean())
    .map(([octets, length, small]) => {
      const address = small ? octets.map((o, i) => (i === 0 ? 10 : o & 1)) : octets;
      return { address: networkOf({ address, length }), length };
    });

describe('prefix table', () => {
  it.each([4, 16] as const)('of %i octets equals a Map over any operations; NLRI survive it', (width) => {
    const operation = fc.tuple(fc.constantFrom('insert', 'insert', 'remove'), prefixes(width));
    fc.assert(
      fc.property(fc.array(operation, { maxLength: 200 }), (operations) => {
        const table = new PrefixTable(width / 4, 7);
        const model = new Map<string, number>();
        for (const [what, prefix] of operations) {
          const text = formatPrefix(prefix);
          const found = table.find(table.load(prefix));
          expect(found).toBe(model.get(text) ?? 0);
          if (what === 'insert') model.set(text, table.insert(prefix.length));
          else if (found !== 0) {
            table.remove(found);
            model.delete(text);
          }
        }
        expect(table.count).toBe(model.size);
        for (const [text, row] of model) {
          expect(formatPrefix(table.prefix(row))).toBe(text);
          const octets = new Uint8Array(17);
          const end = table.write(row, octets, 0);
          expect(end).toBe(1 + ((table.lengths[row]! + 7) >>> 3));
          table.read(octets, 1, octets[0]!);
          expect(table.find(octets[0]!)).toBe(row);
        }
      }),
      { numRuns: 200 },
    );
  });

  it('RFC 4271 §4.3: bits behind the length have no meaning', () => {
    const table = new PrefixTable(1);
    table.read(Uint8Array.of(10, 0xff), 0, 9);
    expect(formatPrefix(table.prefix(table.insert(9)))).toBe('10.128.0.0/9');
  });
});

describe('path table', () => {
  it('finds the paths of each peer, and no others, over any operations', () => {
    const operation = fc.tuple(fc.integer({ min: 0, max: 3 }), fc.boolean(), fc.nat(1000));
    fc.assert(
      fc.property(fc.array(operation, { maxLength: 300 }), (operations) => {
        const table = new PathTable();
        const model = new Map<number, { peer: number; row: number; id: number }>();
        let row = 0;
        for (const [peer, grows, pick] of operations) {
          const own = [...model].filter(([, path]) => path.peer === peer);
          if (grows || own.length === 0) {
            const path = table.allocate(peer, ++row, pick);
            expect(model.has(path)).toBe(false);
            model.set(path, { peer, row, id: pick });
          } else {
            const [path] = own[pick % own.length]!;
            table.release(path);
            model.delete(path);
          }
        }
        const found = new Map<number, { peer: number; row: number; id: number }>();
        for (let peer = 0; peer <= 3; peer++)
          table.each(peer, (path) =>
            found.set(path, { peer: table.owner(path), row: table.rows[path]!, id: table.id(path) }),
          );
        expect([...found].sort(([a], [b]) => a - b)).toEqual([...model].sort(([a], [b]) => a - b));
        expect(table.count).toBe(model.size);
      }),
      { numRuns: 200 },
    );
  });
});

describe('attribute store', () => {
  it('gives equal octets equal numbers while somebody holds them, and room again when nobody does', () => {
    const set = fc
      .tuple(fc.nat(3), fc.nat(40))
      .map(([kind, length]) =>
        Uint8Array.from([0, kind, 4, 10, 0, 0, kind, 0xc0, 99, length, ...new Array<number>(length).fill(kind)]),
      );
    fc.assert(
      fc.property(fc.array(fc.tuple(set, fc.boolean()), { maxLength: 200 }), (operations) => {
        const store = new AttributeStore();
        const held = new Map<string, { id: number; count: number }>();
        for (const [octets, release] of operations) {
          const text = toHex(octets);
          const known = held.get(text);
          if (release && known !== undefined) {
            store.release(known.id);
            if (--known.count === 0) held.delete(text);
          } else {
            const id = store.intern(octets, octets.length);
            if (known !== undefined) expect(id).toBe(known.id);
            held.set(text, { id, count: (known?.count ?? 0) + 1 });
          }
        }
        expect(store.count).toBe(held.size);
        for (const [text, { id }] of held) {
          expect(toHex(store.view(id))).toBe(text);
          expect(store.weights[id]).toBe(Number.parseInt(text.slice(2, 4), 16));
        }
        for (const { id, count } of held.values()) for (let i = 0; i < count; i++) store.release(id);
        expect(store.count).toBe(0);
      }),
      { numRuns: 200 },
    );
  });

  it('does not grow while sets of all sizes come and go; those that stay keep number and octets', () => {
    const store = new AttributeStore();
    const set = (length: number, n: number) => {
      const octets = new Uint8Array(7 + length);
      octets.set([0, 0, 0, 0xd0, 99, length >> 8, length, n, n >> 8]);
      return octets;
    };
    const kept = Array.from({ length: 20 }, (_, n) => set(30, n));
    const numbers = kept.map((octets) => store.intern(octets, octets.length));
    for (let length = 8; length < 1_000; length += 8) {
      const some = Array.from({ length: 100 }, (_, n) => set(length, n + 100));
      for (const id of some.map((octets) => store.intern(octets, octets.length))) store.release(id);
    }
    expect(store.arena.length).toBeLessThan(5 * 100 * 1_000);
    expect(numbers.map((id) => toHex(store.view(id)))).toEqual(kept.map((octets) => toHex(octets)));
    expect(kept.map((octets) => store.intern(octets, octets.length))).toEqual(numbers);
    expect(store.count).toBe(20);
  });

  it('is full where the sets that are alive hold more than the limit', () => {
    const store = new AttributeStore(undefined, 1_000);
    const ids: number[] = [];
    for (let n = 0; !store.isFull; n++) {
      const octets = Uint8Array.from([0, 0, 0, 0xc0, 99, 50, n, ...new Array<number>(49).fill(0)]);
      ids.push(store.intern(octets, octets.length));
    }
    // 56 octets, and 52 in the columns.
    expect([ids.length, store.held]).toEqual([10, 1_080]);
    store.release(ids[3]!);
    expect([store.isFull, store.held]).toEqual([false, 972]);
    store.intern(Uint8Array.from([0, 0, 4, 10, 0, 0, 1]), 7);
    expect([store.isFull, store.held]).toEqual([true, 972 + 8 + 52 + 450]);
  });

  it('does not grow while sets come and go', () => {
    const store = new AttributeStore();
    const octets = new Uint8Array(60);
    octets.set([0, 0, 0, 0xc0, 99, 54]);
    let grown = 0;
    for (let i = 0; i < 10_000; i++) {
      octets[10] = i;
      octets[11] = i >> 8;
      store.release(store.intern(octets, octets.length));
      if (i === 10) grown = store.octets;
    }
    expect(store.octets).toBe(grown);
  });
});
