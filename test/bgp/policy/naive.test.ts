/** Policies against a reading of their clauses over plain records: every match, every action, both families. */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { decodeAttributes } from '../../../src/bgp/message/attributes.ts';
import { findValue, type PathAttribute } from '../../../src/bgp/message/index.ts';
import { compilePolicy } from '../../../src/bgp/policy/compile.ts';
import type { ActionRecord, ClauseRecord, PrefixRecord, RangeRecord } from '../../../src/bgp/policy/record.ts';
import { AttributeDraft } from '../../../src/bgp/rib/attribute-draft.ts';
import { AttributeStore } from '../../../src/bgp/rib/attribute-store.ts';
import { PrefixTable } from '../../../src/bgp/rib/prefix-table.ts';
import { fromHex, toHex } from '../../../src/core/index.ts';
import { formatAddress, parseAddress, parsePrefix } from '../../../src/ip/index.ts';
import { address, context, word } from '../rib/speakers.ts';

type Origin = 'igp' | 'egp' | 'incomplete';
const ORIGINS: readonly Origin[] = ['igp', 'egp', 'incomplete'];
const SELF = '192.0.2.1';

/** A route as a person would write it down; communities in the words of the document. */
interface Route {
  readonly prefix: string;
  readonly path: readonly (number | readonly number[])[];
  readonly origin: Origin;
  readonly hop: string;
  readonly med: number | undefined;
  readonly preference: number | undefined;
  readonly weight: number;
  readonly communities: readonly string[];
}

const COMMUNITIES = ['1:1', '1:2', 'no-export', '0002000100000001', '0102c00002010001', '1:2:3', '4294967295:0:7'];
const PREFIXES = ['10.0.0.0/8', '10.1.0.0/16', '10.1.2.0/24', '0.0.0.0/0', '2001:db8::/32', '2001:db8:1::/48', '::/0'];
const HOPS = ['192.0.2.9', '198.51.100.7', '2001:db8::9'];

const range = fc.constantFrom<RangeRecord>(1, 7, [0, 1], [2, 6], [65_000, 4_294_967_295]);
const prefixRecord = fc
  .tuple(
    fc.constantFrom(...PREFIXES),
    fc.option(fc.nat(16), { nil: undefined }),
    fc.option(fc.nat(16), { nil: undefined }),
  )
  .map(([prefix, more, span]): PrefixRecord => {
    const [own, most] = [Number(prefix.split('/')[1]), prefix.includes(':') ? 128 : 32];
    const ge = more === undefined ? undefined : Math.min(most, own + more);
    const le = span === undefined ? undefined : Math.min(most, (ge ?? own) + span);
    return { prefix, ...(ge === undefined ? {} : { ge }), ...(le === undefined ? {} : { le }) };
  });
const actions = fc.record(
  {
    localPreference: fc.nat(3),
    med: fc.constantFrom<number | 'none'>('none', 0, 5),
    weight: fc.nat(3),
    origin: fc.constantFrom(...ORIGINS),
    nextHop: fc.constantFrom('self', '203.0.113.1', '2001:db8::7'),
    communities: fc.record(
      { clear: fc.boolean(), remove: fc.subarray(COMMUNITIES), add: fc.subarray(COMMUNITIES) },
      { requiredKeys: [] },
    ),
    prepend: fc.record({ asn: fc.constantFrom(65_000, 70_000), times: fc.integer({ min: 1, max: 3 }) }),
  },
  { requiredKeys: [] },
) as fc.Arbitrary<ActionRecord>;
const clause = fc
  .record(
    {
      one: prefixRecord,
      prefixes: fc.array(prefixRecord, { minLength: 1, maxLength: 3 }),
      asPath: fc.constantFrom('^$', '_7_', '^1( [0-9]+)*$', '70000', '{7,8}'),
      neighbourAs: range,
      originAs: range,
      community: fc.oneof(fc.constantFrom(...COMMUNITIES), fc.subarray(COMMUNITIES, { minLength: 1 })),
      nextHop: fc.constantFrom('192.0.2.0/24', '198.51.100.7/32', '2001:db8::/32', '0.0.0.0/0'),
      med: range,
      origin: fc.constantFrom(...ORIGINS),
      set: actions,
      action: fc.constantFrom('accept' as const, 'reject' as const, 'next' as const, 'next' as const),
    },
    { requiredKeys: [] },
  )
  .map(({ one, ...rest }) => ({ ...one, ...rest }) as ClauseRecord);
