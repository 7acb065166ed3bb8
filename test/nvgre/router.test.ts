import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { checksum, counting, echo, ipv4, ipv6, join, tcp, udp } from '../compartment/octets.ts';
import { pfx } from '../support/packets.ts';
import {
  BROADCAST,
  datagram,
  GATEWAY,
  HOST_A,
  HOST_B,
  ipFrame,
  mac,
  type Node,
  nvgre,
  placesOf,
  port,
  ROUTER,
  record,
  standard,
  subnet,
  tenant,
  vm,
} from './fixture.ts';

const GATEWAY_MAC = vm(0x99);
const SUBNETS = [
  subnet(5001, '10.1.0.0/24'),
  subnet(5001, '2001:db8:1::/64'),
  subnet(5002, '10.2.0.0/24'),
  subnet(5002, '2001:db8:2::/64'),
  subnet(5003, '10.0.2.0/24'),
];
const RECORDS = [
  ...tenant(1).records!,
  record(5001, '2001:db8:1::11', vm(1), GATEWAY),
  record(5002, '2001:db8:2::15', vm(5), HOST_A),
];
const routed = (more: Parameters<typeof standard>[0] = {}): Node =>
  standard({ subnets: SUBNETS, records: RECORDS, ...more });
const via = (prefix: string, nextHop: string, metric = 1, vsid?: number) => ({
  prefix: pfx(prefix),
  nextHop: pfx(nextHop).address,
  metric,
  ...(vsid === undefined ? {} : { vsid }),
});
const toRouter = (to: string, ttl = 64, from = '10.1.0.11'): Uint8Array =>
  ipFrame(ROUTER, vm(1), ipv4({ src: from, dst: to, ttl }, udp(from, to, 1000, 2000, counting(5))));

