import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { AttributeDraft } from '../../../src/bgp/rib/attribute-draft.ts';
import { AttributeStore } from '../../../src/bgp/rib/attribute-store.ts';
import { DECISION, Decision, type DecisionOptions } from '../../../src/bgp/rib/decision.ts';
import { NextHops } from '../../../src/bgp/rib/next-hops.ts';
import { PATH, PathTable } from '../../../src/bgp/rib/path-table.ts';
import type { Peer, PeerKind } from '../../../src/bgp/rib/peer.ts';
import { peerOptions, word } from './speakers.ts';

interface Facts {
  readonly peer: number;
  readonly weight: number;
  readonly preference: number;
  readonly path: readonly number[];
  readonly origin: number;
  readonly med: number | undefined;
  readonly hop: number;
  readonly age: number;
  readonly originator: number | undefined;
  readonly clusters: number;
  readonly stale: boolean;
}

const KINDS: readonly PeerKind[] = ['local', 'external', 'external', 'internal', 'client', 'external'];
const PEERS: readonly Peer[] = KINDS.map((kind, number) => ({
  ...peerOptions(number, { kind }),
  number,
  remoteId: [0, 9, 5, 5, 3, 9][number]!,
}));

const USUAL: Facts = {
  peer: 1,
  weight: 0,
  preference: 100,
  path: [7],
  origin: 0,
  med: undefined,
  hop: 1,
  age: 0,
  originator: undefined,
  clusters: 0,
  stale: false,
};

/** The paths chained in this order, and which is the best. */
function decide(paths: readonly Facts[], options: Partial<DecisionOptions> = {}) {
  const store = new AttributeStore(
    new NextHops((address) => ({ metric: address[3]!, usable: address[3] !== 9, why: 'test' })),
  );
  const draft = new AttributeDraft(store);
  const table = new PathTable();
  const numbers = paths.map((facts) => {
    draft.begin();
    draft.weight = facts.weight;
    draft.hop(Uint8Array.of(10, 0, 0, facts.hop));
    draft.set(1, 0x40, Uint8Array.of(facts.origin));
    draft.set(2, 0x40, Uint8Array.from([2, facts.path.length, ...facts.path.flatMap(word)]));
    if (facts.med !== undefined) draft.setWord(4, 0x80, facts.med);
    draft.setWord(5, 0x40, facts.preference);
    if (facts.originator !== undefined) draft.setWord(9, 0x80, facts.originator);
    if (facts.clusters > 0) draft.set(10, 0x80, new Uint8Array(4 * facts.clusters));
    const path = table.allocate(facts.peer, 1, facts.peer === 0 ? 0 : 1);
    table.after[path] = table.before[path] = draft.commit();
    table.arrivals[path] = facts.age;
    table.flags[path] = facts.stale ? PATH.longLived : 0;
    return path;
  });
  numbers.forEach((path, i) => {
    table.nexts[path] = numbers[i + 1] ?? 0;
  });
  const decision = new Decision(store, table, PEERS, { ...DECISION, ...options });
  const first = numbers[0] ?? 0;
  const best = decision.best(first);
  return {
    best: numbers.indexOf(best),
    lost: (i: number) => decision.lostAt(numbers[i]!, best, first),
    /** Whether the best of all but the first stays the best with it, as `stays` says. */
    stays: () => {
      const without = decision.best(table.nexts[first]!);
      return without === 0 ? undefined : { without: numbers.indexOf(without), says: decision.stays(without, first) };
    },
    side: () => decision.multipath(first, best).map((path) => numbers.indexOf(path)),
  };
}

/** RFC 4271 §9.1.2.2, with the steps of the field, by removal as it is written. */
function naive(paths: readonly Facts[], options: Partial<DecisionOptions>): number {
  const { alwaysCompareMed, missingMedAsWorst, compareRouterId } = { ...DECISION, ...options };
  const kind = (p: Facts): PeerKind => KINDS[p.peer]!;
  const med = (p: Facts): number => p.med ?? (missingMedAsWorst ? 2 ** 32 - 1 : 0);
  let left = paths.filter((p) => p.hop !== 9);
  const keep = (of: (p: Facts) => number): void => {
    const least = Math.min(...left.map(of));
    left = left.filter((p) => of(p) === least);
  };
  keep((p) => Number(p.stale));
  keep((p) => -p.weight);
  keep((p) => -p.preference);
  keep((p) => Number(kind(p) !== 'local'));
  keep((p) => p.path.length);
  keep((p) => p.origin);
  const all = left;
  left = all.filter((n) => !all.some((m) => (alwaysCompareMed || m.path[0] === n.path[0]) && med(n) > med(m)));
  keep((p) => Number(kind(p) !== 'external'));
  keep((p) => p.hop);
  if (!compareRouterId && left.some((p) => kind(p) === 'external')) keep((p) => p.age);
  keep((p) => p.originator ?? PEERS[p.peer]!.remoteId);
  keep((p) => p.clusters);
  keep((p) => p.peer);
  return left[0] === undefined ? -1 : paths.indexOf(left[0]);
}

