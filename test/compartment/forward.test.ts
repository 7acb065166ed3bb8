import { afterEach, describe, expect, it } from 'vitest';
import { Compartment } from '../../src/compartment/index.ts';
import { seededRandom, toHex } from '../../src/core/index.ts';
import { DROP, type Packet, PacketPool } from '../../src/ip/index.ts';
import { type Bench, net, site } from './fixture.ts';
import { ACK, be16, checksum, counting, icmp4, ipv4, ipv6, join, SYN, tcp, transportChecksum, udp } from './octets.ts';

let bench: Bench & { inside: number; hq: number; lan: number };
const open = (...args: Parameters<typeof site>) => {
  bench = site(...args);
  return bench;
};
afterEach(() => expect(bench.pool.taken).toBe(0));

const VM = '10.1.0.10';
const SITE = '10.2.0.7';
const VM6 = '2001:db8:1::10';
const SITE6 = '2001:db8:2::7';
const datagram = (length: number, f: Partial<Parameters<typeof ipv4>[0]> = {}) =>
  ipv4({ src: VM, dst: SITE, ...f }, udp(VM, SITE, 1000, 2000, counting(length - 28 - (f.options?.length ?? 0))));

describe('forwarding', () => {
  it('RFC 1812 §5.3.1: lowers the TTL by one and mends the checksum, and nothing else', () => {
    const { inside, hq } = open();
    for (const ttl of [2, 64, 255]) {
      const { sent, dropped } = bench.receive(datagram(100, { ttl, df: true, tos: 0xb8 }), inside);
      expect(dropped).toEqual([]);
      expect(sent).toEqual([{ out: hq, octets: datagram(100, { ttl: ttl - 1, df: true, tos: 0xb8 }) }]);
    }
    expect(bench.compartment.counters.forwarded).toBe(3);
  });

  it('RFC 8200 §3: lowers the hop limit by one', () => {
    const { inside, hq } = open();
    const packet = (hop: number) =>
      ipv6({ src: VM6, dst: SITE6, hop, flow: 0xabcde }, udp(VM6, SITE6, 1, 2, counting(9)));
    expect(bench.receive(packet(2), inside).sent).toEqual([{ out: hq, octets: packet(1) }]);
  });

  it('counts packets and octets of both interfaces', () => {
    const { inside, hq } = open();
    bench.receive(datagram(100), inside);
    bench.receive(datagram(300), inside);
    const views = bench.compartment.interfaces();
    expect(views.find((v) => v.number === inside)).toMatchObject({ rxPackets: 2, rxBytes: 400, txPackets: 0 });
    expect(views.find((v) => v.number === hq)).toMatchObject({ txPackets: 2, txBytes: 400, rxPackets: 0 });
  });

  it('drops what lies behind the total length', () => {
    const { inside } = open();
    const { sent } = bench.receive(join(datagram(60), counting(18)), inside);
    expect(sent[0]!.octets.length).toBe(60);
  });

  it.each([
    ['multicast', VM, '224.0.0.5', 'notForwarded'],
    ['the limited broadcast', VM, '255.255.255.255', 'notForwarded'],
    ['a directed broadcast of a connected network', VM, '10.3.0.255', 'notForwarded'],
    ['its obsolete form with zeros', VM, '10.3.0.0', 'notForwarded'],
    ['link-local to', VM, '169.254.1.1', 'notForwarded'],
    ['link-local from', '169.254.1.1', SITE, 'notForwarded'],
    ['loopback to', VM, '127.0.0.1', 'martian'],
    ['loopback from', '127.0.0.1', SITE, 'martian'],
    ['network zero from', '0.0.0.1', SITE, 'martian'],
    ['multicast from', '224.0.0.5', SITE, 'martian'],
    ['an own address from', '10.3.0.1', SITE, 'martian'],
    ['a broadcast of a connected network from', '10.3.0.255', SITE, 'martian'],
    ['IPv6 multicast', VM6, 'ff0e::1', 'notForwarded'],
    ['IPv6 link-local to', VM6, 'fe80::1', 'notForwarded'],
    ['IPv6 link-local from', 'fe80::1', SITE6, 'notForwarded'],
    ['IPv6 loopback from', '::1', SITE6, 'martian'],
    ['IPv6 unspecified from', '::', SITE6, 'martian'],
    ['an own IPv6 address from', '2001:db8:1::1', SITE6, 'martian'],
  ])('RFC 1812 §5.3.7, RFC 4291 §2.5.6: does not route %s', (_, src, dst, reason) => {
    const { inside } = open();
    const packet = src.includes(':')
      ? ipv6({ src, dst }, udp(src, dst, 1, 2, counting(8)))
      : ipv4({ src, dst }, udp(src, dst, 1, 2, counting(8)));
    expect(bench.receive(packet, inside)).toEqual({ sent: [], dropped: [reason] });
  });

  it('RFC 4443 §3.1: nothing goes back out of the point-to-point link it came in by', () => {
    const { inside, hq } = open();
    for (const [packet, from] of [
      [ipv4({ src: '10.1.0.9', dst: '10.1.0.77' }, counting(8)), inside],
      [ipv4({ src: '10.2.0.9', dst: '10.2.0.77' }, counting(8)), hq],
    ] as const) {
      const { sent, dropped } = bench.receive(packet, from);
      expect(dropped).toEqual(['bounce']);
      expect(sent.map((s) => [s.out, s.octets[20], s.octets[21]])).toEqual([[from, 3, 1]]);
    }
  });

  it('lets two hosts of one segment talk through it', () => {
    const { lan } = open();
    const { sent, dropped } = bench.receive(ipv4({ src: '10.3.0.9', dst: '10.3.0.77' }, counting(8)), lan);
    expect([sent[0]!.out, dropped]).toEqual([lan, []]);
  });

  it('takes nothing from an interface that is down or gone', () => {
    const { inside, hq } = open();
    bench.compartment.setUp(inside, false);
    expect(bench.receive(datagram(60), inside).dropped).toEqual(['linkDown']);
    bench.compartment.removeInterface(hq);
    expect(bench.receive(datagram(60), hq).dropped).toEqual(['linkDown']);
  });

  it.each([
    ['a wrong checksum', 10, 0xff, 'checksum'],
    ['a total length beyond the packet', 2, 0xff, 'length'],
    ['version 5', 0, 0x55, 'version'],
  ])('RFC 1812 §5.2.2: refuses %s in silence', (_, at, value, reason) => {
    const { inside } = open();
    const packet = datagram(60);
    packet[at] = value;
    expect(bench.receive(packet, inside)).toEqual({ sent: [], dropped: [reason] });
  });
});

