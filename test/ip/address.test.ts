import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  compareAddresses,
  contains,
  DROP,
  DROP_COUNT,
  DROP_NAMES,
  DROP_TEXT,
  dropCounters,
  dropsByName,
  familyOf,
  formatAddress,
  formatEndpoint,
  formatPrefix,
  HEADROOM,
  ipv4Number,
  ipv4Octets,
  lastOf,
  networkOf,
  octetsOf,
  PacketPool,
  parseAddress,
  parsePrefix,
  sameAddress,
  sameEndpoint,
  TAILROOM,
} from '../../src/ip/index.ts';
import { addr, arbitraryAddress, arbitraryAddress4, counting, pfx } from '../support/packets.ts';

const bits = (octets: Uint8Array): string => [...octets].map((o) => o.toString(2).padStart(8, '0')).join('');
const prefix = fc
  .tuple(arbitraryAddress, fc.nat(128))
  .map(([address, n]) => ({ address, length: n % (address.length * 8 + 1) }));

describe('addresses as text', () => {
  it('survive it', () => {
    fc.assert(
      fc.property(arbitraryAddress, (a) => {
        expect(parseAddress(formatAddress(a))).toEqual(a);
        expect(familyOf(a)).toBe(a.length === 4 ? 4 : 6);
      }),
    );
  });

  it.each([
    ['2001:db8:0:0:1:0:0:1', '2001:db8::1:0:0:1'], // RFC 5952 §4.2.3
    ['2001:0DB8::0001', '2001:db8::1'],
    ['2001:db8:0:1:1:1:1:1', '2001:db8:0:1:1:1:1:1'], // §4.2.2
    ['::', '::'],
    ['192.0.2.1', '192.0.2.1'],
  ])('RFC 5952: %s is written %s', (text, canonical) => {
    expect(formatAddress(addr(text))).toBe(canonical);
  });

  it.each([
    '',
    '10.1',
    '010.1.1.1',
    '0x0a.1.1.1',
    '256.1.1.1',
    '1.2.3.4.5',
    'fe80::1%eth0',
    ':::',
    '1::2::3',
    '10.1.1.1/8',
    ' 10.1.1.1',
    'ten',
  ])('refused: %j', (text) => {
    expect(parseAddress(text)).toBeUndefined();
  });

  it('prefixes and endpoints', () => {
    expect(formatPrefix(pfx('10.1.2.3/24'))).toBe('10.1.2.3/24');
    expect(parsePrefix('10.1.2.3/24')).toBeUndefined();
    expect(parsePrefix('10.1.2.0/24')).toEqual({ address: addr('10.1.2.0'), length: 24 });
    expect(parsePrefix('10.1.2.3')).toEqual({ address: addr('10.1.2.3'), length: 32 });
    for (const text of ['10.0.0.0/33', '::/129', '10.0.0.0/', '10.0.0.0/08', '10.0.0.0/-1', '/8']) {
      expect(parsePrefix(text)).toBeUndefined();
    }
    expect(formatEndpoint({ address: addr('192.0.2.1'), port: 500 })).toBe('192.0.2.1:500');
    expect(formatEndpoint({ address: addr('::1'), port: 4500 })).toBe('[::1]:4500');
    const e = { address: addr('::1'), port: 1 };
    expect([sameEndpoint(e, { ...e }), sameEndpoint(e, { ...e, port: 2 })]).toEqual([true, false]);
  });
});

describe('prefixes as sets of bits', () => {
  it('network, last address and containment equal the bit strings', () => {
    fc.assert(
      fc.property(prefix, arbitraryAddress, fc.boolean(), (p, other, near) => {
        const head = bits(p.address).slice(0, p.length);
        const width = p.address.length * 8;
        expect(bits(networkOf(p))).toBe(head.padEnd(width, '0'));
        expect(bits(lastOf(p))).toBe(head.padEnd(width, '1'));
        const a = near ? p.address.map((o, i) => (i < p.length >>> 3 ? o : other[i % other.length]!)) : other;
        expect(contains(p, a)).toBe(a.length === p.address.length && bits(a).startsWith(head));
      }),
      { numRuns: 500 },
    );
  });

  it('IPv4 numbers are unsigned and ordered like addresses', () => {
    fc.assert(
      fc.property(arbitraryAddress4, arbitraryAddress4, (a, b) => {
        expect(ipv4Octets(ipv4Number(a))).toEqual(a);
        expect(Math.sign(compareAddresses(a, b))).toBe(Math.sign(ipv4Number(a) - ipv4Number(b)));
        expect(sameAddress(a, b)).toBe(ipv4Number(a) === ipv4Number(b));
      }),
    );
    expect(compareAddresses(addr('255.0.0.0'), addr('::'))).toBeLessThan(0);
  });
});