const route = fc.record({
  prefix: fc.constantFrom(
    '10.0.0.0/8',
    '10.1.0.0/16',
    '10.1.2.0/24',
    '10.1.2.128/25',
    '192.0.2.0/24',
    '0.0.0.0/0',
    '2001:db8::/32',
    '2001:db8:1::/48',
    '2001:db8:1:2::/64',
    '::/0',
  ),
  path: fc.array(
    fc.oneof(
      { weight: 5, arbitrary: fc.constantFrom(1, 2, 5, 7, 70_000) },
      { weight: 1, arbitrary: fc.constant([7, 8]) },
    ),
    { maxLength: 4 },
  ),
  origin: fc.constantFrom(...ORIGINS),
  hop: fc.constantFrom(...HOPS),
  med: fc.constantFrom(undefined, 0, 1, 3),
  preference: fc.constantFrom(undefined, 100, 200),
  weight: fc.constant(0),
  communities: fc.subarray(COMMUNITIES),
}) as fc.Arbitrary<Route>;

const within = (value: number | undefined, of: RangeRecord | undefined): boolean =>
  of === undefined ||
  (value !== undefined && (typeof of === 'number' ? value === of : value >= of[0] && value <= of[1]));
const bits = (text: string): string =>
  [...parseAddress(text)!].map((octet) => octet.toString(2).padStart(8, '0')).join('');

/** `10.0.0.0/8` covers `10.1.0.0/16`, and says whether by how much matters. */
function covers(record: PrefixRecord, prefix: string): boolean {
  const [net, own] = [record.prefix.split('/')[0]!, Number(record.prefix.split('/')[1])];
  const [other, length] = [prefix.split('/')[0]!, Number(prefix.split('/')[1])];
  if (net.includes(':') !== other.includes(':')) return false;
  const least = record.ge ?? own;
  const most = record.le ?? (record.ge === undefined ? own : net.includes(':') ? 128 : 32);
  return length >= least && length <= most && bits(other).startsWith(bits(net).slice(0, own));
}

const words = (path: Route['path']): string =>
  path.map((p) => (typeof p === 'number' ? `${p}` : `{${p.join(',')}}`)).join(' ');

function holds(c: ClauseRecord, r: Route): boolean {
  const listed = [...(c.prefix === undefined ? [] : [c as PrefixRecord]), ...(c.prefixes ?? [])];
  if (listed.length > 0 && !listed.some((p) => covers(p, r.prefix))) return false;
  const expression = c.asPath?.replace(/[{}]/g, '\\$&').replaceAll('_', '(^|$|[ ,{}])');
  if (expression !== undefined && !new RegExp(expression).test(words(r.path))) return false;
  const last = r.path.at(-1);
  const first = r.path[0];
  if (!within(typeof first === 'number' ? first : 0, c.neighbourAs)) return false;
  if (!within(typeof last === 'number' ? last : 0, c.originAs)) return false;
  const wanted = typeof c.community === 'string' ? [c.community] : c.community;
  if (wanted !== undefined && !wanted.some((w) => r.communities.includes(w))) return false;
  if (c.nextHop !== undefined && !covers({ prefix: c.nextHop, ge: 0, le: 128 }, `${r.hop}/0`)) return false;
  return within(r.med, c.med) && (c.origin === undefined || c.origin === r.origin);
}

function changed(r: Route, s: ActionRecord): Route {
  const { clear, remove = [], add = [] } = s.communities ?? {};
  const kept = clear === true ? [] : r.communities.filter((c) => !remove.includes(c));
  const { asn = 0, times = 1 } = s.prepend ?? {};
  return {
    ...r,
    path: [...(s.prepend === undefined ? [] : Array<number>(times).fill(asn)), ...r.path],
    origin: s.origin ?? r.origin,
    hop: s.nextHop === 'self' ? SELF : (s.nextHop ?? r.hop),
    med: s.med === 'none' ? undefined : (s.med ?? r.med),
    preference: s.localPreference ?? r.preference,
    weight: s.weight ?? r.weight,
    communities: [...kept, ...add.filter((c) => !kept.includes(c))],
  };
}

function naively(clauses: readonly ClauseRecord[], of: Route): Route | undefined {
  let left = of;
  for (const c of clauses) {
    // Conditions are about the route as it came, whatever clauses before have set.
    if (!holds(c, of)) continue;
    if (c.action === 'reject') return undefined;
    left = changed(left, c.set ?? {});
    if (c.action !== 'next') return left;
  }
  return undefined;
}

function judge(clauses: readonly ClauseRecord[], of: Route): Route | undefined {
  const compiled = compilePolicy(clauses);
  if (!compiled.ok) throw new Error(JSON.stringify(compiled.issues));
  const { policy } = compiled;
  const store = new AttributeStore();
  const draft = new AttributeDraft(store);
  load(draft, of);
  const set = draft.commit();
  const parsed = parsePrefix(of.prefix)!;
  const table = new PrefixTable(parsed.address.length / 4);
  const length = table.load(parsed);
  draft.load(set);
  const signature = policy.byPrefix ? policy.signature(table.key, length) : 0;
  const outcome = policy.run(store, set, signature, draft, address(SELF));
  if (!outcome.accept) return undefined;
  const after = draft.commit();
  // What says that nothing was changed has changed nothing.
  if (!outcome.changed) expect(after).toBe(set);
  return read(store, after, of.prefix);
}

