import { type CodecContext, IPV4_UNICAST, IPV6_UNICAST, L2VPN_EVPN } from '../../../src/bgp/index.ts';

/** An external peer with AS numbers of four octets. */
export const EBGP: CodecContext = {
  ebgp: true,
  fourOctetAs: true,
  maximumLength: 4096,
  addPath: [],
  families: [IPV4_UNICAST, IPV6_UNICAST, L2VPN_EVPN],
};

export const IBGP: CodecContext = { ...EBGP, ebgp: false };
