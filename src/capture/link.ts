/**
 * Link layers: where in a captured frame the IP packet stands.
 *
 * Read first: https://www.tcpdump.org/linktypes.html; IEEE 802.1Q for the tags.
 * Limit: `MAX_TAGS` VLAN tags.
 */
import type { Bytes } from '../core/index.ts';
import { u16, u32 } from '../core/index.ts';
import { LINK_TYPE } from './frame.ts';

export type LinkContent =
  /** An IP packet begins at `at`; link padding may follow it. */
  | { readonly is: 'ip'; readonly at: number; readonly vlans: readonly number[] }
  | { readonly is: 'other'; readonly what: string; readonly vlans: readonly number[] }
  /** Shorter than the headers of its link type. */
  | { readonly is: 'short'; readonly field: string; readonly needed: number };

export function findPacket(linkType: number, frame: Bytes): LinkContent {
  switch (linkType) {
    case LINK_TYPE.ethernet:
      return frame.length < 14 ? short('ethernet', 14) : byEtherType(frame, 12);
    case LINK_TYPE.linuxSll:
      return frame.length < 16 ? short('sll', 16) : byEtherType(frame, 14);
    case LINK_TYPE.linuxSll2:
      return frame.length < 20 ? short('sll2', 20) : byEtherType(frame, 0, 20);
    case LINK_TYPE.null:
    case LINK_TYPE.loop:
      return frame.length < 4 ? short('null', 4) : byFamily(frame);
    case LINK_TYPE.raw:
    case LINK_TYPE.ipv4:
    case LINK_TYPE.ipv6:
      return frame.length < 1 ? short('raw', 1) : { is: 'ip', at: 0, vlans: [] };
    default:
      return { is: 'other', what: `link type ${linkType}`, vlans: [] };
  }
}

const short = (field: string, needed: number): LinkContent => ({ is: 'short', field, needed });

/** `typeAt` is the offset of the EtherType; the payload follows it, or begins at `payloadAt`. */
function byEtherType(frame: Bytes, typeAt: number, payloadAt = typeAt + 2): LinkContent {
  const vlans: number[] = [];
  let type = u16(frame, typeAt);
  let at = payloadAt;
  while (type === ETHER.dot1q || type === ETHER.dot1ad || type === ETHER.qinq) {
    if (vlans.length === MAX_TAGS) return { is: 'other', what: `more than ${MAX_TAGS} VLAN tags`, vlans };
    if (at + 4 > frame.length) return short('vlan', at + 4);
    vlans.push(u16(frame, at) & 0x0fff);
    type = u16(frame, at + 2);
    at += 4;
  }
  if (type === ETHER.ipv4 || type === ETHER.ipv6) return { is: 'ip', at, vlans };
  return {
    is: 'other',
    what: type === ETHER.arp ? 'ARP' : type < 0x0600 ? 'IEEE 802.3' : `EtherType ${hex(type)}`,
    vlans,
  };
}

/** The address family in the byte order of the capturing host; OpenBSD's LOOP always in network order. */
function byFamily(frame: Bytes): LinkContent {
  const big = u32(frame, 0);
  const family =
    big < 0x1_0000 ? big : ((big & 0xff) << 24) | ((big & 0xff00) << 8) | ((big >>> 8) & 0xff00) | (big >>> 24);
  if (family === AF_INET || AF_INET6.has(family)) return { is: 'ip', at: 4, vlans: [] };
  return { is: 'other', what: `address family ${family >>> 0}`, vlans: [] };
}

const hex = (value: number): string => `0x${value.toString(16).padStart(4, '0')}`;

const ETHER = { ipv4: 0x0800, arp: 0x0806, dot1q: 0x8100, ipv6: 0x86dd, dot1ad: 0x88a8, qinq: 0x9100 } as const;
const AF_INET = 2;
/** Linux, NetBSD and OpenBSD, FreeBSD, Darwin. */
const AF_INET6: ReadonlySet<number> = new Set([10, 24, 28, 30]);
const MAX_TAGS = 4;
