/** The packet of a question as octets, headers only: for those who decide by what stands in a packet. */
import { type Bytes, putU16 } from '../../core/index.ts';
import {
  buildIp,
  type FlowRecord,
  ICMP_TYPE,
  ICMPV6_TYPE,
  IP_PROTOCOL,
  type Packet,
  wrapPacket,
} from '../../ip/index.ts';

export function sampleOf(flow: FlowRecord, hopLimit: number, dontFragment: boolean): Packet {
  const { source, destination, protocol } = flow;
  return wrapPacket(buildIp({ source, destination, protocol, hopLimit, dontFragment }, headerOf(flow)));
}

function headerOf({ protocol, sourcePort, destinationPort }: FlowRecord): Bytes {
  const header = new Uint8Array(protocol === IP_PROTOCOL.tcp ? 20 : 8);
  if (protocol === IP_PROTOCOL.icmp || protocol === IP_PROTOCOL.icmpv6) {
    header[0] = protocol === IP_PROTOCOL.icmp ? ICMP_TYPE.echoRequest : ICMPV6_TYPE.echoRequest;
    putU16(header, 4, sourcePort);
    return header;
  }
  putU16(header, 0, sourcePort);
  putU16(header, 2, destinationPort);
  if (protocol === IP_PROTOCOL.tcp) header[12] = 0x50;
  else putU16(header, 4, header.length);
  return header;
}
