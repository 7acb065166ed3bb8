/** What does not fit, does not belong, or is said by somebody else: MTUs, neighbours outside, forged frames. */
import { describe, expect, test } from 'vitest';
import { type Bytes, seededRandom } from '../../../src/core/index.ts';
import {
  buildIp,
  buildUdp,
  DROP_NAMES,
  ETHER_TYPE,
  ETHERNET_HEADER,
  formatMac,
  IP_PROTOCOL,
  ipv4Number,
  octetsOf,
  parseMac,
  writeEthernet,
} from '../../../src/ip/index.ts';
import { ROUTER_MAC } from '../../../src/nvgre/router.ts';
import { GATEWAY_MAC } from '../../support/fabric/plan.ts';
import { type FabricWorld, WEB } from '../../support/fabric/world.ts';
import { addr } from '../../support/packets.ts';
import { A, answered, B, blue, clean, NAT_BLUE, NAT_RED, red, unheard, world } from './fixture.ts';

const errorOf = (w: FabricWorld, question: number): string => w.ledger.questions[question]!.error ?? 'none';

describe('RFC 1191 §4: what does not fit is told its MTU', () => {
  // NVGRE takes 42 octets of an outer IPv4 packet, 8 more in UDP; IPv6 20 more.
  test.each([
    ['nvgre', '192.168.50.10', 1500, 1458],
    ['nvgre-udp', '192.168.50.10', 1500, 1450],
    ['nvgre', '2001:db8:f::10', 1500, 1438],
    ['nvgre', '192.168.50.10', 9000, 1500],
  ] as const)('%s by %s, provider network of %i octets: %i inside', (encapsulation, underlay, underlayMtu, inside) => {
    const v6 = underlay.includes(':');
    const hosts = v6
      ? { host1: '2001:db8:f::21', host2: '2001:db8:f::22' }
      : { host1: '192.168.50.21', host2: '192.168.50.22' };
    const w = world({ underlay, hosts, encapsulation, underlayMtu, externalMtu: 1500 });
    const a = w.vm('blue', 'a');
    const syn = a.tcp(addr(WEB), { port: 6001 });
    answered(w, a.udp(addr(WEB), { port: 5005 }), syn);
    // RFC 4459 §3.2, both ways: what passes the gateway is clamped to what fits inside.
    const mss = Math.min(1460, inside - 40);
    expect(w.ledger.questions[syn]!.mss).toBe(mss);
    expect(w.web.heard).toContainEqual(expect.stringContaining(`mss ${mss}`));
    // Back in: the largest that fits, and the smallest that does not.
    const answer = (size: number): number =>
      w.web.udp(addr(NAT_BLUE), { port: 7, to: 5005, size: size - 28, dontFragment: true, meant: a });
    answered(w, answer(inside));
    if (inside >= 1500) return;
    const large = answer(inside + 1);
    w.run();
    expect(errorOf(w, large)).toBe(
      `IPv4 ${NAT_BLUE} > ${WEB} ICMP fragmentation needed, MTU ${inside} about ${WEB} > ${NAT_BLUE} (576)`,
    );
    clean(w);
  });

  test('out: the external interface is the narrow one, and may be cut where DF is clear', () => {
    const w = world({ externalMtu: 1400 });
    const a = w.vm('blue', 'a');
    const ask = (size: number, dontFragment: boolean): number =>
      a.udp(addr(WEB), { size: size - 28, dontFragment, port: 5005 });
    answered(w, ask(1400, true), ask(1458, false));
    const large = ask(1401, true);
    w.run();
    expect(errorOf(w, large)).toBe(
      `IPv4 10.1.0.1 > ${A} ICMP fragmentation needed, MTU 1400 about ${A} > ${WEB} (576)`,
    );
    const pings = a.ping(addr(WEB), { size: 4000 });
    answered(w, pings);
  });

  test('RFC 5508 REQ-4: a router outside is narrower: its error comes in, translated', () => {
    const w = world();
    const a = w.vm('blue', 'a');
    answered(w, a.udp(addr(WEB), { port: 5005 }));
    const large = a.udp(addr('198.51.100.99'), { port: 5005, size: 1400, dontFragment: true, meant: undefined });
    w.run(20);
    const sent = w.external.findLast(({ way }) => way === 'out')!.packet;
    w.fromInternet(w.error('packetTooBig', '198.51.100.1', sent, 1300));
    w.run();
    expect(errorOf(w, large)).toBe(
      `IPv4 198.51.100.1 > ${A} ICMP fragmentation needed, MTU 1300 about ${A} > 198.51.100.99 (576)`,
    );
    clean(w);
  });
});

