import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { compareBytes, sameBytes } from '../../src/core/index.ts';
import {
  ANY_PORTS,
  buildIcmpEcho,
  buildIp,
  buildIpv4,
  buildIpv6,
  buildTcp,
  buildUdp,
  compileSelectors,
  contains,
  containsSelector,
  flowRecord,
  formatSelector,
  formatSelectors,
  intersect,
  isSelector,
  matches,
  newFlow,
  OPAQUE_PORT,
  OPAQUE_PORTS,
  OPAQUE_PROTOCOL,
  PASS,
  parseSelector,
  prefixesOfSelector,
  readFlow,
  selectorOfPrefix,
  type TrafficSelector,
} from '../../src/ip/index.ts';
import { addr, pfx } from '../support/packets.ts';

const sel = (text: string): TrafficSelector => {
  const selector = parseSelector(text);
  if (selector === undefined) throw new Error(`not a selector: ${text}`);
  return selector;
};

/** A small world, so that everything can be tried: eight addresses, two protocols, four ports and "none". */
const ADDRESSES = [0, 1, 2, 3, 4, 5, 6, 7].map((n) => addr(`10.0.0.${n}`));
const PROTOCOLS = [6, 17];
const PORTS = [0, 1, 2, 0xffff, undefined];
const small = fc
  .record({
    protocol: fc.constantFrom(0, 6, 17),
    ports: fc.oneof(
      fc.constantFrom(ANY_PORTS, OPAQUE_PORTS),
      fc
        .tuple(fc.constantFrom(0, 1, 2, 0xffff), fc.constantFrom(0, 1, 2, 0xffff))
        .map(([a, b]) => ({ startPort: Math.min(a, b), endPort: Math.max(a, b) })),
    ),
    range: fc.tuple(fc.nat(7), fc.nat(7)),
  })
  .map(
    ({ protocol, ports, range: [a, b] }): TrafficSelector => ({
      protocol,
      ...ports,
      start: ADDRESSES[Math.min(a, b)]!,
      end: ADDRESSES[Math.max(a, b)]!,
    }),
  );
const everything = ADDRESSES.flatMap((a) => PROTOCOLS.flatMap((p) => PORTS.map((port) => [a, p, port] as const)));

