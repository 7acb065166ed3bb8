/** The BGP router of compartment 1: what it tells of tenants, what it learns, and what no peer can take from a tenant. */
import { describe, expect, it } from 'vitest';
import type { GatewayAction } from '../../../src/gateway/index.ts';
import {
  buildTcp,
  DROP,
  destinationOf,
  sourceOf,
  TCP_FLAG,
  tcpDestinationPort,
  tcpHeaderLength,
  tcpSequence,
  tcpSourcePort,
} from '../../../src/ip/index.ts';
import { addr } from '../../support/packets.ts';
import { bgpOf, NAT, OutsideWorld, PEER, SERVER, TENANT_LINES } from './outside-world.ts';

const ALL = { contoso: 'reply', woodgrove: 'reply', fabrikam: 'reply' };
const NONE = { contoso: 'timeout', woodgrove: 'timeout', fabrikam: 'timeout' };
const TOLD = [`${NAT.contoso}/32 192.0.2.10`, `${NAT.woodgrove}/32 192.0.2.10`, '172.16.0.0/24 192.0.2.10'].sort();

const told = (world: OutsideWorld): string[] => world.routes('provider', world.isp).sort();

describe('RFC 4271 §3.2: between compartment 1 and a router on the external network', () => {
  it('redistribute: addresses of NATs and prefixes of directly routed tenants are told; two tenants with the same addresses are reached', () => {
    const world = new OutsideWorld();
    expect(world.state).toBe('Established');
    expect(told(world)).toEqual(TOLD);
    expect(world.routes('default')).toEqual(['198.51.100.0/24 192.0.2.1']);
    expect(world.pings()).toEqual(ALL);
    const { sources, counters } = world.server;
    expect([sources.get(world.hosts.contoso.marker), sources.get(world.hosts.woodgrove.marker)]).toEqual([
      new Set([NAT.contoso]),
      new Set([NAT.woodgrove]),
    ]);
    expect(counters.foreign).toBe(0);
  });

  it('without it nobody is answered; with it and without redistribute neither', () => {
    const world = new OutsideWorld({ bgp: '' });
    expect(world.gw.gateway.bgp.has('default')).toBe(false);
    expect([told(world), world.pings()]).toEqual([[], NONE]);
    world.reload({ bgp: `{ asn: 65010, peers: [{ ${PEER} }] }` });
    expect([world.state, told(world), world.pings()]).toEqual(['Established', [], NONE]);
    world.reload({ bgp: bgpOf() });
    expect([told(world), world.pings()]).toEqual([TOLD, ALL]);
  });

  it('networks: the pool as one, and what of it no tenant has goes nowhere (RFC 4632 §5.1)', () => {
    const world = new OutsideWorld({ bgp: `{ asn: 65010, networks: [203.0.113.16/28], peers: [{ ${PEER} }] }` });
    expect(told(world)).toEqual(['203.0.113.16/28 192.0.2.10']);
    expect(world.pings()).toEqual({ ...ALL, fabrikam: 'timeout' });
    const query = world.server.ping(addr('203.0.113.30'));
    world.run(5000);
    expect(query.outcome).toBe('unreachable');
    // Without the router there is no such route.
    world.reload({ bgp: '' });
    expect(world.gw.gateway.compartment('default')!.routes({ prefix: pool })).toEqual([]);
  });

  it('a default route of the document goes before one that is learned', () => {
    const world = new OutsideWorld({ provider: 'networks: [198.51.100.0/24, 0.0.0.0/0]' });
    expect(world.routes('default').sort()).toEqual(['0.0.0.0/0 192.0.2.1', '198.51.100.0/24 192.0.2.1']);
    const { fib } = world.gw.gateway.bgp.explain('default', addr('192.168.1.1'))!;
    expect(fib.map(({ origin, preference }) => [origin, preference])).toEqual([
      ['static', 1],
      ['bgp', 20],
    ]);
  });

  it('driver tun: what it learns leads to the host, and the host is not told of it', () => {
    const world = new OutsideWorld({ interface: 'driver: tun' });
    expect([world.routes('default'), told(world), world.pings()]).toEqual([['198.51.100.0/24 '], TOLD, ALL]);
    const host = world.hostRoutes.at(-1)!;
    expect(host.sort()).toEqual(['172.16.0.0/24', '192.0.2.0/24', `${NAT.contoso}/32`, `${NAT.woodgrove}/32`]);
  });

  it('nothing that it learns is in the table of a tenant', () => {
    const world = new OutsideWorld();
    for (const name of ['contoso', 'woodgrove', 'fabrikam']) expect(world.routes(name)).toEqual([]);
  });
});

