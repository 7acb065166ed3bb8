import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { PrefixList } from '../../../src/bgp/policy/prefix-list.ts';
import { matchesPrefix, type PrefixMatcher, prefixMatcher } from '../../../src/bgp/policy/prefix-matcher.ts';
import type { PrefixRecord } from '../../../src/bgp/policy/record.ts';
import { PrefixTable } from '../../../src/bgp/rib/prefix-table.ts';
import { formatPrefix, parsePrefix } from '../../../src/ip/index.ts';

const matcherOf = (record: PrefixRecord): PrefixMatcher => {
  const matcher = prefixMatcher(record);
  if (typeof matcher === 'string') throw new Error(matcher);
  return matcher;
};
const routeOf = (text: string) => {
  const parsed = parsePrefix(text)!;
  const table = new PrefixTable(parsed.address.length / 4);
  return { length: table.load(parsed), words: table.key };
};

describe('a prefix list', () => {
  const list = new PrefixList(
    [
      { prefix: '10.1.0.0/16', ge: 16, le: 32 },
      { prefix: '10.0.0.0/8', ge: 24, le: 24 },
      { prefix: '10.1.2.0/24', ge: 30, le: 30 },
      { prefix: '10.0.0.0/8' },
      { prefix: '2001:db8::/32', le: 48 },
    ].map(matcherOf),
  );

  it.each([
    ['10.0.0.0/8', true],
    ['10.0.0.0/9', false],
    ['10.0.0.0/15', false],
    ['10.1.0.0/16', true],
    ['10.1.2.0/23', true],
    ['10.1.2.128/31', true],
    ['10.2.3.0/24', true],
    ['10.2.3.0/25', false],
    ['0.0.0.0/0', false],
    ['11.0.0.0/24', false],
    ['2001:db8::/32', true],
    ['2001:db8:1::/48', true],
    ['2001:db8:1::/49', false],
    ['2001:db9::/48', false],
    ['::/0', false],
  ])('%s: %s', (text, matches) => {
    const { words, length } = routeOf(text);
    expect(list.matches(words, length)).toBe(matches);
  });

  it('without entries matches nothing', () => {
    const { words, length } = routeOf('0.0.0.0/0');
    expect(new PrefixList([]).matches(words, length)).toBe(false);
  });

  it('matches what one of its entries does, asked one after the other', () => {
    // Few bits that differ, so that prefixes lie in one another.
    const bits = fc.array(fc.constantFrom(0, 0, 0, 1), { minLength: 16, maxLength: 16 });
    const prefix = fc.tuple(fc.boolean(), bits, fc.nat(16)).map(([v6, some, length]) => {
      const octets = new Uint8Array(v6 ? 16 : 4);
      // The last half of the first word and, of IPv6, the first half of the second.
      const from = v6 ? 24 : 16;
      for (const [i, bit] of some.entries()) if (i < length) octets[(from + i) >> 3]! |= bit << (7 - ((from + i) & 7));
      return {
        text: formatPrefix({ address: octets, length: length === 0 ? 0 : from + length }),
        width: v6 ? 128 : 32,
      };
    });
    const entry = fc.tuple(prefix, fc.nat(10), fc.nat(10)).map(([{ text, width }, more, span]): PrefixRecord => {
      const ge = Math.min(width, Number(text.split('/')[1]) + more);
      return { prefix: text, ge, le: Math.min(width, ge + span) };
    });
    fc.assert(
      fc.property(fc.array(entry, { maxLength: 40 }), fc.array(prefix, { maxLength: 40 }), (entries, routes) => {
        const matchers = entries.map(matcherOf);
        const sut = new PrefixList(matchers);
        for (const { text } of [...routes, ...entries.map(({ prefix: text }) => ({ text }))]) {
          const { words, length } = routeOf(text);
          const linear = matchers.some((matcher) => matchesPrefix(matcher, words, length));
          expect(sut.matches(words, length), text).toBe(linear);
        }
      }),
      { numRuns: 300 },
    );
  });
});
