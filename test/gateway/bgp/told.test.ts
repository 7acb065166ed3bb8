import { describe, expect, it } from 'vitest';
import { BgpWorld, type Parts } from './world.ts';

/** What the gateway has in the FIB of Contoso, and what its site has. */
function routesWith(parts: Parts): readonly [gw: string[], site: string[]] {
  const world = new BgpWorld({ start: 'boot', ...parts });
  world.run(20_000);
  return [world.routes('contoso').sort(), world.routes('contoso', world.sites).sort()];
}

const ROUTES = 'routes: [{ prefix: 10.50.0.0/16, via: inside }, { prefix: 10.51.0.0/16, via: inside }]';

describe('what a router tells', () => {
  it('networks, whether there is a route or not; redistribute: by where a route comes from', () => {
    expect(routesWith({ siteRouter: 'networks: [10.9.0.0/16]\n      redistribute: []' })[0]).toEqual([
      '10.9.0.0/16 hq',
    ]);
    expect(routesWith({ siteRouter: 'networks: []\n      redistribute: [connected]' })[0]).toEqual(['10.2.0.0/24 hq']);
    expect(routesWith({ siteRouter: 'networks: []\n      redistribute: [static]' })[0]).toEqual(['10.50.0.0/16 hq']);
    expect(routesWith({ siteRouter: 'networks: []\n      redistribute: [connection]' })[0]).toEqual(['10.1.0.1/32 hq']);
  });

  it('defaultOriginate: a default route to that peer, whatever policy says', () => {
    expect(routesWith({ gwPeer: 'defaultOriginate: true' })[1]).toEqual(['0.0.0.0/0 cloud', '10.1.0.0/24 cloud']);
    expect(routesWith({ gwPeer: 'defaultOriginate: true, export: none' })[1]).toEqual(['0.0.0.0/0 cloud']);
  });

  it('RFC 4271 §9.2.2.2: aggregates beside what they stand for, or with summaryOnly in its place', () => {
    const aggregate = (more: string) => ({
      siteTenant: ROUTES,
      siteRouter: `aggregates: [{ prefix: 10.48.0.0/12${more} }, { prefix: 172.16.0.0/12 }]`,
    });
    expect(routesWith(aggregate(''))[0]).toEqual([
      '10.2.0.0/24 hq',
      '10.48.0.0/12 hq',
      '10.50.0.0/16 hq',
      '10.51.0.0/16 hq',
    ]);
    expect(routesWith(aggregate(', summaryOnly: true'))[0]).toEqual(['10.2.0.0/24 hq', '10.48.0.0/12 hq']);
    // Where it is an aggregate, and nowhere else, it is a discard route.
    expect(routesWith(aggregate(''))[1]).toEqual(['10.1.0.0/24 cloud', '10.48.0.0/12 discard']);
  });
});
