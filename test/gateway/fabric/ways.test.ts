/** A tenant's ways: inside, between virtual subnets, out by NAT or directly, to its site; one packet at a time. */
import { describe, expect, test } from 'vitest';
import type { TenantPlan } from '../../support/fabric/plan.ts';
import { DNS, WEB, WEB6 } from '../../support/fabric/world.ts';
import { addr } from '../../support/packets.ts';
import { A, answered, B, blue, C, clean, dropsOf, NAT_BLUE, NAT_RED, plan, red, unheard, world } from './fixture.ts';

const site = {
  gateway: '192.0.2.11',
  prefix: '10.9.0.0/24',
  hosts: { server: '10.9.0.10' },
};

/** The gateway has an address beside the distributed router's. */
const apart = (): TenantPlan =>
  blue({
    subnets: [{ vsid: 5001, prefixes: ['10.1.0.0/24'], address: '10.1.0.254' }],
    vms: blue().vms.filter(({ vsid }) => vsid === 5001),
  });

describe('RFC 7637 §3.1: inside a virtual network', () => {
  test("a VM pings the distributed router, and the gateway's own address behind it", () => {
    const w = world({ tenants: [apart(), red()] });
    const a = w.vm('blue', 'a');
    a.ping(addr('10.1.0.1'));
    a.ping(addr('10.1.0.254'));
    w.run();
    expect(a.heard).toEqual([
      'IPv4 10.1.0.1 > 10.1.0.10 ICMP echo reply id 1 seq 0 (35)',
      'IPv4 10.1.0.254 > 10.1.0.10 ICMP echo reply id 1 seq 1 (35)',
    ]);
    expect(w.gateway.gateway.compartment('blue')!.counters.echoReplies).toBe(1);
    clean(w);
  });

  test('the compartment pings a VM: its ARP is answered by the switch, and a VM that is nowhere is unreachable', () => {
    const w = world({ tenants: [apart(), red()] });
    const results: string[] = [];
    w.gateway.observe((action) => {
      if (action.do === 'pinged')
        results.push(`${action.tenant} ${action.result.destination.join('.')} ${action.result.outcome}`);
    });
    for (const [id, to] of [A, '10.1.0.99'].entries())
      w.gateway.dispatch({
        type: 'ping',
        tenant: 'blue',
        request: { destination: addr(to), id, sequence: 1, size: 8 },
      });
    w.run(5000);
    expect(results).toEqual(['blue 10.1.0.10 reply', 'blue 10.1.0.99 timeout']);
    clean(w);
  });

  test('VMs of one subnet, of two, and of two hosts', () => {
    const w = world();
    const [a, b, c] = ['a', 'b', 'c'].map((name) => w.vm('blue', name));
    answered(w, a!.ping(addr(B)), a!.udp(addr(C)), b!.tcp(addr(A)), c!.ping(addr(A)), c!.udp(addr(B)));
  });

  test('the same in the provider network of IPv6 addresses, and as GRE in UDP (RFC 8086)', () => {
    const hosts = { host1: '2001:db8:f::21', host2: '2001:db8:f::22' };
    const w = world({ underlay: '2001:db8:f::10', hosts, encapsulation: 'nvgre-udp' });
    const seen: number[] = [];
    w.provider.tap((packet) => seen.push(packet[6]!));
    answered(w, w.vm('blue', 'a').ping(addr(B)), w.vm('red', 'a').ping(addr(WEB)));
    expect(new Set(seen)).toEqual(new Set([17]));
  });

  test('RFC 4861: IPv6 inside, and outside by direct routing', () => {
    const subnet = { vsid: 5001, prefixes: ['10.7.0.0/24', '2001:db8:7::/64'] };
    const of = (name: string, n: number, host: string) => ({
      name,
      vsid: 5001,
      mac: `00:15:5d:00:07:0${n}`,
      addresses: [`10.7.0.1${n}`, `2001:db8:7::1${n}`],
      host,
    });
    const vms = [of('a', 1, 'host1'), of('b', 2, 'host2')];
    const w = world({ tenants: [{ name: 'green', subnets: [subnet], vms, direct: true }, red()] });
    const a = w.vm('green', 'a');
    answered(w, a.ping(addr('2001:db8:7::12')), a.ping(addr(WEB6)), a.udp(addr(WEB6)), a.tcp(addr(WEB6)));
    answered(w, w.web.ping(addr('2001:db8:7::12'), { meant: w.vm('green', 'b') }));
  });
});

