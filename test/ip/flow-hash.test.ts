import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { buildIp, buildIpv4, type FlowRecord, hashFlow, hashFlowRecord, IP_PROTOCOL } from '../../src/ip/index.ts';
import { addr, counting } from '../support/packets.ts';

const port = fc.integer({ min: 0, max: 0xffff });
const flow: fc.Arbitrary<FlowRecord> = fc.constantFrom(4, 16).chain((length) =>
  fc.record({
    source: fc.uint8Array({ minLength: length, maxLength: length }),
    destination: fc.uint8Array({ minLength: length, maxLength: length }),
    protocol: fc.constantFrom(IP_PROTOCOL.tcp, IP_PROTOCOL.udp, IP_PROTOCOL.sctp, IP_PROTOCOL.esp, IP_PROTOCOL.icmpv6),
    sourcePort: port,
    destinationPort: port,
  }),
);

const packetOf = (f: FlowRecord, data = counting(30), trafficClass = 0): Uint8Array => {
  const ports = [f.sourcePort >>> 8, f.sourcePort & 255, f.destinationPort >>> 8, f.destinationPort & 255];
  return buildIp({ ...f, trafficClass }, Uint8Array.from([...ports, ...data]));
};
const hashOf = (packet: Uint8Array, seed = 7): number => hashFlow(packet, 0, packet.length, seed);

describe('RFC 2991: the packets of one flow have one number', () => {
  it('whatever else they carry, and as the control plane computes it', () => {
    fc.assert(
      fc.property(
        flow,
        fc.uint8Array({ minLength: 8, maxLength: 64 }),
        fc.nat(255),
        fc.integer(),
        (f, data, tos, seed) => {
          const expected = hashFlowRecord(f, seed);
          expect(hashOf(packetOf(f), seed)).toBe(expected);
          expect(hashOf(packetOf(f, data, tos), seed)).toBe(expected);
        },
      ),
    );
  });

  it.each([
    ['source', { source: addr('10.1.0.3') }],
    ['destination', { destination: addr('10.2.0.3') }],
    ['protocol', { protocol: IP_PROTOCOL.udp }],
    ['source port', { sourcePort: 40001 }],
    ['destination port', { destinationPort: 444 }],
  ])('another %s is another flow', (_, change) => {
    const f = {
      source: addr('10.1.0.2'),
      destination: addr('10.2.0.2'),
      protocol: 6,
      sourcePort: 40000,
      destinationPort: 443,
    };
    expect(hashOf(packetOf({ ...f, ...change }))).not.toBe(hashOf(packetOf(f)));
  });

  it('fragments are told apart by their addresses alone, the first one, too', () => {
    const ends = { source: addr('10.1.0.2'), destination: addr('10.2.0.2'), protocol: IP_PROTOCOL.udp };
    const first = buildIpv4({ ...ends, moreFragments: true }, counting(64));
    const last = buildIpv4({ ...ends, fragmentOffset: 64 }, counting(10));
    expect(hashOf(first)).toBe(hashOf(last));
    expect(hashOf(first)).toBe(hashFlowRecord({ ...ends, protocol: 0, sourcePort: 0, destinationPort: 0 }, 7));
  });

  it('spreads flows that differ little over all its bits, whatever the seed', () => {
    for (const seed of [0, 1, 0x12345678]) {
      const counts = new Array<number>(32).fill(0);
      for (let n = 0; n < 4096; n++) {
        const f = {
          source: addr('10.1.0.2'),
          destination: addr('10.2.0.2'),
          protocol: 17,
          sourcePort: n,
          destinationPort: 53,
        };
        const hash = hashFlowRecord(f, seed);
        for (let bit = 0; bit < 32; bit++) counts[bit]! += (hash >>> bit) & 1;
      }
      for (const ones of counts) expect(Math.abs(ones - 2048)).toBeLessThan(256);
    }
  });
});
