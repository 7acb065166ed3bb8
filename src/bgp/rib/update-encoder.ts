/**
 * UPDATE messages of one family to one kind of session, packed: as many prefixes behind one attribute set as the length allows.
 *
 * Read first: RFC 4271 §4.3, §9.2.4; RFC 4760 §3, §4; RFC 6793 §4.2.2; RFC 8950 §4. A message announces or withdraws, never both, so no
 * prefix is twice in it. MP_REACH_NLRI and MP_UNREACH_NLRI stand first (RFC 7606 §5.1).
 */
import { type Bytes, concat, EMPTY, putU16, u16 } from '../../core/index.ts';
import { AS_TRANS, ATTRIBUTE, HEADER_LENGTH } from '../message/iana.ts';
import { type CodecContext, type Family, IPV4_UNICAST } from '../message/types.ts';
import { narrow, withoutConfederation } from './as-path.ts';
import { type AttributeStore, HEADER, putWord, valueAt, valueLength, word } from './attribute-store.ts';
import type { PathTable } from './path-table.ts';
import type { PrefixTable } from './prefix-table.ts';

export class UpdateEncoder {
  readonly maximum: number;
  readonly #family: Family;
  readonly #addPath: boolean;
  readonly #four: boolean;
  readonly #store: AttributeStore;
  readonly #table: PrefixTable;
  readonly #paths: PathTable;
  /** Attributes of the set that was last prepared, but for MP_REACH_NLRI. */
  #attributes: Bytes = new Uint8Array(1024);
  #length = 0;
  #hop: Bytes = EMPTY;
  #multiprotocol = false;

  constructor(family: Family, send: CodecContext, store: AttributeStore, table: PrefixTable, paths: PathTable) {
    this.#family = family;
    this.#addPath = send.addPath.includes(family);
    this.#four = send.fourOctetAs;
    this.maximum = send.maximumLength;
    this.#store = store;
    this.#table = table;
    this.#paths = paths;
  }

