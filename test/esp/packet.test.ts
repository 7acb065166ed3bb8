import fc from 'fast-check';
import { describe, expect, it, test } from 'vitest';
import { seededRandom } from '../../src/core/index.ts';
import { NO_ESN } from '../../src/crypto/index.ts';
import {
  checkLength,
  decapsulate,
  ESP_HEADER_LENGTH,
  encapsulate,
  ivWriter,
  NEXT_HEADER,
  outerLength,
  protectedLength,
  sequenceOf,
  spiOf,
  stripTrailer,
} from '../../src/esp/index.ts';
import { DROP, PASS } from '../../src/ip/index.ts';
import { copyOf, keyed, packetOf, SUITES, suite } from './support.ts';

describe('RFC 4303 §2.4: padding', () => {
  test.each(SUITES)('$word: payloads of 0 to 70 octets, padded 1, 2, 3 … to the block and to four octets', (s) => {
    const protection = keyed(s);
    const writeIv = ivWriter(protection.ivKind, protection.ivLength, seededRandom(5));
    const align = Math.max(4, protection.blockSize);
    for (let length = 0; length <= 70; length++) {
      const high = length % 2 === 0 ? NO_ESN : length;
      const payload = seededRandom(length)(length);
      const packet = packetOf(payload);
      expect(encapsulate(packet, protection, 0x1234, high, 77, NEXT_HEADER.ipv6, 0, writeIv)).toBe(PASS);
      expect([spiOf(packet.buf, packet.start), sequenceOf(packet.buf, packet.start)]).toEqual([0x1234, 77]);
      const body = packet.end - packet.start - ESP_HEADER_LENGTH - protection.ivLength - protection.icvLength;
      expect(body).toBe(protectedLength(protection, length));
      expect(outerLength(length, protection, 'ip-50', 4)).toBe(20 + packet.end - packet.start);

      expect(checkLength(packet, protection)).toBe(PASS);
      expect(decapsulate(packet, protection, high)).toBe(PASS);
      const plain = copyOf(packet);
      expect(plain.length % align).toBe(0);
      const padLength = plain.at(-2)!;
      expect(padLength).toBe(plain.length - 2 - length);
      expect(padLength).toBeLessThan(align);
      expect([...plain.subarray(length)]).toEqual([
        ...Array.from({ length: padLength }, (_, i) => i + 1),
        padLength,
        NEXT_HEADER.ipv6,
      ]);
      expect(stripTrailer(packet)).toBe(PASS);
      expect(copyOf(packet)).toEqual(payload);
    }
  });

  it('any right padding up to 255 octets is taken, any wrong octet in it refused', () => {
    const payload = Uint8Array.of(9, 9, 9, 9);
    for (let padLength = 0; padLength <= 255; padLength++) {
      const pad = Uint8Array.from({ length: padLength }, (_, i) => i + 1);
      const plain = Uint8Array.of(...payload, ...pad, padLength, 4);
      const packet = packetOf(plain);
      expect(stripTrailer(packet)).toBe(PASS);
      expect(copyOf(packet)).toEqual(payload);
      for (const at of [0, padLength >> 1, padLength - 1]) {
        if (at < 0 || at >= padLength) continue;
        const wrong = packetOf(plain);
        wrong.buf[wrong.start + payload.length + at]! ^= 0x40;
        expect(stripTrailer(wrong)).toBe(DROP.espPadding);
      }
    }
  });

  it('a Pad Length beyond the payload is refused', () => {
    expect(stripTrailer(packetOf(Uint8Array.of(1, 2, 2, 4)))).toBe(PASS);
    expect(stripTrailer(packetOf(Uint8Array.of(1, 2, 3, 4)))).toBe(DROP.espPadding);
    expect(stripTrailer(packetOf(Uint8Array.of(0, 4)))).toBe(PASS);
    expect(stripTrailer(packetOf(Uint8Array.of(255, 4)))).toBe(DROP.espPadding);
    // Even where the octet in front of the payload would be the right one.
    const reaching = packetOf(Uint8Array.of(1, 2, 2, 4));
    reaching.start += 1;
    expect(stripTrailer(reaching)).toBe(DROP.espPadding);
  });

  it('RFC 4303 §2.7: TFC padding stands between payload and padding, and is zero', () => {
    const protection = keyed(suite('aes256-sha256'));
    const writeIv = ivWriter('unpredictable', 16, seededRandom(5));
    const packet = packetOf(Uint8Array.of(9, 9, 9, 9));
    expect(encapsulate(packet, protection, 1, NO_ESN, 1, 4, 100, writeIv)).toBe(PASS);
    expect(decapsulate(packet, protection, NO_ESN)).toBe(PASS);
    expect(packet.end - packet.start).toBe(112);
    expect(stripTrailer(packet)).toBe(PASS);
    expect(copyOf(packet)).toEqual(Uint8Array.of(9, 9, 9, 9, ...new Uint8Array(96)));
  });
});

