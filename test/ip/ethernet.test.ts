import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { fromHex, toHex } from '../../src/core/index.ts';
import {
  checkEthernet,
  DROP_NAMES,
  ETHER_TYPE,
  etherType,
  formatMac,
  ipv4Number,
  macIsBroadcast,
  macIsGroup,
  macNamesOneStation,
  parseMac,
  sameMac,
  writeEthernet,
  writeIpv4GroupMac,
  writeIpv6GroupMac,
} from '../../src/ip/index.ts';
import { addr, guarded } from '../support/packets.ts';

const verdict = (hex: string): string => {
  const octets = fromHex(hex);
  return DROP_NAMES[checkEthernet(octets, 0, octets.length)]!;
};
const mac = fc.uint8Array({ minLength: 6, maxLength: 6 });

describe('RFC 894, RFC 2464 §3: the Ethernet header', () => {
  it('octet by octet', () => {
    const buf = new Uint8Array(20).fill(0xa5);
    writeEthernet(buf, 3, fromHex('00:15:5d:00:00:20'), fromHex('00:15:5d:00:00:10'), ETHER_TYPE.ipv6);
    expect(toHex(buf)).toBe('a5a5a500155d00002000155d00001086dda5a5a5');
  });

  it.each([
    ['00155d000020 00155d000010 0800', 'pass'],
    ['ffffffffffff 00155d000010 0806', 'pass'],
    ['00155d000020 00155d000010 002e', 'pass'],
    ['00155d000020 00155d000010 08', 'short'],
    ['', 'short'],
    ['00155d000020 01155d000010 0800', 'martian'],
    ['00155d000020 ffffffffffff 0806', 'martian'],
    ['00155d000020 00155d000010 8100 0001', 'vlanTag'],
    ['00155d000020 00155d000010 88a8 0001', 'vlanTag'],
  ])('%s: %s', (hex, expected) => {
    expect(verdict(hex)).toBe(expected);
  });

  it('is read within its bounds only, and comes back as it was written', () => {
    fc.assert(
      fc.property(mac, mac, fc.integer({ min: 0, max: 0xffff }), fc.nat(20), (destination, source, type, length) => {
        const octets = new Uint8Array(14);
        writeEthernet(octets, 0, destination, source, type);
        expect(sameMac(octets, 0, destination, 0) && sameMac(octets, 6, source, 0)).toBe(true);
        expect(etherType(octets, 0)).toBe(type);
        const { buf, start, end } = guarded(octets.subarray(0, length));
        checkEthernet(buf, start, end);
      }),
    );
  });
});

describe('RFC 9542 §2.1: MAC addresses', () => {
  it.each([
    ['ff:ff:ff:ff:ff:ff', true, true, false],
    ['01:00:5e:00:00:01', true, false, false],
    ['00:15:5d:00:00:10', false, false, true],
    ['02:00:00:00:00:00', false, false, true],
    ['00:00:00:00:00:00', false, false, false],
  ])('%s: group %s, broadcast %s, one station %s', (text, group, broadcast, station) => {
    const octets = parseMac(text)!;
    expect([macIsGroup(octets, 0), macIsBroadcast(octets, 0), macNamesOneStation(octets, 0)]).toEqual([
      group,
      broadcast,
      station,
    ]);
  });

  it('differ in any of their octets', () => {
    fc.assert(
      fc.property(mac, fc.nat(5), fc.integer({ min: 1, max: 255 }), (octets, at, change) => {
        const other = octets.slice();
        other[at] = octets[at]! ^ change;
        expect([sameMac(octets, 0, octets.slice(), 0), sameMac(octets, 0, other, 0)]).toEqual([true, false]);
      }),
    );
  });

  it.each([
    ['00:15:5d:00:00:1F', '00:15:5d:00:00:1f'],
    ['00-15-5D-00-00-1F', '00:15:5d:00:00:1f'],
    ['101010101105', '10:10:10:10:11:05'],
    ['00:15:5d:00:00', undefined],
    ['00:15-5d:00:00:1f', undefined],
    ['0:15:5d:00:00:1f', undefined],
    ['00155d0000', undefined],
    ['00:15:5d:00:00:1g', undefined],
  ])('%s is %s', (text, expected) => {
    const octets = parseMac(text);
    expect(octets && formatMac(octets)).toBe(expected);
  });
});

describe('RFC 1112 §6.4, RFC 2464 §7: groups', () => {
  it.each([
    ['224.0.0.1', '01:00:5e:00:00:01'],
    ['239.129.2.3', '01:00:5e:01:02:03'],
    ['239.255.255.250', '01:00:5e:7f:ff:fa'],
    ['ff02::1', '33:33:00:00:00:01'],
    ['ff02::1:ff00:10', '33:33:ff:00:00:10'],
  ])('%s is %s', (group, expected) => {
    const buf = new Uint8Array(8).fill(0xa5);
    const address = addr(group);
    if (address.length === 4) writeIpv4GroupMac(buf, 1, ipv4Number(address));
    else writeIpv6GroupMac(buf, 1, address);
    expect([buf[0], formatMac(buf.subarray(1, 7)), buf[7]]).toEqual([0xa5, expected, 0xa5]);
  });
});
