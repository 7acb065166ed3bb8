import { describe, expect, it } from 'vitest';
import { fromHex, seededRandom } from '../../src/core/index.ts';
import { CookieJar } from '../../src/ike/index.ts';
import { parseAddress } from '../../src/ip/index.ts';

const peer = { address: parseAddress('192.0.2.1')!, port: 500 };
const ni = fromHex('00112233445566778899aabbccddeeff');
const spiI = fromHex('0102030405060708');

describe('RFC 7296 §2.6: cookies', () => {
  const made = () => {
    const jar = new CookieJar(seededRandom(1));
    return { jar, cookie: jar.make(ni, peer, spiI, 1000) };
  };

  it('are one for one nonce, address and SPI, and 1 to 64 octets long', () => {
    const { jar, cookie } = made();
    expect(cookie.length).toBe(33);
    expect(jar.make(ni, peer, spiI, 2000)).toEqual(cookie);
    expect(jar.check(cookie, ni, peer, spiI, 2000)).toBe(true);
    expect(jar.check(cookie, ni, { ...peer, port: 4242 }, spiI, 2000)).toBe(true);
    expect(jar.check(cookie, fromHex('ff112233445566778899aabbccddeeff'), peer, spiI, 2000)).toBe(false);
    expect(jar.check(cookie, ni, { ...peer, address: parseAddress('192.0.2.2')! }, spiI, 2000)).toBe(false);
    expect(jar.check(cookie, ni, peer, fromHex('0102030405060709'), 2000)).toBe(false);
  });

  it('of anybody else’s making are refused', () => {
    const { jar, cookie } = made();
    expect(jar.check(new Uint8Array(0), ni, peer, spiI, 1000)).toBe(false);
    expect(jar.check(new Uint8Array(64), ni, peer, spiI, 1000)).toBe(false);
    expect(jar.check(cookie.subarray(0, 32), ni, peer, spiI, 1000)).toBe(false);
    expect(new CookieJar(seededRandom(2)).check(cookie, ni, peer, spiI, 1000)).toBe(false);
  });

  it('outlive one change of the secret, not two', () => {
    const { jar, cookie } = made();
    expect(jar.check(cookie, ni, peer, spiI, 60_999)).toBe(true);
    expect(jar.check(cookie, ni, peer, spiI, 61_000)).toBe(true);
    expect(jar.check(cookie, ni, peer, spiI, 120_999)).toBe(true);
    expect(jar.check(cookie, ni, peer, spiI, 121_000)).toBe(false);
    expect(made().jar.check(cookie, ni, peer, spiI, 500_000)).toBe(false);
  });

  it('of a version number long gone are refused', () => {
    const { jar, cookie } = made();
    for (let now = 61_000; now < 61_000 + 256 * 60_000; now += 60_000) jar.make(ni, peer, spiI, now);
    expect(jar.check(cookie, ni, peer, spiI, 61_000 + 255 * 60_000)).toBe(false);
  });
});
