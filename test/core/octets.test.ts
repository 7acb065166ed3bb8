import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { compareBytes, concat, fromHex, putU16, putU32, sameBytes, toHex, u16, u32 } from '../../src/core/index.ts';

const octets = fc.uint8Array({ maxLength: 40 });

describe('octet strings', () => {
  it('concatenate into a fresh array', () => {
    fc.assert(
      fc.property(fc.array(octets, { maxLength: 5 }), (parts) => {
        const whole = concat(...parts);
        expect([...whole]).toEqual(parts.flatMap((p) => [...p]));
        whole.fill(0xee);
        expect(parts.every((p) => p.buffer !== whole.buffer)).toBe(true);
      }),
    );
    expect(concat().length).toBe(0);
  });

  it('are the same when every octet is', () => {
    fc.assert(
      fc.property(octets, octets, (a, b) => {
        expect(sameBytes(a, b)).toBe(toHex(a) === toHex(b));
        expect(sameBytes(a, a.slice())).toBe(true);
      }),
    );
  });

  it('RFC 7296 §2.8.1: are ordered octet by octet, a proper prefix first', () => {
    fc.assert(
      fc.property(octets, octets, (a, b) => {
        const [x, y] = [toHex(a), toHex(b)];
        expect(Math.sign(compareBytes(a, b))).toBe(x < y ? -1 : x > y ? 1 : 0);
        expect(Math.sign(compareBytes(a, b)) + Math.sign(compareBytes(b, a))).toBe(0);
      }),
    );
    expect(compareBytes(Uint8Array.of(1), Uint8Array.of(1, 0))).toBeLessThan(0);
    expect(compareBytes(Uint8Array.of(0x80), Uint8Array.of(0x7f, 9))).toBeGreaterThan(0);
  });

  it('go through hexadecimal text and back', () => {
    fc.assert(
      fc.property(octets, (a) => {
        expect(fromHex(toHex(a))).toEqual(a);
        expect(fromHex(toHex(a).toUpperCase())).toEqual(a);
      }),
    );
    expect(fromHex('00:11 22\nfF')).toEqual(Uint8Array.of(0, 0x11, 0x22, 0xff));
    for (const text of ['0', '0g', '0x00', '-1', '１２']) expect(() => fromHex(text)).toThrow(RangeError);
  });

  it('numbers are unsigned, in network order, and cut to their width', () => {
    fc.assert(
      fc.property(fc.nat(0xffffffff), fc.nat(4), (n, at) => {
        const b = new Uint8Array(9);
        putU32(b, at, n);
        expect(u32(b, at)).toBe(n);
        expect(toHex(b.subarray(at, at + 4))).toBe(n.toString(16).padStart(8, '0'));
        putU16(b, at, n & 0xffff);
        expect(u16(b, at)).toBe(n & 0xffff);
      }),
    );
  });
});
