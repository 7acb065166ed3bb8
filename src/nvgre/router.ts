/**
 * The distributed router as it is on the wire: its MAC address, and what it routes.
 *
 * It stands in the virtual switch of every host, with one MAC address in all virtual subnets of all tenants, and with the
 * lowest address of each subnet. Nothing is ever sent to it through the fabric, so that hosts need not agree on the MAC;
 * what it routed carries it as source, and is told by it (`source-guard.ts`).
 * Read first: RFC 1812 §5.2–5.3, RFC 4291 §2.5.6, RFC 3927 §2.7. Leaves to others: where to (`lookup.ts`), ICMP errors.
 */
import type { Bytes } from '../core/index.ts';
import {
  checkIp,
  DROP,
  ipVersion,
  ipv4Destination,
  ipv4IsMulticast,
  ipv4Source,
  ipv6DestinationAt,
  ipv6IsLinkLocalAt,
  ipv6IsMulticastAt,
  ipv6SourceAt,
  PASS,
} from '../ip/index.ts';
import { macHigh, macLow } from './inner.ts';
import { Station, Subnet } from './station.ts';

/** Locally administered. */
export const ROUTER_MAC: Bytes = Uint8Array.of(0x02, 0x62, 0x68, 0x00, 0x00, 0x01);

/** The router, wherever a station is asked for: it has no port, and is in no subnet. */
export const ROUTER = new Station(new Subnet(0), ROUTER_MAC);
ROUTER.gateway = true;

export const isRouterMac = (b: Bytes, at: number): boolean =>
  macHigh(b, at) === ROUTER.high && macLow(b, at) === ROUTER.low;

/** PASS, or why no router passes on the IP packet in buf[ip, end). */
export function checkRoutable(buf: Bytes, ip: number, end: number): number {
  const verdict = checkIp(buf, ip, end);
  if (verdict !== PASS) return verdict;
  return staysOnLink(buf, ip) ? DROP.notForwarded : PASS;
}

function staysOnLink(buf: Bytes, ip: number): boolean {
  if (ipVersion(buf, ip) === 4) {
    const destination = ipv4Destination(buf, ip);
    if (ipv4IsMulticast(destination) || destination === 0xffffffff) return true;
    return destination >>> 16 === IPV4_LINK_LOCAL || ipv4Source(buf, ip) >>> 16 === IPV4_LINK_LOCAL;
  }
  const destination = ipv6DestinationAt(ip);
  if (ipv6IsMulticastAt(buf, destination) || ipv6IsLinkLocalAt(buf, destination)) return true;
  return ipv6IsLinkLocalAt(buf, ipv6SourceAt(ip));
}

/** 169.254/16. */
const IPV4_LINK_LOCAL = 0xa9fe;
