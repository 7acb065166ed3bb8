/** What an aggregate does where it is made: RFC 4632 §5.1. The tenants have the same addresses, and only Contoso aggregates. */
import { describe, expect, it } from 'vitest';
import { type GatewayAction, outcomeOf, parseFlow } from '../../../src/gateway/index.ts';
import { resolveDocument } from '../../../src/lab/index.ts';
import { addr, pfx } from '../../support/packets.ts';
import { BgpWorld, gwDocument, type Name, type Parts, siteDocument } from './world.ts';

/** Everything that nothing else is known of goes to the site; `routes` are the gateway's own beside that. */
const PARTS: Parts = { start: 'boot', sitePeer: 'import: none' };
const documentOf = (aggregates = 'aggregates: [{ prefix: 10.48.0.0/12 }]', routes = ''): string => {
  const all = gwDocument(PARTS).replaceAll('routes: [10.2.0.1/32]', `routes: [10.2.0.1/32, 0.0.0.0/0${routes}]`);
  return all.replace('asn: 65010\n', `asn: 65010\n      ${aggregates}\n`);
};

function settled(document = documentOf()): BgpWorld {
  const world = new BgpWorld(PARTS);
  world.gw.apply(resolveDocument(document));
  world.run(20_000);
  return world;
}

const of48 = (world: BgpWorld, name: Name = 'contoso') =>
  world.routes(name).filter((route) => route.startsWith('10.48'));

function traced(world: BgpWorld, tenant: Name, destination: string) {
  const flow = parseFlow(`icmp 10.1.0.10 > ${destination}`)!;
  const more = { size: 64, hopLimit: 64, dontFragment: false, opens: true };
  const before = world.actions.length;
  world.gw.dispatch({ type: 'trace', query: 9, order: { tenant, from: 'inside', flow, ...more } });
  const answer = world.actions.slice(before).find((action: GatewayAction) => action.do === 'traced');
  return answer?.do === 'traced' ? answer.stages : [];
}

function ping(world: BgpWorld, name: Name, destination: string): string {
  const asked = world.hosts[name].vm.ping(addr(destination), { timeoutMs: 2000 });
  world.run(3000);
  return JSON.stringify(asked.outcome);
}

describe('RFC 4632 §5.1: an aggregate', () => {
  it('discards what none of its more specific routes matches, and says so; the other tenant knows nothing of it', () => {
    const world = settled();
    expect(of48(world)).toEqual(['10.48.0.0/12 discard']);
    expect(of48(world, 'woodgrove')).toEqual([]);
    expect(traced(world, 'contoso', '10.50.0.10').at(-1)?.drop).toBeUndefined();
    const stages = traced(world, 'contoso', '10.51.0.10');
    expect([outcomeOf(stages), stages.at(-1)]).toMatchObject([
      'dropped',
      { stage: 'fib', drop: 'discarded', why: '10.48.0.0/12 is discarded: BGP aggregate: nothing longer matches' },
    ]);
    expect(outcomeOf(traced(world, 'woodgrove', '10.51.0.10'))).toBe('out');
    ping(world, 'contoso', '10.50.0.10');
    expect(world.hosts.contoso.site.counters.echoRequests).toBe(1);
    ping(world, 'contoso', '10.51.0.10');
    ping(world, 'woodgrove', '10.51.0.10');
    const drops = (name: Name) => world.gw.gateway.tenants().find((tenant) => tenant.name === name)!.drops;
    expect([drops('contoso').discarded, drops('woodgrove').discarded]).toEqual([1, undefined]);
  });

  it('is shown as what it is, and why', () => {
    const world = settled();
    const shown = world.gw.gateway.routes(world.gw.gateway.tenants()[0]!.name, { prefix: pfx('10.48.0.0/12') });
    expect(shown).toEqual([
      {
        prefix: '10.48.0.0/12',
        via: 'discard',
        discard: true,
        origin: 'bgp',
        preference: 254,
        metric: 0,
        why: 'BGP aggregate: nothing longer matches',
      },
    ]);
    expect(world.gw.gateway.bgp.explain('contoso', addr('10.51.0.10'))).toMatchObject({
      prefix: '10.48.0.0/12',
      fib: [{ via: 'discard' }],
      fibWhy: '10.48.0.0/12 is discarded: BGP aggregate: nothing longer matches',
    });
    // 10.50.0.0/16 contributes, and has the address that stands for this prefix.
    const half = '10.50.0.0/15';
    world.gw.apply(resolveDocument(documentOf(`aggregates: [{ prefix: ${half} }]`)));
    world.run(1000);
    expect(world.gw.gateway.bgp.explain('contoso', pfx(half))).toMatchObject({
      fib: [{ via: 'discard' }],
      fibWhy: `${half} is discarded: BGP aggregate: nothing longer matches, but for what is longer, such as 10.50.0.0/16`,
    });
  });

  it('ends with what contributes, and with the document', () => {
    const world = settled();
    world.sites.apply(resolveDocument(siteDocument({ ...PARTS, siteRouter: 'redistribute: []' })));
    world.run(1000);
    expect(of48(world)).toEqual([]);
    expect(outcomeOf(traced(world, 'contoso', '10.51.0.10'))).toBe('out');
    world.sites.apply(resolveDocument(siteDocument(PARTS)));
    world.run(1000);
    expect(of48(world)).toEqual(['10.48.0.0/12 discard']);
    world.gw.apply(resolveDocument(documentOf('aggregates: []')));
    expect(of48(world)).toEqual([]);
    world.gw.apply(resolveDocument(documentOf()));
    expect(of48(world)).toEqual(['10.48.0.0/12 discard']);
    world.gw.apply(resolveDocument(documentOf().replace(/\n {4}bgp:\n[^-]*?peers:.*/, '')));
    expect(of48(world)).toEqual([]);
  });

  it('gives way to any other route to its very prefix', () => {
    const world = settled(documentOf(undefined, ', 10.48.0.0/12'));
    expect(of48(world)).toEqual(['10.48.0.0/12 discard']);
    const stages = traced(world, 'contoso', '10.51.0.10');
    expect(stages.find(({ stage }) => stage === 'fib')).toMatchObject({
      decision: '10.48.0.0/12 by hq',
      detail: ['passed over: 10.48.0.0/12 discarded: preference 254, the route by hq has 5'],
    });
    expect(outcomeOf(stages)).toBe('out');
  });

  it('is no way to a next hop', () => {
    const world = settled(documentOf('aggregates: [{ prefix: 10.0.0.0/8 }]'));
    expect(world.routes('contoso').sort()).toEqual(['10.0.0.0/8 discard', '10.2.0.0/24 hq', '10.50.0.0/16 hq']);
    const { state } = world.gw.gateway.bgp.peers(world.timeline.now).find(({ tenant }) => tenant === 'contoso')!;
    expect(state).toBe('Established');
  });
});
