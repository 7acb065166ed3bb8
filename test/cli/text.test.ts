import { describe, expect, test } from 'vitest';
import { doctorLines } from '../../src/cli/doctor.ts';
import { formatAmount, formatOctets, formatSeconds, paletteFor, table } from '../../src/cli/text.ts';

const plain = paletteFor({
  stdout: { write: () => true },
  stderr: { write: () => true },
  env: {},
  signal: new AbortController().signal,
});

describe('amounts', () => {
  test.each([
    [0, '0 s'],
    [0.4, '0 s'],
    [59, '59 s'],
    [60, '1 m'],
    [61, '1 m 1 s'],
    [3600, '1 h'],
    [3601, '1 h'],
    [11_520, '3 h 12 m'],
    [90_000, '1 d 1 h'],
    [-5, '0 s'],
  ])('%d seconds: %s', (seconds, text) => expect(formatSeconds(seconds)).toBe(text));

  test.each([
    [0, '0 B'],
    [999, '999 B'],
    [1000, '1.0 kB'],
    [9949, '9.9 kB'],
    [9951, '10 kB'],
    [999_499, '999 kB'],
    [999_500, '1.0 MB'],
    [1e11, '100 GB'],
    [2 ** 53, '9.0 PB'],
  ])('%d octets: %s', (octets, text) => expect(formatOctets(octets)).toBe(text));

  test.each([
    [0, '0'],
    [0.25, '0.3'],
    [9.96, '10.0'],
    [12, '12'],
    [99.97, '100'],
    [999.4, '999'],
    [999.5, '1.00 k'],
    [1234, '1.23 k'],
    [23_400_000, '23.4 M'],
    [2 ** 53, '9007 T'],
  ])('%d of something: %s', (amount, text) => expect(formatAmount(amount)).toBe(text));
});

test('a table is as wide as its cells and ends without blanks', () => {
  const columns = [{ title: 'NAME' }, { title: 'N', align: 'right' as const }, { title: 'WHY' }];
  expect(
    table(
      columns,
      [
        ['a', 5, 'because'],
        ['longer', 12_345, ''],
      ],
      plain,
    ),
  ).toEqual(['NAME        N  WHY', 'a           5  because', 'longer  12345']);
});

test('doctor: errors, then warnings, then what is well', () => {
  const checks = [
    { name: 'node', level: 'ok', found: 'Node 20', cost: '', advice: '' },
    { name: 'koffi', level: 'warning', found: 'not there', cost: 'slower', advice: 'npm install koffi' },
    { name: 'tun', level: 'error', found: 'no device', cost: 'no tun', advice: '' },
  ] as const;
  expect(doctorLines(checks, plain)).toEqual([
    '✗ tun: no device',
    '    no tun',
    '! koffi: not there',
    '    slower',
    '  → npm install koffi',
    '✓ node: Node 20',
  ]);
});
