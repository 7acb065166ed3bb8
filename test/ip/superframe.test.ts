import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { fromHex, toHex, u16, u32 } from '../../src/core/index.ts';
import {
  beginCut,
  buildTcp,
  checkIp,
  checkSuperframe,
  completeChecksum,
  countWire,
  cutSuperframe,
  DROP,
  foldSum,
  HEADROOM,
  octetsOf,
  PASS,
  type Packet,
  PacketPool,
  segmentCount,
  segmentLength,
  sumWords,
  wirePackets,
  wrapPacket,
  writeSegment,
} from '../../src/ip/index.ts';
import { copySum, sumOctets } from '../../src/ip/superframe-sum.ts';
import { addr, counting } from '../support/packets.ts';
import {
  arbitraryOctets,
  arbitraryShape,
  fenced,
  headersOf,
  naiveCut,
  PLAIN,
  packetOf,
  pooled,
  putWord,
} from './superframe-support.ts';

const pool = new PacketPool(4, 65536);
const wire = new PacketPool(400, 9000);
const out: Packet[] = [];

/** Cuts and gives back what there was, as octets; every slot is free again. */
function cut(whole: Uint8Array, segment: number, partial = false): Uint8Array[] {
  const packet = pooled(pool, whole, segment, partial);
  const before = toHex(octetsOf(packet));
  const pieces = cutSuperframe(packet, wire, out);
  expect(toHex(octetsOf(packet))).toBe(before);
  expect(wire.taken).toBe(pieces);
  const octets = out.slice(0, pieces).map((piece) => {
    expect(piece.segment).toBe(0);
    expect(piece.partial).toBe(false);
    const copy = octetsOf(piece).slice();
    wire.release(piece);
    return copy;
  });
  pool.release(packet);
  return octets;
}

describe('RFC 1071 §2: sums by larger words', () => {
  it('equal the sums by octets, at any offset and length, also while copying', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 200 }), fc.nat(20), fc.nat(20), (octets, before, elsewhere) => {
        const source = new Uint8Array(before + octets.length + 3).fill(0xa5);
        source.set(octets, before);
        const target = new Uint8Array(elsewhere + octets.length + 3).fill(0x5a);
        const expected = foldSum(sumWords(octets, 0, octets.length));
        const packet = wrapPacket(source);
        expect(foldSum(sumOctets(packet, before, before + octets.length))).toBe(expected);
        const sum = copySum(packet, before, wrapPacket(target), elsewhere, octets.length);
        expect(foldSum(sum)).toBe(expected);
        expect(toHex(target)).toBe(`${'5a'.repeat(elsewhere)}${toHex(octets)}5a5a5a`);
      }),
      { numRuns: 500 },
    );
  });

  it('of 65,535 octets of ones stay exact', () => {
    const octets = new Uint8Array(0xffff).fill(0xff);
    const packet = wrapPacket(octets);
    const expected = sumWords(octets, 0, octets.length);
    expect(sumOctets(packet, 0, octets.length)).toBe(expected);
    expect(copySum(packet, 0, wrapPacket(new Uint8Array(0xffff)), 0, 0xffff)).toBe(expected);
  });
});