describe('RFC 7637 §4.5: the distributed router, between virtual subnets of one tenant', () => {
  it('rewrites VSID and MAC addresses, takes one hop, and sends where the record says', () => {
    const node = routed();
    const [sent, ...others] = node.send(1, toRouter('10.2.0.15'));
    expect(others).toEqual([]);
    expect(sent!.to).toBe(`5002 at ${HOST_A}`);
    const [src, dst] = ['10.1.0.11', '10.2.0.15'];
    const expected = ipFrame(vm(5), ROUTER, ipv4({ src, dst, ttl: 63 }, udp(src, dst, 1000, 2000, counting(5))));
    expect(sent!.octets).toEqual(nvgre(5002, sent!.octets[7]!, expected));
    expect(node.switch.counters(1)).toMatchObject({ routed: 1, toFabric: 1 });
  });

  it('never leaves the host when both are here', () => {
    const node = routed();
    node.switch.addPort(port(3, 1, 5002, vm(7), ['10.2.0.17']));
    const [sent] = node.send(1, toRouter('10.2.0.17', 9));
    const [src, dst] = ['10.1.0.11', '10.2.0.17'];
    const expected = ipFrame(vm(7), ROUTER, ipv4({ src, dst, ttl: 8 }, udp(src, dst, 1000, 2000, counting(5))));
    expect(sent).toMatchObject({ to: 'port 3', octets: expected });
  });

  it('RFC 1624 §3: the header checksum is that of a header written anew, whatever the fields', () => {
    const node = routed();
    fc.assert(
      fc.property(
        fc.integer({ min: 2, max: 255 }),
        fc.nat(0xffff),
        fc.nat(255),
        fc.constantFrom([], [1, 1, 1, 0], [7, 7, 4, 0, 0, 0, 0, 0]),
        (ttl, id, tos, options) => {
          const packet = ipv4({ src: '10.1.0.11', dst: '10.2.0.15', ttl, id, tos, options }, counting(20));
          const [sent] = node.send(1, ipFrame(ROUTER, vm(1), packet));
          const header = sent!.octets.subarray(8 + 14, 8 + 14 + 20 + options.length);
          expect(header[8]).toBe(ttl - 1);
          expect(checksum(header)).toBe(0);
          expect(header).toEqual(
            ipv4({ src: '10.1.0.11', dst: '10.2.0.15', ttl: ttl - 1, id, tos, options }, counting(20)).subarray(
              0,
              header.length,
            ),
          );
        },
      ),
      { numRuns: 200 },
    );
  });

  it('RFC 8200 §3: IPv6 in the same way', () => {
    const [src, dst] = ['2001:db8:1::11', '2001:db8:2::15'];
    const frame = (to: string, from: string, hop: number) =>
      ipFrame(to, from, ipv6({ src, dst, hop }, udp(src, dst, 1, 2, counting(3))));
    const [sent] = routed().send(1, frame(ROUTER, vm(1), 64));
    expect(sent!.to).toBe(`5002 at ${HOST_A}`);
    expect(sent!.octets.subarray(8)).toEqual(frame(vm(5), ROUTER, 63));
  });

  it('a superframe is routed once', () => {
    const [src, dst] = ['10.1.0.11', '10.2.0.15'];
    const packet = ipv4({ src, dst, protocol: 6 }, tcp(src, dst, { flags: 0x10 }, counting(1000)));
    const [sent] = routed().send(1, ipFrame(ROUTER, vm(1), packet), { segment: 100, partial: true });
    expect(sent).toMatchObject({ segment: 100, partial: true });
    expect(sent!.octets[8 + 14 + 8]).toBe(63);
  });

  it('RFC 1812 §5.3.1: a hop limit that runs out is a counted drop', () => {
    const node = routed();
    expect(placesOf(node.send(1, toRouter('10.2.0.15', 2)))).toEqual([`5002 at ${HOST_A}`]);
    expect(node.refuses(() => node.send(1, toRouter('10.2.0.15', 1)))).toBe('1 hopLimit');
    expect(node.refuses(() => node.send(1, toRouter('10.2.0.15', 0)))).toBe('1 hopLimit');
  });

  it('RFC 1812 §5.2.2: what no router passes on is dropped, with its reason', () => {
    const node = routed();
    const refused = (packet: Uint8Array) => node.refuses(() => node.send(1, ipFrame(ROUTER, vm(1), packet)));
    const header = { src: '10.1.0.11', dst: '10.2.0.15' };
    const wrong = ipv4(header);
    wrong[10]! ^= 1;
    expect(refused(wrong)).toBe('1 checksum');
    expect(refused(ipv4({ ...header, options: [131, 3, 4, 0] }))).toBe('1 options');
    expect(refused(ipv4(header, counting(8)).subarray(0, 24))).toBe('1 length');
    for (const dst of ['224.0.0.1', '255.255.255.255', '169.254.1.1'])
      expect(refused(ipv4({ ...header, dst }))).toBe('1 notForwarded');
    expect(refused(ipv4({ src: '0.0.0.0', dst: '10.2.0.15' }))).toBe('1 martian');
    expect(refused(ipv6({ src: 'fe80::1', dst: '2001:db8:2::15' }))).toBe('1 notForwarded');
    expect(refused(ipv6({ src: '2001:db8:1::11', dst: 'fe80::5' }))).toBe('1 notForwarded');
    expect(refused(ipv4({ ...header, dst: '10.2.0.99' }))).toBe('1 noRecord');
    expect(refused(ipv4({ ...header, dst: '10.1.0.11' }))).toBe('1 bounce');
  });

  it('asked for its own subnet it sends there, though the VM could', () => {
    expect(placesOf(routed().send(1, toRouter('10.1.0.13')))).toEqual([`5001 at ${HOST_A}`]);
  });

  it('the longest prefix decides between subnets', () => {
    const node = routed({
      subnets: [...SUBNETS, subnet(5004, '10.2.0.0/28')],
      records: [...RECORDS, record(5004, '10.2.0.14', vm(8), HOST_B)],
    });
    expect(placesOf(node.send(1, toRouter('10.2.0.14')))).toEqual([`5004 at ${HOST_B}`]);
    // No record there: a shorter prefix's record is another address's.
    expect(node.refuses(() => node.send(1, toRouter('10.2.0.15')))).toBe('1 noRecord');
  });

  it("never into another tenant's virtual subnet, which has the same prefix", () => {
    const node = routed();
    node.switch.setRecords(
      1,
      RECORDS.filter(({ vsid }) => vsid === 5001),
    );
    expect(node.refuses(() => node.send(1, toRouter('10.2.0.15')))).toBe('1 noRecord');
  });

  it('where it is off, its MAC is nobody', () => {
    const off = routed({ subnets: [subnet(5001, '10.1.0.0/24', false), subnet(5002, '10.2.0.0/24')] });
    expect(off.refuses(() => off.send(1, toRouter('10.2.0.15')))).toBe('1 noRecord');
    expect(off.refuses(() => off.send(1, toRouter('10.1.0.1')))).toBe('1 noRecord');
  });
});

