import fc from 'fast-check';
import { describe, expect, it, test } from 'vitest';
import type { Bytes } from '../../src/core/index.ts';
import { putU32, seededRandom } from '../../src/core/index.ts';
import { NO_ESN } from '../../src/crypto/index.ts';
import {
  encapsulate,
  type InboundSa,
  ivWriter,
  NEXT_HEADER,
  open,
  type Sad,
  seal,
  sealDummy,
} from '../../src/esp/index.ts';
import {
  checkIp,
  DROP,
  DROP_COUNT,
  HEADROOM,
  ipLength,
  matches,
  PASS,
  type TrafficSelector,
} from '../../src/ip/index.ts';
import {
  ANYTHING,
  copyOf,
  inbound,
  inner,
  keyed,
  outbound,
  packetOf,
  SUITES,
  sadOf,
  selector,
  suite,
} from './support.ts';

const GCM = keyed(suite('aes256gcm16'));
const V4 = inner('10.1.0.4', '10.2.0.7');
const V6 = inner('2001:db8:1::4', '2001:db8:2::7');

function sealed(octets: Bytes, sa = outbound({ protection: GCM })): Bytes {
  const packet = packetOf(octets);
  expect(seal(sa, packet, 0)).toBe(PASS);
  return copyOf(packet);
}

/** An authentic packet with any payload and Next Header, as only a faulty peer sends it. */
function crafted(payload: Bytes, nextHeader: number, low = 1, padTo = 0): Bytes {
  const packet = packetOf(payload);
  encapsulate(packet, GCM, 0x1000, NO_ESN, low, nextHeader, padTo, ivWriter('counter', 8, seededRandom(1)));
  return copyOf(packet);
}

/** All that must not move when a packet is refused before its ICV verified. */
const stateOf = (sa: InboundSa): unknown => ({
  top: sa.sequence,
  fresh: Array.from({ length: 1100 }, (_, i) => sa.window.fresh(Math.max(0, sa.sequence - 1050) + i)),
  packets: sa.usage.packets,
  bytes: [sa.usage.protectedBytes, sa.usage.innerBytes],
  last: sa.usage.lastUsedAt,
  signal: sa.usage.signal,
});

