import fc from 'fast-check';
import { afterEach, describe, expect, it } from 'vitest';
import {
  accelerateSums,
  copySum,
  copySumByWords,
  foldSum,
  type Octets,
  type SumKernel,
  sumByWords,
  sumOctets,
  wrapPacket,
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

/** Octets of a memory, which has them from `base` on. */
const within = (memory: Uint8Array, base: number, length: number): Octets => ({
  buf: memory.subarray(base, base + length),
  view: new DataView(memory.buffer, memory.byteOffset + base, length),
  memory,
  base,
});

afterEach(() => accelerateSums(undefined));

describe('a kernel for sums', () => {
  const kernel = new Stand(3000);
  const memory = new Uint8Array(kernel.buffer, 20);
  const source = within(memory, 80, 1000);
  const target = within(memory, 1480, 1000);
  const elsewhere = wrapPacket(new Uint8Array(1000));

  it('is asked when all octets are in its memory and there are enough of them, and else not', () => {
    accelerateSums(kernel);
    sumOctets(source, 3, 59);
    copySum(source, 3, target, 5, 56);
    expect(kernel.taken()).toEqual(['sum 103 56', 'copy 1505 103 56']);
    sumOctets(source, 3, 58);
    copySum(source, 3, target, 5, 55);
    sumOctets(elsewhere, 0, 1000);
    copySum(source, 0, elsewhere, 0, 1000);
    copySum(elsewhere, 0, target, 0, 1000);
    expect(kernel.taken()).toEqual([]);
  });

  it('is asked for packets of several pools in its memory', () => {
    accelerateSums(kernel);
    const [first, second] = [0, 1600].map((at) => within(new Uint8Array(kernel.buffer, at), 8, 1000));
    copySum(first!, 3, second!, 5, 56);
    copySum(second!, 3, first!, 5, 56);
    sumOctets(first!, 1, 100);
    expect(kernel.taken()).toEqual(['copy 1613 11 56', 'copy 13 1611 56', 'sum 9 99']);
  });

  it('is asked no more when another one has come, or none', () => {
    accelerateSums(kernel);
    const next = new Stand(1000);
    accelerateSums(next);
    sumOctets(source, 0, 100);
    sumOctets(wrapPacket(new Uint8Array(next.buffer)), 0, 100);
    expect([kernel.taken(), next.taken()]).toEqual([[], ['sum 0 100']]);
    accelerateSums(undefined);
    sumOctets(wrapPacket(new Uint8Array(next.buffer)), 0, 100);
    expect(next.taken()).toEqual([]);
  });

  it('sees and writes nothing outside the octets of a packet: that is an error as without it', () => {
    const calls = [
      () => sumOctets(source, 0, 1001),
      () => sumOctets(source, -1, 500),
      () => copySum(source, 1, target, 0, 1000),
      () => copySum(source, 0, target, 1, 1000),
      () => copySum(source, -1, target, 0, 100),
      () => copySum(source, 0, target, -1, 100),
    ];
    for (const call of calls) expect(call).toThrow(RangeError);
    accelerateSums(kernel);
    for (const call of calls) expect(call).toThrow(RangeError);
    expect(kernel.taken()).toEqual([]);
  });

  it('RFC 1071 §2: gives the number there was without it, beyond 2^31 too', () => {
    const ones = new Stand(2 * 0x10000);
    new Uint8Array(ones.buffer).fill(0xff);
    const all = wrapPacket(new Uint8Array(ones.buffer));
    accelerateSums(ones);
    expect(sumOctets(all, 0, 0xffff)).toBe(0x8000 * 0xffff - 0xff);
    expect(copySum(all, 0, all, 0x10000, 0xffff)).toBe(0x8000 * 0xffff - 0xff);
    expect(ones.taken().length).toBe(2);
    accelerateSums(kernel);
    fc.assert(
      fc.property(fc.nat(300), fc.nat(700), fc.nat(300), (from, length, to) => {
        const octets = new Uint8Array(kernel.buffer, 100 + from, length);
        const sum = sumOctets(source, from, from + length);
        expect(sum).toBe(sumByWords(source.view, from, from + length));
        expect(foldSum(sum)).toBe(naiveSum(octets));
        expect(copySum(source, from, target, to, length)).toBe(sum);
        expect(new Uint8Array(kernel.buffer, 1500 + to, length)).toEqual(octets);
      }),
    );
  });
});
