import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { PacketPool } from '../../src/ip/index.ts';
import { counting, icmp6, ipv4, ipv6, join, tcp } from '../compartment/octets.ts';
import {
  arp,
  BROADCAST,
  datagram,
  eth,
  GATEWAY,
  HOST_A,
  HOST_B,
  ipFrame,
  Node,
  nvgre,
  placesOf,
  port,
  record,
  standard,
  subnet,
  tenant,
  vm,
} from './fixture.ts';

const between = (from: number, to: number, mark = 0): Uint8Array =>
  datagram(vm(to), vm(from), `10.1.0.${10 + from}`, `10.1.0.${10 + to}`, mark);

describe('RFC 7637 §4.3: unicast within a virtual subnet', () => {
  it('goes to the provider address of the record, encapsulated', () => {
    const node = standard();
    const frame = between(1, 3);
    const [sent, ...others] = node.send(1, frame);
    expect(others).toEqual([]);
    expect(sent!.to).toBe(`5001 at ${HOST_A}`);
    expect(sent!.octets).toEqual(nvgre(5001, sent!.octets[7]!, frame));
    expect(node.switch.counters(1)).toMatchObject({ fromPorts: 1, toFabric: 1, toPorts: 0 });
  });

  it('goes to the port of a VM here, as it is', () => {
    const node = standard();
    expect(node.send(1, between(1, 2))).toEqual([{ to: 'port 2', octets: between(1, 2), segment: 0, partial: false }]);
  });

  it('out of the fabric goes to a port', () => {
    const node = standard();
    const [sent] = node.receive(HOST_A, nvgre(5001, 77, between(3, 1)));
    expect(sent).toMatchObject({ to: 'port 1', octets: between(3, 1) });
    expect(node.switch.counters(1)).toMatchObject({ fromFabric: 1, toPorts: 1 });
  });

  it('no record for the MAC, no way; a record without a port here, neither', () => {
    const node = standard({ records: [...tenant(1).records!, record(5001, '10.1.0.18', vm(8), GATEWAY)] });
    expect(node.refuses(() => node.send(1, between(1, 7)))).toBe('1 noRecord');
    expect(node.refuses(() => node.receive(HOST_A, nvgre(5001, 0, between(3, 7))))).toBe('1 noRecord');
    expect(node.refuses(() => node.send(1, between(1, 8)))).toBe('1 linkDown');
    expect(node.refuses(() => node.receive(HOST_A, nvgre(5001, 0, between(3, 8))))).toBe('1 linkDown');
    expect(node.refuses(() => node.send(1, between(1, 1)))).toBe('1 bounce');
  });

  it('nothing from the fabric goes back to it', () => {
    const node = standard();
    expect(node.refuses(() => node.receive(HOST_A, nvgre(5001, 0, between(3, 4))))).toBe('1 noRecord');
  });

  it('a superframe goes once, whole', () => {
    const node = standard();
    const [src, dst] = ['10.1.0.11', '10.1.0.13'];
    const frame = ipFrame(vm(3), vm(1), ipv4({ src, dst, protocol: 6 }, tcp(src, dst, { flags: 0x10 }, counting(900))));
    const [sent] = node.send(1, frame, { segment: 100, partial: true });
    expect(sent).toEqual({
      to: `5001 at ${HOST_A}`,
      octets: nvgre(5001, sent!.octets[7]!, frame),
      segment: 100,
      partial: true,
    });
  });

  it('provider addresses may be of the other family', () => {
    const node = standard({ records: [...tenant(1).records!, record(5001, '10.1.0.19', vm(9), 'fd50::22')] });
    expect(placesOf(node.send(1, between(1, 9)))).toEqual(['5001 at fd50::22']);
    expect(placesOf(node.receive('fd50::22', nvgre(5001, 0, between(9, 1))))).toEqual(['port 1']);
    expect(node.refuses(() => node.receive(HOST_A, nvgre(5001, 0, between(9, 1))))).toBe('1 spoofed');
  });
});

