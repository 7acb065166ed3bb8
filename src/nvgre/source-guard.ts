/**
 * Whether a frame is from whom it says: its source MAC and CA against the lookup records, the port or the provider address
 * it came from. What it says may be learned where the policy allows it.
 *
 * Read first: RFC 7039 §2 (the idea), RFC 7637 §5. Who may send from a CA: the station a record or port gives it; a station
 * whose CAs are learned, from what nobody else has by policy; a gateway, and the next hop of a customer route from what the
 * route covers, because they route. What a distributed router elsewhere routed comes from the provider address where the
 * tenant's packets to its source would go, and carries the router's MAC, or that of its sender where a router left it.
 * Between stations whose CAs are learned the last to send from a CA has it, as on any Ethernet; so it is with IPv6 link-local
 * addresses, which are learned of every station.
 */
import type { Bytes, Millis } from '../core/index.ts';
import { DROP, ipv6IsUnspecifiedAt, PASS } from '../ip/index.ts';
import type { ProviderAddress } from './contract.ts';
import { isAddressAt, NO_VSID, type Width } from './customer-routes.ts';
import { macHigh, macLow, sourceMacAt } from './inner.ts';
import type { LookupPolicy } from './lookup.ts';
import { isRouterMac } from './router.ts';
import { ORIGIN, type Station } from './station.ts';

export const hasMac = (station: Station, buf: Bytes, at: number): boolean =>
  station.high === macHigh(buf, at) && station.low === macLow(buf, at);

/** Whether the policy has the station at that provider address; never true for one at this node. */
export const isAt = ({ remote }: Station, pa: ProviderAddress): boolean =>
  remote !== undefined && (remote === pa || isAddressAt(pa, 0, pa.length === 4 ? 4 : 16, remote));

/** The address at `at` is none: `0.0.0.0` or `::`. */
export const isUnspecified = (buf: Bytes, at: number, width: Width): boolean =>
  width === 16 ? ipv6IsUnspecifiedAt(buf, at) : (buf[at]! | buf[at + 1]! | buf[at + 2]! | buf[at + 3]!) === 0;

/** Whether the station may send from the CA at `at`: PASS or DROP.spoofed. An unspecified one is no CA. */
export function admitSource(
  policy: LookupPolicy,
  station: Station,
  buf: Bytes,
  at: number,
  width: Width,
  now: Millis,
): number {
  const binding = policy.binding(station.subnet.vsid, buf, at, width);
  if (binding !== undefined && binding.station === station) {
    binding.seen = now;
    return PASS;
  }
  if (station.gateway) return PASS;
  if (binding === undefined) {
    if (isUnspecified(buf, at, width) || routesFor(policy, station, buf, at, width)) return PASS;
  } else if (binding.origin !== ORIGIN.learned) return DROP.spoofed;
  if (!policy.mayLearn(station, buf, at, width)) return DROP.spoofed;
  return policy.learn(station, buf.slice(at, at + width), binding, now) ? PASS : DROP.spoofed;
}

/** Whether the CA at `at` of the frame at `start`, which came from `pa`, may have been routed there: PASS or DROP.spoofed. */
export function admitRouted(
  policy: LookupPolicy,
  pa: ProviderAddress,
  buf: Bytes,
  start: number,
  at: number,
  width: Width,
): number {
  const routed = isRouterMac(buf, sourceMacAt(start));
  const onLink = policy.routes.onLink(buf, at, width);
  if (onLink !== undefined) {
    const station = policy.binding(onLink.subnet.vsid, buf, at, width)?.station;
    if (station === undefined || !isAt(station, pa)) return DROP.spoofed;
    return routed || hasMac(station, buf, sourceMacAt(start)) ? PASS : DROP.spoofed;
  }
  if (!routed) return DROP.spoofed;
  const nextHop = nextHopOf(policy, buf, at, width);
  if (nextHop !== undefined && isAt(nextHop, pa)) return PASS;
  for (const gateway of policy.gateways) if (isAt(gateway, pa)) return PASS;
  return DROP.spoofed;
}

/** The station is the next hop of the customer route that covers the CA. */
const routesFor = (policy: LookupPolicy, station: Station, buf: Bytes, at: number, width: Width): boolean =>
  policy.routes.onLink(buf, at, width) === undefined && nextHopOf(policy, buf, at, width) === station;

function nextHopOf(policy: LookupPolicy, buf: Bytes, at: number, width: Width): Station | undefined {
  const hop = policy.routes.hop(buf, at, width);
  if (hop === undefined || hop.vsid === NO_VSID) return undefined;
  return policy.binding(hop.vsid, hop.route.nextHop, 0, width)?.station;
}
