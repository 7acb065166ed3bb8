import { describe, expect, it } from 'vitest';
import { parsePrefix } from '../../../src/ip/index.ts';
import { addr } from '../../support/packets.ts';
import { type Parts, type Site, settled, silence } from './two-sites.ts';
import type { Gateways } from './world.ts';

const longer = 'export: [{ set: { prepend: 2 } }]';
const of50 = (world: Gateways) => world.routes('contoso').filter((route) => route.startsWith('10.50'));

describe('two connections to one site', () => {
  it('the better one carries; when it is lost the other one does, and back again', () => {
    const world = settled({ ofSites: { west: longer } });
    const vm = world.host(world.gw, 'contoso', '10.1.0.10');
    const hosts = {
      east: world.host(world.sites, 'east', '10.50.0.10'),
      west: world.host(world.sites, 'west', '10.50.0.10'),
    };
    const reached = (site: Site): void => {
      const ping = vm.ping(addr('10.50.0.10'), { timeoutMs: 1000 });
      const before = hosts[site].counters.echoRequests;
      world.run(1000);
      expect([ping.outcome, hosts[site].counters.echoRequests - before]).toEqual(['reply', 1]);
    };
    expect(of50(world)).toEqual(['10.50.0.0/16 east']);
    reached('east');
    silence(world, 'east');
    // Dead peer detection, and its retransmissions.
    world.run(200_000);
    expect(of50(world)).toEqual(['10.50.0.0/16 west']);
    reached('west');
    silence(world, undefined);
    world.run(120_000);
    expect(of50(world)).toEqual(['10.50.0.0/16 east']);
    reached('east');
  });

  it('maxPaths: equal ones share the flows, IPv4 and IPv6, and what is lost leaves the other alone at once', () => {
    const world = settled({ router: 'maxPaths: 2' });
    expect(world.routes('contoso')).toEqual([
      '10.50.0.0/16 east',
      '10.50.0.0/16 west',
      'fd00:50::/32 east',
      'fd00:50::/32 west',
    ]);
    world.gw.dispatch({ type: 'down', tenant: 'contoso', connection: 'east', what: 'ike' });
    world.run(12);
    expect(world.routes('contoso')).toEqual(['10.50.0.0/16 west', 'fd00:50::/32 west']);
    world.run(2000);
    expect(world.routes('contoso')).toHaveLength(4);
  });

  it.each([
    ['localPreference at the gateway', { peers: { west: 'import: [{ set: { localPreference: 200 } }]' } }],
    ['weight', { peers: { west: 'import: [{ set: { weight: 5 } }]' } }],
    ['MED of the site', { ofSites: { east: 'export: [{ set: { med: 9 } }]' } }],
    ['origin', { ofSites: { east: 'export: [{ set: { origin: incomplete } }]' } }],
    [
      'alwaysCompareMed',
      {
        asn: { west: 65030 },
        router: 'decision: { alwaysCompareMed: true }',
        ofSites: { east: 'export: [{ set: { med: 9 } }]' },
      },
    ],
    [
      'missingMedAsWorst',
      { router: 'decision: { missingMedAsWorst: true }', ofSites: { west: 'export: [{ set: { med: 9 } }]' } },
    ],
  ] satisfies [string, Parts][])('%s decides for the second one', (_, parts) => {
    expect(of50(settled())).toEqual(['10.50.0.0/16 east']);
    expect(of50(settled(parts))).toEqual(['10.50.0.0/16 west']);
  });
});

describe('two sites', () => {
  const parts = { asn: { west: 65030 }, networks: { east: '[10.50.0.0/16]', west: '[10.60.0.0/16]' } };

  it('transit: what one says is told to the other, or not', () => {
    const open = settled(parts);
    expect(open.routes('west', open.sites)).toContain('10.50.0.0/16 cloud');
    const closed = settled({ ...parts, router: 'transit: false' });
    expect(closed.routes('west', closed.sites)).toEqual(['10.1.0.0/24 cloud', 'fd00:1::/64 cloud']);
    expect(of50(closed)).toEqual(['10.50.0.0/16 east']);
  });

  it('RFC 2545, RFC 4760: IPv6 routes over IPv4 sessions, and through the tunnels', () => {
    const world = settled({ networks: '["fd00:2::/64"]', ofSites: { west: 'export: none' } });
    expect(world.routes('contoso')).toEqual(['fd00:2::/64 east']);
    expect(world.routes('east', world.sites)).toEqual(['10.1.0.0/24 cloud', 'fd00:1::/64 cloud']);
    const vm = world.host(world.gw, 'contoso', 'fd00:1::10');
    world.host(world.sites, 'east', 'fd00:2::10');
    const ping = vm.ping(addr('fd00:2::10'), { timeoutMs: 1000 });
    world.run(1000);
    expect(ping.outcome).toBe('reply');
  });

  it('§9.1.2.1: a site that says the way to itself, or everything, does not pull the ground from under its tunnel', () => {
    const world = settled({
      networks: '[0.0.0.0/0, 10.2.0.0/24, 10.2.0.1/32, 192.0.2.0/24, 192.0.2.11/32]',
      ofSites: { west: 'export: none' },
    });
    world.run(300_000);
    expect(world.reports().filter((text) => text.includes('east: established'))).toHaveLength(1);
    expect(world.routes('contoso')).toContain('0.0.0.0/0 east');
    world.host(world.sites, 'east', '198.51.100.7');
    const explained = world.gw.gateway.compartment('contoso')!.explain(addr('10.2.0.1'));
    expect(explained.chosen?.origin).toBe('connection');
  });

  it('§9.1.2.1: a next hop that only BGP leads to cannot be used', () => {
    const world = settled({
      networks: '[10.2.0.0/24, 10.50.0.0/16]',
      ofSites: { east: 'export: [{ prefix: 10.50.0.0/16, set: { nextHop: 10.2.0.77 } }, {}]', west: 'export: none' },
    });
    expect(world.routes('contoso')).toEqual(['10.2.0.0/24 east']);
    expect(world.gw.gateway.bgp.explain('contoso', parsePrefix('10.50.0.0/16')!)?.paths).toMatchObject([
      { peer: 'east', best: false, why: 'next hop 10.2.0.77 cannot be used: no route to 10.2.0.77' },
    ]);
  });
});
