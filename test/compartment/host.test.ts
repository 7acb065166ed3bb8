import { afterEach, describe, expect, it } from 'vitest';
import { Compartment } from '../../src/compartment/index.ts';
import { seededRandom, toHex } from '../../src/core/index.ts';
import {
  buildIcmpEcho,
  fragmentIpv4,
  fragmentIpv6,
  type Packet,
  PacketPool,
  Reassembly,
  wrapPacket,
} from '../../src/ip/index.ts';
import { type Bench, net, site } from './fixture.ts';
import { addr, checksum, counting, echo, icmp4, icmp6, ipv4, ipv6, join, transportChecksum, udp } from './octets.ts';

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

/** Cuts a packet of any size as a sender would, outside the compartment's pool. */
const fragmentsOf = (octets: Uint8Array, mtu: number): Uint8Array[] => {
  const pool = new PacketPool(80, 2000);
  const pieces: Uint8Array[] = [];
  const packet = wrapPacket(octets);
  const take = (p: { buf: Uint8Array; start: number; end: number }) => void pieces.push(p.buf.slice(p.start, p.end));
  if (octets[0]! >>> 4 === 4) fragmentIpv4(packet, mtu, pool, take);
  else fragmentIpv6(packet, mtu, 0x01020304, pool, take);
  return pieces;
};

const reassembled = (pieces: readonly Uint8Array[]): Uint8Array => {
  const reassembly = new Reassembly();
  for (const piece of pieces) {
    const whole = reassembly.add(piece, 0, piece.length, 0);
    if (typeof whole !== 'string') return whole;
  }
  throw new Error('not all pieces are there');
};

