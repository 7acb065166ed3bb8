/**
 * Attribute sets, each kept once: octets in an arena, and the keys of the decision as typed columns.
 *
 * Read first: RFC 4271 §4.3, §5, §9.1.2.2; RFC 4456 §9.
 * Canonical form of a set: weight (2) | length of the next hop (1) | next hop | attributes in ascending order of type, AS numbers of
 * four octets, extended length only where it is needed, without NEXT_HOP, MP_REACH_NLRI, MP_UNREACH_NLRI, AS4_PATH and AS4_AGGREGATOR.
 * So peers whose sessions differ share sets, and the next hop is in one place for both families.
 *
 * Invariants: number 0 is no set; equal octets have equal numbers; a number is valid while somebody holds a reference, and its octets
 * do not change. Room of what is freed is reused by sets of the same size (in steps of 8 octets); where less than half of the arena is in
 * use, sets move together before it grows, so churn does not grow it whatever sizes come and go.
 * Limits: ATTRIBUTE_OCTETS, and what several stores may have together (`AttributeBudget`). The store refuses nothing, since what policies and groups make of a set has to be kept: intake asks `isFull`.
 */
import type { Bytes } from '../../core/index.ts';
import { ATTRIBUTE, COMMUNITY } from '../message/iana.ts';
import type { AttributeAccount } from './attribute-budget.ts';
import { grown8, grown16, grown32 } from './columns.ts';
import { NextHops } from './next-hops.ts';

/** Where attributes begin, behind weight and next hop. */
export const HEADER = 3;
const STEP = 8;
/** What the sets of one router take at most, columns included; the full feed of `test/vectors/bgp`, received and told, takes 14 million. */
export const ATTRIBUTE_OCTETS = 256 << 20;
/** Of a set in all columns, and in the table of hashes, which is never more than three quarters full. */
const COLUMN_OCTETS = 4 * 9 + 2 * 3 + 2 + 8;

export const SET = {
  med: 0x01,
  localPreference: 0x02,
  noExport: 0x04,
  noAdvertise: 0x08,
  noExportSubconfed: 0x10,
  llgrStale: 0x20,
  noLlgr: 0x40,
  originator: 0x80,
} as const;

export class AttributeStore {
  readonly hops: NextHops;
  arena: Bytes = new Uint8Array(512);
  offsets: Uint32Array = new Uint32Array(8);
  lengths: Uint32Array = new Uint32Array(8);
  references: Uint32Array = new Uint32Array(8);
  localPreferences: Uint32Array = new Uint32Array(8);
  meds: Uint32Array = new Uint32Array(8);
  neighbours: Uint32Array = new Uint32Array(8);
  originators: Uint32Array = new Uint32Array(8);
  nextHops: Uint32Array = new Uint32Array(8);
  weights: Uint16Array = new Uint16Array(8);
  pathLengths: Uint16Array = new Uint16Array(8);
  clusterLengths: Uint16Array = new Uint16Array(8);
  origins: Uint8Array = new Uint8Array(8);
  flags: Uint8Array = new Uint8Array(8);
  /** Told when a number is about to be given back: caches by number forget it. */
  readonly freed: ((id: number) => void)[] = [];
  #hashes: Uint32Array = new Uint32Array(8);
  #slots: Uint32Array = new Uint32Array(16);
  #end = STEP;
  #free = 0;
  #next = 1;
  #count = 0;
  /** Octets of the arena that are in use. */
  #live = 0;
  readonly #limit: number;
  readonly #account: AttributeAccount | undefined;

  #scratch: Bytes = new Uint8Array(0);
  /** First free room by size; linked through the arena. */
  readonly #rooms = new Map<number, number>();

  constructor(hops: NextHops = new NextHops(), limit: number = ATTRIBUTE_OCTETS, account?: AttributeAccount) {
    this.hops = hops;
    this.#limit = limit;
    this.#account = account;
  }

  /** Sets that are alive. */
  get count(): number {
    return this.#count;
  }

  /** One more than the largest number that was ever given. */
  get bound(): number {
    return this.#next;
  }

