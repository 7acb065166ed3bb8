/** The AS by which a peer knows a router (RFC 7705 §3), and whether the two are of one. */
import type { BgpConfig, BgpPeerConfig } from './contract-bgp.ts';

type Router = Pick<BgpConfig, 'asn'>;
type Peer = Pick<BgpPeerConfig, 'asn' | 'localAs'>;

export const ownAsTowards = ({ asn }: Router, { localAs }: Peer): number => localAs ?? asn;

export const isExternal = (router: Router, peer: Peer): boolean => peer.asn !== ownAsTowards(router, peer);