describe('cutting a superframe', () => {
  it('equals the naive reference, for both families and protocols, whatever the checksum fields held', () => {
    fc.assert(
      fc.property(
        arbitraryShape,
        fc.integer({ min: 8, max: 700 }),
        fc.nat(3000),
        fc.boolean(),
        fc.nat(0xffff),
        (shape, segment, length, partial, rubbish) => {
          const whole = packetOf(shape, counting(length));
          const at = shape.v6 ? 40 : 20;
          const protocol = shape.tcp ? 6 : 17;
          fc.pre(shape.tcp || length <= 128 * segment);
          const expected = naiveCut(whole, at, headersOf(shape), protocol, segment);
          putWord(whole, at + (shape.tcp ? 16 : 6), rubbish);
          const packet = wrapPacket(whole);
          packet.segment = segment;
          expect(checkSuperframe(packet)).toBe(PASS);
          expect(segmentCount(packet)).toBe(expected.length);
          expect(segmentLength(packet)).toBe(Math.max(...expected.map((piece) => piece.length)));
          expect(cut(whole, segment, partial).map(toHex)).toEqual(expected.map(toHex));
        },
      ),
      { numRuns: 400 },
    );
  });

  it('repeats IPv4 options and IPv6 extension headers', () => {
    for (const tcp of [true, false]) {
      const options = fromHex('01010101 83');
      options[4] = 0;
      const v4 = packetOf({ ...PLAIN, tcp }, counting(1000), Uint8Array.from([...options, 0, 0, 0]));
      const payload4 = tcp ? 48 : 36;
      expect(cut(v4, 300).map(toHex)).toEqual(naiveCut(v4, 28, payload4, tcp ? 6 : 17, 300).map(toHex));
      const extension = Uint8Array.of(tcp ? 6 : 17, 0, 1, 4, 0, 0, 0, 0);
      const v6 = packetOf({ ...PLAIN, tcp, v6: true }, counting(1000), extension);
      const payload6 = tcp ? 68 : 56;
      expect(cut(v6, 300).map(toHex)).toEqual(naiveCut(v6, 48, payload6, tcp ? 6 : 17, 300).map(toHex));
    }
  });

  it('RFC 9293 §3.8.2, RFC 3168 §6.1.2: FIN and PSH last, CWR first, ECE in all; numbers wrap', () => {
    const shape = { ...PLAIN, sequence: 0xfffffff0, identification: 0xffff, flags: 0x10 | 0x80 | 0x40 | 0x08 | 0x01 };
    const pieces = cut(packetOf(shape, counting(40)), 16);
    expect(pieces.map((p) => [p.length, u16(p, 4), u32(p, 24), p[33]])).toEqual([
      [56, 0xffff, 0xfffffff0, 0xd0],
      [56, 0x0000, 0x00000000, 0x50],
      [48, 0x0001, 0x00000010, 0x59],
    ]);
    for (const piece of pieces) expect(checkIp(piece, 0, piece.length)).toBe(PASS);
  });

  it('RFC 768: a datagram whose checksum comes out as zero carries all ones', () => {
    const shape = { ...PLAIN, tcp: false };
    const data = new Uint8Array(4);
    const once = packetOf(shape, data.slice(0, 2));
    // A checksum added to the data it was computed over brings the sum to all ones.
    putWord(data, 2, u16(once, 26));
    const pieces = cut(packetOf(shape, data), 2);
    expect(pieces.map((piece) => u16(piece, 26))).toEqual([u16(once, 26), 0xffff]);
  });

  it('leaves out padding behind the packet', () => {
    const whole = packetOf(PLAIN, counting(100));
    const padded = new Uint8Array(whole.length + 9).fill(0xee);
    padded.set(whole);
    expect(cut(padded, 64).map(toHex)).toEqual(cut(whole, 64).map(toHex));
  });

  it('of 64 KB', () => {
    const whole = packetOf({ ...PLAIN, options: [0x0101080a, 1, 2] }, counting(65535 - 52));
    const pieces = cut(whole, 1448, true);
    expect(pieces.length).toBe(46);
    expect(pieces.map(toHex)).toEqual(naiveCut(whole, 20, 52, 6, 1448).map(toHex));
  });

  it('makes all packets or none', () => {
    const whole = packetOf(PLAIN, counting(1000));
    const packet = pooled(pool, whole, 100);
    const short = new PacketPool(9, 9000);
    expect(cutSuperframe(packet, short, out)).toBe(0);
    expect(short.taken).toBe(0);
    const narrow = new PacketPool(20, 139);
    expect(cutSuperframe(packet, narrow, out)).toBe(0);
    expect(narrow.taken).toBe(0);
    const enough = new PacketPool(10, 140);
    expect(cutSuperframe(packet, enough, out)).toBe(10);
    pool.release(packet);
  });
});