describe('a VSID is the only door: two tenants with identical MAC addresses and CAs', () => {
  it('the same frame means another VM in another tenant', () => {
    const node = standard();
    expect(placesOf(node.send(1, between(1, 2)))).toEqual(['port 2']);
    expect(placesOf(node.send(11, between(1, 2)))).toEqual(['port 12']);
    expect(placesOf(node.receive(HOST_A, nvgre(5001, 0, between(3, 1))))).toEqual(['port 1']);
    expect(placesOf(node.receive(HOST_A, nvgre(6001, 0, between(3, 1))))).toEqual(['port 11']);
  });

  it('RFC 7637 §3.4: an unknown VSID, a reserved one, no NVGRE: counted, for no tenant', () => {
    const node = standard();
    expect(node.refuses(() => node.receive(HOST_A, nvgre(7001, 0, between(3, 1))))).toBe('nobody vsid');
    expect(node.refuses(() => node.receive(HOST_A, nvgre(4095, 0, between(3, 1))))).toBe('nobody vsid');
    expect(node.refuses(() => node.receive(HOST_A, between(3, 1)))).toBe('nobody gre');
    expect(node.refuses(() => node.receive(HOST_A, nvgre(5001, 0, eth(vm(1), vm(3), 0x8100, counting(40)))))).toBe(
      'nobody vlanTag',
    );
    expect(node.refuses(() => node.send(77, between(1, 2)))).toBe('nobody linkDown');
    expect(node.drops(1)).toEqual({});
    expect([...node.switch.drops].reduce((a, b) => a + b)).toBe(5);
  });

  it("a VSID of one tenant with another's VM, or another subnet's, is spoofed", () => {
    const node = standard({ records: [...tenant(1).records!, record(5001, '10.1.0.16', vm(6), HOST_B)] });
    // VM 6 is in tenant 1 only; VM 5 is in another virtual subnet of each.
    const from6 = datagram(vm(1), vm(6), '10.1.0.16', '10.1.0.11');
    expect(node.refuses(() => node.receive(HOST_B, nvgre(6001, 0, from6)))).toBe('2 spoofed');
    const from5 = datagram(vm(1), vm(5), '10.1.0.15', '10.1.0.11');
    expect(node.refuses(() => node.receive(HOST_A, nvgre(5001, 0, from5)))).toBe('1 spoofed');
  });

  it('whatever is sent, by whomever: no frame reaches a port of another tenant, or leaves by another VSID', () => {
    const node = standard(
      {
        records: [
          ...tenant(1).records!,
          record(5001, '', vm(2), GATEWAY, 'l2only'),
          record(5002, '', vm(6), HOST_B, 'gateway-wildcard'),
        ],
      },
      { dynamicAgeMs: 50 },
    );
    node.switch.addPort(port(3, 1, 5002, vm(7), ['10.2.0.17']));
    node.switch.addPort(port(13, 2, 6002, vm(7), null));
    const tenantOf = (place: string): number => {
      const [first, second] = place.split(' ');
      if (first === 'port') return Number(second) > 10 ? 2 : 1;
      return Number(first) > 6000 ? 2 : 1;
    };
    const cas = [
      '10.1.0.11',
      '10.1.0.12',
      '10.1.0.13',
      '10.2.0.15',
      '10.2.0.17',
      '10.1.0.1',
      '8.8.8.8',
      '10.1.0.255',
      '0.0.0.0',
    ];
    const macs = [1, 2, 3, 5, 6, 7].map(vm).concat(BROADCAST, '02:62:68:00:00:01', '01:00:5e:00:00:01');
    const state = (number: number) =>
      JSON.stringify([node.switch.counters(number), node.drops(number), node.switch.records(number)]);
    // Mostly who he is; else anybody.
    const honest = fc.constantFrom(
      ...[0, 1].flatMap((twin) => [
        { door: 10 * twin + 1, pa: '', src: vm(1), from: '10.1.0.11' },
        { door: 10 * twin + 2, pa: '', src: vm(2), from: '10.1.0.12' },
        { door: 10 * twin + 3, pa: '', src: vm(7), from: '10.2.0.17' },
        { door: 1000 * twin + 5001, pa: HOST_A, src: vm(3), from: '10.1.0.13' },
        { door: 1000 * twin + 5002, pa: HOST_A, src: vm(5), from: '10.2.0.15' },
        { door: 1000 * twin + 5001, pa: HOST_A, src: '02:62:68:00:00:01', from: '10.2.0.15' },
      ]),
    );
    const anybody = fc.record({
      door: fc.constantFrom(1, 2, 3, 11, 12, 13, 5001, 5002, 6001, 6002),
      pa: fc.constantFrom(HOST_A, HOST_B, GATEWAY),
      src: fc.constantFrom(...macs),
      from: fc.constantFrom(...cas),
    });
    fc.assert(
      fc.property(
        fc.oneof(honest, honest, anybody),
        fc.constantFrom(...macs),
        fc.constantFrom(...cas),
        fc.constantFrom('udp', 'udp', 'arp'),
        fc.nat(40),
        ({ door, pa, src, from }, dst, to, kind, wait) => {
          node.now += wait;
          node.switch.expire(node.now);
          const mine = door < 10 || (door > 5000 && door < 6000) ? 1 : 2;
          const untouched = state(3 - mine);
          const request = eth(dst, src, 0x0806, arp(1, src, from, vm(0), to));
          const frame = kind === 'udp' ? datagram(dst, src, from, to, mine) : request;
          const sent = door > 5000 ? node.receive(pa, nvgre(door, 0, frame)) : node.send(door, frame);
          for (const { to: place } of sent) expect(tenantOf(place)).toBe(mine);
          expect(state(3 - mine)).toBe(untouched);
          expect(node.pool.taken).toBe(0);
        },
      ),
      { numRuns: 1500 },
    );
    expect(node.switch.counters(1).toPorts).toBeGreaterThan(100);
    expect(node.switch.counters(2).toPorts).toBeGreaterThan(100);
  });

  it('a tenant leaves with all that is its own, and may come again', () => {
    const node = standard();
    node.switch.removeTenant(1);
    expect(node.refuses(() => node.receive(HOST_A, nvgre(5001, 0, between(3, 1))))).toBe('nobody vsid');
    expect(node.refuses(() => node.send(1, between(1, 2)))).toBe('nobody linkDown');
    expect(placesOf(node.send(11, between(1, 2)))).toEqual(['port 12']);
    node.switch.addTenant(tenant(1));
    node.switch.addPort(port(1, 1, 5001, vm(1)));
    expect(placesOf(node.send(1, between(1, 3)))).toEqual([`5001 at ${HOST_A}`]);
  });

  it('a virtual subnet leaves and comes by a reload; what is in the others stays', () => {
    const node = standard();
    node.switch.setSubnets(1, [subnet(5001, '10.1.0.0/24'), subnet(5003, '10.3.0.0/24')]);
    expect(node.refuses(() => node.receive(HOST_A, nvgre(5002, 0, between(3, 1))))).toBe('nobody vsid');
    expect(placesOf(node.send(1, between(1, 3)))).toEqual([`5001 at ${HOST_A}`]);
    node.switch.setRecords(1, [
      ...tenant(1).records!.filter(({ vsid }) => vsid === 5001),
      record(5003, '10.3.0.13', vm(3), HOST_A),
    ]);
    node.switch.addPort(port(4, 1, 5003, vm(1), ['10.3.0.11']));
    expect(placesOf(node.send(4, datagram(vm(3), vm(1), '10.3.0.11', '10.3.0.13')))).toEqual([`5003 at ${HOST_A}`]);
  });

  it('breaks on what the document never says', () => {
    const node = standard();
    expect(() => node.switch.setSubnets(2, [subnet(5001)])).toThrow(/one tenant/);
    expect(() => node.switch.addTenant(tenant(1))).toThrow(/added once/);
    expect(() => node.switch.addPort(port(1, 1, 5001, vm(9)))).toThrow(/added once/);
    expect(() => node.switch.addPort(port(9, 1, 6001, vm(9)))).toThrow(/own virtual subnets/);
    expect(() => node.switch.removePort(9)).toThrow(/removed once/);
    expect(() => node.switch.setRoutes(3, [])).toThrow(/while it is spoken of/);
  });
});

