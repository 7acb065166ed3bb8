import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { Rib } from '../../../src/bgp/rib/rib.ts';
import { type Bytes, concat, EMPTY } from '../../../src/core/index.ts';
import { Receiver } from './receiver.ts';
import { attribute, peerOptions, update, usual, word } from './speakers.ts';

const PEERS = 4;

interface Route {
  readonly path: readonly number[];
  readonly origin: number;
  readonly med: number | undefined;
  readonly at: number;
}

type Operation =
  | { readonly do: 'announce'; peer: number; prefix: number; asns: number; origin: number; med: number | undefined }
  | { readonly do: 'withdraw'; peer: number; prefix: number }
  | { readonly do: 'flush' }
  | { readonly do: 'part'; limit: number }
  | { readonly do: 'tick' }
  | { readonly do: 'take' | 'refresh' | 'restart'; peer: number };

const peer = fc.integer({ min: 1, max: PEERS });
const prefix = fc.integer({ min: 0, max: 5 });
const announce = fc.record({
  do: fc.constant('announce' as const),
  peer,
  prefix,
  asns: fc.integer({ min: 0, max: 2 }),
  origin: fc.integer({ min: 0, max: 1 }),
  med: fc.option(fc.integer({ min: 0, max: 2 }), { nil: undefined }),
});
const operations = fc.array(
  fc.oneof(
    { weight: 6, arbitrary: announce },
    { weight: 3, arbitrary: fc.record({ do: fc.constant('withdraw' as const), peer, prefix }) },
    { weight: 3, arbitrary: fc.record({ do: fc.constantFrom('flush' as const, 'tick' as const) }) },
    { weight: 2, arbitrary: fc.record({ do: fc.constant('part' as const), limit: fc.integer({ min: 1, max: 3 }) }) },
    {
      weight: 3,
      arbitrary: fc.record({
        do: fc.constantFrom('take' as const, 'take' as const, 'refresh' as const, 'restart' as const),
        peer,
      }),
    },
  ),
  { maxLength: 60 },
);

const nlri = (n: number): Bytes => Uint8Array.of(24, 20, 0, n);
const key = (n: number): string => `24/1400${n.toString(16).padStart(2, '0')}`;

/** All have another neighbour AS but peers 3 and 4, which share one. */
const asOf = (number: number): number => 65_000 + Math.min(number, 3);

/** RFC 4271 §9.1.2.2 as it is written, for external peers whose next hops cost the same; age before identifiers. */
function best(routes: readonly (readonly [number, Route])[]): number | undefined {
  const least = <T>(list: readonly T[], of: (item: T) => number): T[] => {
    const lowest = Math.min(...list.map(of));
    return list.filter((item) => of(item) === lowest);
  };
  let left = least([...routes], ([, r]) => r.path.length);
  left = least(left, ([, r]) => r.origin);
  left = left.filter(([, n]) => !left.some(([, m]) => m.path[0] === n.path[0] && (n.med ?? 0) > (m.med ?? 0)));
  left = least(left, ([, r]) => r.at);
  return least(left, ([number]) => number)[0]?.[0];
}

class Model {
  readonly heard = new Map<number, Map<number, Route>>();

  of(number: number): Map<number, Route> {
    const known = this.heard.get(number) ?? new Map<number, Route>();
    this.heard.set(number, known);
    return known;
  }

  /** What a peer should have: the best of each prefix, unless it said that itself. */
  told(number: number): Map<string, string> {
    const out = new Map<string, string>();
    for (let n = 0; n <= 5; n++) {
      const routes = [...this.heard].flatMap(([from, known]) => (known.has(n) ? [[from, known.get(n)!] as const] : []));
      const from = best(routes);
      if (from === undefined || from === number) continue;
      const { path, origin } = this.of(from).get(n)!;
      const sent = [65_000, ...path].flatMap(word);
      const hex = (octets: readonly number[]): string => octets.map((o) => o.toString(16).padStart(2, '0')).join('');
      out.set(key(n), `1=0${origin} 2=${hex([2, path.length + 1, ...sent])} 3=c0000201`);
    }
    return out;
  }
}

function run(all: readonly Operation[], queueOctets: number | undefined): void {
  const rib = new Rib({ localAs: 65_000, routerId: 1, ...(queueOctets === undefined ? {} : { queueOctets }) });
  const model = new Model();
  const receivers = new Map<number, Receiver>();
  const options = (number: number) => peerOptions(number, { remoteAs: asOf(number) });
  const numbers = new Map<number, number>();
  const begin = (number: number): void => {
    numbers.set(number, rib.add(options(number)));
    receivers.set(number, new Receiver());
    receivers.get(number)!.strict = false;
  };
  const take = (number: number): void => {
    for (const octets of rib.take(numbers.get(number)!, 100)) receivers.get(number)!.read(octets);
    if (queueOctets === undefined && rib.isSettled && !rib.hasOutput(numbers.get(number)!))
      receivers.get(number)!.strict = true;
  };
  for (let number = 1; number <= PEERS; number++) begin(number);
  let now = 0;
  for (const op of all) {
    if (op.do === 'announce') {
      const path = [asOf(op.peer), ...Array.from({ length: op.asns }, (_, i) => 100 + i)];
      const attributes = usual(path, [10, 0, 0, op.peer], op.origin);
      const med = op.med === undefined ? EMPTY : attribute(0x80, 4, ...word(op.med));
      rib.receive(numbers.get(op.peer)!, update(EMPTY, concat(attributes, med), nlri(op.prefix)), now);
      const old = model.of(op.peer).get(op.prefix);
      const fresh = { path, origin: op.origin, med: op.med, at: now };
      if (old === undefined || JSON.stringify({ ...old, at: now }) !== JSON.stringify(fresh))
        model.of(op.peer).set(op.prefix, fresh);
    } else if (op.do === 'withdraw') {
      rib.receive(numbers.get(op.peer)!, update(nlri(op.prefix), EMPTY, EMPTY), now);
      model.of(op.peer).delete(op.prefix);
    } else if (op.do === 'flush') rib.flush();
    else if (op.do === 'part') rib.flush(op.limit);
    else if (op.do === 'tick') now += 1000;
    else if (op.do === 'take') take(op.peer);
    else if (op.do === 'refresh') {
      rib.refresh(numbers.get(op.peer)!, 0x0101);
      receivers.get(op.peer)!.strict = false;
    } else {
      rib.remove(numbers.get(op.peer)!);
      model.of(op.peer).clear();
      begin(op.peer);
    }
  }
  rib.flush();
  for (let number = 1; number <= PEERS; number++) {
    const receiver = receivers.get(number)!;
    while (rib.hasOutput(numbers.get(number)!)) take(number);
    expect(Object.fromEntries(receiver.routes)).toEqual(Object.fromEntries(model.told(number)));
    expect(receiver.faults).toEqual([]);
  }
  for (const number of numbers.values()) rib.remove(number);
  rib.flush();
  while (rib.takeRoutes(100).length > 0) rib.flush();
  expect(rib.family(0x0101)!.table.count).toBe(0);
  expect(rib.store.count).toBe(0);
}

describe('speakers against a naive model', () => {
  it('RFC 4271 §9: every peer ends with what the model says, with no word too many, and nothing is left when all are gone', () => {
    fc.assert(
      fc.property(operations, (all) => run(all, undefined)),
      { numRuns: 500 },
    );
  });

  it('a peer that does not read leaves the log and still ends with what the model says', () => {
    fc.assert(
      fc.property(operations, (all) => run(all, 60)),
      { numRuns: 500 },
    );
  });
});
