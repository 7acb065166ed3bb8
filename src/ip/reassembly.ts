/**
 * Reassembly of IPv4 and IPv6 fragments, for packets to this node itself.
 *
 * Read first: RFC 791 §3.2, RFC 1122 §3.3.2, RFC 8200 §4.5, RFC 5722 (overlaps), RFC 6946 (atomic fragments).
 * Overlapping fragments condemn the whole packet in both families, those still to come included, until its time is over;
 * an exact duplicate is ignored. Nothing is forwarded from here: routers do not reassemble.
 * Limits: packets at once, fragments a packet, octets held, time. A new packet drives out the oldest.
 */
import type { Bytes, Deadline, Millis } from '../core/index.ts';
import { putU16, sameBytes, toHex, u16 } from '../core/index.ts';
import { findUpperLayer, ipVersion } from './ip.ts';
import { fillIpv4Checksum, IPV4_DF, ipv4DontFragment, ipv4HeaderLength } from './ipv4.ts';
import { IPV6_HEADER, newUpperLayer, setIpv6PayloadLength, type UpperLayer } from './ipv6.ts';
import { PASS } from './verdict.ts';

export interface ReassemblyLimits {
  /** Packets in the making at once. */
  readonly packets: number;
  /** Of one packet: 65,535 octets come in 53 fragments of the minimum MTU of IPv6. */
  readonly fragments: number;
  /** Octets of data held, all packets together. */
  readonly octets: number;
  /** RFC 8200 §4.5: 60 seconds; RFC 1122 §3.3.2: between 60 and 120. */
  readonly timeout: Millis;
}

export const REASSEMBLY_LIMITS: ReassemblyLimits = { packets: 64, fragments: 64, octets: 1 << 20, timeout: 60_000 };

export interface ReassemblyCounters {
  readonly whole: number;
  /** Packets condemned for overlap or contradictory lengths. */
  readonly condemned: number;
  readonly expired: number;
  /** Packets driven out by newer ones. */
  readonly evicted: number;
  /** Fragments that are malformed, condemned or beyond a limit. */
  readonly refused: number;
}

export class Reassembly {
  readonly #limits: ReassemblyLimits;
  /** In order of arrival of the first fragment seen: all wait equally long, so the first is the next to expire. */
  readonly #partials = new Map<string, Assembly>();
  #octets = 0;
  readonly #count = { whole: 0, condemned: 0, expired: 0, evicted: 0, refused: 0 };

  constructor(limits: { readonly [K in keyof ReassemblyLimits]?: number } = {}) {
    this.#limits = { ...REASSEMBLY_LIMITS, ...limits };
  }

  /** Packets in the making. */
  get size(): number {
    return this.#partials.size;
  }

  get octets(): number {
    return this.#octets;
  }

  get counters(): ReassemblyCounters {
    return { ...this.#count };
  }

  /** Takes a copy of the fragment in buf[start, end), which `checkIp` passed. A whole packet comes back as fresh octets. */
  add(buf: Bytes, start: number, end: number, now: Millis): Bytes | 'waiting' | 'refused' {
    if (findUpperLayer(buf, start, end, upper) !== PASS) return this.#refuse();
    const fragment = readFragment(buf, start, upper);
    if (fragment === undefined) return this.#refuse();
    // RFC 6946 §4: an atomic fragment is whole and has nothing to do with others of the same identification.
    if (fragment.from === 0 && fragment.last) return this.#finish(fragment.head!, [fragment]) ?? this.#refuse();
    const key = keyOf(buf, start, upper);
    const partial = this.#partials.get(key) ?? this.#begin(key, now);
    if (partial.condemned) return this.#refuse();
    if (partial.pieces.some((p) => p.from === fragment.from && sameBytes(p.data, fragment.data))) return 'waiting';
    if (!accepts(partial, fragment)) {
      this.#condemn(partial);
      return this.#refuse();
    }
    if (partial.pieces.length === this.#limits.fragments) return this.#refuse();
    if (!this.#makeRoom(fragment.data.length, partial)) return this.#refuse();
    partial.pieces.push(fragment);
    this.#octets += fragment.data.length;
    partial.octets += fragment.data.length;
    if (fragment.last) partial.length = fragment.from + fragment.data.length;
    if (partial.octets !== partial.length) return 'waiting';
    this.#remove(key, partial);
    const head = partial.pieces.find((p) => p.from === 0)!.head!;
    return this.#finish(head, partial.pieces) ?? this.#refuse();
  }

  deadline(): Deadline | undefined {
    for (const partial of this.#partials.values()) return { at: partial.expires, why: 'reassembly times out' };
    return undefined;
  }

  /**
   * Forgets what waited too long. Gives the first fragment, with the start of its data, of each packet that has one: its
   * sender is owed a Time Exceeded, code 1 (RFC 792, RFC 4443 §3.3).
   */
  expire(now: Millis): Bytes[] {
    const owed: Bytes[] = [];
    for (const [key, partial] of this.#partials) {
      if (partial.expires > now) break;
      this.#remove(key, partial);
      this.#count.expired += 1;
      const first = partial.pieces.find((p) => p.from === 0);
      if (first !== undefined) owed.push(first.original);
    }
    return owed;
  }

  #begin(key: string, now: Millis): Assembly {
    if (this.#partials.size === this.#limits.packets) this.#evictOldest();
    const partial: Assembly = {
      expires: now + this.#limits.timeout,
      pieces: [],
      octets: 0,
      length: undefined,
      condemned: false,
    };
    this.#partials.set(key, partial);
    return partial;
  }

  /** Drives out older packets until `length` octets fit; never the one they are for. */
  #makeRoom(length: number, keep: Assembly): boolean {
    for (const [key, partial] of this.#partials) {
      if (this.#octets + length <= this.#limits.octets) return true;
      if (partial === keep || partial.octets === 0) continue;
      this.#remove(key, partial);
      this.#count.evicted += 1;
    }
    return this.#octets + length <= this.#limits.octets;
  }

  #evictOldest(): void {
    for (const [key, partial] of this.#partials) {
      this.#remove(key, partial);
      this.#count.evicted += 1;
      return;
    }
  }

  /** Stays, empty, so that fragments still to come are refused with it. */
  #condemn(partial: Assembly): void {
    this.#octets -= partial.octets;
    partial.octets = 0;
    partial.pieces.length = 0;
    partial.condemned = true;
    this.#count.condemned += 1;
  }

  #remove(key: string, partial: Assembly): void {
    this.#partials.delete(key);
    this.#octets -= partial.octets;
  }

  #refuse(): 'refused' {
    this.#count.refused += 1;
    return 'refused';
  }

