/**
 * pcapng files: reader and writer of sections, interfaces and packets.
 *
 * Read first: draft-ietf-opsawg-pcapng §3.1 (blocks), §3.5 (options), §4.1–4.4 (SHB, IDB, EPB, SPB), appendix A (OPB).
 * Reads both byte orders, several sections, every timestamp resolution, comments, names and directions; steps over all other
 * blocks. Writes nanoseconds. Limits: `MAX_FRAME` octets a frame, `MAX_BLOCK` octets a block it has to hold, `MAX_INTERFACES` a section.
 */
import type { Bytes } from '../core/index.ts';
import { concat, EMPTY, WireError } from '../core/index.ts';
import { type CaptureTime, type Frame, MAX_FRAME } from './frame.ts';
import { OctetSource } from './octet-source.ts';

/** Yields the frames of a pcapng file; throws a `WireError` with the file offset after the last one it understood. */
export function* readPcapng(chunks: Iterable<Bytes>): Generator<Frame, void, undefined> {
  yield* readPcapngFrom(new OctetSource(chunks));
}

export function* readPcapngFrom(source: OctetSource): Generator<Frame, void, undefined> {
  let section: Section | undefined;
  let number = 0;
  while (!source.ended()) {
    const at = source.at;
    const head = source.peek('pcapng.block', 8);
    const isSection = BLOCK_SECTION.every((octet, i) => head[i] === octet);
    if (isSection) section = sectionAt(source, at);
    if (section === undefined)
      throw new WireError('pcapng.section', at, 'the file does not begin with a section header');
    const { littleEndian } = section;
    const type = isSection ? 0x0a0d0d0a : view(head).getUint32(0, littleEndian);
    const length = view(head).getUint32(4, littleEndian);
    if (length < 12 || length % 4 !== 0)
      throw new WireError('pcapng.block.length', at + 4, `${length} octets in a block`);
    const known = isSection || type === BLOCK.interface || PACKET_BLOCKS.has(type);
    if (!known) {
      source.skip('pcapng.block', length);
      continue;
    }
    if (length > MAX_BLOCK) throw new WireError('pcapng.block.length', at + 4, `${length} octets in a block`);
    const block = new Block(source.take('pcapng.block', length), at, littleEndian);
    if (block.u32('pcapng.block.trailer', length - 4) !== length) {
      throw new WireError('pcapng.block.trailer', at + length - 4, `does not repeat the length ${length}`);
    }
    if (type === BLOCK.interface) addInterface(section, block);
    else if (!isSection) yield packetFrame(section, block, type, ++number);
  }
}

/** One interface of a section, in the order of their blocks. */
export interface PcapngInterface {
  readonly linkType: number;
  readonly name?: string;
  readonly description?: string;
  readonly snapLength?: number;
}

export interface PcapngPacket {
  /** Index of the interface block in its section. */
  readonly interface: number;
  readonly time: CaptureTime;
  readonly octets: Bytes;
  readonly originalLength?: number;
  readonly direction?: 'inbound' | 'outbound' | undefined;
  readonly comments?: readonly string[];
}

/** A Section Header Block: what a file, or a further section of it, begins with. */
export function pcapngSection(
  options: { readonly application?: string; readonly comments?: readonly string[] } = {},
  littleEndian = true,
): Bytes {
  const body = view(new Uint8Array(16));
  body.setUint32(0, BYTE_ORDER_MAGIC, littleEndian);
  body.setUint16(4, 1, littleEndian);
  body.setUint32(8, 0xffffffff, littleEndian);
  body.setUint32(12, 0xffffffff, littleEndian);
  const chosen = [
    ...comments(options.comments),
    ...(options.application === undefined ? [] : [text(4, options.application)]),
  ];
  return blockOf(0x0a0d0d0a, [octetsOf(body)], chosen, littleEndian);
}

export function pcapngInterface(options: PcapngInterface, littleEndian = true): Bytes {
  const body = view(new Uint8Array(8));
  body.setUint16(0, options.linkType, littleEndian);
  body.setUint32(4, options.snapLength ?? 0, littleEndian);
  const chosen = [
    ...(options.name === undefined ? [] : [text(OPTION.interfaceName, options.name)]),
    ...(options.description === undefined ? [] : [text(3, options.description)]),
    { code: OPTION.resolution, value: Uint8Array.of(9) },
  ];
  return blockOf(BLOCK.interface, [octetsOf(body)], chosen, littleEndian);
}

