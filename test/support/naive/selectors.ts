/**
 * The naive reference, traffic selectors: RFC 4301 §4.4.1.1 (what a packet shows), §4.4.1.3 (message types belong to the sender's
 * end), §7 (later fragments show no port); RFC 7296 §3.13.1.
 */
import type { FlowRecord, TrafficSelector } from '../../../src/ip/index.ts';
import { ICMP, ICMPV6, mustRead } from './ip.ts';
import { numberOf, type Octets, word } from './octets.ts';

/** TCP, UDP, DCCP, SCTP, UDP-Lite. */
const WITH_PORTS = [6, 17, 33, 132, 136];
const MOBILITY = 135;

export interface Ends {
  readonly source: Octets;
  readonly destination: Octets;
  /** `undefined` where a fragment hides it. */
  readonly protocol: number | undefined;
  /** `undefined` where the packet shows none. */
  readonly ports: readonly [source: number, destination: number] | undefined;
  /** What stands for ports is a message type. */
  readonly typed: boolean;
}

export function endsOf(octets: Octets): Ends {
  const { source, destination, protocol, at, length, fragmentOffset } = mustRead(octets);
  const base = { source, destination, protocol, typed: false, ports: undefined };
  if (protocol === undefined) return base;
  const shows = (octetsNeeded: number): boolean => fragmentOffset === 0 && at + octetsNeeded <= length;
  if (WITH_PORTS.includes(protocol))
    return shows(4) ? { ...base, ports: [word(octets, at), word(octets, at + 2)] } : base;
  if (protocol === ICMP || protocol === ICMPV6)
    return { ...base, typed: true, ports: shows(2) ? [word(octets, at), word(octets, at)] : undefined };
  if (protocol !== MOBILITY) return base;
  // RFC 6275 §6.1.1: the type is the third octet.
  const type = octets[at + 2]! * 256;
  return { ...base, typed: true, ports: shows(3) ? [type, type] : undefined };
}

/** Whether some selector of each end matches its end of the packet. */
export function admitted(
  octets: Octets,
  source: readonly TrafficSelector[],
  destination: readonly TrafficSelector[],
): boolean {
  const ends = endsOf(octets);
  const { protocol, ports, typed } = ends;
  return (
    source.some((s) => matches(s, ends.source, protocol, ports?.[0], false)) &&
    destination.some((s) => matches(s, ends.destination, protocol, ports?.[1], typed))
  );
}

function matches(
  selector: TrafficSelector,
  address: Octets,
  protocol: number | undefined,
  port: number | undefined,
  anyPort: boolean,
): boolean {
  const { start, end, startPort, endPort } = selector;
  if (address.length !== start.length) return false;
  if (numberOf(address) < numberOf(start) || numberOf(address) > numberOf(end)) return false;
  if (selector.protocol !== 0 && selector.protocol !== protocol) return false;
  if (anyPort) return true;
  const any = startPort === 0 && endPort === 0xffff;
  const opaque = startPort === 0xffff && endPort === 0;
  return port === undefined ? any || opaque : startPort <= port && port <= endPort;
}

/** What an acquire tells of the packet: zero for what it does not show. */
export function flowOf(octets: Octets): FlowRecord {
  const { source, destination, protocol = 0, ports = [0, 0] } = endsOf(octets);
  return { source, destination, protocol, sourcePort: ports[0], destinationPort: ports[1] };
}
