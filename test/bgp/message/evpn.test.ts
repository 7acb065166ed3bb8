import fc from 'fast-check';
import { describe, expect, it, test } from 'vitest';
import {
  decodeEvpn,
  decodeUpdate,
  type EvpnNlri,
  type EvpnRoute,
  encodeEvpn,
  MESSAGE,
} from '../../../src/bgp/index.ts';
import { fromHex, toHex, Writer } from '../../../src/core/index.ts';
import { networkOf, parseAddress, parsePrefix } from '../../../src/ip/index.ts';
import { octets, u32 } from './arbitraries.ts';
import { EBGP } from './contexts.ts';
import { wire } from './octets.ts';

const RD = '0001 c0000201 0007';
const ESI = '00 00 00 00 00 00 00 00 00 00';
const V6 = '20010db8000000000000000000000001';
const distinguisher = fromHex(RD);
const segment = fromHex(ESI);
const mac = fromHex('020000000001');
const v4 = parseAddress('192.0.2.1')!;

const encoded = (nlri: readonly EvpnNlri[], pathIds = false): string => {
  const w = new Writer();
  encodeEvpn(w, nlri, pathIds);
  return toHex(w.finish());
};

const CASES: readonly { rfc: string; hex: string; route: EvpnRoute }[] = [
  {
    rfc: 'RFC 7432 §7.1: Ethernet A-D',
    hex: `01 19 ${RD} ${ESI} ffffffff 000010`,
    route: { type: 'autoDiscovery', distinguisher, segment, tag: 0xffffffff, label: 16 },
  },
  {
    rfc: 'RFC 7432 §7.2: MAC alone',
    hex: `02 21 ${RD} ${ESI} 00000000 30 020000000001 00 001389`,
    route: { type: 'mac', distinguisher, segment, tag: 0, mac, label: 5001 },
  },
  {
    rfc: 'RFC 7432 §7.2: MAC and IPv4, two labels',
    hex: `02 28 ${RD} ${ESI} 00000000 30 020000000001 20 c0000201 001389 00138a`,
    route: { type: 'mac', distinguisher, segment, tag: 0, mac, address: v4, label: 5001, label2: 5002 },
  },
  {
    rfc: 'RFC 7432 §7.2: MAC and IPv6',
    hex: `02 31 ${RD} ${ESI} 00000000 30 020000000001 80 ${V6} 001389`,
    route: { type: 'mac', distinguisher, segment, tag: 0, mac, address: fromHex(V6), label: 5001 },
  },
  {
    rfc: 'RFC 7432 §7.3: Inclusive Multicast',
    hex: `03 11 ${RD} 00000000 20 c0000201`,
    route: { type: 'inclusiveMulticast', distinguisher, tag: 0, originator: v4 },
  },
  {
    rfc: 'RFC 7432 §7.4: Ethernet Segment',
    hex: `04 23 ${RD} ${ESI} 80 ${V6}`,
    route: { type: 'segment', distinguisher, segment, originator: fromHex(V6) },
  },
  {
    rfc: 'RFC 9136 §3.1: IPv4 prefix',
    hex: `05 22 ${RD} ${ESI} 00000000 18 c6336400 00000000 001389`,
    route: {
      type: 'prefix',
      distinguisher,
      segment,
      tag: 0,
      prefix: parsePrefix('198.51.100.0/24')!,
      gateway: parseAddress('0.0.0.0')!,
      label: 5001,
    },
  },
  {
    rfc: 'RFC 9136 §3.1: IPv6 prefix',
    hex: `05 3a ${RD} ${ESI} 00000000 20 20010db8${'00'.repeat(12)} ${V6} 001389`,
    route: {
      type: 'prefix',
      distinguisher,
      segment,
      tag: 0,
      prefix: parsePrefix('2001:db8::/32')!,
      gateway: fromHex(V6),
      label: 5001,
    },
  },
  {
    rfc: 'RFC 7606 §5.4: unknown',
    hex: 'fe 02 0102',
    route: { type: 'unknown', routeType: 254, value: fromHex('0102') },
  },
];

