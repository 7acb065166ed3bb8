/**
 * MP_REACH_NLRI and MP_UNREACH_NLRI as records: RFC 4760 §3, §4; next hops of RFC 2545 §3 and RFC 8950 §3; errors of RFC 7606 §5.3, §7.11.
 *
 * NLRI that are not prefixes stay octets, for the codec of their family. What belongs to a family the session does not have also stays octets
 * and is not looked into: `attributes.ts` leaves it out (RFC 4760 §7).
 */
import { type Bytes, u16, type Writer } from '../../core/index.ts';
import type { Address } from '../../ip/index.ts';
import { NotificationOwed } from './fault.ts';
import { AFI, ERROR, UPDATE_ERROR } from './iana.ts';
import { afiOf, decodeNlri, encodeNlri, prefixBits } from './nlri.ts';
import { type AttributeValue, type CodecContext, type Family, L2VPN_EVPN, type Nlri } from './types.ts';

type MpReach = Extract<AttributeValue, { name: 'mpReach' | 'mpReachOctets' }>;
type MpUnreach = Extract<AttributeValue, { name: 'mpUnreach' | 'mpUnreachOctets' }>;

/*  AFI (2) | SAFI (1) | Length of Next Hop (1) | Next Hop | Reserved (1) | NLRI  */
export function decodeMpReach(b: Bytes, at: number, end: number, context: CodecContext): MpReach {
  if (end - at < 5) refuse(at, `${end - at} octets where there are 5 at least`);
  const family = familyAt(b, at);
  const hopEnd = at + 4 + b[at + 3]!;
  if (hopEnd + 1 > end) refuse(at + 3, `a next hop of ${b[at + 3]} octets does not fit`);
  const known = context.families.includes(family);
  if (known && !nextHopFits(family, hopEnd - at - 4, context)) {
    refuse(at + 3, `a next hop of ${hopEnd - at - 4} octets`);
  }
  const bits = known ? prefixBits(family) : undefined;
  if (bits === undefined) {
    return { name: 'mpReachOctets', family, nextHop: b.slice(at + 4, hopEnd), nlri: b.slice(hopEnd + 1, end) };
  }
  const nlri = prefixes(b, hopEnd + 1, end, family, bits, context);
  return { name: 'mpReach', family, nextHops: nextHopsOf(b, at + 4, hopEnd), nlri };
}

/*  AFI (2) | SAFI (1) | Withdrawn Routes  */
export function decodeMpUnreach(b: Bytes, at: number, end: number, context: CodecContext): MpUnreach {
  if (end - at < 3) refuse(at, `${end - at} octets where there are 3 at least`);
  const family = familyAt(b, at);
  const bits = context.families.includes(family) ? prefixBits(family) : undefined;
  if (bits === undefined) return { name: 'mpUnreachOctets', family, withdrawn: b.slice(at + 3, end) };
  return { name: 'mpUnreach', family, withdrawn: prefixes(b, at + 3, end, family, bits, context) };
}

export function encodeMpReach(w: Writer, value: MpReach, context: CodecContext): void {
  encodeFamily(w, value.family);
  w.counted8(() => {
    if (value.name === 'mpReachOctets') w.bytes(value.nextHop);
    else for (const hop of value.nextHops) w.bytes(hop);
  });
  w.u8(0);
  if (value.name === 'mpReachOctets') w.bytes(value.nlri);
  else encodeNlri(w, value.nlri, context.addPath.includes(value.family));
}

export function encodeMpUnreach(w: Writer, value: MpUnreach, context: CodecContext): void {
  encodeFamily(w, value.family);
  if (value.name === 'mpUnreachOctets') w.bytes(value.withdrawn);
  else encodeNlri(w, value.withdrawn, context.addPath.includes(value.family));
}

/**
 * RFC 7606 §7.11: whether a next hop of `length` octets is one the family has. IPv6 may add a link-local address (RFC 2545 §3, RFC 8950 §3);
 * EVPN has either (RFC 7432 §7). Nothing is known of other families.
 */
export function nextHopFits(family: Family, length: number, context: CodecContext): boolean {
  const afi = afiOf(family);
  if (family === L2VPN_EVPN) return length === 4 || length === 16;
  if (prefixBits(family) === undefined) return true;
  const six = length === 16 || length === 32;
  if (afi === AFI.IPV6) return six;
  return length === 4 || (six && (context.extendedNextHop?.includes(family) ?? false));
}

/** One address, or a global and a link-local one. */
function nextHopsOf(b: Bytes, at: number, end: number): Address[] {
  return end - at === 32 ? [b.slice(at, at + 16), b.slice(at + 16, end)] : [b.slice(at, end)];
}

function prefixes(b: Bytes, at: number, end: number, family: Family, bits: number, context: CodecContext): Nlri[] {
  const nlri = decodeNlri(b, at, end, bits, context.addPath.includes(family));
  return nlri ?? refuse(at, 'prefixes that do not fit');
}

const familyAt = (b: Bytes, at: number): Family => (u16(b, at) << 8) | b[at + 2]!;

function encodeFamily(w: Writer, family: Family): void {
  w.u16(family >>> 8);
  w.u8(family & 0xff);
}

/** RFC 4760 §7. */
function refuse(at: number, problem: string): never {
  throw new NotificationOwed('value', at, problem, ERROR.UPDATE, UPDATE_ERROR.OPTIONAL_ATTRIBUTE);
}