describe('neighbours outside', () => {
  test('RFC 826: who asks for the address of a NAT is answered; nobody has the rest of the pool', () => {
    const w = world();
    w.router.arp.splice(0);
    for (const address of [NAT_BLUE, NAT_RED, '203.0.113.10', '203.0.113.60']) w.router.ask(addr(address));
    w.run();
    const mac = formatMac(w.router.neighbours.get(NAT_BLUE)!);
    expect(w.router.arp.filter((words) => words.includes(' is at '))).toEqual(
      [NAT_BLUE, NAT_RED, '203.0.113.10'].map((address) => `${address} is at ${mac}`),
    );
    clean(w);
  });

  test('RFC 5227 §2.3: new addresses are announced, with the document that brings them', () => {
    const w = world({ tenants: [blue(), red()] });
    w.run(5000);
    w.router.arp.splice(0);
    w.apply({ ...w.plan, tenants: [blue(), red({ nat: '{ address: 203.0.113.77 }' })] });
    w.run(5000);
    const announced = '203.0.113.77 asks for 203.0.113.77';
    expect(w.router.arp).toEqual([announced, announced]);
    w.router.arp.splice(0);
    w.router.ask(addr(NAT_RED));
    w.run();
    expect(w.router.arp).toEqual([]);
    clean(w);
  });

  test('RFC 5227 §2.4: somebody claims an address of ours: defended, reported by name, and all goes on', () => {
    const w = world();
    answered(w, w.vm('blue', 'a').udp(addr(WEB)));
    w.run(60_000);
    w.router.arp.splice(0);
    const other = ipv4Number(addr(NAT_BLUE));
    w.router.sayArp(1, other, other);
    w.run();
    expect(w.router.arp).toEqual([`${NAT_BLUE} asks for ${NAT_BLUE}`]);
    expect(w.gateway.reports.map(({ what, text }) => `${what}: ${text}`)).toEqual([
      `address-conflict: 02:00:00:00:00:99 on external of default claims ${NAT_BLUE}, which is ours`,
    ]);
    answered(w, w.vm('blue', 'a').udp(addr(WEB), { port: 5001 }));
  });

  test('RFC 1812 §5.2.1: the router outside is gone: whoever sends is told, and nothing is kept', () => {
    const w = world();
    w.router.deaf = true;
    const a = w.vm('blue', 'a');
    const question = a.udp(addr(WEB), { meant: undefined });
    w.run(10_000);
    expect(errorOf(w, question)).toMatch(/ICMP host unreachable/);
    clean(w);
  });
});

test('RFC 1812 §4.3.3.1: what waits in a segment that goes is refused, and the error about it waits nowhere', () => {
  const w = world();
  answered(w, w.vm('blue', 'a').udp(addr(WEB)));
  const mac = w.router.neighbours.get(NAT_BLUE)!;
  for (let last = 60; last < 70; last++) {
    const ends = { source: addr(WEB), destination: addr(`203.0.113.${last}`), sourcePort: 7, destinationPort: 7 };
    w.router.frame(mac, buildUdp(ends, new TextEncoder().encode('to nobody')));
  }
  w.run(10);
  expect(w.gateway.pool.taken).toBe(10);
  w.apply({ ...w.plan, externalMtu: 1400 });
  expect(w.gateway.pool.taken).toBe(0);
  answered(w, w.vm('blue', 'a').udp(addr(WEB)));
});

