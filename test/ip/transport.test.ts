import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { fromHex, putU16, toHex, u16 } from '../../src/core/index.ts';
import {
  answerEcho,
  buildIcmp,
  buildIcmpEcho,
  buildIcmpError,
  buildIp,
  buildIpv4,
  buildIpv6,
  buildTcp,
  buildUdp,
  checkIp,
  checkUdp,
  clampMss,
  DROP,
  findTcpOption,
  type IcmpError,
  icmpMtu,
  icmpv6Mtu,
  ipv4TrafficClass,
  isEchoReply,
  isEchoRequest,
  mayAnswerWithError,
  mssOption,
  PASS,
  protocolName,
  protocolNumber,
  quotedPacketAt,
  TCP_FLAG,
  TCP_OPTION,
  tcpMss,
  transportChecksumHolds,
} from '../../src/ip/index.ts';
import { addr, counting, describePacket, expectPacket, guarded } from '../support/packets.ts';

const ends4 = { source: addr('10.1.0.2'), destination: addr('10.2.0.2') };
const ends6 = { source: addr('2001:db8:1::2'), destination: addr('2001:db8:2::2') };
const router4 = addr('10.1.0.1');
const router6 = addr('2001:db8:1::1');

describe('RFC 792, RFC 4443 §4: echo', () => {
  it('octet by octet', () => {
    const octets = buildIcmpEcho({ ...ends4, type: 'request', identifier: 0x1234, sequence: 1 }, fromHex('6162'));
    expect(toHex(octets.subarray(20))).toBe('0800846812340001' + '6162');
    expectPacket(octets, 'IPv4 10.1.0.2 > 10.2.0.2 ICMP echo request id 4660 seq 1 (30)');
  });

  it.each([
    [ends4, 20],
    [ends6, 40],
  ])('a request answered in place is the reply built from nothing (header %#)', (ends, at) => {
    const request = buildIcmpEcho({ ...ends, type: 'request', identifier: 7, sequence: 9, hopLimit: 3 }, counting(33));
    const version = request[0]! >>> 4;
    expect(isEchoRequest(request, at, request.length, version)).toBe(true);
    answerEcho(request, 0, at);
    expect(isEchoReply(request, at, request.length, version)).toBe(true);
    const back = { source: ends.destination, destination: ends.source };
    expect(toHex(request)).toBe(
      toHex(buildIcmpEcho({ ...back, type: 'reply', identifier: 7, sequence: 9 }, counting(33))),
    );
  });
});

