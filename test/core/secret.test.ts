import { inspect } from 'node:util';
import { describe, expect, it } from 'vitest';
import { fraction, Secret, seededRandom, seededU32, toHex } from '../../src/core/index.ts';

describe('secrets', () => {
  const secret = Secret.fromText('swordfish');

  it('never show in text, JSON or inspection', () => {
    const shown = [
      `${secret}`,
      String(secret),
      JSON.stringify({ secret }),
      inspect(secret),
      inspect({ deep: [secret] }, { depth: 9, showHidden: true }),
      JSON.stringify(Object.entries(secret)),
      JSON.stringify(structuredClone({ ...secret })),
    ];
    for (const text of shown) expect(text).not.toMatch(/swordfish|73776f|115/);
    expect(`${secret}`).toBe('<secret>');
  });

  it('are revealed on demand, as a copy of what was given', () => {
    const octets = Uint8Array.of(1, 2, 3);
    const held = new Secret(octets);
    octets.fill(0);
    expect([...held.reveal()]).toEqual([1, 2, 3]);
    expect(held.length).toBe(3);
    expect(new TextDecoder().decode(secret.reveal())).toBe('swordfish');
  });
});

describe('seeded randomness', () => {
  it('repeats, and differs with the seed', () => {
    expect(toHex(seededRandom(7)(20))).toBe(toHex(seededRandom(7)(20)));
    expect(toHex(seededRandom(7)(20))).not.toBe(toHex(seededRandom(8)(20)));
    expect(toHex(seededRandom(0)(8))).not.toBe('0000000000000000');
  });

  it('gives exactly as many octets as asked for', () => {
    const random = seededRandom(1);
    for (let n = 0; n < 20; n++) expect(random(n).length).toBe(n);
  });

  it('is mixed well: every octet value, every bit near one half', () => {
    const octets = seededRandom(42)(100_000);
    const bits = new Array<number>(8).fill(0);
    for (const octet of octets) for (let b = 0; b < 8; b++) bits[b]! += (octet >>> b) & 1;
    expect(new Set(octets).size).toBe(256);
    for (const count of bits) expect(Math.abs(count - 50_000)).toBeLessThan(1_000);
  });

  it('numbers are unsigned 32-bit, fractions in [0, 1)', () => {
    const next = seededU32(5);
    for (let i = 0; i < 1000; i++) {
      const n = next();
      expect(Number.isInteger(n) && n >= 0 && n <= 0xffffffff).toBe(true);
    }
    const random = seededRandom(9);
    for (let i = 0; i < 1000; i++) expect(fraction(random)).toBeLessThan(1);
    expect(fraction(() => Uint8Array.of(0xff, 0xff, 0xff, 0xff))).toBeLessThan(1);
    expect(fraction(() => new Uint8Array(4))).toBe(0);
  });
});