const facts = fc.record({
  weight: fc.constantFrom(0, 0, 0, 5),
  preference: fc.constantFrom(100, 100, 100, 200),
  path: fc.constantFrom([7], [7], [8], [8], [7, 1]),
  origin: fc.constantFrom(0, 0, 0, 2),
  med: fc.constantFrom(undefined, 0, 1, 2),
  hop: fc.constantFrom(1, 1, 1, 2, 9),
  age: fc.constantFrom(0, 0, 1),
  originator: fc.constantFrom(undefined, undefined, 3),
  clusters: fc.constantFrom(0, 0, 1),
  stale: fc.constantFrom(false, false, false, true),
});
const sets = fc
  .tuple(fc.shuffledSubarray([0, 1, 2, 3, 4, 5]), fc.array(facts, { minLength: 6, maxLength: 6 }))
  .map(([peers, all]) => peers.map((peer, i) => ({ ...all[i]!, peer })));
const options = fc.record({
  alwaysCompareMed: fc.boolean(),
  missingMedAsWorst: fc.boolean(),
  compareRouterId: fc.boolean(),
});

describe('the decision', () => {
  it('RFC 4271 §9.1.2.2: equals the steps taken by removal, in whatever order paths came', () => {
    fc.assert(
      fc.property(sets, options, fc.infiniteStream(fc.nat()), (paths, chosen, random) => {
        const expected = naive(paths, chosen);
        expect(decide(paths, chosen).best).toBe(expected);
        const shuffled = [...paths].sort(() => (random.next().value! & 1) - 0.5);
        const best = decide(shuffled, chosen).best;
        expect(best < 0 ? undefined : shuffled[best]).toBe(expected < 0 ? undefined : paths[expected]);
      }),
      { numRuns: 2000 },
    );
  });

  it('law: a path that is said to stay the best beside a new one does', () => {
    let stayed = 0;
    fc.assert(
      fc.property(sets, options, (paths, chosen) => {
        if (paths.length === 0) return;
        const { best, stays } = decide(paths, chosen);
        const found = stays();
        if (found === undefined) return;
        if (!found.says) return;
        expect(best).toBe(found.without);
        stayed += 1;
      }),
      { numRuns: 2000 },
    );
    expect(stayed).toBeGreaterThan(200);
  });

  it('law: what is used side by side stays as it is, too', () => {
    fc.assert(
      fc.property(sets, options, (paths, chosen) => {
        if (paths.length === 0) return;
        const { side, stays } = decide(paths, { ...chosen, multipath: 3 });
        const found = stays();
        if (found?.says !== true) return;
        const before = decide(paths.slice(1), { ...chosen, multipath: 3 }).side();
        expect(side()).toEqual(before.map((index) => index + 1));
      }),
      { numRuns: 2000 },
    );
  });

  it.each<[string, Partial<Facts>, Partial<Facts>]>([
    ['long-lived stale', {}, { stale: true, weight: 9 }],
    ['weight', { weight: 1 }, { preference: 900 }],
    ['local preference', { preference: 101, path: [1, 2] }, {}],
    ['own route', { peer: 0, origin: 2 }, {}],
    ['AS path length', { origin: 2 }, { path: [7, 7] }],
    ['origin', { med: 9 }, { origin: 1 }],
    ['MED', { med: 1, peer: 3 }, { med: 2 }],
    ['external over internal', { hop: 5 }, { peer: 3, med: undefined, hop: 1 }],
    ['metric of the next hop', { hop: 1, age: 5 }, { hop: 2 }],
    ['age', { age: 1 }, { age: 2, peer: 2 }],
    ['router identifier', { peer: 2 }, { peer: 1 }],
    ['cluster list length', { peer: 4 }, { peer: 3, originator: 3, clusters: 1 }],
    ['neighbour address', { peer: 1 }, { peer: 5 }],
  ])('says that a path lost by %s', (step, better, worse) => {
    const result = decide([
      { ...USUAL, ...worse },
      { ...USUAL, ...better },
    ]);
    expect(result.best).toBe(1);
    expect(result.lost(0)).toBe(step);
  });

  it('RFC 4271 §9.1.2.1: a path whose next hop cannot be used is not chosen', () => {
    expect(decide([{ ...USUAL, hop: 9 }]).best).toBe(-1);
    expect(
      decide([
        { ...USUAL, hop: 9, weight: 9 },
        { ...USUAL, peer: 2 },
      ]).best,
    ).toBe(1);
  });

  it('uses paths side by side that are equal up to the metric, the best first', () => {
    const paths = [
      { ...USUAL, peer: 1, age: 3 },
      { ...USUAL, peer: 2, age: 2, path: [8] },
      { ...USUAL, peer: 5, hop: 2 },
    ];
    expect(decide(paths, { multipath: 4 }).side()).toEqual([1, 0]);
    expect(decide(paths).side()).toEqual([1]);
  });
});
