/** What is printed of a route can be pasted: into a policy, or into the command line. */
import fc from 'fast-check';
import { describe, expect, it, test } from 'vitest';
import {
  ATTRIBUTE,
  type Community,
  describePath,
  formatCommunity,
  parseCommunity,
  parseOrigin,
  parsePath,
  splitCommunities,
} from '../../../src/bgp/index.ts';
import { encodeSegments } from '../../../src/bgp/message/as-path.ts';
import { compileExpression } from '../../../src/bgp/policy/as-path-expression.ts';
import { pathText } from '../../../src/bgp/policy/condition.ts';
import { AttributeDraft } from '../../../src/bgp/rib/attribute-draft.ts';
import { AttributeStore } from '../../../src/bgp/rib/attribute-store.ts';
import { toHex, Writer } from '../../../src/core/index.ts';
import { octets } from './arbitraries.ts';

const { COMMUNITIES, EXTENDED_COMMUNITIES, LARGE_COMMUNITIES } = ATTRIBUTE;

const known = fc.constantFrom('0002', '0102', '0202', '0003', '0103', '0203', '030c', '0600', '0603', '4002', 'ffff');
const extended = fc.tuple(known, octets(6)).map(([type, rest]) => Uint8Array.of(...Buffer.from(type, 'hex'), ...rest));
const community: fc.Arbitrary<Community> = fc.oneof(
  octets(4).map((each) => ({ type: COMMUNITIES, octets: each })),
  fc.constantFrom(0xffff_ff01, 0xffff_029a).map((each) => ({ type: COMMUNITIES, octets: word(each) })),
  fc.oneof(extended, octets(8)).map((each) => ({ type: EXTENDED_COMMUNITIES, octets: each })),
  octets(12).map((each) => ({ type: LARGE_COMMUNITIES, octets: each })),
);

describe('communities', () => {
  it('RFC 1997, RFC 4360 §4, RFC 8092 §5: what is printed is read as the same octets, alone and in a list', () => {
    fc.assert(
      fc.property(fc.array(community, { minLength: 1, maxLength: 5 }), (communities) => {
        const printed = communities.map(formatCommunity);
        for (const between of [' ', ',', ', ']) {
          const read = splitCommunities(printed.join(between)).map(parseCommunity);
          expect(read.map((each) => each && [each.type, toHex(each.octets)])).toEqual(
            communities.map(({ type, octets: each }) => [type, toHex(each)]),
          );
        }
      }),
      { numRuns: 1000 },
    );
  });

  test.each([
    ['NO_EXPORT', 'no-export'],
    ['no_export', 'no-export'],
    ['GRACEFUL_SHUTDOWN', 'graceful-shutdown'],
    ['local-AS', 'no-export-subconfed'],
    ['65535:65281', 'no-export'],
    ['(65000,1)', '65000:1'],
    ['(65000, 1, 2)', '65000:1:2'],
    ['large:65000:1:2', '65000:1:2'],
    ['RT:65000:1', 'rt:65000:1'],
    ['rt 65000:1', 'rt:65000:1'],
    ['target:65000:1', 'rt:65000:1'],
    ['target 65000:1', 'rt:65000:1'],
    ['(rt, 65000, 1)', 'rt:65000:1'],
    ['(ro, 65000, 1)', 'soo:65000:1'],
    ['SoO:192.0.2.1:7', 'soo:192.0.2.1:7'],
    ['origin:65000:1', 'soo:65000:1'],
    ['rt:4200000001:7', 'rt:4200000001:7'],
    ['rt:64086.59905:7', 'rt:4200000001:7'],
    ['rt:0.65000:7', 'rt:65000L:7'],
    ['rt:65000:4294967295', 'rt:65000:4294967295'],
    ['ET:8', 'encapsulation:vxlan'],
    ['encapsulation:77', 'encapsulation:77'],
    ['MM:3', 'mac-mobility:3'],
    ['Rmac:02:00:00:00:00:01', 'router-mac:02:00:00:00:00:01'],
    ['(generic, 0x43000000, 0x1)', '0x4300000000000001'],
    ['0002fde800000001', 'rt:65000:1'],
    ['0X0002FDE800000001', 'rt:65000:1'],
  ])('%s is %s', (text, printed) => {
    const parsed = parseCommunity(text);
    expect(parsed && formatCommunity(parsed)).toBe(printed);
  });

  test.each([
    '',
    '5',
    '65536:1',
    '1:65536',
    '01:1',
    '1:2:3:4',
    '1:2:4294967296',
    'large:1:2',
    'rt:1',
    'rt:65000:4294967296',
    'rt:65536:65536',
    'rt:192.0.2.1:65536',
    'rt:192.0.2:1',
    'rt:65000L',
    'rt:2001:db8::1:7',
    'export',
    'no-export:1',
    '0x12',
    '(65000,1',
    'encapsulation:65536',
    'router-mac:02:00',
  ])('%s is none', (text) => expect(parseCommunity(text)).toBeUndefined());

  it('a list in the words of several routers', () => {
    expect(splitCommunities('65000:1 rt 65000:2,(rt, 65000, 3)  no-export, 1:2:3')).toEqual([
      '65000:1',
      'rt 65000:2',
      '(rt, 65000, 3)',
      'no-export',
      '1:2:3',
    ]);
  });
});

describe('AS paths and origins', () => {
  const asns = fc.array(fc.integer({ min: 1, max: 0xffff_ffff }), { minLength: 1, maxLength: 4 });
  const kind = fc.constantFrom('set', 'sequence', 'confedSequence', 'confedSet');
  const path = fc
    .array(fc.record({ type: kind, asns }), { maxLength: 5 })
    .filter((all) => all.every(({ type }, i) => type !== 'sequence' || all[i - 1]?.type !== type));

  it('RFC 5396, RFC 5065: a path is read as it is printed, and a policy sees the text that is printed', () => {
    fc.assert(
      fc.property(path, (segments) => {
        const printed = describePath(segments);
        expect(parsePath(printed)).toEqual(segments);
        const store = new AttributeStore();
        const draft = new AttributeDraft(store);
        const w = new Writer();
        encodeSegments(w, segments, true);
        draft.begin();
        draft.set(ATTRIBUTE.AS_PATH, 0x40, w.finish());
        expect(pathText(store, draft.commit())).toBe(printed);
        const expression = compileExpression(`^${printed.replace(/[()[\]]/g, '\\$&')}$`);
        expect(expression.ok && expression.value(printed)).toBe(expression.ok);
        expect(expression.ok || printed.length > 400).toBe(true);
      }),
    );
  });

  test.each([
    ['1.10  65002', '65546 65002'],
    ['65001 { 1 2 }', '65001 {1,2}'],
    ['', ''],
  ])('"%s" is "%s"', (text, printed) => expect(describePath(parsePath(text)!)).toBe(printed));

  test.each(['65001 x', '{', '{}', '65001 {1', '1.65536', '4294967296', '65001 i'])('"%s" is none', (text) =>
    expect(parsePath(text)).toBeUndefined(),
  );

  it('RFC 4271 §5.1.1: an origin in words, or as tables mark it', () => {
    expect(['igp', 'EGP', 'Incomplete', 'i', 'e', '?'].map(parseOrigin)).toEqual([
      'igp',
      'egp',
      'incomplete',
      'igp',
      'egp',
      'incomplete',
    ]);
    expect(['', 'I', 'bgp'].map(parseOrigin)).toEqual([undefined, undefined, undefined]);
  });
});

function word(number: number): Uint8Array {
  return Uint8Array.of(number >>> 24, number >>> 16, number >>> 8, number);
}
