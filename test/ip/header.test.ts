import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { fromHex, putU16, toHex } from '../../src/core/index.ts';
import {
  buildIp,
  buildIpv4,
  buildIpv6,
  checkIp,
  checkIpv4,
  checkIpv6,
  checkUdp,
  compileSelectors,
  DROP,
  DROP_NAMES,
  destinationOf,
  dscpOf,
  ecnOf,
  fillIpv4Checksum,
  findUpperLayer,
  hopLimit,
  internetChecksum,
  ipLength,
  ipv4DontFragment,
  ipv4FragmentOffset,
  ipv4Identification,
  ipv4MoreFragments,
  ipv6FlowLabel,
  mayAnswerWithError,
  newFlow,
  newUpperLayer,
  PASS,
  parseSelector,
  readFlow,
  setHopLimit,
  setIpv4Destination,
  setIpv4Fragmentation,
  setIpv4Source,
  setIpv4TotalLength,
  setTrafficClass,
  sourceOf,
  trafficClass,
} from '../../src/ip/index.ts';
import { addr, arbitraryAddress4, arbitraryAddress6, counting, describePacket, guarded } from '../support/packets.ts';

const ends4 = { source: addr('10.1.0.2'), destination: addr('10.2.0.2') };
const ends6 = { source: addr('2001:db8:1::2'), destination: addr('2001:db8:2::2') };

/** The verdict by its name, on the octets alone. */
const verdict = (octets: Uint8Array): string => DROP_NAMES[checkIp(octets, 0, octets.length)]!;

/** Changes one field of a good packet and mends the header checksum. */
function ipv4With(change: (octets: Uint8Array) => void, options?: Uint8Array): Uint8Array {
  const octets = buildIpv4({ ...ends4, protocol: 17, ...(options && { options }) }, counting(16));
  change(octets);
  fillIpv4Checksum(octets, 0);
  return octets;
}

describe('RFC 791 §3.1: the IPv4 header', () => {
  it('octet by octet', () => {
    const octets = buildIpv4(
      {
        ...ends4,
        protocol: 17,
        timeToLive: 63,
        trafficClass: 0xb9,
        identification: 0x1234,
        moreFragments: true,
        fragmentOffset: 16,
      },
      counting(8),
    );
    expect(toHex(octets)).toBe('45b9001c123420023f1134dc0a0100020a0200020001020304050607');
    expect(trafficClass(octets, 0)).toBe(0xb9);
    expect([dscpOf(0xb9), ecnOf(0xb9)]).toEqual([46, 1]);
    expect(ipv4Identification(octets, 0)).toBe(0x1234);
    expect(ipv4MoreFragments(octets, 0)).toBe(true);
    expect(ipv4DontFragment(octets, 0)).toBe(false);
    expect(ipv4FragmentOffset(octets, 0)).toBe(16);
    expect(hopLimit(octets, 0)).toBe(63);
    expect(ipLength(octets, 0)).toBe(28);
    expect(sourceOf(octets, 0)).toEqual(ends4.source);
    expect(destinationOf(octets, 0)).toEqual(ends4.destination);
  });

  it('a header computed by somebody else passes', () => {
    const octets = fromHex('45000073000040004011b861c0a80001c0a800c7').slice();
    const whole = new Uint8Array(0x73);
    whole.set(octets);
    expect(checkIpv4(whole, 0, whole.length)).toBe(PASS);
  });

  it('setters keep the checksum right', () => {
    const setters: ((octets: Uint8Array, value: number) => void)[] = [
      (o, v) => setHopLimit(o, 0, v & 0xff),
      (o, v) => setTrafficClass(o, 0, v & 0xff),
      (o, v) => setIpv4Source(o, 0, v),
      (o, v) => setIpv4Destination(o, 0, v),
      (o, v) => setIpv4TotalLength(o, 0, v & 0xffff),
      (o, v) => setIpv4Fragmentation(o, 0, v & 0xffff),
    ];
    fc.assert(
      fc.property(
        arbitraryAddress4,
        arbitraryAddress4,
        fc.array(fc.tuple(fc.nat(setters.length - 1), fc.nat(0xffffffff)), { maxLength: 8 }),
        (source, destination, steps) => {
          const octets = buildIpv4({ source, destination, protocol: 6 }, counting(4));
          for (const [which, value] of steps) {
            setters[which]!(octets, value);
            expect(internetChecksum(octets, 0, 20)).toBe(0);
          }
        },
      ),
      { numRuns: 500 },
    );
  });
});

