import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { seededU32, toHex } from '../../src/core/index.ts';
import {
  buildIcmpEcho,
  buildIpv4,
  buildIpv6,
  buildUdp,
  checkIp,
  DROP,
  fragmentIpv4,
  fragmentIpv6,
  octetsOf,
  PASS,
  type Packet,
  PacketPool,
  Reassembly,
} from '../../src/ip/index.ts';
import { addr, counting, expectPacket } from '../support/packets.ts';

const ends4 = { source: addr('10.1.0.2'), destination: addr('10.2.0.2') };
const ends6 = { source: addr('2001:db8:1::2'), destination: addr('2001:db8:2::2') };

/** Cuts a packet and gives the fragments as octets; every slot goes back to the pool. */
function cut(octets: Uint8Array, mtu: number, pool = new PacketPool(160, 66_000)): Uint8Array[] | number {
  const packet = pool.from(octets)!;
  const out: Uint8Array[] = [];
  const emit = (fragment: Packet): void => {
    out.push(octetsOf(fragment).slice());
    pool.release(fragment);
  };
  const v4 = octets[0]! >>> 4 === 4;
  const verdict = v4 ? fragmentIpv4(packet, mtu, pool, emit) : fragmentIpv6(packet, mtu, 0xabcd, pool, emit);
  expect(octetsOf(packet)).toEqual(octets);
  pool.release(packet);
  expect(pool.taken).toBe(0);
  return verdict === PASS ? out : verdict;
}

function shuffled<T>(items: readonly T[], seed: number): T[] {
  const next = seededU32(seed);
  const out = [...items];
  for (let i = out.length - 1; i > 0; i--) {
    const j = next() % (i + 1);
    [out[i], out[j]] = [out[j]!, out[i]!];
  }
  return out;
}

const options = fc.array(
  fc.constantFrom<number[]>([1], [7, 7, 4, 0, 0, 0, 0], [148, 4, 0, 0], [0x82, 3, 9], [0x44, 4, 5, 0]),
  { maxLength: 4 },
);

describe('RFC 791 §3.2: fragmentation', () => {
  it('example 2 of appendix A: 452 data octets at an MTU of 280', () => {
    const octets = buildIpv4({ ...ends4, protocol: 6, identification: 111, timeToLive: 123 }, counting(452));
    const fragments = cut(octets, 280) as Uint8Array[];
    expect(fragments.length).toBe(2);
    expect(toHex(fragments[0]!.subarray(0, 10))).toBe('45000114006f20007b06');
    expect(toHex(fragments[1]!.subarray(0, 10))).toBe('450000d8006f00207b06');
  });

  it('every option goes first, only copied ones go on (§3.1)', () => {
    const octets = buildIpv4(
      { ...ends4, protocol: 17, options: Uint8Array.of(7, 7, 4, 0, 0, 0, 0, 148, 4, 0, 0, 1) },
      counting(100),
    );
    const fragments = cut(octets, 68) as Uint8Array[];
    expect(toHex(fragments[0]!.subarray(20, 32))).toBe('070704000000009404000001');
    for (const later of fragments.slice(1)) {
      expect(later[0]).toBe(0x46);
      expect(toHex(later.subarray(20, 24))).toBe('94040000');
    }
  });

  it('DF, an MTU without room and an empty pool are refused, all or nothing', () => {
    const octets = buildIpv4({ ...ends4, protocol: 17, dontFragment: true }, counting(100));
    expect(cut(octets, 68)).toBe(DROP.tooBig);
    expect(cut(buildIpv4({ ...ends4, protocol: 17 }, counting(100)), 27)).toBe(DROP.tooBig);
    expect(cut(buildIpv4({ ...ends4, protocol: 17 }, counting(100)), 68, new PacketPool(3, 200))).toBe(DROP.noBuffer);
    expect(cut(buildIpv4({ ...ends4, protocol: 17 }, counting(100)), 68, new PacketPool(4, 200))).toHaveLength(3);
    expect(cut(buildIpv6({ ...ends6, protocol: 17 }, counting(3000)), 1280, new PacketPool(3, 4000))).toBe(
      DROP.noBuffer,
    );
  });

  it('fragments are sound, fit, carry everything once, and reassemble in any order, duplicates included', () => {
    fc.assert(
      fc.property(
        options,
        fc.integer({ min: 0, max: 4000 }),
        fc.integer({ min: 68, max: 1500 }),
        fc.nat(),
        (opts, size, mtu, seed) => {
          const octets = buildIpv4(
            { ...ends4, protocol: 17, identification: seed & 0xffff, options: Uint8Array.from(opts.flat()) },
            counting(size),
          );
          const fragments = cut(octets, mtu) as Uint8Array[];
          for (const [i, f] of fragments.entries()) {
            expect(checkIp(f, 0, f.length)).toBe(PASS);
            expect(f.length).toBeLessThanOrEqual(mtu);
            expect((f[6]! & 0x20) !== 0).toBe(i < fragments.length - 1);
          }
          const reassembly = new Reassembly({ fragments: 200 });
          const results = shuffled([...fragments, ...fragments.slice(0, -1)], seed).map((f) =>
            reassembly.add(f, 0, f.length, 0),
          );
          const whole = results.filter((r) => typeof r !== 'string');
          expect(whole.length).toBeGreaterThanOrEqual(1);
          expect(toHex(whole[0] as Uint8Array)).toBe(toHex(octets));
        },
      ),
      { numRuns: 200 },
    );
  });

  it('a fragment cut again reassembles to the same packet', () => {
    const octets = buildIpv4({ ...ends4, protocol: 17, identification: 5 }, counting(5000));
    const fragments = (cut(octets, 1500) as Uint8Array[]).flatMap((f) => cut(f, 600) as Uint8Array[]);
    const reassembly = new Reassembly();
    const results = fragments.map((f) => reassembly.add(f, 0, f.length, 0));
    expect(results.slice(0, -1).every((r) => r === 'waiting')).toBe(true);
    expect(results.at(-1)).toEqual(octets);
  });
});