describe('RFC 1122 §3.2.2.6, RFC 4443 §4.2: echo', () => {
  it('is answered with the same data, from the address asked, by the way back to the sender', () => {
    const { inside, hq } = open();
    // Asked from the tunnel for the address of the inside: own addresses are the compartment's, not the interface's.
    const { sent, dropped } = bench.receive(echo(SITE, OWN, { id: 9, sequence: 3, ttl: 1 }), hq);
    expect(dropped).toEqual([]);
    const reply = echo(OWN, SITE, { id: 9, sequence: 3, reply: true });
    expect(sent.map((s) => s.out)).toEqual([hq]);
    expect(toHex(sent[0]!.octets.subarray(20))).toBe(toHex(reply.subarray(20)));
    expect(toHex(sent[0]!.octets.subarray(12, 20))).toBe(toHex(reply.subarray(12, 20)));
    expect([sent[0]!.octets[8], checksum(sent[0]!.octets.subarray(0, 20))]).toEqual([64, 0]);
    expect(bench.receive(echo(VM6, OWN6, { id: 9, ttl: 255 }), inside).sent).toEqual([
      { out: inside, octets: echo(OWN6, VM6, { id: 9, reply: true }) },
    ]);
    expect(bench.compartment.counters).toMatchObject({ echoReplies: 2, delivered: 2, originated: 2, forwarded: 0 });
  });

  it('is an ordinary packet, whatever was said of the request', () => {
    const { pool } = open();
    const emitted: Packet[] = [];
    const sink = { emit: (packet: Packet) => void emitted.push(packet) };
    const compartment = new Compartment({ name: 'red', number: 3, pool, random: seededRandom(1), sink });
    const into = compartment.addInterface({ name: 'i', kind: 'tun', mtu: 1500, addresses: [net(`${OWN}/24`)] });
    compartment.receive(Object.assign(pool.from(echo(VM, OWN))!, { segment: 700, partial: true }), into, 0);
    expect(emitted.map(({ segment, partial }) => [segment, partial])).toEqual([[0, false]]);
    pool.release(emitted[0]!);
  });

  it('answers for the address of an interface that is down', () => {
    const { hq, inside } = open();
    bench.compartment.setUp(inside, false);
    expect(bench.receive(echo(SITE, OWN), hq).sent.map((s) => s.out)).toEqual([hq]);
  });

  it('comes back without options, extension headers, DF and ECN, with the same DSCP', () => {
    const { inside } = open();
    const message = icmp4(8, 0, [0, 1, 0, 1], counting(30));
    const request = ipv4(
      { src: VM, dst: OWN, protocol: 1, df: true, tos: 0xbb, options: [7, 7, 4, 0, 0, 0, 0, 0] },
      message,
    );
    const reply = bench.receive(request, inside).sent[0]!.octets;
    expect(reply.length).toBe(20 + message.length);
    expect([reply[0], reply[1], reply[6], reply[7]]).toEqual([0x45, 0xb8, 0, 0]);
    expect(checksum(reply.subarray(0, 20))).toBe(0);
    expect(toHex(reply.subarray(20))).toBe(toHex(icmp4(0, 0, [0, 1, 0, 1], counting(30))));
    const request6 = ipv6(
      { src: VM6, dst: OWN6, next: 60 },
      join([58, 0, 1, 4, 0, 0, 0, 0], icmp6(VM6, OWN6, 128, 0, [0, 7, 0, 1], counting(56))),
    );
    expect(toHex(bench.receive(request6, inside).sent[0]!.octets)).toBe(toHex(echo(OWN6, VM6, { reply: true })));
  });

  it('is refused with a wrong checksum', () => {
    const { inside } = open();
    for (const packet of [echo(VM, OWN), echo(VM6, OWN6)]) {
      packet[packet.length - 1]! ^= 1;
      expect(bench.receive(packet, inside)).toEqual({ sent: [], dropped: ['checksum'] });
    }
  });

  it.each([
    [VM, OWN, 2000],
    [VM, OWN, 9000],
    [VM, OWN, 65507],
    [VM6, OWN6, 2000],
    [VM6, OWN6, 65000],
  ])('RFC 1122 §3.3.2, RFC 8200 §4.5: %s pings %s with %i octets, in fragments both ways', (src, dst, size) => {
    const { inside } = open();
    const data = counting(size);
    const fields = { identifier: 4, sequence: 2, hopLimit: 64, identification: 77 } as const;
    const request = buildIcmpEcho({ type: 'request', source: addr(src), destination: addr(dst), ...fields }, data);
    const pieces = fragmentsOf(request, 1500);
    pieces.reverse();
    for (const piece of pieces.slice(0, -1)) {
      expect(bench.receive(piece, inside)).toEqual({ sent: [], dropped: [] });
    }
    const { sent, dropped } = bench.receive(pieces.at(-1)!, inside);
    expect(dropped).toEqual([]);
    expect(sent.every((s) => s.out === inside && s.octets.length <= 1500)).toBe(true);
    const reply = reassembled(sent.map((s) => s.octets));
    const header = src.includes(':') ? 40 : 20;
    const wanted = buildIcmpEcho({ type: 'reply', source: addr(dst), destination: addr(src), ...fields }, data);
    expect(toHex(reply.subarray(header))).toBe(toHex(wanted.subarray(header)));
  });

  it('of more than the pool can hold waits for nothing: counted', () => {
    const { inside, pool } = open();
    const request = buildIcmpEcho(
      { type: 'request', source: addr(VM), destination: addr(OWN), identifier: 1, sequence: 1 },
      counting(9000),
    );
    const pieces = fragmentsOf(request, 1500);
    const kept = Array.from({ length: pool.size - 3 }, () => pool.take()!);
    const fates = pieces.map((piece) => bench.receive(piece, inside).dropped);
    expect(fates.at(-1)).toEqual(['noBuffer']);
    for (const packet of kept) pool.release(packet);
  });
});

