import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { seededRandom } from '../../src/core/index.ts';
import { PacketPool } from '../../src/ip/index.ts';
import { site } from './fixture.ts';
import { addr, counting, echo, ipv4, ipv6, join, udp } from './octets.ts';

describe('two compartments with the same prefixes and one pool', () => {
  const pair = () => {
    const pool = new PacketPool(64, 9728);
    return { pool, blue: site({ pool, name: 'blue', seed: 1 }), red: site({ pool, name: 'red', seed: 2 }) };
  };

  it('never see each other: every packet leaves by the compartment it came into', () => {
    const { pool, blue, red } = pair();
    const hosts = ['10.1.0.10', '10.2.0.7', '10.3.0.9', '10.1.0.1', '192.0.2.1'];
    fc.assert(
      fc.property(
        fc.boolean(),
        fc.integer({ min: 1, max: 3 }),
        fc.constantFrom(...hosts),
        fc.constantFrom(...hosts),
        fc.constantFrom(1, 64),
        fc.constantFrom(40, 1800),
        (isBlue, from, src, dst, ttl, size) => {
          const [mine, other] = isBlue ? [blue, red] : [red, blue];
          const untouched = JSON.stringify([
            other.compartment.counters,
            other.compartment.interfaces(),
            [...other.compartment.drops],
          ]);
          other.sent.length = 0;
          // The data says whose it is; what leaves, quoted or whole, must carry no other's mark.
          const mark = new Uint8Array(size).fill(isBlue ? 0xb1 : 0x4e);
          const { sent } = mine.receive(ipv4({ src, dst, ttl }, udp(src, dst, 1, 2, mark)), from);
          for (const { octets } of sent) {
            if (octets.length > 60) expect(octets.at(-1)).toBe(isBlue ? 0xb1 : 0x4e);
          }
          expect(other.sent).toEqual([]);
          expect(
            JSON.stringify([other.compartment.counters, other.compartment.interfaces(), [...other.compartment.drops]]),
          ).toBe(untouched);
          expect(pool.taken).toBe(0);
        },
      ),
      { numRuns: 500 },
    );
  });

  it('keep their routes, fragments, pings and limits apart', () => {
    const { pool, blue, red } = pair();
    blue.compartment.removeRoute({ address: addr('10.2.0.0'), length: 16 }, blue.hq, 'connection');
    expect(blue.compartment.explain(addr('10.2.0.7')).chosen).toBeUndefined();
    expect(red.compartment.explain(addr('10.2.0.7')).chosen?.interface).toBe(red.hq);
    // Half a datagram here and the other half there make none.
    const whole = echo('10.1.0.10', '10.1.0.1', {}, counting(80));
    const first = ipv4({ src: '10.1.0.10', dst: '10.1.0.1', protocol: 1, mf: true }, whole.subarray(20, 60));
    const rest = ipv4({ src: '10.1.0.10', dst: '10.1.0.1', protocol: 1, offset: 40 }, whole.subarray(60));
    expect(blue.receive(first, blue.inside).sent).toEqual([]);
    expect(red.receive(rest, red.inside).sent).toEqual([]);
    expect(blue.receive(rest, blue.inside).sent.length).toBe(1);
    // A reply to the ping of one is nobody's in the other.
    red.compartment.ping({ destination: addr('10.2.0.7'), id: 1, sequence: 1, size: 8 }, red.now);
    blue.receive(echo('10.2.0.7', '10.1.0.1', { id: 1, sequence: 1, reply: true }), blue.hq);
    expect([blue.pings, red.pings]).toEqual([[], []]);
    expect(blue.compartment.counters.pingsUnmatched).toBe(1);
    red.compartment.expire(red.now + 9999);
    expect(red.pings.map((p) => p.outcome)).toEqual(['timeout']);
    expect(pool.taken).toBe(0);
  });
});

describe('arbitrary octets', () => {
  const bench = site({ limits: { icmpErrorBurst: 1e9 } });
  const given = (octets: Uint8Array, from: number): void => {
    const before = bench.compartment.drops.reduce((a, b) => a + b, 0);
    const { sent, dropped } = bench.receive(octets, from);
    expect(bench.compartment.drops.reduce((a, b) => a + b, 0)).toBe(before + dropped.length);
    expect(sent.every((s) => s.octets.length <= 1500)).toBe(true);
    expect(bench.pool.taken).toBe(0);
    bench.now += 1;
    if (bench.now % 997 === 0) bench.compartment.expire(bench.now);
  };

  it('never throw and never keep a packet', () => {
    fc.assert(fc.property(fc.uint8Array({ maxLength: 120 }), fc.integer({ min: 0, max: 5 }), given), { numRuns: 3000 });
  });

  it('nor do real packets with octets changed or cut off', { timeout: 30_000 }, () => {
    const random = seededRandom(42);
    const base = [
      echo('10.1.0.10', '10.1.0.1'),
      echo('10.2.0.7', '10.1.0.1', { reply: true }),
      echo('2001:db8:1::10', '2001:db8:1::1'),
      ipv4(
        { src: '10.1.0.10', dst: '10.2.0.7', options: [7, 7, 4, 0, 0, 0, 0, 0] },
        udp('10.1.0.10', '10.2.0.7', 1, 2, counting(1450)),
      ),
      ipv4({ src: '10.1.0.10', dst: '10.1.0.1', mf: true }, counting(64)),
      ipv6(
        { src: '2001:db8:1::10', dst: '2001:db8:2::7', next: 0 },
        join([60, 0, 1, 4, 0, 0, 0, 0], [44, 0, 1, 4, 0, 0, 0, 0], [17, 0, 0, 1, 0, 0, 0, 1], counting(48)),
      ),
      ipv6({ src: '2001:db8:1::10', dst: '2001:db8:1::1', next: 44 }, join([58, 0, 0, 1, 0, 0, 0, 1], counting(48))),
    ];
    for (let i = 0; i < 20_000; i++) {
      const packet = base[i % base.length]!.slice();
      const [count, cut, from] = random(3);
      for (let n = count! % 4; n > 0; n--) {
        const [at, value] = random(2);
        packet[at! % Math.min(packet.length, 72)] = value!;
      }
      // Two of three keep a right header checksum, or little would come further.
      if (packet[0]! >>> 4 === 4 && cut! % 3 !== 0) repair(packet);
      given(cut! < 32 ? packet.subarray(0, cut) : packet, 1 + (from! % 3));
    }
    expect(bench.compartment.counters.echoReplies).toBeGreaterThan(0);
    expect(bench.compartment.counters.icmpErrors).toBeGreaterThan(0);
  });

  function repair(packet: Uint8Array): void {
    const length = Math.min((packet[0]! & 15) * 4, packet.length);
    packet.set([0, 0], 10);
    let sum = 0;
    for (let i = 0; i + 1 < length; i += 2) sum += (packet[i]! << 8) | packet[i + 1]!;
    while (sum > 0xffff) sum = (sum & 0xffff) + (sum >>> 16);
    packet.set([(~sum >>> 8) & 0xff, ~sum & 0xff], 10);
  }
});
