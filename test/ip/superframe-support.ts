/** Superframes for tests, and what cutting one means, written down naively: lists of octets, one segment after the other. */
import fc from 'fast-check';
import { buildIpv4, buildIpv6, type Packet, PacketPool } from '../../src/ip/index.ts';

export interface Shape {
  readonly v6: boolean;
  readonly tcp: boolean;
  readonly source: number;
  readonly sourcePort: number;
  readonly trafficClass: number;
  readonly hopLimit: number;
  readonly dontFragment: boolean;
  readonly identification: number;
  readonly flowLabel: number;
  readonly sequence: number;
  readonly acknowledgment: number;
  /** Without SYN, RST, URG. */
  readonly flags: number;
  readonly window: number;
  readonly urgent: number;
  /** Words of TCP options. */
  readonly options: readonly number[];
}

/** An ordinary TCP segment over IPv4. */
export const PLAIN: Shape = {
  v6: false,
  tcp: true,
  source: 2,
  sourcePort: 1024,
  trafficClass: 0,
  hopLimit: 64,
  dontFragment: true,
  identification: 7,
  flowLabel: 0,
  sequence: 1000,
  acknowledgment: 1,
  flags: 0x10,
  window: 500,
  urgent: 0,
  options: [],
};

export const arbitraryShape: fc.Arbitrary<Shape> = fc.record({
  v6: fc.boolean(),
  tcp: fc.boolean(),
  source: fc.nat(0xff),
  sourcePort: fc.nat(0xffff),
  trafficClass: fc.nat(0xff),
  hopLimit: fc.nat(0xff),
  dontFragment: fc.boolean(),
  identification: fc.oneof(fc.nat(0xffff), fc.constantFrom(0xfffe, 0xffff)),
  flowLabel: fc.nat(0xfffff),
  sequence: fc.oneof(fc.nat(0xffffffff), fc.constantFrom(0xffffffff, 0xfffffc00)),
  acknowledgment: fc.nat(0xffffffff),
  flags: fc.nat(0xff).map((flags) => flags & ~0x26),
  window: fc.nat(0xffff),
  urgent: fc.nat(0xffff),
  options: fc.array(fc.nat(0xffffffff), { maxLength: 10 }),
});

export const headersOf = (shape: Shape): number =>
  (shape.v6 ? 40 : 20) + (shape.tcp ? 20 + 4 * shape.options.length : 8);

const bytes16 = (value: number): number[] => [(value >>> 8) & 0xff, value & 0xff];
const bytes32 = (value: number): number[] => [...bytes16(value >>> 16), ...bytes16(value & 0xffff)];
export const word = (octets: Uint8Array, at: number): number => octets[at]! * 256 + octets[at + 1]!;
export const putWord = (octets: Uint8Array, at: number, value: number): void => octets.set(bytes16(value), at);

/** RFC 1071 §1, word by word with the carry added at once. */
export function naiveSum(octets: readonly number[] | Uint8Array): number {
  let sum = 0;
  for (let i = 0; i < octets.length; i += 2) {
    sum += octets[i]! * 256 + (octets[i + 1] ?? 0);
    if (sum > 0xffff) sum -= 0xffff;
  }
  return sum;
}

/** The sum of the pseudo header (RFC 9293 §3.1, RFC 8200 §8.1) of a packet whose upper layer begins at `at`. */
export function naivePseudoSum(octets: Uint8Array, at: number, protocol: number): number {
  const addresses = octets[0]! >>> 4 === 4 ? octets.slice(12, 20) : octets.slice(8, 40);
  return naiveSum([...addresses, ...bytes32(octets.length - at), ...bytes32(protocol)]);
}

/** Fills lengths and checksums of the packet, whose upper layer begins at `at`. */
export function settle(octets: Uint8Array, at: number, protocol: number): Uint8Array {
  if (octets[0]! >>> 4 === 4) {
    putWord(octets, 2, octets.length);
    putWord(octets, 10, 0);
    putWord(octets, 10, 0xffff - naiveSum(octets.slice(0, (octets[0]! & 15) * 4)));
  } else {
    putWord(octets, 4, octets.length - 40);
  }
  const field = at + (protocol === 6 ? 16 : 6);
  if (protocol === 17) putWord(octets, at + 4, octets.length - at);
  putWord(octets, field, 0);
  const whole = [...bytes16(naivePseudoSum(octets, at, protocol)), ...octets.slice(at)];
  const checksum = 0xffff - naiveSum(whole);
  putWord(octets, field, checksum === 0 && protocol === 17 ? 0xffff : checksum);
  return octets;
}

