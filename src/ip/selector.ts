/**
 * Traffic selectors: plain data, because IKE negotiates them, ESP checks them and compartments route by them; and their
 * set arithmetic and text.
 *
 * Read first: RFC 7296 §2.9, §3.13.1; RFC 4301 §4.4.1.1 (ANY includes OPAQUE), §7 (fragments have no ports).
 * Leaves the payload format to `ike/`, and packets to `selector-matcher.ts`.
 * Invariant of every function: a value that `isSelector` refuses never matches anything.
 */
import { compareBytes, sameBytes } from '../core/index.ts';
import { type Address, formatAddress, lastOf, networkOf, type Prefix, parseAddress, parsePrefix } from './address.ts';
import { IP_PROTOCOL, protocolName, protocolNumber } from './iana.ts';

/** RFC 7296 §3.13.1: an address range, a protocol and a port range. */
export interface TrafficSelector {
  /** 0 is any. */
  readonly protocol: number;
  /** For ICMP and ICMPv6 type and code as type << 8 | code (RFC 4301 §4.4.1.1). OPAQUE is startPort 65535, endPort 0. */
  readonly startPort: number;
  readonly endPort: number;
  readonly start: Address;
  readonly end: Address;
}

export interface SelectorPair {
  readonly local: readonly TrafficSelector[];
  readonly remote: readonly TrafficSelector[];
}

export interface PortRange {
  readonly startPort: number;
  readonly endPort: number;
}

export const ANY_PORTS: PortRange = { startPort: 0, endPort: 0xffff };
export const OPAQUE_PORTS: PortRange = { startPort: 0xffff, endPort: 0 };

export const isAnyPorts = (p: PortRange): boolean => p.startPort === 0 && p.endPort === 0xffff;
export const isOpaquePorts = (p: PortRange): boolean => p.startPort === 0xffff && p.endPort === 0;

/** Whether ranges are in order and of one family. */
export const isSelector = (s: TrafficSelector): boolean =>
  s.start.length === s.end.length &&
  compareBytes(s.start, s.end) <= 0 &&
  (s.startPort <= s.endPort || isOpaquePorts(s));

export const selectorOfPrefix = (prefix: Prefix, protocol = 0, ports: PortRange = ANY_PORTS): TrafficSelector => ({
  protocol,
  startPort: ports.startPort,
  endPort: ports.endPort,
  start: networkOf(prefix),
  end: lastOf(prefix),
});

/** One end of a packet. `port` undefined: the packet shows none, as in fragments other than the first (OPAQUE). */
export function matches(
  selector: TrafficSelector,
  address: Address,
  protocol: number,
  port: number | undefined,
): boolean {
  return (
    isSelector(selector) &&
    address.length === selector.start.length &&
    compareBytes(selector.start, address) <= 0 &&
    compareBytes(address, selector.end) <= 0 &&
    (selector.protocol === 0 || selector.protocol === protocol) &&
    portsMatch(selector, port)
  );
}

/** RFC 4301 §4.4.1.1, §7: only ANY and OPAQUE match what shows no port; OPAQUE matches nothing else. */
export function portsMatch(ports: PortRange, port: number | undefined): boolean {
  if (port === undefined) return isAnyPorts(ports) || isOpaquePorts(ports);
  return ports.startPort <= port && port <= ports.endPort;
}

export const sameSelector = (a: TrafficSelector, b: TrafficSelector): boolean =>
  a.protocol === b.protocol &&
  a.startPort === b.startPort &&
  a.endPort === b.endPort &&
  sameBytes(a.start, b.start) &&
  sameBytes(a.end, b.end);

/** Whether all that `inner` matches is matched by `outer`. */
export function containsSelector(outer: TrafficSelector, inner: TrafficSelector): boolean {
  const shared = intersect(outer, inner);
  return shared !== undefined && sameSelector(shared, inner);
}

/** What both match; undefined when that is nothing. */
export function intersect(a: TrafficSelector, b: TrafficSelector): TrafficSelector | undefined {
  if (a.start.length !== b.start.length || !isSelector(a) || !isSelector(b)) return undefined;
  if (a.protocol !== 0 && b.protocol !== 0 && a.protocol !== b.protocol) return undefined;
  const ports = intersectPorts(a, b);
  if (ports === undefined) return undefined;
  const start = compareBytes(a.start, b.start) < 0 ? b.start : a.start;
  const end = compareBytes(a.end, b.end) < 0 ? a.end : b.end;
  if (compareBytes(start, end) > 0) return undefined;
  return { protocol: a.protocol === 0 ? b.protocol : a.protocol, ...ports, start, end };
}

/** The prefix a selector's addresses are, if they are one. */
export function prefixOfSelector(s: TrafficSelector): Prefix | undefined {
  const prefixes = prefixesOfSelector(s);
  return prefixes.length === 1 ? prefixes[0] : undefined;
}

/** The fewest prefixes that cover a selector's addresses exactly, in order; at most two less than twice the address's bits. */
export function prefixesOfSelector(s: TrafficSelector): readonly Prefix[] {
  const out: Prefix[] = [];
  if (!isSelector(s)) return out;
  for (let start: Address | undefined = s.start; start !== undefined; ) {
    let length: number = start.length * 8;
    while (length > 0 && fitsShorter(start, length - 1, s.end)) length -= 1;
    const prefix: Prefix = { address: start, length };
    out.push(prefix);
    const last: Address = lastOf(prefix);
    start = sameBytes(last, s.end) ? undefined : successor(last);
  }
  return out;
}

