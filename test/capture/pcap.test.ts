import { readFileSync } from 'node:fs';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  type Frame,
  LINK_TYPE,
  pcapHeader,
  pcapngInterface,
  pcapngPacket,
  pcapngSection,
  pcapRecord,
  readCapture,
} from '../../src/capture/index.ts';
import { type Bytes, concat, fromHex, WireError } from '../../src/core/index.ts';
import { sessions } from './sessions.ts';

/** All frames before the end or the error. */
function readAll(octets: Bytes, chunk = 65536): { frames: Frame[]; error: unknown } {
  const chunks = function* (): Generator<Bytes> {
    for (let at = 0; at < octets.length; at += chunk) yield octets.slice(at, at + chunk);
  };
  const frames: Frame[] = [];
  try {
    for (const frame of readCapture(chunks())) frames.push(frame);
  } catch (error) {
    return { frames, error };
  }
  return { frames, error: undefined };
}

const time = (nanoseconds = 123_456_789) => ({ seconds: 1_794_553_595, nanoseconds });
const octetsArb = fc.uint8Array({ maxLength: 80 });

describe('draft-ietf-opsawg-pcap §4–5: classic pcap', () => {
  it.each([
    [true, true],
    [true, false],
    [false, true],
    [false, false],
  ])('round trip, little endian %s, nanoseconds %s', (littleEndian, nanoseconds) => {
    const format = { linkType: LINK_TYPE.raw, littleEndian, nanoseconds };
    fc.assert(
      fc.property(fc.array(octetsArb, { maxLength: 8 }), fc.integer({ min: 1, max: 100 }), (packets, chunk) => {
        const file = concat(pcapHeader(format), ...packets.map((p) => pcapRecord(format, time(), p, p.length + 3)));
        const { frames, error } = readAll(file, chunk);
        expect(error).toBeUndefined();
        expect(frames.map((f) => f.octets)).toEqual(packets.map((p) => Uint8Array.from(p)));
        for (const frame of frames) {
          expect(frame.time).toEqual(time(nanoseconds ? 123_456_789 : 123_456_000));
          expect(frame.linkType).toBe(LINK_TYPE.raw);
          expect(frame.originalLength).toBe(frame.octets.length + 3);
        }
      }),
      { numRuns: 50 },
    );
  });

  it('writes the octets other tools write', () => {
    const file = concat(
      pcapHeader({ linkType: 1, snapLength: 65535 }),
      pcapRecord({ linkType: 1 }, time(), fromHex('0102')),
    );
    expect(file).toEqual(
      fromHex('d4c3b2a1 0200 0400 00000000 00000000 ffff0000 01000000 fbb6f66a 40e20100 02000000 02000000 0102'),
    );
  });

  it('a record longer than any frame is an error at its length, after the frames before it', () => {
    const good = concat(pcapHeader({ linkType: 1 }), pcapRecord({ linkType: 1 }, time(), fromHex('0102')));
    const { frames, error } = readAll(concat(good, fromHex('00000000000000007fffffff7fffffff')));
    expect(frames).toHaveLength(1);
    expect(error).toMatchObject({ name: 'WireError', field: 'pcap.record.length', at: good.length + 8 });
  });

  it('a file that ends within a record says where, and yields what came before', () => {
    const octets = new Uint8Array(readFileSync(sessions[0]!.pcap));
    const whole = readAll(octets).frames.length;
    const { frames, error } = readAll(octets.subarray(0, octets.length - 5));
    expect(frames).toHaveLength(whole - 1);
    expect(error).toBeInstanceOf(WireError);
    expect((error as WireError).message).toMatch(/^pcap\.record\.data @\d+: needs \d+ octets, the file has \d+ left$/);
  });
});

