import fc from 'fast-check';
import { describe, expect, it, test } from 'vitest';
import {
  attributeOf,
  ceaseWithText,
  describeAttribute,
  describeCapability,
  describeCommunity,
  describeExtendedCommunity,
  describeFamily,
  describeLargeCommunity,
  describeNotification,
  describePath,
  IPV6_UNICAST,
  L2VPN_EVPN,
  notification,
  readExtendedCommunity,
  writeExtendedCommunity,
} from '../../../src/bgp/index.ts';
import { fromHex, toHex } from '../../../src/core/index.ts';
import { parsePrefix } from '../../../src/ip/index.ts';
import { attributeList, capability, octets } from './arbitraries.ts';

describe('words', () => {
  it('for paths: sets in braces, confederations in parentheses and brackets', () => {
    expect(
      describePath([
        { type: 'confedSequence', asns: [65010, 65011] },
        { type: 'sequence', asns: [65001, 4200000001] },
        { type: 'set', asns: [1, 2] },
        { type: 'confedSet', asns: [7] },
      ]),
    ).toBe('(65010 65011) 65001 4200000001 {1,2} [7]');
    expect(describePath([])).toBe('');
  });

  test.each([
    [0xfde80001, '65000:1'],
    [0xffffff01, 'no-export'],
    [0xffff029a, 'blackhole'],
    [0xffff0000, 'graceful-shutdown'],
    [0xffffffff, '65535:65535'],
  ])('for community 0x%s', (community, words) => {
    expect(describeCommunity(community)).toBe(words);
  });

  it('for large communities and families', () => {
    expect(describeLargeCommunity({ global: 4200000001, local1: 1, local2: 2 })).toBe('4200000001:1:2');
    expect([IPV6_UNICAST, L2VPN_EVPN, 0x0309].map(describeFamily)).toEqual([
      'IPv6 unicast',
      'L2VPN EVPN',
      'AFI 3 SAFI 9',
    ]);
  });

  test.each([
    [notification(2, 2), 'OPEN Message Error: Bad Peer AS'],
    [notification(4, 0), 'Hold Timer Expired'],
    [notification(1, 2, fromHex('1001')), 'Message Header Error: Bad Message Length, data 1001'],
    [ceaseWithText(2, 'back at noon'), 'Cease: Administrative Shutdown, "back at noon"'],
    [ceaseWithText(2, 'a\u001b[2J"b\u202e'), 'Cease: Administrative Shutdown, "a\\u{1b}[2J\\u{22}b\\u{202e}"'],
    [notification(6, 9, fromHex('0604')), 'Cease: Hard Reset, data (Cease: Administrative Reset)'],
    [
      notification(3, 5, new Uint8Array(40)),
      `UPDATE Message Error: Attribute Length Error, data ${'00'.repeat(32)}… of 40 octets`,
    ],
    [notification(99, 1), 'Error 99: subcode 1'],
  ])('for NOTIFICATION %#', (message, words) => {
    expect(describeNotification(message)).toBe(words);
  });

  it('for capabilities and attributes', () => {
    expect(describeCapability({ name: 'multiprotocol', family: IPV6_UNICAST })).toBe('MULTIPROTOCOL IPv6 unicast');
    expect(describeCapability({ name: 'routeRefresh' })).toBe('ROUTE_REFRESH');
    expect(describeAttribute(attributeOf({ name: 'med', med: 7 }))).toBe('MULTI_EXIT_DISC 7');
    const withdrawn = [{ prefix: parsePrefix('2001:db8::/32')!, pathId: 7 }];
    const attribute = attributeOf({ name: 'mpUnreach', family: IPV6_UNICAST, withdrawn });
    expect(describeAttribute(attribute)).toBe('MP_UNREACH_NLRI IPv6 unicast: 2001:db8::/32 path 7');
  });

  it('are there for everything a codec can read, on one line', () => {
    fc.assert(
      fc.property(capability, attributeList, (one, list) => {
        for (const words of [describeCapability(one), ...list.map(describeAttribute)]) {
          expect(words).toMatch(/^[A-Z][A-Z0-9_]*(\(\d+\))?( .*)?$/);
        }
      }),
    );
  });
});

describe('extended communities', () => {
  test.each([
    { rfc: 'RFC 4360 §4', octets: '0002fde900000064', words: 'rt:65001:100' },
    { rfc: 'RFC 4360 §4', octets: '0102c00002010007', words: 'rt:192.0.2.1:7' },
    { rfc: 'RFC 5668 §2', octets: '0202fa56ea010007', words: 'rt:4200000001:7' },
    { rfc: 'RFC 5668 §2', octets: '02020000fde90007', words: 'rt:65001L:7' },
    { rfc: 'RFC 4360 §5', octets: '0003fde900000064', words: 'soo:65001:100' },
    { rfc: 'RFC 9012 §4.1', octets: '030c000000000009', words: 'encapsulation:nvgre' },
    { rfc: 'RFC 7432 §7.7', octets: '0600010000000003', words: 'mac-mobility:3:sticky' },
    { rfc: 'RFC 9135 §8.1', octets: '0603020000000001', words: 'router-mac:02:00:00:00:00:01' },
    { rfc: 'unknown', octets: 'fffe000000000001', words: '0xfffe000000000001' },
    { rfc: 'known, with octets that mean nothing here', octets: '030c000100000009', words: '0x030c000100000009' },
  ])('$rfc: $octets is $words', ({ octets: hex, words }) => {
    expect(describeExtendedCommunity(fromHex(hex))).toBe(words);
  });

  it('are what they were after reading and writing, whatever they are', () => {
    const types = fc.constantFrom('0002', '0102', '0202', '0003', '0103', '0203', '030c', '0600', '0603', 'ffff');
    fc.assert(
      fc.property(fc.tuple(types, octets(6)), ([type, rest]) => {
        const eight = fromHex(type + toHex(rest));
        expect(toHex(writeExtendedCommunity(readExtendedCommunity(eight)))).toBe(toHex(eight));
      }),
    );
  });
});