describe('RFC 4303 §3: tunnel mode both ways', () => {
  test.each(SUITES)('$word: IPv4 and IPv6, with and without ESN', (s) => {
    for (const esn of [false, true]) {
      const sender = outbound({ protection: keyed(s), esn });
      const receiver = inbound({ protection: keyed(s), esn });
      const sad = sadOf(receiver);
      for (const octets of [V4, V6, inner('10.1.0.4', '10.2.0.7', { length: 1400 })]) {
        const packet = packetOf(octets);
        expect(seal(sender, packet, 5)).toBe(PASS);
        expect(open(sad, packet, 0, 6)).toBe(PASS);
        expect(copyOf(packet)).toEqual(octets);
      }
      expect(sad.last).toBe(receiver);
      expect([sad.authentic, sad.newest]).toEqual([true, true]);
      expect([sender.usage.packets, receiver.usage.packets]).toEqual([3, 3]);
      expect(sender.usage.protectedBytes).toBe(receiver.usage.protectedBytes);
      expect(sender.usage.innerBytes).toBe(receiver.usage.innerBytes);
      expect([sender.usage.lastUsedAt, receiver.usage.lastUsedAt]).toEqual([5, 6]);
    }
  });

  it('§2.6: Next Header names the inner version, and must agree with it', () => {
    const sad = sadOf(inbound({ protection: GCM }));
    expect(open(sad, packetOf(crafted(V4, NEXT_HEADER.ipv4, 1)), 0, 0)).toBe(PASS);
    expect(open(sad, packetOf(crafted(V6, NEXT_HEADER.ipv6, 2)), 0, 0)).toBe(PASS);
    expect(open(sad, packetOf(crafted(V4, NEXT_HEADER.ipv6, 3)), 0, 0)).toBe(DROP.version);
    expect(open(sad, packetOf(crafted(V6, NEXT_HEADER.ipv4, 4)), 0, 0)).toBe(DROP.version);
    for (const [low, nextHeader] of [1, 6, 17, 50, 97, 144, 0, 255].entries())
      expect(open(sad, packetOf(crafted(V4, nextHeader, 10 + low)), 0, 0)).toBe(DROP.espNextHeader);
  });

  it('§2.6: dummy packets are dropped without an error, but they are authentic and move the window', () => {
    const sender = outbound({ protection: GCM });
    const receiver = inbound({ protection: GCM });
    const sad = sadOf(receiver);
    for (const length of [0, 1, 100, 1400]) {
      const packet = packetOf(new Uint8Array(1500));
      expect(sealDummy(sender, packet, length, 0)).toBe(PASS);
      expect(open(sad, packet, 0, 7)).toBe(DROP.espDummy);
      expect(sad.authentic).toBe(true);
    }
    expect(receiver.sequence).toBe(4);
    expect(receiver.drops[DROP.espDummy]).toBe(4);
    expect([receiver.usage.packets, receiver.usage.innerBytes, receiver.usage.lastUsedAt]).toEqual([4, 0, 7]);
    expect([sender.usage.packets, sender.usage.innerBytes]).toEqual([4, 0]);
    // The contents need not be well-formed.
    expect(open(sad, packetOf(crafted(seededRandom(3)(333), NEXT_HEADER.none, 5)), 0, 0)).toBe(DROP.espDummy);
  });

  it('§2.7: TFC padding is sent to the wanted length and cut off again', () => {
    const sender = outbound({ protection: GCM });
    const sad = sadOf(inbound({ protection: GCM }));
    for (const octets of [V4, V6]) {
      const packet = packetOf(octets, 2000);
      expect(seal(sender, packet, 0, 1398)).toBe(PASS);
      expect(packet.end - packet.start).toBe(8 + 8 + 1400 + 16);
      expect(open(sad, packet, 0, 0)).toBe(PASS);
      expect(copyOf(packet)).toEqual(octets);
    }
    // Shorter than the packet: no padding.
    const long = packetOf(inner('10.1.0.4', '10.2.0.7', { length: 400 }));
    expect(seal(sender, long, 0, 64)).toBe(PASS);
    expect(long.end - long.start).toBe(8 + 8 + 424 + 16);
  });

  it('what is not an IP packet is not sealed, and stays as it was', () => {
    const sa = outbound({ protection: GCM });
    expect(seal(sa, packetOf(new Uint8Array(0)), 0)).toBe(DROP.short);
    expect(seal(sa, packetOf(V4.slice(0, 19)), 0)).toBe(DROP.short);
    expect(seal(sa, packetOf(new Uint8Array(40).fill(0x50)), 0)).toBe(DROP.version);
    expect([sa.sequence, sa.usage.packets]).toEqual([0, 0]);
    const tight = packetOf(V4, 3);
    expect(seal(sa, tight, 0)).toBe(DROP.noRoom);
    expect(copyOf(tight)).toEqual(V4);
    expect([sa.sequence, sa.usage.packets]).toEqual([0, 0]);
    expect([sa.drops[DROP.short], sa.drops[DROP.version], sa.drops[DROP.noRoom]]).toEqual([2, 1, 1]);
  });

  it('RFC 4301 §5.2: the inner header is checked', () => {
    const sad = sadOf(inbound({ protection: GCM }));
    const wrongSum = V4.slice();
    wrongSum[10]! ^= 1;
    expect(open(sad, packetOf(crafted(wrongSum, 4, 1)), 0, 0)).toBe(DROP.checksum);
    const tooLong = V4.slice(0, -4);
    expect(open(sad, packetOf(crafted(tooLong, 4, 2)), 0, 0)).toBe(DROP.length);
    expect(open(sad, packetOf(crafted(new Uint8Array(0), 4, 3)), 0, 0)).toBe(DROP.short);
    expect(open(sad, packetOf(crafted(V6.slice(0, 30), 41, 4)), 0, 0)).toBe(DROP.short);
  });
});

