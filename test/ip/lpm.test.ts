import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { seededU32, toHex } from '../../src/core/index.ts';
import {
  type Address,
  contains,
  formatPrefix,
  ipv4Number,
  ipv4Octets,
  networkOf,
  type Prefix,
  PrefixTable,
} from '../../src/ip/index.ts';
import { addr, pfx } from '../support/packets.ts';

/** The naive model: a list of entries, searched from end to end. */
class LinearTable {
  readonly routes = new Map<string, { prefix: Prefix; value: number }>();
  insert(prefix: Prefix, value: number): void {
    const network = { address: networkOf(prefix), length: prefix.length };
    this.routes.set(formatPrefix(network), { prefix: network, value });
  }
  remove(prefix: Prefix): boolean {
    return this.routes.delete(formatPrefix({ address: networkOf(prefix), length: prefix.length }));
  }
  covering(address: Address): number[] {
    return [...this.routes.values()]
      .filter(({ prefix }) => contains(prefix, address))
      .sort((a, b) => b.prefix.length - a.prefix.length)
      .map(({ value }) => value);
  }
}

const byPlace = (a: Prefix, b: Prefix): number =>
  a.address.length - b.address.length || toHex(a.address).localeCompare(toHex(b.address)) || a.length - b.length;

/** Few distinct octets, so that prefixes nest and collide. */
const octet = fc.constantFrom(0x00, 0x01, 0x0a, 0x80, 0xff);
const address = fc.oneof(
  fc.array(octet, { minLength: 4, maxLength: 4 }),
  fc.array(octet, { minLength: 16, maxLength: 16 }),
);
const prefix = fc
  .tuple(address, fc.nat(128))
  .map(([octets, length]): Prefix => ({ address: Uint8Array.from(octets), length: length % (octets.length * 8 + 1) }));
const step = fc.oneof(
  { weight: 3, arbitrary: fc.record({ do: fc.constant('insert' as const), prefix, value: fc.nat() }) },
  { weight: 2, arbitrary: fc.record({ do: fc.constant('remove' as const), prefix, value: fc.constant(0) }) },
);

describe('longest-prefix match', () => {
  it('equals the linear search, removals included', () => {
    fc.assert(
      fc.property(fc.array(step, { maxLength: 60 }), fc.array(address, { maxLength: 20 }), (steps, probes) => {
        const table = new PrefixTable<number>();
        const model = new LinearTable();
        for (const s of steps) {
          if (s.do === 'insert') {
            table.insert(s.prefix, s.value);
            model.insert(s.prefix, s.value);
          } else {
            expect(table.remove(s.prefix)).toBe(model.remove(s.prefix));
          }
          expect(table.size).toBe(model.routes.size);
        }
        const addresses = [...probes.map((p) => Uint8Array.from(p)), ...steps.map((s) => s.prefix.address)];
        for (const a of addresses) {
          const expected = model.covering(a);
          expect(table.lookup(a)).toBe(expected[0]);
          expect(table.covering(a).map((e) => e.value)).toEqual(expected);
          expect(a.length === 4 ? table.lookup4(ipv4Number(a)) : table.lookup6(a, 0)).toBe(expected[0]);
        }
        for (const s of steps) {
          const text = formatPrefix({ address: networkOf(s.prefix), length: s.prefix.length });
          expect(table.exact(s.prefix)).toBe(model.routes.get(text)?.value);
        }
        expect([...table].map((e) => [formatPrefix(e.prefix), e.value])).toEqual(
          [...model.routes.values()]
            .sort((a, b) => byPlace(a.prefix, b.prefix))
            .map((e) => [formatPrefix(e.prefix), e.value]),
        );
      }),
      { numRuns: 400 },
    );
  });

  it('beside another table: what both have under each prefix, in order, and of the prefixes in one only', () => {
    fc.assert(
      fc.property(fc.array(step, { maxLength: 60 }), fc.option(prefix, { nil: undefined }), (steps, within) => {
        const tables = [new PrefixTable<number>(), new PrefixTable<number>()] as const;
        const models = [new LinearTable(), new LinearTable()] as const;
        for (const { do: what, prefix: at, value } of steps) {
          for (const i of [0, 1] as const) {
            if (what === 'insert' && value % 3 !== i) {
              tables[i].insert(at, value);
              models[i].insert(at, value);
            } else if (what === 'remove') {
              tables[i].remove(at);
              models[i].remove(at);
            }
          }
        }
        const known = new Map([...models[0].routes, ...models[1].routes].map(([text, { prefix }]) => [text, prefix]));
        const lies = ({ address, length }: Prefix): boolean =>
          within === undefined ||
          (address.length === within.address.length && length >= within.length && contains(within, address));
        const expected = [...known]
          .filter(([, each]) => lies(each))
          .sort(([, a], [, b]) => byPlace(a, b))
          .map(([text]) => models.map(({ routes }) => routes.get(text)?.value));
        const shown: (number | undefined)[][] = [];
        const most = expected.length - (steps.length % 3);
        tables[0].beside(tables[1], within, (...both) => shown.push(both) < most);
        expect(shown).toEqual(expected.slice(0, Math.max(most, 1)));
      }),
      { numRuns: 400 },
    );
  });

  it('is right with 100,000 routes, and empty again after their removal', () => {
    const next = seededU32(3);
    const table = new PrefixTable<number>();
    const exact = new Map<string, number>();
    const lengths: readonly number[] = [8, 12, 16, 20, 22, 24, 24, 24, 28, 32];
    const key = (n: number, length: number): string =>
      `${length === 32 ? n : (n & (-1 << (32 - length))) >>> 0}/${length}`;
    const routes: Prefix[] = [];
    for (let i = 0; exact.size < 100_000; i++) {
      const length = lengths[i % lengths.length]!;
      const n = next();
      const route = { address: ipv4Octets(n), length };
      table.insert(route, i);
      if (!exact.has(key(n, length))) routes.push(route);
      exact.set(key(n, length), i);
    }
    expect(table.size).toBe(100_000);
    for (let i = 0; i < 20_000; i++) {
      const n = next();
      let expected: number | undefined;
      for (const length of [32, 28, 24, 22, 20, 16, 12, 8]) {
        expected = exact.get(key(n, length));
        if (expected !== undefined) break;
      }
      expect(table.lookup4(n)).toBe(expected);
    }
    for (const route of routes) table.remove(route);
    expect(table.size).toBe(0);
    expect([...table]).toEqual([]);
  });

  it('knows the default routes of both families apart', () => {
    const table = new PrefixTable<string>();
    table.insert(pfx('0.0.0.0/0'), 'four');
    expect(table.lookup(addr('::1'))).toBeUndefined();
    table.insert(pfx('::/0'), 'six');
    expect(table.lookup(addr('255.255.255.255'))).toBe('four');
    expect(table.lookup(addr('ffff::'))).toBe('six');
    table.insert(pfx('2001:db8::1/128'), 'host');
    expect(table.match(addr('2001:db8::1'))?.value).toBe('host');
    expect(table.covering(addr('2001:db8::1')).map((e) => e.value)).toEqual(['host', 'six']);
  });

  it('reads an IPv6 address where it stands in a packet', () => {
    const table = new PrefixTable<number>();
    table.insert(pfx('2001:db8:7::/48'), 7);
    const buf = new Uint8Array(50).fill(0xff);
    buf.set(addr('2001:db8:7::99'), 11);
    expect(table.lookup6(buf, 11)).toBe(7);
    expect(table.lookup6(buf, 12)).toBeUndefined();
  });
});