  /** Sets the attributes of the announcements that follow. False: they leave no room for a prefix. */
  prepare(id: number): boolean {
    const store = this.#store;
    const offset = store.offsets[id]!;
    const hop = store.arena[offset + 2]!;
    const need = store.lengths[id]! * 2 + 64;
    if (this.#attributes.length < need) this.#attributes = new Uint8Array(need * 2);
    this.#multiprotocol = this.#family !== IPV4_UNICAST || hop !== 4;
    this.#hop = store.arena.subarray(offset + HEADER, offset + HEADER + hop);
    this.#length = this.#four ? this.#copy(id) : this.#narrowed(id);
    return HEADER_LENGTH + 4 + this.#length + (this.#multiprotocol ? 9 + hop : 0) + LONGEST_NLRI <= this.maximum;
  }

  /** Writes a message with units from `from` on at `at`; returns how many fit. `end` is where it ends. */
  announce(out: Bytes, at: number, units: Uint32Array, from: number, to: number): number {
    const begin = at + HEADER_LENGTH;
    putU16(out, begin, 0);
    let next: number;
    if (this.#multiprotocol) {
      const value = begin + 8;
      out[begin + 4] = 0x90;
      out[begin + 5] = ATTRIBUTE.MP_REACH_NLRI;
      putU16(out, value, this.#family >>> 8);
      out[value + 2] = this.#family;
      out[value + 3] = this.#hop.length;
      out.set(this.#hop, value + 4);
      const nlri = value + 5 + this.#hop.length;
      out[nlri - 1] = 0;
      next = this.#fill(out, nlri, at + this.maximum - this.#length, units, from, to);
      putU16(out, begin + 6, this.end - value);
      this.#append(out);
      putU16(out, begin + 2, this.end - begin - 4);
    } else {
      putU16(out, begin + 2, this.#length);
      this.end = begin + 4;
      this.#append(out);
      next = this.#fill(out, this.end, at + this.maximum, units, from, to);
    }
    finish(out, at, this.end);
    return next - from;
  }

  withdraw(out: Bytes, at: number, units: Uint32Array, from: number, to: number): number {
    const begin = at + HEADER_LENGTH;
    let next: number;
    if (this.#family === IPV4_UNICAST) {
      next = this.#fill(out, begin + 2, at + this.maximum - 2, units, from, to);
      putU16(out, begin, this.end - begin - 2);
      putU16(out, this.end, 0);
      this.end += 2;
    } else {
      next = this.#fill(out, this.#unreach(out, begin), at + this.maximum, units, from, to);
      putU16(out, begin + 2, this.end - begin - 4);
      putU16(out, begin + 6, this.end - begin - 8);
    }
    finish(out, at, this.end);
    return next - from;
  }

  /** End-of-RIB (RFC 4724 §2). */
  endOfRib(): Bytes {
    const out = new Uint8Array(HEADER_LENGTH + (this.#family === IPV4_UNICAST ? 4 : 11));
    if (this.#family !== IPV4_UNICAST) {
      this.#unreach(out, HEADER_LENGTH);
      putU16(out, HEADER_LENGTH + 2, 7);
      putU16(out, HEADER_LENGTH + 6, 3);
    }
    finish(out, 0, out.length);
    return out;
  }

  /** Where the message that was last written ends. */
  end = 0;

  /** The units that an announcement of our own making is about, as far as they still mean the same. */
  eachUnit(update: Bytes, visit: (unit: number) => void): void {
    const attributes = HEADER_LENGTH + 4;
    const multiprotocol = update[attributes + 1] === ATTRIBUTE.MP_REACH_NLRI;
    let at = attributes + u16(update, HEADER_LENGTH + 2);
    let end = update.length;
    if (multiprotocol) {
      const value = attributes + 4;
      at = value + 5 + update[value + 3]!;
      end = value + u16(update, attributes + 2);
    }
    while (at < end) {
      const id = this.#addPath ? word(update, at) : 0;
      if (this.#addPath) at += 4;
      const length = update[at]!;
      this.#table.read(update, at + 1, length);
      const row = this.#table.find(length);
      if (row === 0) {
        at += 1 + ((length + 7) >>> 3);
        continue;
      }
      if (!this.#addPath) visit(row);
      else if (this.#paths.rows[id] === row) visit(id);
      at += 1 + ((length + 7) >>> 3);
    }
  }

  #unreach(out: Bytes, begin: number): number {
    putU16(out, begin, 0);
    out[begin + 4] = 0x90;
    out[begin + 5] = ATTRIBUTE.MP_UNREACH_NLRI;
    putU16(out, begin + 8, this.#family >>> 8);
    out[begin + 10] = this.#family;
    return begin + 11;
  }

  #fill(out: Bytes, at: number, limit: number, units: Uint32Array, from: number, to: number): number {
    const table = this.#table;
    const { rows } = this.#paths;
    let next = from;
    for (; next < to; next++) {
      const unit = units[next]!;
      const row = this.#addPath ? rows[unit]! : unit;
      const size = 1 + ((table.lengths[row]! + 7) >>> 3) + (this.#addPath ? 4 : 0);
      if (at + size > limit) break;
      if (this.#addPath) {
        putWord(out, at, unit);
        at += 4;
      }
      at = table.write(row, out, at);
    }
    this.end = at;
    return next;
  }

  #append(out: Bytes): void {
    const attributes = this.#attributes;
    const length = this.#length;
    const at = this.end;
    for (let i = 0; i < length; i++) out[at + i] = attributes[i]!;
    this.end = at + length;
  }

  /** ORIGIN and AS_PATH, NEXT_HOP, then the others: the order of types. */
  #copy(id: number): number {
    const { arena } = this.#store;
    const offset = this.#store.offsets[id]!;
    const end = offset + this.#store.lengths[id]!;
    const out = this.#attributes;
    let to = 0;
    let from = offset + HEADER + arena[offset + 2]!;
    while (from < end && arena[from + 1]! < ATTRIBUTE.NEXT_HOP) {
      const stop = valueAt(arena, from) + valueLength(arena, from);
      while (from < stop) out[to++] = arena[from++]!;
    }
    to = this.#nextHop(to);
    while (from < end) out[to++] = arena[from++]!;
    return to;
  }

  #nextHop(at: number): number {
    if (this.#multiprotocol) return at;
    const out = this.#attributes;
    out[at] = 0x40;
    out[at + 1] = ATTRIBUTE.NEXT_HOP;
    out[at + 2] = 4;
    out.set(this.#hop, at + 3);
    return at + 7;
  }

  /** To a speaker of two octets: AS_TRANS where a number does not fit, and AS4_PATH and AS4_AGGREGATOR that say what it is. */
  #narrowed(id: number): number {
    const { arena } = this.#store;
    const offset = this.#store.offsets[id]!;
    const end = offset + this.#store.lengths[id]!;
    const later: Bytes[] = [];
    const parts: Bytes[] = [];
    let hop = this.#multiprotocol;
    for (let at = offset + HEADER + arena[offset + 2]!; at < end; ) {
      const type = arena[at + 1]!;
      const start = valueAt(arena, at);
      const length = valueLength(arena, at);
      if (!hop && type > ATTRIBUTE.NEXT_HOP) {
        hop = true;
        parts.push(attribute(0x40, ATTRIBUTE.NEXT_HOP, this.#hop));
      }
      if (type > ATTRIBUTE.AS4_AGGREGATOR) parts.push(...later.splice(0));
      if (type === ATTRIBUTE.AS_PATH) {
        const { octets, fits } = narrow(arena, start, length);
        parts.push(attribute(0x40, type, octets));
        const wide = fits ? EMPTY : withoutConfederation(arena.slice(start, start + length));
        // RFC 6793 §6: it has a segment at least.
        if (wide.length > 0) later.push(attribute(0xc0, ATTRIBUTE.AS4_PATH, wide));
      } else if (type === ATTRIBUTE.AGGREGATOR) {
        parts.push(attribute(arena[at]! & 0xe0, type, narrowAggregator(arena, start)));
        if (word(arena, start) > 0xffff)
          later.push(attribute(0xc0, ATTRIBUTE.AS4_AGGREGATOR, arena.slice(start, start + 8)));
      } else parts.push(arena.slice(at, start + length));
      at = start + length;
    }
    if (!hop) parts.push(attribute(0x40, ATTRIBUTE.NEXT_HOP, this.#hop));
    const all = concat(...parts, ...later);
    this.#attributes.set(all);
    return all.length;
  }
}

function narrowAggregator(b: Bytes, at: number): Bytes {
  const out = new Uint8Array(6);
  const asn = word(b, at);
  putU16(out, 0, asn > 0xffff ? AS_TRANS : asn);
  out.set(b.subarray(at + 4, at + 8), 2);
  return out;
}

function attribute(flags: number, type: number, value: Bytes): Bytes {
  const wide = value.length > 255;
  const head = wide ? [flags | 0x10, type, value.length >>> 8, value.length & 0xff] : [flags, type, value.length];
  return concat(Uint8Array.from(head), value);
}

function finish(out: Bytes, at: number, end: number): void {
  for (let i = at; i < at + 16; i++) out[i] = 0xff;
  putU16(out, at + 16, end - at);
  out[at + 18] = 2;
}

/** Path identifier, length, 16 octets. */
const LONGEST_NLRI = 21;
