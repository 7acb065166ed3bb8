import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { Route } from '../../../src/compartment/index.ts';
import { eachRoute, MOST_CHANGES, RouteBatch, type RouteCommand } from '../../../src/gateway/dataplane/route-batch.ts';
import type { PlaneCommand } from '../../../src/gateway/index.ts';
import { parsePrefix } from '../../../src/ip/index.ts';
import { addr } from '../../support/packets.ts';

const nextHop = fc.option(fc.constantFrom(addr('10.0.0.1'), addr('10.0.0.2'), addr('2001:db8::1')), { nil: undefined });
const prefix = fc
  .tuple(fc.constantFrom(4, 16), fc.nat(128))
  .chain(([octets, length]) =>
    fc
      .uint8Array({ minLength: octets, maxLength: octets })
      .map((address) => ({ address: Uint8Array.from(address), length: Math.min(length, 8 * octets) })),
  );
const common = { interface: fc.nat(3), origin: fc.constantFrom('bgp' as const, 'static' as const) };
const absent = <T extends { readonly nextHop: unknown }>({ nextHop: hop, ...rest }: T) =>
  hop === undefined ? rest : { ...rest, nextHop: hop };
const added: fc.Arbitrary<RouteCommand> = fc
  .record({
    ...common,
    prefix,
    nextHop,
    preference: fc.constantFrom(20, 200),
    why: fc.constantFrom('of one peer', 'of another'),
  })
  .map((route) => ({ do: 'add-route', compartment: 7, route: absent(route) as Route }));
const removed: fc.Arbitrary<RouteCommand> = fc
  .record({ ...common, prefix, nextHop })
  .map((gone) => absent({ do: 'remove-route', compartment: 7, ...gone }) as RouteCommand);

/** As whoever tells them does it. */
function batched(commands: readonly RouteCommand[]): PlaneCommand[] {
  const out: PlaneCommand[] = [];
  let batch = new RouteBatch(1, 7);
  for (const command of commands) {
    if (batch.add(1, command)) continue;
    out.push(batch.command());
    batch = new RouteBatch(1, 7);
    expect(batch.add(1, command)).toBe(true);
  }
  return [...out, batch.command()];
}

function apart(command: PlaneCommand): PlaneCommand[] {
  if (command.do !== 'change-routes') return [command];
  const each: PlaneCommand[] = [];
  eachRoute(command, (change) => each.push(change));
  expect(each).toHaveLength(command.count);
  return each;
}

describe('many routes in a command', () => {
  it('are what was put in, in its order, whatever comes and goes', () => {
    fc.assert(
      fc.property(fc.array(fc.oneof(added, removed), { minLength: 1, maxLength: 600 }), (commands) => {
        expect(batched(commands).flatMap(apart)).toEqual(commands);
      }),
      { numRuns: 60 },
    );
  });

  it('take 6 octets a prefix of IPv4, and no more than so many are in one', () => {
    const route = { interface: 3, origin: 'bgp', preference: 20, why: 'a peer' } as const;
    const commands = Array.from(
      { length: 1000 },
      (_, i): RouteCommand => ({
        do: 'add-route',
        compartment: 7,
        route: { ...route, prefix: parsePrefix(`10.${i >> 8}.${i & 255}.0/24`)! },
      }),
    );
    const told = batched(commands);
    expect(told.map((each) => (each.do === 'change-routes' ? [each.count, each.changes.length] : each.do))).toEqual([
      [MOST_CHANGES, 6 * MOST_CHANGES],
      [MOST_CHANGES, 6 * MOST_CHANGES],
      [MOST_CHANGES, 6 * MOST_CHANGES],
      [232, 6 * 232],
    ]);
  });

  it('one alone stays as it is; another compartment or data plane is another batch', () => {
    const one: RouteCommand = {
      do: 'remove-route',
      compartment: 7,
      prefix: parsePrefix('10.0.0.0/8')!,
      interface: 1,
      origin: 'bgp',
    };
    const batch = new RouteBatch(1, 7);
    expect([batch.add(1, one), batch.add(2, one), batch.add(1, { ...one, compartment: 8 })]).toEqual([
      true,
      false,
      false,
    ]);
    expect(batch.command()).toBe(one);
  });
});