describe('frames that are not what they say', () => {
  /** A world whose gateway counts where tests can see it: the drops of a tenant's network, by name. */
  function forged(tenants = [blue(), red()]) {
    const w = world({ tenants }, { planes: 1 });
    const plane = w.hosted!.planes[0]!;
    const named = (drops: Float64Array): Record<string, number> =>
      Object.fromEntries([...drops].flatMap((count, code) => (count > 0 ? [[DROP_NAMES[code]!, count]] : [])));
    return {
      w,
      drops: () => named(plane.drops),
      of: (tenant: number) => named(plane.switch!.dropsOf(tenant)),
      /** From a provider address, to the gateway. */
      send: (from: string, payload: Bytes): void => {
        const ends = { source: addr(from), destination: addr('192.168.50.10') };
        w.provider.send(buildIp({ ...ends, protocol: IP_PROTOCOL.gre }, payload));
      },
    };
  }

  const BLUE = 2;
  const RED = 3;
  const HOST1 = '192.168.50.21';

  /** NVGRE around a datagram of a VM for the Internet. */
  function frame(vsid: number, source: string, mac: string, edit: (frame: Bytes) => void = () => {}): Bytes {
    const packet = buildUdp(
      { source: addr(source), destination: addr(WEB), sourcePort: 5000, destinationPort: 7 },
      new TextEncoder().encode('forged'),
    );
    const octets = new Uint8Array(8 + ETHERNET_HEADER + packet.length);
    octets.set([0x20, 0, 0x65, 0x58, vsid >>> 16, vsid >>> 8, vsid, 0]);
    writeEthernet(octets, 8, parseMac(GATEWAY_MAC)!, parseMac(mac)!, ETHER_TYPE.ipv4);
    octets.set(packet, 8 + ETHERNET_HEADER);
    edit(octets);
    return octets;
  }
  const MAC_A = '00:15:5d:00:00:10';

  test.each([
    ['RFC 7637 §3.2: a checksum flag', { gre: 1 }, (o: Bytes) => (o[0] = 0xa0)],
    ['no key', { gre: 1 }, (o: Bytes) => (o[0] = 0)],
    ['a version', { gre: 1 }, (o: Bytes) => (o[1] = 1)],
    ['another protocol', { gre: 1 }, (o: Bytes) => (o[3] = 0x59)],
    ['a VSID of nobody', { vsid: 1 }, (o: Bytes) => (o[4] = 0x40)],
    ['a reserved VSID', { vsid: 1 }, (o: Bytes) => o.set([0, 0x0f, 0xff], 4)],
    ['RFC 7637 §4.2: an inner VLAN tag', { vlanTag: 1 }, (o: Bytes) => o.set([0x81, 0], 20)],
  ])('%s: counted, and nobody hears it', (_what, counted, edit) => {
    const { w, drops, send } = forged();
    send(HOST1, frame(5001, A, MAC_A, edit));
    w.run();
    expect(drops()).toEqual(counted);
    expect(w.web.heard).toEqual([]);
    clean(w);
  });

  test.each([
    ['the provider address of another host', '192.168.50.22', A, MAC_A],
    ['the provider address of nobody', '192.168.50.99', A, MAC_A],
    ["another VM's address", HOST1, B, MAC_A],
    ["another VM's MAC", HOST1, A, '00:15:5d:00:00:11'],
    ['a MAC of nobody', HOST1, A, '00:15:5d:99:99:99'],
    ['an address outside', HOST1, WEB, MAC_A],
    ["the gateway's own address", HOST1, '10.1.0.1', MAC_A],
    ["the router's MAC, from an address of another host", HOST1, B, formatMac(ROUTER_MAC)],
  ])('RFC 7637 §5: a source with %s: spoofed', (_what, from, source, mac) => {
    const { w, of, send } = forged();
    send(from, frame(5001, source, mac));
    w.run();
    expect(of(BLUE)).toEqual({ spoofed: 1 });
    expect(of(RED)).toEqual({});
    expect(w.web.heard).toEqual([]);
    clean(w);
  });

  test('the VSID of one tenant with an address of another: spoofed there, and unknown here', () => {
    const vm = { name: 'z', vsid: 5001, mac: '00:15:5d:00:00:7a', addresses: ['10.1.0.77'], host: 'host1' };
    const { w, of, send } = forged([blue({ vms: [...blue().vms, vm] }), red()]);
    send(HOST1, frame(6001, '10.1.0.77', vm.mac));
    w.run();
    expect(of(RED)).toEqual({ spoofed: 1 });
    expect(of(BLUE)).toEqual({});
    expect(w.web.heard).toEqual([]);
    send(HOST1, frame(5001, '10.1.0.77', vm.mac));
    w.run();
    expect(of(BLUE)).toEqual({});
  });

  test('at the host: a VM that sends as another one, or with another MAC', () => {
    const w = world();
    const a = w.vm('blue', 'a');
    answered(w, a.udp(addr(WEB)));
    unheard(w, a.udp(addr(WEB), { source: addr(B) }), a.ping(addr(B), { source: addr('10.2.0.10') }));
    const nic = w.nic('blue', 'a');
    nic.mac.set(w.nic('blue', 'b').mac);
    unheard(w, a.udp(addr(WEB)));
  });

  test('arbitrary octets in the underlay: dropped and counted, each once, and no slot stays', () => {
    const { w, send } = forged();
    const random = seededRandom(9);
    for (let i = 0; i < 2000; i++) {
      const octets = frame(i % 2 === 0 ? 5001 : 6001, A, MAC_A);
      for (let n = random(1)[0]! % 4; n >= 0; n--) octets[random(1)[0]! % octets.length] = random(1)[0]!;
      send(i % 3 === 0 ? HOST1 : '192.168.50.22', octets.subarray(0, octets.length - (random(1)[0]! % 8)));
      if (i % 50 === 0) w.run(10);
    }
    w.run(20_000);
    w.ledger.blamed.splice(0);
    clean(w);
    answered(w, w.vm('blue', 'a').udp(addr(WEB)), w.vm('red', 'b').tcp(addr(WEB)));
  });
});