  /** Octets of the sets that are alive, and of their next hops. */
  get held(): number {
    return this.#live + this.#count * COLUMN_OCTETS + this.hops.held;
  }

  /** More is held than a limit allows: who brings a new set is to go. */
  get isFull(): boolean {
    this.report();
    return this.held > this.#limit || this.#account?.isOver === true;
  }

  /** What it is full of: to be said once for each session that ends for it. */
  refuse(): string {
    if (this.held > this.#limit)
      return `path attributes of this router take ${this.held} octets, ${this.#limit} are allowed`;
    this.#account!.budget.refused += 1;
    return this.#account!.words;
  }

  /** What is held now, to the account. */
  report(): void {
    this.#account?.report(this.held);
  }

  /** Octets of all tables. */
  get octets(): number {
    return this.arena.length + this.#slots.length * 4 + this.offsets.length * (4 * 9 + 2 * 3 + 2) + this.hops.octets;
  }

  /** The number of a set in canonical form, with one reference for the caller. */
  intern(octets: Bytes, length: number): number {
    const hash = hashOf(octets, length);
    let slot = hash & (this.#slots.length - 1);
    for (let id = this.#slots[slot]!; id !== 0; id = this.#slots[slot]!) {
      if (this.#hashes[id] === hash && this.lengths[id] === length && this.#same(id, octets, length)) {
        this.references[id]!++;
        return id;
      }
      slot = (slot + 1) & (this.#slots.length - 1);
    }
    return this.#insert(octets, length, hash, slot);
  }

  /** Where a set may be put together before it is interned; one for all. */
  room(length: number): Bytes {
    if (length > this.#scratch.length) this.#scratch = new Uint8Array(length * 2);
    return this.#scratch;
  }

  retain(id: number): void {
    this.references[id]!++;
  }

  release(id: number): void {
    if (id !== 0 && --this.references[id]! === 0) this.#remove(id);
  }

  /** A view of the canonical form; valid until the next set is interned. */
  view(id: number): Bytes {
    const offset = this.offsets[id]!;
    return this.arena.subarray(offset, offset + this.lengths[id]!);
  }

  nextHop(id: number): Bytes {
    const at = this.offsets[id]!;
    return this.arena.slice(at + HEADER, at + HEADER + this.arena[at + 2]!);
  }

  /** How often an AS number stands in AS_PATH. */
  occurrences(id: number, asn: number): number {
    const at = this.find(id, ATTRIBUTE.AS_PATH);
    return at < 0 ? 0 : countAs(this.arena, valueAt(this.arena, at), valueLength(this.arena, at), asn);
  }

  /** Whether CLUSTER_LIST has an identifier. */
  hasCluster(id: number, cluster: number): boolean {
    if (this.clusterLengths[id] === 0) return false;
    const at = this.find(id, ATTRIBUTE.CLUSTER_LIST);
    const start = valueAt(this.arena, at);
    for (let o = start; o < start + valueLength(this.arena, at); o += 4)
      if (word(this.arena, o) === cluster) return true;
    return false;
  }

  /** Where in the arena an attribute stands, or -1. */
  find(id: number, type: number): number {
    const { arena } = this;
    const offset = this.offsets[id]!;
    const end = offset + this.lengths[id]!;
    for (let at = offset + HEADER + arena[offset + 2]!; at < end; at = valueAt(arena, at) + valueLength(arena, at))
      if (arena[at + 1] === type) return at;
    return -1;
  }

  #same(id: number, octets: Bytes, length: number): boolean {
    const { arena } = this;
    const offset = this.offsets[id]!;
    for (let i = 0; i < length; i++) if (arena[offset + i] !== octets[i]) return false;
    return true;
  }

  #insert(octets: Bytes, length: number, hash: number, slot: number): number {
    const id = this.#number();
    const offset = this.#room(length);
    const { arena } = this;
    for (let i = 0; i < length; i++) arena[offset + i] = octets[i]!;
    this.offsets[id] = offset;
    this.lengths[id] = length;
    this.references[id] = 1;
    this.#hashes[id] = hash;
    this.#derive(id);
    this.#slots[slot] = id;
    this.#count++;
    if (this.#count * 4 > this.#slots.length * 3) this.#rehash();
    return id;
  }

  #number(): number {
    if (this.#free !== 0) {
      const id = this.#free;
      this.#free = this.offsets[id]!;
      return id;
    }
    if (this.#next === this.offsets.length) this.#grow();
    return this.#next++;
  }

  #grow(): void {
    for (const name of WORDS) this[name] = grown32(this[name]);
    for (const name of HALVES) this[name] = grown16(this[name]);
    this.origins = grown8(this.origins);
    this.flags = grown8(this.flags);
    this.#hashes = grown32(this.#hashes);
  }

  #room(length: number): number {
    const size = sizeOf(length);
    this.#live += size;
    const free = this.#rooms.get(size);
    if (free !== undefined) {
      const next = word(this.arena, free);
      if (next === 0) this.#rooms.delete(size);
      else this.#rooms.set(size, next);
      return free;
    }
    if (this.#end + size > this.arena.length && this.#live * 2 < this.arena.length) this.#moveTogether();
    while (this.#end + size > this.arena.length) this.arena = grown8(this.arena);
    const offset = this.#end;
    this.#end += size;
    return offset;
  }

  /** Into another arena: who still reads the old one, as after growth, reads what was there. */
  #moveTogether(): void {
    const old = this.arena;
    this.arena = new Uint8Array(old.length);
    this.#end = STEP;
    this.#rooms.clear();
    for (let id = 1; id < this.#next; id++) {
      if (this.references[id] === 0) continue;
      const offset = this.offsets[id]!;
      this.arena.set(old.subarray(offset, offset + this.lengths[id]!), this.#end);
      this.offsets[id] = this.#end;
      this.#end += sizeOf(this.lengths[id]!);
    }
  }

  #remove(id: number): void {
    for (const forget of this.freed) forget(id);
    this.#unlink(id);
    this.hops.release(this.nextHops[id]!);
    const offset = this.offsets[id]!;
    const size = sizeOf(this.lengths[id]!);
    this.#live -= size;
    putWord(this.arena, offset, this.#rooms.get(size) ?? 0);
    this.#rooms.set(size, offset);
    this.offsets[id] = this.#free;
    this.#free = id;
    this.#count--;
  }

  /** Linear probing without tombstones: what follows moves up where its own place allows. */
  #unlink(id: number): void {
    const slots = this.#slots;
    const mask = slots.length - 1;
    let hole = this.#hashes[id]! & mask;
    while (slots[hole] !== id) hole = (hole + 1) & mask;
    for (let at = (hole + 1) & mask; slots[at] !== 0; at = (at + 1) & mask) {
      const home = this.#hashes[slots[at]!]! & mask;
      if (((at - home) & mask) < ((at - hole) & mask)) continue;
      slots[hole] = slots[at]!;
      hole = at;
    }
    slots[hole] = 0;
  }

  #rehash(): void {
    const old = this.#slots;
    const slots = new Uint32Array(old.length * 2);
    const mask = slots.length - 1;
    for (const id of old) {
      if (id === 0) continue;
      let slot = this.#hashes[id]! & mask;
      while (slots[slot] !== 0) slot = (slot + 1) & mask;
      slots[slot] = id;
    }
    this.#slots = slots;
  }

  /** The keys of RFC 4271 §9.1.2.2. A missing LOCAL_PREF counts as 100, a missing MED as the decision says. */
  #derive(id: number): void {
    const { arena } = this;
    const offset = this.offsets[id]!;
    const end = offset + this.lengths[id]!;
    const hop = arena[offset + 2]!;
    this.weights[id] = (arena[offset]! << 8) | arena[offset + 1]!;
    this.nextHops[id] = this.hops.intern(arena, offset + HEADER, hop);
    this.localPreferences[id] = 100;
    this.origins[id] = 2;
    this.meds[id] = this.neighbours[id] = this.originators[id] = 0;
    this.pathLengths[id] = this.clusterLengths[id] = this.flags[id] = 0;
    for (let at = offset + HEADER + hop; at < end; at = valueAt(arena, at) + valueLength(arena, at))
      this.#key(id, arena[at + 1]!, valueAt(arena, at), valueLength(arena, at));
  }

