import { expect, it } from 'vitest';
import { addr } from '../../support/packets.ts';
import { BgpWorld, NAMES } from './world.ts';

it('BGP opens its own tunnel, and routes of each site come into the FIB of its tenant alone', () => {
  const world = new BgpWorld();
  world.run(10_000);
  for (const name of NAMES) expect(world.reports()).toContain(`BGP peer ${name}/hq: established: with AS 65020`);
  expect(world.routes('contoso')).toEqual(['10.2.0.0/24 hq', '10.50.0.0/16 hq']);
  expect(world.routes('woodgrove')).toEqual(['10.2.0.0/24 hq', '10.60.0.0/16 hq']);
  for (const name of NAMES) expect(world.routes(name, world.sites)).toEqual(['10.1.0.0/24 cloud']);
  const ping = world.hosts.contoso.vm.ping(addr('10.50.0.10'), { timeoutMs: 2000 });
  world.run(3000);
  expect(ping.outcome).toBe('reply');
});