describe('RFC 7637 §5, RFC 7039 §2: a source is of its sender', () => {
  const node = standard({
    subnets: [subnet(5001, '10.1.0.0/24'), subnet(5001, '2001:db8:1::/64'), subnet(5002, '10.2.0.0/24')],
    routes: [
      { prefix: { address: Uint8Array.of(10, 77, 0, 0), length: 16 }, nextHop: Uint8Array.of(10, 1, 0, 12), metric: 1 },
    ],
  });

  it.each([
    ['its MAC and CA', datagram(vm(2), vm(1), '10.1.0.11', '10.1.0.12'), ['port 2']],
    ["another's MAC", datagram(vm(2), vm(3), '10.1.0.11', '10.1.0.12'), 'spoofed'],
    ['a group as source', datagram(vm(2), '01:00:5e:00:00:01', '10.1.0.11', '10.1.0.12'), 'spoofed'],
    ["another's CA", datagram(vm(2), vm(1), '10.1.0.13', '10.1.0.12'), 'spoofed'],
    ["nobody's CA", datagram(vm(2), vm(1), '10.1.0.99', '10.1.0.12'), 'spoofed'],
    ['a CA outside', datagram(vm(2), vm(1), '198.51.100.1', '10.1.0.12'), 'spoofed'],
    ['what a route gives another', datagram(vm(2), vm(1), '10.77.0.1', '10.1.0.12'), 'spoofed'],
    ['the router', datagram(vm(2), vm(1), '10.1.0.1', '10.1.0.12'), 'spoofed'],
    ['no CA', datagram(vm(2), vm(1), '0.0.0.0', '10.1.0.12'), ['port 2']],
    ["another's IPv6 CA", datagram(vm(2), vm(1), '2001:db8:1::13', '2001:db8:1::11'), 'spoofed'],
    ['a link-local one', datagram(vm(2), vm(1), 'fe80::1', 'fe80::2'), ['port 2']],
    ['the loopback', datagram(vm(2), vm(1), '127.0.0.1', '10.1.0.12'), 'spoofed'],
  ] as const)('of a port: %s', (_, frame, result) => {
    if (typeof result === 'string') expect(node.refuses(() => node.send(1, frame))).toBe(`1 ${result}`);
    else expect(placesOf(node.send(1, frame))).toEqual(result);
  });

  it('the next hop of a customer route sends from what the route covers', () => {
    expect(placesOf(node.send(2, datagram(vm(1), vm(2), '10.77.0.1', '10.1.0.11')))).toEqual(['port 1']);
    expect(node.refuses(() => node.send(2, datagram(vm(1), vm(2), '10.78.0.1', '10.1.0.11')))).toBe('1 spoofed');
  });

  it('a gateway sends from any, here and there', () => {
    const gateway = vm(0x99);
    const far = standard({ records: [...tenant(1).records!, record(5001, '', gateway, HOST_B, 'gateway-wildcard')] });
    const frame = datagram(vm(1), gateway, '198.51.100.1', '10.1.0.11');
    expect(placesOf(far.receive(HOST_B, nvgre(5001, 0, frame)))).toEqual(['port 1']);
    expect(far.refuses(() => far.receive(HOST_A, nvgre(5001, 0, frame)))).toBe('1 spoofed');
    const near = standard();
    near.switch.addPort(port(9, 1, 5001, gateway, ['10.1.0.2'], 'gateway'));
    expect(placesOf(near.send(9, frame))).toEqual(['port 1']);
    expect(near.refuses(() => near.send(9, datagram(vm(1), vm(2), '198.51.100.1', '10.1.0.11')))).toBe('1 spoofed');
  });

  it.each([
    ['its MAC, CA and provider address', HOST_A, between(3, 1), ['port 1']],
    ['another provider address', HOST_B, between(3, 1), 'spoofed'],
    ['an unknown provider address', '192.168.50.99', between(3, 1), 'spoofed'],
    ["this node's own", GATEWAY, between(3, 1), 'spoofed'],
    ['a VM that is here', HOST_A, between(2, 1), 'spoofed'],
    ['a VM that is here, from here', GATEWAY, between(2, 1), 'spoofed'],
    ["another's CA", HOST_A, datagram(vm(1), vm(3), '10.1.0.14', '10.1.0.11'), 'spoofed'],
    ["nobody's CA", HOST_A, datagram(vm(1), vm(3), '10.1.0.99', '10.1.0.11'), 'spoofed'],
    ['an unknown MAC', HOST_A, datagram(vm(1), vm(8), '10.1.0.13', '10.1.0.11'), 'spoofed'],
    ['an unknown MAC elsewhere', HOST_B, datagram(vm(1), vm(8), '10.1.0.13', '10.1.0.11'), 'spoofed'],
  ] as const)('of the fabric: %s', (_, pa, frame, result) => {
    const to = nvgre(5001, 0, frame);
    if (typeof result === 'string') expect(node.refuses(() => node.receive(pa, to))).toBe(`1 ${result}`);
    else expect(placesOf(node.receive(pa, to))).toEqual(result);
  });

  it('frames that are none, or neither IP nor ARP', () => {
    const refused = (frame: Uint8Array) => node.refuses(() => node.send(1, frame));
    expect(refused(eth(vm(2), vm(1), 0x8100, counting(40)))).toBe('1 vlanTag');
    expect(refused(eth(vm(2), vm(1), 0x88cc, counting(40)))).toBe('1 etherType');
    expect(refused(eth(vm(2), vm(1), 0x0800, counting(4)))).toBe('1 short');
    expect(refused(new Uint8Array(13))).toBe('1 short');
    expect(refused(eth(vm(2), vm(1), 0x0800, ipv6({ src: '::1', dst: '::2' })))).toBe('1 version');
  });
});