describe('fragmentation', () => {
  /** RFC 815's point of view: every piece says where it belongs. */
  const reassemble = (pieces: readonly Uint8Array[]): Uint8Array => {
    const data = new Map<number, Uint8Array>();
    for (const p of pieces) {
      const header = (p[0]! & 15) * 4;
      expect(checksum(p.subarray(0, header))).toBe(0);
      data.set((((p[6]! & 0x1f) << 8) | p[7]!) * 8, p.subarray(header));
    }
    const sorted = [...data].sort(([a], [b]) => a - b);
    let at = 0;
    for (const [offset, piece] of sorted) {
      expect(offset).toBe(at);
      at += piece.length;
    }
    return join(...sorted.map(([, piece]) => piece));
  };

  it('RFC 791 §3.2: cuts what exceeds the MTU, in pieces that fit and add up', () => {
    const { inside, hq } = open();
    for (const length of [1401, 1408, 1500, 2776, 2777, 4000, 9000]) {
      bench.compartment.setMtu(inside, 9728);
      const original = datagram(length, { ttl: 9 });
      const { sent, dropped } = bench.receive(original, inside);
      expect(dropped).toEqual([]);
      expect(sent.every((s) => s.out === hq && s.octets.length <= 1400 && s.octets[8] === 8)).toBe(true);
      // Pieces of 1376 octets of data, but the last may use all 1380.
      expect(sent.length).toBe(1 + Math.ceil((length - 20 - 1380) / 1376));
      expect(sent.map((s) => (s.octets[6]! & 0x20) !== 0)).toEqual(sent.map((_, i) => i < sent.length - 1));
      expect(toHex(reassemble(sent.map((s) => s.octets)))).toBe(toHex(original.subarray(20)));
    }
    expect(bench.compartment.counters).toMatchObject({
      fragmented: 7,
      forwarded: 7,
      fragments: 2 + 2 + 2 + 2 + 3 + 3 + 7,
    });
  });

  it('RFC 791 §3.1: copies the options that say so into every piece', () => {
    const { inside } = open();
    // Router alert (copied, RFC 2113), then record route (not copied).
    const options = [0x94, 4, 0, 0, 7, 7, 4, 0, 0, 0, 0, 0];
    const { sent } = bench.receive(datagram(1500, { options }), inside);
    expect(sent.map((s) => (s.octets[0]! & 15) * 4)).toEqual([32, 24]);
    expect([...sent[1]!.octets.subarray(20, 24)]).toEqual([0x94, 4, 0, 0]);
  });

  it('a superframe that is too large and cannot be cut is counted for what is wrong with it', () => {
    const { compartment, inside, hq, pool } = open();
    compartment.setMtu(hq, 600);
    const refused = (segment: number, octets: Uint8Array): void => {
      compartment.receive(Object.assign(pool.from(octets)!, { segment }), inside, 0);
    };
    refused(700, ipv4({ src: VM, dst: SITE, protocol: 47 }, counting(1000)));
    refused(700, ipv4({ src: VM, dst: SITE, protocol: 6 }, tcp(VM, SITE, { flags: SYN }, counting(1000))));
    refused(700, ipv4({ src: VM, dst: SITE, mf: true }, counting(1000)));
    expect(bench.dropped).toEqual(['superframe', 'superframe', 'fragment']);
  });

  it('drops, counted, when the pool has too few packets for all pieces', () => {
    const { inside, pool } = open();
    const kept = Array.from({ length: pool.size - 2 }, () => pool.take()!);
    expect(bench.receive(datagram(1500), inside)).toEqual({ sent: [], dropped: ['noBuffer'] });
    for (const packet of kept) pool.release(packet);
  });
});

