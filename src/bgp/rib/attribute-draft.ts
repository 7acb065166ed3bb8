/**
 * An attribute set while it is put together or changed: a list of where each attribute's octets stand, then one canonical copy.
 *
 * One draft serves many sets, one after the other. Nothing is copied before `commit`, so what was added must stay where it is until then.
 */
import { type Bytes, EMPTY } from '../../core/index.ts';
import { ATTRIBUTE, SEGMENT } from '../message/iana.ts';
import { type AttributeStore, HEADER, putWord, valueAt, valueLength } from './attribute-store.ts';

/** RFC 4271 §4.3: what two octets of length can say. */
export const LONGEST_VALUE = 0xffff;
/** Why a set cannot be. */
export const TOO_LONG = 'an attribute would be longer than 65,535 octets (RFC 4271 §4.3)';

export class AttributeDraft {
  weight = 0;
  readonly #store: AttributeStore;
  readonly #types: number[] = [];
  readonly #flags: number[] = [];
  readonly #starts: number[] = [];
  readonly #lengths: number[] = [];
  readonly #sources: Bytes[] = [];
  /** Entries of the lists that count: they keep their room from one set to the next. */
  #count = 0;
  #hop: Bytes = EMPTY;
  #hopAt = 0;
  #hopLength = 0;

  constructor(store: AttributeStore) {
    this.#store = store;
  }

  begin(): void {
    this.weight = 0;
    this.#hopLength = 0;
    this.#count = 0;
  }

  /** Begins with what a set has. */
  load(id: number): void {
    this.begin();
    const { arena } = this.#store;
    const offset = this.#store.offsets[id]!;
    const end = offset + this.#store.lengths[id]!;
    this.weight = this.#store.weights[id]!;
    const hop = arena[offset + 2]!;
    this.hop(arena, offset + HEADER, hop);
    for (let at = offset + HEADER + hop; at < end; ) {
      const value = valueAt(arena, at);
      const length = valueLength(arena, at);
      this.#put(this.#count++, arena[at + 1]!, arena[at]!, arena, value, length);
      at = value + length;
    }
  }

  hop(source: Bytes, start = 0, length: number = source.length): void {
    this.#hop = source;
    this.#hopAt = start;
    this.#hopLength = length;
  }

  get hopLength(): number {
    return this.#hopLength;
  }

  has(type: number): boolean {
    return this.#find(type) >= 0;
  }

  /** A copy of a value, or undefined. */
  value(type: number): Bytes | undefined {
    const at = this.#find(type);
    if (at < 0) return undefined;
    return this.#sources[at]!.slice(this.#starts[at]!, this.#starts[at]! + this.#lengths[at]!);
  }

  drop(type: number): void {
    const at = this.#find(type);
    if (at < 0) return;
    for (const list of this.#lists()) list.splice(at, 1);
    this.#count--;
  }

  /** Adds an attribute, or replaces the one of its type. Of the flags, extended length is set by need. */
  set(type: number, flags: number, source: Bytes, start = 0, length: number = source.length): void {
    const types = this.#types;
    let at = this.#count;
    while (at > 0 && types[at - 1]! >= type) at--;
    if (at === this.#count || types[at] !== type) {
      if (at < this.#count) for (const list of this.#lists()) (list as unknown[]).splice(at, 0, undefined);
      this.#count++;
    }
    this.#put(at, type, flags, source, start, length);
  }

  setWord(type: number, flags: number, value: number): void {
    const octets = new Uint8Array(4);
    putWord(octets, 0, value);
    this.set(type, flags, octets);
  }

  /** RFC 4271 §5.1.2 b: leading AS_SEQUENCE, at most 255 numbers a segment. */
  prepend(asn: number, times = 1): void {
    const old = this.value(ATTRIBUTE.AS_PATH) ?? EMPTY;
    const room = old.length > 0 && old[0] === SEGMENT.SEQUENCE ? Math.min(times, 255 - old[1]!) : 0;
    const fresh = times - room;
    const out = new Uint8Array(old.length + 4 * times + (fresh > 0 ? 2 : 0));
    let at = 0;
    if (fresh > 0) {
      out[at++] = SEGMENT.SEQUENCE;
      out[at++] = fresh;
      for (let i = 0; i < fresh; i++, at += 4) putWord(out, at, asn);
    }
    if (old.length > 0) {
      out[at++] = old[0]!;
      out[at++] = old[1]! + room;
      for (let i = 0; i < room; i++, at += 4) putWord(out, at, asn);
      out.set(old.subarray(2), at);
    }
    this.set(ATTRIBUTE.AS_PATH, 0x40, out);
  }

  /** A value has become longer than an attribute can be. */
  get isTooLong(): boolean {
    for (let i = 0; i < this.#count; i++) if (this.#lengths[i]! > LONGEST_VALUE) return true;
    return false;
  }

  /** The number of the set, with one reference for the caller; 0 where it `isTooLong`. */
  commit(): number {
    if (this.isTooLong) return 0;
    let need = HEADER + this.#hopLength;
    for (let i = 0; i < this.#count; i++) need += this.#lengths[i]! + 4;
    const out = this.#store.room(need);
    out[0] = this.weight >>> 8;
    out[1] = this.weight;
    out[2] = this.#hopLength;
    let at = copy(this.#hop, this.#hopAt, this.#hopLength, out, HEADER);
    for (let i = 0; i < this.#count; i++) {
      const length = this.#lengths[i]!;
      const extended = length > 255 ? 0x10 : 0;
      out[at++] = (this.#flags[i]! & 0xe0) | extended;
      out[at++] = this.#types[i]!;
      if (extended !== 0) out[at++] = length >>> 8;
      out[at++] = length;
      at = copy(this.#sources[i]!, this.#starts[i]!, length, out, at);
    }
    return this.#store.intern(out, at);
  }

  #find(type: number): number {
    for (let i = 0; i < this.#count; i++) if (this.#types[i] === type) return i;
    return -1;
  }

  #put(at: number, type: number, flags: number, source: Bytes, start: number, length: number): void {
    this.#types[at] = type;
    this.#flags[at] = flags;
    this.#starts[at] = start;
    this.#lengths[at] = length;
    this.#sources[at] = source;
  }

  #lists(): readonly (number[] | Bytes[])[] {
    return [this.#types, this.#flags, this.#starts, this.#lengths, this.#sources];
  }
}

function copy(source: Bytes, start: number, length: number, out: Bytes, at: number): number {
  for (let i = 0; i < length; i++) out[at + i] = source[start + i]!;
  return at + length;
}
