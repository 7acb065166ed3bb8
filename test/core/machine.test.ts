import { describe, expect, it } from 'vitest';
import { assertNever, type Deadline, earliest, invariant } from '../../src/core/index.ts';

describe('deadlines', () => {
  const at = (n: number): Deadline => ({ at: n, why: `at ${n}` });

  it('the earlier wins, the first of two equals, anything before nothing', () => {
    const [a, b] = [at(1), at(2)];
    expect(earliest(a, b)).toBe(a);
    expect(earliest(b, a)).toBe(a);
    expect(earliest(a, undefined)).toBe(a);
    expect(earliest(undefined, b)).toBe(b);
    expect(earliest(undefined, undefined)).toBeUndefined();
    const twin = at(1);
    expect(earliest(a, twin)).toBe(a);
  });
});

describe('our own broken promises', () => {
  it('throw, and say which', () => {
    expect(() => invariant(false, 'the sky is up')).toThrow('broken invariant: the sky is up');
    expect(() => invariant(true, 'nothing')).not.toThrow();
    expect(() => assertNever({ at: 'limbo' } as never)).toThrow('unhandled variant: {"at":"limbo"}');
  });
});