const pool = { address: addr('203.0.113.16'), length: 28 };

describe('what no peer can take', () => {
  it('a longer prefix of a NAT address, of the pool or of a directly routed tenant is refused; a shorter one is a route like others', () => {
    const networks =
      '203.0.113.17/32, 203.0.113.24/29, 203.0.113.30/32, 172.16.0.0/25, 172.16.0.0/24, 203.0.113.0/24, 172.16.0.0/12';
    // What it originates itself the provider’s router does not take from us.
    const routes = ['203.0.113.16/28', '172.16.0.0/24']
      .map((prefix) => `{ prefix: ${prefix}, via: 192.0.2.10 }`)
      .join();
    const world = new OutsideWorld({ provider: `networks: [198.51.100.0/24, ${networks}]`, routes });
    expect(world.routes('default').sort()).toEqual([
      '172.16.0.0/12 192.0.2.1',
      '198.51.100.0/24 192.0.2.1',
      '203.0.113.0/24 192.0.2.1',
    ]);
    const refused = world.gw.gateway.bgp
      .received('default', 'provider', { offset: 0, limit: 50 })!
      .filter(({ accepted }) => !accepted);
    expect(refused.map(({ prefix, why }) => `${prefix}: ${why}`).sort()).toEqual(
      ['172.16.0.0/24', '172.16.0.0/25', '203.0.113.17/32', '203.0.113.24/29', '203.0.113.30/32'].map(
        (prefix) => `${prefix}: a tenant's prefix refuses it`,
      ),
    );
    expect(world.pings()).toEqual(ALL);
  });

  it('RFC 4271 §9.1.2.1: a next hop behind a link is none: no router outside sends one tenant’s packets into another tenant', () => {
    for (const nextHop of [NAT.woodgrove, '172.16.0.10', '203.0.113.30']) {
      const world = new OutsideWorld({ exports: `[{ set: { nextHop: ${nextHop} } }]` });
      expect([nextHop, world.state, world.routes('default')]).toEqual([nextHop, 'Established', []]);
    }
  });

  it('a tenant that comes is safe from what is learned already', () => {
    const provider = 'networks: [198.51.100.0/24, 172.16.0.0/25]';
    const tenants = TENANT_LINES.contoso + TENANT_LINES.woodgrove;
    const world = new OutsideWorld({ provider, tenants });
    expect(world.routes('default').sort()).toEqual(['172.16.0.0/25 192.0.2.1', '198.51.100.0/24 192.0.2.1']);
    world.reload({ tenants: tenants + TENANT_LINES.fabrikam });
    expect(world.routes('default')).toEqual(['198.51.100.0/24 192.0.2.1']);
    expect([told(world), world.pings()]).toEqual([TOLD, ALL]);
  });

  it('RFC 4724 §4.2: nor is a route kept that would lead there, while its peer is away', () => {
    const tenants = TENANT_LINES.contoso + TENANT_LINES.woodgrove;
    const world = new OutsideWorld({ provider: 'networks: [198.51.100.0/24, 172.16.0.0/25]', tenants });
    world.isCut = true;
    world.run(100_000);
    expect([world.state, world.routes('default').length]).toEqual([expect.not.stringMatching(/Established/), 2]);
    world.reload({ tenants: tenants + TENANT_LINES.fabrikam }, 1000);
    expect(world.routes('default')).toEqual(['198.51.100.0/24 192.0.2.1']);
  });

  it('RFC 3704 §2.2: what would end the session from the external network does nothing from behind a link', () => {
    for (const from of ['external network', 'fabrikam'] as const) {
      const world = new OutsideWorld();
      const up = established(world);
      const reset = resetAfter(world.last!);
      if (from === 'fabrikam') world.gw.segment('fabrikam', 'inside').send(reset);
      else world.toGw(reset);
      world.run(20_000);
      const { drops } = world.gw.gateway.compartment('fabrikam')!;
      expect([from, world.state, established(world) === up, drops[DROP.spoofed]]).toEqual(
        from === 'fabrikam' ? [from, 'Established', true, 1] : [from, 'Established', false, 0],
      );
    }
  });
});

