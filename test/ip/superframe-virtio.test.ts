import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { fromHex, toHex } from '../../src/core/index.ts';
import {
  applyOffload,
  buildIpv4,
  completeChecksum,
  cutSuperframe,
  DROP,
  describeOffload,
  newOffload,
  OFFLOAD_KIND,
  type Offload,
  octetsOf,
  PASS,
  type Packet,
  PacketPool,
  readVirtioHeader,
  VIRTIO_HEADER,
  wrapPacket,
  writeVirtioHeader,
} from '../../src/ip/index.ts';
import { counting } from '../support/packets.ts';
import {
  arbitraryOctets,
  arbitraryShape,
  fenced,
  headersOf,
  naiveCut,
  naivePseudoSum,
  naiveSum,
  PLAIN,
  packetOf,
  putWord,
  word,
} from './superframe-support.ts';

const written = (offload: Partial<Offload>): string => {
  const buf = new Uint8Array(VIRTIO_HEADER + 2).fill(0xa5);
  writeVirtioHeader(buf, 1, { ...newOffload(), ...offload });
  expect([buf[0], buf[VIRTIO_HEADER + 1]]).toEqual([0xa5, 0xa5]);
  return toHex(buf.subarray(1, 1 + VIRTIO_HEADER));
};

const tcp4 = { partial: true, segment: 1448, headerLength: 52, checksumStart: 20, checksumOffset: 16 };

describe('virtio 1.2 §5.1.6: struct virtio_net_hdr', () => {
  it.each([
    ['an ordinary packet', {}, '00000000000000000000'],
    ['a checksum owed', { partial: true, checksumStart: 20, checksumOffset: 6 }, '01000000000014000600'],
    ['TCP over IPv4', { ...tcp4, kind: OFFLOAD_KIND.tcp4 }, '01013400a80514001000'],
    ['TCP with CWR', { ...tcp4, kind: OFFLOAD_KIND.tcp4, ecn: true }, '01813400a80514001000'],
    [
      'TCP over IPv6',
      { ...tcp4, kind: OFFLOAD_KIND.tcp6, headerLength: 72, checksumStart: 40 },
      '01044800a80528001000',
    ],
    ['UDP', { ...tcp4, kind: OFFLOAD_KIND.udp, headerLength: 28, checksumOffset: 6 }, '01051c00a80514000600'],
  ])('%s, octet by octet and back', (_, fields, hex) => {
    expect(written(fields)).toBe(hex);
    const out = newOffload();
    expect(readVirtioHeader(fromHex(`ff${hex}`), 1, 11, out)).toBe(PASS);
    expect(out).toEqual({ ...newOffload(), ...fields });
  });

  it('reads any octets of its ten, and refuses UFO and tunnels', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 12 }), (octets) => {
        const { buf, start, end } = fenced(octets);
        const known = [0, 1, 4, 5].includes((octets[1] ?? 0) & 0x7f);
        const verdict = octets.length < 10 ? DROP.short : known ? PASS : DROP.superframe;
        expect(readVirtioHeader(buf, start, end, newOffload())).toBe(verdict);
      }),
      { numRuns: 500 },
    );
    expect(readVirtioHeader(fromHex('00030000000000000000'), 0, 10, newOffload())).toBe(DROP.superframe);
    expect(readVirtioHeader(fromHex('00210000000000000000'), 0, 10, newOffload())).toBe(DROP.superframe);
  });
});