describe('EVPN routes on the wire', () => {
  test.each(CASES)('$rfc', ({ hex, route }) => {
    expect(decodeEvpn(fromHex(hex))).toEqual([{ route }]);
    expect(encoded([{ route }])).toBe(toHex(fromHex(hex)));
    expect(decodeEvpn(fromHex(`00000007${hex}`), true)).toEqual([{ route, pathId: 7 }]);
    expect(encoded([{ route, pathId: 7 }], true)).toBe(toHex(fromHex(`00000007${hex}`)));
  });

  test.each([
    { what: 'MAC of 47 bits', hex: `02 21 ${RD} ${ESI} 00000000 2f 020000000001 00 001389` },
    { what: 'address of 33 bits', hex: `03 11 ${RD} 00000000 21 c0000201` },
    { what: 'prefix of 33 bits in four octets', hex: `05 22 ${RD} ${ESI} 00000000 21 c6336400 00000000 001389` },
    { what: 'one octet too many', hex: `03 12 ${RD} 00000000 20 c0000201 00` },
    { what: 'too short', hex: '01 02 0001' },
  ])('a known type with $what stays octets, and the next is read', ({ hex }) => {
    const out = decodeEvpn(fromHex(`${hex} ${CASES[4]!.hex}`));
    expect(out?.map((n) => n.route.type)).toEqual(['unknown', 'inclusiveMulticast']);
    expect(encoded(out!)).toBe(toHex(fromHex(`${hex} ${CASES[4]!.hex}`)));
  });

  it('RFC 7606 §5.3: are none when they do not fit', () => {
    expect(decodeEvpn(fromHex('01'))).toBeUndefined();
    expect(decodeEvpn(fromHex('01 03 0000'))).toBeUndefined();
    expect(decodeEvpn(fromHex('00000001 01'), true)).toBeUndefined();
    expect(decodeEvpn(fromHex(''))).toEqual([]);
    const attribute = '80 0e 0c 0019 46 04 c0000201 00 01 03 00';
    const out = decodeUpdate(wire(MESSAGE.UPDATE, `0000 000f ${attribute}`), EBGP);
    expect(out).toMatchObject({ treatment: 'reset', refusal: { notification: { code: 3, subcode: 9 } } });
  });

  it('are what they were after encoding and decoding, and octets too', () => {
    const label = fc.nat(0xffffff);
    const address = fc.oneof(octets(4), octets(16));
    const head = { distinguisher: octets(8), segment: octets(10), tag: u32 };
    const prefix = fc.constantFrom(4, 16).chain((width) =>
      fc.record({
        prefix: fc.tuple(octets(width), fc.nat(width * 8)).map(([a, length]) => ({
          address: networkOf({ address: a, length }),
          length,
        })),
        gateway: octets(width),
      }),
    );
    const route: fc.Arbitrary<EvpnRoute> = fc.oneof(
      fc.record({ type: fc.constant('autoDiscovery' as const), ...head, label }),
      fc.record(
        { type: fc.constant('mac' as const), ...head, mac: octets(6), address, label, label2: label },
        { requiredKeys: ['type', 'distinguisher', 'segment', 'tag', 'mac', 'label'] },
      ),
      fc.tuple(fc.record({ ...head, label }), prefix).map(([h, p]): EvpnRoute => ({ type: 'prefix', ...h, ...p })),
    );
    fc.assert(
      fc.property(fc.array(route, { maxLength: 4 }), (routes) => {
        const nlri = routes.map((r) => ({ route: r }));
        expect(decodeEvpn(fromHex(encoded(nlri)))).toEqual(nlri);
      }),
    );
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 80 }), (noise) => {
        const out = decodeEvpn(noise);
        if (out !== undefined) expect(encoded(out).length).toBe(noise.length * 2);
      }),
    );
  });
});
