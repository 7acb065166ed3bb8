import { describe, expect, it } from 'vitest';
import type { BgpCommand } from '../../../src/gateway/contract.ts';
import type { BgpPeerStatus } from '../../../src/gateway/status-bgp.ts';
import { formatPrefix } from '../../../src/ip/index.ts';
import { resolveDocument } from '../../../src/lab/index.ts';
import { BgpWorld, gwDocument, type Parts, siteDocument } from './world.ts';

/** A world whose sessions are there, and what a document that differs does to it within so many milliseconds. */
class Changing {
  readonly world: BgpWorld;

  constructor(parts: Parts = {}) {
    this.world = new BgpWorld({ start: 'boot', ...parts });
    this.world.run(10_000);
    this.said();
  }

  /** `edit`: of the text. */
  apply(parts: Parts, milliseconds = 1000, edit = (text: string): string => text): void {
    this.world.gw.apply(resolveDocument(edit(gwDocument({ start: 'boot', ...parts }))));
    this.world.run(milliseconds);
  }

  ask(what: BgpCommand, milliseconds = 1000, text = ''): void {
    this.world.gw.dispatch({ type: 'bgp', tenant: 'contoso', peer: 'hq', what, text });
    this.world.run(milliseconds);
  }

  /** The session as the site has it. */
  get atSite(): BgpPeerStatus {
    const { gateway } = this.world.sites;
    return gateway.bgp.peers(this.world.timeline.now).find(({ tenant }) => tenant === 'contoso')!;
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

const withRoute = (route: string) => (text: string) => text.replace(/ {4}bgp:/g, `    routes: [${route}]\n    bgp:`);
const withoutConnections = (text: string) => text.replace(/ {4}connections:[\s\S]*?\n(?= {4}(routes|bgp):)/g, '');
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

  it('RFC 4486 §4: a session that ended for its prefixes comes back once more are allowed, and no other begins anew', () => {
    const changing = new Changing();
    changing.apply({ gwPeer: 'maxPrefixes: { limit: 1 }' }, 600_000);
    expect(changing.routes[0]).toEqual([]);
    changing.said();
    changing.apply({ gwPeer: 'maxPrefixes: { limit: 2 }' }, 10_000);
    expect(changing.said()[0]).toBe('established: with AS 65020');
    expect(changing.routes[0]).toEqual(BOTH);
    changing.said();
    changing.apply({}, 10_000);
    expect(changing.said()).toEqual([]);
  });

  it.each([
    ['hold time', 'holdSeconds: 30'],
    ['families', 'families: [ipv4, ipv6]'],
    ['TTL', 'ttl: 9'],
  ])(
    'RFC 4486 §4: what a session has settled (%s): a new one, which the peer hears of and may wait for',
    (_, gwPeer) => {
      const changing = new Changing();
      changing.apply({ gwPeer }, 40_000);
      expect(changing.said()).toEqual([
        'notification sent: Cease: Other Configuration Change: stopped: its configuration has changed',
        'down: stopped: its configuration has changed',
        'established: with AS 65020',
        'end of rib: IPv4 unicast',
      ]);
      expect(changing.routes[0]).toEqual(BOTH);
    },
  );

  it('shutdown and back: Cease with Administrative Shutdown, and as it was', () => {
    const changing = new Changing();
    changing.apply({ gwPeer: 'shutdown: true' }, 60_000);
    expect(changing.said()[0]).toBe('notification sent: Hard Reset, Cease: Administrative Shutdown: stopped');
    expect(changing.routes).toEqual([[], []]);
    changing.apply({}, 60_000);
    expect(changing.routes).toEqual([BOTH, ['10.1.0.0/24 cloud']]);
  });

  it('RFC 2439: dampening: nobody touches the session, and what was damped is used as the new rules say', () => {
    const changing = new Changing({ gwRouter: 'dampening: {}' });
    const flap = () => {
      for (const siteRouter of ['networks: []', '', 'networks: []', '', 'networks: []', '']) {
        changing.world.sites.apply(resolveDocument(siteDocument({ siteRouter })));
        changing.world.run(100);
      }
      changing.said();
    };
    flap();
    expect(changing.routes[0]).toEqual(['10.50.0.0/16 hq']);
    const routes = (gwRouter: string) => {
      changing.apply({ gwRouter });
      return changing.routes[0];
    };
    expect(routes('dampening: { halfLifeSeconds: 10m, reuse: 100 }')).toEqual(['10.50.0.0/16 hq']);
    expect(routes('dampening: { reuse: 4000, suppress: 9000 }')).toEqual(BOTH);
    flap();
    expect(changing.routes[0]).toEqual(BOTH);
    expect(routes('')).toEqual(BOTH);
    expect(routes('dampening: {}')).toEqual(BOTH);
    flap();
    expect(changing.routes[0]).toEqual(['10.50.0.0/16 hq']);
    expect(routes('')).toEqual(BOTH);
    expect([changing.said(), changing.atSite.connectionsEstablished]).toEqual([[], 1]);
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

  it('RFC 4271 §9.1.2.1: a way to a next hop that comes or goes is a route that does', () => {
    const gwPeer = 'import: [{ set: { nextHop: 10.9.9.9 } }]';
    const changing = new Changing({ gwPeer });
    expect(changing.routes[0]).toEqual([]);
    const edit = withRoute('{ prefix: 10.9.9.9/32, via: inside }');
    changing.apply({ gwPeer }, 1000, edit);
    expect(changing.routes[0]).toEqual(['10.2.0.0/24 inside 10.9.9.9', '10.50.0.0/16 inside 10.9.9.9']);
    changing.apply({ gwPeer });
    expect(changing.routes[0]).toEqual([]);
    expect(changing.world.gw.gateway.bgp.summaries(changing.world.timeline.now)[0]!.ribCount).toBe(3);
    changing.apply({ gwPeer }, 1000, edit);
    expect(changing.routes[0]).toHaveLength(2);
  });

  it('a peer whose connection is gone: its routes go at once, and by no other way', () => {
    const changing = new Changing();
    changing.apply({}, 0, (text) => withoutConnections(withRoute('{ prefix: 0.0.0.0/0, via: inside }')(text)));
    expect(changing.routes[0]).toEqual([]);
    expect(changing.said()).toContain('down: the tunnel it went by is no way to it any more');
  });

  it('a peer that goes together with its connection hears of it before the way is gone', () => {
    const changing = new Changing();
    changing.apply({}, 1000, (text) =>
      withoutConnections(text).replace(/ {4}bgp:[\s\S]*?\n(?= {2}- name: woodgrove)/, ''),
    );
    expect(changing.atSite).toMatchObject({ lastErrorReceived: { code: 6, subcode: 9 } });
    expect(changing.routes).toEqual([[], []]);
  });

  it('what an operator wants down stays so, whatever is reset or changed, until it is begun', () => {
    const changing = new Changing();
    changing.ask('stop', 40_000, 'back at noon');
    changing.ask('reset', 40_000);
    const { gateway } = changing.world.gw;
    expect(gateway.bgp.peers(changing.world.timeline.now)[0]).toMatchObject({ why: 'stopped: back at noon' });
    changing.apply({ gwPeer: 'holdSeconds: 30' }, 40_000);
    changing.apply({ gwPeer: 'holdSeconds: 30', gwRouter: 'maxPaths: 4' }, 40_000);
    expect(changing.routes).toEqual([[], []]);
    changing.ask('start', 40_000);
    expect(changing.routes[0]).toEqual(BOTH);
  });

  it('what the document wanted down is not, once it says so', () => {
    const changing = new Changing({ gwPeer: 'shutdown: true' });
    changing.ask('reset', 40_000);
    expect(changing.routes[0]).toEqual([]);
    changing.apply({ gwPeer: 'holdSeconds: 30', gwRouter: 'maxPaths: 4' }, 40_000);
    expect(changing.routes[0]).toEqual(BOTH);
  });

  it("no peer says what the host sends where: its routes are not the kernel's", () => {
    const changing = new Changing();
    const tun = (text: string) =>
      text.replace(
        /(interfaces: .*)\]\n/,
        '$1, { name: host, driver: tun, device: bh-host, addresses: [10.8.0.1/24] }]\n',
      );
    changing.apply({}, 1000, tun);
    const told = changing.world.actions.flatMap((action) =>
      action.do === 'host-routes' && action.interface === 'host' ? [action.prefixes.map(formatPrefix)] : [],
    );
    expect(told.at(-1)).toEqual(['10.2.0.1/32', '10.8.0.0/24']);
    expect(changing.routes[0]).toEqual(BOTH);
  });
});