describe('RFC 1122 §3.2.1: what an IPv4 packet must be', () => {
  it.each([
    ['pass', ipv4With(() => {})],
    ['short', new Uint8Array(0)],
    ['short', ipv4With(() => {}).subarray(0, 19)],
    ['version', ipv4With((o) => (o[0] = 0x55))],
    ['length', ipv4With((o) => (o[0] = 0x44))],
    ['length', ipv4With((o) => (o[0] = 0x4f))],
    ['length', ipv4With((o) => putU16(o, 2, 37))],
    ['length', ipv4With((o) => putU16(o, 2, 19))],
    ['pass', ipv4With((o) => putU16(o, 2, 20))],
    ['martian', ipv4With((o) => o.set([0, 0, 0, 0], 12))],
    ['martian', ipv4With((o) => o.set([127, 0, 0, 1], 12))],
    ['martian', ipv4With((o) => o.set([224, 0, 0, 5], 12))],
    ['martian', ipv4With((o) => o.set([255, 255, 255, 255], 12))],
    ['martian', ipv4With((o) => o.set([127, 1, 2, 3], 16))],
    ['martian', ipv4With((o) => o.set([0, 0, 0, 0], 16))],
    ['pass', ipv4With((o) => o.set([224, 0, 0, 5], 16))],
    ['pass', ipv4With((o) => o.set([255, 255, 255, 255], 16))],
  ])('%s %#', (name, octets) => {
    expect(verdict(octets)).toBe(name);
  });

  it('§3.2.1.2: a wrong checksum', () => {
    const octets = ipv4With(() => {});
    octets[11]! ^= 1;
    expect(verdict(octets)).toBe('checksum');
  });

  it('padding behind the total length is allowed and not part of the packet', () => {
    const octets = new Uint8Array(64);
    octets.set(ipv4With(() => {}));
    expect(verdict(octets)).toBe('pass');
    expect(ipLength(octets, 0)).toBe(36);
    const upper = newUpperLayer();
    expect(findUpperLayer(octets, 0, 64, upper)).toBe(PASS);
    expect(upper.end).toBe(36);
  });

  it.each([
    ['pass', [1, 1, 1, 0]],
    ['pass', [148, 4, 0, 0]], // RFC 2113: router alert
    ['pass', [7, 7, 4, 0, 0, 0, 0]], // record route
    ['pass', [0, 0xff, 0xff, 0xff]],
    ['options', [131, 7, 4, 10, 0, 0, 1]], // RFC 7126 §4.3
    ['options', [1, 137, 7, 4, 10, 0, 0, 1]],
    ['options', [7, 1, 0, 0]],
    ['options', [7, 0, 0, 0]],
    ['options', [7, 5, 0, 0]],
    ['options', [1, 1, 1, 7]],
  ])('options: %s %j', (name, options) => {
    expect(verdict(ipv4With(() => {}, Uint8Array.from(options)))).toBe(name);
  });

  it.each([
    ['RFC 1858 §4.2: TCP at offset 8', 6, 8, 0, 32, 'fragment'],
    ['RFC 1858 §3: a first TCP fragment without its header', 6, 0, 1, 8, 'fragment'],
    ['a first TCP fragment with it', 6, 0, 1, 24, 'pass'],
    ['UDP at offset 8', 17, 8, 0, 32, 'pass'],
    ['the last octet that counts', 17, 65504, 0, 11, 'pass'],
    ['RFC 791: beyond 65,535', 17, 65504, 0, 12, 'fragment'],
  ])('fragments: %s', (_, protocol, fragmentOffset, more, length, name) => {
    const octets = buildIpv4({ ...ends4, protocol, fragmentOffset, moreFragments: more === 1 }, counting(length));
    expect(verdict(octets)).toBe(name);
  });
});

describe('RFC 8200 §3: the IPv6 header', () => {
  it('octet by octet', () => {
    const octets = buildIpv6(
      { ...ends6, protocol: 59, hopLimit: 7, trafficClass: 0xb9, flowLabel: 0xabcde },
      counting(2),
    );
    expect(toHex(octets)).toBe('6b9abcde00023b0720010db800010000000000000000000220010db80002000000000000000000020001');
    expect(trafficClass(octets, 0)).toBe(0xb9);
    expect(ipv6FlowLabel(octets, 0)).toBe(0xabcde);
    setTrafficClass(octets, 0, 0x46);
    expect(trafficClass(octets, 0)).toBe(0x46);
    expect(ipv6FlowLabel(octets, 0)).toBe(0xabcde);
    setHopLimit(octets, 0, 3);
    expect(hopLimit(octets, 0)).toBe(3);
    expect(ipLength(octets, 0)).toBe(42);
    expect(checkIpv6(octets, 0, 42)).toBe(PASS);
  });
});

