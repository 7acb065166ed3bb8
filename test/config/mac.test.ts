import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { automaticMac, formatMac, isUnicastMac, parseMac } from '../../src/config/mac.ts';
import { toHex } from '../../src/core/index.ts';

describe('text', () => {
  test.each([
    ['00:15:5d:00:00:10', '00155d000010'],
    ['00-15-5D-00-00-10', '00155d000010'],
    ['00155D000010', '00155d000010'],
  ])('%s', (text, hex) => expect(toHex(parseMac(text)!)).toBe(hex));

  test.each(['', '00:15:5d:00:00', '00:15:5d:00:00:10:11', '00:15-5d:00:00:10', '0:15:5d:00:00:10', '0015.5d00.0010'])(
    '%j is none',
    (text) => expect(parseMac(text)).toBeUndefined(),
  );

  test('what is written reads back', () => {
    const octets = fc.uint8Array({ minLength: 6, maxLength: 6 });
    fc.assert(
      fc.property(octets, (mac) => {
        expect(parseMac(formatMac(mac))).toEqual(mac);
      }),
    );
  });
});

describe('automatic', () => {
  // The first six octets of `printf gw1/fabrikam/5001 | sha256sum`, but for the two lowest bits of the first.
  test('stable', () => expect(formatMac(automaticMac('gw1/fabrikam/5001'))).toBe('2a:31:45:8b:99:8e'));

  test('locally administered and of one interface, whatever the text', () => {
    fc.assert(
      fc.property(fc.string(), (text) => {
        const mac = automaticMac(text);
        expect(mac.length).toBe(6);
        expect(mac[0]! & 0x03).toBe(0x02);
        expect(isUnicastMac(mac)).toBe(true);
        expect(automaticMac(text)).toEqual(mac);
      }),
    );
  });

  test('ten thousand names, ten thousand MACs', () => {
    const macs = Array.from({ length: 10_000 }, (_, i) => formatMac(automaticMac(`gw1/tenant-${i}/5001`)));
    expect(new Set(macs).size).toBe(10_000);
  });
});