/** One packet with all its payload, right checksums included; `between` are IPv4 options or IPv6 extension headers. */
export function packetOf(shape: Shape, payload: Uint8Array, between = new Uint8Array(0)): Uint8Array {
  const { v6, tcp, trafficClass, flowLabel, hopLimit, identification, dontFragment } = shape;
  const protocol = tcp ? 6 : 17;
  const transport = tcp
    ? [
        ...bytes16(shape.sourcePort),
        ...bytes16(443),
        ...bytes32(shape.sequence),
        ...bytes32(shape.acknowledgment),
        (5 + shape.options.length) << 4,
        shape.flags,
        ...bytes16(shape.window),
        0,
        0,
        ...bytes16(shape.urgent),
        ...shape.options.flatMap(bytes32),
      ]
    : [...bytes16(shape.sourcePort), ...bytes16(443), 0, 0, 0, 0];
  const upper = Uint8Array.from([...transport, ...payload]);
  if (v6) {
    const ends = { source: v6Address(shape.source), destination: v6Address(0x100) };
    const inner = Uint8Array.from([...between, ...upper]);
    const next = between.length > 0 ? 60 : protocol;
    const octets = buildIpv6({ ...ends, protocol: next, trafficClass, flowLabel, hopLimit }, inner);
    return settle(octets, 40 + between.length, protocol);
  }
  const source = Uint8Array.of(10, 1, 0, shape.source);
  const destination = Uint8Array.of(10, 2, 0, 1);
  const fields = { source, destination, protocol, trafficClass, timeToLive: hopLimit, identification, dontFragment };
  return settle(buildIpv4({ ...fields, options: between }, upper), 20 + between.length, protocol);
}

const v6Address = (last: number): Uint8Array =>
  Uint8Array.from([0x20, 0x01, 0x0d, 0xb8, ...new Array(10).fill(0), ...bytes16(last)]);

/** What a superframe with headers up to `payloadAt` is on the wire. Its upper layer begins at `at`. */
export function naiveCut(
  whole: Uint8Array,
  at: number,
  payloadAt: number,
  protocol: number,
  segment: number,
): Uint8Array[] {
  const pieces: Uint8Array[] = [];
  const data = whole.slice(payloadAt);
  for (let done = 0, index = 0; index === 0 || done < data.length; done += segment, index++) {
    const part = data.slice(done, done + segment);
    const octets = Uint8Array.from([...whole.slice(0, payloadAt), ...part]);
    if (octets[0]! >>> 4 === 4) putWord(octets, 4, (word(whole, 4) + index) % 0x10000);
    if (protocol === 6) {
      const sequence = (word(whole, at + 4) * 0x10000 + word(whole, at + 6) + done) % 0x100000000;
      octets.set(bytes32(sequence), at + 4);
      if (index > 0) octets[at + 13]! &= ~0x80;
      if (done + segment < data.length) octets[at + 13]! &= ~0x09;
    }
    pieces.push(settle(octets, at, protocol));
  }
  return pieces;
}

/** A packet of `pool` with these octets in a slot full of rubbish. */
export function pooled(pool: PacketPool, octets: Uint8Array, segment = 0, partial = false): Packet {
  const packet = pool.take()!;
  packet.buf.fill(0xa5);
  packet.buf.set(octets, packet.start);
  packet.end = packet.start + octets.length;
  packet.segment = segment;
  packet.partial = partial;
  return packet;
}

/** Reads and writes outside [start, end) are an error, through the octets and through the view. */
export function fenced(octets: Uint8Array, before = 6): Packet {
  const inner = new Uint8Array(before + octets.length).fill(0xa5);
  inner.set(octets, before);
  const inside = (at: number, width: number): number => {
    if (at < before || at + width > inner.length) throw new Error(`[${at}, ${at + width}) is outside`);
    return at;
  };
  const words = new DataView(inner.buffer);
  const buf = new Proxy(inner, {
    get(target, key): unknown {
      if (typeof key !== 'string' || !/^-?[0-9]+$/.test(key)) throw new Error(`unexpected access to ${String(key)}`);
      inside(Number(key), 1);
      return target[Number(key)];
    },
    set(target, key, value: number): boolean {
      inside(Number(key), 1);
      target[Number(key)] = value;
      return true;
    },
  });
  const view = {
    getUint8: (at: number): number => words.getUint8(inside(at, 1)),
    getUint16: (at: number): number => words.getUint16(inside(at, 2)),
    getInt16: (at: number): number => words.getInt16(inside(at, 2)),
    getInt32: (at: number): number => words.getInt32(inside(at, 4)),
  } as unknown as DataView;
  return { buf, view, memory: buf, base: 0, slot: -1, start: before, end: inner.length, segment: 0, partial: false };
}

/**
 * Octets that look like a packet more often than not: a real one, cut off and with a few octets changed; or anything.
 */
export const arbitraryOctets: fc.Arbitrary<Uint8Array> = fc.oneof(
  fc.uint8Array({ maxLength: 120 }),
  fc
    .tuple(
      arbitraryShape,
      fc.uint8Array({ maxLength: 40 }),
      fc.constantFrom(0, 0, 8),
      fc.nat(130),
      fc.array(fc.tuple(fc.nat(90), fc.nat(0xff)), { maxLength: 3 }),
    )
    .map(([shape, payload, between, keep, changes]) => {
      const extension = new Uint8Array(between).fill(1);
      if (between > 0 && shape.v6) extension.set([shape.tcp ? 6 : 17, 0, 1, 4, 0, 0, 0, 0]);
      const octets = packetOf(shape, payload, extension).slice(0, keep < 100 ? undefined : keep);
      for (const [at, value] of changes) if (at < octets.length) octets[at] = value;
      return octets;
    }),
);

export const freshPool = (size = 600, capacity = 65536): PacketPool => new PacketPool(size, capacity);
