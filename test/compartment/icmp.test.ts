import { afterEach, describe, expect, it } from 'vitest';
import { toHex } from '../../src/core/index.ts';
import { DROP } from '../../src/ip/index.ts';
import { Bench, site } from './fixture.ts';
import { be16, be32, checksum, counting, echo, icmp4, icmp6, ipv4, ipv6, join, tcp, udp } from './octets.ts';

let bench: Bench & { inside: number; hq: number; lan: number };
const open = (...args: Parameters<typeof site>) => {
  bench = site(...args);
  return bench;
};
afterEach(() => expect(bench.pool.taken).toBe(0));

const VM = '10.1.0.10';
const SITE = '10.2.0.7';
const OWN = '10.1.0.1';
const VM6 = '2001:db8:1::10';
const SITE6 = '2001:db8:2::7';
const OWN6 = '2001:db8:1::1';

/** An error as the octets it must have; only its identification is the compartment's choice. */
const error4 = (src: string, dst: string, type: number, code: number, rest: number[], about: Uint8Array) =>
  ipv4({ src, dst, protocol: 1, tos: 0xc0, id: 0 }, icmp4(type, code, rest, about.subarray(0, 548)));
const error6 = (src: string, dst: string, type: number, code: number, rest: number[], about: Uint8Array) =>
  ipv6({ src, dst, next: 58 }, icmp6(src, dst, type, code, rest, about.subarray(0, 1232)));

/** The octets with identification 0 and the header checksum that goes with it. */
const withoutId = (packet: Uint8Array): Uint8Array => {
  if (packet[0]! >>> 4 !== 4) return packet;
  const header = packet.slice(0, (packet[0]! & 15) * 4);
  expect(checksum(header)).toBe(0);
  header.set([0, 0], 4);
  header.set([0, 0], 10);
  header.set(be16(checksum(header)), 10);
  return join(header, packet.subarray(header.length));
};

const expectError = (got: ReturnType<Bench['receive']>, reason: string, out: number, octets: Uint8Array) => {
  expect(got.dropped).toEqual([reason]);
  expect(got.sent.map((s) => [s.out, toHex(withoutId(s.octets))])).toEqual([[out, toHex(octets)]]);
};