describe('a VM that moves', () => {
  const moved = (pa: string) =>
    tenant(1).records!.map((r) => (r.mac[5] === 3 || r.mac[5] === 1 ? { ...r, pa: record(1, '', vm(1), pa).pa } : r));

  it('is followed at once: from host to host, from here to there, and back', () => {
    const node = standard();
    expect(placesOf(node.send(2, between(2, 3)))).toEqual([`5001 at ${HOST_A}`]);
    expect(placesOf(node.send(2, between(2, 1)))).toEqual(['port 1']);
    node.switch.setRecords(1, moved(HOST_B));
    expect(placesOf(node.send(2, between(2, 3)))).toEqual([`5001 at ${HOST_B}`]);
    expect(placesOf(node.send(2, between(2, 1)))).toEqual([`5001 at ${HOST_B}`]);
    // What it sends from there is it, from where it was is not, and what is left of it here is silent.
    expect(placesOf(node.receive(HOST_B, nvgre(5001, 0, between(3, 2))))).toEqual(['port 2']);
    expect(node.refuses(() => node.receive(HOST_A, nvgre(5001, 0, between(3, 2))))).toBe('1 spoofed');
    expect(node.refuses(() => node.send(1, between(1, 2)))).toBe('1 spoofed');
    expect(node.refuses(() => node.receive(HOST_B, nvgre(5001, 0, between(3, 1))))).toBe('1 noRecord');
    node.switch.setRecords(1, tenant(1).records!);
    expect(placesOf(node.send(2, between(2, 1)))).toEqual(['port 1']);
    expect(placesOf(node.send(1, between(1, 3)))).toEqual([`5001 at ${HOST_A}`]);
  });

  it('its port comes before its record, and goes after it', () => {
    const node = standard();
    node.switch.addPort(port(3, 1, 5001, vm(3)));
    expect(placesOf(node.send(2, between(2, 3)))).toEqual([`5001 at ${HOST_A}`]);
    node.switch.setRecords(1, moved(GATEWAY));
    expect(placesOf(node.send(2, between(2, 3)))).toEqual(['port 3']);
    node.switch.removePort(3);
    expect(node.refuses(() => node.send(2, between(2, 3)))).toBe('1 linkDown');
  });
});

