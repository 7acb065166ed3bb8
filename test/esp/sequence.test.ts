import fc from 'fast-check';
import { describe, expect, it, test } from 'vitest';
import { highHalf, lowHalf, recoverSequence } from '../../src/esp/index.ts';

/** RFC 4303 Appendix A2.3, as printed, in arithmetic modulo 2^32. Undefined where Seqh would be Th - 1 = -1. */
function seqhOf(top: bigint, w: bigint, seql: bigint): bigint | undefined {
  const [th, tl] = [top >> 32n, top & 0xffff_ffffn];
  const bl = (tl - w + 1n) & 0xffff_ffffn;
  if (tl >= w - 1n) return seql >= bl ? th : th + 1n;
  if (seql >= bl) return th === 0n ? undefined : th - 1n;
  return th;
}

function compare(top: number, size: number, low: number): void {
  const seqh = seqhOf(BigInt(top), BigInt(size), BigInt(low));
  const recovered = recoverSequence(top, size, low);
  if (seqh === undefined) expect(recovered).toBeLessThan(0);
  else expect(recovered).toBe(Number((seqh << 32n) | BigInt(low)));
}

const B = 2 ** 32;

describe('RFC 4303 Appendix A2.2: the high half of an extended sequence number', () => {
  test.each([
    // top, window, low → sequence number
    ['first packet', 0, 1024, 1, 1],
    ['case A: inside the window', 5000, 1024, 4500, 4500],
    ['case A: exactly at its lower bound', 5000, 1024, 3977, 3977],
    ['case A: one left of it is the next subspace', 5000, 1024, 3976, B + 3976],
    ['case A: future in the same subspace', 5000, 1024, B - 1, B - 1],
    ['case A: top at the end, low wrapped', B - 1, 1024, 0, B],
    ['case A: window starts at 0', 1023, 1024, 0, 0],
    ['case B: window spans two subspaces, old half', B + 5, 1024, B - 1, B - 1],
    ['case B: at the lower bound', B + 5, 1024, B + 5 - 1023 - 0, B + 5 - 1023],
    ['case B: new half', B + 5, 1024, 3, B + 3],
    ['case B: future', B + 5, 1024, 0x8000_0000, B + 0x8000_0000],
    ['case B: one left of the lower bound is ahead', B + 5, 1024, B + 5 - 1024, 2 * B - 1019],
    ['high halves beyond 2^20', 2 ** 52 + 10, 64, 11, 2 ** 52 + 11],
  ])('%s', (_, top, size, low, sequence) => {
    expect(recoverSequence(top, size, low)).toBe(sequence);
    compare(top, size, low);
  });

  it('is negative, hence never fresh, for what would lie before the first subspace', () => {
    expect(recoverSequence(5, 64, B - 1)).toBe(-1);
  });

  it('equals the pseudo-code of Appendix A2.3 at and around every boundary', () => {
    for (const size of [32, 64, 1024])
      for (const subspace of [0, 1, 2, 2 ** 20])
        for (const tl of [0, 1, 31, size - 2, size - 1, size, size + 1, 2 ** 31, B - 2, B - 1])
          for (const offset of [-size - 1, -size, -size + 1, -size + 2, -1, 0, 1, 2 ** 31, B - size, B - size + 1])
            compare(subspace * B + tl, size, (tl + offset) >>> 0);
  });

  it('equals the pseudo-code of Appendix A2.3 anywhere', () => {
    fc.assert(
      fc.property(
        fc.integer({ min: 0, max: 2 ** 52 }),
        fc.integer({ min: 1, max: 2 ** 15 }).map((words) => words * 32),
        fc.integer({ min: 0, max: B - 1 }),
        compare,
      ),
      { numRuns: 3000, seed: 4303 },
    );
  });

  it('splits a number into halves', () => {
    for (const sequence of [0, 1, B - 1, B, B + 1, 2 ** 52 + 12345, Number.MAX_SAFE_INTEGER]) {
      expect(highHalf(sequence) * B + lowHalf(sequence)).toBe(sequence);
    }
  });
});