describe('RFC 8200 §4.5: fragments of IPv6', () => {
  it('a large echo goes out in pieces and comes back whole', () => {
    const octets = buildIcmpEcho({ ...ends6, type: 'reply', identifier: 3, sequence: 4 }, counting(9000));
    const fragments = cut(octets, 1500) as Uint8Array[];
    expect(fragments.length).toBe(7);
    expect(toHex(fragments[1]!.subarray(40, 48))).toBe('3a0005a90000abcd');
    expectPacket(fragments[1], 'IPv6 2001:db8:1::2 > 2001:db8:2::2 IPV6-ICMP fragment id 43981 @1448+ (1496)');
    const reassembly = new Reassembly();
    const results = shuffled(fragments, 5).map((f) => reassembly.add(f, 0, f.length, 0));
    expect(results.at(-1)).toEqual(octets);
    expect(reassembly).toMatchObject({ size: 0, octets: 0 });
  });

  it('per-fragment headers are repeated, destination options of the end are cut', () => {
    const pad = [1, 4, 0, 0, 0, 0];
    const payload = Uint8Array.from([60, 0, ...pad, 17, 0, ...pad, ...counting(2000)]);
    const octets = buildIpv6({ ...ends6, protocol: 0 }, payload);
    const fragments = cut(octets, 1280) as Uint8Array[];
    for (const f of fragments) {
      expect(checkIp(f, 0, f.length)).toBe(PASS);
      expect([f[6], f[40], f[48]]).toEqual([0, 44, 60]);
    }
    const reassembly = new Reassembly();
    expect(fragments.map((f) => reassembly.add(f, 0, f.length, 0)).at(-1)).toEqual(octets);
    expect(cut(fragments[0]!, 600)).toBe(DROP.tooBig);
  });

  it('RFC 6946 §4: an atomic fragment is whole at once and disturbs nothing', () => {
    const reassembly = new Reassembly();
    const data = counting(16);
    const atomic = buildIpv6({ ...ends6, protocol: 44 }, Uint8Array.from([17, 0, 0, 0, 0, 0, 0, 9, ...data]));
    const first = buildIpv6({ ...ends6, protocol: 44 }, Uint8Array.from([17, 0, 0, 1, 0, 0, 0, 9, ...data]));
    expect(reassembly.add(first, 0, first.length, 0)).toBe('waiting');
    expect(reassembly.add(atomic, 0, atomic.length, 0)).toEqual(buildIpv6({ ...ends6, protocol: 17 }, data));
    expect(reassembly.size).toBe(1);
  });
});

