/** What the addresses of a compartment's interfaces say of a peer of its BGP router. */
import type { InterfaceView } from '../../compartment/index.ts';
import type { BgpPeerConfig } from '../../config/index.ts';
import { type Address, contains } from '../../ip/index.ts';

type Interfaces = readonly Pick<InterfaceView, 'number' | 'addresses'>[];

/** It is on a prefix of the compartment's own. */
export const isConnected = (interfaces: Interfaces, address: Address): boolean =>
  interfaces.some(({ addresses }) => addresses.some((own) => contains(own, address)));

/** For IPv6 routes over IPv4, and the other way round: an own address of the other family where the peer is, on interface `towards`. */
export function otherAddress(
  interfaces: Interfaces,
  { address, families }: BgpPeerConfig,
  towards: number | undefined,
): Address | undefined {
  if (families.every((family) => family === (address.length === 4 ? 'ipv4' : 'ipv6'))) return undefined;
  const here = interfaces.filter(({ number }) => number === towards);
  for (const { addresses } of [...here, ...interfaces])
    for (const own of addresses) if (own.address.length !== address.length) return own.address;
  return undefined;
}
