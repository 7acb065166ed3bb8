/** Keys of a router and of its peers, each by what it does. */
import { describe, expect, it } from 'vitest';
import { ipVersion, parsePrefix } from '../../../src/ip/index.ts';
import { resolveDocument } from '../../../src/lab/index.ts';
import {
  siteDocument as bothSites,
  settled as settledSites,
  silence,
  gwDocument as sitesDocument,
} from './two-sites.ts';
import { BgpWorld, Gateways, gwDocument, type Parts, siteDocument } from './world.ts';

function settled(parts: Parts, milliseconds = 10_000): BgpWorld {
  const world = new BgpWorld(parts);
  world.run(milliseconds);
  return world;
}

const peerOf = (world: Gateways, tenant = 'contoso') =>
  world.gw.gateway.bgp.peers(world.timeline.now).find((peer) => peer.tenant === tenant)!;
const isUp = (world: Gateways): boolean => peerOf(world).state === 'Established';
const of50 = (world: Gateways) => world.routes('contoso').filter((route) => route.startsWith('10.50'));

/** IP packets of the compartment Contoso itself at the gateway, of a document in which the peer is on the segment `inside`. */
function ownPackets(peer: string, milliseconds = 1000): { at: number; packet: Uint8Array }[] {
  const world = new BgpWorld();
  const packets: { at: number; packet: Uint8Array }[] = [];
  world.gw
    .segment('contoso', 'inside')
    .tap((packet) => packets.push({ at: world.timeline.now, packet: packet.slice() }));
  const document = gwDocument({}).replace(
    'address: 10.2.0.1, asn: 65020',
    `address: 10.1.0.99, asn: 65020${peer === '' ? '' : `, ${peer}`}`,
  );
  world.gw.apply(resolveDocument(document));
  world.run(milliseconds);
  return packets.filter(({ packet }) => ipVersion(packet, 0) === 4 && packet[9] === 6 && packet[19] === 99);
}

describe('a router', () => {
  it('RFC 6286 §2.1: routerId is what the OPEN has; without it the first own IPv4 address', () => {
    expect(peerOf(settled({}))).toMatchObject({ localId: '10.1.0.1', remoteId: '10.2.0.1' });
    const world = settled({ gwRouter: 'routerId: 192.0.2.77', siteRouter: 'routerId: 192.0.2.78' });
    expect(peerOf(world)).toMatchObject({ localId: '192.0.2.77', remoteId: '192.0.2.78' });
  });

  it('compareRouterId: the lower identifier wins, where otherwise the older route does', () => {
    const chosen = (router: string): string[] => {
      const world = settledSites({ router });
      for (const what of ['stop', 'start'] as const) {
        world.gw.dispatch({ type: 'bgp', tenant: 'contoso', peer: 'east', what, text: '' });
        world.run(60_000);
      }
      return of50(world);
    };
    expect(chosen('')).toEqual(['10.50.0.0/16 west']);
    expect(chosen('decision: { compareRouterId: true }')).toEqual(['10.50.0.0/16 east']);
  });

  it('aggregates with asSet: what the site gets has an AS_SET', () => {
    const networks = { east: '[10.50.0.0/16]', west: '[10.51.0.0/16]' };
    const world = settledSites({
      networks,
      asn: { east: 65021, west: 65022 },
      router: 'aggregates: [{ prefix: 10.48.0.0/12, asSet: true }]',
    });
    // Each of the two finds its own AS in it.
    expect(world.routes('east', world.sites)).not.toContain('10.48.0.0/12 cloud');
    expect(world.gw.gateway.bgp.explain('contoso', parsePrefix('10.48.0.0/12')!)?.paths).toMatchObject([
      { peer: 'local', best: true, attributes: { asPath: '{65021,65022}' } },
    ]);
    const plain = settledSites({
      networks,
      asn: { east: 65021, west: 65022 },
      router: 'aggregates: [{ prefix: 10.48.0.0/12 }]',
    });
    expect(plain.routes('east', plain.sites)).toContain('10.48.0.0/12 cloud');
  });
});