describe('RFC 792, RFC 4443 §4: the distributed router answers pings to its addresses', () => {
  it.each([
    ['10.1.0.11', '10.1.0.1'],
    ['10.1.0.11', '10.2.0.1'],
    ['2001:db8:1::11', '2001:db8:1::1'],
  ])('from %s to %s', (src, dst) => {
    const node = routed();
    const [sent, ...others] = node.send(1, ipFrame(ROUTER, vm(1), echo(src, dst, { ttl: 3, sequence: 8 })));
    expect(others).toEqual([]);
    const reply = echo(dst, src, { reply: true, ttl: 64, sequence: 8 });
    expect(sent).toMatchObject({ to: 'port 1', octets: ipFrame(vm(1), ROUTER, reply) });
    expect(node.switch.counters(1)).toMatchObject({ echoReplies: 1, routed: 0 });
  });

  it('and nothing else', () => {
    const node = routed();
    const refused = (packet: Uint8Array) => node.refuses(() => node.send(1, ipFrame(ROUTER, vm(1), packet)));
    expect(refused(echo('10.1.0.11', '10.1.0.1', { reply: true }))).toBe('1 protocolUnreachable');
    expect(refused(ipv4({ src: '10.1.0.11', dst: '10.1.0.1' }, counting(8)))).toBe('1 protocolUnreachable');
    const piece = ipv4(
      { src: '10.1.0.11', dst: '10.1.0.1', protocol: 1, mf: true },
      Uint8Array.of(8, 0, 0, 0, 0, 0, 0, 0),
    );
    expect(refused(piece)).toBe('1 protocolUnreachable');
    expect(
      node.refuses(() => node.receive(HOST_A, nvgre(5001, 0, ipFrame(ROUTER, vm(3), echo('10.1.0.13', '10.1.0.1'))))),
    ).toBe('1 noRecord');
  });
});

describe('RFC 7637 §4.6, §4.7: what is outside every virtual subnet', () => {
  const gatewayRecord = record(5003, '10.0.2.2', GATEWAY_MAC, HOST_B);
  const withRoutes = (...routes: ReturnType<typeof via>[]): Node =>
    routed({ records: [...RECORDS, gatewayRecord], routes });

  it('goes to the next hop of a customer route, in its virtual subnet', () => {
    const node = withRoutes(via('0.0.0.0/0', '10.0.2.2'));
    const [sent] = node.send(1, toRouter('198.51.100.7'));
    expect(sent!.to).toBe(`5003 at ${HOST_B}`);
    expect(sent!.octets.subarray(8, 20)).toEqual(join(mac(GATEWAY_MAC), mac(ROUTER)));
  });

  it('longest prefix, then lowest metric, then the first', () => {
    const node = withRoutes(
      via('0.0.0.0/0', '10.0.2.2'),
      via('198.51.100.0/24', '10.1.0.13', 7),
      via('198.51.100.0/24', '10.1.0.14', 3),
      via('198.51.100.0/24', '10.1.0.13', 3),
    );
    expect(placesOf(node.send(1, toRouter('198.51.100.7')))).toEqual([`5001 at ${HOST_B}`]);
    expect(placesOf(node.send(1, toRouter('198.51.101.7')))).toEqual([`5003 at ${HOST_B}`]);
    node.switch.setRoutes(1, [via('198.51.100.0/24', '10.1.0.13', 7)]);
    expect(placesOf(node.send(1, toRouter('198.51.100.7')))).toEqual([`5001 at ${HOST_A}`]);
  });

  it('a virtual subnet goes before every route', () => {
    const node = withRoutes(via('10.2.0.0/28', '10.0.2.2'), via('10.2.0.15/32', '10.0.2.2'));
    expect(placesOf(node.send(1, toRouter('10.2.0.15')))).toEqual([`5002 at ${HOST_A}`]);
  });

  it('a next hop without a record, or in no virtual subnet, is no way', () => {
    const node = withRoutes(via('198.51.100.0/24', '10.0.2.9'), via('203.0.113.0/24', '192.0.2.1'));
    expect(node.refuses(() => node.send(1, toRouter('198.51.100.7')))).toBe('1 noRecord');
    expect(node.refuses(() => node.send(1, toRouter('203.0.113.7')))).toBe('1 noRecord');
    node.switch.setRecords(1, [...RECORDS, gatewayRecord, record(5003, '10.0.2.9', vm(9), HOST_A)]);
    expect(placesOf(node.send(1, toRouter('198.51.100.7')))).toEqual([`5003 at ${HOST_A}`]);
  });

  it('without a route, the wildcard gateway of the virtual subnet it came from', () => {
    const wildcard = record(5001, '0.0.0.0', GATEWAY_MAC, HOST_B, 'gateway-wildcard');
    const node = routed({ records: [...RECORDS, wildcard], routes: [via('203.0.113.0/24', '10.1.0.13')] });
    node.switch.addPort(port(3, 1, 5002, vm(7), ['10.2.0.17']));
    expect(placesOf(node.send(1, toRouter('198.51.100.7')))).toEqual([`5001 at ${HOST_B}`]);
    expect(placesOf(node.send(1, toRouter('203.0.113.7')))).toEqual([`5001 at ${HOST_A}`]);
    const other = datagram(ROUTER, vm(7), '10.2.0.17', '198.51.100.7');
    expect(node.refuses(() => node.send(3, other))).toBe('1 noRecord');
    const wide = datagram(ROUTER, vm(1), '2001:db8:1::11', '2001:db8:9::9');
    expect(placesOf(node.send(1, wide))).toEqual([`5001 at ${HOST_B}`]);
  });

  it('on the gateway itself: its own port', () => {
    const node = routed();
    node.switch.addPort(port(9, 1, 5001, GATEWAY_MAC, ['10.1.0.2'], 'gateway'));
    expect(placesOf(node.send(1, toRouter('198.51.100.7')))).toEqual(['port 9']);
    // And from there back, in other virtual subnets too.
    const back = datagram(ROUTER, GATEWAY_MAC, '198.51.100.7', '10.2.0.15');
    expect(placesOf(node.send(9, back))).toEqual([`5002 at ${HOST_A}`]);
  });
});