  #finish(head: Bytes, pieces: readonly Fragment[]): Bytes | undefined {
    let length = head.length;
    for (const p of pieces) length += p.data.length;
    const v4 = ipVersion(head, 0) === 4;
    if (length - (v4 ? 0 : IPV6_HEADER) > 0xffff) {
      this.#count.condemned += 1;
      return undefined;
    }
    const out = new Uint8Array(length);
    out.set(head);
    for (const p of pieces) out.set(p.data, head.length + p.from);
    if (v4) {
      putU16(out, 2, length);
      fillIpv4Checksum(out, 0);
    } else {
      setIpv6PayloadLength(out, 0, length - IPV6_HEADER);
    }
    this.#count.whole += 1;
    return out;
  }
}

interface Assembly {
  readonly expires: Millis;
  readonly pieces: Fragment[];
  octets: number;
  /** Known with the last fragment. */
  length: number | undefined;
  condemned: boolean;
}

interface Fragment {
  /** Octets from the start of the packet's data. */
  readonly from: number;
  readonly data: Bytes;
  readonly last: boolean;
  /** Of the first fragment: the headers of the whole packet, lengths and checksum still to be set. */
  readonly head: Bytes | undefined;
  readonly original: Bytes;
}

const upper = newUpperLayer();

function readFragment(buf: Bytes, start: number, u: UpperLayer): Fragment | undefined {
  const v4 = u.fragmentHeader < 0;
  if (v4 && ipVersion(buf, start) === 6) return undefined;
  const dataAt = v4 ? start + ipv4HeaderLength(buf, start) : u.fragmentHeader + 8;
  const length = u.end - dataAt;
  const last = !u.moreFragments;
  const from = u.fragmentOffset;
  if ((length === 0 && !(last && from === 0)) || (!last && (length & 7) !== 0)) return undefined;
  let head: Bytes | undefined;
  if (from === 0) head = v4 ? wholeIpv4Header(buf, start, dataAt) : wholeIpv6Headers(buf, start, u.fragmentHeader);
  return { from, data: buf.slice(dataAt, u.end), last, head, original: buf.slice(start, from === 0 ? u.end : start) };
}

function wholeIpv4Header(buf: Bytes, start: number, dataAt: number): Bytes {
  const head = buf.slice(start, dataAt);
  putU16(head, 6, ipv4DontFragment(buf, start) ? IPV4_DF : 0);
  return head;
}

/** The unfragmentable part, its last Next Header taken from the fragment header (RFC 8200 §4.5). */
function wholeIpv6Headers(buf: Bytes, start: number, fragmentHeader: number): Bytes {
  const head = buf.slice(start, fragmentHeader);
  let link = 6;
  for (let at = IPV6_HEADER; at < head.length; at += (head[at + 1]! + 1) << 3) link = at;
  head[link] = buf[fragmentHeader]!;
  return head;
}

/** RFC 791 §3.2: source, destination, protocol, identification. RFC 8200 §4.5: without the protocol, a longer identification. */
function keyOf(buf: Bytes, start: number, u: UpperLayer): string {
  if (u.fragmentHeader < 0)
    return `${toHex(buf.subarray(start + 12, start + 20))}-${buf[start + 9]}-${u16(buf, start + 4)}`;
  return toHex(buf.subarray(start + 8, start + 40)) + toHex(buf.subarray(u.fragmentHeader + 4, u.fragmentHeader + 8));
}

/** No overlap with any piece, and no contradiction about where the packet ends. */
function accepts(partial: Assembly, fragment: Fragment): boolean {
  const end = fragment.from + fragment.data.length;
  if (partial.length !== undefined && (fragment.last || end > partial.length)) return false;
  return partial.pieces.every((p) => {
    const pieceEnd = p.from + p.data.length;
    return (pieceEnd <= fragment.from || end <= p.from) && !(fragment.last && pieceEnd > end);
  });
}