describe('aggregates with set', () => {
  const PREFIX = '10.48.0.0/12';
  const router = (set: string) => `aggregates: [{ prefix: ${PREFIX}, summaryOnly: true, set: { ${set} } }]`;
  const parts = (set: string, west = 65022) => ({
    router: router(set),
    asn: { east: 65021, west },
    networks: { east: '[10.50.0.0/16]', west: '[10.70.0.0/16]' },
  });
  const explained = (world: Gateways) => world.gw.gateway.bgp.explain('contoso', parsePrefix(PREFIX)!)!.paths[0]!;
  const toldOf = (world: Gateways) =>
    world.gw.gateway.bgp.advertised('contoso', 'west', { offset: 0, limit: 9 })!.find(({ prefix }) => prefix === PREFIX)
      ?.attributes;

  it('what is chosen, what `explain` shows and what a peer is told; changed under the session', () => {
    const world = settledSites(parts('med: 50, addCommunities: ["65010:48"], localPreference: 300, prepend: 1'));
    const common = { communities: ['65010:48'], med: 50 };
    expect(explained(world)).toMatchObject({
      best: true,
      why: 'our own: an aggregate of what is more specific',
      attributes: { ...common, localPreference: 300, weight: 32768, asPath: '65010 65021' },
    });
    expect(toldOf(world)).toMatchObject({ ...common, asPath: '65010 65010 65021', nextHop: '10.1.0.1' });
    world.gw.apply(resolveDocument(sitesDocument(parts('med: 60, weight: 5, origin: egp'))));
    world.run(100);
    expect(explained(world).attributes).toMatchObject({ med: 60, weight: 5, origin: 'egp', communities: [] });
    expect(toldOf(world)).toMatchObject({ med: 60, origin: 'egp', asPath: '65010 65021' });
    expect(peerOf(world).connectionsEstablished).toBe(1);
    expect(world.routes('west', world.sites)).toContain(`${PREFIX} cloud`);
  });

  it('RFC 1997: no-export keeps it in the AS; RFC 4271 §5.1.3: an internal peer gets the next hop, where that can be used', () => {
    expect(toldOf(settledSites(parts('addCommunities: no-export')))).toBeUndefined();
    expect(toldOf(settledSites(parts('addCommunities: no-export', 65010)))?.communities).toEqual(['no-export']);
    expect(toldOf(settledSites(parts('nextHop: 10.1.0.77, localPreference: 7', 65010)))).toMatchObject({
      nextHop: '10.1.0.77',
      localPreference: 7,
    });
    const nowhere = settledSites(parts('nextHop: 192.0.2.200', 65010));
    expect(toldOf(nowhere)).toBeUndefined();
    expect(explained(nowhere)).toMatchObject({
      best: false,
      why: expect.stringContaining('192.0.2.200 cannot be used'),
    });
  });
});