describe('RFC 4303 §2: bounds', () => {
  test.each(['aes256gcm16', 'aes256-sha256', 'null-sha1', '3des-sha1', 'aes128ctr-aesxcbc'])(
    '%s: every length from 0 on is either too short, not whole blocks, or a packet',
    (word) => {
      const protection = keyed(suite(word));
      const fixed = ESP_HEADER_LENGTH + protection.ivLength + protection.icvLength;
      for (let length = 0; length < fixed + 70; length++) {
        const expected =
          length < fixed + 2 ? DROP.espShort : (length - fixed) % protection.blockSize === 0 ? PASS : DROP.length;
        expect(checkLength(packetOf(new Uint8Array(length)), protection)).toBe(expected);
      }
    },
  );

  it('without room around it a packet is refused and untouched', () => {
    const protection = keyed(suite('aes256gcm16'));
    const writeIv = ivWriter('counter', 8, seededRandom(5));
    const tight = packetOf(new Uint8Array(20), 17);
    expect(encapsulate(tight, protection, 1, NO_ESN, 1, 4, 0, writeIv)).toBe(DROP.noRoom);
    expect(copyOf(tight)).toEqual(new Uint8Array(20));
    const fits = packetOf(new Uint8Array(20), 20);
    expect(encapsulate(fits, protection, 1, NO_ESN, 1, 4, 0, writeIv)).toBe(PASS);
    expect(fits.end).toBe(fits.buf.length);
    const head = { ...packetOf(new Uint8Array(20)), start: 15 };
    expect(encapsulate(head, protection, 1, NO_ESN, 1, 4, 0, writeIv)).toBe(DROP.noRoom);
    const far = packetOf(new Uint8Array(20));
    expect(encapsulate(far, protection, 1, NO_ESN, 1, 4, 100_000, writeIv)).toBe(DROP.noRoom);
  });

  it('nothing outside the packet is written but its header, IV, trailer and ICV', () => {
    const protection = keyed(suite('aes256gcm16'));
    const packet = packetOf(new Uint8Array(20));
    encapsulate(packet, protection, 1, NO_ESN, 1, 4, 0, ivWriter('counter', 8, seededRandom(5)));
    expect(packet.buf.subarray(0, packet.start).every((octet) => octet === 0xa5)).toBe(true);
    expect(packet.buf.subarray(packet.end).every((octet) => octet === 0xa5)).toBe(true);
  });
});

describe('explicit IVs', () => {
  it('RFC 4106 §3.1, RFC 3686 §3.1: the sequence number, in all 64 bits', () => {
    const write = ivWriter('counter', 8, seededRandom(1));
    const buf = new Uint8Array(10).fill(0xa5);
    write(buf, 1, 0x0102_0304, 0xf506_0708);
    expect([...buf]).toEqual([0xa5, 1, 2, 3, 4, 0xf5, 6, 7, 8, 0xa5]);
  });

  it('RFC 3602 §3: drawn from the given source, each octet used once', () => {
    let drawn = 0;
    const random = seededRandom(8);
    const write = ivWriter('unpredictable', 16, (length) => {
      drawn += length;
      return random(length);
    });
    const seen = new Set<string>();
    const buf = new Uint8Array(16);
    for (let i = 0; i < 1024; i++) {
      write(buf, 0, 0, i);
      seen.add(String(buf));
    }
    expect(seen.size).toBe(1024);
    expect(drawn).toBe(1024 * 16);
  });

  it('none: nothing is written', () => {
    const buf = new Uint8Array(8).fill(0xa5);
    ivWriter('none', 0, seededRandom(1))(buf, 0, 1, 2);
    expect(buf.every((octet) => octet === 0xa5)).toBe(true);
  });
});

describe('RFC 4303 §3.4.4: whole packets under every suite', () => {
  it('what one end encapsulates the other decapsulates; another key or another high half does not', () => {
    const protections = SUITES.map((s) => ({ here: keyed(s), there: keyed(s), other: keyed(s, 2) }));
    fc.assert(
      fc.property(
        fc.integer({ min: 0, max: SUITES.length - 1 }),
        fc.uint8Array({ maxLength: 200 }),
        fc.integer({ min: 1, max: 0xffff_ffff }),
        fc.option(fc.integer({ min: 0, max: 0xffff_fffe }), { nil: NO_ESN }),
        (index, payload, low, high) => {
          const { here, there, other } = protections[index]!;
          const packet = packetOf(payload);
          encapsulate(packet, here, 0x777, high, low, 4, 0, ivWriter(here.ivKind, here.ivLength, seededRandom(low)));
          const esp = copyOf(packet);
          expect(decapsulate(packetOf(esp), other, high)).toBe(DROP.espIntegrity);
          expect(decapsulate(packetOf(esp), there, high + 1)).toBe(DROP.espIntegrity);
          const received = packetOf(esp);
          expect(decapsulate(received, there, high)).toBe(PASS);
          expect(stripTrailer(received)).toBe(PASS);
          expect(copyOf(received)).toEqual(payload);
        },
      ),
      { numRuns: 500, seed: 4303 },
    );
  });
});