describe('writing segments', () => {
  it('at any place, in any order: each is that of the naive reference, and nothing outside it is written', () => {
    const other = wrapPacket(packetOf({ ...PLAIN, v6: true }, counting(300)));
    other.segment = 50;
    fc.assert(
      fc.property(
        arbitraryShape,
        fc.integer({ min: 8, max: 700 }),
        fc.nat(3000),
        fc.array(fc.tuple(fc.nat(), fc.oneof(fc.nat(), fc.constantFrom(0, -1))), { minLength: 1, maxLength: 8 }),
        (shape, segment, length, writes) => {
          const whole = packetOf(shape, counting(length));
          fc.pre(shape.tcp || length <= 128 * segment);
          const expected = naiveCut(whole, shape.v6 ? 40 : 20, headersOf(shape), shape.tcp ? 6 : 17, segment);
          const packet = pooled(pool, whole, segment);
          const before = packet.buf.slice();
          expect(beginCut(packet)).toBe(expected.length);
          for (const [which, where] of writes) {
            const index = which % expected.length;
            const piece = expected[index]!;
            const into = wire.take()!;
            into.buf.fill(0x5a);
            const room = into.buf.length - piece.length;
            // Anywhere in the slot, its first and its last octet included.
            const to = where < 0 ? room : where % (room + 1);
            expect(writeSegment(packet, index, into, to)).toBe(piece.length);
            // What is asked of other packets meanwhile changes nothing.
            expect([segmentCount(other), segmentLength(other)]).toEqual([6, 110]);
            const should = new Uint8Array(into.buf.length).fill(0x5a);
            should.set(piece, to);
            expect(Buffer.compare(into.buf, should)).toBe(0);
            expect([into.start, into.end]).toEqual([HEADROOM, HEADROOM]);
            wire.release(into);
          }
          expect(Buffer.compare(packet.buf, before)).toBe(0);
          pool.release(packet);
        },
      ),
      { numRuns: 200 },
    );
  });

  it('back to back, as a train', () => {
    const whole = packetOf({ ...PLAIN, tcp: false, v6: true }, counting(1000));
    const packet = pooled(pool, whole, 300);
    const train = pool.take()!;
    for (let i = 0; i < beginCut(packet); i++) train.end += writeSegment(packet, i, train, train.end);
    expect(toHex(octetsOf(train))).toBe(naiveCut(whole, 40, 48, 17, 300).map(toHex).join(''));
    pool.release(train);
    pool.release(packet);
  });

  it('none of a superframe that is none', () => {
    for (const [octets, segment] of [
      [packetOf({ ...PLAIN, flags: 0x02 }, counting(100)), 50],
      [packetOf(PLAIN, counting(100)), 7],
      [packetOf(PLAIN, counting(100)), 0],
      [counting(30), 50],
    ] as const) {
      const packet = wrapPacket(octets);
      packet.segment = segment;
      expect(beginCut(packet)).toBe(0);
    }
  });
});

