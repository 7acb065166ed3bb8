/** Two tenants with the same VSID-less everything: prefixes, addresses, MACs and names of VMs; and what tests ask of them. */
import { expect } from 'vitest';
import { DROP, type DropReason } from '../../../src/ip/index.ts';
import type { SubnetPlan, TenantPlan, VmPlan, WorldPlan } from '../../support/fabric/plan.ts';
import { type FabricOptions, FabricWorld } from '../../support/fabric/world.ts';

export const A = '10.1.0.10';
export const B = '10.1.0.11';
/** In the second subnet. */
export const C = '10.2.0.10';
export const NAT_BLUE = '203.0.113.50';
export const NAT_RED = '203.0.113.51';

/** `first` VSID of two. */
export const subnets = (first: number): SubnetPlan[] => [
  { vsid: first, prefixes: ['10.1.0.0/24'] },
  { vsid: first + 1, prefixes: ['10.2.0.0/24'] },
];

/** a and c on host1, b on host2. */
export const vms = (first: number): VmPlan[] => [
  { name: 'a', vsid: first, mac: '00:15:5d:00:00:10', addresses: [A], host: 'host1' },
  { name: 'b', vsid: first, mac: '00:15:5d:00:00:11', addresses: [B], host: 'host2' },
  { name: 'c', vsid: first + 1, mac: '00:15:5d:00:00:20', addresses: [C], host: 'host2' },
];

export const tenant = (name: string, first: number, rest: Partial<TenantPlan> = {}): TenantPlan => ({
  name,
  subnets: subnets(first),
  vms: vms(first),
  ...rest,
});

export const blue = (rest: Partial<TenantPlan> = {}): TenantPlan =>
  tenant('blue', 5001, { nat: `{ address: ${NAT_BLUE} }`, ...rest });
export const red = (rest: Partial<TenantPlan> = {}): TenantPlan =>
  tenant('red', 6001, { nat: `{ address: ${NAT_RED} }`, ...rest });

export const plan = (rest: Partial<WorldPlan> = {}): WorldPlan => ({
  underlay: '192.168.50.10',
  hosts: { host1: '192.168.50.21', host2: '192.168.50.22' },
  tenants: [blue(), red()],
  ...rest,
});

export const world = (rest: Partial<WorldPlan> = {}, options: FabricOptions = {}): FabricWorld =>
  new FabricWorld(plan(rest), options);

/** Nothing was heard where it must not be, and no slot is taken. */
export function clean(w: FabricWorld): void {
  expect(w.ledger.blamed).toEqual([]);
  expect(w.nodes().map(({ pool }) => pool.taken)).toEqual(w.nodes().map(() => 0));
}

/** Runs, and each question was answered. */
export function answered(w: FabricWorld, ...questions: readonly number[]): void {
  w.run();
  for (const question of questions) {
    const { what, arrived, answered: back, error } = w.ledger.questions[question]!;
    expect({ what, arrived, back, error }).toEqual({ what, arrived, back, error: undefined });
    expect(arrived, `${what} arrives`).toBeGreaterThan(0);
    expect(back, `${what} is answered`).toBeGreaterThan(0);
  }
  clean(w);
}

/** Runs, and none of them arrived anywhere. */
export function unheard(w: FabricWorld, ...questions: readonly number[]): void {
  w.run(5000);
  for (const question of questions) expect(w.ledger.questions[question]!.arrived).toBe(0);
  clean(w);
}

/** What the gateway counted in the compartment of a tenant. */
export const dropsOf = (w: FabricWorld, name: string): Partial<Record<DropReason, number>> => {
  const drops = w.gateway.gateway.compartment(name)!.drops;
  return Object.fromEntries(
    Object.entries(DROP)
      .filter(([, code]) => drops[code]! > 0)
      .map(([reason, code]) => [reason, drops[code]!]),
  );
};
