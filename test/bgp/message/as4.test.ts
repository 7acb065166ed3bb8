import fc from 'fast-check';
import { describe, expect, it, test } from 'vitest';
import {
  type AsSegment,
  attributeOf,
  decodeAttributes,
  describePath,
  encodeAttributes,
  findValue,
  mergePaths,
  type PathAttribute,
  pathLength,
  reconcileAs4,
  splitAs4,
} from '../../../src/bgp/index.ts';
import { toHex } from '../../../src/core/index.ts';
import { parseAddress } from '../../../src/ip/index.ts';
import { segment } from './arbitraries.ts';
import { EBGP, IBGP } from './contexts.ts';

const TYPES = { '{': 'set', '(': 'confedSequence', '[': 'confedSet' } as const;

/** `1 2 {3,4} (5 6) [7]` as segments. */
function path(text: string): AsSegment[] {
  const parts = text.match(/[{([][^})\]]*[})\]]|\d+(?: \d+)*/g) ?? [];
  return parts.map(
    (part): AsSegment => ({
      type: TYPES[part[0] as keyof typeof TYPES] ?? 'sequence',
      asns: (part.match(/\d+/g) ?? []).map(Number),
    }),
  );
}
const merged = (asPath: string, as4Path: string) => describePath(mergePaths(path(asPath), path(as4Path)));

describe('RFC 6793 §4.2.3: AS_PATH and AS4_PATH become one path', () => {
  test.each([
    { what: 'as long: AS4_PATH', asPath: '23456 23456', as4Path: '70000 80000', out: '70000 80000' },
    { what: 'longer: its head leads', asPath: '64501 23456 23456', as4Path: '70000 80000', out: '64501 70000 80000' },
    {
      what: 'aligned to the right, not number by number',
      asPath: '23456 64501 23456 23456',
      as4Path: '70000 80000',
      out: '23456 64501 70000 80000',
    },
    { what: 'shorter: AS_PATH alone', asPath: '23456', as4Path: '70000 80000', out: '23456' },
    {
      what: 'a set counts as one',
      asPath: '64501 {23456,64502}',
      as4Path: '{70000,64502}',
      out: '64501 {70000,64502}',
    },
    { what: 'a set in the head', asPath: '{1,2} 3 23456', as4Path: '70000', out: '{1,2} 3 70000' },
    { what: 'a set is never cut', asPath: '{1,2} 23456', as4Path: '3 70000', out: '3 70000' },
    {
      what: 'a leading confederation comes along',
      asPath: '(65010 65011) 23456 23456',
      as4Path: '70000 80000',
      out: '(65010 65011) 70000 80000',
    },
    {
      what: 'a confederation next to what comes along',
      asPath: '64501 (65010) 23456',
      as4Path: '70000',
      out: '64501 (65010) 70000',
    },
    { what: 'a set of a confederation', asPath: '[65010] 23456', as4Path: '70000', out: '[65010] 70000' },
    {
      what: 'a confederation behind what was cut',
      asPath: '1 23456 (65010) 23456',
      as4Path: '70000 80000',
      out: '1 70000 80000',
    },
    { what: 'nothing in AS4_PATH', asPath: '64501 64502', as4Path: '', out: '64501 64502' },
  ])('$what', ({ asPath, as4Path, out }) => {
    expect(merged(asPath, as4Path)).toBe(out);
  });

  it('is as long as AS_PATH was, always', () => {
    const any = fc.array(segment(), { maxLength: 5 });
    fc.assert(
      fc.property(any, any, (asPath, as4Path) => {
        const plain = as4Path.filter((s) => !s.type.startsWith('confed'));
        expect(pathLength(mergePaths(asPath, plain))).toBe(pathLength(asPath));
      }),
    );
  });
});

describe('RFC 6793 §4.2.3: AGGREGATOR', () => {
  const address = parseAddress('192.0.2.1')!;
  const other = parseAddress('192.0.2.2')!;
  const asPath = attributeOf({ name: 'asPath', segments: path('64501 23456') });
  const as4Path = attributeOf({ name: 'as4Path', segments: path('70000') });
  const aggregator = (asn: number) => attributeOf({ name: 'aggregator', asn, address });
  const as4Aggregator = attributeOf({ name: 'as4Aggregator', asn: 70000, address: other });
  const words = (attributes: readonly PathAttribute[]) => {
    const out = reconcileAs4(attributes);
    const by = findValue(out, 'aggregator');
    return [describePath(findValue(out, 'asPath')?.segments ?? []), by?.asn, by?.address[3], out.length];
  };

  it('that is not AS_TRANS makes both AS4 attributes void', () => {
    expect(words([asPath, aggregator(64501), as4Path, as4Aggregator])).toEqual(['64501 23456', 64501, 1, 2]);
  });

  it('that is AS_TRANS gives way to AS4_AGGREGATOR', () => {
    expect(words([asPath, aggregator(23456), as4Path, as4Aggregator])).toEqual(['64501 70000', 70000, 2, 2]);
  });

  it('without AS4_AGGREGATOR says nothing of the path', () => {
    expect(words([asPath, aggregator(64501), as4Path])).toEqual(['64501 70000', 64501, 1, 2]);
  });

  it('that is not there is not made from AS4_AGGREGATOR', () => {
    expect(words([asPath, as4Aggregator])).toEqual(['64501 23456', undefined, undefined, 1]);
  });

  it('and a path without AS4 attributes are left as they are', () => {
    const list = [asPath, aggregator(64501)];
    expect(reconcileAs4(list)).toBe(list);
  });
});

describe('RFC 6793 §4.2.2: to a peer of two octets', () => {
  const OLD = { ...EBGP, fourOctetAs: false };
  const address = parseAddress('192.0.2.1')!;
  const sent = (text: string, context = OLD) =>
    toHex(encodeAttributes(splitAs4([attributeOf({ name: 'asPath', segments: path(text) })]), context));

  test.each([
    { what: 'all numbers fit: no AS4_PATH', text: '64501 64502', octets: '4002060202fbf5fbf6' },
    { what: 'one does not', text: '64501 70000', octets: '4002060202fbf55ba0c0110a02020000fbf500011170' },
    {
      what: 'none of a confederation in AS4_PATH',
      text: '(65010) 70000',
      octets: '4002080301fdf202015ba0c01106020100011170',
    },
    { what: 'only a confederation: no AS4_PATH', text: '(70000)', octets: '40020403015ba0' },
  ])('$what', ({ text, octets }) => {
    expect(sent(text)).toBe(octets);
  });

  it('AGGREGATOR is AS_TRANS with AS4_AGGREGATOR beside it, only where it must', () => {
    const list = (asn: number) => splitAs4([attributeOf({ name: 'aggregator', asn, address })]);
    expect(toHex(encodeAttributes(list(70000), OLD))).toBe('c007065ba0c0000201c0120800011170c0000201');
    expect(toHex(encodeAttributes(list(64501), OLD))).toBe('c00706fbf5c0000201');
  });

  it('nothing of the path is lost on the way through a peer of two octets', () => {
    const context = { ...IBGP, fourOctetAs: false };
    fc.assert(
      fc.property(fc.array(segment(), { maxLength: 4 }), (all) => {
        const segments = all.filter((s) => !s.type.startsWith('confed'));
        const list = [attributeOf({ name: 'asPath', segments })];
        const there = decodeAttributes(encodeAttributes(splitAs4(list), context), context);
        const back = findValue(reconcileAs4(there.attributes), 'asPath');
        expect(describePath(back?.segments ?? [])).toBe(describePath(segments));
      }),
    );
  });
});