  #key(id: number, type: number, value: number, length: number): void {
    const { arena } = this;
    switch (type) {
      case ATTRIBUTE.ORIGIN:
        this.origins[id] = arena[value]!;
        break;
      case ATTRIBUTE.AS_PATH:
        this.pathLengths[id] = pathLength(arena, value, length);
        if (length >= 6 && arena[value] === 2) this.neighbours[id] = word(arena, value + 2);
        break;
      case ATTRIBUTE.MULTI_EXIT_DISC:
        this.meds[id] = word(arena, value);
        this.flags[id]! |= SET.med;
        break;
      case ATTRIBUTE.LOCAL_PREF:
        this.localPreferences[id] = word(arena, value);
        this.flags[id]! |= SET.localPreference;
        break;
      case ATTRIBUTE.COMMUNITIES:
        for (let o = value; o < value + length; o += 4) this.flags[id]! |= communityFlag(word(arena, o));
        break;
      case ATTRIBUTE.ORIGINATOR_ID:
        this.originators[id] = word(arena, value);
        this.flags[id]! |= SET.originator;
        break;
      case ATTRIBUTE.CLUSTER_LIST:
        this.clusterLengths[id] = length >> 2;
        break;
    }
  }
}

/** Of the arena. */
const sizeOf = (length: number): number => (length + STEP - 1) & -STEP;