describe('the packet pool', () => {
  it('equals a set of free slots, counts what it refused and its peak', () => {
    const step = fc.oneof(fc.constant('take' as const), fc.nat(7));
    fc.assert(
      fc.property(fc.array(step, { maxLength: 60 }), (steps) => {
        const pool = new PacketPool(4, 100);
        const held: { packet: NonNullable<ReturnType<PacketPool['take']>>; mark: number }[] = [];
        let refused = 0;
        let peak = 0;
        for (const [i, s] of steps.entries()) {
          if (s === 'take') {
            const packet = pool.from(Uint8Array.of(i));
            if (packet === undefined) {
              expect(held.length).toBe(4);
              refused += 1;
            } else {
              held.push({ packet, mark: i });
            }
          } else if (s < held.length) {
            pool.release(held.splice(s, 1)[0]!.packet);
          }
          peak = Math.max(peak, held.length);
          expect(pool.taken).toBe(held.length);
          for (const { packet, mark } of held) expect([...octetsOf(packet)]).toEqual([mark]);
        }
        expect(pool.counters).toEqual({ refused, peak });
      }),
    );
  });

  it('keeps room around the octets, and refuses what does not fit', () => {
    const pool = new PacketPool(2, 100);
    const packet = pool.from(counting(100))!;
    expect(packet.start).toBe(HEADROOM);
    expect(packet.buf.length - packet.end).toBe(TAILROOM);
    expect(pool.from(counting(101))).toBeUndefined();
    expect(pool.counters.refused).toBe(1);
  });

  it('lies in the memory it was given, from the octet given, and nowhere else', () => {
    const octets = PacketPool.octetsFor(3, 100);
    const buffer = new ArrayBuffer(octets + 12);
    const pool = new PacketPool(3, 100, buffer, 5);
    expect([pool.memory.buffer, pool.memory.byteOffset, pool.memory.length]).toEqual([buffer, 5, octets]);
    const packets = [pool.take()!, pool.take()!, pool.take()!];
    for (const { buf, view, slot } of packets) {
      expect([buf.buffer, view.buffer, view.byteOffset]).toEqual([buffer, buffer, buf.byteOffset]);
      buf.fill(slot + 1);
    }
    const slot = octets / 3;
    const all = [0, 1, 2, 3, 0].map((mark, i) => new Array(i === 0 ? 5 : i === 4 ? 7 : slot).fill(mark));
    expect([...new Uint8Array(buffer)]).toEqual(all.flat());
    expect(() => new PacketPool(3, 100, buffer, 13)).toThrow(RangeError);
  });

  it('a packet released twice, or to another pool, is a bug of ours', () => {
    const pool = new PacketPool(2, 10);
    const packet = pool.take()!;
    pool.release(packet);
    expect(() => pool.release(packet)).toThrow('broken invariant');
    const other = new PacketPool(2, 10);
    other.take();
    expect(() => other.release(pool.take()!)).toThrow('broken invariant');
  });
});

describe('verdicts', () => {
  it('are dense numbers with a name and a text each', () => {
    expect(Object.values(DROP).sort((a, b) => a - b)).toEqual(Array.from({ length: DROP_COUNT - 1 }, (_, i) => i + 1));
    expect(Object.keys(DROP_TEXT).sort()).toEqual(Object.keys(DROP).sort());
    expect(DROP_NAMES[0]).toBe('pass');
    for (const [name, code] of Object.entries(DROP)) expect(DROP_NAMES[code]).toBe(name);
  });

  it('are counted by name', () => {
    const counters = dropCounters();
    counters[DROP.noRoute]! += 3;
    counters[0]! += 9;
    expect(dropsByName(counters)).toEqual({ noRoute: 3 });
  });
});