describe('NAT', () => {
  test('RFC 4787 REQ-3: out and back with the external address and the port as it was', () => {
    const w = world();
    const a = w.vm('blue', 'a');
    answered(w, a.udp(addr(WEB), { port: 5353 }), a.tcp(addr(WEB), { port: 6001 }), a.ping(addr(WEB), { port: 77 }));
    expect(w.web.heard.map((words) => words.replace(/ seq.*| \d+ octets.*/, ''))).toEqual([
      `IPv4 ${NAT_BLUE} > ${WEB} UDP 5353 > 7`,
      `IPv4 ${NAT_BLUE} > ${WEB} TCP 6001 > 80 SYN`,
      `IPv4 ${NAT_BLUE} > ${WEB} ICMP echo request id 77`,
      `IPv4 ${NAT_BLUE} > ${WEB} TCP 6001 > 80 ACK`,
      `IPv4 ${NAT_BLUE} > ${WEB} TCP 6001 > 80 FIN,ACK`,
    ]);
  });

  test('one port of two VMs: the second gets another one, of the same parity (RFC 4787 REQ-4)', () => {
    const w = world();
    answered(w, w.vm('blue', 'a').udp(addr(WEB), { port: 5353 }), w.vm('blue', 'b').udp(addr(WEB), { port: 5353 }));
    const ports = w.web.heard.map((words) => Number(/UDP (\d+)/.exec(words)![1]));
    expect(new Set(ports).size).toBe(2);
    expect(ports).toContain(5353);
    expect(ports.every((port) => port % 2 === 1)).toBe(true);
  });

  test('two tenants with one address and one port: each has its own external address, and its own answer', () => {
    const w = world();
    const options = { port: 5353 };
    answered(w, w.vm('blue', 'a').udp(addr(WEB), options), w.vm('red', 'a').udp(addr(WEB), options));
    expect(w.ledger.questions.map(({ seenFrom }) => seenFrom)).toEqual([NAT_BLUE, NAT_RED]);
  });

  test('RFC 5508 REQ-4: an ICMP error from outside comes to whom it is about, about what it sent', () => {
    const w = world();
    const a = w.vm('blue', 'a');
    const question = a.udp(addr('198.51.100.99'), { port: 5354, hopLimit: 64 });
    w.run(20);
    const sent = w.external.findLast(({ way }) => way === 'out')!.packet;
    w.fromInternet(w.error('addressUnreachable', WEB, sent));
    w.run();
    expect(a.heard).toEqual([
      expect.stringMatching(`IPv4 ${WEB} > ${A} ICMP host unreachable.*${A}.*198\\.51\\.100\\.99`),
    ]);
    expect(w.ledger.questions[question]!.error).toBeDefined();
    clean(w);
  });

  test('RFC 1812 §5.3.1: TTL: the host, the compartment and compartment 1 are hops, and each says so', () => {
    const w = world();
    const a = w.vm('blue', 'a');
    for (const hopLimit of [2, 3]) a.udp(addr(WEB), { hopLimit, meant: undefined });
    w.run();
    expect(a.heard.map((words) => words.split(' ICMP ')[0]!.replace('IPv4 ', '')).sort()).toEqual([
      `10.1.0.1 > ${A}`,
      `203.0.113.10 > ${A}`,
    ]);
    expect(a.heard.every((words) => words.includes('TTL exceeded'))).toBe(true);
    clean(w);
  });

  test('RFC 3022 §4.1: a static rule brings in what nobody inside asked for; nothing else comes in', () => {
    const nat = `{ address: ${NAT_BLUE}, rules: [{ protocol: tcp, externalPort: 8080, to: "${A}:80" }, { protocol: udp, externalPort: 5007, to: "${B}:7" }] }`;
    const w = world({ tenants: [blue({ nat }), red()] });
    const external = addr(NAT_BLUE);
    const [a, b] = [w.vm('blue', 'a'), w.vm('blue', 'b')];
    const web = w.web.tcp(external, { to: 8080, meant: a });
    const echo = w.web.udp(external, { to: 5007, meant: b });
    answered(w, web, echo);
    expect(w.ledger.questions.map(({ seenFrom }) => seenFrom)).toEqual([WEB, WEB]);
    unheard(w, w.web.tcp(external, { to: 80 }), w.web.udp(external, { to: 7 }), w.web.ping(addr(NAT_RED)));
  });

  test('RFC 4787 REQ-8: address-dependent filtering', () => {
    const w = world();
    const a = w.vm('blue', 'a');
    answered(w, a.udp(addr(WEB), { port: 7 }));
    answered(w, w.web.udp(addr(NAT_BLUE), { to: 7, port: 8, meant: a }));
    unheard(w, w.dns.udp(addr(NAT_BLUE), { to: 7 }));
  });

  test('RFC 4787 REQ-9: hairpinning: a VM reaches another one of its tenant by the external address', () => {
    const nat = `{ address: ${NAT_BLUE}, rules: [{ protocol: udp, externalPort: 7, to: "${B}:7" }] }`;
    const w = world({ tenants: [blue({ nat }), red()] });
    const question = w.vm('blue', 'a').udp(addr(NAT_BLUE), { meant: w.vm('blue', 'b') });
    answered(w, question);
    expect(w.ledger.questions[question]!.seenFrom).toBe(NAT_BLUE);
    expect(w.external.filter(({ packet }) => packet[0] === 0x45)).toEqual([]);
  });

  test('two tenants meet by their external addresses, and only there', () => {
    const nat = `{ address: ${NAT_RED}, rules: [{ protocol: tcp, externalPort: 80, to: "${A}:80" }] }`;
    const w = world({ tenants: [blue(), red({ nat })] });
    const question = w.vm('blue', 'a').tcp(addr(NAT_RED), { meant: w.vm('red', 'a') });
    answered(w, question);
    expect(w.ledger.questions[question]!.seenFrom).toBe(NAT_BLUE);
    unheard(w, w.vm('red', 'a').udp(addr(NAT_BLUE), { meant: undefined }));
  });

  test('fragments pass whole, both ways, in any order', () => {
    const w = world({}, { conditions: { reorder: 0.3, jitter: 3 } });
    const a = w.vm('blue', 'a');
    const questions = Array.from({ length: 8 }, (_, i) => a.udp(addr(WEB), { port: 5000 + i, size: 4000 }));
    answered(w, ...questions);
    expect(w.web.heard.length).toBe(8);
  });

  test('`ask-nat` and `flush-nat`: the sessions are those of the tenant', () => {
    const w = world();
    answered(w, w.vm('blue', 'a').udp(addr(WEB), { port: 5353 }), w.vm('red', 'b').udp(addr(DNS), { port: 5354 }));
    expect(w.sessions('blue')).toEqual([`udp ${A}:5353 ${NAT_BLUE}:5353 ${WEB}:7 answered`]);
    expect(w.sessions('red')).toEqual([`udp ${B}:5354 ${NAT_RED}:5354 ${DNS}:7 answered`]);
    w.gateway.dispatch({ type: 'flush-nat', tenant: 'blue', query: 0, filter: {} });
    expect(w.sessions('blue')).toEqual([]);
    expect(w.sessions('red')).toHaveLength(1);
    w.run(400_000);
    expect(w.sessions('red')).toEqual([]);
    clean(w);
  });
});