describe('RFC 7296 §2.9, §3.13.1: selectors as sets', () => {
  it('the intersection matches what both match', () => {
    fc.assert(
      fc.property(small, small, (a, b) => {
        const both = intersect(a, b);
        for (const [address, protocol, port] of everything) {
          expect(both !== undefined && matches(both, address, protocol, port)).toBe(
            matches(a, address, protocol, port) && matches(b, address, protocol, port),
          );
        }
        if (both !== undefined) expect(isSelector(both)).toBe(true);
      }),
      { numRuns: 500 },
    );
  });

  it('containment is being a subset', () => {
    fc.assert(
      fc.property(small, small, (a, b) => {
        if (!containsSelector(a, b)) return;
        for (const [address, protocol, port] of everything) {
          if (matches(b, address, protocol, port)) expect(matches(a, address, protocol, port)).toBe(true);
        }
      }),
      { numRuns: 500 },
    );
    expect(containsSelector(sel('10.0.0.0/8'), sel('10.1.0.0/24[tcp/443]'))).toBe(true);
    expect(containsSelector(sel('10.0.0.0/8[tcp]'), sel('10.1.0.0/24'))).toBe(false);
    expect(containsSelector(sel('10.0.0.0/8[tcp/1-2]'), sel('10.1.0.0/24[tcp/OPAQUE]'))).toBe(false);
    expect(containsSelector(sel('::/0'), sel('10.1.0.0/24'))).toBe(false);
  });

  it('RFC 7296 §3.13.1: ANY includes OPAQUE, OPAQUE nothing but itself', () => {
    const any = sel('10.0.0.0/8[tcp]');
    const opaque = sel('10.0.0.0/8[tcp/OPAQUE]');
    expect(opaque).toMatchObject({ startPort: 65535, endPort: 0 });
    expect(intersect(any, opaque)).toEqual(opaque);
    expect(intersect(opaque, sel('10.0.0.0/8[tcp/0-65534]'))).toBeUndefined();
    expect(matches(opaque, addr('10.0.0.1'), 6, undefined)).toBe(true);
    expect(matches(opaque, addr('10.0.0.1'), 6, 80)).toBe(false);
  });

  it('a range in the wrong order matches nothing', () => {
    const wrong: TrafficSelector = { ...sel('10.0.0.0/8'), start: addr('10.0.0.9'), end: addr('10.0.0.1') };
    expect(isSelector(wrong)).toBe(false);
    expect(matches(wrong, addr('10.0.0.5'), 6, 1)).toBe(false);
    expect(intersect(wrong, wrong)).toBeUndefined();
    expect(prefixesOfSelector(wrong)).toEqual([]);
  });

  it('prefixes cover a range exactly, each as large as can be', () => {
    const word = fc.nat(0xffff);
    fc.assert(
      fc.property(word, word, fc.boolean(), (a, b, wide) => {
        const make = (n: number): Uint8Array =>
          wide
            ? Uint8Array.from([...addr('2001:db8::').subarray(0, 14), n >>> 8, n])
            : Uint8Array.of(10, 0, n >>> 8, n);
        const [start, end] = [make(Math.min(a, b)), make(Math.max(a, b))];
        const prefixes = prefixesOfSelector({ protocol: 0, ...ANY_PORTS, start, end });
        let count = 0;
        for (const p of prefixes) count += 2 ** (p.address.length * 8 - p.length);
        expect(count).toBe(Math.abs(a - b) + 1);
        expect(prefixes[0]!.address).toEqual(start);
        expect(prefixes.some((p) => contains(p, end))).toBe(true);
        for (let i = 1; i < prefixes.length; i++) {
          expect(compareBytes(prefixes[i - 1]!.address, prefixes[i]!.address)).toBeLessThan(0);
        }
        expect(prefixes.length).toBeLessThanOrEqual(30);
      }),
      { numRuns: 300 },
    );
    expect(prefixesOfSelector(sel('0.0.0.0/0'))).toEqual([pfx('0.0.0.0/0')]);
    expect(prefixesOfSelector(sel('::/0'))).toEqual([pfx('::/0')]);
  });
});

describe('selectors as swanctl writes them', () => {
  it.each([
    '10.1.0.0/24',
    '10.1.0.5/32',
    '0.0.0.0/0',
    '::/0',
    '10.1.0.0/24[tcp]',
    '10.1.0.0/24[tcp/443]',
    '10.1.0.0/24[udp/1000-2000]',
    '10.1.0.5..10.1.0.9',
    '10.1.0.5..10.1.0.9[udp/OPAQUE]',
    '2001:db8::/64[ipv6-icmp/128(0)]',
    '10.1.0.0/24[icmp/8]',
    '10.1.0.0/24[icmp/8(0)]',
    '10.1.0.0/24[icmp/3(0)-11(1)]',
    '10.1.0.0/24[gre]',
    '10.1.0.0/24[200]',
  ])('%s', (text) => {
    expect(formatSelector(sel(text))).toBe(text);
  });

  it('reads other spellings, and nothing else', () => {
    expect(formatSelector(sel('10.1.0.5'))).toBe('10.1.0.5/32');
    expect(formatSelector(sel('::1[icmpv6]'))).toBe('::1/128[ipv6-icmp]');
    expect(formatSelector(sel('10.1.0.0..10.1.0.255'))).toBe('10.1.0.0/24');
    for (const text of [
      '',
      '10.1.0.1/24',
      '10.1.0.0/24[]',
      '10.1.0.0/24[tcp/]',
      '10.1.0.0/24[tcp/2-1]',
      '10.1.0.0/24[foo]',
      '10.1.0.0/24[tcp/65536]',
      '10.1.0.0/24[icmp/256]',
      '10.1.0.0/24[tcp/8(0)]',
      '10.1.0.9..10.1.0.1',
      '10.1.0.1..::1',
      '10.1.0.0/24]',
    ]) {
      expect(parseSelector(text)).toBeUndefined();
    }
    expect(formatSelectors([])).toBe('nothing');
    expect(formatSelectors([sel('10.1.0.0/24'), sel('::/0')])).toBe('10.1.0.0/24, ::/0');
  });

  it('every selector survives its text', () => {
    fc.assert(
      fc.property(small, (s) => {
        expect(sel(formatSelector(s))).toEqual(s);
      }),
    );
  });

  it('a prefix with host bits selects its network', () => {
    expect(formatSelector(selectorOfPrefix(pfx('10.1.2.3/16'), 6, { startPort: 80, endPort: 80 }))).toBe(
      '10.1.0.0/16[tcp/80]',
    );
  });
});

