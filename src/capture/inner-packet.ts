/**
 * What an opened ESP packet carries: an IP packet in tunnel mode, an upper layer in transport mode.
 *
 * Leaves the words to `ip/`.
 */
import type { Bytes } from '../core/index.ts';
import { u16 } from '../core/index.ts';
import { NEXT_HEADER } from '../esp/index.ts';
import {
  describePacket,
  destinationOf,
  findUpperLayer,
  IP_PROTOCOL,
  ipLength,
  ipVersion,
  newUpperLayer,
  PASS,
  protocolName,
  sourceOf,
} from '../ip/index.ts';
import type { InnerPacket } from './record.ts';

export function innerPacket(payload: Bytes, nextHeader: number): InnerPacket {
  if (nextHeader !== NEXT_HEADER.ipv4 && nextHeader !== NEXT_HEADER.ipv6) {
    return {
      ...NOTHING,
      octets: payload,
      text: `${protocolName(nextHeader)}, ${payload.length} octets`,
      protocol: nextHeader,
      ...ports(payload, nextHeader, 0, payload.length),
    };
  }
  const text = describePacket(payload, 0, payload.length);
  const layer = newUpperLayer();
  if (findUpperLayer(payload, 0, payload.length, layer) !== PASS) return { ...NOTHING, octets: payload, text };
  const length = ipLength(payload, 0);
  return {
    octets: payload.slice(0, length),
    text,
    version: ipVersion(payload, 0) === 4 ? 4 : 6,
    source: sourceOf(payload, 0),
    destination: destinationOf(payload, 0),
    protocol: layer.protocol < 0 ? undefined : layer.protocol,
    ...(layer.fragmentOffset === 0 ? ports(payload, layer.protocol, layer.at, layer.end) : NO_PORTS),
    tfcPadding: payload.length - length,
  };
}

function ports(
  buf: Bytes,
  protocol: number,
  at: number,
  end: number,
): typeof NO_PORTS | { sourcePort: number; destinationPort: number } {
  const has = protocol === IP_PROTOCOL.tcp || protocol === IP_PROTOCOL.udp || protocol === IP_PROTOCOL.sctp;
  return has && end - at >= 4 ? { sourcePort: u16(buf, at), destinationPort: u16(buf, at + 2) } : NO_PORTS;
}

const NO_PORTS = { sourcePort: undefined, destinationPort: undefined } as const;
const NOTHING = {
  version: undefined,
  source: undefined,
  destination: undefined,
  protocol: undefined,
  ...NO_PORTS,
  tfcPadding: 0,
} as const;