/** Of an attribute at `at` in canonical form. */
export const valueAt = (b: Bytes, at: number): number => at + ((b[at]! & 0x10) === 0 ? 3 : 4);
export const valueLength = (b: Bytes, at: number): number =>
  (b[at]! & 0x10) === 0 ? b[at + 2]! : (b[at + 2]! << 8) | b[at + 3]!;

export const word = (b: Bytes, o: number): number =>
  ((b[o]! << 24) | (b[o + 1]! << 16) | (b[o + 2]! << 8) | b[o + 3]!) >>> 0;

export function putWord(b: Bytes, o: number, value: number): void {
  b[o] = value >>> 24;
  b[o + 1] = value >>> 16;
  b[o + 2] = value >>> 8;
  b[o + 3] = value;
}

/** RFC 4271 §9.1.2.2 a: an AS_SET counts one; RFC 5065 §5.3: confederation segments count nothing. */
export function pathLength(b: Bytes, start: number, length: number): number {
  let hops = 0;
  for (let at = start; at < start + length; at += 2 + 4 * b[at + 1]!)
    hops += b[at] === 2 ? b[at + 1]! : b[at] === 1 ? 1 : 0;
  return hops;
}

export function countAs(b: Bytes, start: number, length: number, asn: number): number {
  let found = 0;
  for (let at = start; at < start + length; ) {
    const end = at + 2 + 4 * b[at + 1]!;
    for (let o = at + 2; o < end; o += 4) if (word(b, o) === asn) found++;
    at = end;
  }
  return found;
}

function communityFlag(community: number): number {
  if (community < 0xffff0000) return 0;
  switch (community) {
    case COMMUNITY.NO_EXPORT:
      return SET.noExport;
    case COMMUNITY.NO_ADVERTISE:
      return SET.noAdvertise;
    case COMMUNITY.NO_EXPORT_SUBCONFED:
      return SET.noExportSubconfed;
    case COMMUNITY.LLGR_STALE:
      return SET.llgrStale;
    case COMMUNITY.NO_LLGR:
      return SET.noLlgr;
    default:
      return 0;
  }
}

function hashOf(octets: Bytes, length: number): number {
  let h = length;
  for (let i = 0; i < length; i++) h = Math.imul(h ^ octets[i]!, 0x01000193) ^ (h >>> 15);
  h = Math.imul(h ^ (h >>> 16), 0x7feb352d);
  return (h ^ (h >>> 15)) >>> 0;
}

const WORDS = [
  'offsets',
  'lengths',
  'references',
  'localPreferences',
  'meds',
  'neighbours',
  'originators',
  'nextHops',
] as const;
const HALVES = ['weights', 'pathLengths', 'clusterLengths'] as const;
