import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { Agenda } from '../../src/core/index.ts';
import { PASS } from '../../src/ip/index.ts';
import type { LookupRecord, PortConfig } from '../../src/nvgre/index.ts';
import { lowestAddress, readCounters, SWITCH_LIMITS, TENANT_CELLS } from '../../src/nvgre/index.ts';
import { LookupPolicy } from '../../src/nvgre/lookup.ts';
import { admitSource } from '../../src/nvgre/source-guard.ts';
import { ORIGIN, ProviderAddresses, type Station } from '../../src/nvgre/station.ts';
import { addr } from '../compartment/octets.ts';
import { pfx } from '../support/packets.ts';
import { GATEWAY, HOST_A, HOST_B, mac, macText, port, record, subnet, vm } from './fixture.ts';
import { PolicyModel } from './policy-model.ts';

const AGE = 300_000;
const RUNS = 150;

class Bench {
  readonly agenda = new Agenda();
  readonly cells = new Float64Array(TENANT_CELLS);
  readonly policy: LookupPolicy;
  readonly ports = new Map<number, Station>();

  constructor(limits: Partial<typeof SWITCH_LIMITS> = {}) {
    this.policy = new LookupPolicy({
      limits: { ...SWITCH_LIMITS, dynamicAgeMs: AGE, ...limits },
      seed: 1,
      addresses: new ProviderAddresses([addr(GATEWAY)]),
      agenda: this.agenda,
      cells: this.cells,
    });
    this.policy.setSubnets([subnet(5001, '10.1.0.0/24'), subnet(5001, '2001:db8:1::/64'), subnet(5002, '10.2.0.0/24')]);
  }

  owner(vsid: number, ca: string): string | undefined {
    const address = parsed(ca);
    const binding = this.policy.binding(vsid, address, 0, address.length === 4 ? 4 : 16);
    return binding === undefined ? undefined : `${macText(binding.station.mac)} ${words(binding.origin)}`;
  }

  place(vsid: number, owner: string): string | undefined {
    const station = this.policy.station(vsid, mac(owner), 0);
    if (station === undefined) return undefined;
    if (station.remote !== undefined) return `at ${station.remote.join('.')}`;
    return station.port < 0 ? 'here' : `port ${station.port}`;
  }

  send(vsid: number, owner: string, ca: string, now: number): boolean {
    const station = this.policy.station(vsid, mac(owner), 0);
    const address = addr(ca);
    return (
      station !== undefined &&
      admitSource(this.policy, station, address, 0, address.length === 4 ? 4 : 16, now) === PASS
    );
  }

  nextHop(from: number, ca: string): string | undefined {
    const address = parsed(ca);
    const station = this.policy.nextHop(this.policy.subnet(from)!, address, 0, address.length === 4 ? 4 : 16);
    return station === undefined ? undefined : macText(station.mac);
  }

  attach(config: PortConfig): void {
    this.ports.set(config.port, this.policy.attach(config));
  }

  detach(number: number): void {
    this.policy.detach(this.ports.get(number)!);
    this.ports.delete(number);
  }
}

/** `addr`, once for each text. */
const texts = new Map<string, Uint8Array>();
function parsed(text: string): Uint8Array {
  const known = texts.get(text) ?? addr(text);
  texts.set(text, known);
  return known;
}

const words = (origin: number): string => Object.entries(ORIGIN).find(([, value]) => value === origin)![0];

