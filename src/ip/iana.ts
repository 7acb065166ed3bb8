/**
 * Numbers of the internet layer: protocols, ICMP and ICMPv6 types and codes, option kinds; EtherTypes and what ARP does.
 *
 * Names are those of /etc/protocols, because that is what traffic selectors print on the other end.
 */

export const IP_PROTOCOL = {
  hopByHop: 0,
  icmp: 1,
  ipv4: 4,
  tcp: 6,
  udp: 17,
  dccp: 33,
  ipv6: 41,
  routing: 43,
  fragment: 44,
  gre: 47,
  esp: 50,
  ah: 51,
  icmpv6: 58,
  noNextHeader: 59,
  destinationOptions: 60,
  sctp: 132,
  mobility: 135,
  udpLite: 136,
} as const;

/** RFC 792, RFC 1122 §3.2.2. */
export const ICMP_TYPE = {
  echoReply: 0,
  destinationUnreachable: 3,
  sourceQuench: 4,
  redirect: 5,
  echoRequest: 8,
  timeExceeded: 11,
  parameterProblem: 12,
} as const;

/** RFC 4443, RFC 4861. */
export const ICMPV6_TYPE = {
  destinationUnreachable: 1,
  packetTooBig: 2,
  timeExceeded: 3,
  parameterProblem: 4,
  echoRequest: 128,
  echoReply: 129,
  routerSolicitation: 133,
  routerAdvertisement: 134,
  neighborSolicitation: 135,
  neighborAdvertisement: 136,
  redirect: 137,
} as const;

/** RFC 4861 §4.6. */
export const ND_OPTION = {
  sourceLinkLayerAddress: 1,
  targetLinkLayerAddress: 2,
  prefixInformation: 3,
  redirectedHeader: 4,
  mtu: 5,
} as const;

/** IEEE 802 numbers; the two VLAN tags are IEEE 802.1Q's. */
export const ETHER_TYPE = {
  ipv4: 0x0800,
  arp: 0x0806,
  vlan: 0x8100,
  ipv6: 0x86dd,
  serviceVlan: 0x88a8,
} as const;

/** RFC 826. */
export const ARP_OPERATION = {
  request: 1,
  reply: 2,
} as const;

/** `tcp`, `ipv6-icmp`; the number where no name is known. */
export const protocolName = (protocol: number): string => NAME_OF.get(protocol) ?? String(protocol);

/** A name, `icmpv6` included, or a number from 0 to 255; undefined for anything else. */
export function protocolNumber(text: string): number | undefined {
  if (/^(0|[1-9][0-9]{0,2})$/.test(text)) return Number(text) <= 0xff ? Number(text) : undefined;
  return NUMBER_OF.get(text.toLowerCase());
}

const NAMES: readonly (readonly [number, string])[] = [
  [IP_PROTOCOL.icmp, 'icmp'],
  [2, 'igmp'],
  [IP_PROTOCOL.ipv4, 'ipencap'],
  [IP_PROTOCOL.tcp, 'tcp'],
  [IP_PROTOCOL.udp, 'udp'],
  [IP_PROTOCOL.dccp, 'dccp'],
  [IP_PROTOCOL.ipv6, 'ipv6'],
  [IP_PROTOCOL.gre, 'gre'],
  [IP_PROTOCOL.esp, 'esp'],
  [IP_PROTOCOL.ah, 'ah'],
  [IP_PROTOCOL.icmpv6, 'ipv6-icmp'],
  [IP_PROTOCOL.noNextHeader, 'ipv6-nonxt'],
  [89, 'ospf'],
  [94, 'ipip'],
  [103, 'pim'],
  [108, 'ipcomp'],
  [112, 'vrrp'],
  [115, 'l2tp'],
  [IP_PROTOCOL.sctp, 'sctp'],
  [IP_PROTOCOL.mobility, 'mobility-header'],
  [IP_PROTOCOL.udpLite, 'udplite'],
];
const NAME_OF: ReadonlyMap<number, string> = new Map(NAMES);
const NUMBER_OF: ReadonlyMap<string, number> = new Map([
  ...NAMES.map(([number, name]) => [name, number] as const),
  ['icmpv6', IP_PROTOCOL.icmpv6] as const,
]);
