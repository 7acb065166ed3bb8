import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { compileExpression, EXPRESSION_MAX } from '../../../src/bgp/policy/as-path-expression.ts';

const matches = (expression: string, path: string): boolean => {
  const compiled = compileExpression(expression);
  if (!compiled.ok) throw new Error(compiled.problem);
  return compiled.value(path);
};

describe('expressions over AS_PATH', () => {
  it.each([
    ['^$', '', true],
    ['^$', '65001', false],
    ['^65001_', '65001 65002', true],
    ['^65001_', '650010', false],
    ['_65002$', '65001 65002', true],
    ['_65002_', '65001 65002 {7}', true],
    ['_6500_', '65001 65002', false],
    ['^65001(_65001)*$', '65001 65001 65001', true],
    ['^[0-9]+$', '65001', true],
    ['^[0-9]+$', '65001 1', false],
    ['^(1|2) [^0-3]', '2 4', true],
    ['^(1|2) [^0-3]', '2 3', false],
    ['.*', '', true],
    ['', '1', true],
    ['{7', '1 {7,8}', true],
    ['_8_', '1 {7,8}', true],
    ['\\[7,8\\]', '1 [7,8]', true],
    ['\\(1 2\\) 3', '(1 2) 3', true],
    ['\\.', '1 2', false],
  ])('%s on "%s": %s', (expression, path, expected) => expect(matches(expression, path)).toBe(expected));

  it.each(['(1', '1)', '[1', '[a]', '*', 'a', '1|*', '[]', '\\', '\\a'])('refuses %s', (expression) => {
    expect(compileExpression(expression).ok).toBe(false);
  });

  it('refuses what is too long', () => {
    expect(compileExpression('1'.repeat(EXPRESSION_MAX + 1)).ok).toBe(false);
  });

  it('equals the regular expressions of the language on what both have', () => {
    const atom = fc.constantFrom('1', '2', ' ', '.', '[12]', '[^1]', '(1|2)', '(12)*', '1+', '2?', '1*');
    fc.assert(
      fc.property(
        fc.tuple(fc.constantFrom('', '^'), fc.array(atom, { maxLength: 6 }), fc.constantFrom('', '$')),
        fc.array(fc.constantFrom('1', '2', '12'), { maxLength: 5 }),
        ([begin, atoms, end], numbers) => {
          const expression = begin + atoms.join('') + end;
          const path = numbers.join(' ');
          expect(matches(expression, path)).toBe(new RegExp(expression).test(path));
        },
      ),
      { numRuns: 2000 },
    );
  });

  it('ends soon where trying again would not end within a lifetime', () => {
    const path = '1'.repeat(400);
    expect(matches(`^(${'(1*)*'.repeat(20)})*2$`, path)).toBe(false);
  });
});