describe('fragments for the local host', () => {
  it('RFC 792, RFC 4443 §3.3: time out, and the sender is told if the first one is there', () => {
    const { inside } = open();
    const first = ipv4({ src: VM, dst: OWN, mf: true }, udp(VM, OWN, 1, 2, counting(56)));
    const first6 = ipv6({ src: VM6, dst: OWN6, next: 44 }, join([17, 0, 0, 1, 0, 0, 0, 9], counting(64)));
    bench.receive(first, inside);
    bench.receive(first6, inside);
    bench.receive(ipv4({ src: VM, dst: OWN, id: 2, mf: true, offset: 64 }, counting(64)), inside);
    expect(bench.compartment.deadline()).toEqual({ at: bench.now + 60_000, why: 'reassembly times out' });
    bench.compartment.expire(bench.now + 59_999);
    expect(bench.sent).toEqual([]);
    bench.compartment.expire(bench.now + 60_000);
    const [told, told6, ...rest] = bench.sent.map((s) => s.octets);
    expect([told![20], told![21], toHex(told!.subarray(28))]).toEqual([11, 1, toHex(first)]);
    expect([told6![40], told6![41], toHex(told6!.subarray(48))]).toEqual([3, 1, toHex(first6)]);
    expect(rest).toEqual([]);
    expect(bench.compartment.deadline()).toBeUndefined();
  });

  it('RFC 5722 §4: are refused when they overlap', () => {
    const { inside } = open();
    bench.receive(ipv4({ src: VM, dst: OWN, mf: true }, counting(64)), inside);
    expect(bench.receive(ipv4({ src: VM, dst: OWN, mf: true, offset: 32 }, counting(64)), inside).dropped).toEqual([
      'fragment',
    ]);
  });
});