describe('the session of a peer', () => {
  it('passive: two of them wait for ever, one is dialled', () => {
    expect(isUp(settled({ gwPeer: 'passive: true', sitePeer: 'passive: true' }, 100_000))).toBe(false);
    const world = settled({ gwPeer: 'passive: true', start: 'boot' }, 60_000);
    expect(peerOf(world)).toMatchObject({ state: 'Established', dialledBy: 'peer' });
    expect(peerOf(settled({ sitePeer: 'passive: true' }))).toMatchObject({ state: 'Established', dialledBy: 'us' });
  });

  it('shutdown: not begun until an operator says so', () => {
    const world = settled({ gwPeer: 'shutdown: true' }, 60_000);
    expect(isUp(world)).toBe(false);
    world.gw.dispatch({ type: 'bgp', tenant: 'contoso', peer: 'hq', what: 'start', text: '' });
    world.run(60_000);
    expect(isUp(world)).toBe(true);
  });

  const order = (world: BgpWorld, what: 'start' | 'stop' | 'refresh-out', at = world.gw, peer = 'hq') =>
    at.dispatch({ type: 'bgp', tenant: 'contoso', peer, what, text: '' });

  it('RFC 4271 §8.1.1: start: manual: begun by an operator alone, and again by one alone after a failure', () => {
    const parts = { gwPeer: 'start: manual', start: 'boot', sitePeer: 'connectRetrySeconds: 5' };
    const world = settled(parts, 100_000);
    expect(peerOf(world)).toMatchObject({ state: 'Idle', peerState: 'Admin', connectionsEstablished: 0 });
    order(world, 'start');
    world.run(60_000);
    expect(peerOf(world)).toMatchObject({ state: 'Established', peerState: 'OK' });
    order(world, 'stop', world.sites, 'cloud');
    order(world, 'start', world.sites, 'cloud');
    world.run(300_000);
    expect(peerOf(world)).toMatchObject({ state: 'Idle', connectionsEstablished: 1, why: /Cease/ });
    expect(peerOf(world).nextTrySeconds).toBeUndefined();
    order(world, 'start');
    world.run(60_000);
    expect(peerOf(world)).toMatchObject({ state: 'Established', connectionsEstablished: 2 });
    // That the tunnel is up again is no reason to begin.
    world.gw.dispatch({ type: 'down', tenant: 'contoso', connection: 'hq', what: 'ike' });
    world.run(1000);
    world.gw.dispatch({ type: 'up', tenant: 'contoso', connection: 'hq', what: 'ike' });
    world.run(100_000);
    expect(peerOf(world)).toMatchObject({ state: 'Idle', connectionsEstablished: 2 });
    world.gw.apply(resolveDocument(gwDocument({ start: 'boot' })));
    world.run(60_000);
    expect(isUp(world)).toBe(true);
  });

  it('RFC 4271 §8.1.1: idleHoldSeconds: how long Idle is held after a failure, less a quarter at most', () => {
    const next = (gwPeer: string) => {
      const world = settled({ gwPeer });
      order(world, 'stop', world.sites, 'cloud');
      world.run(100);
      return peerOf(world).nextTrySeconds!;
    };
    expect(next('')).toBeLessThanOrEqual(2);
    expect(next('idleHoldSeconds: 400')).toBeGreaterThanOrEqual(299);
    expect(next('idleHoldSeconds: 400')).toBeLessThanOrEqual(400);
  });

  it('RFC 4271 §8.1.1: delayOpenSeconds: the OPEN of the peer is waited for, and no longer', () => {
    const delays = 'delayOpenSeconds: 30';
    expect(isUp(settled({ gwPeer: delays }))).toBe(true);
    const world = settled({ gwPeer: delays, sitePeer: delays }, 25_000);
    expect(['Connect', 'Active']).toContain(peerOf(world).state);
    world.run(15_000);
    expect(isUp(world)).toBe(true);
  });

  it('RFC 9687: sendHoldSeconds: a peer that takes nothing is given up after so long; with 0 it is not', () => {
    const lasts = (sendHoldSeconds: number, seconds: number): boolean => {
      const keys = `holdSeconds: 0, tunnelDown: ignore, sendHoldSeconds: ${sendHoldSeconds}`;
      const networks = Array.from({ length: 500 }, (_, i) => `10.${100 + (i >>> 8)}.${i & 0xff}.0/24`);
      const world = settled({
        gwPeer: keys,
        sitePeer: 'holdSeconds: 0, tunnelDown: ignore',
        gwRouter: `networks: [${networks.join(', ')}]`,
      });
      world.outer.filter = () => false;
      // More than TCP keeps for the peer.
      for (let i = 0; i < 50; i++) order(world, 'refresh-out');
      world.run(1000 * seconds);
      const said = world.reports().some((text) => text.includes('send hold timer'));
      expect(said).toBe(!isUp(world));
      return isUp(world);
    };
    expect([lasts(20, 19), lasts(20, 21), lasts(0, 60)]).toEqual([true, false, true]);
  });

  it('RFC 4271 §9.2.1.1: advertisementIntervalSeconds: changes go so long after what went before, less a quarter at most', () => {
    const parts = (networks: string, seconds: number) => ({
      gwPeer: `advertisementIntervalSeconds: ${seconds}`,
      gwRouter: `networks: [${networks}]`,
    });
    const world = settled(parts('10.1.0.0/24, 10.70.0.0/16', 40), 60_000);
    const change = (networks: string, seconds = 40) => {
      world.gw.apply(resolveDocument(gwDocument(parts(networks, seconds))));
      world.run(100);
    };
    const told = () => world.routes('contoso', world.sites).map((route) => route.split(' ')[0]);
    change('10.1.0.0/24, 10.70.0.0/16, 10.71.0.0/16');
    const first = world.timeline.now;
    expect(told()).toEqual(['10.1.0.0/24', '10.70.0.0/16', '10.71.0.0/16']);
    expect(peerOf(world).advertisementIntervalSeconds).toBe(40);
    expect(peerOf(world).nextAdvertisementSeconds).toBeUndefined();
    change('10.1.0.0/24, 10.71.0.0/16, 10.72.0.0/16');
    expect(told()).toEqual(['10.1.0.0/24', '10.70.0.0/16', '10.71.0.0/16']);
    const { nextAdvertisementSeconds: next } = peerOf(world);
    expect(next).toBeGreaterThanOrEqual(29);
    expect(next).toBeLessThanOrEqual(40);
    world.run(1000 * next! - 1100);
    expect(told()).toContain('10.70.0.0/16');
    world.run(1200);
    expect(told()).toEqual(['10.1.0.0/24', '10.71.0.0/16', '10.72.0.0/16']);
    expect(world.timeline.now - first).toBeGreaterThanOrEqual(30_000);
    // Taken away under the session, and with it all waiting.
    change('10.73.0.0/16');
    change('10.73.0.0/16', 0);
    expect(told()).toEqual(['10.73.0.0/16']);
    expect(peerOf(world)).toMatchObject({ connectionsEstablished: 1 });
    expect(peerOf(world).advertisementIntervalSeconds).toBeUndefined();
  });

  it('RFC 7911: addPaths: how many paths of a prefix are sent; changed under the session', () => {
    const parts = (west: string) => ({
      asn: { east: 65021, west: 65022 },
      networks: { east: '[10.1.0.0/24]', west: '[10.60.0.0/16]' },
      peers: { west: `import: all, addPath: send${west}` },
      ofSites: { west: 'export: all, addPath: receive' },
    });
    const world = settledSites(parts(''));
    const told = () =>
      world.gw.gateway.bgp
        .advertised('contoso', 'west', { offset: 0, limit: 9 })!
        .flatMap(({ prefix, attributes }) => (prefix === '10.1.0.0/24' ? [attributes.asPath] : []));
    expect(told()).toEqual(['65010', '65010 65021']);
    world.gw.apply(resolveDocument(sitesDocument(parts(', addPaths: 1'))));
    world.run(100);
    expect(told()).toEqual(['65010']);
    expect(world.gw.gateway.bgp.peers(world.timeline.now).map((each) => each.connectionsEstablished)).toEqual([1, 1]);
  });

  it('RFC 4271 §4.2: holdSeconds: the smaller one holds, 0 is none', () => {
    expect(peerOf(settled({ gwPeer: 'holdSeconds: 30' }))).toMatchObject({ holdSeconds: 30, keepaliveSeconds: 10 });
    expect(peerOf(settled({ gwPeer: 'holdSeconds: 30', sitePeer: 'holdSeconds: 9' }))).toMatchObject({
      holdSeconds: 9,
    });
    expect(peerOf(settled({ sitePeer: 'holdSeconds: 0' }))).toMatchObject({ holdSeconds: 0, keepaliveSeconds: 0 });
  });

  it('localAddress: the session runs from it, and the peer knows no other', () => {
    const parts = { sitePeer: 'passive: true' };
    const two = (document: string) =>
      document
        .replaceAll('addresses: [10.1.0.1/24]', 'addresses: [10.1.0.1/24, 10.9.0.1/24]')
        .replaceAll('address: 10.2.0.1, asn', 'address: 10.2.0.1, localAddress: 10.9.0.1, asn');
    const world = new BgpWorld(parts);
    world.gw.apply(resolveDocument(two(gwDocument(parts))));
    world.run(60_000);
    // The site has 10.1.0.1 as its peer: who comes from elsewhere is nobody.
    expect(isUp(world)).toBe(false);
    const packets = ownPackets('localAddress: 10.1.0.1');
    expect(packets[0]!.packet.subarray(12, 16)).toEqual(Uint8Array.of(10, 1, 0, 1));
  });

  it('port: where the peer is dialled', () => {
    const portOf = ({ packet }: { packet: Uint8Array }) => packet[22]! * 256 + packet[23]!;
    expect(portOf(ownPackets('')[0]!)).toBe(179);
    expect(portOf(ownPackets('port: 1790')[0]!)).toBe(1790);
  });

  it('RFC 5082, ttl: 1 to an external peer on the segment, 64 to one further away, 255 with ttlSecurityHops', () => {
    const ttlOf = (peer: string) => ownPackets(peer)[0]!.packet[8];
    expect(ttlOf('')).toBe(1);
    expect(ttlOf('ttl: 7')).toBe(7);
    expect(ttlOf('ttlSecurityHops: 2')).toBe(255);
  });

  it('RFC 5082 §3: ttlSecurityHops: who is further away, or does not send with 255, is not heard', () => {
    expect(isUp(settled({ gwPeer: 'ttlSecurityHops: 1', sitePeer: 'ttlSecurityHops: 1' }))).toBe(true);
    expect(isUp(settled({ gwPeer: 'ttlSecurityHops: 1' }, 60_000))).toBe(false);
  });

  /** What is sent to a peer, or told by it, of a prefix. */
  const pathsOf = (world: Gateways, peer: string, prefix: string) => {
    const { bgp } = world.gw.gateway;
    const page = { offset: 0, limit: 9 };
    const pathOf = (list: readonly { prefix: string; attributes: { asPath: string } }[]) =>
      list.find((each) => each.prefix === prefix)?.attributes.asPath;
    const received = bgp.received('contoso', peer, page)!.map((each) => ({ ...each, attributes: each.before }));
    return { told: pathOf(bgp.advertised('contoso', peer, page)!), received: pathOf(received) };
  };

  it('RFC 7705 §3: localAs: the OPEN has it, and AS_PATH in place of ours; what the peer says stays as it is', () => {
    const parts = {
      asn: { east: 65021, west: 65022 },
      networks: { east: '[10.50.0.0/16]', west: '[10.60.0.0/16]' },
      peers: { west: 'import: all, localAs: 65099' },
    };
    // West has this as the AS of its peer, and would refuse another (RFC 4271 §6.2).
    const sites = bothSites(parts).split('name: west');
    const world = new Gateways(sitesDocument(parts), `${sites[0]}name: west${sites[1]!.replace('65010', '65099')}`);
    world.run(10_000);
    const [, west] = world.gw.gateway.bgp.peers(world.timeline.now);
    expect(west).toMatchObject({ state: 'Established', kind: 'external', localAs: 65_099, remoteAs: 65_022 });
    expect(west!.capabilitiesSent).toContain('FOUR_OCTET_AS 65099');
    expect(pathsOf(world, 'west', '10.1.0.0/24').told).toBe('65099');
    expect(pathsOf(world, 'west', '10.50.0.0/16').told).toBe('65099 65021');
    expect(pathsOf(world, 'west', '10.60.0.0/16').received).toBe('65022');
    expect(pathsOf(world, 'east', '10.60.0.0/16').told).toBe('65010 65022');
    expect(world.routes('west', world.sites)).toContain('10.50.0.0/16 cloud');
    // Another AS is another session, which west does not want.
    world.gw.apply(resolveDocument(sitesDocument({ ...parts, peers: {} })));
    world.run(10_000);
    expect(peerOf(world)).toMatchObject({ name: 'east', connectionsEstablished: 1 });
    expect(world.gw.gateway.bgp.peers(world.timeline.now)[1]).toMatchObject({
      localAs: 65_010,
      lastErrorReceived: { code: 2, subcode: 2 },
    });
  });

  it('localAs: what a policy prepends is it; with the AS of the peer the session is internal', () => {
    const of = (gwPeer: string, asn: number) => {
      const parts = { gwPeer };
      const world = new Gateways(gwDocument(parts), siteDocument(parts).replaceAll('asn: 65010', `asn: ${asn}`));
      world.run(10_000);
      return { ...pathsOf(world, 'hq', '10.1.0.0/24'), kind: peerOf(world).kind, routes: world.routes('contoso') };
    };
    expect(of('localAs: 65099, import: [{ set: { prepend: 1 } }], export: [{ set: { prepend: 2 } }]', 65_099)).toEqual({
      kind: 'external',
      told: '65099 65099 65099',
      routes: ['10.2.0.0/24 hq', '10.50.0.0/16 hq'],
    });
    const inner = of('localAs: 65020', 65_020);
    expect([inner.kind, inner.told, inner.routes.length]).toEqual(['internal', '', 2]);
  });

  it('connectRetrySeconds: how long a dial that comes to nothing is tried, less a quarter at most (RFC 4271 §10)', () => {
    const dials = (peer: string): number[] => {
      const syns = ownPackets(peer, 100_000).filter(({ packet }) => (packet[33]! & 0x02) !== 0);
      const ports = new Map<number, number>();
      for (const { at, packet } of syns) {
        const port = packet[20]! * 256 + packet[21]!;
        if (!ports.has(port)) ports.set(port, at);
      }
      return [...ports.values()];
    };
    const [first, second] = dials('connectRetrySeconds: 40');
    expect(second! - first!).toBeGreaterThanOrEqual(30_000);
    expect(second! - first!).toBeLessThanOrEqual(40_000);
    expect(dials('connectRetrySeconds: 2').length).toBeGreaterThan(40);
  });

  it('families: IPv6 only where both have it', () => {
    expect(peerOf(settled({ gwPeer: 'families: [ipv4, ipv6]' })).families).toEqual(['IPv4 unicast']);
    const both = 'families: [ipv4, ipv6]';
    expect(peerOf(settled({ gwPeer: both, sitePeer: both })).families).toEqual(['IPv4 unicast', 'IPv6 unicast']);
  });

  it('RFC 7911: addPath: what the OPEN says of it', () => {
    const said = (mode: string) =>
      peerOf(settled({ gwPeer: `addPath: ${mode}` })).capabilitiesSent.filter((each) => each.startsWith('ADD_PATH'));
    expect(said('off')).toEqual([]);
    expect(said('receive')).toEqual(['ADD_PATH IPv4 unicast receive']);
    expect(said('send')).toEqual(['ADD_PATH IPv4 unicast send']);
    expect(said('both')).toEqual(['ADD_PATH IPv4 unicast send and receive']);
  });

  it('RFC 4724: gracefulRestartSeconds: 0 says nothing, and keeps nothing', () => {
    const said = (parts: Parts) => peerOf(settled(parts)).capabilitiesSent.filter((each) => /graceful/i.test(each));
    expect(said({ gwPeer: 'gracefulRestartSeconds: 0' })).toEqual([]);
    expect(said({ gwPeer: 'gracefulRestartSeconds: 77' })[0]).toContain('77');
    const world = settled({ gwPeer: 'tunnelDown: retain', sitePeer: 'gracefulRestartSeconds: 0' });
    world.gw.dispatch({ type: 'down', tenant: 'contoso', connection: 'hq', what: 'ike' });
    world.run(15);
    expect(world.routes('contoso')).toEqual([]);
  });

  it('RFC 4724 §4.1: Restart State in the first session of a process, of which forwarding has not survived, and in no other', () => {
    const world = settled({});
    const said = () => peerOf(world).capabilitiesSent.find((each) => /graceful/i.test(each));
    expect(said()).toBe('GRACEFUL_RESTART 120 s restarting notification, IPv4 unicast');
    world.gw.dispatch({ type: 'bgp', tenant: 'contoso', peer: 'hq', what: 'reset', text: '' });
    world.run(10_000);
    expect(said()).toBe('GRACEFUL_RESTART 120 s notification, IPv4 unicast forwarding');
    const settings = { start: 'boot', gwPeer: 'gracefulRestartSeconds: 60' };
    world.gw.apply(resolveDocument(gwDocument(settings)));
    world.run(40_000);
    expect(said()).toBe('GRACEFUL_RESTART 60 s notification, IPv4 unicast');
  });
});