describe('ICMP errors, octet by octet', () => {
  it.each([0, 1])('RFC 1812 §5.3.1: TTL %i ran out', (ttl) => {
    const { inside } = open();
    const packet = ipv4({ src: VM, dst: SITE, ttl, options: [1, 1, 1, 0] }, udp(VM, SITE, 1, 2, counting(40)));
    expectError(bench.receive(packet, inside), 'hopLimit', inside, error4(OWN, VM, 11, 0, [0, 0, 0, 0], packet));
  });

  it.each([0, 1])('RFC 4443 §3.3: hop limit %i ran out', (hop) => {
    const { inside } = open();
    const packet = ipv6({ src: VM6, dst: SITE6, hop }, udp(VM6, SITE6, 1, 2, counting(40)));
    expectError(bench.receive(packet, inside), 'hopLimit', inside, error6(OWN6, VM6, 3, 0, [0, 0, 0, 0], packet));
  });

  it('RFC 1812 §5.2.7.1, RFC 4443 §3.1: no route', () => {
    const { inside } = open();
    const packet = ipv4({ src: VM, dst: '192.0.2.1' }, udp(VM, '192.0.2.1', 1, 2, counting(4)));
    expectError(bench.receive(packet, inside), 'noRoute', inside, error4(OWN, VM, 3, 0, [0, 0, 0, 0], packet));
    const packet6 = ipv6({ src: VM6, dst: '2001:db8:9::1' }, udp(VM6, '2001:db8:9::1', 1, 2, counting(4)));
    expectError(bench.receive(packet6, inside), 'noRoute', inside, error6(OWN6, VM6, 1, 0, [0, 0, 0, 0], packet6));
  });

  it('RFC 4443 §3.1: an address behind the link the packet came by', () => {
    const { inside } = open();
    const packet = ipv4({ src: VM, dst: '10.1.0.99' }, udp(VM, '10.1.0.99', 1, 2, counting(4)));
    expectError(bench.receive(packet, inside), 'bounce', inside, error4(OWN, VM, 3, 1, [0, 0, 0, 0], packet));
    const packet6 = ipv6({ src: VM6, dst: '2001:db8:1::99' }, udp(VM6, '2001:db8:1::99', 1, 2, counting(4)));
    expectError(bench.receive(packet6, inside), 'bounce', inside, error6(OWN6, VM6, 1, 3, [0, 0, 0, 0], packet6));
  });

  it('RFC 1191 §4: fragmentation needed, with the MTU of the way out, quoting 548 octets', () => {
    const { inside, hq } = open();
    const of = (length: number) => ipv4({ src: VM, dst: SITE, df: true }, counting(length - 20));
    expect(bench.receive(of(1400), inside).sent.map((s) => s.out)).toEqual([hq]);
    const packet = of(1401);
    expectError(bench.receive(packet, inside), 'tooBig', inside, error4(OWN, VM, 3, 4, [0, 0, ...be16(1400)], packet));
  });

  it('RFC 4443 §3.2: packet too big, never below 1280 octets, within 1280 octets', () => {
    const { inside, hq } = open();
    const of = (length: number) => ipv6({ src: VM6, dst: SITE6 }, counting(length - 40));
    expect(bench.receive(of(1400), inside).sent.map((s) => s.out)).toEqual([hq]);
    const packet = of(1401);
    expectError(bench.receive(packet, inside), 'tooBig', inside, error6(OWN6, VM6, 2, 0, be32(1400), packet));
    bench.compartment.setMtu(hq, 1000);
    expect(bench.receive(of(1280), inside).sent.map((s) => s.out)).toEqual([hq]);
    expectError(bench.receive(of(1281), inside), 'tooBig', inside, error6(OWN6, VM6, 2, 0, be32(1280), of(1281)));
  });

  it('RFC 1812 §4.3.3.5: parameter problem at the octet that is wrong', () => {
    const { inside } = open();
    for (const [options, pointer] of [
      [[7, 1, 0, 0], 21],
      [[1, 7, 40, 0], 22],
      [[1, 1, 1, 7], 23],
    ] as const) {
      const packet = ipv4({ src: VM, dst: SITE, options }, counting(8));
      expectError(bench.receive(packet, inside), 'options', inside, error4(OWN, VM, 12, 0, [pointer, 0, 0, 0], packet));
    }
  });

  it('RFC 8200 §4.2: parameter problem for an unknown hop-by-hop option that asks for it', () => {
    const { inside } = open();
    const packet = (type: number, dst = SITE6) =>
      ipv6({ src: VM6, dst, next: 0 }, join([17, 0, 1, 0, type, 2, 0, 0], udp(VM6, dst, 1, 2, counting(4))));
    for (const type of [0x9e, 0xde]) {
      const wanted = error6(OWN6, VM6, 4, 2, be32(44), packet(type));
      expectError(bench.receive(packet(type), inside), 'hopOptions', inside, wanted);
    }
    // 01: discard in silence. 00: skip.
    expect(bench.receive(packet(0x5e), inside)).toEqual({ sent: [], dropped: ['hopOptions'] });
    expect(bench.receive(packet(0x1e), inside).sent.map((s) => s.out)).toEqual([bench.hq]);
    expect(bench.receive(packet(0x9e, 'ff0e::1'), inside)).toEqual({ sent: [], dropped: ['hopOptions'] });
  });

  it('RFC 8200 §3: what lies behind the payload length is no header of the packet', () => {
    const { inside } = open();
    const packet = ipv6({ src: VM6, dst: SITE6, next: 0 }, Uint8Array.of(60, 0, 1, 0, 0x9e, 2, 0, 0));
    for (const behind of [[], [17, 0, 1, 4, 0, 0, 0, 0]])
      expect(bench.receive(join(packet, behind), inside)).toEqual({ sent: [], dropped: ['hopOptions'] });
  });

  it('RFC 5095 §3: parameter problem for a type 0 routing header with segments left', () => {
    const { inside } = open();
    const routing = [17, 2, 0, 1, 0, 0, 0, 0, ...counting(16)];
    const packet = ipv6({ src: VM6, dst: OWN6, next: 43 }, join(routing, udp(VM6, OWN6, 1, 2, counting(4))));
    expectError(bench.receive(packet, inside), 'options', inside, error6(OWN6, VM6, 4, 0, be32(42), packet));
  });

  it('RFC 1122 §3.2.2.1, RFC 4443 §2.2 (a): port unreachable, from the address that was asked', () => {
    const { inside } = open();
    const asked = '10.3.0.1';
    const packet = ipv4({ src: VM, dst: asked }, udp(VM, asked, 5000, 53, counting(20)));
    expectError(
      bench.receive(packet, inside),
      'portUnreachable',
      inside,
      error4(asked, VM, 3, 3, [0, 0, 0, 0], packet),
    );
    const packet6 = ipv6({ src: VM6, dst: OWN6 }, udp(VM6, OWN6, 5000, 53, counting(20)));
    expectError(
      bench.receive(packet6, inside),
      'portUnreachable',
      inside,
      error6(OWN6, VM6, 1, 4, [0, 0, 0, 0], packet6),
    );
  });

  it('RFC 1122 §3.2.2.1, RFC 4443 §3.4: protocol unreachable; over IPv6 a pointer to the next header', () => {
    const { inside } = open();
    const packet = ipv4({ src: VM, dst: OWN, protocol: 6 }, tcp(VM, OWN, { flags: 2 }));
    expectError(
      bench.receive(packet, inside),
      'protocolUnreachable',
      inside,
      error4(OWN, VM, 3, 2, [0, 0, 0, 0], packet),
    );
    const plain = ipv6({ src: VM6, dst: OWN6, next: 6 }, tcp(VM6, OWN6, { flags: 2 }));
    expectError(bench.receive(plain, inside), 'protocolUnreachable', inside, error6(OWN6, VM6, 4, 1, be32(6), plain));
    const behind = ipv6(
      { src: VM6, dst: OWN6, next: 60 },
      join([60, 0, 1, 4, 0, 0, 0, 0], [132, 0, 1, 4, 0, 0, 0, 0], counting(12)),
    );
    expectError(
      bench.receive(behind, inside),
      'protocolUnreachable',
      inside,
      error6(OWN6, VM6, 4, 1, be32(48), behind),
    );
    const nothing = ipv6({ src: VM6, dst: OWN6, next: 59 });
    expect(bench.receive(nothing, inside)).toEqual({ sent: [], dropped: ['protocolUnreachable'] });
  });
});

