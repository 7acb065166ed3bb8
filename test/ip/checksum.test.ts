import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { fromHex, putU16, putU32, u16, u32 } from '../../src/core/index.ts';
import {
  buildIcmpEcho,
  buildTcp,
  buildUdp,
  fillTransportChecksum,
  foldSum,
  internetChecksum,
  ipv4Octets,
  parseAddress,
  sumWords,
  transportChecksumHolds,
  updateChecksum16,
  updateChecksum32,
} from '../../src/ip/index.ts';

/** RFC 1071 §1, word by word with the carry added at once. */
function naiveChecksum(octets: Uint8Array): number {
  let sum = 0;
  for (let i = 0; i < octets.length; i += 2) {
    sum += (octets[i]! << 8) | (octets[i + 1] ?? 0);
    if (sum > 0xffff) sum -= 0xffff;
  }
  return ~sum & 0xffff;
}

/** 0 and 0xffff are one number in one's complement arithmetic. */
const canonical = (checksum: number): number => (checksum === 0xffff ? 0 : checksum);

describe('RFC 1071: the Internet checksum', () => {
  it('§3: the worked example', () => {
    expect(foldSum(sumWords(fromHex('0001 f203 f4f5 f6f7'), 0, 8))).toBe(0xddf2);
  });

  it('§1: equals the naive sum, at any offset and length', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 300 }), fc.nat(40), (octets, before) => {
        const buf = new Uint8Array(before + octets.length + 7).fill(0xa5);
        buf.set(octets, before);
        expect(internetChecksum(buf, before, before + octets.length)).toBe(naiveChecksum(octets));
      }),
      { numRuns: 500 },
    );
  });

  it('is right for the longest packet of highest words', () => {
    const octets = new Uint8Array(0xffff).fill(0xff);
    expect(internetChecksum(octets, 0, octets.length)).toBe(naiveChecksum(octets));
    expect(foldSum(0xffffffff)).toBe(0xffff);
  });
});

describe('RFC 1624 §3: incremental update', () => {
  it('equation 3: the example of §4', () => {
    expect(updateChecksum16(0xdd2f, 0x5555, 0x3285)).toBe(0x0000);
  });

  it('of a word equals the full sum', () => {
    fc.assert(
      fc.property(fc.uint8Array({ minLength: 2, maxLength: 60 }), fc.nat(29), fc.nat(0xffff), (octets, word, value) => {
        const at = (word % (octets.length >>> 1)) * 2;
        const before = internetChecksum(octets, 0, octets.length);
        const old = u16(octets, at);
        putU16(octets, at, value);
        const full = internetChecksum(octets, 0, octets.length);
        expect(canonical(updateChecksum16(before, old, value))).toBe(canonical(full));
      }),
      { numRuns: 1000 },
    );
  });

  it('of an address equals the full sum', () => {
    fc.assert(
      fc.property(fc.uint8Array({ minLength: 4, maxLength: 60 }), fc.nat(0xffffffff), (octets, value) => {
        const before = internetChecksum(octets, 0, octets.length);
        const old = u32(octets, 0);
        putU32(octets, 0, value);
        const full = internetChecksum(octets, 0, octets.length);
        expect(canonical(updateChecksum32(before, old, value))).toBe(canonical(full));
      }),
      { numRuns: 1000 },
    );
  });
});

describe('transport checksums', () => {
  const families = [
    { source: parseAddress('192.0.2.1')!, destination: parseAddress('198.51.100.7')!, header: 20 },
    { source: parseAddress('2001:db8::1')!, destination: parseAddress('2001:db8:1::7')!, header: 40 },
  ];

  it.each(families)('of built packets verify and notice any changed octet ($header)', ({ header, ...ends }) => {
    const packets = [
      buildUdp({ ...ends, sourcePort: 1000, destinationPort: 53 }, Uint8Array.of(1, 2, 3)),
      buildTcp({ ...ends, sourcePort: 1000, destinationPort: 80 }, Uint8Array.of(1, 2, 3, 4)),
      buildIcmpEcho({ ...ends, type: 'request', identifier: 7, sequence: 1 }, Uint8Array.of(9)),
    ];
    for (const packet of packets) {
      const protocol = packet[header === 20 ? 9 : 6]!;
      expect(transportChecksumHolds(packet, 0, header, packet.length, protocol)).toBe(true);
      for (let i = header; i < packet.length; i++) {
        packet[i]! ^= 0x10;
        expect(transportChecksumHolds(packet, 0, header, packet.length, protocol)).toBe(false);
        packet[i]! ^= 0x10;
      }
    }
  });

  it('RFC 768: UDP over IPv4 may do without, RFC 8200 §8.1: over IPv6 not', () => {
    for (const { header, ...ends } of families) {
      const packet = buildUdp({ ...ends, sourcePort: 1, destinationPort: 2 }, new Uint8Array(5));
      putU16(packet, header + 6, 0);
      expect(transportChecksumHolds(packet, 0, header, packet.length, 17)).toBe(header === 20);
    }
  });

  it('RFC 768: a UDP checksum of zero is sent as all ones', () => {
    const ends = { source: ipv4Octets(0x0a000001), destination: ipv4Octets(0x0a000002) };
    const packet = buildUdp({ ...ends, sourcePort: 0, destinationPort: 0 }, new Uint8Array(2));
    // The data is chosen so that the sum is all ones.
    putU16(packet, 26, 0);
    putU16(packet, 28, 0);
    const rest = internetChecksum(packet, 20, 30, sumWords(packet, 12, 20, 17 + 10));
    putU16(packet, 28, rest);
    fillTransportChecksum(packet, 0, 20, 30, 17);
    expect(u16(packet, 26)).toBe(0xffff);
    expect(transportChecksumHolds(packet, 0, 20, 30, 17)).toBe(true);
  });
});
