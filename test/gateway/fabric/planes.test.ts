/** Data planes that are hosted elsewhere, in a whole fabric: the same ways, with one and with several; and one that is lost. */
import { describe, expect, test } from 'vitest';
import type { PlaneCommand } from '../../../src/gateway/index.ts';
import type { TenantPlan } from '../../support/fabric/plan.ts';
import { type FabricWorld, WEB } from '../../support/fabric/world.ts';
import { addr } from '../../support/packets.ts';
import { A, answered, B, blue, C, NAT_BLUE, NAT_RED, plan, red, unheard, world } from './fixture.ts';

const site = { gateway: '192.0.2.11', prefix: '10.9.0.0/24', hosts: { server: '10.9.0.10' } };
const green: TenantPlan = {
  name: 'green',
  subnets: [{ vsid: 7001, prefixes: ['10.7.0.0/24'] }],
  vms: [{ name: 'a', vsid: 7001, mac: '00:15:5d:00:00:10', addresses: ['10.7.0.10'], host: 'host1' }],
  direct: true,
};
const natOf = (...rules: readonly string[]): string => `{ address: ${NAT_BLUE}, rules: [${rules.join(', ')}] }`;
const rule = (port: number, to: string): string => `{ protocol: udp, externalPort: ${port}, to: "${to}:7" }`;

/** Every way there is, each once. */
function everyWay(w: FabricWorld): void {
  w.run(5000);
  const [a, b, c] = ['a', 'b', 'c'].map((name) => w.vm('blue', name));
  answered(w, a!.udp(addr('10.9.0.10'), { meant: w.site('blue', 'server') }));
  answered(w, w.site('blue', 'server').tcp(addr(C), { meant: c! }));
  answered(w, a!.ping(addr(B)), b!.udp(addr(C)), c!.tcp(addr(A)), w.vm('red', 'a').ping(addr(B)));
  answered(w, a!.udp(addr(WEB), { port: 5555 }), w.vm('red', 'a').udp(addr(WEB), { port: 5555 }));
  answered(w, w.web.udp(addr(NAT_BLUE), { to: 1007, meant: b! }), a!.udp(addr(NAT_BLUE), { to: 1007, meant: b! }));
  answered(w, w.vm('green', 'a').tcp(addr(WEB)), w.web.ping(addr('10.7.0.10'), { meant: w.vm('green', 'a') }));
  unheard(w, w.web.udp(addr(NAT_BLUE), { to: 1008 }), w.web.udp(addr(NAT_RED), { to: 1007 }));
}

const tenants = [blue({ site, nat: natOf(rule(1007, B)) }), red(), green];

describe('data planes hosted elsewhere', () => {
  test.each([1, 3])('%i of them: every way', (planes) => everyWay(world({ tenants }, { planes })));

  test('a new one knows what the document said last: rules, addresses that are answered for, MACs, routes', () => {
    const before = [blue({ site, nat: natOf(rule(1008, A)) }), red(), green];
    const w = world({ tenants: before }, { planes: 2 });
    w.apply(plan({ tenants }));
    everyWay(w);
    replace(w, 0);
    // The router asks anew, so that somebody has to answer.
    w.router.neighbours.clear();
    everyWay(w);
    w.router.ask(addr(NAT_RED));
    w.run();
    expect(w.router.neighbours.get(NAT_RED)).toEqual(w.router.neighbours.get(NAT_BLUE));
  });

  test('what describes one describes the other that was made from it', () => {
    const w = world({ tenants }, { planes: 1 });
    w.apply(plan({ tenants: [blue({ site, nat: natOf(rule(1009, B)) }), green] }));
    everyWayButRules(w);
    const describe = (): PlaneCommand[] => w.hosted!.planes[0]!.describe([1, 2, 3, 4], true);
    const first = describe();
    replace(w, 0);
    w.run(5000);
    expect(describe()).toEqual(first);
    expect(first.filter(({ do: what }) => what === 'answer-for')).toHaveLength(1);
  });

  test('the underlay is told to the one that has it alone', () => {
    const w = world({ tenants }, { planes: 2 });
    replace(w, 1);
    expect(w.hosted!.planes[0]!.switch).toBeDefined();
    expect(w.hosted!.planes[1]!.switch).toBeUndefined();
    everyWay(w);
  });

  test('who begins to meet others moves to where they are', () => {
    const only = (more: readonly string[] = []): TenantPlan => ({
      name: 'solo',
      subnets: [],
      vms: [],
      more: ['interfaces: [{ name: inside, driver: fabric, addresses: [10.5.0.1/24] }]', ...more],
    });
    const w = world({ tenants: [blue(), red(), only()] }, { planes: 2 });
    const inside = w.station('solo', 'x', ['10.5.0.10']);
    const segment = w.gateway.segment('solo', 'inside');
    segment.attach(addr('10.5.0.10'), (packet) => inside.receive(packet));
    inside.send = (packet) => segment.send(packet);
    w.apply(plan({ tenants: [blue(), red(), only(['nat: { address: 203.0.113.60 }'])] }));
    w.run(10);
    const question = inside.udp(addr(WEB));
    answered(w, question);
    expect(w.ledger.questions[question]!.seenFrom).toBe('203.0.113.60');
  });
});

function everyWayButRules(w: FabricWorld): void {
  w.run(5000);
  answered(w, w.vm('blue', 'a').ping(addr(B)), w.vm('blue', 'a').udp(addr(WEB)), w.vm('green', 'a').ping(addr(WEB)));
}

function replace(w: FabricWorld, plane: number): void {
  w.gateway.dispatch({ type: 'plane-restarted', plane, why: 'was lost' });
}