describe('direct routing', () => {
  const subnets = [{ vsid: 7001, prefixes: ['10.7.0.0/24'] }];
  const vms = [{ name: 'a', vsid: 7001, mac: '00:15:5d:00:00:10', addresses: ['10.7.0.10'], host: 'host1' }];
  const green = { name: 'green', subnets, vms, direct: true };

  test('both ways, with the inner address', () => {
    const w = world({ tenants: [green, red()] });
    const a = w.vm('green', 'a');
    const out = a.tcp(addr(WEB));
    answered(w, out, w.web.ping(addr('10.7.0.10'), { meant: a }));
    expect(w.ledger.questions[out]!.seenFrom).toBe('10.7.0.10');
  });

  test('from a tenant behind NAT to one routed directly', () => {
    const w = world({ tenants: [green, red()] });
    const question = w.vm('red', 'a').udp(addr('10.7.0.10'), { meant: w.vm('green', 'a') });
    answered(w, question);
    expect(w.ledger.questions[question]!.seenFrom).toBe(NAT_RED);
    unheard(w, w.vm('green', 'a').udp(addr(A), { meant: undefined }));
  });

  test('RFC 3704 §2.2: a source that is behind a link comes by that link alone', () => {
    const w = world({ tenants: [green, red()] });
    for (const source of ['10.7.0.10', NAT_RED]) {
      unheard(w, w.web.udp(addr(NAT_RED), { source: addr(source), meant: undefined }));
      unheard(w, w.web.udp(addr('10.7.0.10'), { source: addr(source), meant: undefined }));
    }
    expect(dropsOf(w, 'default')).toEqual({ spoofed: 4 });
  });
});