describe('RFC 7039 §2: what was routed elsewhere comes from where packets to its source would go', () => {
  const arrive = (node: Node, pa: string, src: string, from: string): string => {
    const frame = nvgre(5001, 0, datagram(vm(1), src, from, '10.1.0.11'));
    const sent = node.receive(pa, frame);
    return sent.length === 1 ? sent[0]!.to : node.dropped.at(-1)!;
  };

  it('a VM of another virtual subnet, by the router of its host', () => {
    const node = routed();
    expect(arrive(node, HOST_A, ROUTER, '10.2.0.15')).toBe('port 1');
    expect(arrive(node, HOST_B, ROUTER, '10.2.0.15')).toBe('1 spoofed');
    expect(arrive(node, HOST_A, ROUTER, '10.2.0.16')).toBe('1 spoofed');
    expect(arrive(node, HOST_A, ROUTER, '10.1.0.12')).toBe('1 spoofed');
    // A router that leaves the MAC of the sender as it is.
    expect(arrive(node, HOST_A, vm(5), '10.2.0.15')).toBe('port 1');
    expect(arrive(node, HOST_A, vm(6), '10.2.0.15')).toBe('1 spoofed');
    // To everyone of the subnet: nobody routes that, but it is no lie.
    const all = nvgre(5001, 0, datagram(BROADCAST, ROUTER, '10.2.0.15', '10.1.0.255'));
    expect(placesOf(node.receive(HOST_A, all))).toEqual(['port 1', 'port 2']);
  });

  it('the world outside, by the host of the gateway or of the next hop', () => {
    const none = routed();
    expect(arrive(none, HOST_B, ROUTER, '198.51.100.7')).toBe('1 spoofed');
    const wildcard = routed({ records: [...RECORDS, record(5003, '', GATEWAY_MAC, HOST_B, 'gateway-wildcard')] });
    expect(arrive(wildcard, HOST_B, ROUTER, '198.51.100.7')).toBe('port 1');
    expect(arrive(wildcard, HOST_A, ROUTER, '198.51.100.7')).toBe('1 spoofed');
    expect(arrive(wildcard, HOST_B, vm(8), '198.51.100.7')).toBe('1 spoofed');
    const route = routed({
      records: [...RECORDS, record(5003, '10.0.2.2', GATEWAY_MAC, HOST_B)],
      routes: [via('198.51.100.0/24', '10.0.2.2')],
    });
    expect(arrive(route, HOST_B, ROUTER, '198.51.100.7')).toBe('port 1');
    expect(arrive(route, HOST_B, ROUTER, '203.0.113.7')).toBe('1 spoofed');
    expect(arrive(route, HOST_A, ROUTER, '198.51.100.7')).toBe('1 spoofed');
  });
});
