/** What a router tells of its own: networks of the document, and routes of its compartment by where they come from. */
import type { Speaker } from '../../bgp/index.ts';
import type { Compartment, RouteOrigin } from '../../compartment/index.ts';
import type { BgpConfig, Redistributed } from '../../config/index.ts';
import { formatPrefix, ipv6IsLinkLocalAt, type Prefix } from '../../ip/index.ts';

export interface Originated {
  readonly prefix: Prefix;
  /** For people. */
  readonly why: string;
}

/** What is behind the links of compartment 1: addresses of NATs, prefixes of directly routed tenants. */
export type ReachedTenants = (what: 'nat' | 'direct') => readonly Originated[];

/** What a speaker has been asked to tell; each prefix once, for the reason that comes first. */
export class Originations {
  readonly #speaker: Speaker;
  #told = new Map<string, Originated>();

  constructor(speaker: Speaker) {
    this.#speaker = speaker;
  }

  /** These and no others. */
  renew(wanted: readonly Originated[]): void {
    const told = new Map<string, Originated>();
    for (const each of wanted) {
      const text = formatPrefix(each.prefix);
      if (told.has(text)) continue;
      told.set(text, each);
      if (this.#told.get(text)?.why !== each.why) this.#speaker.originate(each.prefix, { why: each.why });
      this.#told.delete(text);
    }
    for (const { prefix } of this.#told.values()) this.#speaker.withdraw(prefix);
    this.#told = told;
  }
}

export function originations(
  { networks, redistribute }: Pick<BgpConfig, 'networks' | 'redistribute'>,
  compartment: Compartment,
  tenants: ReachedTenants,
): readonly Originated[] {
  const written = networks.map((prefix) => ({ prefix, why: 'a network of the document' }));
  const origins = redistribute.filter(isOrigin);
  // Not even looked for where none is to be told: the table may be large.
  const routes = origins.length === 0 ? [] : compartment.routes({ origins });
  const reached = redistribute.filter(isReached).flatMap(tenants);
  const told = [...routes, ...reached].filter(({ prefix }) => isTold(prefix));
  return [...written, ...told.map(({ prefix, why }) => ({ prefix, why }))];
}

const isReached = (word: Redistributed): word is 'nat' | 'direct' => word === 'nat' || word === 'direct';
const isOrigin = (word: Redistributed): word is Redistributed & RouteOrigin => !isReached(word);

/** RFC 4291 §2.5.6, RFC 3927 §2.7: what is of one link only is told to nobody. */
function isTold({ address }: Prefix): boolean {
  if (address.length === 4) return !(address[0] === 169 && address[1] === 254);
  return !ipv6IsLinkLocalAt(address, 0);
}
