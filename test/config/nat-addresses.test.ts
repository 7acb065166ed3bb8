import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { assignNatAddresses, type GatewayDocument, readDocument } from '../../src/config/index.ts';
import { type Address, formatAddress, parseAddress } from '../../src/ip/index.ts';

type Wishes = Readonly<Record<string, string>>;

/** `wishes`: the NAT address of each tenant, or `off`. */
function documentOf(pool: string, wishes: Wishes): GatewayDocument {
  const tenants = Object.entries(wishes).map(([name, address]) => {
    const nat = address === 'off' ? 'off' : `{ address: ${address} }`;
    return `  - { name: ${name}, nat: ${nat} }`;
  });
  const external = `addresses: [203.0.113.1], interface: { driver: tun }, pool: ${pool}`;
  const text = `version: 1\ngateway: { external: { ${external} } }\ntenants:\n${tenants.join('\n')}`;
  const { document, issues } = readDocument(text, 'g');
  expect(issues).toEqual([]);
  return document as GatewayDocument;
}
const addresses = (texts: Wishes): Map<string, Address> =>
  new Map(Object.entries(texts).map(([name, text]) => [name, parseAddress(text)!]));
const assign = (pool: string, wishes: Wishes, previous: Wishes = {}): Record<string, string> =>
  Object.fromEntries(
    [...assignNatAddresses(documentOf(pool, wishes), addresses(previous))].map(([name, a]) => [name, formatAddress(a)]),
  );
const POOL = '[203.0.113.50-203.0.113.52, 203.0.113.7]';

describe('addresses for NAT', () => {
  test('the lowest that is free, in the order of names; none for who has no NAT', () => {
    const wishes = { red: 'auto', green: 'off', blue: 'auto' };
    expect(assign(POOL, wishes)).toEqual({ blue: '203.0.113.7', red: '203.0.113.50' });
  });

  test('who had one keeps it', () => {
    expect(assign(POOL, { a: 'auto', b: 'auto' }, { b: '203.0.113.7' })).toEqual({
      a: '203.0.113.50',
      b: '203.0.113.7',
    });
  });

  test('unless it is in the pool no more', () => {
    expect(assign('203.0.113.50', { a: 'auto' }, { a: '203.0.113.7' })).toEqual({ a: '203.0.113.50' });
  });

  test('or chosen by another', () => {
    expect(assign(POOL, { a: 'auto', b: '203.0.113.7' }, { a: '203.0.113.7' })).toEqual({
      a: '203.0.113.50',
      b: '203.0.113.7',
    });
  });

  test('one that was chosen and no longer is stays', () => {
    expect(assign(POOL, { a: 'auto' }, { a: '203.0.113.52' })).toEqual({ a: '203.0.113.52' });
  });

  test('two that claim the same: the first by name', () => {
    const previous = { a: '203.0.113.51', b: '203.0.113.51' };
    expect(assign(POOL, { b: 'auto', a: 'auto' }, previous)).toEqual({ a: '203.0.113.51', b: '203.0.113.7' });
  });
});

test('whatever happened: distinct, of the pool, as chosen, stable, and the order of tenants says nothing', () => {
  const octet = fc.integer({ min: 50, max: 57 }).map((last) => `203.0.113.${last}`);
  const names = ['a', 'b', 'c', 'd', 'e'];
  const chosen = fc
    .uniqueArray(octet, { minLength: 5, maxLength: 5 })
    .chain((texts) => fc.tuple(...texts.map((text) => fc.constantFrom('auto', 'auto', 'off', text))));
  const before = fc.dictionary(fc.constantFrom(...names, 'gone'), fc.oneof(octet, fc.constant('203.0.113.99')));
  fc.assert(
    fc.property(chosen, before, (wishes, previous) => {
      const entries = names.map((name, i) => [name, wishes[i]!] as const);
      const document = documentOf('203.0.113.50-203.0.113.57', Object.fromEntries(entries));
      const given = assignNatAddresses(document, addresses(previous));
      const texts = new Map([...given].map(([name, address]) => [name, formatAddress(address)]));
      expect(new Set(texts.values()).size).toBe(entries.filter(([, wish]) => wish !== 'off').length);
      const takenByChoice = new Set(wishes);
      for (const [name, wish] of entries) {
        if (wish === 'off') expect(texts.has(name)).toBe(false);
        else if (wish !== 'auto') expect(texts.get(name)).toBe(wish);
        else expect(texts.get(name)).toMatch(/^203\.0\.113\.5[0-7]$/);
        const had = previous[name];
        const claimed = names.some((other) => other < name && previous[other] === had);
        if (wish === 'auto' && had?.startsWith('203.0.113.5') && !claimed && !takenByChoice.has(had))
          expect(texts.get(name)).toBe(had);
      }
      expect(assignNatAddresses(document, given)).toEqual(given);
      const reversed = { ...document, tenants: document.tenants.toReversed() };
      expect(new Map([...assignNatAddresses(reversed, addresses(previous))].sort())).toEqual(
        new Map([...given].sort()),
      );
    }),
    { numRuns: 100 },
  );
});
