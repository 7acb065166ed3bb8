import { describe, expect, it, test } from 'vitest';
import { fromHex } from '../../src/core/index.ts';
import { classify, DATAGRAM } from '../../src/esp/index.ts';

describe('RFC 3948 §2: datagrams on the NAT-T port', () => {
  test.each([
    ['', 'short'],
    ['ff', 'keepalive'],
    ['fe', 'short'],
    ['00', 'short'],
    ['ffff', 'short'],
    ['ffffff', 'short'],
    ['000000', 'short'],
    ['00000000', 'ike'],
    ['00000000 8f3b30a883546018', 'ike'],
    ['00000001', 'esp'],
    ['00000100 00000001', 'esp'],
    ['ff000000 00000001', 'esp'],
    ['ffffffff', 'esp'],
  ] as const)('§2.2, §2.3: [%s] is %s', (hex, kind) => {
    const octets = fromHex(hex);
    expect(classify(octets, 0, octets.length)).toBe(DATAGRAM[kind]);
    // The same in the middle of other octets: nothing outside the bounds decides.
    const within = new Uint8Array(octets.length + 16).fill(0xff);
    within.set(octets, 8);
    expect(classify(within, 8, 8 + octets.length)).toBe(DATAGRAM[kind]);
  });

  it('names its kinds by distinct numbers', () => {
    expect(new Set(Object.values(DATAGRAM)).size).toBe(4);
  });
});