describe('all at once', () => {
  test('one tenant has NAT and a site; the FIB decides, and another tenant has the same addresses at its site', () => {
    const other = { ...site, gateway: '192.0.2.12' };
    const w = world({ tenants: [blue({ site }), red({ site: other })] });
    const ask = (name: string): number[] => {
      const a = w.vm(name, 'a');
      return [
        a.udp(addr('10.9.0.10'), { meant: w.site(name, 'server') }),
        a.udp(addr(WEB)),
        a.tcp(addr('10.9.0.10'), { meant: w.site(name, 'server') }),
      ];
    };
    w.run(100);
    answered(w, ...ask('blue'), ...ask('red'));
    answered(w, w.site('blue', 'server').ping(addr(C), { meant: w.vm('blue', 'c') }));
    expect(w.site('blue', 'server').heard).toContainEqual(expect.stringContaining(`IPv4 ${A} > 10.9.0.10 UDP`));
    expect(w.ledger.questions.map(({ seenFrom }) => seenFrom)).toEqual([
      ...[A, NAT_BLUE, A],
      ...[A, NAT_RED, A],
      '10.9.0.10',
    ]);
  });

  test('a VM moves to another host: both documents are applied again', () => {
    const w = world();
    const a = w.vm('blue', 'a');
    answered(w, a.ping(addr(B)), a.udp(addr(WEB)), w.vm('red', 'a').ping(addr(B)));
    const vms = blue().vms.map((vm) => (vm.name === 'a' ? { ...vm, host: 'host2' } : vm));
    w.apply(plan({ tenants: [blue({ vms }), red()] }));
    expect(w.vms.get('blue/a')!.host).toBe('host2');
    answered(w, a.ping(addr(B)), a.udp(addr(WEB)), w.vm('blue', 'c').ping(addr(A)), w.vm('red', 'a').ping(addr(B)));
  });

  test('VSIDs change hands in one document', () => {
    const w = world();
    answered(w, w.vm('blue', 'a').ping(addr(B)), w.vm('red', 'a').udp(addr(WEB)));
    const swapped = { ...blue(), subnets: red().subnets, vms: red().vms };
    const tenants = [swapped, { ...red(), subnets: blue().subnets, vms: blue().vms }];
    w.apply(plan({ tenants }));
    w.run(10);
    answered(w, w.vm('blue', 'a').ping(addr(B)), w.vm('red', 'a').udp(addr(WEB)), w.vm('blue', 'a').udp(addr(WEB)));
  });

  test('external addresses change hands in one document', () => {
    const w = world();
    const natOf = (address: string): string => `{ address: ${address} }`;
    const ask = (): number[] => [w.vm('blue', 'a').udp(addr(WEB)), w.vm('red', 'a').udp(addr(WEB))];
    answered(w, ...ask());
    w.apply(plan({ tenants: [blue({ nat: natOf(NAT_RED) }), red({ nat: natOf(NAT_BLUE) })] }));
    w.run(10);
    answered(w, ...ask());
    expect(w.ledger.questions.map(({ seenFrom }) => seenFrom)).toEqual([NAT_BLUE, NAT_RED, NAT_RED, NAT_BLUE]);
  });
});