describe('what a driver refuses', () => {
  const refuse = (octets: Uint8Array, reason: number, mtu?: number) => {
    bench.sent.length = 0;
    bench.dropped.length = 0;
    bench.compartment.refuse(bench.pool.from(octets)!, reason, bench.now, mtu);
    return { sent: [...bench.sent], dropped: [...bench.dropped] };
  };

  it('RFC 1812 §5.2.7.1, RFC 4443 §3.1: is answered by the error owed', () => {
    const { inside } = open();
    const packet = ipv4({ src: VM, dst: SITE, df: true }, udp(VM, SITE, 1, 2, counting(4)));
    const packet6 = ipv6({ src: VM6, dst: SITE6 }, udp(VM6, SITE6, 1, 2, counting(4)));
    for (const [reason, name, code4, code6] of [
      [DROP.prohibited, 'prohibited', 13, 1],
      [DROP.noSa, 'noSa', 1, 3],
      [DROP.linkDown, 'linkDown', 1, 3],
      [DROP.noRoute, 'noRoute', 0, 0],
    ] as const) {
      expectError(refuse(packet, reason), name, inside, error4(OWN, VM, 3, code4, [0, 0, 0, 0], packet));
      expectError(refuse(packet6, reason), name, inside, error6(OWN6, VM6, 1, code6, [0, 0, 0, 0], packet6));
    }
    expectError(
      refuse(packet, DROP.tooBig, 900),
      'tooBig',
      inside,
      error4(OWN, VM, 3, 4, [0, 0, ...be16(900)], packet),
    );
  });

  it('is dropped in silence where none is', () => {
    open();
    const packet = ipv4({ src: VM, dst: SITE }, udp(VM, SITE, 1, 2, counting(4)));
    expect(refuse(packet, DROP.tooBig, 900)).toEqual({ sent: [], dropped: ['tooBig'] });
    expect(refuse(packet, DROP.queueFull)).toEqual({ sent: [], dropped: ['queueFull'] });
  });
});