describe('from the device', () => {
  const out: Packet[] = [];
  const wire = new PacketPool(200, 2000);

  it('a described superframe, applied and cut, is what the naive reference makes of it', () => {
    fc.assert(
      fc.property(arbitraryShape, fc.integer({ min: 8, max: 500 }), fc.nat(1000), (shape, segment, more) => {
        const length = segment + 1 + more;
        const whole = packetOf(shape, counting(length));
        fc.pre(length <= 128 * segment);
        const at = shape.v6 ? 40 : 20;
        const protocol = shape.tcp ? 6 : 17;
        const expected = naiveCut(whole, at, headersOf(shape), protocol, segment);
        const sent = wrapPacket(whole.slice());
        sent.segment = segment;
        const offload = newOffload();
        describeOffload(sent, offload);
        expect(word(sent.buf, at + offload.checksumOffset)).toBe(naivePseudoSum(whole, at, protocol));
        const header = new Uint8Array(VIRTIO_HEADER);
        writeVirtioHeader(header, 0, offload);
        const heard = newOffload();
        expect(readVirtioHeader(header, 0, VIRTIO_HEADER, heard)).toBe(PASS);
        expect(heard).toEqual({
          kind: shape.tcp ? (shape.v6 ? OFFLOAD_KIND.tcp6 : OFFLOAD_KIND.tcp4) : OFFLOAD_KIND.udp,
          segment,
          ecn: shape.tcp && (shape.flags & 0x80) !== 0,
          partial: true,
          headerLength: headersOf(shape),
          checksumStart: at,
          checksumOffset: shape.tcp ? 16 : 6,
        });
        const received = wrapPacket(sent.buf);
        expect(applyOffload(received, heard)).toBe(PASS);
        expect([received.segment, received.partial]).toEqual([segment, true]);
        const pieces = cutSuperframe(received, wire, out);
        expect(out.slice(0, pieces).map((piece) => toHex(octetsOf(piece)))).toEqual(expected.map(toHex));
        for (let i = 0; i < pieces; i++) wire.release(out[i]!);
      }),
      { numRuns: 200 },
    );
  });

  it('a checksum owed by an ordinary packet is completed later', () => {
    fc.assert(
      fc.property(arbitraryShape, fc.nat(100), (shape, length) => {
        const right = packetOf(shape, counting(length));
        const sent = wrapPacket(right.slice());
        sent.partial = true;
        const offload = newOffload();
        describeOffload(sent, offload);
        const received = wrapPacket(sent.buf);
        expect(applyOffload(received, offload)).toBe(PASS);
        expect([received.segment, received.partial]).toEqual([0, true]);
        expect(completeChecksum(received)).toBe(PASS);
        expect(toHex(received.buf)).toBe(toHex(right));
      }),
      { numRuns: 100 },
    );
  });

  const inner = packetOf(PLAIN, counting(31));

  it('a checksum of a tunnelled packet is computed at once', () => {
    const outer = buildIpv4(
      { source: Uint8Array.of(10, 0, 0, 1), destination: Uint8Array.of(10, 0, 0, 2), protocol: 4 },
      inner,
    );
    const sent = outer.slice();
    putWord(sent, 20 + 20 + 16, naivePseudoSum(inner, 20, 6));
    const packet = wrapPacket(sent);
    const offload = { ...newOffload(), partial: true, checksumStart: 40, checksumOffset: 16 };
    expect(applyOffload(packet, offload)).toBe(PASS);
    expect(packet.partial).toBe(false);
    expect(toHex(packet.buf)).toBe(toHex(outer));
    expect(naiveSum([...packet.buf.slice(40)]) % 0xffff).toBe((0xffff - naivePseudoSum(inner, 20, 6)) % 0xffff);
  });

  it.each([
    ['a kind of the other family', { ...tcp4, kind: OFFLOAD_KIND.tcp6, segment: 10 }, DROP.superframe],
    ['a kind of the other protocol', { ...tcp4, kind: OFFLOAD_KIND.udp, segment: 10 }, DROP.superframe],
    ['no segment size', { ...tcp4, kind: OFFLOAD_KIND.tcp4, segment: 0 }, DROP.superframe],
    ['a checksum beyond the packet', { ...tcp4, checksumStart: 60 }, DROP.superframe],
    ['what fits in one segment is an ordinary packet', { ...tcp4, kind: OFFLOAD_KIND.tcp4, segment: 31 }, PASS],
  ])('%s', (_, fields, expected) => {
    const packet = wrapPacket(inner.slice());
    expect(applyOffload(packet, { ...newOffload(), ...fields })).toBe(expected);
    if (expected === PASS) expect([packet.segment, packet.partial]).toEqual([0, true]);
  });

  it('any octets with any header have a verdict, and nothing outside them is touched', () => {
    fc.assert(
      fc.property(
        arbitraryOctets,
        fc.uint8Array({ minLength: 10, maxLength: 10 }),
        fc.boolean(),
        (octets, header, near) => {
          if (near)
            header.set([
              1,
              [0, 1, 4, 5][header[1]! & 3]!,
              0,
              0,
              header[4]! & 63,
              0,
              header[6]! & 63,
              0,
              header[8]! & 31,
              0,
            ]);
          const offload = newOffload();
          if (readVirtioHeader(header, 0, 10, offload) !== PASS) return;
          const packet = fenced(octets);
          applyOffload(packet, offload);
          describeOffload(packet, offload);
          const owing = fenced(octets);
          owing.partial = true;
          describeOffload(owing, offload);
        },
      ),
      { numRuns: 3000 },
    );
  });
});