describe('reassembly has limits', () => {
  const piece = (id: number, from: number, length: number, more: boolean, source = ends4.source): Uint8Array =>
    buildIpv4(
      { ...ends4, source, protocol: 17, identification: id, fragmentOffset: from, moreFragments: more },
      counting(length),
    );
  const add = (r: Reassembly, octets: Uint8Array, now = 0): unknown => r.add(octets, 0, octets.length, now);

  it('RFC 5722 §4: an overlap condemns the packet, fragments still to come included', () => {
    for (const bad of [piece(1, 8, 16, true), piece(1, 0, 8, true), piece(1, 8, 8, false)]) {
      const r = new Reassembly();
      expect(add(r, piece(1, 0, 16, true))).toBe('waiting');
      expect(add(r, bad)).toBe('refused');
      expect(add(r, piece(1, 16, 8, false))).toBe('refused');
      expect(r.octets).toBe(0);
      expect(r.counters).toMatchObject({ condemned: 1, refused: 2, whole: 0 });
      expect(r.expire(60_000)).toEqual([]);
      expect(add(r, piece(1, 16, 8, false), 60_000)).toBe('waiting');
    }
  });

  it('an exact duplicate is no overlap, the same place with other octets is', () => {
    const r = new Reassembly();
    const first = piece(1, 0, 16, true);
    add(r, first);
    expect(add(r, first)).toBe('waiting');
    const forged = first.slice();
    forged[30]! ^= 1;
    expect(add(r, forged)).toBe('refused');
  });

  it('two ends of one packet contradict each other', () => {
    const r = new Reassembly();
    add(r, piece(1, 16, 8, false));
    expect(add(r, piece(1, 32, 8, false))).toBe('refused');
    const s = new Reassembly();
    add(s, piece(2, 16, 8, false));
    expect(add(s, piece(2, 24, 8, true))).toBe('refused');
    const t = new Reassembly();
    add(t, piece(3, 24, 8, true));
    expect(add(t, piece(3, 16, 8, false))).toBe('refused');
  });

  it('RFC 1122 §3.3.2: time, and who is owed a Time Exceeded', () => {
    const r = new Reassembly({ timeout: 1000 });
    const first = piece(1, 0, 16, true);
    add(r, first, 0);
    add(r, piece(2, 16, 16, true), 500);
    expect(r.deadline()).toEqual({ at: 1000, why: 'reassembly times out' });
    expect(r.expire(999)).toEqual([]);
    expect(r.expire(1000)).toEqual([first]);
    expect(r.deadline()?.at).toBe(1500);
    expect(r.expire(5000)).toEqual([]);
    expect(r.deadline()).toBeUndefined();
    expect(r).toMatchObject({ size: 0, octets: 0 });
    expect(r.counters.expired).toBe(2);
  });

  it('packets, fragments and octets', () => {
    const r = new Reassembly({ packets: 2, fragments: 3, octets: 64 });
    for (const id of [1, 2, 3]) add(r, piece(id, 8, 8, true));
    expect(r.size).toBe(2);
    expect(r.counters.evicted).toBe(1);
    for (const from of [24, 40, 56]) add(r, piece(3, from, 8, true));
    expect(r.counters.refused).toBe(1);
    expect(r.octets).toBe(32);
    add(r, piece(4, 0, 48, true));
    expect(r.octets).toBeLessThanOrEqual(64);
    expect(add(r, piece(5, 0, 72, true))).toBe('refused');
    expect(r.size).toBeLessThanOrEqual(2);
  });

  it('packets of different senders, protocols and identifications stay apart', () => {
    const r = new Reassembly();
    add(r, piece(1, 0, 8, true));
    expect(add(r, piece(2, 8, 8, false))).toBe('waiting');
    expect(add(r, piece(1, 8, 8, false, addr('10.9.9.9')))).toBe('waiting');
    expect(add(r, piece(1, 8, 8, false))).toEqual(
      buildIpv4({ ...ends4, protocol: 17, identification: 1 }, Uint8Array.from([...counting(8), ...counting(8)])),
    );
  });

  it('a whole longer than 65,535 octets is refused', () => {
    const r = new Reassembly({ octets: 1 << 18, fragments: 8 });
    const big = new Uint8Array(40);
    add(r, buildIpv4({ ...ends4, protocol: 17, moreFragments: true, options: big }, counting(32_768)));
    add(r, piece(0, 32_768, 32_000, true));
    expect(add(r, piece(0, 64_768, 740, false))).toBe('refused');
    expect(r).toMatchObject({ size: 0, octets: 0 });
  });

  it('whatever fragments come, the octets held are those counted and within the limit', () => {
    const fragment = fc.tuple(fc.nat(3), fc.nat(6), fc.integer({ min: 1, max: 6 }), fc.boolean());
    fc.assert(
      fc.property(fc.array(fragment, { maxLength: 60 }), (fragments) => {
        const r = new Reassembly({ packets: 3, fragments: 5, octets: 100, timeout: 50 });
        for (const [now, [id, from, length, more]] of fragments.entries()) {
          const octets = piece(id, from * 8, length * 8, more);
          const result = r.add(octets, 0, octets.length, now);
          if (typeof result !== 'string') expect(checkIp(result, 0, result.length)).toBe(PASS);
          expect(r.octets).toBeLessThanOrEqual(100);
          expect(r.size).toBeLessThanOrEqual(3);
        }
        r.expire(1000);
        expect(r).toMatchObject({ size: 0, octets: 0 });
      }),
      { numRuns: 500 },
    );
  });

  it('a datagram of UDP survives the whole way', () => {
    const octets = buildUdp({ ...ends4, sourcePort: 1, destinationPort: 2 }, counting(65_000));
    const r = new Reassembly();
    expect((cut(octets, 1400) as Uint8Array[]).map((f) => r.add(f, 0, f.length, 0)).at(-1)).toEqual(octets);
  });
});
