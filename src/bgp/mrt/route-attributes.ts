/**
 * Attributes of a RIB entry, and where they differ from those of an UPDATE: RFC 6396 §4.3.4.
 *
 * There MP_REACH_NLRI is next hop alone; some daemons write the whole attribute, which begins with a zero octet that no length of a next
 * hop is, so both are read. Here a route is its next hop and everything else: `splitNextHop` and `joinNextHop` are the two directions.
 */
import { type Bytes, concat, EMPTY, WireError, Writer } from '../../core/index.ts';
import { ATTRIBUTE, FLAG } from '../message/iana.ts';
import { afiOf, safiOf } from '../message/nlri.ts';
import { type Family, IPV4_UNICAST } from '../message/types.ts';
import {
  attributeFits,
  attributeLength,
  attributeType,
  attributeValueAt,
  nextAttribute,
} from '../message/update-view.ts';

export interface RouteAttributes {
  /** 4 or 16 octets, or 32 with a link-local address; empty where there is none. */
  readonly nextHop: Bytes;
  /** Without NEXT_HOP, MP_REACH_NLRI and MP_UNREACH_NLRI, in the order they had. */
  readonly attributes: Bytes;
}

/** Throws a `WireError`, whose offset counts from the start of the attributes, where they do not fit. */
export function splitNextHop(octets: Bytes): RouteAttributes {
  let plain: Bytes = EMPTY;
  let reach: Bytes | undefined;
  const parts: Bytes[] = [];
  for (let a = 0; a < octets.length; a = nextAttribute(octets, a)) {
    if (!attributeFits(octets, a, octets.length)) throw new WireError('attribute', a, 'reaches beyond the attributes');
    const value = attributeValueAt(octets, a);
    const end = value + attributeLength(octets, a);
    const type = attributeType(octets, a);
    if (type === ATTRIBUTE.NEXT_HOP) plain = octets.slice(value, end);
    else if (type === ATTRIBUTE.MP_REACH_NLRI) reach = nextHopOf(octets, value, end);
    else if (type !== ATTRIBUTE.MP_UNREACH_NLRI) parts.push(octets.subarray(a, end));
  }
  return { nextHop: reach ?? plain, attributes: concat(...parts) };
}

/** For a RIB entry, in ascending order of type if `attributes` are. */
export function joinNextHop(family: Family, { nextHop, attributes }: RouteAttributes): Bytes {
  if (nextHop.length === 0) return attributes;
  const asNextHop = isPlain(family, nextHop);
  const type = asNextHop ? ATTRIBUTE.NEXT_HOP : ATTRIBUTE.MP_REACH_NLRI;
  const value = asNextHop ? nextHop : concat(Uint8Array.of(nextHop.length), nextHop);
  const flags = asNextHop ? FLAG.TRANSITIVE : FLAG.OPTIONAL;
  let at = 0;
  while (at < attributes.length && attributeType(attributes, at) < type) at = nextAttribute(attributes, at);
  return concat(attributes.subarray(0, at), Uint8Array.of(flags, type, value.length), value, attributes.subarray(at));
}

/** Whether a route goes into an UPDATE with NEXT_HOP, as RFC 4271 has it; all others need MP_REACH_NLRI. */
export const isPlain = (family: Family, nextHop: Bytes): boolean => family === IPV4_UNICAST && nextHop.length === 4;

/** RFC 4760 §3: the whole attribute, with an extended length whatever it is. */
export function reachOf(family: Family, nextHop: Bytes, nlri: Bytes): Bytes {
  const w = new Writer();
  w.u8(FLAG.OPTIONAL | FLAG.EXTENDED_LENGTH);
  w.u8(ATTRIBUTE.MP_REACH_NLRI);
  w.counted16(() => {
    w.u16(afiOf(family));
    w.u8(safiOf(family));
    w.counted8(() => w.bytes(nextHop));
    w.u8(0);
    w.bytes(nlri);
  });
  return w.finish();
}

function nextHopOf(b: Bytes, at: number, end: number): Bytes {
  const length = b[at] === 0 ? at + 3 : at;
  if (length >= end || length + 1 + b[length]! > end)
    throw new WireError('MP_REACH_NLRI', at, 'its next hop does not fit');
  return b.slice(length + 1, length + 1 + b[length]!);
}
