/**
 * UPDATE without records: where its sections, attributes and prefixes lie, as functions of (buffer, offset). RFC 4271 §4.3, RFC 4760 §3, §4.
 *
 * Nothing here allocates. `viewUpdate` runs once and says whether sections and attributes fit; after it every accessor is in bounds.
 * `countNlri` runs once over a list of prefixes; after it `nextNlri` and the accessors of a prefix are in bounds.
 * What attributes say, and what is wrong with them, is in `attributes.ts`, once for each block of octets that differs: `copyBlock` gives a
 * block without what differs from message to message, the prefixes of MP_REACH_NLRI and all of MP_UNREACH_NLRI.
 */
import type { Bytes } from '../../core/index.ts';
import { u16 } from '../../core/index.ts';
import { messageLength } from './frame.ts';
import { ATTRIBUTE, FLAG, HEADER_LENGTH } from './iana.ts';
import type { Family } from './types.ts';

/** Offsets into the octets of one UPDATE; made once and filled anew for each. */
export interface UpdateView {
  withdrawnAt: number;
  withdrawnEnd: number;
  attributesAt: number;
  attributesEnd: number;
  nlriAt: number;
  nlriEnd: number;
  /** Where the attribute begins; -1 where there is none. */
  mpReach: number;
  mpUnreach: number;
  /** How many attributes there are. */
  count: number;
}

/** What `viewUpdate` found. */
export const VIEW = {
  sound: 0,
  /** RFC 7606 §3(b): the three sections do not fit: 3/1, reset. Nothing of the view may be used. */
  sections: 1,
  /** RFC 7606 §4: an attribute reaches beyond the attributes: withdraw; the prefixes are where the view says. */
  overrun: 2,
  /** RFC 7606 §3(g): MP_REACH_NLRI or MP_UNREACH_NLRI twice: 3/1, reset. */
  repeated: 3,
} as const;

export const newUpdateView = (): UpdateView => ({
  withdrawnAt: 0,
  withdrawnEnd: 0,
  attributesAt: 0,
  attributesEnd: 0,
  nlriAt: 0,
  nlriEnd: 0,
  mpReach: -1,
  mpUnreach: -1,
  count: 0,
});

/*
 *  Header (19) | Withdrawn Routes Length (2) | Withdrawn Routes | Total Path Attribute Length (2) | Path Attributes | NLRI
 */
/** Fills `view` for the message at `o`, whose header was checked. */
export function viewUpdate(view: UpdateView, b: Bytes, o: number): number {
  const end = o + messageLength(b, o);
  const withdrawnAt = o + HEADER_LENGTH + 2;
  const withdrawnEnd = withdrawnAt + u16(b, o + HEADER_LENGTH);
  if (withdrawnEnd + 2 > end) return VIEW.sections;
  const attributesAt = withdrawnEnd + 2;
  const attributesEnd = attributesAt + u16(b, withdrawnEnd);
  if (attributesEnd > end) return VIEW.sections;
  view.withdrawnAt = withdrawnAt;
  view.withdrawnEnd = withdrawnEnd;
  view.attributesAt = attributesAt;
  view.attributesEnd = attributesEnd;
  view.nlriAt = attributesEnd;
  view.nlriEnd = end;
  return viewAttributes(view, b, attributesAt, attributesEnd);
}

/** The same for attributes alone: a block, or the attributes of a route in a dump. */
export function viewAttributes(view: UpdateView, b: Bytes, at: number, end: number): number {
  view.mpReach = -1;
  view.mpUnreach = -1;
  view.count = 0;
  let found: number = VIEW.sound;
  for (let a = at; a < end; a = nextAttribute(b, a)) {
    if (!attributeFits(b, a, end)) return found === VIEW.sound ? VIEW.overrun : found;
    view.count += 1;
    const type = attributeType(b, a);
    if (type === ATTRIBUTE.MP_REACH_NLRI) {
      if (view.mpReach >= 0) found = VIEW.repeated;
      else view.mpReach = a;
    } else if (type === ATTRIBUTE.MP_UNREACH_NLRI) {
      if (view.mpUnreach >= 0) found = VIEW.repeated;
      else view.mpUnreach = a;
    }
  }
  return found;
}