describe('RFC 1812 §4.3, RFC 4443 §3: errors', () => {
  it.each([
    ['hopLimitExceeded', 'ICMP TTL exceeded', 'ICMPv6 hop limit exceeded'],
    ['reassemblyTimeExceeded', 'ICMP reassembly time exceeded', 'ICMPv6 reassembly time exceeded'],
    ['noRoute', 'ICMP network unreachable', 'ICMPv6 no route'],
    ['addressUnreachable', 'ICMP host unreachable', 'ICMPv6 address unreachable'],
    ['prohibited', 'ICMP administratively prohibited', 'ICMPv6 administratively prohibited'],
    ['packetTooBig', 'ICMP fragmentation needed, MTU 1400', 'ICMPv6 packet too big, MTU 1400'],
    ['protocolUnreachable', 'ICMP protocol unreachable', 'ICMPv6 parameter problem'],
    ['portUnreachable', 'ICMP port unreachable', 'ICMPv6 port unreachable'],
  ] satisfies [IcmpError, string, string][])('%s', (error, words4, words6) => {
    for (const [ends, router, words] of [
      [ends4, router4, words4],
      [ends6, router6, words6],
    ] as const) {
      const offending = buildUdp({ ...ends, sourcePort: 1, destinationPort: 2 }, counting(10));
      const answer = buildIcmpError(error, router, offending, 0, offending.length, 1400);
      expect(checkIp(answer, 0, answer.length)).toBe(PASS);
      const at = ends === ends4 ? 20 : 40;
      expect(transportChecksumHolds(answer, 0, at, answer.length, ends === ends4 ? 1 : 58)).toBe(true);
      expect(describePacket(answer)).toContain(words);
      expect(answer.subarray(at + 8)).toEqual(offending);
      expect(quotedPacketAt(answer, at, answer.length, ends === ends4 ? 4 : 6)).toBe(at + 8);
      expect(mayAnswerWithError(answer, 0, answer.length)).toBe(false);
    }
  });

  it('quote to 576 octets (RFC 1812 §4.3.2.3) and to the minimum MTU (RFC 4443 §2.4 (c)), padding left out', () => {
    for (const [ends, router, most] of [
      [ends4, router4, 576],
      [ends6, router6, 1280],
    ] as const) {
      const big = buildUdp({ ...ends, sourcePort: 1, destinationPort: 2 }, counting(3000));
      const answer = buildIcmpError('packetTooBig', router, big, 0, big.length, 1300);
      expect(answer.length).toBe(most);
      expect(ends === ends4 ? icmpMtu(answer, 20) : icmpv6Mtu(answer, 40)).toBe(1300);
      expect(ipv4TrafficClass(answer, 0) === 0xc0).toBe(ends === ends4);
      const small = buildUdp({ ...ends, sourcePort: 1, destinationPort: 2 }, counting(1));
      const padded = new Uint8Array(100);
      padded.set(small);
      const header = ends === ends4 ? 20 : 40;
      expect(buildIcmpError('noRoute', router, padded, 0, 100).length).toBe(header + 8 + small.length);
    }
  });
});

describe('RFC 1122 §3.2.2, RFC 4443 §2.4 (e): never answered with an error', () => {
  const may = (octets: Uint8Array): boolean => mayAnswerWithError(octets, 0, octets.length);
  const udp4 = (source: string, destination: string): Uint8Array =>
    buildUdp({ source: addr(source), destination: addr(destination), sourcePort: 1, destinationPort: 2 }, counting(4));
  const icmp4 = (type: number): Uint8Array => buildIcmp(ends4, Uint8Array.of(type, 0, 0, 0, 0, 0, 0, 0));
  const icmp6 = (type: number): Uint8Array => buildIcmp(ends6, Uint8Array.of(type, 0, 0, 0, 0, 0, 0, 0));

  it.each([
    [true, 'ordinary packets', udp4('10.0.0.1', '10.0.0.2')],
    [true, 'echo requests', icmp4(8)],
    [true, 'timestamp requests', icmp4(13)],
    [false, 'destination unreachable', icmp4(3)],
    [false, 'source quench', icmp4(4)],
    [false, 'redirects', icmp4(5)],
    [false, 'time exceeded', icmp4(11)],
    [false, 'parameter problems', icmp4(12)],
    [false, 'ICMP without a type', buildIpv4({ ...ends4, protocol: 1 }, counting(0))],
    [false, 'multicast', udp4('10.0.0.1', '224.0.0.5')],
    [false, 'broadcast', udp4('10.0.0.1', '255.255.255.255')],
    [false, 'a multicast source', udp4('224.0.0.5', '10.0.0.1')],
    [false, 'a class E source', udp4('240.0.0.5', '10.0.0.1')],
    [false, 'a loopback source', udp4('127.0.0.5', '10.0.0.1')],
    [false, 'the zero source', udp4('0.0.0.0', '10.0.0.1')],
    [false, 'later fragments', buildIpv4({ ...ends4, protocol: 17, fragmentOffset: 8 }, counting(8))],
    [true, 'first fragments', buildIpv4({ ...ends4, protocol: 17, moreFragments: true }, counting(8))],
    [true, 'IPv6', udp4('2001:db8::1', '2001:db8::2')],
    [true, 'ICMPv6 echo', icmp6(128)],
    [true, 'neighbor solicitations', icmp6(135)],
    [false, 'ICMPv6 errors', icmp6(1)],
    [false, 'packet too big', icmp6(2)],
    [false, 'reserved error types', icmp6(127)],
    [false, 'ICMPv6 redirects', icmp6(137)],
    [false, 'IPv6 multicast', udp4('2001:db8::1', 'ff02::1')],
    [false, 'an IPv6 multicast source', udp4('ff02::1', '2001:db8::1')],
    [false, 'the unspecified source', udp4('::', '2001:db8::1')],
    [
      false,
      'later fragments of ICMPv6',
      buildIpv6({ ...ends6, protocol: 44 }, Uint8Array.of(58, 0, 0, 8, 0, 0, 0, 1, 128, 0, 0, 0)),
    ],
    [false, 'what is no packet', counting(30)],
  ])('%s: %s', (expected, _, octets) => {
    expect(may(octets)).toBe(expected);
  });
});

