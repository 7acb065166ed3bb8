import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { parse, Reader, WireError } from '../../src/core/index.ts';

/** What a decoder may do to a reader, by name. */
const step = fc.oneof(
  fc.record({ do: fc.constantFrom('u8' as const, 'u16' as const, 'u24' as const, 'u32' as const), n: fc.constant(0) }),
  fc.record({
    do: fc.constantFrom('bytes' as const, 'skip' as const, 'sub' as const),
    n: fc.integer({ min: -1, max: 12 }),
  }),
  fc.record({ do: fc.constant('rest' as const), n: fc.constant(0) }),
);
const WIDTH = { u8: 1, u16: 2, u24: 3, u32: 4 } as const;

describe('the bounded reader', () => {
  it('reads numbers in network order and names what is missing', () => {
    const r = new Reader(Uint8Array.of(1, 2, 3, 0xff, 0xfe, 0xfd, 0xfc, 9, 8, 7));
    expect(r.u8('a')).toBe(1);
    expect(r.u16('b')).toBe(0x0203);
    expect(r.u32('c')).toBe(0xfffefdfc);
    expect(r.at).toBe(7);
    expect(r.u24('d')).toBe(0x090807);
    expect(r.left).toBe(0);
    expect(() => r.u8('ke.group')).toThrow(new WireError('ke.group', 10, 'needs 1 octets, 0 left'));
  });

  it('equals the naive model, and yields nothing outside its bounds', () => {
    fc.assert(
      fc.property(
        fc.uint8Array({ maxLength: 40 }),
        fc.nat(40),
        fc.nat(40),
        fc.array(step, { maxLength: 10 }),
        (octets, x, y, steps) => {
          const start = Math.min(x, octets.length);
          const end = Math.max(start, Math.min(y, octets.length));
          const left = [...octets.subarray(start, end)];
          const r = new Reader(octets, start, end);
          for (const s of steps) {
            const at = end - left.length;
            expect([r.at, r.left]).toEqual([at, left.length]);
            if (s.do === 'rest') {
              expect([...r.rest()]).toEqual(left.splice(0));
              continue;
            }
            const length = s.do in WIDTH ? WIDTH[s.do as keyof typeof WIDTH] : s.n;
            const act = (): unknown => {
              switch (s.do) {
                case 'bytes':
                  return [...r.bytes('f', s.n)];
                case 'skip':
                  return r.skip(s.n, 'f');
                case 'sub':
                  return [...r.sub('f', s.n).rest()];
                default:
                  return r[s.do as keyof typeof WIDTH]('f');
              }
            };
            if (length < 0 || length > left.length) {
              const result = parse(act);
              expect(result.ok).toBe(false);
              if (!result.ok) expect([result.error.field, result.error.at]).toEqual(['f', at]);
              continue;
            }
            const taken = left.splice(0, length);
            const expected =
              s.do in WIDTH ? taken.reduce((n, o) => n * 256 + o, 0) : s.do === 'skip' ? undefined : taken;
            expect(act()).toEqual(expected);
          }
        },
      ),
      { numRuns: 500 },
    );
  });

  it('gives copies: what was read outlives the receive buffer', () => {
    const octets = Uint8Array.of(1, 2, 3, 4);
    const r = new Reader(octets);
    const head = r.bytes('head', 2);
    const rest = r.rest();
    octets.fill(0);
    expect([...head, ...rest]).toEqual([1, 2, 3, 4]);
  });

  it('an inner reader cannot reach beyond its element, and its offsets count from the message', () => {
    const r = new Reader(Uint8Array.of(9, 1, 2, 3, 4));
    r.u8('length');
    const inner = r.sub('element', 2);
    expect(r.at).toBe(3);
    expect(inner.u16('value')).toBe(0x0102);
    expect(() => inner.u8('beyond')).toThrow('beyond @3: needs 1 octets, 0 left');
    inner.done('element');
    expect(() => r.done('message')).toThrow('message @3: 2 octets too many');
  });

  it('fails with the answer the peer is owed', () => {
    const result = parse(() => new Reader(Uint8Array.of(1)).fail('sa', 'no such thing', 7));
    expect(result).toMatchObject({ ok: false, error: { field: 'sa', at: 0, problem: 'no such thing', answer: 7 } });
  });

  it('impossible bounds are a bug of ours, not the peer’s', () => {
    expect(() => new Reader(new Uint8Array(3), 0, 4)).toThrow(RangeError);
    expect(() => new Reader(new Uint8Array(3), 2, 1)).toThrow(RangeError);
    expect(() =>
      parse(() => {
        throw new RangeError('ours');
      }),
    ).toThrow(RangeError);
  });
});
