/**
 * The naive reference, tunnels: their SAs, newest last, and what of an SA decides about packets around them.
 *
 * Written from RFC 4301 §5.1.2.1 and §8.1, RFC 6040 §4.1, RFC 4303 §2.4.
 */
import type { SaPair, SaPhase, TunnelParameters } from '../../../src/gateway/dataplane/index.ts';
import type { Endpoint } from '../../../src/ip/index.ts';
import type { NaiveCompartment, NaiveInterface } from './compartment.ts';
import type { Frame } from './frames.ts';
import { mustRead } from './ip.ts';
import type { Octets } from './octets.ts';
import type { NaiveInbound, NaiveOutbound } from './sa.ts';

/** What an outer header wants. */
export interface Outer {
  /** TOS or traffic class. */
  readonly tos: number;
  readonly dontFragment: boolean;
}

export interface NaiveSa {
  readonly pair: SaPair;
  readonly tunnel: NaiveTunnel;
  readonly inbound: NaiveInbound;
  readonly outbound: NaiveOutbound;
  phase: SaPhase;
  local: Endpoint;
  remote: Endpoint;
  udp: boolean;
  toldAt: number;
}

export interface NaiveTunnel {
  readonly parameters: TunnelParameters;
  readonly compartment: NaiveCompartment;
  readonly interface: NaiveInterface;
  /** The newest is last. */
  sas: NaiveSa[];
  waiting: { readonly frame: Frame; readonly door: string }[];
  outerMtu: number;
}

export const sends = ({ phase, outbound }: NaiveSa): boolean => phase === 'active' && !outbound.stopped;

/** Protocol 50 has no ports. */
export function move(sa: NaiveSa, local: Endpoint, remote: Endpoint, udp: boolean): void {
  sa.local = udp ? local : { ...local, port: 0 };
  sa.remote = udp ? remote : { ...remote, port: 0 };
  sa.udp = udp;
  measure(sa.tunnel);
}

/**
 * The longest packet whose ESP packet, with the outer headers of the newest active SA, fits the way; 68 at least. A configured MTU
 * counts instead, unless the way is known and narrower and DF may keep routers from cutting.
 */
export function measure({ sas, parameters, interface: inside, outerMtu }: NaiveTunnel): void {
  const newest = sas.findLast(({ phase }) => phase === 'active');
  if (newest === undefined) return;
  const { suite } = newest.outbound;
  const outer = (newest.remote.address.length === 4 ? 20 : 40) + (newest.udp ? 8 : 0);
  const room = (outerMtu === Number.POSITIVE_INFINITY ? 1500 : outerMtu) - outer - 8 - suite.ivLength - suite.icvLength;
  const align = Math.max(4, suite.blockSize);
  const fits = Math.max(68, room - (((room % align) + align) % align) - 2);
  const { mtu, df } = parameters;
  const bounded = outerMtu !== Number.POSITIVE_INFINITY && df !== 'clear';
  inside.mtu = mtu === 'auto' ? fits : bounded ? Math.min(mtu, fits) : mtu;
}

/** RFC 4301 §5.1.2.1 and §8.1, RFC 6040 §4.1. What does not fit the tunnel goes in fragments, because it has to go. */
export function outerOf({ tunnel }: NaiveSa, inner: Octets): Outer {
  const { trafficClass, mayBeCut } = mustRead(inner);
  const { df } = tunnel.parameters;
  const wanted = df === 'copy' ? !mayBeCut : df === 'set';
  return { tos: trafficClass, dontFragment: wanted && inner.length <= tunnel.interface.mtu };
}