describe('ping', () => {
  const ask = (f: Partial<Parameters<Bench['compartment']['ping']>[0]> = {}) =>
    bench.compartment.ping({ destination: addr(SITE), id: 5, sequence: 1, size: 56, ...f }, bench.now);

  it('RFC 792: sends an echo request and reports its reply once', () => {
    const { hq } = open();
    expect(ask({ ttl: 9 })).toBeUndefined();
    expect(bench.sent.map((s) => s.out)).toEqual([hq]);
    const request = bench.sent[0]!.octets;
    expect(toHex(request.subarray(12))).toBe(toHex(echo(OWN, SITE, { id: 5, sequence: 1 }).subarray(12)));
    expect([request[8], checksum(request.subarray(0, 20))]).toEqual([9, 0]);
    expect(bench.compartment.deadline()).toEqual({ at: 3000, why: 'a ping gives up' });
    bench.now += 12;
    bench.receive(echo(SITE, OWN, { id: 5, sequence: 1, reply: true }), hq);
    bench.receive(echo(SITE, OWN, { id: 5, sequence: 1, reply: true }), hq);
    const common = { id: 5, sequence: 1, destination: addr(SITE) };
    expect(bench.pings).toEqual([{ ...common, from: addr(SITE), outcome: 'reply', milliseconds: 12, octets: 56 }]);
    expect(bench.compartment.counters.pingsUnmatched).toBe(1);
    expect(bench.compartment.deadline()).toBeUndefined();
  });

  it('RFC 4443 §4.1: the same over IPv6, from the address that leads there or the one asked for', () => {
    const { hq } = open();
    ask({ destination: addr(SITE6) });
    expect(toHex(bench.sent[0]!.octets)).toBe(toHex(echo(OWN6, SITE6, { id: 5, sequence: 1 })));
    bench.receive(echo(SITE6, OWN6, { id: 5, sequence: 1, reply: true }), hq);
    ask({ source: addr('10.3.0.1'), sequence: 2 });
    expect(toHex(bench.sent.at(-1)!.octets.subarray(12, 16))).toBe('0a030001');
    bench.receive(echo(SITE, '10.3.0.1', { id: 5, sequence: 2, reply: true }), hq);
    expect(bench.pings.map((p) => p.outcome)).toEqual(['reply', 'reply']);
  });

  it('gives up when its time is over', () => {
    open();
    ask({ timeoutMs: 500 });
    ask({ sequence: 2 });
    bench.compartment.expire(bench.now + 499);
    expect(bench.pings).toEqual([]);
    bench.compartment.expire(bench.now + 500);
    expect(bench.pings.map((p) => [p.sequence, p.outcome, p.milliseconds, p.why])).toEqual([
      [1, 'timeout', null, 'no answer within 500 ms'],
    ]);
    bench.compartment.expire(bench.now + 2000);
    expect(bench.pings.length).toBe(2);
  });

  it('has its result at once where there is no way, and no error is sent about it', () => {
    const { hq } = open();
    ask({ destination: addr('192.0.2.1') });
    bench.compartment.setUp(hq, false);
    ask({ sequence: 2 });
    ask({ destination: addr('10.1.0.255'), sequence: 3 });
    expect(bench.pings.map((p) => [p.outcome, p.milliseconds, p.why])).toEqual([
      ['no-route', null, 'no route to the destination'],
      ['no-route', null, 'no route to the destination'],
      ['unreachable', null, 'multicast, broadcast or link-local: not routed'],
    ]);
    expect(bench.compartment.counters.icmpErrors).toBe(0);
  });

  it('of an own address is answered at home', () => {
    open();
    ask({ destination: addr('10.3.0.1'), size: 3000 });
    ask({ destination: addr(OWN6), sequence: 2 });
    expect(bench.sent).toEqual([]);
    expect(bench.pings.map((p) => [p.outcome, p.octets])).toEqual([
      ['reply', 3000],
      ['reply', 56],
    ]);
  });

  it.each([
    [11, 0, [0, 0, 0, 0], 'ttl-exceeded', 'TTL ran out, says 10.2.0.1'],
    [3, 1, [0, 0, 0, 0], 'unreachable', 'host unreachable, says 10.2.0.1'],
    [3, 13, [0, 0, 0, 0], 'unreachable', 'administratively prohibited, says 10.2.0.1'],
    [3, 4, [0, 0, 5, 0x14], 'unreachable', 'fragmentation needed, MTU 1300, says 10.2.0.1'],
  ])('RFC 792: ends by ICMP type %i code %i about it', (type, code, rest, outcome, why) => {
    const { hq } = open();
    ask();
    const quoted = bench.sent[0]!.octets.subarray(0, 28);
    bench.now += 7;
    bench.receive(ipv4({ src: '10.2.0.1', dst: OWN, protocol: 1 }, icmp4(type, code, rest, quoted)), hq);
    expect(bench.pings).toMatchObject([{ outcome, why, from: addr('10.2.0.1'), milliseconds: 7 }]);
  });

  it.each([
    [3, 0, [0, 0, 0, 0], 'ttl-exceeded', 'hop limit ran out, says 2001:db8:2::1'],
    [1, 0, [0, 0, 0, 0], 'unreachable', 'no route, says 2001:db8:2::1'],
    [2, 0, [0, 0, 5, 0x14], 'unreachable', 'packet too big, MTU 1300, says 2001:db8:2::1'],
  ])('RFC 4443 §3: ends by ICMPv6 type %i code %i about it, fragmented or not', (type, code, rest, outcome, why) => {
    const { hq } = open();
    const router = '2001:db8:2::1';
    for (const size of [56, 3000]) {
      bench.sent.length = 0;
      ask({ destination: addr(SITE6), size });
      const quoted = bench.sent[0]!.octets.subarray(0, 1232);
      bench.receive(ipv6({ src: router, dst: OWN6, next: 58 }, icmp6(router, OWN6, type, code, rest, quoted)), hq);
    }
    expect(bench.pings).toMatchObject([
      { outcome, why },
      { outcome, why },
    ]);
  });

  it('is ended neither by a reply from elsewhere nor by an error about something else', () => {
    const { hq } = open();
    ask();
    const request = bench.sent[0]!.octets;
    const others = [
      echo('10.2.0.8', OWN, { id: 5, sequence: 1, reply: true }),
      echo(SITE, OWN, { id: 5, sequence: 2, reply: true }),
      ipv4({ src: SITE, dst: OWN, protocol: 1 }, icmp4(3, 1, [0, 0, 0, 0], echo(OWN, '10.2.0.8', { id: 5 }))),
      ipv4({ src: SITE, dst: OWN, protocol: 1 }, icmp4(3, 1, [0, 0, 0, 0], ipv4({ src: OWN, dst: SITE }, counting(9)))),
      ipv4({ src: SITE, dst: OWN, protocol: 1 }, icmp4(3, 1, [0, 0, 0, 0], request.subarray(0, 27))),
      ipv4({ src: SITE, dst: OWN, protocol: 1 }, icmp4(3, 1, [0, 0, 0, 0], counting(0))),
    ];
    for (const packet of others) expect(bench.receive(packet, hq).dropped).toEqual([]);
    expect(bench.pings).toEqual([]);
    bench.compartment.expire(bench.now + 9999);
    expect(bench.pings.map((p) => p.outcome)).toEqual(['timeout']);
  });

  it('through a tunnel that refuses it is unreachable', () => {
    open();
    ask();
    const packet = bench.pool.from(bench.sent[0]!.octets)!;
    bench.compartment.refuse(packet, 27, bench.now);
    expect(bench.pings).toMatchObject([{ outcome: 'unreachable', why: 'host unreachable, says 10.1.0.1' }]);
  });

  it('is refused in words, and counted, when it cannot be', () => {
    open({ limits: { pings: 2 } });
    expect(ask()).toBeUndefined();
    expect(ask()).toBe('ping 5/1 is already under way');
    expect(ask({ sequence: 2 })).toBeUndefined();
    expect(ask({ sequence: 3 })).toBe('2 pings are already under way');
    expect(ask({ size: 9701 })).toBe('a ping carries 0..9700 octets');
    expect(ask({ source: addr('10.1.0.9') })).toBe('10.1.0.9 is not an address of this compartment');
    expect(ask({ source: addr(OWN6) })).toBe('source and destination are of different families');
    expect(ask({ id: 65536 })).toBe('identifier and sequence number of a ping have 16 bits');
    expect(bench.compartment.counters.pingsRefused).toBe(6);
    bench.compartment.expire(bench.now + 9999);
  });

  it('larger than the way out is cut, over IPv6 at its source', () => {
    open();
    ask({ size: 4000 });
    const whole = reassembled(bench.sent.map((s) => s.octets));
    expect(checksum(whole.subarray(20))).toBe(0);
    expect(whole.length).toBe(4028);
    bench.sent.length = 0;
    ask({ destination: addr(SITE6), size: 4000, sequence: 2 });
    const whole6 = reassembled(bench.sent.map((s) => s.octets));
    expect(transportChecksum(OWN6, SITE6, 58, whole6.subarray(40))).toBe(0);
    bench.compartment.expire(bench.now + 9999);
  });
});

describe('other messages to the compartment', () => {
  it('are consumed in silence', () => {
    const { inside } = open();
    for (const packet of [
      ipv4({ src: VM, dst: OWN, protocol: 1 }, icmp4(13, 0, [0, 1, 0, 1], counting(12))),
      ipv4({ src: VM, dst: OWN, protocol: 1 }, icmp4(5, 1, [10, 1, 0, 9], counting(28))),
      ipv6({ src: VM6, dst: OWN6, next: 58 }, icmp6(VM6, OWN6, 135, 0, [0, 0, 0, 0], addr(OWN6))),
      ipv4({ src: VM, dst: OWN, protocol: 1 }, icmp4(8, 0, [], new Uint8Array(0))),
    ]) {
      expect(bench.receive(packet, inside)).toEqual({ sent: [], dropped: [] });
    }
  });
});