describe('without a policy', () => {
  it('ports with addresses know each other', () => {
    const node = new Node();
    node.switch.addTenant({ tenant: 1, name: 'fabrikam', subnets: [subnet(5001)] });
    node.switch.addPort(port(1, 1, 5001, vm(1), ['10.1.0.11']));
    node.switch.addPort(port(2, 1, 5001, vm(2), ['10.1.0.12', '10.1.0.11']));
    expect(placesOf(node.send(1, between(1, 2)))).toEqual(['port 2']);
    // The first to come has an address; when it goes the other has it.
    const second = datagram(vm(1), vm(2), '10.1.0.11', '10.1.0.12');
    expect(node.refuses(() => node.send(2, second))).toBe('1 spoofed');
    node.switch.removePort(1);
    node.switch.addPort(port(3, 1, 5001, vm(1), []));
    expect(placesOf(node.send(2, second))).toEqual(['port 3']);
    expect(node.switch.records(1).map(({ origin, pa }) => [origin, pa])).toEqual([
      ['port', undefined],
      ['port', undefined],
    ]);
  });

  it('a packet without room for the header is dropped, not sent without one', () => {
    const pool = new PacketPool(4, 2048);
    const node = new Node({ pool });
    node.switch.addTenant(tenant(1));
    node.switch.addPort(port(1, 1, 5001, vm(1)));
    const packet = pool.take()!;
    const frame = between(1, 3);
    packet.buf.set(frame, 4);
    packet.start = 4;
    packet.end = 4 + frame.length;
    node.switch.fromPort(1, packet, 0);
    expect(node.dropped).toEqual(['1 noRoom']);
    expect(pool.taken).toBe(0);
  });
});