/*  Flags (1) | Type (1) | Length (1, or 2 with the flag Extended Length) | Value  */
export const attributeFlags = (b: Bytes, a: number): number => b[a]!;
export const attributeType = (b: Bytes, a: number): number => b[a + 1]!;
export const attributeValueAt = (b: Bytes, a: number): number => a + ((b[a]! & FLAG.EXTENDED_LENGTH) !== 0 ? 4 : 3);
export const attributeLength = (b: Bytes, a: number): number =>
  (b[a]! & FLAG.EXTENDED_LENGTH) !== 0 ? u16(b, a + 2) : b[a + 2]!;
export const nextAttribute = (b: Bytes, a: number): number => attributeValueAt(b, a) + attributeLength(b, a);

/** Whether header and value of the attribute at `a` end at or before `end` (RFC 7606 §4). */
export function attributeFits(b: Bytes, a: number, end: number): boolean {
  if (end - a < 3) return false;
  if ((b[a]! & FLAG.EXTENDED_LENGTH) === 0) return a + 3 + b[a + 2]! <= end;
  return end - a >= 4 && a + 4 + u16(b, a + 2) <= end;
}

/** Where the first attribute of a type begins in attributes that fit; -1 where there is none. */
export function findAttribute(b: Bytes, at: number, end: number, type: number): number {
  for (let a = at; a < end; a = nextAttribute(b, a)) if (attributeType(b, a) === type) return a;
  return -1;
}

/*  MP_REACH_NLRI, RFC 4760 §3:    AFI (2) | SAFI (1) | Length of Next Hop (1) | Next Hop | Reserved (1) | NLRI  */
/*  MP_UNREACH_NLRI, RFC 4760 §4:  AFI (2) | SAFI (1) | Withdrawn Routes  */
export const mpFamily = (b: Bytes, a: number): Family => {
  const v = attributeValueAt(b, a);
  return (u16(b, v) << 8) | b[v + 2]!;
};
export const mpNextHopAt = (b: Bytes, a: number): number => attributeValueAt(b, a) + 4;
export const mpNextHopLength = (b: Bytes, a: number): number => b[attributeValueAt(b, a) + 3]!;
export const mpReachNlriAt = (b: Bytes, a: number): number => mpNextHopAt(b, a) + mpNextHopLength(b, a) + 1;
export const mpUnreachNlriAt = (b: Bytes, a: number): number => attributeValueAt(b, a) + 3;

/** RFC 7606 §5.3: whether the accessors of the MP_REACH_NLRI at `a` are in bounds. */
export function mpReachFits(b: Bytes, a: number): boolean {
  const length = attributeLength(b, a);
  return length >= 5 && 5 + mpNextHopLength(b, a) <= length;
}

/** RFC 7606 §5.3: whether the accessors of the MP_UNREACH_NLRI at `a` are in bounds. */
export const mpUnreachFits = (b: Bytes, a: number): boolean => attributeLength(b, a) >= 3;

/*  Path Identifier (4, RFC 7911 §3) | Length (1) | Prefix  */
/** How many prefixes lie in b[at, end), or -1 when they are not syntactically correct (RFC 7606 §5.3). `bits` is 32 or 128. */
export function countNlri(b: Bytes, at: number, end: number, bits: number, pathIds: boolean): number {
  const before = pathIds ? 4 : 0;
  let count = 0;
  let p = at;
  while (p < end) {
    p += before;
    if (p >= end) return -1;
    const length = b[p]!;
    if (length > bits) return -1;
    p += 1 + ((length + 7) >>> 3);
    count += 1;
  }
  return p === end ? count : -1;
}

