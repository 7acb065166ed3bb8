import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { seededRandom, seededU32 } from '../../src/core/index.ts';
import { drawHashKeys, keyedHash } from '../../src/nat/hash.ts';
import type { NatFiltering } from '../../src/nat/index.ts';
import { IndexTable } from '../../src/nat/index-table.ts';
import { drawsFrom, PortMap } from '../../src/nat/ports.ts';
import { SessionTable } from '../../src/nat/sessions.ts';

const keys = drawHashKeys(seededRandom(1));

describe('the hash of the tables', () => {
  it('spreads neighbouring endpoints over buckets as chance would', () => {
    for (const step of [1, 2, 64, 256]) {
      const buckets = new Int32Array(1024);
      for (let i = 0; i < 16_384; i++) {
        const hash = keyedHash(keys, 0x0a010000 + (i >>> 8) * step, (i & 255) * step, 17, 0, 0);
        buckets[hash >>> 22]! += 1;
      }
      // 16 expected each; Poisson leaves 45 and more to one in 10^8.
      expect(Math.max(...buckets)).toBeLessThan(45);
    }
  });

  it('is another one under other keys', () => {
    const other = drawHashKeys(seededRandom(2));
    let same = 0;
    for (let port = 0; port < 1000; port++) {
      if (keyedHash(keys, 1, port, 6, 2, 3) >>> 22 === keyedHash(other, 1, port, 6, 2, 3) >>> 22) same += 1;
    }
    expect(same).toBeLessThan(10);
  });

  it.each([
    ['addresses', (i: number) => keyedHash(keys, i, 0, 0, 0, 0)],
    ['upper halves of addresses', (i: number) => keyedHash(keys, i << 16, 0, 0, 0, 0)],
    ['ports', (i: number) => keyedHash(keys, 0, i, 0, 0, 0)],
    ['protocols', (i: number) => keyedHash(keys, 0, 0, i, 0, 0)],
    ['other addresses', (i: number) => keyedHash(keys, 0, 0, 0, i, 0)],
    ['upper halves of other addresses', (i: number) => keyedHash(keys, 0, 0, 0, i << 16, 0)],
    ['other ports', (i: number) => keyedHash(keys, 0, 0, 0, 0, i)],
  ])('depends on %s', (_, hashOf) => {
    expect(new Set(Array.from({ length: 1000 }, (_, i) => hashOf(i))).size).toBeGreaterThan(998);
  });
});

/** Rows whose hashes come from a list, so that a test can make them collide as it likes. */
const change = fc.record({ add: fc.boolean(), row: fc.nat(400) });

describe('the index', () => {
  const candidates = (table: IndexTable, hash: number): number[] => {
    const rows: number[] = [];
    for (let row = table.first(hash); row >= 0; row = table.after(hash, row)) rows.push(row);
    return rows;
  };

  it.each([
    ['well spread', (row: number) => Math.imul(row + 1, 0x9e37_79b1)],
    ['with few homes', (row: number) => Math.imul(row % 5, 0x9e37_79b1)],
    ['all at the end', (row: number) => 0xffff_f800 | (row & 0x3ff) | 0],
    ['with one tag', (row: number) => Math.imul(row + 1, 0x9e37_79b1) & ~0x3ff],
  ])('equals a set under churn, hashes %s', (_, hashOf) => {
    fc.assert(
      fc.property(fc.array(change, { maxLength: 1500, size: 'max' }), (changes) => {
        const table = new IndexTable(hashOf);
        const model = new Set<number>();
        for (const { add, row } of changes) {
          if (add && !model.has(row)) table.add(hashOf(row), row);
          if (!add && model.has(row)) table.remove(hashOf(row), row);
          if (add) model.add(row);
          else model.delete(row);
        }
        expect(table.size).toBe(model.size);
        for (let row = 0; row <= 400; row++) {
          const found = candidates(table, hashOf(row));
          expect(found.includes(row)).toBe(model.has(row));
          expect(new Set(found).size).toBe(found.length);
        }
      }),
      { numRuns: 15 },
    );
  });

  it('grows a step at a time and finds everything meanwhile', () => {
    const hashOf = (row: number): number => Math.imul(row + 1, 0x9e37_79b1);
    const table = new IndexTable(hashOf);
    for (let row = 0; row < 5000; row++) {
      table.add(hashOf(row), row);
      for (let i = 0; i < 8; i++) {
        const known = (row * i) >>> 3;
        expect(candidates(table, hashOf(known)).includes(known)).toBe(true);
      }
    }
    expect(table.octets).toBe(8192 * 4);
  });

  it('leaves nothing behind: a million changes on, it is as small and as empty', () => {
    const next = seededU32(3);
    const hashes = Int32Array.from({ length: 1000 }, () => next() | 0);
    const table = new IndexTable((row) => hashes[row]!);
    for (let row = 0; row < 1000; row++) table.add(hashes[row]!, row);
    const octets = table.octets;
    for (let i = 0; i < 500_000; i++) {
      const row = i % 1000;
      table.remove(hashes[row]!, row);
      hashes[row] = next() | 0;
      table.add(hashes[row]!, row);
    }
    expect(table.octets).toBe(octets);
    for (let row = 0; row < 1000; row++) table.remove(hashes[row]!, row);
    for (let i = 0; i < 1000; i++) expect(table.first(next() | 0)).toBe(-1);
  });
});

