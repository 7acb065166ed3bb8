/** What a router tells of its own: networks of the document, and routes of its compartment by where they come from. */
import type { Compartment } from '../../compartment/index.ts';
import type { BgpConfig } from '../../config/index.ts';
import type { Prefix } from '../../ip/index.ts';

export interface Originated {
  readonly prefix: Prefix;
  /** For people. */
  readonly why: string;
}

export function originations(config: BgpConfig, compartment: Compartment): readonly Originated[] {
  const networks = config.networks.map((prefix) => ({ prefix, why: 'a network of the document' }));
  const { redistribute: origins } = config;
  // Not even looked for where none is to be told: the table may be large.
  const routes = origins.length === 0 ? [] : compartment.routes({ origins });
  const told = routes.filter(({ prefix }) => isTold(prefix)).map(({ prefix, why }) => ({ prefix, why }));
  return [...networks, ...told];
}

/** RFC 4291 §2.5.6, RFC 3927 §2.7: what is of one link only is told to nobody. */
function isTold({ address }: Prefix): boolean {
  if (address.length === 4) return !(address[0] === 169 && address[1] === 254);
  return !(address[0] === 0xfe && (address[1]! & 0xc0) === 0x80);
}
