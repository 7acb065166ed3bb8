import fc from 'fast-check';
import { afterEach, describe, expect, it } from 'vitest';
import {
  accelerateSums,
  copySum,
  copySumByWords,
  foldSum,
  type SumKernel,
  sumByWords,
  sumOctets,
} from '../../src/ip/index.ts';
import { counting } from '../support/packets.ts';
import { naiveSum } from './superframe-support.ts';

/** What stands in for a kernel: the words themselves, over its memory, with a list of what was asked of it. */
class Stand implements SumKernel {
  readonly buffer: ArrayBuffer;
  readonly asked: string[] = [];

  constructor(octets: number) {
    this.buffer = new ArrayBuffer(octets);
    new Uint8Array(this.buffer).set(counting(octets));
  }

  sum(at: number, length: number): number {
    this.asked.push(`sum ${at} ${length}`);
    return sumByWords(new DataView(this.buffer), at, at + length) | 0;
  }

  copySum(to: number, from: number, length: number): number {
    this.asked.push(`copy ${to} ${from} ${length}`);
    const whole = new DataView(this.buffer);
    return copySumByWords(whole, from, whole, to, length) | 0;
  }

  taken(): string[] {
    return this.asked.splice(0);
  }
}

afterEach(() => accelerateSums(undefined));

describe('a kernel for sums', () => {
  const kernel = new Stand(3000);
  const view = new DataView(kernel.buffer, 100, 1000);
  const target = new DataView(kernel.buffer, 1500, 1000);
  const elsewhere = new DataView(new ArrayBuffer(1000));

  it('is asked when all octets are in its memory and there are enough of them, and else not', () => {
    accelerateSums(kernel);
    sumOctets(view, 3, 59);
    copySum(view, 3, target, 5, 56);
    expect(kernel.taken()).toEqual(['sum 103 56', 'copy 1505 103 56']);
    sumOctets(view, 3, 58);
    copySum(view, 3, target, 5, 55);
    sumOctets(elsewhere, 0, 1000);
    copySum(view, 0, elsewhere, 0, 1000);
    copySum(elsewhere, 0, target, 0, 1000);
    expect(kernel.taken()).toEqual([]);
  });

  it('is asked no more when another one has come, or none', () => {
    accelerateSums(kernel);
    const next = new Stand(1000);
    accelerateSums(next);
    sumOctets(view, 0, 100);
    sumOctets(new DataView(next.buffer), 0, 100);
    expect([kernel.taken(), next.taken()]).toEqual([[], ['sum 0 100']]);
    accelerateSums(undefined);
    sumOctets(new DataView(next.buffer), 0, 100);
    expect(next.taken()).toEqual([]);
  });

  it('sees and writes nothing outside the views: that is an error as without it', () => {
    const calls = [
      () => sumOctets(view, 0, 1001),
      () => sumOctets(view, -1, 500),
      () => copySum(view, 1, target, 0, 1000),
      () => copySum(view, 0, target, 1, 1000),
      () => copySum(view, -1, target, 0, 100),
      () => copySum(view, 0, target, -1, 100),
    ];
    for (const call of calls) expect(call).toThrow(RangeError);
    accelerateSums(kernel);
    for (const call of calls) expect(call).toThrow(RangeError);
    expect(kernel.taken()).toEqual([]);
  });

  it('RFC 1071 §2: gives the number there was without it, beyond 2^31 too', () => {
    const ones = new Stand(2 * 0x10000);
    new Uint8Array(ones.buffer).fill(0xff);
    const all = new DataView(ones.buffer);
    accelerateSums(ones);
    expect(sumOctets(all, 0, 0xffff)).toBe(0x8000 * 0xffff - 0xff);
    expect(copySum(all, 0, all, 0x10000, 0xffff)).toBe(0x8000 * 0xffff - 0xff);
    expect(ones.taken().length).toBe(2);
    accelerateSums(kernel);
    fc.assert(
      fc.property(fc.nat(300), fc.nat(700), fc.nat(300), (from, length, to) => {
        const octets = new Uint8Array(kernel.buffer, 100 + from, length);
        const sum = sumOctets(view, from, from + length);
        expect(sum).toBe(sumByWords(view, from, from + length));
        expect(foldSum(sum)).toBe(naiveSum(octets));
        expect(copySum(view, from, target, to, length)).toBe(sum);
        expect(new Uint8Array(kernel.buffer, 1500 + to, length)).toEqual(octets);
      }),
    );
  });
});