it('arbitrary octets at every door are handed on or released exactly once', () => {
  const node = standard();
  const head = fc.constantFrom<Uint8Array>(
    between(1, 3).subarray(0, 34),
    between(1, 3).subarray(0, 14),
    eth(BROADCAST, vm(1), 0x0806, Uint8Array.of(0, 1, 8, 0, 6, 4, 0, 1)),
    ipFrame(
      vm(2),
      vm(1),
      ipv6(
        { src: 'fe80::1', dst: 'ff02::1:ff00:2', next: 58, hop: 255 },
        icmp6('fe80::1', 'ff02::1:ff00:2', 135, 0, [0, 0, 0, 0], counting(16)),
      ),
    ),
    ipFrame('02:62:68:00:00:01', vm(1), ipv4({ src: '10.1.0.11', dst: '10.1.0.1', protocol: 1 }, counting(8))),
    new Uint8Array(0),
  );
  fc.assert(
    fc.property(
      head,
      fc.uint8Array({ maxLength: 60 }),
      fc.nat(80),
      fc.nat(255),
      fc.boolean(),
      (front, rest, at, value, wrapped) => {
        const octets = join(front, rest);
        if (at < octets.length) octets[at] = value;
        if (wrapped) node.receive(HOST_A, nvgre(5001, 0, octets));
        else node.send(1, octets);
      },
    ),
    { numRuns: 1000 },
  );
});