describe('draft-ietf-opsawg-pcapng §3–4', () => {
  const ifaces = [
    { linkType: LINK_TYPE.ethernet, name: 'eth0' },
    { linkType: LINK_TYPE.raw, name: 'tunnel ü', description: 'inside' },
  ];

  it.each([true, false])('round trip of interfaces, comments and directions, little endian %s', (littleEndian) => {
    const packetArb = fc.record({
      interface: fc.nat({ max: 1 }),
      octets: octetsArb,
      direction: fc.constantFrom('inbound' as const, 'outbound' as const, undefined),
      comments: fc.array(fc.string({ unit: 'grapheme', maxLength: 20 }), { maxLength: 2 }),
    });
    fc.assert(
      fc.property(fc.array(packetArb, { maxLength: 6 }), fc.integer({ min: 1, max: 200 }), (packets, chunk) => {
        const file = concat(
          pcapngSection({ application: 'test', comments: ['one'] }, littleEndian),
          ...ifaces.map((i) => pcapngInterface(i, littleEndian)),
          ...packets.map((p) => pcapngPacket({ ...p, time: time() }, littleEndian)),
        );
        const { frames, error } = readAll(file, chunk);
        expect(error).toBeUndefined();
        expect(frames).toEqual(
          packets.map((p, i) => ({
            number: i + 1,
            time: time(),
            linkType: ifaces[p.interface]!.linkType,
            interface: p.interface,
            interfaceName: ifaces[p.interface]!.name,
            originalLength: p.octets.length,
            octets: Uint8Array.from(p.octets),
            comments: p.comments,
            direction: p.direction,
          })),
        );
      }),
      { numRuns: 100 },
    );
  });

  it('§4.1: a second section has interfaces and a byte order of its own', () => {
    const section = (little: boolean, linkType: number, octet: number) =>
      concat(
        pcapngSection({}, little),
        pcapngInterface({ linkType }, little),
        pcapngPacket({ interface: 0, time: time(), octets: Uint8Array.of(octet) }, little),
      );
    const { frames, error } = readAll(concat(section(true, 1, 0xaa), section(false, 101, 0xbb)));
    expect(error).toBeUndefined();
    expect(frames.map((f) => [f.number, f.linkType, f.octets[0]])).toEqual([
      [1, 1, 0xaa],
      [2, 101, 0xbb],
    ]);
  });

  it('§3.1: unknown blocks are stepped over, whatever their size', () => {
    const unknown = concat(fromHex('0000abcd'), u32(300_000), new Uint8Array(300_000 - 12), u32(300_000));
    const packet = pcapngPacket({ interface: 0, time: time(), octets: Uint8Array.of(1) }, false);
    const file = concat(pcapngSection({}, false), unknown, pcapngInterface({ linkType: 1 }, false), unknown, packet);
    expect(readAll(file, 1000)).toMatchObject({ frames: [{ number: 1 }], error: undefined });
  });

  it.each([
    ['06', 10 ** 6],
    ['09', 10 ** 9],
    ['03', 10 ** 3],
    ['8a', 2 ** 10],
  ])('§4.2: if_tsresol %s', (resolution, perSecond) => {
    // An interface with if_tsresol and if_tsoffset 100, then a packet half a second after second 7.
    const iface = concat(
      fromHex('00000001 0000002c 00650000 00000000 00090001'),
      fromHex(`${resolution}000000`),
      fromHex('000e0008 0000000000000064 00000000 0000002c'),
    );
    const units = 7.5 * perSecond;
    const packet = concat(
      fromHex('00000006 00000024 00000000'),
      u32(Math.floor(units / 2 ** 32)),
      u32(units % 2 ** 32),
      fromHex('00000001 00000001 ff000000 00000024'),
    );
    const { frames, error } = readAll(concat(pcapngSection({}, false), iface, packet));
    expect(error).toBeUndefined();
    expect(frames[0]!.time).toEqual({ seconds: 107, nanoseconds: 500_000_000 });
  });

  it('§4.4 and appendix A: simple and obsolete packet blocks', () => {
    const simple = fromHex('00000003 00000014 00000003 01020300 00000014');
    const obsolete = fromHex('00000002 00000024 0000 ffff 00000000 000f4240 00000002 00000009 0a0b0000 00000024');
    const { frames, error } = readAll(
      concat(pcapngSection({}, false), fromHex('0000000100000014006500000000000000000014'), simple, obsolete),
    );
    expect(error).toBeUndefined();
    expect(frames).toMatchObject([
      { octets: fromHex('010203'), originalLength: 3, time: undefined },
      { octets: fromHex('0a0b'), originalLength: 9, time: { seconds: 1, nanoseconds: 0 } },
    ]);
  });

  it('the trailing length must repeat the leading one', () => {
    const file = pcapngSection({}, false);
    file[file.length - 1]! ^= 4;
    expect(readAll(file).error).toMatchObject({ field: 'pcapng.block.trailer', at: file.length - 4 });
  });
});

describe('damaged files', () => {
  it('an empty file, and one of another kind', () => {
    expect(readAll(new Uint8Array(0)).error).toMatchObject({ field: 'capture.magic', at: 0 });
    expect(readAll(fromHex('504b0304')).error).toMatchObject({ problem: 'neither a pcap nor a pcapng file' });
  });

  it('truncated and mutated: a WireError or frames, and nothing else', () => {
    const classic = new Uint8Array(readFileSync(sessions[0]!.pcap));
    const frames = readAll(classic).frames.slice(0, 6);
    const modern = concat(
      pcapngSection({ comments: ['x'] }),
      pcapngInterface({ linkType: 1, name: 'a' }),
      ...frames.map((f) => pcapngPacket({ interface: 0, time: f.time!, octets: f.octets, comments: ['c'] })),
    );
    const mutation = fc.array(fc.tuple(fc.nat(), fc.nat({ max: 255 })), { maxLength: 6 });
    for (const file of [classic.subarray(0, 3000), modern]) {
      fc.assert(
        fc.property(mutation, fc.nat(), (changes, cut) => {
          const copy = file.slice(0, cut % (file.length + 1));
          // The beginning is where the structure is.
          for (const [at, octet] of changes) if (copy.length > 0) copy[at % Math.min(copy.length, 400)] = octet;
          const { error } = readAll(copy);
          if (error !== undefined) expect(error).toBeInstanceOf(WireError);
        }),
        { numRuns: 1500 },
      );
    }
  });
});

function u32(value: number): Bytes {
  return Uint8Array.of(value >>> 24, value >>> 16, value >>> 8, value);
}
