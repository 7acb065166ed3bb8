import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  decodeTunnelEncapsulation,
  type EncapsulatedTunnel,
  encodeTunnelEncapsulation,
  TUNNEL,
  type TunnelPart,
} from '../../../src/bgp/index.ts';
import { encoded, fromHex, toHex } from '../../../src/core/index.ts';

const hex = (text: string): Uint8Array => fromHex(text.replaceAll(' ', ''));
const written = (tunnels: readonly EncapsulatedTunnel[]): string => toHex(encoded(encodeTunnelEncapsulation, tunnels));
const mac = fromHex('02005e000001');

const VECTORS: readonly (readonly [what: string, octets: string, tunnels: readonly EncapsulatedTunnel[]])[] = [
  [
    'RFC 9012 §3.2: NVGRE with a VSID and a MAC address, towards an IPv4 egress',
    '0009 001a 010c c0123456 02005e000001 0000 060a 00000000 0001 c0000201',
    [
      {
        type: TUNNEL.NVGRE,
        parts: [
          { name: 'virtualNetwork', network: 0x123456, mac },
          { name: 'egress', address: Uint8Array.of(192, 0, 2, 1) },
        ],
      },
    ],
  ],
  [
    'RFC 9012 §3.2, §3.3: VXLAN without a MAC address, on a port; the next hop is the egress',
    '0008 001a 010c 80000007 000000000000 0000 0606 00000000 0000 0802 12b5',
    [
      {
        type: TUNNEL.VXLAN,
        parts: [
          { name: 'virtualNetwork', network: 7, mac: undefined },
          { name: 'egress', address: undefined },
          { name: 'udpPort', port: 4789 },
        ],
      },
    ],
  ],
  [
    'RFC 9012 §3.2, §3.3, §3.4: GRE with key, protocol, color and DS field; then a tunnel without parts',
    '0002 0017 0104 00000102 0202 6558 0408 030b0000 00000064 0701 b8 0007 0000',
    [
      {
        type: TUNNEL.GRE,
        parts: [
          { name: 'greKey', key: 258 },
          { name: 'protocol', etherType: 0x6558 },
          { name: 'color', color: 100 },
          { name: 'dsField', value: 0xb8 },
        ],
      },
      { type: TUNNEL.IP_IN_IP, parts: [] },
    ],
  ],
  [
    'RFC 9012 §2: lengths of two octets from type 128 on; what is not known stays as it is',
    '000f 000c 80 0003 010203 6302 0405 0100',
    [
      {
        type: 15,
        parts: [
          { name: 'unknown', type: 128, value: Uint8Array.of(1, 2, 3) },
          { name: 'unknown', type: 99, value: Uint8Array.of(4, 5) },
          { name: 'unknown', type: 1, value: new Uint8Array(0) },
        ],
      },
    ],
  ],
];

describe('RFC 9012 §2: Tunnel Encapsulation', () => {
  it.each(VECTORS)('%s', (_, octets, tunnels) => {
    expect(decodeTunnelEncapsulation(hex(octets))).toEqual(tunnels);
    expect(written(tunnels)).toBe(toHex(hex(octets)));
  });

  it.each([
    ['half a header', '0009 00'],
    ['a tunnel that is longer than the attribute', '0009 0003 0700'],
    ['a part that is longer than its tunnel', '0009 0003 0702 b8'],
    ['half a part', '0009 0001 07'],
    ['half a long length', '0009 0002 8000'],
  ])('§13: is nothing with %s', (_, octets) => {
    expect(decodeTunnelEncapsulation(hex(octets))).toBeUndefined();
  });

  it.each([
    ['an egress of five octets', '0009 0007 0605 0000000001'],
    ['an egress whose family is another one', '0009 000c 060a 00000000 0002 c0000201'],
    ['bits of the flags that mean nothing', '0009 000e 010c a0000007 000000000000 0000'],
    ['a network that the flags deny', '0009 000e 010c 00000007 000000000000 0000'],
    ['a color that is another community', '0002 000a 0408 030c0000 00000064'],
    ['a key of GRE in a tunnel of NVGRE', '0009 0006 0104 00000001'],
  ])('§3: keeps %s as octets', (_, octets) => {
    const tunnels = decodeTunnelEncapsulation(hex(octets));
    expect(tunnels?.[0]?.parts.map(({ name }) => name)).toEqual(['unknown']);
    expect(written(tunnels!)).toBe(toHex(hex(octets)));
  });

  it('is what it was after writing and reading, and whatever the octets they come back', () => {
    const octets = (length: number) => fc.uint8Array({ minLength: length, maxLength: length });
    const part = fc.oneof<fc.Arbitrary<TunnelPart>[]>(
      fc.record({
        name: fc.constant('virtualNetwork' as const),
        network: fc.option(fc.nat(0xffffff), { nil: undefined }),
        mac: fc.option(octets(6), { nil: undefined }),
      }),
      fc.record({ name: fc.constant('protocol' as const), etherType: fc.nat(0xffff) }),
      fc.record({ name: fc.constant('color' as const), color: fc.nat(0xffffffff) }),
      fc.record({
        name: fc.constant('egress' as const),
        address: fc.option(fc.oneof(octets(4), octets(16)), { nil: undefined }),
      }),
      fc.record({ name: fc.constant('dsField' as const), value: fc.nat(255) }),
      fc.record({ name: fc.constant('udpPort' as const), port: fc.nat(0xffff) }),
      fc
        .record({
          name: fc.constant('unknown' as const),
          type: fc.constantFrom(9, 99, 128, 255),
          value: fc.uint8Array({ maxLength: 300 }),
        })
        .map((p) => (p.type < 128 ? { ...p, value: p.value.slice(0, 255) } : p)),
    );
    const tunnel = fc.record({
      type: fc.constantFrom(TUNNEL.VXLAN, TUNNEL.NVGRE),
      parts: fc.array(part, { maxLength: 4 }),
    });
    fc.assert(
      fc.property(fc.array(tunnel, { maxLength: 3 }), (tunnels) => {
        expect(decodeTunnelEncapsulation(fromHex(written(tunnels)))).toEqual(tunnels);
      }),
    );
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 60 }), fc.boolean(), (noise, fits) => {
        const octets = fits ? Uint8Array.of(0, 9, 0, noise.length, ...noise) : noise;
        const tunnels = decodeTunnelEncapsulation(octets);
        if (tunnels !== undefined) expect(written(tunnels)).toBe(toHex(octets));
      }),
      { numRuns: 1000 },
    );
  });
});