/** Whose sequence number is the next one (RFC 5961 §3.2). */
function resetAfter(packet: Uint8Array): Uint8Array {
  const at = 20;
  const data = packet.length - at - tcpHeaderLength(packet, at);
  return buildTcp({
    source: sourceOf(packet, 0),
    destination: destinationOf(packet, 0),
    sourcePort: tcpSourcePort(packet, at),
    destinationPort: tcpDestinationPort(packet, at),
    sequence: tcpSequence(packet, at) + data,
    flags: TCP_FLAG.rst,
  });
}

describe('while the document changes', () => {
  it('a tenant that goes is withdrawn, one that comes is told; the session stays', () => {
    const world = new OutsideWorld();
    const up = established(world);
    world.reload({ tenants: TENANT_LINES.contoso });
    expect(told(world)).toEqual([`${NAT.contoso}/32 192.0.2.10`]);
    world.reload({});
    expect([told(world), world.pings()]).toEqual([TOLD, ALL]);
    expect(established(world)).toBe(up);
  });

  it('a policy is changed under the session; another port, secret or AS makes a new one', () => {
    const world = new OutsideWorld();
    const up = established(world);
    world.reload({ bgp: bgpOf(', maxPaths: 1', ', maxPrefixes: { limit: 50 }') });
    expect(established(world)).toBe(up);
    world.reload({
      bgp: `{ asn: 65010, redistribute: [nat], peers: [{ ${PEER.replace('export: all', 'export: none')} }] }`,
    });
    expect([told(world), established(world)]).toEqual([[], up]);
    world.reload({ bgp: bgpOf(', routerId: 192.0.2.77') });
    expect([told(world), established(world) > up]).toEqual([TOLD, true]);
  });

  it('another external interface: the session ends with a word, and begins anew from it', () => {
    const world = new OutsideWorld();
    world.reload({ interface: 'driver: fabric, mtu: 1400' });
    expect([world.state, told(world), world.pings()]).toEqual(['Established', TOLD, ALL]);
  });

  it('it goes: routes of both sides are gone, tenants go on', () => {
    const world = new OutsideWorld();
    world.reload({ bgp: '' });
    expect([world.routes('default'), told(world)]).toEqual([[], []]);
    expect(world.gw.gateway.bgp.summaries(world.timeline.now)).toEqual([]);
  });

  it('RFC 2385: the secret of a peer is that of default/bgp/peer; a wrong one keeps the session down, a right one brings it back', () => {
    const md5 = (text: string) => `, md5: { inline: ${text} }`;
    const world = new OutsideWorld({
      bgp: bgpOf('', md5('a-secret-of-the-provider')),
      peer: md5('a-secret-of-the-provider'),
    });
    expect(world.state).toBe('Established');
    world.reload({ bgp: bgpOf('', md5('another-secret-of-ours')) }, 60_000);
    expect(world.state).not.toBe('Established');
    world.reload({ bgp: bgpOf('', md5('a-secret-of-the-provider')) }, 60_000);
    expect([world.state, world.pings()]).toEqual(['Established', ALL]);
  });
});

it('an operator asks of it as of a tenant called default', () => {
  const world = new OutsideWorld();
  const said: GatewayAction[] = [];
  world.gw.observe((action) => said.push(action));
  const ask = (what: 'stop' | 'start'): void => {
    world.gw.dispatch({ type: 'bgp', tenant: 'default', peer: 'provider', what, text: '' });
    world.run(20_000);
  };
  ask('stop');
  expect([world.state, told(world)]).toEqual(['Idle', []]);
  expect(said).toContainEqual({ do: 'bgp-changed', tenant: 'default', peer: 'provider' });
  ask('start');
  expect([world.state, told(world)]).toEqual(['Established', TOLD]);
  expect(world.gw.gateway.tenantNames()).toContain('default');
  expect(world.gw.gateway.bgp.explain('default', addr(SERVER))).toMatchObject({ prefix: '198.51.100.0/24' });
  expect(world.gw.gateway.bgp.advertised('default', 'provider', { offset: 0, limit: 9 })!.length).toBe(3);
});

/** When the session came up. */
const established = ({ gw, timeline }: OutsideWorld): number =>
  timeline.now - gw.gateway.bgp.peers(timeline.now, 'default')[0]!.peerUptimeMsec;