/** The same for NLRI with a type and a length in front, as those of EVPN (RFC 7432 §7). */
export function countTypedNlri(b: Bytes, at: number, end: number, pathIds: boolean): number {
  const before = pathIds ? 4 : 0;
  let count = 0;
  let p = at;
  while (p < end) {
    p += before;
    if (p + 2 > end) return -1;
    p += 2 + b[p + 1]!;
    count += 1;
  }
  return p === end ? count : -1;
}

/** The prefix behind the one at `p`, whose path identifier stands in front of `p` and was stepped over. */
export const nextNlri = (b: Bytes, p: number): number => p + 1 + ((b[p]! + 7) >>> 3);
export const nlriLength = (b: Bytes, p: number): number => b[p]!;

/** The IPv4 prefix at `p` as an unsigned number; bits behind the length are zero whatever was sent (RFC 4271 §4.3). */
export function nlriIpv4(b: Bytes, p: number): number {
  const length = b[p]!;
  if (length === 0) return 0;
  let address = b[p + 1]! << 24;
  if (length > 8) address |= b[p + 2]! << 16;
  if (length > 16) address |= b[p + 3]! << 8;
  if (length > 24) address |= b[p + 4]!;
  return (address & (-1 << (32 - length))) >>> 0;
}

/** Writes the prefix at `p` as an address of `width` octets, its host bits zero. */
export function copyNlri(b: Bytes, p: number, target: Bytes, at: number, width: number): void {
  const length = b[p]!;
  const whole = length >>> 3;
  for (let i = 0; i < whole; i++) target[at + i] = b[p + 1 + i]!;
  target.fill(0, at + whole, at + width);
  if ((length & 7) !== 0) target[at + whole] = b[p + 1 + whole]! & (0xff00 >>> (length & 7));
}

/**
 * Writes the attributes as one block for all messages that differ in prefixes only: MP_REACH_NLRI first, with family and next hop but without
 * prefixes, if `reach`; no MP_UNREACH_NLRI; everything else as it came and in its order. Returns the end of the block in `target`, which needs
 * as much room as the attributes have. For a view that is sound; with `reach` its MP_REACH_NLRI fits.
 * A view without both attributes needs no copy: its attributes are the block.
 */
export function copyBlock(view: UpdateView, b: Bytes, target: Bytes, at: number, reach: boolean): number {
  const low = Math.min(view.mpReach, view.mpUnreach);
  const high = Math.max(view.mpReach, view.mpUnreach);
  let to = reach && view.mpReach >= 0 ? copyReach(b, view.mpReach, target, at) : at;
  let from = view.attributesAt;
  if (low >= 0) {
    to = copyRange(b, from, low, target, to);
    from = nextAttribute(b, low);
  }
  if (high >= 0) {
    to = copyRange(b, from, high, target, to);
    from = nextAttribute(b, high);
  }
  return copyRange(b, from, view.attributesEnd, target, to);
}

/** Its length is written in the shortest form, however long the prefixes made it: the same block for a full message and for the last. */
function copyReach(b: Bytes, a: number, target: Bytes, at: number): number {
  const from = attributeValueAt(b, a);
  const length = 5 + mpNextHopLength(b, a);
  const flags = attributeFlags(b, a) & ~FLAG.EXTENDED_LENGTH;
  let to = at;
  target[to++] = length > 0xff ? flags | FLAG.EXTENDED_LENGTH : flags;
  target[to++] = ATTRIBUTE.MP_REACH_NLRI;
  if (length > 0xff) target[to++] = length >>> 8;
  target[to++] = length;
  return copyRange(b, from, from + length, target, to);
}

/** Attributes are short: a loop is faster than a view of the octets. */
function copyRange(b: Bytes, from: number, end: number, target: Bytes, at: number): number {
  for (let i = from; i < end; i++) target[at + i - from] = b[i]!;
  return at + end - from;
}