describe('external ports', () => {
  const portMap = (first = 1, last = 0xffff): PortMap => new PortMap(first, last, drawsFrom(seededRandom(5)));

  it('RFC 4787 §4.2.1: the inner port where it is free', () => {
    const ports = portMap();
    expect(ports.take(5000)).toBe(5000);
    expect(ports.take(5000)).not.toBe(5000);
    ports.free(5000);
    expect(ports.take(5000)).toBe(5000);
    expect(ports.take(0)).toBeLessThan(1024);
  });

  it('equals a set: range and parity first, every port once, none beyond', () => {
    const [first, last] = [1000, 1090];
    const ask = fc.record({ take: fc.boolean(), port: fc.integer({ min: 990, max: 1100 }) });
    fc.assert(
      fc.property(fc.array(ask, { maxLength: 400, size: 'max' }), (asks) => {
        const ports = portMap(first, last);
        const taken = new Set<number>();
        const open = (from: number, to: number, parity: number): boolean => {
          for (let p = Math.max(from, first); p <= Math.min(to, last); p++) {
            if (p % 2 === parity && !taken.has(p)) return true;
          }
          return false;
        };
        const hasOpen = ([from, to]: readonly [number, number]): boolean => open(from, to, 0) || open(from, to, 1);
        for (const { take, port } of asks) {
          if (!take) {
            ports.free(port);
            taken.delete(port);
            continue;
          }
          const range: readonly [number, number] = port < 1024 ? [0, 1023] : [1024, 65_535];
          const own: readonly [number, number] = range[0] === 0 && hasOpen(range) ? range : [1024, 65_535];
          const expected = hasOpen(own);
          expect(ports.hasRoomFor(port)).toBe(expected);
          const got = ports.take(port);
          expect(got >= 0).toBe(expected);
          if (got < 0) continue;
          expect(taken.has(got)).toBe(false);
          if (port >= first && port <= last && !taken.has(port)) expect(got).toBe(port);
          expect(got).toBeGreaterThanOrEqual(Math.max(first, own[0]));
          expect(got).toBeLessThanOrEqual(Math.min(last, own[1]));
          if (open(own[0], own[1], port % 2)) expect(got % 2).toBe(port % 2);
          taken.add(got);
        }
      }),
      { numRuns: 60 },
    );
  });

  it('every port of a range is found, to the last one', () => {
    const ports = portMap(2000, 6000);
    const taken = new Set<number>();
    for (let i = 0; i < 4001; i++) taken.add(ports.take(2000));
    expect(taken.size).toBe(4001);
    expect(taken.has(-1)).toBe(false);
    expect(ports.take(2000)).toBe(-1);
    expect(ports.take(70)).toBe(-1);
    ports.free(3456);
    expect(ports.take(2001)).toBe(3456);
  });

  it('RFC 6056 §3.3, RFC 7857 §9: which other port it is, nobody can tell', () => {
    const ports = portMap();
    ports.take(5000);
    const drawn = Array.from({ length: 200 }, () => ports.take(5000));
    const halves = drawn.filter((port) => port < 33_000).length;
    expect(halves).toBeGreaterThan(60);
    expect(halves).toBeLessThan(140);
    const steps = drawn.slice(1).map((port, i) => port - drawn[i]!);
    expect(new Set(steps).size).toBeGreaterThan(190);
  });
});

interface ModelSession {
  readonly protocol: number;
  readonly inner: number;
  readonly innerPort: number;
  readonly external: number;
  readonly remote: number;
  readonly remotePort: number;
}

