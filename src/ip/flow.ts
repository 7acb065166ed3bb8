/**
 * What a packet looks like to policy: addresses, protocol and ports, read in place into a reusable object.
 *
 * Read first: RFC 4301 §4.4.1.1 (selectors of a packet), §4.4.1.3 (message types instead of ports), §7 (fragments).
 * Deliberate limit: no state across fragments (RFC 4301 §7.3): fragments other than the first show no port.
 */
import type { Bytes } from '../core/index.ts';
import { u16 } from '../core/index.ts';
import type { Address } from './address.ts';
import { foldSum } from './checksum.ts';
import { IP_PROTOCOL } from './iana.ts';
import { destinationOf, findUpperLayer, ipVersion, sourceOf } from './ip.ts';
import { IPV4_HEADER, IPV4_MF } from './ipv4.ts';
import { newUpperLayer } from './ipv6.ts';
import type { Packet } from './packet.ts';
import { PASS } from './verdict.ts';

/** Not a port: the packet shows none, so only ANY and OPAQUE selectors match. */
export const OPAQUE_PORT = -1;

export interface Flow {
  version: number;
  /** OPAQUE_PROTOCOL where an IPv6 fragment hides it. */
  protocol: number;
  /** Offsets of the addresses in the packet's buffer. */
  sourceAt: number;
  destinationAt: number;
  /** OPAQUE_PORT where there is none. For ICMP, ICMPv6 and mobility headers both are the message type: type << 8 | code. */
  sourcePort: number;
  destinationPort: number;
  /** The ports are a message type: it belongs to the sender's selector alone (RFC 4301 §4.4.1.3). */
  typed: boolean;
  /** A fragment other than the first. */
  laterFragment: boolean;
}

export const newFlow = (): Flow => ({
  version: 0,
  protocol: 0,
  sourceAt: 0,
  destinationAt: 0,
  sourcePort: OPAQUE_PORT,
  destinationPort: OPAQUE_PORT,
  typed: false,
  laterFragment: false,
});

/** Fills `flow` from the packet in buf[start, end), any octets: PASS, or why it is no packet (`flow` is then undefined). */
export function readFlow(buf: Bytes, start: number, end: number, flow: Flow): number {
  const verdict = findUpperLayer(buf, start, end, upper);
  if (verdict !== PASS) return verdict;
  flow.version = ipVersion(buf, start);
  flow.protocol = upper.protocol;
  flow.sourceAt = start + (flow.version === 4 ? 12 : 8);
  flow.destinationAt = start + (flow.version === 4 ? 16 : 24);
  flow.sourcePort = OPAQUE_PORT;
  flow.destinationPort = OPAQUE_PORT;
  flow.laterFragment = upper.fragmentOffset !== 0;
  flow.typed = false;
  const at = upper.at;
  switch (upper.protocol) {
    case IP_PROTOCOL.tcp:
    case IP_PROTOCOL.udp:
    case IP_PROTOCOL.dccp:
    case IP_PROTOCOL.sctp:
    case IP_PROTOCOL.udpLite:
      if (flow.laterFragment || at + 4 > upper.end) break;
      flow.sourcePort = u16(buf, at);
      flow.destinationPort = u16(buf, at + 2);
      break;
    case IP_PROTOCOL.icmp:
    case IP_PROTOCOL.icmpv6:
      flow.typed = true;
      if (flow.laterFragment || at + 2 > upper.end) break;
      flow.sourcePort = u16(buf, at);
      flow.destinationPort = flow.sourcePort;
      break;
    case IP_PROTOCOL.mobility:
      flow.typed = true;
      if (flow.laterFragment || at + 3 > upper.end) break;
      // RFC 6275 §6.1.1: MH Type is the third octet.
      flow.sourcePort = buf[at + 2]! << 8;
      flow.destinationPort = flow.sourcePort;
      break;
  }
  return PASS;
}

/**
 * Whether `packet` is like `before` but for length, identification and checksum: TCP or UDP over IPv4, without options and whole. If `before`
 * passed `checkIp`, `packet` does, and shows the same flow and traffic class. False: it takes more to say.
 */
export function resembles(before: Packet, packet: Packet): boolean {
  const { view: a, start: i } = before;
  const { view: b, start: j, end } = packet;
  if (end - j < PORTS_END) return false;
  const first = b.getInt32(j);
  const second = b.getInt32(j + 4);
  const third = b.getInt32(j + 8);
  const source = b.getInt32(j + 12);
  const destination = b.getInt32(j + 16);
  const length = first & 0xffff;
  const protocol = (third >>> 16) & 0xff;
  if (first >>> 24 !== PLAIN || length > end - j || length < PORTS_END || a.getUint16(i + 2) < PORTS_END) return false;
  if ((second & (IPV4_MF | OFFSET)) !== 0 || (protocol !== IP_PROTOCOL.tcp && protocol !== IP_PROTOCOL.udp))
    return false;
  const differs =
    ((first ^ a.getInt32(i)) & HIGH) |
    ((second ^ a.getInt32(i + 4)) & ~HIGH) |
    ((third ^ a.getInt32(i + 8)) & HIGH) |
    (source ^ a.getInt32(i + 12)) |
    (destination ^ a.getInt32(i + 16)) |
    (b.getInt32(j + IPV4_HEADER) ^ a.getInt32(i + IPV4_HEADER));
  if (differs !== 0) return false;
  const sum = halves(first) + halves(second) + halves(third) + halves(source) + halves(destination);
  return foldSum(sum) === 0xffff;
}

const halves = (word: number): number => (word >>> 16) + (word & 0xffff);

/** Version 4, five words of header. */
const PLAIN = 0x45;
const PORTS_END = IPV4_HEADER + 4;
/** The fragment offset in the word of flags. */
const OFFSET = 0x1fff;
const HIGH = 0xffff_0000;

/** A flow as the control plane keeps it. */
export interface FlowRecord {
  readonly source: Address;
  readonly destination: Address;
  /** 0 where a fragment hides it. */
  readonly protocol: number;
  /** 0 where the packet shows none. */
  readonly sourcePort: number;
  readonly destinationPort: number;
}

/** A copy of what asks for a tunnel (RFC 7296 §2.9); undefined when buf[start, end) is no packet. */
export function flowRecord(buf: Bytes, start: number, end: number): FlowRecord | undefined {
  if (readFlow(buf, start, end, scratch) !== PASS) return undefined;
  return {
    source: sourceOf(buf, start),
    destination: destinationOf(buf, start),
    protocol: Math.max(scratch.protocol, 0),
    sourcePort: Math.max(scratch.sourcePort, 0),
    destinationPort: Math.max(scratch.destinationPort, 0),
  };
}

const upper = newUpperLayer();
const scratch = newFlow();