/** A packet with those ends, in one of the shapes that matter to selectors. */
function packetOf(source: Uint8Array, destination: Uint8Array, protocol: number, port: number | undefined): Uint8Array {
  if (port === undefined) {
    return buildIpv4({ source, destination, protocol, fragmentOffset: 64 }, new Uint8Array(16));
  }
  return protocol === 6
    ? buildTcp({ source, destination, sourcePort: port, destinationPort: port })
    : buildUdp({ source, destination, sourcePort: port, destinationPort: port }, new Uint8Array(3));
}

describe('RFC 4301 §4.4.1.1, §7: compiled selectors on packets', () => {
  it('equal the plain ones', () => {
    const many = fc.array(small, { maxLength: 3 });
    const pick = fc.nat(7);
    const packet = fc.record({
      s: pick,
      d: pick,
      protocol: fc.constantFrom(...PROTOCOLS),
      port: fc.constantFrom(...PORTS),
    });
    fc.assert(
      fc.property(many, many, packet, fc.boolean(), fc.nat(20), (local, remote, p, outbound, before) => {
        const [source, destination] = [ADDRESSES[p.s]!, ADDRESSES[p.d]!];
        const octets = packetOf(source, destination, p.protocol, p.port);
        const buf = new Uint8Array(before + octets.length + 4).fill(0x77);
        buf.set(octets, before);
        const [from, to] = outbound ? [local, remote] : [remote, local];
        const expected =
          from.some((s) => matches(s, source, p.protocol, p.port)) &&
          to.some((s) => matches(s, destination, p.protocol, p.port));
        expect(compileSelectors(local, remote).match(buf, before, before + octets.length, outbound)).toBe(expected);
      }),
      { numRuns: 1500 },
    );
  });

  it('IPv6 ranges compare as 128-bit numbers', () => {
    const matcher = compileSelectors(
      [sel('2001:db8::5..2001:db8:0:1::'), sel('10.0.0.0/8')],
      [sel('::/0'), sel('0.0.0.0/0')],
    );
    const from = (text: string): Uint8Array =>
      buildUdp(
        { source: addr(text), destination: addr('2001:db8:f::1'), sourcePort: 1, destinationPort: 2 },
        new Uint8Array(0),
      );
    for (const [text, inside] of [
      ['2001:db8::4', false],
      ['2001:db8::5', true],
      ['2001:db8::ffff:ffff:ffff:ffff', true],
      ['2001:db8:0:1::', true],
      ['2001:db8:0:1::1', false],
      ['fe80::1', false],
    ] as const) {
      expect(matcher.match(from(text), 0, 48, true)).toBe(inside);
    }
  });

  it('§4.4.1.3: an ICMP type belongs to the sender alone', () => {
    const matcher = compileSelectors([sel('10.1.0.0/24[icmp/8]')], [sel('10.2.0.0/24[icmp/OPAQUE]')]);
    const [here, there] = [addr('10.1.0.1'), addr('10.2.0.1')];
    const echo = (type: 'request' | 'reply', source: Uint8Array, destination: Uint8Array): Uint8Array =>
      buildIcmpEcho({ type, source, destination, identifier: 1, sequence: 1 });
    expect(matcher.match(echo('request', here, there), 0, 28, true)).toBe(true);
    expect(matcher.match(echo('reply', here, there), 0, 28, true)).toBe(false);
    expect(matcher.match(echo('request', there, here), 0, 28, false)).toBe(false);
  });

  it('refuses what is no packet', () => {
    const matcher = compileSelectors([sel('0.0.0.0/0'), sel('::/0')], [sel('0.0.0.0/0'), sel('::/0')]);
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 19 }), (octets) => {
        expect(matcher.match(octets, 0, octets.length, true)).toBe(false);
      }),
    );
  });
});