/**
 * As swanctl writes them: `10.1.0.0/24`, `10.1.0.0/24[tcp/443]`, `10.1.0.5..10.1.0.9[udp/1000-2000]`, `10.1.0.0/24[icmp/8(0)]`,
 * `10.1.0.0/24[tcp/OPAQUE]`.
 */
export function formatSelector(s: TrafficSelector): string {
  const prefix = prefixOfSelector(s);
  const range =
    prefix === undefined
      ? `${formatAddress(s.start)}..${formatAddress(s.end)}`
      : `${formatAddress(prefix.address)}/${prefix.length}`;
  if (s.protocol === 0 && isAnyPorts(s)) return range;
  const protocol = s.protocol === 0 ? '0' : protocolName(s.protocol);
  if (isAnyPorts(s)) return `${range}[${protocol}]`;
  return `${range}[${protocol}/${formatPorts(s)}]`;
}

/** Several, comma separated; `nothing` for none. */
export const formatSelectors = (selectors: readonly TrafficSelector[]): string =>
  selectors.length === 0 ? 'nothing' : selectors.map(formatSelector).join(', ');

/** The inverse of `formatSelector`; a bare address is its host prefix. Undefined for anything else. */
export function parseSelector(text: string): TrafficSelector | undefined {
  const parts = /^([^[\]]+)(?:\[([^[\]/]+)(?:\/([^[\]/]+))?\])?$/.exec(text);
  if (parts === null) return undefined;
  const range = parseRange(parts[1]!);
  const protocol = parts[2] === undefined ? 0 : protocolNumber(parts[2]);
  if (range === undefined || protocol === undefined) return undefined;
  const ports = parts[3] === undefined ? ANY_PORTS : parsePorts(parts[3], isIcmp(protocol));
  return ports === undefined ? undefined : { protocol, ...ports, ...range };
}

function intersectPorts(a: PortRange, b: PortRange): PortRange | undefined {
  if (isAnyPorts(a)) return { startPort: b.startPort, endPort: b.endPort };
  if (isAnyPorts(b)) return { startPort: a.startPort, endPort: a.endPort };
  if (isOpaquePorts(a) || isOpaquePorts(b)) return isOpaquePorts(a) && isOpaquePorts(b) ? OPAQUE_PORTS : undefined;
  const startPort = Math.max(a.startPort, b.startPort);
  const endPort = Math.min(a.endPort, b.endPort);
  return startPort <= endPort ? { startPort, endPort } : undefined;
}

/** Whether the prefix of that length begins at `start` and ends at or before `end`. */
function fitsShorter(start: Address, length: number, end: Address): boolean {
  const prefix = { address: start, length };
  return sameBytes(networkOf(prefix), start) && compareBytes(lastOf(prefix), end) <= 0;
}

/** The next address; never asked for the last one. */
function successor(address: Address): Address {
  const out = address.slice();
  for (let i = out.length - 1; i >= 0; i--) {
    out[i] = out[i]! + 1;
    if (out[i] !== 0) break;
  }
  return out;
}

const isIcmp = (protocol: number): boolean => protocol === IP_PROTOCOL.icmp || protocol === IP_PROTOCOL.icmpv6;

function formatPorts(s: TrafficSelector): string {
  if (isOpaquePorts(s)) return 'OPAQUE';
  const one = isIcmp(s.protocol) ? (port: number) => `${port >>> 8}(${port & 0xff})` : String;
  if (s.startPort === s.endPort) return one(s.startPort);
  // A whole ICMP type is written as the type alone.
  if (isIcmp(s.protocol) && s.endPort === s.startPort + 0xff && (s.startPort & 0xff) === 0) {
    return String(s.startPort >>> 8);
  }
  return `${one(s.startPort)}-${one(s.endPort)}`;
}

function parsePorts(text: string, icmp: boolean): PortRange | undefined {
  if (text === 'OPAQUE') return OPAQUE_PORTS;
  if (text === 'any') return ANY_PORTS;
  const parts = text.split('-');
  if (parts.length > 2) return undefined;
  const first = parsePort(parts[0]!, icmp);
  const last = parts.length === 1 ? first : parsePort(parts[1]!, icmp);
  if (first === undefined || last === undefined || first.startPort > last.endPort) return undefined;
  return { startPort: first.startPort, endPort: last.endPort };
}

/** A port; or an ICMP type, which is all its codes, or type and code as `8(0)`. */
function parsePort(text: string, icmp: boolean): PortRange | undefined {
  const parts = /^(0|[1-9][0-9]{0,4})(?:\((0|[1-9][0-9]{0,2})\))?$/.exec(text);
  if (parts === null) return undefined;
  const number = Number(parts[1]);
  if (!icmp) return parts[2] !== undefined || number > 0xffff ? undefined : { startPort: number, endPort: number };
  if (number > 0xff || Number(parts[2] ?? 0) > 0xff) return undefined;
  if (parts[2] === undefined) return { startPort: number << 8, endPort: (number << 8) | 0xff };
  const port = (number << 8) | Number(parts[2]);
  return { startPort: port, endPort: port };
}

function parseRange(text: string): { start: Address; end: Address } | undefined {
  const dots = text.indexOf('..');
  if (dots < 0) {
    const prefix = parsePrefix(text);
    return prefix === undefined ? undefined : { start: prefix.address, end: lastOf(prefix) };
  }
  const start = parseAddress(text.slice(0, dots));
  const end = parseAddress(text.slice(dots + 2));
  if (start === undefined || end === undefined || start.length !== end.length) return undefined;
  return compareBytes(start, end) <= 0 ? { start, end } : undefined;
}