describe('RFC 4303 §3.4.3: only an authentic packet moves anything', () => {
  test.each(['aes256gcm16', 'aes128ccm8', 'chacha20poly1305', 'aes256-sha256', 'aes128ctr-aesxcbc', 'null-sha512'])(
    '%s: each single bit of a packet changed',
    (word) => {
      const protection = keyed(suite(word));
      for (const esn of [false, true]) {
        const sender = outbound({ protection, esn });
        const receiver = inbound({ protection, esn });
        const sad = sadOf(receiver);
        for (let i = 0; i < 5; i++) expect(open(sad, packetOf(sealed(V4, sender)), 0, 1)).toBe(PASS);
        sender.advanceTo(16);
        const esp = sealed(V4, sender);
        const before = stateOf(receiver);
        for (let bit = 0; bit < esp.length * 8; bit++) {
          const tampered = packetOf(esp);
          tampered.buf[HEADROOM + (bit >>> 3)]! ^= 1 << (bit & 7);
          const verdict = open(sad, tampered, 0, 2);
          // Octet 7 is the low end of the sequence number, 17: one changed bit makes it 1, which was received.
          const seen = bit >>> 3 === 7 && (17 ^ (1 << (bit & 7))) === 1;
          expect({ bit, verdict }).toEqual({
            bit,
            verdict: bit < 32 ? DROP.espUnknownSpi : seen ? DROP.espReplay : DROP.espIntegrity,
          });
          expect([sad.authentic, sad.newest]).toEqual([false, false]);
        }
        expect(stateOf(receiver)).toEqual(before);
        expect(open(sad, packetOf(esp), 0, 2)).toBe(PASS);
      }
    },
  );

  it('truncated anywhere: too short, not whole blocks, or not authentic', () => {
    for (const word of ['aes256gcm16', 'aes256-sha256']) {
      const protection = keyed(suite(word));
      const receiver = inbound({ protection });
      const sad = sadOf(receiver);
      const esp = sealed(V4, outbound({ protection }));
      const before = stateOf(receiver);
      for (let length = 0; length < esp.length; length++) {
        const verdict = open(sad, packetOf(esp.slice(0, length)), 0, 0);
        expect([DROP.espShort, DROP.length, DROP.espIntegrity]).toContain(verdict);
        if (length < 8) expect([verdict, sad.last]).toEqual([DROP.espShort, undefined]);
      }
      expect(stateOf(receiver)).toEqual(before);
      expect(sad.drops[DROP.espShort]).toBe(8);
    }
  });

  it('replayed, reordered and stale packets', () => {
    const sender = outbound({ protection: GCM });
    const receiver = inbound({ protection: GCM, replayWindow: 32 });
    const sad = sadOf(receiver);
    const packets = Array.from({ length: 40 }, () => sealed(V4, sender));
    const give = (i: number): [number, boolean] => [open(sad, packetOf(packets[i - 1]!), 0, 0), sad.newest];
    expect(give(3)).toEqual([PASS, true]);
    expect(give(1)).toEqual([PASS, false]);
    expect(give(3)).toEqual([DROP.espReplay, false]);
    expect(give(40)).toEqual([PASS, true]);
    expect(give(9)).toEqual([PASS, false]);
    expect(give(8)).toEqual([DROP.espReplay, false]);
    expect(give(9)).toEqual([DROP.espReplay, false]);
    expect(receiver.drops[DROP.espReplay]).toBe(3);
  });

  it('a window of 0 takes replays, except with ESN, which needs one (§3.3.3)', () => {
    const plain = inbound({ protection: GCM, replayWindow: 0 });
    const esp = sealed(V4);
    expect(open(sadOf(plain), packetOf(esp), 0, 0)).toBe(PASS);
    expect(open(sadOf(plain), packetOf(esp), 0, 0)).toBe(PASS);
    expect(inbound({ protection: GCM, replayWindow: 0, esn: true }).window.size).toBe(32);
  });

  it('a packet whose contents are refused is authentic all the same: its number is used', () => {
    const receiver = inbound({ protection: GCM, remote: [selector('10.9.0.0/16')] });
    const sad = sadOf(receiver);
    const esp = sealed(V4);
    expect(open(sad, packetOf(esp), 0, 3)).toBe(DROP.espSelector);
    expect([sad.authentic, sad.newest, receiver.usage.lastUsedAt]).toEqual([true, true, 3]);
    expect(receiver.usage.innerBytes).toBe(0);
    expect(open(sad, packetOf(esp), 0, 4)).toBe(DROP.espReplay);
    expect(sad.authentic).toBe(false);
  });
});