describe('lookup records, customer routes and ports against lists gone through one by one', () => {
  const vsids = [5001, 5002];
  const macs = [vm(1), vm(2), vm(3), vm(4)];
  const cas = [
    ...['10.1.0.1', '10.1.0.11', '10.1.0.12', '10.2.0.1', '10.2.0.15', '10.77.0.5', '198.51.100.1'],
    ...['2001:db8:1::1', '2001:db8:1::11', 'fe80::1', 'fe80::2', '2001:db8:77::1'],
  ];
  const addresses = cas.map((text) => [text, addr(text)] as const);
  const vsid = fc.constantFrom(...vsids);
  const owner = fc.constantFrom(...macs);
  const ca = fc.constantFrom(...cas);
  const lookupRecord = fc
    .record({
      vsid,
      ca,
      owner,
      pa: fc.constantFrom(GATEWAY, HOST_A, HOST_B, 'fd50::21'),
      type: fc.constantFrom('static', 'static', 'static', 'l2only', 'gateway-wildcard'),
    })
    .map((f) => record(f.vsid, f.ca, f.owner, f.pa, f.type as LookupRecord['type']));
  const route = fc
    .record(
      {
        prefix: fc.constantFrom('0.0.0.0/0', '10.77.0.0/16', '198.51.100.0/24', '::/0', '2001:db8:77::/48').map(pfx),
        nextHop: fc.constantFrom('10.1.0.11', '10.2.0.15', '2001:db8:1::11', '192.0.2.1').map(addr),
        metric: fc.constantFrom(1, 2, 3),
        vsid,
      },
      { requiredKeys: ['prefix', 'nextHop', 'metric'] },
    )
    .filter(({ prefix, nextHop }) => prefix.address.length === nextHop.length);
  const plans = [
    [subnet(5001, '10.1.0.0/24'), subnet(5001, '2001:db8:1::/64'), subnet(5002, '10.2.0.0/24')],
    [subnet(5001, '10.0.0.0/8', false), subnet(5002, '10.2.0.0/24')],
    [subnet(5001), subnet(5002, '10.2.0.0/24', false)],
  ];
  const portConfig = fc.record({
    port: fc.constantFrom(1, 2, 3),
    vsid,
    owner,
    addresses: fc.option(fc.array(ca, { maxLength: 3 }), { nil: null }),
    role: fc.constantFrom('vm', 'vm', 'gateway'),
  });
  const send = fc.record({ do: fc.constant('send' as const), vsid, owner, ca });
  const step = fc.oneof(
    fc.array(lookupRecord, { maxLength: 8 }).map((records) => ({ do: 'records' as const, records })),
    fc.array(route, { maxLength: 4 }).map((routes) => ({ do: 'routes' as const, routes })),
    fc.constantFrom(...plans).map((subnets) => ({ do: 'subnets' as const, subnets })),
    portConfig.map((config) => ({ do: 'port' as const, config })),
    fc.constantFrom(1000, 200_000, AGE).map((ms) => ({ do: 'wait' as const, ms })),
    send,
    send,
    send,
    send,
  );

  it('agree after every step', () => {
    fc.assert(
      fc.property(fc.array(step, { minLength: 4, maxLength: 30 }), (steps) => {
        const bench = new Bench();
        const model = new PolicyModel([addr(GATEWAY)], AGE);
        model.subnets = plans[0]!;
        let now = 0;
        for (const action of steps) {
          switch (action.do) {
            case 'records':
              bench.policy.setRecords(action.records);
              model.records = action.records;
              break;
            case 'routes':
              bench.policy.setRoutes(action.routes);
              model.routes = action.routes;
              break;
            case 'subnets':
              bench.policy.setSubnets(action.subnets);
              model.subnets = action.subnets;
              break;
            case 'wait':
              now += action.ms;
              bench.agenda.tick(now);
              break;
            case 'send':
              expect(bench.send(action.vsid, action.owner, action.ca, now)).toBe(
                model.place(action.vsid, action.owner) !== undefined &&
                  model.send(action.vsid, action.owner, addr(action.ca), now),
              );
              break;
            default: {
              // The same port again takes the first away.
              const { port: number, vsid: at, owner: of, addresses, role } = action.config;
              if (bench.ports.has(number)) bench.detach(number);
              model.ports = model.ports.filter((p) => p.port !== number);
              model.settle(now);
              if (model.ports.some((p) => p.vsid === at && macText(p.mac) === of)) break;
              const config = port(number, 1, at, of, addresses, role as PortConfig['role']);
              bench.attach(config);
              model.ports = [...model.ports, config];
            }
          }
          model.settle(now);
          const told = vsids.flatMap((v) => [
            ...macs.map((m) => `${v} ${m} ${model.place(v, m)}`),
            ...addresses.map(([c, at]) => `${v} ${c} ${model.owner(v, at)} next ${model.nextHop(v, at)}`),
            `${v} learned ${model.learned.filter((l) => l.vsid === v).length}`,
          ]);
          const kept = vsids.flatMap((v) => [
            ...macs.map((m) => `${v} ${m} ${bench.place(v, m)}`),
            ...cas.map((c) => `${v} ${c} ${bench.owner(v, c)} next ${bench.nextHop(v, c)}`),
            `${v} learned ${bench.policy.subnet(v)!.learned}`,
          ]);
          if (kept.join() !== told.join()) expect(kept).toEqual(told);
        }
      }),
      { numRuns: RUNS },
    );
  });
});

