import { expect, it } from 'vitest';
import { seededRandom } from '../../../src/core/index.ts';
import type { Gateway } from '../../../src/gateway/index.ts';
import { resolveDocument } from '../../../src/lab/index.ts';
import { HostedGateway } from '../../support/fabric/hosted.ts';
import { addr } from '../../support/packets.ts';
import { BgpWorld, gwDocument, NAMES } from './world.ts';

/** The gateway's data planes are elsewhere, a tenant in each. */
class HostedWorld extends BgpWorld {
  readonly hosted: HostedGateway;

  constructor() {
    super();
    this.hosted = new HostedGateway(seededRandom(3), this.gw.pool, 2);
    this.gw.gateway = this.hosted as unknown as Gateway;
    this.gw.apply(resolveDocument(gwDocument({})));
  }
}

it('data planes elsewhere: BGP speaks through them, and its routes are in them', () => {
  const world = new HostedWorld();
  world.run(15_000);
  expect(world.routes('contoso')).toEqual(['10.2.0.0/24 hq', '10.50.0.0/16 hq']);
  expect(world.routes('woodgrove')).toEqual(['10.2.0.0/24 hq', '10.60.0.0/16 hq']);
  const ping = world.hosts.contoso.vm.ping(addr('10.50.0.10'), { timeoutMs: 2000 });
  world.run(3000);
  expect(ping.outcome).toBe('reply');
});

it('a data plane that is replaced: sessions and routes are as before, and the other tenant never knows', () => {
  const world = new HostedWorld();
  world.run(15_000);
  world.actions.splice(0);
  for (const plane of [0, 1, 0]) {
    world.gw.dispatch({ type: 'plane-restarted', plane, why: 'was lost' });
    world.run(60_000);
    for (const name of NAMES) expect(world.routes(name)).toHaveLength(2);
    for (const name of NAMES) {
      const ping = world.hosts[name].vm.ping(addr(name === 'contoso' ? '10.50.0.10' : '10.60.0.10'), {
        timeoutMs: 2000,
      });
      world.run(2000);
      expect(ping.outcome).toBe('reply');
    }
  }
  expect(world.reports()).toEqual([]);
});