describe('RFC 4724 §4.1: selectionDeferralSeconds', () => {
  /** Two sites; the gateway begins anew while one of them is away. */
  const partsWith = (router: string) => ({
    router,
    networks: { east: '[10.50.0.0/16]', west: '[10.60.0.0/16]' },
    asn: { east: 65021, west: 65022 },
  });
  function restarted(router: string) {
    const world = settledSites(partsWith(router));
    silence(world, 'west');
    world.gw.restart();
    world.run(20_000);
    const told = (peer: string) => world.gw.gateway.bgp.advertised('contoso', peer, { offset: 0, limit: 9 })!.length;
    const deferred = () => world.gw.gateway.bgp.summaries(world.timeline.now)[0]!.selectionDeferredSeconds;
    return { world, told, deferred, east: peerOf(world) };
  }

  it('0, the default: routes of a peer are chosen as they come; the peer is told of the restart', () => {
    const { world, told, deferred, east } = restarted('');
    expect([east.state, world.routes('contoso'), told('east') > 0]).toEqual([
      'Established',
      ['10.50.0.0/16 east'],
      true,
    ]);
    expect(deferred()).toBeUndefined();
    const said = () => peerOf(world).capabilitiesSent.find((each) => each.startsWith('GRACEFUL_RESTART'));
    expect(said()).toContain('restarting');
    world.gw.dispatch({ type: 'bgp', tenant: 'contoso', peer: 'east', what: 'reset', text: '' });
    world.run(60_000);
    expect([peerOf(world).state, said()?.includes('restarting')]).toEqual(['Established', false]);
  });

  it('what is not there is waited for, and no longer than that; until then nothing is used and nothing told', () => {
    const { world, told, deferred, east } = restarted('selectionDeferralSeconds: 1m');
    expect([east.state, east.pfxRcd, deferred()]).toEqual(['Established', 1, 40]);
    expect([world.routes('contoso'), world.routes('east', world.sites)]).toEqual([[], []]);
    const [path] = world.gw.gateway.bgp.explain('contoso', parsePrefix('10.50.0.0/16')!)!.paths;
    expect(path).toMatchObject({ best: false, why: expect.stringContaining('not chosen yet') });
    world.run(41_000);
    expect([world.routes('contoso'), told('east') > 0, deferred()]).toEqual([['10.50.0.0/16 east'], true, undefined]);
    expect(world.routes('east', world.sites)).toContain('10.1.0.0/24 cloud');
    expect(world.reports().filter((text) => text.includes('routes are chosen'))).toContain(
      'BGP of contoso: IPv4 unicast: routes are chosen: the Selection_Deferral_Timer has ended',
    );
  });

  it('once all have said End-of-RIB nothing is waited for; nor where a router is new for another reason', () => {
    const router = 'selectionDeferralSeconds: 1h';
    const { world, deferred } = restarted(router);
    silence(world, undefined);
    for (let i = 0; i < 60 && deferred() !== undefined; i++) world.run(1000);
    world.run(100);
    expect(deferred()).toBeUndefined();
    expect(world.routes('contoso').sort()).toEqual(['10.50.0.0/16 east', '10.60.0.0/16 west']);
    silence(world, 'west');
    world.gw.apply(resolveDocument(sitesDocument(partsWith(`${router}\n      maxPaths: 4`))));
    world.run(60_000);
    expect([deferred(), world.routes('contoso')]).toEqual([undefined, ['10.50.0.0/16 east']]);
  });

  it('a tenant waits for its own peers alone', () => {
    const world = settled({ gwRouter: 'selectionDeferralSeconds: 1h', start: 'boot' });
    world.outer.filter = (packet) => packet[15] !== 11 && packet[19] !== 11;
    world.gw.restart();
    world.run(20_000);
    const deferred = world.gw.gateway.bgp
      .summaries(world.timeline.now)
      .map(({ tenant, selectionDeferredSeconds: seconds }) => [tenant, seconds]);
    expect(deferred).toEqual([
      ['contoso', 3580],
      ['woodgrove', undefined],
    ]);
    expect(world.routes('woodgrove')).toEqual(['10.2.0.0/24 hq', '10.60.0.0/16 hq']);
  });
});

