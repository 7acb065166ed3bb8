import { describe, expect, it } from 'vitest';
import { addr } from '../../support/packets.ts';
import { BgpWorld, NAMES, type Parts } from './world.ts';

const BOTH = ['10.2.0.0/24 hq', '10.50.0.0/16 hq'];

function settled(parts: Parts = {}): BgpWorld {
  const world = new BgpWorld(parts);
  world.run(10_000);
  expect(world.routes('contoso')).toEqual(BOTH);
  world.actions.splice(0);
  return world;
}

const tunnel = (world: BgpWorld, type: 'up' | 'down' | 'rekey', what: 'ike' | 'child' = 'ike') =>
  world.gw.dispatch({ type, tenant: 'contoso', connection: 'hq', what });

/** Milliseconds until `holds`, looked at every five. */
function until(world: BgpWorld, holds: () => boolean, most: number): number {
  const begun = world.timeline.now;
  while (!holds() && world.timeline.now - begun < most) world.run(5);
  return world.timeline.now - begun;
}

const peerOf = (world: BgpWorld, name: string) =>
  world.reports().filter((text) => text.startsWith(`BGP peer ${name}/hq:`));

describe('BGP through tunnels', () => {
  it('opens its own tunnel, and routes of each site come into the FIB of its tenant alone', () => {
    const world = new BgpWorld();
    world.run(10_000);
    for (const name of NAMES) expect(world.reports()).toContain(`BGP peer ${name}/hq: established: with AS 65020`);
    expect(world.routes('contoso')).toEqual(BOTH);
    expect(world.routes('woodgrove')).toEqual(['10.2.0.0/24 hq', '10.60.0.0/16 hq']);
    for (const name of NAMES) expect(world.routes(name, world.sites)).toEqual(['10.1.0.0/24 cloud']);
    const ping = world.hosts.contoso.vm.ping(addr('10.50.0.10'), { timeoutMs: 2000 });
    world.run(3000);
    expect(ping.outcome).toBe('reply');
  });

  it('a tunnel that is down takes its routes with it at once, at both ends, and no other; it is opened again, and so is the session', () => {
    const world = settled();
    tunnel(world, 'down');
    // The DELETE goes and comes back.
    expect(until(world, () => world.routes('contoso', world.sites).length === 0, 100)).toBe(5);
    expect(until(world, () => world.routes('contoso').length === 0, 100)).toBe(5);
    expect(until(world, () => world.routes('contoso').length === 2, 5000)).toBeLessThan(1000);
    world.run(20);
    expect(world.routes('contoso', world.sites)).toEqual(['10.1.0.0/24 cloud']);
    expect(peerOf(world, 'woodgrove')).toEqual([]);
  });

  it.each(['drop', 'ignore'])(
    '%s: a tunnel that comes up when the peer has long been tried is used at once',
    (mode) => {
      const world = settled({ gwPeer: `tunnelDown: ${mode}`, sitePeer: `tunnelDown: ${mode}` });
      world.outer.filter = () => false;
      world.run(600_000);
      expect(world.routes('contoso')).toEqual([]);
      world.outer.filter = () => true;
      tunnel(world, 'up');
      until(world, () => world.gw.gateway.connections(world.timeline.now)[0]!.state === 'up', 60_000);
      expect(until(world, () => world.routes('contoso').length === 2, 60_000)).toBeLessThan(200);
    },
  );

  it.each(['drop', 'retain', 'ignore'])('tunnelDown %s: rekeying of either SA is nothing to BGP', (mode) => {
    const world = settled({ gwPeer: `tunnelDown: ${mode}` });
    for (const what of ['child', 'ike', 'child'] as const) {
      tunnel(world, 'rekey', what);
      for (let i = 0; i < 200; i++) {
        world.run(5);
        expect(world.routes('contoso')).toEqual(BOTH);
      }
    }
    expect(peerOf(world, 'contoso')).toEqual([]);
  });

  it('RFC 4724 §4.2: tunnelDown retain: routes outlive the tunnel until End-of-RIB of the next session, and are never away', () => {
    const world = settled({ gwPeer: 'tunnelDown: retain', sitePeer: 'tunnelDown: retain' });
    tunnel(world, 'down');
    for (let i = 0; i < 400; i++) {
      world.run(5);
      expect(world.routes('contoso')).toEqual(BOTH);
    }
    expect(peerOf(world, 'contoso').slice(-2)).toEqual([
      'BGP peer contoso/hq: established: with AS 65020',
      'BGP peer contoso/hq: end of rib: IPv4 unicast',
    ]);
  });

  it('RFC 4724 §4.2: tunnelDown retain: and no longer than the peer said', () => {
    const world = settled({ gwPeer: 'tunnelDown: retain', sitePeer: 'gracefulRestartSeconds: 30' });
    tunnel(world, 'down');
    world.run(11);
    world.outer.filter = () => false;
    world.run(29_900);
    expect(world.routes('contoso')).toEqual(BOTH);
    world.run(200);
    expect(world.routes('contoso')).toEqual([]);
  });

  it('tunnelDown ignore: the session lives through a gap that is shorter than the hold time, and not through a longer one', () => {
    const world = settled({ gwPeer: 'tunnelDown: ignore', sitePeer: 'tunnelDown: ignore' });
    tunnel(world, 'down');
    world.run(20_000);
    expect(world.routes('contoso')).toEqual(BOTH);
    expect(peerOf(world, 'contoso')).toEqual([]);
    world.outer.filter = () => false;
    tunnel(world, 'down');
    world.run(60_000);
    expect(world.routes('contoso')).toEqual(BOTH);
    world.run(31_000);
    expect(peerOf(world, 'contoso')[0]).toContain('Hold Timer Expired');
    // RFC 8538: as after a loss, so that the Restart Time of the peer runs now.
    world.run(120_000);
    expect(world.routes('contoso')).toEqual([]);
  });

  it('RFC 9003: who shuts a peer down says why, and the peer hears it', () => {
    const world = settled();
    world.gw.dispatch({ type: 'shutdown' });
    world.run(200);
    expect(world.sites.reports.map(({ text }) => text)).toContain(
      'BGP peer contoso/cloud: notification received: Hard Reset, Cease: Administrative Shutdown, "the gateway shuts down"',
    );
    expect(world.routes('contoso', world.sites)).toEqual([]);
  });
});