describe('superframes', () => {
  test('RFC 7637 §4.4: from a VM through its host, NVGRE, NAT: cut where the wire begins, every octet there', () => {
    const w = world({ externalMtu: 9000, underlayMtu: 9000 }, {});
    const a = w.vm('blue', 'a');
    answered(w, a.udp(addr(WEB), { port: 5005 }));
    const host = w.hosts.get('host1')!;
    const sizes: number[] = [];
    w.web.onUdp = (data) => sizes.push(data.length);
    const data = new Uint8Array(6000).fill(0x41);
    const packet = buildUdp({ source: addr(A), destination: addr(WEB), sourcePort: 5005, destinationPort: 9 }, data);
    const octets = new Uint8Array(ETHERNET_HEADER + packet.length);
    writeEthernet(octets, 0, ROUTER_MAC, parseMac(MAC)!, ETHER_TYPE.ipv4);
    octets.set(packet, ETHERNET_HEADER);
    const slot = host.pool.from(octets)!;
    slot.segment = 1000;
    slot.partial = true;
    expect(octetsOf(slot).length).toBe(octets.length);
    host.dispatch({ type: 'packet', tenant: 'blue', interface: 'a', packet: slot });
    w.run();
    expect(sizes).toEqual([1000, 1000, 1000, 1000, 1000, 1000]);
    clean(w);
  });
});

describe('superframes from outside', () => {
  test('through compartment 1 and the NAT as one, cut where NVGRE begins', () => {
    const w = world({ driver: 'fabric' });
    const a = w.vm('blue', 'a');
    a.udp(addr(WEB), { port: 9 });
    w.run();
    const sizes: number[] = [];
    a.onUdp = (data) => sizes.push(data.length);
    const ends = { source: addr(WEB), destination: addr(NAT_BLUE), sourcePort: 7, destinationPort: 9 };
    const packet = w.gateway.pool.from(buildUdp(ends, new Uint8Array(5500).fill(0x42)))!;
    packet.segment = 1200;
    packet.partial = true;
    w.gateway.dispatch({ type: 'packet', tenant: 'default', interface: 'external', packet });
    w.run();
    expect(sizes).toEqual([1200, 1200, 1200, 1200, 700]);
    clean(w);
  });
});

const MAC = '00:15:5d:00:00:10';