describe('RFC 4301 §5.2 step 4: selectors after decryption', () => {
  const prefixes = [
    '10.1.0.0/24',
    '10.1.0.128/25',
    '10.2.0.0/16',
    '10.0.0.0/8',
    '2001:db8:1::/64',
    '::/0',
    '10.1.0.4/32',
  ];
  const anySelector = fc
    .record({
      prefix: fc.constantFrom(...prefixes),
      protocol: fc.constantFrom(0, 0, 17, 6),
      start: fc.integer({ min: 0, max: 4 }),
      width: fc.constantFrom(0, 2, 0xffff),
    })
    .map(({ prefix, protocol, start, width }) =>
      width === 0xffff ? selector(prefix, protocol) : selector(prefix, protocol, start, start + width),
    );
  const anyAddress = fc.constantFrom('10.1.0.4', '10.1.0.130', '10.2.3.4', '10.77.0.1', '192.0.2.9');
  const anyAddress6 = fc.constantFrom('2001:db8:1::4', '2001:db8:2::7');
  const anyPair = fc.oneof(fc.tuple(anyAddress, anyAddress), fc.tuple(anyAddress6, anyAddress6));

  it('equals the definition: some remote selector matches the source, some local one the destination', () => {
    fc.assert(
      fc.property(
        fc.array(anySelector, { maxLength: 3 }),
        fc.array(anySelector, { maxLength: 3 }),
        anyPair,
        fc.integer({ min: 0, max: 6 }),
        fc.integer({ min: 0, max: 6 }),
        (local, remote, [source, destination], sourcePort, destinationPort) => {
          const octets = inner(source, destination, { sourcePort, destinationPort });
          const at = source.includes(':') ? [8, 24, 40] : [12, 16, 20];
          const end = (selectors: readonly TrafficSelector[], from: number, port: number): boolean =>
            selectors.some((s) => matches(s, octets.slice(at[from]!, at[from + 1]!), 17, port));
          const within = end(remote, 0, sourcePort) && end(local, 1, destinationPort);
          const receiver = inbound({ protection: GCM, local, remote });
          expect(open(sadOf(receiver), packetOf(sealed(octets)), 0, 0)).toBe(within ? PASS : DROP.espSelector);
          // The peer's view of the same selectors decides what it may send.
          const sender = outbound({ protection: GCM, local: remote, remote: local });
          const packet = packetOf(octets);
          expect(sender.admits(packet.buf, packet.start, packet.end)).toBe(within);
        },
      ),
      { numRuns: 500, seed: 4301 },
    );
  });
});

