/**
 * Prefixes of NLRI as records: RFC 4271 §4.3, RFC 4760 §5, RFC 7911 §3. The fast way over them is in `update-view.ts`.
 *
 * Bits behind the length of a prefix have no meaning on the wire (RFC 4271 §4.3); records never have them.
 */
import { type Bytes, u32, type Writer } from '../../core/index.ts';
import { networkOf, type Prefix } from '../../ip/index.ts';
import { AFI, SAFI } from './iana.ts';
import type { Family, Nlri } from './types.ts';
import { copyNlri, countNlri, nextNlri, nlriLength } from './update-view.ts';

export const afiOf = (family: Family): number => family >>> 8;
export const safiOf = (family: Family): number => family & 0xff;

/** 32 or 128 for a family whose NLRI are prefixes and nothing else; undefined for all others. */
export function prefixBits(family: Family): number | undefined {
  const safi = safiOf(family);
  if (safi !== SAFI.UNICAST && safi !== SAFI.MULTICAST) return undefined;
  const afi = afiOf(family);
  if (afi === AFI.IPV4) return 32;
  return afi === AFI.IPV6 ? 128 : undefined;
}

/*  Path Identifier (4, with `pathIds`) | Length (1) | Prefix  */
/** The prefixes in b[at, end); undefined when they are not syntactically correct (RFC 7606 §5.3). */
export function decodeNlri(b: Bytes, at: number, end: number, bits: number, pathIds: boolean): Nlri[] | undefined {
  const count = countNlri(b, at, end, bits, pathIds);
  if (count < 0) return undefined;
  const out: Nlri[] = [];
  for (let p = at; p < end; ) {
    if (pathIds) p += 4;
    const prefix = prefixAt(b, p, bits);
    out.push(pathIds ? { prefix, pathId: u32(b, p - 4) } : { prefix });
    p = nextNlri(b, p);
  }
  return out;
}

export function encodeNlri(w: Writer, nlri: readonly Nlri[], pathIds: boolean): void {
  for (const { prefix, pathId } of nlri) {
    if (pathIds) w.u32(pathId ?? 0);
    w.u8(prefix.length);
    w.bytes(networkOf(prefix).subarray(0, (prefix.length + 7) >>> 3));
  }
}

function prefixAt(b: Bytes, p: number, bits: number): Prefix {
  const address = new Uint8Array(bits >>> 3);
  copyNlri(b, p, address, 0, bits >>> 3);
  return { address, length: nlriLength(b, p) };
}