describe('RFC 9494: longLivedStaleSeconds', () => {
  const keys = (more: string) => `tunnelDown: retain, gracefulRestartSeconds: 30${more}`;
  /** The site is not reached any more; what there is after each of these seconds. */
  function there(gwPeer: string, sitePeer: string, ...seconds: readonly number[]): boolean[] {
    const world = settled({ gwPeer: keys(gwPeer), sitePeer: keys(sitePeer) });
    world.gw.dispatch({ type: 'down', tenant: 'contoso', connection: 'hq', what: 'ike' });
    world.run(11);
    world.outer.filter = () => false;
    const lost = world.timeline.now;
    return seconds.map((second) => {
      world.run(lost + 1000 * second - world.timeline.now);
      return of50(world).length === 1;
    });
  }

  it('§3: what the OPEN says; nothing by default', () => {
    const said = (gwPeer: string) =>
      peerOf(settled({ gwPeer })).capabilitiesSent.filter((each) => /long.lived|LLGR/i.test(each));
    expect(said('')).toEqual([]);
    expect(said('longLivedStaleSeconds: 1h')).toEqual([expect.stringContaining('3600')]);
    expect(said('longLivedStaleSeconds: 1h, families: [ipv4, ipv6]')).toEqual([
      expect.stringContaining('IPv6 unicast'),
    ]);
  });

  it('§4.2: routes stay beyond the restart time, and no longer than either side says; where one does not say, they go', () => {
    const long = ', longLivedStaleSeconds: 10m';
    expect(there('', '', 29, 31)).toEqual([true, false]);
    expect(there(long, '', 29, 31)).toEqual([true, false]);
    expect(there('', long, 29, 31)).toEqual([true, false]);
    expect(there(long, long, 31, 629, 631)).toEqual([true, true, false]);
    expect(there(long, ', longLivedStaleSeconds: 1m', 89, 91)).toEqual([true, false]);
    expect(there(', longLivedStaleSeconds: 1m', long, 89, 91)).toEqual([true, false]);
  });

  it('§4.3: another route is better, whatever it says', () => {
    const peer = `import: all, ${keys(', longLivedStaleSeconds: 1h')}`;
    const world = settledSites({
      peers: { east: peer.replace('all', '[{ set: { localPreference: 200 } }]'), west: peer },
      ofSites: { east: `export: all, ${keys(', longLivedStaleSeconds: 1h')}`, west: 'export: all' },
    });
    expect(of50(world)).toEqual(['10.50.0.0/16 east']);
    world.gw.dispatch({ type: 'down', tenant: 'contoso', connection: 'east', what: 'ike' });
    world.run(11);
    silence(world, 'east');
    world.run(29_000);
    expect(of50(world)).toEqual(['10.50.0.0/16 east']);
    world.run(2000);
    expect(of50(world)).toEqual(['10.50.0.0/16 west']);
    world.gw.dispatch({ type: 'bgp', tenant: 'contoso', peer: 'west', what: 'stop', text: '' });
    world.run(1000);
    expect(of50(world)).toEqual(['10.50.0.0/16 east']);
  });
});