describe('what counters count', () => {
  /** Packets and octets, added behind other counters. */
  const counted = (packet: Packet): number[] => {
    const counters = Float64Array.of(7, 100, 2000, 7);
    const packets = countWire(packet, counters, 1);
    expect([packets, counters[0], counters[1], counters[3]]).toEqual([wirePackets(packet), 7, 100 + packets, 7]);
    return [packets, counters[2]! - 2000];
  };

  it('are the packets and octets of the naive reference', () => {
    fc.assert(
      fc.property(arbitraryShape, fc.integer({ min: 8, max: 700 }), fc.nat(3000), (shape, segment, length) => {
        const whole = packetOf(shape, counting(length));
        fc.pre(shape.tcp || length <= 128 * segment);
        const pieces = naiveCut(whole, shape.v6 ? 40 : 20, headersOf(shape), shape.tcp ? 6 : 17, segment);
        const packet = wrapPacket(whole);
        packet.segment = segment;
        packet.partial = true;
        expect(counted(packet)).toEqual([pieces.length, pieces.reduce((sum, piece) => sum + piece.length, 0)]);
      }),
      { numRuns: 300 },
    );
  });

  it('without the padding behind a superframe, which goes nowhere', () => {
    const whole = packetOf(PLAIN, counting(100));
    const padded = wrapPacket(Uint8Array.from([...whole, 0xee, 0xee]));
    padded.segment = 60;
    expect(counted(padded)).toEqual([2, 100 + 2 * 40]);
  });

  it('any octets are one packet as they are, unless they can be cut; nothing outside them is read', () => {
    fc.assert(
      fc.property(arbitraryOctets, fc.nat(50), (octets, segment) => {
        const packet = fenced(octets);
        packet.segment = segment;
        const sound = segment > 0 && checkSuperframe(packet) === PASS;
        const pieces = sound ? cut(octets, segment) : [octets];
        expect(counted(packet)).toEqual([pieces.length, pieces.reduce((sum, piece) => sum + piece.length, 0)]);
      }),
      { numRuns: 1000 },
    );
  });
});

describe('which superframes are none', () => {
  const verdict = (octets: Uint8Array, segment: number): number => {
    const packet = wrapPacket(octets);
    packet.segment = segment;
    const answer = checkSuperframe(packet);
    if (answer !== PASS) {
      expect(segmentCount(packet)).toBe(segment === 0 ? 1 : 0);
      expect(cutSuperframe(packet, wire, out)).toBe(0);
      expect(wire.taken).toBe(0);
    }
    return answer;
  };
  const tcp = (flags: number): Uint8Array => packetOf({ ...PLAIN, flags }, counting(1000));
  const udp = packetOf({ ...PLAIN, tcp: false }, counting(1000));
  const changed = (octets: Uint8Array, at: number, value: number): Uint8Array => {
    const copy = octets.slice();
    copy[at] = value;
    return copy;
  };
  const routed = packetOf({ ...PLAIN, v6: true }, counting(100), Uint8Array.of(6, 0, 2, 1, 0, 0, 0, 0));
  routed[6] = 43;

  it.each([
    ['a sound one', tcp(0x10), 100, PASS],
    ['sound datagrams', udp, 8, PASS],
    ['an ordinary packet', tcp(0x10), 0, DROP.superframe],
    ['a negative segment', tcp(0x10), -1, DROP.superframe],
    ['a segment of no number', tcp(0x10), Number.NaN, DROP.superframe],
    ['a segment beyond 16 bits', tcp(0x10), 0x10000, DROP.superframe],
    ['TCP segments below the minimum', tcp(0x10), 7, DROP.superframe],
    ['more than 128 datagrams', udp, 7, DROP.superframe],
    ['SYN', tcp(0x02), 100, DROP.superframe],
    ['RST', tcp(0x14), 100, DROP.superframe],
    ['URG', tcp(0x30), 100, DROP.superframe],
    ['another protocol', changed(udp, 9, 132), 100, DROP.superframe],
    ['a fragment', changed(udp, 6, 0x20), 100, DROP.fragment],
    ['a data offset below 5', changed(tcp(0x10), 32, 0x40), 100, DROP.short],
    ['a data offset beyond the packet', packetOf(PLAIN, counting(0)).fill(0xf0, 32, 33), 100, DROP.short],
    ['a datagram length of its own', changed(udp, 25, 1), 100, DROP.length],
    ['a total length beyond the octets', changed(udp, 2, 0xff), 100, DROP.length],
    ['a routing header', routed, 100, DROP.options],
    ['no version', new Uint8Array(50), 100, DROP.version],
    ['nothing', new Uint8Array(0), 100, DROP.short],
  ])('%s', (_, octets, segment, expected) => {
    expect(verdict(octets, segment)).toBe(expected);
  });

  it('any octets have a verdict; nothing outside them is read', () => {
    fc.assert(
      fc.property(arbitraryOctets, fc.nat(50), fc.boolean(), (octets, segment, partial) => {
        const packet = fenced(octets);
        packet.segment = segment;
        packet.partial = partial;
        const answer = checkSuperframe(packet);
        const pieces = segmentCount(packet);
        if (segment > 0) expect(pieces > 0).toBe(answer === PASS);
        expect(segmentLength(packet)).toBeLessThanOrEqual(octets.length);
        expect(cutSuperframe(packet, wire, out)).toBe(answer === PASS ? pieces : 0);
        let total = 0;
        for (let i = 0; answer === PASS && i < pieces; i++) {
          total += out[i]!.end - out[i]!.start;
          wire.release(out[i]!);
        }
        expect(total).toBeLessThanOrEqual(octets.length * Math.max(1, pieces));
        expect(wire.taken).toBe(0);
      }),
      { numRuns: 3000 },
    );
  });
});