describe('RFC 768: UDP', () => {
  it('octet by octet, and its check', () => {
    const octets = buildUdp({ ...ends4, sourcePort: 1000, destinationPort: 53 }, fromHex('616263'));
    expect(toHex(octets.subarray(20))).toBe('03e80035000b2352' + '616263');
    expect(checkUdp(octets, 0, 20, 31)).toBe(PASS);
    expect(checkUdp(octets, 0, 20, 27)).toBe(DROP.short);
    expect(checkUdp(octets, 0, 20, 30)).toBe(DROP.length);
    octets[30]! ^= 1;
    expect(checkUdp(octets, 0, 20, 31)).toBe(DROP.checksum);
    putU16(octets, 24, 7);
    expect(checkUdp(octets, 0, 20, 31)).toBe(DROP.length);
  });
});

describe('RFC 9293 §3.7.1: the MSS clamp', () => {
  const syn = (options: Uint8Array, flags: number = TCP_FLAG.syn): Uint8Array =>
    buildTcp({ ...ends4, sourcePort: 1024, destinationPort: 80, options, flags });

  it('equals the segment built with the smaller MSS, at any alignment', () => {
    fc.assert(
      fc.property(fc.nat(0xffff), fc.nat(0xffff), fc.nat(3), fc.boolean(), (mss, most, nops, wide) => {
        const ends = wide ? ends6 : ends4;
        const at = wide ? 40 : 20;
        const make = (value: number): Uint8Array =>
          buildTcp({
            ...ends,
            sourcePort: 1024,
            destinationPort: 80,
            flags: TCP_FLAG.syn | TCP_FLAG.ack,
            options: Uint8Array.from([...new Array(nops).fill(1), ...mssOption(value), 3, 3, 7]),
          });
        const octets = make(mss);
        expect(clampMss(octets, at, octets.length, most)).toBe(mss > most);
        expect(tcpMss(octets, at, octets.length)).toBe(Math.min(mss, most));
        expect(transportChecksumHolds(octets, 0, at, octets.length, 6)).toBe(true);
        expect(toHex(octets)).toBe(toHex(make(Math.min(mss, most))));
      }),
      { numRuns: 500 },
    );
  });

  it('touches nothing but SYN segments with the option', () => {
    for (const octets of [
      syn(mssOption(1460), TCP_FLAG.ack),
      syn(new Uint8Array(0)),
      syn(Uint8Array.of(2, 3, 5, 180)),
      syn(Uint8Array.of(0, 2, 4, 5, 180)),
      syn(Uint8Array.of(2, 60, 5, 180)),
      syn(Uint8Array.of(3, 0, 2, 4, 5, 180)),
    ]) {
      const before = toHex(octets);
      expect(clampMss(octets, 20, octets.length, 536)).toBe(false);
      expect(toHex(octets)).toBe(before);
    }
  });

  it('reads nothing outside the segment, whatever stands there', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 70 }), fc.nat(15), (octets, words) => {
        if (octets.length > 13) {
          octets[12] = words << 4;
          octets[13]! |= TCP_FLAG.syn;
        }
        const { buf, start, end } = guarded(octets);
        for (const kind of [TCP_OPTION.mss, TCP_OPTION.timestamps, 0xfe]) {
          const at = findTcpOption(buf, start, end, kind);
          if (at >= 0) expect(buf[at]).toBe(kind);
        }
        const inside = new Uint8Array(octets.length + 20).fill(0xa5);
        inside.set(octets, 10);
        clampMss(inside, 10, 10 + octets.length, 100);
        expect(inside.subarray(0, 10).every((o) => o === 0xa5)).toBe(true);
        expect(inside.subarray(10 + octets.length).every((o) => o === 0xa5)).toBe(true);
      }),
      { numRuns: 1000 },
    );
  });
});

