import { describe, expect, it } from 'vitest';
import { resolveDocument } from '../../../src/lab/index.ts';
import { BgpWorld, gwDocument, type Parts } from './world.ts';

/** A world whose sessions are there, and what a document that differs does to it within so many milliseconds. */
class Changing {
  readonly world: BgpWorld;

  constructor(parts: Parts = {}) {
    this.world = new BgpWorld({ start: 'boot', ...parts });
    this.world.run(10_000);
    this.said();
  }

  apply(parts: Parts, milliseconds = 1000): void {
    this.world.gw.apply(resolveDocument(gwDocument({ start: 'boot', ...parts })));
    this.world.run(milliseconds);
  }

  /** What has been said of the peer of Contoso since this was asked. */
  said(): string[] {
    const said = this.world.reports().filter((text) => text.includes('contoso/hq'));
    this.world.actions.splice(0);
    return said.map((text) => text.replace('BGP peer contoso/hq: ', ''));
  }

  get routes(): readonly [gw: string[], site: string[]] {
    return [this.world.routes('contoso'), this.world.routes('contoso', this.world.sites)];
  }
}

const BOTH = ['10.2.0.0/24 hq', '10.50.0.0/16 hq'];

describe('a document that is another', () => {
  it('policies, limits and networks: nobody touches the session', () => {
    const changing = new Changing();
    changing.apply({ gwPeer: 'import: [{ prefix: 10.50.0.0/16 }]' });
    expect(changing.routes[0]).toEqual(['10.50.0.0/16 hq']);
    changing.apply({ gwRouter: 'networks: [10.1.0.0/24, 10.7.0.0/16]' });
    expect(changing.routes).toEqual([BOTH, ['10.1.0.0/24 cloud', '10.7.0.0/16 cloud']]);
    changing.apply({ gwPeer: 'export: [{ prefix: 10.9.0.0/16 }], maxPrefixes: { limit: 9 }, allowOwnAs: 1' });
    expect(changing.routes).toEqual([BOTH, []]);
    changing.apply({ gwRouter: 'transit: false' });
    expect(changing.routes).toEqual([BOTH, ['10.1.0.0/24 cloud']]);
    expect(changing.said()).toEqual([]);
  });

  it('RFC 4486 §4: a limit that is lowered below what there is ends the session', () => {
    const changing = new Changing();
    changing.apply({ gwPeer: 'maxPrefixes: { limit: 1, restartSeconds: 60 }' });
    expect(changing.routes[0]).toEqual([]);
    expect(changing.said()).toEqual([
      'notification sent: Hard Reset, Cease: Maximum Number of Prefixes Reached (00010100000001): 2 prefixes, 1 are allowed',
      'down: 2 prefixes, 1 are allowed',
    ]);
  });

  it.each([
    ['hold time', 'holdSeconds: 30'],
    ['families', 'families: [ipv4, ipv6]'],
    ['TTL', 'ttl: 9'],
  ])('what a session has settled (%s): a new one, which the peer hears of', (_, gwPeer) => {
    const changing = new Changing();
    changing.apply({ gwPeer }, 40_000);
    expect(changing.said()).toEqual([
      'notification sent: Hard Reset, Cease: Peer De-configured: stopped',
      'down: stopped',
      'established: with AS 65020',
      'end of rib: IPv4 unicast',
    ]);
    expect(changing.routes[0]).toEqual(BOTH);
  });

  it('shutdown and back: Cease with Administrative Shutdown, and as it was', () => {
    const changing = new Changing();
    changing.apply({ gwPeer: 'shutdown: true' }, 60_000);
    expect(changing.said()[0]).toBe('notification sent: Hard Reset, Cease: Administrative Shutdown: stopped');
    expect(changing.routes).toEqual([[], []]);
    changing.apply({}, 60_000);
    expect(changing.routes).toEqual([BOTH, ['10.1.0.0/24 cloud']]);
  });

  it('another AS is another router; without one all its routes go', () => {
    const changing = new Changing();
    changing.apply({ gwRouter: 'maxPaths: 4' }, 60_000);
    expect(changing.routes[0]).toEqual(BOTH);
    const document = gwDocument({ start: 'boot' }).replace(/ {4}bgp:[\s\S]*?\n(?= {2}- name: woodgrove)/, '');
    changing.world.gw.apply(resolveDocument(document));
    changing.world.run(60_000);
    expect(changing.routes).toEqual([[], []]);
    expect(changing.world.routes('woodgrove')).toHaveLength(2);
  });
});
