/**
 * Classic pcap files: reader and writer.
 *
 * Read first: draft-ietf-opsawg-pcap §4 (file header), §5 (packet record).
 * Both byte orders, microseconds and nanoseconds. Limit: `MAX_FRAME` octets a record; a longer one is an error, because it
 * is how a damaged length looks.
 */
import type { Bytes } from '../core/index.ts';
import { concat, WireError } from '../core/index.ts';
import { type CaptureTime, type Frame, MAX_FRAME } from './frame.ts';
import { OctetSource } from './octet-source.ts';

export interface PcapFormat {
  readonly linkType: number;
  readonly littleEndian?: boolean;
  readonly nanoseconds?: boolean;
  readonly snapLength?: number;
}

/** Yields the frames of a classic pcap file; throws a `WireError` with the file offset after the last one it understood. */
export function* readPcap(chunks: Iterable<Bytes>): Generator<Frame, void, undefined> {
  yield* readPcapFrom(new OctetSource(chunks));
}

export function* readPcapFrom(source: OctetSource): Generator<Frame, void, undefined> {
  const header = source.take('pcap.header', 24);
  const order = ORDERS.find(({ magic }) => magic.every((octet, i) => header[i] === octet));
  if (order === undefined) throw new WireError('pcap.magic', 0, 'not a classic pcap file');
  const { littleEndian } = order;
  const linkType = view(header).getUint16(littleEndian ? 20 : 22, littleEndian);
  for (let number = 1; !source.ended(); number++) {
    const at = source.at;
    const record = view(source.take('pcap.record', 16));
    const captured = record.getUint32(8, littleEndian);
    if (captured > MAX_FRAME) throw new WireError('pcap.record.length', at + 8, `${captured} octets in one frame`);
    const fraction = record.getUint32(4, littleEndian) * (order.nanoseconds ? 1 : 1000);
    yield {
      number,
      time: {
        seconds: record.getUint32(0, littleEndian) + Math.floor(fraction / 1e9),
        nanoseconds: fraction % 1e9,
      },
      linkType,
      interface: 0,
      interfaceName: undefined,
      originalLength: record.getUint32(12, littleEndian),
      octets: source.take('pcap.record.data', captured),
      comments: [],
      direction: undefined,
    };
  }
}

/** The 24 octets a file begins with. */
export function pcapHeader(format: PcapFormat): Bytes {
  const littleEndian = format.littleEndian ?? true;
  const out = view(new Uint8Array(24));
  out.setUint32(0, format.nanoseconds === true ? MAGIC_NANOSECONDS : MAGIC_MICROSECONDS, littleEndian);
  out.setUint16(4, 2, littleEndian);
  out.setUint16(6, 4, littleEndian);
  out.setUint32(16, format.snapLength ?? MAX_FRAME, littleEndian);
  out.setUint32(20, format.linkType, littleEndian);
  return octetsOf(out);
}

/** One packet record. Microsecond files lose the last three digits of the time. */
export function pcapRecord(
  format: PcapFormat,
  time: CaptureTime,
  octets: Bytes,
  originalLength = octets.length,
): Bytes {
  const littleEndian = format.littleEndian ?? true;
  const out = view(new Uint8Array(16));
  out.setUint32(0, time.seconds, littleEndian);
  out.setUint32(4, format.nanoseconds === true ? time.nanoseconds : Math.floor(time.nanoseconds / 1000), littleEndian);
  out.setUint32(8, octets.length, littleEndian);
  out.setUint32(12, originalLength, littleEndian);
  return concat(octetsOf(out), octets);
}

export const isPcapMagic = (octets: Bytes): boolean =>
  ORDERS.some(({ magic }) => magic.every((octet, i) => octets[i] === octet));

const view = (octets: Bytes): DataView => new DataView(octets.buffer, octets.byteOffset, octets.byteLength);
const octetsOf = (data: DataView): Bytes => new Uint8Array(data.buffer, data.byteOffset, data.byteLength);

const MAGIC_MICROSECONDS = 0xa1b2c3d4;
const MAGIC_NANOSECONDS = 0xa1b23c4d;
const ORDERS = [
  { magic: [0xa1, 0xb2, 0xc3, 0xd4], littleEndian: false, nanoseconds: false },
  { magic: [0xd4, 0xc3, 0xb2, 0xa1], littleEndian: true, nanoseconds: false },
  { magic: [0xa1, 0xb2, 0x3c, 0x4d], littleEndian: false, nanoseconds: true },
  { magic: [0x4d, 0x3c, 0xb2, 0xa1], littleEndian: true, nanoseconds: true },
] as const;