/** An Enhanced Packet Block. */
export function pcapngPacket(packet: PcapngPacket, littleEndian = true): Bytes {
  const units = BigInt(packet.time.seconds) * 1_000_000_000n + BigInt(packet.time.nanoseconds);
  const body = view(new Uint8Array(20));
  body.setUint32(0, packet.interface, littleEndian);
  body.setUint32(4, Number(units >> 32n), littleEndian);
  body.setUint32(8, Number(units & 0xffffffffn), littleEndian);
  body.setUint32(12, packet.octets.length, littleEndian);
  body.setUint32(16, packet.originalLength ?? packet.octets.length, littleEndian);
  const chosen = [...comments(packet.comments)];
  if (packet.direction !== undefined) {
    const flags = view(new Uint8Array(4));
    flags.setUint32(0, packet.direction === 'inbound' ? 1 : 2, littleEndian);
    chosen.push({ code: OPTION.flags, value: octetsOf(flags) });
  }
  return blockOf(BLOCK.enhanced, [octetsOf(body), packet.octets], chosen, littleEndian);
}

interface Interface {
  readonly linkType: number;
  readonly snapLength: number;
  readonly name: string | undefined;
  /** Units of the timestamps in a second. */
  readonly resolution: bigint;
  /** Seconds to add. */
  readonly offset: number;
}

interface Section {
  readonly littleEndian: boolean;
  readonly interfaces: Interface[];
}

interface Option {
  readonly code: number;
  readonly value: Bytes;
}

/** A whole block with checked access; offsets count from its start, errors from the start of the file. */
class Block {
  readonly octets: Bytes;
  readonly at: number;
  readonly littleEndian: boolean;
  /** Where the trailing length begins. */
  readonly end: number;
  readonly #view: DataView;

  constructor(octets: Bytes, at: number, littleEndian: boolean) {
    this.octets = octets;
    this.at = at;
    this.littleEndian = littleEndian;
    this.end = octets.length - 4;
    this.#view = view(octets);
  }

  u16(field: string, offset: number): number {
    this.#within(field, offset, 2);
    return this.#view.getUint16(offset, this.littleEndian);
  }

  u32(field: string, offset: number): number {
    this.#within(field, offset, 4);
    return this.#view.getUint32(offset, this.littleEndian);
  }

  bytes(field: string, offset: number, length: number): Bytes {
    this.#within(field, offset, length);
    return this.octets.slice(offset, offset + length);
  }

  /** §3.5: code, length, value padded to 32 bits; the end-of-options option is optional when reading. */
  options(offset: number): Option[] {
    const found: Option[] = [];
    let at = offset;
    while (at + 4 <= this.end) {
      const code = this.u16('pcapng.option', at);
      const length = this.u16('pcapng.option.length', at + 2);
      if (code === 0) break;
      if (at + 4 + length > this.end) {
        throw new WireError('pcapng.option.length', this.at + at + 2, `${length} octets, ${this.end - at - 4} left`);
      }
      found.push({ code, value: this.bytes('pcapng.option', at + 4, length) });
      at += 4 + padded(length);
    }
    return found;
  }

  #within(field: string, offset: number, length: number): void {
    if (offset + length > this.octets.length) {
      throw new WireError(field, this.at + offset, `needs ${length} octets, ${this.octets.length - offset} left`);
    }
  }
}

function sectionAt(source: OctetSource, at: number): Section {
  const magic = source.peek('pcapng.section', 12).subarray(8);
  for (const littleEndian of [true, false]) {
    if (view(magic).getUint32(0, littleEndian) === BYTE_ORDER_MAGIC) return { littleEndian, interfaces: [] };
  }
  throw new WireError('pcapng.byteOrderMagic', at + 8, 'neither byte order');
}

function addInterface(section: Section, block: Block): void {
  if (section.interfaces.length >= MAX_INTERFACES) {
    throw new WireError('pcapng.interface', block.at, `more than ${MAX_INTERFACES} interfaces`);
  }
  let name: string | undefined;
  let resolution = 1_000_000n;
  let offset = 0;
  const linkType = block.u16('pcapng.interface.linkType', 8);
  const snapLength = block.u32('pcapng.interface.snapLength', 12);
  for (const { code, value } of block.options(16)) {
    if (code === OPTION.interfaceName) name = fromText(value);
    if (code === OPTION.resolution && value.length >= 1) {
      const exponent = BigInt(value[0]! & 0x7f);
      resolution = (value[0]! & 0x80) === 0 ? 10n ** exponent : 2n ** exponent;
    }
    if (code === OPTION.timeOffset && value.length >= 8)
      offset = Number(view(value).getBigInt64(0, block.littleEndian));
  }
  section.interfaces.push({ linkType, snapLength, name, resolution, offset });
}