describe('flows', () => {
  const ends6 = { source: addr('2001:db8::1'), destination: addr('2001:db8::2') };
  const ends4 = { source: addr('10.1.0.1'), destination: addr('10.2.0.1') };

  it('RFC 4301 §4.4.1.1: extension headers are skipped, ESP and AH are not', () => {
    const flow = newFlow();
    const udp = Uint8Array.of(0x12, 0x34, 0x00, 0x35, 0, 8, 0, 0);
    const hop = Uint8Array.of(60, 0, 1, 4, 0, 0, 0, 0, 17, 0, 1, 4, 0, 0, 0, 0, ...udp);
    const packet = buildIpv6({ ...ends6, protocol: 0 }, hop);
    expect(readFlow(packet, 0, packet.length, flow)).toBe(PASS);
    expect(flow).toMatchObject({
      protocol: 17,
      sourcePort: 0x1234,
      destinationPort: 53,
      sourceAt: 8,
      destinationAt: 24,
    });
    for (const protocol of [50, 51]) {
      const ipsec = buildIp({ ...ends6, protocol }, new Uint8Array(40));
      expect(readFlow(ipsec, 0, ipsec.length, flow)).toBe(PASS);
      expect(flow).toMatchObject({ protocol, sourcePort: OPAQUE_PORT, destinationPort: OPAQUE_PORT, typed: false });
    }
  });

  it('§7: later IPv6 fragments may hide even the protocol', () => {
    const flow = newFlow();
    const header = (next: number): Uint8Array => Uint8Array.of(next, 0, 0x01, 0x00, 0, 0, 0, 9, ...new Uint8Array(16));
    const shown = buildIpv6({ ...ends6, protocol: 44 }, header(6));
    expect(readFlow(shown, 0, shown.length, flow)).toBe(PASS);
    expect(flow).toMatchObject({ protocol: 6, sourcePort: OPAQUE_PORT, laterFragment: true });
    const hidden = buildIpv6({ ...ends6, protocol: 44 }, header(60));
    expect(readFlow(hidden, 0, hidden.length, flow)).toBe(PASS);
    expect(flow).toMatchObject({ protocol: OPAQUE_PROTOCOL, laterFragment: true });
    expect(compileSelectors([sel('::/0[tcp]')], [sel('::/0')]).match(hidden, 0, hidden.length, true)).toBe(false);
    expect(compileSelectors([sel('::/0')], [sel('::/0')]).match(hidden, 0, hidden.length, true)).toBe(true);
  });

  it('mobility headers show their type (RFC 6275 §6.1.1)', () => {
    const flow = newFlow();
    const packet = buildIpv6({ ...ends6, protocol: 135 }, Uint8Array.of(59, 0, 5, 0, 0, 0, 0, 0));
    expect(readFlow(packet, 0, packet.length, flow)).toBe(PASS);
    expect(flow).toMatchObject({ protocol: 135, sourcePort: 0x0500, typed: true });
  });

  it('are recorded for the control plane', () => {
    const ping = buildIcmpEcho({ ...ends4, type: 'request', identifier: 1, sequence: 1 });
    expect(flowRecord(ping, 0, ping.length)).toEqual({
      ...ends4,
      protocol: 1,
      sourcePort: 0x0800,
      destinationPort: 0x0800,
    });
    const tcp = buildTcp({ ...ends4, sourcePort: 1024, destinationPort: 443 });
    expect(flowRecord(tcp, 0, tcp.length)).toEqual({ ...ends4, protocol: 6, sourcePort: 1024, destinationPort: 443 });
    expect(flowRecord(tcp, 0, 10)).toBeUndefined();
    expect(sameBytes(flowRecord(tcp, 0, tcp.length)!.source, ends4.source)).toBe(true);
  });
});
