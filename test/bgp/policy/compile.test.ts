import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { compilePolicy } from '../../../src/bgp/policy/compile.ts';
import type { Policy } from '../../../src/bgp/policy/policy.ts';
import type { ClauseRecord, PolicyRecord } from '../../../src/bgp/policy/record.ts';
import { AttributeDraft } from '../../../src/bgp/rib/attribute-draft.ts';
import { AttributeStore } from '../../../src/bgp/rib/attribute-store.ts';
import { PrefixTable } from '../../../src/bgp/rib/prefix-table.ts';
import { fromHex, toHex } from '../../../src/core/index.ts';
import { parsePrefix } from '../../../src/ip/index.ts';
import { address, word } from '../rib/speakers.ts';

const policyOf = (record: PolicyRecord): Policy => {
  const compiled = compilePolicy(record);
  if (!compiled.ok) throw new Error(JSON.stringify(compiled.issues));
  return compiled.policy;
};

interface Route {
  readonly path: readonly number[];
  readonly med?: number;
  readonly communities?: readonly number[];
}

/** What a policy makes of a route: the set after it in hexadecimal, or why not. */
function judge(policy: Policy, prefix: string, route: Route): { accept: boolean; why: string; set: string } {
  const store = new AttributeStore();
  const draft = new AttributeDraft(store);
  draft.begin();
  draft.hop(address('192.0.2.9'));
  draft.set(1, 0x40, Uint8Array.of(0));
  draft.set(
    2,
    0x40,
    Uint8Array.from(route.path.length === 0 ? [] : [2, route.path.length, ...route.path.flatMap(word)]),
  );
  if (route.med !== undefined) draft.setWord(4, 0x80, route.med);
  if (route.communities !== undefined) draft.set(8, 0xc0, Uint8Array.from(route.communities.flatMap(word)));
  const set = draft.commit();
  const parsed = parsePrefix(prefix)!;
  const table = new PrefixTable(parsed.address.length / 4);
  const length = table.load(parsed);
  draft.load(set);
  const { accept, why } = policy.run(store, set, policy.signature(table.key, length), draft, address('192.0.2.1'));
  return { accept, why, set: toHex(store.view(draft.commit())) };
}