describe('one line for a packet', () => {
  it.each([
    [
      'IPv4 10.1.0.2 > 10.2.0.2 TCP 1024 > 80 SYN seq 5 mss 1460 (44)',
      buildTcp({ ...ends4, sourcePort: 1024, destinationPort: 80, sequence: 5, options: mssOption(1460) }),
    ],
    [
      'IPv6 2001:db8:1::2 > 2001:db8:2::2 TCP 80 > 1024 FIN,ACK seq 1 ack 6 3 octets (63)',
      buildTcp(
        { ...ends6, sourcePort: 80, destinationPort: 1024, sequence: 1, acknowledgment: 6, flags: 0x11 },
        counting(3),
      ),
    ],
    [
      'IPv4 10.1.0.2 > 10.2.0.2 UDP 1000 > 53 3 octets (31)',
      buildUdp({ ...ends4, sourcePort: 1000, destinationPort: 53 }, counting(3)),
    ],
    [
      'IPv4 10.1.0.2 > 10.2.0.2 ESP spi 0xc0ffee01 seq 7 (40)',
      buildIp({ ...ends4, protocol: 50 }, fromHex('c0ffee0100000007000000000000000000000000')),
    ],
    [
      'IPv4 10.1.0.2 > 10.2.0.2 UDP fragment id 9 @1480 (120)',
      buildIpv4({ ...ends4, protocol: 17, identification: 9, fragmentOffset: 1480 }, counting(100)),
    ],
    [
      'IPv4 10.1.0.2 > 10.2.0.2 UDP 1 > 515 8 octets fragment id 9 @0+ (36)',
      buildIpv4({ ...ends4, protocol: 17, identification: 9, moreFragments: true }, counting(16)),
    ],
    ['IPv4 10.1.0.2 > 10.2.0.2 GRE (24)', buildIp({ ...ends4, protocol: 47 }, counting(4))],
    ['IPv4 10.1.0.2 > 10.2.0.2 protocol 200 (24)', buildIp({ ...ends4, protocol: 200 }, counting(4))],
    [
      'IPv6 2001:db8:1::2 > 2001:db8:2::2 ICMPv6 neighbor solicitation (64)',
      buildIcmp(ends6, Uint8Array.from([135, ...new Array(23).fill(0)])),
    ],
    ['not a packet (version): 3 octets', counting(3)],
    ['not a packet (short): 0 octets', counting(0)],
  ])('%s', (line, octets) => {
    expectPacket(octets, line);
  });

  it('an error names the packet it is about', () => {
    const octets = buildUdp({ ...ends4, sourcePort: 1, destinationPort: 2 }, counting(3));
    expectPacket(
      buildIcmpError('portUnreachable', ends4.destination, octets, 0, octets.length),
      'IPv4 10.2.0.2 > 10.1.0.2 ICMP port unreachable about 10.1.0.2 > 10.2.0.2 (59)',
    );
  });
});

describe('IANA protocol numbers', () => {
  it('by the names of /etc/protocols', () => {
    expect(protocolName(6)).toBe('tcp');
    expect(protocolName(201)).toBe('201');
    expect(['TCP', 'icmpv6', 'ipv6-icmp', '50', '256', '007', 'nope', ''].map(protocolNumber)).toEqual([
      6,
      58,
      58,
      50,
      undefined,
      undefined,
      undefined,
      undefined,
    ]);
    expect(u16(mssOption(0x1234), 2)).toBe(0x1234);
  });
});