describe('a reload of the policy', () => {
  const records = [record(5001, '10.1.0.13', vm(3), HOST_A), record(5001, '', vm(4), HOST_A, 'l2only')];

  it('keeps what stays: the same objects, and what was learned of them', () => {
    const { policy, ...bench } = new Bench();
    policy.setRecords(records);
    const station = policy.station(5001, mac(vm(4)), 0)!;
    const fixed = policy.binding(5001, addr('10.1.0.13'), 0, 4);
    admitSource(policy, station, addr('10.1.0.44'), 0, 4, 7);
    policy.setRecords([...records, record(5002, '10.2.0.15', vm(5), HOST_B)]);
    expect(policy.station(5001, mac(vm(4)), 0)).toBe(station);
    expect(policy.binding(5001, addr('10.1.0.13'), 0, 4)).toBe(fixed);
    expect(policy.binding(5001, addr('10.1.0.44'), 0, 4)).toMatchObject({ station, seen: 7 });
    expect(bench.agenda.size).toBe(1);
  });

  it('what was learned of a VM moves with it, and goes with its record', () => {
    const { policy } = new Bench();
    policy.setRecords(records);
    admitSource(policy, policy.station(5001, mac(vm(4)), 0)!, addr('10.1.0.44'), 0, 4, 7);
    policy.setRecords([record(5001, '', vm(4), HOST_B, 'l2only')]);
    expect(policy.binding(5001, addr('10.1.0.44'), 0, 4)?.station.remote).toEqual(addr(HOST_B));
    policy.setRecords([record(5001, '10.1.0.14', vm(4), HOST_B)]);
    expect(policy.binding(5001, addr('10.1.0.44'), 0, 4)).toBeUndefined();
    expect(policy.station(5001, mac(vm(3)), 0)).toBeUndefined();
  });

  it('gives equal provider addresses one object', () => {
    const { policy } = new Bench();
    policy.setRecords([record(5001, '10.1.0.13', vm(3), HOST_A), record(5002, '10.2.0.15', vm(5), HOST_A)]);
    const [one, two] = [policy.station(5001, mac(vm(3)), 0)!, policy.station(5002, mac(vm(5)), 0)!];
    expect(one.remote).toBe(two.remote);
    expect(policy.subnet(5001)!.peers).toEqual([one.remote]);
  });

  it('refuses records and routes beyond their bounds, and counts them', () => {
    const { policy, cells } = new Bench({ records: 1, routes: 1 });
    policy.setRecords(records);
    const via = { nextHop: addr('10.1.0.13'), metric: 1 };
    policy.setRoutes([
      { prefix: pfx('0.0.0.0/0'), ...via },
      { prefix: pfx('10.77.0.0/16'), ...via },
    ]);
    expect(policy.station(5001, mac(vm(4)), 0)).toBeUndefined();
    expect(policy.routes.all).toHaveLength(1);
    expect(readCounters(cells)).toMatchObject({ recordsRefused: 1, routesRefused: 1 });
  });

  it("breaks on what the document's check never lets through", () => {
    const { policy } = new Bench();
    expect(() => policy.setRecords([record(6001, '10.1.0.13', vm(3), HOST_A)])).toThrow(/virtual subnets/);
    expect(() => policy.setRecords([record(5001, '', vm(3), HOST_A)])).toThrow(/CA of one host/);
    expect(() => policy.setRecords([record(5001, '0.0.0.0', vm(3), HOST_A)])).toThrow(/CA of one host/);
    expect(() => policy.setRecords([record(5001, '10.1.0.13', 'ff:ff:ff:ff:ff:ff', HOST_A)])).toThrow(/one station/);
    expect(() => policy.setSubnets([subnet(4095)])).toThrow(/4096/);
    policy.attach(port(1, 1, 5001, vm(1)));
    expect(() => policy.attach(port(2, 1, 5001, vm(1)))).toThrow(/one port/);
    expect(() => policy.setSubnets([])).toThrow(/ports leave/);
  });
});

describe('the lowest address of a subnet', () => {
  it.each([
    ['10.1.0.0/24', '10.1.0.1'],
    ['10.1.0.128/25', '10.1.0.129'],
    ['2001:db8::/64', '2001:db8::1'],
    ['10.1.0.4/30', '10.1.0.5'],
    ['10.1.0.4/31', '10.1.0.4'],
    ['2001:db8::2/127', '2001:db8::2'],
    ['10.1.0.4/32', undefined],
  ])('of %s is %s', (prefix, lowest) => {
    expect(lowestAddress(pfx(prefix))).toEqual(lowest === undefined ? undefined : addr(lowest));
  });
});