describe('the routes of a peer', () => {
  it('RFC 4456: routeReflectorClient: routes of one internal peer go to another only if one of them is a client', () => {
    const world = (east: string) =>
      settledSites({
        asn: { east: 65010, west: 65010 },
        networks: { east: '[10.50.0.0/16]', west: '[10.60.0.0/16]' },
        peers: { east, west: 'import: all' },
      });
    const told = (of: ReturnType<typeof world>) =>
      of.gw.gateway.bgp.advertised('contoso', 'west', { offset: 0, limit: 9 })!.map(({ prefix }) => prefix);
    expect(told(world('import: all'))).toEqual(['10.1.0.0/24', 'fd00:1::/64']);
    expect(told(world('import: all, routeReflectorClient: true'))).toContain('10.50.0.0/16');
  });

  /** Two clients; what the one is told of what the other has said. */
  const clients = (router: string) => ({
    asn: { east: 65010, west: 65010 },
    networks: { east: '[10.50.0.0/16]', west: '[10.60.0.0/16]' },
    peers: { east: 'import: all, routeReflectorClient: true', west: 'import: all, routeReflectorClient: true' },
    router,
  });
  const reflected = (world: Gateways) =>
    world.gw.gateway.bgp
      .advertised('contoso', 'west', { offset: 0, limit: 9 })!
      .find(({ prefix }) => prefix === '10.50.0.0/16')?.attributes;

  it('RFC 4456 §8: clusterId: what CLUSTER_LIST has; without it the router identifier', () => {
    const world = settledSites(clients(''));
    expect(reflected(world)).toMatchObject({ originatorId: '10.2.0.1', clusterList: ['10.1.0.1'] });
    for (const [written, list] of [
      ['192.0.2.99', '192.0.2.99'],
      ['7', '0.0.0.7'],
    ] as const) {
      world.gw.apply(resolveDocument(sitesDocument(clients(`clusterId: ${written}`))));
      world.run(60_000);
      expect(reflected(world)?.clusterList).toEqual([list]);
    }
  });

  it('RFC 4456 §6: clientToClient: false: clients tell each other themselves', () => {
    expect(reflected(settledSites(clients('clientToClient: true')))).toBeDefined();
    expect(reflected(settledSites(clients('clientToClient: false')))).toBeUndefined();
  });

  it('RFC 4271 §5.1.3: nextHop: our own to an external peer, or unchanged; our own to an internal one, if asked', () => {
    const hop = (asn: { west: number }, west: string) => {
      const world = settledSites({
        asn,
        networks: { east: '[10.50.0.0/16]', west: '[10.60.0.0/16]' },
        peers: { west },
      });
      const told = world.gw.gateway.bgp.advertised('contoso', 'west', { offset: 0, limit: 9 })!;
      return told.find(({ prefix }) => prefix === '10.50.0.0/16')?.attributes.nextHop;
    };
    expect(hop({ west: 65030 }, 'import: all')).toBe('10.1.0.1');
    expect(hop({ west: 65030 }, 'import: all, nextHop: unchanged')).toBe('10.2.0.1');
    expect(hop({ west: 65010 }, 'import: all')).toBe('10.2.0.1');
    expect(hop({ west: 65010 }, 'import: all, nextHop: self')).toBe('10.1.0.1');
  });

  it('RFC 4271 §9.1.2: allowOwnAs: a route with our own AS in it, as often as that', () => {
    const networks = { east: '[10.50.0.0/16]', west: '[10.60.0.0/16]' };
    const of = (west: string) => {
      const world = settledSites({ networks, ofSites: { west } });
      return world.routes('west', world.sites).includes('10.50.0.0/16 cloud');
    };
    expect(of('export: all')).toBe(false);
    expect(of('export: all, allowOwnAs: 1')).toBe(true);
  });

  it('RFC 4486: maxPrefixes: the word at warnPercent, the end above limit, and again after restartSeconds', () => {
    const quiet = settled({ gwPeer: 'maxPrefixes: { limit: 2, warnPercent: 100 }' });
    expect(quiet.reports().filter((text) => text.includes('near the limit'))).toEqual([]);
    const warned = settled({ gwPeer: 'maxPrefixes: { limit: 3, warnPercent: 50 }' });
    expect(warned.reports().filter((text) => text.includes('near the limit'))).toHaveLength(2);
    const ended = settled({ gwPeer: 'maxPrefixes: { limit: 1, restartSeconds: 60 }' }, 50_000);
    expect([isUp(ended), ended.routes('contoso')]).toEqual([false, []]);
    ended.sites.apply(resolveDocument(siteDocument({ siteRouter: 'networks: []' })));
    ended.run(60_000);
    expect([isUp(ended), ended.routes('contoso')]).toEqual([true, ['10.50.0.0/16 hq']]);
  });
});