describe('checksums owed', () => {
  it('are computed from nothing, for both families and protocols', () => {
    fc.assert(
      fc.property(arbitraryShape, fc.nat(300), fc.nat(0xffff), (shape, length, rubbish) => {
        const right = packetOf(shape, counting(length));
        const owing = right.slice();
        putWord(owing, (shape.v6 ? 40 : 20) + (shape.tcp ? 16 : 6), rubbish);
        const packet = pooled(pool, owing, 0, true);
        expect(completeChecksum(packet)).toBe(PASS);
        expect(packet.partial).toBe(false);
        expect(toHex(octetsOf(packet))).toBe(toHex(right));
        expect([packet.buf[packet.start - 1], packet.buf[packet.end]]).toEqual([0xa5, 0xa5]);
        pool.release(packet);
      }),
      { numRuns: 300 },
    );
  });

  it('nothing is touched where nothing is owed, nor in a superframe', () => {
    const octets = buildTcp({
      source: addr('10.0.0.1'),
      destination: addr('10.0.0.2'),
      sourcePort: 1,
      destinationPort: 2,
    });
    putWord(octets, 36, 0x1234);
    for (const [segment, partial] of [
      [0, false],
      [100, true],
    ] as const) {
      const packet = pooled(pool, octets, segment, partial);
      expect(completeChecksum(packet)).toBe(PASS);
      expect([packet.partial, toHex(octetsOf(packet))]).toEqual([partial, toHex(octets)]);
      pool.release(packet);
    }
  });

  it('any octets have a verdict, and nothing outside them is touched', () => {
    fc.assert(
      fc.property(arbitraryOctets, (octets) => {
        const packet = fenced(octets);
        packet.partial = true;
        const verdict = completeChecksum(packet);
        expect(packet.partial).toBe(verdict !== PASS);
      }),
      { numRuns: 2000 },
    );
  });
});

describe('the pool', () => {
  it('hands out packets that are no superframes and owe nothing', () => {
    const packet = pool.take()!;
    packet.segment = 1400;
    packet.partial = true;
    pool.release(packet);
    const again = pool.take()!;
    expect(again).toBe(packet);
    expect([again.segment, again.partial]).toEqual([0, false]);
    pool.release(again);
  });

  it('shows the same octets to both views', () => {
    const packet = pool.from(counting(9))!;
    expect(packet.view.getUint32(packet.start + 1)).toBe(0x01020304);
    expect(packet.view.byteLength).toBe(packet.buf.length);
    pool.release(packet);
    const wrapped = wrapPacket(counting(9).subarray(2), 1, 5);
    expect([wrapped.view.getUint16(1), wrapped.start, wrapped.end, wrapped.slot]).toEqual([0x0304, 1, 5, -1]);
  });
});