describe('RFC 1122 §3.2.2, RFC 4443 §2.4 (e): no error is sent about', () => {
  const noRoute = '192.0.2.1';
  const noRoute6 = '2001:db8:9::1';
  it.each([
    ['an ICMP error', ipv4({ src: VM, dst: noRoute, protocol: 1 }, icmp4(3, 1, [0, 0, 0, 0], counting(28)))],
    ['an ICMP redirect', ipv4({ src: VM, dst: noRoute, protocol: 1 }, icmp4(5, 1, [0, 0, 0, 0], counting(28)))],
    ['a fragment other than the first', ipv4({ src: VM, dst: noRoute, offset: 1480 }, counting(28))],
    ['a source that is a group', ipv4({ src: '240.0.0.1', dst: noRoute }, counting(28))],
    [
      'an ICMPv6 error',
      ipv6({ src: VM6, dst: noRoute6, next: 58 }, icmp6(VM6, noRoute6, 1, 4, [0, 0, 0, 0], counting(48))),
    ],
    [
      'an ICMPv6 error behind an option that asks for one',
      ipv6({ src: VM6, dst: SITE6, next: 0 }, join([58, 0, 0x9e, 4, 0, 0, 0, 0], [1, 4, 0, 0, 0, 0, 0, 0])),
    ],
  ])('%s', (_, packet) => {
    const { inside } = open();
    const { sent, dropped } = bench.receive(packet, inside);
    expect(sent).toEqual([]);
    expect(dropped.length).toBe(1);
  });

  it('but about an echo request and the first fragment', () => {
    const { inside } = open();
    for (const packet of [echo(VM, noRoute), ipv4({ src: VM, dst: noRoute, mf: true }, counting(64))]) {
      expect(bench.receive(packet, inside).sent.length).toBe(1);
    }
  });
});

describe('the source of an error', () => {
  it('RFC 1812 §4.3.2.4: is the address of the interface towards the sender, not the one it came by', () => {
    const { inside, lan } = open();
    // 10.3.0.9 came in by the tunnel's inside, but the way to it is the lan.
    const packet = ipv4({ src: '10.3.0.9', dst: '192.0.2.1' }, counting(8));
    const { sent } = bench.receive(packet, inside);
    expect(toHex(withoutId(sent[0]!.octets))).toBe(toHex(error4('10.3.0.1', '10.3.0.9', 3, 0, [0, 0, 0, 0], packet)));
    expect(sent[0]!.out).toBe(lan);
  });

  it('is any own address where that interface has none', () => {
    const { hq } = open();
    const packet = ipv4({ src: SITE, dst: '192.0.2.1' }, counting(8));
    const { sent } = bench.receive(packet, hq);
    expect(sent.map((s) => [s.out, toHex(s.octets.subarray(12, 16))])).toEqual([[hq, '0a010001']]);
  });

  it('is of the family of the packet, or nothing is sent and that is counted', () => {
    const alone = new Bench();
    bench = Object.assign(alone, { inside: alone.add('inside', 'tun', 1500, '10.1.0.1/24'), hq: 0, lan: 0 });
    expect(bench.receive(ipv6({ src: VM6, dst: SITE6 }, counting(8)), bench.inside)).toEqual({
      sent: [],
      dropped: ['noRoute'],
    });
    expect(bench.compartment.counters).toMatchObject({ icmpErrors: 0, icmpErrorsWithoutSource: 1 });
  });
});

describe('RFC 1812 §4.3.2.8, RFC 4443 §2.4 (f): the rate of errors', () => {
  it('is a bucket; what it refuses is counted and time fills it', () => {
    const { inside } = open({ limits: { icmpErrorsPerSecond: 10, icmpErrorBurst: 3 } });
    const flood = () => {
      let answered = 0;
      for (let i = 0; i < 20; i++) {
        answered += bench.receive(ipv4({ src: VM, dst: '192.0.2.1' }, counting(8)), inside).sent.length;
      }
      return answered;
    };
    expect(flood()).toBe(3);
    expect(bench.compartment.counters).toMatchObject({ icmpErrors: 3, icmpErrorsOverRate: 17 });
    bench.now += 99;
    expect(flood()).toBe(0);
    bench.now += 1;
    expect(flood()).toBe(1);
    bench.now += 60_000;
    expect(flood()).toBe(3);
    bench.now -= 30_000;
    expect(flood()).toBe(0);
    expect(bench.compartment.drops[DROP.noRoute]).toBe(100);
  });

  it('is apart from an empty pool, which is counted, too', () => {
    const { inside, pool } = open();
    const kept = Array.from({ length: pool.size - 1 }, () => pool.take()!);
    expect(bench.receive(ipv4({ src: VM, dst: '192.0.2.1' }, counting(8)), inside).sent).toEqual([]);
    expect(bench.compartment.counters).toMatchObject({ icmpErrors: 0, icmpErrorsWithoutBuffer: 1 });
    for (const packet of kept) pool.release(packet);
  });
});