describe('MSS clamp', () => {
  const mss = (value: number) => [2, 4, ...be16(value)];
  const syn4 = (value: number, flags = SYN, options = mss(value)) =>
    ipv4({ src: VM, dst: SITE, protocol: 6 }, tcp(VM, SITE, { flags, options }));
  const mssOf = (packet: Uint8Array, header: number) => (packet[header + 22]! << 8) | packet[header + 23]!;

  it('RFC 9293 §3.7.1: lowers the MSS of SYN and SYN-ACK to the MTU of the connection, both ways', () => {
    const { inside, hq } = open();
    for (const flags of [SYN, SYN | ACK]) {
      const out = bench.receive(syn4(1460, flags), inside).sent[0]!.octets;
      expect(mssOf(out, 20)).toBe(1360);
      expect(transportChecksum(VM, SITE, 6, out.subarray(20))).toBe(0);
    }
    const back = ipv4({ src: SITE, dst: VM, protocol: 6 }, tcp(SITE, VM, { flags: SYN | ACK, options: mss(8960) }));
    const inward = bench.receive(back, hq).sent[0]!.octets;
    expect(mssOf(inward, 20)).toBe(1360);
    expect(transportChecksum(SITE, VM, 6, inward.subarray(20))).toBe(0);
    expect(bench.compartment.counters.mssClamped).toBe(3);
  });

  it('mends the checksum of an MSS at an odd offset', () => {
    const { inside } = open();
    const out = bench.receive(syn4(0, SYN, [1, ...mss(1460), 1, 1, 0]), inside).sent[0]!.octets;
    expect([...out.subarray(40, 45)]).toEqual([1, 2, 4, ...be16(1360)]);
    expect(transportChecksum(VM, SITE, 6, out.subarray(20))).toBe(0);
  });

  it('allows for the longer header of IPv6, and a link of no less than 1280 octets', () => {
    const { inside, hq } = open();
    const syn6 = ipv6({ src: VM6, dst: SITE6, next: 6 }, tcp(VM6, SITE6, { flags: SYN, options: mss(1440) }));
    const out = bench.receive(syn6, inside).sent[0]!.octets;
    expect(mssOf(out, 40)).toBe(1340);
    expect(transportChecksum(VM6, SITE6, 6, out.subarray(40))).toBe(0);
    bench.compartment.setMtu(hq, 1000);
    expect(mssOf(bench.receive(syn6, inside).sent[0]!.octets, 40)).toBe(1220);
  });

  it('leaves smaller values, other segments, SYNs without the option and other interfaces alone', () => {
    const { inside } = open();
    for (const packet of [syn4(1360), syn4(536), syn4(1460, ACK), syn4(0, SYN, [])]) {
      const out = bench.receive(packet, inside).sent[0]!.octets;
      expect(toHex(out.subarray(20))).toBe(toHex(packet.subarray(20)));
    }
    const toLan = ipv4(
      { src: VM, dst: '10.3.0.9', protocol: 6 },
      tcp(VM, '10.3.0.9', { flags: SYN, options: mss(9000) }),
    );
    expect(mssOf(bench.receive(toLan, inside).sent[0]!.octets, 20)).toBe(9000);
    expect(bench.compartment.counters.mssClamped).toBe(0);
  });

  it('is a choice of the interface', () => {
    const { inside, compartment } = open();
    const address = { addresses: [net('10.7.0.1/24')], mtu: 1000 };
    const lan = compartment.addInterface({ name: 'clamped', kind: 'fabric', clampMss: true, ...address });
    const toLan = ipv4(
      { src: VM, dst: '10.7.0.9', protocol: 6 },
      tcp(VM, '10.7.0.9', { flags: SYN, options: mss(9000) }),
    );
    expect(bench.receive(toLan, inside).sent.map((s) => [s.out, mssOf(s.octets, 20)])).toEqual([[lan, 960]]);
    const plain = compartment.addInterface({
      name: 'plain',
      kind: 'connection',
      mtu: 1400,
      addresses: [],
      clampMss: false,
    });
    bench.route('10.8.0.0/16', plain);
    const toPlain = ipv4(
      { src: VM, dst: '10.8.0.9', protocol: 6 },
      tcp(VM, '10.8.0.9', { flags: SYN, options: mss(9000) }),
    );
    expect(bench.receive(toPlain, inside).sent.map((s) => [s.out, mssOf(s.octets, 20)])).toEqual([[plain, 9000]]);
  });
});