describe('the session table', () => {
  /** Few values, so that everything is shared with something. The external port follows from the inner endpoint. */
  const session = fc
    .record({
      protocol: fc.constantFrom(6, 17),
      inner: fc.constantFrom(0x0a010001, -3),
      innerPort: fc.constantFrom(1, 0xffff),
      remote: fc.constantFrom(0x08080808, -1, 0),
      remotePort: fc.constantFrom(0, 53, 0xffff),
    })
    .map((s): ModelSession => ({ ...s, external: (s.innerPort ^ (s.inner < 0 ? 0x4321 : 0)) & 0xffff }));
  const filtering = fc.constantFrom<NatFiltering>('address', 'endpoint-independent', 'address-and-port');
  const step = fc.oneof(
    { weight: 10, arbitrary: fc.record({ do: fc.constant('toggle' as const), session }) },
    { weight: 1, arbitrary: fc.record({ do: fc.constant('filter' as const), filtering }) },
  );
  const keyOf = (s: ModelSession): string => Object.values(s).join();

  it('equals a list that is searched, whatever comes and goes', () => {
    fc.assert(
      fc.property(
        fc.array(step, { maxLength: 200, size: 'max' }),
        fc.array(session, { maxLength: 30 }),
        (steps, probes) => {
          const table = new SessionTable(keys, 'address');
          let filter: NatFiltering = 'address';
          const model = new Map<string, { s: ModelSession; row: number }>();
          const sessionAt = (row: number): string => [...model].find(([, value]) => value.row === row)?.[0] ?? 'none';
          for (const s of steps) {
            if (s.do === 'filter') {
              filter = s.filtering;
              table.setFiltering(filter);
              continue;
            }
            const { protocol, inner, innerPort, external, remote, remotePort } = s.session;
            const known = model.get(keyOf(s.session));
            const siblings = [...model.values()].filter(
              (m) => m.s.protocol === protocol && m.s.inner === inner && m.s.innerPort === innerPort,
            );
            if (known !== undefined) {
              expect(table.remove(known.row)).toBe(siblings.length === 1);
              model.delete(keyOf(s.session));
            } else {
              const head = table.mapping(protocol, inner, innerPort);
              expect(head >= 0).toBe(siblings.length > 0);
              const row = table.add(head, protocol, inner, innerPort, external, remote, remotePort, 0, 0);
              model.set(keyOf(s.session), { s: s.session, row });
            }
          }
          expect(table.count).toBe(model.size);
          for (const p of [...probes, ...[...model.values()].map((m) => m.s)]) {
            const row = model.get(keyOf(p))?.row ?? -1;
            expect(table.findInbound(p.protocol, p.external, p.remote, p.remotePort)).toBe(row);
            expect(table.findOutbound(p.protocol, p.inner, p.innerPort, p.remote, p.remotePort)).toBe(row);
            const permitting = [...model.values()].filter(
              ({ s }) =>
                s.protocol === p.protocol &&
                s.external === p.external &&
                (filter === 'endpoint-independent' || (filter === 'address' && s.remote === p.remote)),
            );
            const permission = table.permission(p.protocol, p.external, p.remote);
            if (permitting.length === 0) expect(permission).toBe(-1);
            else expect(permitting.map((m) => keyOf(m.s))).toContain(sessionAt(permission));
          }
        },
      ),
      { numRuns: 80 },
    );
  });

  it.each(['address', 'endpoint-independent'] as const)(
    'in whatever order sessions go, the last one permits: %s',
    (by) => {
      const ports = [1, 2, 3, 4];
      fc.assert(
        fc.property(fc.shuffledSubarray(ports, { minLength: 4 }), fc.array(fc.nat(3)), (order, again) => {
          const table = new SessionTable(keys, by);
          const rows = new Map<number, number>();
          const add = (port: number): void => {
            const head = table.mapping(17, 7, 8);
            rows.set(port, table.add(head, 17, 7, 8, 8, 9, port, 0, 0));
          };
          const permits = (): boolean => [...rows.values()].includes(table.permission(17, 8, 9));
          for (const port of ports) add(port);
          // Rows that others have had meanwhile.
          for (const i of again) {
            table.remove(rows.get(ports[i]!)!);
            rows.delete(ports[i]!);
            expect(permits()).toBe(true);
            add(ports[i]!);
            expect(permits()).toBe(true);
          }
          for (const port of order) {
            expect(permits()).toBe(true);
            expect(rows.has(port)).toBe(true);
            table.remove(rows.get(port)!);
            rows.delete(port);
          }
          expect(table.permission(17, 8, 9)).toBe(-1);
        }),
        { numRuns: 60 },
      );
    },
  );

  it('takes at most 96 octets a session, and none once all are gone', () => {
    const table = new SessionTable(keys, 'address');
    const rows: number[] = [];
    let most = 0;
    for (let i = 0; i < 62_000; i++) {
      rows.push(table.add(-1, 17, i, 7, i & 0xffff, 0x01020304, 53, 0, 0));
      // Not while the indexes double.
      if (i === 9_999 || i === 61_999) expect(table.octets / (i + 1)).toBeLessThan(96);
      most = i > 2_000 ? Math.max(most, table.octets / (i + 1)) : most;
    }
    expect(most).toBeLessThan(128);
    for (const row of rows.slice(0, 30_000)) table.remove(row);
    const octets = table.octets;
    for (let i = 0; i < 30_000; i++) table.add(-1, 17, i, 7, i & 0xffff, 0x01020304, 53, 0, 0);
    expect(table.octets).toBe(octets);
    for (let row = 0; row < 62_000; row++) table.remove(row);
    expect(table.octets).toBeLessThan(1000);
  });
});
