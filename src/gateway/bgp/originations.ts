/** What a router tells of its own: networks of the document, and routes of its compartment by where they come from. */
import type { Route } from '../../compartment/index.ts';
import type { BgpConfig, Redistributed } from '../../config/index.ts';
import type { Prefix } from '../../ip/index.ts';

export interface Originated {
  readonly prefix: Prefix;
  /** For people. */
  readonly why: string;
}

export function originations(config: BgpConfig, routes: readonly Route[]): readonly Originated[] {
  const networks = config.networks.map((prefix) => ({ prefix, why: 'a network of the document' }));
  const redistributed = routes
    .filter(({ origin, prefix }) => config.redistribute.includes(origin as Redistributed) && isTold(prefix))
    .map(({ prefix, why }) => ({ prefix, why }));
  return [...networks, ...redistributed];
}

/** RFC 4291 §2.5.6, RFC 3927 §2.7: what is of one link only is told to nobody. */
function isTold({ address }: Prefix): boolean {
  if (address.length === 4) return !(address[0] === 169 && address[1] === 254);
  return !(address[0] === 0xfe && (address[1]! & 0xc0) === 0x80);
}