function load(draft: AttributeDraft, of: Route): void {
  draft.begin();
  draft.weight = of.weight;
  draft.hop(address(of.hop));
  draft.set(1, 0x40, Uint8Array.of(ORIGINS.indexOf(of.origin)));
  const segments: (readonly [type: number, asns: number[]])[] = [];
  for (const part of of.path) {
    if (typeof part !== 'number') segments.push([1, [...part]]);
    else if (segments.at(-1)?.[0] === 2) segments.at(-1)![1].push(part);
    else segments.push([2, [part]]);
  }
  draft.set(2, 0x40, Uint8Array.from(segments.flatMap(([type, asns]) => [type, asns.length, ...asns.flatMap(word)])));
  if (of.med !== undefined) draft.setWord(4, 0x80, of.med);
  if (of.preference !== undefined) draft.setWord(5, 0x40, of.preference);
  for (const [type, octets] of [8, 16, 32].map((type) => [type, octetsOf(of.communities, type)] as const))
    if (octets.length > 0) draft.set(type, 0xc0, octets);
}

/** Of the communities that stand in the attribute of a type: RFC 1997, RFC 4360, RFC 8092. */
function octetsOf(communities: readonly string[], type: number): Uint8Array {
  const out: number[] = [];
  for (const text of communities) {
    const parts = text.split(':').map(Number);
    if (text.length === 16 && !text.includes(':')) {
      if (type === 16) out.push(...fromHex(text));
    } else if (text === 'no-export') {
      if (type === 8) out.push(...word(0xffffff01));
    } else if (parts.length === 3) {
      if (type === 32) out.push(...parts.flatMap(word));
    } else if (type === 8) out.push(...word(parts[0]! * 65_536 + parts[1]!));
  }
  return Uint8Array.from(out);
}

function read(store: AttributeStore, set: number, prefix: string): Route {
  const view = store.view(set);
  const { attributes, faults } = decodeAttributes(view.slice(3 + view[2]!), context(false));
  expect(faults).toEqual([]);
  return {
    prefix,
    path: findValue(attributes, 'asPath')!.segments.flatMap(({ type, asns }): (number | readonly number[])[] =>
      type === 'set' ? [asns] : [...asns],
    ),
    origin: findValue(attributes, 'origin')!.origin,
    hop: formatAddress(store.nextHop(set)),
    med: findValue(attributes, 'med')?.med,
    preference: findValue(attributes, 'localPreference')?.preference,
    weight: view[0]! * 256 + view[1]!,
    communities: communitiesOf(attributes),
  };
}

function communitiesOf(attributes: readonly PathAttribute[]): string[] {
  const plain = findValue(attributes, 'communities')?.communities ?? [];
  const extended = findValue(attributes, 'extendedCommunities')?.communities ?? [];
  const large = findValue(attributes, 'largeCommunities')?.communities ?? [];
  return [
    ...plain.map((c) => (c === 0xffffff01 ? 'no-export' : `${Math.floor(c / 65_536)}:${c % 65_536}`)),
    ...extended.map(toHex),
    ...large.map((c) => `${c.global}:${c.local1}:${c.local2}`),
  ];
}

const sorted = (r: Route | undefined): Route | undefined =>
  r === undefined ? undefined : { ...r, communities: [...r.communities].sort() };

describe('policies against a naive reading', () => {
  it('every condition and every action, in any number of clauses, of both families', () => {
    fc.assert(
      fc.property(fc.array(clause, { maxLength: 4 }), route, (clauses, of) => {
        expect(sorted(judge(clauses, of))).toEqual(sorted(naively(clauses, of)));
      }),
      { numRuns: 3000 },
    );
  });

  it('one clause with one condition or one action alone', () => {
    const single = clause.chain((c) => {
      const keys = Object.keys(c).filter((key) => key !== 'action' && key !== 'ge' && key !== 'le');
      return fc
        .constantFrom(...(keys.length === 0 ? ['set'] : keys))
        .map((key) =>
          key === 'prefix'
            ? (Object.fromEntries(
                Object.entries(c).filter(([k]) => ['prefix', 'ge', 'le'].includes(k)),
              ) as ClauseRecord)
            : ({ [key]: c[key as keyof ClauseRecord] ?? {} } as ClauseRecord),
        );
    });
    fc.assert(
      fc.property(single, route, (only, of) => {
        expect(sorted(judge([only], of))).toEqual(sorted(naively([only], of)));
      }),
      { numRuns: 3000 },
    );
  });
});