function packetFrame(section: Section, block: Block, type: number, number: number): Frame {
  const simple = type === BLOCK.simple;
  const obsolete = type === BLOCK.obsolete;
  const index = simple
    ? 0
    : obsolete
      ? block.u16('pcapng.packet.interface', 8)
      : block.u32('pcapng.packet.interface', 8);
  const from = section.interfaces[index];
  if (from === undefined)
    throw new WireError('pcapng.packet.interface', block.at + 8, `interface ${index} is not described`);
  if (simple) {
    const originalLength = block.u32('pcapng.packet.originalLength', 8);
    const limit = from.snapLength === 0 ? originalLength : Math.min(originalLength, from.snapLength);
    const octets = dataOf(block, 12, Math.min(limit, block.end - 12), 8);
    return {
      ...described(from, index, number),
      time: undefined,
      originalLength,
      octets,
      comments: [],
      direction: undefined,
    };
  }
  const captured = block.u32('pcapng.packet.capturedLength', 20);
  const originalLength = block.u32('pcapng.packet.originalLength', 24);
  const octets = dataOf(block, 28, captured, 20);
  const options = block.options(28 + padded(captured));
  const flags = options.find((o) => o.code === OPTION.flags && o.value.length >= 4)?.value;
  const way = flags === undefined ? 0 : view(flags).getUint32(0, block.littleEndian) & 3;
  return {
    ...described(from, index, number),
    time: timeOf(from, block.u32('pcapng.packet.time', 12), block.u32('pcapng.packet.time', 16)),
    originalLength,
    octets,
    comments: options.filter((o) => o.code === OPTION.comment).map((o) => fromText(o.value)),
    direction: way === 1 ? 'inbound' : way === 2 ? 'outbound' : undefined,
  };
}

const described = (from: Interface, index: number, number: number) => ({
  number,
  linkType: from.linkType,
  interface: index,
  interfaceName: from.name,
});

function dataOf(block: Block, offset: number, length: number, field: number): Bytes {
  if (length > MAX_FRAME)
    throw new WireError('pcapng.packet.capturedLength', block.at + field, `${length} octets in one frame`);
  if (offset + length > block.end) {
    throw new WireError('pcapng.packet.data', block.at + offset, `needs ${length} octets, ${block.end - offset} left`);
  }
  return block.bytes('pcapng.packet.data', offset, length);
}

function timeOf(from: Interface, high: number, low: number): CaptureTime {
  const units = (BigInt(high) << 32n) | BigInt(low);
  return {
    seconds: Number(units / from.resolution) + from.offset,
    nanoseconds: Number(((units % from.resolution) * 1_000_000_000n) / from.resolution),
  };
}

function blockOf(type: number, body: readonly Bytes[], options: readonly Option[], littleEndian: boolean): Bytes {
  const parts: Bytes[] = body.flatMap((part) => [part, new Uint8Array(padded(part.length) - part.length)]);
  for (const { code, value } of options) {
    parts.push(pair(code, value.length, littleEndian), value, new Uint8Array(padded(value.length) - value.length));
  }
  if (options.length > 0) parts.push(pair(0, 0, littleEndian));
  const length = view(new Uint8Array(4));
  length.setUint32(0, 12 + parts.reduce((sum, part) => sum + part.length, 0), littleEndian);
  const kind = view(new Uint8Array(4));
  kind.setUint32(0, type, littleEndian);
  return concat(octetsOf(kind), octetsOf(length), ...parts, octetsOf(length));
}

function pair(code: number, length: number, littleEndian: boolean): Bytes {
  const out = view(new Uint8Array(4));
  out.setUint16(0, code, littleEndian);
  out.setUint16(2, length, littleEndian);
  return octetsOf(out);
}

const padded = (length: number): number => (length + 3) & ~3;
const view = (octets: Bytes): DataView => new DataView(octets.buffer, octets.byteOffset, octets.byteLength);
const octetsOf = (data: DataView): Bytes => new Uint8Array(data.buffer, data.byteOffset, data.byteLength);
/** An option's length has 16 bits; a longer text is cut. */
const text = (code: number, value: string): Option => ({
  code,
  value: new TextEncoder().encode(value).slice(0, 0xfffc),
});
const comments = (all: readonly string[] | undefined): Option[] =>
  (all ?? []).map((value) => text(OPTION.comment, value));
const fromText = (value: Bytes): string => new TextDecoder().decode(value.length === 0 ? EMPTY : value);

export const isPcapngMagic = (octets: Bytes): boolean => BLOCK_SECTION.every((octet, i) => octets[i] === octet);

const BYTE_ORDER_MAGIC = 0x1a2b3c4d;
/** The same in both byte orders, on purpose. */
const BLOCK_SECTION = [0x0a, 0x0d, 0x0d, 0x0a] as const;
const BLOCK = { interface: 1, obsolete: 2, simple: 3, enhanced: 6 } as const;
const PACKET_BLOCKS: ReadonlySet<number> = new Set([BLOCK.obsolete, BLOCK.simple, BLOCK.enhanced]);
/** Codes are counted per block type; 1 is a comment everywhere. */
const OPTION = { comment: 1, flags: 2, interfaceName: 2, resolution: 9, timeOffset: 14 } as const;
const MAX_BLOCK = MAX_FRAME + 1048576;
const MAX_INTERFACES = 65536;
