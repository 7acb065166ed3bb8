import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { decodeUpdate, encodeAttributes, flagsPassedOn, reconcileAs4 } from '../../../src/bgp/message/index.ts';
import { AttributeScan } from '../../../src/bgp/rib/attribute-scan.ts';
import { AttributeStore } from '../../../src/bgp/rib/attribute-store.ts';
import { concat, EMPTY, toHex } from '../../../src/core/index.ts';
import { attribute, context, long, sequences, update, word } from './speakers.ts';

const octets = (...lengths: number[]) =>
  fc.constantFrom(...lengths).chain((length) => fc.uint8Array({ minLength: length, maxLength: length }));
const path = (width: number) =>
  fc
    .array(
      fc
        .tuple(
          fc.constantFrom(1, 2, 2, 2, 2, 3, 4, 5),
          fc.array(fc.constantFrom(0, 1, 1, 2, 3, 23456, 65_001), { minLength: 1, maxLength: 3 }),
        )
        .map(([type, asns]) => [type, asns.length, ...asns.flatMap((asn) => (width === 4 ? word(asn) : [0, asn]))]),
      { maxLength: 3 },
    )
    .map((segments) => Uint8Array.from(segments.flat()));

/** Types with their flags and values that are mostly right. */
const one = fc.oneof(
  fc.tuple(fc.constant(0x40), fc.constant(1), fc.constantFrom([0], [1], [3], [])),
  fc.tuple(fc.constant(0x40), fc.constant(2), fc.oneof(path(4), path(2), octets(1, 3))),
  fc.tuple(fc.constant(0x40), fc.constant(3), fc.constant([10, 0, 0, 1])),
  fc.tuple(fc.constantFrom(0x80, 0xc0), fc.constantFrom(4, 9, 10), octets(4, 4, 8, 3, 0)),
  fc.tuple(fc.constantFrom(0x40, 0x60, 0x80), fc.constantFrom(5, 6), octets(4, 4, 0, 3)),
  fc.tuple(fc.constant(0xc0), fc.constantFrom(7, 8, 16, 25, 32, 35), octets(0, 4, 6, 8, 12, 20)),
  fc.tuple(fc.constant(0xc0), fc.constantFrom(17, 18), fc.oneof(path(4), octets(8, 7))),
  fc.tuple(fc.constantFrom(0x80, 0xc0, 0xe0), fc.constantFrom(98, 99), octets(0, 2)),
);
/** ORIGIN, AS_PATH and NEXT_HOP that are right for `width` in three of four. */
const attributes = fc
  .tuple(fc.constantFrom(4, 4, 2, 2, 0), path(4), path(2), fc.array(one, { maxLength: 5 }))
  .map(([width, wide, narrow, list]) =>
    concat(
      ...(width === 0
        ? []
        : [
            attribute(0x40, 1, 0),
            attribute(0x40, 2, ...(width === 4 ? wide : narrow)),
            attribute(0x40, 3, 10, 0, 0, 1),
            attribute(0x40, 5, ...word(100)),
          ]),
      ...list
        .filter(([, type]) => width === 0 || type > 3)
        .map(([flags, type, value]) => attribute(flags, type, ...value)),
    ),
  );

function scan(block: Uint8Array, ebgp: boolean, fourOctetAs: boolean) {
  const store = new AttributeStore();
  const scanner = new AttributeScan(store);
  scanner.walk(block, 0, block.length, context(ebgp, { fourOctetAs }), true);
  return { scanner, store };
}

describe('the scan of attributes', () => {
  it('RFC 7606: treats a message as the codec does, whatever its attributes are', () => {
    fc.assert(
      fc.property(attributes, fc.boolean(), fc.boolean(), (block, ebgp, four) => {
        const { scanner } = scan(block, ebgp, four);
        const decoded = decodeUpdate(update(EMPTY, block, Uint8Array.of(8, 10)), context(ebgp, { fourOctetAs: four }));
        expect(scanner.treatment).toBe(decoded.treatment);
      }),
      { numRuns: 3000 },
    );
  });

  it('RFC 6793 §4.2.3, RFC 4271 §5: keeps of it what the codec reads, AS4 attributes merged, in canonical form', () => {
    fc.assert(
      fc.property(attributes, fc.boolean(), fc.boolean(), (block, ebgp, four) => {
        const { scanner, store } = scan(block, ebgp, four);
        const settled = context(ebgp, { fourOctetAs: four });
        const decoded = decodeUpdate(update(EMPTY, block, Uint8Array.of(8, 10)), settled);
        fc.pre(decoded.treatment === 'none' || decoded.treatment === 'discard');
        const kept = reconcileAs4(decoded.update.attributes)
          .filter(({ type }) => ![3, 14, 15].includes(type))
          .flatMap((one) => {
            const flags = flagsPassedOn(one.type, one.flags);
            return flags === undefined ? [] : [{ ...one, flags: flags & 0xe0 }];
          })
          .sort((a, b) => a.type - b.type);
        const set = store.view(scanner.commit(false));
        expect(toHex(set.subarray(7))).toBe(toHex(encodeAttributes(kept, { ...settled, fourOctetAs: true })));
      }),
      { numRuns: 3000 },
    );
  });

  it('gives one set to what differs in the order of attributes, extended length or octets of AS numbers', () => {
    const origin = attribute(0x40, 1, 0);
    const hop = attribute(0x40, 3, 10, 0, 0, 1);
    const wide = attribute(0x40, 2, 2, 1, ...word(7));
    const blocks: [Uint8Array, boolean][] = [
      [concat(origin, wide, hop), true],
      [concat(hop, wide, origin), true],
      [concat(origin, Uint8Array.of(0x50, 2, 0, 6, 2, 1, ...word(7)), hop), true],
      [concat(origin, attribute(0x40, 2, 2, 1, 0, 7), hop), false],
    ];
    const forms = blocks.map(([block, four]) => {
      const { scanner, store } = scan(block, true, four);
      return toHex(store.view(scanner.commit(false)));
    });
    expect(new Set(forms)).toEqual(new Set(['0000040a000001' + '40010100' + '400206' + '020100000007']));
  });
});

describe('RFC 8654: what a message of 65,535 octets holds and an attribute does not', () => {
  const origin = attribute(0x40, 1, 0);
  const hop = attribute(0x40, 3, 10, 0, 0, 1);

  it.each([
    [64, 'none'],
    [65, 'withdraw'],
  ] as const)('RFC 6793 §4.2.3: AS_PATH of %i segments of two octets a number is %s', (count, treatment) => {
    const { scanner, store } = scan(concat(origin, long(0x40, 2, sequences(count, 2)), hop), true, false);
    expect(scanner.treatment).toBe(treatment);
    if (treatment === 'withdraw') return expect(scanner.why).toContain('too long');
    const set = scanner.commit(false);
    expect([store.pathLengths[set], store.localPreferences[set]]).toEqual([count * 255, 100]);
  });

  it('RFC 6793 §4.2.3: AS_PATH that AS4_PATH makes too long withdraws', () => {
    const sets = Uint8Array.from(Array.from({ length: 20 }, () => [1, 1, 0, 1]).flat());
    const block = concat(origin, long(0x40, 2, concat(sequences(63, 2), sets)), hop);
    expect(scan(block, true, false).scanner.treatment).toBe('none');
    const as4 = Uint8Array.from(Array.from({ length: 5000 }, () => [1, 2, ...word(1), ...word(1)]).flat());
    const merged = concat(block, long(0xc0, 17, as4));
    expect(scan(merged, true, false).scanner).toMatchObject({ treatment: 'withdraw' });
  });
});