describe('RFC 4301 §4.1: an SPI is the only door', () => {
  it('two SAs with identical inner addresses never cross', () => {
    const keys = [keyed(suite('aes256gcm16'), 11), keyed(suite('aes256gcm16'), 22)] as const;
    const senders = keys.map((protection, i) => outbound({ protection, spi: 0x2000 + i, tunnel: 7 + i }));
    const receivers = keys.map((protection, i) => inbound({ protection, spi: 0x2000 + i, tunnel: 7 + i }));
    const sad = sadOf(...receivers);
    fc.assert(
      fc.property(
        fc.integer({ min: 0, max: 1 }),
        fc.integer({ min: 8, max: 600 }),
        fc.boolean(),
        (which, length, astray) => {
          const octets = inner('10.1.0.4', '10.2.0.7', { length });
          const packet = packetOf(sealed(octets, senders[which]!));
          if (astray) {
            // The other tenant's SPI on it: the other tenant's key refuses it.
            const other = packetOf(copyOf(packet));
            putU32(other.buf, other.start, receivers[1 - which]!.spi);
            const before = stateOf(receivers[1 - which]!);
            expect([DROP.espIntegrity, DROP.espReplay]).toContain(open(sad, other, 0, 0));
            expect(stateOf(receivers[1 - which]!)).toEqual(before);
          }
          expect(open(sad, packet, 0, 0)).toBe(PASS);
          expect(sad.last?.tunnel).toBe(7 + which);
          expect(copyOf(packet)).toEqual(octets);
        },
      ),
      { numRuns: 200, seed: 2 },
    );
  });

  it('the database: one SA an SPI, removal closes the door, unused SPIs lie outside the reserved range', () => {
    const sa = inbound({ protection: GCM });
    const sad = sadOf(sa);
    expect([sad.size, sad.find(0x1000), [...sad]]).toEqual([1, sa, [sa]]);
    expect(() => sad.add(inbound({ protection: GCM }))).toThrow('one SA');
    const esp = sealed(V4);
    expect(sad.remove(0x1000)).toBe(sa);
    expect(sad.remove(0x1000)).toBeUndefined();
    expect(open(sad, packetOf(esp), 0, 0)).toBe(DROP.espUnknownSpi);
    expect([sad.last, sad.drops[DROP.espUnknownSpi], sad.size]).toEqual([undefined, 1, 0]);
    sad.add(sa);
    expect(open(sad, packetOf(esp), 0, 0)).toBe(PASS);
    expect(sad.last).toBe(sa);
    expect(open(sad, packetOf(esp.slice(0, 7)), 0, 0)).toBe(DROP.espShort);
    expect([sad.last, sad.authentic, sad.newest]).toEqual([undefined, false, false]);
    const draws = [0, 1, 0xff, 0x1000, 0x100].map((n) => Uint8Array.of(n >>> 24, n >>> 16, n >>> 8, n));
    expect(sad.unusedSpi(() => draws.shift()!)).toBe(0x100);
  });

  it('a moved peer: endpoints and carrier of an outbound SA change, its numbers do not', () => {
    const sa = outbound({ protection: GCM });
    sealed(V4, sa);
    const endpoint = { address: Uint8Array.of(198, 51, 100, 9), port: 31000 };
    sa.move(sa.localEndpoint, endpoint, false);
    expect([sa.remoteEndpoint, sa.udpEncapsulation, sa.sequence]).toEqual([endpoint, false, 1]);
  });
});

describe('hostile octets', () => {
  const check = (sad: Sad, octets: Bytes): number => {
    const packet = packetOf(octets);
    const verdict = open(sad, packet, octets.length, 0);
    expect(verdict).toBeGreaterThanOrEqual(PASS);
    expect(verdict).toBeLessThan(DROP_COUNT);
    if (verdict === PASS) {
      expect(checkIp(packet.buf, packet.start, packet.end)).toBe(PASS);
      expect(ipLength(packet.buf, packet.start)).toBe(packet.end - packet.start);
    }
    return verdict;
  };

  it('arbitrary octets give a verdict, never an exception, and never PASS', () => {
    const sas = SUITES.map((s, i) => inbound({ protection: keyed(s), spi: 0x1000 + i, esn: i % 2 === 0 }));
    const sad = sadOf(...sas);
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 300 }), fc.integer({ min: -1, max: sas.length - 1 }), (octets, index) => {
        if (index >= 0 && octets.length >= 4) putU32(octets, 0, sas[index]!.spi);
        expect(check(sad, octets)).not.toBe(PASS);
      }),
      { numRuns: 3000, seed: 1 },
    );
    expect(sas.every((sa) => sa.sequence === 0 && sa.usage.packets === 0)).toBe(true);
  });

  it('arbitrary contents from a peer that has the key: what passes is a whole IP packet', () => {
    const sad = sadOf(inbound({ protection: GCM, local: ANYTHING }));
    let low = 0;
    fc.assert(
      fc.property(
        fc.oneof(
          fc.uint8Array({ maxLength: 200 }),
          fc.tuple(fc.constantFrom(V4, V6), fc.nat({ max: 60 }), fc.nat({ max: 255 })).map(([octets, at, value]) => {
            const changed = octets.slice();
            changed[at % changed.length] = value;
            return changed;
          }),
        ),
        fc.constantFrom<number>(4, 41, 59, 6),
        (payload, nextHeader) => {
          low += 1;
          check(sad, crafted(payload, nextHeader, low));
        },
      ),
      { numRuns: 2000, seed: 1 },
    );
  });
});
