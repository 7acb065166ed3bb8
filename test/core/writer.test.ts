import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { encoded, Reader, toHex, Writer } from '../../src/core/index.ts';

describe('the writer', () => {
  it('writes numbers in network order, whatever it must grow', () => {
    const part = fc.oneof(
      fc.record({ width: fc.constantFrom(1, 2, 3, 4), value: fc.nat(0xffffffff) }),
      fc.record({ width: fc.constant(0), value: fc.nat(30) }),
    );
    fc.assert(
      fc.property(fc.array(part, { maxLength: 40 }), fc.nat(4), (parts, capacity) => {
        const w = new Writer(capacity);
        let text = '';
        for (const { width, value } of parts) {
          const cut = width === 4 ? value : value % 2 ** (8 * width);
          if (width === 1) w.u8(value);
          else if (width === 2) w.u16(value);
          else if (width === 3) w.u24(value);
          else if (width === 4) w.u32(value);
          else w.bytes(new Uint8Array(value).fill(0xb7));
          text += width === 0 ? 'b7'.repeat(value) : cut.toString(16).padStart(2 * width, '0');
          expect(w.length).toBe(text.length / 2);
        }
        expect(toHex(w.finish())).toBe(text);
      }),
      { numRuns: 300 },
    );
  });

  it('counted blocks hold their own length, nested ones too', () => {
    const w = new Writer(1);
    w.counted16(() => {
      w.u8(0xaa);
      w.counted8(() => w.bytes(Uint8Array.of(1, 2, 3)));
      w.counted16(() => {}, 4);
    }, 2);
    expect(toHex(w.finish())).toBe('0009' + 'aa' + '03010203' + '0004');
    const r = new Reader(w.finish());
    expect(r.u16('length')).toBe(r.at + r.left);
  });

  it('patches what was written, and only that', () => {
    const w = new Writer();
    w.zeros(8);
    w.patch8(0, 0x11);
    w.patch16(1, 0x2233);
    w.patch32(4, 0xdeadbeef);
    expect(toHex(w.finish())).toBe('11223300deadbeef');
    expect(() => w.patch16(7, 1)).toThrow('broken invariant');
    expect(() => w.patch32(6, 1)).toThrow('broken invariant');
  });

  it('a block too long for its length field is a bug of ours', () => {
    expect(() => new Writer().counted8(() => {}, 256)).toThrow('broken invariant');
    const w = new Writer();
    expect(() => w.counted16(() => w.zeros(0x1_0000))).toThrow('broken invariant');
  });

  it('what it gives is a copy', () => {
    const w = new Writer();
    w.u32(1);
    const first = w.finish();
    w.patch8(0, 9);
    expect(toHex(first)).toBe('00000001');
    expect(toHex(encoded((out, n: number) => out.u16(n), 0x0102))).toBe('0102');
  });
});
