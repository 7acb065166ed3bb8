/** The MSS of TCP follows the smaller of the links that a packet crosses. */
import {
  clampMss,
  findUpperLayer,
  IP_PROTOCOL,
  IPV4_HEADER,
  IPV6_HEADER,
  ipVersion,
  newUpperLayer,
  PASS,
  type Packet,
  TCP_HEADER,
} from '../ip/index.ts';

/** True when the packet is a SYN whose MSS was too large for `mtu`. */
export function clampToMtu({ buf, start, end }: Packet, mtu: number): boolean {
  if (findUpperLayer(buf, start, end, UPPER) !== PASS) return false;
  if (UPPER.protocol !== IP_PROTOCOL.tcp || UPPER.fragmentOffset !== 0) return false;
  const headers = (ipVersion(buf, start) === 4 ? IPV4_HEADER : IPV6_HEADER) + TCP_HEADER;
  return clampMss(buf, UPPER.at, UPPER.end, mtu - headers);
}

/** Of one call only. */
const UPPER = newUpperLayer();