describe('a sink that acts at once', () => {
  it('may refuse a packet, or take packets, from within emit', () => {
    const pool = new PacketPool(8, 9728);
    const left: number[] = [];
    const kept: Packet[] = [];
    const compartment = new Compartment({
      name: 'blue',
      number: 2,
      pool,
      random: seededRandom(1),
      sink: {
        emit: (packet, out) => {
          left.push(out);
          if (out === 2) compartment.refuse(packet, DROP.prohibited, 0);
          else pool.release(packet);
          for (let p = pool.take(); p !== undefined; p = pool.take()) kept.push(p);
          for (const p of kept.splice(0)) pool.release(p);
        },
      },
    });
    compartment.addInterface({ name: 'inside', kind: 'tun', mtu: 1500, addresses: [net('10.1.0.1/24')] });
    const out = compartment.addInterface({ name: 'hq', kind: 'connection', mtu: 1400, addresses: [] });
    compartment.addRoute({ prefix: net('10.2.0.0/16'), interface: out, origin: 'static', preference: 1, why: '' });
    for (const length of [100, 1500]) compartment.receive(pool.from(datagram(length))!, 1, 0);
    // Each packet or piece, then the error about it; the last piece is no first fragment.
    expect(left).toEqual([2, 1, 2, 1, 2]);
    expect(pool.taken).toBe(0);
    open();
  });
});

describe('packets of the compartment itself', () => {
  it('are routed by the same table, with an identification each, and never cause an ICMP error', () => {
    const { hq, pool } = open();
    const send = (octets: Uint8Array) => bench.compartment.send(pool.from(octets)!, bench.now);
    const own = ipv4({ src: '10.1.0.1', dst: SITE, protocol: 1 }, icmp4(8, 0, [0, 1, 0, 1], counting(4)));
    send(own);
    send(own);
    expect(bench.sent.map((s) => s.out)).toEqual([hq, hq]);
    expect(toHex(bench.sent[0]!.octets.subarray(4, 6))).not.toBe(toHex(bench.sent[1]!.octets.subarray(4, 6)));
    expect(bench.sent.every((s) => checksum(s.octets.subarray(0, 20)) === 0)).toBe(true);
    send(ipv4({ src: '10.1.0.1', dst: '192.0.2.1', ttl: 1 }));
    send(ipv4({ src: '10.1.0.1', dst: '224.0.0.5' }));
    send(ipv4({ src: '10.1.0.1', dst: '10.1.0.255' }));
    expect(bench.sent.length).toBe(2);
    expect(bench.dropped).toEqual(['noRoute', 'notForwarded', 'notForwarded']);
  });
});