describe('RFC 8200 §4: extension headers', () => {
  const udp = [0, 1, 0, 2, 0, 8, 0, 0];
  const pad = [1, 4, 0, 0, 0, 0];
  const v6 = (protocol: number, ...octets: number[]): Uint8Array =>
    buildIpv6({ ...ends6, protocol }, Uint8Array.from(octets));
  const fragment = (next: number, offset: number, more: number): number[] => [
    next,
    0,
    offset >>> 8,
    (offset & 0xf8) | more,
    0,
    0,
    0,
    1,
  ];
  const eight = Array.from({ length: 8 }, (_, i) => [i === 7 ? 17 : 60, 0, ...pad]).flat();

  it.each([
    ['pass', 'plain', v6(17, ...udp)],
    ['pass', 'hop-by-hop', v6(0, 17, 0, ...pad, ...udp)],
    ['pass', 'an unknown option to skip', v6(0, 17, 0, 0x1e, 4, 1, 2, 3, 4, ...udp)],
    ['pass', 'RFC 2711: router alert', v6(0, 17, 0, 5, 2, 0, 0, 0, 0, ...udp)],
    ['hopOptions', 'an unknown option to discard', v6(0, 17, 0, 0x5e, 4, 1, 2, 3, 4, ...udp)],
    ['hopOptions', 'RFC 2675: a jumbogram', v6(0, 17, 0, 0xc2, 4, 0, 1, 0, 0, ...udp)],
    ['hopOptions', 'an option beyond its header', v6(0, 17, 0, 1, 5, 0, 0, 0, 0, ...udp)],
    ['hopOptions', 'hop-by-hop in second place', v6(60, 0, 0, ...pad, 17, 0, ...pad, ...udp)],
    ['short', 'a header beyond the packet', v6(60, 17, 3, ...pad, ...udp)],
    ['short', 'a header that is cut off', v6(60, 17, 0, 1)],
    ['pass', 'as many as allowed', v6(60, ...eight, ...udp)],
    ['hopOptions', 'one more', v6(60, 60, 0, ...pad, ...eight, ...udp)],
    ['options', 'RFC 5095: type 0 routing', v6(43, 17, 2, 0, 1, ...new Array(20).fill(0), ...udp)],
    ['pass', 'the same with nothing left', v6(43, 17, 2, 0, 0, ...new Array(20).fill(0), ...udp)],
    ['pass', 'a first fragment', v6(44, ...fragment(17, 0, 1), ...udp)],
    ['pass', 'RFC 6946: an atomic fragment', v6(44, ...fragment(17, 0, 0), ...udp, 1)],
    ['pass', 'a last fragment', v6(44, ...fragment(17, 8, 0), 1)],
    ['fragment', 'a middle fragment of 9 octets', v6(44, ...fragment(17, 8, 1), ...udp, 1)],
    ['fragment', 'beyond 65,535', v6(44, ...fragment(17, 0xfff8, 0), ...udp)],
    ['fragment', 'a fragment of a fragment', v6(44, ...fragment(44, 0, 1), ...fragment(17, 0, 1), ...udp)],
    ['fragment', 'RFC 7112 §5: a first fragment without the upper layer', v6(44, ...fragment(60, 0, 1), 17, 1, ...pad)],
    ['fragment', 'RFC 7112 §5: a first fragment with a piece of TCP', v6(44, ...fragment(6, 0, 1), ...udp)],
    ['length', 'shorter than it says', v6(17, ...udp).subarray(0, 47)],
    ['short', 'shorter than its header', v6(17, ...udp).subarray(0, 39)],
    ['martian', 'from multicast', buildIp({ ...ends6, source: addr('ff02::1'), protocol: 59 }, counting(0))],
    ['martian', 'from loopback', buildIp({ ...ends6, source: addr('::1'), protocol: 59 }, counting(0))],
    ['martian', 'from nowhere', buildIp({ ...ends6, source: addr('::'), protocol: 59 }, counting(0))],
    ['martian', 'from mapped IPv4', buildIp({ ...ends6, source: addr('::ffff:1.2.3.4'), protocol: 59 }, counting(0))],
    ['pass', 'from ::2', buildIp({ ...ends6, source: addr('::2'), protocol: 59 }, counting(0))],
    ['martian', 'to loopback', buildIp({ ...ends6, destination: addr('::1'), protocol: 59 }, counting(0))],
    ['martian', 'to nowhere', buildIp({ ...ends6, destination: addr('::'), protocol: 59 }, counting(0))],
    [
      'pass',
      'RFC 4862 §5.4: duplicate address detection',
      buildIp({ source: addr('::'), destination: addr('ff02::1:ff00:1'), protocol: 58 }, counting(24)),
    ],
  ])('%s: %s', (name, _, octets) => {
    expect(verdict(octets)).toBe(name);
  });

  it('the walk finds the upper layer behind all of them', () => {
    const octets = v6(0, 43, 0, ...pad, 60, 0, 3, 0, 0, 0, 0, 0, 44, 0, ...pad, ...fragment(17, 0, 1), ...udp);
    const upper = newUpperLayer();
    expect(findUpperLayer(octets, 0, octets.length, upper)).toBe(PASS);
    expect(upper).toEqual({
      protocol: 17,
      at: 72,
      end: 80,
      fragmentOffset: 0,
      moreFragments: true,
      fragmentHeader: 64,
    });
  });
});

