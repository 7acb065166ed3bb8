import { describe, expect, it } from 'vitest';
import { parseMac } from '../../src/ip/index.ts';
import { addr, pfx } from '../support/packets.ts';
import { HOST_PA, host, NAMES, NAT, ROUTER, udp, VM, VM_MAC, VSID } from './virtual-world.ts';

describe('two tenants with the same addresses, to look at', () => {
  it('tenants: compartment 1, virtual subnets, NAT addresses, counters of segments and of the virtual switch', () => {
    const { world, backend } = host();
    world.fromVm('contoso', udp(VM, 5000, '192.0.2.80', 53));
    const [first, contoso, woodgrove] = ['default', ...NAMES].map((name) => world.tenantOf(name));
    expect(backend.status()).toMatchObject({ tenants: 2, state: 'ok', problems: [] });
    expect(first).toMatchObject({ compartment: 1, direct: false, subnets: [] });
    expect(first!.interfaces.map(({ name, kind }) => [name, kind])).toEqual([
      ['external', 'ethernet'],
      ['tenant:contoso', 'link'],
      ['tenant:woodgrove', 'link'],
    ]);
    expect(backend.routes('default', {})).toContainEqual({
      prefix: '0.0.0.0/0',
      via: 'external',
      nextHop: ROUTER,
      origin: 'static',
      preference: 1,
      metric: 0,
      why: 'default route of the external interface',
    });
    expect(contoso!.subnets).toEqual([{ vsid: 5001, interface: 'vsid:5001', addresses: ['10.1.0.1/24'] }]);
    expect(woodgrove!.subnets).toEqual([{ vsid: 6001, interface: 'vsid:6001', addresses: ['10.1.0.1/24'] }]);
    expect([contoso!.nat, woodgrove!.nat]).toMatchObject([
      { externalAddress: NAT.contoso, sessions: 1, created: 1, packetsOut: 1 },
      { externalAddress: NAT.woodgrove, sessions: 0, created: 0, packetsOut: 0 },
    ]);
    expect(contoso!.network!.counters.fromFabric).toBe(1);
    expect(woodgrove!.network!.counters.fromFabric).toBe(0);
    // The router of the external network is sought.
    expect(first!.interfaces[0]!.segment).toMatchObject({ solicitations: 1, resolved: 0 });
  });

  it('nat sessions: of one tenant, those that fit; flush ends just these', async () => {
    const { world, backend } = host();
    for (const name of NAMES) for (const port of [5000, 5001]) world.fromVm(name, udp(VM, port, '192.0.2.80', 53));
    const all = await backend.natSessions('contoso', {}, 10);
    expect(all.map(({ inner, external, remote, state }) => [inner, external, remote, state])).toEqual([
      [`${VM}:5000`, `${NAT.contoso}:5000`, '192.0.2.80:53', 'unanswered'],
      [`${VM}:5001`, `${NAT.contoso}:5001`, '192.0.2.80:53', 'unanswered'],
    ]);
    expect(await backend.natSessions('contoso', {}, 1)).toHaveLength(1);
    expect(await backend.natSessions('contoso', { innerPort: 5001 }, 10)).toEqual([all[1]]);
    expect(await backend.natSessions('contoso', { protocol: 6 }, 10)).toEqual([]);
    expect(await backend.flushNat('contoso', { innerPort: 5000 })).toBe(1);
    expect(await backend.natSessions('contoso', {}, 10)).toEqual([all[1]]);
    expect(backend.nats().map(({ tenant, sessions, flushed }) => [tenant, sessions, flushed])).toEqual([
      ['contoso', 1, 1],
      ['woodgrove', 2, 0],
    ]);
  });

  it('questions nobody can answer are refused in words', async () => {
    const { backend } = host();
    await expect(backend.natSessions('default', {}, 10)).rejects.toThrow('tenant default has no NAT');
    await expect(backend.flushNat('nobody', {})).rejects.toThrow('there is no tenant nobody');
    await expect(backend.neighbours('nobody')).rejects.toThrow('there is no tenant nobody');
  });

  it('neighbours: of compartment 1 and of each virtual subnet', async () => {
    const { world, backend } = host();
    world.fromVm('contoso', udp(VM, 5000, '192.0.2.80', 53));
    expect(await backend.neighbours('default')).toEqual([
      { interface: 'external', address: ROUTER, mac: null, state: 'incomplete', forSeconds: 0, waiting: 1 },
    ]);
    world.answerAsRouter();
    world.fromOutside(udp('192.0.2.80', 53, NAT.contoso, 5000));
    expect(await backend.neighbours('default')).toMatchObject([
      { address: ROUTER, mac: '02:00:00:00:00:99', state: 'reachable', waiting: 0 },
    ]);
    expect(await backend.neighbours('contoso')).toMatchObject([
      { interface: 'vsid:5001', address: VM, mac: VM_MAC, state: 'reachable', waiting: 0 },
    ]);
    expect(await backend.neighbours('woodgrove')).toEqual([]);
  });

  it('nvgre: records and next hops are those of the tenant that is asked about', () => {
    const { backend } = host();
    const ofVm = backend.records().filter(({ ca }) => ca === VM);
    expect(ofVm.map(({ tenant, vsid, mac, pa, type, origin }) => [tenant, vsid, mac, pa, type, origin])).toEqual(
      NAMES.map((name) => [name, VSID[name], VM_MAC, HOST_PA, 'static', 'policy']),
    );
    expect(backend.records()).toContainEqual(
      expect.objectContaining({ tenant: 'contoso', ca: '10.1.0.1', pa: null, origin: 'port' }),
    );
    const explained = backend.nextHop('woodgrove', 6001, addr('10.1.0.11'), addr(VM))!;
    expect(explained.chosen).toEqual({ vsid: 6001, nextHop: VM, mac: VM_MAC, pa: HOST_PA, port: null });
    expect(explained.steps[0]).toBe('VSID 6001 is a virtual subnet of woodgrove');
    expect(backend.nextHop('woodgrove', 5001, addr('10.1.0.11'), addr(VM))).toMatchObject({
      chosen: null,
      why: 'VSID 5001 is no virtual subnet of woodgrove',
    });
    expect(backend.nextHop('default', 5001, addr('10.1.0.11'), addr(VM))).toBeUndefined();
  });

  it('routes: of equal ways the one that a flow takes, and among which', () => {
    const { backend } = host(
      '\n    routes: [{ prefix: 10.9.0.0/16, via: 10.1.0.10 }, { prefix: 10.9.0.0/16, via: 10.1.0.11 }]',
    );
    const explained = backend.explain('contoso', '10.9.1.1')!;
    expect(explained.among!.map(({ nextHop, metric }) => [nextHop, metric])).toEqual([
      ['10.1.0.10', 0],
      ['10.1.0.11', 0],
    ]);
    expect(explained.chosen).toEqual(explained.among![0]);
    expect(backend.routes('contoso', { prefix: pfx('10.9.0.0/16') })).toHaveLength(2);
  });
});

