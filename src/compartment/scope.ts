/**
 * Which addresses a router keeps on their link.
 *
 * Read first: RFC 1812 §5.2.1.3 and §5.3.5 (broadcast, multicast), RFC 3927 §2.7, RFC 4291 §2.5.6 and §2.7.
 * Leaves to others: addresses no packet may have (`checkIp`), the broadcasts of connected networks (`routes.ts`).
 */
import type { Bytes } from '../core/index.ts';
import {
  type Address,
  ipVersion,
  ipv4Destination,
  ipv4IsMulticast,
  ipv4Number,
  ipv4Source,
  ipv6DestinationAt,
  ipv6IsLinkLocalAt,
  ipv6IsMulticastAt,
  ipv6SourceAt,
} from '../ip/index.ts';

/** The destination is more than one host: multicast or the limited broadcast. Multicast is not routed here at all. */
export function isGroup(buf: Bytes, start: number): boolean {
  if (ipVersion(buf, start) === 6) return ipv6IsMulticastAt(buf, ipv6DestinationAt(start));
  const destination = ipv4Destination(buf, start);
  return ipv4IsMulticast(destination) || destination === LIMITED_BROADCAST;
}

/** The packet must not leave its link: a group, or a link-local address on either side. */
export function isLinkScoped(buf: Bytes, start: number): boolean {
  if (isGroup(buf, start)) return true;
  return ipVersion(buf, start) === 6
    ? ipv6IsLinkLocalAt(buf, ipv6DestinationAt(start)) || ipv6IsLinkLocalAt(buf, ipv6SourceAt(start))
    : isIpv4LinkLocal(ipv4Destination(buf, start)) || isIpv4LinkLocal(ipv4Source(buf, start));
}

/** In words, why no route decides about an address; undefined where one does. */
export function scopeInWords(address: Address): string | undefined {
  if (address.length === 16) {
    if (ipv6IsMulticastAt(address, 0)) return 'multicast';
    return ipv6IsLinkLocalAt(address, 0) ? 'link-local' : undefined;
  }
  const number = ipv4Number(address);
  if (number === LIMITED_BROADCAST) return 'the limited broadcast address';
  if (ipv4IsMulticast(number)) return 'multicast';
  return isIpv4LinkLocal(number) ? 'link-local' : undefined;
}

const isIpv4LinkLocal = (address: number): boolean => address >>> 16 === 0xa9fe;
const LIMITED_BROADCAST = 0xffffffff;