describe('whatever octets arrive', () => {
  /** Mostly well-formed beginnings, so that the later checks are reached. */
  const begun = fc.oneof(
    fc.uint8Array({ maxLength: 120 }),
    fc.tuple(fc.uint8Array({ maxLength: 100 }), fc.nat(0xff)).map(([rest, first]) => {
      const octets = new Uint8Array(20 + rest.length);
      octets.set(rest, 20);
      octets.set(counting(20));
      octets[0] = 0x45 + (first & 3);
      putU16(octets, 2, octets.length - (first >>> 6));
      octets[9] = [1, 6, 17, 50][first & 3]!;
      octets[12] = 10;
      fillIpv4Checksum(octets, 0);
      return octets;
    }),
    fc
      .tuple(
        arbitraryAddress6,
        arbitraryAddress6,
        fc.constantFrom(0, 6, 17, 43, 44, 50, 58, 60),
        fc.uint8Array({ maxLength: 64 }),
      )
      .chain(([source, destination, protocol, payload]) =>
        fc.constantFrom(0, 43, 44, 60, 17, 58).map((next) => {
          if (payload.length > 1) payload.set([next, payload[1]! & 1]);
          return buildIpv6({ source, destination, protocol }, payload);
        }),
      ),
  );
  const matcher = compileSelectors([parseSelector('0.0.0.0/0[udp/1-9]')!], [parseSelector('::/0')!]);

  it('nothing throws, and nothing is read outside the packet', () => {
    fc.assert(
      fc.property(begun, fc.nat(3), (octets, cut) => {
        const { buf, start, end } = guarded(octets.subarray(0, Math.max(0, octets.length - cut)));
        const checked = checkIp(buf, start, end);
        const flow = newFlow();
        const upper = newUpperLayer();
        const found = findUpperLayer(buf, start, end, upper);
        expect(readFlow(buf, start, end, flow)).toBe(found);
        if (checked === PASS) expect(found).toBe(PASS);
        mayAnswerWithError(buf, start, end);
        matcher.match(buf, start, end, true);
        if (found === PASS) {
          expect(upper.at).toBeGreaterThan(start);
          expect(upper.at).toBeLessThanOrEqual(upper.end);
          expect(upper.end).toBeLessThanOrEqual(end);
          if (upper.protocol === 17) checkUdp(buf, start, upper.at, upper.end);
        }
        expect(describePacket(octets)).not.toBe('');
      }),
      { numRuns: 3000 },
    );
  });

  it('a changed header octet is noticed or changes nothing that is checked', () => {
    const octets = ipv4With(() => {});
    for (let i = 0; i < 20; i++) {
      for (const bit of [1, 0x80]) {
        const changed = octets.slice();
        changed[i]! ^= bit;
        expect(checkIpv4(changed, 0, changed.length)).not.toBe(PASS);
      }
    }
    expect(DROP.checksum).toBe(4);
  });
});