describe('policies', () => {
  it('says which clause decided, and refuses what none accepts', () => {
    const policy = policyOf([
      { prefix: '10.0.0.0/8', le: 24 },
      { name: 'own', asPath: '^65001$' },
    ]);
    const foreign = { path: [1, 2] };
    expect(judge(policy, '10.1.0.0/16', foreign)).toMatchObject({ accept: true, why: 'clause 0 accepts it' });
    expect(judge(policy, '10.1.0.0/25', foreign)).toMatchObject({ accept: false, why: 'no clause accepts it' });
    expect(judge(policy, '192.0.2.0/24', { path: [65_001] })).toMatchObject({ accept: true, why: 'own accepts it' });
    expect(judge(policyOf('none'), '10.0.0.0/8', foreign).accept).toBe(false);
    expect(judge(policyOf('all'), '10.0.0.0/8', foreign).accept).toBe(true);
  });

  it('keeps families apart: ::/0 le 128 says nothing of IPv4', () => {
    const policy = policyOf([{ prefix: '::/0', le: 128 }]);
    expect(judge(policy, '0.0.0.0/0', { path: [1] }).accept).toBe(false);
    expect(judge(policy, '2001:db8::/32', { path: [1] }).accept).toBe(true);
  });

  it('sets everything it can set, in the canonical order', () => {
    const policy = policyOf([
      { community: 'no-export', action: 'reject' },
      { set: { communities: { remove: ['1:2'], add: ['no-export', '1:2:3', '0002000100000002'] } }, action: 'next' },
      {
        set: {
          localPreference: 200,
          med: 7,
          nextHop: 'self',
          origin: 'incomplete',
          weight: 258,
          prepend: { asn: 65_000, times: 2 },
        },
      },
    ]);
    const { set } = judge(policy, '10.0.0.0/8', { path: [1], communities: [0x0001_0002] });
    expect(set).toBe(
      [
        '0102' + '04' + 'c0000201',
        '40010102',
        `40020e0203${'0000fde8'.repeat(2)}00000001`,
        '80040400000007',
        '400504000000c8',
        'c00804ffffff01',
        'c010080002000100000002',
        'c0200c000000010000000200000003',
      ].join(''),
    );
    expect(fromHex(set).length).toBeGreaterThan(0);
    expect(judge(policy, '10.0.0.0/8', { path: [1], communities: [0xffff_ff01] })).toMatchObject({
      accept: false,
      why: 'clause 0 refuses it',
    });
  });

  it('says all that is wrong at once, and where', () => {
    const record: ClauseRecord[] = [
      { prefix: '10.0.0.1/8', asPath: '(', med: [3, 2] },
      { ge: 9, community: ['1:2', '1:70000'], nextHop: 'x', set: { weight: 70_000, nextHop: 'there' } },
      { prefix: '10.0.0.0/8', ge: 7 },
    ];
    const compiled = compilePolicy(record);
    expect(compiled.ok ? [] : compiled.issues.map(({ path }) => path)).toEqual([
      '[0].prefix',
      '[0].asPath',
      '[0].med',
      '[1].prefix',
      '[1].community',
      '[1].nextHop',
      '[1].set.weight',
      '[1].set.nextHop',
      '[2].prefix',
    ]);
  });

  it('equals a naive reading of the clauses, whatever they are', () => {
    const prefixes = ['10.0.0.0/8', '10.1.0.0/16', '10.1.2.0/24', '0.0.0.0/0', '192.0.2.0/24'];
    const clause = fc.record(
      {
        prefix: fc.constantFrom(...prefixes),
        le: fc.constantFrom(24, 32),
        med: fc.constantFrom<number | [number, number]>(1, [0, 1], [2, 9]),
        neighbourAs: fc.constantFrom<number | [number, number]>(1, [2, 3]),
        originAs: fc.constantFrom<number | [number, number]>(5, [6, 7]),
        community: fc.constantFrom('1:1', '1:2'),
        action: fc.constantFrom('accept' as const, 'reject' as const, 'next' as const),
        set: fc.record({ weight: fc.nat(3) }),
      },
      { requiredKeys: [] },
    );
    const cleaned = clause.map(({ le, ...rest }) =>
      rest.prefix === undefined || le === undefined ? rest : { ...rest, le },
    );
    const route = fc.record({
      path: fc.array(fc.integer({ min: 1, max: 7 }), { maxLength: 3 }),
      med: fc.nat(3),
      communities: fc.subarray([0x0001_0001, 0x0001_0002], { minLength: 1 }),
    });
    fc.assert(
      fc.property(fc.array(cleaned, { maxLength: 5 }), fc.constantFrom(...prefixes), route, (clauses, prefix, of) => {
        const naive = naively(clauses as readonly ClauseRecord[], prefix, of);
        const { accept, set } = judge(policyOf(clauses as readonly ClauseRecord[]), prefix, of);
        expect({ accept, weight: accept ? Number.parseInt(set.slice(0, 4), 16) : 0 }).toEqual(naive);
      }),
      { numRuns: 1000 },
    );
  });
});

function naively(
  clauses: readonly ClauseRecord[],
  prefix: string,
  of: { path: readonly number[]; med: number; communities: readonly number[] },
): { accept: boolean; weight: number } {
  const within = (value: number, r: ClauseRecord['med']): boolean =>
    r === undefined || (typeof r === 'number' ? value === r : value >= r[0] && value <= r[1]);
  const number = (text: string): number => text.split('.').reduce((n, octet) => n * 256 + Number(octet), 0);
  const covers = (c: ClauseRecord): boolean => {
    if (c.prefix === undefined) return true;
    const [a, n] = c.prefix.split('/') as [string, string];
    const [b, m] = prefix.split('/') as [string, string];
    const size = 2 ** (32 - Number(n));
    return (
      Number(m) >= Number(n) &&
      Number(m) <= (c.le ?? Number(n)) &&
      Math.floor(number(a) / size) === Math.floor(number(b) / size)
    );
  };
  let weight = 0;
  for (const c of clauses) {
    const community =
      c.community === undefined || of.communities.includes(0x0001_0000 + Number((c.community as string)[2]));
    const path = within(of.path[0] ?? 0, c.neighbourAs) && within(of.path.at(-1) ?? 0, c.originAs);
    if (!covers(c) || !within(of.med, c.med) || !community || !path) continue;
    if (c.action === 'reject') return { accept: false, weight: 0 };
    weight = c.set?.weight ?? weight;
    if (c.action !== 'next') return { accept: true, weight };
  }
  return { accept: false, weight: 0 };
}