describe('problems of virtual networks', () => {
  it('the provider network cannot be reached', () => {
    const { world, backend } = host();
    world.gw.dispatch({ type: 'underlay-state', problem: 'protocol 47 needs CAP_NET_RAW' });
    expect(backend.status()).toMatchObject({
      state: 'degraded',
      problems: [
        {
          severity: 'error',
          problem: 'no virtual network is reached: protocol 47 needs CAP_NET_RAW',
          lines: ['provider address 192.168.50.10'],
        },
      ],
    });
  });

  it('a tenant at its limit of NAT sessions: shown for a minute, and not the other tenant’s', () => {
    const { world, backend } = host('\n      limits: { sessions: 16 }');
    for (let port = 5000; port < 5017; port++) world.fromVm('contoso', udp(VM, port, '192.0.2.80', 53));
    expect(backend.status().problems).toEqual([
      {
        severity: 'warning',
        tenant: 'contoso',
        problem: 'new flows are refused: 16 NAT sessions are its limit',
        advice: 'see `bulkhead nat sessions --tenant contoso`, or raise nat.limits.sessions',
        lines: [],
      },
    ]);
    expect(backend.nats().map(({ refusedLimit }) => refusedLimit)).toEqual([1, 0]);
    world.run(60_000);
    expect(backend.status().problems).toEqual([]);
  });

  it('RFC 5227 §2.4: somebody has our address: the last one of an interface, for a while', () => {
    const { world, backend } = host();
    world.answerAsRouter('203.0.113.2', parseMac('02:00:00:00:00:66')!);
    world.run(20_000);
    world.answerAsRouter(NAT.contoso, parseMac('02:00:00:00:00:67')!);
    world.run(5_000);
    expect(backend.status().problems).toEqual([
      {
        severity: 'warning',
        tenant: 'default',
        problem: `02:00:00:00:00:67 on external of default claims ${NAT.contoso}, which is ours`,
        advice: 'two machines have one address: give one of them another',
        lines: ['last 5 s ago'],
      },
    ]);
    world.run(600_000);
    expect(backend.status().problems).toEqual([]);
  });
});
